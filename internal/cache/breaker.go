package cache

import (
	"context"
	"log/slog"
	"time"
)

// Scripts runs Lua scripts on a server that all instances share. A script is atomic and returns a whole number.
type Scripts interface {
	Eval(ctx context.Context, script string, keys []string, args ...string) (int64, error)
}

// Breaker keeps all instances from calling an origin that is down: after some failures in a row there are no calls for a
// while, then one at a time tries, until one succeeds.
//
//	closed ──> breakAfter failures in a row, or a Retry-After ──> open for a while, longer each time
//	  ▲                                                              │ the while is over
//	  └── it succeeds ── one call, for probeTime alone <─────────────┤
//	                         └── it fails ───────────────────────────┘
//
// All of it is by the server's clock. While the server is away every call is let through: nothing could be kept anyway.
type Breaker struct {
	Key     string // with a hash tag
	Scripts Scripts
	Random  func() uint64
	Log     *slog.Logger
	// Opened is told that a failure stops calls; nil tells nobody.
	Opened func()
}

const (
	// breakAfter is how many failures in a row open the breaker. A tenth as many calls fail if Sufrah fails three of ten.
	breakAfter = 5
	// firstPause and longestPause bound the time without calls. A job waits for the longest at most after the origin is back.
	firstPause   = time.Second
	longestPause = 8 * time.Second
	// longestAsked bounds the wait that a Retry-After may ask for: a mistake there mustn't stop the system for a day.
	longestAsked = time.Hour
	// probeTime is the time that a probing call may take before another call probes.
	probeTime = 6 * time.Second
)

// pass is a breaker's answer to a call.
type pass int

const (
	passed   pass = iota // nothing has failed
	watched              // something has: a success is to be told
	probing              // this call alone tries
	untended             // there is no breaker, or it can't tell
)

const allowScript = `
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures') or '0')
if failures == 0 then return 0 end
if failures < tonumber(ARGV[1]) then return -1 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wait = tonumber(redis.call('HGET', KEYS[1], 'until')) - now
if wait > 0 then return wait end
redis.call('HSET', KEYS[1], 'until', now + tonumber(ARGV[2]))
return -2
`

// failScript counts a failure, opens the breaker if it is to be, and returns for how long; 0 if it stays closed.
const failScript = `
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local after, first, longest, asked = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if asked > 0 and failures < after then
  failures = after
  redis.call('HSET', KEYS[1], 'failures', failures)
end
redis.call('PEXPIRE', KEYS[1], asked + 600000)
if failures < after then return 0 end
local pause = math.max(asked, math.min(longest, first * 2 ^ math.min(failures - after, 20)) * tonumber(ARGV[5]) / 100)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = tonumber(redis.call('HGET', KEYS[1], 'until') or '0')
if asked > 0 or failures == after or failures > after then
  redis.call('HSET', KEYS[1], 'until', math.max(math.floor(now + pause), asked > 0 and before or 0))
end
return math.floor(pause)
`

const wellScript = `return redis.call('DEL', KEYS[1])`

// retractScript lets the next call probe in place of a call that was let through and not made.
const retractScript = `
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'until', 0) end
return 0
`

func (b *Breaker) eval(ctx context.Context, script string, args ...string) (int64, bool) {
	n, err := b.Scripts.Eval(context.WithoutCancel(ctx), script, []string{b.Key}, args...)
	if err != nil && ctx.Err() == nil {
		b.Log.WarnContext(ctx, "the cache failed", "operation", "breaker", "key", b.Key, "error", err)
	}
	return n, err == nil
}

// allow says whether a call may be made, and otherwise how long there won't be any.
func (b *Breaker) allow(ctx context.Context) (pass, time.Duration) {
	if b == nil {
		return untended, 0
	}
	n, ok := b.eval(ctx, allowScript, milliseconds(0, breakAfter), milliseconds(probeTime, 0))
	switch {
	case !ok:
		return untended, 0
	case n > 0:
		return untended, time.Duration(n) * time.Millisecond
	}
	return pass(-n), 0
}

// failed counts a call that failed for the origin's fault, and returns for how long calls stop; 0 if they don't.
func (b *Breaker) failed(ctx context.Context, asked time.Duration) time.Duration {
	if b == nil {
		return 0
	}
	percent := 80 + int64(b.Random()%41)
	pause, _ := b.eval(ctx, failScript, milliseconds(0, breakAfter), milliseconds(firstPause, 0), milliseconds(longestPause, 0),
		milliseconds(min(asked, longestAsked), 0), milliseconds(0, percent))
	if pause == 0 {
		return 0
	}
	b.Log.WarnContext(ctx, "calls are stopped for a while", "key", b.Key, "pauseMs", pause)
	if b.Opened != nil {
		b.Opened()
	}
	return time.Duration(pause) * time.Millisecond
}

// well closes the breaker after a call that the origin answered.
func (b *Breaker) well(ctx context.Context, p pass) {
	if b != nil && (p == watched || p == probing) {
		b.eval(ctx, wellScript)
	}
}

// retract gives back a pass that wasn't used.
func (b *Breaker) retract(ctx context.Context, p pass) {
	if b != nil && p == probing {
		b.eval(ctx, retractScript)
	}
}
