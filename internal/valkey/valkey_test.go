package valkey

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/outage"
)

// patience bounds how long a test waits for success, so that a busy machine doesn't fail it.
const patience = 10 * time.Second

// setup returns a client of the address, with shorter pauses than in production.
func setup(t *testing.T, address string, change ...func(*Config)) *Client {
	t.Helper()
	config := Config{Address: address, DialTimeout: patience, CommandTimeout: patience}
	for _, c := range change {
		c(&config)
	}
	client, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	client.pause = 50 * time.Millisecond
	t.Cleanup(client.Close)
	return client
}

func cluster(c *Config) { c.ClusterMode = true }

// eachMode runs a test with a client of a single server and with a client of a cluster.
func eachMode(t *testing.T, test func(t *testing.T, mode func(*Config))) {
	for name, mode := range map[string]func(*Config){"single": func(*Config) {}, "cluster": cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, mode)
		})
	}
}

func get(t *testing.T, c *Client, key string) string {
	t.Helper()
	value, found, err := c.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if !found {
		return "none"
	}
	return string(value)
}

func TestCommands(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, mode func(*Config)) {
		m := miniredis.RunT(t)
		c := setup(t, m.Addr(), mode)
		ctx := t.Context()

		if got := get(t, c, "a"); got != "none" {
			t.Errorf("a key that was never set has the value %q", got)
		}
		binary := "\x00\xff\r\n" + strings.Repeat("x", 100_000)
		if err := c.Set(ctx, "a", []byte(binary), 1500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if got := get(t, c, "a"); got != binary {
			t.Errorf("got %d bytes, want the %d that were set", len(got), len(binary))
		}
		if err := c.Set(ctx, "empty", nil, time.Minute); err != nil || get(t, c, "empty") != "" {
			t.Errorf("an empty value: %q, %v", get(t, c, "empty"), err)
		}
		m.FastForward(1499 * time.Millisecond)
		if get(t, c, "a") == "none" {
			t.Error("the value is gone before its time")
		}
		m.FastForward(time.Millisecond)
		if get(t, c, "a") != "none" {
			t.Error("the value outlives its time")
		}

		for i, try := range []struct {
			value string
			want  bool
		}{{"0", true}, {"1", false}, {"0", true}} { // the holder may set its own value again, after a lost answer
			if set, err := c.SetIfAbsent(ctx, "lock", try.value, time.Second); err != nil || set != try.want {
				t.Errorf("SetIfAbsent %d = %t, %v, want %t", i, set, err, try.want)
			}
		}
		if ttl := m.TTL("lock"); ttl != time.Second {
			t.Errorf("the lock's time to live is %v, want 1s", ttl)
		}
		if err := c.DeleteIfEquals(ctx, "lock", "1"); err != nil || get(t, c, "lock") != "0" {
			t.Errorf("another's lock was deleted (%v)", err)
		}
		if err := c.DeleteIfEquals(ctx, "lock", "0"); err != nil || get(t, c, "lock") != "none" {
			t.Errorf("one's own lock was not deleted (%v)", err)
		}

		n, err := c.SetAll(ctx, map[string][]byte{"{s}a": []byte("1"), "{s}b": []byte("2")}, time.Minute)
		if err != nil || n != 2 || get(t, c, "{s}a")+get(t, c, "{s}b") != "12" {
			t.Errorf("SetAll = %d, %v", n, err)
		}
		if n, err := c.SetAll(ctx, nil, time.Minute); n != 0 || err != nil {
			t.Errorf("SetAll of nothing = %d, %v", n, err)
		}
	})
}

func TestEvalSendsAScriptOnce(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	c := setup(t, m.Addr())
	var mu sync.Mutex
	sent := map[string]int{}
	m.Server().SetPreHook(func(_ *server.Peer, command string, _ ...string) bool {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(command, "EVAL") {
			sent[command]++
		}
		return false
	})
	const script = `return redis.call('INCRBY', KEYS[1], ARGV[1])`
	for i := range 3 {
		if n, err := c.Eval(t.Context(), script, []string{"n"}, "5"); err != nil || n != int64(5*i+5) {
			t.Errorf("Eval = %d, %v, want %d", n, err, 5*i+5)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(map[string]int{"EVALSHA": 3, "EVAL": 1}, sent); diff != "" {
		t.Errorf("commands sent (-want +got):\n%s", diff)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]Config{
		"no address":           {},
		"no port":              {Address: "cache.example.com"},
		"a negative time-out":  {Address: "cache.example.com:6379", DialTimeout: -1},
		"a user without token": {Address: "cache.example.com:6379", Username: "app"},
	} {
		if _, err := New(config); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestNewDialsNothing(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	r := newRelay(t, m.Addr())
	c := setup(t, r.address())
	if n := r.accepted.Load(); n != 0 {
		t.Errorf("New made %d connections", n)
	}
	for range 3 {
		get(t, c, "a")
	}
	if n := r.accepted.Load(); n != 1 {
		t.Errorf("three commands made %d connections, want 1", n)
	}
}

func TestConnectionsAreFew(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, mode func(*Config)) {
		m := miniredis.RunT(t)
		c := setup(t, m.Addr(), mode)
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if err := c.Set(t.Context(), strconv.Itoa(i), []byte("x"), time.Minute); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		// A cluster's driver asks for the nodes on a connection of its own.
		if n := m.TotalConnectionCount(); n > maxConnections+1 {
			t.Errorf("1,000 commands at once made %d connections", n)
		}
		if n := len(m.Keys()); n != 1000 {
			t.Errorf("%d of 1,000 keys were set", n)
		}
	})
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, mode func(*Config)) {
		m := miniredis.RunT(t)
		m.RequireUserAuth("app", "token-2")
		var mu sync.Mutex
		calls, token := 0, "token-2"
		c := setup(t, m.Addr(), mode, func(config *Config) {
			config.Username = "app"
			config.Token = func(ctx context.Context) (string, error) {
				if _, ok := ctx.Deadline(); !ok {
					t.Error("a token may take for ever")
				}
				mu.Lock()
				defer mu.Unlock()
				calls++
				if token == "" {
					return "", errors.New("no role")
				}
				return token, nil
			}
		})
		if err := c.Set(t.Context(), "a", []byte("1"), time.Minute); err != nil {
			t.Fatal(err)
		}
		first := calls
		c.Close()
		if get(t, c, "a") != "1" || calls != 2*first {
			t.Errorf("a new connection was made with an old token: %d tokens, before %d", calls, first)
		}
		for _, wrong := range []string{"token-1", ""} {
			c.Close()
			mu.Lock()
			token = wrong
			mu.Unlock()
			if _, _, err := c.Get(t.Context(), "a"); !errors.Is(err, outage.ErrUnavailable) || strings.Contains(err.Error(), "token-") {
				t.Errorf("token %q: %v", wrong, err)
			}
			if _, _, err := c.Get(t.Context(), "a"); !errors.Is(err, errPaused) {
				t.Errorf("after a refusal: %v, want a pause", err)
			}
			time.Sleep(c.pause)
		}
	})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	certified := httptest.NewTLSServer(nil)
	t.Cleanup(certified.Close)
	m := miniredis.NewMiniRedis()
	if err := m.StartTLS(&tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	eachMode(t, func(t *testing.T, mode func(*Config)) {
		trusting := setup(t, m.Addr(), mode, func(c *Config) { c.TLS = &tls.Config{RootCAs: roots} })
		if err := trusting.Set(t.Context(), "a", []byte("1"), time.Minute); err != nil {
			t.Fatal(err)
		}
		strict := setup(t, m.Addr(), mode, func(c *Config) { c.TLS = &tls.Config{} })
		if _, _, err := strict.Get(t.Context(), "a"); !errors.Is(err, outage.ErrUnavailable) {
			t.Errorf("with a certificate that nobody vouches for: %v", err)
		}
	})
}

// TestServerDownFailsFastAndHeals takes the server away before the first command and again later.
func TestServerDownFailsFastAndHeals(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, mode func(*Config)) {
		m := miniredis.RunT(t)
		failed := 0
		c := setup(t, m.Addr(), mode, func(c *Config) { c.Failed = func() { failed++ } })
		m.Close()
		for i := range 3 {
			start := time.Now()
			for range 100 {
				if _, _, err := c.Get(t.Context(), "a"); !errors.Is(err, outage.ErrUnavailable) {
					t.Fatalf("Get from nowhere: %v", err)
				}
			}
			if took := time.Since(start); took > patience {
				t.Fatalf("100 commands to a server that is down took %v", took)
			}
			if want := 100 * (i + 1); failed != want {
				t.Fatalf("told of %d failures so far, want %d", failed, want)
			}
			if err := m.Restart(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(c.pause)
			if err := c.Set(t.Context(), "a", []byte("1"), time.Minute); err != nil {
				t.Fatalf("the server is up again: %v", err)
			}
			m.Close()
		}
	})
}

// TestSilentServer: a server accepts connections and never answers, from the first or from the second command on.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, mode func(*Config)) {
		for _, answersFirst := range []bool{false, true} {
			m := miniredis.RunT(t)
			r := newRelay(t, m.Addr())
			tellRelay(m, r)
			c := setup(t, r.address(), mode, func(c *Config) {
				c.DialTimeout, c.CommandTimeout = 100*time.Millisecond, 100*time.Millisecond
			})
			c.pause = time.Minute
			if answersFirst {
				get(t, c, "a")
			}
			r.silent.Store(true)
			start := time.Now()
			if _, _, err := c.Get(t.Context(), "a"); !errors.Is(err, outage.ErrUnavailable) {
				t.Errorf("a silent server: %v", err)
			}
			if took := time.Since(start); took > patience {
				t.Errorf("a silent server cost %v", took)
			}
			start = time.Now()
			for range 100 {
				if _, _, err := c.Get(t.Context(), "a"); !errors.Is(err, errPaused) {
					t.Fatalf("after a time-out: %v, want a pause", err)
				}
			}
			if took := time.Since(start); took > patience/2 {
				t.Errorf("100 commands during the pause took %v", took)
			}
			r.silent.Store(false)
			c.left.Judge(false, 0) // ends the pause at once
			if got := get(t, c, "a"); got != "none" {
				t.Errorf("after the pause: %q", got)
			}
		}
	})
}

// TestAfterThePauseOneCommandAsks: a single command bears the cost of finding out whether the server answers again.
func TestAfterThePauseOneCommandAsks(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	r := newRelay(t, m.Addr())
	r.silent.Store(true)
	c := setup(t, r.address(), func(c *Config) { c.DialTimeout, c.CommandTimeout = time.Second, time.Second })
	if _, _, err := c.Get(t.Context(), "a"); err == nil {
		t.Fatal("a silent server answered")
	}
	time.Sleep(c.pause)
	var mu sync.Mutex
	paused := 0
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, _, err := c.Get(t.Context(), "a")
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, errPaused) {
				paused++
			}
		})
	}
	wg.Wait()
	if paused != 19 {
		t.Errorf("%d of 20 commands asked", 20-paused)
	}
}

func TestContextEndsFirst(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	r := newRelay(t, m.Addr())
	c := setup(t, r.address())
	get(t, c, "a")
	r.silent.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, _, err := c.Get(ctx, "a")
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("the context's deadline: %v", err)
	}
	if took := time.Since(start); took >= patience {
		t.Errorf("the context's deadline of 20ms was noticed after %v", took)
	}
	r.silent.Store(false)
	if got := get(t, c, "a"); got != "none" { // the earlier caller says nothing about the server, so it is asked
		t.Errorf("the next command: %q", got)
	}
	done, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := c.Get(done, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// TestConnectionsClosedWhileIdle closes all of a client's connections, as a server does with idle ones.
func TestConnectionsClosedWhileIdle(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	r := newRelay(t, m.Addr())
	c := setup(t, r.address())
	for round := range 20 {
		var wg sync.WaitGroup
		for i := range 2 * maxConnections {
			wg.Go(func() {
				if err := c.Set(t.Context(), strconv.Itoa(i), []byte("x"), time.Minute); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
		r.cut(round%2 == 0)
	}
}

func TestIdleConnectionsAreNotTrusted(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	r := newRelay(t, m.Addr())
	c := setup(t, r.address())
	c.maxIdle = 30 * time.Millisecond
	get(t, c, "a")
	time.Sleep(2 * c.maxIdle)
	r.mu.Lock() // a device in between has forgotten the connection and answers nothing on it
	forgotten := r.conns
	r.conns = nil
	r.mu.Unlock()
	start := time.Now()
	get(t, c, "a")
	if took := time.Since(start); r.accepted.Load() != 2 || took > patience {
		t.Errorf("%d connections, %v", r.accepted.Load(), took)
	}
	for _, conn := range forgotten {
		_ = conn.Close()
	}
}

// TestErrorReplies: after an error reply the server is asked again at once.
func TestErrorReplies(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{
		"OOM command not allowed when used memory > 'maxmemory'.",
		"LOADING Valkey is loading the dataset in memory",
		"CLUSTERDOWN Hash slot not served",
		"READONLY You can't write against a read only replica.",
		"NOPERM this user has no permissions to run the 'set' command",
	} {
		eachMode(t, func(t *testing.T, mode func(*Config)) {
			m := miniredis.RunT(t)
			c := setup(t, m.Addr(), mode)
			m.Server().SetPreHook(func(peer *server.Peer, command string, args ...string) bool {
				refused := command == "SET" && args[0] == "{s}refused"
				if refused {
					peer.WriteError(reply)
				}
				return refused
			})
			err := c.Set(t.Context(), "{s}refused", []byte("x"), time.Minute)
			if !errors.Is(err, outage.ErrUnavailable) || !strings.Contains(err.Error(), strings.Fields(reply)[0]) {
				t.Errorf("%s: %v", reply, err)
			}
			values := map[string][]byte{"{s}a": []byte("1"), "{s}refused": []byte("2"), "{s}b": []byte("3")}
			if n, err := c.SetAll(t.Context(), values, time.Minute); n != 2 || !errors.Is(err, outage.ErrUnavailable) {
				t.Errorf("%s: SetAll = %d, %v, want the other two set", reply, n, err)
			}
			if got := get(t, c, "{s}a") + get(t, c, "{s}b"); got != "13" {
				t.Errorf("%s: the others have %q", reply, got)
			}
		})
	}
}

// TestMovedKeys: the server redirects the client, to another server or in circles.
func TestMovedKeys(t *testing.T) {
	t.Parallel()
	m, other := miniredis.RunT(t), miniredis.RunT(t)
	c := setup(t, m.Addr(), cluster)
	send := func(from *miniredis.Miniredis, to string) {
		from.Server().SetPreHook(func(peer *server.Peer, command string, _ ...string) bool {
			if command == "SET" {
				peer.WriteError("MOVED 15495 " + to)
			}
			return command == "SET"
		})
	}
	send(m, other.Addr())
	if err := c.Set(t.Context(), "a", []byte("1"), time.Minute); err != nil || !other.Exists("a") {
		t.Errorf("a key that has moved: %v", err)
	}
	send(other, m.Addr())
	if err := c.Set(t.Context(), "b", []byte("1"), time.Minute); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("a key that moves for ever: %v", err)
	}
}
