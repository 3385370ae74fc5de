package stackstore_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
)

// TestIDsShareOneNameSpace: a restaurant can't have the id of another's bot, nor a bot the id of another restaurant, even if
// both are created at the same time.
func TestIDsShareOneNameSpace(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store := newStore(engine)
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), &restaurant.Bot{ID: "r00002"}))
	wantTaken := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, restaurant.ErrIDTaken) {
			t.Errorf("%s: error %v", what, err)
		}
	}
	wantTaken("a restaurant called as a bot", store.CreateRestaurant(t.Context(), storetest.Restaurant(2), nil))
	wantTaken("an imported one", store.AddRestaurants(t.Context(), []restaurant.Restaurant{storetest.Restaurant(2)}))
	wantTaken("a new bot", store.CreateRestaurant(t.Context(), storetest.Restaurant(3), &restaurant.Bot{ID: "r00001"}))
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(3), nil))
	wantTaken("a bot", store.SetBot(t.Context(), "r00003", restaurant.Bot{ID: "r00001"}))
	must(t, store.SetBot(t.Context(), "r00003", restaurant.Bot{ID: "r00003"})) // a bot may have its own restaurant's id

	overtaken := newStore(&wire{next: engine, on: "TransactWriteItems", script: []http.RoundTripper{
		roundTrip(func(r *http.Request) (*http.Response, error) {
			if err := store.SetBot(r.Context(), "r00003", restaurant.Bot{ID: "r00004"}); err != nil {
				return nil, err
			}
			return engine.RoundTrip(r)
		}), nil,
	}})
	wantTaken("another's bot", store.CreateRestaurant(t.Context(), storetest.Restaurant(6), &restaurant.Bot{ID: "r00002"}))
	wantTaken("another's bot, set", store.SetBot(t.Context(), "r00003", restaurant.Bot{ID: "r00002"}))
	wantTaken("overtaken by a bot", overtaken.CreateRestaurant(t.Context(), storetest.Restaurant(4), nil))
	overtaken = newStore(&wire{next: engine, on: "TransactWriteItems", script: []http.RoundTripper{
		roundTrip(func(r *http.Request) (*http.Response, error) {
			if err := store.SetBot(r.Context(), "r00003", restaurant.Bot{ID: "bot"}); err != nil {
				return nil, err
			}
			return engine.RoundTrip(r)
		}), nil,
	}})
	wantTaken("overtaken by a bot of the same id", overtaken.SetBot(t.Context(), "r00001", restaurant.Bot{ID: "bot"}))
	// Two restaurants are created at the same time with the same bot id: the second is written while the first one's
	// transaction is on its way.
	overtaken = newStore(&wire{next: engine, on: "TransactWriteItems", script: []http.RoundTripper{
		roundTrip(func(r *http.Request) (*http.Response, error) {
			if err := store.CreateRestaurant(r.Context(), storetest.Restaurant(8), &restaurant.Bot{ID: "twice"}); err != nil {
				return nil, err
			}
			return engine.RoundTrip(r)
		}), nil,
	}})
	wantTaken("overtaken by a restaurant with the same bot id",
		overtaken.CreateRestaurant(t.Context(), storetest.Restaurant(7), &restaurant.Bot{ID: "twice"}))
	if id, err := store.RestaurantOfBot(t.Context(), "twice"); err != nil || id != "r00008" {
		t.Errorf("the id of the two leads to %q, error %v", id, err)
	}
	if _, err := store.Usage(t.Context(), "r00007", nil); !errors.Is(err, restaurant.ErrNotFound) {
		t.Errorf("the refused one: error %v", err)
	}
	for _, id := range []string{"alerts", "details"} {
		r := storetest.Restaurant(5)
		r.ID = id
		if r.Validate() == nil || (restaurant.Bot{ID: id}).Validate() == nil {
			t.Errorf("%s is a valid id", id)
		}
	}
}

// TestCheckFindsSharedIDs: the check finds ids with two owners, and ids that are words of the API's paths. Such ids were
// stored before we refused them.
func TestCheckFindsSharedIDs(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store, client := newStore(engine), newClient(engine)
	for i := 1; i <= 4; i++ {
		r := storetest.Restaurant(i)
		must(t, store.CreateRestaurant(t.Context(), r, &restaurant.Bot{ID: "bot-" + r.ID}))
	}
	for id, botID := range map[string]string{"r00001": "shared", "r00002": "shared", "r00003": "r00001", "r00004": "alerts"} {
		_, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: &tables.Bots, Key: item{"restaurantId": &types.AttributeValueMemberS{Value: id}},
			UpdateExpression:          aws.String("SET botId = :id"),
			ExpressionAttributeValues: item{":id": &types.AttributeValueMemberS{Value: botID}},
		})
		must(t, err)
	}
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &tables.Restaurants, Item: item{
		"restaurantId": &types.AttributeValueMemberS{Value: "alerts"}, "name": &types.AttributeValueMemberS{Value: "Alerts"},
		"isActive":  &types.AttributeValueMemberBOOL{Value: true},
		"createdAt": &types.AttributeValueMemberS{Value: "2025-08-15T10:00:00.000Z"},
	}})
	must(t, err)
	want := []stackstore.Difference{
		{RestaurantID: "alerts", What: "has a reserved id, which is a word of the API's paths"},
		{RestaurantID: "r00001", What: "bot id shared belongs to 2 bots"},
		{RestaurantID: "r00002", What: "bot id shared belongs to 2 bots"},
		{RestaurantID: "r00003", What: "bot id r00001 is another restaurant's id"},
		{RestaurantID: "r00004", What: "bot id alerts is another restaurant's id"},
		{RestaurantID: "r00004", What: "bot id alerts is reserved: it is a word of the API's paths"},
	}
	_, err = store.RebuildDirectory(t.Context()) // mends the items that lead to the bots, but can't change the ids
	must(t, err)
	_, found, err := store.CheckDirectory(t.Context())
	must(t, err)
	found = slices.DeleteFunc(found, func(d stackstore.Difference) bool {
		return strings.Contains(d.What, "does not lead to this restaurant")
	})
	wantSame(t, "differences", found, want)
}
