package bootstrap

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
)

// A job that may not call Sufrah yet waits without using up an attempt. For a short wait it sleeps in its instance. For a
// longer wait it is sent as a new message, which stays hidden for nearly that long, because a sleeping invocation costs money
// and occupies one of the few jobs at once.
const (
	// MaxSleep bounds an attempt's sleep, all its waits together.
	MaxSleep = 5 * time.Second
	// CallTime is the time reserved for Sufrah's answers. A job with less time left waits for another invocation.
	CallTime = 5 * time.Second
	// retryDelay is the delay before the next attempt at a job that ran out of time.
	retryDelay = time.Second
)

// Pace limits how many jobs call Sufrah.
type Pace interface {
	// Start starts a job of the merchant and returns 0. If the job must wait, it returns the time after which the job may
	// expect to start.
	Start(ctx context.Context, merchantID string) (time.Duration, error)
}

// WaitError says that a job may not go on yet. It doesn't count as a failure.
type WaitError struct {
	For time.Duration
	Why string
}

func (e *WaitError) Error() string { return fmt.Sprintf("%s: next try in %s", e.Why, e.For) }

// slot is a job's right to call Sufrah. An attempt takes one slot for all its calls, and none if it needs no call.
type slot struct {
	pace       Pace
	merchantID string

	mu    sync.Mutex
	taken bool
}

// admit takes the slot, for the parts of the job that need a call. It fails with a *WaitError if the job must wait for it.
func (s *slot) admit(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken {
		return nil
	}
	wait, err := s.pace.Start(ctx, s.merchantID)
	switch {
	case err != nil:
		return err
	case wait > 0:
		return &WaitError{wait, "the rate of jobs is used up"}
	}
	s.taken = true
	return nil
}

var _ cache.Admit = (*slot)(nil).admit
