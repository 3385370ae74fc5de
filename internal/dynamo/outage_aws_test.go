//go:build aws

package dynamo_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/dynamo"
	"github.com/sufrah/usage-bootstrap/internal/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// weather is how a network treats the connections through it.
type weather struct {
	delay   time.Duration // of each piece of an answer
	silent  bool          // takes what is sent, and answers nothing
	reset   bool          // ends each connection when something is sent
	cut     int           // ends each answer after so many bytes; 0 lets all of it pass
	refuses bool          // takes no connection
}

// network is what lies between a client and a server.
type network struct {
	server, address string

	mu          sync.Mutex
	weather     weather
	listener    net.Listener
	connections map[*net.TCPConn]*weather // the clients', each with its own weather where it isn't the network's
}

// newNetwork returns a network to the server, in fine weather.
func newNetwork(t *testing.T, server string) *network {
	t.Helper()
	n := &network{server: server, address: "127.0.0.1:0", connections: make(map[*net.TCPConn]*weather)}
	n.listen(t)
	t.Cleanup(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		_ = n.listener.Close()
		for connection := range n.connections {
			_ = connection.Close()
		}
	})
	return n
}

func (n *network) listen(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", n.address)
	must(t, err)
	n.listener, n.address = listener, listener.Addr().String()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go n.pass(connection.(*net.TCPConn))
		}
	}()
}

// turn changes the weather for all connections, those that exist and those to come.
func (n *network) turn(t *testing.T, to weather) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if to.refuses != n.weather.refuses {
		if to.refuses {
			_ = n.listener.Close()
			for connection := range n.connections {
				_ = connection.Close()
			}
		} else {
			n.listen(t)
		}
	}
	n.weather = to
}

// forget turns the connections that exist silent for ever, as a network does that has lost track of them.
func (n *network) forget() (connections int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for connection := range n.connections {
		n.connections[connection] = &weather{silent: true}
	}
	return len(n.connections)
}

func (n *network) around(client *net.TCPConn) weather {
	n.mu.Lock()
	defer n.mu.Unlock()
	if own := n.connections[client]; own != nil {
		return *own
	}
	return n.weather
}

func (n *network) pass(client *net.TCPConn) {
	server, err := net.Dial("tcp", n.server)
	if err != nil {
		_ = client.Close()
		return
	}
	n.mu.Lock()
	n.connections[client] = nil
	n.mu.Unlock()
	go func() {
		_, _ = io.Copy(answerTo{client, n}, server)
		_ = client.Close()
	}()
	_, _ = io.Copy(requestFrom{server, client, n}, client)
	_ = server.Close()
	n.mu.Lock()
	delete(n.connections, client)
	n.mu.Unlock()
}

// answerTo sends a client what its weather lets pass.
type answerTo struct {
	client  *net.TCPConn
	network *network
}

func (a answerTo) Write(p []byte) (int, error) {
	w := a.network.around(a.client)
	time.Sleep(w.delay)
	switch {
	case w.silent:
		return len(p), nil
	case w.cut > 0:
		_, _ = a.client.Write(p[:min(len(p), w.cut)])
		return 0, a.client.Close()
	}
	return a.client.Write(p)
}

// requestFrom sends the server what its client's weather lets pass.
type requestFrom struct {
	server  net.Conn
	client  *net.TCPConn
	network *network
}

func (q requestFrom) Write(p []byte) (int, error) {
	w := q.network.around(q.client)
	switch {
	case w.silent:
		return len(p), nil
	case w.reset:
		_ = q.client.SetLinger(0)
		return 0, q.client.Close()
	}
	return q.server.Write(p)
}

// through returns the stack as it is reached through the network, by a process of its own.
func (s stack) through(n *network) stack {
	s.config = newConfig("http://" + n.address)
	return s
}

const (
	threeTimeOuts = 3 * 2 * time.Second // of the SDK's client, for its attempts
	margin        = 2 * time.Second     // for the pauses between attempts, on a machine that is busy
)

// TestEngineOutages: whatever happens to the network, calls end in time as outages, and the first one after it succeeds.
// A message that was cut off is counted once.
func TestEngineOutages(t *testing.T) {
	t.Parallel()
	const patience = time.Second // what callers wait for where the case has them give up
	for name, test := range map[string]struct {
		weather weather
		gives   bool // the callers give up
		atMost  time.Duration
	}{
		"refused":                      {weather{refuses: true}, false, margin},
		"reset":                        {weather{reset: true}, false, margin},
		"cut in an answer's header":    {weather{cut: 20}, false, margin},
		"cut in an answer's body":      {weather{cut: 230}, false, margin},
		"half-open":                    {weather{silent: true}, false, threeTimeOuts + margin},
		"half-open, and callers leave": {weather{silent: true}, true, patience + margin},
		"too slow for its callers":     {weather{delay: 10 * time.Second}, true, patience + margin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			n := newNetwork(t, strings.TrimPrefix(*s.config.BaseEndpoint, "http://"))
			s = s.through(n)
			store := s.store(s)
			recorder := dynamo.NewRecorder(store, usage.NewCalendar(nil))
			record := func(ctx context.Context) error {
				_, err := recorder.Record(ctx, conversation.Message{
					ID: "m1", RestaurantID: "r00001", Customer: "+966500000001", ReceivedAt: start, Delivery: "d",
				})
				return err
			}
			read := func(ctx context.Context) error { _, err := store.Directory(ctx); return err }
			must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), nil))

			n.turn(t, test.weather)
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
			n.turn(t, weather{})
			must(t, read(t.Context()))
			must(t, record(t.Context()))
			stored, err := store.Usage(t.Context(), "r00001", []usage.Month{november})
			must(t, err)
			wantSame(t, "conversations", stored.Months[november].Conversations, 1)
		})
	}
}

// TestEngineSlowNetwork: what is slow and still in time succeeds.
func TestEngineSlowNetwork(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	n := newNetwork(t, strings.TrimPrefix(*s.config.BaseEndpoint, "http://"))
	s = s.through(n)
	const delay = 300 * time.Millisecond
	n.turn(t, weather{delay: delay})
	begin := time.Now()
	must(t, s.store(s).CreateRestaurant(t.Context(), storetest.Restaurant(1), nil))
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("two round trips took %v: the network isn't slow", took)
	}
}

// TestEngineForgottenConnections: connections that lead nowhere cost the calls that use them, and no others.
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
				t.Error(err)
			}
		})
	}
	wg.Wait()
	connections := n.forget()
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
