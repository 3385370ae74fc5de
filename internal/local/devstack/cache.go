package devstack

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/proto"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
)

// cacheServer is the functions' cache in place of ElastiCache. Its fault makes it slow or lets it fail.
type cacheServer struct {
	address string
	fault   *sandbox.Fault
	forward func(time.Duration) // makes entries expire sooner
	close   func()
}

// newCacheStandIn starts a server in this process. Its entries expire only by calls of forward.
func newCacheStandIn() (*cacheServer, error) {
	started, err := miniredis.Run()
	if err != nil {
		return nil, fmt.Errorf("starting the cache stand-in: %w", err)
	}
	c := &cacheServer{
		address: started.Addr(), fault: sandbox.NewFault(rand.Float64, nil), forward: started.FastForward, close: started.Close,
	}
	started.Server().SetPreHook(c.disturbed(func(*server.Peer, string, ...string) bool { return false }))
	return c, nil
}

// newCacheRelay starts a server that passes all commands on to the server at an address. That server expires entries by
// itself.
func newCacheRelay(address, listenAt string) (*cacheServer, error) {
	started, err := server.NewServer(listenAt)
	if err != nil {
		return nil, fmt.Errorf("starting the relay to the cache: %w", err)
	}
	c := &cacheServer{
		address: fmt.Sprint("localhost:", started.Addr().Port), fault: sandbox.NewFault(rand.Float64, nil), close: started.Close,
		forward: func(passed time.Duration) { forward(address, passed) },
	}
	started.SetPreHook(c.disturbed(passOn(address)))
	return c, nil
}

// disturbed lets commands fail as the fault says, and passes the others to next.
func (c *cacheServer) disturbed(next server.Hook) server.Hook {
	return func(peer *server.Peer, command string, arguments ...string) bool {
		status, err := c.fault.Apply(context.Background())
		if status == 0 && err == nil {
			return next(peer, command, arguments...)
		}
		peer.WriteError("LOADING the sandbox is set to fail")
		return true
	}
}

// passOn passes commands to the server at an address, with one connection for each client. If the server can't be reached, it
// closes the client's connection.
func passOn(address string) server.Hook {
	return func(peer *server.Peer, command string, arguments ...string) bool {
		connection, ok := peer.Ctx.(*proto.Client)
		if !ok {
			var err error
			if connection, err = proto.Dial(address); err != nil {
				peer.Close()
				return true
			}
			peer.Ctx = connection
			peer.OnDisconnect(func() { _ = connection.Close() })
		}
		answer, err := connection.Do(append([]string{command}, arguments...)...)
		if err != nil {
			peer.Close()
			return true
		}
		peer.WriteRaw(answer)
		return true
	}
}

// age is a script that makes all entries of a server expire sooner, by a number of milliseconds.
const age = `
for _, key in ipairs(redis.call('KEYS', '*')) do
	local left = redis.call('PTTL', key)
	if left > 0 then redis.call('PEXPIRE', key, math.max(left - ARGV[1], 1)) end
end`

// forward makes the entries of the server at an address expire sooner. It does nothing if the clock was moved back or the
// server is down.
func forward(address string, passed time.Duration) {
	if passed <= 0 {
		return
	}
	connection, err := proto.Dial(address)
	if err != nil {
		return
	}
	defer func() { _ = connection.Close() }()
	_, _ = connection.Do("EVAL", age, "0", strconv.FormatInt(passed.Milliseconds(), 10))
}

// cacheTick is how often the stand-in's entries age. The shortest-lived of them, locks, last some seconds.
const cacheTick = 50 * time.Millisecond

// age lets entries expire by the clock until ctx ends.
func (c *cacheServer) age(ctx context.Context, clock *Clock) {
	ticker := time.NewTicker(cacheTick)
	defer ticker.Stop()
	last := clock.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := clock.Now()
		if passed := now.Sub(last); passed > 0 { // otherwise the clock was moved back, and entries keep their time
			c.forward(passed)
		}
		last = now
	}
}
