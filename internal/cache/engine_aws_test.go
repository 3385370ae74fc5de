//go:build aws

package cache

import (
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
	"github.com/sufrah/usage-bootstrap/internal/valkey"
)

// eachEngine runs a test with each engine. connect returns a connection of an instance. Only this test uses the owner's keys.
func eachEngine(t *testing.T, test func(t *testing.T, owner string, connect func() cachetest.Client)) {
	t.Helper()
	cachetest.EachEngine(t, func(t *testing.T, connect func() cachetest.Client) { test(t, rand.Text(), connect) })
}

// TestEngineOneFetch has several instances load the same value many times at once.
func TestEngineOneFetch(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, owner string, connect func() cachetest.Client) {
		w := &world{log: &lines{}, now: time.Now()}
		o := &origin{delay: 100 * time.Millisecond}
		var wg sync.WaitGroup
		for range 5 {
			options := w.options(connect())
			options.LockFor = 5 * time.Second
			l := NewLoader[[]string](options)
			for range 200 {
				wg.Go(func() {
					value, _, err := l.Load(t.Context(), Key(owner, "categories"), o.fetch)
					if got := strings.Join(value, " "); err != nil || got != "drinks 1" {
						t.Errorf("Load = %q, %v", got, err)
					}
				})
			}
		}
		wg.Wait()
		if n := o.fetches.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

// TestEngineExpiry follows a value from fresh to stale to gone, by the server's own time.
func TestEngineExpiry(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, owner string, connect func() cachetest.Client) {
		w := &world{log: &lines{}, now: time.Now()}
		options := w.options(connect())
		options.Now, options.TTL, options.StaleFor = time.Now, 500*time.Millisecond, 2*time.Second
		l := NewLoader[[]string](options)
		o := &origin{}
		for _, step := range []struct {
			after time.Duration
			want  Source
		}{{0, Fetched}, {0, Fresh}, {time.Second, Stale}, {2 * time.Second, None}} {
			time.Sleep(step.after)
			if _, source, err := l.Load(t.Context(), Key(owner, "categories"), o.fetch); source != step.want || (err == nil) != (step.want != None) {
				t.Errorf("Load = %v, %v, want %v", source, err, step.want)
			}
			o.err = errSufrah
		}
		if _, found, err := connect().Get(t.Context(), Key(owner, "categories")); found || err != nil {
			t.Errorf("the server keeps the value for ever (%v)", err)
		}
	})
}

// TestEngineKeysShareASlot: scripts may touch several keys of an owner, whatever characters its id has.
func TestEngineKeysShareASlot(t *testing.T) {
	t.Parallel()
	cachetest.EachValkey(t, func(t *testing.T, connect func() *valkey.Client) {
		client, owner := connect(), rand.Text()
		for _, id := range []string{owner, owner + "}", "{" + owner, "{}" + owner, owner + " مطعم"} {
			keys := []string{Key(id, "categories"), Key(id, "branches")}
			for want := range int64(2) {
				n, err := client.Eval(t.Context(), `return redis.call('INCR', KEYS[1]) + redis.call('INCR', KEYS[2])`, keys)
				if err != nil || n != 2*want+2 {
					t.Errorf("keys of %q: %d, %v, want %d", id, n, err, 2*want+2)
				}
			}
		}
	})
}
