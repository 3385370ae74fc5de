package usage_test

import (
	"testing"
	"time"
	_ "time/tzdata" // the tests' time zones, which this machine may lack

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/usage"
)

var zones = []string{"UTC", "Asia/Riyadh", "Pacific/Kiritimati", "America/New_York"}

// location returns a time zone that exists.
func location(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return zone
}

// at returns the instant that an RFC 3339 text names.
func at(text string) time.Time {
	instant, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return instant
}

func month(text string) usage.Month {
	m, err := usage.ParseMonth(text)
	if err != nil {
		panic(err)
	}
	return m
}

func TestMomentsBelongToTheMonthAndDayOfTheirZone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zone, instant string
		month         string
		day           int
	}{
		"UTC: last moment of a month":             {"UTC", "2026-10-31T23:59:59.999999999Z", "2026-10", 31},
		"UTC: first moment of a month":            {"UTC", "2026-11-01T00:00:00Z", "2026-11", 1},
		"UTC: last moment of a year":              {"UTC", "2026-12-31T23:59:59.999Z", "2026-12", 31},
		"UTC: leap day":                           {"UTC", "2028-02-29T12:00:00Z", "2028-02", 29},
		"UTC: day after a leap day":               {"UTC", "2028-03-01T00:00:00Z", "2028-03", 1},
		"UTC: end of February of a common year":   {"UTC", "2026-02-28T23:59:59Z", "2026-02", 28},
		"UTC: 2100 has no leap day":               {"UTC", "2100-03-01T00:00:00Z", "2100-03", 1},
		"an instant written in another zone":      {"UTC", "2026-11-01T02:59:59+03:00", "2026-10", 31},
		"Riyadh: before its midnight":             {"Asia/Riyadh", "2026-10-31T20:59:59.999Z", "2026-10", 31},
		"Riyadh: at its midnight":                 {"Asia/Riyadh", "2026-10-31T21:00:00Z", "2026-11", 1},
		"Riyadh: new year":                        {"Asia/Riyadh", "2026-12-31T21:00:00Z", "2027-01", 1},
		"Riyadh: leap day begins":                 {"Asia/Riyadh", "2028-02-28T21:00:00Z", "2028-02", 29},
		"Riyadh: leap day ends":                   {"Asia/Riyadh", "2028-02-29T21:00:00Z", "2028-03", 1},
		"Kiritimati: before its midnight":         {"Pacific/Kiritimati", "2025-12-31T09:59:59.999Z", "2025-12", 31},
		"Kiritimati: the first to see a year":     {"Pacific/Kiritimati", "2025-12-31T10:00:00Z", "2026-01", 1},
		"New York: before its midnight in summer": {"America/New_York", "2026-11-01T03:59:59Z", "2026-10", 31},
		"New York: long day begins":               {"America/New_York", "2026-11-01T04:00:00Z", "2026-11", 1},
		"New York: long day's repeated hour":      {"America/New_York", "2026-11-01T06:30:00Z", "2026-11", 1},
		"New York: long day's 25th hour":          {"America/New_York", "2026-11-02T04:59:59Z", "2026-11", 1},
		"New York: long day is over":              {"America/New_York", "2026-11-02T05:00:00Z", "2026-11", 2},
		"New York: short day begins":              {"America/New_York", "2026-03-08T05:00:00Z", "2026-03", 8},
		"New York: short day's 23rd hour":         {"America/New_York", "2026-03-09T03:59:59Z", "2026-03", 8},
		"New York: short day is over":             {"America/New_York", "2026-03-09T04:00:00Z", "2026-03", 9},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calendar := usage.NewCalendar(location(test.zone))
			if got := calendar.Month(at(test.instant)).String(); got != test.month {
				t.Errorf("a conversation at %s in %s is billed to the month %s, want %s", test.instant, test.zone, got, test.month)
			}
			if got := calendar.Day(at(test.instant)); got != test.day {
				t.Errorf("a conversation at %s in %s is counted on day %d, want %d", test.instant, test.zone, got, test.day)
			}
		})
	}
}

func TestCalendarWithoutZoneIsUTC(t *testing.T) {
	t.Parallel()
	calendar := usage.NewCalendar(nil)
	instant := at("2026-11-01T02:00:00+03:00")
	if got := calendar.Month(instant).String(); got != "2026-10" {
		t.Errorf("without a zone %s is in month %s, want 2026-10, the month in UTC", instant, got)
	}
	if got := calendar.Day(instant); got != 31 {
		t.Errorf("without a zone %s is on day %d, want 31, the day in UTC", instant, got)
	}
}

// Every hour belongs to a day, and each day follows the one before.
func TestDaysFollowOneAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		calendar := usage.NewCalendar(location(rapid.SampledFrom(zones).Draw(t, "zone")))
		seconds := rapid.Int64Range(0, 100*365*24*60*60).Draw(t, "seconds since 2000")
		before := at("2000-01-01T00:00:00Z").Add(time.Duration(seconds) * time.Second)
		after := before.Add(rapid.SampledFrom([]time.Duration{time.Second, time.Hour}).Draw(t, "later"))
		m, day := calendar.Month(before), calendar.Day(before)
		nextMonth, nextDay := calendar.Month(after), calendar.Day(after)
		switch {
		case nextMonth == m && (nextDay == day || nextDay == day+1):
		case nextMonth.Last(2)[1] == m && day >= 28 && nextDay == 1:
		default:
			t.Errorf("%s is day %d of %s, and %s is day %d of %s: the days don't follow one another", before.UTC(), day, m, after.UTC(), nextDay, nextMonth)
		}
	})
}

func TestPeriodBeginsAndEndsAtTheZonesMidnight(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ zone, instant, startsAt, resetsAt string }{
		"UTC":                  {"UTC", "2026-11-30T23:59:59.999Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"},
		"at its start":         {"UTC", "2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		"Riyadh":               {"Asia/Riyadh", "2026-11-30T22:00:00Z", "2026-11-30T21:00:00Z", "2026-12-31T21:00:00Z"},
		"clocks skip midnight": {"America/Asuncion", "2023-10-15T00:00:00Z", "2023-10-01T04:00:00Z", "2023-11-01T03:00:00Z"},
		"the next one's too":   {"America/Asuncion", "2023-09-15T00:00:00Z", "2023-09-01T04:00:00Z", "2023-10-01T04:00:00Z"},
		"midnight comes twice": {"America/Havana", "2020-11-15T00:00:00Z", "2020-11-01T04:00:00Z", "2020-12-01T05:00:00Z"},
		"New York's long day":  {"America/New_York", "2026-11-15T00:00:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calendar := usage.NewCalendar(location(test.zone))
			want := usage.Period{Month: calendar.Month(at(test.instant)), TimeZone: test.zone,
				StartsAt: at(test.startsAt), ResetsAt: at(test.resetsAt)}
			wantEqual(t, "period", calendar.Period(at(test.instant)), want)
		})
	}
}

// TestPeriodHasAllMomentsOfItsMonth: a period has exactly the instants of its month.
func TestPeriodHasAllMomentsOfItsMonth(t *testing.T) {
	t.Parallel()
	zones := append([]string{"America/Asuncion", "America/Havana", "Asia/Amman", "Asia/Beirut", "Africa/Cairo"}, zones...)
	rapid.Check(t, func(t *rapid.T) {
		calendar := usage.NewCalendar(location(rapid.SampledFrom(zones).Draw(t, "zone")))
		now := at("1990-01-01T00:00:00Z").Add(time.Duration(rapid.Int64Range(0, 50*365*24*60*60).Draw(t, "seconds")) * time.Second)
		p := calendar.Period(now)
		if now.Before(p.StartsAt) || !now.Before(p.ResetsAt) {
			t.Errorf("%s is shown in the period %+v, which doesn't contain it", now, p)
		}
		if calendar.Month(p.StartsAt) != p.Month || !calendar.Month(p.StartsAt.Add(-1)).Before(p.Month) ||
			calendar.Month(p.ResetsAt.Add(-1)) != p.Month || !p.Month.Before(calendar.Month(p.ResetsAt)) {
			t.Errorf("the period %+v doesn't begin and end where conversations begin and end to count for its month", p)
		}
	})
}

func TestMonthsBeforeAMonth(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		month string
		n     int
		want  []string
	}{
		"none":                {"2026-11", 0, []string{}},
		"itself":              {"2026-11", 1, []string{"2026-11"}},
		"inside a year":       {"2026-11", 3, []string{"2026-11", "2026-10", "2026-09"}},
		"January":             {"2026-01", 2, []string{"2026-01", "2025-12"}},
		"December":            {"2025-12", 2, []string{"2025-12", "2025-11"}},
		"across a year's end": {"2026-02", 6, []string{"2026-02", "2026-01", "2025-12", "2025-11", "2025-10", "2025-09"}},
		"across a century":    {"2000-01", 2, []string{"2000-01", "1999-12"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := []string{}
			for _, m := range month(test.month).Last(test.n) {
				got = append(got, m.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the last %d months from %s on (-want +got):\n%s", test.n, test.month, diff)
			}
		})
	}
}

// Stores sort months by their text, which must therefore sort in the order of time.
func TestMonthsSortAsTimePasses(t *testing.T) {
	t.Parallel()
	anyMonth := rapid.Custom(func(t *rapid.T) usage.Month {
		year, month := rapid.IntRange(1, 9999).Draw(t, "year"), rapid.IntRange(1, 12).Draw(t, "month")
		return usage.Month{Year: year, Month: time.Month(month)}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyMonth.Draw(t, "a"), anyMonth.Draw(t, "b")
		first := func(m usage.Month) time.Time { return time.Date(m.Year, m.Month, 1, 0, 0, 0, 0, time.UTC) }
		want := first(a).Before(first(b))
		if got := a.Before(b); got != want {
			t.Errorf("%s.Before(%s) = %t, want %t", a, b, got, want)
		}
		if got := a.String() < b.String(); got != want {
			t.Errorf("the texts %q < %q are %t, want %t: stores sort months by them", a, b, got, want)
		}
		if got, err := usage.ParseMonth(a.String()); err != nil || got != a {
			t.Errorf("ParseMonth(%q) = %v, %v, want the month back", a, got, err)
		}
	})
}

func TestParseMonthRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "activity", "2026", "2026-", "2026-1", "2026-00", "2026-13", "2026-011", "26-11", "02026-11", "2026/11", "2026-11-01",
		" 2026-11", "2026-11 ", "2026-11\n", "-2026-11", "+2026-11", "2026--1", "0000-01", "٢٠٢٦-١١", "2026-nov",
	} {
		if got, err := usage.ParseMonth(text); err == nil {
			t.Errorf("ParseMonth(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseMonth(f *testing.F) {
	for _, seed := range []string{"2026-11", "0001-01", "9999-12", "2026-13", "0000-12", "2026-1", "activity", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := usage.ParseMonth(text)
		if err != nil {
			return
		}
		if got := m.String(); got != text {
			t.Errorf("ParseMonth took %q for %q, want an error or the same text", text, got)
		}
		if m.Year < 1 || m.Month < time.January || m.Month > time.December {
			t.Errorf("ParseMonth took %q for month %d of the year %d, which doesn't exist", text, m.Month, m.Year)
		}
	})
}
