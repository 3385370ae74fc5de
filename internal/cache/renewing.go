package cache

import (
	"context"
	"sync"
)

// renewing knows what is being renewed.
type renewing struct {
	mu      sync.Mutex
	pending map[chan struct{}]bool
}

// add notes a renewal, which done ends.
func (r *renewing) add() (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = make(map[chan struct{}]bool)
	}
	ended := make(chan struct{})
	r.pending[ended] = true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.pending, ended)
		close(ended)
	}
}

func (r *renewing) wait(ctx context.Context) {
	r.mu.Lock()
	var pending []chan struct{}
	for ended := range r.pending {
		pending = append(pending, ended)
	}
	r.mu.Unlock()
	for _, ended := range pending {
		select {
		case <-ended:
		case <-ctx.Done():
			return
		}
	}
}
