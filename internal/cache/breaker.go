package cache

import (
	"context"
	"log/slog"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/circuit"
)

// Circuits keeps the state of breakers where all instances reach it. It applies circuit's rule, atomically and by its own clock.
type Circuits interface {
	// AskCircuit says whether a call may be made, and for how long there are none if it is stopped.
	AskCircuit(ctx context.Context, key string) (circuit.Pass, time.Duration, error)
	// TellCircuit reports the outcome of a call that wasn't stopped, and returns for how long calls stop; 0 if they don't.
	TellCircuit(ctx context.Context, key string, outcome circuit.Outcome) (time.Duration, error)
}

// Breaker keeps all instances from calling an origin that is down, by circuit's rule. While the server is away every call is let
// through: nothing could be kept anyway.
type Breaker struct {
	Key      string // with a hash tag
	Circuits Circuits
	Random   func() uint64
	Log      *slog.Logger
	// Opened is told that a failure stops calls; nil tells nobody.
	Opened func()
}

// longestAsked bounds the wait that a Retry-After may ask for: a mistake there mustn't stop the system for a day.
const longestAsked = time.Hour

// pass is a breaker's answer to a call that may be made.
type pass int

const (
	untended pass = iota // nothing is to be told: nothing has failed, there is no breaker, or it can't tell
	watched              // something has failed: a success is to be told
	probing              // this call alone tries
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

// allow says whether a call may be made, and otherwise how long there won't be any.
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

// failed counts a call that failed for the origin's fault, and returns for how long calls stop; 0 if they don't.
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

// well closes the breaker after a call that the origin answered.
func (b *Breaker) well(ctx context.Context, p pass) {
	if b != nil && (p == watched || p == probing) {
		b.tell(ctx, circuit.Outcome{Event: circuit.Answered})
	}
}

// retract gives back a pass that wasn't used.
func (b *Breaker) retract(ctx context.Context, p pass) {
	if b != nil && p == probing {
		b.tell(ctx, circuit.Outcome{Event: circuit.NotMade})
	}
}
