// Package demo fills a local stack with data. They are the same at every start, but for the current date.
package demo

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Values in the demo data that documents and examples use.
const (
	Restaurants = 150 // number of all restaurants

	ExampleID     = "clxyz123abc" // 45 conversations this month, 123 in the month before
	ExampleName   = "Example Restaurant"
	ExampleNumber = "+966110000000"
	InactiveID    = "demo-inactive"  // switched off
	NoBotID       = "demo-no-bot"    // has no bot, so the default limits
	NeverUsedID   = "demo-never"     // has never had a conversation
	UnlimitedID   = "demo-unlimited" // has an unlimited plan
	NearingID     = "demo-001"       // has used 95 % of its quota
	UsedUpID      = "demo-002"       // has used all of its quota
	OwnerNumber   = "+966500000099"  // owner of NearingID, UsedUpID and ExampleID, and receiver of their quota alerts

	AdminKey       = "local-admin-key"       // API key
	ExampleToken   = "local-pat-clxyz123abc" // PAT for the example restaurant
	DashboardToken = "local-dashboard-pat"   // PAT for every restaurant
)

// Store takes the demo data.
type Store interface {
	CreateRestaurant(ctx context.Context, r restaurant.Restaurant, bot *restaurant.Bot) error
	PutUsage(ctx context.Context, restaurantID string, activity usage.Activity, months map[usage.Month]usage.MonthCount) error
	MergeSession(ctx context.Context, s conversation.Session) (bool, error)
	AddTopUp(ctx context.Context, restaurantID string, month usage.Month, a usage.TopUp, key string, defaultLimit int64) (usage.ToppedUp, error)
	AddCredential(ctx context.Context, c credential.Credential) error
	PutPage(ctx context.Context, restaurantID string, at delivery.Place, page ledger.Page) error
}

// Load writes the demo data into an empty store, for the time now and the months of calendar.
func Load(ctx context.Context, store Store, calendar usage.Calendar, now time.Time) error {
	for _, c := range credentials(now) {
		if err := store.AddCredential(ctx, c); err != nil {
			return fmt.Errorf("loading demo credentials: %w", err)
		}
	}
	tenants := tenants(calendar, now)
	for _, t := range tenants { // not at the same time: each write changes the directory
		if err := store.CreateRestaurant(ctx, t.restaurant, t.bot); err != nil {
			return fmt.Errorf("loading demo restaurants: %w", err)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, t := range tenants {
		if len(t.months) > 0 {
			group.Go(func() error { return t.put(ctx, store, calendar.Month(now)) })
		}
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("loading demo usage: %w", err)
	}
	return nil
}

// put writes a tenant's usage and then everything that depends on it.
func (t *tenant) put(ctx context.Context, store Store, month usage.Month) error {
	if err := store.PutUsage(ctx, t.restaurant.ID, t.activity, t.months); err != nil {
		return err
	}
	for _, s := range t.sessions {
		if _, err := store.MergeSession(ctx, s); err != nil {
			return err
		}
	}
	for at, page := range t.pages {
		if err := store.PutPage(ctx, t.restaurant.ID, at, page); err != nil {
			return err
		}
	}
	for _, a := range t.topUps {
		if _, err := store.AddTopUp(ctx, t.restaurant.ID, month, a, "", restaurant.DefaultLimits.ConversationsPerDay); err != nil {
			return err
		}
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

// tenant is a restaurant with all its data.
type tenant struct {
	restaurant restaurant.Restaurant
	bot        *restaurant.Bot
	activity   usage.Activity
	months     map[usage.Month]usage.MonthCount
	sessions   []conversation.Session
	topUps     []usage.TopUp
	pages      map[delivery.Place]ledger.Page // pages of the ledger of sent messages
	isOrdinary bool
	quiet      time.Duration // time since the latest message; 0 means that it came yesterday
}

// quiets has values of quiet for ordinary restaurants, which take turns.
var quiets = []time.Duration{
	4 * time.Minute, 0, 2 * time.Hour, 3 * 24 * time.Hour, 17 * time.Minute, 29 * time.Hour, 9 * 24 * time.Hour, 50 * time.Minute, 5 * 24 * time.Hour, 0,
	40 * time.Second, 16 * 24 * time.Hour, 6 * time.Hour, 45 * 24 * time.Hour, 31 * time.Hour, 11 * time.Hour, 75 * time.Hour, 100 * 24 * time.Hour,
}

// One in so many ordinary restaurants has sessions, or top-ups, in its details.
const (
	withSessions = 6
	withTopUps   = 16
)

// nearlyUsed has the monthly conversations of the restaurants that use up their 300.
var nearlyUsed = map[string]int64{NearingID: 285, UsedUpID: 300}

// tenants returns the demo restaurants, in the order of their creation.
func tenants(calendar usage.Calendar, now time.Time) []tenant {
	const special = 5
	random := rand.New(rand.NewPCG(150, 2026)) // a fixed seed: the same figures at every start
	all := make([]tenant, 0, Restaurants)
	for i := range Restaurants - special {
		t := newTenant(fmt.Sprintf("demo-%03d", i+1), fmt.Sprintf("%s %d", names[i%len(names)], i+1), now)
		t.bot.PhoneNumber = fmt.Sprintf("+96611000%04d", i+1)
		_, isNearing := nearlyUsed[t.restaurant.ID]
		t.isOrdinary = true
		if last := Restaurants - special - 6; !isNearing && i < last { // customers wrote to the newest restaurants yesterday, because pictures show these
			t.quiet = quiets[i%len(quiets)]
		}
		for age, month := range calendar.Month(now).Last(usage.HistoryMonths) {
			n := 1 + random.Int64N(899)
			if nearing, ok := nearlyUsed[t.restaurant.ID]; ok {
				t.bot.Limits.ConversationsPerDay, t.bot.OwnerNumber = 10, OwnerNumber // 10 a day are 300 a month
				n = nearing
			}
			t.count(calendar, now, month, age, n)
		}
		if i%withSessions == 4 {
			t.writeSessions(i)
			t.sendMessages(calendar.Month(now))
		}
		if i%withTopUps == 6 {
			t.topUp(calendar, now)
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

// spread distributes n conversations over the days of a month up to last. Fridays, Saturdays and the nights of Ramadan have
// more. No day exceeds the daily limit, unless the days up to last can't hold n otherwise.
func (t *tenant) spread(month usage.Month, last int, n int64) map[int]int64 {
	random := rand.New(rand.NewPCG(uint64(len(t.restaurant.ID)), uint64(n))) // a fixed seed: the same days at every start
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
	for i := 0; left > 0; i = (i + 1) % last { // what rounding and full days have left over
		if days[last-i] < most {
			days[last-i]++
			left--
		}
	}
	maps.DeleteFunc(days, func(_ int, count int64) bool { return count == 0 })
	return days
}

// ramadans has each Ramadan's first day and the day after its last, in the calendar of Umm al-Qura.
var ramadans = [][2]time.Time{
	{time.Date(2026, 2, 18, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)},
	{time.Date(2027, 2, 8, 0, 0, 0, 0, time.UTC), time.Date(2027, 3, 9, 0, 0, 0, 0, time.UTC)},
}

func inRamadan(date time.Time) bool {
	return slices.ContainsFunc(ramadans, func(r [2]time.Time) bool { return !date.Before(r[0]) && date.Before(r[1]) })
}

// writeSessions gives a tenant the sessions of five customers. The latest session ends with the tenant's last activity.
func (t *tenant) writeSessions(i int) {
	at := t.activity.Last
	for n := range 5 {
		opened := at.Add(-time.Duration(3+7*n) * time.Minute)
		t.sessions = append(t.sessions, conversation.Session{
			RestaurantID: t.restaurant.ID, Customer: fmt.Sprintf("+96655%07d", 1000*i+n), OpenedAt: opened, LastMessageAt: at, Messages: int64(2 + 3*n),
			Welcomed: true,
		})
		at = at.Add(-time.Duration(1+n) * 97 * time.Minute)
	}
}

// sendMessages gives a tenant sent messages for each day of a month with conversations. Their statuses are typical: some
// telephones are switched off, some messages fail, and two of three that arrive are read.
func (t *tenant) sendMessages(month usage.Month) {
	t.pages = make(map[delivery.Place]ledger.Page)
	classes := []ledger.Class{
		{Kind: delivery.Welcome, Category: delivery.Utility}, {Kind: delivery.List, Category: delivery.Service}, {Kind: delivery.Text, Category: delivery.Service},
	}
	kindOf := []int{0, 1, 1, 1, 2, 0, 1}
	for day, conversations := range t.months[month].Days {
		numbers := make(map[ledger.Class]map[delivery.Status][]int)
		for n := range int(min(delivery.PageSize, 2*conversations)) {
			class, status := classes[kindOf[n%len(kindOf)]], delivery.Read
			switch {
			case n%3 == 1:
				status = delivery.Delivered
			case n%29 == 5:
				status = delivery.Sent
			case n%37 == 8:
				status = delivery.Failed
			}
			if numbers[class] == nil {
				numbers[class] = make(map[delivery.Status][]int)
			}
			numbers[class][status] = append(numbers[class][status], n)
		}
		var page ledger.Page
		for class, byStatus := range numbers {
			for status, all := range byStatus {
				page = append(page, ledger.Marks{Class: class, Status: status, Numbers: all})
			}
		}
		t.pages[delivery.Place{Day: time.Date(month.Year, month.Month, day, 0, 0, 0, 0, time.UTC), Page: "demonstrat"}] = page
	}
}

// topUp gives a tenant a top-up this month, and a correction of it.
func (t *tenant) topUp(calendar usage.Calendar, now time.Time) {
	for n, amount := range []int64{1500, -500} {
		at := now.Add(time.Duration(n-2) * 30 * time.Hour)
		if calendar.Month(at) != calendar.Month(now) {
			at = now
		}
		t.topUps = append(t.topUps, usage.TopUp{
			ID: fmt.Sprintf("adj_%s_%d", t.restaurant.ID, n+1), Amount: amount, Type: usage.TopUpType, CreatedAt: at, CreatedBy: "cr_local_admin",
			Reason: []string{"حملة نهاية الأسبوع", "Ordered 1000, not 1500"}[n],
		})
	}
}

// count gives a tenant n conversations in the month that lies age months back. In the current month (age 0) they are dated
// before today, which leaves today's allowance whole, unless the month has just begun or the restaurant's latest message came
// today.
func (t *tenant) count(calendar usage.Calendar, now time.Time, month usage.Month, age int, n int64) {
	last := now.Add(-time.Minute)
	silent := now.Add(-t.quiet)
	if t.quiet > 0 && month.String() > calendar.Month(silent).String() {
		return // no message since
	}
	switch {
	case t.quiet > 0 && calendar.Month(silent) == month:
		last = silent
	case age > 0:
		last = time.Date(month.Year, month.Month, 20, 15, 30, 0, 0, time.UTC)
	case calendar.Day(now) > 1:
		last = now.Add(-24 * time.Hour)
		if calendar.Day(last) == calendar.Day(now) { // the day has 25 hours
			last = last.Add(-2 * time.Hour)
		}
	}
	if calendar.Month(last) != month { // early on the first or second day: then as late in the month as possible
		last = now
	}
	days, first := map[int]int64{calendar.Day(last): n}, last.Add(-time.Hour)
	if age == 0 && t.isOrdinary { // documents and tests name single days of the other restaurants
		days = t.spread(month, calendar.Day(last), n)
		t.activity.Messages = usage.Tally{Month: month, Days: make(map[int]int64, len(days))}
		for day, count := range days {
			t.activity.Messages.Days[day] = 3*count + int64(day)%3
		}
	}
	t.months[month] = usage.MonthCount{Conversations: n, Days: days, LastConversation: last}
	if t.activity.First.IsZero() || first.Before(t.activity.First) {
		t.activity.First = first
	}
	if last.After(t.activity.Last) {
		t.activity.Last, t.activity.LastConversation = last, last
	}
}
