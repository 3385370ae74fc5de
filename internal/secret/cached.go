package secret

import (
	"context"
	"log/slog"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/ttl"
)

const (
	// MaxAge is how long an instance may go on with a value after it was changed.
	MaxAge = 5 * time.Minute
	// retryAfter is how long an old value is served after it could not be read anew, before that is tried again.
	retryAfter = 30 * time.Second
	// doubtAfter is the shortest time between two reads for getAnew. Forged requests cause such reads, and must neither keep
	// an instance busy nor make the secret costly.
	doubtAfter = 10 * time.Second
)

// Source reads a secret's current value.
type Source func(ctx context.Context) (string, error)

// cached keeps a secret's parsed value for MaxAge. If the refresh fails, the old value is used. It is usually still valid; if
// it was rotated, the service we call rejects it.
type cached[T any] struct {
	source Source
	parse  func(value string) (T, error)
	now    func() time.Time
	log    *slog.Logger

	turn chan struct{} // holds one while the source is asked
	kept *ttl.Cache[struct{}, reading[T]]
}

// reading is the result of asking the source.
type reading[T any] struct {
	value  T
	failed bool // the source failed, and the value is an older one
}

// only is the key of the only value.
var only struct{}

func newCached[T any](source Source, parse func(string) (T, error), now func() time.Time, log *slog.Logger) *cached[T] {
	return &cached[T]{source: source, parse: parse, now: now, log: log, turn: make(chan struct{}, 1), kept: ttl.New[struct{}, reading[T]](1)}
}

// get returns the parsed value. Simultaneous callers share a reading.
func (c *cached[T]) get(ctx context.Context) (T, error) { return c.getIf(ctx, c.fresh) }

// getAnew is get for callers with a reason to believe that the value has changed. The result is at most doubtAfter old,
// unless the source fails.
func (c *cached[T]) getAnew(ctx context.Context) (T, error) { return c.getIf(ctx, c.beyondDoubt) }

// getIf returns the value that is kept, if it is good enough, and else reads it.
func (c *cached[T]) getIf(ctx context.Context, good func() (T, bool)) (T, error) {
	if value, ok := good(); ok {
		return value, nil
	}
	var nothing T
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nothing, ctx.Err()
	}
	defer func() { <-c.turn }()
	if value, ok := good(); ok { // the previous holder of the turn has read it
		return value, nil
	}
	askedAt := c.now()
	value, err := c.read(ctx)
	if err == nil {
		c.kept.Put(only, reading[T]{value: value}, askedAt)
		return value, nil
	}
	old, ok := c.kept.Last(only)
	if !ok {
		return nothing, err
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "secret not refreshed: the old value is used", slog.Any("error", err))
	c.kept.Put(only, reading[T]{old.value, true}, askedAt)
	return old.value, nil
}

// fresh returns the kept value, unless it is older than MaxAge, or must be read again after a failure.
func (c *cached[T]) fresh() (T, bool) {
	now := c.now()
	kept, ok := c.kept.Get(only, now, MaxAge)
	if kept.failed {
		kept, ok = c.kept.Get(only, now, retryAfter)
	}
	return kept.value, ok
}

// beyondDoubt returns the kept value, unless the source can be asked again.
func (c *cached[T]) beyondDoubt() (T, bool) {
	kept, ok := c.kept.Get(only, c.now(), doubtAfter)
	return kept.value, ok
}

func (c *cached[T]) read(ctx context.Context) (T, error) {
	value, err := c.source(ctx)
	if err != nil {
		var nothing T
		return nothing, err
	}
	return c.parse(value)
}
