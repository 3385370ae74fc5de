package sufrah

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/outbound"
)

// ErrUnknownMerchant says that Sufrah knows no merchant of the id.
var ErrUnknownMerchant = errors.New("unknown merchant")

// ErrUnknownCategory says that Sufrah knows no category of the id, or not at that branch.
var ErrUnknownCategory = errors.New("unknown category or branch")

var (
	errProductsID = errors.New("the category or branch id is malformed")
	errMerchantID = errors.New("the merchant id is malformed")
	errRedirected = errors.New("redirected to another host")
)

// Error is a call that failed. Its text holds neither the key nor anything of the answer's body.
type Error struct {
	Op         string        // the requested list: "categories", "branches" or "products"
	MerchantID string        // the list's owner
	StatusCode int           // 0 if nothing was answered
	RetryAfter time.Duration // how long Sufrah asked to wait; 0 if it didn't
	Permanent  bool          // the same call can't succeed later
	Err        error         // the cause; nil if the status says all
}

// Retryable says whether the same call may succeed later: after a time-out, a broken connection, too many requests, a
// fault of the server, or an answer that is not Sufrah's (a proxy's page, say).
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

// refusal returns the error that a status other than 200 and 204 stands for.
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
