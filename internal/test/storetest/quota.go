package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// quotas is a random sequence of messages, top-ups, limit changes, switches and ends of months. It keeps everything as it
// happened, and computes each expected figure anew from that.
type quotas struct {
	rt       *rapid.T
	ledger   Ledger
	calendar usage.Calendar
	now      time.Time
	tenants  []*quotaTenant
	messages int
	topUps   int
}

type quotaTenant struct {
	id       string
	active   bool
	hasBot   bool
	limit    int64
	sessions []usage.Session // in the order in which they were opened
	messages []time.Time
	topUps   []usage.TopUp
}

func sequenceOfChanges(t *testing.T, rt *rapid.T, newLedger func(testing.TB, usage.Calendar) Ledger) {
	location, err := time.LoadLocation(rapid.SampledFrom([]string{"UTC", "Asia/Riyadh", "America/New_York"}).Draw(rt, "zone"))
	if err != nil {
		rt.Fatalf("loading the time zone: %v", err)
	}
	q := &quotas{rt: rt, calendar: usage.NewCalendar(location), now: time.Date(2026, 10, 30, 22, 0, 0, 0, time.UTC)}
	q.ledger = newLedger(t, q.calendar)
	for i := range 3 {
		r := Restaurant(i)
		tenant := &quotaTenant{id: r.ID, active: true, hasBot: i > 0, limit: defaultLimit}
		q.tenants = append(q.tenants, tenant)
		var bot *restaurant.Bot
		if tenant.hasBot {
			bot = daily(defaultLimit)
		}
		create(t, q.ledger.Store, r, bot)
	}
	for range rapid.IntRange(1, 15).Draw(rt, "steps") {
		q.step()
	}
	q.compare()
}

func (q *quotas) must(err error) {
	if err != nil {
		q.rt.Fatalf("the store failed a step that must succeed: %v", err)
	}
}

func (q *quotas) step() {
	ctx := context.Background()
	tenant := rapid.SampledFrom(q.tenants).Draw(q.rt, "restaurant")
	switch rapid.IntRange(0, 9).Draw(q.rt, "kind") {
	case 0:
		tenant.hasBot, tenant.limit = true, rapid.SampledFrom([]int64{usage.Unlimited, 0, 1, 2, 1_000_000_000}).Draw(q.rt, "limit")
		q.must(q.ledger.Store.SetBot(ctx, tenant.id, *daily(tenant.limit)))
	case 1:
		tenant.active = !tenant.active
		q.must(q.ledger.Store.SetActive(ctx, tenant.id, tenant.active))
	case 2, 3:
		q.topUp(ctx, tenant)
	case 4:
		q.now = q.now.Add(rapid.SampledFrom([]time.Duration{
			time.Hour, 20 * time.Hour, conversation.SessionLength, 40 * time.Hour, 24 * 40 * time.Hour,
		}).Draw(q.rt, "pause"))
		q.compare()
	default:
		for range rapid.IntRange(1, 6).Draw(q.rt, "messages") {
			q.message(ctx, tenant, rapid.IntRange(0, 40).Draw(q.rt, "customer"))
		}
	}
}

func (q *quotas) message(ctx context.Context, tenant *quotaTenant, customer int) {
	q.now = q.now.Add(time.Second)
	q.messages++
	m := conversation.Message{ID: fmt.Sprint("m", q.messages), RestaurantID: tenant.id, Customer: fmt.Sprintf("+9665%08d", customer),
		ReceivedAt: q.now, Delivery: "d"}
	recorded, err := Record(ctx, q.ledger.Recorder, m)
	q.must(err)
	if recorded.Opened {
		_, err := Watch(ctx, q.ledger.QuotaAlerter, tenant.id, recorded.At)
		q.must(err)
	}
	tenant.messages = append(tenant.messages, q.now)
	for i, s := range slices.Backward(tenant.sessions) {
		if s.Customer == m.Customer && q.now.Before(s.LastMessage.Add(conversation.SessionLength)) {
			tenant.sessions[i].LastMessage = q.now
			tenant.sessions[i].Messages++
			return
		}
	}
	tenant.sessions = append(tenant.sessions, usage.Session{ID: m.ID, Customer: m.Customer, OpenedAt: q.now, LastMessage: q.now, Messages: 1})
}

func (q *quotas) topUp(ctx context.Context, tenant *quotaTenant) {
	q.now = q.now.Add(time.Second)
	q.topUps++
	amount := rapid.Int64Range(-40, 40).Filter(func(n int64) bool { return n != 0 }).Draw(q.rt, "amount")
	a := usage.TopUp{ID: fmt.Sprint("adj_", q.topUps), Amount: amount, Type: usage.TopUpType,
		Reason: "more", CreatedAt: q.now, CreatedBy: "cr_1"}
	key := fmt.Sprint("key ", q.topUps)
	for range rapid.IntRange(1, 2).Draw(q.rt, "times") {
		done, err := q.ledger.Store.AddTopUp(ctx, tenant.id, q.calendar.Month(q.now), a, key, defaultLimit)
		isRepeat := len(tenant.topUps) > 0 && tenant.topUps[len(tenant.topUps)-1].ID == a.ID
		if _, fault := tenant.quota(q).Add(amount); fault != nil && !isRepeat {
			if !errors.Is(err, fault) {
				q.rt.Fatalf("a top-up of %d to %+v gives the error %v, want %v", amount, tenant.quota(q), err, fault)
			}
			return
		}
		q.must(err)
		want := tenant.quota(q)
		if !isRepeat {
			want.ToppedUp += a.Amount
			tenant.topUps = append(tenant.topUps, a)
		}
		if want := (usage.ToppedUp{Quota: want, Repeat: isRepeat}); done != want {
			q.rt.Fatalf("a top-up led to the quota %+v, want %+v", done, want)
		}
	}
}

// quota computes the current month's quota.
func (t *quotaTenant) quota(q *quotas) usage.Quota {
	var used, added int64
	for _, s := range t.sessions {
		used += btoi(q.calendar.Month(s.OpenedAt) == q.calendar.Month(q.now))
	}
	for _, a := range t.topUps {
		if q.calendar.Month(a.CreatedAt) == q.calendar.Month(q.now) {
			added += a.Amount
		}
	}
	return usage.NewQuota(t.limit, used, added)
}

// details computes everything that is shown of a restaurant.
func (t *quotaTenant) details(q *quotas) usage.Details {
	month, quota := q.calendar.Month(q.now), t.quota(q)
	d := usage.Details{
		Month: month, History: nil,
		Report: usage.Report{RestaurantID: t.id, Active: t.active, ConversationsThisMonth: quota.Used, Quota: quota,
			Period: q.calendar.Period(q.now)},
	}
	days := make([]usage.DayReport, month.Days())
	for i := range days {
		days[i].Day = i + 1
	}
	months := make(map[usage.Month]usage.MonthReport)
	for _, s := range t.sessions {
		of := q.calendar.Month(s.OpenedAt)
		months[of] = usage.MonthReport{Month: of, Conversations: months[of].Conversations + 1, LastConversationAt: s.OpenedAt}
		d.LastConversationAt = s.OpenedAt
		if of == month {
			days[q.calendar.Day(s.OpenedAt)-1].Conversations++
		}
		d.ActiveSessions += btoi(usage.SlotOf(s.LastMessage) > usage.SlotOf(q.now)-usage.SessionSlots)
	}
	for _, of := range month.Last(usage.HistoryMonths) {
		if report, ok := months[of]; ok {
			d.History = append(d.History, report)
		}
	}
	for _, at := range t.messages {
		if d.FirstActivity.IsZero() {
			d.FirstActivity = at
		}
		d.LastActivity = at
		if q.calendar.Month(at) == month {
			days[q.calendar.Day(at)-1].Messages++
		}
	}
	d.Days = days
	d.ConversationsToday = days[q.calendar.Day(q.now)-1].Conversations
	d.Allowance = usage.NewAllowance(t.limit, d.ConversationsToday, quota)
	for _, a := range slices.Backward(t.topUps) {
		if q.calendar.Month(a.CreatedAt) == month {
			d.TopUps = append(d.TopUps, a)
		}
	}
	d.Sessions = slices.Clone(t.sessions)
	slices.SortFunc(d.Sessions, usage.NewestFirst)
	d.Sessions = d.Sessions[:min(usage.RecentSessions, len(d.Sessions))]
	return d
}

// compare compares every figure on every route with the computed one.
func (q *quotas) compare() {
	ctx := context.Background()
	service := usage.NewService(q.ledger.Store, q.calendar, restaurant.Limits{ConversationsPerDay: defaultLimit}, func() time.Time { return q.now })
	wantSame := func(what string, got, want any) {
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(usage.Report{}, "RestaurantName")); diff != "" {
			q.rt.Fatalf("%s at %v (-want +got):\n%s", what, q.now, diff)
		}
	}
	reports := make(map[string]usage.Report)
	for _, tenant := range q.tenants {
		want := tenant.details(q)
		reports[tenant.id] = want.Report
		got, err := service.Details(ctx, tenant.id)
		q.must(err)
		wantSame("details of "+tenant.id, got, want)
		report, history, err := service.History(ctx, tenant.id)
		q.must(err)
		wantSame("report of "+tenant.id, report, want.Report)
		wantSame("history of "+tenant.id, history, want.History)
	}
	directory, err := service.Directory(ctx)
	q.must(err)
	listing, err := service.List(ctx, directory, usage.All, usage.Start{}, 100)
	q.must(err)
	for _, report := range listing.Reports {
		wantSame(report.RestaurantID+" in the list", report, reports[report.RestaurantID])
	}
	wantSame("total", listing.Total, len(q.tenants))

	ranks, err := service.Ranks(ctx)
	q.must(err)
	for _, share := range []usage.Share{0, 1, 80 * usage.Percent, usage.AlertShare, usage.Whole, usage.Share(rapid.Int64Range(0, 1_000_000).Draw(q.rt, "share"))} {
		var want []usage.Report
		for _, tenant := range q.tenants {
			if report := reports[tenant.id]; tenant.active && report.Quota.Reaches(share) {
				want = append(want, report)
			}
		}
		slices.SortFunc(want, func(a, b usage.Report) int {
			return cmp.Or(b.Quota.CompareUse(a.Quota), cmp.Compare(a.RestaurantID, b.RestaurantID))
		})
		got, err := service.Alerts(ctx, ranks, share, 0, 100)
		q.must(err)
		wantSame(fmt.Sprint("alerts from ", share), got, usage.Listing{Reports: want, Total: len(want)})
	}
}
