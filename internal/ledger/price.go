package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
)

// Amount is a sum of money in millionths of its currency's unit.
type Amount int64

// decimals is how many digits of a unit an Amount has.
const decimals = 6

// String returns the amount as a decimal with at least two decimals: "12.50", "0.011325".
func (a Amount) String() string {
	sign := ""
	if a < 0 {
		sign, a = "-", -a
	}
	whole, rest := a/1e6, fmt.Sprintf("%06d", a%1e6)
	return sign + strconv.FormatInt(int64(whole), 10) + "." + rest[:2] + strings.TrimRight(rest[2:], "0")
}

// Cost is what delivered messages cost.
type Cost struct {
	Currency string // ISO 4217
	Amount   Amount
}

// Prices are what a delivered message costs by its category, from a month on until a later one has other prices. The zero Prices
// know no price.
type Prices struct {
	currency string
	from     []monthPrices // the latest first
}

type monthPrices struct {
	month string // "2026-10"
	of    map[delivery.Category]Amount
}

// mostPrice bounds a price: a slip there shall be told and not be charged.
const mostPrice = 1000 * 1_000_000

var (
	currencyForm = regexp.MustCompile(`\A[A-Z]{3}\z`)
	priceForm    = regexp.MustCompile(`\A(0|[1-9]\d{0,3})(?:\.(\d{1,6}))?\z`)
)

// ParsePrices reads prices in the form
//
//	{"currency": "SAR", "2026-10": {"service": 0.02, "utility": 0.04, "marketing": 0.18}}
//
// where each month has a price for each category but free_entry_point, which is 0 unless it is given. "" are the zero Prices.
func ParsePrices(text string) (Prices, error) {
	if text == "" {
		return Prices{}, nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	var members map[string]json.RawMessage
	if err := decoder.Decode(&members); err != nil {
		return Prices{}, errors.New("is not an object of JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Prices{}, errors.New("has something behind its object")
	}
	var p Prices
	if json.Unmarshal(members["currency"], &p.currency) != nil || !currencyForm.MatchString(p.currency) {
		return Prices{}, errors.New(`needs a "currency" of three capital letters`)
	}
	delete(members, "currency")
	for month, prices := range members {
		if _, err := time.Parse("2006-01", month); err != nil {
			return Prices{}, fmt.Errorf("has the member %q, which is neither currency nor a month such as 2026-10", month)
		}
		of, err := parseCategories(prices)
		if err != nil {
			return Prices{}, fmt.Errorf("of %s %w", month, err)
		}
		p.from = append(p.from, monthPrices{month, of})
	}
	if len(p.from) == 0 {
		return Prices{}, errors.New("has no month")
	}
	slices.SortFunc(p.from, func(a, b monthPrices) int { return strings.Compare(b.month, a.month) })
	return p, nil
}

func parseCategories(text json.RawMessage) (map[delivery.Category]Amount, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var given map[delivery.Category]json.Number
	if err := decoder.Decode(&given); err != nil {
		return nil, errors.New("are not an object of numbers")
	}
	of := make(map[delivery.Category]Amount, len(given))
	for category, price := range given {
		if !slices.Contains(delivery.Categories, category) {
			return nil, fmt.Errorf("have the category %q, which is none of %v", category, delivery.Categories)
		}
		amount, ok := parseAmount(price.String())
		if !ok {
			return nil, fmt.Errorf("must be decimals from 0 to 1000 with at most %d decimals", decimals)
		}
		of[category] = amount
	}
	for _, category := range delivery.Categories {
		if _, ok := of[category]; !ok && category != delivery.FreeEntryPoint {
			return nil, fmt.Errorf("lack the category %q", category)
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

// Cost returns what the messages that were delivered in a month ("2026-11") cost, and whether the month has prices.
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
