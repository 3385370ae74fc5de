package ranking

import (
	"context"
	"fmt"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Standing holds all data that decide a restaurant's quota of a month, as read at one moment, and its place in the ranking. A
// top-up is written only if this data hasn't changed; otherwise the top-up starts again.
type Standing struct {
	id         string
	period     string
	Restaurant restaurant.Restaurant // its ID is empty if it doesn't exist
	Bot        *restaurant.Bot       // nil if there is none
	Month      usage.MonthCount
	Item       table.Item // the month's item, nil if there is none

	at place
}

// Standing reads a restaurant's Standing for a month, or for the board of plans, in one round trip. In the same round trip it
// reads the item of the usage table with the key other, unless other is nil.
func (r *Ranking) Standing(ctx context.Context, restaurantID, period string, other table.Item) (seen Standing, found table.Item, err error) {
	seen = Standing{id: restaurantID, period: period}
	keys := []table.Key{
		{Table: r.names.Restaurants, Key: schema.RestaurantKey(restaurantID)}, {Table: r.names.Bots, Key: schema.RestaurantKey(restaurantID)},
		{Table: r.names.Usage, Key: board(period).entryOf(restaurantID)},
	}
	if period != string(plans) {
		keys = append(keys, table.Key{Table: r.names.Usage, Key: schema.UsageKey(restaurantID, period)})
	}
	if other != nil {
		keys = append(keys, table.Key{Table: r.names.Usage, Key: other})
	}
	record := usage.Record{Months: make(map[usage.Month]usage.MonthCount)}
	var fault error
	err = r.db.GetAll(ctx, keys, func(name string, it table.Item) {
		in := table.Reader{Item: it}
		switch {
		case name == r.names.Restaurants:
			seen.Restaurant = schema.ReadRestaurant(&in)
		case name == r.names.Bots:
			bot := schema.ReadBot(&in)
			seen.Bot = &bot
		case in.Text(schema.AttrRestaurantID) != restaurantID:
			seen.at = place(in.Text(attrPlace))
		case in.Text("period") == period:
			seen.Item = it
			schema.ReadUsage(&in, &record)
		default:
			found = it
		}
		if in.Err != nil {
			fault = fmt.Errorf("table %s, restaurant %s: %w", name, restaurantID, in.Err)
		}
	})
	for _, count := range record.Months {
		seen.Month = count
	}
	if err == nil {
		err = fault
	}
	return seen, found, err
}

// Quota returns the month's quota. A restaurant without a bot has the limit defaultLimit.
func (st Standing) Quota(defaultLimit int64) usage.Quota {
	limit := defaultLimit
	if st.Bot != nil {
		limit = st.Bot.Limits.ConversationsPerDay
	}
	return usage.NewQuota(limit, st.Month.Conversations, st.Month.ToppedUp)
}

// place returns the restaurant's right place on the board.
func (st Standing) place() place {
	quota := st.Quota(usage.Unlimited)
	switch {
	case !st.Restaurant.Active, st.Bot != nil && quota.IsUnlimited():
		return ""
	case st.period == string(plans) && st.Bot != nil:
		return placeLimited
	case st.period == string(plans):
		return classDefault
	case quota.Used == 0:
		return ""
	case st.Bot == nil:
		return defaultPlace(quota.Used, quota.ToppedUp)
	}
	return percentPlace(quota.WholePercent(mostPercent))
}

// Misplaced reports whether the restaurant is at another place than its right one.
func (st Standing) Misplaced() bool { return st.at != st.place() }

// unchanged is the condition that the month's item hasn't changed since it was read.
func (st Standing) unchanged() table.Expression {
	names := map[string]string{"#period": "period", "#conversations": schema.AttrConversations, "#adjusted": schema.AttrToppedUp}
	if st.Item == nil {
		return table.Expression{Condition: "attribute_not_exists(#period)", Names: map[string]string{"#period": "period"}}
	}
	e := table.Expression{Condition: "attribute_exists(#period)", Names: names, Values: table.Item{}}
	for name, attribute := range map[string]string{"#conversations": schema.AttrConversations, "#adjusted": schema.AttrToppedUp} {
		if value, ok := st.Item[attribute]; ok {
			e.Condition += fmt.Sprintf(" AND %s = :%s", name, name[1:])
			e.Values[":"+name[1:]] = value
		} else {
			e.Condition += fmt.Sprintf(" AND attribute_not_exists(%s)", name)
		}
	}
	return e
}

// Adjusted is the change of the month's item that sets the sum of the top-ups.
func (st Standing) Adjusted(by int64) table.Expression {
	return st.unchanged().And(table.Expression{
		Set:    "#adjusted = :by",
		Names:  map[string]string{"#adjusted": schema.AttrToppedUp},
		Values: table.Item{":by": table.Number(by)},
	})
}

// Checks returns the conditions that the restaurant and its bot haven't changed since they were read, as parts of a
// transaction.
func (st Standing) Checks(tables schema.Tables) []table.Write {
	active := table.Expression{Condition: "attribute_not_exists(#id)", Names: map[string]string{"#id": schema.AttrRestaurantID}}
	limit := active
	if st.Restaurant.ID != "" {
		active = table.Expression{
			Condition: "#active = :active", Names: map[string]string{"#active": schema.AttrActive},
			Values: table.Item{":active": table.Flag(st.Restaurant.Active)},
		}
	}
	if st.Bot != nil {
		limit = table.Expression{
			Condition: "#limit = :limit", Names: map[string]string{"#limit": schema.AttrDailyLimit},
			Values: table.Item{":limit": table.Number(st.Bot.Limits.ConversationsPerDay)},
		}
	}
	key := schema.RestaurantKey(st.id)
	return []table.Write{table.Check(tables.Restaurants, key, active), table.Check(tables.Bots, key, limit)}
}
