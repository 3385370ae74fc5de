package recording

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/ranking"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// QuotaState implements conversation.QuotaAlerter in one round trip.
func (r *Recorder) QuotaState(ctx context.Context, restaurantID string, at time.Time) (conversation.QuotaState, error) {
	month := r.calendar.Month(at)
	seen, _, err := r.ranking.Standing(ctx, restaurantID, month.String(), nil)
	if err != nil {
		return conversation.QuotaState{}, fmt.Errorf("reading the quota of restaurant %s: %w", restaurantID, err)
	}
	in := table.Reader{Item: seen.Item}
	// A restaurant with customers has a bot. The default limit, for restaurants without one, isn't known here.
	state := conversation.QuotaState{Month: month, Quota: seen.Quota(usage.Unlimited), QuotaAlerts: readAlerts(&in)}
	if seen.Misplaced() {
		state.Place = func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, ranking.PlaceTime)
			defer cancel()
			return r.ranking.Place(ctx, seen)
		}
	}
	return state, in.Err
}

func readAlerts(r *table.Reader) conversation.QuotaAlerts {
	return conversation.QuotaAlerts{Noted: r.Number(schema.AttrAlertsNoted), Sent: r.Number(schema.AttrAlertsSent)}
}

// ClaimQuotaAlerts implements conversation.QuotaAlerter.
func (r *Recorder) ClaimQuotaAlerts(
	ctx context.Context, m conversation.Message, month usage.Month, now time.Time,
) (conversation.QuotaAlerts, bool, error) {
	e := table.Expression{
		Set:       "#lease = :delivery, #until = :until",
		Condition: "attribute_not_exists(#lease) OR #until <= :now OR #lease = :delivery",
		Names:     map[string]string{"#lease": schema.AttrAlertLease, "#until": schema.AttrAlertUntil},
		Values: table.Item{
			":delivery": table.Text(m.Delivery), ":now": table.Instant(now), ":until": table.Instant(now.Add(conversation.AlertLeaseLength)),
		},
	}
	it, err := r.db.Change(ctx, r.names.Usage, schema.UsageKey(m.RestaurantID, month.String()), e, types.ReturnValueAllNew)
	claimed := table.Reader{Item: it}
	if table.FailedCondition(err, 0) {
		return conversation.QuotaAlerts{}, false, nil
	}
	if err != nil {
		return conversation.QuotaAlerts{}, false, fmt.Errorf("claiming the quota alerts of restaurant %s: %w", m.RestaurantID, err)
	}
	return readAlerts(&claimed), true, claimed.Err
}

// SettleQuotaAlerts implements conversation.QuotaAlerter.
func (r *Recorder) SettleQuotaAlerts(
	ctx context.Context, m conversation.Message, month usage.Month, told conversation.QuotaAlerts, done bool,
) error {
	e := table.Expression{
		Set:       "#noted = :noted, #sent = :sent",
		Condition: "#lease = :delivery",
		Names:     map[string]string{"#lease": schema.AttrAlertLease, "#noted": schema.AttrAlertsNoted, "#sent": schema.AttrAlertsSent},
		Values:    table.Item{":delivery": table.Text(m.Delivery), ":noted": table.Number(told.Noted), ":sent": table.Number(told.Sent)},
	}
	if done {
		e = e.And(table.Expression{Remove: "#lease, #until", Names: map[string]string{"#until": schema.AttrAlertUntil}})
	}
	err := r.db.Update(ctx, r.names.Usage, schema.UsageKey(m.RestaurantID, month.String()), e)
	if err != nil && !table.FailedCondition(err, 0) {
		return fmt.Errorf("settling the quota alerts of restaurant %s: %w", m.RestaurantID, err)
	}
	return nil
}
