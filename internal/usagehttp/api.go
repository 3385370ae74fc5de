// Package usagehttp serves usage figures and top-ups over HTTP: to restaurants' owners with a personal access token, to
// administrators with an API key.
package usagehttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/task"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// API is an http.Handler that shows figures. It logs one line for each request, and never a credential.
type API struct {
	*httpedge.Edge
	usage         *usage.Service
	authenticator Authenticator
}

// New returns the API over the given service. requestID returns the request's id for the logs and the answer's X-Request-Id
// header; an empty id is left out.
func New(service *usage.Service, authenticator Authenticator, logger *slog.Logger, now func() time.Time,
	requestID func(context.Context) string,
) *API {
	a := &API{usage: service, authenticator: authenticator}
	get := func(pattern string, answer func(*httpedge.Call) (any, error)) httpedge.Route {
		return httpedge.Route{Pattern: pattern, Methods: []string{http.MethodGet, http.MethodHead}, Answer: answer}
	}
	a.Edge = httpedge.New(edgeOptions(logger, now, requestID),
		get("/api/usage", a.usageOfOneOrAll),
		get("/api/usage/alerts", a.alerts),
		get("/api/usage/details", a.detailsOfOwn),
		get("/api/usage/{restaurantId}/details", a.details),
		get("/api/usage/{restaurantId}", a.usageInDetail),
	)
	return a
}

func edgeOptions(logger *slog.Logger, now func() time.Time, requestID func(context.Context) string) httpedge.Options {
	return httpedge.Options{Log: logger, Now: now, RequestID: requestID, Translate: translate}
}

// usageOfOneOrAll serves GET /api/usage: a single restaurant for a token, a page of all restaurants for an API key.
func (a *API) usageOfOneOrAll(c *httpedge.Call) (any, error) {
	presented, err := presentedBy(c.Header)
	if err != nil {
		return nil, err
	}
	if presented.kind == credential.PAT {
		return a.ofOwn(c, presented, a.readUsage)
	}
	return a.usageOfAll(c, presented)
}

func (a *API) readUsage(ctx context.Context, restaurantID string) (any, error) {
	report, err := a.usage.Report(ctx, restaurantID)
	if err != nil {
		return nil, err
	}
	return newUsageBody(report), nil
}

// ofOwn responds with the result of read for the restaurant that a token's request names. The name is the restaurant's id or
// its bot's.
func (a *API) ofOwn(c *httpedge.Call, presented presented, read func(context.Context, string) (any, error)) (any, error) {
	name, nameErr := restaurantNamed(c.Request)
	noteRestaurant(c, name)
	found, err := whileVerifying(c, a.authenticator, presented,
		func(ctx context.Context, holder credential.Credential) (named, error) {
			switch {
			case nameErr != nil:
				return named{}, nameErr
			case name == "":
				return named{}, errRestaurantMissing
			}
			return a.readNamed(ctx, holder, name, read)
		})
	if found.restaurantID != name {
		noteRestaurant(c, found.restaurantID)
	}
	return found.body, err
}

// named is a restaurant named in a request, and the data read for it.
type named struct {
	restaurantID string
	body         any
}

// readNamed reads the restaurant that a request names by its own id or by its bot's. If the token doesn't cover the
// restaurant, readNamed fails with errNotCovered, whether the restaurant exists or not, so that the caller learns nothing
// about it.
//
// A token that lists the restaurant costs one round trip. So does a token for all restaurants if the name is a restaurant's
// id, because a bot with that id is looked up at the same time. If the name is a bot's id, there is a second round trip.
func (a *API) readNamed(
	ctx context.Context, holder credential.Credential, name string, read func(context.Context, string) (any, error),
) (named, error) {
	if holder.Names(name) { // ids of restaurants and of bots never coincide
		body, err := read(ctx, name)
		return named{name, body}, err
	}
	resolving := task.Start(func() (string, error) { return a.usage.RestaurantOfBot(ctx, name) })
	if holder.All {
		body, err := read(ctx, name)
		if !errors.Is(err, restaurant.ErrNotFound) {
			_, resolveErr := resolving.Wait()
			if task.IsPanic(resolveErr) {
				return named{}, resolveErr
			}
			return named{name, body}, err
		}
	}
	id, err := resolving.Wait()
	switch {
	case errors.Is(err, restaurant.ErrNotFound) && !holder.All, err == nil && !holder.Covers(id):
		return named{}, errNotCovered
	case err != nil:
		return named{}, err
	}
	body, err := read(ctx, id)
	return named{id, body}, err
}

func (a *API) usageOfAll(c *httpedge.Call, presented presented) (any, error) {
	query, queryErr := parseListQuery(c.URL.RawQuery)
	read, err := whileVerifying(c, a.authenticator, presented,
		func(ctx context.Context, _ credential.Credential) (func() (usage.Listing, error), error) {
			if queryErr != nil {
				return nil, queryErr
			}
			return a.whereListed(ctx, c, query)
		})
	if err != nil {
		return nil, err
	}
	listing, err := read()
	if err != nil {
		return nil, err
	}
	return newListBody(listing, query.limit), nil
}

// whereListed finds the place of a page's restaurants in the list, and returns the function that reads them.
func (a *API) whereListed(ctx context.Context, c *httpedge.Call, query listQuery) (func() (usage.Listing, error), error) {
	if query.search.IsZero() {
		directory, err := a.usage.Directory(ctx)
		return func() (usage.Listing, error) {
			return a.usage.List(c.Context(), directory, query.filter, query.start, query.limit)
		}, err
	}
	found, err := a.usage.Search(ctx, query.search, query.filter, query.start, query.limit)
	return func() (usage.Listing, error) { return a.usage.ListFound(c.Context(), found) }, err
}

// alerts serves GET /api/usage/alerts: the restaurants with nearly used-up allowances, for administrators.
func (a *API) alerts(c *httpedge.Call) (any, error) {
	presented, err := presentedKey(c, a.authenticator)
	if err != nil {
		return nil, err
	}
	ranks, err := whileVerifying(c, a.authenticator, presented,
		func(ctx context.Context, _ credential.Credential) (usage.Ranks, error) { return a.usage.Ranks(ctx) })
	if err != nil {
		return nil, err
	}
	query, err := parseAlertQuery(c.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	listing, err := a.usage.Alerts(c.Context(), ranks, query.threshold, query.offset, query.limit)
	if err != nil {
		return nil, err
	}
	return newAlertsBody(listing, query), nil
}

// usageInDetail serves GET /api/usage/{restaurantId}: one restaurant with its history, for administrators.
func (a *API) usageInDetail(c *httpedge.Call) (any, error) {
	return a.forAdministrator(c, func(ctx context.Context, restaurantID string) (any, error) {
		report, history, err := a.usage.History(ctx, restaurantID)
		if err != nil {
			return nil, err
		}
		return newDetailBody(report, history), nil
	})
}

// details serves GET /api/usage/{restaurantId}/details: all data about one restaurant, for administrators.
func (a *API) details(c *httpedge.Call) (any, error) { return a.forAdministrator(c, a.readDetails) }

func (a *API) readDetails(ctx context.Context, restaurantID string) (any, error) {
	details, err := a.usage.Details(ctx, restaurantID)
	if err != nil {
		return nil, err
	}
	return newDetailsBody(details), nil
}

// detailsOfOwn serves GET /api/usage/details: all data about a token's own restaurant.
func (a *API) detailsOfOwn(c *httpedge.Call) (any, error) {
	presented, err := presentedBy(c.Header)
	if err != nil {
		return nil, err
	}
	if presented.kind == credential.APIKey {
		if _, err := verify(c, a.authenticator, presented); err != nil {
			return nil, err
		}
		return nil, errRestaurantInPath
	}
	return a.ofOwn(c, presented, a.readDetails)
}

// forAdministrator responds with the result of read for the restaurant in the path, if the caller is an administrator.
func (a *API) forAdministrator(c *httpedge.Call, read func(context.Context, string) (any, error)) (any, error) {
	restaurantID := c.PathValue("restaurantId")
	noteRestaurant(c, restaurantID)
	presented, err := presentedKey(c, a.authenticator)
	if err != nil {
		return nil, err
	}
	return whileVerifying(c, a.authenticator, presented,
		func(ctx context.Context, _ credential.Credential) (any, error) { return read(ctx, restaurantID) })
}
