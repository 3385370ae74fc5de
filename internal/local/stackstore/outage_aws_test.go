//go:build aws

package stackstore_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/test/faultproxy"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// newNetwork returns a network to the server, without faults at first.
func newNetwork(t *testing.T, server string) *faultproxy.Network {
	t.Helper()
	n, err := faultproxy.New(server)
	must(t, err)
	t.Cleanup(n.Close)
	return n
}

// through returns the stack as another process reaches it through the network.
func (s stack) through(n *faultproxy.Network) stack {
	s.config = newConfig("http://" + n.Address())
	return s
}

const (
	threeTimeOuts = 3 * 2 * time.Second // of the three attempts that the SDK's client makes
	margin        = 2 * time.Second     // for the pauses between attempts, on a busy machine
)

// TestEngineOutages: in any fault of the network, calls end in time as outages, and the first call afterwards succeeds. A
// message whose recording was cut off is counted once.
func TestEngineOutages(t *testing.T) {
	t.Parallel()
	const patience = time.Second // the callers' deadline in cases in which they give up
	for name, test := range map[string]struct {
		weather faultproxy.Weather
		gives   bool // whether the callers give up
		atMost  time.Duration
	}{
		"refused":                      {faultproxy.Weather{Refuses: true}, false, margin},
		"reset":                        {faultproxy.Weather{Reset: true}, false, margin},
		"cut in an answer's header":    {faultproxy.Weather{Cut: 20}, false, margin},
		"cut in an answer's body":      {faultproxy.Weather{Cut: 230}, false, margin},
		"half-open":                    {faultproxy.Weather{Silent: true}, false, threeTimeOuts + margin},
		"half-open, and callers leave": {faultproxy.Weather{Silent: true}, true, patience + margin},
		"too slow for its callers":     {faultproxy.Weather{Delay: 10 * time.Second}, true, patience + margin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			n := newNetwork(t, strings.TrimPrefix(*s.config.BaseEndpoint, "http://"))
			s = s.through(n)
			store := s.store(s)
			recorder := store.Recorder(usage.NewCalendar(nil))
			record := func(ctx context.Context) error {
				_, err := storetest.Record(ctx, recorder, conversation.Message{
					ID: "m1", RestaurantID: "r00001", Customer: "+966500000001", ReceivedAt: start, Delivery: "d",
				})
				return err
			}
			read := func(ctx context.Context) error { _, err := store.Directory(ctx); return err }
			must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), nil))

			must(t, n.Turn(test.weather))
			var wg sync.WaitGroup
			for what, call := range map[string]func(context.Context) error{"a read": read, "a write": record} {
				wg.Go(func() {
					ctx := t.Context()
					if test.gives {
						limited, cancel := context.WithTimeout(ctx, patience)
						defer cancel()
						ctx = limited
					}
					begin := time.Now()
					wantUnavailable(t, what, call(ctx), begin, test.atMost)
				})
			}
			wg.Wait()
			must(t, n.Turn(faultproxy.Weather{}))
			must(t, read(t.Context()))
			must(t, record(t.Context()))
			stored, err := store.Usage(t.Context(), "r00001", []usage.Month{november})
			must(t, err)
			wantSame(t, "conversations", stored.Months[november].Conversations, 1)
		})
	}
}

// TestEngineSlowNetwork: calls that are slow but end in time succeed.
func TestEngineSlowNetwork(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	n := newNetwork(t, strings.TrimPrefix(*s.config.BaseEndpoint, "http://"))
	s = s.through(n)
	const delay = 300 * time.Millisecond
	must(t, n.Turn(faultproxy.Weather{Delay: delay}))
	begin := time.Now()
	must(t, s.store(s).CreateRestaurant(t.Context(), storetest.Restaurant(1), nil))
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("two round trips took %v: the network isn't slow", took)
	}
}

// TestEngineForgottenConnections: a dead connection delays the calls that use it, and no others.
func TestEngineForgottenConnections(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	n := newNetwork(t, strings.TrimPrefix(*s.config.BaseEndpoint, "http://"))
	s = s.through(n)
	store := s.store(s)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := store.Directory(t.Context()); err != nil {
				t.Errorf("reading the directory: %v", err)
			}
		})
	}
	wg.Wait()
	connections := n.Forget()
	failures := 0
	for begin := time.Now(); ; failures++ {
		_, err := store.Directory(t.Context())
		if err == nil {
			break
		}
		wantUnavailable(t, "a call on dead connections", err, begin, threeTimeOuts+margin)
		begin = time.Now()
	}
	t.Logf("%d calls failed on %d dead connections", failures, connections)
	if failures > 1 {
		t.Errorf("%d calls failed on %d dead connections, each of which three attempts should have used up", failures, connections)
	}
}
