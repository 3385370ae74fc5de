package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
)

// Part is one thing that a job prefetches.
type Part struct {
	Name string // what is prefetched, as logs name it: "categories"
	Done string // the log line's message when it was
	// Optional parts make no difference to what becomes of the job.
	Optional bool
	Prefetch Prefetch
}

// Prefetch has the cache hold what the job's customer will need, and returns how much that is and where it came from. Its
// error is permanent where it has a method Retryable that says so.
//
// It asks admit before it calls Sufrah, and returns its error.
type Prefetch func(ctx context.Context, j Job, admit cache.Admit) (count int, source cache.Source, err error)

// Parts returns what a job prefetches: a merchant's categories and branches, which decide what becomes of the job, and the
// ids of the message templates.
func Parts(menu *cache.Menu, templates *cache.Templates, sids map[string]string) []Part {
	return []Part{
		{Name: "categories", Done: MessageCategoriesPrefetched, Prefetch: listing(menu.PrefetchCategories)},
		{Name: "branches", Done: MessageBranchesPrefetched, Prefetch: listing(menu.PrefetchBranches)},
		{Name: "templates", Done: MessageTemplatesWarmed, Optional: true, Prefetch: warming(templates, sids)},
	}
}

// listing prefetches one of a merchant's lists.
func listing[T any](load func(ctx context.Context, merchantID string, admit cache.Admit) ([]T, cache.Source, error)) Prefetch {
	return func(ctx context.Context, j Job, admit cache.Admit) (int, cache.Source, error) {
		entries, source, err := load(ctx, j.MerchantID, admit)
		if held, ok := errors.AsType[*cache.HeldError](err); ok && !held.Permanent {
			err = &WaitError{For: held.For, Why: held.Cause} // another's failure is no attempt of this job
		}
		return len(entries), source, err
	}
}

// warming writes the ids of the templates.
func warming(templates *cache.Templates, sids map[string]string) Prefetch {
	return func(ctx context.Context, _ Job, _ cache.Admit) (int, cache.Source, error) {
		n, err := templates.Warm(ctx, sids)
		return n, cache.Fetched, err
	}
}

// errStale says that a part's source failed, and that the cache still has what it gave some time ago.
var errStale = errors.New("only a stale copy is left")

// result is what became of a part.
type result struct {
	part   Part
	count  int
	source cache.Source
	err    error
}

// kept says whether customers can be answered with what there is, be it stale.
func (r result) kept() bool { return r.err == nil || r.source == cache.Stale }

// waits returns how long the part is to wait before it is tried again.
func (r result) waits() (time.Duration, bool) {
	if w, ok := errors.AsType[*WaitError](r.err); ok {
		return w.For, true
	}
	return 0, false
}

// prefetch runs all parts that have no result yet at the same time, and logs each one's end. None ends another.
func (w *Worker) prefetch(ctx context.Context, log *slog.Logger, j Job, admit cache.Admit, results []result) {
	var running sync.WaitGroup
	for i, part := range w.Parts {
		if _, waits := results[i].waits(); results[i].part.Prefetch != nil && !waits {
			continue
		}
		running.Go(func() {
			r := part.run(ctx, j, admit)
			if _, waits := r.waits(); !waits {
				r.log(ctx, log)
			}
			results[i] = r
		})
	}
	running.Wait()
}

func (p Part) run(ctx context.Context, j Job, admit cache.Admit) (r result) {
	r.part = p
	defer func() {
		if cause := recover(); cause != nil {
			r.source, r.err = cache.None, fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	r.count, r.source, r.err = p.Prefetch(ctx, j, admit)
	if r.err == nil && r.source == cache.Stale {
		r.err = errStale
	}
	return r
}

func (r result) log(ctx context.Context, log *slog.Logger) {
	if r.err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, MessagePartFailed, slog.String(FieldPart, r.part.Name), slog.Any(FieldError, r.err))
		return
	}
	log.LogAttrs(ctx, slog.LevelInfo, r.part.Done, slog.Int(FieldCount, r.count), slog.String(FieldSource, r.source.String()))
}
