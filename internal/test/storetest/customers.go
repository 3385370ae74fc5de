package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// ExerciseCustomers tests a recorder's knowledge of customers: their ids, consent and welcomes.
func ExerciseCustomers(t *testing.T, newLedger func(t testing.TB, calendar usage.Calendar) Ledger) {
	for name, test := range map[string]func(*testing.T, Ledger){
		"opting out opens nothing":                             testOptOutOpensNothing,
		"opting out extends no session":                        testOptOutInSession,
		"opting out that is replayed changes nothing":          testOptOutReplayed,
		"opting out beside an opening counts one conversation": testOptOutBesideOpening,
		"the welcome waits for an opting in":                   testWelcomeAfterOptIn,

		"a number and a user id are one customer":              testOneCustomer,
		"two customers become one":                             testTwoBecomeOne,
		"an ended and an open session become one customer":     testEndedBecomesOne,
		"both ids at the same time open one session":           testBothAtOnce,
		"one welcome goes to both ids":                         testOneWelcome,
		"a welcome that is sent while two ids join is settled": testWelcomeMoves,
		"a number's new owner is a new customer":               testNewOwner,
		"another number's user id is another customer":         testOthersUserID,
		"opting out by either id counts for both":              testOptOutByEither,
		"repeats under the other id are known":                 testRepeatsOfBoth,
		"broken off between two ids nothing is counted twice":  testBrokenOffBetween,
		"imported customers keep both ids":                     testCustomersFromElsewhere,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, usage.NewCalendar(nil))
			create(t, l.Store, Restaurant(1), nil)
			test(t, l)
		})
	}
	t.Run("any customers", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) { streamOfCustomers(t, rt, newLedger) })
	})
}

func saying(consent conversation.Consent, m conversation.Message) conversation.Message {
	m.Consent = consent
	return m
}

// tell records a message that opts out or in. It compares the customer's consent before and after it with the flags.
func (l Ledger) tell(t *testing.T, m conversation.Message, before, after bool) conversation.Recorded {
	t.Helper()
	recorded, err := l.Recorder.Record(t.Context(), m)
	must(t, err)
	if m.Consent != conversation.OptsOut {
		must(t, l.Recorder.Complete(t.Context(), m, recorded))
	} else if recorded.Opened || recorded.Uncounted || recorded.Welcome != conversation.ReplySettled {
		t.Errorf("%s only opts out, yet opens or welcomes: %+v", m.ID, recorded)
	}
	if recorded.OptedBefore != before || recorded.OptedOut != after {
		t.Errorf("the customer of %s has opted out before it: %t, and after it: %t; want %t and %t", m.ID, recorded.OptedBefore, recorded.OptedOut, before, after)
	}
	return recorded
}

func testOptOutOpensNothing(t *testing.T, l Ledger) {
	l.tell(t, saying(conversation.OptsOut, message("m1", customer, noon)), false, true)
	l.tell(t, saying(conversation.OptsOut, message("m2", customer, noon.Add(time.Second))), true, true)
	l.wantConversations(t, 0)
	sessions, err := l.Store.Sessions(t.Context(), "r00001", 20)
	must(t, err)
	wantEqual(t, "sessions", sessions, []usage.Session{})
	// A customer's message after opting out opens a conversation, like any other message.
	recorded := l.tell(t, message("m3", customer, noon.Add(time.Minute)), true, true)
	if !recorded.Opened || !recorded.First {
		t.Errorf("the first message after opting out is recorded as %+v, want an opening, like any other", recorded)
	}
	l.wantConversations(t, 1)
}

func testOptOutInSession(t *testing.T, l Ledger) {
	l.record(t, message("m1", customer, noon))
	l.tell(t, saying(conversation.OptsOut, message("m2", customer, noon.Add(23*time.Hour))), false, true)
	l.tell(t, message("m3", customer, noon.Add(25*time.Hour)), true, true) // opting out hasn't extended the session
	l.wantConversations(t, 2)
	l.tell(t, saying(conversation.OptsIn, message("m4", customer, noon.Add(26*time.Hour))), true, false)
	l.tell(t, message("m5", customer, noon.Add(27*time.Hour)), false, false)
	l.wantConversations(t, 2)
	l.tell(t, saying(conversation.OptsOut, message("m6", customer, noon.Add(27*time.Hour))), false, true)
	l.tell(t, saying(conversation.OptsIn, message("m7", customer, noon.Add(99*time.Hour))), true, false) // opens a session
	l.tell(t, saying(conversation.OptsOut, message("m8", customer, noon.Add(99*time.Hour))), false, true)
	l.tell(t, saying(conversation.OptsIn, message("m9", customer, noon.Add(98*time.Hour))), true, false) // overtaken by a later message
	l.wantConversations(t, 3)
}

// testOptOutReplayed: a replayed opt-out has no effect on a customer who has opted in since.
func testOptOutReplayed(t *testing.T, l Ledger) {
	l.record(t, message("m0", customer, noon))
	out, in := saying(conversation.OptsOut, message("m1", customer, noon)), saying(conversation.OptsIn, message("m2", customer, noon.Add(time.Second)))
	l.tell(t, out, false, true)
	for again := range 40 { // more messages than ids are kept
		l.tell(t, saying(conversation.OptsOut, message(fmt.Sprint("out", again), customer, noon.Add(time.Duration(again)*2*24*time.Hour))), true, true)
	}
	out = saying(conversation.OptsOut, message("out39", customer, noon.Add(80*24*time.Hour)))
	in.ReceivedAt = out.ReceivedAt
	l.tell(t, in, true, false)
	for day := range 5 {
		out.ReceivedAt = in.ReceivedAt.Add(time.Duration(day) * 24 * time.Hour)
		recorded, err := l.Recorder.Record(t.Context(), out)
		must(t, err)
		if !recorded.Repeat || recorded.OptedOut {
			t.Errorf("an opt-out that is replayed on day %d after opting in is recorded as %+v, want a repeat: the customer would get no more answers", day, recorded)
		}
	}
	l.tell(t, message("m3", customer, out.ReceivedAt.Add(time.Hour)), false, false)
}

// testOptOutBesideOpening: simultaneous messages, one of them an opt-out, open one conversation.
func testOptOutBesideOpening(t *testing.T, l Ledger) {
	done := make(chan error)
	const n = 6
	for i := range n {
		m := message(fmt.Sprint("m", i), customer, noon.Add(time.Duration(i)*time.Millisecond))
		if i%2 == 1 {
			m.Consent = conversation.OptsOut
		}
		go func() {
			recorded, err := l.Recorder.Record(t.Context(), m)
			if err == nil && m.Consent != conversation.OptsOut {
				err = l.Recorder.Complete(t.Context(), m, recorded)
			}
			done <- err
		}()
	}
	for range n {
		must(t, <-done)
	}
	l.wantConversations(t, 1)
	l.tell(t, message("last", customer, noon.Add(time.Hour)), true, true)
}

func testWelcomeAfterOptIn(t *testing.T, l Ledger) {
	l.tell(t, saying(conversation.OptsOut, message("m1", customer, noon)), false, true)
	l.tell(t, message("m2", customer, noon.Add(time.Minute)), true, true)
	l.tell(t, message("m3", customer, noon.Add(2*time.Minute)), true, true)
	in := saying(conversation.OptsIn, message("m4", customer, noon.Add(3*time.Minute)))
	if recorded := l.tell(t, in, true, false); recorded.Welcome != conversation.ReplyDue {
		t.Errorf("a customer who opts in for the first time is recorded as %+v, want the welcome due", recorded)
	}
	wantEqual(t, "claim", l.claim(t, in, conversation.Welcome), conversation.ReplyHeld)
	must(t, l.Recorder.Settle(t.Context(), in, conversation.Welcome))
	if recorded := l.tell(t, message("m5", customer, noon.Add(4*time.Minute)), false, false); recorded.Welcome != conversation.ReplySettled {
		t.Errorf("a message after the sent welcome is recorded as %+v, want it settled: the customer would be welcomed twice", recorded)
	}
}

// userID is the BSUID of customer.
const userID = "SA.13491208655302741918"

// form says which of the customer's ids a message carries.
type form int

const (
	byNumber form = iota
	byUserID
	byBoth
)

// of returns a message with the ids that the form carries.
func (f form) of(id, number, user string, at time.Time) conversation.Message {
	switch m := message(id, number, at); f {
	case byUserID:
		m.Customer = user
		return m
	case byBoth:
		m.UserID = user
		return m
	default:
		return m
	}
}

func (f form) message(id string, at time.Time) conversation.Message {
	return f.of(id, customer, userID, at)
}

// goOn returns a message as the further steps after recording take it.
func goOn(m conversation.Message, r conversation.Recorded) conversation.Message {
	m.Home = r.Home
	return m
}

func testOneCustomer(t *testing.T, l Ledger) {
	for i, step := range []struct {
		form
		first bool
		home  string
	}{
		{byBoth, true, customer}, {byUserID, false, customer}, {byNumber, false, customer}, {byBoth, false, customer}, {byUserID, false, customer},
	} {
		m := step.message(fmt.Sprint("m", i), noon.Add(time.Duration(i)*time.Minute))
		recorded := l.record(t, m)
		if recorded.First != step.first || recorded.Home != step.home || recorded.Repeat || recorded.Opened != step.first {
			t.Errorf("message %d of one customer under two ids is recorded as %+v, want first %t and home %s: a second customer would be billed", i, recorded, step.first, step.home)
		}
		l.wantConversations(t, 1)
	}
	l.record(t, byUserID.message("next day", noon.Add(25*time.Hour)))
	l.record(t, byNumber.message("and again", noon.Add(26*time.Hour)))
	l.wantConversations(t, 2)
	sessions, err := l.Store.Sessions(t.Context(), "r00001", 20)
	must(t, err)
	wantEqual(t, "sessions", sessions, []usage.Session{
		{ID: "next day", Customer: customer, OpenedAt: noon.Add(25 * time.Hour), LastMessage: noon.Add(26 * time.Hour), Messages: 2},
		{ID: "m0", Customer: customer, OpenedAt: noon, LastMessage: noon.Add(4 * time.Minute), Messages: 5},
	})
}

// testTwoBecomeOne: a customer who wrote under each id had two conversations. They continue as a single session.
func testTwoBecomeOne(t *testing.T, l Ledger) {
	l.record(t, byNumber.message("m1", noon))
	l.record(t, byUserID.message("m2", noon.Add(time.Hour)))
	l.wantConversations(t, 2)
	wantEqual(t, "open sessions", l.activeAt(t, noon.Add(2*time.Hour)), int64(2))
	recorded := l.record(t, byBoth.message("m3", noon.Add(2*time.Hour)))
	if recorded.First || recorded.Opened || recorded.Home != customer {
		t.Errorf("the message that shows two ids to be one customer is recorded as %+v, want no opening, and home %s", recorded, customer)
	}
	wantEqual(t, "open sessions", l.activeAt(t, noon.Add(2*time.Hour)), int64(1))
	for i, f := range []form{byUserID, byNumber, byBoth} {
		l.record(t, f.message(fmt.Sprint("n", i), noon.Add(time.Duration(20*(i+1))*time.Hour)))
	}
	l.wantConversations(t, 2)
	for _, known := range []conversation.Message{byNumber.message("m1", noon), byUserID.message("m2", noon), byBoth.message("m3", noon)} {
		known.ReceivedAt = noon.Add(900 * time.Hour)
		if again := l.record(t, known); !again.Repeat {
			t.Errorf("%s, posted again after its customer's two ids joined, is recorded as %+v, want a repeat", known.ID, again)
		}
	}
	l.wantConversations(t, 2)
}

func testEndedBecomesOne(t *testing.T, l Ledger) {
	l.record(t, byNumber.message("m1", noon))
	l.record(t, byUserID.message("m2", noon.Add(50*time.Hour)))
	l.record(t, byBoth.message("m3", noon.Add(51*time.Hour))) // continues the session of the user id
	l.wantConversations(t, 2)
	sessions, err := l.Store.Sessions(t.Context(), "r00001", 20)
	must(t, err)
	wantEqual(t, "sessions", sessions, []usage.Session{
		{ID: "m2", Customer: customer, OpenedAt: noon.Add(50 * time.Hour), LastMessage: noon.Add(51 * time.Hour), Messages: 2},
		{ID: "m1", Customer: customer, OpenedAt: noon, LastMessage: noon, Messages: 1},
	})
}

// testBothAtOnce: a new customer's simultaneous messages under both ids open a single session, in any order.
func testBothAtOnce(t *testing.T, l Ledger) {
	for i, forms := range [][]form{{byBoth, byUserID}, {byBoth, byNumber}, {byBoth, byBoth}, {byBoth, byUserID, byUserID, byBoth}} {
		number, user := fmt.Sprintf("+96651000000%d", i), fmt.Sprintf("SA.%d", i)
		var group errgroup.Group
		held := make([]conversation.ReplyState, len(forms))
		for n, f := range forms {
			m := f.of(fmt.Sprint("m", i, n), number, user, noon.Add(time.Duration(n)*time.Millisecond))
			group.Go(func() error {
				recorded, err := Record(t.Context(), l.Recorder, m)
				if err == nil {
					held[n], err = l.Recorder.Claim(t.Context(), goOn(m, recorded), conversation.Welcome, m.ReceivedAt)
				}
				return err
			})
		}
		must(t, group.Wait())
		welcomes := 0
		for _, state := range held {
			welcomes += int(btoi(state == conversation.ReplyHeld))
		}
		if welcomes != 1 {
			t.Errorf("a customer who writes at once under the ids %v is welcomed by %d deliveries, want 1", forms, welcomes)
		}
		l.wantConversations(t, int64(i+1))
	}
}

func testOneWelcome(t *testing.T, l Ledger) {
	for i, forms := range [][]form{
		{byUserID, byBoth, byNumber}, {byNumber, byBoth, byUserID}, {byBoth, byUserID, byNumber}, {byBoth, byNumber, byUserID},
	} {
		welcomes := 0
		for n, f := range forms {
			m := f.of(fmt.Sprint("m", i, n), fmt.Sprintf("+96651000000%d", i), fmt.Sprintf("SA.%d", i), noon.Add(time.Duration(n)*time.Minute))
			recorded := l.record(t, m)
			if recorded.Welcome == conversation.ReplyHeld {
				welcomes++
				must(t, l.Recorder.Settle(t.Context(), goOn(m, recorded), conversation.Welcome))
			} else if recorded.Welcome != conversation.ReplySettled {
				t.Errorf("of the ids %v, message %d is recorded as %+v, want the welcome held or settled", forms, n, recorded)
			}
		}
		if welcomes != 1 {
			t.Errorf("a customer who writes under the ids %v is welcomed %d times, want once", forms, welcomes)
		}
	}
}

// testWelcomeMoves: a welcome is being sent under the user id when another message joins that id with a number. The welcome
// is still settled.
func testWelcomeMoves(t *testing.T, l Ledger) {
	m := byUserID.message("m1", noon)
	sending := goOn(m, l.record(t, m))
	joining := byBoth.message("m2", noon.Add(time.Second))
	if recorded := l.record(t, joining); recorded.Welcome != conversation.ReplyElsewhere {
		t.Errorf("a message during the welcome is recorded as %+v, want it with another delivery: the customer would be welcomed twice", recorded)
	}
	wantEqual(t, "renewed", l.claim(t, sending, conversation.Welcome), conversation.ReplyHeld)
	must(t, l.Recorder.Settle(t.Context(), sending, conversation.Welcome))
	if recorded := l.record(t, byNumber.message("m3", noon.Add(time.Hour))); recorded.Welcome != conversation.ReplySettled {
		t.Errorf("a message after the sent welcome is recorded as %+v, want it settled: the customer would be welcomed twice", recorded)
	}
}

// testNewOwner: a number that comes with another BSUID is a new customer, and the previous owner keeps their own messages.
func testNewOwner(t *testing.T, l Ledger) {
	l.record(t, byBoth.message("m1", noon))
	const second, third = "SA.2", "SA.3"
	owner := func(user string) func(id string, after time.Duration) conversation.Message {
		return func(id string, after time.Duration) conversation.Message {
			return byBoth.of(id, customer, user, noon.Add(after))
		}
	}
	recorded := l.record(t, owner(second)("m2", time.Minute))
	if !recorded.First || !recorded.Opened || recorded.Welcome != conversation.ReplyHeld || recorded.Home != customer {
		t.Errorf("a number's new owner is recorded as %+v, want a new customer, to be welcomed", recorded)
	}
	l.wantConversations(t, 2)
	for i, m := range []conversation.Message{
		owner(second)("n1", 2*time.Minute), byNumber.message("n2", noon.Add(3*time.Minute)), byUserID.of("n3", customer, second, noon.Add(4*time.Minute)),
	} {
		if recorded := l.record(t, m); recorded.First || recorded.Opened {
			t.Errorf("message %d of the number's new owner is recorded as %+v, want the same customer and session", i, recorded)
		}
	}
	// The previous owner's webhook, captured and posted again, stays a repeat, and doesn't take the number away.
	for day := range 3 {
		if again := l.record(t, owner(userID)("m1", time.Duration(day)*24*time.Hour)); !again.Repeat {
			t.Errorf("the former owner's webhook, posted again on day %d, is recorded as %+v, want a repeat", day, again)
		}
	}
	for i, m := range []conversation.Message{
		byUserID.of("n4", customer, second, noon.Add(5*time.Minute)), owner(second)("n5", 5*time.Minute),
	} {
		if recorded := l.record(t, m); recorded.First || recorded.Opened || recorded.Repeat || recorded.Home != customer {
			t.Errorf("message %d of the new owner after the captured webhook is recorded as %+v, want the same customer at %s", i, recorded, customer)
		}
	}
	l.record(t, byUserID.of("t0", customer, third, noon.Add(5*time.Minute))) // the customer was known by a user id only
	l.wantConversations(t, 3)
	if recorded := l.record(t, owner(third)("t1", 6*time.Minute)); recorded.First || recorded.Opened || recorded.Home != customer {
		t.Errorf("the third owner, known by a user id, is recorded as %+v, want no new conversation, and home %s", recorded, customer)
	}
	l.wantConversations(t, 3)
}

func testOthersUserID(t *testing.T, l Ledger) {
	l.record(t, byBoth.message("m1", noon))
	const other = "+966500000009"
	for i, want := range []bool{true, false, false} {
		recorded := l.record(t, byBoth.of(fmt.Sprint("n", i), other, userID, noon.Add(time.Duration(i)*time.Minute)))
		if recorded.First != want || recorded.Home != other {
			t.Errorf("message %d of another number under a known user id is recorded as %+v, want first %t and home %s", i, recorded, want, other)
		}
	}
	if recorded := l.record(t, byUserID.message("m2", noon.Add(time.Hour))); recorded.Home != customer || recorded.Opened {
		t.Errorf("a message under the user id alone is recorded as %+v, want its first number's session", recorded)
	}
	l.wantConversations(t, 2)
}

func testOptOutByEither(t *testing.T, l Ledger) {
	l.tell(t, saying(conversation.OptsOut, byUserID.message("m1", noon)), false, true)
	l.tell(t, byNumber.message("m2", noon), false, false)
	l.tell(t, byBoth.message("m3", noon.Add(time.Minute)), true, true)
	l.tell(t, byNumber.message("m4", noon.Add(2*time.Minute)), true, true)
	l.tell(t, saying(conversation.OptsIn, byUserID.message("m5", noon.Add(3*time.Minute))), true, false)
	l.tell(t, saying(conversation.OptsOut, byBoth.message("m6", noon.Add(4*time.Minute))), false, true)
	l.tell(t, byUserID.message("m7", noon.Add(5*time.Minute)), true, true)
	l.wantConversations(t, 1)
	// An opt-out applies to the other id too.
	const number, user = "+966500000008", "SA.8"
	l.tell(t, saying(conversation.OptsOut, byBoth.of("n1", number, user, noon)), false, true)
	l.tell(t, byUserID.of("n2", number, user, noon.Add(time.Minute)), true, true)
	l.tell(t, byNumber.of("n3", number, user, noon.Add(time.Minute)), true, true)
	l.wantConversations(t, 2)
	// It also does if its delivery broke off in between and was repeated.
	broken := saying(conversation.OptsOut, byBoth.of("b1", "+966500000007", "SA.7", noon))
	if _, err := l.Recorder.Record(l.Break(t.Context(), 1), broken); err == nil {
		t.Fatal("the opt-out was recorded whole, though the process died after its first write: this case proves nothing")
	}
	if _, err := l.Recorder.Record(t.Context(), broken); err != nil {
		t.Fatalf("recording the opt-out again: %v", err)
	}
	l.tell(t, byUserID.of("b2", "+966500000007", "SA.7", noon.Add(time.Minute)), true, true)
}

func testRepeatsOfBoth(t *testing.T, l Ledger) {
	for i, f := range []form{byUserID, byBoth, byNumber, byUserID} {
		m := f.message(fmt.Sprint("m", i), noon.Add(time.Duration(i)*time.Minute))
		l.record(t, m)
		for range 2 {
			m.ReceivedAt = m.ReceivedAt.Add(time.Second)
			if again := l.record(t, m); !again.Repeat || again.First != (i == 0) {
				t.Errorf("message %d, repeated under another of the customer's ids, is recorded as %+v, want a repeat, first %t", i, again, i == 0)
			}
		}
	}
	l.wantConversations(t, 1)
}

func testCustomersFromElsewhere(t *testing.T, l Ledger) {
	const other, quiet = "+966500000002", "SA.4"
	l.record(t, byUserID.message("m0", noon.Add(-time.Hour))) // a customer known by the user id now comes with a number too
	rows := []conversation.Session{
		{RestaurantID: "r00001", Customer: customer, UserID: userID, OpenedAt: noon, LastMessageAt: noon.Add(time.Hour), Messages: 3, Welcomed: true},
		{RestaurantID: "r00001", Customer: other, OpenedAt: noon, LastMessageAt: noon, Messages: 1, Welcomed: true, OptedOut: true},
		{RestaurantID: "r00001", Customer: "SA.3", OpenedAt: noon, LastMessageAt: noon, Messages: 1, Welcomed: true},
		{RestaurantID: "r00001", Customer: quiet, OptedOut: true},
	}
	for again, changed := range []bool{true, false} {
		for i, row := range rows {
			_, err := l.Store.MergeActivity(t.Context(), row.RestaurantID, usage.Activity{First: row.OpenedAt, Last: row.LastMessageAt})
			must(t, err)
			got, err := l.Store.MergeSession(t.Context(), row)
			must(t, err)
			if got != changed {
				t.Errorf("importing row %d for time %d changed something: %t, want %t", i, again+1, got, changed)
			}
		}
	}
	var stored []conversation.Session
	must(t, l.Store.EachSession(t.Context(), func(s conversation.Session) error {
		stored = append(stored, s)
		return nil
	}))
	slices.SortFunc(stored, func(a, b conversation.Session) int { return strings.Compare(a.Customer, b.Customer) })
	rows[0].Welcomed = false // m0's welcome is still due
	rows[3].Welcomed = true  // no welcome is due
	wantEqual(t, "sessions", stored, rows)
	l.tell(t, byUserID.message("m1", noon.Add(2*time.Hour)), false, false)
	l.tell(t, byNumber.of("m2", other, "", noon.Add(2*time.Hour)), true, true)
	l.wantConversations(t, 1) // that of m0
	l.tell(t, byUserID.of("m3", "", quiet, noon.Add(2*time.Hour)), true, true)
	l.wantConversations(t, 2)
}

// testBrokenOffBetween: a delivery with both ids dies after each of its writes, and messages of all forms come before it is
// repeated. Each conversation is counted once, whichever delivery counts it.
func testBrokenOffBetween(t *testing.T, l Ledger) {
	want := int64(0)
	for before, known := range map[string][]form{"new": nil, "by number": {byNumber}, "by user id": {byUserID}, "by either": {byNumber, byUserID}} {
		for writes := 1; writes <= 6; writes++ {
			for _, then := range [][]form{nil, {byNumber}, {byUserID}, {byBoth}, {byUserID, byNumber}} {
				at := noon
				person := fmt.Sprint(before, writes, then)
				number, user := fmt.Sprintf("+966%09d", want*7+int64(writes)), fmt.Sprint("SA.x", want, "y", writes, len(then))
				if len(then) > 0 {
					user += fmt.Sprint(int(then[0]))
				}
				number += fmt.Sprint(len(then))
				next := func(f form) conversation.Message {
					at = at.Add(time.Second)
					return f.of(fmt.Sprint(person, at.Unix()), number, user, at)
				}
				for _, f := range known {
					l.record(t, next(f))
				}
				broken := next(byBoth)
				_, _ = Record(l.Break(context.Background(), writes), l.Recorder, broken)
				for _, f := range then {
					l.record(t, next(f))
				}
				broken.ReceivedAt = at.Add(time.Second)
				l.record(t, broken)
				want += max(1, int64(len(known)))
				count, _ := l.count(t, "r00001")
				if count.Conversations != want {
					t.Fatalf("after %s, a process that died after %d writes, and then %v, %d conversations are billed, want %d", before, writes, then, count.Conversations, want)
				}
			}
		}
	}
}

// person is a customer with both ids in the model.
type person struct {
	number, user string
	last         [2]time.Time // latest message under the number, and under the BSUID
	joined       bool
}

// receive notes a person's message in the model, and reports whether it opens a session.
func (p *person) receive(f form, at time.Time) bool {
	if f == byBoth && !p.joined {
		p.joined = true
		p.last[0] = latest(p.last[0], p.last[1])
	}
	side := 0
	if f == byUserID && !p.joined {
		side = 1
	}
	last := p.last[side]
	p.last[side] = latest(last, at)
	return last.IsZero() || !at.Before(last.Add(conversation.SessionLength))
}

// streamOfCustomers: some customers write in any form and order, also at the same time, with repeats and with processes that
// die. Each session is counted once. Sessions of a customer are joined by the first message with both ids.
func streamOfCustomers(t *testing.T, rt *rapid.T, newLedger func(testing.TB, usage.Calendar) Ledger) {
	l := newLedger(t, usage.NewCalendar(nil))
	create(t, l.Store, Restaurant(1), nil)
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	people := make([]*person, 2)
	for i := range people {
		people[i] = &person{number: fmt.Sprintf("+96650000000%d", i), user: fmt.Sprint("SA.", i)}
	}
	var want int64
	var sent []conversation.Message
	deliver := func(ctx context.Context, ms ...conversation.Message) error {
		var group errgroup.Group
		for i, m := range ms {
			m.ReceivedAt, m.Delivery = now, fmt.Sprint(len(sent), "/", i)
			welcoming := rapid.Bool().Draw(rt, "welcoming")
			group.Go(func() error {
				if welcoming {
					return recordWelcoming(ctx, l.Recorder, m)
				}
				_, err := Record(ctx, l.Recorder, m)
				return err
			})
		}
		return group.Wait()
	}
	check := func() {
		record, err := l.Store.Usage(context.Background(), "r00001", []usage.Month{november})
		if err != nil {
			rt.Fatalf("reading the stored usage: %v", err)
		}
		if got := record.Months[november].Conversations; got != want {
			rt.Fatalf("%d conversations are billed at %v, want %d", got, now, want)
		}
	}
	for i := range rapid.IntRange(1, 14).Draw(rt, "messages") {
		now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour, 23 * time.Hour, 24 * time.Hour, 30 * time.Hour}).Draw(rt, "pause"))
		p := rapid.SampledFrom(people).Draw(rt, "person")
		f := rapid.SampledFrom([]form{byNumber, byUserID, byBoth}).Draw(rt, "form")
		m := f.of(fmt.Sprint("m", i), p.number, p.user, now)
		group := []conversation.Message{m}
		fresh := p.last[0].IsZero() && p.last[1].IsZero()
		want += btoi(p.receive(f, now))
		switch rapid.IntRange(0, 3).Draw(rt, "how") {
		case 0: // dies, and is repeated
			if deliver(l.Break(context.Background(), rapid.IntRange(1, 5).Draw(rt, "writes")), m) == nil {
				break
			}
			now = now.Add(rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(rt, "until again"))
			p.last[0], p.last[1] = moved(p, f, now)
		case 1: // at the same time as other messages, any of which may open the session
			for range rapid.IntRange(1, 3).Draw(rt, "beside") {
				another := f
				if p.joined && (fresh || f != byBoth) {
					another = rapid.SampledFrom([]form{f, byBoth}).Draw(rt, "another form")
				}
				beside := another.of(fmt.Sprint("m", i, "/", len(group)), p.number, p.user, now)
				group = append(group, beside, m) // with a copy
				want += btoi(p.receive(another, now))
			}
		}
		if err := deliver(context.Background(), group...); err != nil {
			rt.Fatalf("delivering the messages: %v", err)
		}
		sent = append(sent, group...)
		if again := sent[max(0, len(sent)-16):]; rapid.Bool().Draw(rt, "repeat") {
			if err := deliver(context.Background(), rapid.SampledFrom(again).Draw(rt, "again")); err != nil {
				rt.Fatalf("delivering the messages: %v", err)
			}
		}
		check()
	}
}

// moved returns a person's latest messages after a repeated delivery: the repeat may be the delivery that counts.
func moved(p *person, f form, at time.Time) (number, user time.Time) {
	if f == byUserID && !p.joined {
		return p.last[0], latest(p.last[1], at)
	}
	return latest(p.last[0], at), p.last[1]
}
