package usagehttp

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// timestamp is a time in the API's form: RFC 3339 in UTC with milliseconds, null if there is none.
type timestamp time.Time

const timestampLayout = "2006-01-02T15:04:05.000Z"

func (t timestamp) MarshalJSON() ([]byte, error) {
	if time.Time(t).IsZero() {
		return []byte("null"), nil
	}
	return time.Time(t).UTC().AppendFormat(nil, `"`+timestampLayout+`"`), nil
}

// percentage is a percentage in hundredths. In JSON it is a number with up to two decimals.
type percentage int64

func (p percentage) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(p)/100, 'f', -1, 64), nil
}

// percentageOf returns the used share of a quota, nil if the quota is unlimited.
func percentageOf(q usage.Quota) *percentage {
	hundredths, limited := q.PercentHundredths()
	if !limited {
		return nil
	}
	p := percentage(hundredths)
	return &p
}

// usageBody is one restaurant's usage.
type usageBody struct {
	RestaurantID           string        `json:"restaurantId"`
	RestaurantName         string        `json:"restaurantName"`
	ConversationsToday     int64         `json:"conversationsToday"`
	ConversationsThisMonth int64         `json:"conversationsThisMonth"`
	LastConversationAt     timestamp     `json:"lastConversationAt"`
	Period                 periodBody    `json:"period"`
	Allowance              allowanceBody `json:"allowance"`
	ToppedUp               int64         `json:"adjustedBy"`
	UsagePercent           *percentage   `json:"usagePercent,omitempty"`
	IsNearingQuota         bool          `json:"isNearingQuota"`
	HasAccess              bool          `json:"hasAccess"`
	FirstActivity          timestamp     `json:"firstActivity"`
	LastActivity           timestamp     `json:"lastActivity"`
	IsActive               bool          `json:"isActive"`
}

// periodBody is the month that the figures cover.
type periodBody struct {
	Year     int       `json:"year"`
	Month    int       `json:"month"`
	TimeZone string    `json:"timeZone"`
	StartsAt timestamp `json:"startsAt"`
	ResetsAt timestamp `json:"resetsAt"`
}

func newPeriodBody(p usage.Period) periodBody {
	return periodBody{p.Month.Year, int(p.Month.Month), p.TimeZone, timestamp(p.StartsAt), timestamp(p.ResetsAt)}
}

type allowanceBody struct {
	DailyLimit       int64 `json:"dailyLimit"`
	DailyRemaining   int64 `json:"dailyRemaining"`
	MonthlyLimit     int64 `json:"monthlyLimit"`
	MonthlyRemaining int64 `json:"monthlyRemaining"`
}

func newUsageBody(r usage.Report) usageBody {
	return usageBody{
		RestaurantID:           r.RestaurantID,
		RestaurantName:         r.RestaurantName,
		ConversationsToday:     r.ConversationsToday,
		ConversationsThisMonth: r.ConversationsThisMonth,
		LastConversationAt:     timestamp(r.LastConversationAt),
		Period:                 newPeriodBody(r.Period),
		Allowance:              allowanceBody(r.Allowance),
		ToppedUp:               r.Quota.ToppedUp,
		UsagePercent:           percentageOf(r.Quota),
		IsNearingQuota:         r.Quota.InAlert(),
		HasAccess:              r.Quota.HasAccess(),
		FirstActivity:          timestamp(r.FirstActivity),
		LastActivity:           timestamp(r.LastActivity),
		IsActive:               r.Active,
	}
}

// quotaBody is this month's allowance, and the used part of it.
type quotaBody struct {
	Used           int64       `json:"used"`
	Limit          int64       `json:"limit"`
	EffectiveLimit int64       `json:"effectiveLimit"`
	ToppedUp       int64       `json:"adjustedBy"`
	Remaining      int64       `json:"remaining"`
	UsagePercent   *percentage `json:"usagePercent,omitempty"`
	IsNearingQuota bool        `json:"isNearingQuota"`
}

func newQuotaBody(q usage.Quota) quotaBody {
	return quotaBody{
		Used: q.Used, Limit: q.Limit, EffectiveLimit: q.EffectiveLimit(), ToppedUp: q.ToppedUp, Remaining: q.Remaining(),
		UsagePercent: percentageOf(q), IsNearingQuota: q.InAlert(),
	}
}

// topUpAnswer is the result of a top-up.
type topUpAnswer struct {
	Success bool      `json:"success"`
	Data    quotaBody `json:"data"`
}

// detailBody is one restaurant's usage with its history.
type detailBody struct {
	usageBody
	History []monthBody `json:"history"`
}

type monthBody struct {
	Month              int       `json:"month"`
	Year               int       `json:"year"`
	ConversationCount  int64     `json:"conversationCount"`
	LastConversationAt timestamp `json:"lastConversationAt"`
}

func newDetailBody(r usage.Report, history []usage.MonthReport) detailBody {
	return detailBody{usageBody: newUsageBody(r), History: newMonthBodies(history)}
}

func newMonthBodies(history []usage.MonthReport) []monthBody {
	months := make([]monthBody, len(history)) // never null
	for i, m := range history {
		months[i] = monthBody{int(m.Month.Month), m.Month.Year, m.Conversations, timestamp(m.LastConversationAt)}
	}
	return months
}

// listBody is one page of restaurants' usage.
type listBody struct {
	Data       []usageBody    `json:"data"`
	Pagination paginationBody `json:"pagination"`
}

type paginationBody struct {
	Total      int    `json:"total"`
	AtLeast    bool   `json:"totalAtLeast,omitempty"`
	Limit      int    `json:"limit"`
	Offset     int    `json:"offset"`
	HasMore    bool   `json:"hasMore"`
	NextCursor string `json:"nextCursor,omitempty"`
}

func newListBody(listing usage.Listing, limit int) listBody {
	data := make([]usageBody, len(listing.Reports)) // never null
	for i, r := range listing.Reports {
		data[i] = newUsageBody(r)
	}
	return listBody{data, newPaginationBody(listing, limit)}
}

func newPaginationBody(l usage.Listing, limit int) paginationBody {
	return paginationBody{
		Total: l.Total, AtLeast: l.AtLeast, Limit: limit, Offset: l.Offset, HasMore: l.More, NextCursor: cursorOf(l.Next, l.Behind),
	}
}

// alertsBody is a page of the restaurants at or above a threshold of their allowance.
type alertsBody struct {
	Data       []alertBody    `json:"data"`
	Pagination paginationBody `json:"pagination"`
	Threshold  float64        `json:"threshold"`
}

// alertBody is a restaurant in an alertsBody. Its limit is the effective limit: plan plus top-ups.
type alertBody struct {
	RestaurantID   string      `json:"restaurantId"`
	RestaurantName string      `json:"restaurantName"`
	Used           int64       `json:"used"`
	Limit          int64       `json:"limit"`
	Remaining      int64       `json:"remaining"`
	UsagePercent   *percentage `json:"usagePercent,omitempty"`
	IsNearingQuota bool        `json:"isNearingQuota"`
	ToppedUp       int64       `json:"adjustedBy"`
}

func newAlertsBody(listing usage.Listing, q alertQuery) alertsBody {
	data := make([]alertBody, len(listing.Reports)) // never null
	for i, r := range listing.Reports {
		data[i] = alertBody{
			RestaurantID: r.RestaurantID, RestaurantName: r.RestaurantName, Used: r.Quota.Used, Limit: r.Quota.EffectiveLimit(),
			Remaining: r.Quota.Remaining(), UsagePercent: percentageOf(r.Quota), IsNearingQuota: r.Quota.InAlert(),
			ToppedUp: r.Quota.ToppedUp,
		}
	}
	return alertsBody{data, newPaginationBody(listing, q.limit), float64(q.threshold) / float64(usage.Whole)}
}

// detailsBody has all data about one restaurant.
type detailsBody struct {
	RestaurantID        string        `json:"restaurantId"`
	RestaurantName      string        `json:"restaurantName"`
	IsActive            bool          `json:"isActive"`
	ConversationsToday  int64         `json:"conversationsToday"`
	Period              periodBody    `json:"period"`
	HasAccess           bool          `json:"hasAccess"`
	Quota               quotaBody     `json:"quota"`
	MonthlyUsage        []monthBody   `json:"monthlyUsage"`
	FirstActivity       timestamp     `json:"firstActivity"`
	LastActivity        timestamp     `json:"lastActivity"`
	ActiveSessionsCount int64         `json:"activeSessionsCount"`
	DailyBreakdown      []dayBody     `json:"dailyBreakdown"`
	TopUps              []topUpBody   `json:"adjustments"`
	RecentSessions      []sessionBody `json:"recentSessions"`
	SentMessages        sentBody      `json:"sentMessages"`
}

// sentBody holds the statuses of the messages that a restaurant sent in the current month.
type sentBody struct {
	countBody
	ByKind     map[delivery.Kind]countBody     `json:"byKind"`     // only kinds with sent messages, never null
	ByCategory map[delivery.Category]countBody `json:"byCategory"` // only categories with sent messages, never null
	Days       []sentDayBody                   `json:"days"`       // only days with sent messages
	Cost       *costBody                       `json:"cost,omitempty"`
}

type countBody struct {
	Sent      int64 `json:"sent"`
	Delivered int64 `json:"delivered"`
	Read      int64 `json:"read"`
	Failed    int64 `json:"failed"`
}

type sentDayBody struct {
	Date string `json:"date"`
	countBody
}

type costBody struct {
	Currency string `json:"currency"`
	Amount   string `json:"amount"` // a decimal
}

func newSentBody(d usage.Details) sentBody {
	body := sentBody{
		countBody: countBody(d.Messages.Total()), ByKind: newCountBodies(d.Messages.Kinds()), ByCategory: newCountBodies(d.Messages.Categories()),
		Days: []sentDayBody{},
	}
	for _, day := range slices.Sorted(maps.Keys(d.Messages)) {
		body.Days = append(body.Days, sentDayBody{dateOf(d.Month, day), countBody(d.Messages.Day(day))})
	}
	if d.Cost != nil {
		body.Cost = &costBody{d.Cost.Currency, d.Cost.Amount.String()}
	}
	return body
}

func newCountBodies[K comparable](counts map[K]ledger.Count) map[K]countBody {
	bodies := make(map[K]countBody, len(counts))
	for key, c := range counts {
		bodies[key] = countBody(c)
	}
	return bodies
}

type dayBody struct {
	Date                 string `json:"date"`
	ConversationsStarted int64  `json:"conversationsStarted"`
	Messages             int64  `json:"messages"`
}

type topUpBody struct {
	ID        string    `json:"id"`
	Amount    int64     `json:"amount"`
	Type      string    `json:"type"`
	Reason    string    `json:"reason"`
	CreatedAt timestamp `json:"createdAt"`
	CreatedBy string    `json:"createdBy"`
}

type sessionBody struct {
	ID            string    `json:"id"`
	CustomerPhone string    `json:"customerPhone"`
	StartedAt     timestamp `json:"startedAt"`
	LastMessageAt timestamp `json:"lastMessageAt"`
	MessageCount  int64     `json:"messageCount"`
}

// dateOf returns a day of a month as "2026-11-28".
func dateOf(m usage.Month, day int) string { return fmt.Sprintf("%s-%02d", m, day) }

func newDetailsBody(d usage.Details) detailsBody {
	body := detailsBody{
		RestaurantID: d.RestaurantID, RestaurantName: d.RestaurantName, IsActive: d.Active,
		ConversationsToday: d.ConversationsToday, Period: newPeriodBody(d.Period), HasAccess: d.Quota.HasAccess(), Quota: newQuotaBody(d.Quota),
		MonthlyUsage: newMonthBodies(d.History), FirstActivity: timestamp(d.FirstActivity), LastActivity: timestamp(d.LastActivity),
		ActiveSessionsCount: d.ActiveSessions,
		DailyBreakdown:      make([]dayBody, len(d.Days)), // never null, nor are the other lists
		TopUps:              make([]topUpBody, len(d.TopUps)),
		RecentSessions:      make([]sessionBody, len(d.Sessions)),
		SentMessages:        newSentBody(d),
	}
	for i, day := range d.Days {
		body.DailyBreakdown[i] = dayBody{dateOf(d.Month, day.Day), day.Conversations, day.Messages}
	}
	for i, a := range d.TopUps {
		body.TopUps[i] = topUpBody{a.ID, a.Amount, a.Type, a.Reason, timestamp(a.CreatedAt), a.CreatedBy}
	}
	for i, s := range d.Sessions {
		body.RecentSessions[i] = sessionBody{s.ID, logging.MaskCustomer(s.Customer), timestamp(s.OpenedAt), timestamp(s.LastMessage), s.Messages}
	}
	return body
}
