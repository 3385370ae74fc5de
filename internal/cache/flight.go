package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// flights lets simultaneous callers with the same key share a call. Unlike in golang.org/x/sync/singleflight, the call doesn't
// end with the first caller's context: it ends when the last waiting caller has left.
type flights[T any] struct {
	mu    sync.Mutex
	byKey map[string]*flight[T]
}

type flight[T any] struct {
	waiting int // guarded by the flights' mu
	cancel  context.CancelFunc
	landed  chan struct{} // closed once the result is set
	result  result[T]
}

// result is the outcome of a load.
type result[T any] struct {
	value  T
	source Source
	err    error
}

// join returns the result of call. If a call for the same key is running already, join waits for its result instead. If the
// context ends first, join fails with the context's error; the call goes on as long as another caller waits for it.
func (f *flights[T]) join(ctx context.Context, key string, call func(context.Context) result[T]) result[T] {
	if err := ctx.Err(); err != nil {
		return result[T]{err: err}
	}
	shared := f.board(ctx, key, call)
	defer f.leave(key, shared)
	select {
	case <-shared.landed:
		return shared.result
	case <-ctx.Done():
		return result[T]{err: ctx.Err()}
	}
}

// board returns the key's flight, and begins one if there is none.
func (f *flights[T]) board(ctx context.Context, key string, call func(context.Context) result[T]) *flight[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if shared, ok := f.byKey[key]; ok {
		shared.waiting++
		return shared
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	shared := &flight[T]{waiting: 1, cancel: cancel, landed: make(chan struct{})}
	if f.byKey == nil {
		f.byKey = make(map[string]*flight[T])
	}
	f.byKey[key] = shared
	go func() {
		shared.result = survive(ctx, call)
		f.remove(key, shared)
		close(shared.landed)
	}()
	return shared
}

func (f *flights[T]) leave(key string, shared *flight[T]) {
	f.mu.Lock()
	shared.waiting--
	empty := shared.waiting == 0
	f.mu.Unlock()
	if empty {
		f.remove(key, shared)
		shared.cancel()
	}
}

// remove takes a flight off the key, so that later callers begin a new one.
func (f *flights[T]) remove(key string, shared *flight[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byKey[key] == shared {
		delete(f.byKey, key)
	}
}

// survive turns a panic of call into an error. Nobody could recover it in this goroutine, so it would end the process.
func survive[T any](ctx context.Context, call func(context.Context) result[T]) (r result[T]) {
	defer func() {
		if cause := recover(); cause != nil {
			r = result[T]{err: fmt.Errorf("panic while loading: %v\n%s", cause, debug.Stack())}
		}
	}()
	return call(ctx)
}
