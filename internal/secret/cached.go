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
	value  T
	readAt time.Time // or, after a failure, such that it is read again in retryAfter
}

func newCached[T any](source Source, parse func(string) (T, error), now func() time.Time, log *slog.Logger) *cached[T] {
	return &cached[T]{source: source, parse: parse, now: now, log: log, turn: make(chan struct{}, 1)}
}

// get returns what the value says. Callers who come at the same time share one reading.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	if e := c.fresh(); e != nil {
		return e.value, nil
	}
	var nothing T
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nothing, ctx.Err()
	}
	defer func() { <-c.turn }()
	if e := c.fresh(); e != nil { // read by whoever had the turn before
		return e.value, nil
	}
	readAt := c.wallClock()
	value, err := c.read(ctx)
	old := c.kept.Load()
	switch {
	case err == nil:
		c.kept.Store(&entry[T]{value, readAt})
		return value, nil
	case old == nil:
		return nothing, err
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "secret not read anew, the old one is used", slog.Any("error", err))
	c.kept.Store(&entry[T]{old.value, readAt.Add(retryAfter - MaxAge)})
	return old.value, nil
}

func (c *cached[T]) fresh() *entry[T] {
	e := c.kept.Load()
	if e == nil {
		return nil
	}
	if age := c.wallClock().Sub(e.readAt); age < 0 || age >= MaxAge {
		return nil
	}
	return e
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
