package schema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// The usage table holds, for each restaurant, an item for each month with its conversations, and an item of the period
// ActivityPeriod with the data that every message changes. They are separate because a conversation is counted in a
// transaction, and messages must not conflict with it.
const ActivityPeriod = "activity"

// RankingPrefix begins the usage table's partition keys that belong to the ranking. No restaurant's id has a slash.
const RankingPrefix = "ranking/"

// Attributes of the usage table. Each day's conversations and messages have an attribute of their own ("d07", "m07") rather
// than an entry of a map, because ADD creates a missing attribute, but not a missing map.
const (
	AttrConversations    = "conversations"
	AttrLastConversation = "lastConversationAt"
	AttrFirstActivity    = "firstActivity"
	AttrLastActivity     = "lastActivity"
	AttrToppedUp         = "adjustedBy" // of a month: the sum of its top-ups
	AttrTallyMonth       = "tallyMonth" // month of the tally's days

	AttrAlertsNoted = "alertsNoted" // of a month: the highest threshold that was logged
	AttrAlertsSent  = "alertsSent"  // of a month: the highest threshold that the owner was notified of
	AttrAlertLease  = "alertLease"  // the delivery that is reporting the thresholds
	AttrAlertUntil  = "alertUntil"

	DayPrefix   = "d"
	TallyPrefix = "m"
	MaxDay      = 31
)

// DayAttribute names the attribute of a day.
func DayAttribute(prefix string, day int) string { return fmt.Sprintf("%s%02d", prefix, day) }

// SetDays sets the attributes of days.
func SetDays(it table.Item, prefix string, days map[int]int64) {
	for day, n := range days {
		it[DayAttribute(prefix, day)] = table.Number(n)
	}
}

// UsageKey is the key of an item of the usage table.
func UsageKey(restaurantID, period string) table.Item {
	return table.Item{AttrRestaurantID: table.Text(restaurantID), "period": table.Text(period)}
}

// ReadUsage reads an activity or a month into a record.
func ReadUsage(r *table.Reader, record *usage.Record) {
	period := r.Text("period")
	if period == ActivityPeriod {
		record.Activity = ReadActivity(r)
		record.Activity.Sessions = ReadSlots(r, record.Activity.Last)
		if month := r.Text(AttrTallyMonth); month != "" {
			var err error
			if record.Activity.Messages.Month, err = usage.ParseMonth(month); err != nil {
				r.Err = err
			}
			record.Activity.Messages.Days = readDays(r, TallyPrefix)
		}
		return
	}
	month, err := usage.ParseMonth(period)
	if err != nil {
		r.Err = err
		return
	}
	record.Months[month] = ReadMonth(r)
}

// ReadActivity reads the first and the last time of an activity, without its tally.
func ReadActivity(r *table.Reader) usage.Activity {
	return usage.Activity{
		First:            r.Instant(AttrFirstActivity),
		Last:             r.Instant(AttrLastActivity),
		LastConversation: r.Instant(AttrLastConversation),
	}
}

// ReadMonth reads a month.
func ReadMonth(r *table.Reader) usage.MonthCount {
	return usage.MonthCount{
		Conversations:    r.Number(AttrConversations),
		LastConversation: r.Instant(AttrLastConversation),
		Days:             readDays(r, DayPrefix),
		ToppedUp:         r.Number(AttrToppedUp),
	}
}

// readDays returns the numbers in the attributes of days.
func readDays(r *table.Reader, prefix string) map[int]int64 {
	days := make(map[int]int64)
	for name := range r.Item {
		if day, ok := strings.CutPrefix(name, prefix); ok && len(day) == len("01") {
			if d, err := strconv.Atoi(day); err == nil {
				days[d] = r.Number(name)
			}
		}
	}
	return days
}
