// Package ratelimit keeps two limits over all instances of a function: the rate of jobs, and the number of automated
// answers in a minute. Both are held in the cache, and by each instance for itself while the cache is down.
package ratelimit

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// Scripts runs Lua scripts on a server that all instances share. A script is atomic, and an error may mean that it ran
// nevertheless: a limit may then be reached a little early.
type Scripts interface {
	// Eval runs a script that returns a whole number and touches only the given keys.
	Eval(ctx context.Context, script string, keys []string, args ...string) (int64, error)
}

// ListScripts are Scripts that return more than one number.
type ListScripts interface {
	// EvalInts runs a script that returns a list of whole numbers.
	EvalInts(ctx context.Context, script string, keys []string, args ...string) ([]int64, error)
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
		o.log.InfoContext(ctx, "a limit is held in the cache again", "limit", o.limit)
	case err != nil && !o.down.Swap(true):
		o.log.WarnContext(ctx, "a limit is held by this instance alone", "limit", o.limit, "error", err)
	}
}
