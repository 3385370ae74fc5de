package bootstrap

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
)

// A job that may not call Sufrah yet waits. It sleeps in its instance if that is short, and else it is sent anew, hidden for
// nearly as long as it has to wait: an invocation costs money while it sleeps, and keeps other jobs from the few that there
// are. Neither uses up an attempt.
const (
	// MaxSleep is how long an attempt sleeps in all.
	MaxSleep = 5 * time.Second
	// CallTime is the time allowed for Sufrah's answers. A job with less time left waits for another invocation.
	CallTime = 5 * time.Second
	// retryDelay is how soon a job comes again that ran out of time.
	retryDelay = time.Second
)

// Pace lets jobs call Sufrah.
type Pace interface {
	// Start starts a job of the merchant and returns 0, or how long until the job may expect to start.
	Start(ctx context.Context, merchantID string) (time.Duration, error)
}

// WaitError says that a job may not go on yet. It is no failure.
type WaitError struct {
	For time.Duration
	Why string
}

func (e *WaitError) Error() string { return fmt.Sprintf("%s: next try in %s", e.Why, e.For) }

// slot is a job's right to call Sufrah: a single slot for all calls of an attempt, and none if no call is needed.
type slot struct {
	pace       Pace
	merchantID string

	mu    sync.Mutex
	taken bool
}

// admit is the cache.Admit of the job's parts. It fails with a *WaitError while there is no slot.
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
