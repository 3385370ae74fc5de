package sqslocal_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

func post(t *testing.T, h http.Handler, method, target string, body []byte) (int, http.Header, []byte) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", bytes.NewReader(body))
	r.Header.Set("X-Amz-Target", target)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return w.Code, w.Header(), answer
}

// FuzzRequest sends arbitrary bodies to every operation. Each answer is JSON: a success, or a named error that blames the
// sender.
func FuzzRequest(f *testing.F) {
	operations := []string{
		"SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch",
		"ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "CreateQueue", "GetQueueUrl", "ListQueues",
		"GetQueueAttributes", "PurgeQueue", "StartMessageMoveTask", "ListMessageMoveTasks", "CancelMessageMoveTask",
	}
	url := `"QueueUrl":"` + sqslocal.QueueURL(inProcess, "jobs") + `"`
	for _, body := range []string{
		`null`, `[]`, `{}`, `{` + url + `}`,
		`{` + url + `,"MessageBody":"b","DelaySeconds":1,"MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"AA=="}}}`,
		`{` + url + `,"MaxNumberOfMessages":10,"VisibilityTimeout":0,"WaitTimeSeconds":20,"AttributeNames":["All"]}`,
		`{` + url + `,"Entries":[null,{"Id":"a","MessageBody":"b","ReceiptHandle":"eA==","VisibilityTimeout":1}]}`,
		`{"QueueName":"q","Attributes":{"RedrivePolicy":"{\"deadLetterTargetArn\":\"arn\",\"maxReceiveCount\":3}"}}`,
		`{"SourceArn":"` + sqslocal.ARN("dead") + `","MaxNumberOfMessagesPerSecond":1}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := newClock()
		// Each reading of the clock moves it, so a long poll ends at its second look.
		running := func() time.Time { c.advance(time.Minute); return c.now() }
		e := sqslocal.New(running, sqslocal.Queue{Name: "jobs", DeadLetterQueue: "dead", MaxReceiveCount: 1})
		post(t, e, http.MethodPost, "AmazonSQS.SendMessage", []byte(`{`+url+`,"MessageBody":"b"}`))
		for _, operation := range operations {
			status, _, answer := post(t, e, http.MethodPost, "AmazonSQS."+operation, body)
			var fields map[string]any
			if err := json.Unmarshal(answer, &fields); err != nil {
				t.Fatalf("%s answers %q: %v", operation, answer, err)
			}
			if name, _ := fields["__type"].(string); status != http.StatusOK && (status >= 500 || name == "") {
				t.Fatalf("%s answers %d %s", operation, status, answer)
			}
		}
	})
}
