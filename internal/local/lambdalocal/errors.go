package lambdalocal

import (
	"errors"
	"fmt"
	"time"
)

// ErrClosed means that the instance was closed before or while it handled an invocation.
var ErrClosed = errors.New("instance is closed")

// InitError means that a function did not come as far as asking for its first invocation.
type InitError struct {
	Type    string // the function's own type, or Lambda's "Runtime.ExitError" or "Sandbox.Timedout"
	Message string
}

func (e *InitError) Error() string {
	return fmt.Sprintf("function did not initialize: %s: %s", e.Type, e.Message)
}

// ExitError means that a function's process ended without an answer to an invocation.
type ExitError struct {
	RequestID string
	State     string // how it ended: "exit status 1", "signal: killed"
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("request %s: function exited: %s", e.RequestID, e.State)
}

// TimeoutError means that a function took too long over an invocation and was killed.
type TimeoutError struct {
	RequestID string
	After     time.Duration
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("request %s: function timed out after %.2f seconds", e.RequestID, e.After.Seconds())
}
