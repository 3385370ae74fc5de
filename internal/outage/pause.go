package outage

import (
	"sync"
	"time"
)

// Pause leaves a service alone for a while after a failure, and then has one call at a time ask, until one is answered. So a
// service that doesn't answer costs one time-out, and nothing in the while after it. The zero value admits calls.
type Pause struct {
	mu    sync.Mutex
	until time.Time // the service is left alone until then; zero while it answers
}

// Admits reports whether the service may be asked by a call that takes try at most.
func (p *Pause) Admits(try time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Before(p.until) {
		return false
	}
	if !p.until.IsZero() {
		p.until = now.Add(try)
	}
	return true
}

// Judge ends the pause after an answer, or begins one.
func (p *Pause) Judge(answered bool, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until = (time.Time{}); !answered {
		p.until = time.Now().Add(pause)
	}
}
