package sufrah

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/outbound"
)

// ErrUnknownMerchant says that Sufrah doesn't know the merchant.
var ErrUnknownMerchant = errors.New("unknown merchant")

// ErrUnknownCategory says that Sufrah doesn't know the category, or not at that branch.
var ErrUnknownCategory = errors.New("unknown category or branch")

var (
	errProductsID = errors.New("the category or branch id is malformed")
	errMerchantID = errors.New("the merchant id is malformed")
	errRedirected = errors.New("redirected to another host")
)

// Error is a failed call. Its text contains neither the key nor any part of the answer's body.
type Error struct {
	Op         string        // the requested list: "categories", "branches" or "products"
	MerchantID string        // the merchant of the requested list
	StatusCode int           // 0 if there was no answer
	RetryAfter time.Duration // the wait that Sufrah asked for; 0 if none
	Permanent  bool          // the same call can't succeed later
	Err        error         // the cause; nil if the status is the cause
}

// Retryable reports whether the same call may succeed later: after a time-out, a broken connection, too many requests, a
// fault of the server, or an answer that isn't Sufrah's, such as a proxy's page.
func (e *Error) Retryable() bool {
	return !e.Permanent
}

// Error returns the operation, the merchant and the cause.
func (e *Error) Error() string {
	text := fmt.Sprintf("sufrah: %s of merchant %.130q", e.Op, e.MerchantID)
	if e.StatusCode != 0 {
		text += fmt.Sprintf(": status %d", e.StatusCode)
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

// refusal returns the error for a status other than 200 and 204.
func refusal(response *http.Response) *Error {
	e := &Error{StatusCode: response.StatusCode}
	switch status := response.StatusCode; {
	case status == http.StatusNotFound:
		e.Permanent, e.Err = true, ErrUnknownMerchant
	case outbound.Transient(status):
		e.RetryAfter = outbound.RetryAfter(response.Header)
	case status >= 400:
		e.Permanent = true
	case status >= 300:
		e.Err = errRedirected
	}
	return e
}
