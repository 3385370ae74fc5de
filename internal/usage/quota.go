package usage

import (
	"cmp"
	"math/bits"
)

// Quota is a month's allowance: the plan, the top-ups, and the used part.
type Quota struct {
	Used     int64 // conversations opened in the month
	Limit    int64 // the plan's monthly limit, or Unlimited
	ToppedUp int64 // sum of the month's top-ups; negative if corrections took back more than top-ups added
}

// NewQuota returns the quota of a bot with dailyLimit conversations a day. A negative dailyLimit means Unlimited. A negative
// number of used conversations is a fault of the stored data, and counts as 0.
func NewQuota(dailyLimit, used, toppedUp int64) Quota {
	q := Quota{Used: max(0, used), Limit: Unlimited, ToppedUp: toppedUp}
	if dailyLimit >= 0 {
		q.Limit = dailyLimit * daysPerMonth
	}
	return q
}

// IsUnlimited reports whether the plan has no limit. Top-ups then have no effect.
func (q Quota) IsUnlimited() bool { return q.Limit < 0 }

// EffectiveLimit returns the plan's limit plus the top-ups, or Unlimited. If the plan was lowered after a correction the sum
// may be negative; it returns 0 then.
func (q Quota) EffectiveLimit() int64 {
	if q.IsUnlimited() {
		return Unlimited
	}
	return max(0, q.Limit+q.ToppedUp)
}

// Add returns the quota after a top-up, or after a correction if the amount is negative. It fails with ErrUnlimited, or with
// ErrBelowZero if a correction would take the effective limit below 0.
func (q Quota) Add(amount int64) (Quota, error) {
	if q.IsUnlimited() {
		return q, ErrUnlimited
	}
	q.ToppedUp += amount
	if amount < 0 && q.Limit+q.ToppedUp < 0 {
		return q, ErrBelowZero
	}
	return q, nil
}

// Remaining returns the number of conversations left, never below 0, or Unlimited.
func (q Quota) Remaining() int64 {
	if q.IsUnlimited() {
		return Unlimited
	}
	return max(0, q.EffectiveLimit()-q.Used)
}

// HasAccess reports whether a further conversation is covered: the quota is unlimited, or a part of it is left.
func (q Quota) HasAccess() bool { return q.Remaining() != 0 }

// Share is a part of an allowance, in millionths.
type Share int64

// Shares with a meaning of their own.
const (
	Whole   Share = 1_000_000
	Percent Share = Whole / 100
	// AlertShare is the share from which a quota is nearly used up.
	AlertShare = 90 * Percent
)

// Reaches reports whether at least the share of the quota is used. It computes with whole numbers, without rounding. An
// unlimited quota reaches no share; any other reaches 0. A quota with a limit of 0 reaches no higher share before the first
// conversation, and every share after it.
func (q Quota) Reaches(share Share) bool {
	switch {
	case q.IsUnlimited():
		return false
	case q.Used == 0:
		return share <= 0
	}
	return compareProducts(q.Used, int64(Whole), q.EffectiveLimit(), int64(share)) >= 0
}

// InAlert reports whether the quota is nearly or wholly used up.
func (q Quota) InAlert() bool { return q.Reaches(AlertShare) }

// Thresholds are the percentages of the effective limit at which the owner is notified, once a month each, and again after a
// top-up took the used share below the threshold.
var Thresholds = []int64{80, 90, 100}

// Threshold returns the highest of Thresholds that the quota has reached, 0 if none.
func (q Quota) Threshold() int64 {
	var highest int64
	for _, threshold := range Thresholds {
		if q.Reaches(Share(threshold) * Percent) {
			highest = threshold
		}
	}
	return highest
}

// PercentHundredths returns the used share in hundredths of a percent, at most 10,000. It returns false for an unlimited
// quota. It rounds down, so that a quota that shows as 90 % or 100 % has really reached it.
func (q Quota) PercentHundredths() (int64, bool) {
	const all = 100 * 100
	limit := q.EffectiveLimit()
	switch {
	case q.IsUnlimited():
		return 0, false
	case q.Used == 0:
		return 0, true
	case q.Used >= limit:
		return all, true
	}
	high, low := bits.Mul64(uint64(q.Used), all)
	quotient, _ := bits.Div64(high, low, uint64(limit))
	return int64(quotient), true
}

// WholePercent returns the used share in percent, rounded down and capped at the parameter most. The result is at least p
// exactly if the quota reaches p percent. With a limit of 0, it is 0 before the first conversation and the cap after it. The
// quota must not be unlimited.
func (q Quota) WholePercent(most int64) int64 {
	limit := q.EffectiveLimit()
	if q.Used == 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(q.Used), 100)
	if limit <= 0 || high >= uint64(limit) {
		return most
	}
	percent, _ := bits.Div64(high, low, uint64(limit))
	return int64(min(percent, uint64(most)))
}

// CompareUse compares the used shares of two limited quotas: it returns -1 if q's is smaller, 0 if they are equal, and 1 if
// q's is larger.
func (q Quota) CompareUse(other Quota) int {
	if q.Used == 0 || other.Used == 0 { // for any limits
		return cmp.Compare(q.Used, other.Used)
	}
	return compareProducts(q.Used, other.EffectiveLimit(), other.Used, q.EffectiveLimit())
}

// compareProducts compares a*b with c*d. The factors may be of any size, but not negative.
func compareProducts(a, b, c, d int64) int {
	high1, low1 := bits.Mul64(uint64(a), uint64(b))
	high2, low2 := bits.Mul64(uint64(c), uint64(d))
	if high1 != high2 {
		return cmp.Compare(high1, high2)
	}
	return cmp.Compare(low1, low2)
}
