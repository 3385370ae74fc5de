package conversation_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/menu"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/ratelimit"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/sufrah"
	"github.com/sufrah/usage-bootstrap/internal/test/localstore"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// faultyRecorder is a working recorder. Each call fails while its error is set.
type faultyRecorder struct {
	conversation.Recorder
	mu                     sync.Mutex
	record, claim, release error
	settleFailures         int                         // number of further calls of Settle that fail
	settled                int                         // number of calls of Settle
	busy                   bool                        // other deliveries are writing the month: CountWelcomed does nothing
	complete               func(conversation.Recorded) // called before each Complete
	countWelcomed          func(context.Context) bool  // in place of the store
}

var errDown = fmt.Errorf("store: %w", outage.ErrUnavailable)

func (r *faultyRecorder) Record(ctx context.Context, m conversation.Message) (conversation.Recorded, error) {
	if r.record != nil {
		return conversation.Recorded{}, r.record
	}
	return r.Recorder.Record(ctx, m)
}

func (r *faultyRecorder) Claim(ctx context.Context, m conversation.Message, which conversation.Reply, now time.Time) (conversation.ReplyState, error) {
	if r.claim != nil {
		return conversation.ReplySettled, r.claim
	}
	return r.Recorder.Claim(ctx, m, which, now)
}

func (r *faultyRecorder) CountWelcomed(ctx context.Context, m conversation.Message, recorded conversation.Recorded) bool {
	if r.countWelcomed != nil {
		return r.countWelcomed(ctx)
	}
	r.mu.Lock()
	fails := r.settleFailures > 0 || r.busy
	r.mu.Unlock()
	return !fails && r.Recorder.CountWelcomed(ctx, m, recorded)
}

func (r *faultyRecorder) Complete(ctx context.Context, m conversation.Message, recorded conversation.Recorded) error {
	if r.complete != nil {
		r.complete(recorded)
	}
	return r.Recorder.Complete(ctx, m, recorded)
}

func (r *faultyRecorder) Settle(ctx context.Context, m conversation.Message, which conversation.Reply) error {
	r.mu.Lock()
	r.settled++
	fails := r.settleFailures > 0
	r.settleFailures--
	r.mu.Unlock()
	if fails {
		return errDown
	}
	return r.Recorder.Settle(ctx, m, which)
}

func (r *faultyRecorder) Release(ctx context.Context, m conversation.Message, which conversation.Reply) error {
	if r.release != nil {
		return r.release
	}
	return r.Recorder.Release(ctx, m, which)
}

// sent is a message to a customer: a template's SID and variables, or a text.
type sent struct {
	To, SID   string
	Variables map[string]string
	Text      string
}

// phones are the customers' phones, and the Sender that reaches them. Each attempt to send first calls the func before, which
// may fail the attempt.
type phones struct {
	mu       sync.Mutex
	received []sent
	attempts int
	before   func(ctx context.Context, m sent) error
}

func (p *phones) Send(ctx context.Context, _ conversation.Tenant, m conversation.Outgoing) (string, error) {
	if err := p.send(ctx, sent{To: m.To, SID: m.ContentSID, Variables: m.Variables, Text: m.Text}); err != nil {
		return "", err
	}
	return "SM1", nil
}

func (p *phones) send(ctx context.Context, m sent) error {
	p.mu.Lock()
	p.attempts++
	before := p.before
	p.mu.Unlock()
	if before != nil {
		if err := before(ctx, m); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received = append(p.received, m)
	return nil
}

// queue keeps the jobs, and refuses invalid ones.
type queue struct {
	mu     sync.Mutex
	jobs   []bootstrap.Job
	before func(context.Context) error
}

func (q *queue) Enqueue(ctx context.Context, j bootstrap.Job) error {
	if q.before != nil {
		if err := q.before(ctx); err != nil {
			return err
		}
	}
	if err := j.Validate(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(q.jobs, j)
	return nil
}

// menus returns the same lists for all merchants.
type menus struct {
	err   error
	asked []string
}

func (*menus) Renewed(context.Context) {}

func (m *menus) Categories(_ context.Context, merchantID string) ([]menu.Category, cache.Source, error) {
	m.asked = append(m.asked, merchantID+" categories")
	return []menu.Category{{Name: menu.Text{Arabic: "مشروبات", English: "Drinks"}}}, cache.Fresh, m.err
}

func (m *menus) Branches(_ context.Context, merchantID string) ([]menu.Branch, cache.Source, error) {
	m.asked = append(m.asked, merchantID+" branches")
	return []menu.Branch{{Name: menu.Text{Arabic: "العليا", English: "Olaya"}}}, cache.Fetched, m.err
}

// templates holds SIDs by key.
type templates map[string]string

func (t templates) SID(_ context.Context, key string) (string, bool) {
	sid, ok := t[key]
	return sid, ok
}

// noCounters is a cache that is down, so that each instance counts answers alone.
type noCounters struct{}

func (noCounters) Count(context.Context, string, time.Duration) (int64, error) {
	return 0, outage.ErrUnavailable
}

// fixture is a service over a store on the DynamoDB stand-in, with stand-ins for everything that it calls.
type fixture struct {
	*conversation.Service
	store     *stackstore.Store
	recorder  *faultyRecorder
	alerter   *faultyAlerter
	phones    *phones
	queue     *queue
	menus     *menus
	templates templates
	tenant    conversation.Tenant
	now       time.Time // the time, while the clock stands still
	log       *bytes.Buffer
	events    map[string]int
}

const (
	customer   = "+966500000001"
	welcomeSID = "HX00000000000000000000000000000001"
)

// setup returns a service with a clock that stands still until now is moved.
func setup(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{
		store: localstore.New(t), phones: &phones{}, queue: &queue{}, menus: &menus{}, templates: templates{"welcome": welcomeSID},
		now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), log: new(bytes.Buffer), events: make(map[string]int),
		tenant: conversation.Tenant{
			Restaurant: restaurant.Restaurant{ID: "clxyz123abc", Name: "Example", MerchantID: "merchant-1", Active: true, CreatedAt: time.Now()},
			Bot: restaurant.Bot{ID: "bot", PhoneNumber: "+966110000000",
				Limits: restaurant.Limits{ConversationsPerDay: 1000, AnswersPerMinute: 60}},
		},
	}
	if err := f.store.CreateRestaurant(context.Background(), f.tenant.Restaurant, &f.tenant.Bot); err != nil {
		t.Fatalf("creating the restaurant: %v", err)
	}
	recorder := f.store.Recorder(usage.NewCalendar(nil))
	f.recorder, f.alerter = &faultyRecorder{Recorder: recorder}, &faultyAlerter{QuotaAlerter: recorder}
	clock := func() time.Time { return f.now }
	var mu sync.Mutex
	deliveries := 0
	count := func(name string) func() {
		return func() {
			mu.Lock()
			defer mu.Unlock()
			f.events[name]++
		}
	}
	f.Service = &conversation.Service{
		Ledger:   ledger.New(f.store, usage.NewCalendar(nil).Date, rand.Text, slog.New(slog.DiscardHandler)),
		Recorder: f.recorder, QuotaAlerter: f.alerter, Sender: f.phones, Queue: f.queue, Menu: f.menus, Templates: f.templates,
		Limiter: ratelimit.NewWindow(noCounters{}, clock, slog.New(slog.DiscardHandler)),
		Now:     clock,
		NewID: func() string {
			mu.Lock()
			defer mu.Unlock()
			deliveries++
			return fmt.Sprint("delivery ", deliveries)
		},
		RequestID: func(context.Context) string { return "request-1" },
		Log:       logging.New(f.log, slog.LevelDebug, "test"),
		Events: conversation.Events{
			WelcomeSent: count("welcome sent"), EnqueueFailed: count("enqueue failed"), AnswerLimited: count("answer limited"),
			OptedOut: count("opted out"), OptedIn: count("opted in"),
			AnswerSent: func(source cache.Source, _ time.Duration) { count("answer sent, " + source.String())() },
			QuotaAlert: func(percent int64) { count(fmt.Sprint("passed ", percent))() },
		},
	}
	return f
}

// ticking makes the service use the clock of the test's bubble.
func (f *fixture) ticking() *fixture {
	f.Now = time.Now
	return f
}

func (f *fixture) receive(id, body string) error {
	return f.Receive(context.Background(), f.tenant, conversation.Incoming{MessageID: id, Customer: customer, Body: body, ProfileName: "Sara"})
}

func (f *fixture) mustReceive(t *testing.T, id, body string) {
	t.Helper()
	if err := f.receive(id, body); err != nil {
		t.Errorf("message %s (%q) was not taken, so Twilio would send it again: %v", id, body, err)
	}
}

// welcomed greets the customer, and clears the fixture's records of the welcome.
func (f *fixture) welcomed(t *testing.T) *fixture {
	t.Helper()
	f.mustReceive(t, "m0", "hello")
	f.phones.received, f.queue.jobs = nil, nil
	f.phones.attempts = 0
	clear(f.events)
	f.log.Reset()
	return f
}

var welcome = sent{To: customer, SID: welcomeSID, Variables: map[string]string{"1": "Example", "2": "Sara"}}

func (f *fixture) wantReceived(t *testing.T, want ...sent) {
	t.Helper()
	if diff := cmp.Diff(want, f.phones.received); diff != "" {
		t.Errorf("the customer received (-want +got):\n%s", diff)
	}
}

func (f *fixture) wantEvents(t *testing.T, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, f.events); diff != "" {
		t.Errorf("the metrics counted other events than happened (-want +got):\n%s", diff)
	}
}

func (f *fixture) wantLogged(t *testing.T, level, message string) {
	t.Helper()
	if !strings.Contains(f.log.String(), fmt.Sprintf(`"level":%q,"message":%q`, level, message)) {
		t.Errorf("%s %q is missing from the log:\n%s", level, message, f.log)
	}
}

func (f *fixture) conversations(t *testing.T) int64 {
	t.Helper()
	month := usage.Month{Year: 2026, Month: time.November}
	record, err := f.store.Usage(context.Background(), f.tenant.Restaurant.ID, []usage.Month{month})
	if err != nil {
		t.Fatalf("reading the stored usage: %v", err)
	}
	return record.Months[month].Conversations
}

func text(body string) sent { return sent{To: customer, Text: body} }

var (
	arabicMenu  = text("قائمة Example:\n1. مشروبات")
	englishMenu = text("The menu at Example:\n1. Drinks")
)

func TestFirstMessageIsWelcomedAndCountedOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.mustReceive(t, "SM1", "hello")
	f.wantReceived(t, welcome)
	want := []bootstrap.Job{{
		Version: bootstrap.Version, JobID: "job-SM1", RestaurantID: "clxyz123abc", MerchantID: "merchant-1", CustomerWa: customer,
		ProfileName: "Sara", EnqueuedAt: f.now,
	}}
	if diff := cmp.Diff(want, f.queue.jobs); diff != "" {
		t.Errorf("a new customer's bootstrap job (-want +got):\n%s", diff)
	}
	f.wantEvents(t, map[string]int{"welcome sent": 1})
	f.wantLogged(t, "INFO", "welcome sent")
	f.wantLogged(t, "INFO", "bootstrap job enqueued")
	if n := f.conversations(t); n != 1 {
		t.Errorf("the restaurant is billed %d conversations for a customer's first message, want 1", n)
	}
	if strings.Contains(f.log.String(), customer) {
		t.Errorf("the log shows the customer's number: %s", f.log)
	}
}

// TestFirstMessageIsWelcomedOnly: a first message that asks for the menu gets only the welcome, which says how to ask.
func TestFirstMessageIsWelcomedOnly(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.mustReceive(t, "m1", "menu")
	f.mustReceive(t, "m1", "menu") // a repeat of the first message counts as first
	f.wantReceived(t, welcome)
}

// TestWelcomeAndJobGoOutAtOnce: the welcome and the job are sent at the same time; each waits here until the other has begun.
func TestWelcomeAndJobGoOutAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		sending, enqueuing := make(chan struct{}), make(chan struct{})
		meet := func(ctx context.Context, mine, others chan struct{}) error {
			close(mine)
			select {
			case <-others:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		f.phones.before = func(ctx context.Context, _ sent) error { return meet(ctx, sending, enqueuing) }
		f.queue.before = func(ctx context.Context) error { return meet(ctx, enqueuing, sending) }
		start := time.Now()
		f.mustReceive(t, "m1", "hello")
		if len(f.phones.received) != 1 || len(f.queue.jobs) != 1 || time.Since(start) > 0 {
			t.Errorf("the welcome or the job waited for the other: the customer received %v, %d jobs enqueued, after %v", f.phones.received, len(f.queue.jobs), time.Since(start))
		}
	})
}

func TestWelcomeGoesOutWhileTheQueueIsDown(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.queue.before = func(context.Context) error { return errDown }
	testQueueFailure(t, f)
}

// TestWelcomeGoesOutWhenTheQueuePanics: a panic of the queue ends neither the welcome nor the process.
func TestWelcomeGoesOutWhenTheQueuePanics(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.queue.before = func(context.Context) error { panic("on fire") }
	testQueueFailure(t, f)
	f.wantLogged(t, "ERROR", "bootstrap job not enqueued")
	if !strings.Contains(f.log.String(), "panic: on fire") {
		t.Errorf("the log doesn't name the panic \"on fire\":\n%s", f.log)
	}
}

func testQueueFailure(t *testing.T, f *fixture) {
	t.Helper()
	f.mustReceive(t, "m1", "hello")
	f.wantReceived(t, welcome)
	f.wantEvents(t, map[string]int{"welcome sent": 1, "enqueue failed": 1})
	f.wantLogged(t, "ERROR", "bootstrap job not enqueued")
	f.mustReceive(t, "m1", "hello") // finished work isn't repeated, not even the job
	f.wantEvents(t, map[string]int{"welcome sent": 1, "enqueue failed": 1})
}

// TestWelcomeDoesNotWaitForAQueueThatHangs: the welcome doesn't wait for the queue, and the answer to Twilio waits only two
// seconds.
func TestWelcomeDoesNotWaitForAQueueThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		start := time.Now()
		f.queue.before = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		var welcomedAfter time.Duration
		f.phones.before = func(context.Context, sent) error { welcomedAfter = time.Since(start); return nil }
		f.mustReceive(t, "m1", "hello")
		if took := time.Since(start); welcomedAfter != 0 || took != 2*time.Second {
			t.Errorf("with a queue that hangs the customer is welcomed after %v, want at once; Twilio is answered after %v, want 2s", welcomedAfter, took)
		}
		f.wantEvents(t, map[string]int{"welcome sent": 1, "enqueue failed": 1})
	})
}

func TestWelcomeThatTwilioDidNotTakeGoesOutWithTheRepeat(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.phones.before = func(context.Context, sent) error { return errDown }
	if err := f.receive("m1", "hello"); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("with Twilio down the message fails with %v, want an outage, so that it is delivered again", err)
	}
	f.wantReceived(t)
	f.phones.before = nil
	for range 3 { // possible at the same moment, since the lease was given back
		f.mustReceive(t, "m1", "hello")
	}
	f.wantReceived(t, welcome)
	f.wantEvents(t, map[string]int{"welcome sent": 1})
	for _, j := range f.queue.jobs { // each attempt enqueues one, with the same id
		if j.JobID != "job-m1" {
			t.Errorf("a repeat enqueued the job under another name, so it runs twice: %+v, want job-m1", j)
		}
	}
	if n := f.conversations(t); n != 1 || len(f.queue.jobs) != 2 {
		t.Errorf("four deliveries of one message: %d conversations billed, want 1; %d jobs, want 2 of the same name", n, len(f.queue.jobs))
	}
}

// TestOperatorsFaultKeepsTheWelcomeDue: an error that comes from neither the template nor the customer's number leaves the
// welcome due.
func TestOperatorsFaultKeepsTheWelcomeDue(t *testing.T) {
	t.Parallel()
	f := setup(t)
	fault := errors.New("sender not registered")
	f.phones.before = func(context.Context, sent) error { return fault }
	if err := f.receive("m1", "hello"); !errors.Is(err, fault) {
		t.Errorf("a message fails with %v, want the sender's fault, so that the welcome stays due", err)
	}
	f.phones.before = nil
	f.mustReceive(t, "m1", "hello")
	f.wantReceived(t, welcome)
}

// TestWelcomeGoesOutOnceAnUnreleasedLeaseEnds: if neither the welcome could be sent nor its lease released, an immediate
// repeat fails, and a repeat after the lease's end sends the welcome.
func TestWelcomeGoesOutOnceAnUnreleasedLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.phones.before = func(context.Context, sent) error { return errDown }
		f.recorder.release = errDown
		if err := f.receive("m1", "hello"); !errors.Is(err, outage.ErrUnavailable) {
			t.Errorf("with Twilio and the store down the message fails with %v, want an outage", err)
		}
		f.wantLogged(t, "WARN", "lease on the reply not released: the reply waits until the lease expires")
		f.phones.before, f.recorder.release = nil, nil
		if err := f.receive("m1", "hello"); !errors.Is(err, conversation.ErrElsewhere) {
			t.Errorf("a repeat during another delivery's lease fails with %v, want ErrElsewhere: it would welcome the customer a second time", err)
		}
		time.Sleep(conversation.LeaseLength)
		f.mustReceive(t, "m1", "hello")
		f.wantReceived(t, welcome)
	})
}

// TestCustomerWhoWritesEightTimesAtOnceIsWelcomedOnce: eight messages give one welcome, and only the delivery that sends it
// waits.
func TestCustomerWhoWritesEightTimesAtOnceIsWelcomedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.phones.before = func(context.Context, sent) error { time.Sleep(300 * time.Millisecond); return nil }
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() { f.mustReceive(t, fmt.Sprint("m", i), "hello") })
		}
		group.Wait()
		f.wantReceived(t, welcome)
		if len(f.queue.jobs) != 1 || f.conversations(t) > 1 {
			t.Errorf("a customer wrote eight times at once: %d bootstrap jobs, want 1; %d conversations billed, want at most 1", len(f.queue.jobs), f.conversations(t))
		}
	})
}

// TestWebhookRepeatedAtOnceWelcomesOnce: simultaneous repeats wait for the first delivery, and needn't come again.
func TestWebhookRepeatedAtOnceWelcomesOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.phones.before = func(context.Context, sent) error { time.Sleep(time.Second); return nil }
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() { f.mustReceive(t, "m1", "hello") })
		}
		group.Wait()
		f.wantReceived(t, welcome)
		if f.phones.attempts != 1 {
			t.Errorf("eight deliveries of one message: Twilio was asked %d times to welcome the customer, want once", f.phones.attempts)
		}
	})
}

// TestWaitingRepeatTakesOverAFailedWelcome: if the first delivery fails to send the welcome, the repeat that waits sends it.
func TestWaitingRepeatTakesOverAFailedWelcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.phones.before = func(context.Context, sent) error {
			if time.Sleep(time.Second); f.phones.attempts == 1 {
				return errDown
			}
			return nil
		}
		errs := make([]error, 2)
		var group sync.WaitGroup
		for i := range errs {
			group.Go(func() { errs[i] = f.receive("m1", "hello") })
		}
		group.Wait()
		failed := 0
		for _, err := range errs {
			if errors.Is(err, outage.ErrUnavailable) {
				failed++
			} else if err != nil {
				t.Errorf("a delivery failed with %v, want an outage or nothing", err)
			}
		}
		if failed != 1 {
			t.Errorf("%d of two deliveries failed, want only the first: the waiting one takes over", failed)
		}
		f.wantReceived(t, welcome)
	})
}

// TestRepeatWaitsOnlyAWhileForAStuckWelcome: a repeat waits only a few seconds for a welcome that hangs in another delivery.
func TestRepeatWaitsOnlyAWhileForAStuckWelcome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		stuck, stop := context.WithCancel(t.Context())
		f.phones.before = func(context.Context, sent) error { <-stuck.Done(); return stuck.Err() }
		var group sync.WaitGroup
		group.Go(func() { _ = f.receive("m1", "hello") })
		synctest.Wait()
		start := time.Now()
		err := f.receive("m1", "hello")
		if took := time.Since(start); !errors.Is(err, conversation.ErrElsewhere) || took < 3*time.Second || took > 4*time.Second {
			t.Errorf("a repeat behind a stuck welcome fails with %v after %v, want ErrElsewhere after 3s to 4s", err, took)
		}
		// Another message of the customer isn't delayed.
		start = time.Now()
		f.mustReceive(t, "m2", "hello again")
		if took := time.Since(start); took > 0 {
			t.Errorf("the customer's next message waited %v for the stuck welcome of the first, want no wait", took)
		}
		// A repeat doesn't wait beyond its own time either.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = f.Receive(ctx, f.tenant, conversation.Incoming{MessageID: "m1", Customer: customer, Body: "hello"})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a repeat with one second left fails with %v, want its deadline", err)
		}
		stop()
		group.Wait()
	})
}

func TestSentWelcomeIsNotedThoughTheStoreFailsFiveTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.recorder.settleFailures = 5
		f.mustReceive(t, "m1", "hello")
		if f.recorder.settled != 6 {
			t.Errorf("a sent welcome was noted in %d attempts, want 6: an unnoted one is sent again", f.recorder.settled)
		}
		time.Sleep(conversation.LeaseLength)
		f.mustReceive(t, "m1", "hello")
		f.wantReceived(t, welcome)
	})
}

// TestSentWelcomeThatCannotBeNotedIsNoFailure: a sent welcome isn't reported as a failure, since the report would certainly
// cause a second welcome.
func TestSentWelcomeThatCannotBeNotedIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.recorder.settleFailures = 6
		f.mustReceive(t, "m1", "hello")
		f.wantReceived(t, welcome)
		f.wantLogged(t, "ERROR", "reply not settled: another delivery may send it again")
		if f.recorder.settled != 6 {
			t.Errorf("a sent welcome was noted in %d attempts, want 6: an unnoted one is sent again", f.recorder.settled)
		}
	})
}

func TestCustomerWhoCannotReceiveIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.phones.before = func(context.Context, sent) error { return fmt.Errorf("63024: %w", conversation.ErrUndeliverable) }
	f.mustReceive(t, "m1", "hello")
	f.wantLogged(t, "WARN", "customer can't be reached: the reply is given up")
	f.phones.before = nil
	f.mustReceive(t, "m1", "hello")
	f.mustReceive(t, "m2", "hello")
	if f.wantReceived(t); f.phones.attempts != 1 {
		t.Errorf("a customer who can't receive was sent the welcome %d times, want once", f.phones.attempts)
	}
}

func TestRejectedTemplateGoesOutAsText(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.phones.before = func(_ context.Context, m sent) error {
		if m.SID != "" {
			return fmt.Errorf("63028: %w", conversation.ErrTemplateRejected)
		}
		return nil
	}
	f.mustReceive(t, "m1", "hello")
	f.mustReceive(t, "m1", "hello")
	if len(f.phones.received) != 1 || !strings.Contains(f.phones.received[0].Text, "Hello \u2068Sara\u2069, welcome to \u2068Example\u2069!") {
		t.Errorf("the customer received %q, want one welcome as text", f.phones.received)
	}
	f.wantLogged(t, "WARN", "template rejected: the message is sent without it")
	f.wantEvents(t, map[string]int{"welcome sent": 1})
}

func TestWelcomeWithoutATemplateIsText(t *testing.T) {
	t.Parallel()
	f := setup(t)
	delete(f.templates, "welcome")
	f.mustReceive(t, "m1", "hello")
	if len(f.phones.received) != 1 || !strings.Contains(f.phones.received[0].Text, "أهلًا وسهلًا بك يا \u2068Sara\u2069 في \u2068Example\u2069!") {
		t.Errorf("the customer received %q, want one welcome as text", f.phones.received)
	}
}

// TestUnsentWelcomeGoesOutWithALaterMessage: an unsent welcome is sent with the next message, which is answered too.
func TestUnsentWelcomeGoesOutWithALaterMessage(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.phones.before = func(context.Context, sent) error { return errDown }
	if err := f.receive("m1", "hello"); err == nil {
		t.Error("a message was taken with Twilio down, so Twilio would never deliver it again, and the customer is not welcomed")
	}
	f.phones.before = nil
	f.now = f.now.Add(48 * time.Hour)
	f.mustReceive(t, "m2", "menu")
	f.wantReceived(t, welcome, englishMenu)
	f.mustReceive(t, "m1", "hello")
	f.wantReceived(t, welcome, englishMenu)
}

func TestMenuAndBranchesAreAnsweredOnce(t *testing.T) {
	t.Parallel()
	const sid = "HX00000000000000000000000000000002"
	for name, test := range map[string]struct {
		in   conversation.Incoming
		sids templates
		want sent
	}{
		"menu in English":     {conversation.Incoming{Body: "the menu please"}, nil, englishMenu},
		"menu in Arabic":      {conversation.Incoming{Body: "المنيو"}, nil, arabicMenu},
		"menu by a button":    {conversation.Incoming{ButtonPayload: "browse_menu"}, nil, arabicMenu},
		"menu by its text":    {conversation.Incoming{ButtonPayload: "new_order", ButtonText: "Order"}, nil, englishMenu},
		"branches in English": {conversation.Incoming{Body: "branches"}, nil, text("Branches of Example:\n1. Olaya")},
		"branches in Arabic":  {conversation.Incoming{Body: "وين فروعكم"}, nil, text("فروع Example:\n1. العليا")},
		"menu as a template of one row": {
			conversation.Incoming{Body: "menu"}, templates{"categories_1": sid, "categories": "HX1"},
			sent{To: customer, SID: sid, Variables: map[string]string{"1": "Example", "2": "Drinks"}},
		},
		"a template of ten rows shows no single one": {
			conversation.Incoming{Body: "menu"}, templates{"categories": sid, "categories_2": sid}, englishMenu,
		},
		"branches as a template of one row": {
			conversation.Incoming{Body: "فروع"}, templates{"branch_list_1": sid},
			sent{To: customer, SID: sid, Variables: map[string]string{"1": "Example", "2": "العليا"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t).welcomed(t)
			f.ListTemplates = test.sids
			test.in.MessageID, test.in.Customer = "m1", customer
			for range 2 { // a repeat isn't answered again
				if err := f.Receive(t.Context(), f.tenant, test.in); err != nil {
					t.Errorf("receiving %+v: %v", test.in, err)
				}
			}
			f.wantReceived(t, test.want)
			if len(f.queue.jobs) > 0 {
				t.Errorf("a welcomed customer's question enqueued %v, want no bootstrap job", f.queue.jobs)
			}
		})
	}
}

func TestOtherTextsAreNotAnswered(t *testing.T) {
	t.Parallel()
	f := setup(t).welcomed(t)
	f.mustReceive(t, "m1", "thanks")
	f.wantReceived(t)
	if f.wantEvents(t, map[string]int{}); len(f.menus.asked) > 0 {
		t.Errorf("\"thanks\" made the bot ask Sufrah for %v, want nothing", f.menus.asked)
	}
}

func TestAnswersAreCountedByTheirSource(t *testing.T) {
	t.Parallel()
	f := setup(t).welcomed(t)
	f.mustReceive(t, "m1", "menu")
	f.mustReceive(t, "m2", "branches")
	f.wantEvents(t, map[string]int{"answer sent, fresh": 1, "answer sent, fetched": 1})
	f.wantLogged(t, "INFO", "answer sent")
}

// TestUnsentAnswerGoesOutWithTheRepeat: an answer that couldn't be sent is sent when the message is repeated.
func TestUnsentAnswerGoesOutWithTheRepeat(t *testing.T) {
	t.Parallel()
	f := setup(t).welcomed(t)
	f.phones.before = func(context.Context, sent) error { return errDown }
	if err := f.receive("m1", "menu"); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("with Twilio down the message fails with %v, want an outage, so that it is delivered again", err)
	}
	f.phones.before = nil
	f.mustReceive(t, "m1", "menu")
	f.mustReceive(t, "m1", "menu")
	f.wantReceived(t, englishMenu)
	f.mustReceive(t, "m2", "menu") // the same request in another message is answered
	f.wantReceived(t, englishMenu, englishMenu)
}

func TestQuestionRepeatedAtOnceIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking().welcomed(t)
		f.phones.before = func(context.Context, sent) error { time.Sleep(time.Second); return nil }
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { f.mustReceive(t, "m1", "menu") })
		}
		group.Wait()
		f.wantReceived(t, englishMenu)
	})
}

func TestQuestionIsAnsweredOnceSufrahIsBack(t *testing.T) {
	t.Parallel()
	f := setup(t).welcomed(t)
	f.menus.err = &sufrah.Error{StatusCode: 503}
	if err := f.receive("m1", "menu"); !errors.Is(err, f.menus.err) {
		t.Errorf("a question with Sufrah down fails with %v, want %v, so that Twilio delivers it again", err, f.menus.err)
	}
	f.menus.err = nil
	f.mustReceive(t, "m1", "menu")
	f.wantReceived(t, englishMenu)
}

// TestCustomerOfAnUnknownMerchantIsToldThatThereIsNoMenu: a repeat of the message wouldn't help, so the customer is answered.
func TestCustomerOfAnUnknownMerchantIsToldThatThereIsNoMenu(t *testing.T) {
	t.Parallel()
	f := setup(t).welcomed(t)
	f.menus.err = &sufrah.Error{StatusCode: 404, Permanent: true, Err: sufrah.ErrUnknownMerchant}
	f.Menu = emptyMenus{f.menus}
	f.mustReceive(t, "m1", "menu")
	f.mustReceive(t, "m2", "الفروع")
	f.wantReceived(t, text("Our menu is not available right now. Please try again later."), text("لا توجد فروع لعرضها حاليًا. يُرجى المحاولة لاحقًا."))
	f.wantLogged(t, "ERROR", "merchant refused by the Sufrah API: the customer is shown an empty list")
}

// emptyMenus fails permanently, with no list.
type emptyMenus struct{ *menus }

func (m emptyMenus) Categories(ctx context.Context, id string) ([]menu.Category, cache.Source, error) {
	_, _, err := m.menus.Categories(ctx, id)
	return nil, cache.None, err
}

func (m emptyMenus) Branches(ctx context.Context, id string) ([]menu.Branch, cache.Source, error) {
	_, _, err := m.menus.Branches(ctx, id)
	return nil, cache.None, err
}

func TestRestaurantWithoutAMerchantWelcomesAllTheSame(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.tenant.Restaurant.MerchantID = ""
	f.mustReceive(t, "m1", "hello")
	f.mustReceive(t, "m2", "menu")
	f.mustReceive(t, "m3", "branches")
	f.wantReceived(t, welcome, text("Our menu is not available right now. Please try again later."), text("There are no branches to show right now. Please try again later."))
	if len(f.queue.jobs) > 0 || len(f.menus.asked) > 0 || f.events["enqueue failed"] > 0 {
		t.Errorf("a restaurant without a merchant enqueued %v, asked Sufrah for %v and counted %v, want none of it", f.queue.jobs, f.menus.asked, f.events)
	}
}

func TestAnswersOfAMinuteAreLimited(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64]int{-1: 5, 0: 0, 1: 1, 3: 3, 60: 5} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.tenant.Bot.Limits.AnswersPerMinute = limit
			f.mustReceive(t, "m0", "hello") // the limit doesn't count the welcome
			f.wantReceived(t, welcome)
			for i := range 5 {
				f.mustReceive(t, fmt.Sprint("m", i+1), "menu")
			}
			if got := len(f.phones.received) - 1; got != want || f.events["answer limited"] != 5-want {
				t.Errorf("five questions in a minute with a limit of %d: %d answered and %d withheld, want %d answered", limit, got, f.events["answer limited"], want)
			}
			// A withheld answer is never sent: a repeat of its message gets none.
			f.now = f.now.Add(time.Minute)
			for i := range 5 {
				f.mustReceive(t, fmt.Sprint("m", i+1), "menu")
			}
			if got := len(f.phones.received) - 1; got != want {
				t.Errorf("repeats of withheld questions were answered: %d answers, want still %d", got, want)
			}
			f.mustReceive(t, "m6", "menu")
			if limit != 0 {
				want++
			}
			if got := len(f.phones.received) - 1; got != want {
				t.Errorf("a question in the next minute with a limit of %d: %d answers in all, want %d", limit, got, want)
			}
			record, err := f.store.Usage(t.Context(), f.tenant.Restaurant.ID, nil)
			if err != nil || record.Activity.Messages.Days[23] != 7 {
				t.Errorf("the owner sees %v messages (%v), want 7: withheld answers don't undo the customer's messages", record.Activity.Messages, err)
			}
		})
	}
}

func TestCustomerIsWelcomedOnceTheStoreIsBack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.recorder.record = errDown
	if err := f.receive("m1", "hello"); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("with the store down the message fails with %v, want an outage, so that it is delivered again", err)
	}
	f.wantReceived(t)
	f.recorder.record = nil
	f.phones.before = func(context.Context, sent) error { return errDown }
	_ = f.receive("m1", "hello")
	f.phones.before, f.recorder.claim = nil, errDown
	if err := f.receive("m1", "hello"); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("with the store down at the claim the message fails with %v, want an outage", err)
	}
	f.wantReceived(t)
	f.recorder.claim = nil
	f.mustReceive(t, "m1", "hello")
	f.wantReceived(t, welcome)
}

// TestAnyNameGivesAJob: any customer's name gives a valid job.
func TestAnyNameGivesAJob(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		f := setup(t)
		in := conversation.Incoming{MessageID: "m1", Customer: customer, Body: "hello",
			ProfileName: rapid.String().Draw(rt, "name") + string(rapid.SliceOf(rapid.Byte()).Draw(rt, "bytes"))}
		if err := f.Receive(context.Background(), f.tenant, in); err != nil || len(f.queue.jobs) != 1 {
			rt.Fatalf("a customer named %q: error %v, %d bootstrap jobs, want 1; log %s", in.ProfileName, err, len(f.queue.jobs), f.log)
		}
	})
}

// TestOneCustomerCannotUseUpTheAnswersOfOthers: a customer asking without end gets ten answers a minute, and other
// customers still get theirs.
func TestOneCustomerCannotUseUpTheAnswersOfOthers(t *testing.T) {
	t.Parallel()
	f := setup(t).welcomed(t)
	for i := range 90 {
		f.mustReceive(t, fmt.Sprint("n", i), "menu")
	}
	if got := len(f.phones.received); got != conversation.AnswersPerCustomer || f.events["answer limited"] != 90-got {
		t.Errorf("a customer who asks 90 times a minute gets %d answers, want %d; %d withheld", got, conversation.AnswersPerCustomer, f.events["answer limited"])
	}
	for i := range 60 {
		in := conversation.Incoming{Customer: fmt.Sprintf("+96652%07d", i)}
		for _, in.Body = range []string{"hello", "menu"} {
			in.MessageID = fmt.Sprint("o", i, in.Body)
			if err := f.Receive(t.Context(), f.tenant, in); err != nil {
				t.Fatalf("receiving %q of %s: %v", in.Body, in.Customer, err)
			}
		}
	}
	if others := f.events["answer sent, "+cache.Fresh.String()] - conversation.AnswersPerCustomer; others != 50 {
		t.Errorf("%d answers went to the other customers, want the 50 that the restaurant's minute has left: %v", others, f.events)
	}
	f.now = f.now.Add(time.Minute)
	before := len(f.phones.received)
	if f.mustReceive(t, "next minute", "menu"); len(f.phones.received) != before+1 {
		t.Error("the customer who used up a minute's answers gets none in the next minute")
	}
}

// TestWelcomeOfADeadProcessGoesOutWithin15Seconds: if a process dies before Twilio took the welcome, its lease ends in time
// for Twilio's repeat after 15 seconds to send the welcome. A slow sending keeps its lease.
func TestWelcomeOfADeadProcessGoesOutWithin15Seconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		m := conversation.Message{
			ID: "m1", RestaurantID: f.tenant.Restaurant.ID, Customer: customer, ReceivedAt: time.Now(), Delivery: "the dead one",
		}
		if _, err := f.recorder.Record(t.Context(), m); err != nil {
			t.Fatalf("recording the message: %v", err)
		}
		if state, err := f.recorder.Claim(t.Context(), m, conversation.Welcome, time.Now()); err != nil || state != conversation.ReplyHeld {
			t.Fatalf("the process that is to die holds the lease as %v (%v), want held", state, err)
		}
		start := time.Now()
		for f.receive("m1", "hello") != nil {
			if time.Since(start) > 15*time.Second {
				t.Fatal("the customer isn't welcomed within the 15 s in which Twilio repeats the webhook")
			}
			time.Sleep(time.Second)
		}
		if len(f.phones.received) != 1 {
			t.Errorf("the customer of the dead process received %d welcomes, want 1", len(f.phones.received))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.phones.before = func(context.Context, sent) error {
			time.Sleep(2 * conversation.LeaseLength)
			return nil
		}
		var deliveries sync.WaitGroup
		for range 2 {
			deliveries.Go(func() {
				for f.receive("m1", "hello") != nil {
					time.Sleep(time.Second)
				}
			})
		}
		deliveries.Wait()
		if len(f.phones.received) != 1 {
			t.Errorf("a welcome that took longer than its lease went out %d times, want once", len(f.phones.received))
		}
	})
}

// unrenewable is a working recorder that gives each lease only once.
type unrenewable struct {
	conversation.Recorder
	claims atomic.Int64
}

func (u *unrenewable) Claim(ctx context.Context, m conversation.Message, r conversation.Reply, now time.Time) (conversation.ReplyState, error) {
	if u.claims.Add(1) > 1 {
		return conversation.ReplySettled, errDown
	}
	return u.Recorder.Claim(ctx, m, r, now)
}

// TestSendingStopsBeforeItsLeaseEnds: a delivery that can't renew its lease stops sending before another delivery may begin.
func TestSendingStopsBeforeItsLeaseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := setup(t).ticking()
		f.Recorder = &unrenewable{Recorder: f.recorder}
		var took time.Duration
		f.phones.before = func(ctx context.Context, _ sent) error {
			start := time.Now()
			select {
			case <-ctx.Done():
			case <-time.After(time.Minute):
			}
			took = time.Since(start)
			return ctx.Err()
		}
		if err := f.receive("m1", "hello"); err == nil || took > conversation.LeaseLength-2*conversation.ClockSkew {
			t.Errorf("a delivery that can't renew its lease went on sending for %s (error %v), want less than %s: another one may send by then", took, err, conversation.LeaseLength-2*conversation.ClockSkew)
		}
	})
}

// joined is a working recorder that stores the customer under the number, whichever id a message carries.
type joined struct {
	conversation.Recorder
	seen []conversation.Message
}

func (j *joined) Record(ctx context.Context, m conversation.Message) (conversation.Recorded, error) {
	j.seen = append(j.seen, m)
	m.Customer = customer
	recorded, err := j.Recorder.Record(ctx, m)
	recorded.Home = customer
	return recorded, err
}

func (j *joined) Settle(ctx context.Context, m conversation.Message, r conversation.Reply) error {
	m.Customer = m.Home
	return j.Recorder.Settle(ctx, m, r)
}

// TestRepliesGoToTheNumber: a customer who writes under a BSUID is answered at the number if it is known, and the job has
// that number.
func TestRepliesGoToTheNumber(t *testing.T) {
	t.Parallel()
	f := setup(t)
	recorder := &joined{Recorder: f.recorder}
	f.Recorder = recorder
	const user = "SA.13491208655302741918"
	for i, in := range []conversation.Incoming{
		{Customer: user, Body: "hello", ProfileName: "Sara"}, {Customer: user, Body: "menu"}, {Customer: customer, UserID: user, Body: "menu"},
	} {
		in.MessageID = fmt.Sprint("m", i)
		if err := f.Receive(t.Context(), f.tenant, in); err != nil {
			t.Fatalf("receiving message %d: %v", i, err)
		}
	}
	f.wantReceived(t, welcome, englishMenu, englishMenu)
	if len(f.queue.jobs) != 1 || f.queue.jobs[0].CustomerWa != customer {
		t.Errorf("bootstrap jobs %+v, want one for the number %s", f.queue.jobs, customer)
	}
	if last := recorder.seen[2]; last.UserID != user {
		t.Errorf("the message with a number and a user id is recorded as %+v, want the user id %s kept: the next message may have nothing else", last, user)
	}
}
