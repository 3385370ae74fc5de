// Package recording records customers' messages, and who replies to them.
package recording

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/ranking"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Recorder implements conversation.Recorder over the tables.
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
	db       *table.DB
	names    schema.Tables
	ranking  *ranking.Ranking
	calendar usage.Calendar
}

// New returns a Recorder that counts in the calendar's months and days.
func New(db *table.DB, names schema.Tables, calendar usage.Calendar) *Recorder {
	return &Recorder{db: db, names: names, ranking: ranking.New(db, names), calendar: calendar}
}

const (
	attrReceived     = "receivedAt"
	attrDelivery     = "delivery"     // of a marker: the delivery that wrote it
	attrFirstMessage = "firstMessage" // of a session: the id of the customer's first message ever
	attrLease        = "lease"        // the delivery that holds the reply
	attrLeaseUntil   = "leaseUntil"

	endedKept = 90 * 24 * time.Hour

	// races is how often a step starts again because other deliveries changed its item meanwhile. Each time another
	// one got further, so that the last of any number that arrive together needs few.
	races = 16
)

// errRaced says that an item was changed between being read and being written.
var errRaced = errors.New("another delivery changed the item")

func markerKey(m conversation.Message) table.Item {
	return schema.EntryKey(m.RestaurantID, "message/"+m.ID)
}

func sessionKey(m conversation.Message) table.Item {
	return schema.SessionKey(m.RestaurantID, m.Customer)
}

func replyKey(m conversation.Message, r conversation.Reply) table.Item {
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
	session, moved, err := r.advance(ctx, m, recorded)
	if err != nil {
		return conversation.Recorded{}, fmt.Errorf("recording message %s in its session: %w", m.ID, err)
	}
	in := table.Reader{Item: session}
	recorded.First = in.Text(attrFirstMessage) == m.ID
	recorded.Welcome = replyState(session, m)
	recorded.Opened = wasOpened(&in, m, recorded.At)
	if in.Err != nil {
		return conversation.Recorded{}, fmt.Errorf("session of message %s: %w", m.ID, in.Err)
	}
	if err := r.noteActivity(ctx, m, recorded, moved); err != nil {
		return conversation.Recorded{}, fmt.Errorf("noting the activity of message %s: %w", m.ID, err)
	}
	return recorded, nil
}

// mark writes the message's marker, or reads the one that an earlier delivery wrote.
func (r *Recorder) mark(ctx context.Context, m conversation.Message) (conversation.Recorded, error) {
	at := m.ReceivedAt.UTC().Truncate(time.Millisecond)
	marker := markerKey(m)
	marker[attrReceived] = table.Instant(at)
	marker[attrDelivery] = table.Text(m.Delivery)
	marker[schema.AttrExpires] = table.Number(at.Add(conversation.RepeatWindow).Unix() + 1)
	marker[schema.AttrReply] = table.Text(schema.ReplyDue)
	err := r.db.Put(ctx, r.names.Conversations, marker, table.Expression{
		// TTL deletes late: a marker that has expired counts as gone.
		Condition: "attribute_not_exists(#entry) OR #received <= :forgotten",
		Names:     map[string]string{"#entry": schema.AttrEntry, "#received": attrReceived},
		Values:    table.Item{":forgotten": table.Instant(at.Add(-conversation.RepeatWindow))},
	})
	var condition *table.ConditionError
	if errors.As(err, &condition) {
		marker = condition.Failed[0]
	} else if err != nil {
		return conversation.Recorded{}, err
	}
	in := table.Reader{Item: marker}
	recorded := conversation.Recorded{
		At: in.Instant(attrReceived),
		// The SDK repeats a write whose answer got lost; it then meets the delivery's own marker.
		Repeat: in.Text(attrDelivery) != m.Delivery,
		Answer: replyState(marker, m),
	}
	if in.Err == nil && recorded.At.IsZero() {
		in.Fail(attrReceived, "a time")
	}
	return recorded, in.Err
}

// advance extends the customer's session to the message, or opens one and counts it, and returns the session and how far
// the message moved it.
func (r *Recorder) advance(ctx context.Context, m conversation.Message, recorded conversation.Recorded) (table.Item, schema.Move, error) {
	for range races {
		session, err := r.extend(ctx, m, recorded)
		var condition *table.ConditionError
		if !errors.As(err, &condition) {
			in := table.Reader{Item: session}
			moved := schema.Move{Made: err == nil, From: in.Instant(schema.AttrLastMessage)}
			return session, moved, errors.Join(err, in.Err)
		}
		session = condition.Failed[0]
		in := table.Reader{Item: session}
		last := in.Instant(schema.AttrLastMessage)
		if in.Err != nil {
			return nil, schema.Move{}, in.Err
		}
		if !last.IsZero() && !last.Before(recorded.At) {
			if recorded.Repeat || wasOpened(&in, m, recorded.At) { // tallied already
				return session, schema.Move{}, in.Err
			}
			return session, schema.Move{}, r.tallyLate(ctx, m)
		}
		if last.IsZero() || !recorded.At.Before(last.Add(conversation.SessionLength)) {
			if session, err = r.open(ctx, m, recorded.At, session); !errors.Is(err, errRaced) {
				return session, schema.Move{Made: err == nil}, err
			}
		}
	}
	return nil, schema.Move{}, errRaced
}

// extend moves the session's end, if it is open at the message's time and the message is its latest. It returns the session
// as it was before.
func (r *Recorder) extend(ctx context.Context, m conversation.Message, recorded conversation.Recorded) (table.Item, error) {
	e := table.Expression{
		Set:       "#last = :at",
		Add:       "#messages :tally",
		Condition: "#last < :at AND #last > :closed",
		Names:     map[string]string{"#last": schema.AttrLastMessage, "#messages": schema.AttrMessages},
		Values: table.Item{
			":at": table.Instant(recorded.At), ":closed": table.Instant(recorded.At.Add(-conversation.SessionLength)),
			":tally": table.Number(1 - btoi(recorded.Repeat)),
		},
	}
	return r.db.Change(ctx, r.names.Conversations, sessionKey(m), e, types.ReturnValueAllOld)
}

// wasOpened reports whether the session was opened by the message, as received at the time: one that is repeated after
// RepeatWindow has another time, and may extend the session that it opened itself.
func wasOpened(session *table.Reader, m conversation.Message, at time.Time) bool {
	return session.Text(schema.AttrOpenedBy) == m.ID && session.Instant(schema.AttrOpened).Equal(at)
}

// tallyLate tallies a message in a session that a later one extended already.
func (r *Recorder) tallyLate(ctx context.Context, m conversation.Message) error {
	return r.db.Update(ctx, r.names.Conversations, sessionKey(m), table.Expression{
		Add:    "#messages :one",
		Names:  map[string]string{"#messages": schema.AttrMessages},
		Values: table.Item{":one": table.Number(1)},
	})
}

// open starts a session in place of the one seen, nil where there was none, and counts it in its month and day: both or
// neither. It returns the new session, or errRaced where the one seen isn't there any more.
func (r *Recorder) open(ctx context.Context, m conversation.Message, at time.Time, seen table.Item) (table.Item, error) {
	session := table.Expression{
		Set: "#opened = :at, #by = :id, #last = :at, #messages = :one",
		Names: map[string]string{
			"#opened": schema.AttrOpened, "#by": schema.AttrOpenedBy, "#last": schema.AttrLastMessage, "#messages": schema.AttrMessages,
		},
		Values: table.Item{":at": table.Instant(at), ":id": table.Text(m.ID), ":one": table.Number(1)},
	}
	opened := table.Item{schema.AttrOpened: table.Instant(at), schema.AttrOpenedBy: table.Text(m.ID), schema.AttrLastMessage: table.Instant(at)}
	if seen == nil {
		session = session.And(table.Expression{
			Set:       "#first = :id, #reply = :due",
			Condition: "attribute_not_exists(#entry)",
			Names:     map[string]string{"#entry": schema.AttrEntry, "#first": attrFirstMessage, "#reply": schema.AttrReply},
			Values:    table.Item{":due": table.Text(schema.ReplyDue)},
		})
		opened[attrFirstMessage], opened[schema.AttrReply] = table.Text(m.ID), table.Text(schema.ReplyDue)
	} else {
		session = session.And(table.Expression{Condition: "#last = :seen", Values: table.Item{":seen": seen[schema.AttrLastMessage]}})
		for _, kept := range []string{attrFirstMessage, schema.AttrReply, attrLease, attrLeaseUntil} {
			if value, ok := seen[kept]; ok {
				opened[kept] = value
			}
		}
	}
	for _, latest := range []bool{true, false} {
		items := []table.Write{
			table.Update(r.names.Conversations, sessionKey(m), session),
			table.Update(r.names.Usage, schema.UsageKey(m.RestaurantID, r.calendar.Month(at).String()), r.count(at, latest)),
		}
		if seen != nil {
			ended, err := endedSession(m, seen)
			if err != nil {
				return nil, err
			}
			items = append(items, table.Put(r.names.Conversations, ended, table.Expression{}))
		}
		err := r.db.Transact(ctx, items, "")
		switch {
		case err == nil:
			return opened, nil
		case table.FailedCondition(err, 0):
			return nil, errRaced
		case latest && table.FailedCondition(err, 1): // a later conversation was counted already
		default:
			return nil, err
		}
	}
	return nil, errRaced
}

// endedSession is what is kept of a session when the next one of its customer takes its place.
func endedSession(m conversation.Message, session table.Item) (table.Item, error) {
	in := table.Reader{Item: session}
	opened, last := in.Instant(schema.AttrOpened), in.Instant(schema.AttrLastMessage)
	it := schema.EndedKey(m.RestaurantID, m.Customer, opened)
	for _, attribute := range []string{schema.AttrOpened, schema.AttrOpenedBy, schema.AttrLastMessage, schema.AttrMessages} {
		if value, ok := session[attribute]; ok {
			it[attribute] = value
		}
	}
	it[schema.AttrExpires] = table.Number(last.Add(endedKept).Unix())
	return it, in.Err
}

// count is the change of a month's item that counts one conversation, as the latest of the month or not.
func (r *Recorder) count(at time.Time, latest bool) table.Expression {
	e := table.Expression{
		Add: "#conversations :one, #day :one",
		Names: map[string]string{
			"#conversations": schema.AttrConversations, "#day": schema.DayAttribute(schema.DayPrefix, r.calendar.Day(at)),
		},
		Values: table.Item{":one": table.Number(1)},
	}.And(ranking.Fuller())
	if !latest {
		return e
	}
	return e.And(forward("#latest", schema.AttrLastConversation, at))
}

// forward moves a time forward to at, if it isn't there yet.
func forward(name, attribute string, at time.Time) table.Expression {
	return table.Expression{
		Set:       name + " = :at",
		Condition: fmt.Sprintf("(attribute_not_exists(%s) OR %s < :at)", name, name),
		Names:     map[string]string{name: attribute},
		Values:    table.Item{":at": table.Instant(at)},
	}
}

// noteActivity moves the restaurant's first and last activity, tallies the message, and counts the session in its slot: in
// one write where it is the restaurant's latest message, and neither the first of its month nor the first for a day.
func (r *Recorder) noteActivity(ctx context.Context, m conversation.Message, recorded conversation.Recorded, moved schema.Move) error {
	month := r.calendar.Month(recorded.At).String()
	seen := month // what the tally's month is taken to be, until the item tells
	slots := moved.Slots(recorded.At)
	for range races {
		e := latestActivity(recorded.At, recorded.Opened).And(slots)
		if !recorded.Repeat && seen <= month { // the tally of an earlier month is closed
			e = e.And(r.tally(recorded.At, seen))
		}
		err := r.updateActivity(ctx, m, e)
		var condition *table.ConditionError
		if !errors.As(err, &condition) {
			return err
		}
		in := table.Reader{Item: condition.Failed[0]}
		last, first := in.Instant(schema.AttrLastActivity), in.Instant(schema.AttrFirstActivity)
		seen = in.Text(schema.AttrTallyMonth)
		if in.Err != nil {
			return in.Err
		}
		if !last.Before(recorded.At) {
			return r.noteLate(ctx, m, recorded, moved, first, last, seen)
		}
		slots = moved.Slots(recorded.At)
		if !last.IsZero() && usage.SlotOf(last) < usage.SlotOf(recorded.At)-usage.SessionSlots {
			slots = moved.OnlySlot(recorded.At)
		}
	}
	return errRaced
}

func (r *Recorder) updateActivity(ctx context.Context, m conversation.Message, e table.Expression) error {
	return r.db.Update(ctx, r.names.Usage, schema.UsageKey(m.RestaurantID, schema.ActivityPeriod), e)
}

// latestActivity moves the times to a message that is the latest.
func latestActivity(at time.Time, opened bool) table.Expression {
	e := forward("#last", schema.AttrLastActivity, at)
	e.Set += ", #first = if_not_exists(#first, :at)"
	e.Names["#first"] = schema.AttrFirstActivity
	if opened {
		e.Set += ", #conversation = :at"
		e.Names["#conversation"] = schema.AttrLastConversation
	}
	return e
}

// tally counts a message in its day, where the tally is of the month seen: its own, or an earlier one ("" is the
// earliest), whose days it then replaces.
func (r *Recorder) tally(at time.Time, seen string) table.Expression {
	month, today := r.calendar.Month(at).String(), schema.DayAttribute(schema.TallyPrefix, r.calendar.Day(at))
	e := table.Expression{
		Add:       "#today :one",
		Condition: "#month = :month",
		Names:     map[string]string{"#today": today, "#month": schema.AttrTallyMonth},
		Values:    table.Item{":one": table.Number(1), ":month": table.Text(month)},
	}
	if seen == month {
		return e
	}
	var others []string
	for day := 1; day <= schema.MaxDay; day++ {
		if other := schema.DayAttribute(schema.TallyPrefix, day); other != today {
			others = append(others, other)
		}
	}
	e.Set, e.Add, e.Remove = "#today = :one, #month = :month", "", strings.Join(others, ", ")
	e.Condition = "(attribute_not_exists(#month) OR #month < :month)"
	return e
}

// noteLate notes a message that others overtook: it isn't the restaurant's latest, but may be its first, or may have
// opened its latest conversation; and it is tallied.
func (r *Recorder) noteLate(
	ctx context.Context, m conversation.Message, recorded conversation.Recorded, moved schema.Move, first, last time.Time, seen string,
) error {
	at, month := recorded.At, r.calendar.Month(recorded.At).String()
	if recorded.Opened {
		err := r.updateActivity(ctx, m, forward("#conversation", schema.AttrLastConversation, at))
		if err != nil && !table.FailedCondition(err, 0) {
			return err
		}
	}
	if at.Before(first) {
		err := r.updateActivity(ctx, m, table.Expression{
			Set:       "#first = :at",
			Condition: "#first > :at",
			Names:     map[string]string{"#first": schema.AttrFirstActivity},
			Values:    table.Item{":at": table.Instant(at)},
		})
		if err != nil && !table.FailedCondition(err, 0) {
			return err
		}
	}
	for range races {
		if recorded.Repeat || seen > month {
			return nil
		}
		err := r.updateActivity(ctx, m, r.tally(at, seen).And(moved.LateSlots(at, last)))
		var condition *table.ConditionError
		if !errors.As(err, &condition) {
			return err
		}
		in := table.Reader{Item: condition.Failed[0]}
		seen, last = in.Text(schema.AttrTallyMonth), in.Instant(schema.AttrLastActivity)
		if in.Err != nil {
			return in.Err
		}
	}
	return errRaced
}

// replyState returns what is to be done about the reply that a marker or session holds, for a delivery.
func replyState(it table.Item, m conversation.Message) conversation.ReplyState {
	in := table.Reader{Item: it}
	until := in.Instant(attrLeaseUntil)
	switch {
	case in.Text(schema.AttrReply) != schema.ReplyDue:
		return conversation.ReplySettled
	case until.IsZero() || !m.ReceivedAt.Before(until):
		return conversation.ReplyDue
	case in.Text(attrLease) == m.Delivery:
		return conversation.ReplyHeld
	}
	return conversation.ReplyElsewhere
}

// Claim implements conversation.Recorder.
func (r *Recorder) Claim(
	ctx context.Context, m conversation.Message, reply conversation.Reply, now time.Time,
) (conversation.ReplyState, error) {
	err := r.db.Update(ctx, r.names.Conversations, replyKey(m, reply), table.Expression{
		Set:       "#lease = :delivery, #until = :until",
		Condition: "#reply = :due AND (attribute_not_exists(#lease) OR #until <= :now OR #lease = :delivery)",
		Names:     map[string]string{"#lease": attrLease, "#until": attrLeaseUntil, "#reply": schema.AttrReply},
		Values: table.Item{
			":delivery": table.Text(m.Delivery), ":due": table.Text(schema.ReplyDue), ":now": table.Instant(now),
			":until": table.Instant(now.Add(conversation.LeaseLength)),
		},
	})
	var condition *table.ConditionError
	if errors.As(err, &condition) {
		m.ReceivedAt = now
		return replyState(condition.Failed[0], m), nil
	}
	if err != nil {
		return 0, fmt.Errorf("claiming the reply to message %s: %w", m.ID, err)
	}
	return conversation.ReplyHeld, nil
}

// Settle implements conversation.Recorder.
func (r *Recorder) Settle(ctx context.Context, m conversation.Message, reply conversation.Reply) error {
	return r.endLease(ctx, m, reply, table.Expression{
		Set:    "#reply = :settled",
		Names:  map[string]string{"#reply": schema.AttrReply},
		Values: table.Item{":settled": table.Text(schema.ReplySettled)},
	})
}

// Release implements conversation.Recorder.
func (r *Recorder) Release(ctx context.Context, m conversation.Message, reply conversation.Reply) error {
	return r.endLease(ctx, m, reply, table.Expression{})
}

func (r *Recorder) endLease(ctx context.Context, m conversation.Message, reply conversation.Reply, e table.Expression) error {
	err := r.db.Update(ctx, r.names.Conversations, replyKey(m, reply), e.And(table.Expression{
		Remove:    "#lease, #until",
		Condition: "#lease = :delivery",
		Names:     map[string]string{"#lease": attrLease, "#until": attrLeaseUntil},
		Values:    table.Item{":delivery": table.Text(m.Delivery)},
	}))
	if err != nil && !table.FailedCondition(err, 0) {
		return fmt.Errorf("ending the lease on the reply to message %s: %w", m.ID, err)
	}
	return nil
}

func btoi(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
