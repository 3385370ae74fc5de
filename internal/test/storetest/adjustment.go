package storetest

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// defaultLimit is the daily limit of the suite's restaurants without a bot.
const defaultLimit = 10

func adjustment(i int, amount int64) usage.Adjustment {
	return usage.Adjustment{
		ID: fmt.Sprintf("adj_%d", i), Amount: amount, Type: usage.RenewalType, Reason: fmt.Sprint("reason ", amount),
		CreatedAt: kept(Start).Add(time.Duration(i) * time.Second), CreatedBy: "cr_1",
	}
}

func adjust(t *testing.T, s Store, restaurantID string, a usage.Adjustment, key string, want usage.Quota) {
	t.Helper()
	got, err := s.Adjust(t.Context(), restaurantID, november, a, key, defaultLimit)
	must(t, err)
	wantEqual(t, a.ID, got, want)
}

func wantAdjusted(t *testing.T, s Store, restaurantID string, want int64) {
	t.Helper()
	record, err := s.Usage(t.Context(), restaurantID, []usage.Month{november})
	must(t, err)
	wantEqual(t, "adjusted by", record.Months[november].AdjustedBy, want)
}

func testAdjust(t *testing.T, s Store) {
	create(t, s, Restaurant(1), &restaurant.Bot{ID: "b", Limits: restaurant.Limits{MessagesPerDay: 2}})
	create(t, s, Restaurant(2), nil)
	count := usage.MonthCount{Conversations: 45, Days: map[int]int64{23: 45}, LastConversation: kept(Start)}
	must(t, s.PutUsage(t.Context(), "r00001", usage.Activity{}, map[usage.Month]usage.MonthCount{november: count}))

	adjust(t, s, "r00001", adjustment(1, 100), "", usage.Quota{Used: 45, Limit: 60, AdjustedBy: 100})
	adjust(t, s, "r00001", adjustment(2, 1), "", usage.Quota{Used: 45, Limit: 60, AdjustedBy: 101})
	adjust(t, s, "r00002", adjustment(3, 7), "", usage.Quota{Limit: 300, AdjustedBy: 7}) // the first thing in its month
	record, err := s.Usage(t.Context(), "r00001", november.Last(2))
	must(t, err)
	count.AdjustedBy = 101
	wantEqual(t, "months", record.Months, map[usage.Month]usage.MonthCount{november: count})
	wantAdjusted(t, s, "r00002", 7)

	got, err := s.Adjustments(t.Context(), "r00001", november, 100)
	must(t, err)
	wantEqual(t, "adjustments", got, []usage.Adjustment{adjustment(2, 1), adjustment(1, 100)})
	got, err = s.Adjustments(t.Context(), "r00001", november, 1)
	must(t, err)
	wantEqual(t, "the newest", got, []usage.Adjustment{adjustment(2, 1)})
	for _, restaurantID := range []string{"r00003", "nobody"} {
		got, err = s.Adjustments(t.Context(), restaurantID, november, 100)
		must(t, err)
		wantEqual(t, "none", got, []usage.Adjustment{})
	}
	got, err = s.Adjustments(t.Context(), "r00001", november.Last(2)[1], 100)
	must(t, err)
	wantEqual(t, "in October", got, []usage.Adjustment{})
}

func testAdjustOnce(t *testing.T, s Store) {
	for i := range 3 {
		create(t, s, Restaurant(i), nil)
	}
	first := usage.Quota{Limit: 300, AdjustedBy: 5}
	adjust(t, s, "r00001", adjustment(1, 5), "key", first)
	adjust(t, s, "r00001", adjustment(2, 7), "", usage.Quota{Limit: 300, AdjustedBy: 12})
	must(t, s.SetBot(t.Context(), "r00001", restaurant.Bot{ID: "b", Limits: restaurant.Limits{MessagesPerDay: usage.Unlimited}}))
	adjust(t, s, "r00001", adjustment(3, 5), "key", first) // as it was then
	for _, other := range []usage.Adjustment{adjustment(4, 6), {ID: "adj_5", Amount: 5, Reason: "another"}} {
		_, err := s.Adjust(t.Context(), "r00001", november, other, "key", defaultLimit)
		wantError(t, err, usage.ErrKeyReused)
	}
	// A later month's repeat is one too.
	again, err := s.Adjust(t.Context(), "r00001", usage.Month{Year: 2026, Month: time.December}, adjustment(6, 5), "key", defaultLimit)
	must(t, err)
	wantEqual(t, "in December", again, first)
	wantAdjusted(t, s, "r00001", 12)

	adjust(t, s, "r00002", adjustment(1, 9), "key", usage.Quota{Limit: 300, AdjustedBy: 9}) // another restaurant's key
	adjust(t, s, "r00002", adjustment(2, 9), "other key", usage.Quota{Limit: 300, AdjustedBy: 18})
}

func testAdjustRefuses(t *testing.T, s Store) {
	_, err := s.Adjust(t.Context(), "nobody", november, adjustment(1, 5), "key", defaultLimit)
	wantError(t, err, restaurant.ErrNotFound)
	create(t, s, Restaurant(1), &restaurant.Bot{ID: "b", Limits: restaurant.Limits{MessagesPerDay: usage.Unlimited}})
	_, err = s.Adjust(t.Context(), "r00001", november, adjustment(1, 5), "key", defaultLimit)
	wantError(t, err, usage.ErrUnlimited)
	create(t, s, Restaurant(2), nil)
	_, err = s.Adjust(t.Context(), "r00002", november, adjustment(1, 5), "key", usage.Unlimited)
	wantError(t, err, usage.ErrUnlimited)
	wantAdjusted(t, s, "r00001", 0)
	wantAdjusted(t, s, "r00002", 0)

	must(t, s.SetActive(t.Context(), "r00002", false)) // no reason to refuse it
	adjust(t, s, "r00002", adjustment(2, 5), "key", usage.Quota{Limit: 300, AdjustedBy: 5})
}

func testConcurrentAdjustments(t *testing.T, s Store) {
	create(t, s, Restaurant(1), nil)
	var group errgroup.Group
	const keys, copies = 4, 3
	for i := range keys {
		for copied := range copies {
			group.Go(func() error {
				_, err := s.Adjust(t.Context(), "r00001", november, adjustment(i*copies+copied, 10), fmt.Sprint("key ", i), defaultLimit)
				return err
			})
		}
	}
	must(t, group.Wait())
	wantAdjusted(t, s, "r00001", keys*10)
}
