package ratelimit

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/startlog"
	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// flaky is a server that can be out of reach.
type flaky struct {
	cachetest.Client
	down atomic.Bool
}

var errOutOfReach = errors.New("out of reach")

func (f *flaky) Count(ctx context.Context, key string, keep time.Duration) (int64, error) {
	if f.down.Load() {
		return 0, errOutOfReach
	}
	return f.Client.Count(ctx, key, keep)
}

func (f *flaky) Start(ctx context.Context, key string, r startlog.Request) (startlog.Answer, error) {
	if f.down.Load() {
		return startlog.Answer{}, errOutOfReach
	}
	return f.Client.Start(ctx, key, r)
}

// each runs a test with a server of each kind.
func each(t *testing.T, test func(t *testing.T, s cachetest.Server)) {
	t.Helper()
	cachetest.Each(t, test)
}

// connect returns the connection of a further instance.
func connect(t *testing.T, s cachetest.Server) *flaky {
	t.Helper()
	return &flaky{Client: s.Client(t)}
}

// newLog returns a logger and its output. Read the output only when nothing logs any more.
func newLog() (*slog.Logger, *bytes.Buffer) {
	var text bytes.Buffer
	return slog.New(slog.NewTextHandler(&text, nil)), &text
}
