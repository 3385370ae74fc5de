package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/search"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// query parses a search.
func query(t *testing.T, text string) search.Query {
	t.Helper()
	q, err := search.Parse(text)
	must(t, err)
	return q
}

func testSearch(t *testing.T, s Store) {
	for i, of := range []struct {
		id, name string
		active   bool
	}{
		{"clxyz1", "مطعم الأصالة", true},
		{"clxyz2", "Kebab House", true},
		{"abc", "Café Kebab-Keller", false},
		{"KEB", "مطعم أصالة نجد", true},
		{"demo-001", "House of Pizza", false},
	} {
		create(t, s, restaurant.Restaurant{ID: of.id, Name: of.name, Active: of.active, CreatedAt: Restaurant(i).CreatedAt}, nil)
	}
	for _, test := range []struct {
		text   string
		filter usage.Filter
		want   []string // in any order
	}{
		{"keb", usage.All, []string{"KEB", "abc", "clxyz2"}}, // once, although two of its words match
		{"ke", usage.ActiveOnly, []string{"KEB", "clxyz2"}},
		{"ke", usage.InactiveOnly, []string{"abc"}},
		{"kebab-k", usage.All, []string{"abc"}},
		{"kebab k", usage.All, []string{"abc", "clxyz2"}},
		{"house", usage.All, []string{"clxyz2", "demo-001"}},
		{"house piz", usage.All, []string{"demo-001"}},
		{"house keb", usage.InactiveOnly, []string{}},
		{"اصال", usage.All, []string{"KEB"}},
		{"الاصالة", usage.All, []string{"clxyz1"}},
		{"مطعم", usage.All, []string{"KEB", "clxyz1"}},
		{"clxyz", usage.All, []string{"clxyz1", "clxyz2"}},
		{"CLXYZ2", usage.All, []string{"clxyz2"}},
		{"demo-0", usage.All, []string{"demo-001"}},
		{"001", usage.All, []string{}},
		{"ebab", usage.All, []string{}},
		{"kebabs", usage.All, []string{}},
	} {
		found, err := s.Search(t.Context(), query(t, test.text), test.filter, usage.Start{}, 10)
		must(t, err)
		slices.Sort(found.IDs)
		what := fmt.Sprintf("%q, filter %d", test.text, test.filter)
		wantEqual(t, what, append([]string{}, found.IDs...), test.want)
		if found.Total != len(test.want) || found.AtLeast || found.Next != nil || found.Offset != 0 {
			t.Errorf("the search %s found %+v, want the total %d on one page", what, found, len(test.want))
		}
	}
	must(t, s.SetActive(t.Context(), "clxyz2", false))
	must(t, s.SetActive(t.Context(), "abc", true))
	for filter, want := range map[usage.Filter][]string{usage.All: {"abc", "clxyz2"}, usage.ActiveOnly: {"abc"}, usage.InactiveOnly: {"clxyz2"}} {
		found, err := s.Search(t.Context(), query(t, "kebab"), filter, usage.Start{}, 10)
		must(t, err)
		slices.Sort(found.IDs)
		wantEqual(t, fmt.Sprint("after switching, filter ", filter), found.IDs, want)
	}
}

// testPagingSearch: the pages of a search have every match, by offset, and by cursor even while restaurants are created and
// switched.
func testPagingSearch(t *testing.T, s Store) {
	const n, limit = 23, 4
	for i := range n {
		r := Restaurant(i)
		r.ID, r.Name, r.Active = fmt.Sprintf("x%02d", 2*i), fmt.Sprintf("Kebab %c-%d", 'a'+7*i%26, i), i%3 != 0
		create(t, s, r, nil)
	}
	q := query(t, "keb")
	all, err := s.Search(t.Context(), q, usage.All, usage.Start{}, 100)
	must(t, err)
	wantEqual(t, "found", len(all.IDs), n)
	for _, offset := range []int{0, 1, n - limit, n - 1, n, n + 5} {
		page, err := s.Search(t.Context(), q, usage.All, usage.Start{Offset: offset}, limit)
		must(t, err)
		first := min(offset, n)
		wantEqual(t, fmt.Sprint("page at ", offset), append([]string{}, page.IDs...), append([]string{}, all.IDs[first:min(n, first+limit)]...))
		if page.Total != n || page.Offset != offset || (page.Next != nil) != (offset+limit < n) {
			t.Errorf("the search's page at %d is %+v, want the total %d, and a next page only before the end", offset, page, n)
		}
	}
	var seen []string
	for start, page := (usage.Start{}), 0; ; page++ {
		found, err := s.Search(t.Context(), q, usage.All, start, limit)
		must(t, err)
		wantEqual(t, "offset", found.Offset, len(seen))
		seen = append(seen, found.IDs...)
		if found.Next == nil {
			break
		}
		start = usage.Start{Behind: found.Next}
		for _, at := range []int{page, len(seen), len(seen) + 2} { // before the page's end, at it, and after it
			id := all.IDs[min(at, n-1)]
			must(t, s.SetActive(t.Context(), id, page%2 == 0))
		}
		newcomer := Restaurant(100 + page)
		newcomer.ID, newcomer.Name = "a"+newcomer.ID, "Kebab newcomer" // sorts before all others
		create(t, s, newcomer, nil)
	}
	wantEqual(t, "seen of those that were there throughout", slices.DeleteFunc(slices.Clone(seen), func(id string) bool { return id[0] == 'a' }), all.IDs)
}
