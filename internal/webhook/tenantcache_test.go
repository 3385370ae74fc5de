package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// registry makes up a tenant for each number, and counts its calls.
type registry struct {
	mu    sync.Mutex
	asked int
	err   error
}

func (r *registry) TenantByNumber(_ context.Context, number string) (conversation.Tenant, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return conversation.Tenant{Restaurant: restaurant.Restaurant{ID: "at" + number, Name: fmt.Sprint("version ", r.asked)}}, r.err
}

func TestTenantCacheForgetsWithAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	source := &registry{}
	cache := webhook.NewTenantCache(source, func() time.Time { return now })
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{0, "version 1"},
		{webhook.MaxTenantAge - time.Nanosecond, "version 1"},
		{time.Nanosecond, "version 2"},
		{-time.Hour, "version 3"}, // the clock was put back: the entry's age is unknown
		{webhook.MaxTenantAge, "version 4"},
	} {
		now = now.Add(step.after)
		got, err := cache.TenantByNumber(t.Context(), "+966110000000")
		if err != nil || got.Restaurant.Name != step.want || got.Restaurant.ID != "at+966110000000" {
			t.Errorf("at %v the number leads to %+v (error %v), want %s", now, got.Restaurant, err, step.want)
		}
	}
	if got, _ := cache.TenantByNumber(t.Context(), "+966110000001"); got.Restaurant.ID != "at+966110000001" {
		t.Errorf("another number leads to %+v, a remembered restaurant", got.Restaurant)
	}
}

func TestTenantCacheRemembersNoFailure(t *testing.T) {
	t.Parallel()
	source := &registry{err: restaurant.ErrNotFound}
	cache := webhook.NewTenantCache(source, time.Now)
	for range 2 {
		if _, err := cache.TenantByNumber(t.Context(), "+966110000000"); !errors.Is(err, restaurant.ErrNotFound) {
			t.Errorf("an unknown number gives the error %v, want not found", err)
		}
	}
	source.err = nil
	if _, err := cache.TenantByNumber(t.Context(), "+966110000000"); err != nil || source.asked != 3 {
		t.Errorf("a restaurant that was created after two failed lookups isn't found (error %v, store asked %d times, want 3): its customers get no answer", err, source.asked)
	}
}

// TestTenantCacheIsBounded asks for more numbers than are remembered. All are answered, and the first is looked up again.
func TestTenantCacheIsBounded(t *testing.T) {
	t.Parallel()
	source := &registry{}
	now := time.Now()
	cache := webhook.NewTenantCache(source, func() time.Time { return now })
	const numbers = 1001
	var group sync.WaitGroup
	for i := range numbers {
		group.Go(func() {
			number := fmt.Sprint("+96611", 1000000+i)
			if got, err := cache.TenantByNumber(t.Context(), number); err != nil || got.Restaurant.ID != "at"+number {
				t.Errorf("the number %s leads to %+v (error %v), want its own restaurant", number, got.Restaurant, err)
			}
		})
	}
	group.Wait()
	before := source.asked
	for i := range numbers {
		if _, err := cache.TenantByNumber(t.Context(), fmt.Sprint("+96611", 1000000+i)); err != nil {
			t.Fatalf("finding the restaurant by its number: %v", err)
		}
	}
	if again := source.asked - before; again < numbers-1000 {
		t.Errorf("of 1,001 numbers %d were looked up anew, want at least 1: the cache has no bound", again)
	}
}
