package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
)

// store keeps the entries, or fails.
type store struct {
	mu             sync.Mutex
	entered, noted []ledger.Entry
	writes         int
	err            error
	after          time.Duration
}

func (s *store) Enter(ctx context.Context, _ string, entries ...ledger.Entry) error {
	select {
	case <-time.After(s.after):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entered = append(s.entered, entries...)
	s.writes++
	return s.err
}

func (s *store) Note(_ context.Context, _ string, e ledger.Entry) error {
	s.noted = append(s.noted, e)
	return s.err
}

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func midnight(t time.Time) time.Time { return t.Truncate(24 * time.Hour) }

// newLedger returns a ledger with pages named A, B, C and so on, and its log.
func newLedger(s ledger.Store) (*ledger.Ledger, *bytes.Buffer) {
	pages := 0
	log := new(bytes.Buffer)
	return ledger.New(s, midnight, func() string {
		pages++
		return strings.Repeat(string(rune('A'+pages-1)), 26)
	}, slog.New(slog.NewTextHandler(log, nil))), log
}

// TestEveryMessageHasAPlaceOfItsOwn: no two messages have the same place, and each page belongs to one restaurant and one
// day.
func TestEveryMessageHasAPlaceOfItsOwn(t *testing.T) {
	t.Parallel()
	l, _ := newLedger(&store{})
	for i, want := range []string{"2026-11-28-aaaaaaaaaa-00", "2026-11-28-aaaaaaaaaa-01"} {
		if got := l.Place("r1", noon).String(); got != want {
			t.Errorf("message %d is kept at %s, want %s", i, got, want)
		}
	}
	if got, want := l.Place("r2", noon).String(), "2026-11-28-bbbbbbbbbb-00"; got != want {
		t.Errorf("another restaurant's message is kept at %s, want %s", got, want)
	}
	for range delivery.PageSize - 2 {
		l.Place("r1", noon)
	}
	if got, want := l.Place("r1", noon).String(), "2026-11-28-cccccccccc-00"; got != want {
		t.Errorf("the message after a full page is kept at %s, want %s", got, want)
	}
	if got, want := l.Place("r1", noon.Add(12*time.Hour)).String(), "2026-11-29-dddddddddd-00"; got != want {
		t.Errorf("the next day's first message is kept at %s, want %s", got, want)
	}
}

// TestPagesOfManyRestaurantsAreForgotten: with too many restaurants, an instance forgets their pages and begins new ones.
func TestPagesOfManyRestaurantsAreForgotten(t *testing.T) {
	t.Parallel()
	pages := 0
	l := ledger.New(&store{}, midnight, func() string { pages++; return strings.Repeat("A", 26) }, slog.New(slog.DiscardHandler))
	for i := range 3000 {
		l.Place(strings.Repeat("r", i+1), noon)
	}
	l.Place("r", noon)
	if pages != 3001 {
		t.Errorf("3,001 messages of 3,000 restaurants began %d pages, want 3001: the first restaurant's must be forgotten, or memory grows without end", pages)
	}
}

// TestRequestWaitsForItsLedgerEntryOnlyAtItsEnd: a message that Twilio took is entered beside the rest of the request, and
// Entered waits for the entry, even in a cancelled request.
func TestRequestWaitsForItsLedgerEntryOnlyAtItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{after: 300 * time.Millisecond}
		l, log := newLedger(s)
		ctx, cancel := context.WithCancel(t.Context())
		e := ledger.Entry{Place: l.Place("r1", noon), Class: ledger.Class{Kind: delivery.List, Category: delivery.Service}, Status: delivery.Sent}
		begin := time.Now()
		l.Taken(ctx, "r1", e)
		cancel()
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("the customer's answer waited %v for the ledger, want not at all", waited)
		}
		l.Entered(t.Context())
		if diff := cmp.Diff([]ledger.Entry{e}, s.entered); diff != "" || log.Len() > 0 {
			t.Errorf("the ledger has after a cancelled request (-want +got):\n%s\nlog %s", diff, log)
		}

		s.after = time.Hour
		begin = time.Now()
		l.Taken(t.Context(), "r1", e)
		l.Entered(t.Context())
		if waited := time.Since(begin); waited != time.Second || !strings.Contains(log.String(), "message not entered in the ledger") ||
			!strings.Contains(log.String(), e.Place.String()) {
			t.Errorf("a store that doesn't answer was waited for %v, want 1s, and a log line with the message's place; log %s", waited, log)
		}
	})
}

// TestAnswerInTextsTakesOneWriteForEachPage: the texts of an answer are entered together, and in two writes if their page
// fills up before the last.
func TestAnswerInTextsTakesOneWriteForEachPage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ before, texts, writes int }{{0, 1, 1}, {0, 5, 1}, {delivery.PageSize - 2, 5, 2}, {delivery.PageSize - 1, 1, 1}} {
		s := &store{}
		l, _ := newLedger(s)
		for range test.before {
			l.Place("r1", noon)
		}
		var entries []ledger.Entry
		for range test.texts {
			entries = append(entries, ledger.Entry{Place: l.Place("r1", noon), Class: ledger.Class{Kind: delivery.Text, Category: delivery.Service}, Status: delivery.Sent})
		}
		if err := l.Enter(t.Context(), "r1", entries); err != nil || s.writes != test.writes || cmp.Diff(entries, s.entered) != "" {
			t.Errorf("%d texts after %d messages took %d writes (error %v), want %d; entered %v", test.texts, test.before, s.writes, err, test.writes, s.entered)
		}
		s.err = errors.New("fault")
		if err := l.Enter(t.Context(), "r1", entries); !errors.Is(err, s.err) {
			t.Errorf("an answer that couldn't be entered gave the error %v, want the store's: the answer would never be settled", err)
		}
	}
}

// TestOnlyStatusesThatGotSomewhereAreNoted: a callback is entered if its message has a place and was at least sent.
func TestOnlyStatusesThatGotSomewhereAreNoted(t *testing.T) {
	t.Parallel()
	s := &store{}
	l, _ := newLedger(s)
	place := l.Place("r1", noon)
	report := func(status delivery.Status, p delivery.Place) error {
		return l.Report(t.Context(), "r1", delivery.Report{
			Status: status, Origin: delivery.Origin{Kind: delivery.Welcome, Category: delivery.Utility, Place: p, SentAt: noon},
		})
	}
	for _, status := range []delivery.Status{delivery.Unknown, delivery.Accepted} {
		if err := report(status, place); err != nil || s.noted != nil {
			t.Errorf("the status %d, which says nothing new, gave the error %v and noted %v, want neither", status, err, s.noted)
		}
	}
	if err := report(delivery.Delivered, delivery.Place{}); err != nil || s.noted != nil {
		t.Errorf("the status of a message without a place gave the error %v and noted %v, want neither", err, s.noted)
	}
	want := []ledger.Entry{{Place: place, Class: ledger.Class{Kind: delivery.Welcome, Category: delivery.Utility}, Status: delivery.Delivered}}
	if err := report(delivery.Delivered, place); err != nil || cmp.Diff(want, s.noted) != "" {
		t.Errorf("a delivered message was noted as %v (error %v), want %v", s.noted, err, want)
	}
	s.err = errors.New("fault")
	if err := report(delivery.Read, place); !errors.Is(err, s.err) {
		t.Errorf("a status with the store down gave %v, want the store's error, so that Twilio repeats it", err)
	}
}
