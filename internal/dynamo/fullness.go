package dynamo

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/big"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/outage"
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
	attrPlan      = "plan"      // of a bot: planLimited or planUnlimited

	planLimited   = "limited"
	planUnlimited = "unlimited"

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

func bigNumber(n *big.Int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: n.String()}
}

// shard returns where in the index a restaurant with a bot is listed.
func shard(restaurantID string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(restaurantID)) // never fails
	return fmt.Sprint(hash.Sum32() % fullnessShards)
}

// listing returns the attributes that list a month in the index: none where the plan is unlimited, and all but listedIn
// where the restaurant isn't active.
func (st standing) listing(period string) item {
	it := make(item)
	step, place := big.NewInt(1), defaultShard
	if st.bot != nil {
		quota := st.quota(usage.Unlimited)
		if quota.IsUnlimited() {
			return it
		}
		it[attrPlanLimit] = number(quota.Limit)
		step.Quo(fullnessScale, big.NewInt(max(1, quota.EffectiveLimit())))
		place = shard(st.id)
	}
	it[attrStep] = bigNumber(step)
	it[attrFullness] = bigNumber(step.Mul(step, big.NewInt(st.month.Conversations)))
	if st.restaurant.Active {
		it[attrListedIn] = text(period + "/" + place)
	}
	return it
}

// listed is the change of the month's item that sets the attributes of listing and removes what isn't among them.
func (st standing) listed(period string) expression {
	e := expression{names: make(map[string]string), values: make(item)}
	listing := st.listing(period)
	for _, attribute := range []string{attrListedIn, attrFullness, attrStep, attrPlanLimit} {
		e.names["#"+attribute] = attribute
		if value, ok := listing[attribute]; ok {
			e.set = joined(e.set, ", ", "#"+attribute+" = :"+attribute)
			e.values[":"+attribute] = value
		} else {
			e.remove = joined(e.remove, ", ", "#"+attribute)
		}
	}
	return e
}

// isListed reports whether the month's item has the attributes already.
func (st standing) isListed(period string) bool {
	listing := st.listing(period)
	for _, attribute := range []string{attrListedIn, attrFullness, attrStep, attrPlanLimit} {
		if scalar(st.item[attribute]) != scalar(listing[attribute]) {
			return false
		}
	}
	return true
}

// scalar returns a text or a number as it is stored, and "" for anything else.
func scalar(value types.AttributeValue) string {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	}
	return ""
}

// fuller is the part of counting a conversation that keeps the index up to date.
func fuller() expression {
	return expression{
		set:    "#fullness = if_not_exists(#fullness, :zero) + if_not_exists(#step, :zero)",
		names:  map[string]string{"#fullness": attrFullness, "#step": attrStep},
		values: item{":zero": number(0)},
	}
}

// restate brings the index up to date about a restaurant's month, and returns how the restaurant stands. A month without
// an item has nothing to be listed.
func (s *Store) restate(ctx context.Context, restaurantID, period string) (standing, error) {
	for range conflictAttempts {
		seen, _, err := s.standing(ctx, restaurantID, period, nil)
		if err != nil || seen.item == nil || seen.isListed(period) {
			return seen, err
		}
		items := append([]types.TransactWriteItem{
			update(s.tables.Usage, usageKey(restaurantID, period), seen.unchanged().and(seen.listed(period))),
		}, seen.checks(s.tables)...)
		err = s.transact(ctx, items, "")
		var condition *conditionError
		if !errors.As(err, &condition) {
			return seen, err
		}
		if err := s.wait(ctx, topUpDelay); err != nil {
			return standing{}, translate(err)
		}
	}
	return standing{}, fmt.Errorf("%w: others keep changing the month", outage.ErrUnavailable)
}

// restateLatest brings the index up to date about a restaurant, after a change that may concern the current month. Which
// one that is depends on a time zone, so it is done for the newest ones that there are.
func (s *Store) restateLatest(ctx context.Context, restaurantID string) error {
	consistent, backwards, limit := true, false, int32(listedMonths)
	output, err := s.client.Query(ctx, &dynamodb.QueryInput{
		TableName: &s.tables.Usage, ConsistentRead: &consistent, ScanIndexForward: &backwards, Limit: &limit,
		// Of all periods, only months begin with a digit.
		KeyConditionExpression:   optional("#id = :id AND #period BETWEEN :first AND :last"),
		ProjectionExpression:     optional("#period"),
		ExpressionAttributeNames: map[string]string{"#id": attrRestaurantID, "#period": "period"},
		ExpressionAttributeValues: item{
			":id": text(restaurantID), ":first": text("0"), ":last": text("9999-99"),
		},
	})
	if err != nil {
		return fmt.Errorf("looking for the months of restaurant %s: %w", restaurantID, translate(err))
	}
	for _, it := range output.Items {
		r := reader{item: it}
		if _, err := s.restate(ctx, restaurantID, r.text("period")); err != nil {
			return fmt.Errorf("listing the month of restaurant %s: %w", restaurantID, err)
		}
	}
	return nil
}

// Reindex brings both indexes up to date about every restaurant, and returns how many there are. It is for data that was
// written before there were indexes, or imported beside them.
func (s *Store) Reindex(ctx context.Context) (int, error) {
	err := s.scan(ctx, s.tables.Bots, func(r *reader) error {
		id, limit := r.text(attrRestaurantID), r.item["maxMessagesPerDay"]
		if r.err != nil {
			return r.err
		}
		err := s.update(ctx, s.tables.Bots, restaurantKey(id), expression{
			set:       "#plan = :plan",
			condition: "#limit = :limit", // else it was written meanwhile, with its plan
			names:     map[string]string{"#plan": attrPlan, "#limit": "maxMessagesPerDay"},
			values:    item{":plan": text(planOf(r.number("maxMessagesPerDay"))), ":limit": limit},
		})
		if failedCondition(err, 0) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("indexing bots: %w", err)
	}
	restaurants := 0
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(reindexWriters)
	scanErr := s.scan(working, s.tables.Restaurants, func(r *reader) error {
		restaurants++
		id := r.text(attrRestaurantID)
		group.Go(func() error { return s.restateLatest(working, id) })
		return r.err
	})
	if err := group.Wait(); err != nil { // for which the scan ends too
		return 0, err
	}
	return restaurants, scanErr
}

func planOf(dailyLimit int64) string {
	if dailyLimit < 0 {
		return planUnlimited
	}
	return planLimited
}

// Fullest implements usage.Ranking: in one round trip while what it finds fits into 1 MB for each of the index's parts, some
// 30,000 restaurants in all, and for a share of 0 in two more, for all active restaurants are among them then. The index
// follows a change within a second.
func (s *Store) Fullest(ctx context.Context, month usage.Month, share usage.Share, defaultLimit int64) ([]usage.Filled, error) {
	found := make(map[string]usage.Quota)
	results := make([][]usage.Filled, fullnessShards+1)
	group, queryCtx := errgroup.WithContext(ctx)
	for i := range fullnessShards {
		group.Go(func() (err error) {
			results[i], err = s.listedFrom(queryCtx, fmt.Sprintf("%s/%d", month, i), leastFullness(share), usage.Unlimited)
			return err
		})
	}
	if defaultLimit >= 0 {
		group.Go(func() (err error) {
			place := month.String() + "/" + defaultShard
			results[fullnessShards], err = s.listedFrom(queryCtx, place, leastDefault(share, defaultLimit), defaultLimit)
			return err
		})
	}
	var idle []string
	if share <= 0 {
		group.Go(func() (err error) {
			idle, err = s.limitedRestaurants(queryCtx, defaultLimit)
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
func (s *Store) listedFrom(ctx context.Context, place string, least *big.Int, defaultLimit int64) ([]usage.Filled, error) {
	pages := dynamodb.NewQueryPaginator(s.client, &dynamodb.QueryInput{
		TableName: &s.tables.Usage, IndexName: optional(fullnessIndex),
		KeyConditionExpression:    optional("#place = :place AND #fullness >= :least"),
		ExpressionAttributeNames:  map[string]string{"#place": attrListedIn, "#fullness": attrFullness},
		ExpressionAttributeValues: item{":place": text(place), ":least": bigNumber(least)},
	})
	var all []usage.Filled
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, translate(err)
		}
		for _, it := range page.Items {
			r := reader{item: it}
			quota := usage.NewQuota(defaultLimit, r.number(attrConversations), r.number(attrToppedUp))
			if _, ok := it[attrPlanLimit]; ok {
				quota.Limit = r.number(attrPlanLimit)
			}
			all = append(all, usage.Filled{RestaurantID: r.text(attrRestaurantID), Quota: quota})
			if r.err != nil {
				return nil, fmt.Errorf("index %s: %w", fullnessIndex, r.err)
			}
		}
	}
	return all, nil
}

// limitedRestaurants returns the active restaurants whose plan has a limit.
func (s *Store) limitedRestaurants(ctx context.Context, defaultLimit int64) ([]string, error) {
	// Whichever of the two plans tells more than whether there is a bot.
	plan, listed := planUnlimited, false
	if defaultLimit < 0 {
		plan, listed = planLimited, true
	}
	var entries []entry
	onPlan := make(map[string]bool)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		d, err := s.directory(ctx)
		if err != nil {
			return err
		}
		var pages []int
		for page := range d.all {
			if d.active[page] > 0 {
				pages = append(pages, page)
			}
		}
		if len(pages) > 0 {
			entries, err = d.entries(ctx, pages, usage.ActiveOnly)
		}
		return err
	})
	group.Go(func() error {
		pages := dynamodb.NewQueryPaginator(s.client, &dynamodb.QueryInput{
			TableName: &s.tables.Bots, IndexName: optional(planIndex),
			KeyConditionExpression:    optional("#plan = :plan"),
			ExpressionAttributeNames:  map[string]string{"#plan": attrPlan},
			ExpressionAttributeValues: item{":plan": text(plan)},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return translate(err)
			}
			for _, it := range page.Items {
				r := reader{item: it}
				onPlan[r.text(attrRestaurantID)] = true
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if onPlan[e.id] == listed {
			ids = append(ids, e.id)
		}
	}
	return ids, nil
}

// Records implements usage.Ranking in one round trip.
func (s *Store) Records(ctx context.Context, restaurantIDs []string, month usage.Month) ([]usage.Record, error) {
	if len(restaurantIDs) == 0 {
		return nil, nil
	}
	return s.records(ctx, restaurantIDs, []usage.Month{month})
}
