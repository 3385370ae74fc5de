package devstack

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

// queueView shows the state of the queues without any effect that a function could notice.
type queueView interface {
	state(context.Context) (queuesBody, error)
}

// queuesBody is the state of the queues.
type queuesBody struct {
	Bootstrap   queueBody        `json:"bootstrap"`
	DeadLetters []deadLetterBody `json:"deadLetters"`
}

type queueBody struct {
	Visible  int `json:"visible"`
	Delayed  int `json:"delayed"`
	InFlight int `json:"inFlight"`
}

type deadLetterBody struct {
	Reason       string `json:"reason"`
	ReceiveCount int    `json:"receiveCount"`
	Body         string `json:"body"`
}

// attributeReason is the attribute with the worker's reason, of dead letters that the worker sent itself.
const attributeReason = "reason"

// noReason is the reason of all other dead letters.
const noReason = "failed as often as the queue allows"

// standInView shows the stand-in's queues.
type standInView struct {
	engine *sqslocal.Engine
	queue  sam.Queue
}

func (v standInView) state(context.Context) (queuesBody, error) {
	body := queuesBody{DeadLetters: []deadLetterBody{}}
	body.Bootstrap.Visible, body.Bootstrap.Delayed, body.Bootstrap.InFlight = v.engine.Counts(v.queue.Name)
	for _, m := range v.engine.Messages(v.queue.DeadLetterQueue) {
		reason := cmp.Or(m.Attributes[attributeReason].StringValue, noReason)
		body.DeadLetters = append(body.DeadLetters, deadLetterBody{reason, m.ReceiveCount, m.Body})
	}
	return body, nil
}

func standInQueues(defined []sam.Queue) []sqslocal.Queue {
	queues := make([]sqslocal.Queue, len(defined))
	for i, q := range defined {
		queues[i] = sqslocal.Queue{
			Name: q.Name, VisibilityTimeout: q.VisibilityTimeout, Delay: q.Delay, RetentionPeriod: q.RetentionPeriod,
			DeadLetterQueue: q.DeadLetterQueue, MaxReceiveCount: q.MaxReceiveCount,
		}
	}
	return queues
}

// engineView shows an SQS server's queues. To see dead letters it receives them, and makes them visible again at once.
type engineView struct {
	client             *sqs.Client
	url, deadLetterURL string

	mu       sync.Mutex     // one look at a time: simultaneous looks would hide messages from each other
	received map[string]int // number of the view's own receives, by message id
}

const (
	receiveAtOnce = 10
	viewSeconds   = 30 // the longest time for which a look hides dead letters, if it can't make them visible again
)

func (v *engineView) state(ctx context.Context) (queuesBody, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	body := queuesBody{DeadLetters: []deadLetterBody{}}
	out, err := v.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &v.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		return body, err
	}
	count := func(name types.QueueAttributeName) int {
		n, _ := strconv.Atoi(out.Attributes[string(name)]) // 0 if the server doesn't count them
		return n
	}
	body.Bootstrap = queueBody{
		Visible:  count(types.QueueAttributeNameApproximateNumberOfMessages),
		Delayed:  count(types.QueueAttributeNameApproximateNumberOfMessagesDelayed),
		InFlight: count(types.QueueAttributeNameApproximateNumberOfMessagesNotVisible),
	}
	letters, err := v.receive(ctx)
	for _, m := range letters {
		reason := cmp.Or(aws.ToString(m.MessageAttributes[attributeReason].StringValue), noReason)
		receives, _ := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
		body.DeadLetters = append(body.DeadLetters, deadLetterBody{reason, receives - v.received[*m.MessageId], *m.Body})
	}
	return body, err
}

// receive returns all messages of the dead-letter queue that nobody else is receiving.
func (v *engineView) receive(ctx context.Context) (all []types.Message, err error) {
	for {
		out, err := v.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &v.deadLetterURL, MaxNumberOfMessages: receiveAtOnce, VisibilityTimeout: viewSeconds,
			MessageAttributeNames:       []string{attributeReason},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			return all, err
		}
		for _, m := range out.Messages {
			v.received[*m.MessageId]++
		}
		all = append(all, out.Messages...)
		if len(out.Messages) == 0 {
			return all, v.show(context.WithoutCancel(ctx), all)
		}
	}
}

// show makes received messages visible again.
func (v *engineView) show(ctx context.Context, received []types.Message) error {
	for chunk := range slices.Chunk(received, receiveAtOnce) {
		var entries []types.ChangeMessageVisibilityBatchRequestEntry
		for i, m := range chunk {
			entries = append(entries, types.ChangeMessageVisibilityBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle,
			})
		}
		if _, err := v.client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{
			QueueUrl: &v.deadLetterURL, Entries: entries,
		}); err != nil {
			return err
		}
	}
	return nil
}
