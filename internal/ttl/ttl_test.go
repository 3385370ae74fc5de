package ttl_test

import (
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/ttl"
)

func TestCache(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := ttl.New[string, int](2)
	c.Put("a", 1, start)
	for passed, want := range map[time.Duration]bool{-time.Nanosecond: false, 0: true, time.Minute - 1: true, time.Minute: false} {
		if value, ok := c.Get("a", start.Add(passed), time.Minute); ok != want || ok && value != 1 {
			t.Errorf("after %s: %d, %t", passed, value, ok)
		}
	}
	if _, ok := c.Get("b", start, time.Minute); ok {
		t.Error("a key without a value has one")
	}
	if value, ok := c.Last("a"); !ok || value != 1 {
		t.Errorf("the last value is %d, %t", value, ok)
	}
	c.Put("a", 2, start)
	c.Put("b", 3, start)
	c.Put("b", 4, start) // the key has a value already
	if value, ok := c.Get("a", start, time.Minute); !ok || value != 2 {
		t.Errorf("a full cache has %d, %t", value, ok)
	}
	c.Put("c", 5, start)
	if _, ok := c.Last("a"); ok {
		t.Error("a cache over its bound keeps everything")
	}
	if value, ok := c.Last("c"); !ok || value != 5 {
		t.Errorf("what came last is %d, %t", value, ok)
	}
}
