package lambdalocal

import (
	"errors"
	"fmt"
	"time"
)

// ErrClosed says that the instance was closed, before or during the invocation.
var ErrClosed = errors.New("instance is closed")

// InitError says that a function failed before it asked for its first invocation.
type InitError struct {
	Type    string // the function's own error type, or Lambda's "Runtime.ExitError" or "Sandbox.Timedout"
	Message string
}

func (e *InitError) Error() string {
	return fmt.Sprintf("function did not initialize: %s: %s", e.Type, e.Message)
}

// ExitError says that a function's process ended without answering an invocation.
type ExitError struct {
	RequestID string
	State     string // how it ended: "exit status 1", "signal: killed"
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("request %s: function exited: %s", e.RequestID, e.State)
}

// TimeoutError says that a function didn't answer an invocation in time and was killed.
type TimeoutError struct {
	RequestID string
	After     time.Duration
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("request %s: function timed out after %.2f seconds", e.RequestID, e.After.Seconds())
}
