package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// call is a call of DynamoDB as it is on the wire.
type call struct {
	Target string
	Body   json.RawMessage
	// Wave is equal for calls that were made at the same time. A call after an answer belongs to a later wave.
	Wave int
}

// recordedTakes is the duration of a call during the recording, long enough to recognise simultaneous calls.
const recordedTakes = 20 * time.Millisecond

// replay stands between functions and a DynamoDB. During the recording it passes calls on. Later it gives each call its
// recorded answer: it is a backend that takes next to no time, and every message is new to it. It refuses a call that wasn't
// recorded, because another call's answer would make the measurement meaningless.
type replay struct {
	next http.Handler

	mu      sync.Mutex
	record  bool
	wave    int
	ended   bool // a call of the wave has been answered
	calls   []call
	answers map[string]*httptest.ResponseRecorder
	// made has the number of calls since the last rewind, by keyOf.
	made map[string]int
}

func newReplay(next http.Handler) *replay {
	return &replay{next: next, record: true, answers: make(map[string]*httptest.ResponseRecorder), made: make(map[string]int)}
}

// rewind forgets the calls so far, but not their answers.
func (p *replay) rewind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.wave, p.ended = nil, 0, false
	clear(p.made)
}

// play ends the recording, and returns the calls since the last rewind in their order.
func (p *replay) play() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record = false
	return p.calls
}

// check fails unless the calls since the last rewind are the wanted ones. Repeated calls are allowed, because the unmodified
// SDK loses connections and tries again.
func (p *replay) check(wanted map[string]int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, n := range wanted {
		if p.made[key] < n {
			return fmt.Errorf("a call was made %d times, not %d: %.300s", p.made[key], n, key)
		}
	}
	for key := range p.made {
		if wanted[key] == 0 {
			return fmt.Errorf("an unexpected call was made: %.300s", key)
		}
	}
	return nil
}

// keysOf counts calls by keyOf.
func keysOf(calls []call) map[string]int {
	keys := make(map[string]int)
	for _, c := range calls {
		keys[keyOf(c.Target, c.Body)]++
	}
	return keys
}

// keyOf returns the key by which the record has a call's answer. The key of a read is its content. A write has other ids and
// times in each message, so its key has only its tables and expressions.
func keyOf(target string, body []byte) string {
	_, operation, _ := strings.Cut(target, ".")
	switch operation {
	case "GetItem", "BatchGetItem", "Query", "TransactGetItems":
		var read any // with sorted members
		if err := json.Unmarshal(body, &read); err != nil {
			return operation + " " + err.Error()
		}
		canonical, _ := json.Marshal(read)
		return operation + " " + string(canonical)
	}
	var write map[string]json.RawMessage
	if err := json.Unmarshal(body, &write); err != nil {
		return operation + " " + err.Error()
	}
	return operation + writeKey(write)
}

var slotNames = regexp.MustCompile(`\bs[0-9]{2}\b`)

// writeKey returns the key of a write, or of a part of a transaction.
func writeKey(write map[string]json.RawMessage) string {
	var key strings.Builder
	for _, name := range slices.Sorted(maps.Keys(write)) {
		switch name {
		case "TableName", "UpdateExpression", "ConditionExpression":
			var text string
			_ = json.Unmarshal(write[name], &text)
			// The slots of the activity change with the half hours while the bench runs.
			key.WriteString(" " + slotNames.ReplaceAllString(text, "s"))
		case "TransactItems":
			var parts []map[string]map[string]json.RawMessage
			_ = json.Unmarshal(write[name], &parts) // a malformed write has an empty key
			for _, part := range parts {
				for kind, action := range part {
					key.WriteString(" " + kind + writeKey(action))
				}
			}
		}
	}
	return key.String()
}

func (p *replay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	answer := p.answer(r, body)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (p *replay) answer(r *http.Request, body []byte) *httptest.ResponseRecorder {
	target := r.Header.Get("X-Amz-Target")
	key := keyOf(target, body)
	p.mu.Lock()
	p.made[key]++
	answer, record := p.answers[key], p.record
	if record {
		if p.ended {
			p.wave, p.ended = p.wave+1, false
		}
		p.calls = append(p.calls, call{target, body, p.wave})
	}
	p.mu.Unlock()
	switch {
	case record:
		time.Sleep(recordedTakes)
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer = httptest.NewRecorder()
		p.next.ServeHTTP(answer, r)
		p.mu.Lock()
		p.answers[key], p.ended = answer, true
		p.mu.Unlock()
	case answer == nil:
		answer = httptest.NewRecorder()
		answer.Header().Set("Content-Type", "application/x-amz-json-1.0")
		answer.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(answer, `{"__type":"com.amazon.coral.validate#ValidationException","message":"This call wasn't recorded."}`)
	}
	return answer
}
