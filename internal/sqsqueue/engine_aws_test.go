//go:build aws

package sqsqueue_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/engines"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/sqsqueue"
)

// server is a stack's queues on the SQS server, empty and only for one test. They are reached in the same way as by functions
// and operators.
type server struct {
	queue              *sqsqueue.Queue
	letters            *sqsqueue.DeadLetters
	client             *sqs.Client
	url, deadLetterURL string
}

// newServer creates the template's queues, in which a received message stays hidden for longer than a test takes.
func newServer(t *testing.T) server {
	t.Helper()
	endpoint, err := engines.Endpoint(engines.SQS)
	must(t, err)
	parsed, err := sam.Load("../../template.yaml")
	must(t, err)
	queues, err := parsed.Queues("test-" + rand.Text())
	must(t, err)
	config := awsconfig.New("eu-central-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = &endpoint
	config.HTTPClient = &http.Client{Transport: http.DefaultTransport}
	s := server{client: sqs.NewFromConfig(config)}
	urls, err := engines.CreateQueues(t.Context(), s.client, queues)
	must(t, err)
	for _, queue := range queues {
		if queue.DeadLetterQueue != "" {
			s.url, s.deadLetterURL = urls[queue.Name], urls[queue.DeadLetterQueue]
		}
	}
	s.queue = sqsqueue.New(s.client, s.url, s.deadLetterURL)
	s.letters = sqsqueue.NewDeadLetters(s.client, s.url, s.deadLetterURL)
	return s
}

// receive returns the messages that become visible in a queue within a time.
func (s server) receive(t *testing.T, url string, wait time.Duration) []types.Message {
	t.Helper()
	out, err := s.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: 10, WaitTimeSeconds: int32(wait / time.Second),
		MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
	})
	must(t, err)
	return out.Messages
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("a step that must succeed failed: %v", err)
	}
}

// patience bounds the wait for an expected message.
const patience = 20 * time.Second

// TestEngineJob follows a job from its sender to its worker, and back until it is delayed.
func TestEngineJob(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	want := newJob()
	must(t, s.queue.Enqueue(traced(t.Context(), trace), want))
	got := s.receive(t, s.url, patience)
	if len(got) != 1 {
		t.Fatalf("%d messages, want the job", len(got))
	}
	job, err := bootstrap.ParseJob([]byte(*got[0].Body))
	must(t, err)
	if diff := cmp.Diff(want, job); diff != "" {
		t.Errorf("job (-sent +received):\n%s", diff)
	}
	attributes := map[string]string{"trace": got[0].Attributes["AWSTraceHeader"]}
	for name, a := range got[0].MessageAttributes {
		attributes[name] = *a.DataType + " " + *a.StringValue
	}
	wantAttributes := map[string]string{"version": "Number 1", "type": "String welcome-bootstrap", "trace": trace}
	if diff := cmp.Diff(wantAttributes, attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}

	const delay = 2 * time.Second
	for attempt, test := range []struct{ delay, atLeast time.Duration }{{0, 0}, {delay, delay / 2}} {
		begin := time.Now()
		must(t, s.queue.Delay(t.Context(), *got[0].ReceiptHandle, test.delay))
		if got = s.receive(t, s.url, patience); len(got) != 1 {
			t.Fatalf("%d messages after a delay of %v, want the job", len(got), test.delay)
		}
		if took := time.Since(begin); took < test.atLeast {
			t.Errorf("a delay of %v took %v", test.delay, took)
		}
		if count, want := got[0].Attributes["ApproximateReceiveCount"], []string{"2", "3"}[attempt]; count != want {
			t.Errorf("receive count %s, want %s", count, want)
		}
	}
}

// TestEngineDeadLetters sends messages to the dead-letter queue, lists them twice, deletes two, and sends the others back.
func TestEngineDeadLetters(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const letters = 12 // more than a receive returns
	var want []string
	for i := range letters {
		m := original()
		m.Body = string(rune('a' + i))
		reason := "reason " + m.Body
		must(t, s.queue.DeadLetter(t.Context(), m, reason))
		want = append(want, m.Body+": "+reason)
	}
	for range 2 { // the first listing must change nothing
		listed, err := s.letters.List(t.Context(), 100)
		must(t, err)
		var got []string
		for _, letter := range listed {
			got = append(got, letter.Body+": "+letter.Reason)
		}
		slices.Sort(got) // some were sent within the same millisecond
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("letters (-want +got):\n%s", diff)
		}
	}
	for _, letter := range []string{"d", "k"} { // anywhere in the queue
		listed, err := s.letters.List(t.Context(), 100)
		must(t, err)
		at := slices.IndexFunc(listed, func(l sqsqueue.DeadLetter) bool { return l.Body == letter })
		must(t, s.letters.Delete(t.Context(), listed[at].MessageID))
		if err := s.letters.Delete(t.Context(), listed[at].MessageID); !errors.Is(err, sqsqueue.ErrNoLetter) {
			t.Errorf("deleting %s again: %v, want ErrNoLetter", letter, err)
		}
	}
	const left = letters - 2
	if n, _, err := s.letters.Redrive(t.Context(), func(sqsqueue.DeadLetter) bool { return true }); err != nil || n != left {
		t.Errorf("Redrive = %d, %v, want %d", n, err, left)
	}
	if left := s.receive(t, s.deadLetterURL, 0); len(left) > 0 {
		t.Errorf("%d dead letters are left", len(left))
	}
	var moved []string
	for len(moved) < left {
		some := s.receive(t, s.url, patience)
		if len(some) == 0 {
			break
		}
		for _, m := range some {
			moved = append(moved, *m.Body)
			if _, kept := m.MessageAttributes["originalMessageId"]; kept || m.Attributes["AWSTraceHeader"] != trace {
				t.Errorf("moved: %s", describe(m))
			}
		}
	}
	slices.Sort(moved)
	if got := strings.Join(moved, ""); got != "abcefghijl" {
		t.Errorf("moved %q", got)
	}
}

func describe(m types.Message) string {
	text, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
