package twilio

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/outbound"
)

var (
	errMessage     = errors.New("the message can't be sent")
	errCredentials = errors.New("no usable auth token is stored for the account")
)

// maxMessageRunes bounds the part of Twilio's own message that is kept, in characters.
const maxMessageRunes = 300

// Error is a message that Twilio didn't accept. Its text contains no credential and no whole phone number.
//
// It is either Retryable or Permanent. ReceiverRejected and TemplateRejected are kinds of Permanent, and AuthenticationFailed
// is a kind of Retryable.
type Error struct {
	StatusCode int           // 0 if there was no answer
	Code       int           // Twilio's error code; 0 if none was given
	Message    string        // Twilio's message, shortened, with masked phone numbers; "" if there was none
	RetryAfter time.Duration // the wait that Twilio asked for; 0 if none
	Failed     bool          // Twilio took the message and said that it failed
	Err        error         // the cause, if it isn't an answer of Twilio's
}

// Error returns Twilio's answer, or the reason that there was none.
func (e *Error) Error() string {
	text := "twilio"
	if e.StatusCode != 0 {
		text += fmt.Sprintf(": status %d", e.StatusCode)
	}
	if e.Code != 0 {
		text += fmt.Sprintf(": code %d", e.Code)
	}
	if means := delivery.CodeOf(e.Code).Means; e.Message != "" {
		text += ": " + e.Message
	} else if means != "" {
		text += ": " + means
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	return e.Err
}

// Retryable reports whether the same message may be accepted later: after a time-out, a broken connection, too many messages
// or a fault of Twilio's, or once an operator has corrected the credentials.
func (e *Error) Retryable() bool {
	return !e.Permanent()
}

// Permanent reports whether the same message will never be accepted: its receiver can't get it, or it is invalid.
func (e *Error) Permanent() bool {
	kind := e.kind()
	return kind == refused || kind == receiverRefused || kind == templateRefused
}

// ReceiverRejected reports whether the receiver can't get any message from this sender.
func (e *Error) ReceiverRejected() bool {
	return e.kind() == receiverRefused
}

// TemplateRejected reports whether only the template can't be sent: its text in plain words may be accepted.
func (e *Error) TemplateRejected() bool {
	return e.kind() == templateRefused
}

// AuthenticationFailed reports whether Twilio refused the account, its token or its sender. Only an operator can mend that.
func (e *Error) AuthenticationFailed() bool {
	return e.kind() == unauthenticated
}

// kind is an error's meaning for the message.
type kind int

const (
	passing         kind = iota // may be accepted later
	unauthenticated             // may be accepted later, once an operator has acted
	refused                     // never accepted
	receiverRefused             // never accepted, nor is any other message to the receiver
	templateRefused             // never accepted, but a text may be
)

// kind derives the kind from Twilio's code, or from the status if the code is unknown.
func (e *Error) kind() kind {
	switch delivery.CodeOf(e.Code).Fault {
	case delivery.FaultOperator:
		return unauthenticated
	case delivery.FaultPassing:
		return passing
	case delivery.FaultReceiver:
		return receiverRefused
	case delivery.FaultContent:
		return templateRefused
	}
	return e.kindOfStatus()
}

func (e *Error) kindOfStatus() kind {
	switch {
	case errors.Is(e.Err, errMessage), e.Failed:
		return refused
	case errors.Is(e.Err, errCredentials), e.StatusCode == http.StatusUnauthorized:
		return unauthenticated
	case e.StatusCode < 400, outbound.Transient(e.StatusCode):
		return passing // below 400: no answer, or not Twilio's
	default:
		return refused
	}
}

// parseError returns the error for an answer with any body. It leaves out a message that contains one of the secrets.
func parseError(status int, header http.Header, body []byte, secrets ...string) *Error {
	e := &Error{StatusCode: status, RetryAfter: outbound.RetryAfter(header)}
	var answer struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &answer) == nil {
		e.Code, e.Message = answer.Code, printable(answer.Message)
		if slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(answer.Message, secret) }) {
			e.Message = ""
		}
	}
	return e
}

// printable returns a text on one line, shortened, with masked phone numbers: Twilio often quotes them.
func printable(text string) string {
	runes := []rune(text)
	if len(runes) > maxMessageRunes {
		runes = append(runes[:maxMessageRunes], '…')
	}
	for i, r := range runes {
		if !unicode.IsPrint(r) {
			runes[i] = ' '
		}
	}
	for start := 0; start < len(runes); {
		end := endOfNumber(runes, start)
		maskNumber(runes[start:end])
		start = max(end, start+1)
	}
	return string(runes)
}

// endOfNumber returns the end of the phone number that begins at start, or start if no number begins there. A number is digits
// with at most two signs between neighbours, such as spaces and hyphens.
func endOfNumber(runes []rune, start int) int {
	end := start
	for i := start; i < len(runes); i++ {
		switch r := runes[i]; {
		case unicode.IsDigit(r):
			end = i + 1
		case end > start && i-end < 2 && (r == ' ' || r == '-' || r == '.' || r == '(' || r == ')'):
		default:
			return end
		}
	}
	return end
}

// maskNumber masks all but the last four digits of a text that has as many digits as a phone number.
func maskNumber(number []rune) {
	const shortest, shown = 7, 4
	digits := 0
	for _, r := range number {
		if unicode.IsDigit(r) {
			digits++
		}
	}
	if digits < shortest {
		return
	}
	for i, r := range number {
		if digits > shown && unicode.IsDigit(r) {
			number[i] = '*'
			digits--
		}
	}
}
