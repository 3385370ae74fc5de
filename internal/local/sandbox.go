package local

import (
	"net/http"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/sqslocal"
)

// Paths that a stack serves besides those of its API Gateway. No deployed function has them.
const (
	HealthPath   = "/healthz"
	DynamoDBPath = "/sandbox/dynamodb"
	SQSPath      = "/sandbox/sqs"
	MessagesPath = "/sandbox/messages"

	twilioPath = "/sandbox/api/twilio"
	sufrahPath = "/sandbox/api/sufrah"
)

// serveSandbox adds the stand-ins' own addresses, and those that show and set what they do.
func (s *Stack) serveSandbox() {
	s.mux.HandleFunc(HealthPath, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	s.mux.Handle(DynamoDBPath, s.store.Wrap(s.DynamoDB))
	s.mux.Handle(SQSPath, s.queue.Wrap(s.SQS))
	s.mux.Handle(SQSPath+"/", s.queue.Wrap(s.SQS)) // a queue's URL is a path below
	s.mux.Handle(twilioPath+"/", http.StripPrefix(twilioPath, s.Twilio))
	s.mux.Handle(sufrahPath+"/", http.StripPrefix(sufrahPath, s.Sufrah))

	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "The sandbox has nothing at this address.", "code": "not_found"})
	})
	s.mux.Handle("/sandbox/clock", s.Clock)
	for path, fault := range map[string]*sandbox.Fault{
		"/sandbox/store": s.store, "/sandbox/queue": s.queue, "/sandbox/cache": s.cache.fault,
		"/sandbox/twilio": s.Twilio.Fault(), "/sandbox/sufrah": s.Sufrah.Fault(),
	} {
		s.mux.Handle(path, fault)
	}
	s.mux.HandleFunc("GET "+MessagesPath, func(w http.ResponseWriter, r *http.Request) {
		// Who types an address writes a +, which in a query is a space.
		to := strings.ReplaceAll(r.URL.Query().Get("to"), " ", "+")
		writeJSON(w, http.StatusOK, append([]sandbox.SentMessage{}, s.Twilio.Messages(to)...))
	})
	s.mux.HandleFunc("GET /sandbox/queues", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.queues())
	})
	s.mux.HandleFunc("GET /sandbox/sufrah/calls", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Sufrah.Calls())
	})
	s.mux.HandleFunc("GET /sandbox/jobs", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.jobs.latest())
	})
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

func (s *Stack) queues() queuesBody {
	var body queuesBody
	body.Bootstrap.Visible, body.Bootstrap.Delayed, body.Bootstrap.InFlight = s.SQS.Counts(s.source.Queue.Name)
	body.DeadLetters = []deadLetterBody{}
	for _, m := range s.SQS.Messages(s.source.Queue.DeadLetterQueue) {
		body.DeadLetters = append(body.DeadLetters, deadLetterBody{reasonOf(m), m.ReceiveCount, m.Body})
	}
	return body
}

// reasonOf returns why a message is in the dead-letter queue: the worker says so where it sent it there itself.
func reasonOf(m sqslocal.Message) string {
	if reason := m.Attributes["reason"].StringValue; reason != "" {
		return reason
	}
	return "failed as often as the queue allows"
}
