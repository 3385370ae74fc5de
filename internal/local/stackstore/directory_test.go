package stackstore_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/search"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

func wantSame[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// importAll writes restaurants and then enters all of them in the directory.
func importAll(t *testing.T, store *stackstore.Store, restaurants []restaurant.Restaurant) {
	t.Helper()
	must(t, store.PutRestaurants(t.Context(), restaurants))
	if entered, err := store.RebuildDirectory(t.Context()); err != nil || entered != len(restaurants) {
		t.Fatalf("%d of %d restaurants entered, error %v", entered, len(restaurants), err)
	}
}

// series returns restaurants created a minute apart; every third is inactive.
func series(length int) []restaurant.Restaurant {
	all := make([]restaurant.Restaurant, length)
	for i := range all {
		all[i] = storetest.Restaurant(i)
		all[i].Active = i%3 != 0
	}
	return all
}

// listed returns the expected ids for a filter, in the list's order.
func listed(restaurants []restaurant.Restaurant, filter usage.Filter) []string {
	sorted := slices.SortedFunc(slices.Values(restaurants), func(a, b restaurant.Restaurant) int {
		return cmp.Or(cmp.Compare(b.CreatedAt.UnixMilli(), a.CreatedAt.UnixMilli()), cmp.Compare(a.ID, b.ID))
	})
	ids := []string{}
	for _, r := range sorted {
		if filter.Admits(r.Active) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// readAll reads all pages of a directory by their offsets.
func readAll(t *testing.T, directory usage.Directory, filter usage.Filter) []string {
	t.Helper()
	const limit = 100
	ids := []string{}
	for offset := 0; ; offset += limit {
		records, err := directory.Page(t.Context(), filter, offset, limit, november)
		must(t, err)
		for _, record := range records {
			ids = append(ids, record.Restaurant.ID)
		}
		if len(records) < limit {
			return ids
		}
	}
}

// readOn reads all pages of the list by cursors, and calls between after each page.
func readOn(t *testing.T, store *stackstore.Store, filter usage.Filter, between func()) []string {
	t.Helper()
	ids := []string{}
	for place := (&usage.Place{CreatedAt: start.AddDate(100, 0, 0)}); place != nil; {
		directory, err := store.Directory(t.Context())
		must(t, err)
		page, err := directory.After(t.Context(), filter, *place, 90, november)
		must(t, err)
		if page.Offset != len(ids) {
			t.Errorf("the page after %d restaurants says that it is after %d", len(ids), page.Offset)
		}
		for _, record := range page.Records {
			ids = append(ids, record.Restaurant.ID)
		}
		place = page.Next
		between()
	}
	return ids
}

// TestPagingOverRebuilds: a caller who pages while the directory is rebuilt with other pages sees every restaurant once.
func TestPagingOverRebuilds(t *testing.T) {
	t.Parallel()
	store := newStore(newEngine(t).Transport())
	all := series(520)
	importAll(t, store, all)
	for i := range 6 { // the first page is so large that a rebuild splits it
		old := restaurant.Restaurant{ID: fmt.Sprintf("old%d", i), Name: "old", Active: true, CreatedAt: start.Add(time.Duration(-i) * time.Hour)}
		must(t, store.CreateRestaurant(t.Context(), old, nil))
		all = append(all, old)
	}
	for _, filter := range []usage.Filter{usage.All, usage.ActiveOnly, usage.InactiveOnly} {
		wantSame(t, fmt.Sprint("list of filter ", filter), readOn(t, store, filter, func() {
			_, err := store.RebuildDirectory(t.Context())
			must(t, err)
		}), listed(all, filter))
	}
}

// wantListed compares the store's list with the restaurants.
func wantListed(t *testing.T, store *stackstore.Store, restaurants []restaurant.Restaurant) {
	t.Helper()
	directory, err := store.Directory(t.Context())
	must(t, err)
	for _, filter := range []usage.Filter{usage.All, usage.ActiveOnly, usage.InactiveOnly} {
		want := listed(restaurants, filter)
		wantSame(t, fmt.Sprint("total of filter ", filter), directory.Total(filter), len(want))
		wantSame(t, fmt.Sprint("list of filter ", filter), readAll(t, directory, filter), want)
		wantSame(t, fmt.Sprint("list of filter ", filter, ", each page behind the one before"), readOn(t, store, filter, func() {}), want)
	}
}

// pageSizes returns the number of restaurants on each page of the directory, oldest page first.
func pageSizes(t *testing.T, transport http.RoundTripper) []int {
	t.Helper()
	counts, err := newClient(transport).GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &tables.Directory, Key: item{"id": &types.AttributeValueMemberS{Value: "counts"}},
	})
	must(t, err)
	var sizes []int
	for _, value := range counts.Item["all"].(*types.AttributeValueMemberL).Value {
		size, err := strconv.Atoi(value.(*types.AttributeValueMemberN).Value)
		must(t, err)
		sizes = append(sizes, size)
	}
	return sizes
}

// TestPagesSplit: pages have 500 restaurants, whether they were imported or created one by one.
func TestPagesSplit(t *testing.T) {
	t.Parallel()
	for imported, want := range map[int][]int{
		1:    {3},
		498:  {500},
		499:  {500, 1},
		500:  {500, 2},
		501:  {500, 3},
		999:  {500, 500, 1},
		1000: {500, 500, 2},
	} {
		if testing.Short() && imported > 500 {
			continue // a single full page is enough here
		}
		t.Run(fmt.Sprint(imported), func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t).Transport()
			store := newStore(engine)
			all := series(imported + 2)
			importAll(t, store, all[:imported])
			for _, r := range all[imported:] { // the first of them may find its page full
				must(t, store.CreateRestaurant(t.Context(), r, nil))
			}
			wantSame(t, "page sizes", pageSizes(t, engine), want)
			wantListed(t, store, all)
		})
	}
}

// TestPageBoundaries: restaurants with creation times at the bounds of a full page stay in order, whichever page they are on.
func TestPageBoundaries(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: each case imports a full page of restaurants; TestPagesSplit does it once")
	}
	t.Parallel()
	at := func(all []restaurant.Restaurant, first, last int, created time.Time) {
		for i := first; i <= last; i++ {
			all[i].CreatedAt = created
		}
	}
	for name, test := range map[string]struct {
		restaurants int
		arrange     func([]restaurant.Restaurant)
		created     []time.Duration // times of later creations, since start
		want        []int
	}{
		"one millisecond across an import's bound": {510,
			func(all []restaurant.Restaurant) { at(all, 495, 504, all[500].CreatedAt) }, nil, []int{505, 5}},
		"one millisecond, all": {510,
			func(all []restaurant.Restaurant) { at(all, 0, 509, start) }, nil, []int{510}},
		"as old as the newest of a full page": {500, nil, []time.Duration{499 * time.Minute, 499 * time.Minute}, []int{502}},
		"parts of one millisecond": {500, nil,
			[]time.Duration{499*time.Minute + 200*time.Microsecond, 499*time.Minute + 800*time.Microsecond}, []int{502}},
		"a millisecond newer":              {500, nil, []time.Duration{499*time.Minute + time.Millisecond}, []int{500, 1}},
		"older than the newest, page full": {500, nil, []time.Duration{200 * time.Minute}, []int{501}},
		"older than the newest page":       {510, nil, []time.Duration{200 * time.Minute}, []int{501, 10}},
		"as old as the newest page":        {510, nil, []time.Duration{500 * time.Minute}, []int{500, 11}},
		"a millisecond older than the newest page": {510, nil,
			[]time.Duration{500*time.Minute - time.Millisecond}, []int{501, 10}},
		"older than all":                  {510, nil, []time.Duration{-time.Hour, -20 * 365 * 24 * time.Hour, -80 * 365 * 24 * time.Hour}, []int{503, 10}},
		"a new page, then the old bounds": {500, nil, []time.Duration{600 * time.Minute, 550 * time.Minute, 600 * time.Minute}, []int{501, 2}},
		"out of order from the start":     {1, nil, []time.Duration{9, 7, 8, -1, 0}, []int{6}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t).Transport()
			store := newStore(engine)
			all := series(test.restaurants)
			for i := range all {
				all[i].CreatedAt = start.Add(time.Duration(i) * time.Minute)
			}
			if test.arrange != nil {
				test.arrange(all)
			}
			importAll(t, store, all)
			for i, since := range test.created {
				r := restaurant.Restaurant{ID: fmt.Sprintf("a%d", 9-i), Name: "created afterwards", Active: i%2 == 0, CreatedAt: start.Add(since)}
				must(t, store.CreateRestaurant(t.Context(), r, nil))
				all = append(all, r)
			}
			wantSame(t, "page sizes", pageSizes(t, engine), test.want)

			for i := range all { // switching must find the page that creation chose
				if i%50 == 0 || i >= test.restaurants {
					all[i].Active = !all[i].Active
					must(t, store.SetActive(t.Context(), all[i].ID, all[i].Active))
				}
			}
			wantListed(t, store, all)
			if _, err := store.RebuildDirectory(t.Context()); err != nil {
				t.Fatalf("rebuilding the directory: %v", err)
			}
			wantListed(t, store, all)
		})
	}
}

// TestRebuildLosesNothing: restaurants that are created and switched during a rebuild are all in the directory afterwards.
func TestRebuildLosesNothing(t *testing.T) {
	t.Parallel()
	store := newStore(newEngine(t).WithTransactionTime(time.Millisecond).Transport())
	const imported, created = 510, 20
	all := series(imported + created)
	importAll(t, store, all[:imported])

	group, ctx := errgroup.WithContext(t.Context())
	done := make(chan struct{})
	var writers sync.WaitGroup
	writer := func(write func() error) {
		writers.Add(1)
		group.Go(func() error {
			defer writers.Done()
			return write()
		})
	}
	writer(func() error {
		for _, r := range all[imported:] {
			if err := store.CreateRestaurant(ctx, r, nil); err != nil {
				return err
			}
		}
		return nil
	})
	writer(func() error {
		for i := 0; i < imported; i += 20 {
			all[i].Active = !all[i].Active
			if err := store.SetActive(ctx, all[i].ID, all[i].Active); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		for {
			// A rebuild that never found a quiet moment has changed nothing; this test isn't about it.
			if _, err := store.RebuildDirectory(ctx); err != nil && ctx.Err() != nil {
				return err
			}
			select {
			case <-done:
				return nil
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	writers.Wait()
	close(done)
	must(t, group.Wait())
	wantListed(t, store, all)
}

// TestOvertakenWriters: a writer that reads the directory before a rebuild and writes after it starts again.
func TestOvertakenWriters(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(context.Context, *stackstore.Store, []restaurant.Restaurant) error{
		"create": func(ctx context.Context, s *stackstore.Store, all []restaurant.Restaurant) error {
			return s.CreateRestaurant(ctx, all[len(all)-1], nil)
		},
		"switch": func(ctx context.Context, s *stackstore.Store, all []restaurant.Restaurant) error {
			all[1].Active = !all[1].Active
			return errors.Join(s.SetActive(ctx, all[1].ID, all[1].Active), s.CreateRestaurant(ctx, all[len(all)-1], nil))
		},
	} {
		for _, rebuilds := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%s after %d", name, rebuilds), func(t *testing.T) {
				t.Parallel()
				engine := newEngine(t).Transport()
				store := newStore(engine)
				all := series(4)
				importAll(t, store, all[:3])
				overtaken := &wire{next: engine, on: "TransactWriteItems", script: []http.RoundTripper{
					roundTrip(func(r *http.Request) (*http.Response, error) {
						for range rebuilds {
							if _, err := store.RebuildDirectory(r.Context()); err != nil {
								return nil, err
							}
						}
						return engine.RoundTrip(r)
					}), nil,
				}}
				must(t, write(t.Context(), newStore(overtaken), all))
				wantListed(t, store, all)
			})
		}
	}
}

// TestSlowRebuild: a rebuild that another one overtakes leaves the newer pages alone, even if it never ends.
func TestSlowRebuild(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store := newStore(engine)
	all := series(12)
	importAll(t, store, all[:10])

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	overtaken := false
	slow := newStore(roundTrip(func(r *http.Request) (*http.Response, error) {
		switch {
		case operation(r) == "PutItem": // it dies before its pages become current
			cancel()
			return nil, ctx.Err()
		case operation(r) == "BatchWriteItem" && !overtaken:
			overtaken = true
			if _, err := store.RebuildDirectory(t.Context()); err != nil {
				return nil, err
			}
			for _, r := range all[10:] {
				if err := store.CreateRestaurant(t.Context(), r, nil); err != nil {
					return nil, err
				}
			}
		}
		return engine.RoundTrip(r)
	}))
	if _, err := slow.RebuildDirectory(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of its end", err)
	}
	wantListed(t, store, all)
}

// TestReaderDuringRebuilds: a reader can still use the pages that it knows after one rebuild. After two it gets an outage,
// not an incomplete list.
func TestReaderDuringRebuilds(t *testing.T) {
	t.Parallel()
	store := newStore(newEngine(t).Transport())
	all := series(510)
	importAll(t, store, all)
	reader, err := store.Directory(t.Context())
	must(t, err)

	added := storetest.Restaurant(9000)
	must(t, store.CreateRestaurant(t.Context(), added, nil))
	if _, err := store.RebuildDirectory(t.Context()); err != nil {
		t.Fatalf("rebuilding the directory: %v", err)
	}
	wantSame(t, "total", reader.Total(usage.All), len(all))
	wantSame(t, "list after one rebuild", readAll(t, reader, usage.InactiveOnly), listed(all, usage.InactiveOnly))

	if _, err := store.RebuildDirectory(t.Context()); err != nil {
		t.Fatalf("rebuilding the directory: %v", err)
	}
	if records, err := reader.Page(t.Context(), usage.All, 0, 10, november); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("after two rebuilds it reads %d records, error %v", len(records), err)
	}
	wantListed(t, store, append(all, added))
}

// TestRebuildTidiesUp: pages of past generations are deleted.
func TestRebuildTidiesUp(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	store := newStore(engine.Transport())
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), &restaurant.Bot{ID: "bot", PhoneNumber: "+966110000001"}))
	for range 5 {
		if _, err := store.RebuildDirectory(t.Context()); err != nil {
			t.Fatalf("rebuilding the directory: %v", err)
		}
	}
	// The counts, the number of generations, the phone number, the bot's id, two words, and the two items of each of two
	// generations.
	wantSame(t, "items in the directory", engine.ItemCount(tables.Directory), 10)
	if err := store.SetBot(t.Context(), "r00001", restaurant.Bot{ID: "bot", PhoneNumber: "+966110000001"}); err != nil {
		t.Errorf("its phone number got lost: %v", err)
	}
}

// words returns the ids of the directory's word items.
func words(t *testing.T, transport http.RoundTripper) []string {
	t.Helper()
	var ids []string
	pages := dynamodb.NewScanPaginator(newClient(transport), &dynamodb.ScanInput{TableName: &tables.Directory})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, it := range page.Items {
			if id := it["id"].(*types.AttributeValueMemberS).Value; strings.HasPrefix(id, "word/") {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// TestSearchManyMatches: a search with more matches than it examines says so, and can be continued to the last match, with
// any filter.
func TestSearchManyMatches(t *testing.T) {
	t.Parallel()
	store := newStore(newEngine(t).Transport())
	all := series(2100)
	for i := range all {
		all[i].Name = fmt.Sprintf("Kebab %d", i)
		all[i].Active = i%700 != 0
	}
	all[2099].Name = "Kebab palace"
	importAll(t, store, all)
	for text, of := range map[string]map[usage.Filter]int{
		"keb":        {usage.All: 2100, usage.ActiveOnly: 2097, usage.InactiveOnly: 3},
		"kebab pal":  {usage.All: 1, usage.InactiveOnly: 0},
		"palace keb": {usage.All: 1, usage.InactiveOnly: 0},
		"kebab 2099": {usage.All: 0},
		"kebab 77":   {usage.All: 11, usage.InactiveOnly: 0}, // 77, 770 to 779: the range of the second term is examined to its end
	} {
		q, err := search.Parse(text)
		must(t, err)
		for filter, want := range of {
			what := fmt.Sprintf("%q, filter %d", text, filter)
			seen := make(map[string]bool)
			pages := 0
			for start := (usage.Start{}); ; pages++ {
				found, err := store.Search(t.Context(), q, filter, start, 90)
				must(t, err)
				if found.Offset != len(seen) || found.Total < len(seen)+len(found.IDs) || found.Total > want || !found.AtLeast && found.Total != want {
					t.Errorf("%s, after %d: %+v; %d match", what, len(seen), found, want)
				}
				for _, id := range found.IDs {
					if seen[id] {
						t.Errorf("%s: %s is found twice", what, id)
					}
					seen[id] = true
				}
				if found.Next == nil {
					if found.AtLeast {
						t.Errorf("%s: the last page says that more may match", what)
					}
					break
				}
				start = usage.Start{Behind: found.Next}
			}
			if len(seen) != want || pages > 3+want/90 {
				t.Errorf("%s: %d found on %d pages, want %d", what, len(seen), pages+1, want)
			}
		}
	}
	q, err := search.Parse("kebab 77")
	must(t, err)
	if found, err := store.Search(t.Context(), q, usage.All, usage.Start{}, 90); err != nil || len(found.IDs) != 11 || found.AtLeast {
		t.Errorf("found by the rarer term: %+v, error %v", found, err)
	}
	// A page at an offset beyond the examined matches is empty, and has a cursor to continue.
	q, err = search.Parse("kebab")
	must(t, err)
	found, err := store.Search(t.Context(), q, usage.All, usage.Start{Offset: 5000}, 90)
	must(t, err)
	if len(found.IDs) != 0 || found.Offset != 5000 || !found.AtLeast || found.Next == nil || found.Next.Before != 1000 {
		t.Errorf("far behind: %+v", found)
	}
}

// TestRebuildMendsWords: the check names faulty words, and a rebuild mends them. A stack that is older than the words gets
// them.
func TestRebuildMendsWords(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store, client := newStore(engine), newClient(engine)
	all := series(3)
	for i := range all {
		all[i].Name = fmt.Sprintf("Kebab %c%d", 'a'+i, i)
	}
	for _, r := range all {
		must(t, store.CreateRestaurant(t.Context(), r, nil))
	}
	right := words(t, engine)
	wantSame(t, "words", right, []string{
		"word/r00000/a0", "word/r00000/kebab", "word/r00000/r00000", "word/r00001/b1", "word/r00001/kebab", "word/r00001/r00001",
		"word/r00002/c2", "word/r00002/kebab", "word/r00002/r00002",
	})
	key := func(id string) item { return item{"id": &types.AttributeValueMemberS{Value: id}} }
	put := func(id string, changes item) {
		t.Helper()
		at := key(id)
		maps.Copy(at, changes)
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &tables.Directory, Item: at})
		must(t, err)
	}
	remove := func(id string) {
		t.Helper()
		_, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &tables.Directory, Key: key(id)})
		must(t, err)
	}
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	flag := func(b bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: b} }
	for name, test := range map[string]struct {
		spoil func()
		want  []stackstore.Difference
	}{
		"missing": {func() { remove("word/r00001/kebab") }, []stackstore.Difference{{RestaurantID: "r00001", What: `is not found by searching for "kebab"`}}},
		"another state": {func() {
			put("word/r00001/b1", item{"wordIn": text("b1"), "word": text("b1/r00001"), "words": text("b1 kebab r00001"), "active": flag(false)})
		}, []stackstore.Difference{{RestaurantID: "r00001", What: `is not found by searching for "b1"`}}},
		"other words": {func() {
			put("word/r00001/b1", item{"wordIn": text("b1"), "word": text("b1/r00001"), "words": text("b1 r00001"), "active": flag(true)})
		}, []stackstore.Difference{{RestaurantID: "r00001", What: `is not found by searching for "b1"`}}},
		"too many": {func() {
			put("word/r00001/pizza", item{"wordIn": text("pi"), "word": text("pizza/r00001"), "words": text("pizza"), "active": flag(true)})
			put("word/nobody/pizza", item{"wordIn": text("pi"), "word": text("pizza/nobody"), "words": text("pizza"), "active": flag(true)})
		}, []stackstore.Difference{
			{RestaurantID: "nobody", What: `is wrongly found by searching for "pizza"`},
			{RestaurantID: "r00001", What: `is wrongly found by searching for "pizza"`},
		}},
		"renamed": {func() {
			renamed := all[1]
			renamed.Name = "Pizza b1"
			must(t, store.PutRestaurants(t.Context(), []restaurant.Restaurant{renamed}))
		}, []stackstore.Difference{
			{RestaurantID: "r00001", What: `is not found by searching for "b1", "pizza", "r00001"`},
			{RestaurantID: "r00001", What: `is wrongly found by searching for "kebab"`},
		}},
		"none": {func() {
			for _, id := range right {
				remove(id)
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) { // not in parallel: they share the store
			test.spoil()
			n, found, err := store.CheckDirectory(t.Context())
			must(t, err)
			if test.want == nil && len(found) == len(all) {
				found = nil
			}
			wantSame(t, "differences", found, test.want)
			wantSame(t, "restaurants", n, 3)
			_, err = store.RebuildDirectory(t.Context())
			must(t, err)
			_, found, err = store.CheckDirectory(t.Context())
			must(t, err)
			wantSame(t, "differences afterwards", len(found), 0)
			must(t, store.PutRestaurants(t.Context(), all))
			_, err = store.RebuildDirectory(t.Context())
			must(t, err)
			wantSame(t, "words", words(t, engine), right)
		})
	}
}

// TestRename: a renamed restaurant is found by its new name, and no longer by the old one.
func TestRename(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store := newStore(engine)
	r := storetest.Restaurant(1)
	r.Name = "Kebab House"
	must(t, store.CreateRestaurant(t.Context(), r, nil))
	must(t, store.SetActive(t.Context(), r.ID, false))
	for _, name := range []string{"Pizza House", "Pizza House", "مطعم الأصالة"} {
		r.Name = name
		must(t, store.UpdateRestaurant(t.Context(), r))
	}
	wantSame(t, "words", words(t, engine), []string{"word/r00001/r00001", "word/r00001/الاصاله", "word/r00001/مطعم"})
	_, found, err := store.CheckDirectory(t.Context())
	must(t, err)
	wantSame(t, "differences", len(found), 0)
}

// TestRenameMeanwhile: a restaurant that is renamed and switched at the same time is found by its final name and state.
func TestRenameMeanwhile(t *testing.T) {
	t.Parallel()
	store := newStore(newEngine(t).WithTransactionTime(time.Millisecond).Transport())
	r := storetest.Restaurant(1)
	must(t, store.CreateRestaurant(t.Context(), r, nil))
	group, ctx := errgroup.WithContext(t.Context())
	group.Go(func() error {
		for i := range 12 {
			renamed := r
			renamed.Name = fmt.Sprintf("Kebab %c%c", 'a'+i, 'a'+i)
			if err := store.UpdateRestaurant(ctx, renamed); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		for i := range 6 {
			if err := store.SetActive(ctx, r.ID, i%2 == 0); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, group.Wait())
	q, err := search.Parse("kebab ll")
	must(t, err)
	page, err := store.Search(t.Context(), q, usage.ActiveOnly, usage.Start{}, 10)
	must(t, err)
	wantSame(t, "active", len(page.IDs), 0)
	page, err = store.Search(t.Context(), q, usage.InactiveOnly, usage.Start{}, 10)
	must(t, err)
	wantSame(t, "inactive", page.IDs, []string{r.ID})
	_, found, err := store.CheckDirectory(t.Context())
	must(t, err)
	wantSame(t, "differences", len(found), 0)
}
