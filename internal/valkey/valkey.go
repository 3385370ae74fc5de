// Package valkey reaches the cache: an ElastiCache or any other server that speaks the protocol of Valkey and Redis.
//
// It is made for a Lambda function, a process that serves one invocation at a time and is frozen between them. Nothing
// is dialed before the first command. Every command has its connection to itself while it lasts: the driver's pipelining,
// which shares one through goroutines in the background, gains nothing here, and its reader has panicked in processes
// that were thawed (valkey-go issues 77 and 79). A server that cannot be reached costs one time-out, and nothing in the
// second after it.
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

// Defaults of a Config. Inside one region a connection takes some milliseconds and a command less than one.
const (
	DefaultDialTimeout    = 300 * time.Millisecond
	DefaultCommandTimeout = 250 * time.Millisecond
)

const (
	// pause is how long a server that failed is left alone.
	pause = time.Second
	// maxIdle is the time for which an unused connection is trusted. Devices in between may forget older connections without
	// telling either end. Using such a connection costs a time-out, a new one costs milliseconds.
	maxIdle = time.Minute
)

// errPaused says that the server failed a moment ago and was not asked.
var errPaused = errors.New("the server failed a moment ago and is not asked again yet")

// errUnreadable says that the server's reply is none of the protocol's.
var errUnreadable = errors.New("the reply can't be read")

// Config says how to reach a server.
type Config struct {
	Address string // host:port; of a cluster, its configuration endpoint
	// ClusterMode is for servers that spread their keys over slots, as serverless ElastiCache always does.
	ClusterMode bool
	TLS         *tls.Config // nil speaks plainly, which ElastiCache with IAM or serverless doesn't
	Username    string      // "" is the default user
	// Token returns the password for a connection that is being made; nil connects without one. IAM.Token is one.
	Token          func(context.Context) (string, error)
	DialTimeout    time.Duration // of a new connection, TLS included; 0 takes DefaultDialTimeout
	CommandTimeout time.Duration // of a command and its answer; 0 takes DefaultCommandTimeout
	// Failed is told of each command that the server failed in, or wasn't asked after a failure, while its caller had
	// time left; nil tells nobody.
	Failed func()
}

// Client sends commands to a server. It is safe for concurrent use.
//
// A few commands run at once; the others wait for their turn. A command ends with its context's deadline or after the config's
// time-outs, whichever is first. A context that is cancelled before its deadline is noticed at the end of a round trip. Every
// error wraps outage.ErrUnavailable, or else the error of the command's own context. If a command's connection is closed, or
// leads to a server that accepts no more writes, the command is repeated once on a new connection: if the first attempt did
// arrive, the command runs twice.
type Client struct {
	config  Config
	pause   time.Duration
	maxIdle time.Duration
	turns   chan struct{} // holds an entry for each running command
	left    outage.Pause  // the server is left alone for a while

	mu      sync.Mutex
	current *session // the commands' session; nil before the first command and after a failure
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

// Close ends the connections. Commands that are under way fail; later ones connect again.
func (c *Client) Close() {
	c.mu.Lock()
	s := c.current
	c.mu.Unlock()
	if s != nil {
		c.drop(s)
	}
}

// Get returns the value of a key, or false if it has none.
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

// SetAll gives each key its value for ttl, in one round trip if all share a slot. It returns the number of keys that were set.
// If that is fewer than all, it also returns an error of a key that wasn't.
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

// SetIfAbsent gives the key a value for ttl and returns true, unless it has another value. Values must be unique to the caller,
// so that the command can be repeated after a lost answer.
func (c *Client) SetIfAbsent(ctx context.Context, key, value string, ttl time.Duration) (set bool, err error) {
	err = c.do(ctx, "SET NX", func(ctx context.Context, d driver.Client) error {
		err := d.Do(ctx, d.B().Set().Key(key).Value(value).Nx().Px(ttl).Build()).Error()
		if set = err == nil; !driver.IsValkeyNil(err) {
			return err
		}
		// The key has a value: this one, if an earlier attempt succeeded and its answer got lost.
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

// Eval runs a Lua script, which returns a whole number and touches only the given keys, all of one slot. Its text is sent
// only to a server that hasn't kept it.
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

// do runs a command and handles a failure's consequences for the session.
func (c *Client) do(ctx context.Context, name string, command func(context.Context, driver.Client) error) error {
	return outage.Attempt(ctx, "cache: "+name, c.config.Failed, func() error {
		defer timing.Start(ctx, timing.Cache)()
		return c.tried(ctx, command)
	})
}

// tried carries a command out when its turn has come, a second time if its connection had been closed.
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

// guarded runs a command. The driver panics at a reply that it can't parse: guarded turns that into an error of this command,
// and its connection can't be used any more.
func guarded(ctx context.Context, d driver.Client, command func(context.Context, driver.Client) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", errUnreadable, cause)
		}
	}()
	return command(ctx, d)
}

// session returns the current session, or a new one if there is none or the current one was idle for too long.
func (c *Client) session(ctx context.Context) (*session, error) {
	now := time.Now().Round(0) // by the wall clock: the other one may stand still while the process is frozen
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

// misplaced reports whether another server behind the same address may carry the command out. A failover leaves connections to
// the old primary open, which is a replica from then on.
func misplaced(err error) bool {
	reply, ok := driver.IsValkeyErr(err)
	if !ok {
		return false
	}
	// Before Redis 7 a script's failure only quotes the refusal of its command.
	return strings.Contains(reply.Error(), "-READONLY ") || beginsWith(reply, "READONLY", "MASTERDOWN", "LOADING")
}

// lost reports whether there was no answer, or no connection could have brought one.
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
