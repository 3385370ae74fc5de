package usage

import (
	"fmt"
	"time"
)

// Calendar assigns instants to months and days in the time zone USAGE_TIME_ZONE. In Asia/Riyadh, a new day begins three hours
// earlier than in UTC.
type Calendar struct {
	location *time.Location
}

// NewCalendar returns the calendar of a time zone. A nil location means UTC.
func NewCalendar(location *time.Location) Calendar {
	if location == nil {
		location = time.UTC
	}
	return Calendar{location: location}
}

// Month returns the month that t is in.
func (c Calendar) Month(t time.Time) Month {
	year, month, _ := t.In(c.location).Date()
	return Month{Year: year, Month: month}
}

// Day returns the day of the month that t is on, 1 to 31.
func (c Calendar) Day(t time.Time) int {
	return t.In(c.location).Day()
}

// Date returns the day that t is on, as midnight UTC of that day whatever the calendar's zone.
func (c Calendar) Date(t time.Time) time.Time {
	year, month, day := t.In(c.location).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// Period is a month as instants, the time that a quota is for.
type Period struct {
	Month    Month
	TimeZone string    // IANA name
	StartsAt time.Time // the month's first instant
	ResetsAt time.Time // the next month's first instant
}

// Period returns the period that t is in.
func (c Calendar) Period(t time.Time) Period {
	month := c.Month(t)
	return Period{Month: month, TimeZone: c.location.String(), StartsAt: c.start(month), ResetsAt: c.start(month.next())}
}

// start returns the first instant of a month. It is midnight, except in a zone that changes its clocks at that hour.
func (c Calendar) start(m Month) time.Time {
	start := time.Date(m.Year, m.Month, 1, 0, 0, 0, 0, c.location)
	if c.Month(start) != m { // the clocks skip midnight, and time.Date went back over the gap
		_, start = start.ZoneBounds()
	}
	if from, _ := start.ZoneBounds(); !from.IsZero() && c.Month(from.Add(-1)) == m { // the clocks repeat midnight, and the first one counts
		_, offset := from.Add(-1).Zone()
		start = time.Date(m.Year, m.Month, 1, 0, 0, 0, 0, time.FixedZone("", offset))
	}
	return start.UTC()
}

// Month is a calendar month without a time zone: that is the Calendar's.
type Month struct {
	Year  int
	Month time.Month
}

// ParseMonth parses the form that String writes.
func ParseMonth(s string) (Month, error) {
	t, err := time.Parse("2006-01", s)
	if err != nil || t.Year() == 0 {
		return Month{}, fmt.Errorf("%q is not a month, such as 2026-11", s)
	}
	return Month{Year: t.Year(), Month: t.Month()}, nil
}

// String returns the month as "2026-11", which sorts as time passes.
func (m Month) String() string {
	return fmt.Sprintf("%04d-%02d", m.Year, int(m.Month))
}

// Days returns the number of days in the month.
func (m Month) Days() int {
	return time.Date(m.Year, m.Month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// Before reports whether m is an earlier month than other.
func (m Month) Before(other Month) bool {
	return m.index() < other.index()
}

// next returns the month after m.
func (m Month) next() Month {
	index := m.index() + 1
	return Month{Year: index / 12, Month: time.Month(index%12 + 1)}
}

// Last returns m and the n-1 months before it, newest first.
func (m Month) Last(n int) []Month {
	months := make([]Month, n)
	for i := range months {
		index := m.index() - i
		months[i] = Month{Year: index / 12, Month: time.Month(index%12 + 1)}
	}
	return months
}

// index numbers months so that neighbours differ by one, even across a year's end.
func (m Month) index() int {
	return m.Year*12 + int(m.Month) - 1
}
