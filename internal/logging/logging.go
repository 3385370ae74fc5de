// Package logging writes the structured lines that operators search in CloudWatch: one JSON object a line, with the
// keys "timestamp", "level", "message" and "function", and those of the event.
package logging

import (
	"io"
	"log/slog"
	"strings"
)

// New returns a logger of a function that writes to w what is at least as severe as level.
func New(w io.Writer, level slog.Level, function string) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: rename})
	return slog.New(handler).With(slog.String("function", function))
}

// rename gives the standard keys the names that Lambda's own JSON lines use, so that one query finds both.
func rename(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return attr
	}
	switch attr.Key {
	case slog.TimeKey:
		attr.Key = "timestamp"
	case slog.MessageKey:
		attr.Key = "message"
	}
	return attr
}

// Phone returns an attribute with a phone number of which only the country code and the last two digits can be read: enough to
// tell two customers apart in a log, too little to call one.
func Phone(key, number string) slog.Attr { return slog.String(key, MaskPhone(number)) }

// MaskPhone replaces all but the country code (of Saudi Arabia's length) and the last two digits of an E.164 number by
// asterisks. What is too short to hide at least four digits that way is masked whole.
func MaskPhone(number string) string {
	const kept, last, hidden = len("+966"), 2, 4
	if len(number) < kept+last+hidden {
		return strings.Repeat("*", len(number))
	}
	return number[:kept] + strings.Repeat("*", len(number)-kept-last) + number[len(number)-last:]
}
