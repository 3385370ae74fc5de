// Package engines runs the real servers that the system is tested against: Amazon's DynamoDB for a single machine, a server
// with SQS's protocol, and Redis or Valkey, alone and as a cluster. docs/ENGINES.md describes how each differs from AWS. No
// function links this package.
//
// Missing parts are installed at the first start, in fixed versions: DynamoDB Local by Maven and the SQS server by pip, both
// below a folder of the caller's; missing commands (java, mvn, python3, redis-server) as Debian's packages, if possible.
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
	Cache                    // Redis or Valkey: one server
	CacheCluster             // the same as a cluster of two nodes, each with half of the slots
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

// Variable returns the name of the environment variable that tells tests where the engine is.
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

// Port returns the port at which people find an engine: where StartAt starts it, and compose.yaml has it.
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

// URL returns where an engine is that answers at its Port on this machine.
func (k Kind) URL() string {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(k.Port()))
	if k == DynamoDB || k == SQS {
		return "http://" + address
	}
	return address
}

// Endpoint returns where an engine is that was started for the tests, or an error that says how to start it.
func Endpoint(k Kind) (string, error) {
	endpoint := os.Getenv(k.Variable())
	if endpoint == "" {
		return "", fmt.Errorf("%s is not running (%s is empty): use 'make test-aws'", k, k.Variable())
	}
	return endpoint, nil
}

// Engines are running engines.
type Engines struct {
	folder string // temporary: the engines' files
	fixed  bool   // whether each has its Port

	mu        sync.Mutex
	endpoints map[Kind]string
	processes []*process
}

// Start starts engines on free ports of this machine and returns when all of them answer. Installing missing parts takes about
// a minute; they go to cacheDir, and later starts need no network. If an engine can't be had, nothing runs, and the error names
// every such engine and the reason.
//
// The context ends the starting, not the engines: they run until Stop, and on Linux end with this process, however it ends.
// They keep nothing.
func Start(ctx context.Context, cacheDir string, want ...Kind) (*Engines, error) {
	return start(ctx, cacheDir, false, want)
}

// StartAtPorts starts engines as Start does, each at its Port, and fails if another program has that.
func StartAtPorts(ctx context.Context, cacheDir string, want ...Kind) (*Engines, error) {
	return start(ctx, cacheDir, true, want)
}

func start(ctx context.Context, cacheDir string, fixed bool, want []Kind) (*Engines, error) {
	folder, err := os.MkdirTemp("", "sufrah-engines-")
	if err != nil {
		return nil, fmt.Errorf("starting engines: %w", err)
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

// Endpoint returns an engine's address: the URL of DynamoDB Local or the SQS server; host:port of a cache. It is "" for an
// engine that was not asked for.
func (e *Engines) Endpoint(k Kind) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.endpoints[k]
}

// Environment returns the endpoints as Endpoint finds them: "NAME=value".
func (e *Engines) Environment() []string {
	var environment []string
	for _, kind := range All() {
		if endpoint := e.Endpoint(kind); endpoint != "" {
			environment = append(environment, kind.Variable()+"="+endpoint)
		}
	}
	return environment
}

// Stop ends the engines and removes their files. It returns when they are gone.
func (e *Engines) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.processes {
		p.stop()
	}
	_ = os.RemoveAll(e.folder) // in the folder for temporary files, where leftovers do no harm
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
	return "", errors.New("there is no such engine")
}

const (
	// startAttempts is how often a start is tried: another program may take the port between its choice and its use.
	startAttempts = 3
	readyTimeout  = time.Minute // seconds, even on a machine that is busy
	readyInterval = 50 * time.Millisecond
)

// serve starts a server and returns its address when ready says that it answers. The command is given a port, which is free
// or the kind's own, and a second free one.
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
		if !p.hasEnded() { // it has its port, and doesn't answer
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
		return ports, fmt.Errorf("port %d is in use: %w", ports[0], err)
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
