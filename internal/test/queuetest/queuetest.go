// Package queuetest is the contract of every queue that the project runs on: the local stand-in and real SQS servers. The
// tests use the queue through the SDK's client.
//
// The contract has only the behavior that this project relies on. Where SQS leaves the outcome open, such as for a delete
// with an old receipt handle, it demands nothing.
package queuetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// The settings of the queue at Fixture.QueueURL. The times are short, because with a real server the tests really wait.
const (
	VisibilityTimeout = 2 * time.Second
	MaxReceiveCount   = 3
)

// Fixture is an empty queue with a client for it.
type Fixture struct {
	Client *sqs.Client
	// QueueURL is a queue with the settings above and no delay. Its dead-letter queue is at DeadLetterURL.
	QueueURL      string
	DeadLetterURL string
	// Advance lets time pass for the queue: it moves the queue's clock, or sleeps if the clock is real.
	Advance func(time.Duration)
}

// Exercise runs the contract. Each part gets a fixture of its own from newQueue.
func Exercise(t *testing.T, newQueue func(t *testing.T) Fixture) {
	t.Helper()
	tests := map[string]func(*testing.T, Fixture){
		"a message arrives as it was sent":              arrivesAsSent,
		"a batch is sent and deleted":                   batch,
		"a faulty batch is refused":                     faultyBatch,
		"a delayed message is hidden at first":          delay,
		"a received message is hidden for a while":      visibility,
		"a change of visibility counts from the change": changeVisibility,
		"visibility is bounded and needs a receive":     visibilityErrors,
		"a deleted message is gone":                     deletion,
		"a receive returns ten messages at most":        receiveLimit,
		"a message is moved after its last receive":     redrive,
		"a long poll wakes for a message":               longPoll,
		"a long poll sees a delay end":                  longPollDelay,
		"simultaneous receivers get every message":      concurrentReceivers,
		"the counts tell the states apart":              counts,
		"a purge empties the queue":                     purge,
		"a message beyond the limits is refused":        limits,
		"an unknown queue is an error of its own":       unknownQueue,
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tests[name](t, newQueue(t))
		})
	}
}

func arrivesAsSent(t *testing.T, f Fixture) {
	attributes := map[string]types.MessageAttributeValue{
		"version":  {DataType: aws.String("Number"), StringValue: aws.String("1")},
		"type":     {DataType: aws.String("String"), StringValue: aws.String("welcome.bootstrap")},
		"checksum": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1, 254, 255}},
	}
	const trace = "Root=1-67891233-abcdef012345678912345678;Sampled=1"
	body := `{"profileName":"محمد & <Sons>","note":"tab\t, quote \" and 🍕"}`
	sent, err := f.Client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &f.QueueURL, MessageBody: &body, MessageAttributes: attributes,
		MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
			"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String(trace)},
		},
	})
	if err != nil {
		t.Fatalf("SendMessage: %v", err)
	}
	got := one(t, f, f.QueueURL)
	if *got.MessageId != *sent.MessageId || *got.Body != body {
		t.Errorf("received %s %q, want %s %q", *got.MessageId, *got.Body, *sent.MessageId, body)
	}
	if a, b := aws.ToString(got.MD5OfMessageAttributes), aws.ToString(sent.MD5OfMessageAttributes); a != b {
		t.Errorf("digest of attributes: received %s, sent %s", a, b)
	}
	if diff := cmp.Diff(attributes, got.MessageAttributes, cmp.Comparer(sameAttribute)); diff != "" {
		t.Errorf("attributes (-sent +received):\n%s", diff)
	}
	if got.Attributes["AWSTraceHeader"] != trace || got.Attributes["ApproximateReceiveCount"] != "1" {
		t.Errorf("system attributes = %v, want the trace header and a receive count of 1", got.Attributes)
	}
	for _, name := range []string{"SentTimestamp", "ApproximateFirstReceiveTimestamp"} {
		if len(got.Attributes[name]) != len("1700000000000") {
			t.Errorf("%s = %q, want milliseconds since 1970", name, got.Attributes[name])
		}
	}
}

func sameAttribute(a, b types.MessageAttributeValue) bool {
	return aws.ToString(a.DataType) == aws.ToString(b.DataType) &&
		aws.ToString(a.StringValue) == aws.ToString(b.StringValue) && slices.Equal(a.BinaryValue, b.BinaryValue)
}

func batch(t *testing.T, f Fixture) {
	out, err := f.Client.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{
		QueueUrl: &f.QueueURL, Entries: entries(3),
	})
	if err != nil || len(out.Successful) != 3 || len(out.Failed) != 0 {
		t.Fatalf("SendMessageBatch = %+v, %v, want three successes", out, err)
	}
	var deletes []types.DeleteMessageBatchRequestEntry
	for i, m := range receive(t, f, f.QueueURL, 10) {
		deletes = append(deletes, types.DeleteMessageBatchRequestEntry{
			Id: aws.String(fmt.Sprint("d", i)), ReceiptHandle: m.ReceiptHandle,
		})
	}
	if len(deletes) != 3 {
		t.Fatalf("received %d messages, want 3", len(deletes))
	}
	gone, err := f.Client.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{
		QueueUrl: &f.QueueURL, Entries: deletes,
	})
	if err != nil || len(gone.Successful) != 3 {
		t.Fatalf("DeleteMessageBatch = %+v, %v, want three successes", gone, err)
	}
	f.Advance(VisibilityTimeout)
	wantEmpty(t, f, f.QueueURL)
}

func entries(n int) []types.SendMessageBatchRequestEntry {
	var list []types.SendMessageBatchRequestEntry
	for i := range n {
		list = append(list, types.SendMessageBatchRequestEntry{
			Id: aws.String(fmt.Sprint("entry-", i)), MessageBody: aws.String(fmt.Sprint("body ", i)),
		})
	}
	return list
}

func faultyBatch(t *testing.T, f Fixture) {
	twice := entries(2)
	twice[1].Id = twice[0].Id
	badID := entries(1)
	badID[0].Id = aws.String("no spaces")
	refused := func(list []types.SendMessageBatchRequestEntry, target any) {
		t.Helper()
		_, err := f.Client.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &f.QueueURL, Entries: list})
		if !errors.As(err, target) {
			t.Errorf("SendMessageBatch of %d entries = %v, want %T", len(list), err, target)
		}
	}
	refused([]types.SendMessageBatchRequestEntry{}, new(*types.EmptyBatchRequest))
	refused(entries(11), new(*types.TooManyEntriesInBatchRequest))
	refused(twice, new(*types.BatchEntryIdsNotDistinct))
	refused(badID, new(*types.InvalidBatchEntryId))
	wantEmpty(t, f, f.QueueURL)
}

func delay(t *testing.T, f Fixture) {
	_, err := f.Client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &f.QueueURL, MessageBody: aws.String("later"), DelaySeconds: 1,
	})
	if err != nil {
		t.Fatalf("SendMessage: %v", err)
	}
	wantEmpty(t, f, f.QueueURL)
	f.Advance(time.Second)
	if got := one(t, f, f.QueueURL); *got.Body != "later" {
		t.Errorf("received %q, want the delayed message", *got.Body)
	}
}

func visibility(t *testing.T, f Fixture) {
	send(t, f, "hidden")
	first := one(t, f, f.QueueURL)
	wantEmpty(t, f, f.QueueURL)
	f.Advance(VisibilityTimeout)
	second := one(t, f, f.QueueURL)
	if *second.MessageId != *first.MessageId || *second.ReceiptHandle == *first.ReceiptHandle {
		t.Errorf("second receive: id %s, handle %s; want the same id as %s with another handle",
			*second.MessageId, *second.ReceiptHandle, *first.MessageId)
	}
	if second.Attributes["ApproximateReceiveCount"] != "2" {
		t.Errorf("receive count = %s, want 2", second.Attributes["ApproximateReceiveCount"])
	}
	const firstReceive = "ApproximateFirstReceiveTimestamp"
	if a, b := first.Attributes[firstReceive], second.Attributes[firstReceive]; a != b {
		t.Errorf("the first receive moved from %s to %s", a, b)
	}
}

func changeVisibility(t *testing.T, f Fixture) {
	send(t, f, "backing off")
	m := one(t, f, f.QueueURL)
	f.Advance(time.Second)
	if err := setVisibility(t, f, m, 2); err != nil {
		t.Fatalf("ChangeMessageVisibility to 2 s: %v", err)
	}
	f.Advance(time.Second)
	wantEmpty(t, f, f.QueueURL)
	f.Advance(time.Second)
	m = one(t, f, f.QueueURL)
	if err := setVisibility(t, f, m, 0); err != nil {
		t.Fatalf("ChangeMessageVisibility to 0: %v", err)
	}
	one(t, f, f.QueueURL)
}

func setVisibility(t *testing.T, f Fixture, m types.Message, seconds int32) error {
	t.Helper()
	_, err := f.Client.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &f.QueueURL, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds,
	})
	return err
}

func visibilityErrors(t *testing.T, f Fixture) {
	send(t, f, "message")
	m := one(t, f, f.QueueURL)
	wantRefusal(t, "a visibility of 43,201 s", setVisibility(t, f, m, 43201))
	if _, err := f.Client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{
		QueueUrl: &f.QueueURL, ReceiptHandle: m.ReceiptHandle,
	}); err != nil {
		t.Fatalf("DeleteMessage: %v", err)
	}
	wantRefusal(t, "changing a deleted message", setVisibility(t, f, m, 1))
	m.ReceiptHandle = aws.String("no handle")
	wantRefusal(t, "an invalid handle", setVisibility(t, f, m, 1))
}

func deletion(t *testing.T, f Fixture) {
	send(t, f, "done in time")
	send(t, f, "done late")
	messages := receive(t, f, f.QueueURL, 10)
	if len(messages) != 2 {
		t.Fatalf("received %d messages, want 2", len(messages))
	}
	remove := func(m types.Message) {
		t.Helper()
		if _, err := f.Client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{
			QueueUrl: &f.QueueURL, ReceiptHandle: m.ReceiptHandle,
		}); err != nil {
			t.Fatalf("DeleteMessage: %v", err)
		}
	}
	remove(messages[0])
	remove(messages[0]) // deleting again is no error
	f.Advance(VisibilityTimeout)
	remove(messages[1]) // visible again, and not yet received again
	wantEmpty(t, f, f.QueueURL)
}

func receiveLimit(t *testing.T, f Fixture) {
	for i := range 12 {
		send(t, f, fmt.Sprint("message ", i))
	}
	seen := map[string]bool{}
	for receives := 0; len(seen) < 12 && receives < 12; receives++ {
		got := receive(t, f, f.QueueURL, 10)
		if len(got) > 10 {
			t.Fatalf("one receive returned %d messages", len(got))
		}
		for _, m := range got {
			seen[*m.MessageId] = true
		}
	}
	if len(seen) != 12 {
		t.Errorf("received %d messages, want 12", len(seen))
	}
}

func redrive(t *testing.T, f Fixture) {
	sent, err := f.Client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &f.QueueURL, MessageBody: aws.String("poison"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"type": {DataType: aws.String("String"), StringValue: aws.String("welcome.bootstrap")},
		},
	})
	if err != nil {
		t.Fatalf("SendMessage: %v", err)
	}
	for attempt := 1; attempt <= MaxReceiveCount; attempt++ {
		m := one(t, f, f.QueueURL)
		if got := m.Attributes["ApproximateReceiveCount"]; got != fmt.Sprint(attempt) {
			t.Fatalf("receive count = %s, want %d", got, attempt)
		}
		wantEmpty(t, f, f.DeadLetterURL)
		if err := setVisibility(t, f, m, 0); err != nil {
			t.Fatalf("ChangeMessageVisibility: %v", err)
		}
	}
	wantEmpty(t, f, f.QueueURL)
	dead := one(t, f, f.DeadLetterURL)
	if *dead.Body != "poison" || *dead.MessageId != *sent.MessageId ||
		aws.ToString(dead.MessageAttributes["type"].StringValue) != "welcome.bootstrap" {
		t.Errorf("dead letter = %+v, want the message with its id and attributes", dead)
	}
	f.Advance(VisibilityTimeout)
	wantEmpty(t, f, f.QueueURL)
}

func longPoll(t *testing.T, f Fixture) {
	result := make(chan []types.Message, 1)
	go func() { result <- poll(t, f, 2) }()
	send(t, f, "awaited")
	if got := <-result; len(got) != 1 || *got[0].Body != "awaited" {
		t.Errorf("the poll returned %d messages, want the one sent meanwhile", len(got))
	}
}

func longPollDelay(t *testing.T, f Fixture) {
	if _, err := f.Client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &f.QueueURL, MessageBody: aws.String("delayed"), DelaySeconds: 1,
	}); err != nil {
		t.Fatalf("SendMessage: %v", err)
	}
	result := make(chan []types.Message, 1)
	go func() { result <- poll(t, f, 3) }()
	f.Advance(time.Second)
	if got := <-result; len(got) != 1 || *got[0].Body != "delayed" {
		t.Errorf("the poll returned %d messages, want the delayed one", len(got))
	}
}

// poll makes a long poll, from any goroutine.
func poll(t *testing.T, f Fixture, seconds int32) []types.Message {
	out, err := f.Client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &f.QueueURL, WaitTimeSeconds: seconds})
	if err != nil {
		t.Errorf("ReceiveMessage: %v", err)
		return nil
	}
	return out.Messages
}

// concurrentReceivers: simultaneous receivers together get every message. A message may come twice, as from any standard
// queue.
func concurrentReceivers(t *testing.T, f Fixture) {
	const messages = 40
	for i := range messages {
		send(t, f, fmt.Sprint("message ", i))
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, m := range drain(t, f) {
				mu.Lock()
				seen[*m.MessageId] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != messages {
		t.Errorf("received %d messages, want %d", len(seen), messages)
	}
}

// drain receives until nothing is left, from any goroutine.
func drain(t *testing.T, f Fixture) []types.Message {
	var all []types.Message
	for {
		out, err := f.Client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &f.QueueURL, MaxNumberOfMessages: 3, VisibilityTimeout: 60,
		})
		if err != nil {
			t.Errorf("ReceiveMessage: %v", err)
			return all
		}
		if len(out.Messages) == 0 {
			return all
		}
		all = append(all, out.Messages...)
	}
}

func counts(t *testing.T, f Fixture) {
	send(t, f, "in flight")
	one(t, f, f.QueueURL)
	send(t, f, "visible")
	send(t, f, "visible too")
	if _, err := f.Client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &f.QueueURL, MessageBody: aws.String("delayed"), DelaySeconds: 60,
	}); err != nil {
		t.Fatalf("SendMessage: %v", err)
	}
	out, err := f.Client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &f.QueueURL, AttributeNames: []types.QueueAttributeName{"All"},
	})
	if err != nil {
		t.Fatalf("GetQueueAttributes: %v", err)
	}
	want := map[string]string{
		"ApproximateNumberOfMessages": "2", "ApproximateNumberOfMessagesDelayed": "1",
		"ApproximateNumberOfMessagesNotVisible": "1", "VisibilityTimeout": fmt.Sprint(int(VisibilityTimeout.Seconds())),
	}
	for name, value := range want {
		if out.Attributes[name] != value {
			t.Errorf("%s = %q, want %q", name, out.Attributes[name], value)
		}
	}
	if !strings.HasPrefix(out.Attributes["QueueArn"], "arn:aws:sqs:") {
		t.Errorf("QueueArn = %q, which isn't an SQS queue's", out.Attributes["QueueArn"])
	}
}

func purge(t *testing.T, f Fixture) {
	send(t, f, "in flight")
	one(t, f, f.QueueURL)
	send(t, f, "visible")
	if _, err := f.Client.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &f.QueueURL}); err != nil {
		t.Fatalf("PurgeQueue: %v", err)
	}
	f.Advance(VisibilityTimeout)
	wantEmpty(t, f, f.QueueURL)
}

func limits(t *testing.T, f Fixture) {
	_, err := f.Client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &f.QueueURL, MessageBody: aws.String(strings.Repeat("x", 1<<20+1)),
	})
	wantRefusal(t, "a body over 1 MiB", err)
	_, err = f.Client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &f.QueueURL, MessageBody: aws.String("late"), DelaySeconds: 901,
	})
	wantRefusal(t, "a delay over 900 s", err)
	wantEmpty(t, f, f.QueueURL)
}

func unknownQueue(t *testing.T, f Fixture) {
	_, err := f.Client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("no-such-queue")})
	if target := (*types.QueueDoesNotExist)(nil); !errors.As(err, &target) {
		t.Errorf("GetQueueUrl = %v, want QueueDoesNotExist", err)
	}
	_, err = f.Client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: aws.String(f.QueueURL + "-not"), MessageBody: aws.String("lost"),
	})
	if target := (*types.QueueDoesNotExist)(nil); !errors.As(err, &target) {
		t.Errorf("SendMessage = %v, want QueueDoesNotExist", err)
	}
}

// wantRefusal checks that the server refused the request, rather than the network.
func wantRefusal(t *testing.T, what string, err error) {
	t.Helper()
	if target := (smithy.APIError)(nil); !errors.As(err, &target) {
		t.Errorf("%s: error = %v, want a refusal by the queue", what, err)
	}
}

func send(t *testing.T, f Fixture, body string) {
	t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: &f.QueueURL, MessageBody: &body}
	if _, err := f.Client.SendMessage(t.Context(), in); err != nil {
		t.Fatalf("SendMessage: %v", err)
	}
}

func receive(t *testing.T, f Fixture, url string, limit int32) []types.Message {
	t.Helper()
	out, err := f.Client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: limit,
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
	})
	if err != nil {
		t.Fatalf("ReceiveMessage: %v", err)
	}
	return out.Messages
}

func one(t *testing.T, f Fixture, url string) types.Message {
	t.Helper()
	got := receive(t, f, url, 1)
	if len(got) != 1 {
		t.Fatalf("received %d messages, want 1", len(got))
	}
	return got[0]
}

func wantEmpty(t *testing.T, f Fixture, url string) {
	t.Helper()
	if got := receive(t, f, url, 10); len(got) != 0 {
		t.Fatalf("received %d messages (%q first), want none", len(got), *got[0].Body)
	}
}
