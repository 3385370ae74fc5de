package dynamo

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// standing is all that a restaurant's quota of one month depends on, as it was read at one moment. Whoever writes
// something that follows from it makes the write conditional on it, and starts again where it has changed.
type standing struct {
	id         string
	restaurant restaurant.Restaurant // its ID is empty where there is none
	bot        *restaurant.Bot       // nil where there is none
	month      usage.MonthCount
	item       item // the month's, nil where there is none
}

// standing reads, in one round trip, how a restaurant stands in a period, which is a month's, and one more item of the
// usage table, nil where there is none.
func (s *Store) standing(ctx context.Context, restaurantID, period string, other item) (seen standing, found item, err error) {
	keys := []tableKey{
		{s.tables.Restaurants, restaurantKey(restaurantID)}, {s.tables.Bots, restaurantKey(restaurantID)},
		{s.tables.Usage, usageKey(restaurantID, period)},
	}
	if other != nil {
		keys = append(keys, tableKey{s.tables.Usage, other})
	}
	seen.id = restaurantID
	record := usage.Record{Months: make(map[usage.Month]usage.MonthCount)}
	var fault error
	err = s.getAll(ctx, keys, func(table string, it item) {
		r := reader{item: it}
		switch {
		case table == s.tables.Restaurants:
			seen.restaurant = readRestaurant(&r)
		case table == s.tables.Bots:
			bot := readBot(&r)
			seen.bot = &bot
		case r.text("period") == period:
			seen.item = it
			readUsage(&r, &record)
		default:
			found = it
		}
		if r.err != nil {
			fault = fmt.Errorf("table %s, restaurant %s: %w", table, restaurantID, r.err)
		}
	})
	for _, count := range record.Months {
		seen.month = count
	}
	if err == nil {
		err = fault
	}
	return seen, found, err
}

// quota returns the month's quota. Where the restaurant has no bot, its limit is defaultLimit.
func (st standing) quota(defaultLimit int64) usage.Quota {
	limit := defaultLimit
	if st.bot != nil {
		limit = st.bot.Limits.ConversationsPerDay
	}
	return usage.NewQuota(limit, st.month.Conversations, st.month.ToppedUp)
}

// unchanged is the condition that the month is as it was read.
func (st standing) unchanged() expression {
	names := map[string]string{"#period": "period", "#conversations": attrConversations, "#adjusted": attrToppedUp}
	if st.item == nil {
		return expression{condition: "attribute_not_exists(#period)", names: map[string]string{"#period": "period"}}
	}
	e := expression{condition: "attribute_exists(#period)", names: names, values: item{}}
	for name, attribute := range map[string]string{"#conversations": attrConversations, "#adjusted": attrToppedUp} {
		if value, ok := st.item[attribute]; ok {
			e.condition += fmt.Sprintf(" AND %s = :%s", name, name[1:])
			e.values[":"+name[1:]] = value
		} else {
			e.condition += fmt.Sprintf(" AND attribute_not_exists(%s)", name)
		}
	}
	return e
}

// adjusted is the change of the month's item that sets what was added to its allowance, and what follows from it.
func (st standing) adjusted(period string, by int64) expression {
	e := st.unchanged().and(expression{
		set:    "#adjusted = :by",
		names:  map[string]string{"#adjusted": attrToppedUp},
		values: item{":by": number(by)},
	})
	st.month.ToppedUp = by
	return e.and(st.listed(period))
}

// checks are the conditions, to go into one transaction, that the restaurant and its bot are as they were read.
func (st standing) checks(tables Tables) []types.TransactWriteItem {
	active := types.ConditionCheck{TableName: &tables.Restaurants, Key: restaurantKey(st.id)}
	if st.restaurant.ID == "" {
		active.ConditionExpression = optional("attribute_not_exists(#id)")
		active.ExpressionAttributeNames = map[string]string{"#id": attrRestaurantID}
	} else {
		active.ConditionExpression = optional("#active = :active")
		active.ExpressionAttributeNames = map[string]string{"#active": "active"}
		active.ExpressionAttributeValues = item{":active": flag(st.restaurant.Active)}
	}
	limit := types.ConditionCheck{TableName: &tables.Bots, Key: restaurantKey(st.id)}
	if st.bot == nil {
		limit.ConditionExpression = optional("attribute_not_exists(#id)")
		limit.ExpressionAttributeNames = map[string]string{"#id": attrRestaurantID}
	} else {
		limit.ConditionExpression = optional("#limit = :limit")
		limit.ExpressionAttributeNames = map[string]string{"#limit": "maxMessagesPerDay"}
		limit.ExpressionAttributeValues = item{":limit": number(st.bot.Limits.ConversationsPerDay)}
	}
	return []types.TransactWriteItem{{ConditionCheck: &active}, {ConditionCheck: &limit}}
}
