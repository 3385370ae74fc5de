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

// Part is a step of a job: one kind of data that it prefetches.
type Part struct {
	Name string // the name of the prefetched data in logs: "categories"
	Done string // the message of the log line after success
	// Optional parts don't change the job's outcome.
	Optional bool
	Prefetch Prefetch
}

// Prefetch fills the cache with data for the job's customer, and returns the number of entries and their source. An error
// with a method Retryable that returns false is permanent.
//
// Before it calls Sufrah, Prefetch calls admit. If admit fails, Prefetch returns that error.
type Prefetch func(ctx context.Context, j Job, admit cache.Admit) (count int, source cache.Source, err error)

// Parts returns a job's parts: a merchant's categories and branches, which decide the job's outcome, and the ids of the message
// templates.
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
			err = &WaitError{For: held.For, Why: held.Cause} // the failure was another caller's, so it uses up no attempt of this job
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

// errStale means that a part's source failed, while the cache still has an older copy.
var errStale = errors.New("fetching failed, only a stale copy is in the cache")

// result is the outcome of a part.
type result struct {
	part   Part
	count  int
	source cache.Source
	err    error
}

// kept reports whether the cache can answer customers, if need be with a stale copy.
func (r result) kept() bool { return r.err == nil || r.source == cache.Stale }

// waits returns how long the part must wait before its next try, and whether it waits at all.
func (r result) waits() (time.Duration, bool) {
	if w, ok := errors.AsType[*WaitError](r.err); ok {
		return w.For, true
	}
	return 0, false
}

// prefetch runs all parts that have no result yet, at the same time, and logs the end of each. A failing part doesn't stop
// the others.
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
