package usage

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/task"
)

const (
	// SessionSlot is the precision with which the times of open sessions' latest messages are known.
	SessionSlot = 30 * time.Minute
	// SessionSlots is the number of slots for which a session stays open after a message: 24 hours.
	SessionSlots = 48

	// RecentSessions is the number of sessions in the details, and maxTopUps that of top-ups.
	RecentSessions = 20
	maxTopUps      = 100
)

// SlotOf returns the slot that a time is in, numbered since 1970.
func SlotOf(t time.Time) int64 { return t.Unix() / int64(SessionSlot/time.Second) }

// ActiveSessions returns the number of open sessions at a time, given the sessions by slot. All sessions of a slot end
// together, 24 hours after the slot began: up to SessionSlot early, and never late.
func ActiveSessions(sessions map[int64]int64, now time.Time) int64 {
	var active int64
	for slot, n := range sessions {
		if slot > SlotOf(now)-SessionSlots {
			active += n
		}
	}
	return max(0, active)
}

// Session is a customer's session with a restaurant.
type Session struct {
	ID          string // id of the message that opened it; empty if another system received that message
	Customer    string // E.164
	OpenedAt    time.Time
	LastMessage time.Time
	Messages    int64
}

// NewestFirst orders sessions by the time of opening, newest first.
func NewestFirst(a, b Session) int {
	return cmp.Or(b.OpenedAt.Compare(a.OpenedAt), cmp.Compare(b.Customer, a.Customer))
}

// nameImported gives each session from another system a unique id. Sessions that were opened at the same moment must be next
// to one another.
func nameImported(sessions []Session) {
	same := 0 // number of earlier sessions opened at the same moment
	for i := range sessions {
		if same++; i == 0 || !sessions[i].OpenedAt.Equal(sessions[i-1].OpenedAt) {
			same = 0
		}
		if sessions[i].ID != "" {
			continue
		}
		sessions[i].ID = fmt.Sprint("imported-", sessions[i].OpenedAt.UnixMilli())
		if same > 0 {
			sessions[i].ID += fmt.Sprint("-", same)
		}
	}
}

// DayReport is one day of the current month.
type DayReport struct {
	Day           int
	Conversations int64
	Messages      int64
}

// Details is all data about one restaurant.
type Details struct {
	Report
	Month          Month // the current month
	History        []MonthReport
	ActiveSessions int64
	Days           []DayReport  // each day of the current month, including days to come
	TopUps         []TopUp      // of the current month, the newest first
	Sessions       []Session    // the newest first
	Messages       ledger.Month // sent in the current month
	Cost           *ledger.Cost // of the delivered messages; nil if the month has no prices
}

// Details returns all data about one restaurant. It fails with restaurant.ErrNotFound or outage.ErrUnavailable.
func (s *Service) Details(ctx context.Context, restaurantID string) (Details, error) {
	if !restaurant.ValidID(restaurantID) {
		return Details{}, restaurant.ErrNotFound
	}
	now := s.now()
	month := s.calendar.Month(now)
	var d Details
	var record Record
	group, ctx := task.WithContext(ctx)
	group.Go(func() (err error) {
		record, err = s.record(ctx, restaurantID, month.Last(HistoryMonths))
		return err
	})
	group.Go(func() (err error) {
		d.Sessions, err = s.store.Sessions(ctx, restaurantID, RecentSessions)
		return err
	})
	group.Go(func() (err error) {
		d.TopUps, err = s.store.TopUps(ctx, restaurantID, month, maxTopUps)
		return err
	})
	group.Go(func() (err error) {
		d.Messages, err = s.store.Messages(ctx, restaurantID, month)
		return err
	})
	if err := group.Wait(); err != nil {
		return Details{}, err
	}
	d.Report, d.Month, d.History = s.report(record, now), month, s.history(record, now)
	nameImported(d.Sessions)
	if cost, known := s.prices.Cost(month.String(), d.Messages.Categories()); known {
		d.Cost = &cost
	}
	d.ActiveSessions = ActiveSessions(record.Activity.Sessions, now)
	count, tally := record.Months[month], record.Activity.Messages
	if tally.Month != month {
		tally.Days = nil
	}
	for day := 1; day <= month.Days(); day++ {
		d.Days = append(d.Days, DayReport{Day: day, Conversations: max(0, count.Days[day]), Messages: max(0, tally.Days[day])})
	}
	return d, nil
}
