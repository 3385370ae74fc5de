package recording

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/customer"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// This file joins a number and a BSUID into a single customer.
//
// A customer known by both is stored under the number, in the item customer/<number> with knownAs. The item customer/<BSUID>
// is then an alias: it has only sameAs, the number. A number is never an alias, so a message with a number takes one write,
// with a BSUID or without. An instance remembers aliases, so a customer's later messages take one write too if WhatsApp hides
// the number.
//
//	message     customer/<number>           customer/<BSUID>
//	both        missing                     missing           a new customer: the item is written first; then the alias, before
//	                                                          the opening is counted and the welcome is sent (link)
//	both        a session without knownAs   any               the two are merged, in one transaction (join)
//	both        knownAs another BSUID       none, or alone    the number has a new owner: the previous owner moves to the item
//	                                                          of their own BSUID (also join)
//	BSUID       any                         alias             leads to the number, if its knownAs is still the BSUID
//
// "Who changes number gets a new BSUID" (Meta, "Business-scoped user IDs"). So a BSUID that belongs to another number is
// ignored.

// errOthers says that a BSUID belongs to another number.
var errOthers = errors.New("the user id belongs to a customer with another number")

// otherID returns the id of a message's customer that the message is not stored under, "" if the message has only one id.
func otherID(m conversation.Message) string {
	if home(m) == m.Customer {
		return m.UserID
	}
	return m.Customer
}

// identity is the part of a write that refuses another customer's item, and adds the other id to a new customer's item. A
// missing item belongs to nobody.
func identity(m conversation.Message) table.Expression {
	e := table.Expression{Condition: "attribute_not_exists(#alias)", Names: map[string]string{"#alias": schema.AttrAlias}}
	other := otherID(m)
	if other == "" {
		return e
	}
	e = e.And(table.Expression{
		Condition: "(#known = :known OR attribute_not_exists(#restaurant))",
		Names:     map[string]string{"#known": schema.AttrKnownAs, "#restaurant": schema.AttrRestaurantID},
		Values:    table.Item{":known": table.Text(other)},
	})
	if home(m) == m.Customer {
		e.Set = "#known = if_not_exists(#known, :known)"
	} else {
		e.Condition = "attribute_not_exists(#alias) AND #known = :known"
		delete(e.Names, "#restaurant")
	}
	return e
}

// unlinked returns the BSUID whose alias may be missing: until the customer's first opening is counted.
func (s session) unlinked() string {
	if s.counted || s.openedBy != s.first {
		return ""
	}
	return s.knownAs
}

// joining returns the result for a message that opened a session, after the customer turned out to have another session.
func (s session) joining(m conversation.Message) conversation.Recorded {
	recorded := s.recorded(m).After(s.optedOut, m.Consent)
	recorded.Moved, recorded.From, recorded.Unlinked = s.last.Equal(m.ReceivedAt), s.before, ""
	return recorded
}

// linkAndCount writes the alias, if it may be missing, and then counts an opening.
func (r *Recorder) linkAndCount(ctx context.Context, m conversation.Message, userID string, opened time.Time) error {
	if userID != "" {
		m.Customer, m.UserID, m.Home = home(m), userID, ""
		if _, err := r.link(ctx, m, idOf(m)); err != nil {
			return err
		}
	}
	return r.countOpening(ctx, m, opened)
}

// link writes the alias of a customer; the customer's own item names the BSUID already. If the BSUID has a customer of its
// own, link merges the two and returns the remaining session.
func (r *Recorder) link(ctx context.Context, m conversation.Message, id []byte) (*session, error) {
	err := r.db.Put(ctx, r.names.Conversations, aliasItem(m.RestaurantID, m.UserID, m.Customer), table.Expression{
		Condition: "attribute_not_exists(#entry) OR #alias = :number",
		Names:     map[string]string{"#entry": schema.AttrEntry, "#alias": schema.AttrAlias},
		Values:    table.Item{":number": table.Text(m.Customer)},
	})
	var condition *table.ConditionError
	if !errors.As(err, &condition) {
		return nil, err
	}
	joined, err := r.join(ctx, m, id)
	if errors.Is(err, errOthers) {
		return nil, nil
	}
	return joined, err
}

func aliasItem(restaurantID, userID, number string) table.Item {
	it := schema.SessionKey(restaurantID, userID)
	it[schema.AttrAlias] = table.Text(number)
	return it
}

// identify corrects the ids of a message that turned out to be another customer's.
func (r *Recorder) identify(ctx context.Context, m *conversation.Message, id []byte) error {
	if home(*m) != m.Customer { // the alias that led here is outdated
		r.aliases.forget(*m)
		m.Home = ""
		return nil
	}
	_, err := r.join(ctx, *m, id)
	if !errors.Is(err, errOthers) {
		return err
	}
	item, err := r.db.Get(ctx, r.names.Conversations, schema.SessionKey(m.RestaurantID, m.UserID))
	if err != nil {
		return err
	}
	in := table.Reader{Item: item}
	if in.Text(schema.AttrKnownAs) == m.Customer { // an old message of the number's previous owner, repeated
		m.Customer, m.Home = m.UserID, ""
	}
	m.UserID = ""
	return in.Err
}

// join merges the customers of a message's number and BSUID, and returns the remaining session. It fails with errOthers.
func (r *Recorder) join(ctx context.Context, m conversation.Message, id []byte) (*session, error) {
	for range races {
		var both [2]session
		for i, customer := range []string{m.Customer, m.UserID} {
			item, err := r.db.Get(ctx, r.names.Conversations, schema.SessionKey(m.RestaurantID, customer))
			if err != nil {
				return nil, err
			}
			if both[i], err = readSession(item, id); err != nil {
				return nil, err
			}
		}
		number, user := both[0], both[1]
		switch {
		case user.alias == m.Customer && number.knownAs == m.UserID:
			return &number, nil
		case user.alias != "" && user.alias != m.Customer, user.knownAs != "":
			return nil, errOthers
		}
		done, err := r.settleOpenings(ctx, m, number, user)
		if err != nil {
			return nil, err
		}
		if !done {
			continue
		}
		joined, err := r.unite(ctx, m, number, user)
		var condition *table.ConditionError
		if errors.As(err, &condition) {
			continue
		}
		if err != nil {
			return nil, err
		}
		s, err := readSession(joined, id)
		s.before = user.last
		return &s, err
	}
	return nil, errRaced
}

// settleOpenings counts the openings of both sessions that aren't counted yet, and reports whether there were none. It
// ignores the opening of a new customer with a missing alias if the BSUID has a session that overlaps: such a message opened
// nothing.
func (r *Recorder) settleOpenings(ctx context.Context, m conversation.Message, number, user session) (none bool, err error) {
	none = true
	for _, side := range []struct {
		session
		id string
	}{{number, m.Customer}, {user, m.UserID}} {
		if side.counted || side.id == m.Customer && side.unlinked() == m.UserID && meet(number, user) {
			continue
		}
		if none = false; m.ID == "" {
			return false, fmt.Errorf("%w: an earlier conversation of the customer is not counted yet", outage.ErrUnavailable)
		}
		of := m
		of.Home = side.id
		if err := r.countOpening(ctx, of, side.opened); err != nil {
			return false, err
		}
	}
	return none, nil
}

// meet reports whether two sessions overlap. Sessions of one customer that overlap are a single session.
func meet(a, b session) bool {
	return !a.last.IsZero() && !b.last.IsZero() &&
		a.opened.Before(b.last.Add(conversation.SessionLength)) && b.opened.Before(a.last.Add(conversation.SessionLength))
}

// unite writes the merged customer. Its condition fails if either item has changed.
func (r *Recorder) unite(ctx context.Context, m conversation.Message, number, user session) (table.Item, error) {
	base := number
	var writes []table.Write
	if number.knownAs != "" && number.knownAs != m.UserID {
		base = session{} // the number's new owner takes over nothing
		moved := with(number.item, schema.SessionKey(m.RestaurantID, number.knownAs))
		moved[schema.AttrKnownAs] = table.Text(m.Customer)
		writes = append(writes, table.Put(r.names.Conversations, moved, table.Expression{
			Condition: "attribute_not_exists(#entry) OR #alias = :number",
			Names:     map[string]string{"#entry": schema.AttrEntry, "#alias": schema.AttrAlias},
			Values:    table.Item{":number": table.Text(m.Customer)},
		}))
	}
	joined, ended := merge(base, user)
	if ended != nil {
		of := m
		if ended == &user {
			of.Home = m.UserID
		}
		session, err := ended.asEnded()
		if err != nil {
			return nil, err
		}
		if err := r.keepEnded(ctx, of, session); err != nil {
			return nil, err
		}
	}
	joined = with(joined, schema.SessionKey(m.RestaurantID, m.Customer))
	joined[schema.AttrKnownAs] = table.Text(m.UserID)
	err := r.db.Transact(ctx, append(writes,
		table.Put(r.names.Conversations, joined, unchanged(number.item)),
		table.Put(r.names.Conversations, aliasItem(m.RestaurantID, m.UserID, m.Customer), unchanged(user.item)),
	), "")
	if err != nil {
		return nil, err
	}
	if meet(base, user) && base.counted { // the two open sessions are one now
		r.countOneLess(ctx, m, earlier(base.last, user.last))
	}
	return joined, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// with returns a copy of an item under another key.
func with(it, key table.Item) table.Item {
	moved := make(table.Item, len(it)+1)
	for name, value := range it {
		moved[name] = value
	}
	for name, value := range key {
		moved[name] = value
	}
	return moved
}

// unchanged is the condition that a session's item hasn't changed since it was read. Every write to it changes one of these
// attributes or adds to the ids.
func unchanged(it table.Item) table.Expression {
	if it == nil {
		return table.Expression{Condition: "attribute_not_exists(#entry)", Names: map[string]string{"#entry": schema.AttrEntry}}
	}
	e := table.Expression{Names: make(map[string]string), Values: make(table.Item)}
	var conditions []string
	for i, name := range []string{
		schema.AttrLastMessage, schema.AttrMessages, schema.AttrOpened, attrCounted, schema.AttrReply, attrLease, attrLeaseUntil,
		schema.AttrOptedOut, attrRecentSince, schema.AttrAlias, schema.AttrKnownAs,
	} {
		attribute, value := fmt.Sprint("#u", i), fmt.Sprint(":u", i)
		e.Names[attribute] = name
		if it[name] == nil {
			conditions = append(conditions, "attribute_not_exists("+attribute+")")
			continue
		}
		conditions = append(conditions, attribute+" = "+value)
		e.Values[value] = it[name]
	}
	e.Names["#ids"] = attrRecent
	if ids, ok := it[attrRecent].(*types.AttributeValueMemberBS); ok {
		conditions = append(conditions, "size(#ids) = :ids")
		e.Values[":ids"] = table.Number(int64(len(ids.Value)))
	} else {
		conditions = append(conditions, "attribute_not_exists(#ids)")
	}
	e.Condition = strings.Join(conditions, " AND ")
	return e
}

// merge returns the item of a customer from the items of two sessions, either of which may be missing. If the sessions don't
// overlap, it also returns the ended session.
func merge(number, user session) (merged table.Item, ended *session) {
	fresh := number.unlinked() != "" // its message carried both ids, so it opened nothing if the other session is open
	first, second := &number, &user  // in the order of their openings
	if user.opened.Before(number.opened) || fresh && meet(number, user) {
		first, second = second, first
	}
	switch {
	case number.last.IsZero():
		merged = with(user.item, nil)
	case user.last.IsZero():
		merged = with(number.item, nil)
	case !meet(number, user):
		merged, ended = with(second.item, nil), first
		setIfAny(merged, attrFirstMessage, first.item[attrFirstMessage])
	default:
		merged = with(first.item, nil)
		if second.last.After(first.last) {
			merged[schema.AttrLastMessage] = second.item[schema.AttrLastMessage]
		}
		in, other := table.Reader{Item: first.item}, table.Reader{Item: second.item}
		merged[schema.AttrMessages] = table.Number(in.Number(schema.AttrMessages) + other.Number(schema.AttrMessages))
		merged[attrCounted] = table.Instant(first.opened)
	}
	if !number.last.IsZero() && !user.last.IsZero() {
		mergeWelcomes(merged, number.item, user.item, fresh)
	}
	for _, set := range []string{attrRecent, attrEarlier} {
		mergeSets(merged, set, number.item, user.item)
	}
	for _, s := range []session{number, user} {
		if since := s.item[attrRecentSince]; s.recentSince.After(instant(merged, attrRecentSince)) {
			merged[attrRecentSince] = since
		}
		setIfAny(merged, schema.AttrOptedOut, s.item[schema.AttrOptedOut])
		if s.freeUntil.After(instant(merged, attrFreeUntil)) {
			merged[attrFreeUntil] = s.item[attrFreeUntil]
		}
	}
	delete(merged, schema.AttrAlias)
	return merged, ended
}

func instant(it table.Item, name string) time.Time {
	in := table.Reader{Item: it}
	return in.Instant(name)
}

func setIfAny(it table.Item, name string, value table.Value) {
	if value != nil {
		it[name] = value
	}
}

// mergeWelcomes leaves one welcome due if both were due, and none if either was settled. If the number's session is fresh,
// the user's welcome stays due: the number's isn't being sent yet, although its lease is taken.
func mergeWelcomes(merged, number, user table.Item, fresh bool) {
	from := number
	ofNumber, ofUser := table.Reader{Item: number}, table.Reader{Item: user}
	switch {
	case ofNumber.Text(schema.AttrReply) != schema.ReplyDue:
	case fresh, ofUser.Text(schema.AttrReply) != schema.ReplyDue, ofUser.Text(attrLeaseUntil) > ofNumber.Text(attrLeaseUntil):
		from = user
	}
	for _, name := range []string{schema.AttrReply, attrLease, attrLeaseUntil, attrWelcomeFailed} {
		delete(merged, name)
		setIfAny(merged, name, from[name])
	}
}

// mergeSets sets an attribute to the union of a set in several items.
func mergeSets(merged table.Item, name string, items ...table.Item) {
	var all [][]byte
	for _, it := range items {
		in := table.Reader{Item: it}
		for _, member := range in.Binaries(name) {
			if !slices.ContainsFunc(all, func(known []byte) bool { return bytes.Equal(known, member) }) {
				all = append(all, member)
			}
		}
	}
	if len(all) > 0 {
		merged[name] = table.BinarySet(all...)
	}
}

// countOneLess removes a session from the slot of its latest message, unless the slot is out of date. Nothing is billed by
// slots and a wrong count disappears after a day, so errors are ignored.
func (r *Recorder) countOneLess(ctx context.Context, m conversation.Message, last time.Time) {
	slot := usage.SlotOf(last)
	_ = r.updateActivity(ctx, m, table.Expression{
		Add:       "#slot :fewer",
		Condition: "#last >= :last AND #last < :outdated",
		Names:     map[string]string{"#slot": schema.SlotAttribute(slot), "#last": schema.AttrLastActivity},
		Values: table.Item{
			":fewer": table.Number(-1), ":last": table.Instant(last),
			":outdated": table.Instant(last.Truncate(usage.SessionSlot).Add(conversation.SessionLength)),
		},
	})
}

// updateReply changes the item of a reply. A welcome is in its customer's item, which may have moved to another id.
func (r *Recorder) updateReply(ctx context.Context, m conversation.Message, reply conversation.Reply, e table.Expression) error {
	err := r.db.Update(ctx, r.names.Conversations, replyKey(m, reply), e)
	var condition *table.ConditionError
	if reply != conversation.Welcome || !errors.As(err, &condition) {
		return err
	}
	in := table.Reader{Item: condition.Failed[0]}
	if m.Home = in.Text(schema.AttrAlias); m.Home == "" {
		return err
	}
	return r.db.Update(ctx, r.names.Conversations, replyKey(m, reply), e)
}

// Unite merges the customers of a number and a BSUID that are known to be one person, without a message. A BSUID that belongs
// to another number stays there. It fails with outage.ErrUnavailable.
func (r *Recorder) Unite(ctx context.Context, restaurantID, number, userID string) error {
	_, err := r.join(ctx, conversation.Message{RestaurantID: restaurantID, Customer: number, UserID: userID}, nil)
	if err != nil && !errors.Is(err, errOthers) {
		return fmt.Errorf("uniting a number with a user id: %w", err)
	}
	return nil
}

// aliases has the aliases that an instance has seen. If one is outdated, the write that uses it fails its condition.
type aliases struct {
	mu    sync.Mutex
	known map[[2]string]string // numbers by restaurant and BSUID
}

// maxAliases bounds the remembered aliases, to some 500 KB of memory.
const maxAliases = 2000

func (a *aliases) lookUp(m conversation.Message) string {
	if !customer.IsUserID(m.Customer) {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[[2]string{m.RestaurantID, m.Customer}]
}

func (a *aliases) keep(m conversation.Message, number string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= maxAliases {
		a.known = make(map[[2]string]string)
	}
	a.known[[2]string{m.RestaurantID, m.Customer}] = number
}

func (a *aliases) forget(m conversation.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, [2]string{m.RestaurantID, m.Customer})
}
