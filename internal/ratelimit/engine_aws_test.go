//go:build aws

package ratelimit

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

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
				client, err := valkey.New(valkey.Config{Address: address, ClusterMode: kind == engines.CacheCluster})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(client.Close)
				return client
			})
		})
	}
}

// TestEngineServersTime has three instances, whose clocks are hours apart, reserve at once: the pace is kept by the
// server's clock.
func TestEngineServersTime(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, connect func() *valkey.Client) {
		const interval = 3 * time.Second
		key := rand.Text()
		begin := time.Now()
		var mu sync.Mutex
		var starts []time.Duration // since begin
		var wg sync.WaitGroup
		for instance := range 3 {
			config := jobs((&clock{at: start.Add(time.Duration(instance) * time.Hour)}).now)
			config.Key, config.LocalTime = key, false
			client := connect()
			limiter := newLimiter(t, config, client)
			for range 20 {
				wg.Go(func() {
					wait, err := limiter.Reserve(t.Context())
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					starts = append(starts, time.Since(begin)+wait)
				})
			}
		}
		wg.Wait()
		took := time.Since(begin)
		slices.Sort(starts)
		for i, at := range starts {
			// The first slot begins between begin and the end of the reservations, and answers take a part of that time.
			if due := time.Duration(i) * interval; at < due || at > due+took {
				t.Fatalf("job %d starts after %v, want %v; all: %v", i, at, due, starts)
			}
		}
	})
}

// TestEngineKeepsThePace compares the server's arithmetic with the model's.
func TestEngineKeepsThePace(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, connect func() *valkey.Client) {
		instances := []*valkey.Client{connect(), connect()}
		rapid.Check(t, func(rt *rapid.T) {
			c := &clock{at: start}
			config := LimiterConfig{
				Key: rand.Text(), Per: time.Minute, Now: c.now, LocalTime: true,
				Rate:    rapid.SampledFrom([]int{1, 7, 20, 600}).Draw(rt, "rate"),
				Burst:   rapid.IntRange(1, 4).Draw(rt, "burst"),
				MaxWait: rapid.SampledFrom([]time.Duration{0, 5 * time.Second, 10 * time.Minute}).Draw(rt, "most"),
			}
			interval := time.Duration((time.Minute.Microseconds()+int64(config.Rate)-1)/int64(config.Rate)) * time.Microsecond
			model := bucket{interval: interval, capacity: time.Duration(config.Burst) * interval, at: start}
			limiters := []*Limiter{newLimiter(t, config, instances[0]), newLimiter(t, config, instances[1])}
			for range rapid.IntRange(1, 20).Draw(rt, "steps") {
				c.advance(time.Duration(rapid.SampledFrom([]int64{0, 0, 1, 999_999, 3_000_000, 7_654_321}).Draw(rt, "pass")) * time.Microsecond)
				wait, err := rapid.SampledFrom(limiters).Draw(rt, "instance").Reserve(context.Background())
				if want, ok := model.reserve(c.now(), config.MaxWait); (err == nil) != ok || wait != want {
					rt.Fatalf("Reserve = %v, %v, want %v, %t", wait, err, want, ok)
				}
			}
		})
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
