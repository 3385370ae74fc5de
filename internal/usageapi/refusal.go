package usageapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
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
	errNoCredential = &refusal{http.StatusUnauthorized,
		"Send an access token as 'Authorization: Bearer <token>', or an API key as 'X-API-Key'.", "unauthorized"}
	errRefused = &refusal{http.StatusUnauthorized,
		"The access token or API key is not valid, has expired or was revoked.", "unauthorized"}
	errTwoCredentials = &refusal{http.StatusBadRequest,
		"Send either an access token or an API key, not both.", "ambiguous_credentials"}
	errRestaurantMissing = &refusal{http.StatusBadRequest,
		"Name the restaurant in the X-Restaurant-Id header.", "restaurant_id_required"}
	errRestaurantInPath = &refusal{http.StatusBadRequest,
		"With an API key, ask for /api/usage/{restaurantId}/details.", "restaurant_id_required"}
	errTwoRestaurants = &refusal{http.StatusBadRequest,
		"The request names different restaurants: X-Restaurant-Id, restaurantId and tenantId must be the same.", "ambiguous_restaurant"}
	errNotCovered = &refusal{http.StatusForbidden,
		"This access token does not cover that restaurant.", "forbidden"}
	errAdministratorsOnly = &refusal{http.StatusForbidden,
		"This needs an administrator's API key.", "forbidden"}
	errMalformedQuery = &refusal{http.StatusBadRequest,
		"The query string could not be read.", "invalid_parameter"}
	errUnknownRestaurant = &refusal{http.StatusNotFound, "There is no such restaurant.", "restaurant_not_found"}
	errUnknownPath       = &refusal{http.StatusNotFound, "There is nothing at this address.", "not_found"}
	errReadOnly          = &refusal{http.StatusMethodNotAllowed,
		"This address can only be read: use GET or HEAD.", "method_not_allowed"}
	errPostOnly = &refusal{http.StatusMethodNotAllowed,
		"This address takes requests of the method POST only.", "method_not_allowed"}
	errMalformedBody = &refusal{http.StatusBadRequest,
		"The body must be empty or one JSON object.", "invalid_body"}
	errUnlimited = &refusal{http.StatusConflict,
		"This restaurant's allowance is unlimited: there is nothing to add to.", "unlimited_allowance"}
	errKeyReused = &refusal{http.StatusUnprocessableEntity,
		"This Idempotency-Key came with another amount or reason before.", "idempotency_key_reused"}
	errUnavailable = &refusal{http.StatusServiceUnavailable,
		"Usage can't be read at the moment. Try again shortly.", "unavailable"}
	errInternal = &refusal{http.StatusInternalServerError, "Something went wrong on our side.", "internal_error"}
)

func invalidParameter(name, problem string) *refusal {
	return &refusal{http.StatusBadRequest, fmt.Sprintf("Parameter '%s' %s.", name, problem), "invalid_parameter"}
}

// refusalFor is the one place where errors become answers.
func refusalFor(err error) *refusal {
	var known *refusal
	var fault *usage.TopUpFault
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &fault):
		return invalidParameter(fault.Name, fault.Problem)
	case errors.Is(err, credential.ErrRefused):
		return errRefused
	case errors.Is(err, restaurant.ErrNotFound):
		return errUnknownRestaurant
	case errors.Is(err, usage.ErrUnlimited):
		return errUnlimited
	case errors.Is(err, usage.ErrKeyReused):
		return errKeyReused
	case errors.Is(err, outage.ErrUnavailable):
		return errUnavailable
	}
	return errInternal
}

// retryAfterSeconds is how soon a caller of an unavailable service may try again: throttling of an on-demand table
// passes within seconds.
const retryAfterSeconds = "2"

func (r *refusal) addHeaders(header http.Header) {
	switch r.status {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="sufrah-usage"`
		if r == errRefused {
			challenge += `, error="invalid_token"`
		}
		header.Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", retryAfterSeconds)
	}
}
