package valkey

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	driver "github.com/valkey-io/valkey-go"
)

const (
	// maxConnections is the most commands under way at once, each on its own connection. An invocation rarely has more.
	maxConnections = 4
	// maxRedirects bounds how often a command follows keys that are moving between nodes.
	maxRedirects = 3
	bufferBytes  = 16 << 10 // each way; the driver's own choice is half a megabyte
)

// errNotYet stops the driver from dialing while it is being set up.
var errNotYet = errors.New("not yet")

// session is a driver with its connections. It is replaced as a whole as soon as any of them turns out to be dead.
type session struct {
	connected chan struct{} // closed once client or err is set
	client    driver.Client
	err       error

	used time.Time // guarded by the client's mu

	mu          sync.Mutex
	dialing     bool
	closed      bool
	connections map[net.Conn]struct{}
}

func newSession() *session {
	return &session{connected: make(chan struct{}), connections: make(map[net.Conn]struct{})}
}

// connect sets the driver up. For a cluster it asks for the nodes, which takes a round trip. For a single server it dials
// nothing, because the driver would keep that connection in addition to those for commands.
func (s *session) connect(config Config) {
	defer close(s.connected)
	s.dialing = config.ClusterMode
	option := driver.ClientOption{
		InitAddress:           []string{config.Address},
		ForceSingleClient:     !config.ClusterMode,
		ClusterOption:         driver.ClusterOption{MaxMovedRedirections: maxRedirects},
		TLSConfig:             config.TLS,
		Dialer:                net.Dialer{Timeout: config.DialTimeout, KeepAlive: -1}, // also ends the driver's pings
		DialCtxFn:             s.dial,
		ConnWriteTimeout:      config.CommandTimeout, // for reads too
		DisableAutoPipelining: true,
		DisableCache:          true,
		DisableRetry:          true, // the driver would retry on connections that are as old
		BlockingPoolSize:      maxConnections,
		PipelineMultiplex:     -1,
		RingScaleEachConn:     1,
		ReadBufferEachConn:    bufferBytes,
		WriteBufferEachConn:   bufferBytes,
		ClientSetInfo:         driver.DisableClientSetInfo,
	}
	if config.Token != nil {
		option.AuthCredentialsFn = func(driver.AuthCredentialsContext) (driver.AuthCredentials, error) {
			ctx, cancel := context.WithTimeout(context.Background(), config.DialTimeout)
			defer cancel()
			token, err := config.Token(ctx)
			return driver.AuthCredentials{Username: config.Username, Password: token}, err
		}
	}
	client, err := newDriver(option)
	if errors.Is(err, errNotYet) && client != nil {
		err = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client, s.err, s.dialing = client, err, true
}

// newDriver is driver.NewClient with an error in place of a panic: NewClient panics at replies that it can't parse.
func newDriver(option driver.ClientOption) (client driver.Client, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%w: %v", errUnreadable, cause)
		}
	}()
	return driver.NewClient(option)
}

// dial makes a connection that ends with the session.
func (s *session) dial(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	s.mu.Lock()
	dialing, closed := s.dialing, s.closed
	s.mu.Unlock()
	if !dialing {
		return nil, errNotYet
	}
	if closed {
		return nil, net.ErrClosed
	}
	var conn net.Conn
	var err error
	if config != nil {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	return s.keep(conn)
}

// connection is a connection of a session. Closing it removes it from the session.
type connection struct {
	net.Conn
	session *session
}

func (s *session) keep(conn net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	kept := connection{conn, s}
	s.connections[kept] = struct{}{}
	return kept, nil
}

// Close closes the connection.
func (c connection) Close() error {
	c.session.mu.Lock()
	delete(c.session.connections, c)
	c.session.mu.Unlock()
	return c.Conn.Close()
}

// close ends the session's connections and then the driver, which has nothing to wait for any more.
func (s *session) close() {
	<-s.connected
	s.mu.Lock()
	s.closed = true
	for conn := range s.connections {
		_ = conn.(connection).Conn.Close()
	}
	s.mu.Unlock()
	if s.client != nil {
		s.client.Close()
	}
}
