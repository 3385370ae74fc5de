// Package cache keeps fetched data for all instances of a function: merchants' menus, and the ids of message templates.
//
// Callers never depend on the cache: if its server is down, slow or full, or a value can't be read, the value is fetched,
// without an error.
package cache

import (
	"context"
	"log/slog"
	"net/url"
	"time"
)

// Entries keeps values for a while. A value may disappear before its time to live ends, but only Set replaces it.
type Entries interface {
	// Get returns the key's value; found is false if it has none.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// Set gives the key a value for ttl.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
}

// Locks lets instances agree on a single holder of a key.
type Locks interface {
	// SetIfAbsent gives the key a value for ttl and returns true, unless the key has another value. It is atomic: of several
	// callers with different values, only the first gets true. If it fails, the key may have the value all the same.
	SetIfAbsent(ctx context.Context, key, value string, ttl time.Duration) (bool, error)
	// DeleteIfEquals deletes the key if it has the value, atomically.
	DeleteIfEquals(ctx context.Context, key, value string) error
}

// Server is a cache that all instances share.
type Server interface {
	Entries
	Locks
}

// Source is where a value came from.
type Source int

// The sources.
const (
	None    Source = iota // there is no value
	Fresh                 // the cache, within its time to live
	Fetched               // fetched just now
	Stale                 // the cache, past its time to live: a new value is being fetched, or can't be
)

// String returns the source's name in lower case.
func (s Source) String() string {
	switch s {
	case Fresh:
		return "fresh"
	case Fetched:
		return "fetched"
	case Stale:
		return "stale"
	}
	return "none"
}

// Observer receives the cache's events, for metrics. Its functions may be nil. They are called concurrently.
type Observer struct {
	// Loaded is called with a value's source. Fresh is a hit; Fetched is a miss; Stale is an old value, served while a new
	// one was fetched or after the fetch failed; None is a failed fetch without an old value. Callers that share a load count
	// once.
	Loaded func(key string, source Source)
	// Failed is called when the server fails an operation ("read", "write", "lock", "unlock").
	Failed func(operation, key string, err error)
}

func (o Observer) loaded(key string, source Source) {
	if o.Loaded != nil {
		o.Loaded(key, source)
	}
}

// Options are shared by the loaders of an instance.
type Options struct {
	Server   Server
	TTL      time.Duration // how long a value is fresh
	StaleFor time.Duration // how much longer a value is kept, for when no new one can be fetched
	// LockFor is how long other instances wait for a fetching instance before they fetch too; 0 means DefaultLockFor. It must
	// be longer than the origin's time-out, so that all instances learn the result of one fetch. If the fetching instance
	// dies, the others wait for all of LockFor.
	LockFor time.Duration
	// Jitter is a share of TTL. A value stays fresh for TTL × (1 - Jitter) to TTL, at random, so that values fetched together
	// don't expire together.
	Jitter float64
	// Hold is roughly how long a first failure is shared before the origin is asked again; 0 means that failures aren't
	// shared.
	Hold time.Duration
	// Breaker stops calls while the origin is down; nil stops none.
	Breaker *Breaker
	// RetryAfter returns the pause that the origin asked for in an error, 0 if none. It may be nil.
	RetryAfter func(error) time.Duration
	Now        func() time.Time
	Random     func() uint64 // evenly distributed and different in each instance; safe for concurrent use
	Log        *slog.Logger
	Observer   Observer
}

// DefaultLockFor is a little longer than Sufrah's time-out.
const DefaultLockFor = 6 * time.Second

// Key returns the cache key of a part of an owner's data, such as a merchant's categories. All keys of an owner are in one
// slot of a cluster, whatever characters the owner's id has. No two owners share a key. The part must not contain braces.
func Key(owner, part string) string {
	return "sufrah:v1:{" + url.QueryEscape(owner) + "}:" + part
}
