package task

import (
	"context"
	"sync"
)

// Pending tracks the tasks that outlast the requests that started them. The zero Pending is ready for use.
type Pending struct {
	mu      sync.Mutex
	pending map[chan struct{}]bool
}

// Add notes something that done ends. done is to be called once.
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

// Wait waits until all that was added before the call has ended, or the context has.
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
