package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// entry returns an entry of a list on a day of November.
func entry(day int, page string, number int, status delivery.Status) ledger.Entry {
	return ledger.Entry{
		Place: delivery.Place{Day: time.Date(2026, time.November, day, 0, 0, 0, 0, time.UTC), Page: page, Number: number},
		Class: ledger.Class{Kind: delivery.List, Category: delivery.Service}, Status: status,
	}
}

const pageOne, pageTwo = "aaaaaaaaaa", "bbbbbbbbbb"

func wantMessages(t testing.TB, store Store, restaurantID string, month usage.Month, want ledger.Month) {
	t.Helper()
	got, err := store.Messages(context.Background(), restaurantID, month)
	if err != nil {
		t.Fatalf("reading the ledger: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the owner of %s sees these messages in %s (-want +got):\n%s", restaurantID, month, diff)
	}
}

// testMessages: messages are counted by day and class, by their furthest status. Reports may come in any order and any number
// of times.
func testMessages(t *testing.T, store Store) {
	ctx := t.Context()
	wantMessages(t, store, "r1", november, ledger.Month{})
	list := ledger.Class{Kind: delivery.List, Category: delivery.Service}
	welcome := ledger.Class{Kind: delivery.Welcome, Category: delivery.Utility}
	other := entry(28, pageOne, 7, delivery.Delivered)
	other.Class = welcome
	for range 2 {
		for _, e := range []ledger.Entry{
			entry(28, pageOne, 0, delivery.Read), entry(28, pageOne, 0, delivery.Sent), entry(28, pageOne, 0, delivery.Delivered),
			entry(28, pageOne, 1, delivery.Sent),
			entry(28, pageTwo, 1, delivery.Delivered),
			entry(28, pageTwo, 99, delivery.Sent), entry(28, pageTwo, 99, delivery.Failed),
			entry(1, pageOne, 1, delivery.Failed),
			other,
		} {
			if err := store.Note(ctx, "r1", e); err != nil {
				t.Fatalf("noting the status of a message: %v", err)
			}
			if err := store.Enter(ctx, "r1", e); err != nil {
				t.Fatalf("entering the sent message into the ledger: %v", err)
			}
		}
	}
	december := entry(1, pageOne, 3, delivery.Sent)
	december.Place.Day = december.Place.Day.AddDate(0, 1, 0)
	if err := store.Enter(ctx, "r1", december); err != nil {
		t.Fatalf("entering the sent message into the ledger: %v", err)
	}
	mixed := entry(28, pageOne, 1, delivery.Failed)
	mixed.Class = welcome
	if err := store.Enter(ctx, "r2", entry(28, pageOne, 0, delivery.Sent), mixed, entry(28, pageOne, 2, delivery.Sent)); err != nil {
		t.Fatalf("entering three sent messages into the ledger: %v", err)
	}
	wantMessages(t, store, "r1", november, ledger.Month{
		1:  {list: {Sent: 1, Failed: 1}},
		28: {list: {Sent: 4, Delivered: 2, Read: 1, Failed: 1}, welcome: {Sent: 1, Delivered: 1}},
	})
	wantMessages(t, store, "r2", november, ledger.Month{28: {list: {Sent: 2}, welcome: {Sent: 1, Failed: 1}}})
	wantMessages(t, store, "r1", usage.Month{Year: 2026, Month: time.December}, ledger.Month{1: {list: {Sent: 1}}})
}

// testMessagesAtOnce: of simultaneous callbacks for one page, none is lost.
func testMessagesAtOnce(t *testing.T, store Store) {
	var group sync.WaitGroup
	for number := range delivery.PageSize {
		for _, status := range []delivery.Status{delivery.Sent, delivery.Delivered, delivery.Read} {
			group.Go(func() {
				if err := store.Note(t.Context(), "r1", entry(2, pageOne, number, status)); err != nil {
					t.Errorf("noting the status of a message: %v", err)
				}
			})
		}
	}
	group.Wait()
	wantMessages(t, store, "r1", november, ledger.Month{2: {
		{Kind: delivery.List, Category: delivery.Service}: {Sent: delivery.PageSize, Delivered: delivery.PageSize, Read: delivery.PageSize},
	}})
}

// testAnyCallbacks: a month's callbacks are reordered, repeated and lost. The counts show each message's furthest reported
// status.
func testAnyCallbacks(t *testing.T, store Store) {
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		id := fmt.Sprint("r", runs)
		furthest := make(map[delivery.Place]ledger.Entry)
		for range rapid.IntRange(0, 40).Draw(rt, "callbacks") {
			e := entry(rapid.IntRange(1, 2).Draw(rt, "day"), rapid.SampledFrom([]string{pageOne, pageTwo}).Draw(rt, "page"),
				rapid.IntRange(0, 5).Draw(rt, "number"),
				rapid.SampledFrom([]delivery.Status{delivery.Sent, delivery.Delivered, delivery.Read, delivery.Failed}).Draw(rt, "status"))
			if e.Place.Number%2 == 1 {
				e.Class = ledger.Class{Kind: delivery.Welcome, Category: delivery.Marketing}
			}
			entries := []ledger.Entry{e}
			var err error
			switch rapid.SampledFrom([]string{"noted", "entered", "entered with the next"}).Draw(rt, "how") {
			case "noted":
				err = store.Note(context.Background(), id, e)
			case "entered with the next":
				next := e
				next.Place.Number += 2 // of the same class
				entries = append(entries, next)
				fallthrough
			default:
				err = store.Enter(context.Background(), id, entries...)
			}
			if err != nil {
				rt.Fatalf("noting the status of a message: %v", err)
			}
			for _, e := range entries {
				if e.Status > furthest[e.Place].Status {
					furthest[e.Place] = e
				}
			}
		}
		want := make(ledger.Month)
		for place, e := range furthest {
			want.Add(place.Day.Day(), ledger.Page{{Class: e.Class, Status: e.Status, Numbers: []int{place.Number}}})
		}
		got, err := store.Messages(context.Background(), id, november)
		if err != nil {
			rt.Fatalf("reading the ledger: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("the messages that the owner sees depend on the order of callbacks (-want +got):\n%s", diff)
		}
	})
}
