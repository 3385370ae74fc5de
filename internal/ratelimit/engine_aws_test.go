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

	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
	"github.com/sufrah/usage-bootstrap/internal/valkey"
)

// TestEngineServersTime: three instances, with clocks hours apart, start sixty callers at once. By the server's clock twenty
// start, and the others are given moments within three minutes, twenty in each minute. A table is given the machine's clock.
func TestEngineServersTime(t *testing.T) {
	t.Parallel()
	cachetest.EachEngine(t, func(t *testing.T, connect func() cachetest.Client) {
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
					minutes[int((wait+59*time.Second)/(time.Minute+time.Second))]++ // a table adds its margin to a minute
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
	cachetest.EachEngine(t, func(t *testing.T, connect func() cachetest.Client) {
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
		client, ok := connect().(*valkey.Client)
		if !ok {
			return // a table's counter: its contract test looks at that
		}
		ttl, err := client.Eval(t.Context(), `return redis.call('TTL', KEYS[1])`, []string{key})
		if err != nil || ttl < 100 || ttl > 120 {
			t.Errorf("the counter is kept for %d s (%v), want 120 from its first answer", ttl, err)
		}
	})
}
