package stackstore_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/menu"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// inbox is a sender that keeps the owners' alerts.
type inbox struct{ alerts []string }

func (i *inbox) Send(_ context.Context, _ conversation.Tenant, m conversation.Outgoing) (string, error) {
	if m.ContentSID == "alert" {
		i.alerts = append(i.alerts, m.Variables["2"])
	}
	return "SM1", nil
}

func (*inbox) Enqueue(context.Context, bootstrap.Job) error { return nil }

func (*inbox) Categories(context.Context, string) ([]menu.Category, cache.Source, error) {
	return nil, cache.Fetched, nil
}

func (*inbox) Branches(context.Context, string) ([]menu.Branch, cache.Source, error) {
	return nil, cache.Fetched, nil
}

func (*inbox) Renewed(context.Context) {}

func (*inbox) SID(_ context.Context, key string) (string, bool) {
	return map[string]string{conversation.TemplateQuotaAlert: "alert", conversation.TemplateWelcome: "welcome"}[key], true
}

// TestThresholdsSurviveCrashes: processes die right after any of their writes, and their messages are delivered again. Each
// threshold has one event, and the owner is notified of it at least once.
func TestThresholdsSurviveCrashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ledger := newLedger(newEngine(t), usage.NewCalendar(nil))
		tenant := conversation.Tenant{
			Restaurant: restaurant.Restaurant{ID: "r1", Name: "One", Active: true, CreatedAt: time.Now()},
			Bot: restaurant.Bot{ID: "b", PhoneNumber: "+966110000000", OwnerNumber: "+966500000099",
				Limits: restaurant.Limits{ConversationsPerDay: 1, AnswersPerMinute: -1}},
		}
		check := func(err error) {
			if err != nil {
				rt.Fatalf("a step that must succeed failed: %v", err)
			}
		}
		check(ledger.Store.CreateRestaurant(context.Background(), tenant.Restaurant, &tenant.Bot))
		month := usage.Month{Year: 2026, Month: time.November}
		check(ledger.Store.PutUsage(context.Background(), "r1", usage.Activity{}, map[usage.Month]usage.MonthCount{month: {Conversations: 22}}))

		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		var log bytes.Buffer
		phones, deliveries, events := &inbox{}, 0, make(map[int64]int)
		service := &conversation.Service{
			Recorder: ledger.Recorder, QuotaAlerter: ledger.QuotaAlerter, Sender: phones, Ledger: messageLedger(ledger.Store), Queue: phones, Menu: phones, Templates: phones,
			Now:       func() time.Time { return now },
			NewID:     func() string { deliveries++; return fmt.Sprint("delivery ", deliveries) },
			RequestID: func(context.Context) string { return "" },
			Log:       slog.New(slog.NewJSONHandler(&log, nil)),
			Events:    conversation.Events{QuotaAlert: func(percent int64) { events[percent]++ }},
		}
		for i := range 8 { // conversations 23 to 30 of 30
			in := conversation.Incoming{MessageID: fmt.Sprint("m", i), Customer: fmt.Sprintf("+9665%08d", i), Body: "hello"}
			for writes := rapid.IntRange(0, 14).Draw(rt, "writes"); writes > 0; writes = rapid.IntRange(0, 3).Draw(rt, "writes again") {
				_ = service.Receive(breakAfter(context.Background(), writes), tenant, in) // it may make fewer writes
				now = now.Add(conversation.AlertLeaseLength)
			}
			check(service.Receive(context.Background(), tenant, in))
			now = now.Add(time.Minute)
		}
		for _, threshold := range []int64{80, 90, 100} {
			if lines := strings.Count(log.String(), fmt.Sprintf(`"threshold":%d,"month"`, threshold)); events[threshold] != 1 || lines != 1 {
				rt.Errorf("%d %%: %d events and %d lines", threshold, events[threshold], lines)
			}
			if !strings.Contains(strings.Join(phones.alerts, " ")+" ", fmt.Sprint(threshold, " ")) {
				rt.Errorf("the owner was told of %q", phones.alerts)
			}
		}
		record, err := ledger.Store.Usage(context.Background(), "r1", []usage.Month{month})
		check(err)
		if n := record.Months[month].Conversations; n != 30 {
			rt.Errorf("%d conversations, want 30", n)
		}
		ranks, err := ledger.Store.Ranks(context.Background(), month)
		check(err)
		if ids, total, err := ranks.Page(context.Background(), usage.Whole, usage.Unlimited, 0, 10); total != 1 || len(ids) != 1 || err != nil {
			rt.Errorf("the fullest are %v of %d, %v", ids, total, err)
		}
	})
}
