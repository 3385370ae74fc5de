package lambdalocal

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxPayloadBytes is Lambda's limit for an answer.
const maxPayloadBytes = 6 << 20

// runtimeAPI is the interface through which the function's process gets events and answers them.
func (i *Instance) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", i.serveNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response", i.serveAnswer(""))
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error", i.serveAnswer("Unhandled"))
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", i.serveInitError)
	return mux
}

// serveNext answers with the next event. It waits for one as long as the function does.
func (i *Instance) serveNext(w http.ResponseWriter, r *http.Request) {
	select {
	case i.ready <- time.Now():
	default: // not the first request
	}
	select {
	case inv := <-i.next:
		now := time.Now()
		i.mu.Lock()
		inv.started, i.current = now, inv
		i.mu.Unlock()

		header := w.Header()
		header.Set("Content-Type", "application/json")
		header.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(now.Add(i.timeout).UnixMilli(), 10))
		header.Set("Lambda-Runtime-Invoked-Function-Arn", i.arn)
		header.Set("Lambda-Runtime-Trace-Id", NewTraceID(now))
		_, _ = w.Write(inv.payload) // if the process has gone, others notice
	case <-r.Context().Done():
	}
}

// serveAnswer takes the answer to the running invocation, or an error in its place.
func (i *Instance) serveAnswer(functionError string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayloadBytes))
		if err != nil {
			refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", err.Error())
			return
		}
		id := r.PathValue("id")
		if !i.complete(id, Result{Payload: payload, FunctionError: functionError, RequestID: id}) {
			refuse(w, http.StatusBadRequest, "InvalidRequestID", "no such invocation is under way")
			return
		}
		accept(w)
	}
}

// complete sets the result of the running invocation, if it has this id.
func (i *Instance) complete(id string, result Result) bool {
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.current == nil || i.current.id != id {
		return false
	}
	result.Duration = now.Sub(i.current.started)
	i.current.done <- result
	i.current = nil
	return true
}

func (i *Instance) serveInitError(w http.ResponseWriter, r *http.Request) {
	var report struct{ ErrorType, ErrorMessage string }
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPayloadBytes)).Decode(&report)
	if err != nil {
		report.ErrorMessage = "unreadable report: " + err.Error()
	}
	if report.ErrorType == "" {
		report.ErrorType = r.Header.Get("Lambda-Runtime-Function-Error-Type")
	}
	select {
	case i.failed <- &InitError{Type: report.ErrorType, Message: report.ErrorMessage}:
	default: // one report is enough
	}
	accept(w)
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"errorType": errorType, "errorMessage": message})
}

// NewTraceID returns an X-Ray trace header as Lambda gives it to an invocation that isn't traced.
func NewTraceID(now time.Time) string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0",
		now.Unix(), hex.EncodeToString(b[:12]), hex.EncodeToString(b[12:]))
}
