package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/clock"
	"github.com/sufrah/usage-bootstrap/internal/task"
)

// Waits between an instance's looks whether another has fetched: doubled each time, less a random part of up to a half.
const (
	firstLook   = 10 * time.Millisecond
	longestLook = 80 * time.Millisecond
)

// Loader reads values through the cache. Create it with NewLoader; it is safe for concurrent use.
type Loader[T any] struct {
	options  Options
	flights  flights[T]
	renewals flights[T]
	renewing task.Pending
}

// NewLoader returns a loader of values of one type, which JSON can hold.
func NewLoader[T any](options Options) *Loader[T] {
	options.LockFor = cmp.Or(options.LockFor, DefaultLockFor)
	return &Loader[T]{options: options}
}

// kept is the content of the cache under a key.
type kept[T any] struct {
	value T
	found bool // and not older than TTL and StaleFor together
	fresh bool
}

// Load returns the value of the key: the cached value while it is fresh, or else the result of fetch, which is then cached.
// Simultaneous callers share a fetch, within this process and, as long as the server answers, with all others. If fetch fails,
// Load returns a value past its time to live if the cache has it, and otherwise fetch's error.
//
// If a caller's context ends, that caller gets its error and the others get their value. fetch's context ends when all callers
// have left. Callers share the value and must not change it.
func (l *Loader[T]) Load(ctx context.Context, key string, fetch func(context.Context) (T, error)) (T, Source, error) {
	return l.LoadAdmitted(ctx, key, nil, fetch)
}

// Admit says whether a value may be fetched now: its error, if any, is returned in place of the value. It is asked when
// everything else is ready for the fetch, and nobody waits for its answer.
type Admit func(ctx context.Context) error

// LoadAdmitted is Load, but fetches only if admit allows it; a nil admit always does. A refused caller leaves the fetch to the
// next.
func (l *Loader[T]) LoadAdmitted(ctx context.Context, key string, admit Admit, fetch func(context.Context) (T, error)) (T, Source, error) {
	r := l.flights.join(ctx, key, func(ctx context.Context) result[T] {
		r := l.load(ctx, key, admit, fetch)
		if !errors.Is(r.err, errNotAdmitted) {
			l.options.Observer.loaded(key, r.source)
		}
		return r
	})
	return r.value, r.source, r.err
}

// errNotAdmitted is that of an Admit.
var errNotAdmitted = errors.New("not fetched")

func (a Admit) ask(ctx context.Context) error {
	if a == nil {
		return nil
	}
	if err := a(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNotAdmitted, err)
	}
	return nil
}

func (l *Loader[T]) load(ctx context.Context, key string, admit Admit, fetch func(context.Context) (T, error)) result[T] {
	old, err := l.read(ctx, key)
	if err != nil {
		// A server that can't be read isn't waited for a second time, neither for a lock nor to write.
		if err := admit.ask(ctx); err != nil {
			return result[T]{err: err}
		}
		value, err := fetch(ctx)
		return fetched(value, err)
	}
	if old.fresh {
		return result[T]{old.value, Fresh, nil}
	}
	filled, done, err := l.turn(ctx, key)
	defer done()
	if filled.fresh {
		return result[T]{filled.value, Fresh, nil}
	}
	at := l.options.Now() // before the fetch: the value is at least as new
	var value T
	if err == nil {
		value, err = l.fetch(ctx, key, admit, fetch)
	}
	if errors.Is(err, errNotAdmitted) {
		return result[T]{err: err}
	}
	if err != nil && old.found {
		l.options.Log.WarnContext(ctx, "stale value served: fetching a new one failed", "key", key, "error", err)
		return result[T]{old.value, Stale, nil}
	}
	if err == nil {
		l.write(ctx, key, value, at)
	}
	return fetched(value, err)
}

// Serve is Load for callers that can't wait: a value past its time to live is returned at once, and renewed meanwhile. Renewed
// waits for the renewal.
func (l *Loader[T]) Serve(ctx context.Context, key string, fetch func(context.Context) (T, error)) (T, Source, error) {
	old, err := l.read(ctx, key)
	if err != nil || old.fresh || !old.found {
		if err == nil && old.fresh {
			l.options.Observer.loaded(key, Fresh)
			return old.value, Fresh, nil
		}
		return l.Load(ctx, key, fetch)
	}
	l.options.Observer.loaded(key, Stale)
	done := l.renewing.Add()
	background := context.WithoutCancel(ctx)
	go func() {
		defer done()
		background, cancel := context.WithTimeout(background, l.options.LockFor)
		defer cancel()
		l.renewals.join(background, key, func(ctx context.Context) result[T] { return l.renew(ctx, key, fetch) })
	}()
	return old.value, Stale, nil
}

// renew fetches the value, unless somebody else does.
func (l *Loader[T]) renew(ctx context.Context, key string, fetch func(context.Context) (T, error)) (r result[T]) {
	if r.err = l.held(ctx, key); r.err != nil {
		return r
	}
	unlock, locked, err := l.lock(ctx, key)
	if err != nil || !locked {
		return r
	}
	defer unlock()
	at := l.options.Now()
	if r.value, r.err = l.fetch(ctx, key, nil, fetch); r.err != nil {
		l.options.Log.WarnContext(ctx, "stale value not refreshed: fetching a new one failed", "key", key, "error", r.err)
		return r
	}
	l.write(ctx, key, r.value, at)
	return r
}

// Renewed waits until the values that were served stale before the call are renewed or can't be, or the context ends.
func (l *Loader[T]) Renewed(ctx context.Context) { l.renewing.Wait(ctx) }

func fetched[T any](value T, err error) result[T] {
	if err != nil {
		return result[T]{err: err}
	}
	return result[T]{value, Fetched, nil}
}

// turn waits until this instance may fetch. If another instance has fetched meanwhile, it returns that value. done gives the
// turn to the next caller.
//
//	locked ──> fresh by now ──────────────────> its value
//	   │           └─ no ─────────────────────> fetch, and done unlocks
//	held by another ──> fresh by now ─────────> its value
//	   ▲                    │ it failed ──────> its failure
//	   │                    └─ no: wait a little
//	   └─ again ───────────────┘  └─ LockFor is over, or the server fails ─> fetch without the lock
func (l *Loader[T]) turn(ctx context.Context, key string) (filled kept[T], done func(), failure error) {
	nothing := func() {}
	// Not by Now: a wait is over when its time has passed, wherever that clock is put.
	patience, cancel := context.WithTimeout(ctx, l.options.LockFor)
	defer cancel()
	for look := firstLook; ; look = min(2*look, longestLook) {
		if err := l.held(ctx, key); err != nil {
			return kept[T]{}, nothing, err
		}
		unlock, locked, err := l.lock(ctx, key)
		if err != nil {
			return kept[T]{}, nothing, nil
		}
		if locked {
			done = unlock
		} else {
			done = nothing
		}
		filled, err = l.read(ctx, key) // even when locked: the holder before may have fetched since the first look
		if locked && err == nil && !filled.fresh {
			if err := l.held(ctx, key); err != nil { // the holder before failed between the two looks
				done()
				return kept[T]{}, nothing, err
			}
		}
		if locked || err != nil || filled.fresh {
			return filled, done, nil
		}
		if clock.Sleep(patience, look-time.Duration(l.options.Random()%uint64(look/2))) != nil {
			return kept[T]{}, nothing, nil
		}
	}
}

// lock takes the key's lock, unless another has it. unlock gives it back.
func (l *Loader[T]) lock(ctx context.Context, key string) (unlock func(), locked bool, err error) {
	lock, token := key+":lock", strconv.FormatUint(l.options.Random(), 36)+strconv.FormatUint(l.options.Random(), 36)
	locked, err = l.options.Server.SetIfAbsent(ctx, lock, token, l.options.LockFor)
	if err != nil {
		l.failed(ctx, "lock", key, err)
	}
	return func() {
		if err := l.options.Server.DeleteIfEquals(context.WithoutCancel(ctx), lock, token); err != nil {
			l.failed(ctx, "unlock", key, err)
		}
	}, locked, err
}

// read returns the server's value under the key. An unreadable value counts as missing.
func (l *Loader[T]) read(ctx context.Context, key string) (kept[T], error) {
	sealed, found, err := l.options.Server.Get(ctx, key)
	if err != nil {
		l.failed(ctx, "read", key, err)
		return kept[T]{}, err
	}
	if !found {
		return kept[T]{}, nil
	}
	value, at, ok := open[T](sealed)
	// The fetching instance's clock may be ahead of this instance's, so the age of a value from the future counts as well.
	age := l.options.Now().Sub(at).Abs()
	if !ok || age >= l.options.TTL+l.options.StaleFor {
		return kept[T]{}, nil
	}
	return kept[T]{value: value, found: true, fresh: age < l.ttlOf(key, at)}, nil
}

// ttlOf returns how long a value is fresh. All instances agree: it follows from the key and the time at which it was fetched.
func (l *Loader[T]) ttlOf(key string, at time.Time) time.Duration {
	if l.options.Jitter == 0 {
		return l.options.TTL
	}
	h := fnv.New32a()
	_, _ = fmt.Fprint(h, key, at.UnixMilli())
	return l.options.TTL - time.Duration(l.options.Jitter*float64(l.options.TTL)*float64(h.Sum32())/(1<<32))
}

func (l *Loader[T]) write(ctx context.Context, key string, value T, at time.Time) {
	sealed, err := seal(value, at)
	if err == nil {
		// A value that was fetched is worth keeping even if nobody waits for it any more.
		err = l.options.Server.Set(context.WithoutCancel(ctx), key, sealed, l.options.TTL+l.options.StaleFor)
	}
	if err != nil {
		l.failed(ctx, "write", key, err)
	}
}

func (l *Loader[T]) failed(ctx context.Context, operation, key string, err error) {
	if ctx.Err() != nil {
		return // nobody waits any more: that says nothing about the server
	}
	l.options.Log.WarnContext(ctx, "cache command failed: the call goes on without the cache", "operation", operation, "key", key, "error", err)
	if l.options.Observer.Failed != nil {
		l.options.Observer.Failed(operation, key, err)
	}
}
