package conversation

import (
	"context"
	"time"
)

// countWithin is the longest time that the count of a conversation waits for the welcome to be sent, and that a sent welcome
// then waits for the count. It is less than renewEvery, because the count and the lease's first renewal write the same item.
const countWithin = 800 * time.Millisecond

// opening lets a single write count a conversation and settle its welcome, which saves a write for each new customer. The
// count waits for the welcome, but the welcome never waits for other customers' counts: if the restaurant's month is busy,
// two writes are made. With a nil opening, two writes are always made.
type opening struct {
	sent chan chan<- bool // hands a sent welcome to the count, which answers whether the welcome is settled
	over chan struct{}    // closed when the count no longer waits for the welcome
	done chan struct{}    // closed when the welcome no longer needs the count
}

// newOpening returns the opening of a recorded delivery that has to send the welcome and to count the conversation; nil for
// any other.
func newOpening(recorded Recorded) *opening {
	if recorded.OptedOut || recorded.Welcome != ReplyHeld || !recorded.Uncounted {
		return nil
	}
	return &opening{sent: make(chan chan<- bool), over: make(chan struct{}), done: make(chan struct{})}
}

// end says that the welcome was settled, or that it wasn't sent.
func (o *opening) end() {
	if o != nil {
		close(o.done)
	}
}

// settles hands a sent welcome to the count, and reports whether the count settled the welcome.
func (o *opening) settles() bool {
	if o == nil {
		return false
	}
	settled := make(chan bool, 1)
	select {
	case o.sent <- settled:
		return <-settled
	case <-o.over:
		return false
	}
}

// complete completes a recorded delivery beside its replies.
func (s *Service) complete(ctx context.Context, m Message, recorded Recorded, o *opening) error {
	if o != nil {
		recorded.Uncounted = !s.countWelcomed(ctx, m, recorded, o)
	}
	return s.Recorder.Complete(ctx, m, recorded)
}

// countWelcomed waits for the welcome, and reports whether it counted the conversation and settled the welcome.
func (s *Service) countWelcomed(ctx context.Context, m Message, recorded Recorded, o *opening) (counted bool) {
	defer close(o.over)
	timer := time.NewTimer(countWithin)
	defer timer.Stop()
	select {
	case settled := <-o.sent:
		defer func() { settled <- counted }() // even if the Recorder panics, since the welcome waits
		ctx, cancel := context.WithTimeout(ctx, countWithin)
		defer cancel()
		return s.Recorder.CountWelcomed(ctx, m, recorded)
	case <-o.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
