package memory

import (
	"context"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Recorder implements conversation.Recorder over a Store.
type Recorder struct {
	store    *Store
	calendar usage.Calendar
	markers  map[entry]*marker
}

// entry is a message or a customer of a restaurant.
type entry struct{ restaurantID, id string }

type marker struct {
	receivedAt time.Time
	reply      reply
}

type session struct {
	*usage.Session // the customer's latest, as the tenant keeps it
	firstMessage   string
	reply          reply
}

// alerts is what was told of a month's thresholds, and who may tell of them.
type alerts struct {
	told  conversation.QuotaAlerts
	lease string // empty: nobody
	until time.Time
}

// reply is who may send something, and until when.
type reply struct {
	settled bool
	lease   string // the delivery that holds it; empty: nobody does
	until   time.Time
}

// NewRecorder returns a Recorder that counts in the calendar's months and days.
func NewRecorder(store *Store, calendar usage.Calendar) *Recorder {
	return &Recorder{store: store, calendar: calendar, markers: make(map[entry]*marker)}
}

// Record implements conversation.Recorder.
func (r *Recorder) Record(_ context.Context, m conversation.Message) (conversation.Recorded, error) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	now := stored(m.ReceivedAt)

	seen := r.markers[entry{m.RestaurantID, m.ID}]
	repeat := seen != nil
	if !repeat {
		seen = &marker{receivedAt: now}
		r.markers[entry{m.RestaurantID, m.ID}] = seen
	}
	at := seen.receivedAt
	tallied := int64(1)
	if repeat {
		tallied = 0
	}

	of := r.store.sessions[entry{m.RestaurantID, m.Customer}]
	tenant := r.store.tenant(m.RestaurantID)
	switch {
	case of == nil:
		of = &session{Session: tenant.open(m, at), firstMessage: m.ID}
		r.store.sessions[entry{m.RestaurantID, m.Customer}] = of
		tenant.count(r.calendar, at)
	case !at.Before(of.LastMessage.Add(conversation.SessionLength)):
		of.Session = tenant.open(m, at)
		tenant.count(r.calendar, at)
	case at.After(of.LastMessage):
		tenant.move(of.LastMessage, at)
		of.LastMessage = at
		of.Messages += tallied
	case of.OpenedAt != at || of.ID != m.ID:
		of.Messages += tallied
	}
	if !repeat {
		tenant.note(r.calendar, at)
	}
	recorded := conversation.Recorded{
		At: at, Repeat: repeat, First: of.firstMessage == m.ID, Opened: of.ID == m.ID, OpenedAt: of.OpenedAt,
		Welcome: of.reply.take(m.Delivery, now, !repeat),
	}
	if m.Asks {
		recorded.Answer = seen.reply.take(m.Delivery, now, !repeat)
	}
	return recorded, nil
}

// Complete implements conversation.Recorder. Record has done it all.
func (*Recorder) Complete(context.Context, conversation.Message, conversation.Recorded) error {
	return nil
}

// take gives the delivery a reply that nobody ever held, and returns what has become of it.
func (r *reply) take(delivery string, now time.Time, fresh bool) conversation.ReplyState {
	if fresh && !r.settled && r.lease == "" {
		r.lease, r.until = delivery, now.Add(conversation.LeaseLength)
	}
	return r.state(delivery, now)
}

// open keeps a session that a message opened.
func (t *tenant) open(m conversation.Message, at time.Time) *usage.Session {
	s := &usage.Session{ID: m.ID, Customer: m.Customer, OpenedAt: at, LastMessage: at, Messages: 1}
	t.sessions = append(t.sessions, s)
	t.move(time.Time{}, at)
	return s
}

// move moves a session from the slot of its latest message to another one's. One that wasn't there before comes from the zero
// time.
func (t *tenant) move(from, to time.Time) {
	if t.activity.Sessions == nil {
		t.activity.Sessions = make(map[int64]int64)
	}
	if !from.IsZero() {
		t.activity.Sessions[usage.SlotOf(from)]--
	}
	t.activity.Sessions[usage.SlotOf(to)]++
}

// count counts a conversation opened at the time.
func (t *tenant) count(calendar usage.Calendar, at time.Time) {
	month := t.months[calendar.Month(at)]
	if month.Days == nil {
		month.Days = make(map[int]int64)
	}
	month.Conversations++
	month.Days[calendar.Day(at)]++
	month.LastConversation = latest(month.LastConversation, at)
	t.months[calendar.Month(at)] = month
	t.activity.LastConversation = latest(t.activity.LastConversation, at)
}

// note notes a message received at the time.
func (t *tenant) note(calendar usage.Calendar, at time.Time) {
	if t.activity.First.IsZero() || at.Before(t.activity.First) {
		t.activity.First = at
	}
	t.activity.Last = latest(t.activity.Last, at)
	tally := &t.activity.Messages
	if month := calendar.Month(at); tally.Month.Before(month) {
		*tally = usage.Tally{Month: month, Days: make(map[int]int64)}
	}
	if tally.Month == calendar.Month(at) {
		tally.Days[calendar.Day(at)]++
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (r reply) state(delivery string, now time.Time) conversation.ReplyState {
	switch {
	case r.settled:
		return conversation.ReplySettled
	case r.lease == "" || !now.Before(r.until):
		return conversation.ReplyDue
	case r.lease == delivery:
		return conversation.ReplyHeld
	}
	return conversation.ReplyElsewhere
}

// reply returns what is known of a reply, nil where nothing is.
func (r *Recorder) reply(m conversation.Message, which conversation.Reply) *reply {
	if which == conversation.Welcome {
		if of := r.store.sessions[entry{m.RestaurantID, m.Customer}]; of != nil {
			return &of.reply
		}
		return nil
	}
	if of := r.markers[entry{m.RestaurantID, m.ID}]; of != nil {
		return &of.reply
	}
	return nil
}

// Claim implements conversation.Recorder.
func (r *Recorder) Claim(
	_ context.Context, m conversation.Message, which conversation.Reply, now time.Time,
) (conversation.ReplyState, error) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	of := r.reply(m, which)
	if of == nil {
		return conversation.ReplySettled, nil
	}
	now = stored(now)
	state := of.state(m.Delivery, now)
	if state == conversation.ReplyDue || state == conversation.ReplyHeld {
		of.lease, of.until = m.Delivery, now.Add(conversation.LeaseLength)
		state = conversation.ReplyHeld
	}
	return state, nil
}

// Settle implements conversation.Recorder.
func (r *Recorder) Settle(_ context.Context, m conversation.Message, which conversation.Reply) error {
	r.end(m, which, reply{settled: true})
	return nil
}

// Release implements conversation.Recorder.
func (r *Recorder) Release(_ context.Context, m conversation.Message, which conversation.Reply) error {
	r.end(m, which, reply{})
	return nil
}

func (r *Recorder) end(m conversation.Message, which conversation.Reply, as reply) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if of := r.reply(m, which); of != nil && of.lease == m.Delivery {
		*of = as
	}
}

// Watch implements conversation.QuotaAlerter.
func (r *Recorder) QuotaState(_ context.Context, restaurantID string, at time.Time) (conversation.QuotaState, error) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	month, t := r.calendar.Month(at), r.store.tenant(restaurantID)
	return conversation.QuotaState{
		Month: month, Quota: t.quota(month, usage.Unlimited), QuotaAlerts: r.alertsOf(restaurantID, month).told,
	}, nil
}

func (r *Recorder) alertsOf(restaurantID string, month usage.Month) *alerts {
	return r.store.alertsOf(restaurantID, month)
}

func (s *Store) alertsOf(restaurantID string, month usage.Month) *alerts {
	key := entry{restaurantID, month.String()}
	if s.alerts[key] == nil {
		s.alerts[key] = new(alerts)
	}
	return s.alerts[key]
}

// ClaimQuotaAlerts implements conversation.QuotaAlerter.
func (r *Recorder) ClaimQuotaAlerts(
	_ context.Context, m conversation.Message, month usage.Month, now time.Time,
) (conversation.QuotaAlerts, bool, error) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	of := r.alertsOf(m.RestaurantID, month)
	now = stored(now)
	if of.lease != "" && of.lease != m.Delivery && now.Before(of.until) {
		return conversation.QuotaAlerts{}, false, nil
	}
	of.lease, of.until = m.Delivery, now.Add(conversation.AlertLeaseLength)
	return of.told, true, nil
}

// SettleQuotaAlerts implements conversation.QuotaAlerter.
func (r *Recorder) SettleQuotaAlerts(
	_ context.Context, m conversation.Message, month usage.Month, told conversation.QuotaAlerts, done bool,
) error {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if of := r.alertsOf(m.RestaurantID, month); of.lease == m.Delivery {
		of.told = told
		if done {
			of.lease = ""
		}
	}
	return nil
}
