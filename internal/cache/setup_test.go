package cache

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
)

// world is a cache server with the events that its instances observed.
type world struct {
	server cachetest.Server
	redis  *miniredis.Miniredis // nil if the server is a table
	log    *lines

	mu       sync.Mutex
	now      time.Time
	observed []string
}

// each runs a test with a server of each kind.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	cachetest.Each(t, func(t *testing.T, s cachetest.Server) {
		t.Helper()
		w := &world{server: s, log: &lines{}, now: cachetest.Start}
		if valkey, ok := s.(*cachetest.Valkey); ok {
			w.redis = valkey.Miniredis
		}
		test(t, w)
	})
}

// setup returns a world with a Valkey server.
func setup(t *testing.T) *world {
	t.Helper()
	s := cachetest.NewValkey(t)
	return &world{server: s, redis: s.Miniredis, log: &lines{}, now: cachetest.Start}
}

// patience bounds how long a test waits for success, so that a busy machine doesn't fail it.
const patience = 10 * time.Second

// client returns a connection of an instance to the server.
func (w *world) client(t *testing.T) cachetest.Client {
	t.Helper()
	return w.server.Client(t)
}

// options are the options of an instance.
func (w *world) options(server Server) Options {
	return Options{
		Server:   server,
		TTL:      3 * time.Minute,
		StaleFor: time.Hour,
		LockFor:  200 * time.Millisecond,
		Now:      w.clock,
		Random:   rand.Uint64,
		Log:      slog.New(slog.NewTextHandler(w.log, nil)),
		Observer: Observer{
			Loaded: func(_ string, source Source) { w.observe(source.String()) },
			Failed: func(operation, _ string, _ error) { w.observe(operation + " failed") },
		},
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// advance moves the clocks of the instances and of the server.
func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	now := w.now
	w.mu.Unlock()
	w.server.SetTime(now)
}

func (w *world) observe(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.observed = append(w.observed, what)
}

// seen returns the events observed since the last call.
func (w *world) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.observed
	w.observed = nil
	return seen
}

// faulty is a server that fails in some operations.
type faulty struct {
	Server
	fault func(operation string) error
}

func (f faulty) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := f.fault("Get"); err != nil {
		return nil, false, err
	}
	return f.Server.Get(ctx, key)
}

func (f faulty) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := f.fault("Set"); err != nil {
		return err
	}
	return f.Server.Set(ctx, key, value, ttl)
}

func (f faulty) SetIfAbsent(ctx context.Context, key, value string, ttl time.Duration) (bool, error) {
	if err := f.fault("SetIfAbsent"); err != nil {
		return false, err
	}
	return f.Server.SetIfAbsent(ctx, key, value, ttl)
}

func (f faulty) DeleteIfEquals(ctx context.Context, key, value string) error {
	if err := f.fault("DeleteIfEquals"); err != nil {
		return err
	}
	return f.Server.DeleteIfEquals(ctx, key, value)
}

// lines collects log lines.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
