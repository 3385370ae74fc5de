package main

import (
	"fmt"
	"io"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

type showUsage struct {
	ID    string     `arg:"" help:"Id of the restaurant."`
	Month string     `help:"Month, such as 2026-11. Default: the current month in the time zone. An earlier month is shown with today's plan, because the plans of earlier months aren't stored." placeholder:"MONTH"`
	Stack stackFlags `embed:"" group:"Parameters of the stack, if they differ from the defaults"`
}

// mostTopUps is the number of top-ups that usage show lists. The sum has all of them.
const mostTopUps = 100

// shownUsage is a restaurant's month in JSON. Limits of -1 are unlimited.
type shownUsage struct {
	RestaurantID   string        `json:"restaurantId"`
	RestaurantName string        `json:"restaurantName"`
	Active         bool          `json:"isActive"`
	Month          string        `json:"month"`
	TimeZone       string        `json:"timeZone"`
	Used           int64         `json:"used"`
	Limit          int64         `json:"limit"` // the plan's
	ToppedUp       int64         `json:"adjustedBy"`
	EffectiveLimit int64         `json:"effectiveLimit"`
	Remaining      int64         `json:"remaining"`
	UsagePercent   *float64      `json:"usagePercent,omitempty"` // missing if unlimited
	Alerts         shownAlerts   `json:"alerts"`
	Bot            *shownBot     `json:"bot"` // null if the defaults apply
	Default        *shownDefault `json:"defaults,omitempty"`
	LastInMonth    *string       `json:"lastConversationAt"` // of the month
	LastActivity   *string       `json:"lastActivity"`       // the latest message, in whichever month
	TopUps         []shownTopUp  `json:"adjustments"`        // the newest first
}

// shownAlerts are the highest thresholds, in percent, that were handled in the month; 0 is none.
type shownAlerts struct {
	Logged  int64 `json:"logged"`
	Settled int64 `json:"settled"` // with the owner: notified, or there is no owner's number or template, or Twilio refuses it
}

// shownDefault are the stack's limits of a restaurant without a bot.
type shownDefault struct {
	PerDay    int64 `json:"maxMessagesPerDay"`
	PerMinute int64 `json:"maxMessagesPerMin"`
}

type shownTopUp struct {
	ID        string  `json:"id"`
	Amount    int64   `json:"amount"`
	Type      string  `json:"type"`
	Reason    string  `json:"reason"`
	CreatedAt *string `json:"createdAt"`
	CreatedBy string  `json:"createdBy"`
}

func (c *showUsage) Run(s *session) error {
	calendar, month, err := monthIn(s.now(), c.Stack.TimeZone, c.Month)
	if err != nil {
		return err
	}
	record, err := s.record(c.ID, month)
	if err != nil {
		return err
	}
	topUps, err := s.store.TopUps(s.ctx, c.ID, month, mostTopUps)
	if err != nil {
		return err
	}
	within := time.Date(month.Year, month.Month, 15, 12, 0, 0, 0, time.UTC) // the middle of the month, in any zone
	state, err := s.store.Recorder(calendar).QuotaState(s.ctx, c.ID, within)
	if err != nil {
		return err
	}
	limits := c.Stack.Defaults.limits()
	if record.Bot != nil {
		limits = record.Bot.Limits
	}
	count := record.Months[month]
	q := usage.NewQuota(limits.ConversationsPerDay, count.Conversations, count.ToppedUp)
	result := shownUsage{
		RestaurantID: c.ID, RestaurantName: record.Restaurant.Name, Active: record.Restaurant.Active,
		Month: month.String(), TimeZone: c.Stack.TimeZone,
		Used: q.Used, Limit: q.Limit, ToppedUp: q.ToppedUp, EffectiveLimit: q.EffectiveLimit(), Remaining: q.Remaining(),
		Alerts: shownAlerts{Logged: state.QuotaAlerts.Noted, Settled: state.QuotaAlerts.Sent},
		Bot:    shown(record.Restaurant, record.Bot).Bot, LastInMonth: jsonTime(count.LastConversation), LastActivity: jsonTime(record.Activity.Last),
		TopUps: make([]shownTopUp, len(topUps)),
	}
	if hundredths, limited := q.PercentHundredths(); limited {
		percent := float64(hundredths) / 100
		result.UsagePercent = &percent
	}
	if record.Bot == nil {
		result.Default = &shownDefault{limits.ConversationsPerDay, limits.AnswersPerMinute}
	}
	for i, t := range topUps {
		result.TopUps[i] = shownTopUp{t.ID, t.Amount, t.Type, t.Reason, jsonTime(t.CreatedAt), t.CreatedBy}
	}
	past := month.Before(calendar.Month(s.now()))
	return s.out.result(result, func(w io.Writer) { result.write(w, limits, past, count.LastConversation, record.Activity.Last, topUps) })
}

// write writes the month for people.
func (u shownUsage) write(w io.Writer, limits restaurant.Limits, past bool, lastInMonth, lastActivity time.Time, topUps []usage.TopUp) {
	used := fmt.Sprint(u.Used)
	if u.UsagePercent != nil {
		used += fmt.Sprintf(" (%g %%)", *u.UsagePercent)
	}
	plan := limit(u.Limit)
	if past {
		plan += " (today's)"
	}
	bot, settled := "none: the stack's default limits", threshold(u.Alerts.Settled)
	if u.Bot != nil {
		bot = u.Bot.ID
	}
	if u.Alerts.Settled > 0 && (u.Bot == nil || u.Bot.OwnerNumber == "") {
		settled += " (there is no owner's number)"
	}
	table(w, []string{"RESTAURANT", u.RestaurantID}, [][]string{
		{"name", u.RestaurantName}, {"active", yesNo(u.Active)}, {"month", u.Month + ", " + u.TimeZone},
		{"conversations", used}, {"plan", plan}, {"top-ups", fmt.Sprint(u.ToppedUp)}, {"effective limit", limit(u.EffectiveLimit)},
		{"remaining", limit(u.Remaining)}, {"quota alerts logged", threshold(u.Alerts.Logged)}, {"owner alerted", settled},
		{"bot", bot}, {"conversations a day", limit(limits.ConversationsPerDay)}, {"answers a minute", limit(limits.AnswersPerMinute)},
		{"latest conversation", date(lastInMonth, "none")}, {"latest message", date(lastActivity, "none")},
	})
	if len(topUps) == 0 {
		return
	}
	rows := make([][]string, len(topUps))
	for i, t := range topUps {
		rows[i] = []string{date(t.CreatedAt, ""), fmt.Sprint(t.Amount), t.CreatedBy, t.Reason}
	}
	fmt.Fprintln(w)
	table(w, []string{"TOP-UP", "AMOUNT", "BY", "REASON"}, rows)
}

// threshold shows the highest threshold that was handled.
func threshold(percent int64) string {
	if percent == 0 {
		return "none"
	}
	return fmt.Sprintf("up to %d %%", percent)
}
