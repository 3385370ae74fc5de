package webhook

import (
	"context"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/ttl"
)

// MaxTenantAge is how long an instance may go on with what it knows of a restaurant after that was changed.
const MaxTenantAge = time.Minute

// maxCachedTenants bounds the memory that cached tenants take.
const maxCachedTenants = 1000

// TenantCache remembers the tenants that it found for MaxTenantAge, and unknown numbers not at all, so that a new bot
// answers at once. It is safe for concurrent use.
type TenantCache struct {
	tenants Tenants
	now     func() time.Time
	cached  *ttl.Cache[string, conversation.Tenant] // by number
}

// NewTenantCache returns a cache of tenants that takes the time from now.
func NewTenantCache(tenants Tenants, now func() time.Time) *TenantCache {
	return &TenantCache{tenants: tenants, now: now, cached: ttl.New[string, conversation.Tenant](maxCachedTenants)}
}

// TenantByNumber implements Tenants.
func (c *TenantCache) TenantByNumber(ctx context.Context, number string) (conversation.Tenant, error) {
	now := c.now()
	if t, ok := c.cached.Get(number, now, MaxTenantAge); ok {
		return t, nil
	}
	t, err := c.tenants.TenantByNumber(ctx, number)
	if err == nil {
		c.cached.Put(number, t, now)
	}
	return t, err
}
