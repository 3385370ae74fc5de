package usagehttp

import (
	"errors"
	"net/http"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

var (
	errNoCredential   = unauthorized("Send an access token as 'Authorization: Bearer <token>', or an API key as 'X-API-Key'.", challenge)
	errRefused        = unauthorized("The access token or API key is not valid, has expired or was revoked.", challenge+`, error="invalid_token"`)
	errTwoCredentials = &httpedge.Refusal{Status: http.StatusBadRequest,
		Message: "Send either an access token or an API key, not both.", Code: "ambiguous_credentials"}
	errRestaurantMissing = &httpedge.Refusal{Status: http.StatusBadRequest,
		Message: "Name the restaurant in the X-Restaurant-Id header.", Code: "restaurant_id_required"}
	errRestaurantInPath = &httpedge.Refusal{Status: http.StatusBadRequest,
		Message: "With an API key, ask for /api/usage/{restaurantId}/details.", Code: "restaurant_id_required"}
	errTwoRestaurants = &httpedge.Refusal{Status: http.StatusBadRequest,
		Message: "The request names different restaurants: X-Restaurant-Id, restaurantId and tenantId must be the same.", Code: "ambiguous_restaurant"}
	errNotCovered = &httpedge.Refusal{Status: http.StatusForbidden,
		Message: "This access token does not cover that restaurant.", Code: "forbidden"}
	errAdministratorsOnly = &httpedge.Refusal{Status: http.StatusForbidden,
		Message: "This needs an administrator's API key.", Code: "forbidden"}
	errMalformedQuery = &httpedge.Refusal{Status: http.StatusBadRequest,
		Message: "The query string could not be read.", Code: "invalid_parameter"}
	errUnknownRestaurant = &httpedge.Refusal{Status: http.StatusNotFound, Message: "There is no such restaurant.", Code: "restaurant_not_found"}
	errMalformedBody     = &httpedge.Refusal{Status: http.StatusBadRequest,
		Message: "The body must be empty or one JSON object.", Code: "invalid_body"}
	errMemberTwice = &httpedge.Refusal{Status: http.StatusBadRequest,
		Message: "The body has the same member twice: give each member once.", Code: "invalid_body"}
	errBelowZero = &httpedge.Refusal{Status: http.StatusConflict,
		Message: "The correction would take this month's effective limit below 0.", Code: "limit_below_zero"}
	errUnlimited = &httpedge.Refusal{Status: http.StatusConflict,
		Message: "This restaurant's allowance is unlimited: there is nothing to add to.", Code: "unlimited_allowance"}
	errKeyReused = &httpedge.Refusal{Status: http.StatusUnprocessableEntity,
		Message: "This Idempotency-Key was used before with another amount or reason. Give each top-up a key of its own.", Code: "idempotency_key_reused"}
	errUnavailable = httpedge.Unavailable("The service is temporarily unavailable. Try again in a few seconds.", retryAfterSeconds)
)

// challenge is the WWW-Authenticate header of a 401.
const challenge = `Bearer realm="sufrah-usage"`

func unauthorized(message, challenge string) *httpedge.Refusal {
	return &httpedge.Refusal{
		Status: http.StatusUnauthorized, Message: message, Code: "unauthorized", Header: map[string]string{"WWW-Authenticate": challenge},
	}
}

// retryAfterSeconds is the Retry-After of a 503: an on-demand table stops throttling within seconds.
const retryAfterSeconds = "2"

// translate returns the refusal for an error of the domain, nil if the error is a fault of ours.
func translate(err error) *httpedge.Refusal {
	var fault *usage.TopUpFault
	switch {
	case errors.As(err, &fault):
		return httpedge.InvalidParameter(fault.Name, fault.Problem)
	case errors.Is(err, credential.ErrRefused):
		return errRefused
	case errors.Is(err, restaurant.ErrNotFound):
		return errUnknownRestaurant
	case errors.Is(err, usage.ErrUnlimited):
		return errUnlimited
	case errors.Is(err, usage.ErrBelowZero):
		return errBelowZero
	case errors.Is(err, usage.ErrKeyReused):
		return errKeyReused
	case errors.Is(err, outage.ErrUnavailable):
		return errUnavailable
	}
	return nil
}
