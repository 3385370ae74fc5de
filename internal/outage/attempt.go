package outage

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Attempt runs an operation unless the context has ended, and returns its error with the name in front. The error wraps the
// context's error if the context has ended, and ErrUnavailable otherwise. Attempt calls failed, which may be nil, only in the
// second case: an ended context says nothing about the service.
func Attempt(ctx context.Context, name string, failed func(), operation func() error) error {
	err := ctx.Err()
	if err == nil {
		err = operation()
	}
	switch {
	case err == nil:
		return nil
	case Ended(ctx):
		return fmt.Errorf("%s: %w", name, cmp.Or(ctx.Err(), context.DeadlineExceeded))
	}
	if failed != nil {
		failed()
	}
	return fmt.Errorf("%s: %w: %w", name, ErrUnavailable, err)
}

// Ended reports whether the context's time is over. It compares the deadline too: a connection has a timer of its own for the
// deadline, which may fire before the context's.
func Ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}
