// Package outbound is shared by the clients of outside HTTP services: connections that survive the freezing and thawing of a
// Lambda process, redirects that take no credentials elsewhere, bounded bodies, and the reading of statuses and Retry-After.
package outbound

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Limits of the connections. An instance of a function serves one request at a time, and a frozen instance loses its
// connections without noticing.
const (
	dialTimeout         = 2 * time.Second
	tlsHandshakeTimeout = 3 * time.Second
	maxIdlePerHost      = 2

	// idleTimeout is below the minute after which load balancers usually close a connection. The transport measures it by the
	// wall clock when it takes a connection, so a connection is not used after a longer freeze.
	idleTimeout = 30 * time.Second
)

// maxRedirects bounds how often one call is sent elsewhere on its own host.
const maxRedirects = 3

// maxRetryAfter bounds a service's Retry-After, so that a mistake in its clock doesn't stop a job for ever.
const maxRetryAfter = 24 * time.Hour

// maxDrained is how much of an unread body is read so that its connection can be used again.
const maxDrained = 4 << 10

// ErrBodyTooLarge says that an answer is longer than its client reads.
var ErrBodyTooLarge = errors.New("the answer is too large")

// NewTransport returns a transport for calls out of a function: few idle connections, and a dial that gives up long
// before the call does.
//
// There are no retries on top of it: net/http itself repeats a request on a new connection when a reused one turns out
// to have been closed before a byte was answered, as long as the request is idempotent or was not sent at all. It does
// not repeat a POST that may have arrived, and nor must its callers.
func NewTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    tlsHandshakeTimeout,
		ForceAttemptHTTP2:      true, // a DialContext of one's own turns it off otherwise
		MaxIdleConns:           2 * maxIdlePerHost,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// NewClient returns a copy of client that follows redirects only as checkRedirect says, over NewTransport where client
// is nil. The given client is not changed.
func NewClient(client *http.Client, checkRedirect func(*http.Request, []*http.Request) error) *http.Client {
	if client == nil {
		client = &http.Client{Transport: NewTransport()}
	}
	copied := *client
	copied.CheckRedirect = checkRedirect
	return &copied
}

// SameOrigin lets a redirect be followed only to the scheme and host that the call went to; any other is answered to
// the caller as it is. Credentials thus never leave the host that they are for.
func SameOrigin(next *http.Request, sent []*http.Request) error {
	origin := sent[0].URL
	if len(sent) > maxRedirects || next.URL.Scheme != origin.Scheme || next.URL.Host != origin.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// NoRedirect lets no redirect be followed: the answer is the redirect itself.
func NoRedirect(*http.Request, []*http.Request) error {
	return http.ErrUseLastResponse
}

// ParseBaseURL returns the URL under which a service's paths lie, without a slash at its end. It takes absolute http
// and https URLs with neither credentials nor query nor fragment; the error doesn't repeat the URL.
func ParseBaseURL(raw string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return "", errors.New("the base URL cannot be parsed")
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return "", errors.New("the base URL is not an absolute http or https URL")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errors.New("the base URL has credentials, a query or a fragment")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// ReadBody returns the whole body, or fails with ErrBodyTooLarge if it is longer than limit bytes.
func ReadBody(response *http.Response, limit int64) ([]byte, error) {
	if response.ContentLength > limit {
		return nil, ErrBodyTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, ErrBodyTooLarge
	}
	return body, nil
}

// Close ends an answer without reading the rest, so that a short answer leaves its connection usable.
func Close(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, maxDrained)
	_ = response.Body.Close()
}

// Cause returns the cause of a call's failure, without net/http's method and URL: the URL may hold data that must not be
// logged, such as an account.
func Cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// Transient says whether a call that was answered with the status may succeed later: too many requests, time-outs and
// faults of the server may.
func Transient(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

// RetryAfter returns how long the answer asks to wait before the next call, from 0 (it doesn't say) to a day. A date is
// taken relative to the answer's own Date, so that neither clock need be right.
func RetryAfter(header http.Header) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if isDigits(value) {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	from, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	return min(max(until.Sub(from), 0), maxRetryAfter)
}

func isDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}
