package ranking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/task"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

const (
	// reindexWriters is how many restaurants get their places at the same time.
	reindexWriters = 16
	// movesTogether is the number of a leaf's restaurants in one transaction, which takes at most a hundred writes.
	movesTogether = 32
	// reindexPasses bounds the passes over the plans. A pass that moved restaurants is followed by another.
	reindexPasses = 5
)

// Before December 2026 an index over the months' items had these attributes. A stack that still has the index pays nothing
// for items without them.
var formerAttributes = []string{"listedIn", "fullness", "step", "planLimit"}

// Reindex moves every restaurant to its places on all boards, and returns the number of restaurants. It is for data that is
// older than the boards, or was imported past them. A stack in use may run it at any time.
func (r *Ranking) Reindex(ctx context.Context) (int, error) {
	restaurants, changed := 0, true
	for pass := 0; changed && pass < reindexPasses; pass++ { // until a pass finds nothing to change
		var err error
		if restaurants, changed, err = r.placeOnPlans(ctx); err != nil {
			return 0, fmt.Errorf("placing restaurants by plan: %w", err)
		}
	}
	group, working := task.WithContext(ctx)
	group.SetLimit(reindexWriters)
	restate := func(months []table.Item) {
		for _, month := range months[max(0, len(months)-listedMonths):] {
			group.Go(func() error { return r.restateFormer(working, month) })
		}
	}
	var months []table.Item // of one restaurant: a scan returns its items together, in the order of their periods
	err := r.db.Scan(working, r.names.Usage, func(in *table.Reader) error {
		if _, err := usage.ParseMonth(in.Text("period")); err != nil {
			return in.Err
		}
		if len(months) > 0 && !table.Same(months[0][schema.AttrRestaurantID], in.Item[schema.AttrRestaurantID]) {
			restate(months)
			months = nil
		}
		months = append(months, in.Item)
		return nil
	})
	restate(months)
	if groupErr := group.Wait(); groupErr != nil { // its first error also ended the scan
		err = groupErr
	}
	if err != nil {
		return 0, fmt.Errorf("placing restaurants by usage: %w", err)
	}
	return restaurants, nil
}

// restateFormer takes a month out of the former index and sets its restaurant's place.
func (r *Ranking) restateFormer(ctx context.Context, month table.Item) error {
	in := table.Reader{Item: month}
	id, period := in.Text(schema.AttrRestaurantID), in.Text("period")
	if slices.ContainsFunc(formerAttributes, func(name string) bool { return month[name] != nil }) {
		e := table.Expression{Remove: strings.Join(formerAttributes, ", ")}
		if err := r.db.Update(ctx, r.names.Usage, schema.UsageKey(id, period), e); err != nil {
			return err
		}
	}
	return r.Restate(ctx, id, period)
}

// placeOnPlans moves all restaurants to their places on the board of plans. It returns the number of restaurants, and whether
// any had to be moved.
func (r *Ranking) placeOnPlans(ctx context.Context) (restaurants int, changed bool, err error) {
	at, err := r.readPlans(ctx)
	if err != nil {
		return 0, false, err
	}
	bots := make(map[string]restaurant.Bot)
	err = r.db.Scan(ctx, r.names.Bots, func(in *table.Reader) error {
		bots[in.Text(schema.AttrRestaurantID)] = schema.ReadBot(in)
		return in.Err
	})
	if err != nil {
		return 0, false, err
	}
	var moves [leaves]map[move][]string
	err = r.db.Scan(ctx, r.names.Restaurants, func(in *table.Reader) error {
		restaurants++
		st := Standing{period: string(plans), Restaurant: schema.ReadRestaurant(in)}
		if bot, ok := bots[st.Restaurant.ID]; ok {
			st.Bot = &bot
		}
		id := st.Restaurant.ID
		leaf, m := leafOf(id), move{at[leafOf(id)][id], st.place()}
		if m.from != m.to {
			changed = true
			if moves[leaf] == nil {
				moves[leaf] = make(map[move][]string)
			}
			moves[leaf][m] = append(moves[leaf][m], id)
		}
		return in.Err
	})
	if err != nil {
		return 0, false, err
	}
	group, ctx := task.WithContext(ctx)
	group.SetLimit(reindexWriters)
	for leaf := range moves {
		group.Go(func() error { return r.moveOnPlans(ctx, leaf, moves[leaf]) })
	}
	return restaurants, changed, group.Wait()
}

// readPlans returns the restaurants' places on the board of plans, by leaf and id.
func (r *Ranking) readPlans(ctx context.Context) (at [leaves]map[string]place, err error) {
	group, ctx := task.WithContext(ctx)
	group.SetLimit(reindexWriters)
	for leaf := range at {
		at[leaf] = make(map[string]place)
		group.Go(func() error {
			return r.entries(ctx, span{partition: plans.partition(leaf), first: "of/", last: "of/" + lastID, consistent: true}, func(id string, in *table.Reader) {
				at[leaf][id] = place(in.Text(attrPlace))
			})
		})
	}
	return at, group.Wait()
}

type move struct{ from, to place }

func (r *Ranking) moveOnPlans(ctx context.Context, leaf int, moves map[move][]string) error {
	for m, ids := range moves {
		for some := range slices.Chunk(ids, movesTogether) {
			writes := r.recount(plans, leaf, m.from.class(), m.to.class(), int64(len(some)))
			for _, id := range some {
				writes = append(writes, r.moves(plans, id, m.from, m.to)...)
			}
			var overtaken *table.ConditionError // the next pass moves these restaurants
			if err := r.db.Transact(ctx, writes, ""); err != nil && !errors.As(err, &overtaken) {
				return err
			}
		}
	}
	return nil
}
