package conversation_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/task"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// TestCountOfAConversationSettlesItsWelcome: a new customer's welcome needs no write of its own, and isn't sent again.
func TestCountOfAConversationSettlesItsWelcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.mustReceive(t, "m1", "hello")
		if f.recorder.settled != 0 {
			t.Errorf("the welcome was settled %d times by a write of its own, want by the count alone", f.recorder.settled)
		}
		f.wantConversations(t, 1)
		time.Sleep(conversation.LeaseLength)
		f.mustReceive(t, "m1", "hello")
		f.wantReceived(t, welcome)
		f.wantConversations(t, 1)
	})
}

// TestBusyMonthDoesNotHoldUpAWelcome: while other customers are counted, the welcome is settled by a separate write, before
// the conversation is counted.
func TestBusyMonthDoesNotHoldUpAWelcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.recorder.busy = true
		f.recorder.complete = func(recorded conversation.Recorded) {
			time.Sleep(5 * time.Second) // other customers are counted first
			if !recorded.Uncounted {
				t.Error("an uncounted conversation was completed as a counted one: the restaurant isn't billed for it")
			}
			f.recorder.mu.Lock()
			defer f.recorder.mu.Unlock()
			if f.recorder.settled != 1 {
				t.Errorf("the welcome was settled %d times before the conversation was counted, want once: it may be sent again", f.recorder.settled)
			}
		}
		f.mustReceive(t, "m1", "hello")
		f.wantReceived(t, welcome)
		f.wantConversations(t, 1)
	})
}

// TestSlowTwilioDoesNotHoldUpTheCount: a conversation is counted while its welcome is still being sent, and also if the
// welcome is never sent.
func TestSlowTwilioDoesNotHoldUpTheCount(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		takes time.Duration
		fails bool
		count time.Duration // after the message came
	}{
		"taken after 5 s":     {takes: 5 * time.Second, count: 800 * time.Millisecond},
		"refused after 5 s":   {takes: 5 * time.Second, fails: true, count: 800 * time.Millisecond},
		"refused after 0.1 s": {takes: 100 * time.Millisecond, fails: true, count: 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setup(t).ticking()
				f.phones.before = func(context.Context, sent) error {
					time.Sleep(test.takes)
					if test.fails {
						return errDown
					}
					return nil
				}
				start := time.Now()
				f.recorder.complete = func(recorded conversation.Recorded) {
					if took := time.Since(start); took != test.count || !recorded.Uncounted {
						t.Errorf("the conversation is counted after %v (uncounted: %t), want after %v", took, recorded.Uncounted, test.count)
					}
				}
				if err := f.receive("m1", "hello"); (err != nil) != test.fails {
					t.Errorf("the message fails with %v, want a failure: %t", err, test.fails)
				}
				f.wantConversations(t, 1)
			})
		})
	}
}

// TestStalledStoreDelaysTheNoteOfAWelcomeByLessThanASecond: if the month's table doesn't answer, a sent welcome is settled by a
// write of its own.
func TestStalledStoreDelaysTheNoteOfAWelcomeByLessThanASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.recorder.countWelcomed = func(ctx context.Context) bool {
			<-ctx.Done()
			return false
		}
		start := time.Now()
		f.recorder.complete = func(conversation.Recorded) {
			if took := time.Since(start); took != 800*time.Millisecond {
				t.Errorf("the count was tried again after %v, want 800ms", took)
			}
		}
		f.mustReceive(t, "m1", "hello")
		if f.recorder.settled != 1 {
			t.Errorf("a sent welcome was settled %d times, want once: it may be sent again", f.recorder.settled)
		}
		f.wantReceived(t, welcome)
		f.wantConversations(t, 1)
	})
}

// TestPanicBesideAWelcomeLosesNothing: a panic of the store or of the sender fails the message and not the process. A sent
// welcome is settled, and the conversation counts once, with this delivery or the next.
func TestPanicBesideAWelcomeLosesNothing(t *testing.T) {
	t.Parallel()
	receive := func(f *fixture) (err error) {
		defer task.Recover(&err) // as the HTTP edge does
		return f.receive("m1", "hello")
	}
	for name, test := range map[string]struct {
		fault   func(f *fixture)
		settled int
		counted int64
	}{
		"of the count":  {func(f *fixture) { f.recorder.countWelcomed = func(context.Context) bool { panic("broken") } }, 1, 0},
		"of the sender": {func(f *fixture) { f.phones.before = func(context.Context, sent) error { panic("broken") } }, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := setup(t).ticking()
				test.fault(f)
				if err := receive(f); !task.IsPanic(err) {
					t.Errorf("the message ends with %v, want the panic, so that Twilio delivers it again", err)
				}
				if f.recorder.settled != test.settled {
					t.Errorf("the welcome was settled %d times, want %d", f.recorder.settled, test.settled)
				}
				f.wantConversations(t, test.counted)
				f.recorder.countWelcomed, f.phones.before = nil, nil
				time.Sleep(conversation.LeaseLength)
				f.mustReceive(t, "m1", "hello")
				f.wantReceived(t, welcome)
				f.wantConversations(t, 1)
			})
		})
	}
}

func (f *fixture) wantConversations(t *testing.T, want int64) {
	t.Helper()
	month := usage.NewCalendar(nil).Month(f.Now())
	record, err := f.store.Usage(t.Context(), f.tenant.Restaurant.ID, []usage.Month{month})
	if err != nil {
		t.Fatalf("reading the stored usage: %v", err)
	}
	if got := record.Months[month].Conversations; got != want {
		t.Errorf("the restaurant is billed %d conversations, want %d", got, want)
	}
}
