package memory

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// AddRestaurants adds those of the restaurants that don't exist.
func (s *Store) AddRestaurants(ctx context.Context, restaurants []restaurant.Restaurant) error {
	for _, r := range restaurants {
		if err := s.CreateRestaurant(ctx, r, nil); err != nil && !errors.Is(err, restaurant.ErrExists) {
			return err
		}
	}
	return nil
}

// Restaurants returns those of the restaurants that exist, by their ids.
func (s *Store) Restaurants(_ context.Context, ids []string) (map[string]restaurant.Restaurant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[string]restaurant.Restaurant)
	for _, id := range ids {
		if t, ok := s.tenants[id]; ok && t.exists() {
			found[id] = t.restaurant
		}
	}
	return found, nil
}

// UpdateRestaurant writes a restaurant's name and merchant id. It fails with restaurant.ErrNotFound.
func (s *Store) UpdateRestaurant(_ context.Context, r restaurant.Restaurant) error {
	if err := r.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tenants[r.ID]
	if !ok || !t.exists() {
		return restaurant.ErrNotFound
	}
	t.restaurant.Name, t.restaurant.MerchantID = r.Name, r.MerchantID
	return nil
}

// MergeMonth merges a month into the restaurant's own and reports whether that changed it.
func (s *Store) MergeMonth(_ context.Context, restaurantID string, month usage.Month, count usage.MonthCount) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count.LastConversation = stored(count.LastConversation)
	t := s.tenant(restaurantID)
	old, ok := t.months[month]
	merged := old.Merge(count)
	t.months[month] = merged
	return !ok || merged.Conversations != old.Conversations || !merged.LastConversation.Equal(old.LastConversation) ||
		merged.ToppedUp != old.ToppedUp || !maps.Equal(merged.Days, old.Days), nil
}

// MergeActivity merges times into the restaurant's own and reports whether that changed them.
func (s *Store) MergeActivity(_ context.Context, restaurantID string, a usage.Activity) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenant(restaurantID)
	old := t.activity
	t.activity = old.Merge(usage.Activity{First: stored(a.First), Last: stored(a.Last), LastConversation: stored(a.LastConversation)})
	return !t.activity.First.Equal(old.First) || !t.activity.Last.Equal(old.Last) ||
		!t.activity.LastConversation.Equal(old.LastConversation), nil
}

// MergeSession takes over a customer's session and reports whether that changed anything. The restaurant's activity covers
// the session already.
func (s *Store) MergeSession(_ context.Context, c conversation.Session) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.OpenedAt, c.LastMessageAt = stored(c.OpenedAt), stored(c.LastMessageAt)
	key := entry{c.RestaurantID, c.Customer}
	t := s.tenant(c.RestaurantID)
	of, ok := s.sessions[key]
	if !ok {
		of = &session{Session: new(usage.Session), reply: reply{settled: c.Welcomed}}
		s.sessions[key], t.sessions = of, append(t.sessions, of.Session)
	} else if old := of.shown(key); old.Merge(c) == old {
		return false, nil
	}
	t.move(of.LastMessage, c.LastMessageAt)
	*of.Session = usage.Session{Customer: c.Customer, OpenedAt: c.OpenedAt, LastMessage: c.LastMessageAt, Messages: c.Messages}
	return true, nil
}

func (s *session) shown(key entry) conversation.Session {
	return conversation.Session{
		RestaurantID: key.restaurantID, Customer: key.id, OpenedAt: s.OpenedAt, LastMessageAt: s.LastMessage, Messages: s.Messages,
		Welcomed: s.reply.settled,
	}
}

// EachRestaurant hands every restaurant to visit, by id, and stops at its first error.
func (s *Store) EachRestaurant(_ context.Context, visit func(restaurant.Restaurant) error) error {
	return s.each(func(_ string, t *tenant) error {
		if !t.exists() {
			return nil
		}
		return visit(t.restaurant)
	})
}

// EachBot hands every bot to visit, by its restaurant's id, and stops at its first error.
func (s *Store) EachBot(_ context.Context, visit func(restaurantID string, bot restaurant.Bot) error) error {
	return s.each(func(id string, t *tenant) error {
		if t.bot == nil {
			return nil
		}
		return visit(id, *t.bot)
	})
}

// EachUsage hands every month and every activity to visit, each alone in a record, and stops at its first error.
func (s *Store) EachUsage(_ context.Context, visit func(usage.Record) error) error {
	return s.each(func(id string, t *tenant) error {
		record := usage.Record{Restaurant: restaurant.Restaurant{ID: id}, Activity: t.activity}
		if !t.activity.Last.IsZero() {
			if err := visit(record); err != nil {
				return err
			}
		}
		record.Activity = usage.Activity{}
		for month, count := range t.months {
			record.Months = map[usage.Month]usage.MonthCount{month: count}
			if err := visit(record); err != nil {
				return err
			}
		}
		return nil
	})
}

// EachSession hands every customer's latest session to visit and stops at its first error.
func (s *Store) EachSession(_ context.Context, visit func(conversation.Session) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.SortedFunc(maps.Keys(s.sessions), func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.restaurantID, b.restaurantID), cmp.Compare(a.id, b.id))
	}) {
		if err := visit(s.sessions[key].shown(key)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) each(visit func(id string, t *tenant) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(s.tenants)) {
		if err := visit(id, s.tenants[id]); err != nil {
			return err
		}
	}
	return nil
}
