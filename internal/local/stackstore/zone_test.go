package stackstore_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// TestZoneChanges tests what docs/DEPLOYING.md says about changing UsageTimeZone: counted conversations keep their day and
// month, later ones are counted in the new zone, and nothing is counted twice or lost. Once a month has begun in both zones,
// both show the same figures.
func TestZoneChanges(t *testing.T) {
	t.Parallel()
	riyadh, err := time.LoadLocation("Asia/Riyadh") // three hours ahead
	if err != nil {
		t.Fatalf("loading the time zone: %v", err)
	}
	store := newStore(newEngine(t).Transport())
	bot := restaurant.Bot{ID: "bot-r", PhoneNumber: "+966110000001", Limits: restaurant.Limits{ConversationsPerDay: 10, AnswersPerMinute: 10}}
	if err := store.CreateRestaurant(t.Context(), restaurant.Restaurant{ID: "r", Name: "R", Active: true, CreatedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, &bot); err != nil {
		t.Fatalf("creating the restaurant: %v", err)
	}
	customer := 0
	open := func(zone *time.Location, at time.Time) {
		t.Helper()
		customer++
		recorder := store.Recorder(usage.NewCalendar(zone))
		id := "SM" + string(rune('a'+customer))
		m := conversation.Message{ID: id, RestaurantID: "r", Customer: "+96650000000" + string(rune('0'+customer)), ReceivedAt: at, Delivery: id}
		recorded, err := recorder.Record(t.Context(), m)
		if err != nil {
			t.Fatalf("recording the message: %v", err)
		}
		if err := recorder.Complete(t.Context(), m, recorded); err != nil {
			t.Fatalf("completing the recorded message: %v", err)
		}
	}
	type figures struct{ Month, Today, November, December int64 }
	shown := func(zone *time.Location, at time.Time) (f figures) {
		t.Helper()
		service := usage.NewService(store, usage.NewCalendar(zone), restaurant.DefaultLimits, func() time.Time { return at })
		report, history, err := service.History(t.Context(), "r")
		if err != nil {
			t.Fatalf("reading the report with its history: %v", err)
		}
		f.Month, f.Today = report.ConversationsThisMonth, report.ConversationsToday
		for _, month := range history {
			switch month.Month {
			case usage.Month{Year: 2026, Month: time.November}:
				f.November = month.Conversations
			case usage.Month{Year: 2026, Month: time.December}:
				f.December = month.Conversations
			}
		}
		return f
	}
	at := func(day, hour, minute int) time.Time {
		return time.Date(2026, time.November, day, hour, minute, 0, 0, time.UTC)
	}

	open(time.UTC, at(30, 20, 0))
	open(time.UTC, at(30, 21, 30)) // in Riyadh it is December already
	steps := []struct {
		what string
		got  figures
		want figures
	}{
		{"by UTC, on the last evening of November", shown(time.UTC, at(30, 21, 40)), figures{2, 2, 2, 0}},
		{"by Riyadh, at the same time: a month that has nothing yet", shown(riyadh, at(30, 21, 40)), figures{0, 0, 2, 0}},
	}
	open(riyadh, at(30, 21, 50))
	steps = append(steps, []struct {
		what string
		got  figures
		want figures
	}{
		{"by Riyadh, after one more", shown(riyadh, at(30, 22, 0)), figures{1, 1, 2, 1}},
		{"back by UTC: November again, as it was, and December waits", shown(time.UTC, at(30, 22, 0)), figures{2, 2, 2, 0}},
		{"by either, two days later", shown(time.UTC, at(32, 12, 0)), figures{1, 0, 2, 1}},
		{"by either, two days later", shown(riyadh, at(32, 12, 0)), figures{1, 0, 2, 1}},
	}...)
	for _, step := range steps {
		if diff := cmp.Diff(step.want, step.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
}
