package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// If others change the directory's pages meanwhile, a write is tried up to Attempts times. Before each new try it waits for a
// random part of Delay.
const (
	Attempts = 10
	Delay    = 200 * time.Millisecond
)

// ErrBusy says that others changed the directory during each attempt to write it.
var ErrBusy = fmt.Errorf("%w: others keep changing the directory", outage.ErrUnavailable)

// FullError says that the restaurant's page is full. Rebuild makes room, unless all restaurants of the page were created in
// the same millisecond.
type FullError struct{ Restaurant restaurant.Restaurant }

func (e *FullError) Error() string {
	return fmt.Sprintf("the directory page of restaurant %s has no room left: run 'sufrahctl directory rebuild'", e.Restaurant.ID)
}

// Change reads the directory and carries out the writes that build returns for it, in one transaction. The first writes, own
// in number, are the caller's, the others the directory's. If a condition of the caller's fails, Change returns the error. If
// only conditions of the directory fail, others have changed its pages, and Change starts again.
func (d *Directory) Change(ctx context.Context, own int, build func(*Snapshot) ([]table.Write, error)) error {
	for range Attempts {
		snapshot, err := d.Read(ctx)
		if err != nil {
			return err
		}
		writes, err := build(snapshot)
		if err != nil || len(writes) == 0 {
			return err
		}
		err = d.db.Transact(ctx, writes, "")
		var condition *table.ConditionError
		if !errors.As(err, &condition) || condition.Lowest() < own {
			return err
		}
		if err := d.db.Wait(ctx, Delay); err != nil {
			return err
		}
	}
	return ErrBusy
}

// MaxEntered is the most restaurants for Enter. Each takes up to 1 + MaxWords writes here, and two of the caller's. Four more
// are for pages. That is 8 × 12 + 4 = 100, the most for a transaction.
const MaxEntered = 8

// Enter returns the writes that enter restaurants in the directory, for one transaction with the restaurants themselves.
// These are at most one write for each restaurant, four more, and the writes for the restaurants' words. It fails with
// *FullError.
func (s *Snapshot) Enter(ctx context.Context, restaurants ...restaurant.Restaurant) ([]table.Write, error) {
	after := counts{all: slices.Clone(s.all), active: slices.Clone(s.active), from: slices.Clone(s.from)}
	entered := make(map[string][]entry) // by page item
	var newest *int64                   // creation time of the last page's newest restaurant; read only if needed
	for _, r := range restaurants {
		e := entry{r.ID, r.CreatedAt.UnixMilli()}
		page := len(after.all)
		if page > 0 {
			page = after.pageFor(e.createdAt)
		}
		if page == len(after.all)-1 && page < len(s.all) && after.all[page] >= pageSize {
			if newest == nil {
				var err error
				if newest, err = s.newest(ctx, page); err != nil {
					return nil, err
				}
				for _, earlier := range slices.Concat(entered[pageID(s.generation, page, true)], entered[pageID(s.generation, page, false)]) {
					*newest = max(*newest, earlier.createdAt)
				}
			}
			if e.createdAt > *newest {
				page++
			}
		}
		switch {
		case page == len(after.all):
			from := e.createdAt
			if page == 0 {
				from = 0
			}
			after.all, after.active, after.from = append(after.all, 0), append(after.active, 0), append(after.from, from)
		case after.all[page] >= maxPageSize:
			return nil, &FullError{r}
		}
		id := pageID(s.generation, page, r.Active)
		entered[id] = append(entered[id], e)
		after.all[page]++
		after.active[page] += btoi(r.Active)
	}
	writes := append(s.enterPages(entered, len(after.all)), s.recount(after))
	for _, r := range restaurants {
		writes = append(writes, s.directory.putWords(r)...)
	}
	return writes, nil
}

// newest returns the creation time of a page's newest restaurant.
func (s *Snapshot) newest(ctx context.Context, page int) (*int64, error) {
	entries, err := s.entries(ctx, []int{page}, usage.All)
	newest := int64(-1)
	if len(entries) > 0 {
		newest = entries[0].createdAt
	}
	return &newest, err
}

// enterPages returns the writes that enter restaurants in pages. pages is the number of pages after that.
func (s *Snapshot) enterPages(entered map[string][]entry, pages int) []table.Write {
	var writes []table.Write
	for page := len(s.all); page < pages; page++ {
		for _, active := range []bool{true, false} {
			id := pageID(s.generation, page, active)
			writes = append(writes, table.Put(s.directory.names.Directory, pageItem(s.generation, page, active, entered[id]), table.Expression{}))
			delete(entered, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(entered)) {
		e := table.Expression{
			Condition: "attribute_exists(#entries)", // the page may be gone, with its generation
			Names:     map[string]string{"#entries": attrEntries}, Values: make(table.Item),
		}
		for i, of := range entered[id] {
			name, value := fmt.Sprint("#n", i), fmt.Sprint(":v", i)
			e.Set = table.Joined(e.Set, ", ", fmt.Sprintf("#entries.%s = %s", name, value))
			e.Names[name], e.Values[value] = of.id, table.Number(of.createdAt)
		}
		writes = append(writes, table.Update(s.directory.names.Directory, key(id), e))
	}
	return writes
}

// Move returns the writes that switch a restaurant's entry, and its search words, between active and inactive.
func (s *Snapshot) Move(r restaurant.Restaurant, active bool) []table.Write {
	createdAt := r.CreatedAt.UnixMilli()
	page := s.pageFor(createdAt)
	names := map[string]string{"#entries": attrEntries, "#id": r.ID}
	after := counts{all: s.all, active: slices.Clone(s.active), from: s.from}
	after.active[page] += 2*btoi(active) - 1
	writes := []table.Write{
		table.Update(s.directory.names.Directory, key(pageID(s.generation, page, !active)), table.Expression{
			Remove:    "#entries.#id",
			Condition: "attribute_exists(#entries.#id)",
			Names:     names,
		}),
		table.Update(s.directory.names.Directory, key(pageID(s.generation, page, active)), table.Expression{
			Set:       "#entries.#id = :createdAt",
			Condition: "attribute_exists(#entries)",
			Names:     names,
			Values:    table.Item{":createdAt": table.Number(createdAt)},
		}),
		s.recount(after),
	}
	r.Active = active
	return append(writes, s.directory.putWords(r)...)
}

// Rename returns the writes that replace the search words of a restaurant's name by the words of another name. They change
// the directory's version, so that a rebuild or check that read the old name starts again.
func (s *Snapshot) Rename(r restaurant.Restaurant, name string) []table.Write {
	if r.Name == name {
		return nil
	}
	renamed := r
	renamed.Name = name
	writes := s.directory.putWords(renamed)
	kept := wordItems(renamed)
	for _, it := range wordItems(r) {
		if !slices.ContainsFunc(kept, func(of table.Item) bool { return table.Same(of[attrID], it[attrID]) }) {
			writes = append(writes, table.Delete(s.directory.names.Directory, table.Item{attrID: it[attrID]}, table.Expression{}))
		}
	}
	if s.stored == nil {
		return append(writes, table.Check(s.directory.names.Directory, key(countsID), s.unchanged()))
	}
	return append(writes, table.Update(s.directory.names.Directory, key(countsID), table.Expression{
		Add:       "#version :one",
		Condition: "#generation = :generation",
		Names:     map[string]string{"#version": "version", "#generation": "generation"},
		Values:    table.Item{":one": table.Number(1), ":generation": table.Number(s.generation)},
	}))
}

// recount returns the write that changes the counts. Without new pages it adds the differences, under the condition that s's
// pages still exist. With new pages it overwrites all counts, under the condition that the directory hasn't changed since s
// was read.
func (s *Snapshot) recount(after counts) table.Write {
	if len(after.all) > len(s.all) {
		return table.Put(s.directory.names.Directory, countsItem(s.generation, s.version+1, after), s.unchanged())
	}
	e := table.Expression{
		Add:       "#version :one",
		Condition: "#generation = :generation AND size(#all) = :pages",
		Names: map[string]string{
			"#all": attrAll, "#active": attrActive, "#version": "version", "#generation": "generation",
		},
		Values: table.Item{
			":one": table.Number(1), ":generation": table.Number(s.generation), ":pages": table.Number(int64(len(s.all))),
		},
	}
	for page := range s.all {
		all, active := after.all[page]-s.all[page], after.active[page]-s.active[page]
		if all == 0 && active == 0 {
			continue
		}
		e.Set = table.Joined(e.Set, ", ", fmt.Sprintf("#all[%[1]d] = #all[%[1]d] + :all%[1]d, #active[%[1]d] = #active[%[1]d] + :active%[1]d", page))
		e.Values[fmt.Sprint(":all", page)], e.Values[fmt.Sprint(":active", page)] = table.Number(all), table.Number(active)
	}
	return table.Update(s.directory.names.Directory, key(countsID), e)
}

// unchanged is the condition that the directory hasn't changed since s was read.
func (s *Snapshot) unchanged() table.Expression {
	names := map[string]string{"#version": "version"}
	if s.stored == nil {
		return table.Expression{Condition: "attribute_not_exists(#version)", Names: names}
	}
	return table.Expression{Condition: "#version = :version", Names: names, Values: table.Item{":version": s.stored}}
}

func countsItem(generation, version int64, c counts) table.Item {
	it := key(countsID)
	it["generation"] = table.Number(generation)
	it["version"] = table.Number(version)
	it[attrAll] = table.Numbers(c.all)
	it[attrActive] = table.Numbers(c.active)
	it[attrFrom] = table.Numbers(c.from)
	return it
}

func pageItem(generation int64, page int, active bool, entries []entry) table.Item {
	byID := make(table.Item, len(entries))
	for _, e := range entries {
		byID[e.id] = table.Number(e.createdAt)
	}
	it := key(pageID(generation, page, active))
	it[attrEntries] = table.Map(byID)
	return it
}

func btoi(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
