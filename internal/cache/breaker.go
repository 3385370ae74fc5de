package cache

import (
	"context"
	"log/slog"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/circuit"
)

// Circuits keeps the state of circuit breakers for all instances. It applies package circuit's rule atomically, by its own
// clock.
type Circuits interface {
	// AskCircuit returns whether a call may be made. If calls are stopped, it also returns for how long.
	AskCircuit(ctx context.Context, key string) (circuit.Pass, time.Duration, error)
	// TellCircuit reports the outcome of a call that was made. It returns for how long calls are now stopped; 0 if they
	// aren't.
	TellCircuit(ctx context.Context, key string, outcome circuit.Outcome) (time.Duration, error)
}

// Breaker keeps all instances from calling an origin that is down, by package circuit's rule. While the cache server is down,
// every call is let through, because the breaker's state is kept there.
type Breaker struct {
	Key      string // with a hash tag
	Circuits Circuits
	Random   func() uint64
	Log      *slog.Logger
	// Opened is called when a failure stops calls; it may be nil.
	Opened func()
}

// longestAsked bounds the wait that an origin's Retry-After can ask for: a mistake there must not stop the system for a day.
const longestAsked = time.Hour

// pass is a breaker's permission to make a call.
type pass int

const (
	untended pass = iota // no outcome need be reported: nothing has failed, there is no breaker, or its state can't be read
	watched              // something has failed before: a success must be reported
	probing              // the only call that is let through, to try the origin
)

func (b *Breaker) note(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		b.Log.WarnContext(ctx, "cache command failed: the call goes on without the cache", "operation", "breaker", "key", b.Key, "error", err)
	}
}

func (b *Breaker) tell(ctx context.Context, outcome circuit.Outcome) time.Duration {
	pause, err := b.Circuits.TellCircuit(context.WithoutCancel(ctx), b.Key, outcome)
	b.note(ctx, err)
	if err != nil {
		return 0
	}
	return pause
}

// allow returns the permission for a call, or a wait above 0 if calls are stopped.
func (b *Breaker) allow(ctx context.Context) (pass, time.Duration) {
	if b == nil {
		return untended, 0
	}
	answer, wait, err := b.Circuits.AskCircuit(context.WithoutCancel(ctx), b.Key)
	b.note(ctx, err)
	switch {
	case err != nil:
		return untended, 0
	case answer == circuit.Stopped:
		return untended, wait
	case answer == circuit.Watched:
		return watched, 0
	case answer == circuit.Probing:
		return probing, 0
	}
	return untended, 0
}

// failed reports a call that the origin failed. It returns for how long calls are now stopped; 0 if they aren't.
func (b *Breaker) failed(ctx context.Context, asked time.Duration) time.Duration {
	if b == nil {
		return 0
	}
	pause := b.tell(ctx, circuit.Outcome{
		Event: circuit.Failed, Asked: min(asked, longestAsked), Percent: 80 + int64(b.Random()%41),
	})
	if pause == 0 {
		return 0
	}
	b.Log.WarnContext(ctx, "calls to the Sufrah API paused after failures", "key", b.Key, "pauseMs", pause.Milliseconds())
	if b.Opened != nil {
		b.Opened()
	}
	return pause
}

// well reports a call that the origin answered, which closes the breaker.
func (b *Breaker) well(ctx context.Context, p pass) {
	if b != nil && (p == watched || p == probing) {
		b.tell(ctx, circuit.Outcome{Event: circuit.Answered})
	}
}

// retract gives back a permission that wasn't used.
func (b *Breaker) retract(ctx context.Context, p pass) {
	if b != nil && p == probing {
		b.tell(ctx, circuit.Outcome{Event: circuit.NotMade})
	}
}
