// Package usageapi serves the usage figures over HTTP: to restaurants' owners with a personal access token, to
// administrators with an API key.
package usageapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Authenticator verifies a raw credential. It fails with credential.ErrRefused or outage.ErrUnavailable.
type Authenticator interface {
	Authenticate(ctx context.Context, kind credential.Kind, raw string) (credential.Credential, error)
}

// API is an http.Handler. It logs one line for each request, and never a credential.
type API struct {
	mux           *http.ServeMux
	usage         *usage.Service      // nil where it only changes allowances
	topUps        *usage.TopUpService // nil where it only shows figures
	authenticator Authenticator
	logger        *slog.Logger
	now           func() time.Time
	requestID     func(context.Context) string
}

// New returns the API over the given services. requestID names the request in the logs and in the answer's
// X-Request-Id header; an empty name is left out.
func New(service *usage.Service, authenticator Authenticator, logger *slog.Logger, now func() time.Time,
	requestID func(context.Context) string,
) *API {
	a := newAPI(authenticator, logger, now, requestID)
	a.usage = service
	a.handle("/api/usage", a.usageOfOneOrAll)
	a.handle("/api/usage/alerts", a.alerts)
	a.handle("/api/usage/details", a.detailsOfOwn)
	a.handle("/api/usage/{restaurantId}/details", a.details)
	a.handle("/api/usage/{restaurantId}", a.usageInDetail)
	return a
}

// newAPI returns an API without addresses.
func newAPI(authenticator Authenticator, logger *slog.Logger, now func() time.Time, requestID func(context.Context) string) *API {
	a := &API{mux: http.NewServeMux(), authenticator: authenticator, logger: logger, now: now, requestID: requestID}
	a.mux.HandleFunc("/", a.serve("", func(*call) (any, error) { return nil, errUnknownPath }))
	return a
}

// ServeHTTP answers a request. A trailing slash makes no difference; a path that isn't written in its shortest form
// ("//", "..") names nothing.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if trimmed := strings.TrimSuffix(r.URL.Path, "/"); trimmed != "" && trimmed == path.Clean("/"+r.URL.Path) {
		r.URL.Path, r.URL.RawPath = trimmed, strings.TrimSuffix(r.URL.RawPath, "/")
	} else {
		// The mux would answer with a redirect to the clean path, which no client of ours has a use for.
		r.URL.Path, r.URL.RawPath = "/", ""
	}
	a.mux.ServeHTTP(w, r)
}

// call is one request on its way through a handler, which adds what the log line should say of it.
type call struct {
	*http.Request
	header http.Header // of the answer
	log    []slog.Attr
}

func (c *call) note(attrs ...slog.Attr) { c.log = append(c.log, attrs...) }

// noteRestaurant has the log line name the restaurant asked for, unless it is something that no restaurant is called:
// callers don't get to write what they like into the log.
func (c *call) noteRestaurant(id string) {
	if restaurant.ValidID(id) {
		c.note(slog.String("restaurantId", id))
	}
}

// handle serves GET and HEAD of a pattern with answer, and refuses every other method.
func (a *API) handle(pattern string, answer func(*call) (any, error)) {
	a.mux.HandleFunc(pattern, a.serve(pattern, func(c *call) (any, error) {
		if c.Method != http.MethodGet && c.Method != http.MethodHead {
			c.header.Set("Allow", "GET, HEAD")
			return nil, errReadOnly
		}
		return answer(c)
	}))
}

func (a *API) serve(route string, answer func(*call) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := a.now()
		c := &call{Request: r, header: w.Header()}
		requestID := a.requestID(r.Context())
		if requestID != "" {
			c.header.Set("X-Request-Id", requestID)
		}
		status := http.StatusOK
		body, err := answer(c)
		if err != nil {
			refusal := refusalFor(err)
			status, body = refusal.status, refusal
			refusal.addHeaders(c.header)
			c.note(slog.String("code", refusal.Code), slog.Any("error", err), slog.String("sourceIp", r.RemoteAddr))
		}
		writeJSON(w, r.Method, status, body)
		a.logger.LogAttrs(r.Context(), levelOf(status), "request", append([]slog.Attr{
			slog.String("requestId", requestID), slog.String("method", r.Method), slog.String("route", route),
			slog.Int("status", status), slog.Int64("durationMs", a.now().Sub(start).Milliseconds()),
		}, c.log...)...)
	}
}

func levelOf(status int) slog.Level {
	switch {
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	case status >= http.StatusBadRequest:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func writeJSON(w http.ResponseWriter, method string, status int, body any) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store") // figures change with every message, and differ by who asks
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if method == http.MethodHead {
		return
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	// The only error is that of writing to a caller who has gone away.
	_ = encoder.Encode(body)
}

// usageOfOneOrAll serves GET /api/usage: with a token one restaurant, with an API key a page of all.
func (a *API) usageOfOneOrAll(c *call) (any, error) {
	presented, err := presentedBy(c.Header)
	if err != nil {
		return nil, err
	}
	if presented.kind == credential.PAT {
		return a.usageOfOne(c, presented)
	}
	return a.usageOfAll(c, presented)
}

func (a *API) usageOfOne(c *call, presented presented) (any, error) {
	report, err := ofNamed(a, c, presented, a.usage.Report)
	if err != nil {
		return nil, err
	}
	return newUsageBody(report), nil
}

// ofNamed returns what read tells of the restaurant that a token's request names by the restaurant's id or its bot's.
//
// Who the name stands for is looked up at the same time as the credential and what is read of a restaurant of that id: only
// a bot's id takes a second round trip. Whether the token may know anything is decided on the restaurant, whatever the
// request called it.
func ofNamed[T any](a *API, c *call, presented presented, read func(context.Context, string) (T, error)) (T, error) {
	name, nameErr := restaurantNamed(c.Request)
	c.noteRestaurant(name)
	var nothing T
	var holder credential.Credential
	found, err := whileVerifying(c.Context(),
		func() (err error) {
			holder, err = a.verify(c, presented)
			switch {
			case err != nil:
				return err
			case nameErr != nil:
				return nameErr
			case name == "":
				return errRestaurantMissing
			}
			return nil
		},
		func(ctx context.Context) (named[T], error) { return readNamed(ctx, a, name, read), nil })
	if err != nil {
		return nothing, err
	}
	isBot := errors.Is(found.err, restaurant.ErrNotFound) || found.err != nil && !holder.Covers(name)
	if !isBot || errors.Is(found.ownerErr, restaurant.ErrNotFound) {
		if !holder.Covers(name) {
			return nothing, errNotCovered
		}
		return found.value, found.err
	}
	if found.ownerErr != nil {
		return nothing, found.ownerErr
	}
	if !holder.Covers(found.owner) {
		return nothing, errNotCovered
	}
	c.noteRestaurant(found.owner)
	return read(c.Context(), found.owner)
}

// named is what there is under a name: of a restaurant of that id, and the restaurant whose bot has it.
type named[T any] struct {
	value    T
	err      error
	owner    string
	ownerErr error
}

func readNamed[T any](ctx context.Context, a *API, name string, read func(context.Context, string) (T, error)) named[T] {
	var n named[T]
	var both sync.WaitGroup
	both.Go(func() { n.owner, n.ownerErr = a.usage.RestaurantOfBot(ctx, name) })
	n.value, n.err = read(ctx, name)
	both.Wait()
	return n
}

func (a *API) usageOfAll(c *call, presented presented) (any, error) {
	directory, err := whileVerifying(c.Context(),
		func() error {
			_, err := a.verify(c, presented)
			return err
		},
		a.usage.Directory)
	if err != nil {
		return nil, err
	}
	query, err := parseListQuery(c.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	listing, err := a.usage.List(c.Context(), directory, query.filter, query.offset, query.limit)
	if err != nil {
		return nil, err
	}
	return newListBody(listing, query), nil
}

// alerts serves GET /api/usage/alerts: the restaurants whose allowance is nearly used up, for administrators. What it costs
// depends on how many they are, so nothing is read before it is known who asks.
func (a *API) alerts(c *call) (any, error) {
	presented, err := presentedBy(c.Header)
	if err != nil {
		return nil, err
	}
	switch _, err := a.verify(c, presented); {
	case err != nil:
		return nil, err
	case presented.kind != credential.APIKey:
		return nil, errAdministratorsOnly
	}
	query, err := parseAlertQuery(c.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	listing, err := a.usage.Alerts(c.Context(), query.threshold, query.offset, query.limit)
	if err != nil {
		return nil, err
	}
	return newAlertsBody(listing, query), nil
}

// usageInDetail serves GET /api/usage/{restaurantId}: one restaurant with its history, for administrators.
func (a *API) usageInDetail(c *call) (any, error) {
	return a.forAdministrator(c, func(ctx context.Context, restaurantID string) (any, error) {
		report, history, err := a.usage.History(ctx, restaurantID)
		if err != nil {
			return nil, err
		}
		return newDetailBody(report, history), nil
	})
}

// details serves GET /api/usage/{restaurantId}/details: all that is shown of one restaurant, for administrators.
func (a *API) details(c *call) (any, error) { return a.forAdministrator(c, a.readDetails) }

func (a *API) readDetails(ctx context.Context, restaurantID string) (any, error) {
	details, err := a.usage.Details(ctx, restaurantID)
	if err != nil {
		return nil, err
	}
	return newDetailsBody(details), nil
}

// detailsOfOwn serves GET /api/usage/details: the same of a token's restaurant.
func (a *API) detailsOfOwn(c *call) (any, error) {
	presented, err := presentedBy(c.Header)
	if err != nil {
		return nil, err
	}
	if presented.kind == credential.APIKey {
		if _, err := a.verify(c, presented); err != nil {
			return nil, err
		}
		return nil, errRestaurantInPath
	}
	return ofNamed(a, c, presented, a.readDetails)
}

// forAdministrator answers with what read tells of the restaurant in the path, if an administrator asks.
func (a *API) forAdministrator(c *call, read func(context.Context, string) (any, error)) (any, error) {
	presented, err := presentedBy(c.Header)
	if err != nil {
		return nil, err
	}
	restaurantID := c.PathValue("restaurantId")
	c.noteRestaurant(restaurantID)
	return whileVerifying(c.Context(),
		func() error {
			_, err := a.verify(c, presented)
			if err == nil && presented.kind != credential.APIKey {
				return errAdministratorsOnly
			}
			return err
		},
		func(ctx context.Context) (any, error) { return read(ctx, restaurantID) })
}

// verify returns the credential that was presented, and has the log line name it.
func (a *API) verify(c *call, presented presented) (credential.Credential, error) {
	found, err := a.authenticator.Authenticate(c.Context(), presented.kind, presented.raw)
	if err == nil {
		c.note(slog.String("credentialId", found.ID))
	}
	return found, err
}

// whileVerifying reads at the same time as it verifies who asks, so that the two cost one round trip and not two. What
// was read is given away only to who is verified; for anyone else the reading is called off.
func whileVerifying[T any](ctx context.Context, verify func() error, read func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := read(ctx)
		answers <- answer{value, err}
	}()
	if err := verify(); err != nil {
		cancel()
		<-answers // an instance is frozen once it has answered: nothing must be left half-done
		var nothing T
		return nothing, err
	}
	got := <-answers
	return got.value, got.err
}
