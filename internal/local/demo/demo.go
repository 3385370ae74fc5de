// Package demo fills a local stack with data to look at: the same at every start, but for the current date.
package demo

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Values of the demo data that documentation and examples name.
const (
	Restaurants = 150 // in all

	ExampleID     = "clxyz123abc" // 45 conversations this month, 123 in the last
	ExampleName   = "Example Restaurant"
	ExampleNumber = "+966110000000"
	InactiveID    = "demo-inactive"  // switched off
	NoBotID       = "demo-no-bot"    // has no bot configuration, so the default limits
	NeverUsedID   = "demo-never"     // never had a conversation
	UnlimitedID   = "demo-unlimited" // may hold as many conversations as it likes
	NearingID     = "demo-001"       // has used 95 % of its allowance
	UsedUpID      = "demo-002"       // has used all of it
	OwnerNumber   = "+966500000099"  // whom these two and the example tell that the allowance is nearly used up

	AdminKey       = "local-admin-key"       // API key
	ExampleToken   = "local-pat-clxyz123abc" // PAT for the example restaurant
	DashboardToken = "local-dashboard-pat"   // PAT for every restaurant
)

// Store is where the data goes.
type Store interface {
	CreateRestaurant(ctx context.Context, r restaurant.Restaurant, bot *restaurant.Bot) error
	PutUsage(ctx context.Context, restaurantID string, activity usage.Activity, months map[usage.Month]usage.MonthCount) error
	AddCredential(ctx context.Context, c credential.Credential) error
}

// Load writes the demo data as of now, in calendar's months, into an empty store.
func Load(ctx context.Context, store Store, calendar usage.Calendar, now time.Time) error {
	for _, c := range credentials(now) {
		if err := store.AddCredential(ctx, c); err != nil {
			return fmt.Errorf("loading demo credentials: %w", err)
		}
	}
	tenants := tenants(calendar, now)
	for _, t := range tenants { // one after the other: each changes the directory
		if err := store.CreateRestaurant(ctx, t.restaurant, t.bot); err != nil {
			return fmt.Errorf("loading demo restaurants: %w", err)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, t := range tenants {
		if len(t.months) > 0 {
			group.Go(func() error { return store.PutUsage(ctx, t.restaurant.ID, t.activity, t.months) })
		}
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("loading demo usage: %w", err)
	}
	return nil
}

func credentials(now time.Time) []credential.Credential {
	return []credential.Credential{
		credential.Grant{Kind: credential.APIKey, Label: "local administrator"}.Credential(AdminKey, "cr_local_admin", now),
		credential.Grant{Kind: credential.PAT, Restaurants: []string{ExampleID}, Label: "local owner"}.
			Credential(ExampleToken, "cr_local_example", now),
		credential.Grant{Kind: credential.PAT, All: true, Label: "local dashboard"}.
			Credential(DashboardToken, "cr_local_dashboard", now),
	}
}

// tenant is a restaurant with all that is known of it.
type tenant struct {
	restaurant restaurant.Restaurant
	bot        *restaurant.Bot
	activity   usage.Activity
	months     map[usage.Month]usage.MonthCount
	isOrdinary bool
}

// nearlyUsed holds the conversations that some restaurants have each month, of 300.
var nearlyUsed = map[string]int64{NearingID: 285, UsedUpID: 300}

// tenants returns the demo restaurants, in the order of their creation.
func tenants(calendar usage.Calendar, now time.Time) []tenant {
	const special = 5
	random := rand.New(rand.NewPCG(150, 2026)) // the same figures at every start
	all := make([]tenant, 0, Restaurants)
	for i := range Restaurants - special {
		t := newTenant(fmt.Sprintf("demo-%03d", i+1), fmt.Sprintf("%s %d", names[i%len(names)], i+1), now)
		t.bot.PhoneNumber = fmt.Sprintf("+96611000%04d", i+1)
		t.isOrdinary = true
		for age, month := range calendar.Month(now).Last(usage.HistoryMonths) {
			n := 1 + random.Int64N(899)
			if nearing, ok := nearlyUsed[t.restaurant.ID]; ok {
				t.bot.Limits.ConversationsPerDay, t.bot.OwnerNumber = 10, OwnerNumber // 300 a month
				n = nearing
			}
			t.count(calendar, now, month, age, n)
		}
		all = append(all, t)
	}

	inactive := newTenant(InactiveID, "مطعم مغلق", now)
	inactive.restaurant.Active = false
	inactive.count(calendar, now, calendar.Month(now).Last(4)[3], 3, 17)

	noBot := newTenant(NoBotID, "Shawarma Without a Bot", now)
	noBot.bot = nil
	noBot.count(calendar, now, calendar.Month(now), 0, 3)

	never := newTenant(NeverUsedID, "بيت الكبسة الجديد", now)

	unlimited := newTenant(UnlimitedID, "Unlimited Grill", now)
	unlimited.bot.Limits.ConversationsPerDay = usage.Unlimited
	unlimited.count(calendar, now, calendar.Month(now), 0, 5000)

	example := newTenant(ExampleID, ExampleName, now)
	example.bot.PhoneNumber, example.bot.OwnerNumber = ExampleNumber, OwnerNumber
	example.count(calendar, now, calendar.Month(now), 0, 45)
	example.count(calendar, now, calendar.Month(now).Last(2)[1], 1, 123)

	all = append(all, inactive, noBot, never, unlimited, example)
	for i := range all {
		all[i].restaurant.CreatedAt = now.AddDate(0, -8, 0).Add(time.Duration(i) * time.Hour)
	}
	return all
}

var names = []string{"مطعم البيك الذهبي", "Najd Kitchen", "مشويات الرياض", "Jeddah Seafood", "بخاري الحجاز", "Burger Corner", "حنيذ تهامة"}

func newTenant(id, name string, now time.Time) tenant {
	return tenant{
		restaurant: restaurant.Restaurant{ID: id, Name: name, MerchantID: "merchant-" + id, Active: true, CreatedAt: now},
		bot: &restaurant.Bot{ID: "bot-" + id,
			Limits: restaurant.Limits{ConversationsPerDay: 1000, AnswersPerMinute: 60}},
		months: make(map[usage.Month]usage.MonthCount),
	}
}

// spread returns n conversations by day, from the month's first day to its last one with any: fuller on Fridays and Saturdays,
// through the nights of Ramadan, and within the day's limit as far as the days so far can hold n.
func (t *tenant) spread(month usage.Month, last int, n int64) map[int]int64 {
	random := rand.New(rand.NewPCG(uint64(len(t.restaurant.ID)), uint64(n))) // the same days at every start
	most := n
	if t.bot != nil && t.bot.Limits.ConversationsPerDay > 0 {
		most = max(t.bot.Limits.ConversationsPerDay, (n+int64(last)-1)/int64(last))
	}
	weights, sum := make([]float64, last), 0.0
	for i := range weights {
		weights[i] = 0.6 + 0.8*random.Float64()
		date := time.Date(month.Year, month.Month, i+1, 12, 0, 0, 0, time.UTC)
		if weekday := date.Weekday(); weekday == time.Friday || weekday == time.Saturday {
			weights[i] *= 1.7
		}
		if inRamadan(date) {
			weights[i] *= 1.4
		}
		sum += weights[i]
	}
	days, left := map[int]int64{last: 1}, n-1
	for i, weight := range weights {
		share := min(int64(weight/sum*float64(n)), most-days[i+1], left)
		days[i+1] += share
		left -= share
	}
	for i := 0; left > 0; i = (i + 1) % last { // what rounding and full days left over
		if days[last-i] < most {
			days[last-i]++
			left--
		}
	}
	maps.DeleteFunc(days, func(_ int, count int64) bool { return count == 0 })
	return days
}

// ramadans are the months of fasting, each by its first day and the first after it, as Umm al-Qura's calendar has them.
var ramadans = [][2]time.Time{
	{time.Date(2026, 2, 18, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)},
	{time.Date(2027, 2, 8, 0, 0, 0, 0, time.UTC), time.Date(2027, 3, 9, 0, 0, 0, 0, time.UTC)},
}

func inRamadan(date time.Time) bool {
	return slices.ContainsFunc(ramadans, func(r [2]time.Time) bool { return !date.Before(r[0]) && date.Before(r[1]) })
}

// count gives a tenant n conversations in a month that is age months old. This month's were opened before today, so
// that the whole day's allowance is left, except on the month's first day.
func (t *tenant) count(calendar usage.Calendar, now time.Time, month usage.Month, age int, n int64) {
	last := now.Add(-time.Minute)
	switch {
	case age > 0:
		last = time.Date(month.Year, month.Month, 20, 15, 30, 0, 0, time.UTC)
	case calendar.Day(now) > 1:
		last = now.Add(-24 * time.Hour)
		if calendar.Day(last) == calendar.Day(now) { // a day of 25 hours
			last = last.Add(-2 * time.Hour)
		}
	}
	if calendar.Month(last) != month { // early on the first or second: as late in the month as can be
		last = now
	}
	days, first := map[int]int64{calendar.Day(last): n}, last.Add(-time.Hour)
	if age == 0 && t.isOrdinary { // of the others, documents and tests tell single days
		days = t.spread(month, calendar.Day(last), n)
	}
	t.months[month] = usage.MonthCount{Conversations: n, Days: days, LastConversation: last}
	if t.activity.First.IsZero() || first.Before(t.activity.First) {
		t.activity.First = first
	}
	if last.After(t.activity.Last) {
		t.activity.Last, t.activity.LastConversation = last, last
	}
}
