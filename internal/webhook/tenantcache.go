package webhook

import (
	"context"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
)

// MaxTenantAge is how long an instance may go on with what it knows of a restaurant after that was changed.
const MaxTenantAge = time.Minute

// maxCachedTenants bounds the memory that cached tenants take: a full cache is emptied, and the next look-ups fill it.
const maxCachedTenants = 1000

// TenantCache remembers the tenants that it found for MaxTenantAge, and unknown numbers not at all, so that a new bot
// answers at once. It is safe for concurrent use.
type TenantCache struct {
	tenants Tenants
	now     func() time.Time

	mu     sync.Mutex
	cached map[string]cachedTenant // by number
}

type cachedTenant struct {
	tenant    conversation.Tenant
	fetchedAt time.Time
}

// NewTenantCache returns a cache of tenants that takes the time from now.
func NewTenantCache(tenants Tenants, now func() time.Time) *TenantCache {
	return &TenantCache{tenants: tenants, now: now, cached: make(map[string]cachedTenant)}
}

// TenantByNumber implements Tenants.
func (c *TenantCache) TenantByNumber(ctx context.Context, number string) (conversation.Tenant, error) {
	now := c.now().Round(0) // the wall clock's: the monotonic one may stand still while the instance is frozen
	if t, ok := c.remembered(number, now); ok {
		return t, nil
	}
	t, err := c.tenants.TenantByNumber(ctx, number)
	if err == nil {
		c.remember(number, t, now)
	}
	return t, err
}

func (c *TenantCache) remembered(number string, now time.Time) (conversation.Tenant, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.cached[number]
	if age := now.Sub(entry.fetchedAt); !ok || age < 0 || age >= MaxTenantAge {
		return conversation.Tenant{}, false
	}
	return entry.tenant, true
}

func (c *TenantCache) remember(number string, t conversation.Tenant, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cached) >= maxCachedTenants {
		clear(c.cached)
	}
	c.cached[number] = cachedTenant{t, now}
}
