package usage

import "time"

// Merge combines the counts of two sources for a month. For each day, and for the top-ups, the larger count wins.
// The total is the larger total, but not less than the sum of the days. Merging a source again, or a source that knows less,
// changes nothing. If both sources are right, the result never exceeds the truth. If both counted some conversations of a
// day, a conversation that only one of them counted may be lost, because nobody can tell it from the others.
func (c MonthCount) Merge(other MonthCount) MonthCount {
	merged := MonthCount{
		Conversations:    max(c.Conversations, other.Conversations),
		Days:             make(map[int]int64, len(c.Days)),
		LastConversation: later(c.LastConversation, other.LastConversation),
		ToppedUp:         max(c.ToppedUp, other.ToppedUp),
	}
	var sum int64
	for _, days := range []map[int]int64{c.Days, other.Days} {
		for day, n := range days {
			if n > merged.Days[day] {
				sum += n - merged.Days[day]
				merged.Days[day] = n
			}
		}
	}
	merged.Conversations = max(merged.Conversations, sum)
	return merged
}

// Merge combines the times that two sources know. The tally of messages stays a's own.
func (a Activity) Merge(other Activity) Activity {
	if a.First.IsZero() || !other.First.IsZero() && other.First.Before(a.First) {
		a.First = other.First
	}
	a.Last = later(a.Last, other.Last)
	a.LastConversation = later(a.LastConversation, other.LastConversation)
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
