package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
)

// quiet is the time without a call after which all simultaneous calls have arrived. It is long, because another program may
// have the processor; on an idle machine a thousandth would do.
const quiet = 150 * time.Millisecond

// meter stands before a stack and counts successive round trips of DynamoDB. It holds arriving calls until no further call
// comes, and then lets all of them pass: such a wave is a round trip. Calls of a later wave were made after an answer of an
// earlier one.
type meter struct {
	next http.Handler

	mu       sync.Mutex
	counting bool
	answered bool // the customer's answer has gone out
	trips    int
	wave     *wave

	under sync.WaitGroup // calls under way
}

type wave struct {
	timer  *time.Timer
	passes chan struct{}
}

// start begins to count.
func (m *meter) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counting, m.answered, m.trips = true, false, 0
}

// stop waits for the calls under way, ends the counting, and returns the number of round trips before the answer: the message to
// the customer if there was one, else the reply to the caller.
func (m *meter) stop() int {
	m.under.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counting = false
	return m.trips
}

func (m *meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.TrimSuffix(r.URL.Path, "/") == devstack.DynamoDBPath:
		// A call that its caller gives up is carried out all the same, and so counted.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(body))
		m.under.Add(1)
		defer m.under.Done()
		m.wait()
	case strings.HasSuffix(r.URL.Path, "/Messages.json"):
		m.mu.Lock()
		m.answered = true
		m.mu.Unlock()
	}
	m.next.ServeHTTP(w, r)
}

// wait holds a call until its wave passes.
func (m *meter) wait() {
	m.mu.Lock()
	if !m.counting {
		m.mu.Unlock()
		return
	}
	if m.wave == nil {
		begun := &wave{passes: make(chan struct{})}
		begun.timer = time.AfterFunc(quiet, func() { m.pass(begun) })
		m.wave = begun
	}
	joined := m.wave
	joined.timer.Reset(quiet)
	m.mu.Unlock()
	<-joined.passes
}

func (m *meter) pass(w *wave) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.wave == w { // else it has passed: the timer fired while it was set anew
		m.wave = nil
		if !m.answered { // not when it began: an answer that goes out at the same time didn't wait for it
			m.trips++
		}
		close(w.passes)
	}
}
