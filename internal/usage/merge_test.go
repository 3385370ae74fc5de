package usage_test

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/usage"
)

func TestMergedMonthsCountNothingTwice(t *testing.T) {
	t.Parallel()
	early, late := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	type days = map[int]int64
	for name, test := range map[string]struct{ a, b, want usage.MonthCount }{
		"nothing": {usage.MonthCount{}, usage.MonthCount{}, usage.MonthCount{Days: days{}}},
		"twice the same": {
			usage.MonthCount{Conversations: 45, Days: days{3: 40}, LastConversation: early},
			usage.MonthCount{Conversations: 45, Days: days{3: 40}, LastConversation: early},
			usage.MonthCount{Conversations: 45, Days: days{3: 40}, LastConversation: early},
		},
		"days of each": { // counted elsewhere until the 20th, and here from then on
			usage.MonthCount{Conversations: 3, Days: days{23: 3}, LastConversation: late},
			usage.MonthCount{Conversations: 45, Days: days{3: 40, 20: 5}, LastConversation: early},
			usage.MonthCount{Conversations: 48, Days: days{3: 40, 20: 5, 23: 3}, LastConversation: late},
		},
		"without days the larger": {
			usage.MonthCount{Conversations: 3, Days: days{23: 3}},
			usage.MonthCount{Conversations: 45},
			usage.MonthCount{Conversations: 45, Days: days{23: 3}},
		},
		"the larger top-up": {
			usage.MonthCount{Conversations: 3, ToppedUp: 100},
			usage.MonthCount{Conversations: 5, ToppedUp: 70},
			usage.MonthCount{Conversations: 5, ToppedUp: 100, Days: days{}},
		},
		"one day, the larger": {
			usage.MonthCount{Conversations: 3, Days: days{20: 3}},
			usage.MonthCount{Conversations: 5, Days: days{20: 5}},
			usage.MonthCount{Conversations: 5, Days: days{20: 5}},
		},
	} {
		if diff := cmp.Diff(test.want, test.a.Merge(test.b)); diff != "" {
			t.Errorf("merging two counts of a month, %s (-want +got):\n%s", name, diff)
		}
	}
}

// TestMergingInAnyOrderCountsNothingTwice: merging sources in any order, any number of times, lowers no count and counts
// nothing twice.
func TestMergingInAnyOrderCountsNothingTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		truth := rapid.MapOf(rapid.IntRange(1, 30), rapid.Int64Range(1, 9)).Draw(t, "truth")
		total := int64(0)
		for _, n := range truth {
			total += n
		}
		// A source saw some conversations of each day. Its total may be higher than the sum of its days.
		source := func(name string) usage.MonthCount {
			c := usage.MonthCount{Days: make(map[int]int64)}
			for _, day := range rapid.SliceOfDistinct(rapid.IntRange(1, 30), rapid.ID[int]).Draw(t, name+" days") {
				if truth[day] > 0 {
					c.Days[day] = rapid.Int64Range(1, truth[day]).Draw(t, name)
					c.Conversations += c.Days[day]
				}
			}
			c.Conversations = rapid.Int64Range(c.Conversations, total).Draw(t, name+" in all")
			return c
		}
		a, b := source("a"), source("b")
		merged := a.Merge(b)
		if merged.Conversations > total || merged.Conversations < max(a.Conversations, b.Conversations) {
			t.Fatalf("%+v and %+v are merged to %+v: of %d conversations in truth, the restaurant would be billed too many or too few", a, b, merged, total)
		}
		if !cmp.Equal(merged, b.Merge(a)) || !cmp.Equal(merged, merged.Merge(b)) || !cmp.Equal(merged, merged.Merge(a)) {
			t.Fatalf("%+v and %+v are merged to %+v, and to another count in another order or when merged again", a, b, merged)
		}
		for day := range maps.Keys(merged.Days) {
			if merged.Days[day] > truth[day] {
				t.Fatalf("merged, day %d has %d conversations, more than the %d that there were", day, merged.Days[day], truth[day])
			}
		}
	})
}

func TestMergedActivityKeepsFirstAndLast(t *testing.T) {
	t.Parallel()
	at := func(hour int) time.Time { return time.Date(2026, 11, 23, hour, 0, 0, 0, time.UTC) }
	none := usage.Activity{}
	a := usage.Activity{First: at(2), Last: at(8), LastConversation: at(3), Messages: usage.Tally{Days: map[int]int64{23: 7}}}
	b := usage.Activity{First: at(1), Last: at(7), LastConversation: at(4)}
	want := usage.Activity{First: at(1), Last: at(8), LastConversation: at(4), Messages: a.Messages}
	for name, got := range map[string]usage.Activity{
		"both": a.Merge(b), "again": a.Merge(b).Merge(b), "and nothing": a.Merge(b).Merge(none),
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("merged activity of two sources, %s (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(b, none.Merge(b)); diff != "" {
		t.Errorf("merged activity of no source and one (-want +got):\n%s", diff)
	}
}
