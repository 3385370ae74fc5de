package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

var (
	errNoTenant = &httpedge.Refusal{Status: http.StatusNotFound, Message: "No restaurant answers at that number.", Code: "restaurant_not_found"}

	errTooLarge = &httpedge.Refusal{Status: http.StatusRequestEntityTooLarge, Message: "The request body is too large.", Code: "body_too_large"}
	errNoForm   = &httpedge.Refusal{Status: http.StatusUnsupportedMediaType,
		Message: "Send the message as application/x-www-form-urlencoded.", Code: "unsupported_media_type"}
	errMalformed = &httpedge.Refusal{Status: http.StatusBadRequest, Message: "The form could not be read.", Code: "malformed_form"}
	errSender    = &httpedge.Refusal{Status: http.StatusBadRequest,
		Message: "Parameter 'From' must be one phone number in international form.", Code: "invalid_parameter"}
	errMessageID = &httpedge.Refusal{Status: http.StatusBadRequest,
		Message: "Parameter 'MessageSid' must be one id of up to 64 letters, digits, hyphens and underscores.", Code: "invalid_parameter"}
	errNotSigned = &httpedge.Refusal{Status: http.StatusForbidden, Message: "The request is not signed by Twilio.", Code: "forbidden"}

	errUnavailable = httpedge.Unavailable("The message can't be taken at the moment. Deliver it again shortly.", retryAfterSeconds)
)

// errNoToken is a refusal that isn't the caller's fault: nobody can sign for that bot until an operator has acted.
var errNoToken = operatorError("no auth token is known for the Twilio account")

// operatorError is an error that an operator must be told of, whatever the caller is answered.
type operatorError string

func (e operatorError) Error() string { return string(e) }

// LogLevel has the request's line written as an error.
func (operatorError) LogLevel() slog.Level { return slog.LevelError }

// retryAfterSeconds is how soon the message may be delivered again: long enough for another delivery of it that is under
// way to end.
const retryAfterSeconds = "5"

// passing is an error that says of itself whether the same may succeed later.
type passing interface{ Retryable() bool }

// translate returns the refusal that an error leads to, nil where it is a fault of ours.
func translate(err error) *httpedge.Refusal {
	var fault passing
	switch {
	case errors.Is(err, restaurant.ErrNotFound):
		return errNoTenant
	case errors.Is(err, outage.ErrUnavailable), errors.Is(err, conversation.ErrElsewhere),
		errors.Is(err, context.DeadlineExceeded), errors.As(err, &fault) && fault.Retryable():
		return errUnavailable
	}
	return nil
}
