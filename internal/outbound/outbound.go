// Package outbound has the parts that clients of HTTP services share: connections that survive the freezing and thawing of a
// Lambda process, redirects that take no credentials elsewhere, bounded bodies, and the parsing of statuses and Retry-After.
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

// Limits of the connections. An instance serves one request at a time, and loses its connections unnoticed while it is
// frozen.
const (
	dialTimeout         = 2 * time.Second
	tlsHandshakeTimeout = 3 * time.Second
	maxIdlePerHost      = 2

	// idleTimeout is below the minute after which load balancers usually close a connection. The transport compares it with
	// the wall clock when it takes a connection, so that no connection is used after a longer freeze.
	idleTimeout = 30 * time.Second
)

// maxRedirects bounds how often a call is redirected on its own host.
const maxRedirects = 3

// maxRetryAfter bounds a service's Retry-After, so that a mistake there doesn't stop a job for ever.
const maxRetryAfter = 24 * time.Hour

// maxDrained is the part of an unread body that is read, in bytes, so that its connection can be used again.
const maxDrained = 4 << 10

// ErrBodyTooLarge says that an answer is longer than its client allows.
var ErrBodyTooLarge = errors.New("the answer is too large")

// NewTransport returns a transport for calls out of a function. It keeps few idle connections, and its dial gives up long
// before the call does.
//
// It adds no retries to those of net/http. If a reused connection turns out to be closed, net/http repeats the request on a
// new one, provided that the request is idempotent or was never sent. It doesn't repeat a POST that may have arrived, and
// callers must not do so either.
func NewTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    tlsHandshakeTimeout,
		ForceAttemptHTTP2:      true, // a custom DialContext would turn it off
		MaxIdleConns:           2 * maxIdlePerHost,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// NewClient returns a copy of client that follows redirects only as checkRedirect allows. If client is nil, the copy has a
// NewTransport. The given client isn't changed.
func NewClient(client *http.Client, checkRedirect func(*http.Request, []*http.Request) error) *http.Client {
	if client == nil {
		client = &http.Client{Transport: NewTransport()}
	}
	copied := *client
	copied.CheckRedirect = checkRedirect
	return &copied
}

// SameOrigin allows a redirect to the call's own scheme and host. The caller gets any other redirect as the answer. So
// credentials never reach another host.
func SameOrigin(next *http.Request, sent []*http.Request) error {
	origin := sent[0].URL
	if len(sent) > maxRedirects || next.URL.Scheme != origin.Scheme || next.URL.Host != origin.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// NoRedirect allows no redirect: the caller gets it as the answer.
func NoRedirect(*http.Request, []*http.Request) error {
	return http.ErrUseLastResponse
}

// ParseBaseURL returns the URL to which a service's paths are appended, without a slash at its end. It accepts absolute http
// and https URLs without credentials, query or fragment. Its error doesn't quote the URL.
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

// ReadBody returns the whole body. It fails with ErrBodyTooLarge if the body has more than limit bytes.
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

// Close closes an answer's body. It reads a short rest of it, so that the connection can be used again.
func Close(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, maxDrained)
	_ = response.Body.Close()
}

// Cause returns the cause of a failed call, without the method and URL that net/http adds: the URL may contain data that must
// not be logged, such as an account.
func Cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// Transient reports whether a call that was answered with a status may succeed later: after too many requests, a time-out or
// a fault of the server.
func Transient(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500
}

// RetryAfter returns the wait that an answer asks for before the next call, at most a day; 0 if it asks for none. A date is
// compared with the answer's own Date, so that neither clock need be right.
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
