// Package ratelimit keeps two limits over all instances of a function: the rate of jobs, and the number of automated
// answers in a minute. Both are held in the cache, and by each instance for itself while the cache is down.
package ratelimit

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/startlog"
)

// Counters counts for all instances. An error may mean that it counted nevertheless: a limit may then be reached a little early.
type Counters interface {
	// Count counts one under a key that is used for no longer than keep, and returns how many were counted. The counter may go
	// once keep is over.
	Count(ctx context.Context, key string, keep time.Duration) (int64, error)
}

// Starts keeps logs of starts for all instances. It applies startlog's rule, atomically. An error may mean that the caller was
// given its start nevertheless.
type Starts interface {
	Start(ctx context.Context, key string, request startlog.Request) (startlog.Answer, error)
}

// outage notes when the server goes away and comes back, once each.
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
