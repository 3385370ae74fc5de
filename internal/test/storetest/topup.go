package storetest

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// defaultLimit is the daily limit of restaurants without a bot in these tests.
const defaultLimit = 10

func topUp(i int, amount int64) usage.TopUp {
	return usage.TopUp{
		ID: fmt.Sprintf("adj_%d", i), Amount: amount, Type: usage.TopUpType, Reason: fmt.Sprint("reason ", amount),
		CreatedAt: kept(Start).Add(time.Duration(i) * time.Second), CreatedBy: "cr_1",
	}
}

func addTopUp(t *testing.T, s Store, restaurantID string, a usage.TopUp, key string, want usage.Quota) {
	t.Helper()
	addAgain(t, s, restaurantID, a, key, usage.ToppedUp{Quota: want})
}

func addAgain(t *testing.T, s Store, restaurantID string, a usage.TopUp, key string, want usage.ToppedUp) {
	t.Helper()
	got, err := s.AddTopUp(t.Context(), restaurantID, november, a, key, defaultLimit)
	must(t, err)
	wantEqual(t, a.ID, got, want)
}

func wantToppedUp(t *testing.T, s Store, restaurantID string, want int64) {
	t.Helper()
	record, err := s.Usage(t.Context(), restaurantID, []usage.Month{november})
	must(t, err)
	wantEqual(t, "adjusted by", record.Months[november].ToppedUp, want)
}

func testTopUp(t *testing.T, s Store) {
	create(t, s, Restaurant(1), &restaurant.Bot{ID: "b", Limits: restaurant.Limits{ConversationsPerDay: 2}})
	create(t, s, Restaurant(2), nil)
	count := usage.MonthCount{Conversations: 45, Days: map[int]int64{23: 45}, LastConversation: kept(Start)}
	must(t, s.PutUsage(t.Context(), "r00001", usage.Activity{}, map[usage.Month]usage.MonthCount{november: count}))

	addTopUp(t, s, "r00001", topUp(1, 100), "", usage.Quota{Used: 45, Limit: 60, ToppedUp: 100})
	addTopUp(t, s, "r00001", topUp(2, 1), "", usage.Quota{Used: 45, Limit: 60, ToppedUp: 101})
	addTopUp(t, s, "r00002", topUp(3, 7), "", usage.Quota{Limit: 300, ToppedUp: 7}) // the month has no other data
	record, err := s.Usage(t.Context(), "r00001", november.Last(2))
	must(t, err)
	count.ToppedUp = 101
	wantEqual(t, "months", record.Months, map[usage.Month]usage.MonthCount{november: count})
	wantToppedUp(t, s, "r00002", 7)

	got, err := s.TopUps(t.Context(), "r00001", november, 100)
	must(t, err)
	wantEqual(t, "top-ups", got, []usage.TopUp{topUp(2, 1), topUp(1, 100)})
	got, err = s.TopUps(t.Context(), "r00001", november, 1)
	must(t, err)
	wantEqual(t, "the newest", got, []usage.TopUp{topUp(2, 1)})
	for _, restaurantID := range []string{"r00003", "nobody"} {
		got, err = s.TopUps(t.Context(), restaurantID, november, 100)
		must(t, err)
		wantEqual(t, "none", got, []usage.TopUp{})
	}
	got, err = s.TopUps(t.Context(), "r00001", november.Last(2)[1], 100)
	must(t, err)
	wantEqual(t, "in October", got, []usage.TopUp{})
}

func testTopUpOnce(t *testing.T, s Store) {
	for i := range 3 {
		create(t, s, Restaurant(i), nil)
	}
	first := usage.Quota{Limit: 300, ToppedUp: 5}
	addTopUp(t, s, "r00001", topUp(1, 5), "key", first)
	addTopUp(t, s, "r00001", topUp(2, 7), "", usage.Quota{Limit: 300, ToppedUp: 12})
	must(t, s.SetBot(t.Context(), "r00001", restaurant.Bot{ID: "b", Limits: restaurant.Limits{ConversationsPerDay: usage.Unlimited}}))
	addAgain(t, s, "r00001", topUp(3, 5), "key", usage.ToppedUp{Quota: first, Repeat: true}) // the result of the first top-up
	for _, other := range []usage.TopUp{topUp(4, 6), {ID: "adj_5", Amount: 5, Reason: "another"}} {
		_, err := s.AddTopUp(t.Context(), "r00001", november, other, "key", defaultLimit)
		wantError(t, err, usage.ErrKeyReused)
	}
	// A repeat in a later month is a repeat too.
	again, err := s.AddTopUp(t.Context(), "r00001", usage.Month{Year: 2026, Month: time.December}, topUp(6, 5), "key", defaultLimit)
	must(t, err)
	wantEqual(t, "in December", again, usage.ToppedUp{Quota: first, Repeat: true})
	wantToppedUp(t, s, "r00001", 12)

	addTopUp(t, s, "r00002", topUp(1, 9), "key", usage.Quota{Limit: 300, ToppedUp: 9}) // for another restaurant the same key is another key
	addTopUp(t, s, "r00002", topUp(2, 9), "other key", usage.Quota{Limit: 300, ToppedUp: 18})
}

func testTopUpRefused(t *testing.T, s Store) {
	_, err := s.AddTopUp(t.Context(), "nobody", november, topUp(1, 5), "key", defaultLimit)
	wantError(t, err, restaurant.ErrNotFound)
	create(t, s, Restaurant(1), &restaurant.Bot{ID: "b", Limits: restaurant.Limits{ConversationsPerDay: usage.Unlimited}})
	_, err = s.AddTopUp(t.Context(), "r00001", november, topUp(1, 5), "key", defaultLimit)
	wantError(t, err, usage.ErrUnlimited)
	create(t, s, Restaurant(2), nil)
	_, err = s.AddTopUp(t.Context(), "r00002", november, topUp(1, 5), "key", usage.Unlimited)
	wantError(t, err, usage.ErrUnlimited)
	wantToppedUp(t, s, "r00001", 0)
	wantToppedUp(t, s, "r00002", 0)

	// A correction takes back at most the effective limit. After the plan was lowered, a top-up still works.
	create(t, s, Restaurant(3), &restaurant.Bot{ID: "c", Limits: restaurant.Limits{ConversationsPerDay: 2}})
	addTopUp(t, s, "r00003", topUp(1, 5), "", usage.Quota{Limit: 60, ToppedUp: 5})
	_, err = s.AddTopUp(t.Context(), "r00003", november, topUp(2, -66), "key", defaultLimit)
	wantError(t, err, usage.ErrBelowZero)
	addTopUp(t, s, "r00003", topUp(3, -65), "key", usage.Quota{Limit: 60, ToppedUp: -60})
	must(t, s.SetBot(t.Context(), "r00003", restaurant.Bot{ID: "c", Limits: restaurant.Limits{ConversationsPerDay: 1}}))
	_, err = s.AddTopUp(t.Context(), "r00003", november, topUp(4, -1), "", defaultLimit)
	wantError(t, err, usage.ErrBelowZero)
	addTopUp(t, s, "r00003", topUp(5, 10), "", usage.Quota{Limit: 30, ToppedUp: -50})

	must(t, s.SetActive(t.Context(), "r00002", false)) // an inactive restaurant can be topped up
	addTopUp(t, s, "r00002", topUp(2, 5), "key", usage.Quota{Limit: 300, ToppedUp: 5})
}

func testConcurrentTopUps(t *testing.T, s Store) {
	create(t, s, Restaurant(1), nil)
	var group errgroup.Group
	const keys, copies = 4, 3
	for i := range keys {
		for copied := range copies {
			group.Go(func() error {
				_, err := s.AddTopUp(t.Context(), "r00001", november, topUp(i*copies+copied, 10), fmt.Sprint("key ", i), defaultLimit)
				return err
			})
		}
	}
	must(t, group.Wait())
	wantToppedUp(t, s, "r00001", keys*10)
}
