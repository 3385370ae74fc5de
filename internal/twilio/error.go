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

	"github.com/sufrah/usage-bootstrap/internal/outbound"
)

var (
	errMessage     = errors.New("not a message that can be sent")
	errCredentials = errors.New("the account has no usable credentials")
)

// maxMessageRunes bounds what is kept of Twilio's own words.
const maxMessageRunes = 300

// Error is a message that Twilio did not accept. Its text holds no credential and no phone number in full.
//
// Exactly one of Retryable and Permanent is true of it; ReceiverRejected and TemplateRejected are kinds of Permanent, and
// AuthenticationFailed is a kind of Retryable.
type Error struct {
	StatusCode int           // 0 where nothing was answered
	Code       int           // of Twilio's error dictionary; 0 where none was given
	Message    string        // Twilio's words, shortened, phone numbers masked; "" where there were none
	RetryAfter time.Duration // how long Twilio asked to wait; 0 where it didn't
	Err        error         // the cause, where it is not the answer
}

// Error returns what Twilio answered or why there was no answer.
func (e *Error) Error() string {
	text := "twilio"
	if e.StatusCode != 0 {
		text += fmt.Sprintf(": status %d", e.StatusCode)
	}
	if e.Code != 0 {
		text += fmt.Sprintf(": code %d", e.Code)
	}
	if e.Message != "" {
		text += ": " + e.Message
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

// Retryable says whether the same message may be accepted later: after a time-out, a broken connection, too many
// messages, a fault of Twilio's, or once an operator has put the credentials right.
func (e *Error) Retryable() bool {
	return !e.Permanent()
}

// Permanent says whether the same message will never be accepted: its receiver can't get it, or it is not right.
func (e *Error) Permanent() bool {
	kind := e.kind()
	return kind == refused || kind == receiverRefused || kind == templateRefused
}

// ReceiverRejected says whether it is the receiver who can't get messages from this sender, whatever they say.
func (e *Error) ReceiverRejected() bool {
	return e.kind() == receiverRefused
}

// TemplateRejected says whether it is the template that can't be sent, so that the same in plain words may well be.
func (e *Error) TemplateRejected() bool {
	return e.kind() == templateRefused
}

// AuthenticationFailed says whether Twilio doesn't accept the account or its token: an operator's fault, no customer's.
func (e *Error) AuthenticationFailed() bool {
	return e.kind() == unauthenticated
}

// kind is what an error means for the message.
type kind int

const (
	passing         kind = iota // may be accepted later
	unauthenticated             // may be accepted later, once an operator has acted
	refused                     // never accepted
	receiverRefused             // never accepted, nor is any other message to the receiver
	templateRefused             // never accepted, but a text may be
)

// kind goes by Twilio's code, and by the status where the code is not one of these. The meanings are those of
// https://www.twilio.com/docs/api/errors. Twilio answers some of the codes only in status callbacks, depending on how
// soon it finds the fault.
func (e *Error) kind() kind {
	switch e.Code {
	case 10001, // account is not active
		20003, // permission denied: wrong, deleted or foreign credentials, or a suspended account
		20005: // account not active
		return unauthenticated

	case 14107, // too many replies between two numbers in a short time
		20429, // too many requests
		21730, // system under maintenance
		63017, // more messages a second than an account may send
		63018: // rate limit exceeded for the channel or the receiver
		return passing

	case 21211, // invalid "To" phone number
		21610, // the receiver has unsubscribed from this sender
		21614, // "To" is not a mobile number
		63003, // the channel could not find the "To" address: inactive or invalid
		63014, // blocked by the receiver
		63024: // invalid receiver: not on WhatsApp, its terms not accepted, or its client too old
		return receiverRefused

	case 21655, // the ContentSid is invalid: mistyped, deleted, or of another account
		21656, // the ContentVariables are invalid, such as an empty value or one with a line break
		21658, // a parameter, such as a variable's value, is too long
		63013, // against the channel's policy, such as an empty variable or more than four spaces in one
		63016, // outside the 24 hours in which this type of content may be sent
		63021, // content that the channel rejects, such as a template that its variables make too long
		63027, // the template does not exist for a language and locale
		63028, // the number of variables is not the template's
		63029, // the receiver failed to download the template
		63049: // Meta chose not to deliver a marketing template
		return templateRefused
	}
	return e.kindOfStatus()
}

func (e *Error) kindOfStatus() kind {
	switch {
	case errors.Is(e.Err, errMessage):
		return refused
	case errors.Is(e.Err, errCredentials), e.StatusCode == http.StatusUnauthorized:
		return unauthenticated
	case e.StatusCode < 400, outbound.Transient(e.StatusCode):
		return passing // below 400: no answer, or one that is not Twilio's
	default:
		return refused
	}
}

// parseError returns the error that an answer stands for, whatever its body is. Words that repeat one of the secrets are
// left out.
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

// printable returns the text on one line, shortened, with the phone numbers in it masked: Twilio likes to quote them.
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

// endOfNumber returns where the phone number ends that begins at start, or start where none does: digits, with at
// most two of the signs between them that people write numbers with.
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

// maskNumber hides all but the last four digits of what has as many as a phone number has at least.
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
