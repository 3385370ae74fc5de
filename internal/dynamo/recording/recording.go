// Package recording records customers' messages, and the leases on their replies.
package recording

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/book"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/ranking"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Recorder implements conversation.Recorder over the tables.
//
// A message is recorded by one conditional write to its customer's session, in the item conversations, customer/<number>:
//
//	recentIds, earlierIds   the ids of the customer's messages; a message with an id in them is a repeat
//	openedAt, lastMessageAt the session, which the message extends, or opens for a new customer
//	counted                 "due" until the opening is counted in its month, then the time of the opening
//	reply, lease            the customer's welcome: due at first, and held by the delivery that found it due
//	optedOutAt              when the customer opted out, until a message opts in
//	knownAs                 the BSUID of a customer stored under a number
//
// After an opt-out before any session, the item has only optedOutAt and the message's id.
//
// The same expression extends a session and creates a new customer's, since if_not_exists sets each attribute that only an
// opening sets. So the write needs no read before it, and a reply leaves after one round trip. The remaining steps follow
// from the item: wherever a delivery breaks off, a later one finds them in the item and completes them:
//
//	the count     usage, <month>    in one transaction with counted, so that it moves once for each opening
//	the activity  usage, activity   first and last message, tally of messages; times move forwards only
//
// A customer who comes back after a session ended takes a second write, conditional on the session that was read. The ended
// session stays within the new session until it is stored as an item of its own, before the new session is counted.
//
// The ids are kept in two sets. Once the newer set has idsKept ids and is RepeatWindow old, it becomes the earlier set. So
// the latest idsKept ids are known for as long as the customer is, and all ids for RepeatWindow.
//
// The answer to a message has its own item, message/<id>, written beside the session's. The item names the answer's place in
// the ledger, and the entry there, made once Twilio took the answer, settles the answer. So a delivery that finds the answer
// due first looks for the entry. Even if a process died after sending, its answer isn't sent again once a callback has
// reported it.
//
// Until November 2026 each message had such an item, by which repeats were recognised, and sessions had neither ids nor
// counted. A session of that version is taken as counted, and gets both with its next message. A process of that version
// extends a session of this version without its ids, and counts the session once, since it is open.
type Recorder struct {
	db       *table.DB
	names    schema.Tables
	ranking  *ranking.Ranking
	book     *book.Book
	calendar usage.Calendar
	aliases  aliases
}

// New returns a Recorder that counts in the calendar's months and days.
func New(db *table.DB, names schema.Tables, calendar usage.Calendar) *Recorder {
	return &Recorder{db: db, names: names, ranking: ranking.New(db, names), book: book.New(db, names), calendar: calendar}
}

const (
	attrReceived     = "receivedAt"
	attrFirstMessage = "firstMessage" // of a session: the id of the customer's first message ever
	attrLease        = "lease"        // the delivery that holds the reply
	attrLeaseUntil   = "leaseUntil"
	attrRecent       = "recentIds"
	attrRecentSince  = "recentSince" // when the first of the recent ids was added
	attrEarlier      = "earlierIds"
	attrEnded        = "ended" // of a session: the session before it, until the opening is counted
	attrCounted      = "counted"
	attrPlace        = "place"     // of an answer's item: the ledger's place of the message that the latest holder of the lease may have sent
	attrFreeUntil    = "freeUntil" // of a session: the end of the time in which messages to the customer are free

	countDue = "due"
	noLease  = "-" // of a settled reply: keeps later messages from taking its lease

	// When the newer set has idsKept ids, it may become the earlier set. An id has idLength bytes: with two such sets a
	// session takes less than 1 KB, which is one write unit.
	idsKept  = 16
	idLength = 8

	// answerable is how long after Recorded.At a repeat is still answered. Twilio repeats within 15 s; a message that is
	// replayed later gets no answer.
	answerable = time.Hour

	endedKept = 90 * 24 * time.Hour

	// races bounds how often a step starts again because another delivery changed its item in the meantime. Each time,
	// another delivery has made progress, so that even the last of many simultaneous deliveries needs few attempts.
	races = 16
)

// errRaced says that another delivery changed an item between this delivery's read and write.
var errRaced = errors.New("another delivery changed the item meanwhile")

func markerKey(m conversation.Message) table.Item {
	return schema.EntryKey(m.RestaurantID, "message/"+m.ID)
}

func sessionKey(m conversation.Message) table.Item {
	return schema.SessionKey(m.RestaurantID, home(m))
}

// home returns the id that the message's customer is stored under, if it is known, and otherwise the message's own.
func home(m conversation.Message) string { return cmp.Or(m.Home, m.Customer) }

func replyKey(m conversation.Message, r conversation.Reply) table.Item {
	if r == conversation.Welcome {
		return sessionKey(m)
	}
	return markerKey(m)
}

// idOf returns a message's id as the sets store it: the start of its hash. With at most a hundred ids of a customer, a
// message is mistaken for another once in 10^17 messages.
func idOf(m conversation.Message) []byte {
	sum := sha256.Sum256([]byte(m.ID))
	return sum[:idLength]
}

// Record implements conversation.Recorder. It takes one round trip for a message inside a session and for a new customer's
// message.
func (r *Recorder) Record(ctx context.Context, m conversation.Message) (conversation.Recorded, error) {
	m.ReceivedAt = m.ReceivedAt.UTC().Truncate(time.Millisecond)
	var marker table.Item
	var markerErr error
	var marking sync.WaitGroup
	if m.Asks {
		marking.Go(func() { marker, markerErr = r.mark(ctx, m) })
	}
	recorded, err := r.advance(ctx, m)
	marking.Wait()
	if err == nil {
		err = markerErr
	}
	if err != nil {
		return conversation.Recorded{}, fmt.Errorf("recording message %s: %w", m.ID, err)
	}
	if m.Asks {
		recorded.Answer = replyState(marker, m)
	}
	if recorded.Repeat && !recorded.At.After(m.ReceivedAt.Add(-answerable)) {
		// A repeat this late gets no answer. The answer's item doesn't show whether an answer was sent: it has expired, was
		// never written, or was just written by another copy of the message.
		recorded.Answer = conversation.ReplySettled
	}
	return recorded, nil
}

// mark writes the item of a message's answer, so that this delivery holds the lease, or reads the item that an earlier
// delivery wrote.
func (r *Recorder) mark(ctx context.Context, m conversation.Message) (table.Item, error) {
	marker := markerKey(m)
	marker[attrReceived] = table.Instant(m.ReceivedAt)
	marker[schema.AttrExpires] = table.Number(m.ReceivedAt.Add(conversation.RepeatWindow).Unix() + 1)
	marker[schema.AttrReply] = table.Text(schema.ReplyDue)
	marker[attrLease] = table.Text(m.Delivery)
	marker[attrLeaseUntil] = table.Instant(m.ReceivedAt.Add(conversation.LeaseLength))
	table.SetText(marker, attrPlace, m.Place.String())
	err := r.db.Put(ctx, r.names.Conversations, marker, table.Expression{
		// TTL deletes late: an expired marker counts as deleted.
		Condition: "attribute_not_exists(#entry) OR #received <= :forgotten",
		Names:     map[string]string{"#entry": schema.AttrEntry, "#received": attrReceived},
		Values:    table.Item{":forgotten": table.Instant(m.ReceivedAt.Add(-conversation.RepeatWindow))},
	})
	var condition *table.ConditionError
	if errors.As(err, &condition) {
		return condition.Failed[0], nil
	}
	return marker, err
}

// session is the stored data of a customer's session.
type session struct {
	item            table.Item
	opened, last    time.Time
	openedBy, first string
	counted, knows  bool // knows: the ids include the message's
	recent          int  // number of ids in the newer set
	recentSince     time.Time
	optedOut        bool
	before          time.Time // of a session joined with another: the latest message of that other session
	alias           string    // the id that the customer is stored under; then all other fields are empty
	knownAs         string
	welcomeFailed   bool
	freeUntil       time.Time
	ended           usage.Session // the session before this session, until it is stored
}

func readSession(it table.Item, id []byte) (session, error) {
	in := table.Reader{Item: it}
	recent, earlier := in.Binaries(attrRecent), in.Binaries(attrEarlier)
	isID := func(known []byte) bool { return bytes.Equal(known, id) }
	s := session{
		item: it, opened: in.Instant(schema.AttrOpened), last: in.Instant(schema.AttrLastMessage),
		openedBy: in.Text(schema.AttrOpenedBy), first: in.Text(attrFirstMessage), counted: in.Text(attrCounted) != countDue,
		knows:  slices.ContainsFunc(recent, isID) || slices.ContainsFunc(earlier, isID),
		recent: len(recent), recentSince: in.Instant(attrRecentSince),
		optedOut: in.Text(schema.AttrOptedOut) != "", alias: in.Text(schema.AttrAlias), knownAs: in.Text(schema.AttrKnownAs),
		welcomeFailed: in.Text(attrWelcomeFailed) != "", freeUntil: in.Instant(attrFreeUntil),
	}
	if ended, ok := it[attrEnded].(*types.AttributeValueMemberM); ok {
		inside := table.Reader{Item: ended.Value}
		s.ended = schema.ReadSession(&inside)
		in.Err = cmp.Or(in.Err, inside.Err)
	}
	if in.Err == nil && s.last.IsZero() != s.opened.IsZero() {
		in.Fail(schema.AttrLastMessage, "a time")
	}
	return s, in.Err
}

// recorded returns the result for a message that was just recorded in the session.
func (s session) recorded(m conversation.Message) conversation.Recorded {
	return conversation.Recorded{
		At: m.ReceivedAt, First: s.first == m.ID, Welcome: replyState(s.item, m),
		Opened: s.openedBy == m.ID && s.opened.Equal(m.ReceivedAt), OpenedAt: s.opened, Uncounted: !s.counted, Unlinked: s.unlinked(),
		WelcomeFailed: s.welcomeFailed, Ended: s.ended, FreeUntil: freeUntil(m, s),
	}.After(s.optedOut, m.Consent)
}

// freeUntil returns the end of the time in which messages to a customer are free after the message, given the session as it
// was before the message.
func freeUntil(m conversation.Message, before session) time.Time {
	if free := m.ReceivedAt.Add(conversation.FreeEntryPoint); m.FromAd && free.After(before.freeUntil) {
		return free
	}
	return before.freeUntil
}

// repeat returns the result for a message that was recorded in the session earlier.
func (s session) repeat(m conversation.Message) conversation.Recorded {
	recorded := s.recorded(m)
	recorded.Repeat, recorded.At, recorded.FreeUntil = true, s.last, s.freeUntil
	recorded.OptedOut = s.optedOut // a repeat doesn't change the consent of a later message
	if recorded.Opened = s.openedBy == m.ID; recorded.Opened {
		recorded.At = s.opened
	}
	return recorded
}

// advance records the message in its customer's session.
func (r *Recorder) advance(ctx context.Context, m conversation.Message) (conversation.Recorded, error) {
	id := idOf(m)
	m.Home = r.aliases.lookUp(m)
	recorded, err := r.attempt(ctx, &m, id)
	for range races {
		var condition *table.ConditionError
		if err == nil {
			recorded.Home = home(m)
			return recorded, nil
		}
		if !errors.As(err, &condition) {
			return conversation.Recorded{}, err
		}
		seen, readErr := readSession(condition.Failed[0], id)
		if readErr != nil {
			return conversation.Recorded{}, readErr
		}
		recorded, err = r.retry(ctx, &m, id, seen)
	}
	return conversation.Recorded{}, errRaced
}

// attempt records a message in the usual cases: if it extends a session, is a new customer's first, or opts out.
func (r *Recorder) attempt(ctx context.Context, m *conversation.Message, id []byte) (conversation.Recorded, error) {
	var old table.Item
	var err error
	if m.Consent == conversation.OptsOut {
		old, err = r.optOut(ctx, *m, id, session{})
	} else {
		old, err = r.extend(ctx, *m, id)
	}
	if err != nil {
		return conversation.Recorded{}, err
	}
	before, err := readSession(old, id)
	if err != nil {
		return conversation.Recorded{}, err
	}
	if m.UserID != "" && home(*m) == m.Customer && before.last.IsZero() {
		joined, err := r.link(ctx, *m, id)
		if err != nil {
			return conversation.Recorded{}, err
		}
		if joined != nil {
			return joined.joining(*m), nil
		}
	}
	return taken(*m, before), nil
}

// retry records a message that attempt couldn't record, given the item that prevented the write.
func (r *Recorder) retry(ctx context.Context, m *conversation.Message, id []byte, seen session) (conversation.Recorded, error) {
	switch other := otherID(*m); {
	case seen.alias != "":
		r.aliases.keep(*m, seen.alias)
		m.Home = seen.alias
	case seen.knows:
		if m.UserID != "" && seen.knownAs == m.UserID { // an earlier delivery may have broken off before it wrote the alias
			if _, err := r.link(ctx, *m, id); err != nil {
				return conversation.Recorded{}, err
			}
		}
		return seen.repeat(*m), nil
	case seen.item != nil && other != "" && seen.knownAs != other:
		if err := r.identify(ctx, m, id); err != nil {
			return conversation.Recorded{}, err
		}
	case m.Consent == conversation.OptsOut:
		_, err := r.optOut(ctx, *m, id, seen)
		return conversation.Recorded{At: m.ReceivedAt}.After(seen.optedOut, m.Consent), err
	case seen.last.IsZero(): // the item was deleted meanwhile
	case !m.ReceivedAt.Before(seen.last.Add(conversation.SessionLength)):
		return r.reopen(ctx, *m, id, seen)
	default:
		return r.add(ctx, *m, id, seen)
	}
	return r.attempt(ctx, m, id)
}

// taken returns the result for a message that extend recorded, given the session before the message.
func taken(m conversation.Message, before session) conversation.Recorded {
	if m.Consent == conversation.OptsOut {
		return conversation.Recorded{At: m.ReceivedAt}.After(before.optedOut, m.Consent)
	}
	if before.last.IsZero() {
		return conversation.Recorded{
			At: m.ReceivedAt, First: true, Welcome: conversation.ReplyHeld, Opened: true, OpenedAt: m.ReceivedAt, Uncounted: true, Moved: true,
			FreeUntil: freeUntil(m, before),
		}.After(before.optedOut, m.Consent)
	}
	recorded := before.recorded(m)
	recorded.Moved, recorded.From = true, before.last
	if _, leased := before.item[attrLease]; !leased && recorded.Welcome == conversation.ReplyDue {
		recorded.Welcome = conversation.ReplyHeld // the write took the lease
	}
	return recorded
}

// extend moves the end of an open session if the message is its latest, or creates the session of a new customer. It returns
// the session before the change; nil for a new customer.
func (r *Recorder) extend(ctx context.Context, m conversation.Message, id []byte) (table.Item, error) {
	return r.db.Change(ctx, r.names.Conversations, sessionKey(m), table.Expression{
		Set: "#last = :at, #opened = if_not_exists(#opened, :at), #by = if_not_exists(#by, :message), " +
			"#first = if_not_exists(#first, :message), #counted = if_not_exists(#counted, :due), #since = if_not_exists(#since, :at), " +
			"#reply = if_not_exists(#reply, :due), #lease = if_not_exists(#lease, :delivery), #until = if_not_exists(#until, :until)",
		Add: "#messages :one, #recent :ids",
		Condition: "(attribute_not_exists(#last) OR #last < :at AND #last > :closed AND attribute_exists(#counted) " +
			"AND (size(#recent) < :kept OR #since > :day)) AND NOT contains(#recent, :id) AND NOT contains(#earlier, :id)",
		Names: map[string]string{
			"#last": schema.AttrLastMessage, "#opened": schema.AttrOpened, "#by": schema.AttrOpenedBy,
			"#first": attrFirstMessage, "#counted": attrCounted, "#since": attrRecentSince, "#reply": schema.AttrReply,
			"#lease": attrLease, "#until": attrLeaseUntil, "#messages": schema.AttrMessages, "#recent": attrRecent, "#earlier": attrEarlier,
		},
		Values: table.Item{
			":at": table.Instant(m.ReceivedAt), ":message": table.Text(m.ID), ":due": table.Text(countDue),
			":delivery": table.Text(m.Delivery), ":until": table.Instant(m.ReceivedAt.Add(conversation.LeaseLength)),
			":one": table.Number(1), ":ids": table.BinarySet(id), ":id": table.Binary(id),
			":closed": table.Instant(m.ReceivedAt.Add(-conversation.SessionLength)), ":kept": table.Number(idsKept),
			":day": table.Instant(m.ReceivedAt.Add(-conversation.RepeatWindow)),
		},
	}.And(optIn(m)).And(fromAd(m, session{})).And(identity(m)), types.ReturnValueAllOld)
}

// optIn is the part of a write that ends the customer's opting out, if the message opts in.
func optIn(m conversation.Message) table.Expression {
	if m.Consent != conversation.OptsIn {
		return table.Expression{}
	}
	return table.Expression{Remove: "#out", Names: map[string]string{"#out": schema.AttrOptedOut}}
}

// fromAd is the part of a write that makes messages to the customer free for FreeEntryPoint if the message came from an ad,
// given the session before the message.
func fromAd(m conversation.Message, before session) table.Expression {
	free := freeUntil(m, before)
	if free.Equal(before.freeUntil) {
		return table.Expression{}
	}
	return table.Expression{Set: "#free = :free", Names: map[string]string{"#free": attrFreeUntil}, Values: table.Item{":free": table.Instant(free)}}
}

// optOut notes that the customer has opted out, if the session's latest message is still that of seen, and returns the item
// as it was before. The session stays unchanged.
func (r *Recorder) optOut(ctx context.Context, m conversation.Message, id []byte, seen session) (table.Item, error) {
	return r.db.Change(ctx, r.names.Conversations, sessionKey(m), seen.remember(m, id).And(identity(m)).And(table.Expression{
		Set: "#out = :out", Names: map[string]string{"#out": schema.AttrOptedOut}, Values: table.Item{":out": table.Instant(m.ReceivedAt)},
	}), types.ReturnValueAllOld)
}

// remember is the part of a write that adds a message's id to a session's ids, if the session still is the seen one.
func (s session) remember(m conversation.Message, id []byte) table.Expression {
	e := table.Expression{
		Add:       "#recent :ids",
		Condition: "#last = :seen AND NOT contains(#recent, :id) AND NOT contains(#earlier, :id)",
		Names:     map[string]string{"#last": schema.AttrLastMessage, "#recent": attrRecent, "#earlier": attrEarlier},
		Values:    table.Item{":seen": s.item[schema.AttrLastMessage], ":ids": table.BinarySet(id), ":id": table.Binary(id)},
	}
	if s.last.IsZero() {
		e.Condition = "attribute_not_exists(#last) AND NOT contains(#recent, :id) AND NOT contains(#earlier, :id)"
		delete(e.Values, ":seen")
	}
	turn := s.recent >= idsKept && !s.recentSince.After(m.ReceivedAt.Add(-conversation.RepeatWindow))
	if !turn && s.recent > 0 {
		return e
	}
	e.Names["#since"], e.Values[":at"] = attrRecentSince, table.Instant(m.ReceivedAt)
	if !turn {
		e.Set = "#since = :at"
		return e
	}
	e.Add, e.Set = "", "#earlier = #recent, #recent = :ids, #since = :at"
	return e
}

// add records a message that extend refuses: a message older than the session's latest, or a message of a session that has no
// ids yet or a full newer set.
func (r *Recorder) add(ctx context.Context, m conversation.Message, id []byte, seen session) (conversation.Recorded, error) {
	e := seen.remember(m, id).And(table.Expression{
		Set: "#counted = if_not_exists(#counted, #opened)",
		Add: "#messages :one",
		Names: map[string]string{
			"#counted": attrCounted, "#opened": schema.AttrOpened, "#messages": schema.AttrMessages,
		},
		Values: table.Item{":one": table.Number(1)},
	})
	e = e.And(optIn(m)).And(fromAd(m, seen)).And(identity(m))
	recorded := seen.recorded(m)
	if seen.last.Before(m.ReceivedAt) {
		e = e.And(table.Expression{Set: "#last = :latest", Values: table.Item{":latest": table.Instant(m.ReceivedAt)}})
		recorded.Moved, recorded.From = true, seen.last
	}
	return recorded, r.db.Update(ctx, r.names.Conversations, sessionKey(m), e)
}

// reopen starts a new session after an ended one. The ended session becomes an item of its own.
func (r *Recorder) reopen(ctx context.Context, m conversation.Message, id []byte, seen session) (conversation.Recorded, error) {
	if err := r.keepEnded(ctx, m, seen.ended); err != nil {
		return conversation.Recorded{}, err
	}
	if !seen.counted {
		if err := r.linkAndCount(ctx, m, seen.unlinked(), seen.opened); err != nil {
			return conversation.Recorded{}, err
		}
	}
	ended, err := seen.asEnded()
	if err != nil {
		return conversation.Recorded{}, err
	}
	err = r.db.Update(ctx, r.names.Conversations, sessionKey(m), seen.remember(m, id).And(table.Expression{
		Set: "#opened = :now, #by = :message, #last = :now, #messages = :one, #counted = :due, #ended = :ended",
		Names: map[string]string{
			"#opened": schema.AttrOpened, "#by": schema.AttrOpenedBy, "#messages": schema.AttrMessages, "#counted": attrCounted,
			"#ended": attrEnded,
		},
		Values: table.Item{
			":now": table.Instant(m.ReceivedAt), ":message": table.Text(m.ID), ":one": table.Number(1), ":due": table.Text(countDue),
			":ended": table.Map(endedAttributes(ended)),
		},
	}).And(optIn(m)).And(fromAd(m, seen)).And(identity(m)))
	recorded := seen.recorded(m)
	recorded.Opened, recorded.OpenedAt, recorded.Uncounted, recorded.Moved = true, m.ReceivedAt, true, true
	recorded.Unlinked, recorded.Ended = "", ended
	return recorded, err
}

// Complete implements conversation.Recorder.
func (r *Recorder) Complete(ctx context.Context, m conversation.Message, recorded conversation.Recorded) error {
	m.Home = recorded.Home
	if recorded.Uncounted {
		if err := r.keepEnded(ctx, m, recorded.Ended); err != nil {
			return fmt.Errorf("keeping the session before message %s: %w", m.ID, err)
		}
		if err := r.linkAndCount(ctx, m, recorded.Unlinked, recorded.OpenedAt); err != nil {
			return fmt.Errorf("counting the conversation of message %s: %w", m.ID, err)
		}
	}
	moved := schema.Move{Made: recorded.Moved, From: recorded.From}
	if err := r.noteActivity(ctx, m, recorded, moved); err != nil {
		return fmt.Errorf("noting the activity of message %s: %w", m.ID, err)
	}
	return nil
}

// countOpening counts the opening of a session in its month and day, unless it is counted already.
func (r *Recorder) countOpening(ctx context.Context, m conversation.Message, opened time.Time) error {
	for _, latest := range []bool{true, false} {
		err := r.db.Transact(ctx, r.opening(m, opened, latest, table.Expression{}), "")
		switch {
		case err == nil, table.FailedCondition(err, 0): // another delivery counted the opening
			return nil
		case latest && table.FailedCondition(err, 1): // a later conversation was counted first
		default:
			return err
		}
	}
	return errRaced
}

// opening returns the writes that count the opening of a session. latest says that no later opening of its month was counted.
// further is added to the write to the session.
func (r *Recorder) opening(m conversation.Message, opened time.Time, latest bool, further table.Expression) []table.Write {
	return []table.Write{
		table.Update(r.names.Conversations, sessionKey(m), table.Expression{
			Set:       "#counted = :opened",
			Remove:    "#ended",
			Condition: "#counted = :due AND #opened = :opened",
			Names:     map[string]string{"#counted": attrCounted, "#opened": schema.AttrOpened, "#ended": attrEnded},
			Values:    table.Item{":opened": table.Instant(opened), ":due": table.Text(countDue)},
		}.And(further)),
		table.Update(r.names.Usage, schema.UsageKey(m.RestaurantID, r.calendar.Month(opened).String()), r.count(opened, latest)),
	}
}

// CountWelcomed implements conversation.Recorder. It costs as much as the count alone. If it returns false, its transaction was
// paid for in vain.
func (r *Recorder) CountWelcomed(ctx context.Context, m conversation.Message, recorded conversation.Recorded) bool {
	if recorded.Unlinked != "" || !recorded.Ended.OpenedAt.IsZero() { // Complete has to write more before it counts
		return false
	}
	m.Home = recorded.Home
	err := r.db.TransactOnce(ctx, r.opening(m, recorded.OpenedAt, true, settled(m)))
	if table.FailedCondition(err, 1) && !table.FailedCondition(err, 0) { // a later conversation was counted first
		err = r.db.TransactOnce(ctx, r.opening(m, recorded.OpenedAt, false, settled(m)))
	}
	return err == nil
}

// asEnded returns the session as an ended session.
func (s session) asEnded() (usage.Session, error) {
	in := table.Reader{Item: s.item}
	return usage.Session{ID: s.openedBy, OpenedAt: s.opened, LastMessage: s.last, Messages: in.Number(schema.AttrMessages)}, in.Err
}

func endedAttributes(s usage.Session) table.Item {
	it := table.Item{
		schema.AttrStarted: table.Instant(s.OpenedAt), schema.AttrLastMessage: table.Instant(s.LastMessage), schema.AttrMessages: table.Number(s.Messages),
	}
	table.SetText(it, schema.AttrOpenedBy, s.ID)
	return it
}

// keepEnded stores an ended session as an item of its own, if there is one.
func (r *Recorder) keepEnded(ctx context.Context, m conversation.Message, s usage.Session) error {
	if s.OpenedAt.IsZero() {
		return nil
	}
	it := schema.EndedKey(m.RestaurantID, home(m), s.OpenedAt)
	maps.Copy(it, endedAttributes(s))
	it[schema.AttrExpires] = table.Number(s.LastMessage.Add(endedKept).Unix())
	return r.db.Put(ctx, r.names.Conversations, it, table.Expression{})
}

// count is the change to a month's item that counts one conversation, which may be the latest of the month.
func (r *Recorder) count(at time.Time, latest bool) table.Expression {
	e := table.Expression{
		Add: "#conversations :one, #day :one",
		Names: map[string]string{
			"#conversations": schema.AttrConversations, "#day": schema.DayAttribute(schema.DayPrefix, r.calendar.Day(at)),
		},
		Values: table.Item{":one": table.Number(1)},
	}
	if !latest {
		return e
	}
	return e.And(forward("#latest", schema.AttrLastConversation, at))
}

// forward moves a time forward to at, unless it is later already.
func forward(name, attribute string, at time.Time) table.Expression {
	return table.Expression{
		Set:       name + " = :at",
		Condition: fmt.Sprintf("(attribute_not_exists(%s) OR %s < :at)", name, name),
		Names:     map[string]string{name: attribute},
		Values:    table.Item{":at": table.Instant(at)},
	}
}

// noteActivity updates the restaurant's first and last activity, tallies the message, and counts the session in its slot. A
// single write is enough if the message is the restaurant's latest, isn't the first of its month, and comes within a day of
// the message before.
func (r *Recorder) noteActivity(ctx context.Context, m conversation.Message, recorded conversation.Recorded, moved schema.Move) error {
	month := r.calendar.Month(recorded.At).String()
	seen := month // the tally's month is assumed, until the item is read
	slots := moved.Slots(recorded.At)
	for range races {
		e := latestActivity(recorded.At, recorded.Opened).And(slots)
		if !recorded.Repeat && seen <= month { // an earlier month's tally is closed
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

// latestActivity moves the activity's times to those of the latest message.
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

// tally counts a message in its day. seen is the month of the stored tally. If that is the message's month, tally adds to the
// stored tally; otherwise a new tally replaces the stored one, which must be of an earlier month or missing.
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

// noteLate notes a message that isn't the restaurant's latest, because later messages were noted first. It may still be the
// restaurant's first, or have opened the latest conversation. noteLate tallies it too.
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

// replyState returns the state of the reply in a marker or session, for the delivery of m.
func replyState(it table.Item, m conversation.Message) conversation.ReplyState {
	in := table.Reader{Item: it}
	if in.Text(schema.AttrReply) != schema.ReplyDue {
		return conversation.ReplySettled
	}
	until := in.Instant(attrLeaseUntil)
	switch {
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
	state, err := r.claim(ctx, m, reply, now)
	if err != nil {
		return 0, fmt.Errorf("claiming the reply to message %s: %w", m.ID, err)
	}
	return state, nil
}

func (r *Recorder) claim(
	ctx context.Context, m conversation.Message, reply conversation.Reply, now time.Time,
) (conversation.ReplyState, error) {
	// The holder of the lease may renew it. Before a different delivery takes the lease, the ledger is checked for a message
	// of the former holder.
	seen, held, err := r.lease(ctx, m, reply, now, "attribute_not_exists(#place)", nil)
	if held || err != nil {
		return conversation.ReplyHeld, err
	}
	m.ReceivedAt = now
	state := replyState(seen, m)
	in := table.Reader{Item: seen}
	place, ok := delivery.ParsePlace(in.Text(attrPlace))
	if !ok || in.Err != nil {
		return 0, fmt.Errorf("stored attribute %q is not a place", attrPlace)
	}
	if state == conversation.ReplySettled || place.IsZero() {
		return state, nil
	}
	switch taken, err := r.book.Taken(ctx, m.RestaurantID, place); {
	case err != nil:
		return 0, err
	case taken:
		return conversation.ReplySettled, nil
	case state == conversation.ReplyElsewhere:
		return state, nil
	}
	if seen, held, err = r.lease(ctx, m, reply, now, "#place = :seen", seen[attrPlace]); held || err != nil {
		return conversation.ReplyHeld, err
	}
	return replyState(seen, m), nil
}

// lease takes or renews the lease on a reply that is due; if it can't, it returns the current item. The parameter place is a
// condition, which may use seen as :seen. A delivery without the lease gets it only if the lease is free and place holds.
func (r *Recorder) lease(
	ctx context.Context, m conversation.Message, reply conversation.Reply, now time.Time, place string, seen table.Value,
) (item table.Item, held bool, err error) {
	e := table.Expression{
		Set:       "#lease = :delivery, #until = :until",
		Condition: "#reply = :due AND (#lease = :delivery OR (attribute_not_exists(#lease) OR #until <= :now) AND " + place + ")",
		Names:     map[string]string{"#lease": attrLease, "#until": attrLeaseUntil, "#reply": schema.AttrReply, "#place": attrPlace},
		Values: table.Item{
			":delivery": table.Text(m.Delivery), ":due": table.Text(schema.ReplyDue), ":now": table.Instant(now),
			":until": table.Instant(now.Add(conversation.LeaseLength)),
		},
	}
	if seen != nil {
		e.Values[":seen"] = seen
	}
	if reply == conversation.Answer && !m.Place.IsZero() {
		e.Set += ", #place = :place"
		e.Values[":place"] = table.Text(m.Place.String())
	}
	err = r.updateReply(ctx, m, reply, e)
	var condition *table.ConditionError
	if errors.As(err, &condition) {
		return condition.Failed[0], false, nil
	}
	return nil, err == nil, err
}

// Settle implements conversation.Recorder.
func (r *Recorder) Settle(ctx context.Context, m conversation.Message, reply conversation.Reply) error {
	return r.endLease(ctx, m, reply, settled(m))
}

// settled is the part of a write that settles a reply, if the delivery holds its lease.
func settled(m conversation.Message) table.Expression {
	return table.Expression{
		Set:    "#reply = :settled, #lease = :none, #until = :none",
		Names:  map[string]string{"#reply": schema.AttrReply},
		Values: table.Item{":settled": table.Text(schema.ReplySettled), ":none": table.Text(noLease)},
	}.And(holding(m))
}

// holding is the condition that the delivery holds the lease on a reply.
func holding(m conversation.Message) table.Expression {
	return table.Expression{
		Condition: "#lease = :delivery",
		Names:     map[string]string{"#lease": attrLease, "#until": attrLeaseUntil},
		Values:    table.Item{":delivery": table.Text(m.Delivery)},
	}
}

// Release implements conversation.Recorder.
func (r *Recorder) Release(ctx context.Context, m conversation.Message, reply conversation.Reply) error {
	return r.endLease(ctx, m, reply, table.Expression{Remove: "#lease, #until"}.And(holding(m)))
}

func (r *Recorder) endLease(ctx context.Context, m conversation.Message, reply conversation.Reply, e table.Expression) error {
	err := r.updateReply(ctx, m, reply, e)
	if err != nil && !table.FailedCondition(err, 0) {
		return fmt.Errorf("ending the lease on the reply to message %s: %w", m.ID, err)
	}
	return nil
}
