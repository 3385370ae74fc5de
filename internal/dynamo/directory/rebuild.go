package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/task"
)

// Rebuild builds the directory anew from the existing restaurants and bots, and returns the number of restaurants. It repairs
// every fault of the old directory, and enters names and words that older versions didn't have. Readers see the old pages
// until the new pages are complete. If a restaurant is created, activated or deactivated meanwhile, Rebuild starts again. It
// fails with outage.ErrUnavailable.
func (d *Directory) Rebuild(ctx context.Context) (int, error) {
	for range Attempts {
		n, err := d.rebuild(ctx)
		if err == nil {
			return n, nil
		}
		if !table.FailedCondition(err, 0) {
			return 0, fmt.Errorf("rebuilding the directory: %w", err)
		}
	}
	return 0, fmt.Errorf("rebuilding the directory: %w", ErrBusy)
}

func (d *Directory) rebuild(ctx context.Context) (int, error) {
	old, _, err := d.readCounts(ctx) // faults are about to be mended
	if err != nil {
		return 0, err
	}
	generation, err := d.newGeneration(ctx)
	if err != nil {
		return 0, err
	}
	all, err := d.listing(ctx)
	if err != nil {
		return 0, err
	}
	missing, left, err := d.wrongWords(ctx, all)
	if err != nil {
		return 0, err
	}
	if err := d.mendWords(ctx, missing); err != nil {
		return 0, err
	}
	restaurants := len(all)
	fresh, pages := layOut(generation, all)
	group, writing := task.WithContext(ctx)
	group.SetLimit(rebuildWriters)
	for some := range slices.Chunk(pages, rebuildPages) { // items are made for one request at a time: all at once would take much memory
		group.Go(func() error {
			var items []table.Item
			for _, p := range some {
				items = append(items, p.items()...)
			}
			return d.db.PutAll(writing, d.names.Directory, items)
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	if err := d.db.Put(ctx, d.names.Directory, countsItem(generation, old.version+1, fresh), old.unchanged()); err != nil {
		return 0, err
	}
	if err := d.mendNames(ctx); err != nil {
		return 0, err
	}
	if err := d.removeWords(ctx, left); err != nil {
		return 0, err
	}
	return restaurants, d.deletePages(ctx, old.generation)
}

// A rebuild writes this many pages in a request, and sends this many requests at the same time.
const (
	rebuildPages   = table.BatchWriteRows / 2
	rebuildWriters = 4
)

// listed is the part of a restaurant's data that the directory holds.
type listed struct {
	entry
	active bool
	name   string
}

func (l listed) restaurant() restaurant.Restaurant {
	return restaurant.Restaurant{ID: l.id, Name: l.name, Active: l.active}
}

// listing reads all restaurants. It keeps some hundred bytes of each, so that a million take some 100 MB of memory.
func (d *Directory) listing(ctx context.Context) ([]listed, error) {
	var all []listed
	err := d.db.Scan(ctx, d.names.Restaurants, func(r *table.Reader) error {
		of := schema.ReadRestaurant(r)
		all = append(all, listed{entry{of.ID, of.CreatedAt.UnixMilli()}, of.Active, of.Name})
		if r.Err != nil {
			return fmt.Errorf("restaurant %q: %w", of.ID, r.Err)
		}
		return nil
	})
	return all, err
}

// newGeneration returns a number that no earlier generation of pages has had. So no rebuild writes into another's pages,
// whether they run at the same time or one of them died.
func (d *Directory) newGeneration(ctx context.Context) (int64, error) {
	e := table.Expression{Add: "#last :one", Names: map[string]string{"#last": "last"}, Values: table.Item{":one": table.Number(1)}}
	generations, err := d.db.Change(ctx, d.names.Directory, key("generations"), e, types.ReturnValueUpdatedNew)
	if err != nil {
		return 0, err
	}
	r := table.Reader{Item: generations}
	return r.Number("last"), r.Err
}

// page is a page as a rebuild writes it.
type page struct {
	generation  int64
	number      int
	restaurants []listed
}

// items returns the page's two items.
func (p page) items() []table.Item {
	entries := make(map[bool][]entry)
	for _, r := range p.restaurants {
		entries[r.active] = append(entries[r.active], r.entry)
	}
	return []table.Item{pageItem(p.generation, p.number, true, entries[true]), pageItem(p.generation, p.number, false, entries[false])}
}

// layOut sorts the restaurants and returns the counts and pages of their directory.
func layOut(generation int64, all []listed) (counts, []page) {
	slices.SortFunc(all, func(a, b listed) int { return newestFirst(b.entry, a.entry) })
	var c counts
	var pages []page
	for len(all) > 0 {
		n := min(pageSize, len(all))
		for n < len(all) && all[n].createdAt == all[n-1].createdAt {
			n++ // restaurants of the same millisecond stay on one page
		}
		from, active := int64(0), int64(0)
		if len(pages) > 0 {
			from = all[0].createdAt
		}
		for _, r := range all[:n] {
			active += btoi(r.active)
		}
		pages = append(pages, page{generation, len(pages), all[:n]})
		c.all, c.active, c.from = append(c.all, int64(n)), append(c.active, active), append(c.from, from)
		all = all[n:]
	}
	return c, pages
}

// deletePages deletes the pages of all generations before the given one, which no reader uses any more.
func (d *Directory) deletePages(ctx context.Context, before int64) error {
	var ids []string
	err := d.db.Scan(ctx, d.names.Directory, func(r *table.Reader) error {
		var generation int64
		if id := r.Text("id"); strings.HasPrefix(id, "g") && r.Err == nil {
			if _, err := fmt.Sscanf(id, "g%d/", &generation); err == nil && generation < before {
				ids = append(ids, id)
			}
		}
		return r.Err
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := d.db.Delete(ctx, d.names.Directory, key(id)); err != nil {
			return err
		}
	}
	return nil
}

// Tidy rebuilds the directory if a page has grown far beyond pageSize, as happens if many restaurants are added with early
// creation times. Afterwards every page of the list costs the same again. It reports whether it rebuilt.
func (d *Directory) Tidy(ctx context.Context) (bool, error) {
	s, err := d.Read(ctx)
	if err != nil {
		return false, err
	}
	if len(s.all) == 0 || slices.Max(s.all) <= 2*pageSize {
		return false, nil
	}
	_, err = d.Rebuild(ctx)
	return err == nil, err
}
