package webhook

import (
	"context"
	"errors"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/ttl"
)

// MaxTenantAge is how long an instance may use outdated data of a restaurant.
const MaxTenantAge = time.Minute

// MaxAbsentAge is how long an instance may treat a new bot's number as a customer's. In that time, only the limit of answers
// to a customer bounds an exchange between two bots.
const MaxAbsentAge = 10 * time.Minute

// maxAbsent bounds the remembered numbers of customers, and so their memory.
const maxAbsent = 10_000

// maxCachedTenants bounds the remembered tenants, and so their memory.
const maxCachedTenants = 1000

// TenantCache remembers tenants for MaxTenantAge. TenantByNumber doesn't remember that a number has no tenant, so that a new
// bot answers at once; IsBot does, for MaxAbsentAge. A TenantCache is safe for concurrent use.
type TenantCache struct {
	tenants Tenants
	now     func() time.Time
	cached  *ttl.Cache[string, conversation.Tenant] // by number
	absent  *ttl.Cache[string, struct{}]            // numbers that belong to no bot
}

// NewTenantCache returns a cache of tenants that takes the time from now.
func NewTenantCache(tenants Tenants, now func() time.Time) *TenantCache {
	return &TenantCache{tenants: tenants, now: now, cached: ttl.New[string, conversation.Tenant](maxCachedTenants),
		absent: ttl.New[string, struct{}](maxAbsent)}
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

// IsBot implements Bots. A customer's number costs a read the first time that an instance sees it.
func (c *TenantCache) IsBot(ctx context.Context, number string) (bool, error) {
	now := c.now()
	if _, absent := c.absent.Get(number, now, MaxAbsentAge); absent {
		return false, nil
	}
	_, err := c.TenantByNumber(ctx, number)
	if !errors.Is(err, restaurant.ErrNotFound) {
		return err == nil, err
	}
	c.absent.Put(number, struct{}{}, now)
	return false, nil
}
