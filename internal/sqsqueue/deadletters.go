package sqsqueue

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
)

const (
	maxReceived = 10 // messages in a receive, and entries in a batch
	// listVisibility is how long listed messages stay hidden if the listing can't make them visible again itself.
	listVisibility = 30 * time.Second
	// listWait makes SQS look on all of its servers: without a wait, it may overlook messages.
	listWait = time.Second
)

// OperatorClient is the part of an SQS client that DeadLetters uses; *sqs.Client has it. It is separate from Client so that
// functions don't link the operators' code.
type OperatorClient interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessage(context.Context, *sqs.DeleteMessageInput, ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (
		*sqs.ChangeMessageVisibilityBatchOutput, error)
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
}

// DeadLetter is a message with a job that could not be carried out.
type DeadLetter struct {
	MessageID string // in the dead-letter queue
	// Reason is the reason that no further attempt was made, "" if the message was tried as often as the queue allows.
	Reason string
	SentAt time.Time // time of sending: to the dead-letter queue, or, if SQS moved the message, to its first queue
	Body   string
}

// DeadLetters lets operators list, delete and redrive a queue's dead letters.
type DeadLetters struct {
	client        OperatorClient
	url           string
	deadLetterURL string
}

// NewDeadLetters returns the dead letters of the queue at a URL.
func NewDeadLetters(client OperatorClient, url, deadLetterURL string) *DeadLetters {
	return &DeadLetters{client: client, url: url, deadLetterURL: deadLetterURL}
}

// ErrNoLetter says that no dead letter has the id, or that another caller is receiving it at the moment.
var ErrNoLetter = errors.New("no dead letter has this id: it is gone, or another command hides it for half a minute")

// List returns at most limit dead letters, oldest first. They stay in the queue. They are hidden during the listing, and
// become visible at its end, or at the latest half a minute after they were listed. Messages that another listing hides are
// missing.
func (d *DeadLetters) List(ctx context.Context, limit int) ([]DeadLetter, error) {
	var letters []DeadLetter
	err := d.each(ctx, limit, func(m types.Message) (bool, error) {
		letters = append(letters, newDeadLetter(m))
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(letters, func(a, b DeadLetter) int {
		return cmp.Or(a.SentAt.Compare(b.SentAt), cmp.Compare(a.MessageID, b.MessageID))
	})
	return letters, nil
}

// Delete deletes a dead letter for good. It fails with ErrNoLetter. It hides the others no longer than List does.
func (d *DeadLetters) Delete(ctx context.Context, messageID string) error {
	deleted := false
	err := d.each(ctx, math.MaxInt, func(m types.Message) (bool, error) {
		if aws.ToString(m.MessageId) != messageID {
			return false, nil
		}
		_, err := d.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &d.deadLetterURL, ReceiptHandle: m.ReceiptHandle})
		deleted = err == nil
		return true, translate("deleting a dead letter", err)
	})
	if err == nil && !deleted {
		return ErrNoLetter
	}
	return err
}

// each calls visit with at most limit dead letters, in no order and each once, until visit is done or fails. Then it makes
// them visible again.
func (d *DeadLetters) each(ctx context.Context, limit int, visit func(types.Message) (done bool, err error)) (err error) {
	var received []types.Message
	defer func() {
		if showErr := d.show(ctx, received); err == nil {
			err = showErr
		}
	}()
	seen := map[string]bool{}
	for len(seen) < limit {
		out, err := d.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl:              &d.deadLetterURL,
			MaxNumberOfMessages:   int32(min(limit-len(seen), maxReceived)),
			VisibilityTimeout:     int32(listVisibility / time.Second),
			WaitTimeSeconds:       int32(listWait / time.Second),
			MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{
				types.MessageSystemAttributeNameSentTimestamp, types.MessageSystemAttributeNameAWSTraceHeader,
			},
		})
		if err != nil {
			return translate("receiving dead letters", err)
		}
		received = append(received, out.Messages...)
		news := false
		for _, m := range out.Messages {
			id := aws.ToString(m.MessageId)
			if seen[id] {
				continue
			}
			seen[id], news = true, true
			if done, err := visit(m); done || err != nil {
				return err
			}
		}
		if !news { // the end, or a listing so long that its first messages have become visible again
			return nil
		}
	}
	return nil
}

func newDeadLetter(m types.Message) DeadLetter {
	sent, _ := strconv.ParseInt(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64)
	return DeadLetter{
		MessageID: aws.ToString(m.MessageId), Body: aws.ToString(m.Body), SentAt: time.UnixMilli(sent).UTC(),
		Reason: aws.ToString(m.MessageAttributes[attributeReason].StringValue),
	}
}

// show makes received messages visible again, even if the listing broke off. It ignores failures of single messages, which
// become visible by themselves.
func (d *DeadLetters) show(ctx context.Context, received []types.Message) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*CallTimeout)
	defer cancel()
	for chunk := range slices.Chunk(received, maxReceived) {
		var entries []types.ChangeMessageVisibilityBatchRequestEntry
		for i, m := range chunk {
			entries = append(entries, types.ChangeMessageVisibilityBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0,
			})
		}
		_, err := d.client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{
			QueueUrl: &d.deadLetterURL, Entries: entries,
		})
		if err != nil {
			return translate("showing dead letters again", err)
		}
	}
	return nil
}

// Redrive sends the dead letters that can succeed back to the queue, each as a new message with all its attempts. It returns
// their number, and the number of letters that stay because they can't succeed. A letter is sent before it is deleted, so a
// redrive that breaks off may repeat a job but loses none. SQS's own message move task isn't used: it would move every
// letter, and keep the count of failures in a postponed job's attribute.
func (d *DeadLetters) Redrive(ctx context.Context, canSucceed func(DeadLetter) bool) (moved, stay int, err error) {
	err = d.each(ctx, math.MaxInt, func(m types.Message) (bool, error) {
		if !canSucceed(newDeadLetter(m)) {
			stay++
			return false, nil
		}
		attributes := maps.Clone(m.MessageAttributes)
		for _, ours := range []string{attributeReason, attributeOriginalMessage, bootstrap.AttributeFailures} {
			delete(attributes, ours)
		}
		again := &sqs.SendMessageInput{QueueUrl: &d.url, MessageBody: m.Body, MessageAttributes: attributes}
		if trace := m.Attributes[string(types.MessageSystemAttributeNameAWSTraceHeader)]; trace != "" {
			again.MessageSystemAttributes = map[string]types.MessageSystemAttributeValue{
				string(types.MessageSystemAttributeNameForSendsAWSTraceHeader): {DataType: aws.String("String"), StringValue: &trace},
			}
		}
		_, err := d.client.SendMessage(ctx, again)
		if err != nil {
			return false, translate("sending a dead letter back", err)
		}
		moved++
		_, err = d.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &d.deadLetterURL, ReceiptHandle: m.ReceiptHandle})
		return false, translate("deleting a dead letter", err)
	})
	return moved, stay, err
}
