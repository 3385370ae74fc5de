// Package valkey reaches the cache: an ElastiCache, or any other server that speaks the protocol of Valkey and Redis.
//
// It is made for a Lambda function: a process that serves one invocation at a time and is frozen in between. Nothing is
// dialed before the first command. Each running command has a connection to itself. The driver could share a connection
// between commands, through goroutines in the background; that gains nothing here, and its reader has panicked in thawed
// processes (valkey-go issues 77 and 79). If the server can't be reached, a command costs one time-out; in the second after
// that, commands fail at once.
package valkey

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	driver "github.com/valkey-io/valkey-go"

	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// The time-outs of a Config's zero values. Within a region, a connection takes some milliseconds and a command less than one.
const (
	DefaultDialTimeout    = 300 * time.Millisecond
	DefaultCommandTimeout = 250 * time.Millisecond
)

const (
	// pause is how long a server is left alone after it failed.
	pause = time.Second
	// maxIdle is how long an unused connection is trusted. Devices on the way may drop a connection that is idle for longer,
	// without telling either end. A command on a dropped connection costs a time-out, a new connection only milliseconds.
	maxIdle = time.Minute
)

// errPaused says that the server was not asked, because it failed a moment ago.
var errPaused = errors.New("the server failed a moment ago and is not asked again yet")

// errUnreadable says that the server's reply doesn't follow the protocol.
var errUnreadable = errors.New("the reply can't be read")

// Config describes a server and how to connect to it.
type Config struct {
	Address string // host:port; for a cluster its configuration endpoint
	// ClusterMode is for servers that distribute their keys over slots; serverless ElastiCache always does.
	ClusterMode bool
	TLS         *tls.Config // nil connects without TLS, which ElastiCache with IAM, or serverless, doesn't allow
	Username    string      // "" is the default user
	// Token returns the password of a new connection, as IAM.Token does; nil connects without a password.
	Token          func(context.Context) (string, error)
	DialTimeout    time.Duration // of a new connection, TLS included; 0 means DefaultDialTimeout
	CommandTimeout time.Duration // of a command and its answer; 0 means DefaultCommandTimeout
	// Failed is called for each command that the server failed, or that was not sent because of an earlier failure. It isn't
	// called if the command's context had ended. It may be nil.
	Failed func()
}

// Client sends commands to a server. It is safe for concurrent use.
//
// A few commands run at once; the others wait for their turn. A command ends at its context's deadline or after the config's
// time-outs, whichever is first. If its context is cancelled earlier, it ends after the current round trip. Every error wraps
// outage.ErrUnavailable or the error of the command's own context.
//
// If a command's connection was closed, or leads to a server that accepts no more writes, the command is repeated once on a
// new connection. If the server had already run the first attempt, the command runs twice.
type Client struct {
	config  Config
	pause   time.Duration
	maxIdle time.Duration
	turns   chan struct{} // holds an entry for each running command
	left    outage.Pause  // leaves the server alone for a while after a failure

	mu      sync.Mutex
	current *session // nil before the first command and after a failure
}

// New returns a client, or an error that describes the config's fault. It doesn't dial, so the server may be down at first.
func New(config Config) (*Client, error) {
	if _, _, err := net.SplitHostPort(config.Address); err != nil {
		return nil, fmt.Errorf("the cache's address is not host:port: %w", err)
	}
	if config.DialTimeout < 0 || config.CommandTimeout < 0 {
		return nil, errors.New("a time-out of the cache is negative")
	}
	if config.Username != "" && config.Token == nil {
		return nil, errors.New("the cache's user has no token")
	}
	config.DialTimeout = cmp.Or(config.DialTimeout, DefaultDialTimeout)
	config.CommandTimeout = cmp.Or(config.CommandTimeout, DefaultCommandTimeout)
	if config.TLS != nil {
		config.TLS = config.TLS.Clone()
		if config.TLS.ClientSessionCache == nil {
			config.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(0) // thawed processes reconnect often
		}
	}
	return &Client{config: config, pause: pause, maxIdle: maxIdle, turns: make(chan struct{}, maxConnections)}, nil
}

// Close ends the connections. Running commands fail; later commands connect again.
func (c *Client) Close() {
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	if s != nil {
		c.drop(s)
	}
}

// Get returns the key's value; found is false if it has none.
func (c *Client) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	err = c.do(ctx, "GET", func(ctx context.Context, d driver.Client) error {
		var err error
		value, err = d.Do(ctx, d.B().Get().Key(key).Build()).AsBytes()
		if found = err == nil; driver.IsValkeyNil(err) {
			return nil
		}
		return err
	})
	return value, found, err
}

// Set gives the key a value for ttl, which is a millisecond or longer.
func (c *Client) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.do(ctx, "SET", func(ctx context.Context, d driver.Client) error {
		return d.Do(ctx, set(d, key, value, ttl)).Error()
	})
}

// SetAll gives each key its value for ttl, in one round trip if all keys share a slot. It returns the number of keys set. If
// that is fewer than all, it also returns the error of a key that wasn't set.
func (c *Client) SetAll(ctx context.Context, values map[string][]byte, ttl time.Duration) (n int, err error) {
	err = c.do(ctx, "SET", func(ctx context.Context, d driver.Client) error {
		commands := make(driver.Commands, 0, len(values))
		for key, value := range values {
			commands = append(commands, set(d, key, value, ttl))
		}
		n = 0
		var failure error
		for _, result := range d.DoMulti(ctx, commands...) {
			if err := result.Error(); err != nil {
				failure = err
			} else {
				n++
			}
		}
		return failure
	})
	return n, err
}

func set(d driver.Client, key string, value []byte, ttl time.Duration) driver.Completed {
	return d.B().Set().Key(key).Value(driver.BinaryString(value)).Px(ttl).Build()
}

// SetIfAbsent gives the key a value for ttl and returns true, unless the key has another value. Each caller must use a value
// of its own, so that the command can be repeated after a lost answer.
func (c *Client) SetIfAbsent(ctx context.Context, key, value string, ttl time.Duration) (set bool, err error) {
	err = c.do(ctx, "SET NX", func(ctx context.Context, d driver.Client) error {
		err := d.Do(ctx, d.B().Set().Key(key).Value(value).Nx().Px(ttl).Build()).Error()
		if set = err == nil; !driver.IsValkeyNil(err) {
			return err
		}
		// The key has a value. It is this one if an earlier attempt succeeded and its answer was lost.
		held, err := d.Do(ctx, d.B().Get().Key(key).Build()).ToString()
		if set = err == nil && held == value; driver.IsValkeyNil(err) {
			return nil
		}
		return err
	})
	return set, err
}

const deleteIfEquals = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`

// DeleteIfEquals deletes the key if it has the value.
func (c *Client) DeleteIfEquals(ctx context.Context, key, value string) error {
	_, err := c.Eval(ctx, deleteIfEquals, []string{key}, value)
	return err
}

// Eval runs a Lua script that returns a whole number. The script may touch only the given keys, all in one slot. The server
// gets the script's text only if it doesn't have it yet.
func (c *Client) Eval(ctx context.Context, script string, keys []string, args ...string) (n int64, err error) {
	err = c.do(ctx, "EVAL", func(ctx context.Context, d driver.Client) error {
		var err error
		n, err = driver.NewLuaScript(script).Exec(ctx, d, keys, args).AsInt64()
		return err
	})
	return n, err
}

// EvalInts is Eval for a script that returns a list of whole numbers.
func (c *Client) EvalInts(ctx context.Context, script string, keys []string, args ...string) (list []int64, err error) {
	err = c.do(ctx, "EVAL", func(ctx context.Context, d driver.Client) error {
		var err error
		list, err = driver.NewLuaScript(script).Exec(ctx, d, keys, args).AsIntSlice()
		return err
	})
	return list, err
}

// do runs a command, and closes or keeps the session according to its failure.
func (c *Client) do(ctx context.Context, name string, command func(context.Context, driver.Client) error) error {
	return outage.Attempt(ctx, "cache: "+name, c.config.Failed, func() error {
		defer timing.Start(ctx, timing.Cache)()
		return c.tried(ctx, command)
	})
}

// tried runs a command when its turn has come. If its connection was closed, it runs the command once more.
func (c *Client) tried(ctx context.Context, command func(context.Context, driver.Client) error) error {
	select {
	case c.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.turns }()
	if !c.left.Admits(c.config.DialTimeout + c.config.CommandTimeout) {
		return errPaused
	}
	bounded, cancel := context.WithTimeout(ctx, c.config.DialTimeout+c.config.CommandTimeout)
	defer cancel()
	err := c.attempt(bounded, command)
	if (lost(err) && !timedOut(err) || misplaced(err)) && !outage.Ended(ctx) {
		err = c.attempt(bounded, command)
	}
	if !outage.Ended(ctx) { // a caller that left early says nothing about the server
		c.left.Judge(!lost(err), c.pause)
	}
	return err
}

func (c *Client) attempt(ctx context.Context, command func(context.Context, driver.Client) error) error {
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	if err = guarded(ctx, s.client, command); (lost(err) || misplaced(err)) && !outage.Ended(ctx) {
		// The other connections are as old as the failed one. Keeping them would fail the next commands too.
		c.drop(s)
	}
	return err
}

// guarded runs a command and turns a panic of the driver into an error. The driver panics at a reply that it can't parse. The
// connection can't be used after that.
func guarded(ctx context.Context, d driver.Client, command func(context.Context, driver.Client) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", errUnreadable, cause)
		}
	}()
	return command(ctx, d)
}

// session returns the current session. It begins a new one if there is none, or if the current one was idle for too long.
func (c *Client) session(ctx context.Context) (*session, error) {
	now := time.Now().Round(0) // by the wall clock: the monotonic clock may stand still while the process is frozen
	c.mu.Lock()
	if c.current != nil && now.Sub(c.current.used) > c.maxIdle {
		go c.current.close()
		c.current = nil
	}
	if c.current == nil {
		c.current = newSession()
		go c.current.connect(c.config)
	}
	s := c.current
	s.used = now
	c.mu.Unlock()
	select {
	case <-s.connected:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.err != nil {
		c.drop(s)
		return nil, s.err
	}
	return s, nil
}

// drop closes a session; the next command begins another.
func (c *Client) drop(s *session) {
	c.mu.Lock()
	if c.current == s {
		c.current = nil
	}
	c.mu.Unlock()
	go s.close()
}

// misplaced reports whether a new connection to the same address may reach a server that accepts the command. After a
// failover, connections to the old primary stay open, but it is a replica now.
func misplaced(err error) bool {
	reply, ok := driver.IsValkeyErr(err)
	if !ok {
		return false
	}
	// Before Redis 7, a script's error only quotes the refusal of its command.
	return strings.Contains(reply.Error(), "-READONLY ") || beginsWith(reply, "READONLY", "MASTERDOWN", "LOADING")
}

// lost reports whether no answer arrived, or the server refused the connection rather than the command.
func lost(err error) bool {
	if err == nil {
		return false
	}
	reply, ok := driver.IsValkeyErr(err)
	if !ok {
		return true
	}
	return beginsWith(reply, "WRONGPASS", "NOAUTH", "ERR max number of clients")
}

func beginsWith(err error, refusals ...string) bool {
	return slices.ContainsFunc(refusals, func(refusal string) bool { return strings.HasPrefix(err.Error(), refusal) })
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
