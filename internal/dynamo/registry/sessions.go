package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Sessions implements usage.Journal in two round trips. The index by opening knows which ones they are, some moments late;
// the sessions themselves are as they are now.
func (g *Registry) Sessions(ctx context.Context, restaurantID string, most int) ([]usage.Session, error) {
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
		return nil, fmt.Errorf("finding the sessions of restaurant %s: %w", restaurantID, err)
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
			fault = fmt.Errorf("session of restaurant %s: %w", restaurantID, r.Err)
		}
	})
	if err == nil {
		err = fault
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(sessions, usage.NewestFirst)
	return sessions, nil
}
