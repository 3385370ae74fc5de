package lambdasqs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/lambdasqs"
)

// workerFunc is a function that is a worker.
type workerFunc func(ctx context.Context, d bootstrap.Delivery) bootstrap.Outcome

func (f workerFunc) Handle(ctx context.Context, d bootstrap.Delivery) bootstrap.Outcome {
	return f(ctx, d)
}

// scripted returns the outcome in a message's body.
func scripted(_ context.Context, d bootstrap.Delivery) bootstrap.Outcome {
	switch body := string(d.Body); body {
	case "completed":
		return bootstrap.Outcome{Kind: bootstrap.Completed}
	case "partial":
		return bootstrap.Outcome{Kind: bootstrap.Partial}
	case "failed":
		return bootstrap.Outcome{Kind: bootstrap.Failed, Delay: time.Duration(d.Attempt) * time.Second}
	case "waiting":
		return bootstrap.Outcome{Kind: bootstrap.Waiting, Attempt: d.Attempt, Delay: 15 * time.Second}
	case "failed for good":
		return bootstrap.Outcome{Kind: bootstrap.Failed, Last: true, Reason: "down"}
	case "failed, without a wait":
		return bootstrap.Outcome{Kind: bootstrap.Failed}
	case "dead":
		return bootstrap.Outcome{Kind: bootstrap.DeadLettered, Reason: "unknown merchant"}
	default:
		panic(body)
	}
}

// ledger is a queue that notes how messages are settled.
type ledger struct {
	entries []string
	fault   error
	left    time.Duration // time that the context of the last call had left
}

func (l *ledger) Delay(ctx context.Context, handle string, d time.Duration) error {
	return l.note(ctx, fmt.Sprintf("%s again in %v", handle, d))
}

func (l *ledger) DeadLetter(ctx context.Context, m events.SQSMessage, reason string) error {
	return l.note(ctx, fmt.Sprintf("%s dead: %s", m.ReceiptHandle, reason))
}

func (l *ledger) Postpone(ctx context.Context, m events.SQSMessage, failures int, d time.Duration) error {
	return l.note(ctx, fmt.Sprintf("%s anew in %v after %d failures", m.ReceiptHandle, d, failures))
}

func (l *ledger) note(ctx context.Context, entry string) error {
	if deadline, ok := ctx.Deadline(); ok {
		l.left = time.Until(deadline)
	}
	l.entries = append(l.entries, entry)
	return errors.Join(l.fault, ctx.Err())
}

// event returns an event with a message for each body. A message's id is its body, or the part before a colon.
func event(bodies ...string) events.SQSEvent {
	var e events.SQSEvent
	for i, body := range bodies {
		id, after, ok := strings.Cut(body, ":")
		if !ok {
			after = body
		}
		e.Records = append(e.Records, events.SQSMessage{
			MessageId: id, Body: after, ReceiptHandle: fmt.Sprint("handle", i), Attributes: map[string]string{"ApproximateReceiveCount": "2"},
		})
	}
	return e
}

// carrying returns an event with a message that carries a number of failures.
func carrying(body, failures string) events.SQSEvent {
	e := event(body)
	e.Records[0].MessageAttributes = map[string]events.SQSMessageAttribute{
		bootstrap.AttributeFailures: {DataType: "Number", StringValue: &failures},
	}
	return e
}

func failures(ids ...string) events.SQSEventResponse {
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for _, id := range ids {
		response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
	}
	return response
}

func TestSettling(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	tests := map[string]struct {
		event   events.SQSEvent
		fault   error // of the queue
		want    events.SQSEventResponse
		settled []string
		logged  string
	}{
		"nothing":   {event(), nil, failures(), nil, ""},
		"completed": {event("completed"), nil, failures(), nil, ""},
		"partial":   {event("partial"), nil, failures(), nil, ""},
		"failed":    {event("failed"), nil, failures("failed"), []string{"handle0 again in 2s"}, ""},
		"failed, and the queue is down": {event("failed"), down, failures("failed"),
			[]string{"handle0 again in 2s"}, "delay of the next attempt not set: the job returns after the queue's visibility time-out"},
		"waiting": {event("waiting"), nil, failures(), []string{"handle0 anew in 15s after 1 failures"}, ""},
		"waiting, and the queue is down": {event("waiting"), down, failures("waiting"),
			[]string{"handle0 anew in 15s after 1 failures", "handle0 again in 15s"}, "waiting job not postponed: its next delivery counts as an attempt"},
		"waiting again":                      {carrying("waiting", "2"), nil, failures(), []string{"handle0 anew in 15s after 3 failures"}, ""},
		"for good":                           {event("failed for good"), nil, failures("failed for good"), []string{"handle0 again in 0s"}, ""},
		"for good, having waited":            {carrying("failed for good", "1"), nil, failures(), []string{"handle0 dead: down"}, ""},
		"for good, having waited before all": {carrying("failed for good", "0"), nil, failures("failed for good"), []string{"handle0 again in 0s"}, ""},
		"for good, and the queue is down": {event("failed for good"), down, failures("failed for good"), []string{"handle0 again in 0s"},
			"job not shown to the queue again: it goes to the dead-letter queue after the queue's visibility time-out"},
		"having waited, without a wait": {carrying("failed, without a wait", "1"), nil, failures("failed, without a wait"), []string{"handle0 again in 0s"}, ""},
		"dead-lettered":                 {event("dead"), nil, failures(), []string{"handle0 dead: unknown merchant"}, ""},
		"dead-lettered, the queue is down": {event("dead"), down, failures("dead"),
			[]string{"handle0 dead: unknown merchant"}, "job not sent to the dead-letter queue: the queue delivers it again"},
		"the worker panics": {event("no such thing"), nil, failures("no such thing"), nil, "job panicked: the queue delivers it again, or moves it to the dead-letter queue"},
		"each on its own": {event("dead", "boom", "failed", "completed"), nil, failures("boom", "failed"),
			[]string{"handle0 dead: unknown merchant", "handle2 again in 2s"}, "panicked"},
		"two deliveries of one, both fail": {event("m:failed", "m:failed"), nil, failures("m"),
			[]string{"handle0 again in 2s", "handle1 again in 2s"}, ""},
		"two deliveries of one, one of them": {event("m:completed", "m:failed"), nil, failures("m"), []string{"handle1 again in 2s"}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			queue := &ledger{fault: test.fault}
			handle := lambdasqs.New(workerFunc(scripted), queue, slog.New(slog.NewTextHandler(&log, nil)), nil)
			got, err := handle(t.Context(), test.event)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("answer: %v (-want +got):\n%s", err, diff)
			}
			if diff := cmp.Diff(test.settled, queue.entries); diff != "" {
				t.Errorf("settled (-want +got):\n%s", diff)
			}
			if (log.Len() > 0) != (test.logged != "") || !strings.Contains(log.String(), test.logged) {
				t.Errorf("logged %q, want %q", &log, test.logged)
			}
		})
	}
}

// TestFailureWithoutID: if no report can be made, the whole batch must come again.
func TestFailureWithoutID(t *testing.T) {
	t.Parallel()
	handle := lambdasqs.New(workerFunc(scripted), &ledger{}, slog.New(slog.DiscardHandler), nil)
	if _, err := handle(t.Context(), event(":failed")); err == nil {
		t.Error("there is no error")
	}
	if got, err := handle(t.Context(), event(":completed")); err != nil || len(got.BatchItemFailures) > 0 {
		t.Errorf("%+v, %v, want success", got, err)
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	for count, want := range map[string]int{"1": 1, "3": 3, "": 1, "0": 1, "-4": 1, "many": 1} {
		var got bootstrap.Delivery
		handle := lambdasqs.New(workerFunc(func(_ context.Context, d bootstrap.Delivery) bootstrap.Outcome {
			got = d
			return bootstrap.Outcome{Kind: bootstrap.Completed}
		}), &ledger{}, slog.New(slog.DiscardHandler), nil)
		e := event("id:body")
		e.Records[0].Attributes["ApproximateReceiveCount"] = count
		if _, err := handle(t.Context(), e); err != nil {
			t.Fatalf("invoking the function: %v", err)
		}
		if diff := cmp.Diff(bootstrap.Delivery{MessageID: "id", Body: []byte("body"), Attempt: want}, got); diff != "" {
			t.Errorf("receive count %q (-want +got):\n%s", count, diff)
		}
	}
}

// TestCarriedAttempts: the attempt at a job that was sent as a new message is the number of its earlier failures plus the
// message's receives.
func TestCarriedAttempts(t *testing.T) {
	t.Parallel()
	for carried, want := range map[string]int{"0": 2, "1": 3, "2": 4, "-7": 2, "many": 2, "": 2} {
		got := 0
		handle := lambdasqs.New(workerFunc(func(_ context.Context, d bootstrap.Delivery) bootstrap.Outcome {
			got = d.Attempt
			return bootstrap.Outcome{Kind: bootstrap.Completed}
		}), &ledger{}, slog.New(slog.DiscardHandler), nil)
		if _, err := handle(t.Context(), carrying("body", carried)); err != nil || got != want {
			t.Errorf("carrying %q: attempt %d, want %d; %v", carried, got, want, err)
		}
	}
}

// TestTime: a worker gets the invocation's time less a margin. In that margin its message is settled, even if the worker ran
// out of time.
func TestTime(t *testing.T) {
	t.Parallel()
	for name, calledOff := range map[string]bool{"the time is over": false, "the invocation is called off": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				queue := &ledger{}
				handle := lambdasqs.New(workerFunc(func(work context.Context, _ bootstrap.Delivery) bootstrap.Outcome {
					if calledOff {
						cancel()
					}
					<-work.Done()
					return bootstrap.Outcome{Kind: bootstrap.Failed, Delay: 15 * time.Second}
				}), queue, slog.New(slog.DiscardHandler), nil)
				got, err := handle(ctx, event("a", "b"))
				if diff := cmp.Diff(failures("a", "b"), got); err != nil || diff != "" {
					t.Errorf("answer: %v (-want +got):\n%s", err, diff)
				}
				if diff := cmp.Diff([]string{"handle0 again in 15s", "handle1 again in 15s"}, queue.entries); diff != "" {
					t.Errorf("settled (-want +got):\n%s", diff)
				}
				wantTook, wantLeft := 57*time.Second, 2500*time.Millisecond
				if calledOff {
					wantTook, wantLeft = 0, 59500*time.Millisecond
				}
				if took := time.Since(start); took != wantTook || queue.left != wantLeft {
					t.Errorf("took %v and left %v for the queue, want %v and %v", took, queue.left, wantTook, wantLeft)
				}
			})
		})
	}
}
