package demo_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the tests' time zones, which this machine may lack

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/local/demo"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/localstore"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// noon is an ordinary time: neither a month's first day nor close to midnight.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// defaults differ from the demo bots' limits, so that the figures show which limits apply.
var defaults = restaurant.Limits{ConversationsPerDay: 77, AnswersPerMinute: 7}

// stack is a store with the demo data, and the service that reads it.
type stack struct {
	store   *stackstore.Store
	service *usage.Service
}

// setup loads the demo data as of noon.
func setup(t *testing.T) stack {
	t.Helper()
	calendar, store := usage.NewCalendar(nil), localstore.New(t)
	if err := demo.Load(t.Context(), store, calendar, noon); err != nil {
		t.Fatalf("loading the demo data: %v", err)
	}
	return stack{store, usage.NewService(store, calendar, defaults, func() time.Time { return noon })}
}

var shared struct {
	once sync.Once
	stack
}

// loaded returns the demo data for tests that change nothing, which share it.
func loaded(t *testing.T) stack {
	t.Helper()
	shared.once.Do(func() { shared.stack = setup(t) })
	if shared.store == nil {
		t.Fatal("loading the demo data failed in another test")
	}
	return shared.stack
}

// records is a store in maps. Tests try hundreds of moments on it; each would take a third of a second on the stand-in.
type records struct {
	usage.Store
	mu  sync.Mutex
	all map[string]usage.Record

	sessions []conversation.Session
	topUps   map[string][]usage.TopUp // by restaurant and month
}

func (r *records) AddCredential(context.Context, credential.Credential) error { return nil }

func (r *records) CreateRestaurant(_ context.Context, created restaurant.Restaurant, bot *restaurant.Bot) error {
	r.all[created.ID] = usage.Record{Restaurant: created, Bot: bot}
	return nil
}

func (r *records) PutUsage(_ context.Context, id string, activity usage.Activity, months map[usage.Month]usage.MonthCount) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	record := r.all[id]
	record.Activity, record.Months = activity, months
	r.all[id] = record
	return nil
}

func (r *records) MergeSession(_ context.Context, s conversation.Session) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions = append(r.sessions, s)
	return true, nil
}

func (r *records) PutPage(context.Context, string, delivery.Place, ledger.Page) error { return nil }

func (r *records) AddTopUp(_ context.Context, id string, month usage.Month, a usage.TopUp, _ string, _ int64) (usage.ToppedUp, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.topUps == nil {
		r.topUps = make(map[string][]usage.TopUp)
	}
	r.topUps[id+" "+month.String()] = append(r.topUps[id+" "+month.String()], a)
	return usage.ToppedUp{}, nil
}

func (r *records) Usage(_ context.Context, id string, _ []usage.Month) (usage.Record, error) {
	return r.all[id], nil
}

// entry is everything that the API shows of a restaurant.
type entry struct {
	Report  usage.Report
	History []usage.MonthReport
}

// list returns a page with every restaurant that the filter admits.
func (s stack) list(ctx context.Context, filter usage.Filter) (usage.Listing, error) {
	directory, err := s.service.Directory(ctx)
	if err != nil {
		return usage.Listing{}, err
	}
	return s.service.List(ctx, directory, filter, usage.Start{}, 2*demo.Restaurants)
}

// entries returns every restaurant's entry, in the order of the list.
func (s stack) entries(ctx context.Context) ([]entry, error) {
	listing, err := s.list(ctx, usage.All)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, len(listing.Reports))
	for i, listed := range listing.Reports {
		if entries[i], err = show(ctx, s.service, listed.RestaurantID); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func show(ctx context.Context, service *usage.Service, id string) (entry, error) {
	report, history, err := service.History(ctx, id)
	return entry{report, history}, err
}

func (s stack) mustEntries(t *testing.T) []entry {
	t.Helper()
	entries, err := s.entries(t.Context())
	if err != nil {
		t.Fatalf("reading the demo data's directory: %v", err)
	}
	return entries
}

func (s stack) mustReport(t *testing.T, id string) usage.Report {
	t.Helper()
	report, err := s.service.Report(t.Context(), id)
	if err != nil {
		t.Fatalf("reading the report: %v", err)
	}
	return report
}

func TestTotals(t *testing.T) {
	t.Parallel()
	s := loaded(t)
	for filter, want := range map[usage.Filter]int{
		usage.All: demo.Restaurants, usage.ActiveOnly: demo.Restaurants - 1, usage.InactiveOnly: 1,
	} {
		got, err := s.list(t.Context(), filter)
		if err != nil {
			t.Fatalf("listing the demo data's restaurants: %v", err)
		}
		if got.Total != want || len(got.Reports) != want {
			t.Errorf("filter %d admits %d restaurants and lists %d, want %d", filter, got.Total, len(got.Reports), want)
		}
	}
	if demo.Restaurants != 150 {
		t.Errorf("%d restaurants, and the documentation shows 150", demo.Restaurants)
	}
}

func TestExample(t *testing.T) {
	t.Parallel()
	s := loaded(t)
	entries := s.mustEntries(t)
	last := time.Date(2026, 10, 20, 15, 30, 0, 0, time.UTC)
	want := entry{
		Report: usage.Report{
			RestaurantID: demo.ExampleID, RestaurantName: "Example Restaurant",
			ConversationsThisMonth: 45, LastConversationAt: noon.AddDate(0, 0, -1),
			Allowance:     usage.Allowance{DailyLimit: 1000, DailyRemaining: 1000, MonthlyLimit: 30000, MonthlyRemaining: 29955},
			Quota:         usage.Quota{Used: 45, Limit: 30000},
			Period:        usage.NewCalendar(nil).Period(noon),
			FirstActivity: last.Add(-time.Hour), LastActivity: noon.AddDate(0, 0, -1), Active: true,
		},
		History: []usage.MonthReport{
			{Month: usage.Month{Year: 2026, Month: time.November}, Conversations: 45, LastConversationAt: noon.AddDate(0, 0, -1)},
			{Month: usage.Month{Year: 2026, Month: time.October}, Conversations: 123, LastConversationAt: last},
		},
	}
	if diff := cmp.Diff(want, entries[0]); diff != "" {
		t.Errorf("newest restaurant (-want +got):\n%s", diff)
	}
	bot, err := s.store.Bot(t.Context(), demo.ExampleID)
	if err != nil {
		t.Fatalf("reading the bot: %v", err)
	}
	if bot == nil || bot.PhoneNumber != demo.ExampleNumber {
		t.Errorf("the example's bot is %+v, want one at %s", bot, demo.ExampleNumber)
	}
}

func TestSpecialRestaurants(t *testing.T) {
	t.Parallel()
	s := loaded(t)
	inactive := s.mustReport(t, demo.InactiveID)
	if inactive.Active || inactive.ConversationsThisMonth != 0 || inactive.LastConversationAt.IsZero() {
		t.Errorf("the inactive one is %+v", inactive)
	}
	noBot := s.mustReport(t, demo.NoBotID)
	if noBot.Allowance != usage.NewAllowance(defaults.ConversationsPerDay, 0, usage.NewQuota(defaults.ConversationsPerDay, noBot.ConversationsThisMonth, 0)) {
		t.Errorf("the one without a bot has %+v", noBot.Allowance)
	}
	if bot, err := s.store.Bot(t.Context(), demo.NoBotID); bot != nil || err != nil {
		t.Errorf("the one without a bot has %+v, %v", bot, err)
	}
	unlimited := s.mustReport(t, demo.UnlimitedID)
	if unlimited.Allowance != usage.NewAllowance(usage.Unlimited, 0, unlimited.Quota) || unlimited.ConversationsThisMonth == 0 {
		t.Errorf("the unlimited one is %+v", unlimited)
	}
	never, history, err := s.service.History(t.Context(), demo.NeverUsedID)
	if err != nil {
		t.Fatalf("reading the report with its history: %v", err)
	}
	want := usage.Report{RestaurantID: demo.NeverUsedID, RestaurantName: never.RestaurantName,
		Allowance: usage.NewAllowance(1000, 0, usage.NewQuota(1000, 0, 0)), Quota: usage.NewQuota(1000, 0, 0), Period: noBot.Period, Active: true}
	if diff := cmp.Diff(want, never); diff != "" || len(history) != 0 {
		t.Errorf("the one that was never used has the history %v and (-want +got):\n%s", history, diff)
	}
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	s := loaded(t)
	ranks, err := s.service.Ranks(t.Context())
	if err != nil {
		t.Fatalf("reading the ranking: %v", err)
	}
	listing, err := s.service.Alerts(t.Context(), ranks, usage.AlertShare, 0, 10)
	if err != nil {
		t.Fatalf("reading the alerts: %v", err)
	}
	var got []string
	for _, report := range listing.Reports {
		got = append(got, fmt.Sprint(report.RestaurantID, " ", report.Quota.Used, "/", report.Quota.EffectiveLimit()))
	}
	if diff := cmp.Diff([]string{demo.UsedUpID + " 300/300", demo.NearingID + " 285/300"}, got); diff != "" || listing.Total != 2 {
		t.Errorf("%d alerts (-want +got):\n%s", listing.Total, diff)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := loaded(t)
	authenticator := credential.NewAuthenticator(s.store, func() time.Time { return noon })
	tests := map[string]struct {
		kind          credential.Kind
		raw           string
		coversExample bool
		coversOthers  bool
	}{
		"administrator": {credential.APIKey, demo.AdminKey, true, true},
		"example":       {credential.PAT, demo.ExampleToken, true, false},
		"dashboard":     {credential.PAT, demo.DashboardToken, true, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := authenticator.Authenticate(t.Context(), test.kind, test.raw)
			if err != nil {
				t.Fatalf("authenticating the credential: %v", err)
			}
			if c.Covers(demo.ExampleID) != test.coversExample || c.Covers(demo.InactiveID) != test.coversOthers {
				t.Errorf("it covers %q, all: %t", c.Restaurants, c.All)
			}
		})
	}
}

func TestTwoLoadsAreEqual(t *testing.T) {
	t.Parallel()
	one, other := loaded(t), setup(t)
	if diff := cmp.Diff(one.mustEntries(t), other.mustEntries(t)); diff != "" {
		t.Errorf("two loads (-one +other):\n%s", diff)
	}
	first, err := one.store.Credentials(t.Context())
	if err != nil {
		t.Fatalf("listing the credentials: %v", err)
	}
	second, err := other.store.Credentials(t.Context())
	if err != nil {
		t.Fatalf("listing the credentials: %v", err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("credentials of two loads (-one +other):\n%s", diff)
	}
}

// A month has a record only if a conversation was opened in it.
func TestMonthsWithARecordHaveConversations(t *testing.T) {
	t.Parallel()
	for _, e := range loaded(t).mustEntries(t) {
		for _, m := range e.History {
			if m.Conversations < 1 {
				t.Errorf("%s of %s has a record of %d conversations", m.Month, e.Report.RestaurantID, m.Conversations)
			}
		}
	}
}

// check returns the faults of the data for a moment in a time zone: wrong figures that documents name, and impossible times.
func check(ctx context.Context, zone string, now time.Time) error {
	location, err := time.LoadLocation(zone)
	if err != nil {
		return err
	}
	calendar, store := usage.NewCalendar(location), &records{all: make(map[string]usage.Record)}
	if err := demo.Load(ctx, store, calendar, now); err != nil {
		return err
	}
	if len(store.all) != demo.Restaurants {
		return fmt.Errorf("%d restaurants", len(store.all))
	}
	newest := demo.ExampleID
	service := usage.NewService(store, calendar, defaults, func() time.Time { return now })
	for id, record := range store.all {
		if record.Restaurant.CreatedAt.After(store.all[newest].Restaurant.CreatedAt) {
			newest = id
		}
		e, err := show(ctx, service, id)
		if err == nil {
			err = e.check(calendar, now)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	if newest != demo.ExampleID {
		return fmt.Errorf("the newest restaurant is %s", newest)
	}
	example, err := show(ctx, service, demo.ExampleID)
	if err != nil {
		return err
	}
	if got := example.Report.ConversationsThisMonth; got != 45 {
		return fmt.Errorf("the example has %d conversations this month", got)
	}
	if len(example.History) != 2 || example.History[1].Conversations != 123 ||
		example.History[0].Month.Last(2)[1] != example.History[1].Month {
		return fmt.Errorf("the example has the history %v", example.History)
	}
	return nil
}

// ordinary matches the restaurants that no document mentions.
var ordinary = regexp.MustCompile(`^demo-(0[1-9]\d|00[3-9]|1\d\d)$`)

// TestLooksLikeLife: ordinary restaurants got their latest messages at all sorts of times, and no day has more conversations
// than its limit. Weekends and Ramadan are fuller. There are sessions and top-ups.
func TestLooksLikeLife(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC) // Ramadan ended on the 19th
	calendar, store := usage.NewCalendar(nil), &records{all: make(map[string]usage.Record)}
	if err := demo.Load(t.Context(), store, calendar, now); err != nil {
		t.Fatalf("loading the demo data: %v", err)
	}
	ages := make(map[time.Duration]int)
	var weekend, fasting, other [2]float64 // number of conversations, and of days
	for id, record := range store.all {
		if !ordinary.MatchString(id) {
			continue
		}
		ages[now.Sub(record.Activity.Last)]++
		for day, n := range record.Months[calendar.Month(now)].Days {
			if n > record.Bot.Limits.ConversationsPerDay {
				t.Errorf("%s has %d conversations on day %d, and may have %d", id, n, day, record.Bot.Limits.ConversationsPerDay)
			}
			if day < 26 { // later days are incomplete: some restaurants have been quiet
				kind := &other
				switch weekday := time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC).Weekday(); {
				case weekday == time.Friday || weekday == time.Saturday:
					kind = &weekend
				case day < 20:
					kind = &fasting
				}
				kind[0] += float64(n)
				kind[1]++
			}
		}
	}
	if len(ages) < 15 || ages[40*time.Second] == 0 || ages[100*24*time.Hour] == 0 {
		t.Errorf("last activities are %v ago", ages)
	}
	mean := func(of [2]float64) float64 { return of[0] / of[1] }
	if mean(weekend) < 1.2*mean(other) || mean(fasting) < 1.1*mean(other) {
		t.Errorf("a day of a weekend has %.1f conversations, one of Ramadan %.1f, any other %.1f", mean(weekend), mean(fasting), mean(other))
	}
	customers := make(map[string]bool)
	for _, s := range store.sessions {
		customers[s.Customer] = true
		if record := store.all[s.RestaurantID]; s.OpenedAt.After(s.LastMessageAt) || s.LastMessageAt.After(record.Activity.Last) || s.Messages < 1 {
			t.Errorf("session %+v of a restaurant whose last activity is at %s", s, record.Activity.Last)
		}
	}
	if len(customers) != len(store.sessions) || len(customers) < 100 {
		t.Errorf("%d sessions of %d customers", len(store.sessions), len(customers))
	}
	if len(store.topUps) < 5 {
		t.Errorf("%d restaurants have top-ups", len(store.topUps))
	}
	for of, topUps := range store.topUps {
		if len(topUps) != 2 || topUps[0].Amount+topUps[1].Amount <= 0 || topUps[1].CreatedAt.After(now) || of == "demo-010 2026-03" || of == "demo-020 2026-03" {
			t.Errorf("%s has top-ups %+v", of, topUps)
		}
	}
}

func (e entry) check(calendar usage.Calendar, now time.Time) error {
	r := e.Report
	if r.FirstActivity.After(r.LastConversationAt) || r.LastConversationAt.After(r.LastActivity) || r.LastActivity.After(now) {
		return fmt.Errorf("first activity %s, last conversation %s, last activity %s, now %s",
			r.FirstActivity, r.LastConversationAt, r.LastActivity, now)
	}
	if calendar.Day(now) > 1 && !ordinary.MatchString(r.RestaurantID) && r.Allowance.DailyRemaining != r.Allowance.DailyLimit {
		return fmt.Errorf("%d of %d remain today", r.Allowance.DailyRemaining, r.Allowance.DailyLimit)
	}
	for _, m := range e.History {
		if calendar.Month(m.LastConversationAt) != m.Month {
			return fmt.Errorf("the last conversation of %s was at %s", m.Month, m.LastConversationAt)
		}
	}
	return nil
}

func TestAtTheEdgesOfTheCalendar(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ zone, now string }{
		"ordinary":                              {"UTC", "2026-11-23T12:00:00Z"},
		"first of a month at midnight":          {"UTC", "2026-11-01T00:00:00Z"},
		"first of a month, seconds later":       {"UTC", "2026-11-01T00:00:59.999Z"},
		"last moment of a month":                {"UTC", "2026-11-30T23:59:59.999Z"},
		"second of a month at midnight":         {"UTC", "2026-11-02T00:00:00Z"},
		"new year":                              {"UTC", "2027-01-01T00:00:00Z"},
		"31st: eight months back has 30 days":   {"UTC", "2026-12-31T12:00:00Z"},
		"leap day":                              {"UTC", "2028-02-29T12:00:00Z"},
		"day after a leap day":                  {"UTC", "2028-03-01T00:00:00Z"},
		"Riyadh's new month":                    {"Asia/Riyadh", "2026-10-31T21:00:00Z"},
		"Riyadh's new year":                     {"Asia/Riyadh", "2026-12-31T21:00:30Z"},
		"Kiritimati's new month":                {"Pacific/Kiritimati", "2026-10-31T10:00:00Z"},
		"New York's new month":                  {"America/New_York", "2026-11-01T04:00:00Z"},
		"New York's 25-hour day, its end":       {"America/New_York", "2027-11-08T04:30:00Z"},
		"New York's 23-hour day, the day after": {"America/New_York", "2027-03-15T04:30:00Z"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now, err := time.Parse(time.RFC3339Nano, test.now)
			if err != nil {
				t.Fatalf("reading the time of the test's case: %v", err)
			}
			if err := check(t.Context(), test.zone, now); err != nil {
				t.Errorf("at %s in %s: %v", test.now, test.zone, err)
			}
		})
	}
}

func TestAnyMomentInAnyZone(t *testing.T) {
	t.Parallel()
	zones := rapid.SampledFrom([]string{"UTC", "Asia/Riyadh", "Pacific/Kiritimati", "America/New_York", "Asia/Kathmandu"})
	rapid.Check(t, func(t *rapid.T) {
		zone := zones.Draw(t, "zone")
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatalf("loading the time zone: %v", err)
		}
		// Half of the moments are within two minutes of the midnight at which a month begins.
		now := time.Date(rapid.IntRange(2020, 2100).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")),
			1, 0, 0, 0, 0, location)
		seconds := rapid.OneOf(rapid.Int64Range(-120, 120), rapid.Int64Range(0, 31*24*60*60)).Draw(t, "seconds later")
		now = now.Add(time.Duration(seconds) * time.Second)
		if err := check(t.Context(), zone, now); err != nil {
			t.Errorf("at %s: %v", now, err)
		}
	})
}

func TestLoadTwiceFails(t *testing.T) {
	t.Parallel()
	s := loaded(t)
	if err := demo.Load(t.Context(), s.store, usage.NewCalendar(nil), noon); !errors.Is(err, credential.ErrExists) {
		t.Errorf("error is %v, want %v", err, credential.ErrExists)
	}
}

// failing is a store in which one method fails.
type failing struct {
	*stackstore.Store
	create, usage, credential error
}

func (f failing) CreateRestaurant(ctx context.Context, r restaurant.Restaurant, bot *restaurant.Bot) error {
	return errors.Join(f.create, f.Store.CreateRestaurant(ctx, r, bot))
}

func (f failing) PutUsage(
	ctx context.Context, id string, activity usage.Activity, months map[usage.Month]usage.MonthCount,
) error {
	return errors.Join(f.usage, f.Store.PutUsage(ctx, id, activity, months))
}

func (f failing) AddCredential(ctx context.Context, c credential.Credential) error {
	return errors.Join(f.credential, f.Store.AddCredential(ctx, c))
}

func TestLoadReportsTheStoresErrors(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]failing{
		"restaurants": {Store: localstore.New(t), create: outage.ErrUnavailable},
		"usage":       {Store: localstore.New(t), usage: outage.ErrUnavailable},
		"credentials": {Store: localstore.New(t), credential: outage.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := demo.Load(t.Context(), store, usage.NewCalendar(nil), noon)
			if !errors.Is(err, outage.ErrUnavailable) {
				t.Errorf("error is %v, want %v", err, outage.ErrUnavailable)
			}
		})
	}
}
