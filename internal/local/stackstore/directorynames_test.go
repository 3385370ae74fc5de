package stackstore_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
)

// TestSetBotOvertaken: two callers set a restaurant's bot at the same time. The later bot stands, and the other's number and
// id lead nowhere.
func TestSetBotOvertaken(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]*restaurant.Bot{"a bot": {ID: "b1", PhoneNumber: "+966110000001"}, "no bot": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t).Transport()
			store := newStore(engine)
			must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), before))
			other := restaurant.Bot{ID: "b2", PhoneNumber: "+966110000002"}
			overtaken := &wire{next: engine, on: "TransactWriteItems", script: []http.RoundTripper{
				roundTrip(func(r *http.Request) (*http.Response, error) {
					if err := store.SetBot(r.Context(), "r00001", other); err != nil {
						return nil, err
					}
					return engine.RoundTrip(r)
				}), nil,
			}}
			mine := restaurant.Bot{ID: "b3", PhoneNumber: "+966110000003"}
			inBubble(t, func(ctx context.Context, t *testing.T) { must(t, newStore(overtaken).SetBot(ctx, "r00001", mine)) })

			bot, err := store.Bot(t.Context(), "r00001")
			must(t, err)
			wantSame(t, "bot", *bot, mine)
			if tenant, err := store.TenantByNumber(t.Context(), mine.PhoneNumber); err != nil || tenant.Bot != mine {
				t.Errorf("its number leads to %+v, error %v", tenant, err)
			}
			must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(2), &other)) // the id is free again
			if id, err := store.RestaurantOfBot(t.Context(), other.ID); err != nil || id != "r00002" {
				t.Errorf("the other id leads to %q, error %v", id, err)
			}
			wantNoDifference(t, store, 2)
		})
	}
}

// TestCheckFindsAndRebuildMendsNames damages the items that lead to restaurants, in every possible way.
func TestCheckFindsAndRebuildMendsNames(t *testing.T) {
	t.Parallel()
	text := func(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }
	set := func(values ...string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: values} }
	const mine, other = "+966110000001", "+966110000002"
	for name, test := range map[string]struct {
		id    string
		value types.AttributeValue // nil deletes the item
		want  []stackstore.Difference
	}{
		"number lost": {"number/" + mine, nil, []stackstore.Difference{{RestaurantID: "r00001", What: "phone number " + mine + " of its bot does not lead to this restaurant"}}},
		"number of another": {"number/" + mine, text("r00002"), []stackstore.Difference{
			{RestaurantID: "r00001", What: "phone number " + mine + " of its bot does not lead to this restaurant"},
			{RestaurantID: "r00002", What: "phone number " + mine + " leads to this restaurant, but is not its bot's"},
		}},
		"number left over":     {"number/" + other, text("r00001"), []stackstore.Difference{{RestaurantID: "r00001", What: "phone number " + other + " leads to this restaurant, but is not its bot's"}}},
		"number of no bot":     {"number/" + other, text("r00003"), []stackstore.Difference{{RestaurantID: "r00003", What: "phone number " + other + " leads to this restaurant, but is not its bot's"}}},
		"number of nobody":     {"number/" + other, text("gone"), []stackstore.Difference{{RestaurantID: "gone", What: "phone number " + other + " leads to this restaurant, but is not its bot's"}}},
		"bot's id lost":        {"bot/b1", nil, []stackstore.Difference{{RestaurantID: "r00001", What: "bot id b1 of its bot does not lead to this restaurant"}}},
		"bot's id left over":   {"bot/b9", set("r00001"), []stackstore.Difference{{RestaurantID: "r00001", What: "bot id b9 leads to this restaurant, but is not its bot's"}}},
		"bot's id of one more": {"bot/b1", set("r00001", "r00003"), []stackstore.Difference{{RestaurantID: "r00003", What: "bot id b1 leads to this restaurant, but is not its bot's"}}},
		"bot's id of another":  {"bot/b", set("r00002", "r00004"), []stackstore.Difference{{RestaurantID: "r00004", What: "bot id b leads to this restaurant, but is not its bot's"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t).Transport()
			store := newStore(engine)
			for i, bot := range []*restaurant.Bot{{ID: "b1", PhoneNumber: mine}, {ID: "b"}, nil, {ID: "b4"}} {
				must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(i+1), bot))
			}
			wantNoDifference(t, store, 4)
			key := item{"id": text(test.id)}
			client := newClient(engine)
			var err error
			if test.value == nil {
				_, err = client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &tables.Directory, Key: key})
			} else {
				attribute := "restaurantId"
				if _, isSet := test.value.(*types.AttributeValueMemberSS); isSet {
					attribute = "restaurants"
				}
				_, err = client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
					TableName: &tables.Directory, Key: key, UpdateExpression: aws.String("SET #a = :value"),
					ExpressionAttributeNames: map[string]string{"#a": attribute}, ExpressionAttributeValues: item{":value": test.value},
				})
			}
			must(t, err)
			_, found, err := store.CheckDirectory(t.Context())
			must(t, err)
			wantSame(t, "differences", found, test.want)
			_, err = store.RebuildDirectory(t.Context())
			must(t, err)
			wantNoDifference(t, store, 4)
			if tenant, err := store.TenantByNumber(t.Context(), mine); err != nil || tenant.Restaurant.ID != "r00001" {
				t.Errorf("the number leads to %+v, error %v", tenant, err)
			}
			if id, err := store.RestaurantOfBot(t.Context(), "b1"); err != nil || id != "r00001" {
				t.Errorf("the bot's id leads to %q, error %v", id, err)
			}
			if _, err := store.TenantByNumber(t.Context(), other); !errors.Is(err, restaurant.ErrNotFound) {
				t.Errorf("the other number: error %v", err)
			}
		})
	}
}

// TestNamesMeanwhile: a bot that is set during a check is no difference. A bot that is set during a rebuild keeps its values.
func TestNamesMeanwhile(t *testing.T) {
	t.Parallel()
	engine := newEngine(t).Transport()
	store := newStore(engine)
	old, fresh := restaurant.Bot{ID: "b1", PhoneNumber: "+966110000001"}, restaurant.Bot{ID: "b2", PhoneNumber: "+966110000002"}
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), &old))
	// set sets the bot after the scan of the bots (the second scan) and before the scan of the directory (the third).
	set := func(bot restaurant.Bot) *wire {
		return &wire{next: engine, on: "Scan", script: []http.RoundTripper{nil, nil,
			roundTrip(func(r *http.Request) (*http.Response, error) {
				if err := store.SetBot(r.Context(), "r00001", bot); err != nil {
					return nil, err
				}
				return engine.RoundTrip(r)
			}), nil,
		}}
	}
	wantNoDifference(t, newStore(set(fresh)), 1)
	_, err := newStore(set(old)).RebuildDirectory(t.Context())
	must(t, err)
	wantNoDifference(t, store, 1)
	bot, err := store.Bot(t.Context(), "r00001")
	must(t, err)
	wantSame(t, "bot", *bot, old)
}
