package valkey

import (
	"context"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/circuit"
)

// askScript is circuit.State's Ask. It returns the milliseconds to wait, or, if the call may be made, the pass as a negative
// number.
const askScript = `
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

// failScript is circuit.State's Fail. It returns the milliseconds for which calls stop; 0 if they don't.
const failScript = `
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
local after, first, longest, asked = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if asked > 0 and failures < after then
  failures = after
  redis.call('HSET', KEYS[1], 'failures', failures)
end
redis.call('PEXPIRE', KEYS[1], asked + tonumber(ARGV[6]))
if failures < after then return 0 end
local pause = math.max(asked, math.min(longest, first * 2 ^ math.min(failures - after, 20)) * tonumber(ARGV[5]) / 100)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = tonumber(redis.call('HGET', KEYS[1], 'until') or '0')
redis.call('HSET', KEYS[1], 'until', math.max(math.floor(now + pause), asked > 0 and before or 0))
return math.floor(pause)
`

const answeredScript = `redis.call('DEL', KEYS[1]) return 0`

const retractScript = `
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'until', 0) end
return 0
`

// AskCircuit asks the breaker under a key, by the server's clock.
func (c *Client) AskCircuit(ctx context.Context, key string) (circuit.Pass, time.Duration, error) {
	n, err := c.Eval(ctx, askScript, []string{key}, text(circuit.After), text(circuit.ProbeTime.Milliseconds()))
	if n > 0 {
		return circuit.Stopped, time.Duration(n) * time.Millisecond, err
	}
	return circuit.Pass(-n), 0, err
}

// TellCircuit reports the outcome of a call to the breaker under a key, and returns for how long calls stop; 0 if they don't.
func (c *Client) TellCircuit(ctx context.Context, key string, outcome circuit.Outcome) (time.Duration, error) {
	var script string
	var args []string
	switch outcome.Event {
	case circuit.Answered:
		script = answeredScript
	case circuit.NotMade:
		script = retractScript
	default:
		script = failScript
		args = []string{
			text(circuit.After), text(circuit.FirstPause.Milliseconds()), text(circuit.LongestPause.Milliseconds()),
			text(outcome.Asked.Milliseconds()), text(outcome.Percent), text(circuit.KeepFor.Milliseconds()),
		}
	}
	n, err := c.Eval(ctx, script, []string{key}, args...)
	return time.Duration(n) * time.Millisecond, err
}

// countScript adds one to a counter. If the counter is new, it gets its time to live.
const countScript = `
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return n
`

// Count adds one to a key's counter and returns the sum. The counter is deleted when keep has passed since it began.
func (c *Client) Count(ctx context.Context, key string, keep time.Duration) (int64, error) {
	return c.Eval(ctx, countScript, []string{key}, text(keep.Milliseconds()))
}
