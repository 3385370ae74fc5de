package stackstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/customer"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/directory"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// This file imports and exports data. An import merges its data with conditional writes, so that the stack can be in use
// meanwhile: its own counts are neither lost nor doubled.

// mergeItem changes an item, and starts again if another writer has changed it meanwhile. change returns the conditional
// update for the item it is given (nil if the item does not exist), or no update if nothing is to be changed. The condition
// must fail if the item has changed since it was read. mergeItem reports whether it changed anything.
func (s *Store) mergeItem(ctx context.Context, name string, key table.Item, change func(seen *table.Reader) table.Expression) (bool, error) {
	var seen table.Item
	for range table.ConflictAttempts {
		r := &table.Reader{Item: seen}
		e := change(r)
		if r.Err != nil || e.Set == "" {
			return false, r.Err
		}
		if seen == nil {
			e = e.And(table.Expression{
				Condition: "attribute_not_exists(#restaurant)", Names: map[string]string{"#restaurant": schema.AttrRestaurantID},
			})
		}
		err := s.db.Update(ctx, name, key, e)
		var condition *table.ConditionError
		if !errors.As(err, &condition) {
			return err == nil, err
		}
		seen = condition.Failed[0]
	}
	return false, fmt.Errorf("%w: %w", outage.ErrUnavailable, errRaced)
}

// replace sets an attribute, under the condition that it still has the value that was read.
func replace(e table.Expression, seen *table.Reader, attribute string, value table.Value) table.Expression {
	name, set, old := "#"+attribute, ":"+attribute, ":seen"+attribute
	replaced := table.Expression{
		Set:       name + " = " + set,
		Condition: name + " = " + old,
		Names:     map[string]string{name: attribute},
		Values:    table.Item{set: value, old: seen.Item[attribute]},
	}
	if seen.Item[attribute] == nil {
		replaced.Condition = fmt.Sprintf("attribute_not_exists(%s)", name)
		delete(replaced.Values, old)
	}
	return e.And(replaced)
}

// replaceInstant is replace for a time. It does nothing if the time is the same.
func replaceInstant(e table.Expression, seen *table.Reader, attribute string, old, value time.Time) table.Expression {
	if value.Equal(old) {
		return e
	}
	return replace(e, seen, attribute, table.Instant(value))
}

// MergeMonth merges a month that was counted elsewhere into the restaurant's own, as usage.MonthCount.Merge does, and reports
// whether that changed it. Reindex, or the month's next conversation, then updates the restaurant's place in the ranking. It
// fails with outage.ErrUnavailable.
func (s *Store) MergeMonth(ctx context.Context, restaurantID string, month usage.Month, count usage.MonthCount) (bool, error) {
	count.LastConversation = count.LastConversation.Truncate(time.Millisecond)
	changed, err := s.mergeItem(ctx, s.names.Usage, schema.UsageKey(restaurantID, month.String()), func(seen *table.Reader) table.Expression {
		old := schema.ReadMonth(seen)
		merged := old.Merge(count)
		var e table.Expression
		for day, n := range merged.Days {
			if n != old.Days[day] {
				e = replace(e, seen, schema.DayAttribute(schema.DayPrefix, day), table.Number(n))
			}
		}
		e = replaceInstant(e, seen, schema.AttrLastConversation, old.LastConversation, merged.LastConversation)
		if merged.ToppedUp != old.ToppedUp {
			e = replace(e, seen, schema.AttrToppedUp, table.Number(merged.ToppedUp))
		}
		if e.Set != "" || merged.Conversations != old.Conversations || seen.Item == nil {
			// Every counted conversation changes this attribute, so a conversation in between is noticed.
			e = replace(e, seen, schema.AttrConversations, table.Number(merged.Conversations))
		}
		return e
	})
	if err != nil {
		return false, fmt.Errorf("merging %s of restaurant %s: %w", month, restaurantID, err)
	}
	return changed, nil
}

// MergeActivity merges the times of messages that were received elsewhere into the restaurant's own, as usage.Activity.Merge
// does, and reports whether that changed them. It fails with outage.ErrUnavailable.
func (s *Store) MergeActivity(ctx context.Context, restaurantID string, activity usage.Activity) (bool, error) {
	for _, t := range []*time.Time{&activity.First, &activity.Last, &activity.LastConversation} {
		*t = t.Truncate(time.Millisecond)
	}
	changed, err := s.mergeItem(ctx, s.names.Usage, schema.UsageKey(restaurantID, schema.ActivityPeriod), func(seen *table.Reader) table.Expression {
		old := schema.ReadActivity(seen)
		merged := old.Merge(activity)
		var e table.Expression
		e = replaceInstant(e, seen, schema.AttrFirstActivity, old.First, merged.First)
		e = replaceInstant(e, seen, schema.AttrLastActivity, old.Last, merged.Last)
		e = replaceInstant(e, seen, schema.AttrLastConversation, old.LastConversation, merged.LastConversation)
		if merged.Last.After(old.Last) && !old.Last.IsZero() {
			e.Remove = schema.OutdatedSlots(old.Last, merged.Last)
		}
		return e
	})
	if err != nil {
		return false, fmt.Errorf("merging the activity of restaurant %s: %w", restaurantID, err)
	}
	return changed, nil
}

// MergeSession merges a customer's session from elsewhere, as conversation.Session.Merge does, and reports whether that
// changed anything. It counts nothing. Afterwards the recorder treats the customer as known, and a message within
// conversation.SessionLength of the session's last message extends it. The restaurant's activity must already include the
// session's messages, because an open session is added to the activity's slots. It fails with outage.ErrUnavailable.
func (s *Store) MergeSession(ctx context.Context, c conversation.Session) (bool, error) {
	c.OpenedAt, c.LastMessageAt = c.OpenedAt.Truncate(time.Millisecond), c.LastMessageAt.Truncate(time.Millisecond)
	changed, err := s.mergeSession(ctx, c)
	if err != nil {
		return false, fmt.Errorf("merging a session of restaurant %s: %w", c.RestaurantID, err)
	}
	return changed, nil
}

func (s *Store) mergeSession(ctx context.Context, c conversation.Session) (bool, error) {
	var err error
	if c.UserID != "" {
		err = s.Recorder(usage.Calendar{}).Unite(ctx, c.RestaurantID, c.Customer, c.UserID)
	} else {
		c.Customer, err = s.home(ctx, c.RestaurantID, c.Customer)
	}
	if err != nil {
		return false, err
	}
	var moved schema.Move
	changed, err := s.mergeItem(ctx, s.names.Conversations, schema.SessionKey(c.RestaurantID, c.Customer), func(seen *table.Reader) table.Expression {
		old := readLatestSession(seen)
		moved = schema.Move{From: old.LastMessageAt}
		var e table.Expression
		switch {
		case c.LastMessageAt.IsZero():
		case old.LastMessageAt.IsZero():
			moved.Made = true
			reply := schema.ReplyDue
			if c.Welcomed {
				reply = schema.ReplySettled
			}
			e = sessionTimes(c).And(table.Expression{
				Set: "#reply = :reply", Condition: "attribute_not_exists(#last)",
				Names: map[string]string{"#reply": schema.AttrReply}, Values: table.Item{":reply": table.Text(reply)},
			})
		case old.Merge(c) != old:
			moved.Made = true
			e = sessionTimes(c).And(table.Expression{
				Remove: "#by", Condition: "#last = :seen",
				Names: map[string]string{"#by": schema.AttrOpenedBy}, Values: table.Item{":seen": seen.Item[schema.AttrLastMessage]},
			})
		}
		if c.OptedOut && !old.OptedOut {
			e = e.And(table.Expression{
				Set: "#out = :out", Condition: "attribute_not_exists(#alias)",
				Names:  map[string]string{"#out": schema.AttrOptedOut, "#alias": schema.AttrAlias},
				Values: table.Item{":out": table.Instant(c.LastMessageAt)},
			})
		}
		return e
	})
	if err == nil && changed && moved.Made {
		err = s.moveSession(ctx, c.RestaurantID, moved, c.LastMessageAt)
	}
	return changed, err
}

// home returns the id that a customer is stored under.
func (s *Store) home(ctx context.Context, restaurantID, id string) (string, error) {
	if !customer.IsUserID(id) {
		return id, nil
	}
	it, err := s.db.Get(ctx, s.names.Conversations, schema.SessionKey(restaurantID, id))
	in := table.Reader{Item: it}
	return cmp.Or(in.Text(schema.AttrAlias), id), errors.Join(err, in.Err)
}

// moveSession counts a session in the slot of its latest message, unless the slot is out of date.
func (s *Store) moveSession(ctx context.Context, restaurantID string, moved schema.Move, at time.Time) error {
	key := schema.UsageKey(restaurantID, schema.ActivityPeriod)
	seen, err := s.db.Get(ctx, s.names.Usage, key)
	for range table.ConflictAttempts {
		in := table.Reader{Item: seen}
		last := in.Instant(schema.AttrLastActivity)
		if err = errors.Join(err, in.Err); err != nil || last.Before(at) {
			return err
		}
		e := moved.LateSlots(at, last)
		if e.Add == "" {
			return nil
		}
		err = s.db.Update(ctx, s.names.Usage, key, e)
		var condition *table.ConditionError
		if !errors.As(err, &condition) {
			return err
		}
		seen, err = condition.Failed[0], nil
	}
	return fmt.Errorf("%w: %w", outage.ErrUnavailable, errRaced)
}

func sessionTimes(c conversation.Session) table.Expression {
	return table.Expression{
		Set:    "#opened = :opened, #last = :last, #messages = :messages",
		Names:  map[string]string{"#opened": schema.AttrOpened, "#last": schema.AttrLastMessage, "#messages": schema.AttrMessages},
		Values: table.Item{":opened": table.Instant(c.OpenedAt), ":last": table.Instant(c.LastMessageAt), ":messages": table.Number(c.Messages)},
	}
}

func readLatestSession(r *table.Reader) conversation.Session {
	return conversation.Session{
		RestaurantID: r.Text(schema.AttrRestaurantID), Customer: strings.TrimPrefix(r.Text(schema.AttrEntry), schema.SessionPrefix),
		OpenedAt: r.Instant(schema.AttrOpened), LastMessageAt: r.Instant(schema.AttrLastMessage), Messages: r.Number(schema.AttrMessages),
		Welcomed: r.Text(schema.AttrReply) != schema.ReplyDue, OptedOut: r.Text(schema.AttrOptedOut) != "",
		UserID: userIDOf(r.Text(schema.AttrKnownAs)),
	}
}

// userIDOf returns the customer's user id, unless knownAs is a number that another customer has now.
func userIDOf(knownAs string) string {
	if customer.IsUserID(knownAs) {
		return knownAs
	}
	return ""
}

// Restaurants returns the existing restaurants with the ids, by id. It fails with outage.ErrUnavailable.
func (s *Store) Restaurants(ctx context.Context, ids []string) (map[string]restaurant.Restaurant, error) {
	found := make(map[string]restaurant.Restaurant, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	keys := make([]table.Key, len(ids))
	for i, id := range ids {
		keys[i] = table.Key{Table: s.names.Restaurants, Key: schema.RestaurantKey(id)}
	}
	var fault error
	err := s.db.GetAll(ctx, keys, func(_ string, it table.Item) {
		r := table.Reader{Item: it}
		of := schema.ReadRestaurant(&r)
		if r.Err != nil {
			fault = r.Err
		}
		found[of.ID] = of
	})
	if err = errors.Join(err, fault); err != nil {
		return nil, fmt.Errorf("reading restaurants: %w", err)
	}
	return found, nil
}

// UpdateRestaurant writes the name and merchant id of an existing restaurant, and its search words. It fails with
// restaurant.ErrNotFound, outage.ErrUnavailable or the restaurant's faults.
func (s *Store) UpdateRestaurant(ctx context.Context, r restaurant.Restaurant) error {
	err := r.Validate()
	if err != nil {
		return err
	}
	for range directory.Attempts {
		if err = s.updateRestaurant(ctx, r); !table.FailedCondition(err, 0) {
			break
		}
		// Others have switched or renamed the restaurant, or are just creating it.
		if err = s.db.Wait(ctx, directory.Delay); err != nil {
			break
		}
		err = directory.ErrBusy
	}
	if err != nil {
		return fmt.Errorf("updating restaurant %s: %w", r.ID, err)
	}
	return nil
}

// updateRestaurant writes a restaurant, if it hasn't changed since it was read.
func (s *Store) updateRestaurant(ctx context.Context, r restaurant.Restaurant) error {
	return s.directory.Change(ctx, 1, func(d *directory.Snapshot) ([]table.Write, error) {
		it, err := s.db.Get(ctx, s.names.Restaurants, schema.RestaurantKey(r.ID))
		if err != nil {
			return nil, err
		}
		if it == nil {
			return nil, restaurant.ErrNotFound
		}
		read := table.Reader{Item: it}
		found := schema.ReadRestaurant(&read)
		if read.Err != nil {
			return nil, read.Err
		}
		e := table.Expression{
			Set:       "#name = :name",
			Condition: "#name = :old AND #active = :active",
			Names:     map[string]string{"#name": schema.AttrName, "#merchant": schema.AttrMerchantID, "#active": schema.AttrActive},
			Values:    table.Item{":name": table.Text(r.Name), ":old": table.Text(found.Name), ":active": table.Flag(found.Active)},
		}
		if r.MerchantID == "" {
			e.Remove = "#merchant"
		} else {
			e.Set += ", #merchant = :merchant"
			e.Values[":merchant"] = table.Text(r.MerchantID)
		}
		return append([]table.Write{table.Update(s.names.Restaurants, schema.RestaurantKey(r.ID), e)}, d.Rename(found, r.Name)...), nil
	})
}

// AddRestaurants adds many restaurants, each in one transaction with its entry in the directory, so that the list always
// shows every restaurant. Existing restaurants stay unchanged. If the directory's pages are full, it is rebuilt. The ids must
// differ. It fails with outage.ErrUnavailable, or if thousands of restaurants were created in the same millisecond. After a
// failure some may have been added; calling it again adds the others.
func (s *Store) AddRestaurants(ctx context.Context, restaurants []restaurant.Restaurant) error {
	all := slices.Clone(restaurants)
	for i := range all {
		if err := all[i].Validate(); err != nil {
			return fmt.Errorf("restaurant %s: %w", all[i].ID, err)
		}
		all[i].CreatedAt = all[i].CreatedAt.Truncate(time.Millisecond)
	}
	slices.SortStableFunc(all, func(a, b restaurant.Restaurant) int { return a.CreatedAt.Compare(b.CreatedAt) })
	for some := range slices.Chunk(all, directory.MaxEntered) {
		err := s.addSome(ctx, some)
		var full *directory.FullError
		if errors.As(err, &full) {
			if _, err = s.directory.Rebuild(ctx); err == nil {
				err = s.addSome(ctx, some)
			}
		}
		if errors.As(err, &full) {
			return fmt.Errorf("adding restaurants: too many were created in the millisecond of restaurant %s, %s, and no page of the "+
				"directory takes more: creation times have to differ",
				full.Restaurant.ID, full.Restaurant.CreatedAt.UTC().Format(table.TimeLayout))
		}
		if err != nil {
			return fmt.Errorf("adding restaurants: %w", err)
		}
	}
	return nil
}

// addSome adds restaurants in one transaction, and tries again if others add some of them meanwhile. It fails with
// *directory.FullError.
func (s *Store) addSome(ctx context.Context, some []restaurant.Restaurant) error {
	for {
		missing, err := s.missing(ctx, some)
		if err != nil || len(missing) == 0 {
			return err
		}
		err = s.directory.Change(ctx, 2*len(missing), func(d *directory.Snapshot) ([]table.Write, error) {
			var writes []table.Write
			for _, r := range missing {
				writes = append(writes, table.Put(s.names.Restaurants, schema.RestaurantItem(r), table.Expression{
					Condition: "attribute_not_exists(#id)",
					Names:     map[string]string{"#id": schema.AttrRestaurantID},
				}))
			}
			for _, r := range missing {
				writes = append(writes, s.directory.NoBot(r.ID))
			}
			entries, err := d.Enter(ctx, missing...)
			return append(writes, entries...), err
		})
		var condition *table.ConditionError
		if !errors.As(err, &condition) {
			return err
		}
		for i, r := range missing {
			if table.FailedCondition(err, len(missing)+i) {
				return fmt.Errorf("restaurant %s: %w", r.ID, restaurant.ErrIDTaken)
			}
		}
		// At least one restaurant exists by now.
	}
}

// missing returns the restaurants that don't exist yet.
func (s *Store) missing(ctx context.Context, some []restaurant.Restaurant) ([]restaurant.Restaurant, error) {
	ids := make([]string, len(some))
	for i, r := range some {
		ids[i] = r.ID
	}
	known, err := s.Restaurants(ctx, ids)
	return slices.DeleteFunc(slices.Clone(some), func(r restaurant.Restaurant) bool {
		_, exists := known[r.ID]
		return exists
	}), err
}

// EachRestaurant calls visit with every restaurant, in no order. It stops at visit's first error and returns it.
func (s *Store) EachRestaurant(ctx context.Context, visit func(restaurant.Restaurant) error) error {
	return s.db.Scan(ctx, s.names.Restaurants, func(r *table.Reader) error {
		found := schema.ReadRestaurant(r)
		if r.Err != nil {
			return fmt.Errorf("restaurant %q: %w", found.ID, r.Err)
		}
		return visit(found)
	})
}

// EachBot calls visit with every bot and its restaurant's id, in no order. It stops at visit's first error and returns it.
func (s *Store) EachBot(ctx context.Context, visit func(restaurantID string, bot restaurant.Bot) error) error {
	return s.db.Scan(ctx, s.names.Bots, func(r *table.Reader) error {
		id, bot := r.Text(schema.AttrRestaurantID), schema.ReadBot(r)
		if r.Err != nil {
			return fmt.Errorf("bot of restaurant %q: %w", id, r.Err)
		}
		return visit(id, bot)
	})
}

// EachUsage calls visit with every month and every activity, each in a record of its own, in no order. It stops at visit's
// first error and returns it.
func (s *Store) EachUsage(ctx context.Context, visit func(usage.Record) error) error {
	return s.db.Scan(ctx, s.names.Usage, func(r *table.Reader) error {
		if period := r.Text("period"); strings.Contains(period, "/") || strings.HasPrefix(r.Text(schema.AttrRestaurantID), schema.RankingPrefix) {
			return r.Err // a top-up, a top-up's idempotency key, or the ranking
		}
		record := usage.Record{Months: make(map[usage.Month]usage.MonthCount)}
		record.Restaurant.ID = r.Text(schema.AttrRestaurantID)
		schema.ReadUsage(r, &record)
		if r.Err != nil {
			return fmt.Errorf("usage of restaurant %q: %w", record.Restaurant.ID, r.Err)
		}
		return visit(record)
	})
}

// EachSession calls visit with every customer's latest session, in no order. It stops at visit's first error and returns it.
func (s *Store) EachSession(ctx context.Context, visit func(conversation.Session) error) error {
	return s.db.Scan(ctx, s.names.Conversations, func(r *table.Reader) error {
		if !strings.HasPrefix(r.Text(schema.AttrEntry), schema.SessionPrefix) {
			return r.Err // a message's marker, or an ended session
		}
		session := readLatestSession(r)
		if r.Err == nil && session.LastMessageAt.IsZero() && !session.OptedOut {
			return nil // an alias
		}
		if r.Err != nil {
			return fmt.Errorf("a session of restaurant %q: %w", session.RestaurantID, r.Err)
		}
		return visit(session)
	})
}
