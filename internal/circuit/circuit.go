// Package circuit contains the rule of a circuit breaker. After some failures in a row, an origin isn't called for a while.
// Then one call at a time tries it, until one succeeds.
//
//	closed ──> After failures in a row, or a Retry-After ──> open for a while, longer each time
//	  ▲                                                         │ the pause is over
//	  └── it succeeds ── one call, for ProbeTime alone <────────┤
//	                         └── it fails ──────────────────────┘
//
// All instances share a breaker's state. A store that can compute, such as Valkey, applies the same rule in its own language.
// With any other store, the instance reads the State, computes the new one with this package, and writes it unless it has
// changed meanwhile.
package circuit

import "time"

const (
	// After is the number of failures in a row that open the breaker. If three of ten calls fail, five in a row are rare.
	After = 5
	// FirstPause is the pause once the last After calls have failed. Each further failure doubles it, up to LongestPause.
	// Pauses vary by Outcome.Percent, and last at least as long as the origin asked.
	FirstPause   = time.Second
	LongestPause = 8 * time.Second
	// ProbeTime is how long a probing call may take before another call may probe.
	ProbeTime = 6 * time.Second
	// KeepFor is how long failures are remembered after the latest one, and after the wait that it asked for.
	KeepFor = 10 * time.Minute
)

// Pass is a breaker's decision about a call.
type Pass int

// The decisions.
const (
	Passed  Pass = iota // the call may be made; nothing has failed
	Watched             // the call may be made; something has failed, so a success must be reported
	Probing             // the call may be made, and no other at the same time
	Stopped             // the call may not be made
)

// Event is the result of a call that a breaker let through.
type Event int

// The events.
const (
	Failed   Event = iota // the call failed by the origin's fault
	Answered              // the origin answered
	NotMade               // the call wasn't made; the next one may probe in its place
)

// Outcome is an event with the details of a failure.
type Outcome struct {
	Event   Event
	Asked   time.Duration // wait that the origin asked for; 0 if none
	Percent int64         // of the usual pause; random, so that instances don't keep step
}

// State is a breaker's state. The zero State knows of no failure. Times are in whole milliseconds.
type State struct {
	Failures int64     // in a row
	Until    time.Time // end of the pause, or of the probing call's time
}

// Ask decides about a call. It returns the state after that, the decision, and the time without calls if the call is stopped.
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

// Fail counts a failure. It returns the state after that, and for how long calls stop; 0 if they don't.
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
		until = s.Until // another failure has asked for a longer wait
	}
	s.Until = until
	return s, pause
}

// Retract returns the state after a probing call wasn't made: the next call may probe.
func (s State) Retract() State {
	s.Until = time.Time{}
	return s
}
