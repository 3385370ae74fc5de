package usage_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/usage"
)

func TestWhatRemainsIsNeverBelowZero(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		dailyLimit, today, thisMonth           int64
		daily, dailyLeft, monthly, monthlyLeft int64
	}{
		"unused":                    {1000, 0, 0, 1000, 1000, 30000, 30000},
		"used before today":         {1000, 0, 45, 1000, 1000, 30000, 29955},
		"used today":                {10, 3, 7, 10, 7, 300, 293},
		"one left today":            {10, 9, 9, 10, 1, 300, 291},
		"the day used up":           {10, 10, 10, 10, 0, 300, 290},
		"the day exceeded":          {10, 11, 11, 10, 0, 300, 289},
		"the month used up":         {10, 0, 300, 10, 10, 300, 0},
		"the month exceeded":        {10, 2, 301, 10, 8, 300, 0},
		"nothing allowed":           {0, 0, 0, 0, 0, 0, 0},
		"nothing allowed, yet used": {0, 5, 5, 0, 0, 0, 0},
		"unlimited":                 {usage.Unlimited, 5000, 5000, -1, -1, -1, -1},
		"any negative limit":        {math.MinInt64, 0, 0, -1, -1, -1, -1},
		"negative counts":           {10, -1, math.MinInt64, 10, 10, 300, 300},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := usage.Allowance{DailyLimit: test.daily, DailyRemaining: test.dailyLeft,
				MonthlyLimit: test.monthly, MonthlyRemaining: test.monthlyLeft}
			if diff := cmp.Diff(want, usage.NewAllowance(test.dailyLimit, test.today,
				usage.NewQuota(test.dailyLimit, test.thisMonth, 0))); diff != "" {
				t.Errorf("%d opened today and %d this month, of %d a day, leave the allowance (-want +got):\n%s", test.today, test.thisMonth, test.dailyLimit, diff)
			}
		})
	}
}

func TestAllowanceStaysWithinItsLimits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const largestLimit = 1_000_000_000
		limit := rapid.Int64Range(0, largestLimit).Draw(t, "limit")
		today := rapid.Int64Range(0, math.MaxInt64).Draw(t, "today")
		thisMonth := rapid.Int64Range(today, math.MaxInt64).Draw(t, "this month")
		added := rapid.Int64Range(-1_000_000, 1_000_000).Draw(t, "added")
		got := usage.NewAllowance(limit, today, usage.NewQuota(limit, thisMonth, added))
		monthly := max(0, 30*limit+added)
		if got.DailyLimit != limit || got.MonthlyLimit != 30*limit {
			t.Errorf("a plan of %d a day shows as %d a day and %d a month, want 30 times as many a month", limit, got.DailyLimit, got.MonthlyLimit)
		}
		if got.DailyRemaining < 0 || got.DailyRemaining > got.DailyLimit {
			t.Errorf("the owner is shown %d conversations left today, of %d", got.DailyRemaining, got.DailyLimit)
		}
		if got.MonthlyRemaining < 0 || got.MonthlyRemaining > monthly {
			t.Errorf("the owner is shown %d conversations left this month, of %d", got.MonthlyRemaining, monthly)
		}
		if today < limit && got.DailyRemaining+today != limit {
			t.Errorf("%d of %d conversations are shown as left today after %d", got.DailyRemaining, limit, today)
		}
		if thisMonth < monthly && got.MonthlyRemaining+thisMonth != monthly {
			t.Errorf("%d of %d conversations are shown as left this month after %d", got.MonthlyRemaining, monthly, thisMonth)
		}
	})
}
