package transfer

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/customer"
	"github.com/sufrah/usage-bootstrap/internal/phone"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Kind is the kind of rows in a file.
type Kind string

// The kinds, in the order in which they must be imported: a restaurant's rows need the restaurant.
const (
	Restaurants   Kind = "restaurants"
	Bots          Kind = "bots"
	Usage         Kind = "usage"
	Conversations Kind = "conversations"
)

// Kinds lists the kinds, in the order in which they must be imported.
var Kinds = []Kind{Restaurants, Bots, Usage, Conversations}

// columnNames returns the kind's columns, in the order of an export.
func (k Kind) columnNames() []string {
	switch k {
	case Restaurants:
		return []string{"id", "name", "merchantId", "isActive", "createdAt"}
	case Bots:
		return []string{"restaurantId", "id", "phoneNumber", "twilioAccountSid", "ownerNumber", "maxMessagesPerDay", "maxMessagesPerMin"}
	case Usage:
		return []string{"restaurantId", "year", "month", "conversationCount", "lastConversationAt", "days", "adjustedBy", "firstActivity", "lastActivity"}
	}
	return []string{"restaurantId", "customer", "openedAt", "lastMessageAt", "messages", "welcomed", "userId", "optedOut"}
}

// columns returns the kind's columns by plainName.
func (k Kind) columns() map[string]string { return kindColumns[k] }

var kindColumns = func() map[Kind]map[string]string {
	all := make(map[Kind]map[string]string)
	for _, kind := range Kinds {
		all[kind] = make(map[string]string)
		for _, column := range kind.columnNames() {
			all[kind][plainName(column)] = column
		}
	}
	return all
}()

// Fault is the fault of a row. It quotes no customer's phone number.
type Fault struct {
	Field  string // the column; empty if the fault is the whole row's
	Reason string
}

// Error implements error.
func (f Fault) Error() string { return strings.TrimSpace(f.Field + " " + f.Reason) }

// parser reads the cells of one row and collects their faults.
type parser struct {
	row      row
	now      time.Time
	defaults restaurant.Limits
	country  string
	faults   []Fault
}

func (p *parser) fail(column, format string, args ...any) {
	p.faults = append(p.faults, Fault{column, fmt.Sprintf(format, args...)})
}

// required returns a cell that must not be NULL.
func (p *parser) required(column string) (string, bool) {
	text, ok := p.row.cells[column]
	if !ok {
		p.fail(column, "is missing")
	}
	return text, ok
}

func (p *parser) id(column string) string {
	text, ok := p.required(column)
	if ok && !restaurant.ValidID(text) {
		p.fail(column, "is not an id: want 1 to 64 letters, digits, '-' or '_'")
	}
	return text
}

// optionalID treats an empty text like NULL, because some databases have no NULL.
func (p *parser) optionalID(column, alternative string) string {
	if p.row.cells[column] == "" {
		return alternative
	}
	return p.id(column)
}

func (p *parser) number(column string, alternative, least, most int64) int64 {
	text, ok := p.row.cells[column]
	if !ok {
		return alternative
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		p.fail(column, "is not a whole number from %d to %d", least, most)
		return alternative
	}
	return n
}

func (p *parser) flag(column string, alternative bool) bool {
	text, ok := p.row.cells[column]
	if !ok {
		return alternative
	}
	switch strings.ToLower(text) {
	case "t", "true":
		return true
	case "f", "false":
		return false
	}
	p.fail(column, "is neither true nor false")
	return alternative
}

// timeLayouts are the layouts of RFC 3339 and PostgreSQL, with a zone (+03, +05:30), or without one, which means UTC.
var timeLayouts = []string{
	time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07", "2006-01-02T15:04:05", "2006-01-02 15:04:05",
}

// earliest is the earliest time that is accepted: an earlier one is a mistake.
var earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// clockSkew is how far another system's clock may be ahead of this one.
const clockSkew = 5 * time.Minute

// time returns a time, cut to the millisecond; zero if the cell is NULL.
func (p *parser) time(column string) time.Time {
	text, ok := p.row.cells[column]
	if !ok {
		return time.Time{}
	}
	for _, layout := range timeLayouts {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		switch t = t.UTC().Truncate(time.Millisecond); {
		case t.Before(earliest):
			p.fail(column, "lies before the year %d", earliest.Year())
		case t.After(p.now.Add(clockSkew)):
			p.fail(column, "lies in the future")
		}
		return t
	}
	p.fail(column, "is not a time, such as 2025-10-20T15:30:00.000Z or 2025-10-20 15:30:00.000+03")
	return time.Time{}
}

func (p *parser) requiredTime(column string) time.Time {
	if _, ok := p.required(column); !ok {
		return time.Time{}
	}
	return p.time(column)
}

func (p *parser) phone(column string) string {
	text := p.row.cells[column]
	number, err := phone.ParseIn(p.country, text)
	if err != nil {
		p.fail(column, "is %v", err)
	}
	return number
}

// customer returns a phone number or a user id.
func (p *parser) customer(column string) string {
	if id, err := customer.Parse(p.row.cells[column]); err == nil && customer.IsUserID(id) {
		return id
	}
	return p.phone(column)
}

func (p *parser) restaurant() restaurant.Restaurant {
	r := restaurant.Restaurant{
		ID: p.id("id"), MerchantID: p.optionalID("merchantId", ""),
		Active: p.flag("isActive", true), CreatedAt: p.requiredTime("createdAt"),
	}
	var ok bool
	if r.Name, ok = p.required("name"); ok && (strings.TrimSpace(r.Name) == "" || !restaurant.Printable(r.Name, 200)) {
		p.fail("name", "is not a name: want 1 to 200 printable characters")
	}
	p.check(r.Validate())
	return r
}

// check adds an error of the domain as a fault, unless the parser has already found one.
func (p *parser) check(err error) {
	if err != nil && len(p.faults) == 0 {
		p.fail("", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// botRow is a restaurant's bot.
type botRow struct {
	restaurantID string
	bot          restaurant.Bot
}

const maxLimit = 1_000_000_000

func (p *parser) bot() botRow {
	r := botRow{restaurantID: p.id("restaurantId")}
	r.bot = restaurant.Bot{
		ID:               p.optionalID("id", "bot-"+r.restaurantID),
		TwilioAccountSID: p.optionalID("twilioAccountSid", ""),
		Limits: restaurant.Limits{
			ConversationsPerDay: p.number("maxMessagesPerDay", p.defaults.ConversationsPerDay, -1, maxLimit),
			AnswersPerMinute:    p.number("maxMessagesPerMin", p.defaults.AnswersPerMinute, -1, maxLimit),
		},
	}
	if p.row.cells["phoneNumber"] != "" {
		r.bot.PhoneNumber = p.phone("phoneNumber")
	}
	if p.row.cells["ownerNumber"] != "" {
		r.bot.OwnerNumber = p.phone("ownerNumber")
	}
	p.check(r.bot.Validate())
	return r
}

// usageRow is a restaurant's month, its activity, or both.
type usageRow struct {
	restaurantID string
	month        *usage.Month // nil if the row has only the activity
	count        usage.MonthCount
	activity     usage.Activity
}

// zoneSpan is the greatest difference between the bounds of a month in any time zone and in UTC.
const zoneSpan = 14 * time.Hour

func (p *parser) usage() usageRow {
	r := usageRow{restaurantID: p.id("restaurantId")}
	last := p.time("lastConversationAt")
	r.activity = usage.Activity{First: p.time("firstActivity"), Last: p.time("lastActivity"), LastConversation: last}
	if !r.activity.First.IsZero() && !r.activity.Last.IsZero() && r.activity.Last.Before(r.activity.First) {
		p.fail("lastActivity", "lies before firstActivity")
	}
	// A conversation begins with a message, so its time is an activity too.
	r.activity = r.activity.Merge(usage.Activity{First: last, Last: last})
	if p.row.cells["month"] != "" {
		r.month = p.month()
	}
	if _, ok := p.row.cells["conversationCount"]; r.month == nil && !ok {
		switch {
		case len(p.faults) > 0:
		case p.row.cells["days"] != "" || p.row.cells["year"] != "" || p.row.cells["adjustedBy"] != "":
			p.fail("month", "is missing")
		case r.activity.Last.IsZero() && r.activity.First.IsZero():
			p.fail("", "has neither a month nor an activity")
		}
		return r
	}
	if r.month == nil {
		if len(p.faults) == 0 {
			p.fail("month", "is missing")
		}
		return r
	}
	if _, ok := p.required("conversationCount"); ok {
		r.count.Conversations = p.number("conversationCount", 0, 0, maxLimit)
	}
	r.count.LastConversation = last
	r.count.ToppedUp = p.number("adjustedBy", 0, 0, maxLimit)
	r.count.Days = p.days(*r.month, r.count.Conversations)
	utc := usage.NewCalendar(nil)
	switch {
	case utc.Month(p.now.Add(zoneSpan)).Before(*r.month):
		p.fail("month", "lies in the future")
	case r.month.Year < earliest.Year():
		p.fail("month", "lies before the year %d", earliest.Year())
	case last.IsZero():
	case utc.Month(last.Add(zoneSpan)).Before(*r.month) || r.month.Before(utc.Month(last.Add(-zoneSpan))):
		p.fail("lastConversationAt", "does not lie in the month")
	}
	return r
}

// month parses "2025-10", or "10" with a year in another column.
func (p *parser) month() *usage.Month {
	text := p.row.cells["month"]
	if year, ok := p.row.cells["year"]; ok {
		n, err := strconv.Atoi(text)
		y, yearErr := strconv.Atoi(year)
		if yearErr != nil || y < 1 || y > 9999 {
			p.fail("year", "is not a year")
			return nil
		}
		if err != nil || n < 1 || n > 12 {
			p.fail("month", "is not a month of a year: want 1 to 12")
			return nil
		}
		return &usage.Month{Year: y, Month: time.Month(n)}
	}
	month, err := usage.ParseMonth(text)
	if err != nil {
		p.fail("month", "is not a month: want 2025-10, or 10 with the year in a column of its own")
		return nil
	}
	return &month
}

// days parses the conversations of each day. Their sum must not exceed the month's.
func (p *parser) days(month usage.Month, conversations int64) map[int]int64 {
	days := make(map[int]int64)
	text, ok := p.row.cells["days"]
	if !ok {
		return days
	}
	var counts map[string]int64
	if err := json.Unmarshal([]byte(text), &counts); err != nil {
		p.fail("days", `is not a JSON object of days and their conversations, such as {"1": 40, "23": 5}`)
		return days
	}
	last := time.Date(month.Year, month.Month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	var sum int64
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		day, err := strconv.Atoi(name)
		_, twice := days[day]
		switch n := counts[name]; {
		case err != nil || day < 1 || day > last || twice:
			p.fail("days", "has a day %q: want days from 1 to %d, each once", shortened(printable(name)), last)
			return days
		case n < 0 || n > maxLimit:
			p.fail("days", "has a day with %d conversations", n)
			return days
		case n > 0:
			days[day] = n
			sum += n
		}
	}
	if sum > conversations {
		p.fail("days", "has %d conversations in all, but conversationCount is %d", sum, conversations)
	}
	return days
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func (p *parser) session() conversation.Session {
	s := conversation.Session{RestaurantID: p.id("restaurantId"), OptedOut: p.flag("optedOut", false)}
	if _, opened := p.row.cells["openedAt"]; opened || p.row.cells["lastMessageAt"] != "" || !s.OptedOut {
		s.OpenedAt, s.LastMessageAt = p.requiredTime("openedAt"), p.requiredTime("lastMessageAt")
		s.Messages, s.Welcomed = p.number("messages", 1, 1, maxLimit), p.flag("welcomed", true)
	}
	if _, ok := p.required("customer"); ok {
		s.Customer = p.customer("customer")
	}
	if s.UserID = p.row.cells["userId"]; s.UserID != "" {
		switch {
		case !customer.IsUserID(s.UserID):
			p.fail("userId", "is not a user id, such as SA.13491208655302741918")
		case customer.IsUserID(s.Customer):
			p.fail("userId", "must be empty: the customer column has a user id already")
		}
	}
	if !s.OpenedAt.IsZero() && !s.LastMessageAt.IsZero() && s.LastMessageAt.Before(s.OpenedAt) {
		p.fail("lastMessageAt", "lies before openedAt")
	}
	return s
}

// The rows of an export follow: the values of the kind's columns.

const timeLayout = "2006-01-02T15:04:05.000Z"

func timeValue(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(timeLayout)
}

func textValue(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func restaurantValues(r restaurant.Restaurant) []any {
	return []any{r.ID, r.Name, textValue(r.MerchantID), r.Active, timeValue(r.CreatedAt)}
}

func botValues(restaurantID string, b restaurant.Bot) []any {
	return []any{restaurantID, b.ID, textValue(b.PhoneNumber), textValue(b.TwilioAccountSID), textValue(b.OwnerNumber), b.Limits.ConversationsPerDay, b.Limits.AnswersPerMinute}
}

func activityValues(restaurantID string, a usage.Activity) []any {
	return []any{restaurantID, nil, nil, nil, timeValue(a.LastConversation), nil, nil, timeValue(a.First), timeValue(a.Last)}
}

func monthValues(restaurantID string, month usage.Month, count usage.MonthCount) []any {
	var days, toppedUp any
	if count.ToppedUp != 0 {
		toppedUp = count.ToppedUp
	}
	if len(count.Days) > 0 {
		var object strings.Builder
		for i, day := range slices.Sorted(maps.Keys(count.Days)) {
			fmt.Fprintf(&object, `%s"%d":%d`, map[bool]string{true: "{", false: ","}[i == 0], day, count.Days[day])
		}
		days = json.RawMessage(object.String() + "}")
	}
	return []any{restaurantID, int64(month.Year), int64(month.Month), count.Conversations, timeValue(count.LastConversation), days, toppedUp, nil, nil}
}

func sessionValues(s conversation.Session) []any {
	values := []any{s.RestaurantID, s.Customer, nil, nil, nil, nil, textValue(s.UserID), s.OptedOut}
	if !s.LastMessageAt.IsZero() {
		copy(values[2:], []any{timeValue(s.OpenedAt), timeValue(s.LastMessageAt), s.Messages, s.Welcomed})
	}
	return values
}
