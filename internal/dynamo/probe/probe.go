// Package probe checks that tables answer. It uses the functions' own operations, because a function's role allows no others,
// and items that no table has. It doesn't import the packages that define the keys: a function would then link packages that
// it doesn't use.
package probe

import (
	"context"
	"errors"
	"fmt"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/health"
)

// nobody can't be a restaurant's id, because of its space.
const nobody = "health check"

// Reads checks all tables that have a name: the directory and the tokens by single reads, the others by batches.
func Reads(db *table.DB, names schema.Tables) (checks []health.Check) {
	for _, t := range []struct {
		name string
		key  table.Item
		one  bool
	}{
		{names.Directory, table.Item{"id": table.Text(nobody)}, true},
		{names.AccessTokens, table.Item{"tokenHash": table.Text(nobody)}, true},
		{names.Restaurants, schema.RestaurantKey(nobody), false},
		{names.Bots, schema.RestaurantKey(nobody), false},
		{names.Usage, schema.UsageKey(nobody, "none"), false},
		{names.Conversations, schema.EntryKey(nobody, "none"), false},
	} {
		if t.name == "" {
			continue
		}
		checks = append(checks, health.Check{Name: "table " + t.name, Run: func(ctx context.Context) error {
			if t.one {
				_, err := db.Get(ctx, t.name, t.key)
				return err
			}
			return db.GetAll(ctx, []table.Key{{Table: t.name, Key: t.key}}, func(string, table.Item) {})
		}})
	}
	return checks
}

// Writes checks that the conversations table accepts writes. It sends a write with a condition that never holds, which costs
// one write unit and changes nothing.
func Writes(db *table.DB, conversations string) health.Check {
	return health.Check{Name: "table " + conversations, Run: func(ctx context.Context) error {
		err := db.Put(ctx, conversations, schema.EntryKey(nobody, "none"), table.Expression{
			Condition: "attribute_exists(" + schema.AttrRestaurantID + ")",
		})
		if condition := (*table.ConditionError)(nil); errors.As(err, &condition) {
			return nil
		}
		if err == nil {
			return errors.New("the test write changed the table: its condition should have failed")
		}
		return err
	}}
}

// Indexes checks the indexes that searches and details read.
func Indexes(db *table.DB, names schema.Tables) (checks []health.Check) {
	for _, i := range []struct{ table, index, attribute string }{
		{names.Conversations, schema.OpeningIndex, schema.AttrRestaurantID},
		{names.Directory, schema.WordIndex, schema.AttrWordIn},
	} {
		checks = append(checks, health.Check{Name: fmt.Sprintf("index %s of table %s", i.index, i.table), Run: func(ctx context.Context) error {
			return db.Query(ctx, table.Query{Table: i.table, Index: i.index, Limit: 1, Key: table.Expression{
				Condition: "#attribute = :nobody", Names: map[string]string{"#attribute": i.attribute},
				Values: table.Item{":nobody": table.Text(nobody)},
			}}, func(*table.Reader) error { return nil })
		}})
	}
	return checks
}
