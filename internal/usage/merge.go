package usage

import "time"

// Merge combines two sources' knowledge of a month. For each day the larger count wins, and in all the larger count too, but no
// less than the sum of the days; for the top-ups' sum, the larger wins. Merging a source again, or a source that knows less,
// changes nothing. If both sources tell the truth, the result never exceeds the truth. Conversations that only one source
// counted, on a day on which both counted some, are lost, because nobody can tell them from the same conversations.
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

// Merge returns the activity that two sources together know of. The tally of messages is a's own.
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
