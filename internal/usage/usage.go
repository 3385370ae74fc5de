// Package usage shows how much of its conversation allowance a restaurant has used, and adds to it. A Service only ever reads;
// a TopUpService adds.
//
// A conversation is a 24-hour session that a customer's message opens and each further message extends; only the opening
// counts. Package conversation counts them, this one shows the figures.
package usage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/search"
)

// HistoryMonths is how many months a restaurant's history covers, the current one included.
const HistoryMonths = 6

// Record is a store's data of a restaurant, before any rule is applied.
type Record struct {
	Restaurant restaurant.Restaurant
	Bot        *restaurant.Bot // nil where the restaurant has no bot configuration
	Activity   Activity
	Months     map[Month]MonthCount // the requested months that have a record
}

// Activity holds the times of a restaurant's messages; a zero time means that there was none.
type Activity struct {
	First            time.Time // the first message ever
	Last             time.Time // the latest message
	LastConversation time.Time // when the latest conversation was opened, in whichever month
	Messages         Tally
	// Sessions counts customers by the slot (half an hour) of their latest message, for slots that can have open sessions. Like
	// Messages, the numbers are informative.
	Sessions map[int64]int64
}

// Tally holds how many messages came on each day of one month: the month of the latest message. It is informative,
// where conversations are exact.
type Tally struct {
	Month Month
	Days  map[int]int64 // by day of the month; days without a message are absent
}

// MonthCount holds the conversations opened in one month.
type MonthCount struct {
	Conversations    int64
	Days             map[int]int64 // by day of the month; days without a conversation are absent
	LastConversation time.Time
	ToppedUp         int64 // the sum of the month's top-ups
}

// Filter chooses restaurants by whether they are active.
type Filter int

// The filters of the list.
const (
	All Filter = iota
	ActiveOnly
	InactiveOnly
)

// Admits reports whether the filter lets a restaurant through.
func (f Filter) Admits(active bool) bool {
	return f == All || (f == ActiveOnly) == active
}

// Store is all that a Service reads. Its answers are strongly consistent, but where it says otherwise: a conversation
// counted before the call is in them. A store that cannot answer now fails with outage.ErrUnavailable.
type Store interface {
	Registry
	Ranking
	Journal
}

// Registry knows every restaurant's record.
type Registry interface {
	// Usage returns a restaurant's record with the existing months among the given ones. It fails with restaurant.ErrNotFound
	// if there is no such restaurant.
	Usage(ctx context.Context, restaurantID string, months []Month) (Record, error)

	// RestaurantOfBot returns the restaurant of the bot with the id. It fails with restaurant.ErrNotFound if no bot or several
	// have it: an id that isn't unique names nobody.
	RestaurantOfBot(ctx context.Context, botID string) (string, error)

	// Search returns the restaurants that match a query, which isn't zero, and the filter, in the order of the matching words.
	// Its answer may be some moments old. Its cost depends neither on the number of restaurants nor on the number of matches,
	// so matches beyond a thousand aren't counted. An offset beyond that leads nowhere, while Next continues to the end.
	Search(ctx context.Context, q search.Query, filter Filter, start Start, limit int) (Found, error)

	// Directory returns where all restaurants are. It reads one small thing, however many restaurants there are.
	Directory(ctx context.Context) (Directory, error)
}

// Ranking orders restaurants by the used share of their quota. Its answers may be some moments old.
type Ranking interface {
	// Ranks returns how many restaurants have used how much of the month's quota. It reads the same, however many there are.
	Ranks(ctx context.Context, month Month) (Ranks, error)

	// Records returns the records of the existing restaurants, in the order of the ids, each with the month's count if there is
	// one.
	Records(ctx context.Context, restaurantIDs []string, month Month) ([]Record, error)
}

// Journal has the history of a restaurant.
type Journal interface {
	// Sessions returns the restaurant's newest sessions, the newest first, at most so many. Which ones they are may be some
	// moments old, and sessions that ended long ago may be missing; it costs the same however many there are.
	Sessions(ctx context.Context, restaurantID string, most int) ([]Session, error)

	// Messages returns the numbers of messages that the restaurant sent in the month, by status. It may be some moments old.
	Messages(ctx context.Context, restaurantID string, month Month) (ledger.Month, error)

	// TopUps returns the newest top-ups of the month, the newest first, at most so many.
	TopUps(ctx context.Context, restaurantID string, month Month, most int) ([]TopUp, error)
}

// Ranks is a snapshot of a month's ranking, from which pages can be read.
type Ranks interface {
	// Page returns a page of the active restaurants at or above the share of the month's quota, the fullest first by whole
	// percent, and their number. With share 0 it includes restaurants that have used nothing. Restaurants without a limit are
	// never included, and restaurants without a bot have the default limit. The cost depends on limit, and neither on the
	// offset nor on the number of matches. A share between two whole percentages also costs a read for each restaurant between
	// the two.
	Page(ctx context.Context, share Share, defaultLimit int64, offset, limit int) (ids []string, total int, err error)
}

// Directory is a snapshot of which restaurants there are, from which their records can be read.
type Directory interface {
	// Total returns how many restaurants the filter admits.
	Total(filter Filter) int

	// Page returns the records of the restaurants that the filter admits, newest first by creation and then by id,
	// after skipping offset of them and at most limit, each with the month's count where there is one. Its number of
	// sequential reads depends neither on offset nor on how many restaurants there are.
	Page(ctx context.Context, filter Filter, offset, limit int, month Month) ([]Record, error)

	// After returns the same as Page, beginning behind a place. Successive calls, each of which begins where the previous one
	// ended, return every restaurant exactly once that the filter admits all the while, even if others are created or switched.
	After(ctx context.Context, filter Filter, place Place, limit int, month Month) (Stretch, error)
}

// Place is where a restaurant is in the list, whether it exists or not: newest first by creation, then by id.
type Place struct {
	CreatedAt time.Time
	ID        string
}

// Stretch is a part of the list. Its records may be fewer than there was room for, or none, where restaurants were switched
// while it was read.
type Stretch struct {
	Records []Record
	Offset  int    // restaurants before it
	Next    *Place // behind which the list goes on; nil where it ends
}

// Start is where a page of the list begins.
type Start struct {
	Offset int
	After  *Place // instead of the offset, in the list
	Behind *Hit   // instead of the offset, in a search
}

// Hit is where a search found a restaurant.
type Hit struct {
	Word   string // the first of the restaurant's words that matches
	ID     string
	Before int // number of restaurants on the pages before; up to and including the hit to continue behind
}

// Found is a page of a search. Like a Stretch, it may have fewer restaurants than it has room for.
type Found struct {
	IDs     []string
	Offset  int
	Total   int  // number of matches
	AtLeast bool // Total is only the count so far, and more may match
	Next    *Hit // behind which the next page begins; nil on the last one
}

// Report is one restaurant's usage now. Zero times mean never.
type Report struct {
	RestaurantID           string
	RestaurantName         string
	ConversationsToday     int64
	ConversationsThisMonth int64
	LastConversationAt     time.Time
	Allowance              Allowance
	Quota                  Quota // of the period
	Period                 Period
	FirstActivity          time.Time
	LastActivity           time.Time
	Active                 bool
}

// MonthReport is one month of a restaurant's history.
type MonthReport struct {
	Month              Month
	Conversations      int64
	LastConversationAt time.Time
}

// Listing is one page of all restaurants' usage.
type Listing struct {
	Reports []Report
	Total   int    // of the restaurants that the filter admits
	Offset  int    // of the first of them
	AtLeast bool   // Total is only the count so far, and more may match
	More    bool   // whether another page follows
	Next    *Place // behind which it begins; nil where none follows, in alerts and in searches
	Behind  *Hit   // the same in a search
}

// Service applies the rules of the allowance to a Store's data.
type Service struct {
	store    Store
	calendar Calendar
	defaults restaurant.Limits
	prices   ledger.Prices
	now      func() time.Time
}

// NewService returns a Service that reads from store, counts in calendar's months and days, and gives restaurants
// without a bot configuration the default limits.
func NewService(store Store, calendar Calendar, defaults restaurant.Limits, now func() time.Time) *Service {
	return &Service{store: store, calendar: calendar, defaults: defaults, now: now}
}

// WithPrices returns the Service with prices of messages.
func (s Service) WithPrices(prices ledger.Prices) *Service {
	s.prices = prices
	return &s
}

// RestaurantOfBot returns the restaurant of the bot with the id. It fails with restaurant.ErrNotFound or outage.ErrUnavailable.
func (s *Service) RestaurantOfBot(ctx context.Context, botID string) (string, error) {
	if !restaurant.ValidID(botID) {
		return "", restaurant.ErrNotFound
	}
	return s.store.RestaurantOfBot(ctx, botID)
}

// Report returns one restaurant's usage. It fails with restaurant.ErrNotFound or outage.ErrUnavailable.
func (s *Service) Report(ctx context.Context, restaurantID string) (Report, error) {
	now := s.now()
	record, err := s.record(ctx, restaurantID, s.calendar.Month(now).Last(1))
	if err != nil {
		return Report{}, err
	}
	return s.report(record, now), nil
}

// History returns one restaurant's usage and its months with a record: the current one and the five before it, the
// newest first. It fails with restaurant.ErrNotFound or outage.ErrUnavailable.
func (s *Service) History(ctx context.Context, restaurantID string) (Report, []MonthReport, error) {
	now := s.now()
	record, err := s.record(ctx, restaurantID, s.calendar.Month(now).Last(HistoryMonths))
	if err != nil {
		return Report{}, nil, err
	}
	return s.report(record, now), s.history(record, now), nil
}

// history returns the months in which conversations were counted, of the current one and the five before it.
func (s *Service) history(record Record, now time.Time) []MonthReport {
	months := s.calendar.Month(now).Last(HistoryMonths)
	history := make([]MonthReport, 0, len(months))
	for _, month := range months {
		// A month with top-ups alone makes no history, also where a correction took them back.
		if count, ok := record.Months[month]; ok && count.Conversations != 0 {
			history = append(history, MonthReport{month, max(0, count.Conversations), count.LastConversation})
		}
	}
	return history
}

// Directory returns the input of List. It is a separate step so that a caller can take it while the credential is still being
// verified, before anything costly is read. It fails with outage.ErrUnavailable.
func (s *Service) Directory(ctx context.Context) (Directory, error) {
	directory, err := s.store.Directory(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the restaurant directory: %w", err)
	}
	return directory, nil
}

// List returns a page of restaurants' usage, newest restaurant first. An offset past the end gives an empty page with
// the exact total. It fails with outage.ErrUnavailable.
func (s *Service) List(ctx context.Context, directory Directory, filter Filter, start Start, limit int) (Listing, error) {
	now := s.now()
	total := directory.Total(filter)
	page, err := stretch(ctx, directory, filter, start, limit, total, s.calendar.Month(now))
	if err != nil {
		return Listing{}, fmt.Errorf("reading a page of usage: %w", err)
	}
	reports := make([]Report, len(page.Records))
	for i, record := range page.Records {
		reports[i] = s.report(record, now)
	}
	return Listing{Reports: reports, Total: total, Offset: page.Offset, Next: page.Next,
		More: page.Next != nil || start.After == nil && start.Offset < total-limit}, nil
}

// Search finds restaurants, and ListFound reads their figures. Search may run while a credential is still being verified. It fails
// with outage.ErrUnavailable.
func (s *Service) Search(ctx context.Context, q search.Query, filter Filter, start Start, limit int) (Found, error) {
	found, err := s.store.Search(ctx, q, filter, start, limit)
	if err != nil {
		return Found{}, fmt.Errorf("searching restaurants: %w", err)
	}
	return found, nil
}

// ListFound returns the usage of the restaurants that a search found. It fails with outage.ErrUnavailable.
func (s *Service) ListFound(ctx context.Context, found Found) (Listing, error) {
	now := s.now()
	records, err := s.store.Records(ctx, found.IDs, s.calendar.Month(now))
	if err != nil {
		return Listing{}, fmt.Errorf("reading a page of usage: %w", err)
	}
	reports := make([]Report, len(records))
	for i, record := range records {
		reports[i] = s.report(record, now)
	}
	return Listing{
		Reports: reports, Total: found.Total, Offset: found.Offset, AtLeast: found.AtLeast, More: found.Next != nil, Behind: found.Next,
	}, nil
}

func stretch(ctx context.Context, directory Directory, filter Filter, start Start, limit, total int, month Month) (Stretch, error) {
	if start.After != nil {
		return directory.After(ctx, filter, *start.After, limit, month)
	}
	records, err := directory.Page(ctx, filter, start.Offset, limit, month)
	page := Stretch{Records: records, Offset: start.Offset}
	if n := len(records); n > 0 && start.Offset < total-limit {
		last := records[n-1].Restaurant
		page.Next = &Place{last.CreatedAt, last.ID}
	}
	return page, err
}

// Ranks returns the input of Alerts. It is a separate step so that a caller can take it while the credential is still being
// verified. It fails with outage.ErrUnavailable.
func (s *Service) Ranks(ctx context.Context) (Ranks, error) {
	return s.store.Ranks(ctx, s.calendar.Month(s.now()))
}

// Alerts returns a page of the active restaurants at or above the share of this month's quota, the fullest first by whole
// percent. The page itself is in the exact order, then by id. An offset past the end gives an empty page with the exact total.
// It fails with outage.ErrUnavailable.
//
// The list may be some moments old; the figures are current.
func (s *Service) Alerts(ctx context.Context, ranks Ranks, share Share, offset, limit int) (Listing, error) {
	ids, total, err := ranks.Page(ctx, share, s.defaults.ConversationsPerDay, offset, limit)
	if err != nil {
		return Listing{}, err
	}
	now := s.now()
	month := s.calendar.Month(now)
	records, err := s.store.Records(ctx, ids, month)
	if err != nil {
		return Listing{}, fmt.Errorf("reading a page of alerts: %w", err)
	}
	reports := make([]Report, len(records))
	for i, record := range records {
		reports[i] = s.report(record, now)
	}
	slices.SortFunc(reports, func(a, b Report) int {
		return cmp.Or(b.Quota.CompareUse(a.Quota), cmp.Compare(a.RestaurantID, b.RestaurantID))
	})
	return Listing{Reports: reports, Total: total, Offset: offset, More: offset < total-limit}, nil
}

func (s *Service) record(ctx context.Context, restaurantID string, months []Month) (Record, error) {
	if !restaurant.ValidID(restaurantID) {
		return Record{}, restaurant.ErrNotFound
	}
	record, err := s.store.Usage(ctx, restaurantID, months)
	if err != nil {
		return Record{}, fmt.Errorf("reading usage of restaurant %s: %w", restaurantID, err)
	}
	return record, nil
}

func (s *Service) report(record Record, now time.Time) Report {
	limits := s.defaults
	if record.Bot != nil {
		limits = record.Bot.Limits
	}
	month := record.Months[s.calendar.Month(now)]
	today := max(0, month.Days[s.calendar.Day(now)])
	quota := NewQuota(limits.ConversationsPerDay, month.Conversations, month.ToppedUp)
	return Report{
		RestaurantID:           record.Restaurant.ID,
		RestaurantName:         record.Restaurant.Name,
		ConversationsToday:     today,
		ConversationsThisMonth: quota.Used,
		LastConversationAt:     record.Activity.LastConversation,
		Allowance:              NewAllowance(limits.ConversationsPerDay, today, quota),
		Quota:                  quota,
		Period:                 s.calendar.Period(now),
		FirstActivity:          record.Activity.First,
		LastActivity:           record.Activity.Last,
		Active:                 record.Restaurant.Active,
	}
}
