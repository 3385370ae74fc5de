package ranking

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
)

// A board is a counted list of restaurants. Each restaurant is at one place of a board, or at none. There is a board for each
// month, and a board of plans:
//
//	board     place                       restaurants at this place
//	2026-11   083                         have used 83 whole percent of the month's effective limit; 200 is 200 and more
//	          default/<used>/<topped up>  have no bot, and so the default limit, which is configured and not stored
//	plans     limited, default            are active, and have a limit; are active, and have no bot
//
// A board is stored in the usage table, in 64 leaves. The hash of a restaurant's id decides its leaf. Each leaf is a
// partition key of its own, so that a month's first conversations, or the reads of a page, are spread over partitions:
//
//	restaurantId         period               attributes
//	ranking/2026-11/3f   of/<id>              place       the restaurant's place
//	                     at/083/<id>                      the same, in the order of places
//	                     counts               083: 12, …  number of restaurants at each place
//
// The three items are written in one transaction, so that counts and entries always agree. The counts of plans change rarely,
// and each page of alerts reads all of them: eight leaves share an item.
type board string

const plans board = "plans"

const (
	leaves       = 64
	leavesOfItem = 8 // leaves in an item of the counts of plans

	// defaultLeaf holds the places of a month's restaurants without a bot, which are always read together. They are few:
	// without a bot, a restaurant has only imported conversations, or conversations from the time when it had one.
	defaultLeaf = leaves

	attrPlace   = "place"
	countsEntry = "counts"
	lastID      = "~" // sorts after every id
)

func leafOf(restaurantID string) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(restaurantID)) // never fails
	return int(hash.Sum32() % leaves)
}

// place is a restaurant's place on a board; "" means none.
type place string

const placeLimited place = "limited"

const classDefault = "default"

func percentPlace(percent int64) place { return place(fmt.Sprintf("%03d", percent)) }

func defaultPlace(used, toppedUp int64) place {
	return place(fmt.Sprintf("%s/%d/%d", classDefault, used, toppedUp))
}

// class is the group in which a place is counted. All places of the default limit are one group.
func (p place) class() string {
	class, _, _ := strings.Cut(string(p), "/")
	return class
}

// defaultFigures parses a place of the default limit.
func defaultFigures(p place) (used, toppedUp int64, err error) {
	figures := strings.Split(string(p), "/")
	if len(figures) != 3 || figures[0] != classDefault {
		return 0, 0, fmt.Errorf("place %q of the ranking has no figures", p)
	}
	if used, err = strconv.ParseInt(figures[1], 10, 64); err == nil {
		toppedUp, err = strconv.ParseInt(figures[2], 10, 64)
	}
	return used, toppedUp, err
}

func (b board) partition(leaf int) string {
	return fmt.Sprintf("%s%s/%02x", schema.RankingPrefix, b, leaf)
}

func (b board) entryOf(restaurantID string) table.Item {
	return schema.UsageKey(b.partition(leafOf(restaurantID)), "of/"+restaurantID)
}

func (b board) entryAt(p place, restaurantID string) table.Item {
	leaf := leafOf(restaurantID)
	if p.class() == classDefault && b != plans {
		leaf = defaultLeaf
	}
	return schema.UsageKey(b.partition(leaf), "at/"+string(p)+"/"+restaurantID)
}

// counts returns the key of the item with a leaf's counts.
func (b board) counts(leaf int) table.Item {
	if b == plans {
		return schema.UsageKey(schema.RankingPrefix+string(b), fmt.Sprintf("%s/%d", countsEntry, leaf/leavesOfItem))
	}
	return schema.UsageKey(b.partition(leaf), countsEntry)
}

// countAttribute names the attribute that counts a leaf's restaurants in a class.
func (b board) countAttribute(leaf int, class string) string {
	if b == plans {
		return fmt.Sprintf("%02x-%s", leaf, class)
	}
	return class
}

// move moves a restaurant from one place of a board to another, or takes it off the board. move fails if the restaurant is no
// longer at the place from.
func (r *Ranking) move(ctx context.Context, b board, restaurantID string, from, to place) error {
	return r.db.Transact(ctx, append(r.moves(b, restaurantID, from, to), r.recount(b, leafOf(restaurantID), from.class(), to.class(), 1)...), "")
}

// moves returns the writes of move, without that of the leaf's counts.
func (r *Ranking) moves(b board, restaurantID string, from, to place) []table.Write {
	seen := table.Expression{Condition: "attribute_not_exists(#place)", Names: map[string]string{"#place": attrPlace}}
	if from != "" {
		seen = table.Expression{Condition: "#place = :from", Names: seen.Names, Values: table.Item{":from": table.Text(string(from))}}
	}
	var writes []table.Write
	if from != "" {
		writes = append(writes, table.Delete(r.names.Usage, b.entryAt(from, restaurantID), table.Expression{}))
	}
	if to == "" {
		return append(writes, table.Delete(r.names.Usage, b.entryOf(restaurantID), seen))
	}
	of := b.entryOf(restaurantID)
	of[attrPlace] = table.Text(string(to))
	return append(writes, table.Put(r.names.Usage, b.entryAt(to, restaurantID), table.Expression{}), table.Put(r.names.Usage, of, seen))
}

// recount returns the write that moves n restaurants of a leaf from one class to another in the counts.
func (r *Ranking) recount(b board, leaf int, from, to string, n int64) []table.Write {
	if from == to {
		return nil
	}
	e := table.Expression{Names: make(map[string]string), Values: make(table.Item)}
	for name, change := range map[string]struct {
		class string
		by    int64
	}{"from": {from, -n}, "to": {to, n}} {
		if change.class == "" {
			continue
		}
		e.Add = table.Joined(e.Add, ", ", "#"+name+" :"+name)
		e.Names["#"+name], e.Values[":"+name] = b.countAttribute(leaf, change.class), table.Number(change.by)
	}
	return []table.Write{table.Update(r.names.Usage, b.counts(leaf), e)}
}
