// Package memory keeps restaurants, usage and credentials in memory: the shortest statement of what the stores promise.
// Tests run against it where the engine doesn't matter, and hold every other store to its answers. No function links it.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Store implements the domain's stores. Create it with New; it is safe for concurrent use.
type Store struct {
	mu          sync.Mutex
	tenants     map[string]*tenant
	sessions    map[entry]*session
	alerts      map[entry]*alerts // by restaurant and month
	credentials map[credential.Hash]credential.Credential
}

// tenant is what is kept of one restaurant.
type tenant struct {
	restaurant restaurant.Restaurant
	bot        *restaurant.Bot
	activity   usage.Activity
	months     map[usage.Month]usage.MonthCount
	adjusted   map[usage.Month][]usage.TopUp // in the order in which they were made
	renewals   map[string]renewal            // by key
	sessions   []*usage.Session              // in the order in which they were opened
}

// top-up is what was asked for with a key, and what came of it.
type renewal struct {
	amount int64
	reason string
	quota  usage.Quota
}

// tenant returns what is kept of a restaurant, which is made if need be: usage may be imported before its restaurant.
func (s *Store) tenant(restaurantID string) *tenant {
	t, ok := s.tenants[restaurantID]
	if !ok {
		t = &tenant{
			months: make(map[usage.Month]usage.MonthCount), adjusted: make(map[usage.Month][]usage.TopUp),
			renewals: make(map[string]renewal),
		}
		s.tenants[restaurantID] = t
	}
	return t
}

func (t *tenant) exists() bool { return t.restaurant.ID != "" }

// New returns an empty store.
func New() *Store {
	return &Store{
		tenants: make(map[string]*tenant), sessions: make(map[entry]*session), alerts: make(map[entry]*alerts),
		credentials: make(map[credential.Hash]credential.Credential),
	}
}

// stored is a time as stores keep it: to the millisecond, in UTC.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}

// CreateRestaurant adds a restaurant. It fails with restaurant.ErrExists or restaurant.ErrNumberTaken.
func (s *Store) CreateRestaurant(_ context.Context, r restaurant.Restaurant, bot *restaurant.Bot) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if bot != nil {
		if err := bot.Validate(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.tenants[r.ID]; ok && t.exists() {
		return restaurant.ErrExists
	}
	if bot != nil && s.numberTaken(bot.PhoneNumber, r.ID) {
		return restaurant.ErrNumberTaken
	}
	if s.idTaken(r.ID, r.ID) || bot != nil && s.idTaken(bot.ID, r.ID) {
		return restaurant.ErrIDTaken
	}
	r.CreatedAt = stored(r.CreatedAt)
	t := s.tenant(r.ID)
	t.restaurant, t.bot = r, clone(bot)
	return nil
}

func (s *Store) numberTaken(phoneNumber, restaurantID string) bool {
	for id, t := range s.tenants {
		if phoneNumber != "" && id != restaurantID && t.bot != nil && t.bot.PhoneNumber == phoneNumber {
			return true
		}
	}
	return false
}

// idTaken reports whether an id is that of another restaurant or of its bot.
func (s *Store) idTaken(name, restaurantID string) bool {
	for id, t := range s.tenants {
		if id != restaurantID && t.exists() && (id == name || t.bot != nil && t.bot.ID == name) {
			return true
		}
	}
	return false
}

func clone(bot *restaurant.Bot) *restaurant.Bot {
	if bot == nil {
		return nil
	}
	b := *bot
	return &b
}

// SetActive switches a restaurant on or off. It fails with restaurant.ErrNotFound.
func (s *Store) SetActive(_ context.Context, restaurantID string, active bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tenants[restaurantID]
	if !ok || !t.exists() {
		return restaurant.ErrNotFound
	}
	t.restaurant.Active = active
	return nil
}

// SetBot writes a restaurant's bot. It fails with restaurant.ErrNotFound or restaurant.ErrNumberTaken.
func (s *Store) SetBot(_ context.Context, restaurantID string, bot restaurant.Bot) error {
	if err := bot.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tenants[restaurantID]
	if !ok || !t.exists() {
		return restaurant.ErrNotFound
	}
	if s.numberTaken(bot.PhoneNumber, restaurantID) {
		return restaurant.ErrNumberTaken
	}
	if s.idTaken(bot.ID, restaurantID) {
		return restaurant.ErrIDTaken
	}
	t.bot = &bot
	return nil
}

// Bot returns a restaurant's bot, nil where it has none.
func (s *Store) Bot(_ context.Context, restaurantID string) (*restaurant.Bot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.tenants[restaurantID]; ok {
		return clone(t.bot), nil
	}
	return nil, nil
}

// RestaurantOfBot implements usage.Registry.
func (s *Store) RestaurantOfBot(_ context.Context, botID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var owners []string
	for id, t := range s.tenants {
		if t.exists() && t.bot != nil && t.bot.ID == botID {
			owners = append(owners, id)
		}
	}
	if len(owners) != 1 {
		return "", restaurant.ErrNotFound
	}
	return owners[0], nil
}

// TenantByNumber returns the restaurant whose bot answers at a phone number. It fails with restaurant.ErrNotFound.
func (s *Store) TenantByNumber(_ context.Context, phoneNumber string) (conversation.Tenant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tenants {
		if t.exists() && t.bot != nil && t.bot.PhoneNumber != "" && t.bot.PhoneNumber == phoneNumber {
			return conversation.Tenant{Restaurant: t.restaurant, Bot: *t.bot}, nil
		}
	}
	return conversation.Tenant{}, restaurant.ErrNotFound
}

// PutUsage writes a restaurant's activity and months over what is there.
func (s *Store) PutUsage(_ context.Context, restaurantID string, activity usage.Activity, months map[usage.Month]usage.MonthCount) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(restaurantID)
	t.activity = usage.Activity{
		First: stored(activity.First), Last: stored(activity.Last), LastConversation: stored(activity.LastConversation),
		Messages: usage.Tally{Month: activity.Messages.Month, Days: maps.Clone(activity.Messages.Days)},
		Sessions: maps.Clone(activity.Sessions),
	}
	for month, count := range months {
		count.Days = maps.Clone(count.Days)
		count.LastConversation = stored(count.LastConversation)
		t.months[month] = count
	}
	return nil
}

// Usage implements usage.Registry.
func (s *Store) Usage(_ context.Context, restaurantID string, months []usage.Month) (usage.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tenants[restaurantID]
	if !ok || !t.exists() {
		return usage.Record{}, restaurant.ErrNotFound
	}
	return t.record(months), nil
}

func (t *tenant) record(months []usage.Month) usage.Record {
	record := usage.Record{
		Restaurant: t.restaurant, Bot: clone(t.bot), Activity: t.activity,
		Months: make(map[usage.Month]usage.MonthCount),
	}
	record.Activity.Messages.Days = maps.Clone(t.activity.Messages.Days)
	record.Activity.Sessions = maps.Clone(t.activity.Sessions)
	for _, month := range months {
		if count, ok := t.months[month]; ok {
			count.Days = maps.Clone(count.Days)
			record.Months[month] = count
		}
	}
	return record
}

// AddTopUp implements usage.TopUpStore.
func (s *Store) AddTopUp(
	_ context.Context, restaurantID string, month usage.Month, a usage.TopUp, repeatKey string, defaultLimit int64,
) (usage.Quota, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tenants[restaurantID]
	if !ok || !t.exists() {
		return usage.Quota{}, restaurant.ErrNotFound
	}
	if first, ok := t.renewals[repeatKey]; ok {
		if first.amount != a.Amount || first.reason != a.Reason {
			return usage.Quota{}, usage.ErrKeyReused
		}
		return first.quota, nil
	}
	before := t.quota(month, defaultLimit)
	quota, err := before.Add(a.Amount)
	if err != nil {
		return usage.Quota{}, err
	}
	if reached := quota.Threshold(); reached < before.Threshold() {
		of := s.alertsOf(restaurantID, month)
		of.told = conversation.QuotaAlerts{Noted: min(of.told.Noted, reached), Sent: min(of.told.Sent, reached)}
		of.lease = ""
	}
	count := t.months[month]
	count.ToppedUp = quota.ToppedUp
	t.months[month] = count
	a.CreatedAt = stored(a.CreatedAt)
	t.adjusted[month] = append(t.adjusted[month], a)
	if repeatKey != "" {
		t.renewals[repeatKey] = renewal{a.Amount, a.Reason, quota}
	}
	return quota, nil
}

// Fullest implements usage.Ranking.
func (s *Store) Fullest(_ context.Context, month usage.Month, share usage.Share, defaultLimit int64) ([]usage.Filled, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []usage.Filled
	for id, t := range s.tenants {
		quota := t.quota(month, defaultLimit)
		if t.restaurant.Active && quota.Reaches(share) {
			all = append(all, usage.Filled{RestaurantID: id, Quota: quota})
		}
	}
	return all, nil
}

// Records implements usage.Ranking.
func (s *Store) Records(_ context.Context, restaurantIDs []string, month usage.Month) ([]usage.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var records []usage.Record
	for _, id := range restaurantIDs {
		if t, ok := s.tenants[id]; ok && t.exists() {
			records = append(records, t.record([]usage.Month{month}))
		}
	}
	return records, nil
}

// quota returns a month's quota. Where there is no bot, its limit is defaultLimit.
func (t *tenant) quota(month usage.Month, defaultLimit int64) usage.Quota {
	if t.bot != nil {
		defaultLimit = t.bot.Limits.ConversationsPerDay
	}
	return usage.NewQuota(defaultLimit, t.months[month].Conversations, t.months[month].ToppedUp)
}

// Sessions implements usage.Journal.
func (s *Store) Sessions(_ context.Context, restaurantID string, most int) ([]usage.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tenants[restaurantID]
	if !ok {
		return nil, nil
	}
	sessions := make([]usage.Session, len(t.sessions))
	for i, session := range t.sessions {
		sessions[i] = *session
	}
	slices.SortFunc(sessions, usage.NewestFirst)
	return sessions[:min(most, len(sessions))], nil
}

// TopUps implements usage.Journal.
func (s *Store) TopUps(_ context.Context, restaurantID string, month usage.Month, most int) ([]usage.TopUp, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tenants[restaurantID]
	if !ok {
		return nil, nil
	}
	newest := slices.SortedFunc(slices.Values(t.adjusted[month]), func(a, b usage.TopUp) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return newest[:min(most, len(newest))], nil
}

// Directory implements usage.Registry.
func (s *Store) Directory(context.Context) (usage.Directory, error) { return directory{s}, nil }

// directory shows the store as it is when it is asked.
type directory struct{ store *Store }

// Total implements usage.Directory.
func (d directory) Total(filter usage.Filter) int { return len(d.tenants(filter)) }

// Page implements usage.Directory.
func (d directory) Page(_ context.Context, filter usage.Filter, offset, limit int, month usage.Month) ([]usage.Record, error) {
	tenants := d.tenants(filter)
	tenants = tenants[min(offset, len(tenants)):]
	tenants = tenants[:min(limit, len(tenants))]
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	records := make([]usage.Record, len(tenants))
	for i, t := range tenants {
		records[i] = t.record([]usage.Month{month})
	}
	return records, nil
}

// After implements usage.Directory.
func (d directory) After(ctx context.Context, filter usage.Filter, place usage.Place, limit int, month usage.Month) (usage.Stretch, error) {
	tenants := d.tenants(filter)
	offset := 0
	for _, t := range tenants {
		if cmp.Or(place.CreatedAt.Compare(t.restaurant.CreatedAt), cmp.Compare(t.restaurant.ID, place.ID)) > 0 {
			break
		}
		offset++
	}
	found := usage.Stretch{Offset: offset}
	var err error
	found.Records, err = d.Page(ctx, filter, offset, limit, month)
	if n := len(found.Records); n > 0 && offset+n < len(tenants) {
		last := found.Records[n-1].Restaurant
		found.Next = &usage.Place{CreatedAt: last.CreatedAt, ID: last.ID}
	}
	return found, err
}

// tenants returns those that the filter admits, newest first and then by id.
func (d directory) tenants(filter usage.Filter) []*tenant {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	var admitted []*tenant
	for _, t := range d.store.tenants {
		if t.exists() && filter.Admits(t.restaurant.Active) {
			admitted = append(admitted, t)
		}
	}
	slices.SortFunc(admitted, func(a, b *tenant) int {
		return cmp.Or(b.restaurant.CreatedAt.Compare(a.restaurant.CreatedAt), cmp.Compare(a.restaurant.ID, b.restaurant.ID))
	})
	return admitted
}

// FindCredential implements credential.Finder.
func (s *Store) FindCredential(_ context.Context, hash credential.Hash) (credential.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.credentials[hash]
	if !ok {
		return credential.Credential{}, credential.ErrUnknown
	}
	return c, nil
}

// AddCredential stores a credential. It fails with credential.ErrExists.
func (s *Store) AddCredential(_ context.Context, c credential.Credential) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.credentials[c.Hash]; ok {
		return credential.ErrExists
	}
	c.Restaurants = slices.Sorted(slices.Values(c.Restaurants))
	c.CreatedAt, c.ExpiresAt, c.RevokedAt = stored(c.CreatedAt), stored(c.ExpiresAt), stored(c.RevokedAt)
	s.credentials[c.Hash] = c
	return nil
}

// ExpireCredential makes a credential expire at the time, or earlier where it does already.
func (s *Store) ExpireCredential(_ context.Context, id string, at time.Time) error {
	return s.changeCredential(id, func(c *credential.Credential) {
		if c.ExpiresAt.IsZero() || at.Before(c.ExpiresAt) {
			c.ExpiresAt = stored(at)
		}
	})
}

// RevokeCredential makes a credential worthless from the time on; the first time counts.
func (s *Store) RevokeCredential(_ context.Context, id string, at time.Time) error {
	return s.changeCredential(id, func(c *credential.Credential) {
		if c.RevokedAt.IsZero() {
			c.RevokedAt = stored(at)
		}
	})
}

func (s *Store) changeCredential(id string, change func(*credential.Credential)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for hash, c := range s.credentials {
		if c.ID == id {
			change(&c)
			s.credentials[hash] = c
			return nil
		}
	}
	return fmt.Errorf("%w: %s", credential.ErrNotFound, id)
}

// Credentials returns every credential, newest first and then by id.
func (s *Store) Credentials(context.Context) ([]credential.Credential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.credentials), func(a, b credential.Credential) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	}), nil
}
