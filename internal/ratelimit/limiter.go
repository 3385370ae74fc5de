package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/startlog"
)

// LimiterConfig configures a rate that all instances keep together.
type LimiterConfig struct {
	Key    string        // cache key with a hash tag; the same for all callers that share the rate
	Rate   int           // most starts in any period of length Per; 1 or more
	Per    time.Duration // a millisecond or longer
	Alone  int           // the same for one instance while the cache is down; from 1 to Rate
	Now    func() time.Time
	Random func() uint64 // evenly distributed and different in each instance
	// LocalTime makes Now the time of all instances, for a clock that is moved by hand. Otherwise the server's clock counts,
	// because instances' clocks differ.
	LocalTime bool
}

// Limiter lets at most Rate callers start in any period of length Per, each at the earliest moment that this limit allows. It
// applies package startlog's rule to a log of starts in the cache. It is safe for concurrent use.
//
// The cache's answer to each request contains the latest starts. So an instance knows nearly all of them, and can restore the
// log if the cache loses it.
type Limiter struct {
	config LimiterConfig
	starts Starts
	outage outage

	mu    sync.Mutex
	epoch int64
	known []int64 // the latest starts, newest first, in microseconds of this instance's clock; at most startlog.Told
	older int     // number of starts before known that are within Per
	alone []int64 // starts while the cache was down, which it doesn't know; newest first
}

// NewLimiter returns a limiter, or an error that describes the config's fault.
func NewLimiter(config LimiterConfig, starts Starts, log *slog.Logger) (*Limiter, error) {
	if config.Key == "" || config.Rate < 1 || config.Per < time.Millisecond || config.Alone < 1 || config.Alone > config.Rate {
		return nil, errors.New("a rate limit needs a key, a rate, a period, and a rate for an instance alone")
	}
	return &Limiter{config: config, starts: starts, outage: outage{limit: "job starts per minute", log: log}}, nil
}

// Start starts the caller and returns 0, or returns the time after which the caller may expect to start. Callers with the
// same name wait for the same moment. It fails only with the context's error.
//
// A waiting caller that doesn't come back delays nobody: while fewer than Rate starts are within Per, any caller starts.
// While the cache is down, each instance keeps its own share of the rate.
func (l *Limiter) Start(ctx context.Context, name string) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock() // one at a time: each caller needs the answer to the previous one
	defer l.mu.Unlock()
	now := l.config.Now().UnixMicro()
	wait, err := l.shared(ctx, name, now)
	if err != nil && ctx.Err() != nil {
		return 0, ctx.Err()
	}
	l.outage.note(ctx, err)
	if err != nil {
		wait = l.startAlone(now)
	}
	return time.Duration(wait) * time.Microsecond, nil
}

// shared asks the cache for a start and returns the microseconds to wait.
func (l *Limiter) shared(ctx context.Context, name string, now int64) (int64, error) {
	offer, starts := startlog.Nothing, []int64(nil)
	if len(l.alone) > 0 {
		offer, starts = startlog.Starts, l.alone
	}
	answer, err := l.ask(ctx, name, now, offer, starts)
	if err == nil && answer.MustOffer {
		answer, err = l.ask(ctx, name, now, startlog.All, slices.Concat(l.alone, l.known))
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("asking for a start: %w", err)
	case answer.MustOffer:
		return 0, errors.New("asking for a start: the cache wants more than all that is known")
	}
	behind := answer.Now - now // the cache's clock minus this instance's
	l.epoch, l.alone, l.known = answer.Epoch, nil, l.known[:0]
	for _, at := range answer.Latest {
		l.known = append(l.known, at-behind)
	}
	l.older = answer.Taken - len(l.known)
	return answer.Wait, nil
}

// ask asks the cache for a start. It offers the given starts that are within Per.
func (l *Limiter) ask(ctx context.Context, name string, now int64, offer startlog.Offer, starts []int64) (startlog.Answer, error) {
	r := startlog.Request{
		Name: name, Rate: l.config.Rate, Per: l.config.Per.Microseconds(), Epoch: l.epoch, Fresh: int64(l.config.Random() >> 14), Offer: offer,
	}
	if l.config.LocalTime {
		r.At = now
	}
	if len(l.recent(l.known, now)) == 0 && len(l.recent(l.alone, now)) == 0 {
		r.Epoch = 0 // this instance knows of no start within Per, so the cache's log is right
	}
	if offer == startlog.All && len(l.recent(l.known, now)) == len(l.known) {
		r.Older = l.older
	}
	for _, at := range l.recent(starts, now) {
		r.Ages = append(r.Ages, now-at) // ages and not times, because clocks differ
	}
	return l.starts.Start(ctx, l.config.Key, r)
}

// recent returns the starts that are still within Per.
func (l *Limiter) recent(starts []int64, now int64) []int64 {
	return slices.DeleteFunc(slices.Clone(starts), func(at int64) bool { return now-at >= l.config.Per.Microseconds() })
}

// startAlone starts the caller if this instance's own starts allow it. Otherwise it returns the microseconds to wait.
func (l *Limiter) startAlone(now int64) int64 {
	l.alone = l.recent(l.alone, now)
	all := l.recent(slices.Concat(l.alone, l.known), now)
	slices.Sort(all)
	var wait int64
	if over := len(all) - l.config.Rate; over >= 0 {
		wait = all[over] + l.config.Per.Microseconds() - now
	}
	if over := len(l.alone) - l.config.Alone; over >= 0 {
		wait = max(wait, l.alone[len(l.alone)-1-over]+l.config.Per.Microseconds()-now)
	}
	if wait <= 0 {
		l.alone = slices.Insert(l.alone, 0, now)
		return 0
	}
	return wait
}
