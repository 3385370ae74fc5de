// Package ranking orders restaurants by the share of their month's quota that is used.
package ranking

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/big"
	"slices"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/directory"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/task"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// The index by fullness finds the restaurants whose month is nearly used up without reading the others'. It holds the
// month's items of active restaurants whose plan has a limit, in the order of what share of it is used:
//
//	listedIn      fullness            projected
//	2026-11/0     conversations*step  conversations, toppedUp, planLimit
//	…
//	2026-11/3
//	2026-11/default  conversations    those without a bot, whose limit is configured and not stored
//
// DynamoDB can't divide, but an item can hold what one conversation adds to its fullness: step, the fullnessScale divided
// by the effective limit. An opening adds step to fullness, whatever the limit is. Whoever changes something that the
// attributes follow from (limit, top-ups, whether the restaurant is active, whether it has a bot) states them anew, on the
// condition that everything is as it was read. So fullness is always conversations*step, and off by less than the slack;
// who reads works out the rest in whole numbers.
//
// A month's first opening finds no step, and Watch states the attributes right after it. Should that fail, the restaurant's
// next opening does it.
const (
	fullnessIndex = "by-fullness"
	planIndex     = "by-plan"

	attrListedIn  = "listedIn"
	attrFullness  = "fullness"
	attrStep      = "step"
	attrPlanLimit = "planLimit" // the plan's monthly limit

	// fullnessShards spread a month's openings: each changes the index in one of so many places, of which DynamoDB takes
	// some five hundred changes a second.
	fullnessShards = 4
	defaultShard   = "default"

	// listedMonths is how many of a restaurant's newest months are stated anew: the current one, and the one before,
	// which is current still in another time zone.
	listedMonths = 2

	// reindexWriters is how many restaurants are stated anew at the same time.
	reindexWriters = 16
)

var (
	// fullnessScale is a full month's fullness. DynamoDB keeps 38 digits: enough for 10^14 conversations.
	fullnessScale = new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil)
	// fullnessSlack is more than fullness can be too small by. Rounding step down makes it less by at most the share times
	// the effective limit, which never reaches so much.
	fullnessSlack = new(big.Int).Exp(big.NewInt(10), big.NewInt(16), nil)
)

// Ranking keeps the index, and reads it. It is safe for concurrent use.
type Ranking struct {
	db        *table.DB
	names     schema.Tables
	directory *directory.Directory
}

// New returns a Ranking over the tables.
func New(db *table.DB, names schema.Tables) *Ranking {
	return &Ranking{db: db, names: names, directory: directory.New(db, names)}
}

// Delay spreads the attempts at a write that met others: openings of a busy restaurant, mostly.
const Delay = 50 * time.Millisecond

// shard returns where in the index a restaurant with a bot is listed.
func shard(restaurantID string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(restaurantID)) // never fails
	return fmt.Sprint(hash.Sum32() % fullnessShards)
}

// listing returns the attributes that list a month in the index: none where the plan is unlimited, and all but listedIn
// where the restaurant isn't active.
func (st Standing) listing(period string) table.Item {
	it := make(table.Item)
	step, place := big.NewInt(1), defaultShard
	if st.Bot != nil {
		quota := st.Quota(usage.Unlimited)
		if quota.IsUnlimited() {
			return it
		}
		it[attrPlanLimit] = table.Number(quota.Limit)
		step.Quo(fullnessScale, big.NewInt(max(1, quota.EffectiveLimit())))
		place = shard(st.id)
	}
	it[attrStep] = table.Big(step)
	it[attrFullness] = table.Big(step.Mul(step, big.NewInt(st.Month.Conversations)))
	if st.Restaurant.Active {
		it[attrListedIn] = table.Text(period + "/" + place)
	}
	return it
}

// listed is the change of the month's item that sets the attributes of listing and removes what isn't among them.
func (st Standing) listed(period string) table.Expression {
	e := table.Expression{Names: make(map[string]string), Values: make(table.Item)}
	listing := st.listing(period)
	for _, attribute := range []string{attrListedIn, attrFullness, attrStep, attrPlanLimit} {
		e.Names["#"+attribute] = attribute
		if value, ok := listing[attribute]; ok {
			e.Set = table.Joined(e.Set, ", ", "#"+attribute+" = :"+attribute)
			e.Values[":"+attribute] = value
		} else {
			e.Remove = table.Joined(e.Remove, ", ", "#"+attribute)
		}
	}
	return e
}

// isListed reports whether the month's item has the attributes already.
func (st Standing) isListed(period string) bool {
	listing := st.listing(period)
	for _, attribute := range []string{attrListedIn, attrFullness, attrStep, attrPlanLimit} {
		if !table.Same(st.Item[attribute], listing[attribute]) {
			return false
		}
	}
	return true
}

// Fuller is the part of counting a conversation that keeps the index up to date.
func Fuller() table.Expression {
	return table.Expression{
		Set:    "#fullness = if_not_exists(#fullness, :zero) + if_not_exists(#step, :zero)",
		Names:  map[string]string{"#fullness": attrFullness, "#step": attrStep},
		Values: table.Item{":zero": table.Number(0)},
	}
}

// Restate brings the index up to date about a restaurant's month, and returns how the restaurant stands. A month without
// an item has nothing to be listed.
func (r *Ranking) Restate(ctx context.Context, restaurantID, period string) (Standing, error) {
	for range table.ConflictAttempts {
		seen, _, err := r.Standing(ctx, restaurantID, period, nil)
		if err != nil || seen.Item == nil || seen.isListed(period) {
			return seen, err
		}
		items := append([]table.Write{
			table.Update(r.names.Usage, schema.UsageKey(restaurantID, period), seen.unchanged().And(seen.listed(period))),
		}, seen.Checks(r.names)...)
		err = r.db.Transact(ctx, items, "")
		var condition *table.ConditionError
		if !errors.As(err, &condition) {
			return seen, err
		}
		if err := r.db.Wait(ctx, Delay); err != nil {
			return Standing{}, err
		}
	}
	return Standing{}, fmt.Errorf("%w: others keep changing the month", outage.ErrUnavailable)
}

// RestateLatest brings the index up to date about a restaurant, after a change that may concern the current month. Which
// one that is depends on a time zone, so it is done for the newest ones that there are.
func (r *Ranking) RestateLatest(ctx context.Context, restaurantID string) error {
	var periods []string
	err := r.db.Query(ctx, table.Query{
		Table: r.names.Usage, Backwards: true, Limit: listedMonths, Projection: "#period",
		Key: table.Expression{ // of all periods, only months begin with a digit
			Condition: "#id = :id AND #period BETWEEN :first AND :last",
			Names:     map[string]string{"#id": schema.AttrRestaurantID, "#period": "period"},
			Values:    table.Item{":id": table.Text(restaurantID), ":first": table.Text("0"), ":last": table.Text("9999-99")},
		},
	}, func(in *table.Reader) error {
		periods = append(periods, in.Text("period"))
		return in.Err
	})
	if err != nil {
		return fmt.Errorf("looking for the months of restaurant %s: %w", restaurantID, err)
	}
	for _, period := range periods {
		if _, err := r.Restate(ctx, restaurantID, period); err != nil {
			return fmt.Errorf("listing the month of restaurant %s: %w", restaurantID, err)
		}
	}
	return nil
}

// Reindex brings both indexes up to date about every restaurant, and returns how many there are. It is for data that was
// written before there were indexes, or imported beside them.
func (k *Ranking) Reindex(ctx context.Context) (int, error) {
	err := k.db.Scan(ctx, k.names.Bots, func(r *table.Reader) error {
		id, limit := r.Text(schema.AttrRestaurantID), r.Item[schema.AttrDailyLimit]
		if r.Err != nil {
			return r.Err
		}
		err := k.db.Update(ctx, k.names.Bots, schema.RestaurantKey(id), table.Expression{
			Set:       "#plan = :plan",
			Condition: "#limit = :limit", // else it was written meanwhile, with its plan
			Names:     map[string]string{"#plan": schema.AttrPlan, "#limit": schema.AttrDailyLimit},
			Values:    table.Item{":plan": table.Text(schema.PlanOf(r.Number(schema.AttrDailyLimit))), ":limit": limit},
		})
		if table.FailedCondition(err, 0) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("indexing bots: %w", err)
	}
	restaurants := 0
	group, working := task.WithContext(ctx)
	group.SetLimit(reindexWriters)
	scanErr := k.db.Scan(working, k.names.Restaurants, func(r *table.Reader) error {
		restaurants++
		id := r.Text(schema.AttrRestaurantID)
		group.Go(func() error { return k.RestateLatest(working, id) })
		return r.Err
	})
	if err := group.Wait(); err != nil { // for which the scan ends too
		return 0, err
	}
	return restaurants, scanErr
}

// Fullest implements usage.Ranking: in one round trip while what it finds fits into 1 MB for each of the index's parts, some
// 30,000 restaurants in all, and for a share of 0 in two more, for all active restaurants are among them then. The index
// follows a change within a second.
func (k *Ranking) Fullest(ctx context.Context, month usage.Month, share usage.Share, defaultLimit int64) ([]usage.Filled, error) {
	found := make(map[string]usage.Quota)
	results := make([][]usage.Filled, fullnessShards+1)
	group, queryCtx := task.WithContext(ctx)
	for i := range fullnessShards {
		group.Go(func() (err error) {
			results[i], err = k.listedFrom(queryCtx, fmt.Sprintf("%s/%d", month, i), leastFullness(share), usage.Unlimited)
			return err
		})
	}
	if defaultLimit >= 0 {
		group.Go(func() (err error) {
			place := month.String() + "/" + defaultShard
			results[fullnessShards], err = k.listedFrom(queryCtx, place, leastDefault(share, defaultLimit), defaultLimit)
			return err
		})
	}
	var idle []string
	if share <= 0 {
		group.Go(func() (err error) {
			idle, err = k.limitedRestaurants(queryCtx, defaultLimit)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("finding the fullest months: %w", err)
	}
	for _, result := range results {
		for _, filled := range result {
			if filled.Quota.Reaches(share) {
				found[filled.RestaurantID] = filled.Quota
			}
		}
	}
	for _, id := range idle {
		if _, ok := found[id]; !ok {
			found[id] = usage.Quota{}
		}
	}
	all := make([]usage.Filled, 0, len(found))
	for id, quota := range found {
		all = append(all, usage.Filled{RestaurantID: id, Quota: quota})
	}
	return all, nil
}

// leastFullness returns a fullness that no month which reaches the share has less of. Where nothing is used there is
// nothing to be found.
func leastFullness(share usage.Share) *big.Int {
	least := new(big.Int).Mul(fullnessScale, big.NewInt(int64(share)))
	least.Quo(least, big.NewInt(int64(usage.Whole)))
	least.Sub(least, fullnessSlack)
	if least.Sign() <= 0 {
		return big.NewInt(1)
	}
	return least
}

// leastDefault returns how many conversations a month without a bot has at least that reaches the share: exactly as many,
// but for top-ups.
func leastDefault(share usage.Share, dailyLimit int64) *big.Int {
	least := new(big.Int).Mul(big.NewInt(usage.NewQuota(dailyLimit, 0, 0).Limit), big.NewInt(int64(share)))
	least.Quo(least, big.NewInt(int64(usage.Whole)))
	if least.Sign() <= 0 {
		return big.NewInt(1)
	}
	return least
}

// listedFrom returns what a part of the index lists from a fullness on. Months without a limit of their own have the
// default's.
func (k *Ranking) listedFrom(ctx context.Context, place string, least *big.Int, defaultLimit int64) ([]usage.Filled, error) {
	var all []usage.Filled
	err := k.db.Query(ctx, table.Query{Table: k.names.Usage, Index: fullnessIndex, Key: table.Expression{
		Condition: "#place = :place AND #fullness >= :least",
		Names:     map[string]string{"#place": attrListedIn, "#fullness": attrFullness},
		Values:    table.Item{":place": table.Text(place), ":least": table.Big(least)},
	}}, func(r *table.Reader) error {
		quota := usage.NewQuota(defaultLimit, r.Number(schema.AttrConversations), r.Number(schema.AttrToppedUp))
		if _, ok := r.Item[attrPlanLimit]; ok {
			quota.Limit = r.Number(attrPlanLimit)
		}
		all = append(all, usage.Filled{RestaurantID: r.Text(schema.AttrRestaurantID), Quota: quota})
		return r.Err
	})
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", fullnessIndex, err)
	}
	return all, nil
}

// limitedRestaurants returns the active restaurants whose plan has a limit. The plan's index is asked for unlimited plans,
// unless restaurants without a bot are unlimited too: then for limited ones.
func (k *Ranking) limitedRestaurants(ctx context.Context, defaultLimit int64) ([]string, error) {
	plan, listed := schema.PlanUnlimited, false
	if defaultLimit < 0 {
		plan, listed = schema.PlanLimited, true
	}
	var active []string
	onPlan := make(map[string]bool)
	group, ctx := task.WithContext(ctx)
	group.Go(func() error {
		snapshot, err := k.directory.Read(ctx)
		if err == nil {
			active, err = snapshot.IDs(ctx, usage.ActiveOnly, 0, snapshot.Total(usage.ActiveOnly))
		}
		return err
	})
	group.Go(func() error {
		err := k.db.Query(ctx, table.Query{Table: k.names.Bots, Index: planIndex, Key: table.Expression{
			Condition: "#plan = :plan",
			Names:     map[string]string{"#plan": schema.AttrPlan},
			Values:    table.Item{":plan": table.Text(plan)},
		}}, func(r *table.Reader) error {
			onPlan[r.Text(schema.AttrRestaurantID)] = true
			return r.Err
		})
		if err != nil {
			return fmt.Errorf("index %s: %w", planIndex, err)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(active, func(id string) bool { return onPlan[id] != listed }), nil
}
