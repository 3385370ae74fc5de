package devstack_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
)

// lines returns the log's lines with a message, decoded.
func (s *stories) lines(message string) (found []map[string]any) {
	s.t.Helper()
	for text := range strings.Lines(s.log.String()) {
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && line["message"] == message {
			found = append(found, line)
		}
	}
	return found
}

// TestTimeIsAccountedFor slows one part down after the other, and finds that part in the last log line of a message and of
// its job.
func TestTimeIsAccountedFor(t *testing.T) {
	t.Parallel()
	loaded, err := loadDefinition()
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	s := newStories(t, loaded)
	ms := func(line map[string]any, field string) float64 { value, _ := line[field].(float64); return value }
	last := func(message string) map[string]any {
		found := s.lines(message)
		return found[len(found)-1]
	}

	s.behave("twilio", `{"latencyMs": 300, "callbackDelayMs": 60000}`) // late callbacks: their lines would come in between
	s.write("+966500000041", exampleNumber, "hello", true)
	s.behave("twilio", `{"callbackDelayMs": 60000}`)
	welcome := last("request")
	if ms(welcome, "twilioMs") < 300 || ms(welcome, "storeMs") <= 0 || ms(welcome, "queueMs") <= 0 || welcome["sufrahMs"] != nil {
		t.Errorf("the log line of a welcome says where its time went as %v, want Twilio's 300 ms or more, some of the store's and the queue's, none of Sufrah's", welcome)
	}
	if id, trace := welcome["lambdaRequestId"], welcome["traceId"]; id == "" || id == nil || id == welcome["requestId"] || !strings.HasPrefix(trace.(string), "1-") {
		t.Errorf("the log line of a welcome lacks Lambda's request id or the trace: %v", welcome)
	}

	s.behave("sufrah", `{"latencyMs": 200}`)
	s.await(bootstrap.MessageCompleted, 1)
	s.write("+966500000042", otherNumber, "hello", true)
	s.await(bootstrap.MessageCompleted, 2)
	s.behave("sufrah", `{}`)
	job := last(bootstrap.MessageCompleted)
	if ms(job, "sufrahMs") < 200 || ms(job, "cacheMs") <= 0 || job["storeMs"] != nil || job["lambdaRequestId"] != nil || job["requestId"] == "" ||
		job["traceId"] == nil || job["waitedMs"] == nil {
		t.Errorf("the log line of a job says where its time went as %v, want Sufrah's 200 ms or more, some of the cache's, and its ids", job)
	}

	s.behave("store", `{"latencyMs": 150}`)
	s.write("+966500000041", exampleNumber, "thanks", true)
	s.behave("store", `{}`)
	if within := last("request"); ms(within, "storeMs") < 150 || within["twilioMs"] != nil || within["queueMs"] != nil {
		t.Errorf("the log line of a message within a session has %v, want the store's 150 ms or more, nothing of Twilio or the queue: %v", slices.Sorted(maps.Keys(within)), within)
	}
}
