package cachetable_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	random "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/circuit"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/cachetable"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/startlog"
	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
)

// patience bounds how long a test waits for success, so that a busy machine doesn't fail it.
const patience = 10 * time.Second

// transport is a function that answers HTTP requests.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// refuse answers as DynamoDB does if it refuses a request.
func refuse(status int, code string) transport {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Request: r, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
			Body: io.NopCloser(strings.NewReader(`{"__type": "com.amazonaws.dynamodb.v20120810#` + code + `", "message": "no"}`)),
		}, nil
	}
}

// setup returns a client over a transport, and the number of failures that the client has reported.
func setup(rt http.RoundTripper, timeout time.Duration) (*cachetable.Client, *atomic.Int64) {
	s := cachetest.Over(&http.Client{Transport: rt}, "http://dynamodb.local", cachetest.Definition.Name)
	failed := new(atomic.Int64)
	return cachetable.New(s.Config, cachetable.Config{
		Table: s.Name, Timeout: timeout, Now: time.Now, Random: random.Uint64, Failed: func() { failed.Add(1) },
	}), failed
}

// operations returns all operations of a client, by name.
func operations(c *cachetable.Client) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error { _, _, err := c.Get(ctx, "k"); return err },
		"Set": func(ctx context.Context) error { return c.Set(ctx, "k", []byte("v"), time.Minute) },
		"SetAll": func(ctx context.Context) error {
			_, err := c.SetAll(ctx, map[string][]byte{"k": nil}, time.Minute)
			return err
		},
		"SetIfAbsent": func(ctx context.Context) error {
			_, err := c.SetIfAbsent(ctx, "k", "v", time.Minute)
			return err
		},
		"DeleteIfEquals": func(ctx context.Context) error { return c.DeleteIfEquals(ctx, "k", "v") },
		"AskCircuit":     func(ctx context.Context) error { _, _, err := c.AskCircuit(ctx, "k"); return err },
		"TellCircuit":    func(ctx context.Context) error { _, err := c.TellCircuit(ctx, "k", circuit.Outcome{}); return err },
		"Count":          func(ctx context.Context) error { _, err := c.Count(ctx, "k", time.Minute); return err },
		"Start": func(ctx context.Context) error {
			_, err := c.Start(ctx, "k", startlog.Request{Rate: 1, Per: 1_000_000})
			return err
		},
	}
}

// TestTableFails: whatever the table's failure is, each operation says that the cache is unavailable, and reports a single
// failure.
func TestTableFails(t *testing.T) {
	t.Parallel()
	for name, rt := range map[string]http.RoundTripper{
		"no table":    dynamolocal.New(time.Now).Transport(),
		"throttled":   refuse(http.StatusBadRequest, "ThrottlingException"),
		"forbidden":   refuse(http.StatusBadRequest, "AccessDeniedException"),
		"failing":     refuse(http.StatusInternalServerError, "InternalServerError"),
		"unreachable": transport(func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }),
		"garbled": transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Request: r, Body: io.NopCloser(strings.NewReader("<html>"))}, nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, failed := setup(rt, patience)
			tried := int64(0)
			for operation, do := range operations(c) {
				if err := do(t.Context()); !errors.Is(err, outage.ErrUnavailable) {
					t.Errorf("%s: %v", operation, err)
				}
				if tried++; failed.Load() != tried {
					t.Errorf("%s: %d failures are told of after %d operations", operation, failed.Load(), tried)
				}
			}
			done, cancel := context.WithCancel(t.Context())
			cancel()
			for operation, do := range operations(c) {
				if err := do(done); !errors.Is(err, context.Canceled) || errors.Is(err, outage.ErrUnavailable) {
					t.Errorf("%s without time: %v", operation, err)
				}
			}
			if failed.Load() != tried {
				t.Error("a caller that has left counts as a failure of the table")
			}
		})
	}
}

// TestSilentTable: a table that doesn't answer costs one time-out, and nothing in the second after it.
func TestSilentTable(t *testing.T) {
	t.Parallel()
	silence, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections, up to its backlog, and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silence.Close() })
	var requests atomic.Int64
	c, failed := setup(transport(func(r *http.Request) (*http.Response, error) {
		requests.Add(1)
		r.URL.Host = silence.Addr().String()
		return http.DefaultTransport.RoundTrip(r)
	}), 200*time.Millisecond)
	begin := time.Now()
	if _, _, err := c.Get(t.Context(), "k"); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	asked := requests.Load()
	for _, do := range operations(c) {
		if err := do(t.Context()); !errors.Is(err, outage.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
	}
	if took := time.Since(begin); took < time.Second && requests.Load() != asked { // unless this machine was busy for longer than the pause
		t.Errorf("%d requests in the pause, %v after the time-out", requests.Load()-asked, took)
	}
	if failed.Load() != 10 {
		t.Errorf("%d failures are told of, want 10", failed.Load())
	}
}

// TestFailureCostsAFetch: if the table fails, a value is fetched and returned as if there were no cache.
func TestFailureCostsAFetch(t *testing.T) {
	t.Parallel()
	c, _ := setup(refuse(http.StatusInternalServerError, "InternalServerError"), patience)
	l := cache.NewLoader[string](cache.Options{
		Server: c, TTL: time.Minute, Hold: time.Second, Now: time.Now, Random: random.Uint64, Log: slog.New(slog.DiscardHandler),
	})
	for range 2 {
		value, source, err := l.Load(t.Context(), "k", func(context.Context) (string, error) { return "menu", nil })
		if value != "menu" || source != cache.Fetched || err != nil {
			t.Errorf("Load = %q, %v, %v", value, source, err)
		}
	}
}

// TestPartIsMissing: a value with a missing part counts as absent.
func TestPartIsMissing(t *testing.T) {
	t.Parallel()
	engine := dynamolocal.New(time.Now, cachetest.Definition)
	leaves := -1 // number of the part that is deleted
	c, _ := setup(transport(func(r *http.Request) (*http.Response, error) {
		if leaves >= 0 && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".BatchGetItem") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			suffix := []byte{'#', byte('0' + leaves), '"'}
			if !bytes.Contains(body, suffix) {
				t.Errorf("the request has no part %d", leaves)
			}
			body = bytes.Replace(body, suffix, []byte(`#x"`), 1)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		return engine.Transport().RoundTrip(r)
	}), time.Minute) // under the race detector, compressing the large value takes seconds
	value := make([]byte, 1_000_000)
	_, _ = rand.Read(value)
	if err := c.Set(t.Context(), "k", value, time.Minute); err != nil {
		t.Fatal(err)
	}
	for leaves = range 3 {
		if _, found, err := c.Get(t.Context(), "k"); found || err != nil {
			t.Errorf("without part %d: found %t, %v", leaves, found, err)
		}
	}
	leaves = -1
	if got, found, err := c.Get(t.Context(), "k"); !found || err != nil || !bytes.Equal(got, value) {
		t.Errorf("with all parts: found %t, %v", found, err)
	}
	if err := c.Set(t.Context(), "k", make([]byte, 68_000_000), time.Minute); err != nil {
		t.Errorf("a compressible value: %v", err)
	}
	if _, found, err := c.Get(t.Context(), "k"); found || err != nil {
		t.Errorf("a value that would fill the memory: found %t, %v", found, err)
	}
	huge := make([]byte, 7_000_000)
	_, _ = rand.Read(huge)
	if err := c.Set(t.Context(), "k", huge, time.Minute); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("a value that is too large: %v", err)
	}
}

// TestEverythingIsSmall: at thirty times the usual rate, with ten thousand waiting callers, an operation still takes few
// units.
func TestEverythingIsSmall(t *testing.T) {
	t.Parallel()
	engine := dynamolocal.New(time.Now, cachetest.Definition)
	c, _ := setup(engine.Transport(), patience)
	r := startlog.Request{Rate: 600, Per: 60_000_000, Fresh: 1, At: 1_795_435_200_000_000}
	for i := range 3000 {
		r.Name, r.At = "msg-"+rand.Text(), r.At+1
		if _, err := c.Start(t.Context(), "starts", r); err != nil {
			t.Fatalf("start %d: %v", i, err)
		}
	}
	_, before := engine.Consumed(cachetest.Definition.Name)
	r.Name = "one more"
	answer, err := c.Start(t.Context(), "starts", r)
	if err != nil || answer.Wait < 60_000_000 {
		t.Errorf("the next one is told %v, %v", answer, err)
	}
	if _, after := engine.Consumed(cachetest.Definition.Name); after-before > 16 {
		t.Errorf("a start among a thousand waiting callers takes %v write units", after-before)
	}
}
