// Package phone reads phone numbers.
package phone

import (
	"errors"
	"strings"
)

// ErrInvalid says that a text is not a phone number in international form.
var ErrInvalid = errors.New("not an international phone number, such as +966500000001")

// E.164 allows fifteen digits with the country code; no country has numbers of fewer than seven.
const (
	minDigits = 7
	maxDigits = 15
)

// whatsApp is Twilio's prefix of a WhatsApp number.
const whatsApp = "whatsapp:"

// Parse returns a number in E.164 form. It takes the forms that people and Twilio write: with or without "whatsapp:" in
// front, with + or 00, with spaces, hyphens, dots or parentheses between digits. A number without its country code is
// refused, since guessing one could find another person's number; so are digits other than ASCII's, which look alike
// but compare differently.
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

// bare returns the text without the prefix "whatsapp:".
func bare(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= len(whatsApp) && strings.EqualFold(s[:len(whatsApp)], whatsApp) {
		s = strings.TrimSpace(s[len(whatsApp):])
	}
	return s
}

// ParseIn is Parse for sources that leave the plus sign out, as in 966502045939: a text that begins with the calling code of the
// given country ("966"), and is long enough to go on with a number in it, has it. An empty country is Parse.
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

// minNational is how many digits a number has at least behind its country's code. Short codes and local numbers have fewer.
const minNational = 7
