package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// TopUps are items of the usage table, beside the months that they belong to: in order of their creation, and for each
// key that makes repeats harmless another one, which holds what was asked for and what came of it.
//
//	2026-11                                           adjustedBy: 1500
//	adjustment/2026-11/2026-11-23T12:00:00.000Z/adj_…  amount: 1000, …
//	renewal/<SHA-256 of the key>                       amount, reason; used, limit, toppedUp right after
const (
	attrAmount    = "amount"
	attrReason    = "reason"
	attrUsed      = "used"
	attrLimit     = "limit"
	attrCreatedAt = "createdAt"

	// topUpDelay spreads the attempts at a top-up that met others: openings of a busy restaurant, mostly.
	topUpDelay = 50 * time.Millisecond
)

func topUpPrefix(month usage.Month) string { return "adjustment/" + month.String() + "/" }

func topUpItem(restaurantID string, month usage.Month, a usage.TopUp) item {
	it := usageKey(restaurantID, topUpPrefix(month)+a.CreatedAt.UTC().Format(timeLayout)+"/"+a.ID)
	it["id"] = text(a.ID)
	it[attrAmount] = number(a.Amount)
	it["type"] = text(a.Type)
	it[attrReason] = text(a.Reason)
	it[attrCreatedAt] = instant(a.CreatedAt)
	it["createdBy"] = text(a.CreatedBy)
	return it
}

// AddTopUp implements usage.TopUpStore, in two round trips where nobody else changes the month meanwhile.
func (s *Store) AddTopUp(
	ctx context.Context, restaurantID string, month usage.Month, a usage.TopUp, repeatKey string, defaultLimit int64,
) (usage.Quota, error) {
	for range conflictAttempts {
		quota, err := s.addTopUp(ctx, restaurantID, month, a, repeatKey, defaultLimit)
		var condition *conditionError
		if !errors.As(err, &condition) {
			return quota, err
		}
		if err := s.wait(ctx, topUpDelay); err != nil {
			return usage.Quota{}, translate(err)
		}
	}
	return usage.Quota{}, fmt.Errorf("%w: others keep changing the month", outage.ErrUnavailable)
}

// addTopUp makes the top-up, provided that nothing that it depends on changes between being read and being written.
func (s *Store) addTopUp(
	ctx context.Context, restaurantID string, month usage.Month, a usage.TopUp, repeatKey string, defaultLimit int64,
) (usage.Quota, error) {
	var repeat item
	if repeatKey != "" {
		repeat = usageKey(restaurantID, "renewal/"+repeatKey)
	}
	seen, first, err := s.standing(ctx, restaurantID, month.String(), repeat)
	switch {
	case err != nil:
		return usage.Quota{}, err
	case first != nil:
		return repeatedQuota(first, a)
	case seen.restaurant.ID == "":
		return usage.Quota{}, restaurant.ErrNotFound
	}
	quota := seen.quota(defaultLimit)
	if quota.IsUnlimited() {
		return usage.Quota{}, usage.ErrUnlimited
	}
	quota.ToppedUp += a.Amount
	items := append([]types.TransactWriteItem{
		update(s.tables.Usage, usageKey(restaurantID, month.String()), seen.adjusted(month.String(), quota.ToppedUp)),
		put(s.tables.Usage, topUpItem(restaurantID, month, a), expression{}),
	}, seen.checks(s.tables)...)
	if repeat != nil {
		repeat[attrAmount], repeat[attrReason], repeat[attrCreatedAt] = number(a.Amount), text(a.Reason), instant(a.CreatedAt)
		repeat[attrUsed], repeat[attrLimit], repeat[attrToppedUp] = number(quota.Used), number(quota.Limit), number(quota.ToppedUp)
		items = append(items, put(s.tables.Usage, repeat, expression{
			condition: "attribute_not_exists(#period)",
			names:     map[string]string{"#period": "period"},
		}))
	}
	return quota, s.transact(ctx, items, "")
}

// repeatedQuota returns what came of the first top-up of a key, if a is the same again.
func repeatedQuota(first item, a usage.TopUp) (usage.Quota, error) {
	r := reader{item: first}
	amount, reason := r.number(attrAmount), r.text(attrReason)
	quota := usage.Quota{Used: r.number(attrUsed), Limit: r.number(attrLimit), ToppedUp: r.number(attrToppedUp)}
	if r.err != nil {
		return usage.Quota{}, fmt.Errorf("an earlier top-up: %w", r.err)
	}
	if amount != a.Amount || reason != a.Reason {
		return usage.Quota{}, usage.ErrKeyReused
	}
	return quota, nil
}
