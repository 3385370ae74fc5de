// Package sqsqueue keeps bootstrap jobs in Amazon SQS: in a queue with at-least-once delivery, and its dead-letter queue.
//
// Passing faults (throttling, outages, time-outs) are returned as outage.ErrUnavailable. The SDK's error types are not part
// of the contract.
package sqsqueue

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// CallTimeout bounds every call, its repetitions included.
const CallTimeout = 2 * time.Second

// The message attributes of jobs and dead letters.
const (
	attributeVersion         = "version"           // version of the job's form
	attributeType            = "type"              // bootstrap.JobType
	attributeReason          = "reason"            // of a dead letter, unless SQS itself moved it
	attributeOriginalMessage = "originalMessageId" // the message's id in its first queue
)

const (
	maxAttributes = 10             // SQS's limit for a message
	maxReason     = 512            // bytes
	maxVisibility = 12 * time.Hour // SQS's limit for hiding a message, from its receive on
	maxInvocation = 15 * time.Minute
	maxDelay      = 15 * time.Minute // SQS's limit for a new message
	traceHeader   = "AWSTraceHeader"
	runtimeTrace  = "x-amzn-trace-id" // key of the trace in the context, from Lambda's runtime
)

// Client is the part of an SQS client that a Queue uses; *sqs.Client has it.
type Client interface {
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	ChangeMessageVisibility(context.Context, *sqs.ChangeMessageVisibilityInput, ...func(*sqs.Options)) (
		*sqs.ChangeMessageVisibilityOutput, error)
}

// Queue takes jobs and settles their messages. It is safe for concurrent use.
type Queue struct {
	client        Client
	url           string
	deadLetterURL string
}

// New returns the queue at a URL with its dead-letter queue. A queue that only takes jobs needs no dead-letter queue.
func New(client Client, url, deadLetterURL string) *Queue {
	return &Queue{client: client, url: url, deadLetterURL: deadLetterURL}
}

// Enqueue sends a job. It fails with bootstrap.ErrMalformed or outage.ErrUnavailable; after the latter, the job may be in the
// queue all the same. The job continues the trace of the context's invocation.
func (q *Queue) Enqueue(ctx context.Context, j bootstrap.Job) error {
	if err := j.Validate(); err != nil {
		return err
	}
	body, err := json.Marshal(j)
	if err != nil {
		return fmt.Errorf("encoding a job: %w", err)
	}
	trace, _ := ctx.Value(runtimeTrace).(string)
	return q.send(ctx, "sending a job", q.url, string(body), map[string]types.MessageAttributeValue{
		attributeVersion: {DataType: aws.String("Number"), StringValue: aws.String(strconv.Itoa(j.Version))},
		attributeType:    text(bootstrap.JobType),
	}, trace, 0)
}

// Delay hides a received message for d, counted from now, in whole seconds, rounded up; 0 makes it visible at once. The
// receipt handle must be that of the message's latest delivery.
func (q *Queue) Delay(ctx context.Context, receiptHandle string, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	// SQS counts its limit from the receive, and refuses a longer time.
	d = min(max(d, 0), maxVisibility-maxInvocation)
	defer timing.Start(ctx, timing.Queue)()
	_, err := q.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &q.url, ReceiptHandle: &receiptHandle, VisibilityTimeout: int32((d + time.Second - 1) / time.Second),
	})
	return translate("delaying a message", err)
}

// Postpone sends a copy of a message to its queue, with its attributes, its trace and the number of failed attempts. The copy
// is hidden for d, in whole seconds, rounded down: it comes in time, and may have to wait a little more. The message itself
// stays until the caller acknowledges it, after Postpone has succeeded.
func (q *Queue) Postpone(ctx context.Context, m events.SQSMessage, failures int, d time.Duration) error {
	attributes := copied(m, map[string]types.MessageAttributeValue{
		bootstrap.AttributeFailures: {DataType: aws.String("Number"), StringValue: aws.String(strconv.Itoa(failures))},
	})
	return q.send(ctx, "postponing a job", q.url, m.Body, attributes, m.Attributes[traceHeader], min(max(d, 0), maxDelay))
}

// DeadLetter sends a copy of a message to the dead-letter queue, with its attributes, id and trace, and the reason. If these
// are too many attributes, some of the message's are left out. The message itself stays until the caller acknowledges it,
// after DeadLetter has succeeded.
func (q *Queue) DeadLetter(ctx context.Context, m events.SQSMessage, reason string) error {
	attributes := copied(m, map[string]types.MessageAttributeValue{
		attributeReason:          text(bounded(reason)),
		attributeOriginalMessage: text(m.MessageId),
	})
	return q.send(ctx, "sending a dead letter", q.deadLetterURL, m.Body, attributes, m.Attributes[traceHeader], 0)
}

// copied adds a message's attributes to others, as long as there is room, without replacing any.
func copied(m events.SQSMessage, attributes map[string]types.MessageAttributeValue) map[string]types.MessageAttributeValue {
	for _, name := range slices.Sorted(maps.Keys(m.MessageAttributes)) {
		if _, ours := attributes[name]; !ours && len(attributes) < maxAttributes {
			a := m.MessageAttributes[name]
			attributes[name] = types.MessageAttributeValue{
				DataType: &a.DataType, StringValue: a.StringValue, BinaryValue: a.BinaryValue,
			}
		}
	}
	return attributes
}

func (q *Queue) send(
	ctx context.Context, doing, url, body string, attributes map[string]types.MessageAttributeValue, trace string, delay time.Duration,
) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body, MessageAttributes: attributes, DelaySeconds: int32(delay / time.Second)}
	if strings.HasPrefix(trace, "Root=") { // SQS refuses a message with an invalid trace
		in.MessageSystemAttributes = map[string]types.MessageSystemAttributeValue{
			traceHeader: {DataType: aws.String("String"), StringValue: &trace},
		}
	}
	defer timing.Start(ctx, timing.Queue)()
	_, err := q.client.SendMessage(ctx, in)
	return translate(doing, err)
}

func text(value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
}

// bounded returns a reason as a valid attribute: not empty, not too long, and with SQS's characters only.
func bounded(reason string) string {
	reason = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(reason, ""))
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "") // the cut may have split a character
	}
	if reason = strings.TrimSpace(reason); reason == "" {
		return "no reason given"
	}
	return reason
}
