package dynamo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Recorder implements conversation.Recorder over a Store's tables.
//
// A message is recorded in three steps, each of one write:
//
//  1. the marker     conversations, message/<id>       when the message was first received
//  2. the session    conversations, customer/<number>  extended; or opened, in one transaction with the month's count
//  3. the activity   usage, activity                   first and last message, tally of messages
//
// They are in this order because each can be done again once those before it are known. A delivery that breaks off
// leaves the marker, and the next one goes on with the marker's time instead of its own. Step 2 is conditional on the
// session's own times, so that doing it twice changes nothing, and the count moves only together with the session that
// it counts. Step 3 moves times forwards only. Only the delivery that wrote the marker tallies.
//
// Counting first and marking afterwards would count twice after a crash in between, and marking without the time would
// count a session in the wrong month. Were ordinary messages part of a transaction too, they would cost twice as much,
// and those of a busy restaurant would conflict: so only openings touch the month's item.
type Recorder struct {
	store    *Store
	calendar usage.Calendar
}

// NewRecorder returns a Recorder that counts in the calendar's months and days.
func NewRecorder(store *Store, calendar usage.Calendar) *Recorder {
	return &Recorder{store: store, calendar: calendar}
}

const (
	attrEntry        = "entry"
	attrReceived     = "receivedAt"
	attrDelivery     = "delivery"  // of a marker: the delivery that wrote it
	attrExpires      = "expiresAt" // of a marker: when TTL may delete it, in Unix seconds
	attrOpened       = "openedAt"
	attrOpenedBy     = "openedBy" // the message that opened the session
	attrLastMessage  = "lastMessageAt"
	attrMessages     = "messages"
	attrFirstMessage = "firstMessage" // of a session: the id of the customer's first message ever
	attrReply        = "reply"        // of a marker its answer, of a session its customer's welcome
	attrLease        = "lease"        // the delivery that holds the reply
	attrLeaseUntil   = "leaseUntil"
	attrTallyMonth   = "tallyMonth" // the month that the tally's days belong to

	customerEntry = "customer/" // before the number, of a session's entry

	replyDue     = "due"
	replySettled = "settled"

	tallyPrefix = "m"
	maxDay      = 31
	// races is how often a step starts again because other deliveries changed its item meanwhile. Each time another
	// one got further, so that the last of any number that arrive together needs few.
	races = 16
)

// errRaced says that an item was changed between being read and being written.
var errRaced = errors.New("another delivery changed the item")

func entryKey(m conversation.Message, entry string) item {
	return item{attrRestaurantID: text(m.RestaurantID), attrEntry: text(entry)}
}

func markerKey(m conversation.Message) item  { return entryKey(m, "message/"+m.ID) }
func sessionKey(m conversation.Message) item { return entryKey(m, customerEntry+m.Customer) }

func replyKey(m conversation.Message, r conversation.Reply) item {
	if r == conversation.Welcome {
		return sessionKey(m)
	}
	return markerKey(m)
}

// Record implements conversation.Recorder. An ordinary message inside a session takes three round trips and as many
// write units.
func (r *Recorder) Record(ctx context.Context, m conversation.Message) (conversation.Recorded, error) {
	recorded, err := r.mark(ctx, m)
	if err != nil {
		return conversation.Recorded{}, fmt.Errorf("marking message %s: %w", m.ID, err)
	}
	session, err := r.advance(ctx, m, recorded)
	if err != nil {
		return conversation.Recorded{}, fmt.Errorf("recording message %s in its session: %w", m.ID, err)
	}
	in := reader{item: session}
	recorded.First = in.text(attrFirstMessage) == m.ID
	recorded.Welcome = replyState(session, m)
	opened := wasOpened(&in, m, recorded.At)
	if in.err != nil {
		return conversation.Recorded{}, fmt.Errorf("session of message %s: %w", m.ID, in.err)
	}
	if err := r.noteActivity(ctx, m, recorded, opened); err != nil {
		return conversation.Recorded{}, fmt.Errorf("noting the activity of message %s: %w", m.ID, err)
	}
	return recorded, nil
}

// mark writes the message's marker, or reads the one that an earlier delivery wrote.
func (r *Recorder) mark(ctx context.Context, m conversation.Message) (conversation.Recorded, error) {
	at := m.ReceivedAt.UTC().Truncate(time.Millisecond)
	marker := markerKey(m)
	marker[attrReceived] = instant(at)
	marker[attrDelivery] = text(m.Delivery)
	marker[attrExpires] = number(at.Add(conversation.RepeatWindow).Unix() + 1)
	marker[attrReply] = text(replyDue)
	err := r.store.put(ctx, r.store.tables.Conversations, marker, expression{
		// TTL deletes late: a marker that has expired counts as gone.
		condition: "attribute_not_exists(#entry) OR #received <= :forgotten",
		names:     map[string]string{"#entry": attrEntry, "#received": attrReceived},
		values:    item{":forgotten": instant(at.Add(-conversation.RepeatWindow))},
	})
	var condition *conditionError
	if errors.As(err, &condition) {
		marker = condition.failed[0]
	} else if err != nil {
		return conversation.Recorded{}, err
	}
	in := reader{item: marker}
	recorded := conversation.Recorded{
		At: in.instant(attrReceived),
		// The SDK repeats a write whose answer got lost; it then meets the delivery's own marker.
		Repeat: in.text(attrDelivery) != m.Delivery,
		Answer: replyState(marker, m),
	}
	if in.err == nil && recorded.At.IsZero() {
		in.fail(attrReceived, "a time")
	}
	return recorded, in.err
}

// advance extends the customer's session to the message, or opens one and counts it, and returns the session.
func (r *Recorder) advance(ctx context.Context, m conversation.Message, recorded conversation.Recorded) (item, error) {
	for range races {
		session, err := r.extend(ctx, m, recorded)
		var condition *conditionError
		if !errors.As(err, &condition) {
			return session, err
		}
		session = condition.failed[0]
		in := reader{item: session}
		last := in.instant(attrLastMessage)
		if in.err != nil {
			return nil, in.err
		}
		if !last.IsZero() && !last.Before(recorded.At) {
			if recorded.Repeat || wasOpened(&in, m, recorded.At) { // tallied already
				return session, in.err
			}
			return session, r.tallyLate(ctx, m)
		}
		if last.IsZero() || !recorded.At.Before(last.Add(conversation.SessionLength)) {
			if session, err = r.open(ctx, m, recorded.At, session); !errors.Is(err, errRaced) {
				return session, err
			}
		}
	}
	return nil, errRaced
}

// extend moves the session's end, if it is open at the message's time and the message is its latest.
func (r *Recorder) extend(ctx context.Context, m conversation.Message, recorded conversation.Recorded) (item, error) {
	e := expression{
		set:       "#last = :at",
		add:       "#messages :tally",
		condition: "#last < :at AND #last > :closed",
		names:     map[string]string{"#last": attrLastMessage, "#messages": attrMessages},
		values: item{
			":at": instant(recorded.At), ":closed": instant(recorded.At.Add(-conversation.SessionLength)),
			":tally": number(1 - btoi(recorded.Repeat)),
		},
	}
	var session item
	err := r.store.retryConflicts(ctx, func() error {
		output, err := r.store.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &r.store.tables.Conversations, Key: sessionKey(m),
			UpdateExpression: e.update(), ConditionExpression: &e.condition,
			ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
			ReturnValues:                        types.ReturnValueAllNew,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		if err == nil {
			session = output.Attributes
		}
		return err
	})
	return session, err
}

// wasOpened reports whether the session was opened by the message, as received at the time: one that is repeated after
// RepeatWindow has another time, and may extend the session that it opened itself.
func wasOpened(session *reader, m conversation.Message, at time.Time) bool {
	return session.text(attrOpenedBy) == m.ID && session.instant(attrOpened).Equal(at)
}

// tallyLate tallies a message in a session that a later one extended already.
func (r *Recorder) tallyLate(ctx context.Context, m conversation.Message) error {
	return r.store.update(ctx, r.store.tables.Conversations, sessionKey(m), expression{
		add:    "#messages :one",
		names:  map[string]string{"#messages": attrMessages},
		values: item{":one": number(1)},
	})
}

// open starts a session in place of the one seen, nil where there was none, and counts it in its month and day: both or
// neither. It returns the new session, or errRaced where the one seen isn't there any more.
func (r *Recorder) open(ctx context.Context, m conversation.Message, at time.Time, seen item) (item, error) {
	session := expression{
		set: "#opened = :at, #by = :id, #last = :at, #messages = :one",
		names: map[string]string{
			"#opened": attrOpened, "#by": attrOpenedBy, "#last": attrLastMessage, "#messages": attrMessages,
		},
		values: item{":at": instant(at), ":id": text(m.ID), ":one": number(1)},
	}
	opened := item{attrOpened: instant(at), attrOpenedBy: text(m.ID), attrLastMessage: instant(at)}
	if seen == nil {
		session = session.and(expression{
			set:       "#first = :id, #reply = :due",
			condition: "attribute_not_exists(#entry)",
			names:     map[string]string{"#entry": attrEntry, "#first": attrFirstMessage, "#reply": attrReply},
			values:    item{":due": text(replyDue)},
		})
		opened[attrFirstMessage], opened[attrReply] = text(m.ID), text(replyDue)
	} else {
		session = session.and(expression{condition: "#last = :seen", values: item{":seen": seen[attrLastMessage]}})
		for _, kept := range []string{attrFirstMessage, attrReply, attrLease, attrLeaseUntil} {
			if value, ok := seen[kept]; ok {
				opened[kept] = value
			}
		}
	}
	for _, latest := range []bool{true, false} {
		err := r.store.transact(ctx, []types.TransactWriteItem{
			update(r.store.tables.Conversations, sessionKey(m), session),
			update(r.store.tables.Usage, usageKey(m.RestaurantID, r.calendar.Month(at).String()), r.count(at, latest)),
		}, "")
		switch {
		case err == nil:
			return opened, nil
		case failedCondition(err, 0):
			return nil, errRaced
		case latest && failedCondition(err, 1): // a later conversation was counted already
		default:
			return nil, err
		}
	}
	return nil, errRaced
}

// count is the change of a month's item that counts one conversation, as the latest of the month or not.
func (r *Recorder) count(at time.Time, latest bool) expression {
	e := expression{
		add: "#conversations :one, #day :one",
		names: map[string]string{
			"#conversations": attrConversations, "#day": dayAttribute(dayPrefix, r.calendar.Day(at)),
		},
		values: item{":one": number(1)},
	}
	if !latest {
		return e
	}
	return e.and(forward("#latest", attrLastConversation, at))
}

// forward moves a time forward to at, if it isn't there yet.
func forward(name, attribute string, at time.Time) expression {
	return expression{
		set:       name + " = :at",
		condition: fmt.Sprintf("(attribute_not_exists(%s) OR %s < :at)", name, name),
		names:     map[string]string{name: attribute},
		values:    item{":at": instant(at)},
	}
}

// noteActivity moves the restaurant's first and last activity and tallies the message: in one write where it is the
// restaurant's latest message and not the first of its month.
func (r *Recorder) noteActivity(ctx context.Context, m conversation.Message, recorded conversation.Recorded, opened bool) error {
	month := r.calendar.Month(recorded.At).String()
	seen := month // what the tally's month is taken to be, until the item tells
	for range races {
		e := latestActivity(recorded.At, opened)
		if !recorded.Repeat && seen <= month { // the tally of an earlier month is closed
			e = e.and(r.tally(recorded.At, seen))
		}
		err := r.updateActivity(ctx, m, e)
		var condition *conditionError
		if !errors.As(err, &condition) {
			return err
		}
		in := reader{item: condition.failed[0]}
		last, first := in.instant(attrLastActivity), in.instant(attrFirstActivity)
		seen = in.text(attrTallyMonth)
		if in.err != nil {
			return in.err
		}
		if !last.Before(recorded.At) {
			return r.noteLate(ctx, m, recorded, opened, first, seen)
		}
	}
	return errRaced
}

func (r *Recorder) updateActivity(ctx context.Context, m conversation.Message, e expression) error {
	return r.store.update(ctx, r.store.tables.Usage, usageKey(m.RestaurantID, activityPeriod), e)
}

// latestActivity moves the times to a message that is the latest.
func latestActivity(at time.Time, opened bool) expression {
	e := forward("#last", attrLastActivity, at)
	e.set += ", #first = if_not_exists(#first, :at)"
	e.names["#first"] = attrFirstActivity
	if opened {
		e.set += ", #conversation = :at"
		e.names["#conversation"] = attrLastConversation
	}
	return e
}

// tally counts a message in its day, where the tally is of the month seen: its own, or an earlier one ("" is the
// earliest), whose days it then replaces.
func (r *Recorder) tally(at time.Time, seen string) expression {
	month, today := r.calendar.Month(at).String(), dayAttribute(tallyPrefix, r.calendar.Day(at))
	e := expression{
		add:       "#today :one",
		condition: "#month = :month",
		names:     map[string]string{"#today": today, "#month": attrTallyMonth},
		values:    item{":one": number(1), ":month": text(month)},
	}
	if seen == month {
		return e
	}
	var others []string
	for day := 1; day <= maxDay; day++ {
		if other := dayAttribute(tallyPrefix, day); other != today {
			others = append(others, other)
		}
	}
	e.set, e.add, e.remove = "#today = :one, #month = :month", "", strings.Join(others, ", ")
	e.condition = "(attribute_not_exists(#month) OR #month < :month)"
	return e
}

// noteLate notes a message that others overtook: it isn't the restaurant's latest, but may be its first, or may have
// opened its latest conversation; and it is tallied.
func (r *Recorder) noteLate(
	ctx context.Context, m conversation.Message, recorded conversation.Recorded, opened bool, first time.Time, seen string,
) error {
	at, month := recorded.At, r.calendar.Month(recorded.At).String()
	if opened {
		err := r.updateActivity(ctx, m, forward("#conversation", attrLastConversation, at))
		if err != nil && !failedCondition(err, 0) {
			return err
		}
	}
	if at.Before(first) {
		err := r.updateActivity(ctx, m, expression{
			set:       "#first = :at",
			condition: "#first > :at",
			names:     map[string]string{"#first": attrFirstActivity},
			values:    item{":at": instant(at)},
		})
		if err != nil && !failedCondition(err, 0) {
			return err
		}
	}
	for range races {
		if recorded.Repeat || seen > month {
			return nil
		}
		err := r.updateActivity(ctx, m, r.tally(at, seen))
		var condition *conditionError
		if !errors.As(err, &condition) {
			return err
		}
		in := reader{item: condition.failed[0]}
		seen = in.text(attrTallyMonth)
	}
	return errRaced
}

// replyState returns what is to be done about the reply that a marker or session holds, for a delivery.
func replyState(it item, m conversation.Message) conversation.ReplyState {
	in := reader{item: it}
	until := in.instant(attrLeaseUntil)
	switch {
	case in.text(attrReply) != replyDue:
		return conversation.ReplySettled
	case until.IsZero() || !m.ReceivedAt.Before(until):
		return conversation.ReplyDue
	case in.text(attrLease) == m.Delivery:
		return conversation.ReplyHeld
	}
	return conversation.ReplyElsewhere
}

// Claim implements conversation.Recorder.
func (r *Recorder) Claim(
	ctx context.Context, m conversation.Message, reply conversation.Reply, now time.Time,
) (conversation.ReplyState, error) {
	err := r.store.update(ctx, r.store.tables.Conversations, replyKey(m, reply), expression{
		set:       "#lease = :delivery, #until = :until",
		condition: "#reply = :due AND (attribute_not_exists(#lease) OR #until <= :now OR #lease = :delivery)",
		names:     map[string]string{"#lease": attrLease, "#until": attrLeaseUntil, "#reply": attrReply},
		values: item{
			":delivery": text(m.Delivery), ":due": text(replyDue), ":now": instant(now),
			":until": instant(now.Add(conversation.LeaseLength)),
		},
	})
	var condition *conditionError
	if errors.As(err, &condition) {
		m.ReceivedAt = now
		return replyState(condition.failed[0], m), nil
	}
	if err != nil {
		return 0, fmt.Errorf("claiming the reply to message %s: %w", m.ID, err)
	}
	return conversation.ReplyHeld, nil
}

// Settle implements conversation.Recorder.
func (r *Recorder) Settle(ctx context.Context, m conversation.Message, reply conversation.Reply) error {
	return r.endLease(ctx, m, reply, expression{
		set:    "#reply = :settled",
		names:  map[string]string{"#reply": attrReply},
		values: item{":settled": text(replySettled)},
	})
}

// Release implements conversation.Recorder.
func (r *Recorder) Release(ctx context.Context, m conversation.Message, reply conversation.Reply) error {
	return r.endLease(ctx, m, reply, expression{})
}

func (r *Recorder) endLease(ctx context.Context, m conversation.Message, reply conversation.Reply, e expression) error {
	err := r.store.update(ctx, r.store.tables.Conversations, replyKey(m, reply), e.and(expression{
		remove:    "#lease, #until",
		condition: "#lease = :delivery",
		names:     map[string]string{"#lease": attrLease, "#until": attrLeaseUntil},
		values:    item{":delivery": text(m.Delivery)},
	}))
	if err != nil && !failedCondition(err, 0) {
		return fmt.Errorf("ending the lease on the reply to message %s: %w", m.ID, err)
	}
	return nil
}
