package ratelimit

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
)

// Window counts automated answers by restaurant and minute. It is safe for concurrent use.
type Window struct {
	counters Counters
	now      func() time.Time
	outage   outage

	mu     sync.Mutex
	minute int64
	counts map[string]count // of the minute, by restaurant
}

// count is an instance's knowledge of a restaurant's current minute.
type count struct {
	shared int64 // the highest count that the cache has returned
	alone  int64 // answers that could not be counted in the cache
}

// NewWindow returns a Window that takes the time from now.
func NewWindow(counters Counters, now func() time.Time, log *slog.Logger) *Window {
	return &Window{counters: counters, now: now, outage: outage{limit: "answers per minute", log: log}}
}

// keepCounter is longer than the minute that a counter is for, so that it lasts although the server's clock may differ.
const keepCounter = 2 * time.Minute

// Allow counts an answer of the restaurant, and reports whether the minute's limit allows it. A negative limit allows every
// answer, and 0 allows none; neither case is counted. While the cache is down the instance counts alone, from the last count
// that it knows.
func (w *Window) Allow(ctx context.Context, restaurantID string, limit int64) bool {
	if limit <= 0 {
		return limit < 0
	}
	minute := w.now().Unix() / 60
	if known := w.known(restaurantID, minute); known.shared+known.alone >= limit {
		return false // counts only grow, so there is nothing to ask
	}
	key := cache.Key(restaurantID, "answers:"+strconv.FormatInt(minute, 10))
	n, err := w.counters.Count(ctx, key, keepCounter)
	if err == nil || ctx.Err() == nil {
		w.outage.note(ctx, err)
	}
	return w.counted(restaurantID, minute, n, err == nil) <= limit
}

// known returns the instance's count of the minute, and forgets the previous minute.
func (w *Window) known(restaurantID string, minute int64) count {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.minute != minute {
		w.minute, w.counts = minute, make(map[string]count)
	}
	return w.counts[restaurantID]
}

// counted notes an answer and returns the minute's count. told says whether the cache counted the answer; if so, n is the
// cache's count.
func (w *Window) counted(restaurantID string, minute, n int64, told bool) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.minute != minute {
		return n // the minute has ended meanwhile, and its counts with it
	}
	known := w.counts[restaurantID]
	if told {
		known.shared = max(known.shared, n)
	} else {
		known.alone++
		n = known.shared
	}
	w.counts[restaurantID] = known
	return n + known.alone
}
