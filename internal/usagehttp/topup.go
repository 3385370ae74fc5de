package usagehttp

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// TopUpPattern is where an administrator adds to a restaurant's allowance.
const TopUpPattern = "/api/admin/usage/{restaurantId}/renew"

// TopUpRoute is what API Gateway hands to TopUpAPI. It is wider than TopUpPattern because API Gateway takes a path with a
// trailing slash for another one.
const TopUpRoute = "/api/admin/{proxy+}"

// TopUpAPI is an http.Handler that changes allowances. It is apart from API, so that the function that shows figures needs
// no right to write anything.
type TopUpAPI struct {
	*httpedge.Edge
	topUps        *usage.TopUpService
	authenticator Authenticator
}

// NewTopUpAPI returns the API over the given service. The rest is as for New.
func NewTopUpAPI(topUps *usage.TopUpService, authenticator Authenticator, logger *slog.Logger, now func() time.Time,
	requestID func(context.Context) string,
) *TopUpAPI {
	a := &TopUpAPI{topUps: topUps, authenticator: authenticator}
	a.Edge = httpedge.New(edgeOptions(logger, now, requestID),
		httpedge.Route{Pattern: TopUpPattern, Methods: []string{http.MethodPost}, Answer: a.topUp})
	return a
}

// topUp serves POST /api/admin/usage/{restaurantId}/renew: it adds to this month's allowance. The body is looked at once
// who asks is verified.
func (a *TopUpAPI) topUp(c *httpedge.Call) (any, error) {
	restaurantID := c.PathValue("restaurantId")
	noteRestaurant(c, restaurantID)
	presented, err := presentedKey(c, a.authenticator)
	if err != nil {
		return nil, err
	}
	holder, err := verify(c, a.authenticator, presented)
	if err != nil {
		return nil, err
	}
	request, err := parseTopUp(c.Request)
	if err != nil {
		return nil, err
	}
	request.RestaurantID, request.By = restaurantID, holder.ID
	quota, err := a.topUps.Add(c.Context(), request)
	if err != nil {
		return nil, err
	}
	c.Note(slog.Int64("amount", request.Amount), slog.Int64("adjustedBy", quota.ToppedUp))
	return topUpAnswer{Success: true, Data: newQuotaBody(quota)}, nil
}

// maxTopUpBody is some ten times what the longest reason takes.
const maxTopUpBody = 64 << 10

// parseTopUp reads a top-up's body, in which nothing has to stand, and its Idempotency-Key. A member of another name is
// refused and not ignored: who misspells the amount must not add the default's.
func parseTopUp(r *http.Request) (usage.TopUpRequest, error) {
	request := usage.TopUpRequest{Amount: usage.DefaultTopUp, Reason: usage.DefaultTopUpReason}
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 0 {
		request.Key = strings.TrimSpace(strings.Join(keys, ","))
		if request.Key == "" {
			return request, httpedge.InvalidParameter("Idempotency-Key", "must not be empty")
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxTopUpBody+1))
	if err != nil || len(body) > maxTopUpBody {
		return request, errMalformedBody
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return request, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return request, errMalformedBody
	}
	for name, value := range members {
		switch name {
		case "amount":
			request.Amount = wholeAmount(value)
		case "reason":
			var reason *string
			if err := json.Unmarshal(value, &reason); err != nil || reason == nil {
				return request, httpedge.InvalidParameter("reason", "must be a text")
			}
			if strings.TrimSpace(*reason) != "" { // a form's field that was left empty
				request.Reason = *reason
			}
		default:
			return request, httpedge.InvalidParameter("body", "may have amount and reason only")
		}
	}
	return request, nil
}

// wholeAmount returns a JSON value that is a whole number, however it is written: 1000, 1000.0 and 1e3 are the same one. It
// returns 0, which is no amount, for anything else and for what is beyond all amounts.
func wholeAmount(value json.RawMessage) int64 {
	const exact = 1 << 53 // up to there
	var number float64
	if err := json.Unmarshal(value, &number); err != nil || number != math.Trunc(number) || math.Abs(number) > exact {
		return 0
	}
	return int64(number)
}
