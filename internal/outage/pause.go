package outage

import (
	"sync"
	"time"
)

// Pause leaves a service alone for a while after a failure. After that it admits one call at a time, until one is answered.
// So a service that doesn't answer costs one time-out for each pause. The zero Pause admits calls.
type Pause struct {
	mu    sync.Mutex
	until time.Time // end of the pause; zero while the service answers
}

// Admits reports whether a call may ask the service. try is the longest time that the call takes.
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

// Judge ends the pause if the service has answered, and otherwise begins one.
func (p *Pause) Judge(answered bool, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until = (time.Time{}); !answered {
		p.until = time.Now().Add(pause)
	}
}
