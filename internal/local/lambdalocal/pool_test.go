package lambdalocal_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
)

// newPool returns a pool of the test's function, and a func that calls it.
func newPool(t *testing.T, f lambdalocal.Function) (*lambdalocal.Pool, func(context.Context, order) (answer, error)) {
	t.Helper()
	f.Path = binary
	if f.Timeout == 0 {
		f.Timeout = time.Minute
	}
	pool := lambdalocal.NewPool(f)
	t.Cleanup(pool.Close)
	return pool, lambdalocal.Handler[order, answer](pool)
}

func TestPoolKeepsInstances(t *testing.T) {
	t.Parallel()
	pool, call := newPool(t, lambdalocal.Function{})
	for want := 1; want <= 3; want++ {
		got, err := call(t.Context(), order{Text: "hello"})
		if err != nil || got.Text != "hello" || got.Count != want {
			t.Errorf("invocation %d of an instance: %+v, %v", want, got, err)
		}
	}
	if n := pool.Kill(); n != 1 {
		t.Errorf("%d instances, want 1", n)
	}
}

// TestPoolGrows: simultaneous invocations don't wait for one another.
func TestPoolGrows(t *testing.T) {
	t.Parallel()
	pool, call := newPool(t, lambdalocal.Function{})
	var busy sync.WaitGroup
	for range 2 {
		busy.Go(func() {
			if _, err := call(t.Context(), order{Do: "hang"}); !isExit(err) {
				t.Errorf("error %v, want that the function was killed", err)
			}
		})
	}
	if got, err := call(t.Context(), order{Text: "meanwhile"}); err != nil || got.Count != 1 {
		t.Errorf("answer %+v, %v", got, err)
	}
	killed := 0
	for killed < 3 { // the instances that hang may still be starting
		killed += pool.Kill()
		time.Sleep(time.Millisecond)
	}
	busy.Wait()
}

func isExit(err error) bool {
	_, ok := errors.AsType[*lambdalocal.ExitError](err)
	return ok
}

// TestPoolReplaces: however an instance has ended, the next invocation gets a new one.
func TestPoolReplaces(t *testing.T) {
	t.Parallel()
	log := new(log)
	pool, call := newPool(t, lambdalocal.Function{Stdout: log})
	for name, end := range map[string]func(){
		"Kill": func() { pool.Kill() },
		"KillOne": func() {
			if !pool.KillOne() || pool.KillOne() {
				t.Error("KillOne didn't end the one instance")
			}
		},
		"a crash": func() {
			if _, err := call(t.Context(), order{Do: "exit"}); !isExit(err) {
				t.Errorf("error %v, want that the function exited", err)
			}
		},
		"nothing": func() {
			if _, err := call(t.Context(), order{Do: "fail", Text: "no such table"}); err == nil || !strings.Contains(err.Error(), "no such table") {
				t.Errorf("error %v, want the function's", err)
			}
		},
	} {
		if _, err := call(t.Context(), order{}); err != nil {
			t.Fatalf("invoking the function: %v", err)
		}
		end()
		got, err := call(t.Context(), order{Do: "log", Text: "after " + name})
		if err != nil || (got.Count == 1) != (name != "nothing") {
			t.Errorf("after %s: %+v, %v", name, got, err)
		}
	}
	pool.Close()
	for _, want := range []string{"starting up\n", "out: after Kill\n", "err: after a crash\n"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	if _, err := call(t.Context(), order{}); !errors.Is(err, lambdalocal.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestPoolKilledFromOutside: if another program kills an instance between two invocations, at most the next invocation fails.
func TestPoolKilledFromOutside(t *testing.T) {
	t.Parallel()
	_, call := newPool(t, lambdalocal.Function{})
	got, err := call(t.Context(), order{Do: "env"})
	if err != nil {
		t.Fatalf("invoking the function: %v", err)
	}
	if err := syscall.Kill(got.PID, syscall.SIGKILL); err != nil {
		t.Fatalf("signalling the process: %v", err)
	}
	if _, err := call(t.Context(), order{}); err != nil && !isExit(err) {
		t.Errorf("error %v", err)
	}
	if got, err := call(t.Context(), order{}); err != nil || got.Count > 2 {
		t.Errorf("answer %+v, %v", got, err)
	}
}

// TestPoolCallerGone: an invocation goes on without its caller, and its instance serves others afterwards.
func TestPoolCallerGone(t *testing.T) {
	t.Parallel()
	_, call := newPool(t, lambdalocal.Function{})
	if _, err := call(t.Context(), order{}); err != nil {
		t.Fatalf("invoking the function: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for want := 2; want <= 3; want++ {
		if got, err := call(gone, order{}); err != nil || got.Count != want {
			t.Errorf("answer %+v, %v, want that of invocation %d", got, err, want)
		}
	}
}

// TestPoolLogsWholeLines: each line arrives in one piece, however the function wrote it.
func TestPoolLogsWholeLines(t *testing.T) {
	t.Parallel()
	lines := new(pieces)
	pool, call := newPool(t, lambdalocal.Function{Stdout: lines})
	text := strings.Repeat("x", 100_000) // more than a pipe takes at once
	if _, err := call(t.Context(), order{Do: "log", Text: text}); err != nil {
		t.Fatalf("invoking the function: %v", err)
	}
	pool.Close()
	want := []string{"starting up\n", "out: " + text + "\n", "err: " + text + "\n"}
	if len(lines.all) != len(want) {
		t.Fatalf("%d pieces, want %d", len(lines.all), len(want))
	}
	for i, piece := range lines.all {
		if piece != want[i] {
			t.Errorf("piece %d has %d bytes and begins with %.20q", i, len(piece), piece)
		}
	}
}

type pieces struct {
	mu  sync.Mutex
	all []string
}

func (p *pieces) Write(piece []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, string(piece))
	return len(piece), nil
}
