// Package faultproxy puts a network between a client and a server and lets it fail: slow, silent, cut off. Tests use it with
// real engines, which don't fail by themselves. No deployed function links it.
package faultproxy

import (
	"io"
	"net"
	"sync"
	"time"
)

// Weather is how a network treats its connections. The zero Weather has no faults.
type Weather struct {
	Delay   time.Duration // before each piece of an answer
	Silent  bool          // takes requests and answers nothing; connections with such requests end with the silence
	Reset   bool          // ends a connection when something is sent over it
	Cut     int           // bytes after which an answer ends; 0 lets all of it pass
	Every   int           // Cut applies to every nth answer; 0 applies it to all
	Refuses bool          // refuses new connections and ends existing ones
}

// Network is a network between clients and a server. It is safe for concurrent use.
type Network struct {
	address string

	mu          sync.Mutex
	server      string
	weather     Weather
	listener    net.Listener
	connections map[*net.TCPConn]*Weather // clients' connections; nil is the network's weather
	answers     int                       // number of pieces of answers so far
}

// New returns a network to the server at an address, without faults. The caller must close it.
func New(server string) (*Network, error) {
	n := &Network{server: server, connections: make(map[*net.TCPConn]*Weather)}
	if err := n.listen("127.0.0.1:0"); err != nil {
		return nil, err
	}
	n.address = n.listener.Addr().String()
	return n, nil
}

// Address returns the address at which clients reach the server.
func (n *Network) Address() string { return n.address }

// Close ends all connections and refuses new ones.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	_ = n.listener.Close()
	n.disconnect()
}

func (n *Network) disconnect() {
	for connection := range n.connections {
		_ = connection.Close()
	}
}

func (n *Network) listen(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	n.listener = listener
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go n.pass(connection.(*net.TCPConn))
		}
	}()
	return nil
}

// Turn changes the weather for all connections, existing and future. It fails if another program has taken the network's port
// while it refused connections.
func (n *Network) Turn(to Weather) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.weather
	n.weather = to
	if to.Refuses && !before.Refuses {
		_ = n.listener.Close()
	}
	if to.Refuses || before.Silent && !to.Silent { // requests sent during the silence are lost
		n.disconnect()
	}
	if before.Refuses && !to.Refuses {
		return n.listen(n.address)
	}
	return nil
}

// Lead makes the network lead to another server. Connections to the previous server end.
func (n *Network) Lead(server string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server = server
	n.disconnect()
}

// Forget makes the existing connections silent for ever, like a network that has lost track of them, and returns their
// number.
func (n *Network) Forget() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	for connection := range n.connections {
		n.connections[connection] = &Weather{Silent: true}
	}
	return len(n.connections)
}

func (n *Network) around(client *net.TCPConn) Weather {
	n.mu.Lock()
	defer n.mu.Unlock()
	if own := n.connections[client]; own != nil {
		return *own
	}
	return n.weather
}

func (n *Network) pass(client *net.TCPConn) {
	n.mu.Lock()
	n.connections[client] = nil
	address := n.server
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.connections, client)
		n.mu.Unlock()
		_ = client.Close()
	}()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(answerTo{client, n}, server)
		_ = client.Close()
	}()
	_, _ = io.Copy(requestFrom{server, client, n}, client)
	_ = server.Close()
}

// answerTo sends a client the part of an answer that the weather lets pass.
type answerTo struct {
	client  *net.TCPConn
	network *Network
}

func (a answerTo) Write(p []byte) (int, error) {
	w := a.network.around(a.client)
	time.Sleep(w.Delay)
	switch {
	case w.Silent:
		return len(p), nil
	case w.Cut > 0 && a.network.isNext(w.Every):
		_, _ = a.client.Write(p[:min(len(p), w.Cut)])
		return 0, a.client.Close()
	}
	return a.client.Write(p)
}

// isNext reports whether this answer is the next in every nth; 0 means every answer.
func (n *Network) isNext(every int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers++
	return every == 0 || n.answers%every == 0
}

// requestFrom sends the server the part of a request that the weather lets pass.
type requestFrom struct {
	server  net.Conn
	client  *net.TCPConn
	network *Network
}

func (q requestFrom) Write(p []byte) (int, error) {
	w := q.network.around(q.client)
	switch {
	case w.Silent:
		return len(p), nil
	case w.Reset:
		_ = q.client.SetLinger(0)
		return 0, q.client.Close()
	}
	return q.server.Write(p)
}
