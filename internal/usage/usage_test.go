package usage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/search"
	"github.com/sufrah/usage-bootstrap/internal/test/localstore"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// defaults differ from every bot's limits, so that the figures show which limits apply.
var defaults = restaurant.Limits{ConversationsPerDay: 500, AnswersPerMinute: 30}

type months = map[usage.Month]usage.MonthCount

// newService returns a Service that counts in a zone, with a clock that stands still.
func newService(store usage.Store, zone, now string) *usage.Service {
	return usage.NewService(store, usage.NewCalendar(location(zone)), defaults, func() time.Time { return at(now) })
}

// create adds a restaurant to store. A daily limit of 0 stands for no bot.
func create(t *testing.T, store *stackstore.Store, r restaurant.Restaurant, dailyLimit int64) {
	t.Helper()
	var bot *restaurant.Bot
	if dailyLimit != 0 {
		bot = &restaurant.Bot{ID: "bot-" + r.ID, Limits: restaurant.Limits{ConversationsPerDay: dailyLimit, AnswersPerMinute: 60}}
	}
	if err := store.CreateRestaurant(t.Context(), r, bot); err != nil {
		t.Fatalf("creating the restaurant: %v", err)
	}
}

func put(t *testing.T, store *stackstore.Store, id string, activity usage.Activity, counts months) {
	t.Helper()
	if err := store.PutUsage(t.Context(), id, activity, counts); err != nil {
		t.Fatalf("storing the usage: %v", err)
	}
}

// named returns a valid, active restaurant.
func named(id, name string) restaurant.Restaurant {
	return restaurant.Restaurant{ID: id, Name: name, Active: true, CreatedAt: at("2025-08-15T10:00:00Z")}
}

// example returns a store with the restaurant in the API's documentation.
func example(t *testing.T) *stackstore.Store {
	t.Helper()
	store := localstore.New(t)
	create(t, store, named("clxyz123abc", "Example Restaurant"), 1000)
	last := at("2025-10-20T15:30:00Z")
	put(t, store, "clxyz123abc",
		usage.Activity{First: at("2025-09-01T08:00:00Z"), Last: last, LastConversation: last},
		months{
			month("2025-10"): {Conversations: 45, Days: map[int]int64{19: 30, 20: 15}, LastConversation: last},
			month("2025-09"): {Conversations: 123, Days: map[int]int64{1: 123}, LastConversation: at("2025-09-30T20:15:00Z")},
		})
	return store
}

var october = usage.Period{
	Month: month("2025-10"), TimeZone: "UTC", StartsAt: at("2025-10-01T00:00:00Z"), ResetsAt: at("2025-11-01T00:00:00Z"),
}

// exampleReport has the documentation's figures on the day after.
var exampleReport = usage.Report{
	RestaurantID: "clxyz123abc", RestaurantName: "Example Restaurant",
	ConversationsThisMonth: 45, LastConversationAt: at("2025-10-20T15:30:00Z"),
	Allowance:     usage.Allowance{DailyLimit: 1000, DailyRemaining: 1000, MonthlyLimit: 30000, MonthlyRemaining: 29955},
	Quota:         usage.Quota{Used: 45, Limit: 30000},
	Period:        october,
	FirstActivity: at("2025-09-01T08:00:00Z"), LastActivity: at("2025-10-20T15:30:00Z"), Active: true,
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestReportHasTheDocumentedFigures(t *testing.T) {
	t.Parallel()
	got, err := newService(example(t), "UTC", "2025-10-21T09:00:00Z").Report(t.Context(), "clxyz123abc")
	if err != nil {
		t.Fatalf("reading the report: %v", err)
	}
	wantEqual(t, "report", got, exampleReport)
}

func TestReportAtTheEdgesOfDaysAndMonths(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		zone, now      string
		thisMonth      int64
		remainingToday int64 // of 100
	}{
		"UTC: a day with conversations":      {"UTC", "2026-10-31T12:00:00Z", 30, 90},
		"UTC: its last moment":               {"UTC", "2026-10-31T23:59:59.999Z", 30, 90},
		"UTC: a new day and month":           {"UTC", "2026-11-01T00:00:00Z", 3, 97},
		"UTC: a new day in the month":        {"UTC", "2026-11-02T00:00:00Z", 3, 100},
		"UTC: a month without a record":      {"UTC", "2026-12-01T00:00:00Z", 0, 100},
		"UTC: same month of the next year":   {"UTC", "2027-10-31T12:00:00Z", 0, 100},
		"Riyadh: before midnight":            {"Asia/Riyadh", "2026-10-31T20:59:59.999Z", 30, 90},
		"Riyadh: three hours before UTC":     {"Asia/Riyadh", "2026-10-31T21:00:00Z", 3, 97},
		"Kiritimati: fourteen hours before":  {"Pacific/Kiritimati", "2026-10-31T10:00:00Z", 3, 97},
		"New York: four hours after UTC":     {"America/New_York", "2026-11-01T03:59:59Z", 30, 90},
		"New York: begins its 25-hour day":   {"America/New_York", "2026-11-01T04:00:00Z", 3, 97},
		"New York: ends its 25-hour day":     {"America/New_York", "2026-11-02T04:59:59Z", 3, 97},
		"New York: the day after the change": {"America/New_York", "2026-11-02T05:00:00Z", 3, 100},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := localstore.New(t)
			create(t, store, named("edge", "Edge"), 100)
			put(t, store, "edge", usage.Activity{}, months{
				month("2026-10"): {Conversations: 30, Days: map[int]int64{1: 20, 31: 10}},
				month("2026-11"): {Conversations: 3, Days: map[int]int64{1: 3}},
			})
			got, err := newService(store, test.zone, test.now).Report(t.Context(), "edge")
			if err != nil {
				t.Fatalf("reading the report: %v", err)
			}
			if got.ConversationsThisMonth != test.thisMonth {
				t.Errorf("at %s in %s the owner sees %d conversations this month, want %d", test.now, test.zone, got.ConversationsThisMonth, test.thisMonth)
			}
			if want := 100 - test.remainingToday; got.ConversationsToday != want {
				t.Errorf("at %s in %s the owner sees %d conversations today, want %d", test.now, test.zone, got.ConversationsToday, want)
			}
			wantEqual(t, "allowance at "+test.now, got.Allowance, usage.Allowance{DailyLimit: 100, DailyRemaining: test.remainingToday,
				MonthlyLimit: 3000, MonthlyRemaining: 3000 - test.thisMonth})
		})
	}
}

// A report that begins before midnight is the old month's, however late it ends.
func TestReportIsOfOneMoment(t *testing.T) {
	t.Parallel()
	moments := []time.Time{at("2025-10-31T23:59:59Z"), at("2025-11-01T00:00:00Z")}
	ticking := func() time.Time {
		now := moments[0]
		moments = moments[len(moments)-1:]
		return now
	}
	service := usage.NewService(example(t), usage.NewCalendar(nil), defaults, ticking)
	got, err := service.Report(t.Context(), "clxyz123abc")
	if err != nil {
		t.Fatalf("reading the report: %v", err)
	}
	wantEqual(t, "report", got, exampleReport)
}

func TestReportWithoutUsage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		dailyLimit int64
		want       int64 // the daily limit that applies
	}{
		"without a bot the defaults hold": {0, defaults.ConversationsPerDay},
		"with a bot its limits hold":      {7, 7},
		"unlimited":                       {usage.Unlimited, usage.Unlimited},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := localstore.New(t)
			quiet := named("quiet", "Quiet")
			quiet.Active = false
			create(t, store, quiet, test.dailyLimit)
			got, history, err := newService(store, "Asia/Riyadh", "2025-10-21T09:00:00Z").History(t.Context(), "quiet")
			if err != nil {
				t.Fatalf("reading the report with its history: %v", err)
			}
			wantEqual(t, "report", got, usage.Report{RestaurantID: "quiet", RestaurantName: "Quiet",
				Allowance: usage.NewAllowance(test.want, 0, usage.NewQuota(test.want, 0, 0)), Quota: usage.NewQuota(test.want, 0, 0),
				Period: usage.Period{Month: month("2025-10"), TimeZone: "Asia/Riyadh",
					StartsAt: at("2025-09-30T21:00:00Z"), ResetsAt: at("2025-10-31T21:00:00Z")}})
			if len(history) != 0 {
				t.Errorf("a restaurant that was never used has the history %v, want none", history)
			}
		})
	}
}

// A bot with a limit of 0 conversations is not a restaurant without a bot.
func TestLimitOfZeroIsNotTheDefault(t *testing.T) {
	t.Parallel()
	store := localstore.New(t)
	if err := store.CreateRestaurant(t.Context(), named("closed", "Closed"), &restaurant.Bot{ID: "bot"}); err != nil {
		t.Fatalf("creating the restaurant: %v", err)
	}
	got, err := newService(store, "UTC", "2025-10-21T09:00:00Z").Report(t.Context(), "closed")
	if err != nil {
		t.Fatalf("reading the report: %v", err)
	}
	wantEqual(t, "allowance of a bot with a limit of 0", got.Allowance, usage.Allowance{})
}

func TestHistoryHasTheDocumentedFigures(t *testing.T) {
	t.Parallel()
	report, history, err := newService(example(t), "UTC", "2025-10-21T09:00:00Z").History(t.Context(), "clxyz123abc")
	if err != nil {
		t.Fatalf("reading the report with its history: %v", err)
	}
	wantEqual(t, "report", report, exampleReport)
	wantEqual(t, "history", history, []usage.MonthReport{
		{Month: month("2025-10"), Conversations: 45, LastConversationAt: at("2025-10-20T15:30:00Z")},
		{Month: month("2025-09"), Conversations: 123, LastConversationAt: at("2025-09-30T20:15:00Z")},
	})
}

func TestHistoryHasSixMonthsNewestFirst(t *testing.T) {
	t.Parallel()
	everyMonth := strings.Fields("2025-06 2025-07 2025-08 2025-09 2025-10 2025-11 2025-12 2026-01 2026-02 2026-03")
	tests := map[string]struct {
		zone, now string
		recorded  []string
		want      []string
	}{
		"six, newest first, across a year's end": {
			"UTC", "2026-02-10T12:00:00Z", everyMonth,
			[]string{"2026-02", "2026-01", "2025-12", "2025-11", "2025-10", "2025-09"}},
		"only those with a record": {
			"UTC", "2026-02-10T12:00:00Z", []string{"2025-08", "2025-09", "2025-12", "2026-03"}, []string{"2025-12", "2025-09"}},
		"none in range": {"UTC", "2026-02-10T12:00:00Z", []string{"2025-08"}, []string{}},
		"at a year's end": {
			"UTC", "2025-12-31T23:59:59.999Z", everyMonth,
			[]string{"2025-12", "2025-11", "2025-10", "2025-09", "2025-08", "2025-07"}},
		"at the same time further east": {
			"Asia/Riyadh", "2025-12-31T23:59:59.999Z", everyMonth,
			[]string{"2026-01", "2025-12", "2025-11", "2025-10", "2025-09", "2025-08"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := localstore.New(t)
			create(t, store, named("h", "History"), 0)
			counts := months{}
			for _, m := range test.recorded {
				counts[month(m)] = usage.MonthCount{Conversations: 1}
			}
			put(t, store, "h", usage.Activity{}, counts)
			_, history, err := newService(store, test.zone, test.now).History(t.Context(), "h")
			if err != nil {
				t.Fatalf("reading the report with its history: %v", err)
			}
			got := []string{}
			for _, m := range history {
				got = append(got, m.Month.String())
			}
			wantEqual(t, "months of the history", got, test.want)
		})
	}
}

// chain returns a store of five restaurants, r1 the oldest. r2 and r4 are inactive, and ri has i conversations.
func chain(t *testing.T) *stackstore.Store {
	t.Helper()
	store := localstore.New(t)
	for i := 1; i <= 5; i++ {
		r := named(fmt.Sprintf("r%d", i), "Chain")
		r.CreatedAt = r.CreatedAt.Add(time.Duration(i) * time.Hour)
		r.Active = i%2 == 1
		create(t, store, r, int64(i*10))
		put(t, store, r.ID, usage.Activity{}, months{
			month("2025-10"): {Conversations: int64(i), Days: map[int]int64{21: 1}},
			month("2025-09"): {Conversations: 99},
		})
	}
	return store
}

func TestListHasThePageAndTheExactTotal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		filter        usage.Filter
		offset, limit int
		want          string // the wanted ids
		total         int
	}{
		"all":                 {usage.All, 0, 20, "r5 r4 r3 r2 r1", 5},
		"active":              {usage.ActiveOnly, 0, 20, "r5 r3 r1", 3},
		"inactive":            {usage.InactiveOnly, 0, 20, "r4 r2", 2},
		"first page":          {usage.All, 0, 2, "r5 r4", 5},
		"last page":           {usage.All, 4, 2, "r1", 5},
		"page of the active":  {usage.ActiveOnly, 1, 1, "r3", 3},
		"just past the end":   {usage.All, 5, 2, "", 5},
		"far past the end":    {usage.InactiveOnly, 1_000_000, 2, "", 2},
		"exactly to the end":  {usage.All, 3, 2, "r2 r1", 5},
		"the whole, in a row": {usage.All, 0, 5, "r5 r4 r3 r2 r1", 5},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service := newService(chain(t), "UTC", "2025-10-21T09:00:00Z")
			directory, err := service.Directory(t.Context())
			if err != nil {
				t.Fatalf("reading the directory: %v", err)
			}
			got, err := service.List(t.Context(), directory, test.filter, usage.Start{Offset: test.offset}, test.limit)
			if err != nil {
				t.Fatalf("reading a page of the list: %v", err)
			}
			ids := make([]string, len(got.Reports))
			for i, report := range got.Reports {
				ids[i] = report.RestaurantID
			}
			wantEqual(t, "restaurants on the page", strings.Join(ids, " "), test.want)
			wantEqual(t, "total of the filter", got.Total, test.total)
		})
	}
}

// If each page begins where the previous one ended, the pages have every restaurant once, and their offsets are right.
func TestFollowedPagesHaveEveryRestaurantOnce(t *testing.T) {
	t.Parallel()
	service := newService(chain(t), "UTC", "2025-10-21T09:00:00Z")
	var pages []string
	for start := (usage.Start{}); ; {
		directory, err := service.Directory(t.Context())
		if err != nil {
			t.Fatalf("reading the directory: %v", err)
		}
		got, err := service.List(t.Context(), directory, usage.All, start, 2)
		if err != nil {
			t.Fatalf("reading a page of the list: %v", err)
		}
		page := fmt.Sprint(got.Offset, " of ", got.Total)
		for _, report := range got.Reports {
			page += " " + report.RestaurantID
		}
		pages = append(pages, page)
		wantEqual(t, "hasMore of a page with or without a next one", got.More, got.Next != nil)
		if start = (usage.Start{After: got.Next}); start.After == nil {
			break
		}
	}
	wantEqual(t, "pages", pages, []string{"0 of 5 r5 r4", "2 of 5 r3 r2", "4 of 5 r1"})
}

// A restaurant has the same figures in the list as on its own.
func TestListAgreesWithReport(t *testing.T) {
	t.Parallel()
	service := newService(chain(t), "UTC", "2025-10-21T09:00:00Z")
	directory, err := service.Directory(t.Context())
	if err != nil {
		t.Fatalf("reading the directory: %v", err)
	}
	listing, err := service.List(t.Context(), directory, usage.All, usage.Start{}, 20)
	if err != nil {
		t.Fatalf("reading a page of the list: %v", err)
	}
	var reports []usage.Report
	for _, id := range []string{"r5", "r4", "r3", "r2", "r1"} {
		report, err := service.Report(t.Context(), id)
		if err != nil {
			t.Fatalf("reading the report: %v", err)
		}
		reports = append(reports, report)
	}
	wantEqual(t, "list compared with each restaurant's own report", listing.Reports, reports)
	wantEqual(t, "newest's allowance", reports[0].Allowance,
		usage.Allowance{DailyLimit: 50, DailyRemaining: 49, MonthlyLimit: 1500, MonthlyRemaining: 1495})
}

func TestFiltersAdmitTheirRestaurants(t *testing.T) {
	t.Parallel()
	tests := map[usage.Filter]struct{ active, inactive bool }{
		usage.All:          {true, true},
		usage.ActiveOnly:   {true, false},
		usage.InactiveOnly: {false, true},
	}
	for filter, want := range tests {
		if got := filter.Admits(true); got != want.active {
			t.Errorf("filter %d admits an active restaurant: %t, want %t", filter, got, want.active)
		}
		if got := filter.Admits(false); got != want.inactive {
			t.Errorf("filter %d admits an inactive restaurant: %t, want %t", filter, got, want.inactive)
		}
	}
}

// broken is a store. Its methods fail with err and count their calls.
type broken struct {
	usage.Store
	err   error
	asked int
}

func (b *broken) Usage(context.Context, string, []usage.Month) (usage.Record, error) {
	b.asked++
	return usage.Record{}, b.err
}

func (b *broken) Search(context.Context, search.Query, usage.Filter, usage.Start, int) (usage.Found, error) {
	b.asked++
	return usage.Found{}, b.err
}

func (b *broken) Records(context.Context, []string, usage.Month) ([]usage.Record, error) {
	b.asked++
	return nil, b.err
}

func (b *broken) Directory(context.Context) (usage.Directory, error) {
	b.asked++
	return nil, b.err
}

// brokenPage is a directory with unreadable pages.
type brokenPage struct {
	usage.Directory
	err error
}

func (b brokenPage) Total(usage.Filter) int { return 5 }

func (b brokenPage) After(context.Context, usage.Filter, usage.Place, int, usage.Month) (usage.Stretch, error) {
	return usage.Stretch{}, b.err
}

func (b brokenPage) Page(context.Context, usage.Filter, int, int, usage.Month) ([]usage.Record, error) {
	return nil, b.err
}

func TestErrorsKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{
		"outage":    outage.ErrUnavailable,
		"not found": restaurant.ErrNotFound,
		"cancelled": context.Canceled,
		"any other": errors.New("a driver's own"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lost := fmt.Errorf("the store's words: %w", want)
			service := newService(&broken{err: lost}, "UTC", "2025-10-21T09:00:00Z")
			_, reportErr := service.Report(t.Context(), "r1")
			_, _, historyErr := service.History(t.Context(), "r1")
			_, directoryErr := service.Directory(t.Context())
			_, listErr := service.List(t.Context(), brokenPage{err: lost}, usage.All, usage.Start{}, 20)
			_, afterErr := service.List(t.Context(), brokenPage{err: lost}, usage.All, usage.Start{After: &usage.Place{ID: "r1"}}, 20)
			_, searchErr := service.Search(t.Context(), search.Query{}, usage.All, usage.Start{}, 20)
			_, foundErr := service.ListFound(t.Context(), usage.Found{IDs: []string{"r1"}})
			for call, err := range map[string]error{
				"Search": searchErr, "ListFound": foundErr,
				"Report": reportErr, "History": historyErr, "Directory": directoryErr, "List": listErr, "List after a place": afterErr,
			} {
				if !errors.Is(err, want) {
					t.Errorf("%s fails with %v, want %v", call, err, want)
				}
			}
		})
	}
}

func TestUnknownRestaurantIsNotFound(t *testing.T) {
	t.Parallel()
	service := newService(example(t), "UTC", "2025-10-21T09:00:00Z")
	if _, err := service.Report(t.Context(), "nobody"); !errors.Is(err, restaurant.ErrNotFound) {
		t.Errorf("Report fails with %v, want not found", err)
	}
	if _, _, err := service.History(t.Context(), "nobody"); !errors.Is(err, restaurant.ErrNotFound) {
		t.Errorf("History fails with %v, want not found", err)
	}
}

func TestInvalidIDsNeverReachTheStore(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", " ", "*", "a/b", "../etc", "a b", "a\x00", "مطعم", strings.Repeat("a", 65)} {
		store := &broken{err: outage.ErrUnavailable}
		service := newService(store, "UTC", "2025-10-21T09:00:00Z")
		if _, err := service.Report(t.Context(), id); !errors.Is(err, restaurant.ErrNotFound) {
			t.Errorf("Report(%q) fails with %v, want not found", id, err)
		}
		if _, _, err := service.History(t.Context(), id); !errors.Is(err, restaurant.ErrNotFound) {
			t.Errorf("History(%q) fails with %v, want not found", id, err)
		}
		if store.asked != 0 {
			t.Errorf("the store was asked for the invalid id %q %d times, which costs a read for every guess", id, store.asked)
		}
	}
}
