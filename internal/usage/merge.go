package usage

import "time"

// Merge returns what two sources together prove of one month: of each day the larger count, and in all the larger
// count too, but no less than the days have; and of what was added to its allowance, the larger. A source that is merged again, or one that knows less, changes nothing;
// and where both tell the truth, the result is never more than the truth. Conversations that each of them counted on
// the same day and the other didn't are lost, for nobody can tell them from the same ones.
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
