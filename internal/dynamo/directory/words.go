package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/search"
	"github.com/sufrah/usage-bootstrap/internal/task"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// A restaurant is found by the beginning of each of its words: up to eight words of its name, and its id (package search).
// Each word is an item, and an index sorts the items by word:
//
//	id                          wordIn  word                 words                  active
//	word/r1/kebab               ke      kebab/r1             kebab palace r1        true
//	word/r1/palace              pa      palace/r1            kebab palace r1        true
//
// A search reads the ranges of up to three terms (Query.Terms), at most examinedWords items of each: some 15 read units a
// term, for 100 restaurants as for a million, and for any number of matches. All terms and the filter are compared with the
// items' attributes. So results come in the order of the words, and there need not be an item for each beginning of a word.
// The total is exact up to examinedWords; beyond, it is the number counted so far. A restaurant is shown once, at the first
// of its words in the range.
//
// The index is partitioned by a word's first two letters, because a search has at least two. A partition takes 3,000 read
// units a second, some 200 searches. The fullest partition, that of the Arabic article, takes 1,000 writes of restaurants a
// second; restaurants change far less often, and nothing else writes here.
//
// Whether a restaurant is active isn't part of the key. So activating and deactivating change an item in place, and somebody
// who reads page after page neither misses the restaurant nor sees it twice. Creating, activating or deactivating a
// restaurant writes its words in the same transaction. The index follows within a second.
const (
	wordPrefix = "word/"

	attrWord  = "word"
	attrWords = "words"

	examinedWords = 1000
)

// MaxWords is the most items of a restaurant's words.
const MaxWords = 9

// wordIn returns the index's partition of a word.
func wordIn(word string) string {
	runes := []rune(word)
	return string(runes[:min(len(runes), search.MinTerm)])
}

// wordItems returns the items of a restaurant's words. A word that is too short to be a search's longest term has none.
func wordItems(r restaurant.Restaurant) []table.Item {
	words := search.Words(r.Name, r.ID)
	items := make([]table.Item, 0, len(words))
	for _, word := range words {
		if len([]rune(word)) < search.MinTerm {
			continue
		}
		it := key(wordPrefix + r.ID + "/" + word)
		it[schema.AttrWordIn] = table.Text(wordIn(word))
		it[attrWord] = table.Text(word + "/" + r.ID)
		it[attrWords] = table.Text(strings.Join(words, " "))
		it[schema.AttrActive] = table.Flag(r.Active)
		items = append(items, it)
	}
	return items
}

// putWords returns the writes of a restaurant's words.
func (d *Directory) putWords(r restaurant.Restaurant) []table.Write {
	var writes []table.Write
	for _, it := range wordItems(r) {
		writes = append(writes, table.Put(d.names.Directory, it, table.Expression{}))
	}
	return writes
}

// Search returns the matching restaurants, in the order of the matching words, in one round trip.
//
// It reads the ranges of all terms at the same time. Each restaurant that matches is in every term's range, so the matches in
// a range that was read to its end are all matches. For "kebab 77" that is the range of "77", however many kebabs there are.
// A search that continues after a hit continues in the hit's range.
func (d *Directory) Search(ctx context.Context, q search.Query, filter usage.Filter, start usage.Start, limit int) (usage.Found, error) {
	terms := q.Terms()
	if start.Behind != nil {
		terms = []string{q.TermOf(start.Behind.Word)}
	}
	read := make([]matches, len(terms))
	group, reading := task.WithContext(ctx)
	for i, term := range terms {
		group.Go(func() (err error) {
			read[i], err = d.matching(reading, q, term, filter, start.Behind)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return usage.Found{}, fmt.Errorf("index %s: %w", schema.WordIndex, err)
	}
	of := read[0]
	for _, other := range read[1:] {
		if other.ended && !of.ended {
			of = other
		}
	}
	before, first := 0, min(start.Offset, len(of.hits))
	found := usage.Found{Offset: start.Offset}
	if start.Behind != nil {
		before, first = start.Behind.Before, 0
		found.Offset = before
	}
	found.Total, found.AtLeast = before+len(of.hits), !of.ended
	page := of.hits[first:min(len(of.hits), first+limit)]
	for _, hit := range page {
		found.IDs = append(found.IDs, hit.ID)
	}
	switch end := first + len(page); {
	case end < len(of.hits):
		next := of.hits[end-1]
		next.Before = before + end
		found.Next = &next
	case !of.ended:
		of.last.Before = before + len(of.hits)
		found.Next = &of.last
	}
	return found, nil
}

// matches has the matches in a term's range.
type matches struct {
	hits  []usage.Hit
	last  usage.Hit // the last examined item, whether it matches or not
	ended bool      // whether the range was examined to its end
}

// matching examines a term's range from its start, or from behind a hit on.
func (d *Directory) matching(ctx context.Context, q search.Query, term string, filter usage.Filter, behind *usage.Hit) (matches, error) {
	low := term
	if behind != nil {
		low = behind.Word + "/" + behind.ID
	}
	found := matches{ended: true}
	examined := 0
	err := d.db.Query(ctx, table.Query{Table: d.names.Directory, Index: schema.WordIndex, Limit: examinedWords + 1, Key: table.Expression{
		Condition: "#in = :in AND #word BETWEEN :low AND :high",
		Names:     map[string]string{"#in": schema.AttrWordIn, "#word": attrWord},
		Values:    table.Item{":in": table.Text(wordIn(term)), ":low": table.Text(low), ":high": table.Text(term + "\U0010FFFF")},
	}}, func(r *table.Reader) error {
		if examined++; examined > examinedWords {
			found.ended = false
			return r.Err
		}
		at := r.Text(attrWord)
		if behind != nil && at == low {
			return r.Err
		}
		word, id, _ := strings.Cut(at, "/")
		found.last = usage.Hit{Word: word, ID: id}
		words := strings.Fields(r.Text(attrWords))
		if active := r.Flag(schema.AttrActive); q.Matches(words) && search.First(words, term) == word && filter.Admits(active) {
			found.hits = append(found.hits, found.last)
		}
		return r.Err
	})
	return found, err
}

// wrongWords compares the stored words with the restaurants. It returns the items that are missing or wrong, and the items
// that belong to no restaurant.
func (d *Directory) wrongWords(ctx context.Context, all []listed) (missing []wordOf, left []wordOf, err error) {
	position := make(map[string]int, len(all))
	for i, r := range all {
		position[r.id] = i
	}
	right := make([]uint16, len(all)) // for each restaurant, a set of bits of its correct items
	err = d.db.Scan(ctx, d.names.Directory, func(r *table.Reader) error {
		itemID := r.Text(attrID)
		name, ok := strings.CutPrefix(itemID, wordPrefix)
		if !ok || r.Err != nil {
			return r.Err
		}
		restaurantID, _, _ := strings.Cut(name, "/")
		at, exists := position[restaurantID]
		n, items := -1, []table.Item(nil)
		if exists {
			items = wordItems(all[at].restaurant())
			n = slices.IndexFunc(items, func(it table.Item) bool { return table.Same(it[attrID], r.Item[attrID]) })
		}
		if n < 0 {
			of := wordOf{item: key(itemID), restaurantID: restaurantID}
			if exists {
				of.name = all[at].name
			}
			left = append(left, of)
			return nil
		}
		same := true
		for _, attribute := range []string{schema.AttrWordIn, attrWord, attrWords, schema.AttrActive} {
			same = same && table.Same(items[n][attribute], r.Item[attribute])
		}
		if same {
			right[at] |= 1 << n
		}
		return nil
	})
	for at, r := range all {
		for n, it := range wordItems(r.restaurant()) {
			if right[at]&(1<<n) == 0 {
				missing = append(missing, wordOf{it, r.id, r.name})
			}
		}
	}
	return missing, left, err
}

// wordOf is an item of a restaurant's words.
type wordOf struct {
	item         table.Item
	restaurantID string
	name         string // the restaurant's name as it was read; empty if there is no such restaurant
}

func (d *Directory) checkWords(ctx context.Context, all []listed) ([]Difference, error) {
	missing, left, err := d.wrongWords(ctx, all)
	var found []Difference
	for i, of := range missing { // a restaurant's words follow each other
		if i > 0 && missing[i-1].restaurantID == of.restaurantID {
			found[len(found)-1].What += ", " + of.word()
		} else {
			found = append(found, Difference{of.restaurantID, "is not found by searching for " + of.word()})
		}
	}
	for _, of := range left {
		found = append(found, Difference{of.restaurantID, "is wrongly found by searching for " + of.word()})
	}
	return found, err
}

func (of wordOf) word() string {
	r := table.Reader{Item: of.item}
	_, word, _ := strings.Cut(strings.TrimPrefix(r.Text(attrID), wordPrefix), "/")
	return fmt.Sprintf("%q", word)
}

// mendWords writes the missing and wrong words. If a restaurant is activated or deactivated meanwhile, the directory's
// version changes. The rebuild then starts again, and corrects a word that was written too late.
func (d *Directory) mendWords(ctx context.Context, missing []wordOf) error {
	group, writing := task.WithContext(ctx)
	group.SetLimit(rebuildWriters)
	for some := range slices.Chunk(missing, table.BatchWriteRows) {
		group.Go(func() error {
			items := make([]table.Item, len(some))
			for i, of := range some {
				items[i] = of.item
			}
			return d.db.PutAll(writing, d.names.Directory, items)
		})
	}
	return group.Wait()
}

// removeWords deletes the words that belonged to no restaurant, each only if the restaurant hasn't been created or renamed
// since it was read.
func (d *Directory) removeWords(ctx context.Context, left []wordOf) error {
	for _, of := range left {
		e := table.Expression{Condition: "attribute_not_exists(#name)", Names: map[string]string{"#name": schema.AttrName}}
		if of.name != "" {
			e.Condition, e.Values = "#name = :name", table.Item{":name": table.Text(of.name)}
		}
		err := d.db.Transact(ctx, []table.Write{
			table.Delete(d.names.Directory, of.item, table.Expression{}),
			table.Check(d.names.Restaurants, schema.RestaurantKey(of.restaurantID), e),
		}, "")
		if err != nil && !table.FailedCondition(err, 1) {
			return err
		}
	}
	return nil
}
