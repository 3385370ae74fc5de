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

// TopUpPattern is the path at which an administrator tops up a restaurant's allowance.
const TopUpPattern = "/api/admin/usage/{restaurantId}/renew"

// TopUpRoute is the route that API Gateway sends to TopUpAPI. It is wider than TopUpPattern because API Gateway treats a
// path with a trailing slash as another path.
const TopUpRoute = "/api/admin/{proxy+}"

// TopUpAPI is an http.Handler that changes allowances. It is not part of API, so that the function that shows figures needs
// no permission to write.
type TopUpAPI struct {
	*httpedge.Edge
	topUps        *usage.TopUpService
	authenticator Authenticator
}

// NewTopUpAPI returns the API over the given service. requestID returns the request's id for the logs and the answer's
// X-Request-Id header; an empty id is left out.
func NewTopUpAPI(topUps *usage.TopUpService, authenticator Authenticator, logger *slog.Logger, now func() time.Time,
	requestID func(context.Context) string,
) *TopUpAPI {
	a := &TopUpAPI{topUps: topUps, authenticator: authenticator}
	a.Edge = httpedge.New(edgeOptions(logger, now, requestID),
		httpedge.Route{Pattern: TopUpPattern, Methods: []string{http.MethodPost}, Answer: a.topUp})
	return a
}

// topUp serves POST /api/admin/usage/{restaurantId}/renew: it adds to this month's allowance. The body is parsed only
// after the caller is verified.
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
	done, err := a.topUps.Add(c.Context(), request)
	if err != nil {
		return nil, err
	}
	c.Note(slog.Int64("amount", request.Amount), slog.Int64("adjustedBy", done.Quota.ToppedUp), slog.Bool("repeat", done.Repeat))
	return topUpAnswer{Success: true, Data: newQuotaBody(done.Quota)}, nil
}

// maxTopUpBody is roughly ten times the size of a body with the longest reason.
const maxTopUpBody = 64 << 10

// parseTopUp reads a top-up's body and its Idempotency-Key. Every member of the body is optional. An unknown member is
// refused: otherwise a caller who misspells "amount" would add the default amount. A member that occurs twice is refused too,
// because JSON parsers disagree about which of the two counts.
func parseTopUp(r *http.Request) (usage.TopUpRequest, error) {
	request := usage.TopUpRequest{Amount: usage.DefaultTopUp}
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 0 {
		// API Gateway joins repeated headers with commas, and no key has a comma.
		request.Key = strings.TrimSpace(strings.Join(keys, ","))
		if request.Key == "" {
			return request, httpedge.InvalidParameter("Idempotency-Key", "must not be empty")
		}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxTopUpBody+1))
	if err != nil || len(body) > maxTopUpBody {
		return request, errMalformedBody
	}
	if len(bytes.TrimSpace(body)) > 0 {
		err = eachMember(body, func(name string, value json.RawMessage) error { return setTopUp(&request, name, value) })
	}
	if strings.TrimSpace(request.Reason) == "" { // missing, or a form field that was left empty
		request.Reason = usage.DefaultReason(request.Amount)
	}
	return request, err
}

// setTopUp takes a member of the body into the request.
func setTopUp(request *usage.TopUpRequest, name string, value json.RawMessage) error {
	switch name {
	case "amount":
		request.Amount = wholeAmount(value)
	case "reason":
		var reason *string
		if err := json.Unmarshal(value, &reason); err != nil || reason == nil {
			return httpedge.InvalidParameter("reason", "must be a string")
		}
		request.Reason = *reason
	default:
		return httpedge.InvalidParameter("body", "may only have the members amount and reason")
	}
	return nil
}

// eachMember calls take with each member of the body, in order. It fails if the body isn't a JSON object, if a name occurs
// twice, or if take fails.
func eachMember(body []byte, take func(name string, value json.RawMessage) error) error {
	if !json.Valid(body) {
		return errMalformedBody
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, _ := decoder.Token(); start != json.Delim('{') {
		return errMalformedBody
	}
	taken := make(map[string]bool)
	for decoder.More() {
		token, _ := decoder.Token() // a member's name, since the JSON is valid
		name, _ := token.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return errMalformedBody
		}
		if taken[name] {
			return errMemberTwice
		}
		taken[name] = true
		if err := take(name, value); err != nil {
			return err
		}
	}
	return nil
}

// wholeAmount returns the value of a whole JSON number in any notation: 1000, 1000.0 and 1e3 are equal. It returns 0, which
// is never a valid amount, for any other value and for numbers larger than any amount.
func wholeAmount(value json.RawMessage) int64 {
	const exact = 1 << 53 // a float64 holds whole numbers exactly up to here
	var number float64
	if err := json.Unmarshal(value, &number); err != nil || number != math.Trunc(number) || math.Abs(number) > exact {
		return 0
	}
	return int64(number)
}
