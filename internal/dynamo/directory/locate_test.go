package directory

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// TestListReadsOnlyThePagesOfItsWindow compares the located pages with a list that is written out in full.
func TestListReadsOnlyThePagesOfItsWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var d counts
		filter := usage.Filter(rapid.IntRange(0, 2).Draw(t, "filter"))
		for range rapid.IntRange(0, 12).Draw(t, "pages") {
			all := rapid.Int64Range(0, 6).Draw(t, "restaurants")
			d.all = append(d.all, all)
			d.active = append(d.active, rapid.Int64Range(0, all).Draw(t, "active"))
		}
		offset := rapid.IntRange(0, 80).Draw(t, "offset")
		limit := rapid.IntRange(1, 30).Draw(t, "limit")

		content := func(pages []int) []string {
			list := []string{}
			for _, page := range pages {
				for i := range d.admitted(page, filter) {
					list = append(list, fmt.Sprintf("%d/%d", page, i))
				}
			}
			return list
		}
		window := func(list []string, offset int) []string {
			first := min(offset, len(list))
			return list[first:min(len(list), first+limit)]
		}
		var newestFirst []int
		for page := range d.all {
			newestFirst = append([]int{page}, newestFirst...)
		}
		want := window(content(newestFirst), offset)

		pages, skip := d.locate(filter, offset, limit)
		if diff := cmp.Diff(want, window(content(pages), skip)); diff != "" {
			t.Fatalf("offset %d and limit %d lead to pages %v from %d on, which show other restaurants than the list has there (-want +got):\n%s", offset, limit, pages, skip, diff)
		}
		for _, page := range pages { // every page that is read has restaurants of the window
			if !slices.ContainsFunc(content([]int{page}), func(entry string) bool { return slices.Contains(want, entry) }) {
				t.Fatalf("page %d of %v is read in vain: it has nothing of %v", page, pages, want)
			}
		}
		if got := d.Total(filter); got != len(content(newestFirst)) {
			t.Fatalf("the list's total is %d, want %d", got, len(content(newestFirst)))
		}
	})
}

// TestRebuiltPagesHaveEveryRestaurantOnce: for any creation times, each restaurant is on the page of its time, and no page is
// empty. Only a page of a single millisecond is larger than pageSize.
func TestRebuiltPagesHaveEveryRestaurantOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		start := time.UnixMilli(rapid.Int64Range(0, 1<<40).Draw(t, "start"))
		span := rapid.Int64Range(0, 3000).Draw(t, "span")
		random := rapid.Uint64().Draw(t, "seed")
		all := make([]listed, rapid.IntRange(0, 1700).Draw(t, "restaurants"))
		active := 0
		for i := range all {
			random = random*6364136223846793005 + 1442695040888963407
			createdAt := start.Add(time.Duration(int64(random>>33)%(span+1)) * time.Millisecond)
			all[i] = listed{entry: entry{fmt.Sprint(i), createdAt.UnixMilli()}, active: random>>60 < 11}
			if all[i].active {
				active++
			}
		}
		d, laid := layOut(3, all)
		var items []table.Item
		for _, p := range laid {
			items = append(items, p.items()...)
		}
		if len(items) != 2*len(d.all) || d.Total(usage.All) != len(all) || d.Total(usage.ActiveOnly) != active {
			t.Fatalf("%d restaurants, %d active, are laid out in %d items, want two for each of %d pages, with the counts %v and active %v", len(all), active, len(items), len(d.all), d.all, d.active)
		}
		pages := make(map[string]map[string]int64)
		for _, it := range items {
			in := table.Reader{Item: it}
			pages[in.Text("id")] = in.NumberMap(attrEntries)
		}
		for _, r := range all {
			id := pageID(3, d.pageFor(r.createdAt), r.active)
			if createdAt, ok := pages[id][r.id]; !ok || createdAt != r.createdAt {
				t.Fatalf("the restaurant %+v isn't on the page %s that its creation leads to, so no list shows it", r, id)
			}
		}
		for page := range d.all {
			both := []map[string]int64{pages[pageID(3, page, true)], pages[pageID(3, page, false)]}
			times := make(map[int64]int64) // number of restaurants created in each millisecond
			for _, half := range both {
				for _, createdAt := range half {
					times[createdAt]++
				}
			}
			size := int64(len(both[0]) + len(both[1]))
			if size != d.all[page] || int64(len(both[0])) != d.active[page] || size == 0 {
				t.Fatalf("page %d holds %d restaurants, %d active, and counts %d and %d: totals and offsets would be wrong", page, size, len(both[0]), d.all[page], d.active[page])
			}
			newest := slices.Max(slices.Collect(maps.Keys(times)))
			if before := size - times[newest]; before >= pageSize {
				t.Fatalf("page %d went on after %d restaurants, beyond its bound of %d", page, before, pageSize)
			}
		}
	})
}
