package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// This file is what data that comes from elsewhere, or goes there, passes through. What comes is merged with what is
// there by conditional writes, so that a stack can be in use meanwhile: its own counts are neither lost nor doubled.

// mergeItem changes one item, again while other writers come between. change returns the update that makes the item
// as it is, nil where there is none, what it should be, under the condition that it still is so; or no update where
// nothing is to be changed. mergeItem reports whether anything was.
func (s *Store) mergeItem(ctx context.Context, table string, key item, change func(seen *reader) expression) (bool, error) {
	var seen item
	for range races {
		r := &reader{item: seen}
		e := change(r)
		if r.err != nil || e.set == "" {
			return false, r.err
		}
		if seen == nil {
			e = e.and(expression{
				condition: "attribute_not_exists(#restaurant)", names: map[string]string{"#restaurant": attrRestaurantID},
			})
		}
		err := s.update(ctx, table, key, e)
		var condition *conditionError
		if !errors.As(err, &condition) {
			return err == nil, err
		}
		seen = condition.failed[0]
	}
	return false, fmt.Errorf("%w: %w", outage.ErrUnavailable, errRaced)
}

// replace sets an attribute to another value, under the condition that it still has the one that was seen.
func (e expression) replace(seen *reader, attribute string, value types.AttributeValue) expression {
	name, set, old := "#"+attribute, ":"+attribute, ":seen"+attribute
	replaced := expression{
		set:       name + " = " + set,
		condition: name + " = " + old,
		names:     map[string]string{name: attribute},
		values:    item{set: value, old: seen.item[attribute]},
	}
	if seen.item[attribute] == nil {
		replaced.condition = fmt.Sprintf("attribute_not_exists(%s)", name)
		delete(replaced.values, old)
	}
	return e.and(replaced)
}

// replaceInstant is replace for a time, where it is another one.
func (e expression) replaceInstant(seen *reader, attribute string, old, value time.Time) expression {
	if value.Equal(old) {
		return e
	}
	return e.replace(seen, attribute, instant(value))
}

// MergeMonth merges a month that was counted elsewhere into the restaurant's own, as usage.MonthCount.Merge does, and
// reports whether that changed it. The index by fullness learns of it by Reindex, or by the month's next conversation. It
// fails with outage.ErrUnavailable.
func (s *Store) MergeMonth(ctx context.Context, restaurantID string, month usage.Month, count usage.MonthCount) (bool, error) {
	count.LastConversation = count.LastConversation.Truncate(time.Millisecond)
	changed, err := s.mergeItem(ctx, s.tables.Usage, usageKey(restaurantID, month.String()), func(seen *reader) expression {
		old := readMonth(seen)
		merged := old.Merge(count)
		var e expression
		for day, n := range merged.Days {
			if n != old.Days[day] {
				e = e.replace(seen, dayAttribute(dayPrefix, day), number(n))
			}
		}
		e = e.replaceInstant(seen, attrLastConversation, old.LastConversation, merged.LastConversation)
		if merged.ToppedUp != old.ToppedUp {
			e = e.replace(seen, attrToppedUp, number(merged.ToppedUp))
		}
		if e.set != "" || merged.Conversations != old.Conversations || seen.item == nil {
			// Every conversation that is counted meanwhile changes this one too.
			e = e.replace(seen, attrConversations, number(merged.Conversations))
		}
		return e
	})
	if err != nil {
		return false, fmt.Errorf("merging %s of restaurant %s: %w", month, restaurantID, err)
	}
	return changed, nil
}

// MergeActivity merges the times of messages that came elsewhere into the restaurant's own, as usage.Activity.Merge
// does, and reports whether that changed them. It fails with outage.ErrUnavailable.
func (s *Store) MergeActivity(ctx context.Context, restaurantID string, activity usage.Activity) (bool, error) {
	for _, t := range []*time.Time{&activity.First, &activity.Last, &activity.LastConversation} {
		*t = t.Truncate(time.Millisecond)
	}
	changed, err := s.mergeItem(ctx, s.tables.Usage, usageKey(restaurantID, activityPeriod), func(seen *reader) expression {
		old := readActivity(seen)
		merged := old.Merge(activity)
		e := expression{}.
			replaceInstant(seen, attrFirstActivity, old.First, merged.First).
			replaceInstant(seen, attrLastActivity, old.Last, merged.Last).
			replaceInstant(seen, attrLastConversation, old.LastConversation, merged.LastConversation)
		if merged.Last.After(old.Last) && !old.Last.IsZero() {
			e.remove = outdatedSlots(old.Last, merged.Last)
		}
		return e
	})
	if err != nil {
		return false, fmt.Errorf("merging the activity of restaurant %s: %w", restaurantID, err)
	}
	return changed, nil
}

// MergeSession takes over a customer's session, as conversation.Session.Merge does, and reports whether that changed
// anything. Nothing is counted. The recorder goes on with it: the customer isn't new any more, and a message within
// conversation.SessionLength of its last one extends it. The restaurant's activity has to cover the session already: of
// those that are open then, it is one. It fails with outage.ErrUnavailable.
func (s *Store) MergeSession(ctx context.Context, c conversation.Session) (bool, error) {
	c.OpenedAt, c.LastMessageAt = c.OpenedAt.Truncate(time.Millisecond), c.LastMessageAt.Truncate(time.Millisecond)
	key := item{attrRestaurantID: text(c.RestaurantID), attrEntry: text(sessionPrefix + c.Customer)}
	moved := move{made: true}
	changed, err := s.mergeItem(ctx, s.tables.Conversations, key, func(seen *reader) expression {
		if moved.from = seen.instant(attrLastMessage); seen.item == nil {
			reply := replyDue
			if c.Welcomed {
				reply = replySettled
			}
			return sessionTimes(c).and(expression{
				set: "#reply = :reply", names: map[string]string{"#reply": attrReply}, values: item{":reply": text(reply)},
			})
		}
		old := readLatestSession(seen)
		if old.Merge(c) == old {
			return expression{}
		}
		return sessionTimes(c).and(expression{
			remove: "#by", condition: "#last = :seen",
			names: map[string]string{"#by": attrOpenedBy}, values: item{":seen": seen.item[attrLastMessage]},
		})
	})
	if err == nil && changed {
		err = s.moveSession(ctx, c.RestaurantID, moved, c.LastMessageAt)
	}
	if err != nil {
		return false, fmt.Errorf("merging a session of restaurant %s: %w", c.RestaurantID, err)
	}
	return changed, nil
}

// moveSession counts a session in the slot of its latest message, if that is not out of date.
func (s *Store) moveSession(ctx context.Context, restaurantID string, moved move, at time.Time) error {
	key := usageKey(restaurantID, activityPeriod)
	seen, err := s.get(ctx, s.tables.Usage, key)
	for range races {
		in := reader{item: seen}
		last := in.instant(attrLastActivity)
		if err = errors.Join(err, in.err); err != nil || last.Before(at) {
			return err
		}
		e := moved.lateSlots(at, last)
		if e.add == "" {
			return nil
		}
		err = s.update(ctx, s.tables.Usage, key, e)
		var condition *conditionError
		if !errors.As(err, &condition) {
			return err
		}
		seen, err = condition.failed[0], nil
	}
	return fmt.Errorf("%w: %w", outage.ErrUnavailable, errRaced)
}

func sessionTimes(c conversation.Session) expression {
	return expression{
		set:    "#opened = :opened, #last = :last, #messages = :messages",
		names:  map[string]string{"#opened": attrOpened, "#last": attrLastMessage, "#messages": attrMessages},
		values: item{":opened": instant(c.OpenedAt), ":last": instant(c.LastMessageAt), ":messages": number(c.Messages)},
	}
}

func readLatestSession(r *reader) conversation.Session {
	return conversation.Session{
		RestaurantID: r.text(attrRestaurantID), Customer: strings.TrimPrefix(r.text(attrEntry), sessionPrefix),
		OpenedAt: r.instant(attrOpened), LastMessageAt: r.instant(attrLastMessage), Messages: r.number(attrMessages),
		Welcomed: r.text(attrReply) != replyDue,
	}
}

// Restaurants returns those of the restaurants that exist, by their ids. It fails with outage.ErrUnavailable.
func (s *Store) Restaurants(ctx context.Context, ids []string) (map[string]restaurant.Restaurant, error) {
	found := make(map[string]restaurant.Restaurant, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	keys := make([]tableKey, len(ids))
	for i, id := range ids {
		keys[i] = tableKey{s.tables.Restaurants, restaurantKey(id)}
	}
	var fault error
	err := s.getAll(ctx, keys, func(_ string, it item) {
		r := reader{item: it}
		of := readRestaurant(&r)
		if r.err != nil {
			fault = r.err
		}
		found[of.ID] = of
	})
	if err = errors.Join(err, fault); err != nil {
		return nil, fmt.Errorf("reading restaurants: %w", err)
	}
	return found, nil
}

// UpdateRestaurant writes the name and merchant id of a restaurant that exists. It fails with restaurant.ErrNotFound, the
// restaurant's faults or outage.ErrUnavailable.
func (s *Store) UpdateRestaurant(ctx context.Context, r restaurant.Restaurant) error {
	if err := r.Validate(); err != nil {
		return err
	}
	e := expression{
		set:       "#name = :name",
		condition: "attribute_exists(#id)",
		names:     map[string]string{"#name": "name", "#merchant": "merchantId", "#id": attrRestaurantID},
		values:    item{":name": text(r.Name)},
	}
	if r.MerchantID == "" {
		e.remove = "#merchant"
	} else {
		e.set += ", #merchant = :merchant"
		e.values[":merchant"] = text(r.MerchantID)
	}
	err := s.update(ctx, s.tables.Restaurants, restaurantKey(r.ID), e)
	if failedCondition(err, 0) {
		err = restaurant.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("updating restaurant %s: %w", r.ID, err)
	}
	return nil
}

// AddRestaurants adds many restaurants, each in one transaction with its entry in the directory, so that at no moment
// one exists that the list doesn't show. Those that exist already stay as they are. Where the directory's pages have
// no room left, it is laid anew. The ids must differ. It fails with outage.ErrUnavailable, or where thousands were created
// in one millisecond; some may then have been added, and adding all again adds the others.
func (s *Store) AddRestaurants(ctx context.Context, restaurants []restaurant.Restaurant) error {
	left := slices.Clone(restaurants)
	for i := range left {
		if err := left[i].Validate(); err != nil {
			return fmt.Errorf("restaurant %s: %w", left[i].ID, err)
		}
		left[i].CreatedAt = left[i].CreatedAt.Truncate(time.Millisecond)
	}
	slices.SortStableFunc(left, func(a, b restaurant.Restaurant) int { return a.CreatedAt.Compare(b.CreatedAt) })
	var d *directory
	attempts, rebuilt := 0, false
	for len(left) > 0 {
		var err error
		if d == nil {
			if d, err = s.directory(ctx); err != nil {
				return fmt.Errorf("adding restaurants: %w", err)
			}
		}
		b, err := d.addAll(ctx, left)
		if err == nil && b.n == 0 {
			if rebuilt {
				return fmt.Errorf("adding restaurants: %d were created in the millisecond of restaurant %s, %s, and no page of the "+
					"directory takes more: creation times have to differ", maxPageSize, left[0].ID, left[0].CreatedAt.UTC().Format(timeLayout))
			}
			if _, err = s.RebuildDirectory(ctx); err == nil {
				d, rebuilt = nil, true
				continue
			}
		}
		if err == nil {
			err = s.transact(ctx, b.writes(s), "")
		}
		var condition *conditionError
		switch {
		case err == nil:
			left, d, attempts, rebuilt = left[b.n:], b.after, 0, false
		case errors.As(err, &condition):
			// Those whose own condition failed exist. Otherwise others changed the directory.
			exist := 0
			for i := b.n - 1; i >= 0; i-- {
				if _, failed := condition.failed[i]; failed {
					left = slices.Delete(left, i, i+1)
					exist++
				}
			}
			d = nil
			if exist > 0 {
				continue
			}
			if attempts++; attempts == directoryAttempts {
				return fmt.Errorf("adding restaurants: %w", errDirectoryBusy)
			}
			if err := s.wait(ctx, directoryDelay); err != nil {
				return translate(err)
			}
		default:
			return fmt.Errorf("adding restaurants: %w", err)
		}
	}
	return nil
}

// maxTransaction is DynamoDB's bound for the items of one transaction.
const maxTransaction = 100

// addition is a number of restaurants that one transaction enters in the directory.
type addition struct {
	n           int // how many, and the transaction's first items are theirs
	restaurants []restaurant.Restaurant
	before      *directory
	after       *directory
	entries     map[string][]entry // by page item
	opened      int                // pages that the directory had before
}

// addAll takes as many of the restaurants, which are sorted by their creation, as one transaction enters: none where
// the first one's page has no room.
func (d *directory) addAll(ctx context.Context, restaurants []restaurant.Restaurant) (addition, error) {
	after := &directory{
		store: d.store, generation: d.generation, version: d.version + 1, stored: number(d.version + 1),
		all: slices.Clone(d.all), active: slices.Clone(d.active), from: slices.Clone(d.from),
	}
	a := addition{before: d, after: after, entries: make(map[string][]entry), opened: len(d.all)}
	newest := int64(-1) // creation of the last page's newest restaurant, once it is known
	items := 1          // the counts
	for _, r := range restaurants {
		createdAt := r.CreatedAt.UnixMilli()
		page, opens := after.pageFor(createdAt), len(after.all) == 0
		if !opens && page == len(after.all)-1 && after.all[page] >= pageSize {
			if newest < 0 {
				entries, err := d.entriesBefore(ctx, page)
				if err != nil {
					return a, err
				}
				for _, e := range slices.Concat(entries, a.entries[pageID(d.generation, page, true)], a.entries[pageID(d.generation, page, false)]) {
					newest = max(newest, e.createdAt)
				}
			}
			opens = createdAt > newest
		}
		id := pageID(d.generation, page, r.Active)
		items++
		switch {
		case opens:
			items += 2 // the page's active and its inactive ones
		case page < a.opened && a.entries[id] == nil:
			items++
		}
		if items > maxTransaction || !opens && after.all[page] >= maxPageSize {
			break
		}
		if opens {
			from := createdAt
			if len(after.all) == 0 {
				from = 0
			}
			page = len(after.all)
			after.all, after.active, after.from = append(after.all, 0), append(after.active, 0), append(after.from, from)
			id = pageID(d.generation, page, r.Active)
		}
		a.entries[id] = append(a.entries[id], entry{r.ID, createdAt})
		after.all[page]++
		after.active[page] += btoi(r.Active)
		if page == len(after.all)-1 && (opens || newest >= 0) {
			newest = max(newest, createdAt)
		}
		a.n++
	}
	a.restaurants = restaurants[:a.n]
	return a, nil
}

// entriesBefore returns what a page held when d was read: nothing where it is to be opened.
func (d *directory) entriesBefore(ctx context.Context, page int) ([]entry, error) {
	if page >= len(d.all) {
		return nil, nil
	}
	return d.entries(ctx, []int{page}, usage.All)
}

// writes returns the transaction: the restaurants, the pages, the counts.
func (a addition) writes(s *Store) []types.TransactWriteItem {
	var items []types.TransactWriteItem
	for _, r := range a.restaurants {
		items = append(items, put(s.tables.Restaurants, restaurantItem(r), expression{
			condition: "attribute_not_exists(#id)",
			names:     map[string]string{"#id": attrRestaurantID},
		}))
	}
	for page := a.opened; page < len(a.after.all); page++ {
		for _, active := range []bool{true, false} {
			id := pageID(a.after.generation, page, active)
			items = append(items, put(s.tables.Directory, pageItem(a.after.generation, page, active, a.entries[id]), expression{}))
			delete(a.entries, id)
		}
	}
	for id, entries := range a.entries {
		e := expression{
			condition: "attribute_exists(#entries)", // the page may be gone, with its generation
			names:     map[string]string{"#entries": attrEntries}, values: make(item),
		}
		for i, entered := range entries {
			name, value := fmt.Sprint("#n", i), fmt.Sprint(":v", i)
			e.set = joined(e.set, ", ", fmt.Sprintf("#entries.%s = %s", name, value))
			e.names[name], e.values[value] = entered.id, number(entered.createdAt)
		}
		items = append(items, update(s.tables.Directory, directoryKey(id), e))
	}
	return append(items, put(s.tables.Directory, countsItem(*a.after), a.before.unchanged()))
}

// TidyDirectory lays the directory anew where a page holds far more than it should, as after adding many restaurants
// that are older than others: every page of the list is then read at the same cost again. It reports whether it did.
func (s *Store) TidyDirectory(ctx context.Context) (bool, error) {
	d, err := s.directory(ctx)
	if err != nil {
		return false, err
	}
	if len(d.all) == 0 || slices.Max(d.all) <= 2*pageSize {
		return false, nil
	}
	_, err = s.RebuildDirectory(ctx)
	return err == nil, err
}

// EachRestaurant hands every restaurant to visit, in no order, and stops at its first error.
func (s *Store) EachRestaurant(ctx context.Context, visit func(restaurant.Restaurant) error) error {
	return s.scan(ctx, s.tables.Restaurants, func(r *reader) error {
		found := readRestaurant(r)
		if r.err != nil {
			return fmt.Errorf("restaurant %q: %w", found.ID, r.err)
		}
		return visit(found)
	})
}

// EachBot hands every bot to visit with its restaurant's id, in no order, and stops at its first error.
func (s *Store) EachBot(ctx context.Context, visit func(restaurantID string, bot restaurant.Bot) error) error {
	return s.scan(ctx, s.tables.Bots, func(r *reader) error {
		id, bot := r.text(attrRestaurantID), readBot(r)
		if r.err != nil {
			return fmt.Errorf("bot of restaurant %q: %w", id, r.err)
		}
		return visit(id, bot)
	})
}

// EachUsage hands every month and every activity to visit, each alone in a record of its restaurant, in no order, and
// stops at its first error.
func (s *Store) EachUsage(ctx context.Context, visit func(usage.Record) error) error {
	return s.scan(ctx, s.tables.Usage, func(r *reader) error {
		if period := r.text("period"); strings.Contains(period, "/") {
			return r.err // a top-up, or the key of one
		}
		record := usage.Record{Months: make(map[usage.Month]usage.MonthCount)}
		record.Restaurant.ID = r.text(attrRestaurantID)
		readUsage(r, &record)
		if r.err != nil {
			return fmt.Errorf("usage of restaurant %q: %w", record.Restaurant.ID, r.err)
		}
		return visit(record)
	})
}

// EachSession hands every customer's latest session to visit, in no order, and stops at its first error.
func (s *Store) EachSession(ctx context.Context, visit func(conversation.Session) error) error {
	return s.scan(ctx, s.tables.Conversations, func(r *reader) error {
		if !strings.HasPrefix(r.text(attrEntry), sessionPrefix) {
			return r.err // a message's marker, or a session that ended
		}
		session := readLatestSession(r)
		if r.err != nil {
			return fmt.Errorf("a session of restaurant %q: %w", session.RestaurantID, r.err)
		}
		return visit(session)
	})
}
