package ratelimit

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
)

func newWindow(counters Counters, c *clock) *Window {
	return NewWindow(counters, c.now, slog.New(slog.DiscardHandler))
}

func TestWindow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, server cachetest.Server) {
		c := &clock{at: start}
		w := newWindow(connect(t, server), c)
		allowed := func(restaurant string, limit int64) (n int) {
			for range 10 {
				if w.Allow(t.Context(), restaurant, limit) {
					n++
				}
			}
			return n
		}
		for limit, want := range map[int64]int{-1: 10, 0: 0} {
			if got := allowed("r", limit); got != want {
				t.Errorf("limit %d: %d of 10 are allowed, want %d", limit, got, want)
			}
		}
		if keys := server.Keys(t); len(keys) != 0 {
			t.Errorf("what has no limit is counted: %q", keys)
		}
		if got := allowed("r", 3); got != 3 {
			t.Errorf("%d of 10 are allowed, want 3", got)
		}
		if got := allowed("r", 5); got != 2 {
			t.Errorf("%d more are allowed by a higher limit, want 2", got)
		}
		if got := allowed("another}", 4); got != 4 {
			t.Errorf("another restaurant: %d, want 4", got)
		}
		c.advance(59 * time.Second)
		if got := allowed("r", 5); got != 0 {
			t.Errorf("%d more in the same minute", got)
		}
		c.advance(time.Second)
		if got := allowed("r", 5); got != 5 {
			t.Errorf("%d in the next minute, want 5", got)
		}
		want := []string{
			"sufrah:v1:{another%7D}:answers:29923920", "sufrah:v1:{r}:answers:29923920", "sufrah:v1:{r}:answers:29923921",
		}
		if diff := cmp.Diff(want, server.Keys(t)); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
		server.SetTime(cachetest.Start.Add(2 * time.Minute))
		if keys := server.Keys(t); len(keys) != 0 {
			t.Errorf("counters are left: %q", keys)
		}
	})
}

// TestWindowOverInstances counts answers that several instances send at once.
func TestWindowOverInstances(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, server cachetest.Server) {
		c := &clock{at: start}
		var allowed atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			w := newWindow(connect(t, server), c)
			for range 100 {
				wg.Go(func() {
					if w.Allow(t.Context(), "r", 60) {
						allowed.Add(1)
					}
				})
			}
		}
		wg.Wait()
		if n := allowed.Load(); n != 60 {
			t.Errorf("%d answers are allowed, want 60", n)
		}
	})
}

// TestWindowInOutages: while an instance loses and finds the server at random, it allows exactly the limit.
func TestWindowInOutages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, server cachetest.Server) {
		counters := connect(t, server)
		rapid.Check(t, func(rt *rapid.T) {
			server.Clear(t)
			t := rt
			c := &clock{at: start}
			w := newWindow(counters, c)
			limit := rapid.Int64Range(1, 10).Draw(t, "limit")
			allowed := map[string]int64{}
			for range rapid.IntRange(1, 40).Draw(t, "steps") {
				counters.down.Store(rapid.Bool().Draw(t, "down"))
				if rapid.IntRange(0, 15).Draw(t, "pass") == 0 {
					c.advance(time.Minute)
					clear(allowed)
				}
				restaurant := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "restaurant")
				got := w.Allow(context.Background(), restaurant, limit)
				if want := allowed[restaurant] < limit; got != want {
					t.Fatalf("Allow = %t after %d of %d", got, allowed[restaurant], limit)
				}
				if got {
					allowed[restaurant]++
				}
			}
		})
	})
}

// TestWindowWithoutTime: the end of a caller's context says nothing about the server.
func TestWindowWithoutTime(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, server cachetest.Server) {
		log, text := newLog()
		w := NewWindow(connect(t, server), (&clock{at: start}).now, log)
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if !w.Allow(done, "r", 2) || !w.Allow(t.Context(), "r", 2) || w.Allow(t.Context(), "r", 2) {
			t.Error("the answers are not counted, or counted twice")
		}
		if text.Len() > 0 {
			t.Errorf("logged:\n%s", text)
		}
	})
}
