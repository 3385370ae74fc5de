// Package logging writes structured lines for CloudWatch. A line is a JSON object with the keys "timestamp", "level",
// "message" and "function", and keys of its own.
package logging

import (
	"io"
	"log/slog"
	"strings"
)

// New returns a function's logger, which writes lines of at least a level to w.
func New(w io.Writer, level slog.Level, function string) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: rename})
	return slog.New(handler).With(slog.String("function", function))
}

// rename gives the standard keys the names that Lambda's own JSON lines have, so that the same query finds both.
func rename(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return attr
	}
	switch attr.Key {
	case slog.TimeKey:
		attr.Key = "timestamp"
	case slog.MessageKey:
		attr.Key = "message"
	case "restaurantId":
		attr.Value = slog.StringValue(MaskRestaurant(attr.Value.String()))
	case "error", "reason": // these may contain a restaurant's id
		if attr.Value.Any() != nil {
			attr.Value = slog.StringValue(maskNumbers(attr.Value.String()))
		}
	}
	return attr
}

// maskNumbers masks every word in a text that has the digits of a phone number, because a restaurant's id may be somebody's
// number. It leaves alone a part of a longer word, of a time, or of an address with a port.
func maskNumbers(text string) string {
	for end := 0; end < len(text); {
		start := end
		for start < len(text) && !isDigit(text[start]) {
			start++
		}
		for end = start; end < len(text) && isDigit(text[end]); {
			end++
		}
		from := start
		if from > 0 && text[from-1] == '+' {
			from--
		}
		if (from == 0 || !joins(text[from-1])) && (end == len(text) || !joins(text[end])) {
			if masked := MaskRestaurant(text[from:end]); masked != text[from:end] {
				text = text[:from] + masked + text[end:]
			}
		}
	}
	return text
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// joins reports whether a character joins the texts on its two sides into one word.
func joins(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_' || c == '.'
}

// Phone returns an attribute with a masked phone number. Its country code and last two digits stay readable: enough to tell
// two customers apart in a log, and too little to call one.
func Phone(key, number string) slog.Attr { return slog.String(key, MaskPhone(number)) }

// MaskPhone replaces the digits of an E.164 number by asterisks, except the country code (of Saudi Arabia's length) and the
// last two. If that would hide fewer than four digits, it masks the whole number.
func MaskPhone(number string) string {
	const kept, last, hidden = len("+966"), 2, 4
	if len(number) < kept+last+hidden {
		return strings.Repeat("*", len(number))
	}
	return number[:kept] + strings.Repeat("*", len(number)-kept-last) + number[len(number)-last:]
}

// Customer returns an attribute with a customer's masked id. A phone number is masked as by Phone. Of a business-scoped user
// id, the country and the last two characters stay readable.
func Customer(key, id string) slog.Attr { return slog.String(key, MaskCustomer(id)) }

// MaskCustomer masks a customer's id.
func MaskCustomer(id string) string {
	const country, last, hidden = len("SA."), 2, 4
	if len(id) < country || id[country-1] != '.' {
		return MaskPhone(id)
	}
	if len(id) < country+last+hidden {
		return id[:country] + strings.Repeat("*", len(id)-country)
	}
	return id[:country] + strings.Repeat("*", len(id)-country-last) + id[len(id)-last:]
}

// Restaurant returns an attribute with a restaurant's id. An id in the form of a phone number may be somebody's number, so it
// is masked.
func Restaurant(key, id string) slog.Attr { return slog.String(key, MaskRestaurant(id)) }

// MaskRestaurant masks a restaurant's id that has only the digits of a phone number, with or without a plus sign.
func MaskRestaurant(id string) string {
	digits := strings.TrimPrefix(id, "+")
	if len(digits) < 7 || len(digits) > 15 || strings.Trim(digits, "0123456789") != "" {
		return id
	}
	return MaskPhone(id)
}
