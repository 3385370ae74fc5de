package usage_test

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/usage"
)

func TestQuotaSaysWhatIsLeftAndWhetherTheOwnerIsAlerted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		daily, used, added             int64
		limit, effective, remaining    int64
		hundredths                     int64 // -1: without a limit
		nearing, reachesAll, reachesIt bool  // whether it reaches 90 %, 100 % and 0
	}{
		"unused":                        {1000, 0, 0, 30000, 30000, 30000, 0, false, false, true},
		"one of many":                   {1000, 1, 0, 30000, 30000, 29999, 0, false, false, true},
		"three of many":                 {1000, 3, 0, 30000, 30000, 29997, 1, false, false, true},
		"just below 90 %":               {1000, 26999, 0, 30000, 30000, 3001, 8999, false, false, true},
		"90 %":                          {1000, 27000, 0, 30000, 30000, 3000, 9000, true, false, true},
		"just below all":                {1000, 29999, 0, 30000, 30000, 1, 9999, true, false, true},
		"all but one of three billion":  {100_000_000, 2_999_999_999, 0, 3_000_000_000, 3_000_000_000, 1, 9999, true, false, true},
		"just below 90 % of a billion":  {100_000_000, 2_699_999_999, 0, 3_000_000_000, 3_000_000_000, 300_000_001, 8999, false, false, true},
		"all":                           {1000, 30000, 0, 30000, 30000, 0, 10000, true, true, true},
		"more than all":                 {1000, 45000, 0, 30000, 30000, 0, 10000, true, true, true},
		"topped up":                     {1, 30, 10, 30, 40, 10, 7500, false, false, true},
		"a third":                       {1, 10, 0, 30, 30, 20, 3333, false, false, true},
		"two thirds":                    {1, 20, 0, 30, 30, 10, 6666, false, false, true},
		"nothing allowed, unused":       {0, 0, 0, 0, 0, 0, 0, false, false, true},
		"nothing allowed, used":         {0, 1, 0, 0, 0, 0, 10000, true, true, true},
		"nothing allowed, but added":    {0, 9, 10, 0, 10, 1, 9000, true, false, true},
		"corrected":                     {1, 10, -10, 30, 20, 10, 5000, false, false, true},
		"corrected below what was used": {1, 25, -10, 30, 20, 0, 10000, true, true, true},
		"corrected to nothing":          {1, 0, -30, 30, 0, 0, 0, false, false, true},
		"corrected, then a lower plan":  {1, 1, -40, 30, 0, 0, 10000, true, true, true},
		"unlimited":                     {-1, 5000, 0, -1, -1, -1, -1, false, false, false},
		"unlimited, topped up before":   {-1, 5000, 70, -1, -1, -1, -1, false, false, false},
		"as many as can be counted":     {1_000_000_000, math.MaxInt64, 0, 30_000_000_000, 30_000_000_000, 0, 10000, true, true, true},
		"far more than there can be":    {1_000_000_000, 1 << 58, 0, 30_000_000_000, 30_000_000_000, 0, 10000, true, true, true}, // a multiple of 2^64 millionths
		"the largest limit, nearly all": {1_000_000_000, 29_999_999_999, 0, 30_000_000_000, 30_000_000_000, 1, 9999, true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := usage.NewQuota(test.daily, test.used, test.added)
			if q.Limit != test.limit || q.EffectiveLimit() != test.effective || q.Remaining() != test.remaining || q.ToppedUp != test.added {
				t.Errorf("%+v has the effective limit %d with %d remaining, want %d with %d", q, q.EffectiveLimit(), q.Remaining(), test.effective, test.remaining)
			}
			if q.HasAccess() != (test.remaining != 0) {
				t.Errorf("hasAccess is %t with %d conversations remaining", q.HasAccess(), test.remaining)
			}
			var threshold int64
			for _, at := range usage.Thresholds {
				if q.Reaches(usage.Share(at) * usage.Percent) {
					threshold = at
				}
			}
			if q.Threshold() != threshold || (threshold == 100) != test.reachesAll || (threshold >= 90) != test.nearing {
				t.Errorf("%+v has passed the threshold %d, want %d, at least 90: %t, 100: %t; the owner is alerted by it", q, q.Threshold(), threshold, test.nearing, test.reachesAll)
			}
			hundredths, limited := q.PercentHundredths()
			if limited != (test.hundredths >= 0) || limited && hundredths != test.hundredths {
				t.Errorf("%+v shows as %d hundredths of a percent used (limited %t), want %d (-1: unlimited)", q, hundredths, limited, test.hundredths)
			}
			if q.InAlert() != test.nearing || q.Reaches(usage.Whole) != test.reachesAll || q.Reaches(0) != test.reachesIt {
				t.Errorf("%+v is in the alerts: %t, want %t; reaches all: %t, want %t; reaches 0: %t, want %t", q, q.InAlert(), test.nearing, q.Reaches(usage.Whole), test.reachesAll, q.Reaches(0), test.reachesIt)
			}
		})
	}
}

// TestNegativeCountIsNone: a negative count, stored by a fault, shows as 0 and not as a huge percentage.
func TestNegativeCountIsNone(t *testing.T) {
	t.Parallel()
	for _, used := range []int64{-1, -300, math.MinInt64} {
		q := usage.NewQuota(10, used, 0)
		if hundredths, _ := q.PercentHundredths(); q.Used != 0 || q.Remaining() != 300 || hundredths != 0 || q.Reaches(1) {
			t.Errorf("a stored count of %d shows as %+v, %d of 300 remaining, %d hundredths of a percent, want a count of 0", used, q, q.Remaining(), hundredths)
		}
	}
}

// TestQuotaComparesExactly compares the figures with exact fractions of any size.
func TestQuotaComparesExactly(t *testing.T) {
	t.Parallel()
	limits := rapid.OneOf(rapid.Int64Range(1, 40), rapid.Int64Range(1, 1_000_000_000))
	draw := func(t *rapid.T, name string) (usage.Quota, *big.Rat) {
		q := usage.NewQuota(limits.Draw(t, name+" limit"), 0, rapid.Int64Range(0, 2_000_000).Draw(t, name+" added"))
		around := rapid.SampledFrom([]int64{0, 80, 90, 100, 130}).Draw(t, name+" percent")
		q.Used = max(0, q.EffectiveLimit()*around/100+rapid.Int64Range(-2, 2).Draw(t, name+" difference"))
		return q, big.NewRat(q.Used, q.EffectiveLimit())
	}
	rapid.Check(t, func(t *rapid.T) {
		q, share := draw(t, "one")
		other, otherShare := draw(t, "other")
		if got, want := q.CompareUse(other), share.Cmp(otherShare); got != want {
			t.Fatalf("%+v is ranked against %+v as %d, want %d", q, other, got, want)
		}
		asked := usage.Share(rapid.Int64Range(0, int64(usage.Whole)).Draw(t, "share"))
		if got, want := q.Reaches(asked), share.Cmp(big.NewRat(int64(asked), int64(usage.Whole))) >= 0; got != want {
			t.Fatalf("%+v reaches the share %d: %t, want %t", q, asked, got, want)
		}
		hundredths, _ := q.PercentHundredths()
		shown := big.NewRat(hundredths, 10000)
		if shown.Cmp(share) > 0 || hundredths < 10000 && new(big.Rat).Add(shown, big.NewRat(1, 10000)).Cmp(share) <= 0 {
			t.Fatalf("%+v shows as %d hundredths of a percent, which isn't the used share rounded down", q, hundredths)
		}
	})
}
