package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// longestHold is the longest time for which a failure is held. A permanent failure is held that long at once.
	longestHold = time.Minute
	// maxHeldText bounds the stored text of an error, in bytes.
	maxHeldText = 300
)

// HeldError is a shared failure: the origin failed for another caller a moment ago, and isn't asked again until For has
// passed.
type HeldError struct {
	For       time.Duration // until the origin is asked again
	Permanent bool          // the origin said that trying again is of no use
	Cause     string
}

func (e *HeldError) Error() string { return e.Cause }

// Retryable reports whether the same load may succeed later.
func (e *HeldError) Retryable() bool { return !e.Permanent }

// heldFailure is the stored form of a failure.
type heldFailure struct {
	AtMs      int64  `json:"at"`
	HoldMs    int64  `json:"hold"`
	Permanent bool   `json:"permanent,omitempty"`
	Cause     string `json:"cause"`
}

// held returns the failure that is held for the key, nil if there is none.
func (l *Loader[T]) held(ctx context.Context, key string) error {
	if l.options.Hold == 0 {
		return nil
	}
	kept, found, err := l.options.Server.Get(ctx, key+":held")
	var f heldFailure
	if err != nil || !found || json.Unmarshal(kept, &f) != nil {
		return nil
	}
	hold := time.Duration(f.HoldMs) * time.Millisecond
	// The server decides when the failure expires. This instance's clock gives only an estimate of that moment.
	left := time.UnixMilli(f.AtMs).Add(hold).Sub(l.options.Now())
	return &HeldError{For: min(max(left, 10*time.Millisecond), hold), Permanent: f.Permanent, Cause: f.Cause}
}

// fetch asks the origin, unless the breaker or admit forbids it, and shares a failure with other callers.
func (l *Loader[T]) fetch(ctx context.Context, key string, admit Admit, fetch func(context.Context) (T, error)) (value T, err error) {
	p, wait := l.options.Breaker.allow(ctx)
	if wait > 0 {
		return value, &HeldError{For: wait, Cause: "calls to the Sufrah API are paused after failures"}
	}
	if err := admit.ask(ctx); err != nil {
		l.options.Breaker.retract(ctx, p)
		return value, err
	}
	value, err = fetch(ctx)
	switch {
	case err == nil || permanent(err): // it answered
		l.options.Breaker.well(ctx, p)
	case ctx.Err() != nil: // all callers have left, which says nothing about the origin
		l.options.Breaker.retract(ctx, p)
		return value, err
	}
	if err == nil {
		return value, nil
	}
	asked := time.Duration(0)
	if l.options.RetryAfter != nil {
		asked = l.options.RetryAfter(err)
	}
	pause := time.Duration(0)
	if !permanent(err) {
		pause = l.options.Breaker.failed(ctx, asked)
	}
	l.hold(ctx, key, err, asked, pause > 0)
	if p == probing && pause > 0 {
		// This call only tested whether the origin answers again. Its failure isn't the key's own.
		return value, &HeldError{For: pause, Cause: err.Error()}
	}
	return value, err
}

// permanent reports whether an error declares that trying again is of no use.
func permanent(err error) bool {
	said, ok := errors.AsType[interface {
		error
		Retryable() bool
	}](err)
	return ok && !said.Retryable()
}

// hold shares a failure with other callers: the first for about Hold, each further one twice as long, up to a minute. A
// permanent failure is shared for a minute, and any failure for at least the time that the origin asked for. While the
// breaker stops calls (originDown), failures are shared for Hold and aren't counted, because the key isn't at fault.
func (l *Loader[T]) hold(ctx context.Context, key string, cause error, asked time.Duration, originDown bool) {
	if l.options.Hold == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	count := 0
	if kept, found, err := l.options.Server.Get(ctx, key+":failures"); err == nil && found {
		count, _ = strconv.Atoi(string(kept))
	}
	hold := min(l.options.Hold<<min(count, 10), longestHold)
	if originDown {
		hold = l.options.Hold
	}
	if permanent(cause) {
		hold = longestHold
	}
	hold = max(hold*time.Duration(80+l.options.Random()%41)/100, min(asked, longestAsked))
	text := cause.Error()
	if len(text) > maxHeldText {
		text = strings.ToValidUTF8(text[:maxHeldText], "")
	}
	f, err := json.Marshal(heldFailure{l.options.Now().UnixMilli(), hold.Milliseconds(), permanent(cause), text})
	if err == nil {
		err = l.options.Server.Set(ctx, key+":held", f, hold)
	}
	if err == nil && !originDown {
		// The counter outlives the hold by a while: only failures that follow each other within that time are in a row.
		err = l.options.Server.Set(ctx, key+":failures", fmt.Append(nil, count+1), 2*hold+30*time.Second)
	}
	if err != nil {
		l.failed(ctx, "write", key, err)
	}
}
