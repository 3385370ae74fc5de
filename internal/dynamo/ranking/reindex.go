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
	// reindexWriters is how many restaurants are restated at the same time.
	reindexWriters = 16
	// movesTogether restaurants of a leaf are moved in one transaction, which takes a hundred writes.
	movesTogether = 32
	// reindexPasses bounds how often plans are read again after some were misplaced.
	reindexPasses = 5
)

// Before December 2026 the month's item itself was in an index, by these attributes. An index that a stack still has costs
// nothing for items that have none of them.
var formerAttributes = []string{"listedIn", "fullness", "step", "planLimit"}

// Reindex puts every restaurant where it belongs on all boards, and returns how many there are. It is for data that was
// written before there were boards, or imported beside them, and does no harm in a stack that is in use.
func (r *Ranking) Reindex(ctx context.Context) (int, error) {
	restaurants, changed := 0, true
	for pass := 0; changed && pass < reindexPasses; pass++ { // until nothing that changed meanwhile was overwritten
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
	var months []table.Item // of a single restaurant: its items come together and in the order of their periods
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
	if groupErr := group.Wait(); groupErr != nil { // for which the scan ends too
		err = groupErr
	}
	if err != nil {
		return 0, fmt.Errorf("placing restaurants by usage: %w", err)
	}
	return restaurants, nil
}

// restateFormer restates a month, and takes it out of the index that was there before.
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

// placeOnPlans places restaurants by plan, many at once, and returns how many there are and whether any was misplaced.
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

// readPlans returns where restaurants are on the board of plans, by their leaves.
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
			var overtaken *table.ConditionError // the next pass sees to it
			if err := r.db.Transact(ctx, writes, ""); err != nil && !errors.As(err, &overtaken) {
				return err
			}
		}
	}
	return nil
}
