package eventsource_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/eventsource"
	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

const (
	endpoint   = "http://sqs.local"
	visibility = 30 * time.Second
	patience   = 10 * time.Second // how long a test waits for something before it fails
)

// bench is a queue with three attempts and a dead-letter queue, and a mapping of it.
type bench struct {
	engine  *sqslocal.Engine
	client  *sqs.Client
	mapping eventsource.Mapping
	elapsed *atomic.Int64
}

func setup(t *testing.T) bench {
	t.Helper()
	start := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	elapsed := new(atomic.Int64)
	now := func() time.Time { return start.Add(time.Duration(elapsed.Load())) }
	engine := sqslocal.New(now, sqslocal.Queue{
		Name: "jobs", VisibilityTimeout: visibility, DeadLetterQueue: "dead", MaxReceiveCount: 3,
	})
	url := endpoint
	return bench{
		engine: engine, elapsed: elapsed,
		client: sqs.NewFromConfig(aws.Config{
			Region: sqslocal.Region, BaseEndpoint: &url, RetryMaxAttempts: 1,
			Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
			HTTPClient:  &http.Client{Transport: engine.Transport()},
		}),
		mapping: eventsource.Mapping{
			QueueURL: sqslocal.QueueURL(endpoint, "jobs"), QueueARN: sqslocal.ARN("jobs"),
			BatchSize: 10, MaximumConcurrency: 5, FunctionTimeout: time.Minute, ReportBatchItemFailures: true,
			Grace: patience, Now: now, Log: slog.New(slog.DiscardHandler),
		},
	}
}

func (b bench) send(t *testing.T, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		in := &sqs.SendMessageInput{QueueUrl: &b.mapping.QueueURL, MessageBody: &body}
		if _, err := b.client.SendMessage(t.Context(), in); err != nil {
			t.Fatalf("SendMessage: %v", err)
		}
	}
}

func (b bench) pass(d time.Duration) {
	b.elapsed.Add(int64(d))
	b.engine.Wake()
}

func (b bench) counts(queue string) [3]int {
	visible, delayed, inFlight := b.engine.Counts(queue)
	return [3]int{visible, delayed, inFlight}
}

// until waits for a state of the queues.
func (b bench) until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	late := time.After(patience)
	for {
		changed := b.engine.Changed()
		if reached() {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// start runs the mapping until the test calls stop, which returns Run's error.
func (b bench) start(t *testing.T, client eventsource.Client, invoke eventsource.Invoke) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.mapping.Run(ctx, client, invoke) }()
	t.Cleanup(cancel)
	return func() error {
		cancel()
		return <-ended
	}
}

// once runs the mapping for a single invocation: the invocation ends the mapping's context, and Run returns after the batch.
func (b bench) once(t *testing.T, invoke eventsource.Invoke) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := b.mapping.Run(ctx, b.client, func(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
		cancel()
		return invoke(ctx, event)
	})
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
}

func itemFailures(ids ...string) events.SQSEventResponse {
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for _, id := range ids {
		response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
	}
	return response
}

func TestEventIsAsLambdaSendsIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const trace = "Root=1-67891233-abcdef012345678912345678"
	sent, err := b.client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &b.mapping.QueueURL, MessageBody: aws.String("{}"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"type": {DataType: aws.String("String"), StringValue: aws.String("welcome.bootstrap")},
			"raw":  {DataType: aws.String("Binary"), BinaryValue: []byte{1, 2}},
		},
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
			"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String(trace)},
		},
	})
	if err != nil {
		t.Fatalf("sending the message: %v", err)
	}
	b.pass(time.Second)
	var got events.SQSEvent
	b.once(t, func(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
		if left, ok := ctx.Deadline(); !ok || time.Until(left) > time.Minute {
			t.Errorf("the deadline is %v, want the function's time-out", left)
		}
		got = event
		return itemFailures(), nil
	})
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatalf("encoding the JSON: %v", err)
	}
	want := fmt.Sprintf(`{
  "Records": [
    {
      "messageId": %q,
      "receiptHandle": %q,
      "body": "{}",
      "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
      "md5OfMessageAttributes": %q,
      "attributes": {
        "AWSTraceHeader": "Root=1-67891233-abcdef012345678912345678",
        "ApproximateFirstReceiveTimestamp": "1795165201000",
        "ApproximateReceiveCount": "1",
        "SenderId": "000000000000",
        "SentTimestamp": "1795165200000"
      },
      "messageAttributes": {
        "raw": {
          "binaryValue": "AQI=",
          "stringListValues": [],
          "binaryListValues": [],
          "dataType": "Binary"
        },
        "type": {
          "stringValue": "welcome.bootstrap",
          "stringListValues": [],
          "binaryListValues": [],
          "dataType": "String"
        }
      },
      "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:jobs",
      "eventSource": "aws:sqs",
      "awsRegion": "us-east-1"
    }
  ]
}`, *sent.MessageId, got.Records[0].ReceiptHandle, *sent.MD5OfMessageAttributes)
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if counts := b.counts("jobs"); counts != [3]int{} {
		t.Errorf("counts = %v, want the message deleted", counts)
	}
}

func TestItemFailuresComeAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, "good", "bad", "good too")
	var attempts []string
	invoke := func(_ context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
		var failed []string
		for _, r := range event.Records {
			attempts = append(attempts, r.Body+" "+r.Attributes["ApproximateReceiveCount"])
			if r.Body == "bad" && r.Attributes["ApproximateReceiveCount"] == "1" {
				failed = append(failed, r.MessageId)
			}
		}
		return itemFailures(failed...), nil
	}
	b.once(t, invoke)
	if got, want := b.counts("jobs"), [3]int{0, 0, 1}; got != want {
		t.Errorf("counts = %v, want %v: what failed stays hidden", got, want)
	}
	b.pass(visibility)
	b.once(t, invoke)
	if got := b.counts("jobs"); got != [3]int{} {
		t.Errorf("counts = %v, want an empty queue", got)
	}
	if want := []string{"good 1", "bad 1", "good too 1", "bad 2"}; !slices.Equal(attempts, want) {
		t.Errorf("attempts = %v, want %v", attempts, want)
	}
}

func TestOutcomeOfABatch(t *testing.T) {
	t.Parallel()
	allDeleted, allKept := [3]int{}, [3]int{0, 0, 2}
	reporting := func(ids ...string) eventsource.Invoke {
		return func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
			return itemFailures(ids...), nil
		}
	}
	first := func(event events.SQSEvent) string { return event.Records[0].MessageId }
	tests := map[string]struct {
		ignoreItems bool
		timeout     time.Duration
		invoke      eventsource.Invoke
		want        [3]int
	}{
		"no failures": {invoke: reporting(), want: allDeleted},
		"null failures": {invoke: func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
			return events.SQSEventResponse{}, nil
		}, want: allDeleted},
		"one failure": {invoke: func(_ context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
			return itemFailures(first(e)), nil
		}, want: [3]int{0, 0, 1}},
		"an error": {invoke: func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
			return itemFailures(), errors.New("broken")
		}, want: allKept},
		"a panic": {invoke: func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
			panic("broken")
		}, want: allKept},
		"an empty id":   {invoke: reporting(""), want: allKept},
		"an unknown id": {invoke: reporting("5fea7756-0ea4-451a-a703-a558b933e274"), want: allKept},
		"one id twice": {invoke: func(_ context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
			return itemFailures(first(e), first(e)), nil
		}, want: allKept},
		"a success after the time-out": {timeout: time.Millisecond, invoke: func(
			ctx context.Context, _ events.SQSEvent,
		) (events.SQSEventResponse, error) {
			<-ctx.Done()
			return itemFailures(), nil
		}, want: allKept},
		"item failures not enabled": {ignoreItems: true, invoke: reporting(""), want: allDeleted},
		"an error, item failures not enabled": {ignoreItems: true, invoke: func(
			context.Context, events.SQSEvent,
		) (events.SQSEventResponse, error) {
			return itemFailures(), errors.New("broken")
		}, want: allKept},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.mapping.ReportBatchItemFailures = !test.ignoreItems
			if test.timeout > 0 {
				b.mapping.FunctionTimeout = test.timeout
			}
			b.send(t, "one", "two")
			b.once(t, test.invoke)
			if got := b.counts("jobs"); got != test.want {
				t.Errorf("counts = %v, want %v", got, test.want)
			}
		})
	}
}

func TestConcurrencyIsReachedAndBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mapping.BatchSize, b.mapping.MaximumConcurrency = 1, 3
	for i := range 30 {
		b.send(t, fmt.Sprint("job ", i))
	}
	started, release := make(chan struct{}, 30), make(chan struct{})
	var active, most atomic.Int32
	stop := b.start(t, b.client, func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
		n := active.Add(1)
		defer active.Add(-1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		started <- struct{}{}
		<-release
		return itemFailures(), nil
	})
	for range 3 {
		<-started
	}
	select { // long enough for a fourth invocation to start
	case <-started:
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	b.until(t, "an empty queue", func() bool { return b.counts("jobs") == [3]int{} })
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if got := most.Load(); got != 3 {
		t.Errorf("%d invocations ran at once, want 3", got)
	}
}

func TestRedriveAfterThreeReceives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, "poison")
	var attempts atomic.Int32
	stop := b.start(t, b.client, func(_ context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
		attempts.Add(1)
		return itemFailures(e.Records[0].MessageId), nil
	})
	for attempt := int32(1); attempt <= 3; attempt++ {
		b.until(t, "the message in flight", func() bool {
			m := b.engine.Messages("jobs")
			return len(m) == 1 && m[0].ReceiveCount == int(attempt)
		})
		b.pass(visibility)
	}
	b.until(t, "a dead letter", func() bool { return b.counts("dead") == [3]int{1, 0, 0} })
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if got := attempts.Load(); got != 3 {
		t.Errorf("%d attempts, want 3", got)
	}
}

func TestBatchingWindowFillsTheBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mapping.BatchSize, b.mapping.MaximumBatchingWindow = 15, 5*time.Second
	for i := range 12 {
		b.send(t, fmt.Sprint("job ", i))
	}
	sizes := make(chan int, 12)
	stop := b.start(t, b.client, func(_ context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
		sizes <- len(e.Records)
		return itemFailures(), nil
	})
	b.until(t, "all in flight", func() bool { return b.counts("jobs") == [3]int{0, 0, 12} })
	b.pass(5 * time.Second)
	if got := <-sizes; got != 12 {
		t.Errorf("the first batch has %d messages, want the 12 that came within the window", got)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestStopHandsAnUnfinishedBatchBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mapping.MaximumBatchingWindow = time.Minute
	b.send(t, "waiting for company")
	stop := b.start(t, b.client, func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
		t.Error("the function was invoked")
		return itemFailures(), nil
	})
	b.until(t, "the message in flight", func() bool { return b.counts("jobs") == [3]int{0, 0, 1} })
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if got, want := b.counts("jobs"), [3]int{1, 0, 0}; got != want {
		t.Errorf("counts = %v, want %v", got, want)
	}
}

func TestStopAbandonsAfterTheGrace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mapping.Grace = time.Millisecond
	b.send(t, "slow")
	invoked, ended := make(chan struct{}), make(chan error, 1)
	stop := b.start(t, b.client, func(ctx context.Context, _ events.SQSEvent) (events.SQSEventResponse, error) {
		close(invoked)
		<-ctx.Done()
		ended <- ctx.Err()
		return itemFailures(), nil
	})
	<-invoked
	if err := stop(); !errors.Is(err, eventsource.ErrAbandoned) {
		t.Errorf("Run = %v, want ErrAbandoned", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the invocation's context ended with %v, want it canceled", err)
	}
	b.pass(visibility)
	if got, want := b.counts("jobs"), [3]int{1, 0, 0}; got != want {
		t.Errorf("counts = %v, want %v: the message comes again", got, want)
	}
}

// slowDelete delays deletes until release is closed.
type slowDelete struct {
	*sqs.Client
	entered, release chan struct{}
}

func (s *slowDelete) DeleteMessageBatch(
	ctx context.Context, in *sqs.DeleteMessageBatchInput, options ...func(*sqs.Options),
) (*sqs.DeleteMessageBatchOutput, error) {
	close(s.entered)
	<-s.release
	return s.Client.DeleteMessageBatch(ctx, in, options...)
}

func TestStopLetsADeleteFinish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.mapping.Grace = time.Millisecond
	b.send(t, "done")
	client := &slowDelete{Client: b.client, entered: make(chan struct{}), release: make(chan struct{})}
	stop := b.start(t, client, func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
		return itemFailures(), nil
	})
	<-client.entered
	if err := stop(); !errors.Is(err, eventsource.ErrAbandoned) {
		t.Errorf("Run = %v, want ErrAbandoned", err)
	}
	close(client.release)
	b.until(t, "an empty queue", func() bool { return b.counts("jobs") == [3]int{} })
}

// faulty fails the first calls of each operation.
type faulty struct {
	*sqs.Client
	receives, deletes atomic.Int32
	deleteFailed      chan struct{}
}

var errInjected = errors.New("injected failure")

func (f *faulty) ReceiveMessage(
	ctx context.Context, in *sqs.ReceiveMessageInput, options ...func(*sqs.Options),
) (*sqs.ReceiveMessageOutput, error) {
	if f.receives.Add(1) == 1 {
		return nil, errInjected
	}
	return f.Client.ReceiveMessage(ctx, in, options...)
}

func (f *faulty) DeleteMessageBatch(
	ctx context.Context, in *sqs.DeleteMessageBatchInput, options ...func(*sqs.Options),
) (*sqs.DeleteMessageBatchOutput, error) {
	if f.deletes.Add(1) == 1 {
		close(f.deleteFailed)
		return nil, errInjected
	}
	return f.Client.DeleteMessageBatch(ctx, in, options...)
}

func TestQueueFailuresDelayButLoseNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, "job")
	attempts := make(chan string, 9)
	client := &faulty{Client: b.client, deleteFailed: make(chan struct{})}
	stop := b.start(t, client, func(_ context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
		attempts <- e.Records[0].Attributes["ApproximateReceiveCount"]
		return itemFailures(), nil
	})
	if got := <-attempts; got != "1" {
		t.Errorf("first attempt: receive count %s, want 1", got)
	}
	<-client.deleteFailed
	b.pass(visibility)
	if got := <-attempts; got != "2" {
		t.Errorf("attempt after a failed delete: receive count %s, want 2", got)
	}
	b.until(t, "an empty queue", func() bool { return b.counts("jobs") == [3]int{} })
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*eventsource.Mapping)
		valid  bool
	}{
		"as it is":                {func(*eventsource.Mapping) {}, true},
		"no concurrency limit":    {func(m *eventsource.Mapping) { m.MaximumConcurrency = 0 }, true},
		"large batches in time":   {func(m *eventsource.Mapping) { m.BatchSize, m.MaximumBatchingWindow = 10000, time.Second }, true},
		"large batches at once":   {func(m *eventsource.Mapping) { m.BatchSize = 11 }, false},
		"no batch size":           {func(m *eventsource.Mapping) { m.BatchSize = 0 }, false},
		"no URL":                  {func(m *eventsource.Mapping) { m.QueueURL = "" }, false},
		"ARN of a topic":          {func(m *eventsource.Mapping) { m.QueueARN = "arn:aws:sns:us-east-1:1:jobs" }, false},
		"a concurrency of one":    {func(m *eventsource.Mapping) { m.MaximumConcurrency = 1 }, false},
		"a window over 5 minutes": {func(m *eventsource.Mapping) { m.MaximumBatchingWindow = 6 * time.Minute }, false},
		"no time-out":             {func(m *eventsource.Mapping) { m.FunctionTimeout = 0 }, false},
		"a time-out too long":     {func(m *eventsource.Mapping) { m.FunctionTimeout = 16 * time.Minute }, false},
		"no clock":                {func(m *eventsource.Mapping) { m.Now = nil }, false},
		"no log":                  {func(m *eventsource.Mapping) { m.Log = nil }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			test.change(&b.mapping)
			if err := b.mapping.Validate(); (err == nil) != test.valid {
				t.Errorf("Validate = %v, want valid: %t", err, test.valid)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := b.mapping.Run(ctx, b.client, nil); (err == nil) != test.valid {
				t.Errorf("Run = %v, want valid: %t", err, test.valid)
			}
		})
	}
}
