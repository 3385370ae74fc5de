package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
)

// Difference is a point in which the directory disagrees with the restaurants.
type Difference struct {
	RestaurantID string // empty if the difference concerns a whole page or the whole directory
	What         string // for a person
}

// Check compares the directory with the restaurants and their bots, and writes nothing. It returns the number of restaurants
// and every difference: first the differences of the whole directory, then of restaurants, by id. Rebuild mends all of
// them, with two exceptions that a person must decide: a number or id with two owners, and an id that is a word of the API's
// paths. Check fails with outage.ErrUnavailable, also if the directory changes during each attempt.
func (d *Directory) Check(ctx context.Context) (restaurants int, found []Difference, err error) {
	for range Attempts {
		before, fault, err := d.readCounts(ctx)
		if err != nil {
			return 0, nil, err
		}
		restaurants, found, err := d.check(ctx, before, fault)
		if err != nil {
			return 0, nil, fmt.Errorf("checking the directory: %w", err)
		}
		after, _, err := d.readCounts(ctx)
		if err != nil {
			return 0, nil, err
		}
		// Creating, activating or deactivating a restaurant changes the version: with the same version before and after, the
		// data in between is consistent.
		if fault != nil || after.version == before.version {
			names, err := d.checkNames(ctx)
			if err != nil {
				return 0, nil, fmt.Errorf("checking the directory: %w", err)
			}
			// A restaurant on the wrong page is missing on its own page and superfluous on the other.
			ids, err := d.checkIDs(ctx)
			if err != nil {
				return 0, nil, fmt.Errorf("checking the directory: %w", err)
			}
			found = slices.Concat(found, names, ids)
			slices.SortStableFunc(found, func(a, b Difference) int { return cmp.Compare(a.RestaurantID, b.RestaurantID) })
			return restaurants, found, nil
		}
	}
	return 0, nil, fmt.Errorf("checking the directory: %w", ErrBusy)
}

func (d *Directory) check(ctx context.Context, s *Snapshot, fault error) (int, []Difference, error) {
	all, err := d.listing(ctx)
	if err != nil {
		return 0, nil, err
	}
	if fault != nil {
		return len(all), []Difference{{What: fmt.Sprintf("the directory's counts can't be read: %v", fault)}}, nil
	}
	if len(s.all) == 0 && len(all) > 0 {
		return len(all), []Difference{{What: fmt.Sprintf("the directory is empty, but there are %d restaurants", len(all))}}, nil
	}
	total := len(all)
	found, err := d.checkWords(ctx, all)
	if err != nil {
		return 0, nil, err
	}
	slices.SortFunc(all, func(a, b listed) int { return newestFirst(b.entry, a.entry) })
	for first := 0; first < len(s.all); first += checkedPages {
		last := min(len(s.all), first+checkedPages)
		stored, faults, err := d.readPages(ctx, s, first, last)
		if err != nil {
			return 0, nil, err
		}
		found = append(found, faults...)
		for number := first; number < last; number++ {
			n := 0 // the first n restaurants, in order of creation, belong to this page
			for n < len(all) && s.pageFor(all[n].createdAt) <= number {
				n++
			}
			found = append(found, s.checkPage(number, stored, all[:n])...)
			all = all[n:]
		}
	}
	return total, found, nil
}

// checkedPages is the number of pages that a check reads at the same time: a megabyte if the pages have their normal size.
const checkedPages = table.BatchGetKeys / 4

// readPages returns the entries of pages first to last-1, by the ids of their items. It also returns the pages that can't be
// read.
func (d *Directory) readPages(ctx context.Context, s *Snapshot, first, last int) (map[string]map[string]int64, []Difference, error) {
	var keys []table.Key
	for number := first; number < last; number++ {
		for _, active := range []bool{true, false} {
			keys = append(keys, table.Key{Table: d.names.Directory, Key: key(pageID(s.generation, number, active))})
		}
	}
	stored := make(map[string]map[string]int64, len(keys))
	var faults []Difference
	err := d.db.GetAll(ctx, keys, func(_ string, it table.Item) {
		r := table.Reader{Item: it}
		id := r.Text("id")
		stored[id] = r.NumberMap(attrEntries)
		if r.Err != nil {
			faults = append(faults, Difference{What: fmt.Sprintf("page %s can't be read: %v", id, r.Err)})
		}
	})
	return stored, faults, err
}

// checkPage compares a page's stored entries with the restaurants that belong on it.
func (s *Snapshot) checkPage(number int, stored map[string]map[string]int64, restaurants []listed) []Difference {
	var found []Difference
	expected := make(map[string]bool, len(restaurants))
	for _, r := range restaurants {
		expected[r.id] = true
		createdAt, listed := stored[pageID(s.generation, number, r.active)][r.id]
		_, otherwise := stored[pageID(s.generation, number, !r.active)][r.id]
		switch {
		case otherwise && r.active:
			found = append(found, Difference{r.id, "is active, but listed as inactive"})
		case otherwise:
			found = append(found, Difference{r.id, "is inactive, but listed as active"})
		case !listed:
			found = append(found, Difference{r.id, "is not listed"})
		case createdAt != r.createdAt:
			found = append(found, Difference{r.id, "is listed with a wrong creation time"})
		}
	}
	var all, active int64
	for _, state := range []bool{true, false} {
		id := pageID(s.generation, number, state)
		entries, ok := stored[id]
		if !ok {
			found = append(found, Difference{What: fmt.Sprintf("page %s is missing", id)})
		}
		all += int64(len(entries))
		active += btoi(state) * int64(len(entries))
		for id := range entries {
			if !expected[id] {
				found = append(found, Difference{id, fmt.Sprintf("is listed on page %d, but does not belong there", number)})
			}
		}
	}
	if all != s.all[number] || active != s.active[number] {
		found = append(found, Difference{What: fmt.Sprintf("page %d lists %d restaurants, %d of them active, but is counted with %d and %d",
			number, all, active, s.all[number], s.active[number])})
	}
	return found
}
