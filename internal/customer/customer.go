// Package customer defines the two ids of a customer: a phone number in E.164 form, and a business-scoped user id (BSUID),
// which WhatsApp gives a user for one business. A user with a username may hide the number.
//
// A BSUID is the two letters of a country, a dot, and 1 to 128 letters and digits, such as US.13491208655302741918 (Meta,
// "Business-scoped user IDs", developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids).
package customer

import (
	"errors"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/phone"
)

// ErrInvalid says that a text is neither a phone number nor a BSUID.
var ErrInvalid = errors.New("neither an international phone number, such as +966500000001, nor a user id, such as SA.13491208655302741918")

const (
	whatsApp      = "whatsapp:"
	countryLength = len("SA.")
	maxUserID     = 128 // without the country and the dot
)

// Parse returns a customer's id: a number in E.164 form, from any form that phone.Parse accepts, or a BSUID. Either may have
// "whatsapp:" in front.
func Parse(text string) (string, error) {
	if id := strings.TrimPrefix(strings.TrimSpace(text), whatsApp); IsUserID(id) {
		return id, nil
	}
	number, err := phone.Parse(text)
	if err != nil {
		return "", ErrInvalid
	}
	return number, nil
}

// IsUserID reports whether a text is a BSUID.
func IsUserID(text string) bool {
	if len(text) <= countryLength || len(text) > countryLength+maxUserID || text[2] != '.' {
		return false
	}
	for i, c := range []byte(text) {
		upper := 'A' <= c && c <= 'Z'
		switch {
		case i < 2 && !upper:
			return false
		case i > 2 && !upper && !('a' <= c && c <= 'z') && !('0' <= c && c <= '9'):
			return false
		}
	}
	return true
}

// Valid reports whether a text is a customer's id in the form that Parse returns.
func Valid(text string) bool {
	id, err := Parse(text)
	return err == nil && id == text
}

// Address returns the address of WhatsApp messages to a customer. A number keeps its plus sign, and a BSUID has none
// (nyaruka/courier #1083).
func Address(id string) string { return whatsApp + id }
