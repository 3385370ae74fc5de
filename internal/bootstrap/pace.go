package bootstrap

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// A job over the rate waits for its slot inside its invocation, because being sent back to the queue uses up one of its
// attempts. The times that follow from 5 jobs at once and 20 a minute, at worst:
//
//	another job of the merchant is fetching     20 s   LockFor: the other's slot and Sufrah's answer
//	the job's own slot, 3 s after each before   15 s   there are at most five jobs that have one ahead
//	Sufrah                                       5 s   CallTime
//	settling with the queue                      3 s
//	                                            43 s   which a function's time-out of 60 s holds
//
// A job that dies while it waits leaves a gap of one slot, for which that time-out leaves room too. Only where more
// messages come in one batch, or the time-out is shorter, does a job find that its slot comes too late. It is then handed
// back.
const (
	// CallTime is what Sufrah's answers may take. A slot that leaves less isn't waited for.
	CallTime = 5 * time.Second
	// LockFor is the cache.Options.LockFor of the menu that a worker reads through: a job waits for its slot while it is
	// the one that fetches. With a shorter one, other jobs of the merchant would fetch as well. Who answers customers
	// keeps to a short one of its own, and fetches when that is over: a customer doesn't wait for a job's slot.
	LockFor = 20 * time.Second
)

// Pace hands out the slots in which jobs may call Sufrah.
type Pace interface {
	// Reserve takes the next free slot and returns how long to wait for it. It fails, and takes none, where that is later
	// than the context's deadline or than the pace looks ahead.
	Reserve(ctx context.Context) (time.Duration, error)
}

// Paced is an origin of menus whose calls wait for the slot of the job that they are made for: one slot for all calls of a
// job, and none for a job that finds everything in the cache. Calls made for no job don't wait.
//
// A cache.Menu over it lets jobs of one merchant that come at the same time share the first one's calls and its slot.
type Paced struct {
	Origin cache.Origin
}

// Categories waits and returns the origin's categories. It fails with errNoTime where the slot comes too late.
func (p Paced) Categories(ctx context.Context, merchantID string) ([]menu.Category, error) {
	if err := awaitSlot(ctx); err != nil {
		return nil, err
	}
	return p.Origin.Categories(ctx, merchantID)
}

// Branches waits and returns the origin's branches. It fails with errNoTime where the slot comes too late.
func (p Paced) Branches(ctx context.Context, merchantID string) ([]menu.Branch, error) {
	if err := awaitSlot(ctx); err != nil {
		return nil, err
	}
	return p.Origin.Branches(ctx, merchantID)
}

// ticket is a job's right to one slot.
type ticket struct {
	worker *Worker
	latest time.Time // that a slot may begin; zero where the job has no deadline

	mu     sync.Mutex
	asked  bool
	slot   time.Time
	err    error
	waited time.Duration // for the slot, by the call that waited longest
}

type ticketKey struct{}

// withTicket gives a job's calls a ticket. They find it by the context because the cache makes one call for several jobs,
// whose context has the values of the first one's but not its deadline.
func (w *Worker) withTicket(ctx context.Context) (context.Context, *ticket) {
	t := &ticket{worker: w}
	if deadline, ok := ctx.Deadline(); ok {
		t.latest = deadline.Add(-CallTime)
	}
	return context.WithValue(ctx, ticketKey{}, t), t
}

// awaitSlot waits for the slot of the job that a call is made for.
func awaitSlot(ctx context.Context) error {
	t, ok := ctx.Value(ticketKey{}).(*ticket)
	if !ok {
		return nil
	}
	slot, err := t.reserve(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoTime, err)
	}
	start := t.worker.Now()
	if wait := slot.Sub(start); wait > 0 {
		err = t.worker.Sleep(ctx, wait)
		t.mu.Lock()
		t.waited = max(t.waited, t.worker.Now().Sub(start))
		t.mu.Unlock()
	}
	return err
}

// reserve returns when the ticket's slot begins. The first call takes the slot.
func (t *ticket) reserve(ctx context.Context) (time.Time, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked {
		return t.slot, t.err
	}
	if !t.latest.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, t.latest)
		defer cancel()
	}
	var wait time.Duration
	wait, t.err = t.worker.Pace.Reserve(ctx)
	t.asked, t.slot = true, t.worker.Now().Add(wait)
	return t.slot, t.err
}

// wait returns how long the job waited for its slot.
func (t *ticket) wait() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waited
}

// refused says whether the job asked for a slot and got none.
func (t *ticket) refused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err != nil
}
