package sqslocal_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
	"github.com/sufrah/usage-bootstrap/internal/test/queuetest"
)

// job is a message as the model knows it.
type job struct {
	Queue     string // empty once deleted
	Receives  int
	VisibleAt time.Time
	handle    string // of its latest receive
}

// model is a queue in its simplest form: messages by body, and every handle that was ever given out.
type model struct {
	stack
	jobs    map[string]*job
	handles map[string]*job
}

func (m *model) visible(j *job) bool { return j.Queue == "jobs" && !j.VisibleAt.After(m.now()) }

func TestNothingIsLostOrDuplicated(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{stack: setup(), jobs: map[string]*job{}, handles: map[string]*job{}}
		t.Repeat(map[string]func(*rapid.T){
			"":           m.compare,
			"send":       m.sendOne,
			"receive":    m.receiveSome,
			"delete":     m.deleteOne,
			"visibility": m.hideOne,
			"clock":      func(t *rapid.T) { m.pass(drawSeconds(t)) },
		})
	})
}

func drawSeconds(t *rapid.T) time.Duration {
	return time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second
}

func (m *model) sendOne(t *rapid.T) {
	body, delay := fmt.Sprint("job ", len(m.jobs)), drawSeconds(t)
	if _, err := m.client.SendMessage(context.Background(), &sqs.SendMessageInput{
		QueueUrl: &m.stack.jobs, MessageBody: &body, DelaySeconds: int32(delay.Seconds()),
	}); err != nil {
		t.Fatalf("SendMessage: %v", err)
	}
	m.jobs[body] = &job{Queue: "jobs", VisibleAt: m.now().Add(delay)}
}

func (m *model) receiveSome(t *rapid.T) {
	limit, hidden := rapid.IntRange(1, 10).Draw(t, "limit"), drawSeconds(t)+time.Second
	out, err := m.client.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{
		QueueUrl: &m.stack.jobs, MaxNumberOfMessages: int32(limit), VisibilityTimeout: int32(hidden.Seconds()),
	})
	if err != nil {
		t.Fatalf("ReceiveMessage: %v", err)
	}
	m.bury(t)
	fresh := 0
	for _, j := range m.jobs {
		if m.visible(j) && j.Receives < queuetest.MaxReceiveCount {
			fresh++
		}
	}
	if len(out.Messages) != min(limit, fresh) {
		t.Fatalf("received %d messages, want %d of %d", len(out.Messages), limit, fresh)
	}
	for _, got := range out.Messages {
		j := m.jobs[*got.Body]
		if !m.visible(j) || j.Receives == queuetest.MaxReceiveCount || m.handles[*got.ReceiptHandle] != nil {
			t.Fatalf("received %q with the handle %s, which the model has as %+v", *got.Body, *got.ReceiptHandle, j)
		}
		j.Receives, j.VisibleAt, j.handle = j.Receives+1, m.now().Add(hidden), *got.ReceiptHandle
		m.handles[j.handle] = j
	}
	if len(out.Messages) < limit && slices.ContainsFunc(slices.Collect(maps.Values(m.jobs)), m.visible) {
		t.Fatal("a receive left visible messages behind")
	}
}

// bury notes the moves to the dead-letter queue, and fails if a move wasn't due.
func (m *model) bury(t *rapid.T) {
	for _, dead := range m.engine.Messages("dead") {
		j := m.jobs[dead.Body]
		if j.Queue == "dead" {
			continue
		}
		if !m.visible(j) || j.Receives != queuetest.MaxReceiveCount {
			t.Fatalf("%q became a dead letter, which the model has as %+v", dead.Body, j)
		}
		j.Queue, j.VisibleAt = "dead", m.now()
	}
}

// drawHandle returns any handle that was ever given out, and its message. current says whether it is the latest handle of a
// message that is still in its queue. Before the first receive there is no handle, and j is nil.
func (m *model) drawHandle(t *rapid.T) (handle string, j *job, current bool) {
	if len(m.handles) == 0 {
		return "", nil, false
	}
	handle = rapid.SampledFrom(slices.Sorted(maps.Keys(m.handles))).Draw(t, "handle")
	j = m.handles[handle]
	return handle, j, j.Queue == "jobs" && j.handle == handle
}

func (m *model) deleteOne(t *rapid.T) {
	handle, j, current := m.drawHandle(t)
	if j == nil {
		return
	}
	if _, err := m.client.DeleteMessage(context.Background(), &sqs.DeleteMessageInput{
		QueueUrl: &m.stack.jobs, ReceiptHandle: &handle,
	}); err != nil {
		t.Fatalf("DeleteMessage: %v", err)
	}
	if current {
		j.Queue = ""
	}
}

func (m *model) hideOne(t *rapid.T) {
	handle, j, current := m.drawHandle(t)
	if j == nil {
		return
	}
	hidden := drawSeconds(t)
	_, err := m.client.ChangeMessageVisibility(context.Background(), &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &m.stack.jobs, ReceiptHandle: &handle, VisibilityTimeout: int32(hidden.Seconds()),
	})
	refused := smithy.APIError(nil)
	notInFlight := (*types.MessageNotInflight)(nil)
	switch {
	case !current:
		if !errors.As(err, &refused) || refused.ErrorCode() != "InvalidParameterValue" {
			t.Fatalf("ChangeMessageVisibility with a stale handle = %v", err)
		}
	case m.visible(j):
		if !errors.As(err, &notInFlight) {
			t.Fatalf("ChangeMessageVisibility of a visible message = %v", err)
		}
	case err != nil:
		t.Fatalf("ChangeMessageVisibility: %v", err)
	default:
		j.VisibleAt = m.now().Add(hidden)
	}
}

// compare checks every message of both queues against the model.
func (m *model) compare(t *rapid.T) {
	want := map[string]job{}
	for body, j := range m.jobs {
		if j.Queue != "" {
			want[body] = job{Queue: j.Queue, Receives: j.Receives, VisibleAt: j.VisibleAt}
		}
	}
	got := map[string]job{}
	for _, queue := range []string{"jobs", "dead"} {
		messages := m.engine.Messages(queue)
		for _, message := range messages {
			if _, twice := got[message.Body]; twice {
				t.Fatalf("%q is there twice", message.Body)
			}
			got[message.Body] = job{Queue: queue, Receives: message.ReceiveCount, VisibleAt: message.VisibleAt}
		}
		m.compareCounts(t, queue, messages)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(job{})); diff != "" {
		t.Fatalf("messages (-model +engine):\n%s", diff)
	}
}

func (m *model) compareCounts(t *rapid.T, queue string, messages []sqslocal.Message) {
	want := map[sqslocal.State]int{}
	for _, message := range messages {
		want[message.State]++
	}
	if got := m.counts(queue); got != [3]int{want[sqslocal.Visible], want[sqslocal.Delayed], want[sqslocal.InFlight]} {
		t.Fatalf("counts of %s = %v, want %v", queue, got, want)
	}
}
