package usage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// Bounds and defaults of a renewal.
const (
	DefaultRenewal       = 1000
	DefaultRenewalReason = "Manual renewal"
	maxRenewal           = 1_000_000
	maxReasonLength      = 500
	maxRepeatKeyLength   = 255
)

// Faults of a renewal.
var (
	// ErrUnlimited says that a restaurant's plan has no limit that could be added to.
	ErrUnlimited = errors.New("the allowance is unlimited")
	// ErrKeyReused says that another renewal of the restaurant had the same key.
	ErrKeyReused = errors.New("the key belongs to another renewal")
)

// RenewalType is the type of the adjustments that renewals make: so far the only one.
const RenewalType = "renewal"

// Adjustment is one change of a month's allowance.
type Adjustment struct {
	ID        string
	Amount    int64
	Type      string
	Reason    string
	CreatedAt time.Time
	CreatedBy string // the credential's public id, or who else it was
}

// Renewal is a request to add to a restaurant's allowance of the current month.
type Renewal struct {
	RestaurantID string
	Amount       int64
	Reason       string
	// Key makes a repeat harmless: of the renewals of a restaurant that have the same one, only the first is carried out,
	// whoever sends the others and whenever. Empty: each is carried out.
	Key string
	By  string
}

// RenewalFault says what of a renewal makes no sense.
type RenewalFault struct{ Name, Problem string }

func (f *RenewalFault) Error() string { return f.Name + " " + f.Problem }

// Validate returns a *RenewalFault, or nil.
func (r Renewal) Validate() error {
	switch {
	case r.Amount < 1 || r.Amount > maxRenewal:
		return &RenewalFault{"amount", fmt.Sprintf("must be a whole number from 1 to %d", maxRenewal)}
	case strings.TrimSpace(r.Reason) == "" || !restaurant.Printable(r.Reason, maxReasonLength):
		return &RenewalFault{"reason", fmt.Sprintf("must be a text of one line, of up to %d characters", maxReasonLength)}
	case len(r.Key) > maxRepeatKeyLength || strings.ContainsFunc(r.Key, func(c rune) bool { return c <= ' ' || c > '~' }):
		return &RenewalFault{"Idempotency-Key", fmt.Sprintf("must have 1 to %d printable ASCII characters, and no spaces", maxRepeatKeyLength)}
	}
	return nil
}

// Adjuster changes allowances.
type Adjuster interface {
	// Adjust adds to a restaurant's allowance of the month and keeps the adjustment, both or neither, and returns the
	// month's quota right after. Where the restaurant has no bot, its limit is defaultLimit.
	//
	// With a repeatKey, only the first adjustment of that key is made. For another one of the same amount and reason
	// Adjust returns what it returned for the first; for any other it fails with ErrKeyReused. It fails with
	// restaurant.ErrNotFound, ErrUnlimited or outage.ErrUnavailable.
	Adjust(ctx context.Context, restaurantID string, month Month, a Adjustment, repeatKey string, defaultLimit int64) (Quota, error)
}

// Renewer adds to restaurants' allowances.
type Renewer struct {
	store    Adjuster
	calendar Calendar
	defaults restaurant.Limits
	now      func() time.Time
	newID    func() string
}

// NewRenewer returns a Renewer of the calendar's current month. newID returns ids that are never the same.
func NewRenewer(store Adjuster, calendar Calendar, defaults restaurant.Limits, now func() time.Time, newID func() string) *Renewer {
	return &Renewer{store: store, calendar: calendar, defaults: defaults, now: now, newID: newID}
}

// Renew carries out a renewal and returns the quota right after it. It fails with *RenewalFault, restaurant.ErrNotFound,
// ErrUnlimited, ErrKeyReused or outage.ErrUnavailable. After the last it isn't known whether it was carried out: only with
// a key is it safe to try again.
func (n *Renewer) Renew(ctx context.Context, r Renewal) (Quota, error) {
	if err := r.Validate(); err != nil {
		return Quota{}, err
	}
	if !restaurant.ValidID(r.RestaurantID) {
		return Quota{}, restaurant.ErrNotFound
	}
	now := n.now().UTC().Truncate(time.Millisecond)
	a := Adjustment{ID: "adj_" + n.newID(), Amount: r.Amount, Type: RenewalType, Reason: r.Reason, CreatedAt: now, CreatedBy: r.By}
	quota, err := n.store.Adjust(ctx, r.RestaurantID, n.calendar.Month(now), a, repeatKey(r.Key), n.defaults.MessagesPerDay)
	if err != nil {
		return Quota{}, fmt.Errorf("renewing the allowance of restaurant %s: %w", r.RestaurantID, err)
	}
	return quota, nil
}

// repeatKey is what a store keeps of a key: callers may put into it what nobody else should read.
func repeatKey(key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
