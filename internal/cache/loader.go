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

// An instance that waits for another's fetch looks for the result first after firstLook, and at most longestLook later again.
// Each wait is twice the previous wait, less a random part of up to a half.
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

// NewLoader returns a loader of values of a type that JSON can represent.
func NewLoader[T any](options Options) *Loader[T] {
	options.LockFor = cmp.Or(options.LockFor, DefaultLockFor)
	return &Loader[T]{options: options}
}

// kept is the cached content of a key.
type kept[T any] struct {
	value T
	found bool // there is a value, and it is no older than TTL and StaleFor together
	fresh bool
}

// Load returns the key's value: the cached value while it is fresh, otherwise the result of fetch, which is then cached.
// Simultaneous callers share a fetch, within this process and, as long as the server answers, with all other instances. If
// fetch fails, Load returns the cached value past its time to live, and if there is none, fetch's error.
//
// If a caller's context ends, Load returns the context's error to that caller only. fetch's context ends when all callers
// have left. Callers share the value and must not change it.
func (l *Loader[T]) Load(ctx context.Context, key string, fetch func(context.Context) (T, error)) (T, Source, error) {
	return l.LoadAdmitted(ctx, key, nil, fetch)
}

// Admit decides whether a value may be fetched now. Its error, if any, is returned to the caller of the load. It is called
// right before the fetch and must not block.
type Admit func(ctx context.Context) error

// LoadAdmitted is Load, but fetches only if admit allows it; a nil admit always does. If admit refuses, LoadAdmitted fails
// with admit's error, and the next caller may fetch.
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

// errNotAdmitted marks the error of an Admit.
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
		// A server that can't be read isn't asked again for a lock or a write: each would cost another time-out.
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
	at := l.options.Now() // taken before the fetch, so the value is never older than it seems
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

// Serve is Load for callers that can't wait: it returns a value past its time to live at once, and renews it in the
// background. Renewed waits for these renewals.
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

// renew fetches the value, unless another caller or instance does.
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

// Renewed waits for the renewals of all values that Serve has returned stale, whether they succeed or fail, or until the
// context ends.
func (l *Loader[T]) Renewed(ctx context.Context) { l.renewing.Wait(ctx) }

func fetched[T any](value T, err error) result[T] {
	if err != nil {
		return result[T]{err: err}
	}
	return result[T]{value, Fetched, nil}
}

// turn waits until this instance may fetch. filled is the cached value, fresh if another instance has fetched it meanwhile,
// and failure is the failure of another's fetch. done lets the next instance fetch.
//
//	locked ──> fresh by now ──────────────────> its value
//	   │           └─ no ─────────────────────> fetch, and done unlocks
//	held by another ──> fresh by now ─────────> its value
//	   ▲                    │ it failed ──────> its failure
//	   │                    └─ no: wait a little
//	   └─ again ───────────────┘  └─ LockFor is over, or the server fails ─> fetch without the lock
func (l *Loader[T]) turn(ctx context.Context, key string) (filled kept[T], done func(), failure error) {
	nothing := func() {}
	// Measured by the real clock, not by Now: tests move Now by hand, and the wait must end all the same.
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
		filled, err = l.read(ctx, key) // even with the lock: its previous holder may have fetched since the first look
		if locked && err == nil && !filled.fresh {
			if err := l.held(ctx, key); err != nil { // the lock's previous holder failed between the two looks
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

// lock takes the key's lock, unless another instance has it. unlock gives it back.
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
	// The other instance's clock may be ahead of this one. The absolute value makes a time in the future count as an age too.
	age := l.options.Now().Sub(at).Abs()
	if !ok || age >= l.options.TTL+l.options.StaleFor {
		return kept[T]{}, nil
	}
	return kept[T]{value: value, found: true, fresh: age < l.ttlOf(key, at)}, nil
}

// ttlOf returns how long a value is fresh. It depends only on the key and the time of the fetch, so all instances agree.
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
		// The value is worth keeping even if all callers have left.
		err = l.options.Server.Set(context.WithoutCancel(ctx), key, sealed, l.options.TTL+l.options.StaleFor)
	}
	if err != nil {
		l.failed(ctx, "write", key, err)
	}
}

func (l *Loader[T]) failed(ctx context.Context, operation, key string, err error) {
	if ctx.Err() != nil {
		return // the caller has left, which says nothing about the server
	}
	l.options.Log.WarnContext(ctx, "cache command failed: the call goes on without the cache", "operation", operation, "key", key, "error", err)
	if l.options.Observer.Failed != nil {
		l.options.Observer.Failed(operation, key, err)
	}
}
