package sandbox

import (
	"encoding/json"
	"net/http"
)

// Secrets stands in for Secrets Manager, as far as functions call it. It has secrets' values by their ARNs, and doesn't check
// signatures.
type Secrets map[string]string

const maxSecretRequest = 4 << 10

// ServeHTTP implements http.Handler.
func (s Secrets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
		writeAWSError(w, "UnknownOperationException")
		return
	}
	var request struct {
		ID string `json:"SecretId"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSecretRequest)).Decode(&request); err != nil {
		writeAWSError(w, "SerializationException")
		return
	}
	value, ok := s[request.ID]
	if !ok {
		writeAWSError(w, "ResourceNotFoundException")
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"ARN": request.ID, "SecretString": value}) // fails only if the client has gone
}

func writeAWSError(w http.ResponseWriter, kind string) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": kind})
}
