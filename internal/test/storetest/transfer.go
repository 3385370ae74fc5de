package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Transfer imports and exports a store's data.
type Transfer interface {
	Restaurants(ctx context.Context, ids []string) (map[string]restaurant.Restaurant, error)
	AddRestaurants(ctx context.Context, restaurants []restaurant.Restaurant) error
	UpdateRestaurant(ctx context.Context, r restaurant.Restaurant) error
	MergeMonth(ctx context.Context, restaurantID string, month usage.Month, count usage.MonthCount) (bool, error)
	MergeActivity(ctx context.Context, restaurantID string, activity usage.Activity) (bool, error)
	MergeSession(ctx context.Context, s conversation.Session) (bool, error)

	EachRestaurant(ctx context.Context, visit func(restaurant.Restaurant) error) error
	EachBot(ctx context.Context, visit func(restaurantID string, bot restaurant.Bot) error) error
	EachUsage(ctx context.Context, visit func(usage.Record) error) error
	EachSession(ctx context.Context, visit func(conversation.Session) error) error
}

func testAddRestaurants(t *testing.T, s Store) {
	create(t, s, Restaurant(3), nil)
	renamed := Restaurant(3)
	renamed.Name = "another name"
	inactive := Restaurant(4)
	inactive.Active = false
	add := []restaurant.Restaurant{Restaurant(5), renamed, inactive, Restaurant(1)}
	for range 2 { // adding an existing restaurant changes nothing
		must(t, s.AddRestaurants(t.Context(), add))
		wantEqual(t, "all", list(t, s, usage.All, 0, 10), []string{"r00005", "r00004", "r00003", "r00001"})
		wantEqual(t, "inactive", list(t, s, usage.InactiveOnly, 0, 10), []string{"r00004"})
		wantEqual(t, "total", total(t, s, usage.ActiveOnly), 3)
	}
	found, err := s.Restaurants(t.Context(), []string{"r00003", "r00004", "nobody"})
	must(t, err)
	existing := Restaurant(3)
	existing.CreatedAt, inactive.CreatedAt = kept(existing.CreatedAt), kept(inactive.CreatedAt)
	wantEqual(t, "found", found, map[string]restaurant.Restaurant{"r00003": existing, "r00004": inactive})

	must(t, s.UpdateRestaurant(t.Context(), restaurant.Restaurant{ID: "r00003", Name: "renamed", CreatedAt: Start}))
	wantError(t, s.UpdateRestaurant(t.Context(), restaurant.Restaurant{ID: "nobody", Name: "x", CreatedAt: Start}), restaurant.ErrNotFound)
	existing.Name, existing.MerchantID = "renamed", ""
	var ids []string
	must(t, s.EachRestaurant(t.Context(), func(r restaurant.Restaurant) error {
		if ids = append(ids, r.ID); r.ID == existing.ID {
			wantEqual(t, "renamed", r, existing)
		}
		return nil
	}))
	slices.Sort(ids)
	wantEqual(t, "each", ids, []string{"r00001", "r00003", "r00004", "r00005"})
	if err := s.AddRestaurants(t.Context(), []restaurant.Restaurant{Restaurant(8), {ID: "a/b"}}); err == nil {
		t.Error("an invalid restaurant was added in bulk")
	}
	must(t, s.SetActive(t.Context(), "r00004", true)) // added restaurants have the same entries as all others
	must(t, s.SetActive(t.Context(), "r00001", false))
	wantEqual(t, "inactive", list(t, s, usage.InactiveOnly, 0, 10), []string{"r00001"})
}

func testMergeUsage(t *testing.T, s Store) {
	create(t, s, Restaurant(1), nil)
	months := []usage.MonthCount{
		{Conversations: 45, Days: map[int]int64{3: 40, 20: 5}, LastConversation: Start, ToppedUp: 100},
		{Conversations: 7, Days: map[int]int64{23: 7}, LastConversation: Start.Add(time.Hour)},
		{Conversations: 50, ToppedUp: 99},
		{ToppedUp: 101},
	}
	activities := []usage.Activity{
		{First: Start, Last: Start.Add(time.Hour)},
		{LastConversation: Start},
		{First: Start.Add(-time.Hour), Last: Start, LastConversation: Start.Add(-time.Hour)},
		{First: Start.Add(-2 * time.Hour)},
	}
	for i := range months {
		for _, want := range []bool{true, false} { // merging again changes nothing
			changed, err := s.MergeMonth(t.Context(), "r00001", november, months[i])
			must(t, err)
			activity, err := s.MergeActivity(t.Context(), "r00001", activities[i])
			must(t, err)
			wantMonth := want && i != 2 // the third has nothing new
			if changed != wantMonth || activity != want {
				t.Errorf("merge %d changed the month: %t, want %t; and the activity: %t, want %t", i, changed, wantMonth, activity, want)
			}
		}
	}
	record, err := s.Usage(t.Context(), "r00001", []usage.Month{november})
	must(t, err)
	want := usage.MonthCount{Conversations: 52, Days: map[int]int64{3: 40, 20: 5, 23: 7}, LastConversation: kept(Start.Add(time.Hour)), ToppedUp: 101}
	wantEqual(t, "month", record.Months[november], want)
	activity := usage.Activity{First: kept(Start.Add(-2 * time.Hour)), Last: kept(Start.Add(time.Hour)), LastConversation: kept(Start)}
	wantEqual(t, "activity", record.Activity, activity)

	visited := usage.Record{Months: make(map[usage.Month]usage.MonthCount)}
	must(t, s.EachUsage(t.Context(), func(one usage.Record) error {
		wantEqual(t, "restaurant", one.Restaurant.ID, "r00001")
		visited.Activity = visited.Activity.Merge(one.Activity)
		for month, count := range one.Months {
			visited.Months[month] = count
		}
		return nil
	}))
	wantEqual(t, "each", visited, usage.Record{Activity: activity, Months: record.Months})
}

func testEachBot(t *testing.T, s Store) {
	want := make(map[string]restaurant.Bot)
	for i := range 3 {
		bot := restaurant.Bot{ID: fmt.Sprint("bot-", i), Limits: restaurant.Limits{ConversationsPerDay: int64(i)}}
		create(t, s, Restaurant(i), &bot)
		want[Restaurant(i).ID] = bot
	}
	create(t, s, Restaurant(9), nil)
	got := make(map[string]restaurant.Bot)
	must(t, s.EachBot(t.Context(), func(id string, bot restaurant.Bot) error {
		got[id] = bot
		return nil
	}))
	wantEqual(t, "bots", got, want)
}

// session returns an imported session of the customer.
func session(opened, last time.Time) conversation.Session {
	return conversation.Session{
		RestaurantID: "r00001", Customer: customer, OpenedAt: opened, LastMessageAt: last, Messages: 3, Welcomed: true,
	}
}

// merge imports a session and the activity of its restaurant.
func (l Ledger) merge(t *testing.T, s conversation.Session, want bool) {
	t.Helper()
	activity := usage.Activity{First: s.OpenedAt, Last: s.LastMessageAt, LastConversation: s.OpenedAt}
	_, err := l.Store.MergeActivity(t.Context(), s.RestaurantID, activity)
	must(t, err)
	changed, err := l.Store.MergeSession(t.Context(), s)
	must(t, err)
	if changed != want {
		t.Errorf("importing a session from %v to %v changed something: %t, want %t", s.OpenedAt, s.LastMessageAt, changed, want)
	}
}

// testOpenImport: a customer with an imported session isn't new, and the next message extends the session.
func testOpenImport(t *testing.T, l Ledger) {
	imported := session(noon.Add(-30*time.Hour), noon.Add(-time.Hour))
	l.merge(t, imported, true)
	_, err := l.Store.MergeMonth(t.Context(), "r00001", november, usage.MonthCount{Conversations: 45})
	must(t, err)

	m := message("m1", customer, noon)
	recorded := l.record(t, m)
	if recorded.First || recorded.Repeat || recorded.Welcome != conversation.ReplySettled {
		t.Errorf("an imported customer's message is recorded as %+v, want a known customer who was welcomed", recorded)
	}
	if state := l.claim(t, m, conversation.Welcome); state != conversation.ReplySettled {
		t.Errorf("the welcome of an imported, welcomed customer is %v, want settled: the customer would be welcomed again", state)
	}
	l.wantConversations(t, 45)
	l.merge(t, imported, false) // importing again doesn't shorten an extended session
	l.record(t, message("m2", customer, noon.Add(conversation.SessionLength-time.Millisecond)))
	l.wantConversations(t, 45)
	l.record(t, message("m3", customer, noon.Add(2*conversation.SessionLength)))
	l.wantConversations(t, 46)
}

// testClosedImport: after an imported session that has ended, the next message opens a conversation.
func testClosedImport(t *testing.T, l Ledger) {
	l.merge(t, session(noon.Add(-50*time.Hour), noon.Add(-conversation.SessionLength)), true)
	recorded := l.record(t, message("m1", customer, noon))
	if recorded.First || recorded.Welcome != conversation.ReplySettled {
		t.Errorf("an imported customer's message is recorded as %+v, want a known customer who was welcomed", recorded)
	}
	l.wantConversations(t, 1)
	l.record(t, message("m1", customer, noon.Add(time.Second))) // a repeat of the opening
	l.wantConversations(t, 1)
}

// testImportOverLive: sessions that were recorded here stay. If such a session continued elsewhere, that is imported.
func testImportOverLive(t *testing.T, l Ledger) {
	m := message("m1", customer, noon)
	l.record(t, m)
	l.merge(t, session(noon.Add(-2*time.Hour), noon), false)
	if recorded := l.record(t, message("m1", customer, noon.Add(time.Second))); !recorded.First || recorded.Welcome != conversation.ReplyElsewhere {
		t.Errorf("after an import a repeat of the first message is recorded as %+v, want first, its welcome with the other delivery", recorded)
	}
	l.claim(t, m, conversation.Welcome)
	later := session(noon.Add(30*time.Hour), noon.Add(40*time.Hour))
	l.merge(t, later, true)
	l.merge(t, later, false)
	must(t, l.Recorder.Settle(t.Context(), m, conversation.Welcome)) // the import hasn't ended the lease
	recorded := l.record(t, message("m2", customer, noon.Add(60*time.Hour)))
	if recorded.Welcome != conversation.ReplySettled {
		t.Errorf("the welcome that was sent during an import is %v, want settled", recorded.Welcome)
	}
	l.wantConversations(t, 1)

	var got []conversation.Session
	must(t, l.Store.EachSession(t.Context(), func(s conversation.Session) error {
		got = append(got, s)
		return nil
	}))
	later.LastMessageAt, later.Messages = noon.Add(60*time.Hour), 4
	wantEqual(t, "sessions", got, []conversation.Session{later})
}

// testWelcomeImport: an imported customer gets a welcome that is due.
func testWelcomeImport(t *testing.T, l Ledger) {
	due := session(noon.Add(-time.Hour), noon.Add(-time.Hour))
	due.Welcomed = false
	l.merge(t, due, true)
	m := message("m1", customer, noon)
	if recorded := l.record(t, m); recorded.First || recorded.Welcome == conversation.ReplySettled {
		t.Errorf("an imported customer with a due welcome is recorded as %+v, want a known customer with the welcome not settled", recorded)
	}
	if state := l.claim(t, m, conversation.Welcome); state != conversation.ReplyHeld {
		t.Errorf("the due welcome of an imported customer can't be claimed: %v, want held", state)
	}
	l.wantConversations(t, 0)
}

// testSessionsFromElsewhere: imported sessions are listed, and count as open until they end.
func testSessionsFromElsewhere(t *testing.T, l Ledger) {
	want := func(what string, at time.Time, want int64) {
		t.Helper()
		if got := l.activeAt(t, at); got != want {
			t.Errorf("%s: %d sessions are open, want %d", what, got, want)
		}
	}
	const here, other = "+966500000002", "+966500000003"
	of := func(customer string, opened, last time.Time) conversation.Session {
		s := session(opened, last)
		s.Customer = customer
		return s
	}
	l.record(t, message("m1", here, noon))
	open := session(noon.Add(-30*time.Hour), noon.Add(-time.Hour))
	ended := of(other, noon.Add(-50*time.Hour), noon.Add(-25*time.Hour))
	for _, changed := range []bool{true, false} {
		l.merge(t, open, changed)
		l.merge(t, ended, changed)
		want("one of each", noon.Add(time.Minute), 2)
	}
	l.merge(t, session(open.OpenedAt, noon.Add(2*time.Hour)), true) // continued elsewhere
	want("the same", noon.Add(2*time.Hour), 2)
	want("one has ended", noon.Add(25*time.Hour), 1)
	l.record(t, message("m2", customer, noon.Add(3*time.Hour)))
	want("it goes on here", noon.Add(26*time.Hour), 1)

	sessions, err := l.Store.Sessions(t.Context(), "r00001", 20)
	must(t, err)
	wantEqual(t, "sessions", sessions, []usage.Session{
		{ID: "m1", Customer: here, OpenedAt: noon, LastMessage: noon, Messages: 1},
		{Customer: customer, OpenedAt: open.OpenedAt, LastMessage: noon.Add(3 * time.Hour), Messages: 4},
		{Customer: other, OpenedAt: ended.OpenedAt, LastMessage: ended.LastMessageAt, Messages: 3},
	})

	// Old counts in a slot's place don't count for the later slot.
	for i := range 4 {
		last := noon.Add(time.Duration(20*(i+1)) * time.Hour)
		l.merge(t, of(fmt.Sprintf("+96651000000%d", i), last, last), true)
	}
	want("the last two", noon.Add(80*time.Hour), 2)
	want("the last", noon.Add(90*time.Hour), 1)
	far := noon.Add(500*time.Hour + 30*time.Minute)
	_, err = l.Store.MergeActivity(t.Context(), "r00001", usage.Activity{Last: far})
	must(t, err)
	want("long after", far, 0)
}

// testMergeWhileCounting: if a month is imported while conversations are counted in it, no count is lost.
func testMergeWhileCounting(t *testing.T, l Ledger) {
	const customers = 20
	group, ctx := errgroup.WithContext(t.Context())
	for i := range customers {
		group.Go(func() error {
			_, err := Record(ctx, l.Recorder, message(fmt.Sprint("m", i), fmt.Sprintf("+9665%08d", i), noon.Add(time.Duration(i)*time.Second)))
			return err
		})
		group.Go(func() error {
			_, err := l.Store.MergeMonth(ctx, "r00001", november, usage.MonthCount{Conversations: int64(2 * i), Days: map[int]int64{1 + i: int64(2 * i)}})
			return err
		})
		group.Go(func() error {
			_, err := l.Store.MergeActivity(ctx, "r00001", usage.Activity{First: noon.Add(-time.Duration(i) * time.Minute)})
			return err
		})
	}
	must(t, group.Wait())
	count, activity := l.count(t, "r00001")
	if want := int64(customers*(customers-1) + customers); count.Conversations != want || count.Days[23] != customers {
		t.Errorf("the restaurant is billed %d conversations, of which %d today; want %d and %d", count.Conversations, count.Days[23], want, customers)
	}
	if !activity.First.Equal(noon.Add(-(customers-1)*time.Minute)) || !activity.Last.Equal(noon.Add((customers-1)*time.Second)) {
		t.Errorf("the activity after an import during messages is %+v", activity)
	}
}
