package local

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/sufrah/usage-bootstrap/internal/sandbox"
)

// cacheServer stands in for ElastiCache. Its entries age by the stack's clock.
type cacheServer struct {
	*miniredis.Miniredis
	fault *sandbox.Fault
}

// newCacheServer starts a server, which is slow and fails as its fault says.
func newCacheServer(random func() float64) (*cacheServer, error) {
	started, err := miniredis.Run()
	if err != nil {
		return nil, fmt.Errorf("starting the cache: %w", err)
	}
	c := &cacheServer{Miniredis: started, fault: sandbox.NewFault(random, nil)}
	c.Server().SetPreHook(func(peer *server.Peer, _ string, _ ...string) bool {
		status, err := c.fault.Apply(context.Background())
		if status == 0 && err == nil {
			return false
		}
		peer.WriteError("LOADING the sandbox was told to fail")
		return true
	})
	return c, nil
}

// cacheTick is how often entries are made to age: locks last some seconds.
const cacheTick = 50 * time.Millisecond

// age makes entries expire by the clock until ctx ends.
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
		if passed := now.Sub(last); passed > 0 { // a clock that is moved back leaves entries as they are
			c.FastForward(passed)
		}
		last = now
	}
}
