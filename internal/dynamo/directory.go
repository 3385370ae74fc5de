package dynamo

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// The directory makes any offset into the list of restaurants as cheap as the first. It assigns restaurants to pages of
// bounded size in order of their creation, and keeps in one small item, the counts, how many of them each page holds:
//
//	counts            all: [500 500 …  41]     page 0 is the oldest
//	                  active: [498 499 … 41]
//	                  from: [0 1700000000000 …]  each page holds those created at or after its from, in milliseconds
//	g1/0/active       entries: {clxyz123abc: 1700000000123, …}   the page's active restaurants with their creation
//	g1/0/inactive     entries: {…}                               and the others
//
// Summing counts finds the pages that an offset lies in, and only they are read. Active and inactive restaurants of a
// page are apart so that a filter reads no more than it shows, however rare what it admits.
//
// Whoever creates, activates or deactivates a restaurant changes its page and the counts in the same transaction.
// The generation ("g1") changes when RebuildDirectory lays all pages anew; version changes with every write.

const (
	countsID = "counts"
	// pageSize is how many restaurants a page takes before the next one is opened. A full page is some 17 KB, five
	// read units; a million restaurants make 2,000 pages, whose counts are some 36 KB.
	pageSize = 500
	// maxPageSize is how many a page takes at all: restaurants created in the same millisecond, or before the newest
	// one, go to the page of their time even when it is full. It keeps a page well below DynamoDB's 400 KB.
	maxPageSize = 8 * pageSize

	attrEntries = "entries"
	attrAll     = "all"
	attrActive  = "active"
	attrFrom    = "from"
)

// directory is the counts item, and implements usage.Directory.
type directory struct {
	store      *Store
	generation int64
	version    int64
	stored     types.AttributeValue // the version as it is stored: nil where there is none, or something else than a number
	all        []int64              // restaurants of each page, the oldest page first
	active     []int64              // those of them that are active
	from       []int64              // lower bound of each page's creation times, in milliseconds
}

func directoryKey(id string) item { return item{"id": text(id)} }

// pageID names the item of a page's active or inactive restaurants.
func pageID(generation int64, page int, active bool) string {
	state := "inactive"
	if active {
		state = "active"
	}
	return fmt.Sprintf("g%d/%d/%s", generation, page, state)
}

// Directory implements usage.Registry in one round trip.
func (s *Store) Directory(ctx context.Context) (usage.Directory, error) {
	return s.directory(ctx)
}

func (s *Store) directory(ctx context.Context) (*directory, error) {
	d, fault, err := s.readCounts(ctx)
	if err == nil && fault != nil {
		err = fmt.Errorf("the directory's counts need 'sufrahctl directory rebuild': %w", fault)
	}
	return d, err
}

// readCounts returns the counts as far as they make sense, and what doesn't as fault.
func (s *Store) readCounts(ctx context.Context) (d *directory, fault, err error) {
	it, err := s.get(ctx, s.tables.Directory, directoryKey(countsID))
	if err != nil {
		return nil, nil, err
	}
	r := reader{item: it}
	d = &directory{
		store: s, generation: r.number("generation"), version: r.number("version"), stored: it["version"],
		all: r.numbers(attrAll), active: r.numbers(attrActive), from: r.numbers(attrFrom),
	}
	if r.err == nil && (len(d.all) != len(d.active) || len(d.all) != len(d.from)) {
		r.err = fmt.Errorf("%d, %d and %d pages", len(d.all), len(d.active), len(d.from))
	}
	return d, r.err, nil
}

// counts returns how many restaurants of page the filter admits.
func (d *directory) count(page int, filter usage.Filter) int {
	switch filter {
	case usage.ActiveOnly:
		return int(d.active[page])
	case usage.InactiveOnly:
		return int(d.all[page] - d.active[page])
	}
	return int(d.all[page])
}

// Total implements usage.Directory.
func (d *directory) Total(filter usage.Filter) int {
	total := 0
	for page := range d.all {
		total += d.count(page, filter)
	}
	return total
}

// locate returns the pages, newest first, that hold the limit restaurants after offset, and how many of the first
// page's restaurants come before them.
func (d *directory) locate(filter usage.Filter, offset, limit int) (pages []int, skip int) {
	skip = offset
	wanted := 0
	for page := len(d.all) - 1; page >= 0 && (len(pages) == 0 || wanted > 0); page-- {
		n := d.count(page, filter)
		switch {
		case n == 0:
		case len(pages) > 0:
			pages = append(pages, page)
			wanted -= n
		case skip < n:
			pages = append(pages, page)
			wanted = limit - (n - skip)
		default:
			skip -= n
		}
	}
	return pages, skip
}

// entry is one restaurant in a page.
type entry struct {
	id        string
	createdAt int64 // milliseconds since 1970
}

// newestFirst is the order of the list.
func newestFirst(a, b entry) int {
	return cmp.Or(cmp.Compare(b.createdAt, a.createdAt), cmp.Compare(a.id, b.id))
}

// Page implements usage.Directory in two round trips: the pages that hold the restaurants, then their records.
func (d *directory) Page(ctx context.Context, filter usage.Filter, offset, limit int, month usage.Month) ([]usage.Record, error) {
	pages, skip := d.locate(filter, offset, limit)
	if len(pages) == 0 {
		return nil, nil
	}
	entries, err := d.entries(ctx, pages, filter)
	if err != nil {
		return nil, err
	}
	// A restaurant that was switched on or off since the counts were read makes a page hold one more or fewer.
	first := min(skip, len(entries))
	entries = entries[first:min(len(entries), first+limit)]
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.id
	}
	return d.store.records(ctx, ids, []usage.Month{month})
}

// entries returns the restaurants of the pages that the filter admits, in the list's order.
func (d *directory) entries(ctx context.Context, pages []int, filter usage.Filter) ([]entry, error) {
	var keys []tableKey
	byID := make(map[string][]entry)
	for _, page := range pages {
		for _, active := range []bool{true, false} {
			if filter.Admits(active) {
				keys = append(keys, tableKey{d.store.tables.Directory, directoryKey(pageID(d.generation, page, active))})
			}
		}
	}
	var fault error
	missing := len(keys)
	err := d.store.getAll(ctx, keys, func(_ string, it item) {
		missing--
		r := reader{item: it}
		id := r.text("id")
		for restaurantID, createdAt := range r.numberMap(attrEntries) {
			byID[id] = append(byID[id], entry{restaurantID, createdAt})
		}
		if r.err != nil {
			fault = fmt.Errorf("directory page %s: %w", id, r.err)
		}
	})
	if err == nil {
		err = fault
	}
	if err != nil {
		return nil, err
	}
	if missing > 0 {
		// The pages of a generation stay until the one after the next: this reader was slower than two rebuilds.
		return nil, fmt.Errorf("%w: the directory was rebuilt while it was read", outage.ErrUnavailable)
	}
	var entries []entry
	for _, page := range pages {
		of := slices.Concat(byID[pageID(d.generation, page, true)], byID[pageID(d.generation, page, false)])
		slices.SortFunc(of, newestFirst)
		entries = append(entries, of...)
	}
	return entries, nil
}

// pageFor returns the page that a restaurant created at the time belongs to. There must be one.
func (d *directory) pageFor(createdAt int64) int {
	return max(0, sort.Search(len(d.from), func(i int) bool { return d.from[i] > createdAt })-1)
}

// add returns the writes that enter a restaurant, to go into one transaction with the restaurant itself.
func (d *directory) add(ctx context.Context, r restaurant.Restaurant) ([]types.TransactWriteItem, error) {
	createdAt := r.CreatedAt.UnixMilli()
	if len(d.all) == 0 {
		return d.addPage(r, 0), nil
	}
	page := d.pageFor(createdAt)
	if page == len(d.all)-1 && d.all[page] >= pageSize {
		entries, err := d.entries(ctx, []int{page}, usage.All)
		if err != nil {
			return nil, err
		}
		if len(entries) > 0 && createdAt > entries[0].createdAt {
			return d.addPage(r, createdAt), nil
		}
	}
	if d.all[page] >= maxPageSize {
		return nil, fmt.Errorf("directory page %d has no room left: run 'sufrahctl directory rebuild'", page)
	}
	return []types.TransactWriteItem{
		update(d.store.tables.Directory, directoryKey(pageID(d.generation, page, r.Active)), expression{
			set:       "#entries.#id = :createdAt",
			condition: "attribute_exists(#entries)", // the page may be gone, with its generation
			names:     map[string]string{"#entries": attrEntries, "#id": r.ID},
			values:    item{":createdAt": number(createdAt)},
		}),
		d.recount(page, 1, btoi(r.Active)),
	}, nil
}

// addPage opens a page with its first restaurant.
func (d *directory) addPage(r restaurant.Restaurant, from int64) []types.TransactWriteItem {
	page := len(d.all)
	return []types.TransactWriteItem{
		put(d.store.tables.Directory, pageItem(d.generation, page, true, firstEntry(r, true)), expression{}),
		put(d.store.tables.Directory, pageItem(d.generation, page, false, firstEntry(r, false)), expression{}),
		put(d.store.tables.Directory, countsItem(directory{
			generation: d.generation, version: d.version + 1,
			all:    append(slices.Clone(d.all), 1),
			active: append(slices.Clone(d.active), btoi(r.Active)),
			from:   append(slices.Clone(d.from), from),
		}), d.unchanged()),
	}
}

func firstEntry(r restaurant.Restaurant, active bool) []entry {
	if r.Active != active {
		return nil
	}
	return []entry{{r.ID, r.CreatedAt.UnixMilli()}}
}

// move returns the writes that switch a restaurant's entry between active and inactive.
func (d *directory) move(r restaurant.Restaurant, active bool) []types.TransactWriteItem {
	createdAt := r.CreatedAt.UnixMilli()
	page := d.pageFor(createdAt)
	names := map[string]string{"#entries": attrEntries, "#id": r.ID}
	change := int64(-1)
	if active {
		change = 1
	}
	return []types.TransactWriteItem{
		update(d.store.tables.Directory, directoryKey(pageID(d.generation, page, !active)), expression{
			remove:    "#entries.#id",
			condition: "attribute_exists(#entries.#id)",
			names:     names,
		}),
		update(d.store.tables.Directory, directoryKey(pageID(d.generation, page, active)), expression{
			set:       "#entries.#id = :createdAt",
			condition: "attribute_exists(#entries)",
			names:     names,
			values:    item{":createdAt": number(createdAt)},
		}),
		d.recount(page, 0, change),
	}
}

// recount changes the counts of a page, provided that the pages are still those that d knows.
func (d *directory) recount(page int, all, active int64) types.TransactWriteItem {
	return update(d.store.tables.Directory, directoryKey(countsID), expression{
		set:       fmt.Sprintf("#all[%d] = #all[%d] + :all, #active[%d] = #active[%d] + :active", page, page, page, page),
		add:       "#version :one",
		condition: "#generation = :generation AND size(#all) = :pages",
		names: map[string]string{
			"#all": attrAll, "#active": attrActive, "#version": "version", "#generation": "generation",
		},
		values: item{
			":all": number(all), ":active": number(active), ":one": number(1),
			":generation": number(d.generation), ":pages": number(int64(len(d.all))),
		},
	})
}

// unchanged is the condition that nobody wrote the directory since d was read.
func (d *directory) unchanged() expression {
	names := map[string]string{"#version": "version"}
	if d.stored == nil {
		return expression{condition: "attribute_not_exists(#version)", names: names}
	}
	return expression{condition: "#version = :version", names: names, values: item{":version": d.stored}}
}

func countsItem(d directory) item {
	it := directoryKey(countsID)
	it["generation"] = number(d.generation)
	it["version"] = number(d.version)
	it[attrAll] = numbers(d.all)
	it[attrActive] = numbers(d.active)
	it[attrFrom] = numbers(d.from)
	return it
}

func pageItem(generation int64, page int, active bool, entries []entry) item {
	byID := make(item, len(entries))
	for _, e := range entries {
		byID[e.id] = number(e.createdAt)
	}
	it := directoryKey(pageID(generation, page, active))
	it[attrEntries] = &types.AttributeValueMemberM{Value: byID}
	return it
}

func btoi(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// RebuildDirectory lays the directory anew from the restaurants that exist, and returns how many there are. Readers
// see the old pages until the new ones are complete; a restaurant created or switched meanwhile makes it start again.
// It repairs whatever is wrong with the old directory, and has bots' numbers and ids lead to their restaurants. It fails
// with outage.ErrUnavailable.
func (s *Store) RebuildDirectory(ctx context.Context) (int, error) {
	for range directoryAttempts {
		n, err := s.rebuildDirectory(ctx)
		if err == nil {
			return n, nil
		}
		if !failedCondition(err, 0) {
			return 0, fmt.Errorf("rebuilding the directory: %w", err)
		}
	}
	return 0, fmt.Errorf("rebuilding the directory: %w", errDirectoryBusy)
}

// errDirectoryBusy says that others changed the directory whenever it was to be written.
var errDirectoryBusy = fmt.Errorf("%w: the directory is being changed by others", outage.ErrUnavailable)

func (s *Store) rebuildDirectory(ctx context.Context) (int, error) {
	old, _, err := s.readCounts(ctx) // whatever is wrong with them is about to be mended
	if err != nil {
		return 0, err
	}
	generation, err := s.newGeneration(ctx)
	if err != nil {
		return 0, err
	}
	all, err := s.listing(ctx)
	if err != nil {
		return 0, err
	}
	fresh, pages := layOut(generation, all)
	fresh.version = old.version + 1
	group, writing := errgroup.WithContext(ctx)
	group.SetLimit(rebuildWriters)
	for some := range slices.Chunk(pages, rebuildPages) { // made one request at a time: all of them would be large
		group.Go(func() error {
			var items []item
			for _, p := range some {
				items = append(items, p.items()...)
			}
			return s.putAll(writing, s.tables.Directory, items)
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	if err := s.put(ctx, s.tables.Directory, countsItem(fresh), old.unchanged()); err != nil {
		return 0, err
	}
	if err := s.mendNames(ctx); err != nil {
		return 0, err
	}
	return len(all), s.deletePages(ctx, old.generation)
}

// A rebuild writes so many pages in a request, and so many requests at the same time.
const (
	rebuildPages   = batchWriteRows / 2
	rebuildWriters = 4
)

// listed is what the directory needs to know of a restaurant.
type listed struct {
	entry
	active bool
}

// listing reads every restaurant. It holds some hundred bytes of each, so that a million take some 100 MB.
func (s *Store) listing(ctx context.Context) ([]listed, error) {
	var all []listed
	err := s.EachRestaurant(ctx, func(r restaurant.Restaurant) error {
		all = append(all, listed{entry{r.ID, r.CreatedAt.UnixMilli()}, r.Active})
		return nil
	})
	return all, err
}

// newGeneration returns a number that no generation of pages has had, so that rebuilds at the same time, or one that
// died, don't write into each other's pages.
func (s *Store) newGeneration(ctx context.Context) (int64, error) {
	e := expression{add: "#last :one", names: map[string]string{"#last": "last"}, values: item{":one": number(1)}}
	output, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.tables.Directory, Key: directoryKey("generations"), UpdateExpression: e.update(),
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values, ReturnValues: types.ReturnValueUpdatedNew,
	})
	if err != nil {
		return 0, translate(err)
	}
	r := reader{item: output.Attributes}
	return r.number("last"), r.err
}

// page is what a rebuild puts into one page.
type page struct {
	generation  int64
	number      int
	restaurants []listed
}

// items returns the page's two items.
func (p page) items() []item {
	entries := make(map[bool][]entry)
	for _, r := range p.restaurants {
		entries[r.active] = append(entries[r.active], r.entry)
	}
	return []item{pageItem(p.generation, p.number, true, entries[true]), pageItem(p.generation, p.number, false, entries[false])}
}

// layOut returns the counts and the pages of a directory of the restaurants, which it sorts.
func layOut(generation int64, all []listed) (directory, []page) {
	slices.SortFunc(all, func(a, b listed) int { return newestFirst(b.entry, a.entry) })
	d := directory{generation: generation}
	var pages []page
	for len(all) > 0 {
		n := min(pageSize, len(all))
		for n < len(all) && all[n].createdAt == all[n-1].createdAt {
			n++ // the bound between two pages is a time
		}
		from, active := int64(0), int64(0)
		if len(pages) > 0 {
			from = all[0].createdAt
		}
		for _, r := range all[:n] {
			active += btoi(r.active)
		}
		pages = append(pages, page{generation, len(pages), all[:n]})
		d.all, d.active, d.from = append(d.all, int64(n)), append(d.active, active), append(d.from, from)
		all = all[n:]
	}
	return d, pages
}

// deletePages removes the pages of the generations before the given one, which no reader can be in any more.
func (s *Store) deletePages(ctx context.Context, before int64) error {
	var ids []string
	err := s.scan(ctx, s.tables.Directory, func(r *reader) error {
		var generation int64
		if id := r.text("id"); strings.HasPrefix(id, "g") && r.err == nil {
			if _, err := fmt.Sscanf(id, "g%d/", &generation); err == nil && generation < before {
				ids = append(ids, id)
			}
		}
		return r.err
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.delete(ctx, s.tables.Directory, directoryKey(id)); err != nil {
			return err
		}
	}
	return nil
}
