package webhook

import (
	"context"
	"errors"
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
		Message: "Parameter 'From' must be one phone number in international form, or one WhatsApp user id.", Code: "invalid_parameter"}
	errMessageID = &httpedge.Refusal{Status: http.StatusBadRequest,
		Message: "Parameter 'MessageSid' must be one id of up to 64 letters, digits, hyphens and underscores.", Code: "invalid_parameter"}
	errNotSigned = &httpedge.Refusal{Status: http.StatusForbidden, Message: "The request is not signed by Twilio.", Code: "forbidden"}

	errUnavailable = httpedge.Unavailable("The message can't be processed at the moment. Deliver it again in a few seconds.", retryAfterSeconds)
)

// errNoToken says in the log that nobody can sign for an account until an operator has acted. Anybody can name an account, so
// that the line is no error by itself: the alarm for refused signatures tells the operator.
var errNoToken = errors.New("no auth token is stored for the Twilio account")

// The log's reasons for a refusal before the signature is compared.
var (
	errNoSignature    = errors.New("no X-Twilio-Signature header")
	errSignatures     = errors.New("several signatures")
	errEmptySignature = errors.New("the X-Twilio-Signature header is empty")
	errNoAccount      = errors.New("AccountSid is not an account's SID, and no auth token is stored for it")
)

// mismatchError is a signature that isn't the stored token's for the public URL: the token is another, or Twilio calls another URL.
type mismatchError struct{ url string }

func (e mismatchError) Error() string {
	return "the signature doesn't match the public URL " + e.url + " with the stored token"
}

// errRecut says in the log why a signature that fits was not taken.
var errRecut = errors.New("the signature also fits another reading of the parameters")

// errOtherAccount is a request that Twilio signed for an account that isn't the bot's.
var errOtherAccount = errors.New("signed by a Twilio account that is not the bot's")

// retryAfterSeconds is how soon the message may be delivered again: long enough for another delivery of it that is under
// way to end.
const retryAfterSeconds = "5"

// passing is an error that says of itself whether the same may succeed later.
type passing interface{ Retryable() bool }

// translate returns the refusal that an error leads to, nil if it is a fault of ours.
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
