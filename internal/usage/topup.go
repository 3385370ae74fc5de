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

// The bounds and defaults of a top-up.
const (
	DefaultTopUp       = 1000
	maxTopUp           = 1_000_000
	maxReasonLength    = 500
	maxRepeatKeyLength = 255
)

// DefaultReason returns the reason of a top-up that was given none.
func DefaultReason(amount int64) string {
	if amount < 0 {
		return "Manual correction"
	}
	return "Manual renewal"
}

// Faults of a top-up.
var (
	// ErrUnlimited says that a plan without a limit can't be topped up.
	ErrUnlimited = errors.New("the allowance is unlimited")
	// ErrBelowZero says that a correction would take the effective limit below 0.
	ErrBelowZero = errors.New("the effective limit would fall below 0")
	// ErrKeyReused says that an earlier, different top-up of the restaurant had the same key.
	ErrKeyReused = errors.New("the key was used for a top-up with another amount or reason")
)

// Types of a top-up, in the store and in the API.
const (
	TopUpType      = "renewal"
	CorrectionType = "correction" // its amount is negative
)

// TopUp is an amount added to the allowance of one month. A negative amount corrects an earlier top-up.
type TopUp struct {
	ID        string
	Amount    int64
	Type      string
	Reason    string
	CreatedAt time.Time
	CreatedBy string // the author: a credential's public id, or another name
}

// TopUpRequest is a request to add to a restaurant's allowance of the current month.
type TopUpRequest struct {
	RestaurantID string
	Amount       int64
	Reason       string
	// Key is the idempotency key: of all top-ups of a restaurant with the same key, by any author and at any time, only the
	// first is carried out. Without a key, each top-up is carried out.
	Key string
	By  string
}

// ToppedUp is the result of a top-up.
type ToppedUp struct {
	Quota  Quota // as it is after the top-up
	Repeat bool  // an earlier top-up had the same key: nothing was added now, and Quota is that top-up's result
}

// TopUpFault names an invalid part of a top-up.
type TopUpFault struct{ Name, Problem string }

func (f *TopUpFault) Error() string { return f.Name + " " + f.Problem }

// Validate returns a *TopUpFault, or nil.
func (r TopUpRequest) Validate() error {
	switch {
	case r.Amount == 0 || r.Amount < -maxTopUp || r.Amount > maxTopUp:
		return &TopUpFault{"amount", fmt.Sprintf("must be a whole number from -%d to %[1]d, and not 0", maxTopUp)}
	case strings.TrimSpace(r.Reason) == "" || !restaurant.Printable(r.Reason, maxReasonLength):
		return &TopUpFault{"reason", fmt.Sprintf("must be a text of one line and at most %d characters", maxReasonLength)}
	case len(r.Key) > maxRepeatKeyLength || strings.ContainsFunc(r.Key, func(c rune) bool { return c <= ' ' || c > '~' || c == ',' }):
		// On their way, several keys are joined by commas.
		return &TopUpFault{"Idempotency-Key", fmt.Sprintf("must be one key of 1 to %d printable ASCII characters, without spaces and commas", maxRepeatKeyLength)}
	}
	return nil
}

// TopUpStore changes allowances.
type TopUpStore interface {
	// AddTopUp adds to a restaurant's allowance for the month and stores the top-up, both or neither. It returns the month's
	// resulting quota. If the restaurant has no bot, its limit is defaultLimit.
	//
	// With a repeatKey, only the restaurant's first top-up with that key is made. For a later one with the same amount and
	// reason, AddTopUp returns the first one's quota, as a repeat; for a different one it fails with ErrKeyReused. AddTopUp
	// also fails with restaurant.ErrNotFound, outage.ErrUnavailable or the errors of Quota.Add.
	AddTopUp(ctx context.Context, restaurantID string, month Month, a TopUp, repeatKey string, defaultLimit int64) (ToppedUp, error)
}

// TopUpService adds to restaurants' allowances.
type TopUpService struct {
	store    TopUpStore
	calendar Calendar
	defaults restaurant.Limits
	now      func() time.Time
	newID    func() string
}

// NewTopUpService returns a TopUpService for the calendar's current month. newID returns a new id at each call.
func NewTopUpService(store TopUpStore, calendar Calendar, defaults restaurant.Limits, now func() time.Time, newID func() string) *TopUpService {
	return &TopUpService{store: store, calendar: calendar, defaults: defaults, now: now, newID: newID}
}

// Add makes a top-up, or finds that it was made already. It fails with *TopUpFault, restaurant.ErrNotFound, ErrUnlimited,
// ErrBelowZero, ErrKeyReused or outage.ErrUnavailable. After outage.ErrUnavailable, the top-up may have been made: it is safe
// to try again only with a key.
func (n *TopUpService) Add(ctx context.Context, r TopUpRequest) (ToppedUp, error) {
	if err := r.Validate(); err != nil {
		return ToppedUp{}, err
	}
	if !restaurant.ValidID(r.RestaurantID) {
		return ToppedUp{}, restaurant.ErrNotFound
	}
	now := n.now().UTC().Truncate(time.Millisecond)
	kind := TopUpType
	if r.Amount < 0 {
		kind = CorrectionType
	}
	a := TopUp{ID: "adj_" + n.newID(), Amount: r.Amount, Type: kind, Reason: r.Reason, CreatedAt: now, CreatedBy: r.By}
	done, err := n.store.AddTopUp(ctx, r.RestaurantID, n.calendar.Month(now), a, repeatKey(r.Key), n.defaults.ConversationsPerDay)
	if err != nil {
		return ToppedUp{}, fmt.Errorf("topping up the allowance of restaurant %s: %w", r.RestaurantID, err)
	}
	return done, nil
}

// repeatKey returns the stored form of a key, a hash: callers may put text into a key that nobody else should read.
func repeatKey(key string) string {
	if key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
