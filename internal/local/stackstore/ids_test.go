package stackstore_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
)

// TestIDsShareOneNameSpace: a restaurant can't be called as another one's bot, nor a bot as a restaurant, also when the two
// meet.
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
	must(t, store.SetBot(t.Context(), "r00003", restaurant.Bot{ID: "r00003"})) // its own

	overtaken := newStore(&wire{next: engine, on: "TransactWriteItems", script: []http.RoundTripper{
		roundTrip(func(r *http.Request) (*http.Response, error) {
			if err := store.SetBot(r.Context(), "r00003", restaurant.Bot{ID: "r00004"}); err != nil {
				return nil, err
			}
			return engine.RoundTrip(r)
		}), nil,
	}})
	wantTaken("overtaken by a bot", overtaken.CreateRestaurant(t.Context(), storetest.Restaurant(4), nil))
	for _, id := range []string{"alerts", "details"} {
		r := storetest.Restaurant(5)
		r.ID = id
		if r.Validate() == nil || (restaurant.Bot{ID: id}).Validate() == nil {
			t.Errorf("%s is a valid id", id)
		}
	}
}
