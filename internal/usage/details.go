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
	// SessionSlot is how exactly it is known when open sessions' latest messages came.
	SessionSlot = 30 * time.Minute
	// SessionSlots is how many slots a session stays open after a message: 24 hours.
	SessionSlots = 48

	// RecentSessions is how many sessions the details show, and maxTopUps how many top-ups.
	RecentSessions = 20
	maxTopUps      = 100
)

// SlotOf returns the slot that a time falls in, numbered since 1970.
func SlotOf(t time.Time) int64 { return t.Unix() / int64(SessionSlot/time.Second) }

// ActiveSessions returns the number of open sessions at the time, given the sessions by slot. At the end of a slot, all
// sessions with their latest message in the slot 24 hours before end together: up to SessionSlot early, and never late.
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
	ID          string // of the message that opened it; empty where that came to another system
	Customer    string // E.164
	OpenedAt    time.Time
	LastMessage time.Time
	Messages    int64
}

// NewestFirst is the order of sessions, by when they were opened.
func NewestFirst(a, b Session) int {
	return cmp.Or(b.OpenedAt.Compare(a.OpenedAt), cmp.Compare(b.Customer, a.Customer))
}

// nameImported gives each session from another system a unique id. The sessions must be in order, so that sessions opened at
// the same moment follow one another.
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

// Details is all that is shown of one restaurant.
type Details struct {
	Report
	Month          Month // the current one
	History        []MonthReport
	ActiveSessions int64
	Days           []DayReport  // each day of the current month, including days to come
	TopUps         []TopUp      // of the current month, the newest first
	Sessions       []Session    // the newest first
	Messages       ledger.Month // sent in the current month
	Cost           *ledger.Cost // of the delivered messages; nil if the month has no prices
}

// Details returns all that is shown of one restaurant. It fails with restaurant.ErrNotFound or outage.ErrUnavailable.
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
