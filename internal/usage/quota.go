package usage

import (
	"cmp"
	"math/bits"
)

// Quota is one month's allowance: how much the plan and the top-ups allow, and how much of it is used.
type Quota struct {
	Used     int64 // conversations opened in the month
	Limit    int64 // the plan's monthly limit, or Unlimited
	ToppedUp int64 // the sum of the month's top-ups; negative where corrections took more than top-ups gave
}

// NewQuota returns the quota of a bot that may open dailyLimit conversations a day. A negative dailyLimit means Unlimited.
// A negative count of used conversations is a fault of the stored data, and counts as 0.
func NewQuota(dailyLimit, used, toppedUp int64) Quota {
	q := Quota{Used: max(0, used), Limit: Unlimited, ToppedUp: toppedUp}
	if dailyLimit >= 0 {
		q.Limit = dailyLimit * daysPerMonth
	}
	return q
}

// IsUnlimited reports whether the plan has no limit. Top-ups make no difference to it then.
func (q Quota) IsUnlimited() bool { return q.Limit < 0 }

// EffectiveLimit returns the plan's limit plus the top-ups, or Unlimited. It is never below 0, which it would be where the
// plan was reduced after a correction.
func (q Quota) EffectiveLimit() int64 {
	if q.IsUnlimited() {
		return Unlimited
	}
	return max(0, q.Limit+q.ToppedUp)
}

// Add returns the quota after a top-up, or after a correction where the amount is negative. It fails with ErrUnlimited, and
// with ErrBelowZero where a correction would take the effective limit below 0.
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

// Remaining returns how many conversations are left, never fewer than 0, or Unlimited.
func (q Quota) Remaining() int64 {
	if q.IsUnlimited() {
		return Unlimited
	}
	return max(0, q.EffectiveLimit()-q.Used)
}

// HasAccess reports whether a further conversation is covered: the quota is unlimited, or something of it remains.
func (q Quota) HasAccess() bool { return q.Remaining() != 0 }

// Share is a part of an allowance, in millionths.
type Share int64

// Shares that have a meaning of their own.
const (
	Whole   Share = 1_000_000
	Percent Share = Whole / 100
	// AlertShare is the share from which a quota is nearly used up.
	AlertShare = 90 * Percent
)

// Reaches reports whether at least the share of the quota is used, in whole numbers: nothing is rounded. An unlimited
// quota reaches none, and every other one a share of 0. Of a limit of 0 nothing is used before the first conversation,
// and more than all of it from then on.
func (q Quota) Reaches(share Share) bool {
	switch {
	case q.IsUnlimited():
		return false
	case q.Used == 0:
		return share <= 0
	}
	return compareProducts(q.Used, int64(Whole), q.EffectiveLimit(), int64(share)) >= 0
}

// InAlert reports whether the quota is nearly used up, or more than that.
func (q Quota) InAlert() bool { return q.Reaches(AlertShare) }

// Thresholds are the percentages of the effective limit at which an owner is told: each once a month, and again where a
// top-up took the use below it.
var Thresholds = []int64{80, 90, 100}

// Threshold returns the highest of Thresholds that the quota has reached, or 0.
func (q Quota) Threshold() int64 {
	var highest int64
	for _, threshold := range Thresholds {
		if q.Reaches(Share(threshold) * Percent) {
			highest = threshold
		}
	}
	return highest
}

// PercentHundredths returns the used share in hundredths of a percent, at most 10,000, and false without a limit. It is rounded
// down: a quota that shows as 90 % or 100 % has reached it.
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

// WholePercent returns how many whole percent are used, at most most: it is p or more exactly where the quota reaches p percent.
// Of a limit of 0 it is 0 before the first conversation, and most from then on. It isn't asked of an unlimited quota.
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

// CompareUse returns -1 where less of q than of other is used in proportion to its limit, 0 where as much, and 1
// where more. Both are limited.
func (q Quota) CompareUse(other Quota) int {
	if q.Used == 0 || other.Used == 0 { // for any limits
		return cmp.Compare(q.Used, other.Used)
	}
	return compareProducts(q.Used, other.EffectiveLimit(), other.Used, q.EffectiveLimit())
}

// compareProducts compares a*b with c*d, for factors of any size that aren't negative.
func compareProducts(a, b, c, d int64) int {
	high1, low1 := bits.Mul64(uint64(a), uint64(b))
	high2, low2 := bits.Mul64(uint64(c), uint64(d))
	if high1 != high2 {
		return cmp.Compare(high1, high2)
	}
	return cmp.Compare(low1, low2)
}
