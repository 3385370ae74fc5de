package sqsqueue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	maxReceived = 10 // messages of one receive, entries of one batch
	// listVisibility is how long a listing hides what it lists where it can't show it again itself.
	listVisibility = 30 * time.Second
	// listWait has SQS look at all of its servers: without a wait it may find nothing although there is something.
	listWait = time.Second
)

// OperatorClient is what DeadLetters needs of an SQS client; *sqs.Client has it. It is apart from Client so that functions
// don't link what only operators use.
type OperatorClient interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessage(context.Context, *sqs.DeleteMessageInput, ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (
		*sqs.ChangeMessageVisibilityBatchOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (
		*sqs.GetQueueAttributesOutput, error)
	StartMessageMoveTask(context.Context, *sqs.StartMessageMoveTaskInput, ...func(*sqs.Options)) (
		*sqs.StartMessageMoveTaskOutput, error)
}

// DeadLetter is a message that could not be carried out.
type DeadLetter struct {
	MessageID string // in the dead-letter queue
	// Reason is why nothing else could be tried; "" where the message was tried as often as the queue allows.
	Reason string
	SentAt time.Time // to the dead-letter queue, or, where the queue moved the message, to that queue
	Body   string
}

// DeadLetters shows operators the dead-letter queue of a queue, and clears it.
type DeadLetters struct {
	client        OperatorClient
	url           string
	deadLetterURL string
}

// NewDeadLetters returns the dead letters of the queue of a URL.
func NewDeadLetters(client OperatorClient, url, deadLetterURL string) *DeadLetters {
	return &DeadLetters{client: client, url: url, deadLetterURL: deadLetterURL}
}

// ErrNoLetter says that there is no dead letter of an id, or that somebody else has it at the moment.
var ErrNoLetter = errors.New("no dead letter has the id: it is gone, or another listing or deletion hides it for half a minute")

// List returns at most limit dead letters, oldest first. They stay in the queue: they are hidden while the listing goes on
// and shown again at its end, or else half a minute after they were listed. What another listing hides is missing.
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

// Delete deletes one dead letter for good, and hides others no longer than List does. It fails with ErrNoLetter.
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

// each hands at most limit dead letters to visit, in no order and each once, until it is done or fails; then it shows them
// again.
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
			QueueUrl:                    &d.deadLetterURL,
			MaxNumberOfMessages:         int32(min(limit-len(seen), maxReceived)),
			VisibilityTimeout:           int32(listVisibility / time.Second),
			WaitTimeSeconds:             int32(listWait / time.Second),
			MessageAttributeNames:       []string{attributeReason},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameSentTimestamp},
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
		if !news { // the end, or a listing so long that its first messages show up again
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

// show makes received messages visible again, also where the listing was broken off. Of entries that fail alone nothing is
// said: those messages show up by themselves.
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

// Redrive has SQS move all dead letters back into the queue, each as a new message with all its attempts, and returns
// about how many there are. It returns as soon as the move has begun, and fails where one is going on already.
func (d *DeadLetters) Redrive(ctx context.Context) (int, error) {
	source, letters, err := d.describe(ctx, d.deadLetterURL)
	if err != nil {
		return 0, err
	}
	destination, _, err := d.describe(ctx, d.url)
	if err != nil {
		return 0, err
	}
	// Without its destination, SQS would move only what its own redrive policy has put there.
	_, err = d.client.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{
		SourceArn: &source, DestinationArn: &destination,
	})
	if err != nil {
		return 0, translate("starting to move dead letters", err)
	}
	return letters, nil
}

// describe returns a queue's ARN and about how many messages can be received from it.
func (d *DeadLetters) describe(ctx context.Context, url string) (arn string, messages int, err error) {
	const arnName, countName = types.QueueAttributeNameQueueArn, types.QueueAttributeNameApproximateNumberOfMessages
	out, err := d.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{arnName, countName},
	})
	if err != nil {
		return "", 0, translate("describing a queue", err)
	}
	messages, err = strconv.Atoi(out.Attributes[string(countName)])
	if err != nil {
		return "", 0, fmt.Errorf("describing a queue: its number of messages: %w", err)
	}
	return out.Attributes[string(arnName)], messages, nil
}
