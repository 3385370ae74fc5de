// Package sandbox has local stand-ins for the services outside AWS, Twilio's Messages API and the Sufrah API, and for Secrets
// Manager, and the switches for faults of every stand-in. The stand-ins speak the real protocols, so that the code that calls
// them is the production code. No deployed function links this package.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// The bounds of a Behavior.
const (
	maxLatencyMs     = 60_000
	maxBehaviorBytes = 4 << 10
)

// Behavior says how slow a stand-in is and how often it fails.
type Behavior struct {
	LatencyMs float64 `json:"latencyMs"` // wait before every answer, 0 to 60,000
	FailRate  float64 `json:"failRate"`  // share of calls that fail, 0 to 1
	Status    int     `json:"status"`    // status of the calls that fail, 400 to 599
}

// healthy returns the initial values, which omitted fields have too.
func healthy() Behavior {
	return Behavior{Status: http.StatusServiceUnavailable}
}

func (b Behavior) validate() error {
	var faults []error
	if !(b.LatencyMs >= 0 && b.LatencyMs <= maxLatencyMs) {
		faults = append(faults, fmt.Errorf("latencyMs must be between 0 and %d", maxLatencyMs))
	}
	if !(b.FailRate >= 0 && b.FailRate <= 1) { // not written as < or >, because NaN must be refused too
		faults = append(faults, errors.New("failRate must be between 0 and 1"))
	}
	if b.Status < 400 || b.Status > 599 {
		faults = append(faults, errors.New("status must be between 400 and 599"))
	}
	return errors.Join(faults...)
}

// Fault is the switch that makes a stand-in slow and unreliable. As an http.Handler it shows the behavior (GET), or replaces
// all of it (PUT, in the same JSON form). It is safe for concurrent use.
type Fault struct {
	writeFailure func(w http.ResponseWriter, status int)

	mu       sync.Mutex
	random   func() float64
	behavior Behavior
}

// NewFault returns a switch that is off. random returns numbers in [0, 1) and is never called concurrently. writeFailure
// writes the answer to a failing call in the service's own form; nil writes only the status.
func NewFault(random func() float64, writeFailure func(w http.ResponseWriter, status int)) *Fault {
	if writeFailure == nil {
		writeFailure = func(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }
	}
	return &Fault{writeFailure: writeFailure, random: random, behavior: healthy()}
}

// Set replaces the behavior for calls that begin from now on. It fails if a value is out of bounds.
func (f *Fault) Set(behavior Behavior) error {
	if err := behavior.validate(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behavior = behavior
	return nil
}

// Behavior returns the current behavior.
func (f *Fault) Behavior() Behavior {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.behavior
}

// Apply waits for the call's latency. It returns the status with which the call must fail, 0 if it mustn't. If the context
// ends first, it returns the context's error. It is for stand-ins that don't speak HTTP; the others use Wrap.
func (f *Fault) Apply(ctx context.Context) (int, error) {
	latency, status := f.draw()
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-timer.C:
		}
	}
	return status, nil
}

func (f *Fault) draw() (latency time.Duration, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.behavior.FailRate > 0 && f.random() < f.behavior.FailRate {
		status = f.behavior.Status
	}
	return time.Duration(f.behavior.LatencyMs * float64(time.Millisecond)), status
}

// Wrap returns a handler that is slow and fails as the behavior says, and otherwise calls next. A failing call doesn't reach
// next.
func (f *Fault) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch status, err := f.Apply(r.Context()); {
		case err != nil:
			w.WriteHeader(http.StatusServiceUnavailable) // the client has gone
		case status != 0:
			f.writeFailure(w, status)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ServeHTTP shows the behavior (GET) or replaces it (PUT).
func (f *Fault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut {
		showBehavior(w, r, f.Behavior())
		return
	}
	behavior := healthy()
	err := readBehavior(http.MaxBytesReader(w, r.Body, maxBehaviorBytes), &behavior)
	if err == nil {
		err = f.Set(behavior)
	}
	answerBehavior(w, f.Behavior(), err)
}

// showBehavior answers a request that only reads.
func showBehavior(w http.ResponseWriter, r *http.Request, behavior any) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, PUT")
		writeJSON(w, http.StatusMethodNotAllowed,
			map[string]string{"error": "Only GET and PUT are possible here.", "code": "method_not_allowed"})
		return
	}
	writeJSON(w, http.StatusOK, behavior)
}

// answerBehavior answers a request to set the behavior. err is the reason that it failed, or nil.
func answerBehavior(w http.ResponseWriter, behavior any, err error) {
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error(), "code": "invalid_behavior"})
		return
	}
	writeJSON(w, http.StatusOK, behavior)
}

// readBehavior reads one behavior from a body with nothing else in it. Missing fields keep their values.
func readBehavior(body io.Reader, behavior any) error {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(behavior); err != nil {
		return fmt.Errorf("the body must be a behavior in JSON: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body must be a behavior in JSON, with nothing after it")
	}
	return nil
}

// writeJSON answers with a value in JSON.
func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // fails only if the client has gone
}
