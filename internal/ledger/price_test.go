package ledger_test

import (
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
)

const prices = "SAR;2026-10:service=0.02,utility=0.04,marketing=0.1825;2027-01:service=0.020001,utility=0,marketing=1000,free_entry_point=0.5"

func delivered(service, utility, marketing, free int64) map[delivery.Category]ledger.Count {
	return map[delivery.Category]ledger.Count{
		// Only delivered messages cost anything: the sent and failed ones are free.
		delivery.Service: {Sent: service + 5, Delivered: service, Failed: 3}, delivery.Utility: {Delivered: utility},
		delivery.Marketing: {Delivered: marketing}, delivery.FreeEntryPoint: {Delivered: free},
	}
}

func TestCostFollowsTheMonthsPrices(t *testing.T) {
	t.Parallel()
	parsed, err := ledger.ParsePrices(prices)
	if err != nil {
		t.Fatalf("reading the prices: %v", err)
	}
	for _, test := range []struct {
		month string
		of    map[delivery.Category]ledger.Count
		want  string
	}{
		{"2026-10", delivered(0, 0, 0, 0), "0.00"},
		{"2026-10", delivered(3, 2, 4, 1000), "0.87"},
		{"2026-12", delivered(1, 0, 1, 0), "0.2025"},
		{"2027-01", delivered(1, 7, 0, 1), "0.520001"},
		{"2030-06", delivered(0, 0, 1_000_000_000, 0), "1000000000000.00"},
	} {
		cost, known := parsed.Cost(test.month, test.of)
		if !known || cost.Currency != "SAR" || cost.Amount.String() != test.want {
			t.Errorf("the messages of %s cost %s %s (known %t), want %s SAR", test.month, cost.Amount, cost.Currency, known, test.want)
		}
	}
	if _, known := parsed.Cost("2026-09", delivered(1, 1, 1, 1)); known {
		t.Error("the owner is shown a cost for 2026-09, a month before the first price")
	}
	none, err := ledger.ParsePrices("")
	if _, known := none.Cost("2026-11", delivered(1, 1, 1, 1)); known || err != nil {
		t.Errorf("without configured prices the owner is shown a cost (%t), or reading none fails: %v", known, err)
	}
}

func TestFaultyPricesAreRefused(t *testing.T) {
	t.Parallel()
	const month = "2026-10:service=0.02,utility=0.04,marketing=0.1825"
	for text, want := range map[string]string{
		"free":               "currency",
		month:                "currency",
		"sar;" + month:       "currency",
		"SAR":                "month",
		"SAR;":               "month",
		"SAR;" + month + ";": "month",
		"SAR; " + month:      "month",
		"SAR;2026-13:service=0.02,utility=0.04,marketing=1":                 "a month",
		"SAR;" + month + ";" + month:                                        "2026-10 twice",
		"SAR;2026-10":                                                       "each of",
		"SAR;2026-10:service=0.02,utility=0.04":                             "must have marketing",
		"SAR;" + month + ",service=1":                                       "once",
		"SAR;" + month + ",news=1":                                          "nothing else",
		"SAR;" + month + ",free_entry_point":                                "decimals",
		"SAR;2026-10:service=-1,utility=0.04,marketing=1":                   "decimals",
		"SAR;2026-10:service=1e3,utility=0.04,marketing=1":                  "decimals",
		"SAR;2026-10:service=.5,utility=0.04,marketing=1":                   "decimals",
		"SAR;2026-10:service=0.0000001,utility=0.04,marketing=1":            "decimals",
		"SAR;2026-10:service=1000.000001,utility=0.04,marketing=1":          "decimals",
		"SAR;2026-10:service=99999999999999999999,utility=0.04,marketing=1": "decimals",
	} {
		if _, err := ledger.ParsePrices(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the prices %q give the error %v, want one with %q", text, err, want)
		}
	}
}

// FuzzPrices: no text makes ParsePrices panic, and no price makes a negative cost.
func FuzzPrices(f *testing.F) {
	f.Add(prices, int64(3))
	f.Add("USD;2026-10:marketing=0.000001,service=1,utility=1.5", int64(1))
	f.Fuzz(func(t *testing.T, text string, n int64) {
		parsed, err := ledger.ParsePrices(text)
		if err != nil {
			return
		}
		n = min(max(n, 0), 1_000_000_000)
		if cost, _ := parsed.Cost("2026-11", delivered(n, n, n, n)); cost.Amount < 0 {
			t.Errorf("at the prices %q, %d messages of each category cost %s, less than nothing", text, n, cost.Amount)
		}
	})
}
