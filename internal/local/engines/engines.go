// Package engines runs the real servers that the system is tested against: Amazon's DynamoDB Local, a server with SQS's
// protocol, and Redis or Valkey, alone and as a cluster. docs/ENGINES.md describes how each differs from AWS. No deployed
// function links this package.
//
// The first start installs missing parts, in fixed versions: DynamoDB Local by Maven and the SQS server by pip, both below a
// folder of the caller's; missing commands (java, mvn, python3, redis-server) as Debian packages, if possible.
package engines

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// Kind is a kind of engine.
type Kind int

// The engines.
const (
	DynamoDB     Kind = iota // Amazon's DynamoDB Local
	SQS                      // moto's server
	Cache                    // Redis or Valkey, a single server
	CacheCluster             // Redis or Valkey, a cluster of two nodes with half of the slots each
)

// All returns every kind.
func All() []Kind { return []Kind{DynamoDB, SQS, Cache, CacheCluster} }

// String returns the name of the engine.
func (k Kind) String() string {
	switch k {
	case DynamoDB:
		return "DynamoDB Local"
	case SQS:
		return "the SQS server"
	case Cache:
		return "Redis"
	case CacheCluster:
		return "the Redis cluster"
	}
	return "engine " + strconv.Itoa(int(k))
}

// Variable returns the name of the environment variable with the engine's address for tests.
func (k Kind) Variable() string {
	switch k {
	case DynamoDB:
		return "SUFRAH_TEST_DYNAMODB"
	case SQS:
		return "SUFRAH_TEST_SQS"
	case Cache:
		return "SUFRAH_TEST_CACHE"
	case CacheCluster:
		return "SUFRAH_TEST_CACHE_CLUSTER"
	}
	return ""
}

// Port returns the engine's usual port, at which StartAtPorts and compose.yaml start it.
func (k Kind) Port() int {
	switch k {
	case DynamoDB:
		return 8000
	case SQS:
		return 8001
	case Cache:
		return 8002
	}
	return 0
}

// URL returns the address of an engine on this machine at its usual port.
func (k Kind) URL() string {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(k.Port()))
	if k == DynamoDB || k == SQS {
		return "http://" + address
	}
	return address
}

// Endpoint returns the address of the engine that was started for the tests. Its error says how to start one.
func Endpoint(k Kind) (string, error) {
	endpoint := os.Getenv(k.Variable())
	if endpoint == "" {
		return "", fmt.Errorf("%s is not running (%s is empty): use 'make test-aws'", k, k.Variable())
	}
	return endpoint, nil
}

// Engines are running engines.
type Engines struct {
	folder string // temporary folder for the engines' files
	fixed  bool   // whether each engine is at its usual port

	mu        sync.Mutex
	endpoints map[Kind]string
	processes []*process
}

// Start starts engines on free ports of this machine, and returns when all of them answer. Installing missing parts into
// cacheDir takes about a minute; later starts need no network. If any engine can't be started, Start stops the others, and
// its error names every such engine with the reason.
//
// The context bounds the start only. Engines run until Stop; on Linux they also end with this process, however it ends. They
// keep no data.
func Start(ctx context.Context, cacheDir string, want ...Kind) (*Engines, error) {
	return start(ctx, cacheDir, false, want)
}

// StartAtPorts is Start with each engine at its usual port. It fails if another program uses that port.
func StartAtPorts(ctx context.Context, cacheDir string, want ...Kind) (*Engines, error) {
	return start(ctx, cacheDir, true, want)
}

func start(ctx context.Context, cacheDir string, fixed bool, want []Kind) (*Engines, error) {
	folder, err := os.MkdirTemp("", "sufrah-engines-")
	if err != nil {
		return nil, fmt.Errorf("creating a folder for the engines: %w", err)
	}
	e := &Engines{folder: folder, fixed: fixed, endpoints: make(map[Kind]string)}
	failures := make([]error, len(want))
	var wg sync.WaitGroup
	for i, kind := range want {
		wg.Go(func() {
			endpoint, err := e.start(ctx, newInstaller(cacheDir), kind)
			if err != nil {
				failures[i] = fmt.Errorf("%s: %w", kind, err)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			e.endpoints[kind] = endpoint
		})
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		e.Stop()
		return nil, err
	}
	return e, nil
}

// Endpoint returns an engine's address: a URL for DynamoDB Local and the SQS server, host:port for a cache, and "" for an
// engine that was not started.
func (e *Engines) Endpoint(k Kind) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.endpoints[k]
}

// Environment returns the variables, as "NAME=value", in which the function Endpoint looks for the addresses.
func (e *Engines) Environment() []string {
	var environment []string
	for _, kind := range All() {
		if endpoint := e.Endpoint(kind); endpoint != "" {
			environment = append(environment, kind.Variable()+"="+endpoint)
		}
	}
	return environment
}

// Stop stops the engines and deletes their files. It returns when they have ended.
func (e *Engines) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.processes {
		p.stop()
	}
	_ = os.RemoveAll(e.folder) // leftovers in the folder for temporary files do no harm
}

func (e *Engines) start(ctx context.Context, i installer, kind Kind) (endpoint string, err error) {
	switch kind {
	case DynamoDB:
		return e.startDynamoDB(ctx, i)
	case SQS:
		return e.startSQS(ctx, i)
	case Cache:
		return e.startCache(ctx, i)
	case CacheCluster:
		return e.startCluster(ctx, i)
	}
	return "", errors.New("there is no engine of this kind")
}

const (
	// startAttempts bounds the attempts at a start: another program may take a free port before the engine does.
	startAttempts = 3
	readyTimeout  = time.Minute // even a busy machine needs only seconds
	readyInterval = 50 * time.Millisecond
)

// serve starts a server and returns its address as soon as ready succeeds. The command gets a port, which is free or the
// engine's usual one, and a second, free port.
func (e *Engines) serve(
	ctx context.Context, kind Kind, name string, command func(port, second int) []string,
	ready func(ctx context.Context, address string) error,
) (address string, err error) {
	for range startAttempts {
		var ports [2]int
		if ports, err = e.ports(ctx, kind); err != nil {
			return "", err
		}
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
		var p *process
		if p, err = startProcess(e.folder, fmt.Sprint(name, "-", ports[0]), command(ports[0], ports[1])); err != nil {
			return "", err
		}
		e.mu.Lock()
		e.processes = append(e.processes, p)
		e.mu.Unlock()
		if err = p.await(ctx, func(ctx context.Context) error { return ready(ctx, address) }); err == nil {
			return address, nil
		}
		if !p.hasEnded() { // it runs, so the port isn't taken, but it doesn't answer
			return "", err
		}
	}
	return "", err
}

func (e *Engines) ports(ctx context.Context, kind Kind) (ports [2]int, err error) {
	if ports, err = freePorts(ctx); err != nil || !e.fixed {
		return ports, err
	}
	ports[0] = kind.Port()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])))
	if err != nil {
		return ports, fmt.Errorf("another program uses port %d, which the engine needs: stop it (%w)", ports[0], err)
	}
	return ports, listener.Close()
}

func freePorts(ctx context.Context) (ports [2]int, err error) {
	for i := range ports {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return ports, fmt.Errorf("finding a free port: %w", err)
		}
		defer func() { _ = listener.Close() }()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
