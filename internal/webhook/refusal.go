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

// errNoToken is the log's reason if no token is stored for an account: its requests are refused until an operator stores one.
// Anybody can send a form that names any account, so the log line isn't an error. The alarm for refused signatures tells the
// operator.
var errNoToken = errors.New("no auth token is stored for the Twilio account")

// The log's reasons for a refusal before the signature is compared.
var (
	errNoSignature    = errors.New("no X-Twilio-Signature header")
	errSignatures     = errors.New("several signatures")
	errEmptySignature = errors.New("the X-Twilio-Signature header is empty")
	errNoAccount      = errors.New("AccountSid is not an account's SID, and no auth token is stored for it")
)

// mismatchError says that the signature doesn't match the public URL and the stored token: the account has another token now,
// or Twilio calls another URL.
type mismatchError struct{ url string }

func (e mismatchError) Error() string {
	return "the signature doesn't match the public URL " + e.url + " with the stored token"
}

// errRecut is the log's reason if a signature fits, but the form may be another form's signed text (see recut).
var errRecut = errors.New("the signature also fits another reading of the parameters")

// errOtherAccount is a request signed for a Twilio account that isn't the bot's.
var errOtherAccount = errors.New("signed by a Twilio account that is not the bot's")

// retryAfterSeconds is the Retry-After of a 503. If another delivery of the message is being handled, it has probably ended
// by then.
const retryAfterSeconds = "5"

// passing is an error that declares whether a retry may succeed.
type passing interface{ Retryable() bool }

// translate returns the refusal for an error, nil if the error is a fault of ours.
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
