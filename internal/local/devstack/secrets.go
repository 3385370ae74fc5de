package devstack

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
)

// secretStore is a stack's Secrets Manager. Its secrets can be changed while the stack runs.
type secretStore struct {
	mu     sync.Mutex
	values sandbox.Secrets
}

func newSecretStore() *secretStore { return &secretStore{values: maps.Clone(secrets)} }

// ServeHTTP answers as Secrets Manager does.
func (s *secretStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values.ServeHTTP(w, r)
}

const maxSecrets = 64 << 10

// set changes secrets, by the last part of their names ("twilio", "sufrah"). null deletes a secret.
func (s *secretStore) set(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		writeJSON(w, http.StatusMethodNotAllowed, map[string]string{"error": "Use PUT at this address.", "code": "method_not_allowed"})
		return
	}
	var changes map[string]*string
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSecrets)).Decode(&changes); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "Send {\"twilio\": …, \"sufrah\": …}.", "code": "invalid_body"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for arn := range secrets {
		value, changed := changes[arn[strings.LastIndexByte(arn, '/')+1:]]
		switch {
		case !changed:
		case value == nil:
			delete(s.values, arn)
		default:
			s.values[arn] = *value
		}
	}
	w.WriteHeader(http.StatusOK)
}
