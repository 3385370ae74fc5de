// Package lambdalocal runs a compiled Lambda function on this machine, without containers. It starts the binary as Lambda
// does, serves the runtime interface (version 2018-06-01) on loopback, and passes events to the function. It is for local
// runs, tests and measurements only.
//
// An Instance is an execution environment: it handles one invocation at a time, keeps its state between them, and ends when
// the function crashes or takes too long. As on Lambda, the next invocation then needs a new instance, which the caller or a
// Pool starts. Unlike on Lambda, memory and CPU are not limited, and the file system and the network are this machine's.
package lambdalocal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	defaultTimeout  = 3 * time.Second // Lambda's default
	defaultMemoryMB = 128             // Lambda's default

	initTimeout = 10 * time.Second
	// closeGrace is the time that a function gets to end when it is asked to. Processes that the function left behind may
	// keep its log open for the same time.
	closeGrace = 500 * time.Millisecond
)

// Function is a compiled function and its configuration.
type Function struct {
	// Path is the binary, built with aws-lambda-go or another client of the runtime interface.
	Path string

	// Env has variables in the form "key=value", which add to Lambda's own or override them. Nothing is inherited from this
	// process.
	Env []string

	// Timeout bounds an invocation; zero means 3 seconds.
	Timeout time.Duration

	// Stdout gets the function's log: its standard output and standard error. A single goroutine writes to it, at most until
	// Close or Kill returns. Nil discards the log.
	Stdout io.Writer

	// MemoryMB is the memory size that the function is told; zero means 128.
	MemoryMB int
}

// Result is the answer to one invocation.
type Result struct {
	Payload       []byte        // JSON: the answer, or {"errorMessage", "errorType", …}
	FunctionError string        // empty, or "Unhandled" if the function reported an error
	Duration      time.Duration // from handing over the event to receiving the answer
	RequestID     string
}

// Instance is a running function. Its methods may be called concurrently.
type Instance struct {
	timeout      time.Duration
	arn          string
	cmd          *exec.Cmd
	server       *http.Server
	initDuration time.Duration

	turn   chan struct{}    // holds a value while an invocation runs
	next   chan *invocation // answers the function's request for its next invocation
	ready  chan time.Time   // time at which the function first asked for an invocation
	failed chan *InitError  // an error that the function reported before that

	closing atomic.Bool
	exited  chan struct{} // closed when the process and its log have ended

	mu      sync.Mutex
	current *invocation // handed over and not answered yet
}

type invocation struct {
	id      string
	payload []byte
	started time.Time   // time at which it was handed over
	done    chan Result // buffered, so that the answer never waits
}

// Start runs the function's binary, and returns when the function asks for its first invocation. It fails with an *InitError
// if the function ends or reports an error before that, or isn't ready after 10 seconds. ctx bounds the start only: the
// caller must Close the instance.
func Start(ctx context.Context, f Function) (*Instance, error) {
	path, err := filepath.Abs(f.Path)
	if err != nil {
		return nil, fmt.Errorf("starting function: %w", err)
	}
	f.Path = path
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting function: %w", err)
	}
	name := functionName(path)
	i := &Instance{
		timeout: f.Timeout,
		arn:     "arn:aws:lambda:us-east-1:123456789012:function:" + name,
		turn:    make(chan struct{}, 1),
		next:    make(chan *invocation),
		ready:   make(chan time.Time, 1),
		failed:  make(chan *InitError, 1),
		exited:  make(chan struct{}),
	}
	if i.timeout == 0 {
		i.timeout = defaultTimeout
	}
	i.server = &http.Server{Handler: i.runtimeAPI()}
	go func() { _ = i.server.Serve(listener) }() // until server.Close

	i.cmd = exec.Command(path)
	i.cmd.Dir = filepath.Dir(path)
	i.cmd.Env = append(environment(name, f), "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String())
	i.cmd.Stdout, i.cmd.Stderr = f.Stdout, f.Stdout
	i.cmd.WaitDelay = closeGrace
	started := time.Now()
	if err := i.cmd.Start(); err != nil {
		_ = i.server.Close()
		return nil, fmt.Errorf("starting function: %w", err)
	}
	go i.wait()

	readyAt, err := i.awaitReady(ctx)
	if err != nil {
		i.Kill()
		return nil, fmt.Errorf("starting function: %w", err)
	}
	i.initDuration = readyAt.Sub(started)
	return i, nil
}

// awaitReady returns the time at which the function first asked for an invocation, or the reason that it never will.
func (i *Instance) awaitReady(ctx context.Context) (time.Time, error) {
	timer := time.NewTimer(initTimeout)
	defer timer.Stop()
	select {
	case readyAt := <-i.ready:
		return readyAt, nil
	case err := <-i.failed:
		return time.Time{}, err
	case <-i.exited:
	case <-timer.C:
		return time.Time{}, &InitError{Type: "Sandbox.Timedout", Message: "not ready after " + initTimeout.String()}
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	select {
	case err := <-i.failed: // reported before the process ended
		return time.Time{}, err
	default:
		return time.Time{}, &InitError{Type: "Runtime.ExitError", Message: i.cmd.ProcessState.String()}
	}
}

// wait waits for the process's end and then closes its servers.
func (i *Instance) wait() {
	_ = i.cmd.Wait() // ProcessState says how it ended
	_ = i.server.Close()
	close(i.exited)
}

// Invoke sends an event and returns the function's answer, which may be an error that the function reported: see
// Result.FunctionError. Concurrent calls wait for one another. It fails with an *ExitError if the function has ended, or ends
// without an answer; with a *TimeoutError if the function doesn't answer in time, and kills it; and with ErrClosed after
// Close. If ctx ends, Invoke returns ctx's error, and the function goes on with the event.
func (i *Instance) Invoke(ctx context.Context, payload []byte) (Result, error) {
	select {
	case i.turn <- struct{}{}:
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
	type outcome struct {
		result Result
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		result, err := i.run(&invocation{id: newUUID(), payload: payload, done: make(chan Result, 1)})
		<-i.turn
		done <- outcome{result, err}
	}()
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

// run carries an invocation through to its end. That takes up to twice the time-out: after answering an event, the function
// has as much time again to ask for the next one.
func (i *Instance) run(inv *invocation) (Result, error) {
	timer := time.NewTimer(i.timeout)
	defer timer.Stop()
	select {
	case i.next <- inv:
	case <-i.exited:
		return Result{}, i.exitError(inv)
	case <-timer.C:
		return Result{}, i.killLate(inv)
	}

	timer.Reset(i.timeout)
	timedOut := false
	select {
	case result := <-inv.done:
		return result, nil
	case <-i.exited:
	case <-timer.C:
		timedOut = true
	}
	select {
	case result := <-inv.done: // answered at the last moment
		return result, nil
	default:
	}
	if timedOut {
		return Result{}, i.killLate(inv)
	}
	return Result{}, i.exitError(inv)
}

func (i *Instance) killLate(inv *invocation) error {
	i.Kill()
	return &TimeoutError{RequestID: inv.id, After: i.timeout}
}

func (i *Instance) exitError(inv *invocation) error {
	if i.closing.Load() {
		return ErrClosed
	}
	return &ExitError{RequestID: inv.id, State: i.cmd.ProcessState.String()}
}

// InitDuration returns the time from the start of the binary to its first request for an invocation.
func (i *Instance) InitDuration() time.Duration { return i.initDuration }

// PID returns the id of the function's process.
func (i *Instance) PID() int { return i.cmd.Process.Pid }

// Close asks the function to end (SIGTERM), and kills it after half a second. When Close returns, the process has ended and
// its log is complete. A running invocation fails with ErrClosed.
func (i *Instance) Close() error {
	i.closing.Store(true)
	if err := i.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		i.Kill()
		return fmt.Errorf("closing function: %w", err)
	}
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case <-i.exited:
	case <-timer.C:
		i.Kill()
	}
	return nil
}

// Kill ends the function at once (SIGKILL), like a crash. When it returns the process has ended.
func (i *Instance) Kill() {
	_ = i.cmd.Process.Kill() // fails if the process has ended already
	<-i.exited
}

func (i *Instance) hasExited() bool {
	select {
	case <-i.exited:
		return true
	default:
		return false
	}
}

// functionName returns the binary's name, or its directory's name if the binary is called bootstrap, as all functions'
// binaries are.
func functionName(path string) string {
	if name := filepath.Base(path); name != "bootstrap" {
		return name
	}
	return filepath.Base(filepath.Dir(path))
}

// environment returns Lambda's variables, and after them the function's own, which override them.
func environment(name string, f Function) []string {
	memoryMB := f.MemoryMB
	if memoryMB == 0 {
		memoryMB = defaultMemoryMB
	}
	return append([]string{
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
		"_HANDLER=bootstrap",
		"LAMBDA_TASK_ROOT=" + filepath.Dir(f.Path),
		"AWS_REGION=us-east-1",
		"AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=local",
		"AWS_SECRET_ACCESS_KEY=local",
		"AWS_SESSION_TOKEN=local",
		"AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_FUNCTION_NAME=" + name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(memoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + name,
		"AWS_LAMBDA_LOG_STREAM_NAME=local",
	}, f.Env...)
}

// newUUID returns a random UUID (version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
