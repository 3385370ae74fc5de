package faultproxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/test/faultproxy"
)

// serve starts a server that answers each line with a word and the line, and returns its address.
func serve(t *testing.T, word string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening on a port: %v", err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = connection.Close() }()
				for lines := bufio.NewScanner(connection); lines.Scan(); {
					_, _ = io.WriteString(connection, word+" "+lines.Text()+"\n")
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// dial opens a connection. It returns a func that sends a line over it and returns the answer.
func dial(t *testing.T, n *faultproxy.Network) func() (string, error) {
	t.Helper()
	connection, err := net.Dial("tcp", n.Address())
	if err != nil {
		return func() (string, error) { return "", err }
	}
	t.Cleanup(func() { _ = connection.Close() })
	answers := bufio.NewReader(connection)
	return func() (string, error) {
		if _, err := io.WriteString(connection, "hello\n"); err != nil {
			return "", err
		}
		_ = connection.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // only a silent connection takes so long
		answer, err := answers.ReadString('\n')
		return answer, err
	}
}

// TestWeather: each weather affects a connection and ends again. Afterwards new connections work as before.
func TestWeather(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		weather faultproxy.Weather
		answer  string
		silent  bool
	}{
		"silent":  {faultproxy.Weather{Silent: true}, "", true},
		"reset":   {faultproxy.Weather{Reset: true}, "", false},
		"cut":     {faultproxy.Weather{Cut: 5}, "first", false},
		"seldom":  {faultproxy.Weather{Cut: 5, Every: 1}, "first", false},
		"refuses": {faultproxy.Weather{Refuses: true}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := faultproxy.New(serve(t, "first"))
			if err != nil {
				t.Fatalf("starting the fault proxy: %v", err)
			}
			t.Cleanup(n.Close)
			ask := dial(t, n)
			for {
				if answer, err := ask(); err == nil && answer == "first hello\n" {
					break
				} else if !errors.Is(err, os.ErrDeadlineExceeded) { // otherwise this machine is busy
					t.Fatalf("in fine weather: %q, %v", answer, err)
				}
				ask = dial(t, n)
			}
			if err := n.Turn(test.weather); err != nil {
				t.Fatalf("changing the network's weather: %v", err)
			}
			if answer, err := ask(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) != test.silent || answer != test.answer {
				t.Errorf("answer %q, %v", answer, err)
			}
			if err := n.Turn(faultproxy.Weather{}); err != nil {
				t.Fatalf("changing the network's weather: %v", err)
			}
			n.Lead(serve(t, "second"))
			for {
				if answer, err := dial(t, n)(); err == nil && answer == "second hello\n" {
					break
				} else if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("after it: %q, %v", answer, err)
				}
			}
		})
	}
}

// TestForget: existing connections are dead, and new ones reach the server.
func TestForget(t *testing.T) {
	t.Parallel()
	n, err := faultproxy.New(serve(t, "first"))
	if err != nil {
		t.Fatalf("starting the fault proxy: %v", err)
	}
	t.Cleanup(n.Close)
	ask := dial(t, n)
	for answer := ""; answer == ""; { // so that the network has the connection
		answer, _ = ask()
	}
	if got := n.Forget(); got != 1 {
		t.Errorf("%d connections", got)
	}
	if answer, err := ask(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("answer %q, %v", answer, err)
	}
}
