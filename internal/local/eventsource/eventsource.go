// Package eventsource polls an SQS queue for a function, as AWS Lambda's event source mapping does. It receives batches,
// invokes the function with the event that Lambda would send, and deletes the messages that succeed. A failed message stays
// in the queue until its visibility time-out, which the mapping never changes; the queue's redrive policy ends the attempts.
//
// Two things differ from Lambda: failures of the function don't slow polling down, and a batch isn't limited to 6 MB.
package eventsource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	maxReceived  = 10               // messages in a receive, and entries in a batch request
	longPoll     = 20 * time.Second // SQS's limit
	retryPause   = time.Second      // after a failed receive
	cleanUpLimit = 10 * time.Second // for deleting messages and handing them back after the context has ended
	unbounded    = 1000             // simultaneous invocations if the mapping sets no limit
)

// ErrAbandoned says that invocations were still running after the grace period. Their messages stay in the queue.
var ErrAbandoned = errors.New("invocations were abandoned")

// Client is the part of an SQS client that a mapping uses; *sqs.Client has it. Delivery is at least once: a message comes
// again unless it is deleted within its visibility time-out.
type Client interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (
		*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (
		*sqs.ChangeMessageVisibilityBatchOutput, error)
}

// Invoke runs the function with one event. The context's deadline is the function's time-out.
type Invoke func(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error)

// Mapping connects a queue to a function, with Lambda's limits.
type Mapping struct {
	// QueueURL is the queue to poll. QueueARN is its name in events, and has its region.
	QueueURL, QueueARN string
	// BatchSize is the most messages in an event: 1 to 10,000. Above 10 it needs a MaximumBatchingWindow of at least a
	// second.
	BatchSize int
	// MaximumBatchingWindow is the time to wait for more messages after a batch's first: 0 to 5 minutes.
	MaximumBatchingWindow time.Duration
	// MaximumConcurrency is the most simultaneous invocations: 2 to 1000; 0 sets no limit.
	MaximumConcurrency int
	// FunctionTimeout, of up to 15 minutes, is the time after which an invocation counts as failed, whatever it returns.
	FunctionTimeout time.Duration
	// ReportBatchItemFailures lets the function report single messages as failed. Without it the function's answer is
	// ignored, and only an error fails the batch.
	ReportBatchItemFailures bool

	// Grace is how long Run waits for running invocations after its context has ended.
	Grace time.Duration
	// Now is the clock for MaximumBatchingWindow.
	Now func() time.Time
	Log *slog.Logger
}

// Validate returns an error for every setting that Lambda would refuse, joined, or nil.
func (m Mapping) Validate() error {
	var faults []error
	check := func(ok bool, fault string) {
		if !ok {
			faults = append(faults, errors.New(fault))
		}
	}
	check(m.QueueURL != "", "the queue has no URL")
	check(m.region() != "", "the queue's ARN is not that of an SQS queue")
	check(m.BatchSize >= 1 && m.BatchSize <= 10000, "the batch size is not between 1 and 10,000")
	check(m.BatchSize <= maxReceived || m.MaximumBatchingWindow >= time.Second,
		"a batch size above 10 needs a batching window of at least a second")
	check(m.MaximumBatchingWindow >= 0 && m.MaximumBatchingWindow <= 5*time.Minute,
		"the batching window is not between 0 and 5 minutes")
	check(m.MaximumConcurrency == 0 || m.MaximumConcurrency >= 2 && m.MaximumConcurrency <= 1000,
		"the maximum concurrency is not between 2 and 1000")
	check(m.FunctionTimeout > 0 && m.FunctionTimeout <= 15*time.Minute,
		"the function's time-out is not between 0 and 15 minutes")
	check(m.Now != nil && m.Log != nil, "the mapping lacks its clock or its log")
	return errors.Join(faults...)
}

// region returns the region in the queue's ARN, "" if the ARN is malformed.
func (m Mapping) region() string {
	parts := strings.Split(m.QueueARN, ":")
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "sqs" || parts[5] == "" {
		return ""
	}
	return parts[3]
}

// Run polls until ctx ends. Then it waits for running invocations. Messages that no invocation has got yet become visible in
// the queue again, which costs each of them a receive. It returns nil when all of them have ended, and an error that is
// ErrAbandoned when Grace is over before that. It returns the faults of an invalid mapping at once. If the queue fails, it
// logs that and goes on polling.
func (m Mapping) Run(ctx context.Context, client Client, invoke Invoke) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("invalid event source mapping: %w", err)
	}
	invocations, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	p := &poller{Mapping: m, client: client, invoke: invoke}
	var running sync.WaitGroup
	p.poll(ctx, invocations, &running)
	return p.await(&running)
}

type poller struct {
	Mapping
	client Client
	invoke Invoke
}

// poll starts an invocation for each batch until ctx ends. Like Lambda, it receives messages only if they can be processed at
// once: a message that waits here would use up its visibility time-out.
func (p *poller) poll(ctx, invocations context.Context, running *sync.WaitGroup) {
	limit := p.MaximumConcurrency
	if limit == 0 {
		limit = unbounded
	}
	slots := make(chan struct{}, limit)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		batch := p.collect(ctx)
		if ctx.Err() != nil {
			p.handBack(ctx, batch)
			return
		}
		if len(batch) == 0 {
			<-slots
			continue
		}
		running.Go(func() {
			defer func() { <-slots }()
			p.process(invocations, batch)
		})
	}
}

func (p *poller) await(running *sync.WaitGroup) error {
	finished := make(chan struct{})
	go func() {
		running.Wait()
		close(finished)
	}()
	grace := time.NewTimer(p.Grace)
	defer grace.Stop()
	select {
	case <-finished:
		return nil
	case <-grace.C:
		return fmt.Errorf("stopping after %s: %w", p.Grace, ErrAbandoned)
	}
}

// collect returns the next batch. It is empty if no message came, or receiving failed.
func (p *poller) collect(ctx context.Context) []types.Message {
	batch := p.receive(ctx, p.BatchSize, longPoll)
	if len(batch) == 0 {
		return nil
	}
	end := p.Now().Add(p.MaximumBatchingWindow)
	for len(batch) < p.BatchSize {
		left := end.Sub(p.Now())
		if left <= 0 {
			break
		}
		more := p.receive(ctx, p.BatchSize-len(batch), min(left, longPoll))
		if len(more) == 0 && (left <= longPoll || ctx.Err() != nil) {
			break
		}
		batch = append(batch, more...)
	}
	return batch
}

// receive waits for messages. If it fails, it logs that and returns none after a pause, so that a failing queue isn't polled
// without a rest.
func (p *poller) receive(ctx context.Context, limit int, wait time.Duration) []types.Message {
	out, err := p.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    &p.QueueURL,
		MaxNumberOfMessages:         int32(min(limit, maxReceived)),
		WaitTimeSeconds:             int32((wait + time.Second - 1) / time.Second),
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err == nil {
		return out.Messages
	}
	if ctx.Err() != nil {
		return nil
	}
	p.Log.WarnContext(ctx, "receiving from the queue failed", "queue", p.QueueARN, "error", err)
	pause := time.NewTimer(retryPause)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
	return nil
}

// process invokes the function and deletes the messages that succeeded.
func (p *poller) process(ctx context.Context, batch []types.Message) {
	response, err := p.call(ctx, batch)
	failed := map[string]bool{}
	if err == nil && p.ReportBatchItemFailures {
		failed, err = itemFailures(batch, response)
	}
	if err != nil {
		p.Log.WarnContext(ctx, "the batch failed", "queue", p.QueueARN, "messages", len(batch), "error", err)
		return
	}
	var succeeded []types.Message
	for _, m := range batch {
		if !failed[aws.ToString(m.MessageId)] {
			succeeded = append(succeeded, m)
		}
	}
	if len(failed) > 0 {
		p.Log.InfoContext(ctx, "messages of the batch failed", "queue", p.QueueARN,
			"messages", len(batch), "failed", len(failed))
	}
	p.remove(ctx, succeeded)
}

// call invokes the function with its time-out. As with Lambda, a panic is an error. So is an answer after the time-out, or
// after the mapping has stopped waiting.
func (p *poller) call(ctx context.Context, batch []types.Message) (response events.SQSEventResponse, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.FunctionTimeout)
	defer cancel()
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("the function panicked: %v", fault)
		}
	}()
	response, err = p.invoke(ctx, p.event(batch))
	if ended := ctx.Err(); ended != nil {
		return response, fmt.Errorf("the function did not end in time: %w", errors.Join(ended, err))
	}
	return response, err
}

// itemFailures returns the ids that the function reported. A report fails the whole batch, and is an error here, if an id is
// empty, given twice, or not in the batch.
func itemFailures(batch []types.Message, response events.SQSEventResponse) (map[string]bool, error) {
	sent := map[string]bool{}
	for _, m := range batch {
		sent[aws.ToString(m.MessageId)] = true
	}
	failed := map[string]bool{}
	for _, failure := range response.BatchItemFailures {
		id := failure.ItemIdentifier
		if !sent[id] || failed[id] {
			return nil, fmt.Errorf("invalid item failure %q: an id of the batch is expected, once", id)
		}
		failed[id] = true
	}
	return failed, nil
}

// remove deletes messages. It logs a failure, after which the messages come again.
func (p *poller) remove(ctx context.Context, messages []types.Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpLimit)
	defer cancel()
	for chunk := range slices.Chunk(messages, maxReceived) {
		var entries []types.DeleteMessageBatchRequestEntry
		for i, m := range chunk {
			entries = append(entries, types.DeleteMessageBatchRequestEntry{Id: entryID(i), ReceiptHandle: m.ReceiptHandle})
		}
		out, err := p.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &p.QueueURL, Entries: entries})
		if err == nil {
			err = entryFailures(out.Failed)
		}
		if err != nil {
			p.Log.WarnContext(ctx, "deleting messages failed", "queue", p.QueueARN, "error", err)
		}
	}
}

// handBack makes messages visible at once, because no invocation will get them. If that fails, they become visible at their
// visibility time-out.
func (p *poller) handBack(ctx context.Context, messages []types.Message) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpLimit)
	defer cancel()
	for chunk := range slices.Chunk(messages, maxReceived) {
		var entries []types.ChangeMessageVisibilityBatchRequestEntry
		for i, m := range chunk {
			entries = append(entries, types.ChangeMessageVisibilityBatchRequestEntry{
				Id: entryID(i), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0,
			})
		}
		out, err := p.client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{
			QueueUrl: &p.QueueURL, Entries: entries,
		})
		if err == nil {
			err = entryFailures(out.Failed)
		}
		if err != nil {
			p.Log.WarnContext(ctx, "handing messages back failed", "queue", p.QueueARN, "error", err)
		}
	}
}
