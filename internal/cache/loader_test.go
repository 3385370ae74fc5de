package cache

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/valkey"
)

const key = "sufrah:v1:{m}:categories"

var errSufrah = errors.New("sufrah is down")

// origin counts its fetches, and answers as the test has set it.
type origin struct {
	fetches atomic.Int64
	delay   time.Duration
	until   func() bool // a fetch waits until this returns true; nil doesn't wait
	err     error
}

func (o *origin) fetch(ctx context.Context) ([]string, error) {
	n := o.fetches.Add(1)
	for o.until != nil && !o.until() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	select {
	case <-time.After(o.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if o.err != nil {
		return nil, o.err
	}
	return []string{"drinks", string(rune('0' + n))}, nil
}

// waiting returns how many callers share the flight of a key.
func (f *flights[T]) waiting(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if shared := f.byKey[key]; shared != nil {
		return shared.waiting
	}
	return 0
}

// expect loads a value and compares it and its source.
func expect(t *testing.T, l *Loader[[]string], o *origin, want string, wantSource Source) {
	t.Helper()
	value, source, err := l.Load(t.Context(), key, o.fetch)
	got := strings.Join(value, " ")
	if err != nil {
		got = err.Error()
	}
	if got != want || source != wantSource {
		t.Errorf("Load = %q, %v, want %q, %v", got, source, want, wantSource)
	}
}

func TestLoadThroughTheAgesOfAValue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		l := NewLoader[[]string](w.options(w.client(t)))
		o := &origin{}
		expect(t, l, o, "drinks 1", Fetched)
		if ttl := w.server.TTL(t, key); ttl != 3*time.Minute+time.Hour {
			t.Errorf("the server keeps the value for %v", ttl)
		}
		expect(t, l, o, "drinks 1", Fresh)
		w.advance(3*time.Minute - time.Millisecond)
		expect(t, l, o, "drinks 1", Fresh)
		w.advance(time.Millisecond)
		expect(t, l, o, "drinks 2", Fetched)

		o.err = errSufrah
		w.advance(2 * time.Minute)
		expect(t, l, o, "drinks 2", Fresh)
		w.advance(time.Minute)
		expect(t, l, o, "drinks 2", Stale)
		w.advance(time.Hour - time.Millisecond)
		expect(t, l, o, "drinks 2", Stale)
		w.advance(time.Millisecond)
		expect(t, l, o, "sufrah is down", None)

		o.err = nil
		expect(t, l, o, "drinks 6", Fetched)
		want := []string{"fetched", "fresh", "fresh", "fetched", "fresh", "stale", "stale", "none", "fetched"}
		if diff := cmp.Diff(want, w.seen()); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
		if n := strings.Count(w.log.String(), "sufrah is down"); n != 2 {
			t.Errorf("the cause of a stale value was logged %d times, want 2:\n%s", n, w.log)
		}
		if keys := w.server.Keys(t); len(keys) != 1 {
			t.Errorf("locks are left: %q", keys)
		}
	})
}

// TestClocksApart reads values that seem to come from the future.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		l := NewLoader[[]string](w.options(w.client(t)))
		o := &origin{}
		expect(t, l, o, "drinks 1", Fetched)
		w.now = w.now.Add(-3*time.Minute + time.Millisecond)
		expect(t, l, o, "drinks 1", Fresh)
		w.now = w.now.Add(-time.Millisecond)
		o.err = errSufrah
		expect(t, l, o, "drinks 1", Stale)
		w.now = w.now.Add(-time.Hour)
		expect(t, l, o, "sufrah is down", None)
	})
}

// TestOneFetch loads one key a thousand times at once, in one instance and in several.
func TestOneFetch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for _, instances := range []int{1, 2, 5} {
			w.server.Clear(t)
			o := &origin{delay: 50 * time.Millisecond}
			var wg sync.WaitGroup
			for range instances {
				l := NewLoader[[]string](w.options(w.client(t)))
				l.options.LockFor = 10 * time.Second
				for range 1000 / instances {
					wg.Go(func() {
						if value, _, err := l.Load(t.Context(), key, o.fetch); err != nil || len(value) != 2 {
							t.Errorf("Load = %q, %v", value, err)
						}
					})
				}
			}
			wg.Wait()
			if n := o.fetches.Load(); n != 1 {
				t.Errorf("%d instances: %d fetches", instances, n)
			}
		}
	})
}

// TestCallersLeave has the first caller leave, then the others.
func TestCallersLeave(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		l := NewLoader[[]string](w.options(w.client(t)))
		begun, fetchEnded := make(chan struct{}), make(chan error, 1)
		proceed := make(chan struct{})
		fetch := func(ctx context.Context) ([]string, error) {
			close(begun)
			select {
			case <-proceed:
				return []string{"drinks"}, nil
			case <-ctx.Done():
				fetchEnded <- ctx.Err()
				return nil, ctx.Err()
			}
		}
		load := func(ctx context.Context) chan error {
			left := make(chan error, 1)
			go func() {
				_, _, err := l.Load(ctx, key, fetch)
				left <- err
			}()
			return left
		}
		first, leave := context.WithCancel(t.Context())
		firstLeft := load(first)
		<-begun
		secondLeft := load(t.Context())
		waitFor(t, func() bool {
			l.flights.mu.Lock()
			defer l.flights.mu.Unlock()
			return l.flights.byKey[key].waiting == 2
		})
		leave()
		if err := <-firstLeft; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller who left got %v", err)
		}
		close(proceed)
		if err := <-secondLeft; err != nil {
			t.Errorf("the caller who stayed got %v", err)
		}

		w.server.Clear(t)
		begun, proceed = make(chan struct{}), make(chan struct{})
		only, leave := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer leave()
		if err := <-load(only); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the only caller got %v", err)
		}
		if err := <-fetchEnded; !errors.Is(err, context.Canceled) {
			t.Errorf("the fetch that nobody waits for ended with %v", err)
		}
		waitFor(t, func() bool { return len(w.server.Keys(t)) == 0 }) // the lock is given back
		if text := w.log.String(); text != "" {
			t.Errorf("leaving is no failure, but was logged:\n%s", text)
		}
		if _, _, err := l.Load(only, key, fetch); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller whose time is over got %v", err)
		}
	})
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

// TestHolderDies leaves a lock behind, like an instance that ends in mid-fetch.
func TestHolderDies(t *testing.T) {
	t.Parallel()
	for name, expires := range map[string]bool{"its lock expires": true, "its lock stays": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, w *world) {
				l := NewLoader[[]string](w.options(w.client(t)))
				left := time.Hour
				if expires {
					l.options.LockFor, left = 10*time.Second, time.Second
					time.AfterFunc(50*time.Millisecond, func() { w.server.SetTime(w.clock().Add(left)) })
				}
				if _, err := w.client(t).SetIfAbsent(t.Context(), key+":lock", "of the dead", left); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				expect(t, l, &origin{}, "drinks 1", Fetched)
				if took := time.Since(start); took > patience/2 {
					t.Errorf("it took %v", took)
				}
				if left := slices.Contains(w.server.Keys(t), key+":lock"); left == expires {
					t.Errorf("a lock is left: %t; another's must not be taken away, and one's own must", left)
				}
				expect(t, l, &origin{}, "drinks 1", Fresh)
			})
		})
	}
}

// TestHolderFails has an instance fail to fetch while another waits for it.
func TestHolderFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		failing, working := &origin{delay: 50 * time.Millisecond, err: errSufrah}, &origin{}
		holder, waiter := NewLoader[[]string](w.options(w.client(t))), NewLoader[[]string](w.options(w.client(t)))
		waiter.options.LockFor = 10 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() { expect(t, holder, failing, "sufrah is down", None) })
		waitFor(t, func() bool { return failing.fetches.Load() == 1 })
		start := time.Now()
		expect(t, waiter, working, "drinks 1", Fetched)
		if took := time.Since(start); took > patience/2 {
			t.Errorf("the other one took over after %v", took)
		}
		wg.Wait()
	})
}

// TestServerFails lets the server fail in one kind of operation at a time, and in all of them.
func TestServerFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		failing string
		seen    []string // observed during two loads
		cached  bool
	}{
		"everything": {"Get Set SetIfAbsent DeleteIfEquals", []string{"read failed", "fetched", "read failed", "fetched"}, false},
		"reading":    {"Get", []string{"read failed", "fetched", "read failed", "fetched"}, false},
		"writing":    {"Set", []string{"write failed", "fetched", "write failed", "fetched"}, false},
		"locking":    {"SetIfAbsent", []string{"lock failed", "fetched", "fresh"}, true},
		"unlocking":  {"DeleteIfEquals", []string{"unlock failed", "fetched", "fresh"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, w *world) {
				errServer := errors.New("no reason")
				l := NewLoader[[]string](w.options(faulty{w.client(t), func(operation string) error {
					if strings.Contains(" "+test.failing+" ", " "+operation+" ") {
						return errServer
					}
					return nil
				}}))
				o := &origin{}
				expect(t, l, o, "drinks 1", Fetched)
				if test.cached {
					expect(t, l, o, "drinks 1", Fresh)
				} else {
					expect(t, l, o, "drinks 2", Fetched)
				}
				seen := w.seen()
				if diff := cmp.Diff(test.seen, seen); diff != "" {
					t.Errorf("observed (-want +got):\n%s", diff)
				}
				if got, want := strings.Count(w.log.String(), "no reason"), strings.Count(strings.Join(seen, " "), "failed"); got != want {
					t.Errorf("%d failures were logged, want %d:\n%s", got, want, w.log)
				}
			})
		})
	}
}

// TestServerMisbehaves disturbs the server itself, under the client that production uses.
func TestServerMisbehaves(t *testing.T) {
	t.Parallel()
	full := func(peer *server.Peer, command string, _ ...string) bool {
		if command == "SET" {
			peer.WriteError("OOM command not allowed when used memory > 'maxmemory'.")
		}
		return command == "SET"
	}
	silence, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, up to its backlog, and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silence.Close() })
	for name, test := range map[string]struct {
		change  func(w *world)
		address string
	}{
		"down":                     {func(w *world) { w.redis.Close() }, ""},
		"full":                     {func(w *world) { w.redis.Server().SetPreHook(full) }, ""},
		"silent":                   {func(*world) {}, silence.Addr().String()},
		"a value of another kind":  {func(w *world) { w.redis.HSet(key, "a", "b") }, ""},
		"loading its data":         {func(w *world) { w.redis.SetError("LOADING soon") }, ""},
		"out of reach for writing": {func(w *world) { w.redis.SetError("READONLY replica") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			address := w.redis.Addr()
			if test.address != "" {
				address = test.address
			}
			client, err := valkey.New(valkey.Config{Address: address})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			test.change(w)
			l := NewLoader[[]string](w.options(client))
			const callers = 100
			o := &origin{until: func() bool { return l.flights.waiting(key) == callers }}
			start := time.Now()
			for round := range 2 {
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						if value, source, err := l.Load(t.Context(), key, o.fetch); err != nil || source != Fetched || len(value) != 2 {
							t.Errorf("Load = %q, %v, %v", value, source, err)
						}
					})
				}
				wg.Wait()
				if n := o.fetches.Load(); n != int64(round+1) {
					t.Errorf("round %d: %d fetches: simultaneous callers of one process must share one", round, n)
				}
			}
			if took := time.Since(start); took > patience {
				t.Errorf("two loads took %v", took)
			}
			if !strings.Contains(strings.Join(w.seen(), " "), "failed") {
				t.Error("nobody was told")
			}
		})
	}
}

// TestServerComesBack has the server go away while it holds a value, and return without it.
func TestServerComesBack(t *testing.T) {
	t.Parallel()
	w := setup(t)
	address := w.redis.Addr()
	l := NewLoader[[]string](w.options(w.client(t)))
	o := &origin{}
	expect(t, l, o, "drinks 1", Fetched)
	w.redis.Close()
	expect(t, l, o, "drinks 2", Fetched)
	w.redis.FlushAll()
	if err := w.redis.StartAddr(address); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		_, source, err := l.Load(t.Context(), key, o.fetch)
		return err == nil && source == Fresh
	})
}

func TestUnreadableValuesAreMisses(t *testing.T) {
	t.Parallel()
	now := "1795435200000" // the start of the test's clock, in milliseconds
	for name, sealed := range map[string]string{
		"empty":            "",
		"another version":  "2 " + now + ` ["cakes"]`,
		"no version":       now + ` ["cakes"]`,
		"no time":          `1  ["cakes"]`,
		"a time in words":  `1 noon ["cakes"]`,
		"no value":         "1 " + now + " ",
		"cut off":          "1 " + now + ` ["cak`,
		"another type":     "1 " + now + ` {"cakes": 1}`,
		"something behind": "1 " + now + ` ["cakes"] ["tea"]`,
		"from long ago":    `1 0 ["cakes"]`,
		"from eternity":    `1 -9223372036854775808 ["cakes"]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, w *world) {
				if err := w.client(t).Set(t.Context(), key, []byte(sealed), time.Hour); err != nil {
					t.Fatal(err)
				}
				l := NewLoader[[]string](w.options(w.client(t)))
				expect(t, l, &origin{}, "drinks 1", Fetched)
				expect(t, l, &origin{}, "drinks 1", Fresh)
			})
		})
	}
	w := setup(t)
	if err := w.redis.Set(key, "1 "+now+` ["cakes"]`); err != nil {
		t.Fatal(err)
	}
	expect(t, NewLoader[[]string](w.options(w.client(t))), &origin{}, "cakes", Fresh)
}

// TestUnkeepableValue fetches a value that JSON can't hold.
func TestUnkeepableValue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		l := NewLoader[chan int](w.options(w.client(t)))
		value, source, err := l.Load(t.Context(), key, func(context.Context) (chan int, error) { return make(chan int), nil })
		if value == nil || source != Fetched || err != nil {
			t.Errorf("Load = %v, %v, %v", value, source, err)
		}
		if diff := cmp.Diff([]string{"write failed", "fetched"}, w.seen()); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		l := NewLoader[[]string](w.options(w.client(t)))
		_, source, err := l.Load(t.Context(), key, func(context.Context) ([]string, error) { panic("oh no") })
		if err == nil || !strings.Contains(err.Error(), "oh no") || source != None {
			t.Errorf("Load = %v, %v", source, err)
		}
		expect(t, l, &origin{}, "drinks 1", Fetched)
	})
}
