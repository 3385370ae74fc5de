// Package storetest tests that a store of restaurants, usage and credentials keeps its promises.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Store is a store with all its operations, for reading and for managing.
type Store interface {
	usage.Store
	usage.TopUpStore
	credential.Finder
	ledger.Store
	Transfer

	CreateRestaurant(ctx context.Context, r restaurant.Restaurant, bot *restaurant.Bot) error
	SetActive(ctx context.Context, restaurantID string, active bool) error
	SetBot(ctx context.Context, restaurantID string, bot restaurant.Bot) error
	Bot(ctx context.Context, restaurantID string) (*restaurant.Bot, error)
	TenantByNumber(ctx context.Context, phoneNumber string) (conversation.Tenant, error)
	PutUsage(ctx context.Context, restaurantID string, activity usage.Activity, months map[usage.Month]usage.MonthCount) error

	AddCredential(ctx context.Context, c credential.Credential) error
	ExpireCredential(ctx context.Context, id string, at time.Time) error
	RevokeCredential(ctx context.Context, id string, at time.Time) error
	Credentials(ctx context.Context) ([]credential.Credential, error)
}

// Start is the creation time of the first restaurant. It has a fraction of a millisecond, which stores drop.
var Start = time.Date(2026, 11, 23, 12, 0, 0, 123_456_789, time.UTC)

var november = usage.Month{Year: 2026, Month: time.November}

// Exercise runs the tests. newStore returns an empty store for each test.
func Exercise(t *testing.T, newStore func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"usage comes back as it was stored":                       testUsage,
		"an unknown restaurant is not found":                      testUnknownRestaurant,
		"only the months asked for":                               testMonths,
		"create refuses what exists":                              testCreateExisting,
		"create refuses what is not valid":                        testCreateInvalid,
		"a phone number belongs to one restaurant":                testPhoneNumbers,
		"a bot comes back as it was set":                          testSetBot,
		"bots' ids lead to restaurants":                           testBotIDs,
		"top-ups add up":                                          testTopUp,
		"a repeated top-up with a key is added once":              testTopUpOnce,
		"a refused top-up adds nothing":                           testTopUpRefused,
		"concurrent top-ups all add up":                           testConcurrentTopUps,
		"the fullest restaurants are listed in order":             testFullest,
		"the fullest follow every change":                         testFullestFollows,
		"the list is ordered by creation, ties by id":             testListOrder,
		"every window of the list is exact":                       testListWindows,
		"an empty directory has no restaurants":                   testEmptyDirectory,
		"paging while the list changes skips and repeats nothing": testPagingWhileChanging,
		"search finds the beginnings of words":                    testSearch,
		"the ledger counts each message in its furthest status":   testMessages,
		"statuses noted at once are all counted":                  testMessagesAtOnce,
		"callbacks in any order lead to the same counts":          testAnyCallbacks,
		"paging through a search finds each restaurant once":      testPagingSearch,
		"switching moves between filters":                         testSwitching,
		"restaurants created at once are all listed":              testConcurrentCreation,
		"restaurants switched at once are counted exactly":        testConcurrentSwitching,
		"any sequence of changes leaves the list exact":           testAnySequence,
		"restaurants added in bulk are listed":                    testAddRestaurants,
		"merged usage counts nothing twice":                       testMergeUsage,
		"each bot is visited":                                     testEachBot,
		"credentials are found by hash":                           testFindCredential,
		"credentials expire and are revoked":                      testChangeCredential,
		"credentials are listed":                                  testListCredentials,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newStore(t))
		})
	}
}

// Restaurant returns the i-th of a series of restaurants, created a minute apart.
func Restaurant(i int) restaurant.Restaurant {
	return restaurant.Restaurant{
		ID: fmt.Sprintf("r%05d", i), Name: fmt.Sprintf("مطعم %d", i), MerchantID: fmt.Sprintf("merchant-%d", i),
		Active: true, CreatedAt: Start.Add(time.Duration(i) * time.Minute),
	}
}

// kept returns a time as stores return it.
func kept(t time.Time) time.Time { return t.Truncate(time.Millisecond).UTC() }

func create(t *testing.T, s Store, r restaurant.Restaurant, bot *restaurant.Bot) {
	t.Helper()
	must(t, s.CreateRestaurant(t.Context(), r, bot))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("the store failed a step that must succeed: %v", err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the store answered with the error %v, want %v", err, want)
	}
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testUsage(t *testing.T, s Store) {
	bot := restaurant.Bot{ID: "bot-1", PhoneNumber: "+966110000001", TwilioAccountSID: "AC1", OwnerNumber: "+966500000001",
		Limits: restaurant.Limits{ConversationsPerDay: 5, AnswersPerMinute: -1}}
	create(t, s, Restaurant(1), &bot)
	messages := usage.Tally{Month: november, Days: map[int]int64{1: 400, 23: 50}}
	activity := usage.Activity{First: Start.Add(-time.Hour), Last: Start.Add(time.Hour), LastConversation: Start, Messages: messages}
	count := usage.MonthCount{Conversations: 45, Days: map[int]int64{1: 40, 23: 5}, LastConversation: Start, ToppedUp: 70}
	must(t, s.PutUsage(t.Context(), "r00001", activity, map[usage.Month]usage.MonthCount{november: count}))

	got, err := s.Usage(t.Context(), "r00001", []usage.Month{november})
	must(t, err)
	want := usage.Record{Restaurant: Restaurant(1), Bot: &bot, Activity: activity,
		Months: map[usage.Month]usage.MonthCount{november: count}}
	want.Restaurant.CreatedAt = kept(want.Restaurant.CreatedAt)
	want.Activity = usage.Activity{
		First: kept(activity.First), Last: kept(activity.Last), LastConversation: kept(Start), Messages: messages,
	}
	count.LastConversation = kept(Start)
	want.Months[november] = count
	wantEqual(t, "record", got, want)

	create(t, s, Restaurant(2), nil)
	got, err = s.Usage(t.Context(), "r00002", []usage.Month{november})
	must(t, err)
	wantEqual(t, "without bot and usage", got, usage.Record{Restaurant: got.Restaurant})
}

func testUnknownRestaurant(t *testing.T, s Store) {
	_, err := s.Usage(t.Context(), "nobody", []usage.Month{november})
	wantError(t, err, restaurant.ErrNotFound)
	wantError(t, s.SetActive(t.Context(), "nobody", true), restaurant.ErrNotFound)
	wantError(t, s.SetBot(t.Context(), "nobody", restaurant.Bot{ID: "b", PhoneNumber: "+966110000001"}), restaurant.ErrNotFound)
	bot, err := s.Bot(t.Context(), "nobody")
	must(t, err)
	if bot != nil {
		t.Errorf("a restaurant that doesn't exist has the bot %+v", bot)
	}
	create(t, s, Restaurant(1), &restaurant.Bot{ID: "b", PhoneNumber: "+966110000001"}) // the number is free: the failed SetBot has written nothing

	// Importing usage before its restaurant doesn't create the restaurant.
	must(t, s.PutUsage(t.Context(), "r00002", usage.Activity{}, map[usage.Month]usage.MonthCount{november: {Conversations: 1}}))
	_, err = s.Usage(t.Context(), "r00002", []usage.Month{november})
	wantError(t, err, restaurant.ErrNotFound)
	create(t, s, Restaurant(2), nil)
	record, err := s.Usage(t.Context(), "r00002", []usage.Month{november})
	must(t, err)
	wantEqual(t, "imported conversations", record.Months[november].Conversations, int64(1))
}

func testMonths(t *testing.T, s Store) {
	create(t, s, Restaurant(1), nil)
	stored := make(map[usage.Month]usage.MonthCount)
	for i, month := range november.Last(9) {
		stored[month] = usage.MonthCount{Conversations: int64(i + 1)}
	}
	delete(stored, november.Last(3)[2])
	must(t, s.PutUsage(t.Context(), "r00001", usage.Activity{}, stored))
	record, err := s.Usage(t.Context(), "r00001", november.Last(6))
	must(t, err)
	got := make(map[string]int64)
	for month, count := range record.Months {
		got[month.String()] = count.Conversations
	}
	wantEqual(t, "months", got, map[string]int64{"2026-11": 1, "2026-10": 2, "2026-08": 4, "2026-07": 5, "2026-06": 6})
}

func testCreateExisting(t *testing.T, s Store) {
	create(t, s, Restaurant(1), nil)
	other := Restaurant(1)
	other.Name, other.CreatedAt = "Impostor", Start.Add(time.Hour)
	wantError(t, s.CreateRestaurant(t.Context(), other, nil), restaurant.ErrExists)
	record, err := s.Usage(t.Context(), "r00001", nil)
	must(t, err)
	wantEqual(t, "name", record.Restaurant.Name, Restaurant(1).Name)
	wantEqual(t, "total", total(t, s, usage.All), 1)
}

func testCreateInvalid(t *testing.T, s Store) {
	for _, spoil := range []func(*restaurant.Restaurant, *restaurant.Bot){
		func(r *restaurant.Restaurant, _ *restaurant.Bot) { r.ID = "" },
		func(r *restaurant.Restaurant, _ *restaurant.Bot) { r.ID = "a/b" },
		func(r *restaurant.Restaurant, _ *restaurant.Bot) { r.Name = " " },
		func(r *restaurant.Restaurant, _ *restaurant.Bot) { r.CreatedAt = time.Time{} },
		func(_ *restaurant.Restaurant, b *restaurant.Bot) { b.ID = "" },
		func(_ *restaurant.Restaurant, b *restaurant.Bot) { b.Limits.ConversationsPerDay = -2 },
	} {
		r, bot := Restaurant(1), restaurant.Bot{ID: "bot"}
		spoil(&r, &bot)
		if err := s.CreateRestaurant(t.Context(), r, &bot); err == nil {
			t.Errorf("the invalid restaurant %+v with the bot %+v was created", r, bot)
		}
	}
	wantEqual(t, "total", total(t, s, usage.All), 0)
}

func testPhoneNumbers(t *testing.T, s Store) {
	bot := restaurant.Bot{ID: "b", PhoneNumber: "+966110000001"}
	create(t, s, Restaurant(1), &bot)
	other := restaurant.Bot{ID: "b2", PhoneNumber: bot.PhoneNumber}
	wantError(t, s.CreateRestaurant(t.Context(), Restaurant(2), &other), restaurant.ErrNumberTaken)
	create(t, s, Restaurant(2), nil)
	wantError(t, s.SetBot(t.Context(), "r00002", other), restaurant.ErrNumberTaken)
	must(t, s.SetBot(t.Context(), "r00001", bot)) // the bot's own number isn't taken
	must(t, s.SetBot(t.Context(), "r00001", restaurant.Bot{ID: "b", PhoneNumber: "+966110000009"}))
	must(t, s.SetBot(t.Context(), "r00002", other)) // the number is free now

	for number, want := range map[string]string{"+966110000001": "r00002", "+966110000009": "r00001"} {
		tenant, err := s.TenantByNumber(t.Context(), number)
		must(t, err)
		if tenant.Restaurant.ID != want || tenant.Bot.PhoneNumber != number {
			t.Errorf("messages to %s reach %+v, want the restaurant %s", number, tenant, want)
		}
	}
	for _, number := range []string{"+966110000002", "", "whatsapp:+966110000001"} {
		_, err := s.TenantByNumber(t.Context(), number)
		wantError(t, err, restaurant.ErrNotFound)
	}
	must(t, s.SetBot(t.Context(), "r00002", restaurant.Bot{ID: "b2"}))
	_, err := s.TenantByNumber(t.Context(), "+966110000001")
	wantError(t, err, restaurant.ErrNotFound)
}

func testSetBot(t *testing.T, s Store) {
	create(t, s, Restaurant(1), nil)
	want := restaurant.Bot{ID: "b", Limits: restaurant.Limits{ConversationsPerDay: -1, AnswersPerMinute: 60}}
	must(t, s.SetBot(t.Context(), "r00001", want))
	got, err := s.Bot(t.Context(), "r00001")
	must(t, err)
	wantEqual(t, "bot", got, &want)
	if err := s.SetBot(t.Context(), "r00001", restaurant.Bot{ID: "b", Limits: restaurant.Limits{ConversationsPerDay: -7}}); err == nil {
		t.Error("a bot with a limit of -7 a day was stored")
	}
}

func testBotIDs(t *testing.T, s Store) {
	wantOwner := func(botID, want string) {
		t.Helper()
		got, err := s.RestaurantOfBot(t.Context(), botID)
		if want == "" {
			wantError(t, err, restaurant.ErrNotFound)
			return
		}
		must(t, err)
		wantEqual(t, "owner of "+botID, got, want)
	}
	wantOwner("bot-1", "")
	create(t, s, Restaurant(1), &restaurant.Bot{ID: "bot-1"})
	create(t, s, Restaurant(2), nil)
	wantOwner("bot-1", "r00001")
	wantOwner("r00001", "")
	must(t, s.SetBot(t.Context(), "r00002", restaurant.Bot{ID: "bot-2"}))
	must(t, s.SetBot(t.Context(), "r00002", restaurant.Bot{ID: "bot-2", Limits: restaurant.Limits{ConversationsPerDay: 7}}))
	wantOwner("bot-2", "r00002")

	wantError(t, s.SetBot(t.Context(), "r00002", restaurant.Bot{ID: "bot-1"}), restaurant.ErrIDTaken)
	wantError(t, s.CreateRestaurant(t.Context(), Restaurant(3), &restaurant.Bot{ID: "bot-1"}), restaurant.ErrIDTaken)
	wantError(t, s.SetBot(t.Context(), "r00002", restaurant.Bot{ID: "r00001"}), restaurant.ErrIDTaken)
	wantOwner("bot-1", "r00001")
	wantOwner("bot-2", "r00002")
	must(t, s.SetBot(t.Context(), "r00001", restaurant.Bot{ID: "bot-3"}))
	must(t, s.SetBot(t.Context(), "r00002", restaurant.Bot{ID: "bot-1"})) // the id is free now
	wantOwner("bot-1", "r00002")
	wantOwner("bot-2", "")
	wantOwner("bot-3", "r00001")
	if err := s.SetBot(t.Context(), "nobody", restaurant.Bot{ID: "bot-9"}); err == nil {
		t.Error("a bot was set for a restaurant that doesn't exist")
	}
	wantOwner("bot-9", "")
}

func total(t *testing.T, s Store, filter usage.Filter) int {
	t.Helper()
	directory, err := s.Directory(t.Context())
	must(t, err)
	return directory.Total(filter)
}

// list returns the ids of a part of the list.
func list(t *testing.T, s Store, filter usage.Filter, offset, limit int) []string {
	t.Helper()
	directory, err := s.Directory(t.Context())
	must(t, err)
	records, err := directory.Page(t.Context(), filter, offset, limit, november)
	must(t, err)
	ids := make([]string, len(records))
	for i, record := range records {
		ids[i] = record.Restaurant.ID
	}
	return ids
}

func testListOrder(t *testing.T, s Store) {
	at := func(id string, minutes int) restaurant.Restaurant {
		return restaurant.Restaurant{ID: id, Name: id, Active: true, CreatedAt: Start.Add(time.Duration(minutes) * time.Minute)}
	}
	// Not created in the order of their times, and two pairs have the same millisecond.
	for _, r := range []restaurant.Restaurant{at("c", 1), at("a", 2), at("e", 0), at("b", 2), at("d", 1), at("f", -5)} {
		create(t, s, r, nil)
	}
	wantEqual(t, "order", list(t, s, usage.All, 0, 10), []string{"a", "b", "c", "d", "e", "f"})

	bot := restaurant.Bot{ID: "b", Limits: restaurant.Limits{ConversationsPerDay: 7}}
	must(t, s.SetBot(t.Context(), "b", bot))
	must(t, s.PutUsage(t.Context(), "b", usage.Activity{Last: kept(Start)}, map[usage.Month]usage.MonthCount{november: {Conversations: 3}}))
	directory, err := s.Directory(t.Context())
	must(t, err)
	records, err := directory.Page(t.Context(), usage.All, 1, 1, november)
	must(t, err)
	if len(records) != 1 || records[0].Bot == nil || *records[0].Bot != bot ||
		records[0].Months[november].Conversations != 3 || !records[0].Activity.Last.Equal(kept(Start)) {
		t.Errorf("the list shows %+v, want b with its bot, 3 conversations and its last activity", records)
	}
}

func testListWindows(t *testing.T, s Store) {
	const n = 23
	var ids, active, inactive []string
	for i := range n {
		r := Restaurant(i)
		r.Active = i%5 != 0
		create(t, s, r, nil)
		ids = append(ids, r.ID)
		if r.Active {
			active = append(active, r.ID)
		} else {
			inactive = append(inactive, r.ID)
		}
	}
	for filter, want := range map[usage.Filter][]string{usage.All: ids, usage.ActiveOnly: active, usage.InactiveOnly: inactive} {
		slices.Reverse(want)
		wantEqual(t, "total", total(t, s, filter), len(want))
		for _, window := range [][2]int{{0, 1}, {0, 100}, {1, 3}, {len(want) - 1, 2}, {len(want), 5}, {len(want) + 1000, 5}, {1 << 30, 100}} {
			offset, limit := window[0], window[1]
			first := min(offset, len(want))
			got := list(t, s, filter, offset, limit)
			wantEqual(t, fmt.Sprint("filter ", filter, " window ", window), got, want[first:min(len(want), first+limit)])
		}
	}
}

// testPagingWhileChanging: a restaurant that is in the list all the time is on exactly one page, even if others are created
// and switched before and behind the next page.
func testPagingWhileChanging(t *testing.T, s Store) {
	const n, limit = 40, 5
	for i := range n {
		r := Restaurant(10 * i)
		r.Active = i%4 != 3
		create(t, s, r, nil)
	}
	for filter, of := range map[usage.Filter]string{usage.All: "all", usage.ActiveOnly: "active", usage.InactiveOnly: "inactive"} {
		t.Run(of, func(t *testing.T) { // not in parallel: they share the store
			throughout := list(t, s, filter, 0, 1000)
			switched := make(map[string]bool)
			swap := func(at int) {
				if filter == usage.All || at >= len(throughout) || len(throughout) < 5 {
					return
				}
				switched[throughout[at]] = true
				must(t, s.SetActive(t.Context(), throughout[at], filter == usage.InactiveOnly))
			}
			var seen []string
			place := usage.Place{CreatedAt: Start.AddDate(1, 0, 0)} // before all restaurants
			for page := 0; ; page++ {
				directory, err := s.Directory(t.Context())
				must(t, err)
				got, err := directory.After(t.Context(), filter, place, limit, november)
				must(t, err)
				for i, record := range got.Records {
					seen = append(seen, record.Restaurant.ID)
					wantEqual(t, "offset", list(t, s, filter, got.Offset+i, 1), []string{record.Restaurant.ID})
				}
				if got.Next == nil {
					break
				}
				if len(got.Records) != limit {
					t.Errorf("page %d has %d restaurants, and isn't the last", page, len(got.Records))
				}
				place = *got.Next
				swap(page)          // on an earlier page: by offset, the next page would skip a restaurant
				swap(len(seen))     // the next restaurant
				swap(len(seen) + 3) // a later restaurant
				for i, state := range []bool{true, false} {
					newest := Restaurant(100_000 + 10*page + i)
					newest.ID, newest.Active = of+newest.ID, state
					create(t, s, newest, nil) // by offset, a restaurant would come twice
					older := Restaurant(1 + 50*page + i)
					older.ID, older.Active = of+older.ID, state
					create(t, s, older, nil)
				}
			}
			wanted := slices.DeleteFunc(slices.Clone(throughout), func(id string) bool { return switched[id] })
			if filter != usage.All && len(wanted) == len(throughout) {
				t.Error("no restaurant was switched while the list was read: this case proves nothing")
			}
			wantEqual(t, "seen of those that were there throughout", slices.DeleteFunc(slices.Clone(seen), func(id string) bool {
				return !slices.Contains(wanted, id)
			}), wanted)
			slices.Sort(seen)
			wantEqual(t, "seen twice", len(slices.Compact(slices.Clone(seen))), len(seen))
		})
	}
}

func testEmptyDirectory(t *testing.T, s Store) {
	for _, filter := range []usage.Filter{usage.All, usage.ActiveOnly, usage.InactiveOnly} {
		wantEqual(t, "total", total(t, s, filter), 0)
		wantEqual(t, "list", list(t, s, filter, 0, 10), []string{})
		directory, err := s.Directory(t.Context())
		must(t, err)
		got, err := directory.After(t.Context(), filter, usage.Place{CreatedAt: Start, ID: "r"}, 10, november)
		must(t, err)
		if len(got.Records) > 0 || got.Offset != 0 || got.Next != nil {
			t.Errorf("the empty list goes on after a place with %+v, want nothing", got)
		}
	}
}

func testSwitching(t *testing.T, s Store) {
	for i := range 3 {
		create(t, s, Restaurant(i), nil)
	}
	for range 2 { // setting the same again changes nothing
		must(t, s.SetActive(t.Context(), "r00001", false))
		wantEqual(t, "active", list(t, s, usage.ActiveOnly, 0, 10), []string{"r00002", "r00000"})
		wantEqual(t, "inactive", list(t, s, usage.InactiveOnly, 0, 10), []string{"r00001"})
		wantEqual(t, "all", list(t, s, usage.All, 0, 10), []string{"r00002", "r00001", "r00000"})
		wantEqual(t, "total active", total(t, s, usage.ActiveOnly), 2)
	}
	record, err := s.Usage(t.Context(), "r00001", nil)
	must(t, err)
	if record.Restaurant.Active {
		t.Error("a restaurant that was switched off is still active in its own record")
	}
	must(t, s.SetActive(t.Context(), "r00001", true))
	wantEqual(t, "active", list(t, s, usage.ActiveOnly, 0, 10), []string{"r00002", "r00001", "r00000"})
}

func testConcurrentCreation(t *testing.T, s Store) {
	var group errgroup.Group
	const n = 8
	for i := range n {
		group.Go(func() error { return s.CreateRestaurant(t.Context(), Restaurant(i), nil) })
	}
	must(t, group.Wait())
	wantEqual(t, "total", total(t, s, usage.All), n)
	wantEqual(t, "listed", len(list(t, s, usage.All, 0, 100)), n)
}

func testConcurrentSwitching(t *testing.T, s Store) {
	create(t, s, Restaurant(1), nil)
	create(t, s, Restaurant(2), nil)
	var group errgroup.Group
	for range 4 {
		group.Go(func() error { return s.SetActive(t.Context(), "r00001", false) })
	}
	must(t, group.Wait())
	wantEqual(t, "active", total(t, s, usage.ActiveOnly), 1)
	wantEqual(t, "inactive", list(t, s, usage.InactiveOnly, 0, 10), []string{"r00001"})
}

// testAnySequence compares the store with a list that is sorted and filtered anew for each question.
func testAnySequence(t *testing.T, s Store) {
	var model []restaurant.Restaurant
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			if len(model) == 0 || rapid.Bool().Draw(t, "create") {
				r := Restaurant(len(model))
				r.CreatedAt = Start.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "minute")) * time.Minute)
				r.Active = rapid.Bool().Draw(t, "active")
				if err := s.CreateRestaurant(ctx, r, nil); err != nil {
					t.Fatalf("creating the restaurant: %v", err)
				}
				model = append(model, r)
				continue
			}
			i := rapid.IntRange(0, len(model)-1).Draw(t, "restaurant")
			model[i].Active = rapid.Bool().Draw(t, "active")
			if err := s.SetActive(ctx, model[i].ID, model[i].Active); err != nil {
				t.Fatalf("switching the restaurant: %v", err)
			}
		}
		filter := usage.Filter(rapid.IntRange(0, 2).Draw(t, "filter"))
		want := []string{}
		sorted := slices.SortedFunc(slices.Values(model), func(a, b restaurant.Restaurant) int {
			if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
				return c
			}
			return map[bool]int{true: -1, false: 1}[a.ID < b.ID]
		})
		for _, r := range sorted {
			if filter.Admits(r.Active) {
				want = append(want, r.ID)
			}
		}
		directory, err := s.Directory(ctx)
		if err != nil {
			t.Fatalf("reading the directory: %v", err)
		}
		if got := directory.Total(filter); got != len(want) {
			t.Fatalf("the list's total is %d, want %d", got, len(want))
		}
		offset := rapid.IntRange(0, len(want)).Draw(t, "offset")
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		records, err := directory.Page(ctx, filter, offset, limit, november)
		if err != nil {
			t.Fatalf("reading a page of the list: %v", err)
		}
		got := []string{}
		for _, record := range records {
			got = append(got, record.Restaurant.ID)
		}
		if diff := cmp.Diff(want[offset:min(len(want), offset+limit)], got); diff != "" {
			t.Fatalf("the list's page at %d shows (-want +got):\n%s", offset, diff)
		}

		// The same after a place. The place may be that of a restaurant that the filter doesn't admit, or of no restaurant.
		place := usage.Place{CreatedAt: kept(Start.Add(time.Duration(rapid.IntRange(-1, 21).Draw(t, "place's minute")) * time.Minute)),
			ID: Restaurant(rapid.IntRange(0, len(model)).Draw(t, "place's id")).ID}
		offset = len(want)
		for i, id := range want {
			r := model[slices.IndexFunc(model, func(r restaurant.Restaurant) bool { return r.ID == id })]
			if c := kept(r.CreatedAt).Compare(place.CreatedAt); c < 0 || c == 0 && id > place.ID {
				offset = i
				break
			}
		}
		behind, err := directory.After(ctx, filter, place, limit, november)
		if err != nil {
			t.Fatalf("reading the page of the list after a place: %v", err)
		}
		got = []string{}
		for _, record := range behind.Records {
			got = append(got, record.Restaurant.ID)
		}
		if diff := cmp.Diff(want[offset:min(len(want), offset+limit)], got); diff != "" || behind.Offset != offset {
			t.Fatalf("the list goes on behind %v at offset %d, want %d, with (-want +got):\n%s", place, behind.Offset, offset, diff)
		}
		if last := offset + len(got); (behind.Next == nil) != (last == len(want)) || behind.Next != nil && behind.Next.ID != want[last-1] {
			t.Fatalf("behind %v the list goes on at %+v", place, behind.Next)
		}
	})
}

func token(i int) credential.Credential {
	return credential.Grant{Kind: credential.PAT, Restaurants: []string{"r00002", "r00001"}, Label: "dashboard"}.
		Credential(fmt.Sprintf("secret-%d", i), fmt.Sprintf("cr_%d", i), Start.Add(time.Duration(i)*time.Second))
}

func testFindCredential(t *testing.T, s Store) {
	_, err := s.FindCredential(t.Context(), token(1).Hash)
	wantError(t, err, credential.ErrUnknown)

	want := token(1)
	want.ExpiresAt = Start.Add(time.Hour)
	must(t, s.AddCredential(t.Context(), want))
	wantError(t, s.AddCredential(t.Context(), want), credential.ErrExists)
	got, err := s.FindCredential(t.Context(), want.Hash)
	must(t, err)
	want.Restaurants = []string{"r00001", "r00002"}
	want.CreatedAt, want.ExpiresAt = kept(want.CreatedAt), kept(want.ExpiresAt)
	wantEqual(t, "credential", got, want)

	key := credential.Grant{Kind: credential.APIKey}.Credential("key", "cr_key", kept(Start))
	must(t, s.AddCredential(t.Context(), key))
	got, err = s.FindCredential(t.Context(), key.Hash)
	must(t, err)
	wantEqual(t, "key", got, key)
}

func testChangeCredential(t *testing.T, s Store) {
	must(t, s.AddCredential(t.Context(), token(1)))
	must(t, s.AddCredential(t.Context(), token(2)))
	later, latest := kept(Start.Add(time.Hour)), kept(Start.Add(2*time.Hour))
	wantError(t, s.RevokeCredential(t.Context(), "cr_9", later), credential.ErrNotFound)
	wantError(t, s.ExpireCredential(t.Context(), "cr_9", later), credential.ErrNotFound)

	must(t, s.ExpireCredential(t.Context(), "cr_1", later))
	must(t, s.ExpireCredential(t.Context(), "cr_1", latest)) // it never expires later than before
	must(t, s.RevokeCredential(t.Context(), "cr_1", latest))
	must(t, s.RevokeCredential(t.Context(), "cr_1", latest.Add(time.Hour))) // the first revocation counts
	got, err := s.FindCredential(t.Context(), token(1).Hash)
	must(t, err)
	if !got.ExpiresAt.Equal(later) || !got.RevokedAt.Equal(latest) {
		t.Errorf("the credential expires at %v and is revoked at %v; want %v and %v", got.ExpiresAt, got.RevokedAt, later, latest)
	}
	other, err := s.FindCredential(t.Context(), token(2).Hash)
	must(t, err)
	if !other.ExpiresAt.IsZero() || !other.RevokedAt.IsZero() {
		t.Errorf("expiring and revoking one credential changed another: %+v", other)
	}
	must(t, s.ExpireCredential(t.Context(), "cr_1", Start)) // it may expire earlier
	got, err = s.FindCredential(t.Context(), token(1).Hash)
	must(t, err)
	if !got.ExpiresAt.Equal(kept(Start)) {
		t.Errorf("the credential expires at %v, want the earlier %v", got.ExpiresAt, kept(Start))
	}
}

func testListCredentials(t *testing.T, s Store) {
	for _, i := range []int{2, 1, 3} {
		must(t, s.AddCredential(t.Context(), token(i)))
	}
	all, err := s.Credentials(t.Context())
	must(t, err)
	var ids []string
	for _, c := range all {
		ids = append(ids, c.ID)
	}
	wantEqual(t, "order", ids, []string{"cr_3", "cr_2", "cr_1"})
}
