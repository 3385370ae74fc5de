// Package ratelimit keeps two limits over all instances of a function: the rate of jobs, and the number of automated answers
// in a minute. The cache holds the counts; while it is down, each instance holds its own.
package ratelimit

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/startlog"
)

// Counters counts for all instances. A call that fails may have counted all the same: a limit is then reached a little early.
type Counters interface {
	// Count adds one to a key's counter and returns the sum. The counter may be deleted once keep has passed since it began.
	Count(ctx context.Context, key string, keep time.Duration) (int64, error)
}

// Starts keeps logs of starts for all instances. It applies package startlog's rule, atomically. A call that fails may have
// entered a start all the same.
type Starts interface {
	Start(ctx context.Context, key string, request startlog.Request) (startlog.Answer, error)
}

// outage logs when the server goes down and when it comes back, once each.
type outage struct {
	limit string
	log   *slog.Logger
	down  atomic.Bool
}

func (o *outage) note(ctx context.Context, err error) {
	switch {
	case err == nil && o.down.Load() && o.down.Swap(false):
		o.log.InfoContext(ctx, "limit held in the cache again", "limit", o.limit)
	case err != nil && !o.down.Swap(true):
		o.log.WarnContext(ctx, "limit held by this instance alone: the cache failed", "limit", o.limit, "error", err)
	}
}
