package outage

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Attempt runs an operation unless the context's time is over, and returns its error with the name before it. The error wraps
// the context's if that has ended, and else ErrUnavailable. failed is told of the second kind only: a caller that has no
// time left says nothing about the service. It may be nil.
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

// Ended reports whether the context's time is over. Connections keep deadlines with timers of their own, which may fire before
// the context's.
func Ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}
