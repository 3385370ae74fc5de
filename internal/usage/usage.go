// Package usage shows how much of its conversation allowance a restaurant has used, and adds to the allowance. A Service only
// reads; a TopUpService adds.
//
// A conversation is a 24-hour session. A customer's message opens it, and each further message extends it; only the opening
// counts. Package conversation counts conversations, and this package shows the figures.
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

// HistoryMonths is the number of months in a restaurant's history, including the current one.
const HistoryMonths = 6

// Record is the stored data of a restaurant.
type Record struct {
	Restaurant restaurant.Restaurant
	Bot        *restaurant.Bot // nil if the restaurant has no bot
	Activity   Activity
	Months     map[Month]MonthCount // the requested months that have a record
}

// Activity has the times of a restaurant's messages. A zero time means that there was none.
type Activity struct {
	First            time.Time // the first message ever
	Last             time.Time // the latest message
	LastConversation time.Time // the latest opening of a conversation, in any month
	Messages         Tally
	// Sessions counts customers by the slot (half hour) of their latest message, for the slots in which sessions can be open.
	// The numbers are nearly exact: a crash may lose a change.
	Sessions map[int64]int64
}

// Tally counts the messages of each day, in the month of the latest message. A crash may lose or repeat a message here,
// whereas conversations are counted exactly.
type Tally struct {
	Month Month
	Days  map[int]int64 // by day of the month; days without a message are missing
}

// MonthCount counts the conversations that were opened in a month.
type MonthCount struct {
	Conversations    int64
	Days             map[int]int64 // by day of the month; days without a conversation are missing
	LastConversation time.Time
	ToppedUp         int64 // sum of the month's top-ups
}

// Filter selects active or inactive restaurants, or all.
type Filter int

// The filters of the list.
const (
	All Filter = iota
	ActiveOnly
	InactiveOnly
)

// Admits reports whether the filter selects a restaurant.
func (f Filter) Admits(active bool) bool {
	return f == All || (f == ActiveOnly) == active
}

// Store is everything that a Service reads. Unless a method says otherwise, it is strongly consistent: a conversation counted
// before the call is in the answer. A store that can't answer fails with outage.ErrUnavailable.
type Store interface {
	Registry
	Ranking
	Journal
}

// Registry has the records of all restaurants.
type Registry interface {
	// Usage returns a restaurant's record, with the records of the given months if they exist. It fails with
	// restaurant.ErrNotFound if the restaurant doesn't exist.
	Usage(ctx context.Context, restaurantID string, months []Month) (Record, error)

	// RestaurantOfBot returns the restaurant of the bot with an id. It fails with restaurant.ErrNotFound if no bot or several
	// bots have the id.
	RestaurantOfBot(ctx context.Context, botID string) (string, error)

	// Search returns the restaurants that match a query and the filter, in the order of the matching words. The query must
	// not be zero. The answer may be some moments old. The cost depends neither on the number of restaurants nor on the
	// number of matches. For that reason matches beyond a thousand aren't counted, and a page at an offset beyond them is
	// empty. Following Next leads to the last match.
	Search(ctx context.Context, q search.Query, filter Filter, start Start, limit int) (Found, error)

	// Directory returns the list of all restaurants. It reads one small item, however many restaurants there are.
	Directory(ctx context.Context) (Directory, error)
}

// Ranking orders restaurants by the used share of their quota. Its answers may be some moments old.
type Ranking interface {
	// Ranks returns the number of restaurants by their used share of the month's quota. The cost doesn't depend on the number
	// of restaurants.
	Ranks(ctx context.Context, month Month) (Ranks, error)

	// Records returns the records of the restaurants that exist, in the order of restaurantIDs, each with the month's count
	// if there is one.
	Records(ctx context.Context, restaurantIDs []string, month Month) ([]Record, error)
}

// Journal has a restaurant's history.
type Journal interface {
	// Sessions returns the restaurant's newest sessions, newest first, and no more than the parameter most. The very latest
	// may be missing for some moments, and sessions that ended long ago may be missing. The cost doesn't depend on the number
	// of sessions.
	Sessions(ctx context.Context, restaurantID string, most int) ([]Session, error)

	// Messages returns the numbers of the restaurant's sent messages in a month, by status. They may be some moments old.
	Messages(ctx context.Context, restaurantID string, month Month) (ledger.Month, error)

	// TopUps returns the month's newest top-ups, newest first, and no more than the parameter most.
	TopUps(ctx context.Context, restaurantID string, month Month, most int) ([]TopUp, error)
}

// Ranks is a snapshot of a month's ranking, from which pages can be read.
type Ranks interface {
	// Page returns a page of the active restaurants at or above a share of the month's quota, and their total number. The
	// fullest come first, by whole percent. Share 0 includes restaurants that have used nothing. Restaurants without a limit
	// are never included. A restaurant without a bot has the limit defaultLimit. The cost depends on limit, but not on the
	// offset or the number of matches. If the share isn't a whole percent, each restaurant at that percent costs a read more.
	Page(ctx context.Context, share Share, defaultLimit int64, offset, limit int) (ids []string, total int, err error)
}

// Directory is a snapshot of the list of restaurants, from which their records can be read.
type Directory interface {
	// Total returns the number of restaurants that the filter admits.
	Total(filter Filter) int

	// Page returns the records of at most limit restaurants that the filter admits, after skipping offset of them, each with
	// the month's count if there is one. The order is newest first, and by id for equal times. The number of successive reads
	// depends neither on offset nor on the number of restaurants.
	Page(ctx context.Context, filter Filter, offset, limit int, month Month) ([]Record, error)

	// After is Page for the restaurants that follow a place instead of an offset. If each call begins where the previous one
	// ended, a restaurant that the filter admits all the time is returned exactly once, even if others are created, activated
	// or deactivated meanwhile.
	After(ctx context.Context, filter Filter, place Place, limit int, month Month) (Stretch, error)
}

// Place is a place in the list, of a restaurant that may or may not exist. The list's order is newest first, and by id for
// equal times.
type Place struct {
	CreatedAt time.Time
	ID        string
}

// Stretch is a part of the list. It may have fewer records than were asked for, or none, if restaurants were activated or
// deactivated while it was read.
type Stretch struct {
	Records []Record
	Offset  int    // number of restaurants before it
	Next    *Place // the place after which the list continues; nil at its end
}

// Start is the beginning of a page of the list.
type Start struct {
	Offset int
	After  *Place // in place of the offset, in the list
	Behind *Hit   // in place of the offset, in a search
}

// Hit is a restaurant that a search has found.
type Hit struct {
	Word   string // the first of the restaurant's words that matches
	ID     string
	Before int // number of restaurants on the pages before; in a hit to continue after, up to and including it
}

// Found is a page of a search. Like a Stretch, it may have fewer restaurants than were asked for.
type Found struct {
	IDs     []string
	Offset  int
	Total   int  // number of matches
	AtLeast bool // Total is the number counted so far, and more may match
	Next    *Hit // the hit after which the next page begins; nil on the last page
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

// Listing is a page of restaurants' usage.
type Listing struct {
	Reports []Report
	Total   int    // number of restaurants that the filter admits
	Offset  int    // number of restaurants before the first one
	AtLeast bool   // Total is the number counted so far, and more may match
	More    bool   // whether another page follows
	Next    *Place // the place after which the next page begins; nil on the last page, in alerts and in searches
	Behind  *Hit   // the same for a search
}

// Service applies the rules of the allowance to a Store's data.
type Service struct {
	store    Store
	calendar Calendar
	defaults restaurant.Limits
	prices   ledger.Prices
	now      func() time.Time
}

// NewService returns a Service that reads from store, counts in calendar's months and days, and gives restaurants without a
// bot the default limits.
func NewService(store Store, calendar Calendar, defaults restaurant.Limits, now func() time.Time) *Service {
	return &Service{store: store, calendar: calendar, defaults: defaults, now: now}
}

// WithPrices returns the Service with prices of messages, for costs.
func (s Service) WithPrices(prices ledger.Prices) *Service {
	s.prices = prices
	return &s
}

// RestaurantOfBot returns the restaurant of the bot with an id. It fails with restaurant.ErrNotFound or
// outage.ErrUnavailable.
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

// History returns a restaurant's usage now, and in each of the current month and the five before it that has a counted
// conversation, newest first. It fails with restaurant.ErrNotFound or outage.ErrUnavailable.
func (s *Service) History(ctx context.Context, restaurantID string) (Report, []MonthReport, error) {
	now := s.now()
	record, err := s.record(ctx, restaurantID, s.calendar.Month(now).Last(HistoryMonths))
	if err != nil {
		return Report{}, nil, err
	}
	return s.report(record, now), s.history(record, now), nil
}

// history returns those of the current month and the five before it in which conversations were counted.
func (s *Service) history(record Record, now time.Time) []MonthReport {
	months := s.calendar.Month(now).Last(HistoryMonths)
	history := make([]MonthReport, 0, len(months))
	for _, month := range months {
		// A month that has only top-ups isn't shown.
		if count, ok := record.Months[month]; ok && count.Conversations != 0 {
			history = append(history, MonthReport{month, max(0, count.Conversations), count.LastConversation})
		}
	}
	return history
}

// Directory returns the input of List. It is a separate step: a caller can read it while the credential is still being
// verified, before anything costly is read. It fails with outage.ErrUnavailable.
func (s *Service) Directory(ctx context.Context) (Directory, error) {
	directory, err := s.store.Directory(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the restaurant directory: %w", err)
	}
	return directory, nil
}

// List returns a page of restaurants' usage, newest restaurant first. Past the end, the page is empty and the total exact. It
// fails with outage.ErrUnavailable.
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

// Search finds restaurants, and ListFound reads their figures. Search may run while a credential is still being verified. It
// fails with outage.ErrUnavailable.
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

// Ranks returns the input of Alerts. It is a separate step: a caller can read it while the credential is still being
// verified. It fails with outage.ErrUnavailable.
func (s *Service) Ranks(ctx context.Context) (Ranks, error) {
	return s.store.Ranks(ctx, s.calendar.Month(s.now()))
}

// Alerts returns a page of the active restaurants at or above a share of this month's quota. Pages go by whole percent, the
// fullest first. A page is ordered by exact use, then by id. Past the end, the page is empty and the total right. Alerts fails
// with outage.ErrUnavailable.
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
