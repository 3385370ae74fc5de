package sqsqueue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/sqsqueue"
)

const endpoint = "http://sqs.local"

const trace = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1"

// bench is a queue with its dead-letter queue, and a clock.
type bench struct {
	engine  *sqslocal.Engine
	queue   *sqsqueue.Queue
	letters *sqsqueue.DeadLetters
	client  *sqs.Client

	mu  sync.Mutex
	now time.Time
}

func setup() *bench {
	b := &bench{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	b.engine = sqslocal.New(b.clock, sqslocal.Queue{Name: "jobs", DeadLetterQueue: "dead", MaxReceiveCount: 1})
	b.client = newClient(b.engine.Transport())
	url, deadLetterURL := sqslocal.QueueURL(endpoint, "jobs"), sqslocal.QueueURL(endpoint, "dead")
	b.queue = sqsqueue.New(b.client, url, deadLetterURL)
	b.letters = sqsqueue.NewDeadLetters(b.client, url, deadLetterURL)
	return b
}

func newClient(transport http.RoundTripper) *sqs.Client {
	return sqs.NewFromConfig(aws.Config{
		Region: sqslocal.Region, BaseEndpoint: aws.String(endpoint), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		HTTPClient:  &http.Client{Transport: transport},
	})
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	b.now = b.now.Add(d)
	b.mu.Unlock()
	b.engine.Wake()
}

func (b *bench) receive(t *testing.T) string {
	t.Helper()
	url := sqslocal.QueueURL(endpoint, "jobs")
	out, err := b.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
	if err != nil || len(out.Messages) != 1 {
		t.Fatalf("ReceiveMessage = %+v, %v, want a message", out, err)
	}
	return *out.Messages[0].ReceiptHandle
}

func newJob() bootstrap.Job {
	return bootstrap.Job{
		Version: bootstrap.Version, JobID: "job-1", RestaurantID: "clxyz123abc", MerchantID: "merchant-1",
		CustomerWa: "+966501234567", ProfileName: "محمد & <Sons>", EnqueuedAt: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
	}
}

// traced returns a context with a trace, as Lambda's runtime makes it.
func traced(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, "x-amzn-trace-id", trace) //nolint:staticcheck // the runtime has no other key
}

func TestEnqueue(t *testing.T) {
	t.Parallel()
	b := setup()
	if err := b.queue.Enqueue(traced(t.Context(), trace), newJob()); err != nil {
		t.Fatalf("enqueuing the job: %v", err)
	}
	got := b.engine.Messages("jobs")
	if len(got) != 1 {
		t.Fatalf("%d messages, want 1", len(got))
	}
	wantAttributes := map[string]sqslocal.Attribute{
		"version": {DataType: "Number", StringValue: "1"}, "type": {DataType: "String", StringValue: "welcome-bootstrap"},
	}
	if diff := cmp.Diff(wantAttributes, got[0].Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if got[0].TraceHeader != trace {
		t.Errorf("trace = %q, want %q", got[0].TraceHeader, trace)
	}
	const want = `{"version":1,"jobId":"job-1","restaurantId":"clxyz123abc","merchantId":"merchant-1",` +
		`"customerWa":"+966501234567","profileName":"محمد & <Sons>","enqueuedAt":"2026-11-23T12:00:00Z"}`
	var gotBody, wantBody any
	if err := errors.Join(json.Unmarshal([]byte(got[0].Body), &gotBody), json.Unmarshal([]byte(want), &wantBody)); err != nil {
		t.Fatalf("decoding the received body or the wanted one: %v", err)
	}
	if diff := cmp.Diff(wantBody, gotBody); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if _, err := bootstrap.ParseJob([]byte(got[0].Body)); err != nil {
		t.Errorf("the body is no job: %v", err)
	}
}

func TestEnqueueWithoutATrace(t *testing.T) {
	t.Parallel()
	b := setup()
	for _, ctx := range []context.Context{t.Context(), traced(t.Context(), ""), traced(t.Context(), "none")} {
		if err := b.queue.Enqueue(ctx, newJob()); err != nil {
			t.Errorf("enqueuing the job: %v", err)
		}
	}
	for _, m := range b.engine.Messages("jobs") {
		if m.TraceHeader != "" {
			t.Errorf("trace = %q, want none", m.TraceHeader)
		}
	}
}

func TestEnqueueRefusesWhatIsNoJob(t *testing.T) {
	t.Parallel()
	b := setup()
	j := newJob()
	j.MerchantID = ""
	if err := b.queue.Enqueue(t.Context(), j); !errors.Is(err, bootstrap.ErrMalformed) {
		t.Errorf("Enqueue = %v, want ErrMalformed", err)
	}
	if n := len(b.engine.Messages("jobs")); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ asked, want time.Duration }{
		{5 * time.Second, 5 * time.Second}, {4001 * time.Millisecond, 5 * time.Second}, {time.Nanosecond, time.Second},
		{0, 0}, {-time.Second, 0}, {24 * time.Hour, 11*time.Hour + 45*time.Minute},
	} {
		b := setup()
		if err := b.queue.Enqueue(t.Context(), newJob()); err != nil {
			t.Fatalf("enqueuing the job: %v", err)
		}
		handle := b.receive(t)
		b.pass(time.Second)
		if err := b.queue.Delay(t.Context(), handle, test.asked); err != nil {
			t.Errorf("Delay(%v) = %v", test.asked, err)
			continue
		}
		if got := b.engine.Messages("jobs")[0].VisibleAt.Sub(b.clock()); got != test.want {
			t.Errorf("Delay(%v): visible in %v, want %v", test.asked, got, test.want)
		}
	}
}

func original() events.SQSMessage {
	return events.SQSMessage{
		MessageId: "message-1", Body: "no job", Attributes: map[string]string{"AWSTraceHeader": trace},
		MessageAttributes: map[string]events.SQSMessageAttribute{
			"version": {DataType: "Number", StringValue: aws.String("1")},
			"digest":  {DataType: "Binary", BinaryValue: []byte{0, 255}},
			"reason":  {DataType: "String", StringValue: aws.String("that of an earlier time")},
		},
	}
}

func TestDeadLetter(t *testing.T) {
	t.Parallel()
	b := setup()
	if err := b.queue.DeadLetter(t.Context(), original(), "unknown merchant"); err != nil {
		t.Fatalf("moving the job to the dead-letter queue: %v", err)
	}
	got := b.engine.Messages("dead")
	if len(got) != 1 || got[0].Body != "no job" || got[0].TraceHeader != trace {
		t.Fatalf("dead letters = %+v, want the message with its trace", got)
	}
	want := map[string]sqslocal.Attribute{
		"reason": {DataType: "String", StringValue: "unknown merchant"}, "originalMessageId": {DataType: "String", StringValue: "message-1"},
		"version": {DataType: "Number", StringValue: "1"}, "digest": {DataType: "Binary", BinaryValue: []byte{0, 255}},
	}
	if diff := cmp.Diff(want, got[0].Attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

func TestDeadLetterOfManyAttributes(t *testing.T) {
	t.Parallel()
	b := setup()
	m := original()
	for i := range 7 {
		m.MessageAttributes[fmt.Sprintf("z%d", i)] = events.SQSMessageAttribute{DataType: "String", StringValue: aws.String("value")}
	}
	if err := b.queue.DeadLetter(t.Context(), m, "unknown merchant"); err != nil {
		t.Fatalf("moving the job to the dead-letter queue: %v", err)
	}
	got := b.engine.Messages("dead")[0].Attributes
	if len(got) != 10 || got["reason"].StringValue != "unknown merchant" || got["originalMessageId"].StringValue != "message-1" {
		t.Errorf("attributes = %v, want ten, with the reason and the id", got)
	}
}

func TestReasonsAlwaysFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := setup()
		reason := rapid.OneOf(rapid.String(), rapid.StringN(0, 600, -1), rapid.SampledFrom([]string{
			"", "\n\t", strings.Repeat("م", 300), "a" + strings.Repeat("🍕", 200), "\xff\xfe", "\uffff\x7f", "two\nlines",
		})).Draw(t, "reason")
		if err := b.queue.DeadLetter(t.Context(), original(), reason); err != nil {
			t.Fatalf("DeadLetter: %v", err)
		}
		got := b.engine.Messages("dead")[0].Attributes["reason"].StringValue
		if got == "" || len(got) > 512 || !utf8.ValidString(got) || strings.Contains(got, "\n") {
			t.Fatalf("reason = %q", got)
		}
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testList) // at the end of a listing there is a wait
}

func testList(t *testing.T) {
	b := setup()
	if err := b.queue.Enqueue(t.Context(), newJob()); err != nil { // sent first; becomes a dead letter by its attempts
		t.Fatalf("enqueuing the job: %v", err)
	}
	for i := range 13 {
		b.pass(time.Second)
		m := original()
		m.Body = fmt.Sprintf("letter %d", i)
		if err := b.queue.DeadLetter(t.Context(), m, fmt.Sprintf("reason %d", i)); err != nil {
			t.Fatalf("moving the job to the dead-letter queue: %v", err)
		}
	}
	b.receive(t)
	b.pass(time.Minute)
	url := sqslocal.QueueURL(endpoint, "jobs")
	out, err := b.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
	if err != nil || len(out.Messages) != 0 {
		t.Fatalf("ReceiveMessage = %+v, %v, want the job moved", out, err)
	}
	for range 2 { // the first listing must change nothing
		got, err := b.letters.List(t.Context(), 100)
		if err != nil || len(got) != 14 {
			t.Fatalf("List = %d letters, %v, want 14", len(got), err)
		}
		for i, letter := range got[1:] {
			want := sqsqueue.DeadLetter{
				MessageID: letter.MessageID, Body: fmt.Sprintf("letter %d", i), Reason: fmt.Sprintf("reason %d", i),
				SentAt: newJob().EnqueuedAt.Add(time.Duration(i+1) * time.Second),
			}
			if diff := cmp.Diff(want, letter); diff != "" {
				t.Errorf("letter %d (-want +got):\n%s", i, diff)
			}
		}
		if first := got[0]; first.Reason != "" || first.SentAt != newJob().EnqueuedAt || !strings.Contains(first.Body, "job-1") {
			t.Errorf("first letter = %+v, want the job, without a reason", first)
		}
		if visible, delayed, inFlight := b.engine.Counts("dead"); visible != 14 || delayed+inFlight != 0 {
			t.Errorf("%d visible, %d delayed, %d in flight; want 14 visible", visible, delayed, inFlight)
		}
	}
	for _, limit := range []int{0, 3, 14} {
		if got, err := b.letters.List(t.Context(), limit); err != nil || len(got) != limit {
			t.Errorf("List(%d) = %d letters, %v", limit, len(got), err)
		}
	}
}

func TestListOfNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if got, err := setup().letters.List(t.Context(), 10); err != nil || len(got) != 0 {
			t.Errorf("List = %v, %v, want nothing", got, err)
		}
	})
}

// TestDelete: of more letters than a receive returns, one is deleted. The others become visible unchanged.
func TestDelete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup()
		for i := range 13 {
			m := original()
			m.Body = fmt.Sprintf("letter %d", i)
			if err := b.queue.DeadLetter(t.Context(), m, "unknown merchant"); err != nil {
				t.Fatalf("moving the job to the dead-letter queue: %v", err)
			}
			b.pass(time.Second)
		}
		before, err := b.letters.List(t.Context(), 100)
		if err != nil {
			t.Fatalf("listing the dead letters: %v", err)
		}
		gone := before[11]
		if err := b.letters.Delete(t.Context(), gone.MessageID); err != nil {
			t.Errorf("Delete: %v", err)
		}
		after, err := b.letters.List(t.Context(), 100)
		if diff := cmp.Diff(slices.Delete(before, 11, 12), after); diff != "" || err != nil {
			t.Errorf("letters (-want +got), error %v:\n%s", err, diff)
		}
		for _, id := range []string{gone.MessageID, "", "no-id"} {
			if err := b.letters.Delete(t.Context(), id); !errors.Is(err, sqsqueue.ErrNoLetter) {
				t.Errorf("Delete(%q) = %v, want ErrNoLetter", id, err)
			}
		}
		if visible, delayed, inFlight := b.engine.Counts("dead"); visible != 12 || delayed+inFlight != 0 {
			t.Errorf("%d visible, %d delayed, %d in flight; want 12 visible", visible, delayed, inFlight)
		}
	})
}

func TestRedrive(t *testing.T) {
	t.Parallel()
	b := setup()
	for range 3 {
		if err := b.queue.DeadLetter(t.Context(), original(), "unknown merchant"); err != nil {
			t.Fatalf("moving the job to the dead-letter queue: %v", err)
		}
	}
	hopeless := original()
	hopeless.Body = "hopeless"
	if err := b.queue.DeadLetter(t.Context(), hopeless, "malformed"); err != nil {
		t.Fatalf("moving the job to the dead-letter queue: %v", err)
	}
	canSucceed := func(letter sqsqueue.DeadLetter) bool { return letter.Body != "hopeless" }
	for _, want := range []int{3, 0} { // a letter that can't succeed stays at every redrive
		if moved, stay, err := b.letters.Redrive(t.Context(), canSucceed); err != nil || moved != want || stay != 1 {
			t.Errorf("Redrive = %d, %d, %v, want %d and 1", moved, stay, err, want)
		}
	}
	if left := b.engine.Messages("dead"); len(left) != 1 || left[0].Body != "hopeless" {
		t.Errorf("left = %+v, want what can't succeed", left)
	}
	moved := b.engine.Messages("jobs")
	if len(moved) != 3 || moved[0].Body != "no job" || moved[0].ReceiveCount != 0 {
		t.Errorf("moved = %+v, want three that were never received", moved)
	}
	for _, ours := range []string{"reason", "originalMessageId", bootstrap.AttributeFailures} {
		if _, kept := moved[0].Attributes[ours]; kept {
			t.Errorf("attribute %s is kept", ours)
		}
	}
}

// answering is a server that always gives the same answer.
type answering struct {
	status int
	code   string
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.status == 0 {
		return nil, errors.New("connection refused")
	}
	body := fmt.Sprintf(`{"__type":"com.amazonaws.sqs#%s","message":"no"}`, a.code)
	return &http.Response{StatusCode: a.status, Body: io.NopCloser(strings.NewReader(body)), Request: r, Header: http.Header{
		"Content-Type": {"application/x-amz-json-1.0"},
	}}, nil
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		answer answering
		passes bool
	}{
		{answering{}, true},
		{answering{500, "InternalFailure"}, true},
		{answering{503, "ServiceUnavailable"}, true},
		{answering{400, "ThrottlingException"}, true},
		{answering{403, "RequestThrottled"}, true},
		{answering{400, "QueueDoesNotExist"}, false},
		{answering{403, "AccessDeniedException"}, false},
	} {
		client := newClient(test.answer)
		const url, deadLetterURL = "http://q/0/jobs", "http://q/0/dead"
		queue, letters := sqsqueue.New(client, url, deadLetterURL), sqsqueue.NewDeadLetters(client, url, deadLetterURL)
		_, listErr := letters.List(t.Context(), 1)
		_, _, redriveErr := letters.Redrive(t.Context(), func(sqsqueue.DeadLetter) bool { return true })
		for call, err := range map[string]error{
			"Enqueue": queue.Enqueue(t.Context(), newJob()), "Delay": queue.Delay(t.Context(), "handle", time.Second),
			"DeadLetter": queue.DeadLetter(t.Context(), original(), "reason"), "List": listErr, "Redrive": redriveErr,
			"Delete": letters.Delete(t.Context(), "id"),
		} {
			if err == nil || errors.Is(err, outage.ErrUnavailable) != test.passes {
				t.Errorf("%s, answered %+v: %v; passes: want %t", call, test.answer, err, test.passes)
			}
		}
	}
}

// silent is a server that never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := sqsqueue.New(newClient(silent{}), "http://q/0/jobs", "http://q/0/dead")
		for name, call := range map[string]func(context.Context) error{
			"Enqueue":    func(ctx context.Context) error { return queue.Enqueue(ctx, newJob()) },
			"Delay":      func(ctx context.Context) error { return queue.Delay(ctx, "handle", time.Second) },
			"DeadLetter": func(ctx context.Context) error { return queue.DeadLetter(ctx, original(), "reason") },
		} {
			start := time.Now()
			if err := call(t.Context()); !errors.Is(err, outage.ErrUnavailable) || time.Since(start) != sqsqueue.CallTimeout {
				t.Errorf("%s = %v after %v, want ErrUnavailable after %v", name, err, time.Since(start), sqsqueue.CallTimeout)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := queue.Enqueue(ctx, newJob()); !errors.Is(err, context.Canceled) || errors.Is(err, outage.ErrUnavailable) {
			t.Errorf("called off: %v, want it canceled", err)
		}
	})
}
