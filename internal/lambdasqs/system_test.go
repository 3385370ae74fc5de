package lambdasqs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/lambdasqs"
	"github.com/sufrah/usage-bootstrap/internal/local/eventsource"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/metrics"
	"github.com/sufrah/usage-bootstrap/internal/ratelimit"
	"github.com/sufrah/usage-bootstrap/internal/sqsqueue"
	"github.com/sufrah/usage-bootstrap/internal/sufrah"
	"github.com/sufrah/usage-bootstrap/internal/valkey"
)

const (
	endpoint    = "http://sqs.local"
	concurrency = 5
	patience    = time.Minute // how long a test waits for something before it fails
	visibility  = 6 * time.Minute
)

// stopped is a clock that stands still between moves. Everything uses it, except the invocations' own deadlines.
type stopped struct {
	mu       sync.Mutex
	now      time.Time
	sleepers map[chan struct{}]time.Time
}

func (c *stopped) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stopped) Sleep(ctx context.Context, d time.Duration) error {
	woken := make(chan struct{})
	c.mu.Lock()
	c.sleepers[woken] = c.now.Add(d)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.sleepers, woken)
	}()
	select {
	case <-woken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *stopped) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for woken, at := range c.sleepers {
		if !at.After(c.now) {
			close(woken)
			delete(c.sleepers, woken)
		}
	}
}

// alarms returns the times at which sleepers must be woken.
func (c *stopped) alarms() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.sleepers))
}

// output collects the instances' output.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// system is the production code from the queue to Sufrah, with stand-ins at both ends.
type system struct {
	*stopped
	engine    *sqslocal.Engine
	client    *sqs.Client
	queue     *sqsqueue.Queue
	letters   *sqsqueue.DeadLetters
	redis     *miniredis.Miniredis
	sufrah    *sandbox.Sufrah
	front     http.Handler // stands in front of Sufrah
	out       *output
	instances chan eventsource.Invoke // the idle ones
	wiring    wiring
	plan      []planned // in the order of their times

	mu       sync.Mutex
	outcomes []bootstrap.Outcome
	parked   map[string]string // by id, each message's receive count at its latest failure
	running  int
	most     int // most simultaneous invocations so far
}

// planned is an event that happens at a time while a system settles.
type planned struct {
	at time.Time
	do func()
}

// wiring configures the instances of a system.
type wiring struct {
	rate int // jobs a minute
	// skews are the errors of the instances' clocks. If there are any, the cache's clock gives the shared times, and its keys
	// expire by it, as on AWS.
	skews []time.Duration
	// guarded lets instances share failures, and stops calls while Sufrah is down.
	guarded bool
}

// designed is the real rate of jobs; unlimited is a rate that delays no test.
const (
	designed  = 20
	unlimited = 1_000_000
)

func setup(t testing.TB, rate int) *system {
	t.Helper()
	return setupAs(t, wiring{rate: rate})
}

func setupAs(t testing.TB, w wiring) *system {
	t.Helper()
	s := &system{
		wiring:    w,
		parked:    map[string]string{},
		stopped:   &stopped{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), sleepers: map[chan struct{}]time.Time{}},
		redis:     miniredis.RunT(t),
		sufrah:    sandbox.NewSufrah(rand.New(rand.NewPCG(1, 2)).Float64),
		out:       &output{},
		instances: make(chan eventsource.Invoke, concurrency),
	}
	s.front = s.sufrah
	s.engine = sqslocal.New(s.Now, sqslocal.Queue{Name: "jobs", VisibilityTimeout: visibility, DeadLetterQueue: "dead", MaxReceiveCount: 3})
	s.client = sqs.NewFromConfig(aws.Config{
		Region: sqslocal.Region, BaseEndpoint: aws.String(endpoint), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		HTTPClient:  &http.Client{Transport: s.engine.Transport()},
	})
	url, deadLetterURL := sqslocal.QueueURL(endpoint, "jobs"), sqslocal.QueueURL(endpoint, "dead")
	s.queue = sqsqueue.New(s.client, url, deadLetterURL)
	s.letters = sqsqueue.NewDeadLetters(s.client, url, deadLetterURL)
	if len(w.skews) > 0 {
		s.redis.SetTime(s.Now())
	}
	for i := range concurrency {
		now := s.Now
		if len(w.skews) > 0 {
			skew := w.skews[i%len(w.skews)]
			now = func() time.Time { return s.Now().Add(skew) }
		}
		s.instances <- s.instance(t, now)
	}
	return s
}

// RoundTrip carries a request from an instance to Sufrah.
func (s *system) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	s.front.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// instance returns an instance of the function, wired as the function is.
func (s *system) instance(t testing.TB, now func() time.Time) eventsource.Invoke {
	t.Helper()
	log := logging.New(s.out, slog.LevelInfo, "welcome-bootstrap")
	counted := metrics.New(s.out, "welcome-bootstrap", now)
	server, err := valkey.New(valkey.Config{
		Address: s.redis.Addr(), DialTimeout: patience, CommandTimeout: patience, // with patience for a busy machine
	})
	if err != nil {
		t.Fatalf("making the cache client: %v", err)
	}
	t.Cleanup(server.Close)
	origin, err := sufrah.New(sufrah.Config{
		BaseURL: "http://sufrah.local" + sandbox.SufrahBasePath, APIKey: "key", HTTPClient: &http.Client{Transport: s},
	})
	if err != nil {
		t.Fatalf("making the Sufrah client: %v", err)
	}
	limiter, err := ratelimit.NewLimiter(ratelimit.LimiterConfig{
		Key: "{jobs}", Rate: s.wiring.rate, Per: time.Minute, Alone: max(1, s.wiring.rate/concurrency), Now: now, Random: rand.Uint64,
		LocalTime: len(s.wiring.skews) == 0,
	}, server, log)
	if err != nil {
		t.Fatalf("making the limiter: %v", err)
	}
	options := cache.Options{
		Server: server, TTL: 3 * time.Minute, StaleFor: time.Hour, Now: now, Random: rand.Uint64, Log: log,
		Observer: cache.Observer{Loaded: counted.CacheLoaded},
	}
	if s.wiring.guarded {
		options.Hold, options.RetryAfter = time.Second, retryAfter
		options.Breaker = &cache.Breaker{Key: "{calls}:breaker", Circuits: server, Random: rand.Uint64, Log: log}
	}
	offers := cache.NewMenu(origin, options)
	sids := map[string]string{"welcome": "HX" + strings.Repeat("0", 32), "categories": "HX" + strings.Repeat("1", 32)}
	worker := &bootstrap.Worker{
		Parts: bootstrap.Parts(offers, cache.NewTemplates(server, nil, time.Hour, log), sids),
		Pace:  limiter, Attempts: 3, MaxAge: 10 * time.Minute, Backoff: 5 * time.Second, Now: now, Sleep: s.Sleep, Log: log,
		RequestID:  func(context.Context) string { return "request-1" },
		RetryAfter: retryAfter,
		Observe: func(o bootstrap.Outcome) {
			counted.JobEnded(o)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.outcomes = append(s.outcomes, o)
		},
	}
	return lambdasqs.New(worker, s.queue, log, nil)
}

func retryAfter(err error) time.Duration {
	if failure, ok := errors.AsType[*sufrah.Error](err); ok {
		return failure.RetryAfter
	}
	return 0
}

// invoke passes an event to an idle instance.
func (s *system) invoke(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
	s.mu.Lock()
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running--
	}()
	instance := <-s.instances
	defer func() { s.instances <- instance }()
	return instance(ctx, e)
}

// dying returns an invoke in which every nth invocation is killed after its work.
func (s *system) dying(every int64) eventsource.Invoke {
	var n atomic.Int64
	return func(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
		response, err := s.invoke(ctx, e)
		if n.Add(1)%every == 0 {
			return events.SQSEventResponse{}, errKilled
		}
		return response, err
	}
}

// park tells settle of messages that are in flight although nobody works on them any more.
func (s *system) park(e events.SQSEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range e.Records {
		s.parked[m.MessageId] = m.Attributes["ApproximateReceiveCount"]
	}
}

// start runs the event source mapping until the test ends.
func (s *system) start(t testing.TB, invoke eventsource.Invoke) {
	t.Helper()
	mapping := eventsource.Mapping{
		QueueURL: sqslocal.QueueURL(endpoint, "jobs"), QueueARN: sqslocal.ARN("jobs"),
		BatchSize: 1, MaximumConcurrency: concurrency, FunctionTimeout: time.Minute, ReportBatchItemFailures: true,
		Grace: patience, Now: s.Now, Log: slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- mapping.Run(ctx, s.client, func(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
			response, err := invoke(ctx, e)
			if err != nil || len(response.BatchItemFailures) > 0 {
				s.park(e)
			}
			return response, err
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the mapping ended with %v", err)
		}
	})
}

func (s *system) pass(d time.Duration) {
	s.advance(d)
	if len(s.wiring.skews) > 0 {
		s.redis.SetTime(s.Now())
		s.redis.FastForward(d)
	}
	s.engine.Wake()
}

// until waits for a state without moving the clock.
func (s *system) until(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !reached(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(late) {
			log := s.out.String()
			t.Fatalf("waited in vain for %s at %v; jobs %v, dead letters %v; the log ends:\n%s",
				what, s.Now(), s.counts("jobs"), s.counts("dead"), log[max(0, len(log)-5000):])
		}
	}
}

// settle moves the clock from one due moment to the next, whenever everybody waits, until the queue is empty and nothing is
// planned. A job sleeps only once, whatever it waits for.
func (s *system) settle(t testing.TB) {
	t.Helper()
	for passed := true; passed; {
		passed = false
		s.until(t, "an empty queue", func() bool {
			messages := s.engine.Messages("jobs")
			due, busy := s.due(messages)
			if len(messages) == 0 && len(s.plan) == 0 {
				return true
			}
			if len(s.plan) > 0 {
				due = append(due, s.plan[0].at)
			}
			if busy || len(due) == 0 {
				return false
			}
			s.pass(slices.MinFunc(due, time.Time.Compare).Sub(s.Now()))
			for len(s.plan) > 0 && !s.plan[0].at.After(s.Now()) {
				s.plan[0].do()
				s.plan = s.plan[1:]
			}
			passed = true
			return true
		})
	}
}

// due returns the moments at which sleepers and hidden messages are due, and whether anything is going on without the clock
// being moved.
func (s *system) due(messages []sqslocal.Message) (due []time.Time, busy bool) {
	due = s.alarms()
	asleep, visible, active := len(due), 0, 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		switch {
		case m.State == sqslocal.Visible:
			visible++
		case m.State == sqslocal.Delayed || s.parked[m.ID] == strconv.Itoa(m.ReceiveCount):
			due = append(due, m.VisibleAt)
		default:
			active++
		}
	}
	return due, active != asleep || visible > 0 && active < concurrency
}

func (s *system) counts(queue string) [3]int {
	visible, delayed, inFlight := s.engine.Counts(queue)
	return [3]int{visible, delayed, inFlight}
}

// ended returns the outcomes of all attempts, in order.
func (s *system) ended() (kinds []bootstrap.Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outcomes {
		kinds = append(kinds, o.Kind)
	}
	return kinds
}

func job(merchantID string) bootstrap.Job {
	return jobOf(merchantID, time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
}

func jobOf(merchantID string, enqueuedAt time.Time) bootstrap.Job {
	return bootstrap.Job{
		Version: bootstrap.Version, JobID: "job-" + merchantID, RestaurantID: "clxyz123abc", MerchantID: merchantID,
		CustomerWa: "+966501234567", ProfileName: "Sara", EnqueuedAt: enqueuedAt,
	}
}

func (s *system) enqueue(t testing.TB, merchantIDs ...string) {
	t.Helper()
	for _, id := range merchantIDs {
		s.enqueueAt(t, id, job(id).EnqueuedAt)
	}
}

func (s *system) enqueueAt(t testing.TB, merchantID string, at time.Time) {
	t.Helper()
	if err := s.queue.Enqueue(context.Background(), jobOf(merchantID, at)); err != nil {
		t.Fatalf("enqueuing the job: %v", err)
	}
}

func (s *system) fail(t testing.TB, b sandbox.Behavior) {
	t.Helper()
	if err := s.sufrah.Fault().Set(b); err != nil {
		t.Fatalf("setting the sandbox's behaviour: %v", err)
	}
}

const (
	categoriesPath = sandbox.SufrahBasePath + "/merchants/%s/categories"
	branchesPath   = sandbox.SufrahBasePath + "/merchants/%s/branches"
)

// calls returns the number of fetches of each of a merchant's lists.
func (s *system) calls(merchantID string) [2]int {
	calls := s.sufrah.Calls()
	return [2]int{calls[fmt.Sprintf(categoriesPath, merchantID)], calls[fmt.Sprintf(branchesPath, merchantID)]}
}

func TestCompleted(t *testing.T) {
	t.Parallel()
	s := setup(t, designed)
	s.enqueue(t, "merchant-1")
	s.start(t, s.invoke)
	s.until(t, "an empty queue", func() bool { return s.counts("jobs") == [3]int{} })
	if diff := cmp.Diff([]bootstrap.Kind{bootstrap.Completed}, s.ended()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	for _, key := range []string{"categories", "branches"} {
		if !s.redis.Exists(cache.Key("merchant-1", key)) {
			t.Errorf("the %s are not in the cache", key)
		}
	}
	for _, part := range []string{
		`"message":"bootstrap job completed"`, `"jobId":"job-merchant-1"`, `"message":"categories prefetched"`,
		`"message":"branches prefetched"`, `"message":"templates warmed"`, `"count":2,"source"`,
		`"Function":"welcome-bootstrap","JobCompleted":1,`, `"CacheMiss":1`,
	} {
		if !strings.Contains(s.out.String(), part) {
			t.Errorf("the log lacks %s:\n%s", part, s.out)
		}
	}
	if strings.Contains(s.out.String(), "+966501234567") {
		t.Errorf("the log has a customer's number:\n%s", s.out)
	}
}

// only fails calls to paths with an ending.
func (s *system) only(ending string, status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ending) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(status)
			return
		}
		s.sufrah.ServeHTTP(w, r)
	})
}

func TestPartial(t *testing.T) {
	t.Parallel()
	s := setup(t, designed)
	s.front = s.only("/branches", http.StatusServiceUnavailable)
	s.enqueue(t, "merchant-1")
	s.start(t, s.invoke)
	s.until(t, "an empty queue", func() bool { return s.counts("jobs") == [3]int{} })
	if diff := cmp.Diff([]bootstrap.Kind{bootstrap.Partial}, s.ended()); diff != "" || s.counts("dead") != [3]int{} {
		t.Errorf("dead letters %v, outcomes (-want +got):\n%s", s.counts("dead"), diff)
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	s := setup(t, designed)
	s.start(t, s.invoke)
	s.enqueue(t, "merchant-1")
	s.until(t, "the first job", func() bool { return len(s.ended()) == 1 })
	s.pass(4 * time.Minute)
	s.fail(t, sandbox.Behavior{FailRate: 1, Status: 503})
	s.enqueue(t, "merchant-1")
	s.until(t, "an empty queue", func() bool { return s.counts("jobs") == [3]int{} })
	if diff := cmp.Diff([]bootstrap.Kind{bootstrap.Completed, bootstrap.Partial}, s.ended()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// TestFailedThreeTimes: a job fails three times, 5 s and 10 s apart, and the queue itself moves it to the dead-letter queue.
// A redrive brings it back.
func TestFailedThreeTimes(t *testing.T) {
	t.Parallel()
	s := setup(t, designed)
	s.fail(t, sandbox.Behavior{FailRate: 1, Status: 503})
	s.enqueue(t, "merchant-1")
	s.start(t, s.invoke)
	for attempt, delay := range []time.Duration{5 * time.Second, 10 * time.Second} {
		s.until(t, "the next attempt", func() bool {
			m := s.engine.Messages("jobs")
			return len(m) == 1 && m[0].ReceiveCount == attempt+1 && m[0].VisibleAt.Equal(s.Now().Add(delay))
		})
		s.until(t, "the end of the invocation", func() bool { return len(s.instances) == concurrency })
		s.pass(delay - time.Millisecond)
		if got := s.calls("merchant-1"); got != [2]int{attempt + 1, attempt + 1} {
			t.Errorf("calls %v before attempt %d", got, attempt+2)
		}
		s.pass(time.Millisecond)
	}
	s.until(t, "a dead letter", func() bool { return s.counts("dead") == [3]int{1, 0, 0} })
	letter := s.engine.Messages("dead")[0]
	if letter.ReceiveCount != 3 || letter.DeadLetterSource != "jobs" || s.calls("merchant-1") != [2]int{3, 3} {
		t.Errorf("dead letter %+v after calls %v, want 3 of each", letter, s.calls("merchant-1"))
	}
	failed := []bootstrap.Kind{bootstrap.Failed, bootstrap.Failed, bootstrap.Failed}
	if diff := cmp.Diff(failed, s.ended()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}

	s.fail(t, sandbox.Behavior{Status: 503})
	s.pass(time.Minute)
	if n, _, err := s.letters.Redrive(t.Context(), func(sqsqueue.DeadLetter) bool { return true }); n != 1 || err != nil {
		t.Fatalf("Redrive = %d, %v, want 1", n, err)
	}
	s.until(t, "empty queues", func() bool { return s.counts("jobs") == [3]int{} && s.counts("dead") == [3]int{} })
	if diff := cmp.Diff(append(failed, bootstrap.Completed), s.ended()); diff != "" {
		t.Errorf("outcomes after a redrive (-want +got):\n%s", diff)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	s := setup(t, designed)
	s.front = s.only("", http.StatusTooManyRequests)
	s.enqueue(t, "merchant-1")
	s.start(t, s.invoke)
	s.until(t, "the next attempt in 30 s", func() bool {
		m := s.engine.Messages("jobs")
		return m[0].ReceiveCount == 1 && m[0].VisibleAt.Equal(s.Now().Add(30*time.Second))
	})
}

// TestDeadLetters: a job that can never succeed goes to the dead-letter queue at once, with its reason.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body, reason string
		status       int // status of Sufrah's answers
	}{
		"malformed": {"no job", "malformed bootstrap job: not a JSON object with a job's fields", 0},
		"unknown merchant": {"nobody", `categories: sufrah: categories of merchant "nobody": status 404: unknown merchant; ` +
			`branches: sufrah: branches of merchant "nobody": status 404: unknown merchant`, 0},
		"refused key": {"merchant-1", `categories: sufrah: categories of merchant "merchant-1": status 403; ` +
			`branches: sufrah: branches of merchant "merchant-1": status 403`, 403},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup(t, designed)
			if test.status != 0 {
				s.front = s.only("", test.status)
			}
			if name == "malformed" {
				url := sqslocal.QueueURL(endpoint, "jobs")
				if _, err := s.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &test.body}); err != nil {
					t.Fatalf("sending the message: %v", err)
				}
			} else {
				s.enqueue(t, test.body)
			}
			id := s.engine.Messages("jobs")[0].ID
			s.start(t, s.invoke)
			s.until(t, "an empty queue", func() bool { return s.counts("jobs") == [3]int{} })
			letters, err := s.letters.List(t.Context(), 1)
			if err != nil || len(letters) != 1 || letters[0].Reason != test.reason {
				t.Errorf("List = %+v, %v, want one with the reason %q", letters, err, test.reason)
			}
			if got := s.engine.Messages("dead")[0].Attributes["originalMessageId"].StringValue; got != id {
				t.Errorf("original message id %q, want %q", got, id)
			}
			if diff := cmp.Diff([]bootstrap.Kind{bootstrap.DeadLettered}, s.ended()); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTrace: the trace of the message that caused a job reaches the invocation that carries it out.
func TestTrace(t *testing.T) {
	t.Parallel()
	s := setup(t, designed)
	const trace = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1"
	ctx := context.WithValue(t.Context(), "x-amzn-trace-id", trace) //nolint:staticcheck // the runtime has no other key
	if err := s.queue.Enqueue(ctx, job("merchant-1")); err != nil {
		t.Fatalf("enqueuing the job: %v", err)
	}
	got := make(chan string, 1)
	s.start(t, func(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
		got <- e.Records[0].Attributes["AWSTraceHeader"]
		return s.invoke(ctx, e)
	})
	if header := <-got; header != trace {
		t.Errorf("trace = %q, want %q", header, trace)
	}
}

// TestOneMerchant: a thousand jobs for one merchant fetch each list once.
func TestOneMerchant(t *testing.T) {
	t.Parallel()
	s := setup(t, designed)
	const jobs = 1000
	for range jobs {
		s.enqueue(t, "merchant-1")
	}
	s.fail(t, sandbox.Behavior{LatencyMs: 20, Status: 503})
	s.start(t, s.invoke)
	s.until(t, "all jobs", func() bool { return len(s.ended()) == jobs })
	if got := s.calls("merchant-1"); got != [2]int{1, 1} {
		t.Errorf("calls %v, want one of each list", got)
	}
	for _, kind := range s.ended() {
		if kind != bootstrap.Completed {
			t.Fatalf("a job ended as %s; log:\n%s", kind, s.out)
		}
	}
}

// TestPace: of sixty jobs for as many merchants, twenty begin at once, twenty after a minute and twenty after two minutes,
// each at its first attempt. Five run at the same time.
func TestPace(t *testing.T) {
	t.Parallel()
	s := setup(t, designed)
	const jobs = 60
	var mu sync.Mutex
	began := map[string]time.Time{} // by merchant
	start := s.Now()
	s.front = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		merchantID := strings.Split(r.URL.Path, "/")[5]
		if _, again := began[merchantID]; !again {
			began[merchantID] = s.Now()
		}
		mu.Unlock()
		s.sufrah.ServeHTTP(w, r)
	})
	for i := range jobs {
		s.enqueue(t, fmt.Sprint("merchant-", i))
	}
	s.start(t, s.invoke)
	s.settle(t)
	var waits []time.Duration
	for _, at := range began {
		waits = append(waits, at.Sub(start))
	}
	slices.Sort(waits)
	if len(waits) != jobs {
		t.Fatalf("%d merchants were fetched, want %d", len(waits), jobs)
	}
	for i, wait := range waits {
		if wait != time.Duration(i/20)*time.Minute {
			t.Fatalf("job %d began after %v; all: %v", i, wait, waits)
		}
	}
	completed := 0
	for _, o := range s.outcomes {
		if o.Kind == bootstrap.Completed {
			completed++
		}
		if o.Kind != bootstrap.Completed && o.Kind != bootstrap.Waiting || o.Attempt != 1 || o.Waited > bootstrap.MaxSleep {
			t.Errorf("a job ended as %s at attempt %d, having slept for %v", o.Kind, o.Attempt, o.Waited)
		}
	}
	if completed != jobs || s.most > concurrency || s.counts("dead") != [3]int{} {
		t.Errorf("%d jobs, %d at once, dead letters %v", completed, s.most, s.counts("dead"))
	}
}

var errKilled = errors.New("killed")

// TestNothingIsLost: Sufrah fails, the cache restarts, and instances die. Every job ends, and none becomes a dead letter
// before its third attempt.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	s := setup(t, unlimited)
	const jobs = 80
	s.fail(t, sandbox.Behavior{FailRate: 0.3, Status: 503})
	for i := range jobs {
		s.enqueue(t, fmt.Sprint("merchant-", i))
	}
	luck := rand.New(rand.NewPCG(3, 4))
	var mu sync.Mutex
	invocations := 0
	s.start(t, func(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
		mu.Lock()
		invocations++
		half := invocations == jobs/2
		before, after, dies := luck.Float64() < 0.05, luck.Float64() < 0.05, luck.Float64() < 0.05
		mu.Unlock()
		if half {
			s.redis.Close()
			if err := s.redis.Restart(); err != nil {
				t.Errorf("starting the cache server: %v", err)
			}
		}
		if before {
			return events.SQSEventResponse{}, errKilled
		}
		if dies {
			doomed, cancel := context.WithCancel(ctx)
			ctx = doomed
			time.AfterFunc(100*time.Microsecond, cancel)
		}
		response, err := s.invoke(ctx, e)
		if after {
			return events.SQSEventResponse{}, errKilled
		}
		return response, err
	})
	s.settle(t)
	ended := map[string]bool{} // by job
	for _, o := range s.outcomes {
		if o.Acknowledged() {
			ended[o.Job.JobID] = true
		}
	}
	letters := s.engine.Messages("dead")
	for _, letter := range letters {
		job, err := bootstrap.ParseJob([]byte(letter.Body))
		if err != nil {
			t.Fatalf("reading the job of the dead letter: %v", err)
		}
		// A killed invocation counts as an attempt. A job that was sent anew carries its earlier failures.
		carried, _ := strconv.Atoi(letter.Attributes[bootstrap.AttributeFailures].StringValue)
		if letter.DeadLetterSource != "" && letter.ReceiveCount+carried < 3 {
			t.Errorf("dead letter %+v: it was not tried three times", letter)
		}
		ended[job.JobID] = true
	}
	if len(ended) != jobs {
		t.Errorf("%d jobs have an end, want %d", len(ended), jobs)
	}
	t.Logf("%d invocations, %d dead", invocations, len(letters))
}

// BenchmarkJob measures how much longer a job takes than Sufrah's answer, which takes 100 ms.
func BenchmarkJob(b *testing.B) {
	s := setup(b, unlimited)
	const latency = 100 * time.Millisecond
	s.fail(b, sandbox.Behavior{LatencyMs: float64(latency.Milliseconds()), Status: 503})
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		s.advance(time.Minute) // past the last job's slot
		body := fmt.Sprintf(`{"version":1,"jobId":"j","restaurantId":"r","merchantId":"merchant-%d","customerWa":"+966501234567","profileName":"",`+
			`"enqueuedAt":%q}`, i, s.Now().Format(time.RFC3339))
		start := time.Now()
		response, err := s.invoke(b.Context(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", Body: body}}})
		took = append(took, time.Since(start)-latency)
		if err != nil || len(response.BatchItemFailures) > 0 {
			b.Fatalf("%+v, %v", response, err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-over-sufrah/p50")
}
