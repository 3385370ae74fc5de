package usage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/localstore"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// TestImportedSessionsHaveUniqueLastingIDs: sessions from another system have unique ids, even if they were opened at the
// same moment, and the same ids each time that they are shown.
func TestImportedSessionsHaveUniqueLastingIDs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	store, calendar := localstore.New(t), usage.NewCalendar(nil)
	if err := store.CreateRestaurant(t.Context(), restaurant.Restaurant{ID: "r1", Name: "A", Active: true, CreatedAt: at}, nil); err != nil {
		t.Fatalf("creating the restaurant: %v", err)
	}
	for i, opened := range []time.Time{at, at, at.Add(-time.Hour), at} {
		customer := fmt.Sprintf("+96650000000%d", i)
		var err error
		if i == 3 {
			m := conversation.Message{ID: "m1", RestaurantID: "r1", Customer: customer, ReceivedAt: opened, Delivery: "d"}
			_, err = storetest.Record(t.Context(), store.Recorder(calendar), m)
		} else {
			s := conversation.Session{RestaurantID: "r1", Customer: customer, OpenedAt: opened, LastMessageAt: at, Messages: 1}
			_, err = store.MergeSession(t.Context(), s)
		}
		if err != nil {
			t.Fatalf("storing the session: %v", err)
		}
	}
	service := usage.NewService(store, calendar, restaurant.DefaultLimits, func() time.Time { return at })
	for range 2 {
		details, err := service.Details(t.Context(), "r1")
		if err != nil {
			t.Fatalf("reading the details: %v", err)
		}
		var ids []string
		for _, session := range details.Sessions {
			ids = append(ids, session.ID)
		}
		want := []string{"m1", "imported-1795435200000-1", "imported-1795435200000-2", "imported-1795431600000"}
		if diff := cmp.Diff(want, ids); diff != "" {
			t.Errorf("the ids of three imported sessions and a live one (-want +got):\n%s", diff)
		}
	}
}
