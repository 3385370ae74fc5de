// Package ttl remembers values in an instance for a limited time.
package ttl

import (
	"sync"
	"time"
)

// Cache holds values by key, each with the time at which it was read. It is safe for concurrent use.
//
// Ages are measured by the wall clock, because the monotonic clock may stand still while an instance is frozen. If a clock
// was put back, a value's time lies in the future: its age is unknown, and the value is not returned.
type Cache[K comparable, V any] struct {
	most int

	mu      sync.Mutex
	entries map[K]entry[V]
}

type entry[V any] struct {
	value V
	at    time.Time
}

// New returns a cache for a maximum number of values. When it is full it is emptied, and later look-ups fill it again.
func New[K comparable, V any](most int) *Cache[K, V] {
	return &Cache[K, V]{most: most, entries: make(map[K]entry[V])}
}

// Get returns the key's value; ok is false if there is none younger than maxAge.
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

// Last returns the key's value of any age; ok is false if it never had one.
func (c *Cache[K, V]) Last(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	return e.value, ok
}

// Put remembers a value that was read at a time.
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
