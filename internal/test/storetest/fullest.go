package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// fullest returns the ids of the restaurants at or above the share, the fullest first, and by id if equal.
func fullest(t *testing.T, s Store, month usage.Month, share usage.Share, defaultLimit int64) []string {
	t.Helper()
	at := time.Date(month.Year, month.Month, 2, 0, 0, 0, 0, time.UTC)
	service := usage.NewService(s, usage.NewCalendar(nil), restaurant.Limits{ConversationsPerDay: defaultLimit}, func() time.Time { return at })
	ranks, err := service.Ranks(t.Context())
	must(t, err)
	listing, err := service.Alerts(t.Context(), ranks, share, 0, 100)
	must(t, err)
	wantEqual(t, "total", listing.Total, len(listing.Reports))
	ids := make([]string, len(listing.Reports))
	for i, report := range listing.Reports {
		ids[i] = report.RestaurantID
	}
	return ids
}

// Watch does the work that follows the opening of a conversation: it returns the restaurant's quota, and updates its place in
// the ranking.
func Watch(ctx context.Context, q conversation.QuotaAlerter, restaurantID string, at time.Time) (conversation.QuotaState, error) {
	state, err := q.QuotaState(ctx, restaurantID, at)
	if err == nil && state.Place != nil {
		err = state.Place(ctx)
		state.Place = nil
	}
	return state, err
}

// dailyBots numbers the bots that daily makes, because no two restaurants' bots may have the same id.
var dailyBots atomic.Int64

func daily(limit int64) *restaurant.Bot {
	return &restaurant.Bot{ID: fmt.Sprint("b", dailyBots.Add(1)), Limits: restaurant.Limits{ConversationsPerDay: limit}}
}

func use(t *testing.T, s Store, restaurantID string, conversations int64) {
	t.Helper()
	must(t, s.PutUsage(t.Context(), restaurantID, usage.Activity{}, map[usage.Month]usage.MonthCount{november: {Conversations: conversations}}))
}

func testFullest(t *testing.T, s Store) {
	wantEqual(t, "of none", fullest(t, s, november, 0, defaultLimit), []string{})
	for i, r := range []struct {
		bot  *restaurant.Bot
		used int64
	}{
		{daily(10), 270}, // 90 %
		{daily(10), 269},
		{daily(10), 299},
		{daily(10), 301}, // more than the limit
		{daily(1), 30},
		{daily(0), 1},                // used, with a limit of zero
		{daily(0), 0},                // unused, with a limit of zero
		{daily(-1), 5000},            // unlimited
		{nil, 270},                   // 90 % of the default limit
		{daily(1_000_000_000), 1000}, // hardly anything
		{daily(10), 0},
	} {
		create(t, s, Restaurant(i), r.bot)
		if r.used > 0 {
			use(t, s, Restaurant(i).ID, r.used)
		}
	}
	nearing := []string{"r00005", "r00003", "r00004", "r00002", "r00000", "r00008"}
	wantEqual(t, "90 %", fullest(t, s, november, usage.AlertShare, defaultLimit), nearing)
	wantEqual(t, "all", fullest(t, s, november, usage.Whole, defaultLimit), []string{"r00005", "r00003", "r00004"})
	wantEqual(t, "just over 90 %", fullest(t, s, november, usage.AlertShare+1, defaultLimit), nearing[:4])
	wantEqual(t, "a millionth", fullest(t, s, november, 1, defaultLimit), append(nearing, "r00001"))
	wantEqual(t, "any", fullest(t, s, november, 0, defaultLimit), append(nearing, "r00001", "r00009", "r00006", "r00010"))
	wantEqual(t, "December", fullest(t, s, usage.Month{Year: 2026, Month: time.December}, 1, defaultLimit), []string{})
	wantEqual(t, "any in December", len(fullest(t, s, usage.Month{Year: 2026, Month: time.December}, 0, defaultLimit)), 10)

	// The default limit is configured, so it may change without a write.
	wantEqual(t, "90 %, no default", fullest(t, s, november, usage.AlertShare, usage.Unlimited), nearing[:5])
	wantEqual(t, "any, no default", fullest(t, s, november, 0, usage.Unlimited),
		[]string{"r00005", "r00003", "r00004", "r00002", "r00000", "r00001", "r00009", "r00006", "r00010"})
	wantEqual(t, "90 %, a small default", fullest(t, s, november, usage.AlertShare, 1)[:3], []string{"r00005", "r00008", "r00003"})
	wantEqual(t, "90 %, a large default", fullest(t, s, november, usage.AlertShare, 11), nearing[:5])
}

func testFullestFollows(t *testing.T, s Store) {
	want := func(what string, share usage.Share, ids ...string) {
		t.Helper()
		wantEqual(t, what, fullest(t, s, november, share, defaultLimit), ids)
	}
	create(t, s, Restaurant(1), daily(10))
	create(t, s, Restaurant(2), nil)
	use(t, s, "r00001", 280)
	use(t, s, "r00002", 290)
	want("used", usage.AlertShare, "r00002", "r00001")

	must(t, s.SetActive(t.Context(), "r00002", false))
	want("switched off", usage.AlertShare, "r00001")
	want("switched off, any", 0, "r00001")
	addTopUp(t, s, "r00001", topUp(1, 100), "", usage.Quota{Used: 280, Limit: 300, ToppedUp: 100})
	addTopUp(t, s, "r00002", topUp(2, 5), "", usage.Quota{Used: 290, Limit: 300, ToppedUp: 5})
	want("topped up", usage.AlertShare)
	want("topped up, 70 %", 70*usage.Percent, "r00001")
	must(t, s.SetActive(t.Context(), "r00002", true))
	want("switched on", usage.AlertShare, "r00002")
	want("at its new share", usage.Share(290_000_000/305), "r00002")
	want("and not more", usage.Share(290_000_000/305)+1)

	must(t, s.SetBot(t.Context(), "r00001", *daily(7))) // 280 of 310
	want("a smaller plan", usage.AlertShare, "r00002", "r00001")
	must(t, s.SetBot(t.Context(), "r00001", *daily(usage.Unlimited)))
	want("unlimited", 0, "r00002")
	must(t, s.SetBot(t.Context(), "r00001", *daily(0))) // 280 of 100
	want("nothing but the top-up", usage.Whole, "r00001")
	must(t, s.SetBot(t.Context(), "r00002", *daily(1))) // 290 of 35: the restaurant without a bot gets one
	want("its first bot", usage.Whole, "r00002", "r00001")

	// Usage that is imported before its restaurant, over existing usage, and for other months.
	use(t, s, "r00003", 30)
	want("without a restaurant", usage.Whole, "r00002", "r00001")
	create(t, s, Restaurant(3), daily(1))
	want("with its restaurant", usage.Whole, "r00002", "r00001", "r00003")
	use(t, s, "r00002", 1)
	want("imported again", usage.Whole, "r00001", "r00003")
	inactive := Restaurant(4)
	inactive.Active = false
	use(t, s, "r00004", 30)
	create(t, s, inactive, daily(1))
	want("created switched off", usage.Whole, "r00001", "r00003")
}

// testWatch fills a quota with conversations, and changes its limit meanwhile.
func testWatch(t *testing.T, l Ledger) {
	must(t, l.Store.SetBot(t.Context(), "r00001", *daily(1)))
	customers, unwatched := 0, 0
	open := func(n int) {
		t.Helper()
		for range n {
			customers++
			m := message(fmt.Sprint("m", customers), fmt.Sprintf("+9665%08d", customers), noon.Add(time.Duration(customers)*time.Second))
			if recorded := l.record(t, m); !recorded.Opened {
				t.Fatalf("%s of a new customer opens no conversation: %+v", m.ID, recorded)
			}
			state, err := Watch(t.Context(), l.QuotaAlerter, "r00001", m.ReceivedAt)
			must(t, err)
			if state.Month != november || state.Quota.Used != int64(customers+unwatched) || state.QuotaAlerts != (conversation.QuotaAlerts{}) {
				t.Fatalf("after %d conversations the quota is %+v, want %d used and no alert told", customers, state, customers+unwatched)
			}
		}
	}
	wantShare := func(share usage.Share, reached bool) {
		t.Helper()
		if got := fullest(t, l.Store, november, share, usage.Unlimited); (len(got) == 1) != reached {
			t.Errorf("after %d conversations the restaurants %v are listed at the share %d, want the restaurant there: %t", customers, got, share, reached)
		}
	}
	open(26)
	wantShare(usage.AlertShare, false)
	open(1)
	wantShare(usage.AlertShare, true)
	wantShare(usage.AlertShare+1, false)
	must(t, l.Store.SetBot(t.Context(), "r00001", *daily(2)))
	wantShare(45*usage.Percent, true)
	wantShare(45*usage.Percent+1, false)
	open(3) // 30 of 60
	wantShare(50*usage.Percent, true)
	wantShare(50*usage.Percent+1, false)
	_, err := l.Store.AddTopUp(t.Context(), "r00001", november, topUp(1, 2), "", usage.Unlimited)
	must(t, err)
	open(1) // 31 of 62
	wantShare(50*usage.Percent, true)
	wantShare(50*usage.Percent+1, false)

	// If a delivery doesn't get to set the place, the next one sets it.
	l.record(t, message("unwatched", "+966511111111", noon.Add(time.Hour)))
	unwatched = 1
	open(1) // 33 of 62
	wantShare(33_000_000/62, true)
	wantShare(33_000_000/62+1, false)

	repeat := message("m1", "+966500000001", noon.Add(time.Second))
	repeat.Delivery = "again"
	if recorded := l.record(t, repeat); !recorded.Opened || !recorded.Repeat {
		t.Errorf("a repeat of an opening is recorded as %+v, want opened and a repeat", recorded)
	}
	ordinary := message("m99", "+966500000001", noon.Add(time.Hour))
	if recorded := l.record(t, ordinary); recorded.Opened {
		t.Errorf("a message inside a session is recorded as %+v, want no opening", recorded)
	}
}

// testFullestDuringRaces opens conversations while the limit changes, top-ups are made, and the restaurant is switched on and
// off. In the end its place shows all of them.
func testFullestDuringRaces(t *testing.T, l Ledger) {
	must(t, l.Store.SetBot(t.Context(), "r00001", *daily(1)))
	const customers, changes = 24, 6
	group, ctx := errgroup.WithContext(t.Context())
	for i := range customers {
		group.Go(func() error {
			m := message(fmt.Sprint("m", i), fmt.Sprintf("+9665%08d", i), noon)
			if _, err := Record(ctx, l.Recorder, m); err != nil {
				return err
			}
			// After a while Watch gives up a place that others keep changing. It is set below.
			if _, err := Watch(ctx, l.QuotaAlerter, "r00001", noon); !errors.Is(err, outage.ErrUnavailable) {
				return err
			}
			return nil
		})
	}
	group.Go(func() error {
		for i := range changes {
			if err := l.Store.SetBot(ctx, "r00001", *daily(int64(changes - i))); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		for i := range changes {
			if _, err := l.Store.AddTopUp(ctx, "r00001", november, topUp(i, 1), "", usage.Unlimited); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		for i := range changes {
			if err := l.Store.SetActive(ctx, "r00001", i%2 == 1); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, group.Wait())
	l.wantConversations(t, customers)
	_, err := Watch(t.Context(), l.QuotaAlerter, "r00001", noon)
	must(t, err)
	wantEqual(t, "fullest", fullest(t, l.Store, november, 1, usage.Unlimited), []string{"r00001"})
	exact := usage.Share(customers * int64(usage.Whole) / (30 + changes)) // 666,666 millionths
	wantEqual(t, "reached", len(fullest(t, l.Store, november, exact, usage.Unlimited)), 1)
	wantEqual(t, "not reached", len(fullest(t, l.Store, november, exact+1, usage.Unlimited)), 0)
}

// testAlertsClaimed: of several deliveries that see a threshold passed, one reports it.
func testAlertsClaimed(t *testing.T, l Ledger) {
	first, second := message("m1", customer, noon), message("m2", "+966500000002", noon.Add(time.Second))
	l.record(t, first)
	l.record(t, second)
	claim := func(m conversation.Message, at time.Time, want conversation.QuotaAlerts, held bool) {
		t.Helper()
		told, ok, err := l.QuotaAlerter.ClaimQuotaAlerts(t.Context(), m, november, at)
		must(t, err)
		if told != want || ok != held {
			t.Errorf("%s claims the alerts at %v: told %+v, held %t; want %+v, %t", m.ID, at, told, ok, want, held)
		}
	}
	none := conversation.QuotaAlerts{}
	claim(first, noon, none, true)
	claim(first, noon, none, true)
	claim(second, noon.Add(conversation.AlertLeaseLength-time.Millisecond), none, false)
	must(t, l.QuotaAlerter.SettleQuotaAlerts(t.Context(), second, november, conversation.QuotaAlerts{Noted: 100}, true)) // it doesn't hold the lease
	must(t, l.QuotaAlerter.SettleQuotaAlerts(t.Context(), first, november, conversation.QuotaAlerts{Noted: 80}, false))
	claim(second, noon.Add(conversation.AlertLeaseLength), conversation.QuotaAlerts{Noted: 80}, true) // the first delivery has died
	must(t, l.QuotaAlerter.SettleQuotaAlerts(t.Context(), first, november, none, true))               // its lease is over
	must(t, l.QuotaAlerter.SettleQuotaAlerts(t.Context(), second, november, conversation.QuotaAlerts{Noted: 90, Sent: 80}, true))
	claim(first, noon.Add(conversation.AlertLeaseLength), conversation.QuotaAlerts{Noted: 90, Sent: 80}, true)
	state, err := l.QuotaAlerter.QuotaState(t.Context(), "r00001", noon)
	must(t, err)
	wantEqual(t, "alerts", state.QuotaAlerts, conversation.QuotaAlerts{Noted: 90, Sent: 80})
	_, err = l.QuotaAlerter.QuotaState(t.Context(), "r00002", noon)
	must(t, err) // nothing was opened in that month
}

// testAlertsToldAgain: a top-up can take the used share below a threshold. When the share passes the threshold again, the
// owner is notified again. That holds even if a delivery is just reporting the threshold. A top-up that leaves the share
// above the threshold changes nothing.
func testAlertsToldAgain(t *testing.T, l Ledger) {
	m := message("m1", customer, noon)
	l.record(t, m)
	must(t, l.Store.SetBot(t.Context(), "r00001", *daily(1)))
	count := usage.MonthCount{Conversations: 30}
	must(t, l.Store.PutUsage(t.Context(), "r00001", usage.Activity{}, map[usage.Month]usage.MonthCount{november: count}))
	claim := func() {
		t.Helper()
		if _, held, err := l.QuotaAlerter.ClaimQuotaAlerts(t.Context(), m, november, noon); err != nil || !held {
			t.Fatalf("claiming the alerts gave held %t (error %v), want held", held, err)
		}
	}
	settle := func(noted, sent int64, done bool) {
		t.Helper()
		must(t, l.QuotaAlerter.SettleQuotaAlerts(t.Context(), m, november, conversation.QuotaAlerts{Noted: noted, Sent: sent}, done))
	}
	want := func(noted, sent int64) {
		t.Helper()
		state, err := l.QuotaAlerter.QuotaState(t.Context(), "r00001", noon)
		must(t, err)
		wantEqual(t, "alerts", state.QuotaAlerts, conversation.QuotaAlerts{Noted: noted, Sent: sent})
	}
	topUps := 0
	change := func(amount, toppedUp int64) {
		t.Helper()
		topUps++
		addTopUp(t, l.Store, "r00001", topUp(topUps, amount), "", usage.Quota{Used: 30, Limit: 30, ToppedUp: toppedUp})
	}
	claim()
	settle(100, 90, true)
	want(100, 90)
	change(3, 3) // 30 of 33: 90 %
	want(90, 90)
	change(-3, 0) // all is used again, which isn't reported yet
	want(90, 90)
	claim()
	settle(100, 90, false)
	change(4, 4) // 30 of 34: 88 %
	want(80, 80)
	settle(100, 100, true) // by the previous holder of the lease, without effect
	want(80, 80)
	claim()      // nobody holds it any more
	change(1, 5) // 30 of 35: still 80 %
	settle(80, 80, true)
	change(100, 105)
	want(0, 0)
}
