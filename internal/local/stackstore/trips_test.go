package stackstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// timed is a sender that notes when a message was sent.
type timed struct {
	inbox
	sent []time.Time
}

func (s *timed) Send(context.Context, conversation.Tenant, conversation.Outgoing) (string, error) {
	s.sent = append(s.sent, time.Now())
	return fmt.Sprint("SM", len(s.sent)), nil
}

func (*timed) Allow(context.Context, string, int64) bool { return true }

// TestTripsBeforeTheAnswer counts the successive round trips to DynamoDB before the customer's answer is sent, without those
// that find the restaurant. In a synctest bubble each takes a second and nothing else takes time, so the count is exact.
func TestTripsBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	slow := roundTrip(func(r *http.Request) (*http.Response, error) {
		time.Sleep(time.Second)
		return engine.RoundTrip(r)
	})
	inBubble(t, func(ctx context.Context, t *testing.T) {
		tenant := conversation.Tenant{
			Restaurant: restaurant.Restaurant{ID: "r1", Name: "One", Active: true, CreatedAt: start},
			Bot:        restaurant.Bot{ID: "b", PhoneNumber: "+966110000000", Limits: restaurant.Limits{ConversationsPerDay: 10, AnswersPerMinute: -1}},
		}
		must(t, newStore(engine).CreateRestaurant(ctx, tenant.Restaurant, &tenant.Bot))
		recorder, phones, deliveries := newStore(slow).Recorder(usage.NewCalendar(nil)), &timed{}, 0
		service := &conversation.Service{
			Recorder: recorder, QuotaAlerter: recorder, Sender: phones, Ledger: messageLedger(newStore(slow)), Queue: phones, Menu: phones, Templates: phones, Limiter: phones,
			Now:       time.Now,
			NewID:     func() string { deliveries++; return fmt.Sprint("delivery ", deliveries) },
			RequestID: func(context.Context) string { return "" }, Log: slog.New(slog.DiscardHandler),
		}
		for _, step := range []struct {
			what, id, from, body string
			after                time.Duration
			trips                int // until the answer is sent; 0 if there is none
		}{
			{"a restaurant's first message", "m1", "+966500000001", "hello", 0, 1},
			{"a first message ever", "m2", "+966500000002", "hello", time.Minute, 1},
			{"a menu in a session", "m3", "+966500000001", "menu", time.Minute, 1},
			{"a menu that opens a session", "m4", "+966500000001", "menu", 30 * time.Hour, 2},
			{"a repeat of an answered menu", "m4", "+966500000001", "menu", time.Second, 0},
		} {
			time.Sleep(step.after)
			phones.sent = nil
			begin := time.Now()
			must(t, service.Receive(ctx, tenant, conversation.Incoming{MessageID: step.id, Customer: step.from, Body: step.body}))
			trips := 0
			if len(phones.sent) > 0 {
				trips = int(phones.sent[0].Sub(begin) / time.Second)
			}
			if answered := len(phones.sent) == 1; answered != (step.trips > 0) || trips != step.trips {
				t.Errorf("%s: %d answers, after %d round trips; want %d", step.what, len(phones.sent), trips, step.trips)
			}
		}
	})
}
