package valkey

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/circuit"
	"github.com/sufrah/usage-bootstrap/internal/startlog"
)

// TestStartScriptIsTheRule has the script and startlog's rule answer the same requests, with clocks that go back and forth, logs
// that are lost, and callers that know more than the log.
func TestStartScriptIsTheRule(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	c := setup(t, redis.Addr())
	rapid.Check(t, func(t *rapid.T) {
		redis.FlushAll()
		var log startlog.Log
		now := int64(1_795_435_200_000_000)
		r := startlog.Request{Rate: rapid.IntRange(1, 40).Draw(t, "rate"), Per: 60_000_000}
		var epochs []int64
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now += rapid.SampledFrom([]int64{0, 1, 700_000, 3_000_000, 20_000_000, 61_000_000, -100_000, -5_000_000}).Draw(t, "later")
			redis.SetTime(time.UnixMicro(now))
			if rapid.IntRange(0, 19).Draw(t, "loss") == 0 {
				redis.FlushAll()
				log = startlog.Log{}
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
			got, err := c.Start(context.Background(), "{k}", r)
			if err != nil {
				t.Fatal(err)
			}
			want := log.Ask(now, r)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("the script's answer to %+v (-rule +script):\n%s", r, diff)
			}
			if !got.MustOffer {
				epochs = append(epochs, got.Epoch)
			}
		}
	})
}

// TestCircuitScriptsAreTheRule has the scripts and circuit's rule take the same calls and their outcomes.
func TestCircuitScriptsAreTheRule(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	c := setup(t, redis.Addr())
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		redis.FlushAll()
		var state circuit.State
		now := time.UnixMilli(1_795_435_200_000)
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3_000_000).Draw(t, "µs")) * time.Microsecond)
			redis.SetTime(now)
			var pass circuit.Pass
			var wait time.Duration
			state, pass, wait = state.Ask(now)
			gotPass, gotWait, err := c.AskCircuit(ctx, "{k}")
			if err != nil || gotPass != pass || gotWait != wait {
				t.Fatalf("the script answers %v, %v, %v; the rule %v, %v", gotPass, gotWait, err, pass, wait)
			}
			outcome := circuit.Outcome{
				Event:   rapid.SampledFrom([]circuit.Event{circuit.Failed, circuit.Failed, circuit.Failed, circuit.Failed, circuit.Answered, circuit.NotMade}).Draw(t, "event"),
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
			if got, err := c.TellCircuit(ctx, "{k}", outcome); err != nil || got != pause {
				t.Fatalf("after %+v the script stops calls for %v (%v), the rule for %v", outcome, got, err, pause)
			}
		}
	})
}
