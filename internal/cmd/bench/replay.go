package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
)

// call is one call of DynamoDB, as it came over the wire.
type call struct {
	Target string
	Body   json.RawMessage
}

// replay stands between functions and a DynamoDB. While it records, it passes calls on; from then on it gives each call the
// answer that the same operation on the same table got: a backend that takes next to no time, and for which every message is
// new.
type replay struct {
	next http.Handler

	mu      sync.Mutex
	record  bool
	calls   []call
	answers map[string]*httptest.ResponseRecorder
}

func newReplay(next http.Handler) *replay {
	return &replay{next: next, record: true, answers: make(map[string]*httptest.ResponseRecorder)}
}

// rewind forgets the calls so far, but not their answers.
func (p *replay) rewind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = nil
}

// play ends the recording and returns the calls since the last rewind, in their order.
func (p *replay) play() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record = false
	return p.calls
}

var tableName = regexp.MustCompile(`"TableName":"[^"]*"`)

func (p *replay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	target := r.Header.Get("X-Amz-Target")
	key := target + string(tableName.Find(body))
	p.mu.Lock()
	answer, record := p.answers[key], p.record
	p.mu.Unlock()
	if record || answer == nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer = httptest.NewRecorder()
		p.next.ServeHTTP(answer, r)
		p.mu.Lock()
		p.answers[key] = answer
		p.calls = append(p.calls, call{target, body})
		p.mu.Unlock()
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}
