package ratelimit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// ErrWouldWait says that the next free slot is further ahead than the caller can wait.
var ErrWouldWait = errors.New("the next free slot is too far ahead")

// LimiterConfig is a pace that callers keep.
type LimiterConfig struct {
	Key  string        // of the cache, the same for all who share the pace
	Rate int           // slots in each Per, 1 or more
	Per  time.Duration // a millisecond or longer
	// Burst is how many slots may be taken at once after a time without any; 0 takes 1. A longer period of Per then has up
	// to Rate + Burst - 1 slots, so only 1 keeps the rate over every period, wherever it begins. It costs nothing over time:
	// whatever the burst, Rate slots are had in each Per.
	Burst   int
	MaxWait time.Duration // the furthest ahead that a slot is reserved, the same for all who share the pace
	Now     func() time.Time
	// LocalTime takes Now for the time of all instances, for a clock that is moved by hand. Otherwise it is the server's, and
	// Now serves only while that is away: instances' clocks differ.
	LocalTime bool
}

// Limiter hands out slots at a steady pace: the generic cell rate algorithm, which keeps just the time at which the
// pace's next slot begins. It is safe for concurrent use.
type Limiter struct {
	config  LimiterConfig
	scripts Scripts
	pace    pace
	outage  outage

	mu   sync.Mutex
	next int64 // the state of the pace, by Now and as far as this instance knows
}

// NewLimiter returns a limiter, or an error that says what is wrong with its config.
func NewLimiter(config LimiterConfig, scripts Scripts, log *slog.Logger) (*Limiter, error) {
	config.Burst = cmp.Or(config.Burst, 1)
	if config.Key == "" || config.Rate < 1 || config.Per < time.Millisecond || config.Burst < 1 || config.MaxWait < 0 {
		return nil, errors.New("a rate limit needs a key, a rate, a period, a burst and a longest wait that aren't negative")
	}
	interval := (config.Per.Microseconds() + int64(config.Rate) - 1) / int64(config.Rate) // rounded up: never too fast
	return &Limiter{
		config:  config,
		scripts: scripts,
		pace: pace{
			interval: interval,
			slack:    int64(config.Burst-1) * interval,
			furthest: config.MaxWait.Microseconds(),
		},
		outage: outage{limit: config.Key, log: log},
	}, nil
}

// Reserve takes the next free slot and returns how long to wait for it. It takes none and fails with ErrWouldWait where
// the slot is further ahead than MaxWait or the context's deadline, and fails with the context's error where that has
// ended. A slot that isn't used is lost.
//
// While the cache is down the instance keeps the pace alone: several instances then take so many times as many slots.
func (l *Limiter) Reserve(ctx context.Context) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock() // one at a time: each knows what the one before has taken
	defer l.mu.Unlock()
	most := l.pace.furthest
	if deadline, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(deadline).Microseconds())
	}
	wait, err := l.reserve(ctx, most)
	if err != nil {
		return 0, err
	}
	if wait < 0 {
		return 0, ErrWouldWait
	}
	return time.Duration(wait) * time.Microsecond, nil
}

// reserve returns the microseconds to wait, or a negative number where they are more than most.
func (l *Limiter) reserve(ctx context.Context, most int64) (wait int64, err error) {
	now := l.config.Now().UnixMicro()
	wait, err = l.shared(ctx, now, most)
	if err != nil && ctx.Err() != nil {
		return 0, ctx.Err()
	}
	l.outage.note(ctx, err)
	switch {
	case err != nil:
		wait, l.next = l.pace.reserve(l.next, now, most)
	case wait == 0: // of the slots before this one, only the instance's own are known
		l.next = l.pace.settle(l.next, now) + l.pace.interval
	case wait > 0:
		l.next = now + wait + l.pace.slack + l.pace.interval
	}
	return wait, nil
}

// shared reserves a slot in the cache. What the instance took while the cache was away is counted there too.
func (l *Limiter) shared(ctx context.Context, now, most int64) (int64, error) {
	clock := ""
	if l.config.LocalTime {
		clock = strconv.FormatInt(now, 10)
	}
	args := []string{clock}
	for _, n := range []int64{l.pace.interval, l.pace.slack, l.pace.furthest, most, l.pace.settle(l.next, now) - now} {
		args = append(args, strconv.FormatInt(n, 10))
	}
	wait, err := l.scripts.Eval(ctx, reserveScript, []string{l.config.Key}, args...)
	if err != nil {
		return 0, fmt.Errorf("reserving a slot: %w", err)
	}
	return wait, nil
}

// pace is the algorithm, with all times in microseconds. Its state is next, the time at which the slot after the last
// one would begin if there were no slack.
type pace struct {
	interval int64 // between slots
	slack    int64 // how much earlier than next a slot may be taken
	furthest int64 // ahead
}

// reserve returns how long to wait for the next slot and the new state, or -1 and the old one where the wait is longer
// than most, which is furthest or less.
func (p pace) reserve(next, now, most int64) (wait, after int64) {
	next = p.settle(next, now)
	if wait = max(0, next-p.slack-now); wait > most {
		return -1, next
	}
	return wait, next + p.interval
}

// settle brings the state up to now. A state further ahead than any slot can be is from before the clock was put back; it
// becomes that just after a slot.
func (p pace) settle(next, now int64) int64 {
	if next > now+p.furthest+p.slack+p.interval {
		next = now + p.slack + p.interval
	}
	return max(next, now)
}

// reserveScript is pace.reserve on the server. Its last argument is how far the caller's own state is ahead of now.
const reserveScript = `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local interval, slack, furthest = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local most, own = tonumber(ARGV[5]), tonumber(ARGV[6])

local after = tonumber(redis.call('GET', KEYS[1]) or '') or now
if after > now + furthest + slack + interval then after = now + slack + interval end
after = math.max(after, now + own)

local wait = math.max(0, after - slack - now)
if wait > most then return -1 end
after = after + interval
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return wait
`
