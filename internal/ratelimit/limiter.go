package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

// LimiterConfig is a rate that all instances keep together.
type LimiterConfig struct {
	Key    string        // of the cache, with a hash tag; the same for all sharers of the rate
	Rate   int           // starts in any Per, 1 or more
	Per    time.Duration // a millisecond or longer
	Alone  int           // starts in any Per of one instance while the cache is down; from 1 to Rate
	Now    func() time.Time
	Random func() uint64 // evenly distributed, by instances apart
	// LocalTime takes Now for the time of all instances, for a clock that is moved by hand. Otherwise it is the server's:
	// instances' clocks differ.
	LocalTime bool
}

// Limiter lets at most Rate callers start in any Per, wherever it begins, and each at the first moment that this rule allows.
// For that it keeps a log of the latest starts. It is safe for concurrent use.
//
// Every answer of the cache has the latest starts. So an instance knows nearly all of them, and can restore a cache that has
// lost its content:
//
//	the cache's epoch is the instance's ─────────────> its log counts
//	another epoch, seeded with known starts ─────────> its log counts
//	no epoch, or one seeded without known starts
//	   └─ the instance knows of starts in this Per ──> it seeds: the log is its own knowledge, and as many starts at
//	                                                   this very moment as the rule could have allowed others
type Limiter struct {
	config  LimiterConfig
	scripts ListScripts
	outage  outage

	mu    sync.Mutex
	epoch int64
	known []int64 // the latest starts, by Now in microseconds, newest first; at most maxKnown
	older int     // starts before known, and not older than Per
	alone []int64 // starts that the cache wasn't told of, newest first
}

// maxKnown is how many starts an answer tells: the cost of a start doesn't grow with the rate.
const maxKnown = 32

// NewLimiter returns a limiter, or an error that describes the config's fault.
func NewLimiter(config LimiterConfig, scripts ListScripts, log *slog.Logger) (*Limiter, error) {
	if config.Key == "" || config.Rate < 1 || config.Per < time.Millisecond || config.Alone < 1 || config.Alone > config.Rate {
		return nil, errors.New("a rate limit needs a key, a rate, a period, and a rate for an instance alone")
	}
	return &Limiter{config: config, scripts: scripts, outage: outage{limit: config.Key, log: log}}, nil
}

// Start starts the caller and returns 0, or else the time until the caller may expect to start. Callers that give the same name
// wait for the same moment. It fails only with the context's error.
//
// A caller that doesn't come back delays nobody: any caller starts while there is room. While the cache is down the
// instance keeps its share of the rate alone.
func (l *Limiter) Start(ctx context.Context, name string) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock() // serially: each caller needs the answer to the previous one
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

// Ways of offering the caller's knowledge to the script.
const (
	offerNothing = "" // the script asks for it if it is needed
	offerStarts  = "starts"
	offerAll     = "all"
)

// shared asks the cache, and returns the microseconds to wait.
func (l *Limiter) shared(ctx context.Context, name string, now int64) (int64, error) {
	offer, starts := offerNothing, []int64(nil)
	if len(l.alone) > 0 {
		offer, starts = offerStarts, l.alone
	}
	answer, err := l.ask(ctx, name, now, offer, starts)
	if err == nil && len(answer) == 1 {
		answer, err = l.ask(ctx, name, now, offerAll, slices.Concat(l.alone, l.known))
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("asking for a start: %w", err)
	case len(answer) < 4:
		return 0, errors.New("asking for a start: the script's answer is too short")
	}
	wait, taken, behind := answer[0], int(answer[3]), answer[2]-now // by how much this instance's clock is behind
	l.epoch, l.alone, l.known = answer[1], nil, l.known[:0]
	for _, at := range answer[4:] {
		l.known = append(l.known, at-behind)
	}
	l.older = taken - len(l.known)
	return wait, nil
}

// ask runs the script, offering starts as far as they are not older than Per.
func (l *Limiter) ask(ctx context.Context, name string, now int64, offer string, starts []int64) ([]int64, error) {
	clock, mine := "", l.epoch
	if l.config.LocalTime {
		clock = strconv.FormatInt(now, 10)
	}
	if len(l.recent(l.known, now)) == 0 && len(l.recent(l.alone, now)) == 0 {
		mine = 0 // this instance knows of no start that counts, so the cache is right
	}
	older := 0
	if offer == offerAll && len(l.recent(l.known, now)) == len(l.known) {
		older = l.older
	}
	args := []string{
		clock, text(l.config.Per.Microseconds()), text(int64(l.config.Rate)), name, text(mine),
		text(int64(l.config.Random() >> 14)), offer, text(int64(older)),
	}
	for _, at := range l.recent(starts, now) {
		args = append(args, text(now-at)) // ages, since clocks differ
	}
	return l.scripts.EvalInts(ctx, startScript, []string{l.config.Key, l.config.Key + ":epoch", l.config.Key + ":waiting"}, args...)
}

func text(n int64) string { return strconv.FormatInt(n, 10) }

// recent returns the starts that still count at the time.
func (l *Limiter) recent(starts []int64, now int64) []int64 {
	return slices.DeleteFunc(slices.Clone(starts), func(at int64) bool { return now-at >= l.config.Per.Microseconds() })
}

// startAlone starts the caller by this instance's own knowledge, or returns the microseconds to wait.
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

// startScript adds a start to the log of the latest, or returns the time to wait. KEYS: the log, newest first; the epoch; the
// waiting callers, by the moments that they were given. An epoch is even if it was seeded by an instance that knew of starts.
//
// It returns {wait, epoch, now, starts in the log, the newest of these …}, or {-1} if the caller must offer all its knowledge.
const startScript = `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local per, rate, name = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local mine, fresh, offer, older = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local log, epochs, waiting = KEYS[1], KEYS[2], KEYS[3]

local epoch = tonumber(redis.call('GET', epochs) or '0')
local lost = mine ~= 0 and epoch ~= mine and (epoch == 0 or epoch % 2 == 1)
if lost and offer ~= 'all' then return {-1} end
if lost then epoch = fresh * 2 elseif epoch == 0 then epoch = fresh * 2 + 1 end
redis.call('SET', epochs, string.format('%.0f', epoch), 'PX', 604800000)

local newest = tonumber(redis.call('LINDEX', log, 0) or '')
if lost or #ARGV > 8 or newest and newest > now + 1000000 then
  local starts = {}
  for _, at in ipairs(redis.call('LRANGE', log, 0, -1)) do
    starts[#starts + 1] = math.min(tonumber(at), now) -- a start in the future is from before the clock was put back
  end
  for i = 9, #ARGV do starts[#starts + 1] = now - tonumber(ARGV[i]) end
  table.sort(starts, function(a, b) return a > b end)
  local unknown = 0
  if lost then
    unknown = rate - #starts - older
    for i = 1, older do starts[#starts + 1] = starts[#starts] end
  end
  redis.call('DEL', log)
  for i = 1, unknown do redis.call('RPUSH', log, string.format('%.0f', now)) end
  for i = 1, math.min(#starts, rate - math.max(0, unknown)) do redis.call('RPUSH', log, string.format('%.0f', starts[i])) end
end

local oldest = tonumber(redis.call('LINDEX', log, -1) or '')
while oldest and oldest + per <= now do
  redis.call('RPOP', log)
  oldest = tonumber(redis.call('LINDEX', log, -1) or '')
end
redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now - 10000000)
local taken, wait = redis.call('LLEN', log), 0
if taken < rate then
  redis.call('LPUSH', log, string.format('%.0f', now))
  redis.call('ZREM', waiting, name)
  taken = taken + 1
else
  local rank = redis.call('ZRANK', waiting, name) or redis.call('ZCARD', waiting)
  local at
  if rank < rate then
    at = tonumber(redis.call('LINDEX', log, -1 - rank)) + per
  else
    at = tonumber(redis.call('ZRANGE', waiting, rank - rate, rank - rate, 'WITHSCORES')[2]) + per
  end
  wait = math.max(1, at - now)
  redis.call('ZADD', waiting, string.format('%.0f', at), name)
  redis.call('PEXPIRE', waiting, 3600000)
end
redis.call('PEXPIRE', log, math.ceil(per / 1000) + 1)
local answer = {wait, epoch, now, taken}
for _, at in ipairs(redis.call('LRANGE', log, 0, 31)) do answer[#answer + 1] = tonumber(at) end
return answer
`
