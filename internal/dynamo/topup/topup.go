// Package topup stores the top-ups of restaurants' allowances.
package topup

import (
	"context"
	"errors"
	"fmt"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/ranking"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Top-ups are items of the usage table, next to the months, in order of their creation. Each idempotency key has an item too,
// with the request and its result.
//
//	2026-11                                           adjustedBy: 1500
//	adjustment/2026-11/2026-11-23T12:00:00.000Z/adj_…  amount: 1000, …
//	renewal/<SHA-256 of the key>                       amount, reason; the resulting used, limit, toppedUp
const (
	attrAmount    = "amount"
	attrReason    = "reason"
	attrUsed      = "used"
	attrLimit     = "limit"
	attrCreatedAt = "createdAt"
)

// Store stores top-ups. It is safe for concurrent use.
type Store struct {
	db      *table.DB
	names   schema.Tables
	ranking *ranking.Ranking
}

// New returns a Store over the tables.
func New(db *table.DB, names schema.Tables) *Store {
	return &Store{db: db, names: names, ranking: ranking.New(db, names)}
}

func topUpPrefix(month usage.Month) string { return "adjustment/" + month.String() + "/" }

func topUpItem(restaurantID string, month usage.Month, a usage.TopUp) table.Item {
	it := schema.UsageKey(restaurantID, topUpPrefix(month)+a.CreatedAt.UTC().Format(table.TimeLayout)+"/"+a.ID)
	it["id"] = table.Text(a.ID)
	it[attrAmount] = table.Number(a.Amount)
	it["type"] = table.Text(a.Type)
	it[attrReason] = table.Text(a.Reason)
	it[attrCreatedAt] = table.Instant(a.CreatedAt)
	it["createdBy"] = table.Text(a.CreatedBy)
	return it
}

// AddTopUp implements usage.TopUpStore. It takes two round trips if nobody else changes the month meanwhile, and one or two
// more for the restaurant's place in the ranking.
func (t *Store) AddTopUp(
	ctx context.Context, restaurantID string, month usage.Month, a usage.TopUp, repeatKey string, defaultLimit int64,
) (usage.ToppedUp, error) {
	for range table.ConflictAttempts {
		done, err := t.addTopUp(ctx, restaurantID, month, a, repeatKey, defaultLimit)
		var condition *table.ConditionError
		if !errors.As(err, &condition) {
			return done, err
		}
		if err := t.db.Wait(ctx, ranking.Delay); err != nil {
			return usage.ToppedUp{}, err
		}
	}
	return usage.ToppedUp{}, fmt.Errorf("%w: others keep changing the month's allowance", outage.ErrUnavailable)
}

// addTopUp writes the top-up, under the condition that all data that it was computed from is unchanged.
func (t *Store) addTopUp(
	ctx context.Context, restaurantID string, month usage.Month, a usage.TopUp, repeatKey string, defaultLimit int64,
) (usage.ToppedUp, error) {
	var repeat table.Item
	if repeatKey != "" {
		repeat = schema.UsageKey(restaurantID, "renewal/"+repeatKey)
	}
	seen, first, err := t.ranking.Standing(ctx, restaurantID, month.String(), repeat)
	switch {
	case err != nil:
		return usage.ToppedUp{}, err
	case first != nil:
		return repeated(first, a)
	case seen.Restaurant.ID == "":
		return usage.ToppedUp{}, restaurant.ErrNotFound
	}
	before := seen.Quota(defaultLimit)
	quota, err := before.Add(a.Amount)
	if err != nil {
		return usage.ToppedUp{}, err
	}
	items := append([]table.Write{
		table.Update(t.names.Usage, schema.UsageKey(restaurantID, month.String()),
			seen.Adjusted(quota.ToppedUp).And(tellAgain(seen.Item, before, quota))),
		table.Put(t.names.Usage, topUpItem(restaurantID, month, a), table.Expression{}),
	}, seen.Checks(t.names)...)
	if repeat != nil {
		repeat[attrAmount], repeat[attrReason], repeat[attrCreatedAt] = table.Number(a.Amount), table.Text(a.Reason), table.Instant(a.CreatedAt)
		repeat[attrUsed], repeat[attrLimit], repeat[schema.AttrToppedUp] = table.Number(quota.Used), table.Number(quota.Limit), table.Number(quota.ToppedUp)
		items = append(items, table.Put(t.names.Usage, repeat, table.Expression{
			Condition: "attribute_not_exists(#period)",
			Names:     map[string]string{"#period": "period"},
		}))
	}
	if err := t.db.Transact(ctx, items, ""); err != nil {
		return usage.ToppedUp{}, err
	}
	// A failure to set the restaurant's place must not fail the call: the top-up is made, and a caller who repeats it would
	// add it twice. The restaurant's next opening or top-up corrects the place.
	placing, cancel := context.WithTimeout(ctx, ranking.PlaceTime)
	defer cancel()
	_ = t.ranking.Restate(placing, restaurantID, month.String())
	return usage.ToppedUp{Quota: quota}, nil
}

// tellAgain is the part of a top-up that lets thresholds be reported again if the top-up takes the used share below them. A
// delivery that is reporting such a threshold loses its lease, and so can't note it as reported. tellAgain changes nothing if
// the same thresholds stay reached.
func tellAgain(month table.Item, before, after usage.Quota) table.Expression {
	reached := after.Threshold()
	if month == nil || reached >= before.Threshold() {
		return table.Expression{}
	}
	e := table.Expression{
		Remove: "#lease, #until",
		Names:  map[string]string{"#lease": schema.AttrAlertLease, "#until": schema.AttrAlertUntil},
		Values: table.Item{},
	}
	for name, attribute := range map[string]string{"noted": schema.AttrAlertsNoted, "sent": schema.AttrAlertsSent} {
		e.Names["#"+name] = attribute
		told, ok := month[attribute]
		if !ok {
			e.Condition = table.Joined(e.Condition, " AND ", "attribute_not_exists(#"+name+")")
			continue
		}
		e.Condition = table.Joined(e.Condition, " AND ", "#"+name+" = :"+name)
		e.Values[":"+name] = told
		if in := (table.Reader{Item: month}); in.Number(attribute) > reached {
			e.Set = table.Joined(e.Set, ", ", "#"+name+" = :reached")
			e.Values[":reached"] = table.Number(reached)
		}
	}
	return e
}

// repeated returns the result of the key's first top-up, if a asks for the same. Otherwise it fails.
func repeated(first table.Item, a usage.TopUp) (usage.ToppedUp, error) {
	r := table.Reader{Item: first}
	amount, reason := r.Number(attrAmount), r.Text(attrReason)
	quota := usage.Quota{Used: r.Number(attrUsed), Limit: r.Number(attrLimit), ToppedUp: r.Number(schema.AttrToppedUp)}
	if r.Err != nil {
		return usage.ToppedUp{}, fmt.Errorf("an earlier top-up: %w", r.Err)
	}
	if amount != a.Amount || reason != a.Reason {
		return usage.ToppedUp{}, usage.ErrKeyReused
	}
	return usage.ToppedUp{Quota: quota, Repeat: true}, nil
}

// TopUps implements usage.Journal in one round trip.
func (t *Store) TopUps(ctx context.Context, restaurantID string, month usage.Month, most int) ([]usage.TopUp, error) {
	topUps := make([]usage.TopUp, 0, most)
	err := t.db.Query(ctx, table.Query{
		Table: t.names.Usage, Backwards: true, Limit: int32(most),
		Key: table.Expression{
			Condition: "#id = :id AND begins_with(#period, :prefix)",
			Names:     map[string]string{"#id": schema.AttrRestaurantID, "#period": "period"},
			Values:    table.Item{":id": table.Text(restaurantID), ":prefix": table.Text(topUpPrefix(month))},
		},
	}, func(r *table.Reader) error {
		topUps = append(topUps, usage.TopUp{
			ID: r.Text("id"), Amount: r.Number(attrAmount), Type: r.Text("type"), Reason: r.Text(attrReason),
			CreatedAt: r.Instant(attrCreatedAt), CreatedBy: r.Text("createdBy"),
		})
		return r.Err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the top-ups of restaurant %s: %w", restaurantID, err)
	}
	return topUps, nil
}
