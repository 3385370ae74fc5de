package registry

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/task"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Sessions implements usage.Journal in two round trips. The first reads the ended sessions, and finds the customers with the
// latest sessions in the index by opening, which may be some moments old. The second reads these customers' sessions in their
// current state.
func (g *Registry) Sessions(ctx context.Context, restaurantID string, most int) ([]usage.Session, error) {
	ended := task.Start(func() ([]usage.Session, error) { return g.endedSessions(ctx, restaurantID, most) })
	sessions, err := g.latestSessions(ctx, restaurantID, most)
	others, endedErr := ended.Wait()
	if err = cmp.Or(err, endedErr); err != nil {
		return nil, fmt.Errorf("the sessions of restaurant %s: %w", restaurantID, err)
	}
	sessions = append(sessions, others...)
	slices.SortFunc(sessions, usage.NewestFirst)
	return sessions[:min(most, len(sessions))], nil
}

func (g *Registry) endedSessions(ctx context.Context, restaurantID string, most int) (sessions []usage.Session, err error) {
	err = g.db.Query(ctx, table.Query{
		Table: g.names.Conversations, Backwards: true, Limit: int32(most), Key: schema.Ended(restaurantID),
	}, func(r *table.Reader) error {
		sessions = append(sessions, schema.ReadSession(r))
		return r.Err
	})
	return sessions, err
}

// latestSessions returns the newest entries of the index: customers' latest sessions, and sessions that ended before December
// 2026.
func (g *Registry) latestSessions(ctx context.Context, restaurantID string, most int) ([]usage.Session, error) {
	var keys []table.Key
	err := g.db.Query(ctx, table.Query{
		Table: g.names.Conversations, Index: schema.OpeningIndex, Backwards: true, Limit: int32(most),
		Key: table.Expression{
			Condition: "#id = :id",
			Names:     map[string]string{"#id": schema.AttrRestaurantID},
			Values:    table.Item{":id": table.Text(restaurantID)},
		},
	}, func(r *table.Reader) error {
		keys = append(keys, table.Key{Table: g.names.Conversations, Key: schema.EntryKey(restaurantID, r.Text(schema.AttrEntry))})
		return r.Err
	})
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, nil
	}
	var sessions []usage.Session
	var fault error
	err = g.db.GetAll(ctx, keys, func(_ string, it table.Item) {
		r := table.Reader{Item: it}
		sessions = append(sessions, schema.ReadSession(&r))
		if r.Err != nil {
			fault = r.Err
		}
	})
	return sessions, cmp.Or(err, fault)
}
