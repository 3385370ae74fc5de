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

// RenewPattern is where an administrator adds to a restaurant's allowance.
const RenewPattern = "/api/admin/usage/{restaurantId}/renew"

// NewAdmin returns the API of those who change allowances. It is apart from the one that shows figures, so that that one
// needs no right to write anything.
func NewAdmin(renewer *usage.Renewer, authenticator Authenticator, logger *slog.Logger, now func() time.Time,
	requestID func(context.Context) string,
) *API {
	a := newAPI(authenticator, logger, now, requestID)
	a.renewer = renewer
	a.mux.HandleFunc(RenewPattern, a.serve(RenewPattern, func(c *call) (any, error) {
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
	renewal, err := parseRenewal(c.Request)
	if err != nil {
		return nil, err
	}
	renewal.RestaurantID, renewal.By = restaurantID, holder.ID
	quota, err := a.renewer.Renew(c.Context(), renewal)
	if err != nil {
		return nil, err
	}
	c.note(slog.Int64("amount", renewal.Amount), slog.Int64("adjustedBy", quota.AdjustedBy))
	return renewalBody{Success: true, Data: newQuotaBody(quota)}, nil
}

// maxRenewalBody is some ten times what the longest reason takes.
const maxRenewalBody = 64 << 10

// parseRenewal reads a renewal's body, in which nothing has to stand, and its Idempotency-Key. A member of another name is
// refused and not ignored: who misspells the amount must not add the default's.
func parseRenewal(r *http.Request) (usage.Renewal, error) {
	renewal := usage.Renewal{Amount: usage.DefaultRenewal, Reason: usage.DefaultRenewalReason}
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 0 {
		renewal.Key = strings.TrimSpace(strings.Join(keys, ","))
		if renewal.Key == "" {
			return renewal, invalidParameter("Idempotency-Key", "must not be empty")
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRenewalBody+1))
	if err != nil || len(body) > maxRenewalBody {
		return renewal, errMalformedBody
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return renewal, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return renewal, errMalformedBody
	}
	for name, value := range members {
		switch name {
		case "amount":
			renewal.Amount = wholeAmount(value)
		case "reason":
			var reason *string
			if err := json.Unmarshal(value, &reason); err != nil || reason == nil {
				return renewal, invalidParameter("reason", "must be a text")
			}
			if strings.TrimSpace(*reason) != "" { // a form's field that was left empty
				renewal.Reason = *reason
			}
		default:
			return renewal, invalidParameter("body", "may have amount and reason only")
		}
	}
	return renewal, nil
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
