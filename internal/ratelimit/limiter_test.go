package ratelimit

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func newLimiter(t *testing.T, config LimiterConfig, scripts Scripts) *Limiter {
	t.Helper()
	limiter, err := NewLimiter(config, scripts, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return limiter
}

// jobs are twenty a minute, as for the bootstrap jobs.
func jobs(now func() time.Time) LimiterConfig {
	return LimiterConfig{Key: "jobs", Rate: 20, Per: time.Minute, MaxWait: 10 * time.Minute, Now: now, LocalTime: true}
}

func TestNewLimiterRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*LimiterConfig){
		"no key":               func(c *LimiterConfig) { c.Key = "" },
		"no rate":              func(c *LimiterConfig) { c.Rate = 0 },
		"too short a period":   func(c *LimiterConfig) { c.Per = time.Microsecond },
		"a negative burst":     func(c *LimiterConfig) { c.Burst = -1 },
		"a negative last wait": func(c *LimiterConfig) { c.MaxWait = -1 },
	} {
		config := jobs(time.Now)
		change(&config)
		if _, err := NewLimiter(config, nil, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestSixtyJobs reserves for sixty jobs of three instances at once: they begin three seconds apart.
func TestSixtyJobs(t *testing.T) {
	t.Parallel()
	redis, _ := setup(t)
	c := &clock{at: start}
	var mu sync.Mutex
	var waits []time.Duration
	var wg sync.WaitGroup
	for range 3 {
		limiter := newLimiter(t, jobs(c.now), connect(t, redis))
		for range 20 {
			wg.Go(func() {
				wait, err := limiter.Reserve(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				waits = append(waits, wait)
			})
		}
	}
	wg.Wait()
	slices.Sort(waits)
	for i, wait := range waits {
		if wait != time.Duration(i)*3*time.Second {
			t.Fatalf("job %d waits for %v; all: %v", i, wait, waits)
		}
	}
	if ttl := redis.TTL("jobs"); ttl != 180*time.Second {
		t.Errorf("the state is kept for %v, want it until the next slot is free", ttl)
	}
}

// TestBurst takes slots at once after a pause, and no more over the whole time for it.
func TestBurst(t *testing.T) {
	t.Parallel()
	_, scripts := setup(t)
	for _, down := range []bool{false, true} {
		scripts.down.Store(down)
		c := &clock{at: start}
		config := jobs(c.now)
		config.Burst = 3
		limiter := newLimiter(t, config, scripts)
		for i, want := range []time.Duration{0, 0, 0, 3, 6, 9} {
			if wait, err := limiter.Reserve(t.Context()); err != nil || wait != want*time.Second {
				t.Errorf("down %t: slot %d: %v, %v, want %ds", down, i, wait, err, want)
			}
		}
	}
}

func TestWouldWait(t *testing.T) {
	t.Parallel()
	_, scripts := setup(t)
	for _, down := range []bool{false, true} {
		scripts.down.Store(down)
		c := &clock{at: start.Add(time.Hour)}
		if down {
			c.advance(time.Hour)
		}
		config := jobs(c.now)
		config.MaxWait = 3 * time.Second
		limiter := newLimiter(t, config, scripts)
		reserve := func(ctx context.Context, want time.Duration, wantErr error) {
			t.Helper()
			if wait, err := limiter.Reserve(ctx); wait != want || !errors.Is(err, wantErr) {
				t.Errorf("down %t: Reserve = %v, %v, want %v, %v", down, wait, err, want, wantErr)
			}
		}
		reserve(t.Context(), 0, nil)
		short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		reserve(short, 0, ErrWouldWait)
		reserve(t.Context(), 3*time.Second, nil) // nothing was taken
		reserve(t.Context(), 0, ErrWouldWait)
		reserve(t.Context(), 0, ErrWouldWait)
		c.advance(2 * time.Second)
		reserve(t.Context(), 0, ErrWouldWait)
		c.advance(time.Second)
		reserve(t.Context(), 3*time.Second, nil)
		done, cancel := context.WithCancel(t.Context())
		cancel()
		reserve(done, 0, context.Canceled)
	}
}

// TestServerTime has two instances whose clocks are an hour apart.
func TestServerTime(t *testing.T) {
	t.Parallel()
	redis, scripts := setup(t)
	redis.SetTime(start)
	early, late := &clock{at: start}, &clock{at: start.Add(time.Hour)}
	var limiters []*Limiter
	for _, c := range []*clock{early, late} {
		config := jobs(c.now)
		config.LocalTime = false
		limiters = append(limiters, newLimiter(t, config, scripts))
	}
	for i := range 6 {
		if i == 4 {
			redis.SetTime(start.Add(6 * time.Second))
			early.advance(6 * time.Second)
			late.advance(6 * time.Second)
		}
		want := []time.Duration{0, 3, 6, 9, 6, 9}[i] * time.Second
		if wait, err := limiters[i%2].Reserve(t.Context()); err != nil || wait != want {
			t.Errorf("slot %d: %v, %v, want %v", i, wait, err, want)
		}
	}
}

// TestClockPutBack must not stop the jobs until the clock is where it was.
func TestClockPutBack(t *testing.T) {
	t.Parallel()
	_, scripts := setup(t)
	for _, down := range []bool{false, true} {
		scripts.down.Store(down)
		c := &clock{at: start.Add(36 * time.Hour)}
		config := jobs(c.now)
		config.Key += map[bool]string{true: "-alone"}[down]
		limiter := newLimiter(t, config, scripts)
		for _, want := range []time.Duration{0, 3} {
			if wait, err := limiter.Reserve(t.Context()); err != nil || wait != want*time.Second {
				t.Errorf("down %t: %v, %v, want %ds", down, wait, err, want)
			}
		}
		c.advance(-36 * time.Hour)
		for _, want := range []time.Duration{3, 6} {
			if wait, err := limiter.Reserve(t.Context()); err != nil || wait != want*time.Second {
				t.Errorf("down %t, after the clock was put back: %v, %v, want %ds", down, wait, err, want)
			}
		}
	}
}

func TestUnreadableStateIsNone(t *testing.T) {
	t.Parallel()
	redis, scripts := setup(t)
	if err := redis.Set("jobs", "soon"); err != nil {
		t.Fatal(err)
	}
	c := &clock{at: start}
	limiter := newLimiter(t, jobs(c.now), scripts)
	for _, want := range []time.Duration{0, 3} {
		if wait, err := limiter.Reserve(t.Context()); err != nil || wait != want*time.Second {
			t.Errorf("Reserve = %v, %v, want %ds", wait, err, want)
		}
	}
}

func TestOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	redis, scripts := setup(t)
	log, text := newLog()
	c := &clock{at: start}
	limiter, err := NewLimiter(jobs(c.now), scripts, log)
	if err != nil {
		t.Fatal(err)
	}
	window := NewWindow(scripts, c.now, log)
	use := func() {
		for range 5 {
			if _, err := limiter.Reserve(t.Context()); err != nil {
				t.Error(err)
			}
			window.Allow(t.Context(), "r", 100)
		}
	}
	use()
	if text.Len() > 0 {
		t.Errorf("logged without an outage:\n%s", text)
	}
	redis.Close()
	use()
	scripts.down.Store(true)
	use()
	if n := strings.Count(text.String(), "this instance alone"); n != 2 {
		t.Errorf("the outage was logged %d times, want once for each limit:\n%s", n, text)
	}
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	scripts.down.Store(false)
	time.Sleep(1100 * time.Millisecond) // the client leaves a server that failed alone for a second
	use()
	if n := strings.Count(text.String(), "held in the cache again"); n != 2 {
		t.Errorf("the end of the outage was logged %d times, want once for each limit:\n%s", n, text)
	}
}

// bucket is the algorithm in another form: it leaks one unit in each interval and holds as many as the burst.
type bucket struct {
	interval, capacity time.Duration // the capacity in units of time: burst times interval
	level              time.Duration
	at                 time.Time
}

func (b *bucket) reserve(now time.Time, most time.Duration) (wait time.Duration, ok bool) {
	b.level, b.at = max(0, b.level-now.Sub(b.at)), now
	if wait = max(0, b.level+b.interval-b.capacity); wait > most {
		return 0, false
	}
	b.level += b.interval
	return wait, true
}

// TestReserveKeepsThePace takes slots at random times, from several instances or from one that loses and finds the server
// again and again, and compares with the bucket and with the rate itself.
func TestReserveKeepsThePace(t *testing.T) {
	t.Parallel()
	redis, one := setup(t)
	several := []*flaky{one, connect(t, redis), connect(t, redis)}
	rapid.Check(t, func(t *rapid.T) {
		redis.FlushAll()
		one.down.Store(false)
		c := &clock{at: start}
		config := LimiterConfig{
			Key: "k", Per: time.Minute, Now: c.now, LocalTime: true,
			Rate:    rapid.SampledFrom([]int{1, 7, 20, 600}).Draw(t, "rate"),
			Burst:   rapid.IntRange(1, 4).Draw(t, "burst"),
			MaxWait: rapid.SampledFrom([]time.Duration{0, 5 * time.Second, 10 * time.Minute}).Draw(t, "most"),
		}
		instances := several
		outages := rapid.Bool().Draw(t, "outages")
		if outages {
			instances = several[:1]
		}
		var limiters []*Limiter
		for _, scripts := range instances {
			limiter, err := NewLimiter(config, scripts, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			limiters = append(limiters, limiter)
		}
		interval := time.Duration((time.Minute.Microseconds()+int64(config.Rate)-1)/int64(config.Rate)) * time.Microsecond
		model := bucket{interval: interval, capacity: time.Duration(config.Burst) * interval, at: start}
		var starts []time.Time
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if outages {
				one.down.Store(rapid.Bool().Draw(t, "down"))
			}
			c.advance(time.Duration(rapid.SampledFrom([]int64{0, 0, 1, 999_999, 3_000_000, 7_654_321}).Draw(t, "pass")) * time.Microsecond)
			limiter := rapid.SampledFrom(limiters).Draw(t, "instance")
			wait, err := limiter.Reserve(context.Background())
			want, ok := model.reserve(c.now(), config.MaxWait)
			if (err == nil) != ok || wait != want || err != nil && !errors.Is(err, ErrWouldWait) {
				t.Fatalf("Reserve = %v, %v, want %v, %t", wait, err, want, ok)
			}
			if ok {
				starts = append(starts, c.now().Add(wait))
			}
		}
		for i := range starts {
			for j := i + config.Burst; j < len(starts); j++ {
				if apart := starts[j].Sub(starts[i]); apart < time.Duration(j-i-config.Burst+1)*interval {
					t.Fatalf("slots %d and %d are %v apart", i, j, apart)
				}
			}
		}
	})
}
