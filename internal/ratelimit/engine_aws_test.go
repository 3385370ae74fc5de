//go:build aws

package ratelimit

import (
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/engines"
	"github.com/sufrah/usage-bootstrap/internal/valkey"
)

// eachEngine runs a test with a server and with a cluster, which connect returns instances' connections to.
func eachEngine(t *testing.T, test func(t *testing.T, connect func() *valkey.Client)) {
	for name, kind := range map[string]engines.Kind{"single": engines.Cache, "cluster": engines.CacheCluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, err := engines.Endpoint(kind)
			if err != nil {
				t.Fatal(err)
			}
			test(t, func() *valkey.Client {
				client, err := valkey.New(valkey.Config{
					Address: address, ClusterMode: kind == engines.CacheCluster, DialTimeout: patience, CommandTimeout: patience,
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(client.Close)
				return client
			})
		})
	}
}

// TestEngineServersTime: three instances with clocks hours apart start sixty callers at once. By the server's clock twenty may
// start, and the others get moments within three minutes, twenty in each.
func TestEngineServersTime(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, connect func() *valkey.Client) {
		key := "{" + rand.Text() + "}"
		var mu sync.Mutex
		minutes := map[int]int{}
		var wg sync.WaitGroup
		for instance := range 3 {
			config := jobs((&clock{at: start.Add(time.Duration(instance) * time.Hour)}).now)
			config.Key, config.LocalTime = key, false
			limiter := newLimiter(t, config, connect())
			for i := range 20 {
				wg.Go(func() {
					wait, err := limiter.Start(t.Context(), fmt.Sprint(instance, "-", i))
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					minutes[int((wait+59*time.Second)/time.Minute)]++
				})
			}
		}
		wg.Wait()
		if diff := cmp.Diff(map[int]int{0: 20, 1: 20, 2: 20}, minutes); diff != "" {
			t.Errorf("starts by minute (-want +got):\n%s", diff)
		}
	})
}

// TestEngineWindow counts answers that several instances send at once, and looks that their counter goes away.
func TestEngineWindow(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, connect func() *valkey.Client) {
		restaurant := rand.Text()
		c := &clock{at: start}
		var allowed atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			w := newWindow(connect(), c)
			for range 100 {
				wg.Go(func() {
					if w.Allow(t.Context(), restaurant, 60) {
						allowed.Add(1)
					}
				})
			}
		}
		wg.Wait()
		if n := allowed.Load(); n != 60 {
			t.Errorf("%d answers are allowed, want 60", n)
		}
		key := "sufrah:v1:{" + restaurant + "}:answers:29923920"
		ttl, err := connect().Eval(t.Context(), `return redis.call('TTL', KEYS[1])`, []string{key})
		if err != nil || ttl < 100 || ttl > 120 {
			t.Errorf("the counter is kept for %d s (%v), want 120 from its first answer", ttl, err)
		}
	})
}
