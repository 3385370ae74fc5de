package ratelimit

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/startlog"
	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
)

// jobs returns the config for twenty starts a minute, as bootstrap jobs have it.
func jobs(now func() time.Time) LimiterConfig {
	return LimiterConfig{
		Key: "{jobs}", Rate: 20, Per: time.Minute, Alone: 4, Now: now, Random: rand.New(rand.NewPCG(1, 2)).Uint64, LocalTime: true,
	}
}

func newLimiter(t *testing.T, config LimiterConfig, starts Starts) *Limiter {
	t.Helper()
	limiter, err := NewLimiter(config, starts, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return limiter
}

// instances returns limiters that share a server, each with its own source of randomness.
func instances(t *testing.T, n int, server cachetest.Server, config LimiterConfig) ([]*Limiter, []*flaky) {
	t.Helper()
	var limiters []*Limiter
	var connections []*flaky
	for i := range n {
		config.Random = rand.New(rand.NewPCG(3, uint64(i))).Uint64
		connection := connect(t, server)
		limiters, connections = append(limiters, newLimiter(t, config, connection)), append(connections, connection)
	}
	return limiters, connections
}

func wait(t *testing.T, l *Limiter, name string) time.Duration {
	t.Helper()
	d, err := l.Start(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNewLimiterRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*LimiterConfig){
		"no key":              func(c *LimiterConfig) { c.Key = "" },
		"no rate":             func(c *LimiterConfig) { c.Rate = 0 },
		"too short a period":  func(c *LimiterConfig) { c.Per = time.Microsecond },
		"nothing alone":       func(c *LimiterConfig) { c.Alone = 0 },
		"alone more than all": func(c *LimiterConfig) { c.Alone = 21 },
	} {
		config := jobs(time.Now)
		change(&config)
		if _, err := NewLimiter(config, nil, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestFirstMoment: twenty callers start at once. Each later one starts when the start twenty places before it is a minute
// old. Waiting callers are told these moments, in the order in which they came.
func TestFirstMoment(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, server cachetest.Server) {
		c := &clock{at: start}
		limiters, _ := instances(t, 3, server, jobs(c.now))
		for i := range 20 {
			if d := wait(t, limiters[i%3], fmt.Sprint("m", i)); d != 0 {
				t.Fatalf("start %d waits for %v", i+1, d)
			}
			c.advance(time.Second)
		}
		// The n-th waiting caller is given the n-th moment, beyond the first minute too. Asking again changes nothing.
		for range 2 {
			for i := range 45 {
				want := time.Duration(40+i%20)*time.Second + time.Duration(i/20)*time.Minute
				if d := wait(t, limiters[i%3], fmt.Sprint("w", i)); d != want {
					t.Fatalf("waiter %d is told %v, want %v", i, d, want)
				}
			}
		}
		c.advance(40*time.Second - time.Microsecond)
		if d := wait(t, limiters[0], "w0"); d != time.Microsecond {
			t.Errorf("a moment before, it is told %v", d)
		}
		c.advance(time.Microsecond)
		if d := wait(t, limiters[1], "w0"); d != 0 {
			t.Errorf("at the moment, it is told %v", d)
		}
		if d := wait(t, limiters[1], "w1"); d != time.Second {
			t.Errorf("the next one is told %v, want 1s", d)
		}
		// A caller that asks while there is room starts, although this moment was given to a caller that stayed away.
		c.advance(time.Second)
		if d := wait(t, limiters[2], "new"); d != 0 {
			t.Errorf("while there is room, it is told %v", d)
		}
	})
}

// windows fails if any minute has more than 20 of the starts.
func windows(t *testing.T, starts []time.Time, per time.Duration) {
	t.Helper()
	slices.SortFunc(starts, time.Time.Compare)
	for i := 20; i < len(starts); i++ {
		if d := starts[i].Sub(starts[i-20]); d < per {
			t.Fatalf("21 starts in %v from %v on", d, starts[i-20].Sub(start))
		}
	}
}

// TestAnySequence: callers start at random in five instances with clocks up to 2 s apart, while the cache loses its content
// at random. No minute has more than twenty starts.
func TestAnySequence(t *testing.T) {
	t.Parallel()
	for seed := range uint64(9) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, server cachetest.Server) {
				luck := rand.New(rand.NewPCG(seed, 7))
				c := &clock{at: start}
				server.SetTime(c.now())
				var limiters []*Limiter
				var connections []*flaky
				for i := range 5 {
					behind := 2*luck.Float64() - 1
					skew := -time.Duration(2 * behind * float64(time.Second))
					config := jobs(func() time.Time { return c.now().Add(skew) })
					config.LocalTime, config.Random = false, rand.New(rand.NewPCG(seed, uint64(i))).Uint64
					connection := &flaky{Client: server.Behind(t, behind)}
					limiters, connections = append(limiters, newLimiter(t, config, connection)), append(connections, connection)
				}
				var starts []time.Time
				for range 400 {
					c.advance(time.Duration(luck.ExpFloat64() * float64(time.Second)))
					server.SetTime(c.now())
					if luck.IntN(80) == 0 {
						server.Clear(t)
					}
					i := luck.IntN(5)
					connections[i].down.Store(seed%3 == 0 && luck.IntN(40) == 0) // for one call
					if wait(t, limiters[i], fmt.Sprint("m", luck.IntN(60))) == 0 {
						starts = append(starts, c.now())
					}
				}
				if len(starts) < 60 {
					t.Errorf("%d starts in %v: the rate is far from used", len(starts), c.now().Sub(start))
				}
				if seed%3 != 0 { // the cache can't count starts that it was never told of
					windows(t, starts, time.Minute)
				}
			})
		})
	}
}

// TestEmptied: the cache loses its content in the middle of a burst. The first instance to notice the loss starts a new log
// with the starts that it knows, and assumes that the other instances have used up the rest of the limit.
func TestEmptied(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, server cachetest.Server) {
		c := &clock{at: start}
		limiters, _ := instances(t, 5, server, jobs(c.now))
		for i := range 20 {
			if d := wait(t, limiters[min(i/4, 4)], fmt.Sprint("m", i)); d != 0 {
				t.Fatalf("start %d waits for %v", i+1, d)
			}
		}
		server.Clear(t)
		c.advance(10 * time.Second)
		for i, l := range limiters {
			if d := wait(t, l, fmt.Sprint("w", i)); d < 50*time.Second {
				t.Errorf("instance %d is told %v after 10 s", i, d)
			}
		}
		// The fourth instance knows sixteen starts, so four callers more may start before the minute ends.
		c.advance(50 * time.Second)
		if d := wait(t, limiters[0], "w0"); d != 0 {
			t.Errorf("a minute later it is told %v", d)
		}
		// An instance that knows no start of the last minute believes the cache.
		c.advance(time.Hour)
		server.Clear(t)
		if d := wait(t, limiters[1], "x"); d != 0 {
			t.Errorf("an hour later, after the next loss, it is told %v", d)
		}
	})
}

// TestAlone: while the cache is down, each instance keeps its own share of the rate. Each instance reports its starts once
// the cache is back.
func TestAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, server cachetest.Server) {
		c := &clock{at: start}
		limiters, connections := instances(t, 2, server, jobs(c.now))
		log, text := newLog()
		limiters[0].outage.log = log
		connections[0].down.Store(true)
		for i := range 5 {
			if d := wait(t, limiters[0], fmt.Sprint("m", i)); (d == 0) != (i < 4) || i == 4 && d != time.Minute {
				t.Errorf("start %d is told %v", i+1, d)
			}
		}
		connections[0].down.Store(false)
		if wait(t, limiters[0], "back") != 0 {
			t.Error("it is told to wait with the cache back")
		}
		for i := range 16 {
			if d := wait(t, limiters[1], fmt.Sprint("o", i)); (d == 0) != (i < 15) {
				t.Errorf("start %d of the other instance is told %v", i+1, d)
			}
		}
		if n := strings.Count(text.String(), "by this instance alone"); n != 1 || !strings.Contains(text.String(), "in the cache again") {
			t.Errorf("logged %s", text)
		}
	})
}

// TestServerTime: the server's time counts, not the instances' clocks.
func TestServerTime(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, server cachetest.Server) {
		server.SetTime(start)
		config := jobs(func() time.Time { return start.Add(-5 * time.Hour) })
		config.LocalTime, config.Rate, config.Alone = false, 1, 1
		limiters, _ := instances(t, 2, server, config)
		if wait(t, limiters[0], "a") != 0 || wait(t, limiters[1], "b") != time.Minute+server.Margin() {
			t.Error("the rate is not the server's minute")
		}
		server.SetTime(start.Add(time.Minute + server.Margin()))
		if wait(t, limiters[1], "b") != 0 {
			t.Error("it is told to wait a minute later")
		}
		server.SetTime(start.Add(-time.Hour)) // by a failover, say
		if d := wait(t, limiters[0], "c"); d <= 0 || d > time.Minute+server.Margin() {
			t.Errorf("after the clock was put back it is told %v", d)
		}
	})
}

// TestFlatCost: the cache's answer is no longer at hundreds of starts a minute than at twenty.
func TestFlatCost(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, server cachetest.Server) {
		c := &clock{at: start}
		config := jobs(c.now)
		config.Rate = 600
		l := newLimiter(t, config, connect(t, server))
		for i := range 200 {
			if d := wait(t, l, fmt.Sprint("m", i)); d != 0 {
				t.Fatalf("start %d waits for %v", i, d)
			}
		}
		if len(l.known) != startlog.Told || l.older != 200-startlog.Told {
			t.Errorf("it knows %d starts and %d older ones", len(l.known), l.older)
		}
		server.Clear(t) // the next caller offers a whole log
		if d := wait(t, l, "after"); d <= 0 || d > time.Minute {
			t.Errorf("after a loss it is told %v", d)
		}
		answer, err := server.Client(t).Start(t.Context(), "{jobs}", startlog.Request{
			Name: "other", Rate: 600, Per: time.Minute.Microseconds(), At: c.now().UnixMicro(),
		})
		if err != nil || answer.Taken != 600 {
			t.Errorf("the log has %d starts, %v", answer.Taken, err)
		}
	})
}
