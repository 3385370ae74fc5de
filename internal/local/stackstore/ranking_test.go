package stackstore_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// throttled refuses writes to the ranking while it is switched on, like a DynamoDB partition without capacity.
type throttled struct {
	next    http.RoundTripper
	is      atomic.Bool
	refused atomic.Int64
}

func (t *throttled) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.is.Load() || !isWrite(r) {
		return t.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if bytes.Contains(body, []byte(`"`+schema.RankingPrefix)) {
		t.refused.Add(1)
		return fault(400, "ProvisionedThroughputExceededException").RoundTrip(r)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return t.next.RoundTrip(r)
}

// TestThrottledRanking: if the ranking refuses writes, messages are still counted and answered, and thresholds are still
// reported, within about a second. The restaurant's next conversation sets its place.
func TestThrottledRanking(t *testing.T) {
	t.Parallel()
	index := &throttled{next: newEngine(t).Transport()}
	inBubble(t, func(ctx context.Context, t *testing.T) {
		store := newStore(index)
		tenant := conversation.Tenant{
			Restaurant: restaurant.Restaurant{ID: "r1", Name: "One", Active: true, CreatedAt: start},
			Bot: restaurant.Bot{ID: "b", PhoneNumber: "+966110000000", OwnerNumber: "+966500000099",
				Limits: restaurant.Limits{ConversationsPerDay: 1, AnswersPerMinute: -1}},
		}
		must(t, store.CreateRestaurant(ctx, tenant.Restaurant, &tenant.Bot))
		must(t, store.PutUsage(ctx, "r1", usage.Activity{}, map[usage.Month]usage.MonthCount{november: {Conversations: 26}}))
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		phones, deliveries, recorder := &inbox{}, 0, store.Recorder(usage.NewCalendar(nil))
		var log bytes.Buffer
		service := &conversation.Service{
			Recorder: recorder, QuotaAlerter: recorder, Sender: phones, Ledger: messageLedger(store), Queue: phones, Menu: phones, Templates: phones,
			Now:       func() time.Time { return now },
			NewID:     func() string { deliveries++; return fmt.Sprint("delivery ", deliveries) },
			RequestID: func(context.Context) string { return "" }, Log: slog.New(slog.NewJSONHandler(&log, nil)),
		}
		receive := func(i int) {
			t.Helper()
			begin := time.Now()
			must(t, service.Receive(ctx, tenant, conversation.Incoming{MessageID: fmt.Sprint("m", i), Customer: fmt.Sprintf("+9665%08d", i), Body: "hello"}))
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("message %d took %v", i, took)
			}
		}
		alerts := func(share usage.Share, ids ...string) {
			t.Helper()
			wantPage(t, store, share, 0, 10, ids...)
		}
		alerts(86*usage.Percent, "r1")
		index.is.Store(true)
		receive(1) // 27 of 30
		if index.refused.Load() == 0 {
			t.Fatal("nothing was refused")
		}
		record, err := store.Usage(ctx, "r1", []usage.Month{november})
		must(t, err)
		wantSame(t, "conversations", record.Months[november].Conversations, 27)
		wantSame(t, "told", phones.alerts, []string{"80", "90"})
		alerts(90 * usage.Percent)
		if !strings.Contains(log.String(), "ranking not updated") {
			t.Error("the log doesn't tell")
		}
		index.is.Store(false)
		receive(2) // 28 of 30
		alerts(93*usage.Percent, "r1")
		alerts(94 * usage.Percent)

		// A top-up isn't refused either, and the next one sets the place.
		topUp := func(n int64) {
			t.Helper()
			_, err := store.AddTopUp(ctx, "r1", november, usage.TopUp{ID: fmt.Sprint("adj_", n), Amount: n, CreatedAt: now}, "", usage.Unlimited)
			must(t, err)
		}
		index.is.Store(true)
		topUp(10)
		alerts(93*usage.Percent, "r1")
		index.is.Store(false)
		topUp(16) // 28 of 56
		alerts(50*usage.Percent, "r1")
		alerts(51 * usage.Percent)
	})
}

// TestPlacesMeet: of two simultaneous moves of a restaurant, the one with the newer data wins.
func TestPlacesMeet(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store := newStore(engine)
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), &restaurant.Bot{ID: "b", Limits: restaurant.Limits{ConversationsPerDay: 1}}))
	put := func(ctx context.Context, s *stackstore.Store, conversations int64) {
		must(t, s.PutUsage(ctx, "r00001", usage.Activity{}, map[usage.Month]usage.MonthCount{november: {Conversations: conversations}}))
	}
	put(t.Context(), store, 3)
	overtaken := &wire{next: engine, on: "TransactWriteItems", script: []http.RoundTripper{
		roundTrip(func(r *http.Request) (*http.Response, error) {
			put(r.Context(), store, 24)
			return engine.RoundTrip(r)
		}), nil,
	}}
	inBubble(t, func(ctx context.Context, _ *testing.T) { put(ctx, newStore(overtaken), 6) })
	wantPage(t, store, 80*usage.Percent, 0, 10, "r00001")
	wantPage(t, store, 1, 0, 10, "r00001")
	wantPage(t, store, 81*usage.Percent, 0, 10)
}

// TestPages compares pages of any size with a model: each restaurant is on one page, higher percentages are on earlier pages,
// and the total is exact.
func TestPages(t *testing.T) {
	t.Parallel()
	store := newStore(newEngine(t).Transport())
	type standing struct {
		quota usage.Quota
		bot   bool
	}
	restaurants := make(map[string]standing)
	var all sync.WaitGroup
	for i := range 150 {
		st := standing{usage.Quota{Used: int64(i * i % 331), Limit: 300}, i%9 > 0}
		if i%4 == 0 {
			st.quota.Used = 285 // many restaurants at the same percentage
		}
		if i%11 == 0 {
			st.quota.Used = 0
		}
		r := storetest.Restaurant(i)
		restaurants[r.ID] = st
		all.Go(func() {
			var bot *restaurant.Bot
			if st.bot {
				bot = &restaurant.Bot{ID: fmt.Sprint("bot", i), Limits: restaurant.Limits{ConversationsPerDay: 10}}
			}
			must(t, store.CreateRestaurant(context.Background(), r, bot))
			must(t, store.PutUsage(context.Background(), r.ID, usage.Activity{}, map[usage.Month]usage.MonthCount{november: {Conversations: st.quota.Used}}))
		})
	}
	all.Wait()
	ranks, err := store.Ranks(t.Context(), november)
	must(t, err)
	rapid.Check(t, func(rt *rapid.T) {
		share := usage.Share(rapid.SampledFrom([]int64{0, 1, 10_000, 500_000, 950_000, 950_001, 1_000_000}).Draw(rt, "share"))
		if rapid.Bool().Draw(rt, "any share") {
			share = usage.Share(rapid.Int64Range(0, 1_000_000).Draw(rt, "any"))
		}
		defaultLimit := rapid.SampledFrom([]int64{usage.Unlimited, 10, 5}).Draw(rt, "default limit")
		limit := rapid.SampledFrom([]int{1, 3, 7, 20, 50, 200}).Draw(rt, "limit")
		quotas := make(map[string]usage.Quota)
		for id, st := range restaurants {
			if !st.bot {
				st.quota = usage.NewQuota(defaultLimit, st.quota.Used, 0)
			}
			if st.quota.Reaches(share) {
				quotas[id] = st.quota
			}
		}
		percent := func(id string) int64 {
			if quotas[id].Used == 0 {
				return -1
			}
			return quotas[id].WholePercent(200)
		}
		var got []string
		for offset := 0; offset == 0 || offset < len(quotas); offset += limit {
			page, total, err := ranks.Page(context.Background(), share, defaultLimit, offset, limit)
			if err != nil || total != len(quotas) || len(page) != min(limit, len(quotas)-offset) {
				rt.Fatalf("at %d: %d of %d, %v; want %d", offset, len(page), total, err, len(quotas))
			}
			slices.SortFunc(page, func(a, b string) int { return cmp.Compare(percent(b), percent(a)) })
			got = append(got, page...)
		}
		seen := make(map[string]bool)
		for i, id := range got {
			if _, ok := quotas[id]; !ok || seen[id] {
				rt.Fatalf("%s is there twice, or shouldn't be", id)
			}
			seen[id] = true
			if i > 0 && percent(got[i-1]) < percent(id) {
				rt.Fatalf("%s with %d %% comes after %s with %d %%", id, percent(id), got[i-1], percent(got[i-1]))
			}
		}
		if page, total, err := ranks.Page(context.Background(), share, defaultLimit, len(quotas)+3, limit); len(page) > 0 || total != len(quotas) || err != nil {
			rt.Fatalf("past the end: %v of %d, %v", page, total, err)
		}
	})
}
