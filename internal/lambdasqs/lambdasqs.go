// Package lambdasqs hands the messages that Lambda's event source mapping takes from an SQS queue to the bootstrap worker, and
// settles them with the queue by the worker's outcomes.
//
// The mapping deletes every message that the function doesn't report as failed. So that nothing gets lost, a message that can't
// be settled is reported, and comes again.
package lambdasqs

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// Worker makes attempts at jobs. It returns before its context's deadline, or soon after it.
type Worker interface {
	Handle(ctx context.Context, d bootstrap.Delivery) bootstrap.Outcome
}

// Queue settles messages. Each call ends within two seconds, and can be repeated.
type Queue interface {
	// Delay hides a received message for d from now on.
	Delay(ctx context.Context, receiptHandle string, d time.Duration) error
	// Postpone sends a copy of the message to its queue, hidden for d, with the number of attempts that have failed.
	Postpone(ctx context.Context, m events.SQSMessage, failures int, d time.Duration) error
	// DeadLetter sends a copy of the message to the dead-letter queue, with the reason.
	DeadLetter(ctx context.Context, m events.SQSMessage, reason string) error
}

const (
	// settleMargin is the rest of an invocation that the worker leaves for settling its message with the queue.
	settleMargin = 3 * time.Second
	// answerMargin is the time that settling leaves for the answer to Lambda, without which the whole batch comes again.
	answerMargin = 500 * time.Millisecond
)

// errNoID says that a message can't be reported as failed.
var errNoID = errors.New("a failed message has no id to report to Lambda: the whole batch is delivered again")

// New returns a Lambda handler for SQS events. The mapping needs ReportBatchItemFailures, or it deletes failed messages. The
// handler itself fails only if it can't make a report of an event; all of the event's messages come again.
//
// The messages of an event are handled one after the other, so the mapping's concurrency alone decides how many jobs run at
// once. With a batch size of 1 each job has the whole invocation.
//
// tracer sends a job's calls to X-Ray; nil sends nothing.
func New(worker Worker, queue Queue, log *slog.Logger, tracer *timing.Tracer) func(context.Context, events.SQSEvent) (
	events.SQSEventResponse, error,
) {
	c := &consumer{worker: worker, queue: queue, tracer: tracer, log: log}
	return c.handle
}

type consumer struct {
	worker Worker
	queue  Queue
	tracer *timing.Tracer
	log    *slog.Logger
}

func (c *consumer) handle(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	reported := map[string]bool{}
	for _, m := range event.Records {
		if c.process(ctx, m) {
			continue
		}
		if m.MessageId == "" {
			return events.SQSEventResponse{}, errNoID
		}
		if !reported[m.MessageId] { // an event may hold two deliveries of one message, and Lambda takes no id twice
			reported[m.MessageId] = true
			failure := events.SQSBatchItemFailure{ItemIdentifier: m.MessageId}
			response.BatchItemFailures = append(response.BatchItemFailures, failure)
		}
	}
	return response, nil
}

// process handles and settles one message, and returns whether the queue is to forget it.
func (c *consumer) process(ctx context.Context, m events.SQSMessage) (done bool) {
	log := c.log.With(slog.String(bootstrap.FieldMessageID, m.MessageId))
	defer func() {
		if cause := recover(); cause != nil {
			log.ErrorContext(ctx, "job panicked: the queue delivers it again, or moves it to the dead-letter queue", "panic", cause, "stack", string(debug.Stack()))
			done = false
		}
	}()
	ctx, end := timing.Begin(ctx, "", c.tracer) // the worker's lines have Lambda's request id as their own
	defer end()
	work, cancel := earlier(ctx, ctx, settleMargin)
	defer cancel()
	outcome := c.worker.Handle(work, bootstrap.Delivery{MessageID: m.MessageId, Body: []byte(m.Body), Attempt: attempt(m)})

	// A cancelled invocation still settles its finished jobs.
	settle, cancel := earlier(context.WithoutCancel(ctx), ctx, answerMargin)
	defer cancel()
	return c.settle(settle, log, m, outcome)
}

// settle tells the queue a message's outcome, and returns whether the queue is to forget it.
func (c *consumer) settle(ctx context.Context, log *slog.Logger, m events.SQSMessage, o bootstrap.Outcome) bool {
	switch {
	case o.Acknowledged():
		return true
	case o.Kind == bootstrap.Waiting:
		// The job is sent anew, not hidden: each receipt of a hidden message would count as an attempt with the queue's redrive
		// policy. A crash between sending and deleting leaves the job twice, and never loses it.
		err := c.queue.Postpone(ctx, m, o.Attempt-1, o.Delay)
		if err == nil {
			return true
		}
		log.ErrorContext(ctx, "waiting job not postponed: its next delivery counts as an attempt", bootstrap.FieldError, err)
	case o.Kind == bootstrap.DeadLettered || o.Last && failures(m) > 0:
		// The queue's redrive policy counts only this message's receipts, not the job's earlier attempts.
		err := c.queue.DeadLetter(ctx, m, o.Reason)
		if err != nil {
			// It comes again, and gets there at the latest, without its reason, by the queue's redrive policy.
			log.ErrorContext(ctx, "job not sent to the dead-letter queue: the queue delivers it again", bootstrap.FieldError, err)
		}
		return err == nil
	}
	if err := c.queue.Delay(ctx, m.ReceiptHandle, o.Delay); err != nil { // it comes up when the queue's own visibility time-out has passed
		message := "delay of the next attempt not set: the job returns after the queue's visibility time-out"
		if o.Last {
			message = "job not shown to the queue again: it goes to the dead-letter queue after the queue's visibility time-out"
		}
		log.ErrorContext(ctx, message, bootstrap.FieldError, err)
	}
	return false
}

// attempt returns the number of this attempt at the job: the failed attempts in the message's attribute, plus its receipts. SQS
// calls their number approximate, and it begins with 1.
func attempt(m events.SQSMessage) int {
	n, err := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	if err != nil {
		n = 1
	}
	return failures(m) + max(n, 1)
}

// failures returns how many attempts had failed before the job was postponed.
func failures(m events.SQSMessage) int {
	text := m.MessageAttributes[bootstrap.AttributeFailures].StringValue
	if text == nil {
		return 0
	}
	n, err := strconv.Atoi(*text)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// earlier returns a parent's child that ends so much earlier than the invocation's deadline, if that has one.
func earlier(parent, invocation context.Context, margin time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := invocation.Deadline(); ok {
		return context.WithDeadline(parent, deadline.Add(-margin))
	}
	return context.WithCancel(parent)
}
