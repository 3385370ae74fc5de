package devstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

// ErrPortTaken says that another program listens on the stack's port.
var ErrPortTaken = errors.New("another program uses the port")

// Server serves a stack over HTTP. Only this machine reaches it, unless the options say otherwise.
type Server struct {
	*Stack
	server *http.Server
	done   chan error
}

const (
	readHeaderTimeout = 10 * time.Second
	shutdownGrace     = 3 * time.Second // time for running requests to end
)

// Serve builds the stack defined in a file and serves it on a port of this machine; port 0 takes any free port. Each of
// changes may change the stack's options, before BaseURL is set. Serve returns when the stack answers requests. It fails with
// ErrPortTaken if the port is in use.
func Serve(ctx context.Context, templatePath string, port int, log io.Writer, changes ...func(*Options)) (*Server, error) {
	parsed, err := sam.Load(templatePath)
	if err != nil {
		return nil, err
	}
	options := Options{Definition: parsed, Host: "localhost", Clock: NewClock(time.Now), Log: log}
	for _, change := range changes {
		change(&options)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(options.Host, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d: %w", port, ErrPortTaken)
	}
	if err != nil {
		return nil, err
	}
	options.BaseURL = fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	stack, err := New(ctx, options)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s := &Server{
		Stack:  stack,
		server: &http.Server{Handler: stack, ReadHeaderTimeout: readHeaderTimeout},
		done:   make(chan error, 1),
	}
	go func() { s.done <- s.server.Serve(listener) }()
	return s, nil
}

// Wait returns when ctx has ended and the server has stopped. If the server stopped earlier, it returns the reason.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
		return s.Close()
	}
}

// Close stops the server and its stack. It gives running requests some time to end.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = s.server.Close()
	}
	return errors.Join(err, s.Stack.Close())
}
