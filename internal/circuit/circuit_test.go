package circuit_test

import (
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/circuit"
)

// TestCircuit follows a breaker from the first failure to its longest pause. Package cachetest checks that each kind of cache
// follows the same rule.
func TestCircuit(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_795_435_200_000)
	var s circuit.State
	for i := range circuit.After - 1 {
		var pause time.Duration
		if s, pause = s.Fail(now, 0, 100); pause != 0 {
			t.Fatalf("failure %d stops calls for %v", i+1, pause)
		}
		if _, pass, _ := s.Ask(now); pass != circuit.Watched {
			t.Fatalf("after failure %d: %v", i+1, pass)
		}
	}
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
		var pause, wait time.Duration
		var pass circuit.Pass
		if s, pause = s.Fail(now, 0, 100); pause != want {
			t.Fatalf("calls stop for %v, want %v", pause, want)
		}
		now = now.Add(want - time.Millisecond)
		if s, pass, wait = s.Ask(now); pass != circuit.Stopped || wait != time.Millisecond {
			t.Fatalf("before the end: %v, %v", pass, wait)
		}
		now = now.Add(time.Millisecond)
		if s, pass, _ = s.Ask(now); pass != circuit.Probing {
			t.Fatalf("at the end: %v", pass)
		}
		if _, pass, wait = s.Ask(now); pass != circuit.Stopped || wait != circuit.ProbeTime {
			t.Fatalf("beside the probe: %v, %v", pass, wait)
		}
		if _, pass, _ = s.Retract().Ask(now); pass != circuit.Probing {
			t.Fatalf("after a probe that wasn't made: %v", pass)
		}
	}
	asked, pause := circuit.State{}.Fail(now, time.Minute, 80)
	if _, pass, wait := asked.Ask(now); pause != time.Minute || pass != circuit.Stopped || wait != time.Minute {
		t.Errorf("a first failure that asks for a minute: %v, %v, %v", pause, pass, wait)
	}
	shorter, _ := asked.Fail(now, time.Second, 80)
	if _, _, wait := shorter.Ask(now); wait != time.Minute {
		t.Errorf("a shorter wait takes the place of the longer one: %v", wait)
	}
}
