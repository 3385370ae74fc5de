package cache

import (
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/sufrah"
)

// TestMenu reads the menus of two merchants in two instances. Towards the end, Sufrah fails.
func TestMenu(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		stand := sandbox.NewSufrah(rand.Float64)
		if err := stand.Fault().Set(sandbox.Behavior{LatencyMs: 50, Status: 503}); err != nil {
			t.Fatal(err)
		}
		http := httptest.NewServer(stand)
		t.Cleanup(http.Close)
		client, err := sufrah.New(sufrah.Config{BaseURL: http.URL + sandbox.SufrahBasePath, APIKey: "k"})
		if err != nil {
			t.Fatal(err)
		}
		var menus []*Menu
		for range 2 {
			options := w.options(w.client(t))
			options.LockFor = patience // so that on a busy machine no other instance takes the lock over
			menus = append(menus, NewMenu(client, options))
		}

		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				merchant := []string{"merchant-a", "merchant-b"}[i/2%2]
				categories, _, err := menus[i%2].Categories(t.Context(), merchant)
				if err != nil || len(categories) == 0 {
					t.Errorf("Categories = %v, %v", categories, err)
				}
				branches, _, err := menus[i%2].Branches(t.Context(), merchant)
				if err != nil || len(branches) == 0 {
					t.Errorf("Branches = %v, %v", branches, err)
				}
			})
		}
		wg.Wait()
		const path = sandbox.SufrahBasePath + "/merchants/merchant-"
		want := map[string]int{path + "a/categories": 1, path + "a/branches": 1, path + "b/categories": 1, path + "b/branches": 1}
		if diff := cmp.Diff(want, stand.Calls()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}

		fromSufrah, err := client.Branches(t.Context(), "merchant-a")
		if err != nil {
			t.Fatal(err)
		}
		if err := stand.Fault().Set(sandbox.Behavior{FailRate: 1, Status: 503}); err != nil {
			t.Fatal(err)
		}
		cached, source, err := menus[0].Branches(t.Context(), "merchant-a")
		if diff := cmp.Diff(fromSufrah, cached); diff != "" || source != Fresh || err != nil {
			t.Errorf("cached branches: %v, %v (-want +got):\n%s", source, err, diff)
		}
		w.advance(w.options(nil).TTL)
		if stale, source, err := menus[0].Categories(t.Context(), "merchant-a"); len(stale) == 0 || source != Stale || err != nil {
			t.Errorf("with Sufrah down: %v, %v, %v", stale, source, err)
		}
		if _, source, err := menus[0].Categories(t.Context(), "merchant-new"); source != None || err == nil {
			t.Errorf("with Sufrah down and nothing kept: %v, %v", source, err)
		}
	})
}
