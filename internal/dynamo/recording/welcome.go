package recording

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
)

// attrWelcomeFailed is an attribute of a session: the SID of a welcome that Twilio took and that then failed for its
// template. The write that makes the welcome due again sets it, once for each customer:
//
//	              the template fails             claim, settle
//	ReplySettled ────────────────────> ReplyDue ────────────────> ReplySettled
//	                                   as text
//
// From then on the welcome is a reply like any other: the holder of its lease sends it. If that process dies first, the
// customer's next message finds the welcome due.
const attrWelcomeFailed = "welcomeFailed"

// FailWelcome implements conversation.WelcomeFailures.
func (r *Recorder) FailWelcome(ctx context.Context, m conversation.Message, now time.Time) (conversation.WelcomeFailure, error) {
	for range races {
		failure, movedTo, err := r.failWelcome(ctx, m, now)
		if err != nil || movedTo == "" {
			failure.Home = home(m)
			return failure, err
		}
		m.Home = movedTo // the id that the welcome went to has become an alias
	}
	return conversation.WelcomeFailure{}, errRaced
}

// failWelcome is FailWelcome for one of the ids that the customer may be stored under. If that id is an alias, it returns the
// id that the alias leads to.
func (r *Recorder) failWelcome(
	ctx context.Context, m conversation.Message, now time.Time,
) (failure conversation.WelcomeFailure, movedTo string, err error) {
	old, err := r.db.Change(ctx, r.names.Conversations, sessionKey(m), table.Expression{
		Set:       "#failed = :sid, #reply = :due, #lease = :delivery, #until = :until",
		Condition: "attribute_not_exists(#failed) AND #last > :closed AND attribute_not_exists(#out)",
		Names: map[string]string{
			"#failed": attrWelcomeFailed, "#reply": schema.AttrReply, "#lease": attrLease, "#until": attrLeaseUntil,
			"#last": schema.AttrLastMessage, "#out": schema.AttrOptedOut,
		},
		Values: table.Item{
			":sid": table.Text(m.ID), ":due": table.Text(schema.ReplyDue), ":delivery": table.Text(m.Delivery),
			":until":  table.Instant(now.Add(conversation.LeaseLength)),
			":closed": table.Instant(now.Add(-conversation.SessionLength)),
		},
	}, types.ReturnValueAllOld)
	var condition *table.ConditionError
	switch {
	case err == nil:
		in := table.Reader{Item: old}
		return conversation.WelcomeFailure{State: conversation.ReplyHeld, FreeUntil: in.Instant(attrFreeUntil)}, "", in.Err
	case !errors.As(err, &condition):
		return conversation.WelcomeFailure{}, "", fmt.Errorf("noting that the welcome %s failed: %w", m.ID, err)
	}
	in := table.Reader{Item: condition.Failed[0]}
	last := in.Instant(schema.AttrLastMessage)
	failure = conversation.WelcomeFailure{
		Unknown:   last.IsZero(),
		Closed:    !now.Before(last.Add(conversation.SessionLength)),
		OptedOut:  in.Text(schema.AttrOptedOut) != "",
		Noted:     in.Text(attrWelcomeFailed),
		FreeUntil: in.Instant(attrFreeUntil),
	}
	if failure.Noted != "" && in.Err == nil {
		m.ReceivedAt = now
		failure.State = replyState(in.Item, m)
	}
	return failure, in.Text(schema.AttrAlias), in.Err
}

// SettleFailedWelcome implements conversation.WelcomeFailures.
func (r *Recorder) SettleFailedWelcome(ctx context.Context, restaurantID, customer string) error {
	m := conversation.Message{RestaurantID: restaurantID, Customer: customer}
	it, err := r.db.Get(ctx, r.names.Conversations, sessionKey(m))
	in := table.Reader{Item: it}
	if m.Home = in.Text(schema.AttrAlias); err == nil && m.Home != "" {
		it, err = r.db.Get(ctx, r.names.Conversations, sessionKey(m))
		in = table.Reader{Item: it}
	}
	if err != nil {
		return fmt.Errorf("reading a welcome: %w", err)
	}
	if in.Text(attrWelcomeFailed) == "" || in.Text(schema.AttrReply) != schema.ReplyDue {
		return in.Err
	}
	err = r.db.Update(ctx, r.names.Conversations, sessionKey(m), table.Expression{
		Set:       "#reply = :settled, #lease = :none, #until = :none",
		Condition: "attribute_exists(#failed) AND #reply = :due",
		Names: map[string]string{
			"#reply": schema.AttrReply, "#lease": attrLease, "#until": attrLeaseUntil, "#failed": attrWelcomeFailed,
		},
		Values: table.Item{
			":settled": table.Text(schema.ReplySettled), ":due": table.Text(schema.ReplyDue), ":none": table.Text(noLease),
		},
	})
	if err != nil && !table.FailedCondition(err, 0) {
		return fmt.Errorf("settling a welcome: %w", err)
	}
	return nil
}
