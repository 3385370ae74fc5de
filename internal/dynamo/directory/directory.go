// Package directory orders restaurants by creation and counts them. It finds a restaurant by its bot's number or id, and by
// the beginnings of words.
package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// The directory makes every offset into the list of restaurants as cheap as the first. It assigns restaurants to pages of
// bounded size, in order of creation. A small item, the counts, holds the number of restaurants on each page:
//
//	counts            all: [500 500 …  41]     page 0 is the oldest
//	                  active: [498 499 … 41]
//	                  from: [0 1700000000000 …]  earliest creation time on each page, in milliseconds
//	g1/0/active       entries: {clxyz123abc: 1700000000123, …}   the page's active restaurants with their creation times
//	g1/0/inactive     entries: {…}                               the page's inactive restaurants
//
// The sums of the counts tell which pages an offset lies in, and only these pages are read. Active and inactive restaurants
// of a page are separate items, so that a filtered list reads only restaurants that it shows.
//
// Creating, activating or deactivating a restaurant changes its page and the counts in the same transaction. The generation
// ("g1") changes when Rebuild writes all pages anew; the version changes with every write.

const (
	attrID   = "id" // key of every item
	countsID = "counts"
	// pageSize is the number of restaurants on a page after which the next page is opened. A full page has some 17 KB, five
	// read units; a million restaurants make 2,000 pages, with some 36 KB of counts.
	pageSize = 500
	// maxPageSize is the most restaurants on a page, well below DynamoDB's 400 KB. A page exceeds pageSize if restaurants are
	// created in the same millisecond, or with an earlier creation time than its newest restaurant: these go to the page of
	// their time even if it is full.
	maxPageSize = 8 * pageSize

	attrEntries = "entries"
	attrAll     = "all"
	attrActive  = "active"
	attrFrom    = "from"
)

// Directory reads and changes the directory. It is safe for concurrent use.
type Directory struct {
	db    *table.DB
	names schema.Tables
}

// New returns a Directory over the tables.
func New(db *table.DB, names schema.Tables) *Directory { return &Directory{db: db, names: names} }

// Snapshot is the directory's counts at the moment of reading.
type Snapshot struct {
	directory  *Directory
	generation int64
	version    int64
	stored     table.Value // the stored version, which may be no number; nil if there is none
	counts
}

// counts has the number of restaurants on each page, the oldest page first.
type counts struct {
	all    []int64 // all restaurants of each page
	active []int64 // active restaurants of each page
	from   []int64 // lower bound of each page's creation times, in milliseconds
}

func key(id string) table.Item { return table.Item{attrID: table.Text(id)} }

// pageID names the item of a page's active or inactive restaurants.
func pageID(generation int64, page int, active bool) string {
	state := "inactive"
	if active {
		state = "active"
	}
	return fmt.Sprintf("g%d/%d/%s", generation, page, state)
}

// Read returns the counts, in one round trip.
func (d *Directory) Read(ctx context.Context) (*Snapshot, error) {
	s, fault, err := d.readCounts(ctx)
	if err == nil && fault != nil {
		err = fmt.Errorf("the directory's counts need 'sufrahctl directory rebuild': %w", fault)
	}
	return s, err
}

// readCounts returns the valid part of the counts, and their first inconsistency as fault.
func (d *Directory) readCounts(ctx context.Context) (s *Snapshot, fault, err error) {
	it, err := d.db.Get(ctx, d.names.Directory, key(countsID))
	if err != nil {
		return nil, nil, err
	}
	r := table.Reader{Item: it}
	s = &Snapshot{
		directory: d, generation: r.Number("generation"), version: r.Number("version"), stored: it["version"],
		counts: counts{all: r.Numbers(attrAll), active: r.Numbers(attrActive), from: r.Numbers(attrFrom)},
	}
	if r.Err == nil && (len(s.all) != len(s.active) || len(s.all) != len(s.from)) {
		r.Err = fmt.Errorf("the lists of counts cover %d, %d and %d pages", len(s.all), len(s.active), len(s.from))
	}
	return s, r.Err, nil
}

// admitted returns the number of a page's restaurants that the filter admits.
func (c counts) admitted(page int, filter usage.Filter) int {
	switch filter {
	case usage.ActiveOnly:
		return int(c.active[page])
	case usage.InactiveOnly:
		return int(c.all[page] - c.active[page])
	}
	return int(c.all[page])
}

// Total returns the number of restaurants that the filter admits.
func (c counts) Total(filter usage.Filter) int {
	total := 0
	for page := range c.all {
		total += c.admitted(page, filter)
	}
	return total
}

// locate returns the pages, newest first, that hold the limit restaurants after offset. skip is the number of restaurants on
// the first of these pages that come before the offset.
func (c counts) locate(filter usage.Filter, offset, limit int) (pages []int, skip int) {
	skip = offset
	wanted := 0
	for page := len(c.all) - 1; page >= 0 && (len(pages) == 0 || wanted > 0); page-- {
		n := c.admitted(page, filter)
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

// pageFor returns the page for a creation time. There must be at least one page.
func (c counts) pageFor(createdAt int64) int {
	return max(0, sort.Search(len(c.from), func(i int) bool { return c.from[i] > createdAt })-1)
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

// IDs returns the ids of at most limit restaurants that the filter admits, after skipping offset of them, in one round trip.
// The order is newest first, and by id for equal times.
func (s *Snapshot) IDs(ctx context.Context, filter usage.Filter, offset, limit int) ([]string, error) {
	pages, skip := s.locate(filter, offset, limit)
	if len(pages) == 0 {
		return nil, nil
	}
	entries, err := s.entries(ctx, pages, filter)
	if err != nil {
		return nil, err
	}
	// If a restaurant was switched on or off since the counts were read, a page holds one entry more or fewer than counted.
	first := min(skip, len(entries))
	entries = entries[first:min(len(entries), first+limit)]
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.id
	}
	return ids, nil
}

// Stretch is a part of the list of restaurants.
type Stretch struct {
	IDs    []string
	Offset int          // number of restaurants before it
	Next   *usage.Place // the place after which the list continues; nil at its end
}

// After returns at most limit restaurants that follow a place in the list and that the filter admits, newest first, in one
// round trip.
//
// After reads the place's page, and as many older pages as fill the limit, since the place may be the last of its page: at most
// one page more than at an offset. A restaurant never changes its page, so none is skipped. If Rebuild has replaced the
// pages, the place is found in the new pages by its time.
func (s *Snapshot) After(ctx context.Context, filter usage.Filter, place usage.Place, limit int) (Stretch, error) {
	if len(s.all) == 0 {
		return Stretch{}, nil
	}
	from := entry{place.ID, place.CreatedAt.UnixMilli()}
	first := s.pageFor(from.createdAt)
	var found Stretch
	for page := first + 1; page < len(s.all); page++ {
		found.Offset += s.admitted(page, filter)
	}
	var pages []int
	older := first // the newest page that is not read
	for wanted := limit; older >= 0 && (older == first || wanted > 0); older-- {
		if n := s.admitted(older, filter); n > 0 {
			pages = append(pages, older)
			if older != first {
				wanted -= n
			}
		}
	}
	entries, err := s.entries(ctx, pages, filter)
	if err != nil {
		return Stretch{}, err
	}
	before, passed := slices.BinarySearchFunc(entries, from, newestFirst)
	if passed {
		before++
	}
	found.Offset += before
	entries = entries[before:]
	more := false
	for page := range older + 1 {
		more = more || s.admitted(page, filter) > 0
	}
	if len(entries) > limit {
		entries, more = entries[:limit], true
	}
	found.IDs = make([]string, len(entries))
	for i, e := range entries {
		found.IDs[i] = e.id
		from = e
	}
	switch {
	case more && len(entries) > 0:
		found.Next = &usage.Place{CreatedAt: time.UnixMilli(from.createdAt), ID: from.id}
	case more: // all expected restaurants were switched since the counts were read
		found.Next = &usage.Place{CreatedAt: time.UnixMilli(s.from[older+1]), ID: lastID}
	}
	return found, nil
}

// lastID is the last possible id. A place with it follows all restaurants of its time.
var lastID = strings.Repeat("z", 64)

// entries returns the restaurants on the pages that the filter admits, in the list's order.
func (s *Snapshot) entries(ctx context.Context, pages []int, filter usage.Filter) ([]entry, error) {
	var keys []table.Key
	byID := make(map[string][]entry)
	for _, page := range pages {
		for _, active := range []bool{true, false} {
			if filter.Admits(active) {
				keys = append(keys, table.Key{Table: s.directory.names.Directory, Key: key(pageID(s.generation, page, active))})
			}
		}
	}
	var fault error
	missing := len(keys)
	err := s.directory.db.GetAll(ctx, keys, func(_ string, it table.Item) {
		missing--
		r := table.Reader{Item: it}
		id := r.Text(attrID)
		for restaurantID, createdAt := range r.NumberMap(attrEntries) {
			byID[id] = append(byID[id], entry{restaurantID, createdAt})
		}
		if r.Err != nil {
			fault = fmt.Errorf("directory page %s: %w", id, r.Err)
		}
	})
	if err == nil {
		err = fault
	}
	if err != nil {
		return nil, err
	}
	if missing > 0 {
		// Pages are deleted only two generations later, so two rebuilds have ended during this read.
		return nil, fmt.Errorf("%w: the directory was rebuilt while it was read", outage.ErrUnavailable)
	}
	var entries []entry
	for _, page := range pages {
		of := slices.Concat(byID[pageID(s.generation, page, true)], byID[pageID(s.generation, page, false)])
		slices.SortFunc(of, newestFirst)
		entries = append(entries, of...)
	}
	return entries, nil
}
