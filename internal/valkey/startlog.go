package valkey

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/startlog"
)

// Start applies package startlog's rule to the log under a key, which needs a hash tag. It uses the server's clock unless the
// request has a time.
func (c *Client) Start(ctx context.Context, key string, r startlog.Request) (startlog.Answer, error) {
	clock := ""
	if r.At != 0 {
		clock = text(r.At)
	}
	args := []string{
		clock, text(r.Per), text(int64(r.Rate)), r.Name, text(r.Epoch), text(r.Fresh), string(r.Offer), text(int64(r.Older)),
	}
	for _, age := range r.Ages {
		args = append(args, text(age))
	}
	answer, err := c.EvalInts(ctx, startScript, []string{key, key + ":epoch", key + ":waiting"}, args...)
	switch {
	case err != nil:
		return startlog.Answer{}, err
	case len(answer) == 1:
		return startlog.Answer{MustOffer: true}, nil
	case len(answer) < 4:
		return startlog.Answer{}, fmt.Errorf("cache: EVAL: %w: %w", outage.ErrUnavailable, errors.New("the script's answer is too short"))
	}
	return startlog.Answer{Wait: answer[0], Epoch: answer[1], Now: answer[2], Taken: int(answer[3]), Latest: answer[4:]}, nil
}

func text(n int64) string { return strconv.FormatInt(n, 10) }

// startScript is package startlog's rule. KEYS: the log, newest first; the epoch; the waiting callers, by the moments that
// they were given.
//
// It returns {wait, epoch, now, number of starts in the log, the newest of them …}, or {-1} if the log is lost: the
// caller then offers all starts that it knows.
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
