package registry

import (
	"context"
	"fmt"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/directory"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/search"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Usage implements usage.Registry in one round trip.
func (g *Registry) Usage(ctx context.Context, restaurantID string, months []usage.Month) (usage.Record, error) {
	records, err := g.records(ctx, []string{restaurantID}, months)
	if err != nil {
		return usage.Record{}, err
	}
	if len(records) == 0 {
		return usage.Record{}, restaurant.ErrNotFound
	}
	return records[0], nil
}

// records returns the records of the restaurants that exist, in the order of the ids, in one round trip.
func (g *Registry) records(ctx context.Context, ids []string, months []usage.Month) ([]usage.Record, error) {
	keys := make([]table.Key, 0, len(ids)*(3+len(months)))
	for _, id := range ids {
		keys = append(keys,
			table.Key{Table: g.names.Restaurants, Key: schema.RestaurantKey(id)},
			table.Key{Table: g.names.Bots, Key: schema.RestaurantKey(id)},
			table.Key{Table: g.names.Usage, Key: schema.UsageKey(id, schema.ActivityPeriod)})
		for _, month := range months {
			keys = append(keys, table.Key{Table: g.names.Usage, Key: schema.UsageKey(id, month.String())})
		}
	}
	found := make(map[string]*usage.Record, len(ids))
	for _, id := range ids {
		found[id] = &usage.Record{Months: make(map[usage.Month]usage.MonthCount)}
	}
	var fault error
	err := g.db.GetAll(ctx, keys, func(name string, it table.Item) {
		r := table.Reader{Item: it}
		record, ok := found[r.Text(schema.AttrRestaurantID)]
		if !ok {
			return
		}
		switch name {
		case g.names.Restaurants:
			record.Restaurant = schema.ReadRestaurant(&r)
		case g.names.Bots:
			bot := schema.ReadBot(&r)
			record.Bot = &bot
		case g.names.Usage:
			schema.ReadUsage(&r, record)
		}
		if r.Err != nil {
			fault = fmt.Errorf("table %s, restaurant %s: %w", name, r.Text(schema.AttrRestaurantID), r.Err)
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

// Records implements usage.Ranking in one round trip.
func (g *Registry) Records(ctx context.Context, restaurantIDs []string, month usage.Month) ([]usage.Record, error) {
	if len(restaurantIDs) == 0 {
		return nil, nil
	}
	return g.records(ctx, restaurantIDs, []usage.Month{month})
}

// Directory implements usage.Registry in one round trip.
func (g *Registry) Directory(ctx context.Context) (usage.Directory, error) {
	snapshot, err := g.directory.Read(ctx)
	if err != nil {
		return nil, err
	}
	return listed{snapshot, g}, nil
}

// Search implements usage.Registry in one round trip. The index may be some moments old.
func (g *Registry) Search(ctx context.Context, q search.Query, filter usage.Filter, start usage.Start, limit int) (usage.Found, error) {
	return g.directory.Search(ctx, q, filter, start, limit)
}

// listed implements usage.Directory.
type listed struct {
	*directory.Snapshot
	registry *Registry
}

// Page implements usage.Directory in two round trips: one for the pages with the restaurants, one for their records.
func (l listed) Page(ctx context.Context, filter usage.Filter, offset, limit int, month usage.Month) ([]usage.Record, error) {
	ids, err := l.IDs(ctx, filter, offset, limit)
	if err != nil {
		return nil, err
	}
	return l.registry.Records(ctx, ids, month)
}

// After implements usage.Directory in two round trips, as Page does.
func (l listed) After(ctx context.Context, filter usage.Filter, place usage.Place, limit int, month usage.Month) (usage.Stretch, error) {
	found, err := l.Snapshot.After(ctx, filter, place, limit)
	if err != nil {
		return usage.Stretch{}, err
	}
	records, err := l.registry.Records(ctx, found.IDs, month)
	return usage.Stretch{Records: records, Offset: found.Offset, Next: found.Next}, err
}

// RestaurantOfBot implements usage.Registry in one round trip.
func (g *Registry) RestaurantOfBot(ctx context.Context, botID string) (string, error) {
	return g.directory.OfBot(ctx, botID)
}

// PutUsage overwrites a restaurant's activity and months, for importing another system's counts.
func (g *Registry) PutUsage(ctx context.Context, restaurantID string, activity usage.Activity, months map[usage.Month]usage.MonthCount) error {
	it := schema.UsageKey(restaurantID, schema.ActivityPeriod)
	table.SetInstant(it, schema.AttrFirstActivity, activity.First)
	table.SetInstant(it, schema.AttrLastActivity, activity.Last)
	table.SetInstant(it, schema.AttrLastConversation, activity.LastConversation)
	if tally := activity.Messages; tally.Days != nil {
		it[schema.AttrTallyMonth] = table.Text(tally.Month.String())
		schema.SetDays(it, schema.TallyPrefix, tally.Days)
	}
	for slot, n := range activity.Sessions {
		it[schema.SlotAttribute(slot)] = table.Number(n)
	}
	items := []table.Item{it}
	for month, count := range months {
		it := schema.UsageKey(restaurantID, month.String())
		it[schema.AttrConversations] = table.Number(count.Conversations)
		table.SetInstant(it, schema.AttrLastConversation, count.LastConversation)
		schema.SetDays(it, schema.DayPrefix, count.Days)
		if count.ToppedUp != 0 {
			it[schema.AttrToppedUp] = table.Number(count.ToppedUp)
		}
		items = append(items, it)
	}
	if err := g.db.PutAll(ctx, g.names.Usage, items); err != nil {
		return fmt.Errorf("writing usage of restaurant %s: %w", restaurantID, err)
	}
	return g.ranking.RestateLatest(ctx, restaurantID)
}
