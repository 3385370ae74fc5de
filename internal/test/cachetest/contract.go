package cachetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/circuit"
	"github.com/sufrah/usage-bootstrap/internal/startlog"
)

// Exercise checks that a server keeps the whole contract.
func Exercise(t *testing.T, open func(t *testing.T) Server) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Server){
		"values": values, "large values": largeValues, "many at once": manyAtOnce, "locks": locks, "one lock": oneLock,
		"counts": counts, "circuits": circuits, "probes": probes, "starts": starts, "burst": burst,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// own returns a key that no other test uses.
func own(part string) string { return "sufrah:v1:{" + rand.Text() + "}:" + part }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expect checks the value of a key.
func expect(t *testing.T, c Client, key string, want []byte) {
	t.Helper()
	got, found, err := c.Get(t.Context(), key)
	if err != nil || found != (want != nil) || !bytes.Equal(got, want) {
		t.Errorf("the value of %.60s has %d bytes, found %t, %v; want %d", key, len(got), found, err, len(want))
	}
}

// values follows values from their writing to their expiry. Keys may be long, and values have any bytes.
func values(t *testing.T, s Server) {
	one, other := s.Client(t), s.Client(t)
	for name, value := range map[string][]byte{
		"empty": {}, "binary": []byte("\x00\xff\r\n"), "text": []byte(strings.Repeat("مطعم ", 1000)), "random": []byte(rand.Text()),
	} {
		for _, key := range []string{own(name), own(strings.Repeat(name, 600))} {
			s.SetTime(Start)
			expect(t, one, key, nil)
			must(t, one.Set(t.Context(), key, []byte("an earlier value"), time.Hour))
			must(t, one.Set(t.Context(), key, value, time.Minute))
			expect(t, other, key, value)
			s.SetTime(Start.Add(time.Minute - time.Millisecond))
			expect(t, other, key, value)
			s.SetTime(Start.Add(time.Minute))
			expect(t, other, key, nil)
			must(t, other.Set(t.Context(), key, value, time.Minute))
			expect(t, one, key, value)
		}
	}
}

// incompressible returns bytes that can't be compressed.
func incompressible(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// largeValues replaces values of up to 2 MB while they are read: a reader gets one of them whole, or none.
func largeValues(t *testing.T, s Server) {
	one, other := s.Client(t), s.Client(t)
	key := own("large")
	written := [][]byte{
		incompressible(2_000_000), incompressible(500_000), []byte(strings.Repeat("compressible ", 100_000)), incompressible(1_200_000), []byte("short"),
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			value, found, err := other.Get(t.Context(), key)
			if err != nil || found && !slices.ContainsFunc(written, func(w []byte) bool { return bytes.Equal(w, value) }) {
				t.Errorf("a reader got %d bytes that nobody wrote, %v", len(value), err)
				return
			}
		}
	})
	for range 2 {
		for _, value := range written {
			must(t, one.Set(t.Context(), key, value, time.Hour))
			expect(t, one, key, value)
		}
	}
	close(done)
	wg.Wait()
	must(t, one.Set(t.Context(), key, written[0], time.Minute))
	s.SetTime(Start.Add(time.Minute))
	expect(t, one, key, nil)
	if keys := s.Keys(t); slices.ContainsFunc(keys, func(k string) bool { return k == key }) {
		t.Errorf("it is left: %q", keys)
	}
}

func manyAtOnce(t *testing.T, s Server) {
	c := s.Client(t)
	owner := own("")
	written := make(map[string][]byte)
	for i := range 60 {
		written[owner+strconv.Itoa(i)] = []byte(strconv.Itoa(i))
	}
	n, err := c.SetAll(t.Context(), written, time.Minute)
	if err != nil || n != len(written) {
		t.Errorf("%d of %d keys are set, %v", n, len(written), err)
	}
	for key, value := range written {
		expect(t, c, key, value)
	}
	s.SetTime(Start.Add(time.Minute))
	for key := range written {
		expect(t, c, key, nil)
	}
}

func locks(t *testing.T, s Server) {
	c, other := s.Client(t), s.Client(t)
	key := own("lock")
	take := func(c Client, value string, want bool) {
		t.Helper()
		if got, err := c.SetIfAbsent(t.Context(), key, value, time.Minute); err != nil || got != want {
			t.Errorf("%s takes the lock: %t, %v, want %t", value, got, err, want)
		}
	}
	take(c, "one", true)
	take(c, "one", true) // as after a lost answer
	take(other, "other", false)
	must(t, other.DeleteIfEquals(t.Context(), key, "other"))
	take(other, "other", false)
	must(t, c.DeleteIfEquals(t.Context(), key, "one"))
	must(t, c.DeleteIfEquals(t.Context(), key, "one"))
	take(other, "other", true)
	s.SetTime(Start.Add(time.Minute))
	take(c, "one", true)
	expect(t, c, key, []byte("one"))
}

// oneLock lets fifty instances take a lock at once: a free lock, and an expired one.
func oneLock(t *testing.T, s Server) {
	for round := range 4 {
		key := own("lock")
		c := s.Client(t)
		if round%2 == 1 {
			must(t, c.Set(t.Context(), key, []byte("of the dead"), time.Second))
			s.SetTime(Start.Add(time.Duration(round) * time.Minute))
		}
		var mu sync.Mutex
		holders := 0
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				got, err := c.SetIfAbsent(t.Context(), key, fmt.Sprint("holder ", i), time.Minute)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if got {
					holders++
				}
			})
		}
		wg.Wait()
		if holders != 1 {
			t.Errorf("the lock has %d holders", holders)
		}
	}
}

// counts lets three instances count at the same time: each count is returned once.
func counts(t *testing.T, s Server) {
	key, another := own("count"), own("count")
	var mu sync.Mutex
	given := map[int64]int{}
	var wg sync.WaitGroup
	for range 3 {
		c := s.Client(t)
		for range 40 {
			wg.Go(func() {
				n, err := c.Count(t.Context(), key, time.Minute)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				given[n]++
			})
		}
	}
	wg.Wait()
	for n := range int64(120) {
		if given[n+1] != 1 {
			t.Errorf("the count %d is given %d times", n+1, given[n+1])
		}
	}
	if n, err := s.Client(t).Count(t.Context(), another, time.Minute); n != 1 || err != nil {
		t.Errorf("another counter begins with %d, %v", n, err)
	}
	if left := s.TTL(t, key); left != time.Minute {
		t.Errorf("the counter is kept for %v", left)
	}
	s.SetTime(Start.Add(time.Minute))
	if keys := s.Keys(t); len(keys) != 0 {
		t.Errorf("counters are left: %q", keys)
	}
}

// circuits sends the same calls and outcomes to a server and to package circuit's rule, and compares the results.
func circuits(t *testing.T, s Server) {
	c, other := s.Client(t), s.Client(t)
	now := Start
	rapid.Check(t, func(t *rapid.T) {
		ctx, key := context.Background(), own("breaker")
		var state circuit.State
		for i := range rapid.IntRange(1, 40).Draw(t, "calls") {
			if now = now.Add(time.Duration(rapid.IntRange(0, 3_000_000).Draw(t, "µs")) * time.Microsecond); i%2 == 1 {
				c, other = other, c
			}
			s.SetTime(now)
			var pass circuit.Pass
			var wait time.Duration
			state, pass, wait = state.Ask(now)
			gotPass, gotWait, err := c.AskCircuit(ctx, key)
			if err != nil || gotPass != pass || gotWait != wait {
				t.Fatalf("it answers %v, %v, %v; the rule %v, %v", gotPass, gotWait, err, pass, wait)
			}
			outcome := circuit.Outcome{
				Event: rapid.SampledFrom([]circuit.Event{
					circuit.Failed, circuit.Failed, circuit.Failed, circuit.Failed, circuit.Answered, circuit.NotMade,
				}).Draw(t, "event"),
				Asked:   time.Duration(max(0, rapid.IntRange(-9000, 3000).Draw(t, "asked"))) * time.Millisecond,
				Percent: rapid.Int64Range(80, 120).Draw(t, "percent"),
			}
			var pause time.Duration
			switch outcome.Event {
			case circuit.Failed:
				state, pause = state.Fail(now, outcome.Asked, outcome.Percent)
			case circuit.Answered:
				state = circuit.State{}
			case circuit.NotMade:
				state = state.Retract()
			}
			if got, err := c.TellCircuit(ctx, key, outcome); err != nil || got != pause {
				t.Fatalf("after %+v calls stop for %v (%v), by the rule for %v", outcome, got, err, pause)
			}
		}
	})
}

// probes lets fifty calls ask a breaker at once, after its pause, and after a probe's time has passed: one of them becomes
// the probe. After some time, failures are forgotten.
func probes(t *testing.T, s Server) {
	key, c := own("breaker"), s.Client(t)
	for range circuit.After {
		_, err := c.TellCircuit(t.Context(), key, circuit.Outcome{Event: circuit.Failed, Percent: 100})
		must(t, err)
	}
	for round := range 3 {
		s.SetTime(Start.Add(time.Duration(round+1) * (circuit.ProbeTime + time.Second)))
		var mu sync.Mutex
		passes := map[circuit.Pass]int{}
		var wg sync.WaitGroup
		for range 5 {
			instance := s.Client(t)
			for range 2 {
				wg.Go(func() {
					pass, _, err := instance.AskCircuit(t.Context(), key)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					passes[pass]++
				})
			}
		}
		wg.Wait()
		if diff := cmp.Diff(map[circuit.Pass]int{circuit.Probing: 1, circuit.Stopped: 9}, passes); diff != "" {
			t.Errorf("passes (-want +got):\n%s", diff)
		}
	}
	s.SetTime(Start.Add(circuit.KeepFor))
	if pass, _, err := c.AskCircuit(t.Context(), key); err != nil || pass != circuit.Passed {
		t.Errorf("after %v without a failure: %v, %v", circuit.KeepFor, pass, err)
	}
}

// starts sends the same requests to a server and to package startlog's rule, and compares the answers. The clocks go back and
// forth, logs are lost, and callers know more than the log.
func starts(t *testing.T, s Server) {
	c, other := s.Client(t), s.Client(t)
	rapid.Check(t, func(t *rapid.T) {
		key := own("starts")
		var log startlog.Log
		now := Start.UnixMicro()
		r := startlog.Request{Rate: rapid.IntRange(1, 40).Draw(t, "rate"), Per: 60_000_000}
		var epochs []int64
		asked := false
		for i := range rapid.IntRange(1, 60).Draw(t, "requests") {
			later := rapid.SampledFrom([]int64{0, 1, 700_000, 3_000_000, 20_000_000, 45_000_000, -100_000, -5_000_000}).Draw(t, "later")
			if !asked { // a caller that must offer its starts does so at once
				now += later
			}
			s.SetTime(time.UnixMicro(now))
			if rapid.IntRange(0, 19).Draw(t, "loss") == 0 {
				key, log = own("starts"), startlog.Log{}
			}
			if i%2 == 1 {
				c, other = other, c
			}
			r.Name = fmt.Sprint("m", rapid.IntRange(0, 50).Draw(t, "name"))
			r.At = rapid.SampledFrom([]int64{0, now}).Draw(t, "at")
			r.Epoch = rapid.SampledFrom(append(epochs, 0)).Draw(t, "epoch")
			r.Fresh = rapid.Int64Range(1, 1<<50-1).Draw(t, "fresh")
			r.Offer = rapid.SampledFrom([]startlog.Offer{startlog.Nothing, startlog.Nothing, startlog.Starts, startlog.All}).Draw(t, "offer")
			if r.Ages, r.Older = nil, 0; r.Offer != startlog.Nothing {
				r.Ages = rapid.SliceOfN(rapid.Int64Range(0, 59_999_999), 0, 30).Draw(t, "ages")
			}
			if r.Offer == startlog.All {
				r.Older = rapid.IntRange(0, 5).Draw(t, "older")
			}
			got, err := c.Start(context.Background(), key, r)
			if err != nil {
				t.Fatal(err)
			}
			want := log.Ask(now, s.Seen(r))
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("the answer to %+v (-rule +server):\n%s", r, diff)
			}
			if asked = got.MustOffer; !asked {
				epochs = append(epochs, got.Epoch)
			}
		}
	})
}

// burst lets six instances ask for sixty starts at once. Twenty start at once, twenty are given moments in the next period,
// and twenty in the period after that.
func burst(t *testing.T, s Server) {
	key := own("starts")
	var mu sync.Mutex
	periods := map[int64]int{}
	var wg sync.WaitGroup
	for instance := range 6 {
		c := s.Client(t)
		wg.Go(func() { // one request at a time for each instance, as a limiter sends them
			for i := range 10 {
				r := startlog.Request{Name: fmt.Sprint(instance, "-", i), Rate: 20, Per: 60_000_000, Fresh: int64(instance + 1)}
				answer, err := c.Start(t.Context(), key, r)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				periods[(answer.Wait+59_999_999)/60_000_000]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	first := int64(0)
	if s.Margin() > 0 {
		first = 1 // a period with its margin is longer than 60 s
	}
	want := map[int64]int{0: 20, first + 1: 20, first + 2: 20}
	if diff := cmp.Diff(want, periods); diff != "" {
		t.Errorf("starts by period (-want +got):\n%s", diff)
	}
}
