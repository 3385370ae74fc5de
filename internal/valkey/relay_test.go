package valkey

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// relay stands between a client and its server, and disturbs their connections as a network can.
type relay struct {
	listener net.Listener
	server   string
	silent   atomic.Bool // accepts connections and bytes, and passes nothing on
	accepted atomic.Int64

	mu    sync.Mutex
	conns []net.Conn // the client's ends
}

func newRelay(t *testing.T, server string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, server: server}
	t.Cleanup(func() {
		_ = listener.Close()
		r.cut(false)
	})
	go r.run()
	return r
}

func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) run() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.accepted.Add(1)
		r.mu.Lock()
		r.conns = append(r.conns, conn)
		r.mu.Unlock()
		go r.pass(conn)
	}
}

func (r *relay) pass(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	server, err := net.Dial("tcp", r.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(gate{conn, r}, server)
		_ = conn.Close()
	}()
	_, _ = io.Copy(gate{server, r}, conn)
}

// gate drops writes while the relay is silent.
type gate struct {
	io.Writer
	relay *relay
}

func (g gate) Write(p []byte) (int, error) {
	if g.relay.silent.Load() {
		return len(p), nil
	}
	return g.Writer.Write(p)
}

// cut ends every connection, by a reset or an orderly close.
func (r *relay) cut(reset bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		if reset {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		_ = conn.Close()
	}
	r.conns = nil
}

// tellRelay makes the server name the relay's address, in place of its own, as the cluster's only node.
func tellRelay(m *miniredis.Miniredis, r *relay) {
	m.Server().SetPreHook(shardsHook(r))
}

// shardsHook answers CLUSTER SHARDS with the relay's address.
func shardsHook(r *relay) server.Hook {
	return func(peer *server.Peer, command string, args ...string) bool {
		if command != "CLUSTER" || args[0] != "SHARDS" {
			return false
		}
		peer.WriteLen(1)
		peer.WriteMapLen(2)
		peer.WriteBulk("slots")
		peer.WriteLen(2)
		peer.WriteInt(0)
		peer.WriteInt(16383)
		peer.WriteBulk("nodes")
		peer.WriteLen(1)
		peer.WriteMapLen(4)
		peer.WriteBulk("ip")
		peer.WriteBulk("127.0.0.1")
		peer.WriteBulk("port")
		peer.WriteInt(r.listener.Addr().(*net.TCPAddr).Port)
		peer.WriteBulk("role")
		peer.WriteBulk("master")
		peer.WriteBulk("health")
		peer.WriteBulk("online")
		return true
	}
}
