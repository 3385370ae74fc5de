// Package transfer moves restaurants, bots, monthly usage and conversations between a stack and files: in from another
// database, and back out. docs/IMPORT.md describes the files.
//
//	file ──> rowReader ──> parser ──> loader ──> Store        a portion of rows at a time, written
//	              │           └── Fault ──> refused            concurrently; then a checkpoint
//	         Checkpoint: rows done
//
// Importing again, in whole or in part, changes nothing: every write either adds a missing item, or merges without lowering
// anything. So a checkpoint only saves time, and a portion that broke off is simply done again.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Store takes the rows. It is safe for concurrent use. If it can't answer, it fails with outage.ErrUnavailable, and every
// write can be repeated.
type Store interface {
	RestaurantStore
	BotStore
	UsageStore
}

// RestaurantStore stores restaurants and the directory that lists them.
type RestaurantStore interface {
	// Restaurants returns the existing restaurants with the ids, by id.
	Restaurants(ctx context.Context, ids []string) (map[string]restaurant.Restaurant, error)
	// AddRestaurants adds the restaurants that don't exist yet, each together with its entry in the directory.
	AddRestaurants(ctx context.Context, restaurants []restaurant.Restaurant) error
	// UpdateRestaurant writes a restaurant's name and merchant id; SetActive writes whether it is active.
	UpdateRestaurant(ctx context.Context, r restaurant.Restaurant) error
	SetActive(ctx context.Context, restaurantID string, active bool) error
	// TidyDirectory makes the directory quick to read again after many restaurants were added.
	TidyDirectory(ctx context.Context) (bool, error)
}

// BotStore holds bots.
type BotStore interface {
	// Bot returns a restaurant's bot, nil if it has none.
	Bot(ctx context.Context, restaurantID string) (*restaurant.Bot, error)
	// SetBot writes a restaurant's bot. It fails with restaurant.ErrNotFound, restaurant.ErrNumberTaken or
	// restaurant.ErrIDTaken.
	SetBot(ctx context.Context, restaurantID string, bot restaurant.Bot) error
}

// UsageStore stores the counts, and the sessions that they count. Each merge is atomic with respect to simultaneous counting,
// changes nothing when it is repeated, and reports whether it changed anything.
type UsageStore interface {
	MergeMonth(ctx context.Context, restaurantID string, month usage.Month, count usage.MonthCount) (bool, error)
	MergeActivity(ctx context.Context, restaurantID string, activity usage.Activity) (bool, error)
	MergeSession(ctx context.Context, s conversation.Session) (bool, error)
	// Reindex updates the ranking after months were merged.
	Reindex(ctx context.Context) (restaurants int, err error)
}

// Summary counts rows by their outcome. If the answer to a write is lost, the row counts as unchanged.
type Summary struct {
	Rows      int64 `json:"rows"`
	Imported  int64 `json:"imported"`  // rows that added something
	Unchanged int64 `json:"unchanged"` // rows that the stack had already
	Kept      int64 `json:"kept"`      // rows that differ from the stack, which kept its own values
	Refused   int64 `json:"refused"`
}

// Checkpoint says how far an import has come.
type Checkpoint struct {
	Kind    Kind    `json:"kind"`
	Digest  uint64  `json:"digest"` // of the rows so far: shows whether it is still the same file
	Summary Summary `json:"summary"`
	// RefusedBytes is the length of the report of refused rows.
	RefusedBytes int64 `json:"refusedBytes"`
}

// Refusal is a row that wasn't imported, with the reasons.
type Refusal struct {
	Row  int64 // from 1, without the header
	Line int64
	Fault
}

// Import imports a file.
type Import struct {
	Kind      Kind
	Format    Format
	Ignore    []string          // columns not to import
	Defaults  restaurant.Limits // of a bot without limits in its row
	Country   string            // calling code of numbers without a plus sign, such as "966"; "" refuses such numbers
	Overwrite bool              // whether existing restaurants and bots take the row's values
	// Concurrency is the most simultaneous writes.
	Concurrency int
	Store       Store
	Now         func() time.Time
	// Wait sleeps before a portion is tried again that the store couldn't take.
	Wait func(ctx context.Context, d time.Duration) error
	// Refused is called for every refused row, in the file's order.
	Refused func(Refusal) error
	// Checkpoint is called with the import's progress, after each portion of rows.
	Checkpoint func(Checkpoint) error

	// merged has the activities that the store is known to include, and exist the restaurants that are known to exist.
	// Because of them, most rows cost only their own write.
	merged map[string]usage.Activity
	exist  map[string]bool
}

// maxKnown bounds the remembered restaurants, to some 20 MB of memory.
const maxKnown = 100_000

// portionRows is the number of rows in a portion, which is read whole and then written. It bounds the memory.
const portionRows = 1000

// ErrOtherFile says that the file doesn't begin with the rows that the interrupted import has done.
var ErrOtherFile = errors.New("the file is not the file of the interrupted import")

// Run imports the rows after the checkpoint done, and returns the new checkpoint. If the context ends or the store fails,
// call it again with that checkpoint. It fails with ErrOtherFile if done belongs to another file.
func (i Import) Run(ctx context.Context, in io.Reader, done Checkpoint) (Checkpoint, error) {
	rows, err := newRowReader(in, i.Format, i.Kind, i.Ignore)
	if err != nil {
		return done, err
	}
	skipped := uint64(0)
	for range done.Summary.Rows {
		row, err := rows.next()
		if errors.Is(err, io.EOF) {
			return done, ErrOtherFile
		}
		if err != nil {
			return done, err
		}
		skipped = digest(skipped, row)
	}
	if skipped != done.Digest || done.Kind != "" && done.Kind != i.Kind {
		return done, ErrOtherFile
	}
	done.Kind = i.Kind
	i.merged, i.exist = make(map[string]usage.Activity), make(map[string]bool)
	for ended := false; !ended; {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		var portion []row
		next := done
		for bytes := 0; len(portion) < portionRows && bytes < MaxRowBytes; {
			row, err := rows.next()
			if errors.Is(err, io.EOF) {
				ended = true
				break
			}
			if err != nil {
				return done, err
			}
			portion = append(portion, row)
			next.Digest = digest(next.Digest, row)
			for _, text := range row.cells {
				bytes += len(text)
			}
		}
		if len(portion) == 0 {
			break
		}
		if err := i.load(ctx, portion, &next.Summary); err != nil {
			return done, err
		}
		done = next
		if err := i.Checkpoint(done); err != nil {
			return done, err
		}
	}
	switch i.Kind {
	case Restaurants:
		_, err = i.Store.TidyDirectory(ctx)
	case Usage:
		_, err = i.Store.Reindex(ctx)
	}
	return done, err
}

var crcTable = crc64.MakeTable(crc64.ECMA)

func digest(sum uint64, r row) uint64 {
	for _, column := range slices.Sorted(maps.Keys(r.cells)) {
		sum = crc64.Update(sum, crcTable, []byte(column+"\x00"+r.cells[column]+"\x00"))
	}
	return crc64.Update(sum, crcTable, []byte{'\n'})
}

// outcome is the outcome of a row.
type outcome int

const (
	undecided outcome = iota // while a row is undecided, its portion isn't done
	refused
	imported
	unchanged
	kept
)

// verdict is the outcome of a row, with the faults of a refused row.
type verdict struct {
	outcome outcome
	faults  []Fault
}

func changed(changed bool) verdict {
	if changed {
		return verdict{outcome: imported}
	}
	return verdict{outcome: unchanged}
}

func refuse(field, reason string) verdict {
	return verdict{outcome: refused, faults: []Fault{{field, reason}}}
}

// If the store can't take a portion, the portion is tried again: first after a second, then after twice as long each time,
// for a minute in all.
const (
	firstDelay = time.Second
	maxDelay   = 32 * time.Second
)

// errUndecided is a fault of this package: a portion ended before all its rows had an outcome.
var errUndecided = errors.New("the import stopped before all rows were imported")

// load imports one portion of rows.
func (i Import) load(ctx context.Context, rows []row, summary *Summary) error {
	load := map[Kind]func(context.Context, []row) ([]verdict, error){
		Restaurants: i.restaurants, Bots: i.bots, Usage: i.usage, Conversations: i.conversations,
	}[i.Kind]
	verdicts, err := load(ctx, rows)
	// DynamoDB throttles a table at its first great load until the table has grown. Rows that were written before that count
	// as unchanged when they are written again.
	for delay := firstDelay; errors.Is(err, outage.ErrUnavailable) && delay <= maxDelay; delay *= 2 {
		if err := i.Wait(ctx, delay); err != nil {
			return err
		}
		verdicts, err = load(ctx, rows)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(verdicts, func(v verdict) bool { return v.outcome == undecided }) {
		return errUndecided
	}
	for n, v := range verdicts {
		summary.Rows++
		switch v.outcome {
		case imported:
			summary.Imported++
		case unchanged:
			summary.Unchanged++
		case kept:
			summary.Kept++
		case refused:
			summary.Refused++
			for _, fault := range v.faults {
				if err := i.Refused(Refusal{rows[n].number, rows[n].line, fault}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// parsed parses rows and refuses invalid ones. The valid rows, by their index, have no verdict yet.
func parsed[T any](i Import, rows []row, parse func(*parser) T) (valid map[int]T, verdicts []verdict) {
	valid, verdicts = make(map[int]T, len(rows)), make([]verdict, len(rows))
	now := i.Now()
	for n, r := range rows {
		if r.fault != nil {
			verdicts[n] = verdict{outcome: refused, faults: []Fault{*r.fault}}
			continue
		}
		p := parser{row: r, now: now, defaults: i.Defaults, country: i.Country}
		value := parse(&p)
		if len(p.faults) > 0 {
			verdicts[n] = verdict{outcome: refused, faults: p.faults}
		} else {
			valid[n] = value
		}
	}
	return valid, verdicts
}

// sideBySide calls work for each row in valid: one after the other for rows with the same key, otherwise concurrently. If the
// context ends, sideBySide fails even if every call of work succeeded.
func sideBySide[T any](ctx context.Context, i Import, valid map[int]T, key func(T) string, work func(context.Context, int, T) error) error {
	groups := make(map[string][]int)
	for _, n := range slices.Sorted(maps.Keys(valid)) {
		k := key(valid[n])
		groups[k] = append(groups[k], n)
	}
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(i.Concurrency)
	for _, places := range groups {
		if working.Err() != nil {
			break
		}
		group.Go(func() error {
			for _, n := range places {
				if err := work(working, n, valid[n]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// ofRestaurants refuses rows of unknown restaurants.
func ofRestaurants[T any](ctx context.Context, i Import, valid map[int]T, verdicts []verdict, id func(T) string) error {
	ids := make(map[string]bool)
	if len(i.exist) >= maxKnown {
		clear(i.exist)
	}
	for _, value := range valid {
		if !i.exist[id(value)] {
			ids[id(value)] = true
		}
	}
	found, err := i.Store.Restaurants(ctx, slices.Sorted(maps.Keys(ids)))
	if err != nil {
		return err
	}
	for id := range found {
		i.exist[id] = true
	}
	for n, value := range valid {
		if !i.exist[id(value)] {
			verdicts[n] = refuse("restaurantId", "is not the id of a restaurant in this stack")
			delete(valid, n)
		}
	}
	return nil
}

// restaurants adds the new restaurants, all together. An existing restaurant keeps its values, or takes the row's if
// Overwrite is set.
func (i Import) restaurants(ctx context.Context, rows []row) ([]verdict, error) {
	valid, verdicts := parsed(i, rows, (*parser).restaurant)
	var ids []string
	for _, r := range valid {
		ids = append(ids, r.ID)
	}
	slices.Sort(ids)
	known, err := i.Store.Restaurants(ctx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	var added []restaurant.Restaurant
	var changes []restaurant.Restaurant
	for _, n := range slices.Sorted(maps.Keys(valid)) {
		r := valid[n]
		old, exists := known[r.ID]
		switch {
		case !exists:
			added = append(added, r)
			verdicts[n].outcome = imported
		case sameRestaurant(old, r):
			verdicts[n].outcome = unchanged
			continue
		case !r.CreatedAt.Equal(old.CreatedAt):
			verdicts[n] = refuse("createdAt", "differs from that of the restaurant with this id, which can't be changed")
			continue
		case !i.Overwrite:
			verdicts[n].outcome = kept
			continue
		default:
			changes = append(changes, r)
			verdicts[n].outcome = imported
		}
		known[r.ID] = r // a later row of the same restaurant is compared with this one
	}
	if err := i.Store.AddRestaurants(ctx, added); err != nil {
		return nil, err
	}
	for _, r := range changes {
		if err := errors.Join(i.Store.UpdateRestaurant(ctx, r), i.Store.SetActive(ctx, r.ID, r.Active)); err != nil {
			return nil, err
		}
	}
	return verdicts, nil
}

func sameRestaurant(a, b restaurant.Restaurant) bool {
	created := a.CreatedAt.Equal(b.CreatedAt)
	a.CreatedAt, b.CreatedAt = time.Time{}, time.Time{}
	return created && a == b
}

// bots sets the bots of restaurants without one. An existing bot keeps its values, or takes the row's if Overwrite is set.
func (i Import) bots(ctx context.Context, rows []row) ([]verdict, error) {
	valid, verdicts := parsed(i, rows, (*parser).bot)
	id := func(r botRow) string { return r.restaurantID }
	if err := ofRestaurants(ctx, i, valid, verdicts, id); err != nil {
		return nil, err
	}
	err := sideBySide(ctx, i, valid, id, func(ctx context.Context, n int, r botRow) error {
		old, err := i.Store.Bot(ctx, r.restaurantID)
		if err != nil {
			return fmt.Errorf("reading the bot of restaurant %s: %w", r.restaurantID, err)
		}
		if old != nil && *old == r.bot {
			verdicts[n].outcome = unchanged
			return nil
		}
		if old != nil && !i.Overwrite {
			verdicts[n].outcome = kept
			return nil
		}
		err = i.Store.SetBot(ctx, r.restaurantID, r.bot)
		if errors.Is(err, restaurant.ErrNumberTaken) {
			verdicts[n] = refuse("phoneNumber", "belongs to another restaurant")
			return nil
		}
		if errors.Is(err, restaurant.ErrIDTaken) {
			verdicts[n] = refuse("botId", "belongs to another restaurant or its bot")
			return nil
		}
		verdicts[n].outcome = imported
		return err
	})
	return verdicts, err
}

// usage merges months and activities.
func (i Import) usage(ctx context.Context, rows []row) ([]verdict, error) {
	valid, verdicts := parsed(i, rows, (*parser).usage)
	if err := ofRestaurants(ctx, i, valid, verdicts, func(r usageRow) string { return r.restaurantID }); err != nil {
		return nil, err
	}
	moved, err := i.activities(ctx, activitiesOf(valid, func(r usageRow) (string, usage.Activity) { return r.restaurantID, r.activity }))
	if err != nil {
		return nil, err
	}
	err = sideBySide(ctx, i, valid, usageRow.key, func(ctx context.Context, n int, r usageRow) error {
		if r.month == nil {
			verdicts[n] = changed(moved[r.restaurantID])
			return nil
		}
		did, err := i.Store.MergeMonth(ctx, r.restaurantID, *r.month, r.count)
		verdicts[n] = changed(did)
		return err
	})
	return verdicts, err
}

func (r usageRow) key() string {
	if r.month == nil {
		return r.restaurantID
	}
	return r.restaurantID + "/" + r.month.String()
}

// conversations merges customers' sessions.
func (i Import) conversations(ctx context.Context, rows []row) ([]verdict, error) {
	valid, verdicts := parsed(i, rows, (*parser).session)
	if err := ofRestaurants(ctx, i, valid, verdicts, func(s conversation.Session) string { return s.RestaurantID }); err != nil {
		return nil, err
	}
	// The activity first, because sessions need it. If the import breaks off in between, both are done again.
	_, err := i.activities(ctx, activitiesOf(valid, func(s conversation.Session) (string, usage.Activity) {
		return s.RestaurantID, usage.Activity{First: s.OpenedAt, Last: s.LastMessageAt, LastConversation: s.OpenedAt}
	}))
	if err != nil {
		return nil, err
	}
	key := func(s conversation.Session) string { return s.RestaurantID + "/" + s.Customer }
	err = sideBySide(ctx, i, valid, key, func(ctx context.Context, n int, s conversation.Session) error {
		did, err := i.Store.MergeSession(ctx, s)
		verdicts[n] = changed(did)
		return err
	})
	return verdicts, err
}

// activitiesOf returns the activity of every restaurant in the rows.
func activitiesOf[T any](valid map[int]T, activity func(T) (restaurantID string, a usage.Activity)) map[string]usage.Activity {
	all := make(map[string]usage.Activity)
	for _, value := range valid {
		id, a := activity(value)
		all[id] = all[id].Merge(a)
	}
	return all
}

// activities merges activities, and returns the restaurants with a changed activity.
func (i Import) activities(ctx context.Context, all map[string]usage.Activity) (map[string]bool, error) {
	ids := slices.Sorted(maps.Keys(all))
	moved := make([]bool, len(ids))
	places := make(map[int]string, len(ids))
	for n, id := range ids {
		if known := i.merged[id]; !sameActivity(known, known.Merge(all[id])) {
			places[n] = id
		}
	}
	err := sideBySide(ctx, i, places, func(id string) string { return id }, func(ctx context.Context, n int, id string) (err error) {
		moved[n], err = i.Store.MergeActivity(ctx, id, all[id])
		return err
	})
	if err != nil {
		return nil, err
	}
	byID := make(map[string]bool, len(ids))
	for n, id := range ids {
		byID[id] = moved[n]
		if len(i.merged) >= maxKnown {
			clear(i.merged)
		}
		i.merged[id] = i.merged[id].Merge(all[id])
	}
	return byID, nil
}

func sameActivity(a, b usage.Activity) bool {
	return a.First.Equal(b.First) && a.Last.Equal(b.Last) && a.LastConversation.Equal(b.LastConversation)
}

// Source is the data to be exported. Each method calls visit with all items of a kind, in no order. It stops at visit's first
// error and returns it.
type Source interface {
	EachRestaurant(ctx context.Context, visit func(restaurant.Restaurant) error) error
	EachBot(ctx context.Context, visit func(restaurantID string, bot restaurant.Bot) error) error
	EachUsage(ctx context.Context, visit func(usage.Record) error) error
	EachSession(ctx context.Context, visit func(conversation.Session) error) error
}

// Export writes all items of a kind to out, in the form that Import reads, and returns their number. Now and then it calls
// progress with the number so far.
func Export(ctx context.Context, source Source, kind Kind, format Format, out io.Writer, progress func(rows int64)) (int64, error) {
	w, err := newRowWriter(out, format, kind.columnNames())
	if err != nil {
		return 0, err
	}
	rows := int64(0)
	write := func(values []any) error {
		if rows++; rows%portionRows == 0 {
			progress(rows)
		}
		return w.write(values)
	}
	switch kind {
	case Restaurants:
		err = source.EachRestaurant(ctx, func(r restaurant.Restaurant) error { return write(restaurantValues(r)) })
	case Bots:
		err = source.EachBot(ctx, func(id string, b restaurant.Bot) error { return write(botValues(id, b)) })
	case Usage:
		err = source.EachUsage(ctx, func(r usage.Record) error {
			if !r.Activity.First.IsZero() || !r.Activity.Last.IsZero() {
				if err := write(activityValues(r.Restaurant.ID, r.Activity)); err != nil {
					return err
				}
			}
			for month, count := range r.Months {
				if err := write(monthValues(r.Restaurant.ID, month, count)); err != nil {
					return err
				}
			}
			return nil
		})
	case Conversations:
		err = source.EachSession(ctx, func(s conversation.Session) error { return write(sessionValues(s)) })
	}
	if err != nil {
		return rows, err
	}
	return rows, w.flush()
}
