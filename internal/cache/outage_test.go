package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/circuit"
	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
)

// sharing returns the options of an instance that shares its failures and its breaker with the others.
func (w *world) sharing(client cachetest.Client, seed uint64) Options {
	random := rand.New(rand.NewPCG(seed, 1))
	var mu sync.Mutex
	draw := func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Uint64()
	}
	o := w.options(client)
	o.LockFor, o.Hold, o.Random = patience, time.Second, draw
	o.Breaker = &Breaker{Key: "{calls}", Circuits: client, Random: draw, Log: o.Log}
	o.RetryAfter = func(err error) time.Duration {
		if f, ok := errors.AsType[*fault](err); ok {
			return f.retryAfter
		}
		return 0
	}
	return o
}

// fault is an error like those of Sufrah's client.
type fault struct {
	permanent  bool
	retryAfter time.Duration
}

func (f *fault) Error() string   { return fmt.Sprintf("fault, permanent %t", f.permanent) }
func (f *fault) Retryable() bool { return !f.permanent }

// TestStaleWhileRenewed: a value past its time to live is served at once, and fetched once meanwhile.
func TestStaleWhileRenewed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		l := NewLoader[[]string](w.sharing(w.client(t), 1))
		o := &origin{}
		if _, source, err := l.Serve(t.Context(), key, o.fetch); err != nil || source != Fetched {
			t.Fatalf("%s, %v", source, err)
		}
		w.advance(5 * time.Minute)
		let := make(chan struct{})
		slow := func(ctx context.Context) ([]string, error) {
			select {
			case <-let:
				return o.fetch(ctx)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		// A customer could not wait that long for the renewal.
		customer, leave := context.WithTimeout(t.Context(), 5*time.Second)
		defer leave()
		for range 20 {
			if value, source, err := l.Serve(customer, key, slow); err != nil || source != Stale || value[1] != "1" {
				t.Fatalf("%v, %s, %v", value, source, err)
			}
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		l.Renewed(soon) // returns although the renewals have not ended
		close(let)
		l.Renewed(t.Context())
		if value, source, err := l.Serve(t.Context(), key, o.fetch); err != nil || source != Fresh || value[1] != "2" || o.fetches.Load() != 2 {
			t.Errorf("%v, %s, %v after %d fetches", value, source, err, o.fetches.Load())
		}
		if keys := w.server.Keys(t); len(keys) != 1 {
			t.Errorf("something is left: %q", keys)
		}
		// A failing renewal delays no caller, and is tried once while its failure is held.
		o.err = errSufrah
		w.advance(5 * time.Minute)
		for range 20 {
			if _, source, err := l.Serve(t.Context(), key, o.fetch); err != nil || source != Stale {
				t.Errorf("%s, %v", source, err)
			}
			l.Renewed(t.Context())
		}
		if n := o.fetches.Load(); n != 3 {
			t.Errorf("%d fetches, want 3", n)
		}
	})
}

// TestShareThatWaits: for two days, the customers of each merchant write every one to twenty minutes, to five instances.
// Under 1 % of the answers wait for Sufrah: only each merchant's first answer, for which the bootstrap job fetches before the
// customer asks.
func TestShareThatWaits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		var loaders []*Loader[[]string]
		for i := range 5 {
			options := w.sharing(w.client(t), uint64(i))
			options.StaleFor, options.Jitter = 24*time.Hour, 0.1
			loaders = append(loaders, NewLoader[[]string](options))
		}
		o := &origin{}
		random := rand.New(rand.NewPCG(7, 8))
		const merchants = 3
		sources := map[Source]int{}
		for merchant := range merchants {
			for end := w.clock().Add(48 * time.Hour); w.clock().Before(end); {
				l := loaders[random.IntN(len(loaders))]
				_, source, err := l.Serve(t.Context(), fmt.Sprint("{m", merchant, "}"), o.fetch)
				if err != nil {
					t.Fatal(err)
				}
				sources[source]++
				l.Renewed(t.Context())
				w.advance(time.Minute + time.Duration(random.Int64N(int64(19*time.Minute))))
			}
		}
		if all := sources[Fresh] + sources[Fetched] + sources[Stale]; sources[Fetched] != merchants || sources[Fetched]*100 >= all {
			t.Errorf("%d of %d answers waited: %v", sources[Fetched], all, sources)
		}
		t.Logf("%v in %d fetches", sources, o.fetches.Load())
	})
}

// TestCustomersInAnOutage: Sufrah is down for ten minutes, while ten thousand customers of a hundred merchants ask five
// instances. Half of the merchants have a stale menu, which is shown.
func TestCustomersInAnOutage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		var loaders []*Loader[[]string]
		for i := range 5 {
			options := w.sharing(w.client(t), uint64(i))
			options.StaleFor = 24 * time.Hour
			loaders = append(loaders, NewLoader[[]string](options))
		}
		const merchants = 100
		customers := 10_000
		if testing.Short() {
			customers = 1000
		}
		well := &origin{}
		for merchant := range merchants / 2 {
			if _, _, err := loaders[0].Load(t.Context(), fmt.Sprint("{m", merchant, "}"), well.fetch); err != nil {
				t.Fatal(err)
			}
		}
		w.advance(time.Hour)
		down := &origin{err: &fault{}}
		random := rand.New(rand.NewPCG(7, 8))
		shown := 0
		for range customers {
			l, merchant := loaders[random.IntN(len(loaders))], random.IntN(merchants)
			_, source, err := l.Serve(t.Context(), fmt.Sprint("{m", merchant, "}"), down.fetch)
			if old := merchant < merchants/2; old != (source == Stale) || old != (err == nil) {
				t.Fatalf("merchant %d: %s, %v", merchant, source, err)
			}
			if err == nil {
				shown++
			}
			l.Renewed(t.Context())
			w.advance(10 * time.Minute / time.Duration(customers))
		}
		// Calls until the breaker opens, and after that one at a time, after pauses of 8 s less a fifth.
		if n, most := down.fetches.Load(), int64(circuit.After+10+10*time.Minute/(circuit.LongestPause*8/10)); n > most {
			t.Errorf("%d calls, want %d at most", n, most)
		}
		t.Logf("%d customers were shown an old menu; %d calls in vain", shown, down.fetches.Load())
	})
}

// TestFailuresAreShared: twenty loaders of a key, in as many instances, make a single call to a failing origin, and none
// waits longer than that call. Each further failure is held for longer.
func TestFailuresAreShared(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		o := &origin{delay: 50 * time.Millisecond, err: errSufrah}
		var loaders []*Loader[[]string]
		for i := range 20 {
			options := w.sharing(w.client(t), uint64(i))
			options.Breaker = nil
			loaders = append(loaders, NewLoader[[]string](options))
		}
		storm := func() {
			var wg sync.WaitGroup
			for _, l := range loaders {
				wg.Go(func() {
					if _, _, err := l.Load(t.Context(), key, o.fetch); err == nil || !strings.Contains(err.Error(), errSufrah.Error()) {
						t.Errorf("error %v", err)
					}
				})
			}
			wg.Wait()
		}
		for i, hold := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute} {
			storm()
			if n := o.fetches.Load(); n != int64(i+1) {
				t.Fatalf("%d calls in all after storm %d", n, i+1)
			}
			w.advance(hold*80/100 - time.Millisecond)
			storm()
			if n := o.fetches.Load(); n != int64(i+1) {
				t.Fatalf("%d calls in all within the hold %d", n, i+1)
			}
			w.advance(hold*41/100 + time.Millisecond)
		}
	})
}

// TestPermanentFailuresAreHeldForAMinute: an unknown merchant will hardly become known sooner.
func TestPermanentFailuresAreHeldForAMinute(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		l := NewLoader[[]string](w.sharing(w.client(t), 1))
		o := &origin{err: &fault{permanent: true}}
		for range 10 {
			_, _, err := l.Load(t.Context(), key, o.fetch)
			if err == nil || !permanent(err) || err.Error() != o.err.Error() {
				t.Errorf("error %v", err)
			}
			w.advance(4 * time.Second)
		}
		if n := o.fetches.Load(); n != 1 {
			t.Errorf("%d calls in 40 s", n)
		}
		w.advance(35 * time.Second)
		o.err = nil
		if _, source, err := l.Load(t.Context(), key, o.fetch); err != nil || source != Fetched {
			t.Errorf("a minute later: %s, %v", source, err)
		}
	})
}

// TestOriginDown: 10,000 loads of as many keys in five instances, during an outage of ten minutes. After five failures, one
// call at a time is let through, every eight seconds or so. Right after the outage, every load succeeds.
func TestOriginDown(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		var loaders []*Loader[[]string]
		var opened atomic.Int64
		for i := range 5 {
			options := w.sharing(w.client(t), uint64(i))
			options.Breaker.Opened = func() { opened.Add(1) }
			loaders = append(loaders, NewLoader[[]string](options))
		}
		o := &origin{err: &fault{}}
		const loads = 2000
		for i := range loads {
			_, _, err := loaders[i%5].Load(t.Context(), Key(fmt.Sprint("m", i), "categories"), o.fetch)
			if err == nil {
				t.Fatal("it succeeds")
			}
			w.advance(10 * time.Minute / loads)
		}
		// Ten minutes have room for 600 s / 6.4 s probes at most.
		if n := o.fetches.Load(); n < 50 || n > 110 || opened.Load() < 40 {
			t.Errorf("%d calls for %d loads, stopped %d times", n, loads, opened.Load())
		}
		o.err = nil
		w.advance(10 * time.Second)
		for i := range 50 {
			if _, source, err := loaders[i%5].Load(t.Context(), Key(fmt.Sprint("n", i), "categories"), o.fetch); err != nil || source != Fetched {
				t.Fatalf("after the outage: %s, %v", source, err)
			}
		}
	})
}

// TestOneProbe: while one call tries the origin, no other call does. If an Admit refuses that call, the next one may try.
func TestOneProbe(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		one, other := NewLoader[[]string](w.sharing(w.client(t), 1)), NewLoader[[]string](w.sharing(w.client(t), 2))
		down := &origin{err: &fault{}}
		for i := range circuit.After {
			_, _, _ = one.Load(t.Context(), fmt.Sprint("{k}", i), down.fetch)
		}
		w.advance(2 * time.Second)
		refused := errors.New("not now")
		if _, _, err := one.LoadAdmitted(t.Context(), "{a}", func(context.Context) error { return refused }, down.fetch); !errors.Is(err, refused) {
			t.Errorf("not admitted: %v", err)
		}
		// A failed call only shows that nothing has changed: its caller must wait like all others.
		if _, _, err := one.Load(t.Context(), "{a}", down.fetch); !isHeldFor(err, circuit.FirstPause) || !strings.Contains(err.Error(), down.err.Error()) {
			t.Errorf("the one that tries in vain: %v", err)
		}
		w.advance(5 * time.Second)
		well := &origin{}
		_, _, err := one.Load(t.Context(), "{b}", func(ctx context.Context) ([]string, error) {
			_, _, held := other.Load(ctx, "{c}", well.fetch)
			if _, ok := errors.AsType[*HeldError](held); !ok || well.fetches.Load() != 0 {
				t.Errorf("beside the one that tries: %v", held)
			}
			return well.fetch(ctx)
		})
		if err != nil {
			t.Errorf("the one that tries: %v", err)
		}
		if _, _, err := other.Load(t.Context(), "{c}", well.fetch); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}

// isHeldFor reports whether an error is retryable and asks for a wait of at least that length.
func isHeldFor(err error, least time.Duration) bool {
	held, ok := errors.AsType[*HeldError](err)
	return ok && held.For >= least && held.Retryable()
}

// TestRetryAfterIsKept: the origin's Retry-After binds all instances at once.
func TestRetryAfterIsKept(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		one, other := NewLoader[[]string](w.sharing(w.client(t), 1)), NewLoader[[]string](w.sharing(w.client(t), 2))
		o := &origin{err: &fault{retryAfter: 90 * time.Second}}
		if _, _, err := one.Load(t.Context(), "{a}", o.fetch); err == nil {
			t.Fatal("the origin asks for a pause, and nothing failed")
		}
		o.err = nil
		for _, at := range []time.Duration{0, 89 * time.Second} {
			w.advance(at)
			_, _, err := other.Load(t.Context(), "{b}", o.fetch)
			if held, ok := errors.AsType[*HeldError](err); !ok || held.For < 80*time.Second-at || held.For > 90*time.Second-at {
				t.Errorf("after %s: %v", at, err)
			}
		}
		w.advance(time.Second)
		if _, _, err := other.Load(t.Context(), "{b}", o.fetch); err != nil {
			t.Error(err)
		}
	})
}

// TestJitter: a thousand keys that were fetched together expire over a tenth of their time to live.
func TestJitter(t *testing.T) {
	t.Parallel()
	w := setup(t)
	options := w.options(nil)
	options.Jitter = 0.1
	l := NewLoader[[]string](options)
	tenths := make([]int, 10)
	for i := range 1000 {
		ttl := l.ttlOf(fmt.Sprint("m", i), w.clock())
		if ttl != l.ttlOf(fmt.Sprint("m", i), w.clock()) || ttl > options.TTL || ttl <= options.TTL*9/10 {
			t.Fatalf("key %d is fresh for %v", i, ttl)
		}
		tenths[int((options.TTL-ttl)*100/options.TTL)]++
	}
	for i, n := range tenths {
		if n < 50 || n > 150 {
			t.Errorf("%d of 1000 keys expire in tenth %d: %v", n, i, tenths)
		}
	}
}
