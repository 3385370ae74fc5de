package cache

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// holding is a server that returns the same value for every key, until it is given another value.
type holding struct{ value []byte }

func (h *holding) Get(context.Context, string) ([]byte, bool, error) { return h.value, true, nil }

func (h *holding) Set(_ context.Context, _ string, value []byte, _ time.Duration) error {
	h.value = value
	return nil
}

func (h *holding) SetAll(context.Context, map[string][]byte, time.Duration) (int, error) {
	return 0, nil
}

func (h *holding) SetIfAbsent(context.Context, string, string, time.Duration) (bool, error) {
	return true, nil
}

func (h *holding) DeleteIfEquals(context.Context, string, string) error { return nil }

// tea is an origin of one category.
type tea struct{}

func (tea) Categories(context.Context, string) ([]menu.Category, error) {
	return []menu.Category{{ID: "fetched", Name: menu.Text{English: "Tea"}}}, nil
}

func (tea) Branches(context.Context, string) ([]menu.Branch, error) { return nil, nil }

// FuzzCachedValue: whatever bytes the server returns, callers get a menu and never an invalid template id. If the bytes hold
// no menu, it is fetched.
func FuzzCachedValue(f *testing.F) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, body := range []string{`[{"ID":"c","Name":{"Arabic":"شاي"}}]`, `null`, `{}`, `[null]`, `[{"DisplayOrder":1e99}]`, `[]]`} {
		for _, at := range []time.Time{now, now.Add(-5 * time.Minute), now.AddDate(1, 0, 0)} {
			sealed, err := seal(0, at)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(append(sealed[:len(sealed)-1], body...))
		}
	}
	f.Add([]byte("HX0123456789abcdef0123456789abcdef"))
	f.Add([]byte("1 9223372036854775807 []"))
	f.Fuzz(func(t *testing.T, value []byte) {
		server := &holding{value}
		m := NewMenu(tea{}, Options{
			Server: server, TTL: time.Minute, StaleFor: time.Hour, Now: func() time.Time { return now }, Random: rand.Uint64,
			Log: slog.New(slog.DiscardHandler),
		})
		categories, source, err := m.PrefetchCategories(t.Context(), "merchant", nil)
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		held, at, ok := open[[]menu.Category](value)
		fresh := ok && now.Sub(at).Abs() < time.Minute
		fetched, _ := tea{}.Categories(t.Context(), "merchant")
		switch {
		case fresh && (source != Fresh || !cmp.Equal(categories, held)):
			t.Errorf("%q is fresh, and %v comes %v", value, categories, source)
		case !fresh && (source != Fetched || !cmp.Equal(categories, fetched)):
			t.Errorf("%q isn't fresh, and %v comes %v", value, categories, source)
		}
		if again, source, _ := m.PrefetchCategories(t.Context(), "merchant", nil); source != Fresh || !cmp.Equal(again, categories) {
			t.Errorf("after %q: %v comes %v the second time", value, again, source)
		}
		templates := NewTemplates(&holding{value}, map[string]string{"welcome": "HXown"}, time.Minute, slog.New(slog.DiscardHandler))
		if sid, known := templates.SID(t.Context(), "welcome"); !known || sid != "HXown" && !validSID(sid) {
			t.Errorf("%q makes the template %q, %t", value, sid, known)
		}
	})
}
