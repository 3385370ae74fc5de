package secret

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// MaxAge is how long an instance may go on with a value after it was changed.
	MaxAge = 5 * time.Minute
	// retryAfter is how long an old value is served after it could not be read anew, before that is tried again.
	retryAfter = 30 * time.Second
	// doubtAfter is how often an instance reads a value anew because somebody doubts it: seldom enough that whoever sends
	// forged requests can't make it busy with that, or the secret costly.
	doubtAfter = 10 * time.Second
)

// Source reads a secret's current value.
type Source func(ctx context.Context) (string, error)

// cached remembers what a secret's value says for MaxAge. Where it can't be read anew after that, the old one is served:
// it is nearly always still the right one, and where it isn't, whom it is shown to says so.
type cached[T any] struct {
	source Source
	parse  func(value string) (T, error)
	now    func() time.Time
	log    *slog.Logger

	turn chan struct{} // holds one while the source is asked
	kept atomic.Pointer[entry[T]]
}

type entry[T any] struct {
	value   T
	readAt  time.Time // or, after a failure, such that it is read again in retryAfter
	askedAt time.Time // the source was asked, whether it answered or not
}

func newCached[T any](source Source, parse func(string) (T, error), now func() time.Time, log *slog.Logger) *cached[T] {
	return &cached[T]{source: source, parse: parse, now: now, log: log, turn: make(chan struct{}, 1)}
}

// get returns what the value says. Callers who come at the same time share one reading.
func (c *cached[T]) get(ctx context.Context) (T, error) { return c.getIf(ctx, c.fresh) }

// getAnew is get for who has a reason to believe that the value has changed: it is at most doubtAfter old, unless the
// source can't be asked.
func (c *cached[T]) getAnew(ctx context.Context) (T, error) { return c.getIf(ctx, c.beyondDoubt) }

// getIf returns the value that is kept, if it is good enough, and else reads it.
func (c *cached[T]) getIf(ctx context.Context, good func() *entry[T]) (T, error) {
	if e := good(); e != nil {
		return e.value, nil
	}
	var nothing T
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nothing, ctx.Err()
	}
	defer func() { <-c.turn }()
	if e := good(); e != nil { // read by whoever had the turn before
		return e.value, nil
	}
	askedAt := c.wallClock()
	value, err := c.read(ctx)
	old := c.kept.Load()
	switch {
	case err == nil:
		c.kept.Store(&entry[T]{value, askedAt, askedAt})
		return value, nil
	case old == nil:
		return nothing, err
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "secret not read anew, the old one is used", slog.Any("error", err))
	c.kept.Store(&entry[T]{old.value, askedAt.Add(retryAfter - MaxAge), askedAt})
	return old.value, nil
}

// fresh returns what is kept, unless it is older than MaxAge.
func (c *cached[T]) fresh() *entry[T] {
	e := c.kept.Load()
	if e == nil || !c.within(e.readAt, MaxAge) {
		return nil
	}
	return e
}

// beyondDoubt returns what is kept, unless the source can be asked again.
func (c *cached[T]) beyondDoubt() *entry[T] {
	e := c.kept.Load()
	if e == nil || !c.within(e.askedAt, doubtAfter) {
		return nil
	}
	return e
}

// within says whether less than d has passed since a time. A clock that was put back says nothing.
func (c *cached[T]) within(since time.Time, d time.Duration) bool {
	passed := c.wallClock().Sub(since)
	return passed >= 0 && passed < d
}

// wallClock is the time that goes on while the instance is frozen, unlike the monotonic one.
func (c *cached[T]) wallClock() time.Time { return c.now().Round(0) }

func (c *cached[T]) read(ctx context.Context) (T, error) {
	value, err := c.source(ctx)
	if err != nil {
		var nothing T
		return nothing, err
	}
	return c.parse(value)
}
