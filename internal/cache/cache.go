// Package cache keeps what is fetched from elsewhere where every instance of a function finds it: merchants' menus, and
// the ids of message templates.
//
// The cache is a convenience. A server that is down, slow or full, and a value that cannot be read, cost a fetch and
// never an error.
package cache

import (
	"context"
	"log/slog"
	"net/url"
	"time"
)

// Entries keeps values for a while. A value may be gone before its time; it is never another one.
type Entries interface {
	// Get returns the value of a key, or false where it has none.
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	// Set gives the key a value for ttl.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
}

// Locks is what instances agree by.
type Locks interface {
	// SetIfAbsent gives the key a value for ttl and returns true, unless it has another one. It is atomic: of several
	// callers with values of their own, one gets true. After an error the key may have the value.
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

// Observer is told what the cache does, for metrics. Its functions may be nil. They are called by many goroutines.
type Observer struct {
	// Loaded is told where a value came from: Fresh is a hit, Fetched a miss, Stale a miss that could not be fetched, and
	// None one for which nothing was kept either. Callers that share a load count once.
	Loaded func(key string, source Source)
	// Failed is told of an operation ("read", "write", "lock", "unlock") that the server failed in.
	Failed func(operation, key string, err error)
}

func (o Observer) loaded(key string, source Source) {
	if o.Loaded != nil {
		o.Loaded(key, source)
	}
}

// Options are what the loaders of an instance share.
type Options struct {
	Server   Server
	TTL      time.Duration // how long a value is fresh
	StaleFor time.Duration // how much longer it is kept for when it can't be fetched
	// LockFor is how long an instance may take to fetch before others do so too; 0 takes DefaultLockFor. It is longer than
	// the origin's time-out, so that all learn what becomes of one fetch. When the one that fetches dies, the others wait
	// for so long.
	LockFor time.Duration
	// Jitter is the part of TTL by which it differs from value to value, so that what was fetched together isn't fetched
	// together again: from TTL × (1 - Jitter) to TTL.
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

// Key returns the key of one part of what belongs to the owner, such as a merchant. All keys of an owner share a slot of
// a cluster, whatever signs are in its id, and no two owners share a key. A part has no braces.
func Key(owner, part string) string {
	return "sufrah:v1:{" + url.QueryEscape(owner) + "}:" + part
}
