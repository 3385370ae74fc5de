package devstack

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/local/page"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
)

// Paths that a stack serves in addition to API Gateway's. No deployed function has them.
const (
	HealthPath   = "/healthz"
	DynamoDBPath = "/sandbox/dynamodb"
	SQSPath      = "/sandbox/sqs"
	MessagesPath = "/sandbox/messages"

	secretsPath = "/sandbox/secretsmanager"
	twilioPath  = "/sandbox/api/twilio"
	sufrahPath  = "/sandbox/api/sufrah"
)

// serveSandbox adds the addresses of the stand-ins, and the addresses that show and change their behavior.
func (s *Stack) serveSandbox() {
	s.mux.HandleFunc(HealthPath, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	store := s.store.Wrap(s.disturbedCache(s.dynamoDB))
	s.mux.Handle(DynamoDBPath, store)
	// AWS's SDK for JavaScript appends a slash to an endpoint that has a path.
	s.mux.Handle(DynamoDBPath+"/{$}", store)
	s.mux.Handle(SQSPath, s.queue.Wrap(s.sqs))
	s.mux.Handle(SQSPath+"/", s.queue.Wrap(s.sqs)) // with that slash too, and with a queue's URL
	s.mux.Handle(secretsPath, s.secrets)
	s.mux.Handle(secretsPath+"/{$}", s.secrets)
	s.mux.HandleFunc("/sandbox/secrets", s.secrets.set)
	s.mux.HandleFunc("POST "+LambdaPath+"/2015-03-31/functions/{name}/invocations", s.invoke)
	s.mux.Handle(twilioPath+"/", http.StripPrefix(twilioPath, s.Twilio))
	s.mux.Handle(sufrahPath+"/", http.StripPrefix(sufrahPath, s.Sufrah))

	for _, path := range []string{"/{$}", page.Prefix} {
		s.mux.Handle(path, page.Handler())
	}
	s.mux.HandleFunc("GET /sandbox/demo", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.demo())
	})
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "The sandbox has nothing at this address.", "code": "not_found"})
	})
	s.mux.Handle("/sandbox/clock", s.Clock)
	for path, fault := range map[string]*sandbox.Fault{
		"/sandbox/store": s.store, "/sandbox/queue": s.queue, "/sandbox/cache": s.cache.fault,
		"/sandbox/content": s.Twilio.Contents().Fault(), "/sandbox/sufrah": s.Sufrah.Fault(),
	} {
		s.mux.Handle(path, fault)
	}
	s.mux.Handle("/sandbox/twilio", s.Twilio.Switch())
	s.mux.Handle("/sandbox/contents", s.Twilio.Contents())
	s.mux.HandleFunc("GET "+MessagesPath, func(w http.ResponseWriter, r *http.Request) {
		// A + typed into an address is a space in the query.
		to := strings.ReplaceAll(r.URL.Query().Get("to"), " ", "+")
		writeJSON(w, http.StatusOK, append([]sandbox.SentMessage{}, s.Twilio.Messages(to)...))
	})
	s.mux.HandleFunc("GET /sandbox/queues", func(w http.ResponseWriter, r *http.Request) {
		state, err := s.queues.state(r.Context())
		if err != nil {
			writeJSON(w, http.StatusBadGateway, map[string]string{"error": "The queues don't answer: " + err.Error(), "code": "no_queues"})
			return
		}
		writeJSON(w, http.StatusOK, state)
	})
	s.mux.HandleFunc("GET /sandbox/sufrah/calls", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Sufrah.Calls())
	})
	s.mux.HandleFunc("GET /sandbox/jobs", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.jobs.latest())
	})
}

// disturbedCache applies the cache's fault to requests for the cache's table, if the stack has one.
func (s *Stack) disturbedCache(next http.Handler) http.Handler {
	name := []byte(strconv.Quote(s.Name + "-cache"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller has left
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, name) {
			switch status, err := s.cache.fault.Apply(r.Context()); {
			case err != nil:
				return
			case status != 0:
				writeDynamoDBFailure(w, status)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
