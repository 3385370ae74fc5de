// Package ledger records the status of each sent message: delivered, read, or failed. Since October 2026 Meta charges for
// each delivered message (Meta, "Pricing on the WhatsApp Business Platform"), so the ledger shows a restaurant's cost, while
// its allowance limits conversations.
//
// A message has a place: a number on a page. A page belongs to one restaurant, one day and the one instance that opened the
// page, so that instances never wait for one another. It holds a set of numbers for each status of each kind and category. A
// number that is added to a set twice is in the set once. So repeated, late and reordered callbacks lead to the same page,
// and if a process dies before it has entered a status, the next callback completes the page. Figures are counted from pages
// when they are read.
package ledger

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/task"
)

// Class is the group that a message is counted in.
type Class struct {
	Kind     delivery.Kind
	Category delivery.Category
}

// Entry is the status of the message at a place: Sent, or a later one.
type Entry struct {
	Place  delivery.Place
	Class  Class
	Status delivery.Status
}

// Store keeps pages. It fails with outage.ErrUnavailable.
type Store interface {
	// Enter adds entries to the page that they share. A second time, they change nothing.
	Enter(ctx context.Context, restaurantID string, entries ...Entry) error

	// Note is Enter for an entry that the page may have already: it reads the page first, and writes only if the entry is
	// missing.
	Note(ctx context.Context, restaurantID string, e Entry) error
}

const (
	// enterTime is how long the response to Twilio waits for an entry. A callback makes up for an entry that takes longer.
	enterTime = time.Second
	// mostOpen is the largest number of restaurants with open pages in an instance.
	mostOpen = 1000
)

// Ledger gives messages their places, and enters their statuses. It is safe for concurrent use.
type Ledger struct {
	store  Store
	date   func(time.Time) time.Time
	random func() string
	log    *slog.Logger

	mu      sync.Mutex
	open    map[string]delivery.Place // the next place of each restaurant
	pending task.Pending
}

// New returns a Ledger that keeps its pages in store. date returns the day that a time belongs to, and random a random text,
// like crypto/rand.Text.
func New(store Store, date func(time.Time) time.Time, random func() string, log *slog.Logger) *Ledger {
	return &Ledger{store: store, date: date, random: random, log: log, open: make(map[string]delivery.Place)}
}

// Place returns a place for a message that a restaurant is about to send. It needs no store: an unused place stays empty.
func (l *Ledger) Place(restaurantID string, at time.Time) delivery.Place {
	day := l.date(at)
	l.mu.Lock()
	defer l.mu.Unlock()
	place, ok := l.open[restaurantID]
	if !ok || !place.Day.Equal(day) || place.Number == delivery.PageSize {
		if len(l.open) == mostOpen {
			clear(l.open)
		}
		place = delivery.Place{Day: day, Page: strings.ToLower(l.random())[:delivery.PageName]}
	}
	next := place
	next.Number++
	l.open[restaurantID] = next
	return place
}

// Taken enters, in the background, that Twilio took a message, as Sent, or as Failed if Twilio's answer said so. Entered
// waits for the entry.
func (l *Ledger) Taken(ctx context.Context, restaurantID string, e Entry) {
	done := l.pending.Add()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), enterTime)
	go func() {
		defer done()
		defer cancel()
		_, err := task.Start(func() (struct{}, error) { return struct{}{}, l.store.Enter(ctx, restaurantID, e) }).Wait()
		if err != nil {
			l.log.LogAttrs(ctx, slog.LevelWarn, "message not entered in the ledger: its callbacks make up for it",
				logging.Restaurant("restaurantId", restaurantID), slog.String("place", e.Place.String()), slog.Any("error", err))
		}
	}()
}

// Entered waits for the entries of all earlier calls of Taken, or until the context ends. A function must call it before its
// response, after which its instance is frozen.
func (l *Ledger) Entered(ctx context.Context) { l.pending.Wait(ctx) }

// Enter enters, in order and with one write for each page, that Twilio took the messages. It fails with
// outage.ErrUnavailable; the entries of the last pages may then be missing.
func (l *Ledger) Enter(ctx context.Context, restaurantID string, entries []Entry) error {
	for len(entries) > 0 {
		page := entries[0].Place
		same := slices.IndexFunc(entries, func(e Entry) bool { return !e.Place.SamePage(page) })
		if same < 0 {
			same = len(entries)
		}
		if err := l.store.Enter(ctx, restaurantID, entries[:same]...); err != nil {
			return err
		}
		entries = entries[same:]
	}
	return nil
}

// Report enters a callback's report of a message. It fails with outage.ErrUnavailable.
func (l *Ledger) Report(ctx context.Context, restaurantID string, r delivery.Report) error {
	if r.Origin.Place.IsZero() || r.Status < delivery.Sent {
		return nil
	}
	return l.store.Note(ctx, restaurantID, Entry{r.Origin.Place, Class{r.Origin.Kind, r.Origin.Category}, r.Status})
}
