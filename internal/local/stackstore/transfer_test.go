package stackstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/directory"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// wantSound compares the list with the restaurants, and expects that the check finds nothing.
func wantSound(t *testing.T, store *stackstore.Store, restaurants []restaurant.Restaurant) {
	t.Helper()
	wantListed(t, store, restaurants)
	wantNoDifference(t, store, len(restaurants))
}

func wantNoDifference(t *testing.T, store *stackstore.Store, restaurants int) {
	t.Helper()
	n, found, err := store.CheckDirectory(t.Context())
	must(t, err)
	wantSame(t, "restaurants checked", n, restaurants)
	wantSame(t, "differences", found, nil)
}

// TestAddManyRestaurants: restaurants added in any order and in any portions are all listed, on pages of the same sizes as if
// they were created one by one.
func TestAddManyRestaurants(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: each case imports two full pages of restaurants; TestPagesSplit does it once")
	}
	t.Parallel()
	const n = 1040
	for name, order := range map[string]func([]restaurant.Restaurant){
		"oldest first": func([]restaurant.Restaurant) {},
		"newest first": slices.Reverse[[]restaurant.Restaurant],
		"in any order": func(all []restaurant.Restaurant) {
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		},
		"one millisecond": func(all []restaurant.Restaurant) {
			for i := range all {
				all[i].CreatedAt = all[0].CreatedAt
			}
		},
	} {
		for _, portion := range []int{97, n} {
			if portion == n && name != "newest first" { // AddRestaurants sorts a portion, so other orders give the same
				continue
			}
			t.Run(fmt.Sprintf("%s, %d at a time", name, portion), func(t *testing.T) {
				t.Parallel()
				engine := newEngine(t).Transport()
				store := newStore(engine)
				all := series(n)
				order(all)
				for some := range slices.Chunk(all, portion) {
					must(t, store.AddRestaurants(t.Context(), some))
				}
				wantSound(t, store, all)
				if name == "oldest first" {
					wantSame(t, "pages", pageSizes(t, engine), []int{500, 500, 40})
				}
				tidied, err := store.TidyDirectory(t.Context())
				must(t, err)
				if sizes := pageSizes(t, engine); name == "newest first" && (!slices.Equal(sizes, []int{500, 500, 40}) || tidied != (portion < n)) {
					t.Errorf("tidied: %t, to pages of %d", tidied, sizes)
				}
				wantSound(t, store, all)
			})
		}
	}
}

// TestAddWhereNoRoomIs: if a page is full, the directory is rebuilt.
func TestAddWhereNoRoomIs(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it adds thousands of restaurants")
	}
	t.Parallel()
	engine := newEngine(t).Transport()
	store := newStore(engine)
	const older = 4050
	all := series(older + 1)
	must(t, store.AddRestaurants(t.Context(), all[older:]))
	must(t, store.AddRestaurants(t.Context(), all[:older])) // all go to one page, until it is full
	if sizes := pageSizes(t, engine); len(sizes) < 2 {
		t.Errorf("pages of %d", sizes)
	}
	wantNoDifference(t, store, len(all))
}

// TestAddToFullMillisecond: restaurants of one millisecond can't be split over two pages, and the error says so.
func TestAddToFullMillisecond(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it adds thousands of restaurants")
	}
	t.Parallel()
	store := newStore(newEngine(t).Transport())
	all := series(4001)
	for i := range all {
		all[i].CreatedAt = start
	}
	importAll(t, store, all[:4000])
	err := store.AddRestaurants(t.Context(), all[4000:])
	if err == nil || !strings.Contains(err.Error(), "creation times have to differ") {
		t.Errorf("error %v", err)
	}
	wantNoDifference(t, store, 4000)
}

// TestAddMeanwhile: restaurants that are added, created and switched at the same time are all listed, in their final state.
func TestAddMeanwhile(t *testing.T) {
	t.Parallel()
	store := newStore(newEngine(t).WithTransactionTime(time.Millisecond).Transport())
	all := series(305)
	for i := range all {
		all[i].Active = true
	}
	must(t, store.AddRestaurants(t.Context(), all[:10]))
	group, ctx := errgroup.WithContext(t.Context())
	group.Go(func() error { // the first of them exist, and are switched off meanwhile
		for some := range slices.Chunk(all[:290], 100) {
			if err := store.AddRestaurants(ctx, some); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		for i := range 5 {
			if err := store.CreateRestaurant(ctx, all[300+i], nil); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error { return store.AddRestaurants(ctx, all[280:300]) }) // the others add some of these too
	must(t, group.Wait())
	for i := range 10 {
		must(t, store.SetActive(t.Context(), all[i].ID, false))
		all[i].Active = false
	}
	wantSound(t, store, all)
}

// TestAddBreaksOff: wherever adding breaks off, all existing restaurants are listed, and calling it again adds the rest.
func TestAddBreaksOff(t *testing.T) {
	t.Parallel()
	for writes := 1; writes <= 4; writes++ {
		store := newStore(mortal{newEngine(t).Transport()})
		all := series(2*directory.MaxEntered + 4) // three transactions
		err := store.AddRestaurants(breakAfter(t.Context(), writes), all)
		if (err == nil) != (writes > 3) {
			t.Errorf("after %d writes the error is %v", writes, err)
		}
		n, found, err := store.CheckDirectory(t.Context())
		must(t, err)
		if want := min(directory.MaxEntered*writes, len(all)); n != want || len(found) > 0 {
			t.Errorf("after %d writes: %d restaurants, want %d; differences %v", writes, n, want, found)
		}
		must(t, store.AddRestaurants(t.Context(), all))
		wantSound(t, store, all)
	}
}

// TestCheckFindsAndRebuildMends damages the directory in every possible way.
func TestCheckFindsAndRebuildMends(t *testing.T) {
	t.Parallel()
	entry := func(page string, set bool, id string, createdAt time.Time) func(context.Context, *dynamodb.Client) error {
		return func(ctx context.Context, client *dynamodb.Client) error {
			input := &dynamodb.UpdateItemInput{
				TableName: &tables.Directory, Key: item{"id": &types.AttributeValueMemberS{Value: page}},
				UpdateExpression:         aws.String("REMOVE entries.#id"),
				ExpressionAttributeNames: map[string]string{"#id": id},
			}
			if set {
				input.UpdateExpression = aws.String("SET entries.#id = :at")
				input.ExpressionAttributeValues = item{":at": &types.AttributeValueMemberN{Value: fmt.Sprint(createdAt.UnixMilli())}}
			}
			_, err := client.UpdateItem(ctx, input)
			return err
		}
	}
	change := func(id, expression string) func(context.Context, *dynamodb.Client) error {
		return func(ctx context.Context, client *dynamodb.Client) error {
			_, err := client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
				TableName: &tables.Directory, Key: item{"id": &types.AttributeValueMemberS{Value: id}}, UpdateExpression: &expression,
				ExpressionAttributeValues: item{":n": &types.AttributeValueMemberN{Value: "7"}},
				ExpressionAttributeNames:  map[string]string{"#attribute": map[bool]string{true: "all", false: "entries"}[id == "counts"]},
			})
			return err
		}
	}
	all := series(5) // the first and the fourth of them are inactive
	for name, test := range map[string]struct {
		spoil []func(context.Context, *dynamodb.Client) error
		want  []stackstore.Difference
	}{
		"missing": {
			[]func(context.Context, *dynamodb.Client) error{entry("g0/0/active", false, "r00001", time.Time{})},
			[]stackstore.Difference{{RestaurantID: "", What: "page 0 lists 4 restaurants, 2 of them active, but is counted with 5 and 3"}, {RestaurantID: "r00001", What: "is not listed"}},
		},
		"left over": {
			[]func(context.Context, *dynamodb.Client) error{entry("g0/0/active", true, "gone", start)},
			[]stackstore.Difference{{RestaurantID: "", What: "page 0 lists 6 restaurants, 4 of them active, but is counted with 5 and 3"},
				{RestaurantID: "gone", What: "is listed on page 0, but does not belong there"}},
		},
		"state": {
			[]func(context.Context, *dynamodb.Client) error{
				entry("g0/0/active", false, "r00001", start), entry("g0/0/inactive", true, "r00001", all[1].CreatedAt),
				entry("g0/0/inactive", false, "r00000", start), entry("g0/0/active", true, "r00000", all[0].CreatedAt),
			},
			[]stackstore.Difference{{RestaurantID: "r00000", What: "is inactive, but listed as active"}, {RestaurantID: "r00001", What: "is active, but listed as inactive"}},
		},
		"time": {
			[]func(context.Context, *dynamodb.Client) error{entry("g0/0/active", true, "r00001", start)},
			[]stackstore.Difference{{RestaurantID: "r00001", What: "is listed with a wrong creation time"}},
		},
		"counts": {
			[]func(context.Context, *dynamodb.Client) error{change("counts", "SET #attribute[0] = :n")},
			[]stackstore.Difference{{RestaurantID: "", What: "page 0 lists 5 restaurants, 3 of them active, but is counted with 7 and 3"}},
		},
		"counts that are none": {
			[]func(context.Context, *dynamodb.Client) error{change("counts", "SET #attribute = :n")},
			[]stackstore.Difference{{RestaurantID: "", What: `the directory's counts can't be read: stored attribute "all" is not a list of numbers`}},
		},
		"page that is none": {
			[]func(context.Context, *dynamodb.Client) error{change("g0/0/inactive", "SET #attribute = :n")},
			[]stackstore.Difference{
				{RestaurantID: "", What: `page g0/0/inactive can't be read: stored attribute "entries" is not a map of numbers`},
				{RestaurantID: "", What: "page 0 lists 3 restaurants, 3 of them active, but is counted with 5 and 3"},
				{RestaurantID: "r00000", What: "is not listed"}, {RestaurantID: "r00003", What: "is not listed"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t).Transport()
			store := newStore(engine)
			must(t, store.AddRestaurants(t.Context(), all))
			for _, spoil := range test.spoil {
				must(t, spoil(t.Context(), newClient(engine)))
			}
			n, found, err := store.CheckDirectory(t.Context())
			must(t, err)
			wantSame(t, "restaurants", n, len(all))
			wantSame(t, "differences", found, test.want)
			_, err = store.RebuildDirectory(t.Context())
			must(t, err)
			wantSound(t, store, all)
		})
	}
	t.Run("restaurants without a directory", func(t *testing.T) {
		t.Parallel()
		store := newStore(newEngine(t).Transport())
		must(t, store.PutRestaurants(t.Context(), all))
		_, found, err := store.CheckDirectory(t.Context())
		must(t, err)
		wantSame(t, "differences", found, []stackstore.Difference{{RestaurantID: "", What: "the directory is empty, but there are 5 restaurants"}})
	})
}

// TestCheckMeanwhile: a restaurant that is created during a check is no difference.
func TestCheckMeanwhile(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store := newStore(engine)
	all := series(4)
	must(t, store.AddRestaurants(t.Context(), all[:3]))
	overtaken := &wire{next: engine, on: "BatchGetItem", script: []http.RoundTripper{
		roundTrip(func(r *http.Request) (*http.Response, error) {
			if err := store.CreateRestaurant(r.Context(), all[3], nil); err != nil {
				return nil, err
			}
			return engine.RoundTrip(r)
		}), nil,
	}}
	n, found, err := newStore(overtaken).CheckDirectory(t.Context())
	must(t, err)
	wantSame(t, "restaurants", n, len(all))
	wantSame(t, "differences", found, nil)
}
