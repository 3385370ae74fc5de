package dynamo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// A month's item says which thresholds were told of, and who is about to.
const (
	attrAlertsNoted = "alertsNoted" // the highest threshold of those in the log
	attrAlertsSent  = "alertsSent"  // and of those that the owner was told of
	attrAlertLease  = "alertLease"  // the delivery that tells of them
	attrAlertUntil  = "alertUntil"
)

// Watch implements conversation.QuotaAlerter in one round trip, and in another one for a month's first conversation.
func (r *Recorder) QuotaState(ctx context.Context, restaurantID string, at time.Time) (conversation.QuotaState, error) {
	month := r.calendar.Month(at)
	seen, err := r.store.restate(ctx, restaurantID, month.String())
	if err != nil {
		return conversation.QuotaState{}, fmt.Errorf("reading the quota of restaurant %s: %w", restaurantID, err)
	}
	in := reader{item: seen.item}
	// A restaurant that customers can write to has a bot. The limit of one without is not known here.
	state := conversation.QuotaState{Month: month, Quota: seen.quota(usage.Unlimited), QuotaAlerts: readAlerts(&in)}
	return state, in.err
}

func readAlerts(r *reader) conversation.QuotaAlerts {
	return conversation.QuotaAlerts{Noted: r.number(attrAlertsNoted), Sent: r.number(attrAlertsSent)}
}

// ClaimQuotaAlerts implements conversation.QuotaAlerter.
func (r *Recorder) ClaimQuotaAlerts(
	ctx context.Context, m conversation.Message, month usage.Month, now time.Time,
) (conversation.QuotaAlerts, bool, error) {
	e := expression{
		set:       "#lease = :delivery, #until = :until",
		condition: "attribute_not_exists(#lease) OR #until <= :now OR #lease = :delivery",
		names:     map[string]string{"#lease": attrAlertLease, "#until": attrAlertUntil},
		values: item{
			":delivery": text(m.Delivery), ":now": instant(now), ":until": instant(now.Add(conversation.LeaseLength)),
		},
	}
	var claimed reader
	err := r.store.retryConflicts(ctx, func() error {
		output, err := r.store.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &r.store.tables.Usage, Key: usageKey(m.RestaurantID, month.String()),
			UpdateExpression: e.update(), ConditionExpression: &e.condition,
			ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
			ReturnValues: types.ReturnValueAllNew,
		})
		if err == nil {
			claimed.item = output.Attributes
		}
		return err
	})
	if failedCondition(err, 0) {
		return conversation.QuotaAlerts{}, false, nil
	}
	if err != nil {
		return conversation.QuotaAlerts{}, false, fmt.Errorf("claiming the alerts of restaurant %s: %w", m.RestaurantID, err)
	}
	return readAlerts(&claimed), true, claimed.err
}

// SettleQuotaAlerts implements conversation.QuotaAlerter.
func (r *Recorder) SettleQuotaAlerts(
	ctx context.Context, m conversation.Message, month usage.Month, told conversation.QuotaAlerts, done bool,
) error {
	e := expression{
		set:       "#noted = :noted, #sent = :sent",
		condition: "#lease = :delivery",
		names:     map[string]string{"#lease": attrAlertLease, "#noted": attrAlertsNoted, "#sent": attrAlertsSent},
		values:    item{":delivery": text(m.Delivery), ":noted": number(told.Noted), ":sent": number(told.Sent)},
	}
	if done {
		e = e.and(expression{remove: "#lease, #until", names: map[string]string{"#until": attrAlertUntil}})
	}
	err := r.store.update(ctx, r.store.tables.Usage, usageKey(m.RestaurantID, month.String()), e)
	if err != nil && !failedCondition(err, 0) {
		return fmt.Errorf("noting the alerts of restaurant %s: %w", m.RestaurantID, err)
	}
	return nil
}
