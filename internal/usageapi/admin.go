package usageapi

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

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// TopUpPattern is where an administrator adds to a restaurant's allowance.
const TopUpPattern = "/api/admin/usage/{restaurantId}/renew"

// NewAdmin returns the API of those who change allowances. It is apart from the one that shows figures, so that that one
// needs no right to write anything.
func NewAdmin(topUps *usage.TopUpService, authenticator Authenticator, logger *slog.Logger, now func() time.Time,
	requestID func(context.Context) string,
) *API {
	a := newAPI(authenticator, logger, now, requestID)
	a.topUps = topUps
	a.mux.HandleFunc(TopUpPattern, a.serve(TopUpPattern, func(c *call) (any, error) {
		if c.Method != http.MethodPost {
			c.header.Set("Allow", http.MethodPost)
			return nil, errPostOnly
		}
		return a.renew(c)
	}))
	return a
}

// renew serves POST /api/admin/usage/{restaurantId}/renew: it adds to this month's allowance. The body is looked at once
// who asks is verified.
func (a *API) renew(c *call) (any, error) {
	presented, err := presentedBy(c.Header)
	if err != nil {
		return nil, err
	}
	restaurantID := c.PathValue("restaurantId")
	c.noteRestaurant(restaurantID)
	holder, err := a.verify(c, presented)
	switch {
	case err != nil:
		return nil, err
	case presented.kind != credential.APIKey:
		return nil, errAdministratorsOnly
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
	c.note(slog.Int64("amount", request.Amount), slog.Int64("adjustedBy", quota.ToppedUp))
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
			return request, invalidParameter("Idempotency-Key", "must not be empty")
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
				return request, invalidParameter("reason", "must be a text")
			}
			if strings.TrimSpace(*reason) != "" { // a form's field that was left empty
				request.Reason = *reason
			}
		default:
			return request, invalidParameter("body", "may have amount and reason only")
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
