package bootstrap_test

import (
	"bytes"
	"context"
	"encoding/json"
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

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/clock"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// refusal is an error like those of Sufrah's client.
type refusal struct {
	permanent  bool
	retryAfter time.Duration
}

func (r *refusal) Error() string   { return fmt.Sprintf("refused, permanent %t", r.permanent) }
func (r *refusal) Retryable() bool { return !r.permanent }

func retryAfter(err error) time.Duration {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.retryAfter
	}
	return 0
}

// pace lets jobs start once a certain time has come.
type pace struct {
	from  time.Time
	err   error
	taken atomic.Int32
	asked []string // the merchants of the calls
}

func (p *pace) Start(ctx context.Context, merchantID string) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	p.asked = append(p.asked, merchantID)
	if wait := time.Until(p.from); wait > 0 || p.err != nil {
		return wait, p.err
	}
	p.taken.Add(1)
	return 0, nil
}

// bench is a worker with its log and its observed outcomes.
type bench struct {
	*bootstrap.Worker
	pace     *pace
	log      bytes.Buffer
	observed []bootstrap.Outcome
}

func setup(parts ...bootstrap.Part) *bench {
	b := &bench{pace: &pace{}}
	b.Worker = &bootstrap.Worker{
		Parts: parts, Pace: b.pace, Attempts: 3, MaxAge: 100 * 365 * 24 * time.Hour, Backoff: 5 * time.Second, RetryAfter: retryAfter,
		Now: time.Now, Sleep: clock.Sleep, RequestID: func(context.Context) string { return "request-1" },
		Log:     logging.New(&b.log, slog.LevelInfo, "welcome-bootstrap"),
		Observe: func(o bootstrap.Outcome) { b.observed = append(b.observed, o) },
	}
	return b
}

// lines returns the logged lines, without the fields that differ from run to run.
func (b *bench) lines(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(b.log.String()) {
		var decoded map[string]any
		if err := json.Unmarshal([]byte(line), &decoded); err != nil {
			t.Fatalf("the log line %q is no JSON: %v", line, err)
		}
		for _, field := range []string{"timestamp", "function", bootstrap.FieldDuration, bootstrap.FieldWaited, bootstrap.FieldQueued} {
			delete(decoded, field)
		}
		all = append(all, decoded)
	}
	return all
}

// part returns a part that ends in the given way.
func part(name string, count int, source cache.Source, err error) bootstrap.Part {
	return bootstrap.Part{Name: name, Done: name + " prefetched", Prefetch: func(context.Context, bootstrap.Job, cache.Admit) (int, cache.Source, error) {
		return count, source, err
	}}
}

func optional(p bootstrap.Part) bootstrap.Part {
	p.Optional = true
	return p
}

func delivery(t testing.TB, attempt int) bootstrap.Delivery {
	t.Helper()
	return bootstrap.Delivery{MessageID: "message-1", Body: encode(t, newJob("merchant-1")), Attempt: attempt}
}

func TestJobEndsAsItsPartsDid(t *testing.T) {
	t.Parallel()
	var (
		down      = error(&refusal{})
		unknown   = error(&refusal{permanent: true})
		busy      = error(&refusal{retryAfter: time.Minute})
		veryBusy  = error(&refusal{retryAfter: 24 * time.Hour})
		panicking = bootstrap.Part{Name: "branches", Prefetch: func(context.Context, bootstrap.Job, cache.Admit) (int, cache.Source, error) {
			panic("no such branch")
		}}
		ok     = part("categories", 3, cache.Fetched, nil)
		stale  = part("categories", 3, cache.Stale, nil)
		failed = func(name string, err error) bootstrap.Part { return part(name, 0, cache.None, err) }
	)
	tests := map[string]struct {
		categories, branches bootstrap.Part
		attempt              int
		want                 bootstrap.Outcome // but for its Job, Attempt and Duration
	}{
		"both": {ok, part("branches", 0, cache.Fresh, nil), 1, bootstrap.Outcome{Kind: bootstrap.Completed}},
		"one": {ok, failed("branches", down), 1,
			bootstrap.Outcome{Kind: bootstrap.Partial, Reason: "branches: refused, permanent false"}},
		"one, the other never": {ok, failed("branches", unknown), 1,
			bootstrap.Outcome{Kind: bootstrap.Partial, Reason: "branches: refused, permanent true"}},
		"one, the other panics": {ok, panicking, 1,
			bootstrap.Outcome{Kind: bootstrap.Partial, Reason: "branches: panic: no such branch"}},
		"one and a stale one": {stale, part("branches", 1, cache.Fresh, nil), 1,
			bootstrap.Outcome{Kind: bootstrap.Partial, Reason: "categories: fetching failed, only a stale copy is in the cache"}},
		"a stale one": {stale, failed("branches", down), 1, bootstrap.Outcome{Kind: bootstrap.Partial,
			Reason: "categories: fetching failed, only a stale copy is in the cache; branches: refused, permanent false"}},
		"two stale ones": {stale, part("branches", 1, cache.Stale, nil), 3, bootstrap.Outcome{Kind: bootstrap.Partial,
			Reason: "categories: fetching failed, only a stale copy is in the cache; branches: fetching failed, only a stale copy is in the cache"}},
		"none": {failed("categories", down), failed("branches", down), 1, bootstrap.Outcome{Kind: bootstrap.Failed,
			Delay: 5 * time.Second, Reason: "categories: refused, permanent false; branches: refused, permanent false"}},
		"none, again": {failed("categories", down), failed("branches", down), 2, bootstrap.Outcome{Kind: bootstrap.Failed,
			Delay: 10 * time.Second, Reason: "categories: refused, permanent false; branches: refused, permanent false"}},
		"none, for the last time": {failed("categories", down), failed("branches", busy), 3, bootstrap.Outcome{Kind: bootstrap.Failed, Last: true,
			Reason: "categories: refused, permanent false; branches: refused, permanent false"}},
		"none, more often than expected": {failed("categories", down), failed("branches", down), 9, bootstrap.Outcome{Kind: bootstrap.Failed, Last: true,
			Reason: "categories: refused, permanent false; branches: refused, permanent false"}},
		"none, one of them never": {failed("categories", down), failed("branches", unknown), 1, bootstrap.Outcome{Kind: bootstrap.Failed,
			Delay: 5 * time.Second, Reason: "categories: refused, permanent false; branches: refused, permanent true"}},
		"a longer wait is asked for": {failed("categories", down), failed("branches", busy), 2, bootstrap.Outcome{Kind: bootstrap.Failed,
			Delay: time.Minute, Reason: "categories: refused, permanent false; branches: refused, permanent false"}},
		"too long a wait is asked for": {failed("categories", veryBusy), failed("branches", busy), 1, bootstrap.Outcome{Kind: bootstrap.Failed,
			Delay: 11 * time.Hour, Reason: "categories: refused, permanent false; branches: refused, permanent false"}},
		"none, ever": {failed("categories", unknown), failed("branches", unknown), 1, bootstrap.Outcome{Kind: bootstrap.DeadLettered,
			Reason: "categories: refused, permanent true; branches: refused, permanent true"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(test.categories, test.branches, optional(part("templates", 10, cache.Fetched, nil)))
			got := b.Handle(t.Context(), delivery(t, test.attempt))
			want := test.want
			want.Job, want.Attempt, want.Duration = newJob("merchant-1"), test.attempt, got.Duration
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the job ended otherwise than its parts did (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]bootstrap.Outcome{got}, b.observed); diff != "" {
				t.Errorf("the metrics were told of another outcome than the queue (-queue +metrics):\n%s", diff)
			}
			if acknowledged := got.Kind == bootstrap.Completed || got.Kind == bootstrap.Partial; got.Acknowledged() != acknowledged {
				t.Errorf("a job that is %s is taken from the queue: %t, want %t", got.Kind, got.Acknowledged(), acknowledged)
			}
		})
	}
}

func TestMalformedJobIsDeadLetteredAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(part("categories", 1, cache.Fetched, nil))
	j := newJob("merchant-1")
	j.JobID, j.CustomerWa = "", "0501234567"
	got := b.Handle(t.Context(), bootstrap.Delivery{MessageID: "message-1", Body: encode(t, j), Attempt: 1})
	const reason = "malformed bootstrap job: jobId: want 1 to 128 printable characters; customerWa: neither a phone number in E.164 form nor a WhatsApp user id"
	want := bootstrap.Outcome{Kind: bootstrap.DeadLettered, Attempt: 1, Reason: reason, Duration: got.Duration}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the job ended otherwise than its parts did (-want +got):\n%s", diff)
	}
	wantLines := []map[string]any{{
		"level": "ERROR", "message": "bootstrap job dead-lettered", "reason": reason,
		"remedy":    "no attempt can succeed: find its id with sufrahctl dlq list, and remove it with sufrahctl dlq delete",
		"requestId": "request-1", "messageId": "message-1", "attempt": 1.0,
	}}
	if diff := cmp.Diff(wantLines, b.lines(t)); diff != "" {
		t.Errorf("the job's log lines, which dashboards search for (-want +got):\n%s", diff)
	}
}

// TestLogLinesAreTheOnesThatDashboardsSearchFor compares the log lines with those that dashboards search for.
func TestLogLinesAreTheOnesThatDashboardsSearchFor(t *testing.T) {
	t.Parallel()
	common := func(level, message string, more map[string]any) map[string]any {
		line := map[string]any{
			"level": level, "message": message, "requestId": "request-1", "messageId": "message-1", "jobId": "job-SMmerchant-1",
			"restaurantId": "clxyz123abc", "merchantId": "merchant-1", "customer": "+966*******67",
		}
		for name, value := range more {
			line[name] = value
		}
		return line
	}
	down := errors.New("down")
	const remedy = "mend the cause, then run sufrahctl dlq redrive; after 2126-10-30T12:00:00Z the job is late, and is dropped without being run"
	tests := map[string]struct {
		part    bootstrap.Part
		attempt int
		want    []map[string]any
	}{
		"completed": {part("categories", 3, cache.Fetched, nil), 1, []map[string]any{
			common("INFO", "bootstrap job started", map[string]any{"attempt": 1.0}),
			common("INFO", "categories prefetched", map[string]any{"attempt": 1.0, "count": 3.0, "source": "fetched"}),
			common("INFO", "bootstrap job completed", map[string]any{"attempt": 1.0, "counts": map[string]any{"categories": 3.0}}),
		}},
		"partial": {part("categories", 3, cache.Stale, nil), 1, []map[string]any{
			common("INFO", "bootstrap job started", map[string]any{"attempt": 1.0}),
			common("WARN", "part not prefetched", map[string]any{"attempt": 1.0, "part": "categories", "error": "fetching failed, only a stale copy is in the cache"}),
			common("WARN", "bootstrap job partially completed", map[string]any{"attempt": 1.0,
				"counts": map[string]any{"categories": 3.0}, "error": "categories: fetching failed, only a stale copy is in the cache"}),
		}},
		"failed": {part("categories", 0, cache.None, down), 2, []map[string]any{
			common("INFO", "bootstrap job started", map[string]any{"attempt": 2.0}),
			common("WARN", "part not prefetched", map[string]any{"attempt": 2.0, "part": "categories", "error": "down"}),
			common("WARN", "bootstrap job failed: it is tried again", map[string]any{"attempt": 2.0, "maxAttempts": 3.0,
				"nextDelayMs": 10000.0, "error": "categories: down"}),
		}},
		"failed for the last time": {part("categories", 0, cache.None, down), 3, []map[string]any{
			common("INFO", "bootstrap job started", map[string]any{"attempt": 3.0}),
			common("WARN", "part not prefetched", map[string]any{"attempt": 3.0, "part": "categories", "error": "down"}),
			common("ERROR", "bootstrap job failed for the last time: it goes to the dead-letter queue now", map[string]any{
				"attempt": 3.0, "maxAttempts": 3.0, "error": "categories: down", "remedy": remedy}),
		}},
		"dead-lettered": {part("categories", 0, cache.None, &refusal{permanent: true}), 1, []map[string]any{
			common("INFO", "bootstrap job started", map[string]any{"attempt": 1.0}),
			common("WARN", "part not prefetched", map[string]any{"attempt": 1.0, "part": "categories", "error": "refused, permanent true"}),
			common("ERROR", "bootstrap job dead-lettered", map[string]any{
				"attempt": 1.0, "reason": "categories: refused, permanent true", "remedy": remedy}),
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(test.part)
			b.Handle(t.Context(), delivery(t, test.attempt))
			if diff := cmp.Diff(test.want, b.lines(t)); diff != "" {
				t.Errorf("the job's log lines, which dashboards search for (-want +got):\n%s", diff)
			}
		})
	}
}

// TestJobTakesAsLongAsItsSlowestPart: a job takes as long as its slowest part, and a failing optional part changes nothing.
func TestJobTakesAsLongAsItsSlowestPart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(name string, takes time.Duration, err error) bootstrap.Part {
			return bootstrap.Part{Name: name, Done: name, Prefetch: func(context.Context, bootstrap.Job, cache.Admit) (int, cache.Source, error) {
				time.Sleep(takes)
				return 1, cache.Fetched, err
			}}
		}
		b := setup(slow("categories", 100*time.Millisecond, nil), slow("branches", 70*time.Millisecond, nil),
			optional(slow("templates", 80*time.Millisecond, errors.New("the cache is down"))))
		got := b.Handle(t.Context(), delivery(t, 1))
		if got.Kind != bootstrap.Completed || got.Duration != 100*time.Millisecond {
			t.Errorf("the job is %s after %v, want completed after 100ms, the time of its slowest part", got.Kind, got.Duration)
		}
	})
}

// origin is where menus are fetched; it counts the calls.
type origin struct {
	takes time.Duration

	mu    sync.Mutex
	calls int
	began []time.Duration // since the start
	start time.Time
}

func (o *origin) call(ctx context.Context) error {
	o.mu.Lock()
	o.calls++
	o.began = append(o.began, time.Since(o.start))
	o.mu.Unlock()
	return clock.Sleep(ctx, o.takes)
}

func (o *origin) Categories(ctx context.Context, _ string) ([]menu.Category, error) {
	return []menu.Category{{ID: "1"}, {ID: "2"}}, o.call(ctx)
}

func (o *origin) Branches(ctx context.Context, _ string) ([]menu.Branch, error) {
	return []menu.Branch{{ID: "1"}}, o.call(ctx)
}

// shelf is a cache within the process.
type shelf struct {
	mu     sync.Mutex
	values map[string]string
}

func (s *shelf) Get(_ context.Context, key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, found := s.values[key]
	return []byte(value), found, nil
}

func (s *shelf) Set(_ context.Context, key string, value []byte, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = string(value)
	return nil
}

func (s *shelf) SetAll(ctx context.Context, values map[string][]byte, ttl time.Duration) (int, error) {
	for key, value := range values {
		_ = s.Set(ctx, key, value, ttl)
	}
	return len(values), nil
}

func (s *shelf) SetIfAbsent(_ context.Context, key, value string, _ time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.values[key]; taken {
		return false, nil
	}
	s.values[key] = value
	return true, nil
}

func (s *shelf) DeleteIfEquals(_ context.Context, key, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values[key] == value {
		delete(s.values, key)
	}
	return nil
}

// offers returns an origin's menus through a cache in the process.
func offers(o *origin) *cache.Menu {
	return cache.NewMenu(o, cache.Options{
		Server: &shelf{values: map[string]string{}}, TTL: time.Minute, StaleFor: time.Hour, Now: time.Now,
		Random: func() uint64 { return 1 }, Log: slog.New(slog.DiscardHandler),
	})
}

func prefetching(o *origin) *bench {
	menu := offers(o)
	return setup(bootstrap.Parts(menu, cache.NewTemplates(&shelf{values: map[string]string{}}, nil, time.Hour, slog.New(slog.DiscardHandler)), nil)...)
}

// TestOneSlotForAJob: both lists are fetched in the same slot, and cached lists need no slot.
func TestOneSlotForAJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{takes: 100 * time.Millisecond, start: time.Now()}
		b := prefetching(o)
		for i := range 3 {
			if got := b.Handle(t.Context(), delivery(t, 1)); got.Kind != bootstrap.Completed {
				t.Errorf("job %d is %s (%s), want completed", i+1, got.Kind, got.Reason)
			}
		}
		if taken := b.pace.taken.Load(); taken != 1 || o.calls != 2 {
			t.Errorf("three jobs of one merchant took %d slots and %d calls to Sufrah, want 1 and 2: the lists are cached then", taken, o.calls)
		}
		if diff := cmp.Diff([]string{"merchant-1"}, b.pace.asked); diff != "" {
			t.Errorf("merchants for which a slot was asked (-want +got):\n%s", diff)
		}
	})
}

// TestWaitingForASlotUsesUpNoAttempt: the worker sleeps through a short wait; a longer one ends the attempt without a call.
// Neither uses up an attempt, not even the last.
func TestWaitingForASlotUsesUpNoAttempt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		wait, deadline time.Duration
		attempt        int
		want           bootstrap.Outcome
	}{
		"short":               {5 * time.Second, time.Minute, 1, bootstrap.Outcome{Kind: bootstrap.Completed, Waited: 5 * time.Second}},
		"long":                {5*time.Second + 1, time.Minute, 1, bootstrap.Outcome{Kind: bootstrap.Waiting, Delay: 5*time.Second + 1}},
		"at the last attempt": {time.Minute, time.Minute, 3, bootstrap.Outcome{Kind: bootstrap.Waiting, Delay: time.Minute}},
		"no time for a call":  {time.Second, 6*time.Second - 1, 2, bootstrap.Outcome{Kind: bootstrap.Waiting, Delay: time.Second}},
		"just enough time":    {time.Second, 6 * time.Second, 2, bootstrap.Outcome{Kind: bootstrap.Completed, Waited: time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := &origin{takes: 100 * time.Millisecond, start: time.Now()}
				b := prefetching(o)
				b.pace.from = time.Now().Add(test.wait)
				ctx, cancel := context.WithTimeout(t.Context(), test.deadline)
				defer cancel()
				got := b.Handle(ctx, delivery(t, test.attempt))
				if got.Kind != test.want.Kind || got.Delay != test.want.Delay || got.Waited != test.want.Waited || got.Attempt != test.attempt {
					t.Errorf("a job that must wait %v for its slot, with %v left, ended as %+v, want %+v at attempt %d", test.wait, test.deadline, got, test.want, test.attempt)
				}
				if calls := map[bool]int{true: 0, false: 2}[got.Kind == bootstrap.Waiting]; o.calls != calls {
					t.Errorf("a job that is %s made %d calls to Sufrah, want %d", got.Kind, o.calls, calls)
				}
				if got.Kind == bootstrap.Waiting && (got.Acknowledged() || got.Reason == "" || !strings.Contains(b.log.String(), bootstrap.MessageWaiting)) {
					t.Errorf("a job that waits is taken from the queue: %t, want not; its reason is %q, want one; and its log %s", got.Acknowledged(), got.Reason, &b.log)
				}
			})
		})
	}
}

// TestCustomersDontWaitForASlot: while a job sleeps for its slot, a customer's question is fetched at once. The job then
// needs no call any more.
func TestCustomersDontWaitForASlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &origin{takes: 100 * time.Millisecond, start: time.Now()}
		menu := offers(o)
		b := setup(bootstrap.Parts(menu, cache.NewTemplates(&shelf{values: map[string]string{}}, nil, time.Hour, slog.New(slog.DiscardHandler)), nil)...)
		b.pace.from = time.Now().Add(4 * time.Second)
		var running sync.WaitGroup
		running.Go(func() {
			if got := b.Handle(t.Context(), delivery(t, 1)); got.Kind != bootstrap.Completed {
				t.Errorf("the job that waited for its slot is %s (%s), want completed", got.Kind, got.Reason)
			}
		})
		time.Sleep(time.Second)
		asked := time.Now()
		_, source, err := menu.Categories(t.Context(), "merchant-1")
		_, other, err2 := menu.Branches(t.Context(), "merchant-1")
		if err != nil || err2 != nil || source != cache.Fetched || other != cache.Fetched || time.Since(asked) != 200*time.Millisecond {
			t.Errorf("a customer's questions during the job's wait were answered after %s from %s and %s (errors %v, %v), want fetched after 200ms", time.Since(asked), source, other, err, err2)
		}
		running.Wait()
		if taken := b.pace.taken.Load(); taken != 0 || o.calls != 2 {
			t.Errorf("the job took %d slots and there were %d calls to Sufrah, want no slot and the customer's 2 calls", taken, o.calls)
		}
	})
}

// TestLateJobIsAcknowledgedWithoutACall: a late job is acknowledged without a slot or a call.
func TestLateJobIsAcknowledgedWithoutACall(t *testing.T) {
	t.Parallel()
	for age, want := range map[time.Duration]bootstrap.Kind{
		-time.Hour: bootstrap.Completed, 10 * time.Minute: bootstrap.Completed, 10*time.Minute + 1: bootstrap.Late,
	} {
		o := &origin{start: time.Now()}
		b := prefetching(o)
		b.MaxAge = 10 * time.Minute
		enqueued := newJob("merchant-1").EnqueuedAt
		b.Now = func() time.Time { return enqueued.Add(age) }
		got := b.Handle(t.Context(), delivery(t, 1))
		if got.Kind != want || !got.Acknowledged() {
			t.Errorf("a job that is %s old is %s (taken from the queue: %t), want %s and taken", age, got.Kind, got.Acknowledged(), want)
		}
		if late := want == bootstrap.Late; late && (o.calls != 0 || len(b.pace.asked) != 0 || !strings.Contains(b.log.String(), bootstrap.MessageLate)) {
			t.Errorf("a job that is %s old, too late to help, made %d calls and asked for slots of %v, want none; log %s", age, o.calls, b.pace.asked, &b.log)
		}
	}
}

// TestJobWithoutTimeIsAttemptedAgain: an attempt that runs out of its invocation's time is made again.
func TestJobWithoutTimeIsAttemptedAgain(t *testing.T) {
	t.Parallel()
	b := prefetching(&origin{takes: time.Hour, start: time.Now()})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if got := b.Handle(ctx, delivery(t, 3)); got.Kind != bootstrap.Waiting || got.Delay != time.Second {
		t.Errorf("a job that its invocation called off ended as %+v, want waiting, to be attempted again after 1s", got)
	}
}

// TestPaceThatFailsFailsTheAttempt: an error of the pace is an error of the attempt.
func TestPaceThatFailsFailsTheAttempt(t *testing.T) {
	t.Parallel()
	b := prefetching(&origin{start: time.Now()})
	b.pace.err = errors.New("no pace")
	if got := b.Handle(t.Context(), delivery(t, 1)); got.Kind != bootstrap.Failed || !strings.Contains(got.Reason, "no pace") {
		t.Errorf("a job whose pace can't be asked ended as %+v, want failed for that reason", got)
	}
}
