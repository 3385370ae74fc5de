package ledger

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
)

// Amount is a sum of money in millionths of its currency's unit.
type Amount int64

// decimals is how many decimals an Amount has.
const decimals = 6

// String returns the amount as a decimal number with at least two decimals: "12.50", "0.011325".
func (a Amount) String() string {
	sign := ""
	if a < 0 {
		sign, a = "-", -a
	}
	whole, rest := a/1e6, fmt.Sprintf("%06d", a%1e6)
	return sign + strconv.FormatInt(int64(whole), 10) + "." + rest[:2] + strings.TrimRight(rest[2:], "0")
}

// Cost is the cost of delivered messages.
type Cost struct {
	Currency string // ISO 4217
	Amount   Amount
}

// Prices hold the price of a delivered message by category. Prices apply from their month until the month of the next prices.
// The zero value has no prices.
type Prices struct {
	currency string
	from     []monthPrices // the latest first
}

type monthPrices struct {
	month string // "2026-10"
	of    map[delivery.Category]Amount
}

// mostPrice is the highest accepted price: a higher one is a slip, which is refused instead of charged.
const mostPrice = 1000 * 1_000_000

var (
	currencyForm = regexp.MustCompile(`\A[A-Z]{3}\z`)
	priceForm    = regexp.MustCompile(`\A(0|[1-9]\d{0,3})(?:\.(\d{1,6}))?\z`)
)

// ParsePrices reads prices in the form
//
//	SAR;2026-10:service=0.02,utility=0.04,marketing=0.18;2027-01:service=0.025,utility=0.04,marketing=0.18
//
// Each month has a price for each category. Only free_entry_point may be left out, and is 0 then. "" gives the zero Prices.
func ParsePrices(text string) (Prices, error) {
	if text == "" {
		return Prices{}, nil
	}
	currency, months, _ := strings.Cut(text, ";")
	if !currencyForm.MatchString(currency) {
		return Prices{}, errors.New("must begin with a currency of three capital letters and a semicolon")
	}
	p := Prices{currency: currency}
	for part := range strings.SplitSeq(months, ";") {
		month, prices, _ := strings.Cut(part, ":")
		if _, err := time.Parse("2006-01", month); err != nil {
			return Prices{}, errors.New("must have a month such as 2026-10 and a colon behind each semicolon")
		}
		if slices.ContainsFunc(p.from, func(m monthPrices) bool { return m.month == month }) {
			return Prices{}, fmt.Errorf("has %s twice", month)
		}
		of, err := parseCategories(prices)
		if err != nil {
			return Prices{}, fmt.Errorf("of %s %w", month, err)
		}
		p.from = append(p.from, monthPrices{month, of})
	}
	slices.SortFunc(p.from, func(a, b monthPrices) int { return strings.Compare(b.month, a.month) })
	return p, nil
}

func parseCategories(text string) (map[delivery.Category]Amount, error) {
	of := make(map[delivery.Category]Amount)
	for part := range strings.SplitSeq(text, ",") {
		name, price, _ := strings.Cut(part, "=")
		category := delivery.Category(name)
		if _, given := of[category]; given || !slices.Contains(delivery.Categories, category) {
			return nil, fmt.Errorf("must have each of %v once, and nothing else", delivery.Categories)
		}
		amount, ok := parseAmount(price)
		if !ok {
			return nil, fmt.Errorf("must have decimals from 0 to 1000 with at most %d decimals", decimals)
		}
		of[category] = amount
	}
	for _, category := range delivery.Categories {
		if _, ok := of[category]; !ok && category != delivery.FreeEntryPoint {
			return nil, fmt.Errorf("must have %s", category)
		}
	}
	return of, nil
}

func parseAmount(s string) (Amount, bool) {
	parts := priceForm.FindStringSubmatch(s)
	if parts == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(parts[1]+parts[2]+strings.Repeat("0", decimals-len(parts[2])), 10, 64)
	return Amount(n), err == nil && n <= mostPrice
}

// Cost returns the cost of the messages delivered in a month ("2026-11"), and whether the month has prices.
func (p Prices) Cost(month string, delivered map[delivery.Category]Count) (Cost, bool) {
	for _, from := range p.from {
		if from.month > month {
			continue
		}
		cost := Cost{Currency: p.currency}
		for category, c := range delivered {
			cost.Amount += from.of[category] * Amount(c.Delivered)
		}
		return cost, true
	}
	return Cost{}, false
}
