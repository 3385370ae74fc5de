package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Ledger is a recorder, with the store that shows what was recorded.
type Ledger struct {
	Store        Store
	Recorder     conversation.Recorder
	QuotaAlerter conversation.QuotaAlerter // over the same store
	// Break returns the context of a process that dies right after the given number of successful writes, without the answer
	// to the last. It is nil if a recorder can't break off.
	Break func(ctx context.Context, writes int) context.Context
}

// ExerciseRecorder tests recorders. newLedger returns an empty ledger that counts in the calendar.
func ExerciseRecorder(t *testing.T, newLedger func(t testing.TB, calendar usage.Calendar) Ledger) {
	for name, test := range map[string]func(*testing.T, Ledger){
		"a session of 24 hours is one conversation":                    testSessions,
		"customers and restaurants are told apart":                     testSeparateSessions,
		"a repeated webhook counts once":                               testRepeats,
		"a captured webhook counts nothing for good":                   testLateRepeats,
		"messages out of order count as in order":                      testOutOfOrder,
		"copies at the same moment count once":                         testCopies,
		"a customer who writes several times at once is welcomed once": testFirstMessages,
		"many customers at once are each counted":                      testManyCustomers,
		"the welcome is sent by one delivery":                          testWelcome,
		"a welcome is settled by the count of its conversation":        testWelcomeCounted,
		"a welcome whose sender dies is taken over":                    testWelcomeLease,
		"a released welcome can be claimed":                            testWelcomeRelease,
		"answers belong to their messages":                             testAnswers,
		"answers that the ledger settles":                              testAnswersInLedger,
		"messages after an ad are free for 72 hours":                   testFromAd,
		"messages are tallied by day":                                  testTally,
		"sessions are listed, newest first":                            testSessionList,
		"open sessions are counted":                                    testActiveSessions,
		"the ranking follows conversations and limits":                 testWatch,
		"the ranking is right after races":                             testFullestDuringRaces,
		"one delivery claims an alert":                                 testAlertsClaimed,
		"alerts are told again after a top-up":                         testAlertsToldAgain,
		"an imported open session is extended":                         testOpenImport,
		"an imported closed session is followed by a new one":          testClosedImport,
		"importing keeps the sessions recorded here":                   testImportOverLive,
		"an imported customer with a due welcome gets it":              testWelcomeImport,
		"imported sessions are shown":                                  testSessionsFromElsewhere,
		"importing counts during messages counts nothing twice":        testMergeWhileCounting,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger(t, usage.NewCalendar(nil))
			create(t, l.Store, Restaurant(1), nil)
			create(t, l.Store, Restaurant(2), nil)
			test(t, l)
		})
	}
	t.Run("any stream of messages", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) { streamOfMessages(t, rt, newLedger) })
	})
	t.Run("any sequence of changes", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) { sequenceOfChanges(t, rt, newLedger) })
	})
}

// noon is the time of the tests' first messages.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func message(id, customer string, at time.Time) conversation.Message {
	return conversation.Message{
		ID: id, RestaurantID: "r00001", Customer: customer, ReceivedAt: at, Delivery: fmt.Sprint(id, "@", at.UnixNano()),
	}
}

const customer = "+966500000001"

// Record records a message and completes its counts, as a delivery does.
func Record(ctx context.Context, r conversation.Recorder, m conversation.Message) (conversation.Recorded, error) {
	recorded, err := r.Record(ctx, m)
	if err == nil {
		err = r.Complete(ctx, m, recorded)
	}
	return recorded, err
}

// recordWelcoming is Record for a delivery that has sent the welcome, if it is due from this delivery, before it counts.
func recordWelcoming(ctx context.Context, r conversation.Recorder, m conversation.Message) error {
	recorded, err := r.Record(ctx, m)
	if err != nil {
		return err
	}
	if recorded.Welcome == conversation.ReplyHeld && recorded.Uncounted {
		recorded.Uncounted = !r.CountWelcomed(ctx, m, recorded)
	}
	return r.Complete(ctx, m, recorded)
}

func (l Ledger) record(t *testing.T, m conversation.Message) conversation.Recorded {
	t.Helper()
	recorded, err := Record(t.Context(), l.Recorder, m)
	must(t, err)
	return recorded
}

// claim claims a reply for a delivery at the time of that delivery.
func (l Ledger) claim(t *testing.T, m conversation.Message, r conversation.Reply) conversation.ReplyState {
	t.Helper()
	state, err := l.Recorder.Claim(t.Context(), m, r, m.ReceivedAt)
	must(t, err)
	return state
}

// count returns the stored figures of this month.
func (l Ledger) count(t *testing.T, restaurantID string) (usage.MonthCount, usage.Activity) {
	t.Helper()
	record, err := l.Store.Usage(t.Context(), restaurantID, []usage.Month{november})
	must(t, err)
	return record.Months[november], record.Activity
}

func (l Ledger) wantConversations(t *testing.T, want int64) {
	t.Helper()
	count, _ := l.count(t, "r00001")
	if count.Conversations != want {
		t.Errorf("the restaurant is billed %d conversations, want %d", count.Conversations, want)
	}
}

// testAnswersInLedger: once the ledger shows that Twilio took an answer, the answer is settled for all other deliveries, even
// if its sender died. If the answer failed, or nothing is known, the next delivery after the lease sends it.
func testAnswersInLedger(t *testing.T, l Ledger) {
	for i, test := range []struct {
		what          string
		entered       delivery.Status
		released      bool
		before, after conversation.ReplyState // of a repeat: during the lease, and after it
	}{
		{"nothing", delivery.Unknown, false, conversation.ReplyElsewhere, conversation.ReplyHeld},
		{"sent", delivery.Sent, false, conversation.ReplySettled, conversation.ReplySettled},
		{"delivered", delivery.Delivered, false, conversation.ReplySettled, conversation.ReplySettled},
		{"read", delivery.Read, false, conversation.ReplySettled, conversation.ReplySettled},
		{"failed", delivery.Failed, false, conversation.ReplyElsewhere, conversation.ReplyHeld},
		{"nothing, and given back", delivery.Unknown, true, conversation.ReplyHeld, conversation.ReplyHeld},
		{"sent, though it was given back", delivery.Sent, true, conversation.ReplySettled, conversation.ReplySettled},
	} {
		first := message(fmt.Sprint("m", i), fmt.Sprintf("+96651000000%d", i), noon.Add(time.Duration(i)*time.Minute))
		first.Asks, first.Place = true, entry(23, pageOne, i, delivery.Sent).Place
		if got := l.record(t, first).Answer; got != conversation.ReplyHeld {
			t.Fatalf("%s: the first delivery doesn't hold the right to answer: %d", test.what, got)
		}
		if test.entered != delivery.Unknown {
			must(t, l.Store.Enter(t.Context(), first.RestaurantID, entry(23, pageOne, i, test.entered)))
		}
		if test.released {
			must(t, l.Recorder.Release(t.Context(), first, conversation.Answer))
		}
		repeat := first
		repeat.Delivery, repeat.Place, repeat.ReceivedAt = "another", entry(23, pageTwo, i, delivery.Sent).Place, first.ReceivedAt.Add(time.Second)
		if got := l.claim(t, repeat, conversation.Answer); got != test.before {
			t.Errorf("%s: while the lease lasts, the answer is %d to a repeat, want %d", test.what, got, test.before)
		}
		repeat.ReceivedAt = repeat.ReceivedAt.Add(conversation.LeaseLength)
		if got := l.claim(t, repeat, conversation.Answer); got != test.after {
			t.Errorf("%s: after the lease, the answer is %d to a repeat, want %d", test.what, got, test.after)
		}
		if test.after != conversation.ReplyHeld {
			continue
		}
		// The repeat's answer has a place of its own, where the third delivery finds it.
		must(t, l.Store.Enter(t.Context(), first.RestaurantID, entry(23, pageTwo, i, delivery.Sent)))
		third := repeat
		third.Delivery, third.ReceivedAt = "a third", repeat.ReceivedAt.Add(time.Second)
		if got := l.claim(t, third, conversation.Answer); got != conversation.ReplySettled {
			t.Errorf("%s: after a repeat was sent, the answer is %d, want settled", test.what, got)
		}
	}
}

// testFromAd: for 72 hours after a message from an ad, messages to the customer are free: in every session, and under both of
// the customer's ids.
func testFromAd(t *testing.T, l Ledger) {
	const userID = "SA.13491208655302741918"
	ad := func(m conversation.Message) conversation.Message { m.FromAd = true; return m }
	as := func(m conversation.Message, userID string) conversation.Message { m.UserID = userID; return m }
	free := noon.Add(conversation.FreeEntryPoint)
	for _, step := range []struct {
		what string
		m    conversation.Message
		want time.Time
	}{
		{"the first message", ad(message("m1", customer, noon)), free},
		{"a repeat of it", ad(message("m1", customer, noon.Add(time.Second))), free},
		{"one in its session", message("m2", customer, noon.Add(time.Hour)), free},
		{"one that opens the next session", message("m3", customer, noon.Add(30*time.Hour)), free},
		{"one that tells the user id", as(message("m4", customer, noon.Add(31*time.Hour)), userID), free},
		{"another customer's", message("m5", "+966500000002", noon.Add(31*time.Hour)), time.Time{}},
		{"another customer's from an ad, in a session", ad(message("m6", "+966500000002", noon.Add(32*time.Hour))), noon.Add(104 * time.Hour)},
		{"one by a user id alone", ad(message("m7", "SA.99", noon.Add(33*time.Hour))), noon.Add(105 * time.Hour)},
		{"one that makes the two one", as(message("m8", "+966500000002", noon.Add(34*time.Hour)), "SA.99"), noon.Add(105 * time.Hour)},
		{"the next from an ad, in a session that comes back", ad(message("m9", customer, noon.Add(80*time.Hour))), noon.Add(152 * time.Hour)},
	} {
		if got := l.record(t, step.m).FreeUntil; !got.Equal(step.want) {
			t.Errorf("after %s messages are free until %v, want %v", step.what, got, step.want)
		}
	}
}

func testSessions(t *testing.T, l Ledger) {
	at := noon
	for i, step := range []struct {
		after time.Duration
		want  int64
	}{
		{0, 1},
		{time.Hour, 1},
		{conversation.SessionLength - time.Millisecond, 1}, // extended by the message before
		{conversation.SessionLength - time.Millisecond, 1},
		{conversation.SessionLength, 2}, // open until just before
		{conversation.SessionLength + time.Hour, 3},
	} {
		at = at.Add(step.after)
		recorded := l.record(t, message(fmt.Sprint("m", i), customer, at))
		if recorded.Repeat || recorded.First != (i == 0) || !recorded.At.Equal(at) {
			t.Errorf("message %d, %v after the one before, is recorded as %+v, want no repeat, first %t", i, step.after, recorded, i == 0)
		}
		l.wantConversations(t, step.want)
	}
	count, activity := l.count(t, "r00001")
	wantEqual(t, "days", count.Days, map[int]int64{23: 1, 26: 1, 27: 1})
	if !count.LastConversation.Equal(at) || !activity.LastConversation.Equal(at) ||
		!activity.First.Equal(noon) || !activity.Last.Equal(at) {
		t.Errorf("the times of the first and the latest message and conversation are wrong: month %+v, activity %+v", count, activity)
	}
}

func testSeparateSessions(t *testing.T, l Ledger) {
	l.record(t, message("m1", customer, noon))
	l.record(t, message("m2", "+966500000002", noon.Add(time.Minute)))
	other := message("m1", customer, noon.Add(2*time.Minute)) // the same id counts for another restaurant
	other.RestaurantID = "r00002"
	if recorded := l.record(t, other); recorded.Repeat || !recorded.First {
		t.Errorf("a message with an id that another restaurant's message has is recorded as %+v, want a first message", recorded)
	}
	l.wantConversations(t, 2)
	if count, _ := l.count(t, "r00002"); count.Conversations != 1 {
		t.Errorf("the other restaurant is billed %d conversations, want 1", count.Conversations)
	}
}

func testRepeats(t *testing.T, l Ledger) {
	l.record(t, message("m1", customer, noon))
	l.record(t, message("m2", customer, noon.Add(time.Hour)))
	before, activity := l.count(t, "r00001")
	for _, after := range []time.Duration{time.Millisecond, time.Hour, 23 * time.Hour, conversation.RepeatWindow - time.Millisecond} {
		recorded := l.record(t, message("m1", customer, noon.Add(after)))
		if !recorded.Repeat || !recorded.First || !recorded.At.Equal(noon) {
			t.Errorf("a webhook repeated after %v is recorded as %+v, want a repeat of the first message", after, recorded)
		}
	}
	after, activityAfter := l.count(t, "r00001")
	wantEqual(t, "month", after, before)
	wantEqual(t, "activity", activityAfter, activity)
	// The repeats haven't extended the session: it ends a day after m2.
	l.record(t, message("m3", customer, noon.Add(25*time.Hour)))
	l.wantConversations(t, 2)
}

// testLateRepeats: the ids of a customer's latest 16 messages are known forever, and all ids of the last RepeatWindow,
// however many.
func testLateRepeats(t *testing.T, l Ledger) {
	for i := range 60 { // within the window, more ids than are kept forever
		l.record(t, message(fmt.Sprint("m", i), customer, noon.Add(time.Duration(i)*time.Minute)))
	}
	for i := range 60 {
		if recorded := l.record(t, message(fmt.Sprint("m", i), customer, noon.Add(23*time.Hour))); !recorded.Repeat {
			t.Errorf("m%d, repeated within the window, is recorded as %+v, want a repeat", i, recorded)
		}
	}
	l.wantConversations(t, 1)
	const overtaken = "+966500000002" // each message of this customer arrives before an older message
	for i := range 60 {
		l.record(t, message(fmt.Sprint("o", i), overtaken, noon.Add(time.Duration(60-i)*time.Minute)))
	}
	for i := range 60 {
		if recorded := l.record(t, message(fmt.Sprint("o", i), overtaken, noon.Add(23*time.Hour))); !recorded.Repeat {
			t.Errorf("o%d of a customer whose messages overtook one another, repeated within the window, is recorded as %+v, want a repeat", i, recorded)
		}
	}
	l.wantConversations(t, 2)
	at := noon
	for day := range int64(5) { // one of these messages moves the ids to the earlier set
		at = at.Add(30 * time.Hour)
		for i := range 4 {
			l.record(t, message(fmt.Sprint("day ", day, " ", i), customer, at.Add(time.Duration(i)*time.Minute)))
		}
		l.wantConversations(t, day+3)
	}
	at = at.Add(300 * time.Hour)
	for day := range 5 {
		for i := range 4 {
			if day == 0 {
				continue // the latest sixteen
			}
			recorded := l.record(t, message(fmt.Sprint("day ", day, " ", i), customer, at))
			if !recorded.Repeat {
				t.Errorf("a captured webhook, message %d of day %d, posted again weeks later is recorded as %+v, want a repeat: it would open a conversation", i, day, recorded)
			}
		}
	}
	l.wantConversations(t, 7)
}

func testOutOfOrder(t *testing.T, l Ledger) {
	l.record(t, message("m2", customer, noon.Add(time.Second)))
	l.record(t, message("m1", customer, noon))
	l.record(t, message("m3", "+966500000002", noon.Add(-time.Second)))
	count, activity := l.count(t, "r00001")
	wantEqual(t, "conversations", count.Conversations, int64(2))
	if !count.LastConversation.Equal(noon.Add(time.Second)) || !activity.LastConversation.Equal(noon.Add(time.Second)) ||
		!activity.Last.Equal(noon.Add(time.Second)) || !activity.First.Equal(noon.Add(-time.Second)) {
		t.Errorf("the times of the first and the latest message and conversation are wrong: month %+v, activity %+v", count, activity)
	}
	wantEqual(t, "tally", activity.Messages.Days, map[int]int64{23: 3})
	// The session's end hasn't moved back either.
	l.record(t, message("m4", customer, noon.Add(conversation.SessionLength)))
	l.wantConversations(t, 2)
}

func testCopies(t *testing.T, l Ledger) {
	recorded := make([]conversation.Recorded, 8)
	claimed := make([][2]conversation.ReplyState, len(recorded))
	var group errgroup.Group
	for i := range recorded {
		m := message("m1", customer, noon)
		m.Delivery, m.Asks = fmt.Sprint("copy ", i), true
		group.Go(func() (err error) {
			if recorded[i], err = Record(t.Context(), l.Recorder, m); err != nil {
				return err
			}
			for r := range claimed[i] {
				if claimed[i][r], err = l.Recorder.Claim(t.Context(), m, conversation.Reply(r), noon); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, group.Wait())
	fresh, welcomers, answerers := 0, 0, 0
	for i, r := range recorded {
		fresh += int(btoi(!r.Repeat))
		welcomers += int(btoi(claimed[i][conversation.Welcome] == conversation.ReplyHeld))
		answerers += int(btoi(claimed[i][conversation.Answer] == conversation.ReplyHeld))
		if !r.First {
			t.Errorf("a copy of the customer's first message is recorded as %+v, want first", r)
		}
	}
	if fresh != 1 || welcomers != 1 || answerers != 1 {
		t.Errorf("of the copies at the same moment %d count as new, %d welcome the customer and %d answer; want one each", fresh, welcomers, answerers)
	}
	l.wantConversations(t, 1)
	_, activity := l.count(t, "r00001")
	wantEqual(t, "tally", activity.Messages.Days, map[int]int64{23: 1})
}

func btoi(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func testFirstMessages(t *testing.T, l Ledger) {
	recorded := make([]conversation.Recorded, 6)
	claimed := make([]conversation.ReplyState, len(recorded))
	var group errgroup.Group
	for i := range recorded {
		m := message(fmt.Sprint("m", i), customer, noon.Add(time.Duration(i)*time.Millisecond))
		group.Go(func() (err error) {
			if recorded[i], err = Record(t.Context(), l.Recorder, m); err == nil {
				claimed[i], err = l.Recorder.Claim(t.Context(), m, conversation.Welcome, m.ReceivedAt)
			}
			return err
		})
	}
	must(t, group.Wait())
	first, welcomers := 0, 0
	for i, r := range recorded {
		first += int(btoi(r.First))
		welcomers += int(btoi(claimed[i] == conversation.ReplyHeld))
	}
	if first != 1 || welcomers != 1 {
		t.Errorf("a customer wrote six times at once: %d messages count as the first, and %d welcome; want one each", first, welcomers)
	}
	l.wantConversations(t, 1)
}

func testManyCustomers(t *testing.T, l Ledger) {
	const n = 40
	var group errgroup.Group
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error {
			_, err := Record(t.Context(), l.Recorder, message(fmt.Sprint("m", i), fmt.Sprintf("+9665%08d", i), noon))
			return err
		})
	}
	must(t, group.Wait())
	l.wantConversations(t, n)
}

func testWelcome(t *testing.T, l Ledger) {
	first := message("m1", customer, noon)
	// The write that records the message also takes the lease on its welcome.
	if recorded := l.record(t, first); recorded.Welcome != conversation.ReplyHeld {
		t.Fatalf("a customer's first message is recorded as %+v, want the right to welcome with it", recorded)
	}
	wantEqual(t, "claim", l.claim(t, first, conversation.Welcome), conversation.ReplyHeld)
	// While the welcome is being sent, no other delivery may send it.
	copied := message("m1", customer, noon.Add(time.Second))
	second := message("m2", customer, noon.Add(2*time.Second))
	for _, m := range []conversation.Message{copied, second} {
		if recorded := l.record(t, m); recorded.Welcome != conversation.ReplyElsewhere || recorded.First != (m.ID == "m1") {
			t.Errorf("%s, while the welcome is being sent, is recorded as %+v, want the welcome with the other delivery: the customer would be welcomed twice", m.ID, recorded)
		}
		state, err := l.Recorder.Claim(t.Context(), m, conversation.Welcome, m.ReceivedAt)
		must(t, err)
		wantEqual(t, "claim", state, conversation.ReplyElsewhere)
		must(t, l.Recorder.Settle(t.Context(), m, conversation.Welcome)) // by a delivery that doesn't hold the lease
	}
	must(t, l.Recorder.Settle(t.Context(), first, conversation.Welcome))
	for i, after := range []time.Duration{3 * time.Second, time.Hour, 48 * time.Hour} {
		if recorded := l.record(t, message(fmt.Sprint("m", i+3), customer, noon.Add(after))); recorded.Welcome != conversation.ReplySettled {
			t.Errorf("%v after the sent welcome a message is recorded as %+v, want it settled: the customer would be welcomed again", after, recorded)
		}
	}
	state, err := l.Recorder.Claim(t.Context(), second, conversation.Welcome, noon.Add(time.Hour))
	must(t, err)
	wantEqual(t, "claim", state, conversation.ReplySettled)
}

// testWelcomeCounted: one write counts a conversation and settles its welcome, or does neither. No earlier or later call counts
// the conversation again.
func testWelcomeCounted(t *testing.T, l Ledger) {
	first := message("m1", customer, noon)
	recorded, err := l.Recorder.Record(t.Context(), first)
	must(t, err)
	copied := message("m1", customer, noon.Add(time.Second))
	if l.Recorder.CountWelcomed(t.Context(), copied, recorded) {
		t.Error("a delivery that isn't sending the welcome settled it: the customer may never be welcomed")
	}
	l.wantConversations(t, 0)
	if !l.Recorder.CountWelcomed(t.Context(), first, recorded) {
		t.Fatal("the conversation of a welcomed customer was not counted with the welcome")
	}
	l.wantConversations(t, 1)
	if l.Recorder.CountWelcomed(t.Context(), first, recorded) {
		t.Error("a welcome was settled twice")
	}
	state, err := l.Recorder.Claim(t.Context(), copied, conversation.Welcome, noon.Add(time.Hour))
	must(t, err)
	wantEqual(t, "the welcome to a repeat", state, conversation.ReplySettled)
	must(t, l.Recorder.Complete(t.Context(), first, recorded)) // a repeat completes what is complete
	l.wantConversations(t, 1)

	// The welcome fails while it is being counted: its text is due, and the conversation counts once all the same.
	second := message("m2", "+966500000002", noon.Add(time.Minute))
	recorded, err = l.Recorder.Record(t.Context(), second)
	must(t, err)
	failed := second
	failed.ID, failed.Delivery = "SM1", "callback"
	failure, err := l.Recorder.(conversation.WelcomeFailures).FailWelcome(t.Context(), failed, second.ReceivedAt)
	must(t, err)
	wantEqual(t, "the text", failure.State, conversation.ReplyHeld)
	if l.Recorder.CountWelcomed(t.Context(), second, recorded) {
		t.Error("a welcome that failed was settled: its text would never be sent")
	}
	must(t, l.Recorder.Complete(t.Context(), second, recorded))
	l.wantConversations(t, 2)

	// A conversation that began before another one, which is counted already.
	third, fourth := message("m3", "+966500000003", noon.Add(2*time.Minute)), message("m4", "+966500000004", noon.Add(3*time.Minute))
	recorded, err = l.Recorder.Record(t.Context(), third)
	must(t, err)
	l.record(t, fourth)
	if !l.Recorder.CountWelcomed(t.Context(), third, recorded) {
		t.Error("an overtaken conversation was not counted with its welcome")
	}
	l.wantConversations(t, 4)
	if count, _ := l.count(t, "r00001"); !count.LastConversation.Equal(fourth.ReceivedAt) {
		t.Errorf("the month's latest conversation is at %v, want %v", count.LastConversation, fourth.ReceivedAt)
	}
}

func testWelcomeLease(t *testing.T, l Ledger) {
	first := message("m1", customer, noon)
	l.record(t, first)
	l.claim(t, first, conversation.Welcome)
	later := noon.Add(conversation.LeaseLength)
	copied, second := message("m1", customer, later), message("m2", customer, later.Add(time.Millisecond))
	for _, m := range []conversation.Message{copied, second} {
		if recorded := l.record(t, m); recorded.Welcome != conversation.ReplyDue {
			t.Errorf("%s, after the welcome's sender died, is recorded as %+v, want the welcome due: the customer would never be welcomed", m.ID, recorded)
		}
	}
	state, err := l.Recorder.Claim(t.Context(), second, conversation.Welcome, second.ReceivedAt)
	must(t, err)
	wantEqual(t, "second's claim", state, conversation.ReplyHeld)
	state, err = l.Recorder.Claim(t.Context(), second, conversation.Welcome, second.ReceivedAt)
	must(t, err)
	wantEqual(t, "the same claim again", state, conversation.ReplyHeld)
	state, err = l.Recorder.Claim(t.Context(), copied, conversation.Welcome, second.ReceivedAt)
	must(t, err)
	wantEqual(t, "the copy's claim", state, conversation.ReplyElsewhere)
}

func testWelcomeRelease(t *testing.T, l Ledger) {
	first, copied := message("m1", customer, noon), message("m1", customer, noon.Add(time.Second))
	l.record(t, first)
	l.claim(t, first, conversation.Welcome)
	must(t, l.Recorder.Release(t.Context(), copied, conversation.Welcome)) // by a delivery that doesn't hold the lease
	if recorded := l.record(t, copied); recorded.Welcome != conversation.ReplyElsewhere {
		t.Errorf("a delivery that doesn't hold the welcome released it: %+v", recorded)
	}
	must(t, l.Recorder.Release(t.Context(), first, conversation.Welcome))
	if recorded := l.record(t, copied); recorded.Welcome != conversation.ReplyDue {
		t.Errorf("after its release the welcome is recorded as %+v, want due", recorded)
	}
	must(t, l.Recorder.Settle(t.Context(), first, conversation.Welcome)) // by a delivery that has lost the lease
	state, err := l.Recorder.Claim(t.Context(), copied, conversation.Welcome, copied.ReceivedAt)
	must(t, err)
	wantEqual(t, "claim", state, conversation.ReplyHeld)
}

func testAnswers(t *testing.T, l Ledger) {
	asking := func(id string, at time.Time) conversation.Message {
		m := message(id, customer, at)
		m.Asks = true
		return m
	}
	first, second := asking("m1", noon), asking("m2", noon.Add(time.Second))
	for _, m := range []conversation.Message{first, second} {
		if recorded := l.record(t, m); recorded.Answer != conversation.ReplyHeld {
			t.Errorf("the question %s is recorded as %+v, want the right to answer with it", m.ID, recorded)
		}
		wantEqual(t, "claim", l.claim(t, m, conversation.Answer), conversation.ReplyHeld)
	}
	must(t, l.Recorder.Settle(t.Context(), first, conversation.Answer))
	must(t, l.Recorder.Release(t.Context(), second, conversation.Answer))
	for id, want := range map[string]conversation.ReplyState{"m1": conversation.ReplySettled, "m2": conversation.ReplyDue} {
		if recorded := l.record(t, asking(id, noon.Add(time.Minute))); recorded.Answer != want {
			t.Errorf("the question %s, repeated, has the answer in state %v, want %v", id, recorded.Answer, want)
		}
	}
}

func testTally(t *testing.T, l Ledger) {
	l.record(t, message("m1", customer, noon))
	l.record(t, message("m2", customer, noon.Add(time.Hour)))
	l.record(t, message("m2", customer, noon.Add(2*time.Hour))) // a repeat
	l.record(t, message("m3", customer, noon.Add(24*time.Hour)))
	_, activity := l.count(t, "r00001")
	wantEqual(t, "tally", activity.Messages, usage.Tally{Month: november, Days: map[int]int64{23: 2, 24: 1}})

	december := time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)
	l.record(t, message("m4", customer, december))
	_, activity = l.count(t, "r00001")
	wantEqual(t, "tally", activity.Messages,
		usage.Tally{Month: usage.Month{Year: 2026, Month: time.December}, Days: map[int]int64{2: 1}})
}

// stream is a random stream of messages with the expected result.
type stream struct {
	t        *testing.T
	rt       *rapid.T
	ledger   Ledger
	calendar usage.Calendar
	now      time.Time

	messages []conversation.Message // all messages delivered so far
	broken   []conversation.Message // messages with a last delivery that broke off
	breaks   bool                   // whether deliveries break off at all
	model    model
}

// model is the simplest program that counts conversations.
type model struct {
	received map[string]time.Time // time of each message, by restaurant and id
	last     map[string]time.Time // latest message, by restaurant and customer
	tenants  map[string]*modelTenant
}

type modelTenant struct {
	days             map[string]int64 // conversations by date
	months           map[usage.Month]int64
	lastInMonth      map[usage.Month]time.Time
	first, last      time.Time
	lastConversation time.Time
	messages         map[string]int64 // by date
}

func newModel(restaurantIDs ...string) model {
	m := model{make(map[string]time.Time), make(map[string]time.Time), make(map[string]*modelTenant)}
	for _, id := range restaurantIDs {
		m.tenants[id] = &modelTenant{days: make(map[string]int64), months: make(map[usage.Month]int64),
			lastInMonth: make(map[usage.Month]time.Time), messages: make(map[string]int64)}
	}
	return m
}

// receive applies a delivery to the model. A delivery that breaks off after its first write is repeated before the model is
// compared, so by then it has had its whole effect.
func (md model) receive(c usage.Calendar, m conversation.Message) {
	key, at := m.RestaurantID+m.ID, m.ReceivedAt
	if _, seen := md.received[key]; seen {
		return
	}
	last, exists := md.last[m.RestaurantID+m.Customer]
	opens := !exists || !at.Before(last.Add(conversation.SessionLength))
	tenant := md.tenants[m.RestaurantID]
	md.received[key] = at
	tenant.messages[date(c, at)]++
	if opens {
		month := c.Month(at)
		tenant.days[date(c, at)]++
		tenant.months[month]++
		tenant.lastInMonth[month] = latest(tenant.lastInMonth[month], at)
		tenant.lastConversation = latest(tenant.lastConversation, at)
	}
	md.last[m.RestaurantID+m.Customer] = latest(last, at)
	if tenant.first.IsZero() || at.Before(tenant.first) {
		tenant.first = at
	}
	tenant.last = latest(tenant.last, at)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func date(c usage.Calendar, t time.Time) string { return fmt.Sprintf("%s-%02d", c.Month(t), c.Day(t)) }

func streamOfMessages(t *testing.T, rt *rapid.T, newLedger func(testing.TB, usage.Calendar) Ledger) {
	zone := rapid.SampledFrom([]string{"UTC", "Asia/Riyadh", "America/New_York"}).Draw(rt, "zone")
	location, err := time.LoadLocation(zone)
	if err != nil {
		rt.Fatalf("loading the time zone: %v", err)
	}
	s := &stream{
		t: t, rt: rt, calendar: usage.NewCalendar(location), model: newModel("r00001", "r00002"),
		now: time.Date(2026, 10, 30, 22, 0, 0, 0, time.UTC), // close to a month's end, and to a day of 25 hours in New York
	}
	s.ledger = newLedger(t, s.calendar)
	create(t, s.ledger.Store, Restaurant(1), nil)
	create(t, s.ledger.Store, Restaurant(2), nil)
	for range rapid.IntRange(1, 12).Draw(rt, "steps") {
		s.step()
	}
	s.mend()
	s.compare()
}

func (s *stream) step() {
	pause := rapid.SampledFrom([]time.Duration{
		0, 0, time.Millisecond, time.Second, time.Hour, 3 * time.Hour, conversation.SessionLength - time.Millisecond,
		conversation.SessionLength, conversation.SessionLength + time.Millisecond, 30 * time.Hour, 400 * time.Hour,
	}).Draw(s.rt, "pause")
	if pause > conversation.RepeatWindow/8 {
		s.mend() // so that repeats come within the window
		s.compare()
	}
	s.now = s.now.Add(pause)

	if rapid.IntRange(0, 3).Draw(s.rt, "kind") == 0 {
		// A message that broke off is older than the messages at the same time as its repeat. Any of them may open the
		// session, and each of these results is right.
		s.mend()
		group := make([]conversation.Message, rapid.IntRange(2, 5).Draw(s.rt, "together"))
		for i := range group {
			group[i] = s.draw(group[:i])
		}
		s.together(group)
		return
	}
	m := s.draw(nil)
	if s.ledger.Break != nil && rapid.IntRange(0, 2).Draw(s.rt, "break") == 0 {
		s.breakOff(m, rapid.IntRange(1, 3).Draw(s.rt, "writes"))
		return
	}
	s.together([]conversation.Message{m})
}

// draw returns a delivery of a new message, of an old message, or of a message in beside.
func (s *stream) draw(beside []conversation.Message) conversation.Message {
	known := slices.Concat(s.messages, beside)
	var m conversation.Message
	if len(known) > 0 && rapid.IntRange(0, 2).Draw(s.rt, "repeat") == 0 {
		m = rapid.SampledFrom(known[max(0, len(known)-16):]).Draw(s.rt, "message") // so many ids are known forever
	} else {
		m = conversation.Message{
			ID:           fmt.Sprint("m", len(known)),
			RestaurantID: rapid.SampledFrom([]string{"r00001", "r00002"}).Draw(s.rt, "restaurant"),
			Customer:     rapid.SampledFrom([]string{"+966500000001", "+966500000002", "+966500000003"}).Draw(s.rt, "customer"),
		}
	}
	m.ReceivedAt = s.now
	m.Delivery = fmt.Sprint(len(s.messages), "/", len(beside))
	return m
}

// recording draws whether deliveries settle a welcome by the count.
func (s *stream) recording() func(context.Context, conversation.Message) error {
	if rapid.Bool().Draw(s.rt, "welcoming") {
		return func(ctx context.Context, m conversation.Message) error {
			return recordWelcoming(ctx, s.ledger.Recorder, m)
		}
	}
	return func(ctx context.Context, m conversation.Message) error {
		_, err := Record(ctx, s.ledger.Recorder, m)
		return err
	}
}

func (s *stream) together(group []conversation.Message) {
	var g errgroup.Group
	for _, m := range group {
		record := s.recording()
		g.Go(func() error { return record(context.Background(), m) })
		s.model.receive(s.calendar, m)
		s.messages = append(s.messages, m)
		s.broken = slices.DeleteFunc(s.broken, func(b conversation.Message) bool {
			return b.ID == m.ID && b.RestaurantID == m.RestaurantID
		})
	}
	if err := g.Wait(); err != nil {
		s.rt.Fatalf("recording the messages at once: %v", err)
	}
}

func (s *stream) breakOff(m conversation.Message, writes int) {
	err := s.recording()(s.ledger.Break(context.Background(), writes), m)
	if err != nil { // otherwise it made fewer writes
		s.broken = append(s.broken, m)
		s.breaks = true
	}
	s.model.receive(s.calendar, m)
	s.messages = append(s.messages, m)
}

// mend repeats the deliveries that broke off.
func (s *stream) mend() {
	for len(s.broken) > 0 {
		m := s.broken[0]
		m.ReceivedAt, m.Delivery = s.now, fmt.Sprint(len(s.messages), "/again")
		s.together([]conversation.Message{m})
	}
}

// compare compares every figure in the API with the model.
func (s *stream) compare() {
	service := usage.NewService(s.ledger.Store, s.calendar, restaurant.Limits{ConversationsPerDay: 1000}, func() time.Time { return s.now })
	for id, tenant := range s.model.tenants {
		report, history, err := service.History(context.Background(), id)
		if err != nil {
			s.rt.Fatalf("reading the report with its history: %v", err)
		}
		month := s.calendar.Month(s.now)
		quota := usage.NewQuota(1000, tenant.months[month], 0)
		today := tenant.days[date(s.calendar, s.now)]
		want := usage.Report{
			RestaurantID: id, RestaurantName: report.RestaurantName, ConversationsToday: today, ConversationsThisMonth: tenant.months[month],
			LastConversationAt: tenant.lastConversation,
			Allowance:          usage.NewAllowance(1000, today, quota),
			Quota:              quota, Period: s.calendar.Period(s.now),
			FirstActivity: tenant.first, LastActivity: tenant.last, Active: true,
		}
		if diff := cmp.Diff(want, report); diff != "" {
			s.rt.Fatalf("the owner of %s sees at %v (-want +got):\n%s", id, s.now, diff)
		}
		var months []usage.MonthReport
		for _, m := range month.Last(usage.HistoryMonths) {
			if n := tenant.months[m]; n > 0 {
				months = append(months, usage.MonthReport{Month: m, Conversations: n, LastConversationAt: tenant.lastInMonth[m]})
			}
		}
		if diff := cmp.Diff(months, history, cmpopts.EquateEmpty()); diff != "" {
			s.rt.Fatalf("the owner of %s sees the history at %v (-want +got):\n%s", id, s.now, diff)
		}
		if s.breaks {
			continue // the tally may have lost some
		}
		record, err := s.ledger.Store.Usage(context.Background(), id, nil)
		if err != nil {
			s.rt.Fatalf("reading the stored usage: %v", err)
		}
		tally := maps.Clone(tenant.messages)
		maps.DeleteFunc(tally, func(day string, _ int64) bool { return day[:len("2026-10")] != record.Activity.Messages.Month.String() })
		got := make(map[string]int64)
		for day, n := range record.Activity.Messages.Days {
			got[fmt.Sprintf("%s-%02d", record.Activity.Messages.Month, day)] = n
		}
		if diff := cmp.Diff(tally, got, cmpopts.EquateEmpty()); diff != "" {
			s.rt.Fatalf("the tally of messages of %s at %v (-want +got):\n%s", id, s.now, diff)
		}
	}
}
