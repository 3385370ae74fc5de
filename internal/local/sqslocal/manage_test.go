package sqslocal_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

func TestCreateQueue(t *testing.T) {
	t.Parallel()
	redrive := `{"deadLetterTargetArn":"` + sqslocal.ARN("dead") + `","maxReceiveCount":"3"}`
	tests := map[string]struct {
		name       string
		attributes map[string]string
		code       string
	}{
		"new":                   {"fresh", map[string]string{"DelaySeconds": "5", "RedrivePolicy": redrive}, ""},
		"the same again":        {"jobs", map[string]string{"VisibilityTimeout": "2", "RedrivePolicy": redrive}, ""},
		"other attributes":      {"jobs", map[string]string{"VisibilityTimeout": "3"}, "QueueAlreadyExists"},
		"value out of range":    {"fresh", map[string]string{"VisibilityTimeout": "43201"}, "InvalidAttributeValue"},
		"no number":             {"fresh", map[string]string{"DelaySeconds": "soon"}, "InvalidAttributeValue"},
		"read-only attribute":   {"fresh", map[string]string{"QueueArn": "x"}, "InvalidAttributeValue"},
		"unknown attribute":     {"fresh", map[string]string{"Colour": "red"}, "InvalidAttributeName"},
		"malformed redrive":     {"fresh", map[string]string{"RedrivePolicy": "{"}, "InvalidAttributeValue"},
		"redrive to nowhere":    {"fresh", map[string]string{"RedrivePolicy": `{"maxReceiveCount":3}`}, "InvalidParameterValue"},
		"redrive without count": {"fresh", map[string]string{"RedrivePolicy": `{}`}, "InvalidParameterValue"},
		"bad name":              {"two words", nil, "InvalidParameterValue"},
		"FIFO":                  {"jobs.fifo", nil, "AWS.SimpleQueueService.UnsupportedOperation"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup()
			out, err := s.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{
				QueueName: &test.name, Attributes: test.attributes,
			})
			if test.code != "" {
				wantCode(t, err, test.code)
				return
			}
			if err != nil || *out.QueueUrl != sqslocal.QueueURL(inProcess, test.name) {
				t.Fatalf("CreateQueue = %+v, %v", out, err)
			}
		})
	}
}

func TestQueueURLsAreBelowTheEndpoint(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"":                                 "http://stack.test",
		"/":                                "http://stack.test",
		"/000000000000/jobs":               "http://stack.test",
		"/sandbox/sqs":                     "http://stack.test/sandbox/sqs",
		"/sandbox/sqs/":                    "http://stack.test/sandbox/sqs",
		"/sandbox/sqs/000000000000/jobs":   "http://stack.test/sandbox/sqs",
		"/sandbox/sqs/000000000000/queues": "http://stack.test/sandbox/sqs",
	} {
		r := httptest.NewRequest(http.MethodPost, "http://stack.test"+path, strings.NewReader(`{"QueueName":"jobs"}`))
		r.Header.Set("X-Amz-Target", "AmazonSQS.GetQueueUrl")
		w := httptest.NewRecorder()
		setup().engine.ServeHTTP(w, r)
		if got, want := w.Body.String(), `{"QueueUrl":"`+sqslocal.QueueURL(want, "jobs")+`"}`; got != want {
			t.Errorf("at %q: %s, want %s", path, got, want)
		}
	}
}

func TestQueueAttributes(t *testing.T) {
	t.Parallel()
	s := setup()
	get := func(names ...types.QueueAttributeName) (map[string]string, error) {
		out, err := s.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
			QueueUrl: &s.jobs, AttributeNames: names,
		})
		if err != nil {
			return nil, err
		}
		return out.Attributes, nil
	}
	got, err := get("QueueArn", "RedrivePolicy", "VisibilityTimeout")
	want := map[string]string{
		"QueueArn":          "arn:aws:sqs:us-east-1:000000000000:jobs",
		"RedrivePolicy":     `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":3}`,
		"VisibilityTimeout": "2",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("attributes: %v (-want +got):\n%s", err, diff)
	}
	_, err = get("Colour")
	wantCode(t, err, "InvalidAttributeName")
}

func TestListQueues(t *testing.T) {
	t.Parallel()
	c := newClock()
	e := sqslocal.New(c.now, sqslocal.Queue{Name: "b"}, sqslocal.Queue{Name: "a-2"}, sqslocal.Queue{Name: "a-1"},
		sqslocal.Queue{Name: "a-3"})
	pages := sqs.NewListQueuesPaginator(newClient(inProcess, e.Transport()), &sqs.ListQueuesInput{
		QueueNamePrefix: aws.String("a-"), MaxResults: aws.Int32(2),
	})
	var got []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("reading the next page: %v", err)
		}
		got = append(got, page.QueueUrls...)
	}
	want := []string{
		sqslocal.QueueURL(inProcess, "a-1"), sqslocal.QueueURL(inProcess, "a-2"), sqslocal.QueueURL(inProcess, "a-3"),
	}
	if !slices.Equal(got, want) {
		t.Errorf("ListQueues = %v, want %v", got, want)
	}
}

func TestPurgeOncePerMinute(t *testing.T) {
	t.Parallel()
	s := setup()
	purge := func() error {
		_, err := s.client.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &s.jobs})
		return err
	}
	if err := purge(); err != nil {
		t.Fatalf("purging the queue: %v", err)
	}
	err := purge()
	if target := (*types.PurgeQueueInProgress)(nil); !errors.As(err, &target) {
		t.Errorf("second purge = %v, want PurgeQueueInProgress", err)
	}
	s.pass(time.Minute)
	if err := purge(); err != nil {
		t.Errorf("purge a minute later: %v", err)
	}
}

func arn(queue string) *string { return aws.String(sqslocal.ARN(queue)) }

func (s stack) lastMove(t *testing.T) types.ListMessageMoveTasksResultEntry {
	t.Helper()
	out, err := s.client.ListMessageMoveTasks(t.Context(), &sqs.ListMessageMoveTasksInput{SourceArn: arn("dead")})
	if err != nil || len(out.Results) != 1 {
		t.Fatalf("ListMessageMoveTasks = %+v, %v, want one task", out, err)
	}
	return out.Results[0]
}

func (s stack) startMove(t *testing.T, in sqs.StartMessageMoveTaskInput) string {
	t.Helper()
	in.SourceArn = arn("dead")
	out, err := s.client.StartMessageMoveTask(t.Context(), &in)
	if err != nil {
		t.Fatalf("StartMessageMoveTask: %v", err)
	}
	return *out.TaskHandle
}

func TestRedriveToTheSource(t *testing.T) {
	t.Parallel()
	s := setup()
	s.bury(t, "poison")
	old := s.engine.Messages("dead")[0].ID
	s.startMove(t, sqs.StartMessageMoveTaskInput{})

	got := s.engine.Messages("jobs")
	if len(got) != 1 || got[0].ID == old {
		t.Fatalf("messages = %+v, want one with an id of its own", got)
	}
	want := []sqslocal.Message{{
		ID: got[0].ID, Body: "poison", State: sqslocal.Visible, SentAt: s.now(), VisibleAt: s.now(),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	task := s.lastMove(t)
	if *task.Status != "COMPLETED" || task.ApproximateNumberOfMessagesMoved != 1 || task.TaskHandle != nil {
		t.Errorf("task = %+v, want one message moved and no handle", task)
	}
}

func TestRedriveOfDirectlySentMessages(t *testing.T) {
	t.Parallel()
	s := setup()
	in := &sqs.SendMessageInput{QueueUrl: &s.dead, MessageBody: aws.String("direct")}
	if _, err := s.client.SendMessage(t.Context(), in); err != nil {
		t.Fatalf("sending the message: %v", err)
	}
	s.startMove(t, sqs.StartMessageMoveTaskInput{})
	if task := s.lastMove(t); *task.Status != "FAILED" || *task.FailureReason != "CouldNotDetermineMessageSource" {
		t.Errorf("task = %+v, want a failure: the message came from no queue", task)
	}
	s.startMove(t, sqs.StartMessageMoveTaskInput{DestinationArn: arn("jobs")})
	if got, want := s.counts("jobs"), [3]int{1, 0, 0}; got != want {
		t.Errorf("counts = %v, want the message moved to the destination", got)
	}
}

func TestRedriveAtARate(t *testing.T) {
	t.Parallel()
	s := setup()
	for range 5 {
		s.bury(t, "poison")
	}
	handle := s.startMove(t, sqs.StartMessageMoveTaskInput{MaxNumberOfMessagesPerSecond: aws.Int32(1)})
	s.pass(time.Second)
	if got := s.counts("jobs")[0]; got != 2 {
		t.Errorf("moved %d messages in the first second and at its end, want 2", got)
	}
	task := s.lastMove(t)
	if *task.Status != "RUNNING" || *task.TaskHandle != handle || *task.ApproximateNumberOfMessagesToMove != 5 {
		t.Errorf("task = %+v, want it running", task)
	}
	_, err := s.client.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: arn("dead")})
	wantCode(t, err, "InvalidParameterValue")

	out, err := s.client.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: &handle})
	if err != nil || out.ApproximateNumberOfMessagesMoved != 2 {
		t.Errorf("CancelMessageMoveTask = %+v, %v, want 2 moved", out, err)
	}
	s.pass(time.Hour)
	if got := s.counts("dead")[0]; got != 3 {
		t.Errorf("%d messages stayed behind, want 3", got)
	}
	_, err = s.client.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: &handle})
	wantCode(t, err, "InvalidParameterValue")
}

func TestRedriveErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   sqs.StartMessageMoveTaskInput
		code string
	}{
		"unknown source":    {sqs.StartMessageMoveTaskInput{SourceArn: arn("nowhere")}, "ResourceNotFoundException"},
		"not for dead ones": {sqs.StartMessageMoveTaskInput{SourceArn: arn("jobs")}, "InvalidParameterValue"},
		"unknown destination": {sqs.StartMessageMoveTaskInput{
			SourceArn: arn("dead"), DestinationArn: aws.String("x"),
		}, "ResourceNotFoundException"},
		"onto itself": {sqs.StartMessageMoveTaskInput{
			SourceArn: arn("dead"), DestinationArn: arn("dead"),
		}, "InvalidParameterValue"},
		"rate": {sqs.StartMessageMoveTaskInput{
			SourceArn: arn("dead"), MaxNumberOfMessagesPerSecond: aws.Int32(501),
		}, "InvalidParameterValue"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setup()
			_, err := s.client.StartMessageMoveTask(t.Context(), &test.in)
			wantCode(t, err, test.code)
		})
	}
}
