// Package task runs parts of a request in goroutines that turn panics into errors. An unrecovered panic in a goroutine would
// end the process, and with it every other request of the instance.
package task

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"
)

// PanicError is a panic as an error.
type PanicError struct {
	Value any
	Stack string // of the goroutine that panicked
}

func (e *PanicError) Error() string { return fmt.Sprint("panic: ", e.Value) }

// IsPanic reports whether an error comes from a panic.
func IsPanic(err error) bool {
	_, ok := errors.AsType[*PanicError](err)
	return ok
}

// Recover turns a panic of the surrounding function into its error, a *PanicError. Call it with defer.
func Recover(err *error) {
	if value := recover(); value != nil {
		*err = &PanicError{Value: value, Stack: string(debug.Stack())}
	}
}

// Task is work that runs in a goroutine of its own.
type Task[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// Start starts work in a goroutine.
func Start[T any](work func() (T, error)) *Task[T] {
	t := &Task[T]{done: make(chan struct{})}
	go func() {
		defer close(t.done)
		defer Recover(&t.err)
		t.value, t.err = work()
	}()
	return t
}

// Wait waits for the work to end and returns its result, or a *PanicError. It may be called several times.
func (t *Task[T]) Wait() (T, error) {
	<-t.done
	return t.value, t.err
}

// Group is an errgroup.Group. Its Wait returns a panic as an error.
type Group struct{ group *errgroup.Group }

// WithContext returns a Group and its context, which ends when a function fails or all have returned.
func WithContext(ctx context.Context) (Group, context.Context) {
	group, ctx := errgroup.WithContext(ctx)
	return Group{group}, ctx
}

// Go runs work in a goroutine.
func (g Group) Go(work func() error) {
	g.group.Go(func() (err error) {
		defer Recover(&err)
		return work()
	})
}

// SetLimit bounds how many functions run at the same time.
func (g Group) SetLimit(n int) { g.group.SetLimit(n) }

// Wait waits for all functions and returns the first error.
func (g Group) Wait() error { return g.group.Wait() }
