// Package ranking orders restaurants by the used share of their month's quota, and counts them.
//
// The write that counts a conversation doesn't touch the ranking. A restaurant's place on the month's board is its whole
// percentage, so it changes at most some hundred times a month. After every change that affects it (conversation, top-up,
// plan, active or not) the restaurant is moved right away. If that fails, the restaurant's next opening, top-up or change
// corrects the place.
package ranking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/outage"
)

const (
	// mostPercent is the last place of a month's board, for restaurants that have used this percentage or more.
	mostPercent = 200

	// listedMonths is the number of a restaurant's newest months that have a place: the current month, and the month
	// before, which is still current in another time zone.
	listedMonths = 2

	// Delay bounds the random wait before a write that conflicted with another is tried again. Such writes are mostly
	// openings of a busy restaurant.
	Delay = 50 * time.Millisecond

	// PlaceTime bounds a change of place while a caller waits.
	PlaceTime = time.Second
)

// Ranking reads and writes the boards. It is safe for concurrent use.
type Ranking struct {
	db    *table.DB
	names schema.Tables
}

// New returns a Ranking over the tables.
func New(db *table.DB, names schema.Tables) *Ranking { return &Ranking{db: db, names: names} }

// Restate reads a restaurant's data and moves it to its place on a period's board.
func (r *Ranking) Restate(ctx context.Context, restaurantID, period string) error {
	seen, _, err := r.Standing(ctx, restaurantID, period, nil)
	if err != nil {
		return err
	}
	return r.Place(ctx, seen)
}

// Place moves a restaurant to its place, unless it is there already. After each try it reads the data again: the data may
// have changed meanwhile, or another writer may have moved the restaurant.
func (r *Ranking) Place(ctx context.Context, seen Standing) error {
	for range table.ConflictAttempts {
		if !seen.Misplaced() {
			return nil
		}
		err := r.move(ctx, board(seen.period), seen.id, seen.at, seen.place())
		var condition *table.ConditionError
		if errors.As(err, &condition) {
			err = r.db.Wait(ctx, Delay)
		}
		if err == nil {
			seen, _, err = r.Standing(ctx, seen.id, seen.period, nil)
		}
		if err != nil {
			return fmt.Errorf("placing restaurant %s: %w", seen.id, err)
		}
	}
	return fmt.Errorf("placing restaurant %s: %w: others keep moving it", seen.id, outage.ErrUnavailable)
}

// RestateLatest sets a restaurant's places on the board of plans and on the boards of its newest months. It is for changes
// that affect the current month, whichever month that is in the stack's time zone.
func (r *Ranking) RestateLatest(ctx context.Context, restaurantID string) error {
	periods := []string{string(plans)}
	err := r.db.Query(ctx, table.Query{
		Table: r.names.Usage, Backwards: true, Limit: listedMonths, Projection: "#period",
		Key: table.Expression{ // only months begin with a digit
			Condition: "#id = :id AND #period BETWEEN :first AND :last",
			Names:     map[string]string{"#id": schema.AttrRestaurantID, "#period": "period"},
			Values:    table.Item{":id": table.Text(restaurantID), ":first": table.Text("0"), ":last": table.Text("9999-99")},
		},
	}, func(in *table.Reader) error {
		periods = append(periods, in.Text("period"))
		return in.Err
	})
	if err != nil {
		return fmt.Errorf("the months of restaurant %s: %w", restaurantID, err)
	}
	for _, period := range periods {
		if err := r.Restate(ctx, restaurantID, period); err != nil {
			return err
		}
	}
	return nil
}
