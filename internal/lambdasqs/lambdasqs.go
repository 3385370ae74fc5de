// Package lambdasqs passes messages from Lambda's event source mapping to the bootstrap worker. It then acknowledges, delays
// or dead-letters each message, as the worker's outcome says.
//
// The mapping deletes every message that the function doesn't report as failed. So a message that can't be delayed or
// dead-lettered is reported as failed, and comes again.
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
	// Delay hides a received message for d, counted from now.
	Delay(ctx context.Context, receiptHandle string, d time.Duration) error
	// Postpone sends a copy of the message to its queue, hidden for d, with the number of failed attempts.
	Postpone(ctx context.Context, m events.SQSMessage, failures int, d time.Duration) error
	// DeadLetter sends a copy of the message to the dead-letter queue, with the reason.
	DeadLetter(ctx context.Context, m events.SQSMessage, reason string) error
}

const (
	// settleMargin is the part of an invocation that the worker leaves for settling its message.
	settleMargin = 3 * time.Second
	// answerMargin is the part that settling leaves for the answer to Lambda. Without an answer, the whole batch comes again.
	answerMargin = 500 * time.Millisecond
)

// errNoID says that a failed message can't be reported to Lambda.
var errNoID = errors.New("a failed message has no id to report to Lambda: the whole batch is delivered again")

// New returns a Lambda handler for SQS events. The mapping must have ReportBatchItemFailures, without which it would delete
// failed messages. The handler fails only if it can't report a failed message; then all messages of the event come again.
//
// The messages of an event are handled one after the other, so that only the mapping's concurrency decides how many jobs run
// at once. With a batch size of 1, each job has the whole invocation.
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
		if !reported[m.MessageId] { // an event may have two deliveries of a message, and Lambda refuses an id that is given twice
			reported[m.MessageId] = true
			failure := events.SQSBatchItemFailure{ItemIdentifier: m.MessageId}
			response.BatchItemFailures = append(response.BatchItemFailures, failure)
		}
	}
	return response, nil
}

// process handles and settles a message. It returns whether the queue may delete the message.
func (c *consumer) process(ctx context.Context, m events.SQSMessage) (done bool) {
	log := c.log.With(slog.String(bootstrap.FieldMessageID, m.MessageId))
	defer func() {
		if cause := recover(); cause != nil {
			log.ErrorContext(ctx, "job panicked: the queue delivers it again, or moves it to the dead-letter queue", "panic", cause, "stack", string(debug.Stack()))
			done = false
		}
	}()
	ctx, end := timing.Begin(ctx, "", c.tracer) // the worker's log lines have Lambda's request id already
	defer end()
	work, cancel := earlier(ctx, ctx, settleMargin)
	defer cancel()
	outcome := c.worker.Handle(work, bootstrap.Delivery{MessageID: m.MessageId, Body: []byte(m.Body), Attempt: attempt(m)})

	// A job that has ended is settled even if the invocation is cancelled.
	settle, cancel := earlier(context.WithoutCancel(ctx), ctx, answerMargin)
	defer cancel()
	return c.settle(settle, log, m, outcome)
}

// settle settles a message as its outcome demands. It returns whether the queue may delete the message.
func (c *consumer) settle(ctx context.Context, log *slog.Logger, m events.SQSMessage, o bootstrap.Outcome) bool {
	switch {
	case o.Acknowledged():
		return true
	case o.Kind == bootstrap.Waiting:
		// The job is sent as a new message. If the received message were hidden instead, its next receive would count as an
		// attempt for the queue's redrive policy. A crash between sending and deleting leaves the job in the queue twice, and
		// never loses it.
		err := c.queue.Postpone(ctx, m, o.Attempt-1, o.Delay)
		if err == nil {
			return true
		}
		log.ErrorContext(ctx, "waiting job not postponed: its next delivery counts as an attempt", bootstrap.FieldError, err)
	case o.Kind == bootstrap.DeadLettered || o.Last && failures(m) > 0:
		// The queue's redrive policy counts only this message's receives, and not the job's earlier attempts.
		err := c.queue.DeadLetter(ctx, m, o.Reason)
		if err != nil {
			// The message comes again. At the latest, the redrive policy moves it there, without the reason.
			log.ErrorContext(ctx, "job not sent to the dead-letter queue: the queue delivers it again", bootstrap.FieldError, err)
		}
		return err == nil
	}
	if err := c.queue.Delay(ctx, m.ReceiptHandle, o.Delay); err != nil { // the message then becomes visible at the queue's own visibility time-out
		message := "delay of the next attempt not set: the job returns after the queue's visibility time-out"
		if o.Last {
			message = "job not shown to the queue again: it goes to the dead-letter queue after the queue's visibility time-out"
		}
		log.ErrorContext(ctx, message, bootstrap.FieldError, err)
	}
	return false
}

// attempt returns the number of this attempt at the job: the failed attempts in the message's attribute, plus the message's
// receives. SQS calls the number of receives approximate; it begins with 1.
func attempt(m events.SQSMessage) int {
	n, err := strconv.Atoi(m.Attributes["ApproximateReceiveCount"])
	if err != nil {
		n = 1
	}
	return failures(m) + max(n, 1)
}

// failures returns the number of attempts that had failed when the job was last postponed.
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

// earlier returns a child of parent that ends margin before the invocation's deadline, if the invocation has one.
func earlier(parent, invocation context.Context, margin time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := invocation.Deadline(); ok {
		return context.WithDeadline(parent, deadline.Add(-margin))
	}
	return context.WithCancel(parent)
}
