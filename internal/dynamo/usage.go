package dynamo

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// The usage table holds, for each restaurant, one item for each month with its conversations, and one item of the
// period activityPeriod with what every message changes. They are apart because a conversation is counted in a
// transaction, and messages must not conflict with it.
const activityPeriod = "activity"

// Attributes of the usage table. Conversations and messages by day are attributes of their own ("d07", "m07") rather
// than entries of a map, because ADD creates an attribute that is missing.
const (
	attrConversations    = "conversations"
	attrLastConversation = "lastConversationAt"
	attrFirstActivity    = "firstActivity"
	attrLastActivity     = "lastActivity"
	attrToppedUp         = "adjustedBy" // of a month: what top-ups added to its allowance
	dayPrefix            = "d"
)

func dayAttribute(prefix string, day int) string { return fmt.Sprintf("%s%02d", prefix, day) }

func setDays(it item, prefix string, days map[int]int64) {
	for day, n := range days {
		it[dayAttribute(prefix, day)] = number(n)
	}
}

// Usage implements usage.Registry in one round trip.
func (s *Store) Usage(ctx context.Context, restaurantID string, months []usage.Month) (usage.Record, error) {
	records, err := s.records(ctx, []string{restaurantID}, months)
	if err != nil {
		return usage.Record{}, err
	}
	if len(records) == 0 {
		return usage.Record{}, restaurant.ErrNotFound
	}
	return records[0], nil
}

// records returns the records of those restaurants that exist, in the order of the ids, in one round trip.
func (s *Store) records(ctx context.Context, ids []string, months []usage.Month) ([]usage.Record, error) {
	keys := make([]tableKey, 0, len(ids)*(3+len(months)))
	for _, id := range ids {
		keys = append(keys,
			tableKey{s.tables.Restaurants, restaurantKey(id)},
			tableKey{s.tables.Bots, restaurantKey(id)},
			tableKey{s.tables.Usage, usageKey(id, activityPeriod)})
		for _, month := range months {
			keys = append(keys, tableKey{s.tables.Usage, usageKey(id, month.String())})
		}
	}
	found := make(map[string]*usage.Record, len(ids))
	for _, id := range ids {
		found[id] = &usage.Record{Months: make(map[usage.Month]usage.MonthCount)}
	}
	var fault error
	err := s.getAll(ctx, keys, func(table string, it item) {
		r := reader{item: it}
		record, ok := found[r.text(attrRestaurantID)]
		if !ok {
			return
		}
		switch table {
		case s.tables.Restaurants:
			record.Restaurant = readRestaurant(&r)
		case s.tables.Bots:
			bot := readBot(&r)
			record.Bot = &bot
		case s.tables.Usage:
			readUsage(&r, record)
		}
		if r.err != nil {
			fault = fmt.Errorf("table %s, restaurant %s: %w", table, r.text(attrRestaurantID), r.err)
		}
	})
	if err == nil {
		err = fault
	}
	if err != nil {
		return nil, err
	}
	records := make([]usage.Record, 0, len(ids))
	for _, id := range ids {
		if record := found[id]; record.Restaurant.ID != "" {
			records = append(records, *record)
		}
	}
	return records, nil
}

func usageKey(restaurantID, period string) item {
	return item{attrRestaurantID: text(restaurantID), "period": text(period)}
}

func readUsage(r *reader, record *usage.Record) {
	period := r.text("period")
	if period == activityPeriod {
		record.Activity = readActivity(r)
		record.Activity.Sessions = readSlots(r, record.Activity.Last)
		if month := r.text(attrTallyMonth); month != "" {
			var err error
			if record.Activity.Messages.Month, err = usage.ParseMonth(month); err != nil {
				r.err = err
			}
			record.Activity.Messages.Days = readDays(r, tallyPrefix)
		}
		return
	}
	month, err := usage.ParseMonth(period)
	if err != nil {
		r.err = err
		return
	}
	record.Months[month] = readMonth(r)
}

// readActivity reads the times of an activity, without its tally.
func readActivity(r *reader) usage.Activity {
	return usage.Activity{
		First:            r.instant(attrFirstActivity),
		Last:             r.instant(attrLastActivity),
		LastConversation: r.instant(attrLastConversation),
	}
}

func readMonth(r *reader) usage.MonthCount {
	return usage.MonthCount{
		Conversations:    r.number(attrConversations),
		LastConversation: r.instant(attrLastConversation),
		Days:             readDays(r, dayPrefix),
		ToppedUp:         r.number(attrToppedUp),
	}
}

// readDays returns the numbers of the attributes that dayAttribute names.
func readDays(r *reader, prefix string) map[int]int64 {
	days := make(map[int]int64)
	for name := range r.item {
		if day, ok := strings.CutPrefix(name, prefix); ok && len(day) == len("01") {
			if d, err := strconv.Atoi(day); err == nil {
				days[d] = r.number(name)
			}
		}
	}
	return days
}

// PutUsage writes a restaurant's activity and months over what is there: for importing what was counted elsewhere.
func (s *Store) PutUsage(ctx context.Context, restaurantID string, activity usage.Activity, months map[usage.Month]usage.MonthCount) error {
	it := usageKey(restaurantID, activityPeriod)
	setInstant(it, attrFirstActivity, activity.First)
	setInstant(it, attrLastActivity, activity.Last)
	setInstant(it, attrLastConversation, activity.LastConversation)
	if tally := activity.Messages; tally.Days != nil {
		it[attrTallyMonth] = text(tally.Month.String())
		setDays(it, tallyPrefix, tally.Days)
	}
	for slot, n := range activity.Sessions {
		it[slotAttribute(slot)] = number(n)
	}
	items := []item{it}
	for month, count := range months {
		it := usageKey(restaurantID, month.String())
		it[attrConversations] = number(count.Conversations)
		setInstant(it, attrLastConversation, count.LastConversation)
		setDays(it, dayPrefix, count.Days)
		if count.ToppedUp != 0 {
			it[attrToppedUp] = number(count.ToppedUp)
		}
		items = append(items, it)
	}
	if err := s.putAll(ctx, s.tables.Usage, items); err != nil {
		return fmt.Errorf("writing usage of restaurant %s: %w", restaurantID, err)
	}
	return s.restateLatest(ctx, restaurantID)
}

// get reads one item, strongly consistent; nil where there is none.
func (s *Store) get(ctx context.Context, table string, key item) (item, error) {
	consistent := true
	output, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: &consistent})
	if err != nil {
		return nil, translate(err)
	}
	return output.Item, nil
}
