package task

import (
	"context"
	"sync"
)

// Pending tracks tasks that outlast the requests that started them. The zero Pending is ready for use.
type Pending struct {
	mu      sync.Mutex
	pending map[chan struct{}]bool
}

// Add notes the beginning of a task. Call done once, at its end.
func (p *Pending) Add() (done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == nil {
		p.pending = make(map[chan struct{}]bool)
	}
	ended := make(chan struct{})
	p.pending[ended] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.pending, ended)
		close(ended)
	}
}

// Wait waits until all tasks that were added before the call have ended, or until the context ends.
func (p *Pending) Wait(ctx context.Context) {
	p.mu.Lock()
	var running []chan struct{}
	for ended := range p.pending {
		running = append(running, ended)
	}
	p.mu.Unlock()
	for _, ended := range running {
		select {
		case <-ended:
		case <-ctx.Done():
			return
		}
	}
}
