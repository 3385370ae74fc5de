// Package clock waits.
package clock

import (
	"context"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// Sleep waits for d. If the context ends first, it returns the context's error.
func Sleep(ctx context.Context, d time.Duration) error {
	defer timing.Start(ctx, timing.Wait)()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
