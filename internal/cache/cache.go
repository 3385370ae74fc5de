// Package cache keeps data fetched from elsewhere for all instances of a function: merchants' menus, and the ids of message
// templates.
//
// The cache is a convenience. If its server is down, slow or full, or a value can't be read, that costs a fetch and is never an
// error.
package cache

import (
	"context"
	"log/slog"
	"net/url"
	"time"
)

// Entries keeps values for a while. A value may disappear before its time, but is never replaced by another.
type Entries interface {
	// Get returns the value of a key, or false if it has none.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// Set gives the key a value for ttl.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
}

// Locks lets instances agree on a single holder.
type Locks interface {
	// SetIfAbsent gives the key a value for ttl and returns true, unless it has another value. It is atomic: of several callers
	// with different values, only the first gets true. After an error the key may have the value.
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
	Fresh                 // the cache, within the value's time to live
	Fetched               // fetched just now
	Stale                 // the cache, after its time to live: it is being fetched, or can't be
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

// Observer receives the cache's events, for metrics. Its functions may be nil. Many goroutines call them.
type Observer struct {
	// Loaded is called with a value's source: Fresh is a hit, Fetched a miss, Stale a miss that could not be fetched, and None
	// a miss without even an old value. Callers that share a load count once.
	Loaded func(key string, source Source)
	// Failed is told of an operation ("read", "write", "lock", "unlock") that the server failed in.
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
	StaleFor time.Duration // how much longer it is kept for when it can't be fetched
	// LockFor is the time that an instance may take to fetch before others fetch too; 0 takes DefaultLockFor. It is longer than
	// the origin's time-out, so that all instances learn the result of the same fetch. If the fetching instance dies, the
	// others wait that long.
	LockFor time.Duration
	// Jitter is the share of TTL by which values differ, from TTL × (1 - Jitter) to TTL, so that values fetched together don't
	// expire together.
	Jitter float64
	// Hold is about how long a first failure is shared before the origin is asked again; 0 shares none.
	Hold time.Duration
	// Breaker stops calls while the origin is down; nil never does.
	Breaker *Breaker
	// RetryAfter returns for how long the origin of an error asked to be left alone; nil is never.
	RetryAfter func(error) time.Duration
	Now        func() time.Time
	Random     func() uint64 // evenly distributed, by instances apart; safe for concurrent use
	Log        *slog.Logger
	Observer   Observer
}

// DefaultLockFor is a little more than Sufrah's answer may take.
const DefaultLockFor = 6 * time.Second

// Key returns the key of a part that belongs to an owner, such as a merchant. All keys of an owner share a slot of a cluster,
// whatever characters its id has, and no two owners share a key. A part has no braces.
func Key(owner, part string) string {
	return "sufrah:v1:{" + url.QueryEscape(owner) + "}:" + part
}
