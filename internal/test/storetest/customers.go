package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// ExerciseCustomers runs the suite of what a recorder knows of customers beside their sessions.
func ExerciseCustomers(t *testing.T, newLedger func(t testing.TB, calendar usage.Calendar) Ledger) {
	for name, test := range map[string]func(*testing.T, Ledger){
		"opting out opens nothing":           testOptOutOpensNothing,
		"opting out in a session":            testOptOutInSession,
		"opting out again and again":         testOptOutReplayed,
		"opting out beside opening":          testOptOutBesideOpening,
		"the welcome waits for an opting in": testWelcomeAfterOptIn,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, usage.NewCalendar(nil))
			create(t, l.Store, Restaurant(1), nil)
			test(t, l)
		})
	}
}

func saying(consent conversation.Consent, m conversation.Message) conversation.Message {
	m.Consent = consent
	return m
}

// tell records a message that opts out or in, and holds what is known after it to the flags.
func (l Ledger) tell(t *testing.T, m conversation.Message, before, after bool) conversation.Recorded {
	t.Helper()
	recorded, err := l.Recorder.Record(t.Context(), m)
	must(t, err)
	if m.Consent != conversation.OptsOut {
		must(t, l.Recorder.Complete(t.Context(), m, recorded))
	} else if recorded.Opened || recorded.Uncounted || recorded.Welcome != conversation.ReplySettled {
		t.Errorf("%s opts out, and leaves to be done: %+v", m.ID, recorded)
	}
	if recorded.OptedBefore != before || recorded.OptedOut != after {
		t.Errorf("%s: opted out before %t, after %t, want %t and %t", m.ID, recorded.OptedBefore, recorded.OptedOut, before, after)
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
	// Whoever writes nevertheless opens a conversation, as everybody does.
	recorded := l.tell(t, message("m3", customer, noon.Add(time.Minute)), true, true)
	if !recorded.Opened || !recorded.First {
		t.Errorf("the first message: %+v", recorded)
	}
	l.wantConversations(t, 1)
}

func testOptOutInSession(t *testing.T, l Ledger) {
	l.record(t, message("m1", customer, noon))
	l.tell(t, saying(conversation.OptsOut, message("m2", customer, noon.Add(23*time.Hour))), false, true)
	l.tell(t, message("m3", customer, noon.Add(25*time.Hour)), true, true) // opting out kept no session open
	l.wantConversations(t, 2)
	l.tell(t, saying(conversation.OptsIn, message("m4", customer, noon.Add(26*time.Hour))), true, false)
	l.tell(t, message("m5", customer, noon.Add(27*time.Hour)), false, false)
	l.wantConversations(t, 2)
	l.tell(t, saying(conversation.OptsOut, message("m6", customer, noon.Add(27*time.Hour))), false, true)
	l.tell(t, saying(conversation.OptsIn, message("m7", customer, noon.Add(99*time.Hour))), true, false) // opens a session
	l.tell(t, saying(conversation.OptsOut, message("m8", customer, noon.Add(99*time.Hour))), false, true)
	l.tell(t, saying(conversation.OptsIn, message("m9", customer, noon.Add(98*time.Hour))), true, false) // overtaken
	l.wantConversations(t, 3)
}

// testOptOutReplayed: a captured webhook that opts out doesn't opt a customer out who has opted in since.
func testOptOutReplayed(t *testing.T, l Ledger) {
	l.record(t, message("m0", customer, noon))
	out, in := saying(conversation.OptsOut, message("m1", customer, noon)), saying(conversation.OptsIn, message("m2", customer, noon.Add(time.Second)))
	l.tell(t, out, false, true)
	for again := range 40 { // more than the ids that are kept
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
			t.Errorf("replayed on day %d: %+v", day, recorded)
		}
	}
	l.tell(t, message("m3", customer, out.ReceivedAt.Add(time.Hour)), false, false)
}

// testOptOutBesideOpening: a crowd of messages, one of which opts out, opens one conversation.
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
		t.Errorf("opted in: %+v", recorded)
	}
	wantEqual(t, "claim", l.claim(t, in, conversation.Welcome), conversation.ReplyHeld)
	must(t, l.Recorder.Settle(t.Context(), in, conversation.Welcome))
	if recorded := l.tell(t, message("m5", customer, noon.Add(4*time.Minute)), false, false); recorded.Welcome != conversation.ReplySettled {
		t.Errorf("after the welcome: %+v", recorded)
	}
}
