package webhook

import (
	"context"
	"errors"
	"net/http"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// refusal is an answer other than 200, and the error that leads to it: a sentence for a person and a code for a
// program. What else an error says stays inside, in the log.
type refusal struct {
	status  int
	Message string `json:"error"`
	Code    string `json:"code"`
}

func (r *refusal) Error() string { return r.Message }

var (
	errUnknownPath = &refusal{http.StatusNotFound, "There is nothing at this address.", "not_found"}
	errNoTenant    = &refusal{http.StatusNotFound, "No restaurant answers at that number.", "restaurant_not_found"}

	errMethodNotAllowed = &refusal{http.StatusMethodNotAllowed, "This address takes messages: use POST.", "method_not_allowed"}
	errTooLarge         = &refusal{http.StatusRequestEntityTooLarge, "The request body is too large.", "body_too_large"}
	errNoForm           = &refusal{http.StatusUnsupportedMediaType,
		"Send the message as application/x-www-form-urlencoded.", "unsupported_media_type"}
	errMalformed = &refusal{http.StatusBadRequest, "The form could not be read.", "malformed_form"}
	errSender    = &refusal{http.StatusBadRequest,
		"Parameter 'From' must be one phone number in international form.", "invalid_parameter"}
	errMessageID = &refusal{http.StatusBadRequest,
		"Parameter 'MessageSid' must be one id of up to 64 letters, digits, hyphens and underscores.", "invalid_parameter"}
	errNotSigned = &refusal{http.StatusForbidden, "The request is not signed by Twilio.", "forbidden"}

	errUnavailable = &refusal{http.StatusServiceUnavailable,
		"The message can't be taken at the moment. Deliver it again shortly.", "unavailable"}
	errInternal = &refusal{http.StatusInternalServerError, "Something went wrong on our side.", "internal_error"}
)

// errNoToken says in the log that it isn't the caller's fault: nobody can sign for that bot until an operator has acted.
var errNoToken = errors.New("no auth token is known for the Twilio account")

// retryAfterSeconds is how soon the message may be delivered again: long enough for another delivery of it that is under
// way to end.
const retryAfterSeconds = "5"

// passing is an error that says of itself whether the same may succeed later.
type passing interface{ Retryable() bool }

// refusalFor is the one place where errors become answers.
func refusalFor(err error) *refusal {
	var known *refusal
	var fault passing
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, restaurant.ErrNotFound):
		return errNoTenant
	case errors.Is(err, outage.ErrUnavailable), errors.Is(err, conversation.ErrElsewhere),
		errors.Is(err, context.DeadlineExceeded), errors.As(err, &fault) && fault.Retryable():
		return errUnavailable
	}
	return errInternal
}
