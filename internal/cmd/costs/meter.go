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

// quiet is the time without a further call after which all simultaneous calls must have arrived. It is long because other
// programs may occupy the processor; an idle machine would need a thousandth of it.
const quiet = 150 * time.Millisecond

// meter stands in front of a stack and counts successive round trips to DynamoDB. It holds calls until no further call
// arrives, and then lets all of them pass. Such a wave is one round trip: a call of a later wave was made after an answer to
// an earlier one.
type meter struct {
	next http.Handler

	mu       sync.Mutex
	counting bool
	answered bool // the customer's answer was sent
	trips    int
	wave     *wave

	under sync.WaitGroup // running calls
}

type wave struct {
	timer  *time.Timer
	passes chan struct{}
}

// start begins counting.
func (m *meter) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counting, m.answered, m.trips = true, false, 0
}

// stop waits for running calls, ends counting, and returns the number of round trips before the answer. The answer is the
// message to the customer if there was one, otherwise the reply to the caller.
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
		// A call is carried out and counted even if its caller gives it up.
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
	if m.wave == w { // otherwise it has passed: its timer fired while it was being reset
		m.wave = nil
		if !m.answered { // counted at the end of a wave: an answer sent during the wave didn't wait for it
			m.trips++
		}
		close(w.passes)
	}
}
