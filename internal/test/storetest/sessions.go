package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// activeAt returns the number of open sessions at a time.
func (l Ledger) activeAt(t *testing.T, at time.Time) int64 {
	t.Helper()
	_, activity := l.count(t, "r00001")
	return usage.ActiveSessions(activity.Sessions, at)
}

func testSessionList(t *testing.T, l Ledger) {
	sessions := func(most int) []usage.Session {
		t.Helper()
		all, err := l.Store.Sessions(t.Context(), "r00001", most)
		must(t, err)
		return all
	}
	wantEqual(t, "of none", sessions(20), []usage.Session{})
	other := message("m0", customer, noon)
	other.RestaurantID = "r00002"
	l.record(t, other)
	const second = "+966500000002"
	day := 24 * time.Hour
	l.record(t, message("m1", customer, noon))
	l.record(t, message("m2", customer, noon.Add(time.Hour)))
	l.record(t, message("m3", second, noon.Add(2*time.Hour)))
	l.record(t, message("m4", customer, noon.Add(2*day)))
	l.record(t, message("m4", customer, noon.Add(2*day+time.Minute))) // a repeat
	l.record(t, message("m5", customer, noon.Add(4*day)))
	l.record(t, message("m6", customer, noon.Add(4*day+time.Hour)))
	want := []usage.Session{
		{ID: "m5", Customer: customer, OpenedAt: noon.Add(4 * day), LastMessage: noon.Add(4*day + time.Hour), Messages: 2},
		{ID: "m4", Customer: customer, OpenedAt: noon.Add(2 * day), LastMessage: noon.Add(2 * day), Messages: 1},
		{ID: "m3", Customer: second, OpenedAt: noon.Add(2 * time.Hour), LastMessage: noon.Add(2 * time.Hour), Messages: 1},
		{ID: "m1", Customer: customer, OpenedAt: noon, LastMessage: noon.Add(time.Hour), Messages: 2},
	}
	wantEqual(t, "sessions", sessions(20), want)
	wantEqual(t, "the newest", sessions(2), want[:2])
}

func testActiveSessions(t *testing.T, l Ledger) {
	const slot = usage.SessionSlot
	want := func(what string, at time.Time, want int64) {
		t.Helper()
		if got := l.activeAt(t, at); got != want {
			t.Errorf("%s: %d sessions are open, want %d", what, got, want)
		}
	}
	want("nobody", noon, 0)
	number := 0
	record := func(customer int, at time.Time) {
		t.Helper()
		number++
		l.record(t, message(fmt.Sprint("m", number), fmt.Sprintf("+96650000000%d", customer), at))
	}
	record(1, noon)
	record(2, noon.Add(time.Minute))
	record(1, noon.Add(2*time.Minute)) // in the same slot
	want("two", noon.Add(3*time.Minute), 2)
	record(1, noon.Add(5*slot))
	record(3, noon.Add(5*slot+time.Minute))
	want("three", noon.Add(6*slot), 3)
	want("before the slot of the second one ends", noon.Add(24*time.Hour-time.Millisecond), 3)
	want("after it ended", noon.Add(24*time.Hour+slot), 2)
	record(2, noon.Add(24*time.Hour-time.Second)) // just within its session
	want("it goes on", noon.Add(24*time.Hour+slot), 3)
	want("the others end", noon.Add(24*time.Hour+6*slot), 1)
	// Late messages: within the day, and from a slot to a later slot.
	record(4, noon.Add(3*slot))
	record(4, noon.Add(4*slot))
	want("a late one, over already", noon.Add(24*time.Hour+6*slot), 1)
	want("a late one", noon.Add(24*time.Hour+3*slot), 4)

	record(5, noon.Add(200*time.Hour)) // long after all others
	want("long after", noon.Add(200*time.Hour), 1)
	record(6, noon.Add(224*time.Hour)) // as many slots later as a session lasts
	want("a day after", noon.Add(224*time.Hour), 1)
	record(6, noon.Add(247*time.Hour))
	record(7, noon.Add(248*time.Hour))
	want("in the end", noon.Add(249*time.Hour), 2)
	want("after the end", noon.Add(300*time.Hour), 0)
}
