package valkey

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// TestFrozenAndThawed stops a process between its commands, as Lambda does, and ends its connections meanwhile. After it is
// continued, its next commands must be answered within a time-out.
func TestFrozenAndThawed(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it builds a program")
	}
	t.Parallel()
	const rounds = 20
	program := filepath.Join(t.TempDir(), "pinger")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/pinger")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	for _, mode := range []string{"single", "cluster"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			m := miniredis.RunT(t)
			r := newRelay(t, m.Addr())
			if mode == "cluster" {
				tellRelay(m, r)
			}
			process := exec.CommandContext(t.Context(), program, r.address(), mode)
			input, err := process.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			output, err := process.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}
			answers := bufio.NewScanner(output)
			for round := range rounds {
				start := time.Now()
				fmt.Fprintln(input, 1+round%6)
				if !answers.Scan() {
					t.Fatalf("round %d: the process is gone: %v", round, process.Wait())
				}
				if got := answers.Text(); got != "ok" {
					t.Fatalf("round %d: %s", round, got)
				}
				if took := time.Since(start); took >= patience {
					t.Errorf("round %d took %v", round, took)
				}
				signal(t, process, syscall.SIGSTOP)
				r.cut(round%3 == 0)
				time.Sleep(5 * time.Millisecond)
				signal(t, process, syscall.SIGCONT)
			}
			if n := r.accepted.Load(); n < rounds {
				t.Errorf("%d connections in %d rounds: they weren't cut", n, rounds)
			}
			_ = input.Close()
			if err := process.Wait(); err != nil {
				t.Errorf("the process ended with %v", err)
			}
		})
	}
}

func signal(t *testing.T, process *exec.Cmd, s syscall.Signal) {
	t.Helper()
	if err := process.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
