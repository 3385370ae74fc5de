package dynamolocal

import (
	"math/big"
	"strconv"
	"strings"
)

// The limits of a DynamoDB number: 38 significant digits, and magnitudes from 1E-130 to 9.99…E+125.
const (
	maxDigits    = 38
	maxMagnitude = 125
	minMagnitude = -130
)

// decimal is an exact decimal number: the integer spelled by digits, times ten to the power of exponent, below zero if
// negative is set. Digits has no zeros at either end; zero has no digits at all, so equal numbers are equal structs.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

// parseDecimal parses a number in a client's form: an optional sign, digits, an optional point and exponent. A number that
// DynamoDB couldn't store is a validation error.
func parseDecimal(text string) (decimal, error) {
	mantissa, exponentText, scientific := text, "", false
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponentText, scientific = text[:i], text[i+1:], true
	}
	negative := strings.HasPrefix(mantissa, "-")
	if negative || strings.HasPrefix(mantissa, "+") {
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if !onlyDigits(whole) || !onlyDigits(fraction) || whole+fraction == "" {
		return decimal{}, notANumber(text)
	}
	exponent := 0
	if scientific {
		var err error
		if exponent, err = parseExponent(exponentText); err != nil {
			return decimal{}, notANumber(text)
		}
	}
	return newDecimal(negative, whole+fraction, exponent-len(fraction))
}

// newDecimal brings a number into its only form and checks DynamoDB's limits.
func newDecimal(negative bool, digits string, exponent int) (decimal, error) {
	digits = strings.TrimLeft(digits, "0")
	trimmed := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(trimmed)
	d := decimal{negative: negative, digits: trimmed, exponent: exponent}
	switch {
	case trimmed == "":
		return decimal{}, nil
	case d.magnitude() > maxMagnitude:
		return decimal{}, validation("Number overflow. " +
			"Attempting to store a number with magnitude larger than supported range")
	case d.magnitude() < minMagnitude:
		return decimal{}, validation("Number underflow. " +
			"Attempting to store a number with magnitude smaller than supported range")
	case len(trimmed) > maxDigits:
		return decimal{}, validation("Attempting to store more than 38 significant digits in a Number")
	}
	return d, nil
}

// parseExponent reads an exponent. One too long for an int is clamped far outside the supported range.
func parseExponent(text string) (int, error) {
	unsigned := strings.TrimPrefix(strings.TrimPrefix(text, "+"), "-")
	if unsigned == "" || !onlyDigits(unsigned) || len(text)-len(unsigned) > 1 {
		return 0, strconv.ErrSyntax
	}
	const clamp = 1_000_000
	exponent, err := strconv.Atoi(unsigned)
	if err != nil || exponent > clamp {
		exponent = clamp
	}
	if text[0] == '-' {
		return -exponent, nil
	}
	return exponent, nil
}

func onlyDigits(text string) bool {
	return strings.Trim(text, "0123456789") == ""
}

func notANumber(text string) error {
	return validation("The parameter cannot be converted to a numeric value: %s", text)
}

// magnitude is the power of ten of the first digit.
func (d decimal) magnitude() int { return d.exponent + len(d.digits) - 1 }

// plain spells the number without an exponent, as DynamoDB does in its answers.
func (d decimal) plain() string {
	sign := ""
	if d.negative {
		sign = "-"
	}
	point := len(d.digits) + d.exponent
	switch {
	case d.digits == "":
		return "0"
	case d.exponent >= 0:
		return sign + d.digits + strings.Repeat("0", d.exponent)
	case point > 0:
		return sign + d.digits[:point] + "." + d.digits[point:]
	default:
		return sign + "0." + strings.Repeat("0", -point) + d.digits
	}
}

// add returns the exact sum, or a validation error if DynamoDB couldn't store it.
func (d decimal) add(other decimal) (decimal, error) {
	exponent := min(d.exponent, other.exponent)
	sum := d.scaled(exponent)
	sum.Add(sum, other.scaled(exponent))
	return newDecimal(sum.Sign() < 0, new(big.Int).Abs(sum).String(), exponent)
}

// negated returns the number with its sign turned.
func (d decimal) negated() decimal {
	d.negative = !d.negative && d.digits != ""
	return d
}

// scaled returns the number in units of ten to the exponent. The exponent must not exceed the number's own.
func (d decimal) scaled(exponent int) *big.Int {
	scaled := new(big.Int)
	if d.digits == "" {
		return scaled
	}
	// The digits are decimal by construction, so that SetString cannot fail.
	scaled.SetString(d.digits+strings.Repeat("0", d.exponent-exponent), 10)
	if d.negative {
		scaled.Neg(scaled)
	}
	return scaled
}

// sortable encodes the number so that comparing two encodings byte by byte compares the numbers.
//
//	0x00  complement of magnitude  complements of digits  0xff   negative
//	0x01                                                         zero
//	0x02  magnitude                digits                        positive
//
// The 0xff at the end makes the shorter of two negative numbers the greater, as it should be: -1.2 is greater than -1.23.
func (d decimal) sortable() string {
	if d.digits == "" {
		return "\x01"
	}
	encoded := append([]byte{byte(d.magnitude() - minMagnitude)}, d.digits...)
	if !d.negative {
		return "\x02" + string(encoded)
	}
	for i := range encoded {
		encoded[i] = ^encoded[i]
	}
	return "\x00" + string(encoded) + "\xff"
}

// size is the number's share of an item's size: a byte for each pair of digits, with pairs counted from the decimal point, a
// byte for the magnitude and a byte for a minus sign.
func (d decimal) size() int {
	if d.digits == "" {
		return 1
	}
	lastPair, firstPair := floorHalf(d.exponent), floorHalf(d.magnitude())
	size := firstPair - lastPair + 1 + 1
	if d.negative {
		size++
	}
	return size
}

func floorHalf(n int) int { return n >> 1 }
