// Package ttl remembers values in an instance for as long as they may be served.
package ttl

import (
	"sync"
	"time"
)

// Cache holds values by key, each with the time at which it was read. It is safe for concurrent use.
//
// Ages are the wall clock's: the monotonic one may stand still while an instance is frozen. A value from the future, which a
// clock that was put back leaves behind, is of no age and not returned.
type Cache[K comparable, V any] struct {
	most int

	mu      sync.Mutex
	entries map[K]entry[V]
}

type entry[V any] struct {
	value V
	at    time.Time
}

// New returns a cache with a maximum number of values. A full cache is emptied, and the next look-ups fill it.
func New[K comparable, V any](most int) *Cache[K, V] {
	return &Cache[K, V]{most: most, entries: make(map[K]entry[V])}
}

// Get returns the key's value, or false if there is none that is younger than maxAge.
func (c *Cache[K, V]) Get(key K, now time.Time, maxAge time.Duration) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if age := now.Round(0).Sub(e.at); !ok || age < 0 || age >= maxAge {
		var none V
		return none, false
	}
	return e.value, true
}

// Last returns the key's value of any age, or false if it never had a value.
func (c *Cache[K, V]) Last(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	return e.value, ok
}

// Put remembers a value that was read at the time.
func (c *Cache[K, V]) Put(key K, value V, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; !ok && len(c.entries) >= c.most {
		clear(c.entries)
	}
	c.entries[key] = entry[V]{value, at.Round(0)}
}

// Delete forgets the key's value.
func (c *Cache[K, V]) Delete(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, key)
}
