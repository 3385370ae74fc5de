// Package circuit has the rule of a breaker: after some failures in a row there are no calls of an origin for a while, then one
// at a time tries, until one succeeds.
//
//	closed ──> After failures in a row, or a Retry-After ──> open for a while, longer each time
//	  ▲                                                         │ the while is over
//	  └── it succeeds ── one call, for ProbeTime alone <────────┤
//	                         └── it fails ──────────────────────┘
//
// The state of a breaker is kept where all instances reach it. A store that can compute, such as Valkey, applies the same rule in
// its own language; any other reads a State, has it computed here, and writes it unless it has changed.
package circuit

import "time"

const (
	// After is the number of failures in a row that open the breaker. A tenth as many calls fail if the origin fails three of ten.
	After = 5
	// FirstPause and LongestPause bound the time without calls. A job waits for the longest at most after the origin is back.
	FirstPause   = time.Second
	LongestPause = 8 * time.Second
	// ProbeTime is the time that a probing call may take before another call probes.
	ProbeTime = 6 * time.Second
	// KeepFor is the time after the latest failure, and after the wait that it asked for, from which on no failure is remembered.
	KeepFor = 10 * time.Minute
)

// Pass is a breaker's answer to a call.
type Pass int

// The answers.
const (
	Passed  Pass = iota // nothing has failed
	Watched             // something has: a success is to be told
	Probing             // this call alone tries
	Stopped             // the call may not be made
)

// Event is the end of a call that a breaker let through.
type Event int

// The events.
const (
	Failed   Event = iota // by the origin's fault
	Answered              // the origin is well
	NotMade               // the next call may probe in its place
)

// Outcome is an event with the details of a failure.
type Outcome struct {
	Event   Event
	Asked   time.Duration // the wait that the origin asked for; 0 if it asked for none
	Percent int64         // of the usual pause, so that instances don't keep step
}

// State is a breaker's state; its zero value is that of a breaker that knows of no failure. Times are in whole milliseconds.
type State struct {
	Failures int64     // in a row
	Until    time.Time // of the pause, or of the probing call's time
}

// Ask answers a call, and returns the state after it and the time for which there are no calls if it is stopped.
func (s State) Ask(now time.Time) (State, Pass, time.Duration) {
	now = now.Truncate(time.Millisecond)
	switch wait := s.Until.Sub(now); {
	case s.Failures == 0:
		return s, Passed, 0
	case s.Failures < After:
		return s, Watched, 0
	case wait > 0:
		return s, Stopped, wait
	}
	s.Until = now.Add(ProbeTime)
	return s, Probing, 0
}

// Fail counts a failure, and returns the state after it and for how long calls stop; 0 if they don't.
func (s State) Fail(now time.Time, asked time.Duration, percent int64) (State, time.Duration) {
	now = now.Truncate(time.Millisecond)
	if s.Failures++; asked > 0 {
		s.Failures = max(s.Failures, After)
	}
	if s.Failures < After {
		return s, 0
	}
	pause := max(asked, min(LongestPause, FirstPause<<min(s.Failures-After, 20))*time.Duration(percent)/100).Truncate(time.Millisecond)
	until := now.Add(pause)
	if asked > 0 && s.Until.After(until) {
		until = s.Until // another failure asked for a longer wait
	}
	s.Until = until
	return s, pause
}

// Retract lets the next call probe.
func (s State) Retract() State {
	s.Until = time.Time{}
	return s
}
