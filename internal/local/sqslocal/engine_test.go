package sqslocal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
	"github.com/sufrah/usage-bootstrap/internal/test/queuetest"
)

func (s stack) send(t *testing.T, body string) {
	t.Helper()
	if _, err := s.client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &s.jobs, MessageBody: &body}); err != nil {
		t.Fatalf("SendMessage: %v", err)
	}
}

func (s stack) receive(t *testing.T, url string) []types.Message {
	t.Helper()
	out, err := s.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: 10,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		t.Fatalf("ReceiveMessage: %v", err)
	}
	return out.Messages
}

func (s stack) remove(t *testing.T, m types.Message) {
	t.Helper()
	in := &sqs.DeleteMessageInput{QueueUrl: &s.jobs, ReceiptHandle: m.ReceiptHandle}
	if _, err := s.client.DeleteMessage(t.Context(), in); err != nil {
		t.Fatalf("DeleteMessage: %v", err)
	}
}

func (s stack) hide(t *testing.T, m types.Message, seconds int32) error {
	t.Helper()
	_, err := s.client.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &s.jobs, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds,
	})
	return err
}

// bury sends a message and receives it until it is in the dead-letter queue.
func (s stack) bury(t *testing.T, body string) {
	t.Helper()
	s.send(t, body)
	for range queuetest.MaxReceiveCount {
		if got := s.receive(t, s.jobs); len(got) != 1 {
			t.Fatalf("received %d messages, want 1", len(got))
		}
		s.pass(queuetest.VisibilityTimeout)
	}
	s.receive(t, s.jobs)
}

// counts is the queue's visible, delayed and in-flight messages.
func (s stack) counts(queue string) [3]int {
	visible, delayed, inFlight := s.engine.Counts(queue)
	return [3]int{visible, delayed, inFlight}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	target := smithy.APIError(nil)
	if !errors.As(err, &target) || target.ErrorCode() != code {
		t.Errorf("error = %v, want the code %s", err, code)
	}
}

func TestSimultaneousReceiversShareNothing(t *testing.T) {
	t.Parallel()
	s := setup()
	const messages = 60
	for i := range messages {
		s.send(t, fmt.Sprint("job ", i))
	}
	received := make(chan string, 2*messages)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range messages / 2 {
				out, err := s.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
					QueueUrl: &s.jobs, MaxNumberOfMessages: 1,
				})
				if err != nil {
					t.Errorf("ReceiveMessage: %v", err)
					return
				}
				for _, m := range out.Messages {
					received <- *m.MessageId
				}
			}
		})
	}
	wg.Wait()
	close(received)
	times := map[string]int{}
	for id := range received {
		times[id]++
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("message %s was received %d times", id, n)
		}
	}
	if len(times) != messages {
		t.Errorf("received %d messages, want %d", len(times), messages)
	}
}

func TestStaleHandleChangesNothing(t *testing.T) {
	t.Parallel()
	s := setup()
	s.send(t, "job")
	stale := s.receive(t, s.jobs)[0]
	s.pass(queuetest.VisibilityTimeout)
	s.receive(t, s.jobs)
	s.remove(t, stale)
	wantCode(t, s.hide(t, stale, 0), "InvalidParameterValue")
	if got, want := s.counts("jobs"), [3]int{0, 0, 1}; got != want {
		t.Errorf("counts = %v, want %v: the message stays in flight", got, want)
	}
}

func TestVisibilityNeedsAMessageInFlight(t *testing.T) {
	t.Parallel()
	s := setup()
	s.send(t, "job")
	m := s.receive(t, s.jobs)[0]
	s.pass(queuetest.VisibilityTimeout)
	err := s.hide(t, m, 5)
	if target := (*types.MessageNotInflight)(nil); !errors.As(err, &target) {
		t.Errorf("ChangeMessageVisibility = %v, want MessageNotInflight", err)
	}
}

func TestVisibilityEndsTwelveHoursAfterTheReceive(t *testing.T) {
	t.Parallel()
	s := setup()
	s.send(t, "job")
	m := s.receive(t, s.jobs)[0]
	if err := s.hide(t, m, 43200); err != nil {
		t.Fatalf("12 hours at once: %v", err)
	}
	s.pass(11 * time.Hour)
	if err := s.hide(t, m, 3600); err != nil {
		t.Fatalf("the twelfth hour: %v", err)
	}
	wantCode(t, s.hide(t, m, 3601), "InvalidParameterValue")
}

func TestRetention(t *testing.T) {
	t.Parallel()
	c := newClock()
	e := sqslocal.New(c.now, sqslocal.Queue{Name: "jobs", RetentionPeriod: time.Hour})
	s := stack{clock: c, engine: e, client: newClient(inProcess, e.Transport()), jobs: sqslocal.QueueURL(inProcess, "jobs")}
	s.send(t, "old")
	s.pass(30 * time.Minute)
	s.send(t, "young")
	s.pass(30*time.Minute - time.Nanosecond)
	if got, want := s.counts("jobs"), [3]int{2, 0, 0}; got != want {
		t.Errorf("counts before the hour = %v, want %v", got, want)
	}
	s.pass(time.Nanosecond)
	if got := e.Messages("jobs"); len(got) != 1 || got[0].Body != "young" {
		t.Errorf("messages after an hour = %v, want the young one", got)
	}
}

func TestRetentionOfADeadLetterCountsFromItsSending(t *testing.T) {
	t.Parallel()
	s := setup()
	s.send(t, "old")
	for range queuetest.MaxReceiveCount {
		s.receive(t, s.jobs)
		s.pass(queuetest.VisibilityTimeout)
	}
	if _, err := s.client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &s.dead, MessageBody: aws.String("young"),
	}); err != nil {
		t.Fatalf("sending the message: %v", err)
	}
	s.receive(t, s.jobs)
	s.pass(4*24*time.Hour - queuetest.MaxReceiveCount*queuetest.VisibilityTimeout)
	if got := s.engine.Messages("dead"); len(got) != 1 || got[0].Body != "young" {
		t.Errorf("dead letters four days after the first send = %+v, want the young one", got)
	}
}

func TestDeadLetter(t *testing.T) {
	t.Parallel()
	s := setup()
	start := s.now()
	s.bury(t, "poison")

	dead := s.engine.Messages("dead")
	want := []sqslocal.Message{{
		ID: dead[0].ID, Body: "poison", State: sqslocal.Visible, SentAt: start, FirstReceivedAt: start,
		VisibleAt: s.now(), ReceiveCount: queuetest.MaxReceiveCount, DeadLetterSource: "jobs",
	}}
	if diff := cmp.Diff(want, dead); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	got := s.receive(t, s.dead)[0].Attributes
	if got["DeadLetterQueueSourceArn"] != sqslocal.ARN("jobs") || got["SentTimestamp"] != fmt.Sprint(start.UnixMilli()) {
		t.Errorf("attributes = %v, want the source and the time of sending", got)
	}
}

func TestMessagesShowsEveryState(t *testing.T) {
	t.Parallel()
	s := setup()
	s.send(t, "in flight")
	s.receive(t, s.jobs)
	s.send(t, "visible")
	if _, err := s.client.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &s.jobs, MessageBody: aws.String("delayed"), DelaySeconds: 5,
	}); err != nil {
		t.Fatalf("sending the message: %v", err)
	}
	states := map[string]sqslocal.State{}
	for _, m := range s.engine.Messages("jobs") {
		states[m.Body] = m.State
	}
	want := map[string]sqslocal.State{
		"in flight": sqslocal.InFlight, "visible": sqslocal.Visible, "delayed": sqslocal.Delayed,
	}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	if got := s.counts("nowhere"); got != [3]int{} || s.engine.Messages("nowhere") != nil {
		t.Errorf("an unknown queue has the counts %v", got)
	}
}

func TestLongPollEndsByTheClock(t *testing.T) {
	t.Parallel()
	s := setup()
	ended := make(chan []byte, 1)
	go func() {
		_, _, answer := post(t, s.engine, http.MethodPost, "AmazonSQS.ReceiveMessage", s.poll())
		ended <- answer
	}()
	// The poll measures its time from its own first look at the clock. So the clock is moved until the poll has ended.
	for {
		select {
		case answer := <-ended:
			if string(answer) != "{}" {
				t.Errorf("a poll of an empty queue answered %s", answer)
			}
			return
		default:
			s.pass(time.Second)
		}
	}
}

// poll is the request body of a long poll of the jobs.
func (s stack) poll() []byte { return []byte(`{"QueueUrl":"` + s.jobs + `","WaitTimeSeconds":20}`) }

func TestLongPollOfAnAbsentCallerTakesNothing(t *testing.T) {
	t.Parallel()
	s := setup()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	go func() {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(s.poll()))
		r.Header.Set("X-Amz-Target", "AmazonSQS.ReceiveMessage")
		w := httptest.NewRecorder()
		s.engine.ServeHTTP(w, r)
		ended <- w.Body.String()
	}()
	cancel()
	s.send(t, "job")
	if answer := <-ended; answer != "{}" {
		t.Errorf("the poll answered %s", answer)
	}
	if got, want := s.counts("jobs"), [3]int{1, 0, 0}; got != want {
		t.Errorf("counts = %v, want %v", got, want)
	}
}

// TestClockMovesDuringALook: a receive reads the clock, and the clock is moved before the receive looks into the queue. The
// receive must look again.
func TestClockMovesDuringALook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, move := setup(), false
		s.engine = sqslocal.New(func() time.Time {
			read := s.now()
			if move {
				move = false
				s.pass(10 * time.Second)
			}
			return read
		}, sqslocal.Queue{Name: "jobs", Delay: 10 * time.Second})
		s.client = newClient(inProcess, s.engine.Transport())
		s.send(t, "job")
		begin := time.Now()
		move = true
		out, err := s.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &s.jobs, WaitTimeSeconds: 20})
		if waited := time.Since(begin); err != nil || len(out.Messages) != 1 || waited != 0 {
			t.Errorf("received %+v, %v, after another %v, want one message at once", out, err, waited)
		}
	})
}

func TestChangedAnnouncesChanges(t *testing.T) {
	t.Parallel()
	s := setup()
	changed := s.engine.Changed()
	s.send(t, "job")
	select {
	case <-changed:
	default:
		t.Error("a send did not announce itself")
	}
}

func TestSendErrors(t *testing.T) {
	t.Parallel()
	attribute := func(name, dataType, value string) *sqs.SendMessageInput {
		return &sqs.SendMessageInput{MessageBody: aws.String("b"), MessageAttributes: map[string]types.MessageAttributeValue{
			name: {DataType: &dataType, StringValue: &value},
		}}
	}
	eleven := map[string]types.MessageAttributeValue{}
	for i := range 11 {
		eleven[fmt.Sprint("a", i)] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("v")}
	}
	tests := map[string]struct {
		in   *sqs.SendMessageInput
		code string
	}{
		"empty body":         {&sqs.SendMessageInput{MessageBody: aws.String("")}, "MissingParameter"},
		"control character":  {&sqs.SendMessageInput{MessageBody: aws.String("\a")}, "InvalidMessageContents"},
		"no value":           {attribute("a", "String", ""), "InvalidParameterValue"},
		"unknown type":       {attribute("a", "Text", "v"), "InvalidParameterValue"},
		"reserved name":      {attribute("AWS.a", "String", "v"), "InvalidParameterValue"},
		"dots in a row":      {attribute("a..b", "String", "v"), "InvalidParameterValue"},
		"not a number":       {attribute("a", "Number", "one"), "InvalidParameterValue"},
		"control in a value": {attribute("a", "String", "\a"), "InvalidParameterValue"},
		"eleven attributes": {
			&sqs.SendMessageInput{MessageBody: aws.String("b"), MessageAttributes: eleven}, "InvalidParameterValue",
		},
		"unknown system attribute": {
			&sqs.SendMessageInput{
				MessageBody: aws.String("b"),
				MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{
					"Trace": {DataType: aws.String("String"), StringValue: aws.String("v")},
				},
			}, "InvalidParameterValue",
		},
		"body and attributes over 1 MiB together": {
			&sqs.SendMessageInput{
				MessageBody: aws.String(strings.Repeat("x", 1<<20-8)),
				MessageAttributes: map[string]types.MessageAttributeValue{
					"a": {DataType: aws.String("String"), StringValue: aws.String("vv")},
				},
			}, "InvalidParameterValue",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup()
			test.in.QueueUrl = &s.jobs
			_, err := s.client.SendMessage(t.Context(), test.in)
			wantCode(t, err, test.code)
			if got := s.counts("jobs"); got != [3]int{} {
				t.Errorf("counts = %v, want an empty queue", got)
			}
		})
	}
}

func TestLargestMessage(t *testing.T) {
	t.Parallel()
	s := setup()
	s.send(t, strings.Repeat("x", 1<<20))
	half := strings.Repeat("x", 1<<19)
	_, err := s.client.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{
		QueueUrl: &s.jobs, Entries: []types.SendMessageBatchRequestEntry{
			{Id: aws.String("a"), MessageBody: &half}, {Id: aws.String("b"), MessageBody: aws.String(half + "x")},
		},
	})
	if target := (*types.BatchRequestTooLong)(nil); !errors.As(err, &target) {
		t.Errorf("a batch over 1 MiB: %v, want BatchRequestTooLong", err)
	}
}

func TestBatchEntriesFailAlone(t *testing.T) {
	t.Parallel()
	s := setup()
	sent, err := s.client.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{
		QueueUrl: &s.jobs, Entries: []types.SendMessageBatchRequestEntry{
			{Id: aws.String("good"), MessageBody: aws.String("job")},
			{Id: aws.String("late"), MessageBody: aws.String("job"), DelaySeconds: 901},
		},
	})
	if err != nil {
		t.Fatalf("sending the batch: %v", err)
	}
	wantOutcome(t, "send", ids(sent.Successful, sent.Failed), map[string]string{"good": "", "late": "InvalidParameterValue"})

	m := s.receive(t, s.jobs)[0]
	hidden, err := s.client.ChangeMessageVisibilityBatch(t.Context(), &sqs.ChangeMessageVisibilityBatchInput{
		QueueUrl: &s.jobs, Entries: []types.ChangeMessageVisibilityBatchRequestEntry{
			{Id: aws.String("good"), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 9},
			{Id: aws.String("long"), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 43201},
			{Id: aws.String("bad"), ReceiptHandle: aws.String("x"), VisibilityTimeout: 1},
		},
	})
	if err != nil {
		t.Fatalf("changing the batch's visibility: %v", err)
	}
	wantOutcome(t, "change", ids(hidden.Successful, hidden.Failed), map[string]string{
		"good": "", "long": "InvalidParameterValue", "bad": "ReceiptHandleIsInvalid",
	})

	deleted, err := s.client.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{
		QueueUrl: &s.jobs, Entries: []types.DeleteMessageBatchRequestEntry{
			{Id: aws.String("bad"), ReceiptHandle: aws.String("x")}, {Id: aws.String("good"), ReceiptHandle: m.ReceiptHandle},
		},
	})
	if err != nil {
		t.Fatalf("deleting the batch: %v", err)
	}
	wantOutcome(t, "delete", ids(deleted.Successful, deleted.Failed), map[string]string{
		"good": "", "bad": "ReceiptHandleIsInvalid",
	})
	if got := s.counts("jobs"); got != [3]int{} {
		t.Errorf("counts = %v, want an empty queue", got)
	}
}

// ids maps the id of every entry to its error code, which is empty for a success.
func ids[Entry any](successful []Entry, failed []types.BatchResultErrorEntry) map[string]string {
	outcome := map[string]string{}
	for _, entry := range successful {
		switch entry := any(entry).(type) {
		case types.SendMessageBatchResultEntry:
			outcome[*entry.Id] = ""
		case types.ChangeMessageVisibilityBatchResultEntry:
			outcome[*entry.Id] = ""
		case types.DeleteMessageBatchResultEntry:
			outcome[*entry.Id] = ""
		}
	}
	for _, entry := range failed {
		outcome[*entry.Id] = *entry.Code
	}
	return outcome
}

func wantOutcome(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestReceiveErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   sqs.ReceiveMessageInput
		code string
	}{
		"eleven messages": {sqs.ReceiveMessageInput{MaxNumberOfMessages: 11}, "InvalidParameterValue"},
		"a long wait":     {sqs.ReceiveMessageInput{WaitTimeSeconds: 21}, "InvalidParameterValue"},
		"negative hiding": {sqs.ReceiveMessageInput{VisibilityTimeout: -1}, "InvalidParameterValue"},
		"unknown attribute": {
			sqs.ReceiveMessageInput{MessageSystemAttributeNames: []types.MessageSystemAttributeName{"Sender"}},
			"InvalidAttributeName",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup()
			test.in.QueueUrl = &s.jobs
			_, err := s.client.ReceiveMessage(t.Context(), &test.in)
			wantCode(t, err, test.code)
		})
	}
}

func TestReceiveSelectsAttributes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		wanted []string
		want   []string
	}{
		{nil, nil},
		{[]string{"All"}, []string{"job.type", "job.version", "source"}},
		{[]string{".*"}, []string{"job.type", "job.version", "source"}},
		{[]string{"job.*"}, []string{"job.type", "job.version"}},
		{[]string{"source", "missing"}, []string{"source"}},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.wanted, ","), func(t *testing.T) {
			t.Parallel()
			s := setup()
			attributes := map[string]types.MessageAttributeValue{}
			for _, name := range []string{"job.type", "job.version", "source"} {
				attributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String("v")}
			}
			if _, err := s.client.SendMessage(t.Context(), &sqs.SendMessageInput{
				QueueUrl: &s.jobs, MessageBody: aws.String("job"), MessageAttributes: attributes,
			}); err != nil {
				t.Fatalf("sending the message: %v", err)
			}
			out, err := s.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
				QueueUrl: &s.jobs, MessageAttributeNames: test.wanted,
			})
			if err != nil {
				t.Fatalf("receiving messages: %v", err)
			}
			want := map[string]types.MessageAttributeValue{}
			for _, name := range test.want {
				want[name] = attributes[name]
			}
			got := out.Messages[0]
			if !maps.EqualFunc(want, got.MessageAttributes, func(a, b types.MessageAttributeValue) bool {
				return *a.StringValue == *b.StringValue
			}) {
				t.Errorf("attributes = %v, want %v", got.MessageAttributes, test.want)
			}
			if len(test.want) == 0 && (got.MD5OfMessageAttributes != nil || got.Attributes != nil) {
				t.Errorf("message = %+v, want nothing that was not asked for", got)
			}
		})
	}
}

// The digests come from an independent implementation (moto), for the same attributes.
func TestDigestOfAttributes(t *testing.T) {
	t.Parallel()
	text := func(dataType, value string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: &dataType, StringValue: &value}
	}
	tests := []struct {
		digest     string
		attributes map[string]types.MessageAttributeValue
	}{
		{"235c5c510d26fb653d073faed50ae77c", map[string]types.MessageAttributeValue{"timestamp": text("Number", "1493147359900")}},
		{"edb17d7250cfa97d5c19cea17d6694d7", map[string]types.MessageAttributeValue{
			"price": text("Number.float", "1.5"), "name": text("String.ar", "محمد"),
		}},
		{"50c4b7824b4456361f5538abba5f82e9", map[string]types.MessageAttributeValue{
			"version": text("Number", "1"), "type": text("String", "welcome.bootstrap"),
			"checksum": {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1, 254, 255}},
		}},
	}
	for _, test := range tests {
		s := setup()
		out, err := s.client.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: &s.jobs, MessageBody: aws.String("x"), MessageAttributes: test.attributes,
		})
		if err != nil || *out.MD5OfMessageAttributes != test.digest {
			t.Errorf("SendMessage = %+v, %v, want the digest %s", out, err, test.digest)
		}
	}
}

func TestWireErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, target, body string
		status               int
		answer, query        string
	}{
		"unknown queue": {
			"POST", "AmazonSQS.PurgeQueue", `{"QueueUrl":"http://x/000000000000/nowhere"}`, 400,
			`{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}`,
			"AWS.SimpleQueueService.NonExistentQueue;Sender",
		},
		"no queue": {
			"POST", "AmazonSQS.DeleteMessage", `{}`, 400,
			`{"__type":"com.amazon.coral.service#MissingRequiredParameterException",` +
				`"message":"The request must contain the parameter QueueUrl."}`,
			"MissingParameter;Sender",
		},
		"a get":             {"GET", "AmazonSQS.ListQueues", `{}`, 400, unknownOperation, "InvalidAction;Sender"},
		"another service":   {"POST", "DynamoDB_20120810.PutItem", `{}`, 400, unknownOperation, "InvalidAction;Sender"},
		"unknown operation": {"POST", "AmazonSQS.TagQueue", `{}`, 400, unknownOperation, "InvalidAction;Sender"},
		"no JSON": {
			"POST", "AmazonSQS.ListQueues", ``, 400,
			`{"__type":"com.amazon.coral.service#SerializationException","message":"unexpected end of JSON input"}`,
			"SerializationException;Sender",
		},
		"too large": {
			"POST", "AmazonSQS.ListQueues", strings.Repeat(" ", 8<<20+1), 413,
			`{"__type":"com.amazon.coral.service#RequestEntityTooLargeException","message":"The request is too large."}`,
			"RequestEntityTooLarge;Sender",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, header, answer := post(t, setup().engine, test.method, test.target, []byte(test.body))
			if status != test.status || string(answer) != test.answer {
				t.Errorf("answer = %d %s, want %d %s", status, answer, test.status, test.answer)
			}
			if got := header.Get("x-amzn-query-error"); got != test.query {
				t.Errorf("x-amzn-query-error = %q, want %q", got, test.query)
			}
		})
	}
}

const unknownOperation = `{"__type":"com.amazon.coral.service#UnknownOperationException",` +
	`"message":"The operation is not known."}`

func TestTransportRefusesEndedContext(t *testing.T) {
	t.Parallel()
	s := setup()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, inProcess, nil)
	if err != nil {
		t.Fatalf("making the request: %v", err)
	}
	if _, err := s.engine.Transport().RoundTrip(r); !errors.Is(err, context.Canceled) {
		t.Errorf("RoundTrip = %v, want context.Canceled", err)
	}
}
