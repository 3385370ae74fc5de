// Package phone parses phone numbers.
package phone

import (
	"errors"
	"strings"
)

// ErrInvalid says that a text is not a phone number in international form.
var ErrInvalid = errors.New("not an international phone number, such as +966500000001")

// E.164 allows at most fifteen digits, country code included. No country has numbers of fewer than seven.
const (
	minDigits = 7
	maxDigits = 15
)

// whatsApp is Twilio's prefix of a WhatsApp number.
const whatsApp = "whatsapp:"

// Parse returns a number in E.164 form. It accepts the forms that people and Twilio write: with or without "whatsapp:" in
// front, with + or 00, and with spaces, hyphens, dots or parentheses between digits. A number without its country code is
// refused, because a guess could be another person's number. So are digits outside ASCII, which look alike but compare as
// different.
func Parse(s string) (string, error) {
	s = bare(s)
	digits, ok := strings.CutPrefix(s, "+")
	if !ok {
		digits, ok = strings.CutPrefix(s, "00")
	}
	if !ok {
		return "", ErrInvalid
	}
	var number strings.Builder
	number.WriteByte('+')
	for i, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			number.WriteRune(c)
		case i > 0 && strings.ContainsRune(" -.()", c):
		default:
			return "", ErrInvalid
		}
	}
	e164 := number.String()
	if n := len(e164) - 1; n < minDigits || n > maxDigits || e164[1] == '0' {
		return "", ErrInvalid
	}
	return e164, nil
}

// bare returns the text without "whatsapp:" in front.
func bare(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= len(whatsApp) && strings.EqualFold(s[:len(whatsApp)], whatsApp) {
		s = strings.TrimSpace(s[len(whatsApp):])
	}
	return s
}

// ParseIn is Parse for sources that leave out the plus sign, as in 966502045939. It adds the plus sign to a text that begins
// with the country's calling code ("966") and is long enough to have a number after it. With an empty country it is Parse.
func ParseIn(country, s string) (string, error) {
	number, err := Parse(s)
	if err == nil || country == "" || !strings.HasPrefix(bare(s), country) {
		return number, err
	}
	if number, err = Parse("+" + bare(s)); len(number) < len("+")+len(country)+minNational {
		return "", ErrInvalid
	}
	return number, err
}

// minNational is the fewest digits of a number after its country code. Short codes and local numbers have fewer.
const minNational = 7
