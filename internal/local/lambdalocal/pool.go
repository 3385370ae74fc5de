package lambdalocal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Pool scales a function as Lambda does: simultaneous invocations get separate instances, which are kept for later
// invocations. If an instance has ended, for any reason, the next invocation starts a new instance.
type Pool struct {
	function Function

	mu        sync.Mutex
	closed    bool
	idle      []*Instance // the latest used one is last
	instances map[*Instance]bool
}

// NewPool returns a pool without instances. The function's Stdout gets whole lines, each in one Write. Several instances may
// write at the same time.
func NewPool(f Function) *Pool {
	return &Pool{function: f, instances: make(map[*Instance]bool)}
}

// Invoke sends an event to an idle instance, or to a new one if none is idle. It fails as Start and Instance.Invoke do; an
// error that the function reported is a result. The context bounds the start only: as on Lambda, an invocation goes on after
// its caller has left.
func (p *Pool) Invoke(ctx context.Context, payload []byte) (Result, error) {
	instance, err := p.take(ctx)
	if err != nil {
		return Result{}, err
	}
	result, err := instance.Invoke(context.WithoutCancel(ctx), payload)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		delete(p.instances, instance)
	} else {
		p.idle = append(p.idle, instance)
	}
	return result, err
}

// take returns an instance that no other invocation uses.
func (p *Pool) take(ctx context.Context) (*Instance, error) {
	p.mu.Lock()
	for len(p.idle) > 0 {
		last := len(p.idle) - 1
		instance := p.idle[last]
		p.idle = p.idle[:last]
		if !instance.hasExited() {
			p.mu.Unlock()
			return instance, nil
		}
		delete(p.instances, instance)
	}
	p.mu.Unlock()

	f := p.function
	if f.Stdout != nil {
		f.Stdout = &lineWriter{next: f.Stdout}
	}
	instance, err := Start(ctx, f)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		instance.Kill()
		return nil, ErrClosed
	}
	p.instances[instance] = true
	return instance, nil
}

// Kill ends all instances at once (SIGKILL), like crashes, and returns their number. Running invocations fail with an
// *ExitError. The next invocation starts a new instance.
func (p *Pool) Kill() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	killed := 0
	for instance := range p.instances {
		if !instance.hasExited() {
			instance.Kill()
			killed++
		}
	}
	clear(p.instances)
	p.idle = nil
	return killed
}

// KillOne kills a random instance. It reports whether there was one.
func (p *Pool) KillOne() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for instance := range p.instances {
		delete(p.instances, instance)
		if !instance.hasExited() {
			instance.Kill()
			return true
		}
	}
	return false
}

// Close asks all instances to end, as Instance.Close does. Later invocations fail.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var closing sync.WaitGroup
	for instance := range p.instances {
		closing.Go(func() { _ = instance.Close() }) // kills an instance that can't be asked
	}
	closing.Wait()
	clear(p.instances)
	p.idle = nil
}

// Handler returns a handler that passes its events to a pool, as if the function's own handler were called. An error that the
// function reports becomes an error here.
func Handler[In, Out any](p *Pool) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, event In) (answer Out, err error) {
		payload, err := json.Marshal(event)
		if err != nil {
			return answer, fmt.Errorf("encoding an event: %w", err)
		}
		result, err := p.Invoke(ctx, payload)
		if err != nil {
			return answer, err
		}
		if result.FunctionError != "" {
			return answer, fmt.Errorf("request %s: the function reports: %s", result.RequestID, result.Payload)
		}
		if err := json.Unmarshal(result.Payload, &answer); err != nil {
			return answer, fmt.Errorf("request %s: decoding the answer: %w", result.RequestID, err)
		}
		return answer, nil
	}
}

// lineWriter passes on whole lines. If the function ends in the middle of a line, that line is lost.
type lineWriter struct {
	next io.Writer
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		end := bytes.IndexByte(w.rest, '\n')
		if end < 0 {
			return len(p), nil
		}
		if _, err := w.next.Write(w.rest[:end+1]); err != nil {
			return 0, err
		}
		w.rest = w.rest[end+1:]
	}
}
