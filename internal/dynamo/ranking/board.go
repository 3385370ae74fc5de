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

// A board is a counted list of restaurants: each is at one place at most. There is a board for each month, and a board for
// plans:
//
//	board     place                       is
//	2026-11   083                         has used 83 whole percent of the month's effective limit; 200 is 200 and more
//	          default/<used>/<topped up>  has no bot, and so the default limit, which is configured and not stored
//	plans     limited, default            is active, and has a limit; is active, and has no bot
//
// A board lies in the usage table, in leaves to which restaurants belong by a hash of their ids. A leaf is a partition key,
// so that neither a month's first conversations nor the reads of a page are concentrated on a single partition:
//
//	restaurantId         period               attributes
//	ranking/2026-11/3f   of/<id>              place       where the restaurant is
//	                     at/083/<id>                      the same in the order of places
//	                     counts               083: 12, …  how many are at each place
//
// The three are written in one transaction, so that the counts always agree with the entries. The counts of plans change
// rarely and are together, eight leaves in one item, since each page of alerts reads all counts.
type board string

const plans board = "plans"

const (
	leaves       = 64
	leavesOfItem = 8 // of plans

	// defaultLeaf holds the places of a month's restaurants without a bot, which are read all together. They are few: nobody
	// can write to them, so that they have only imported conversations, or conversations from the time when they had a bot.
	defaultLeaf = leaves

	attrPlace   = "place"
	countsEntry = "counts"
	lastID      = "~" // comes after every id
)

func leafOf(restaurantID string) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(restaurantID)) // never fails
	return int(hash.Sum32() % leaves)
}

// place is where a restaurant is on a board; "" is nowhere.
type place string

const placeLimited place = "limited"

const classDefault = "default"

func percentPlace(percent int64) place { return place(fmt.Sprintf("%03d", percent)) }

func defaultPlace(used, toppedUp int64) place {
	return place(fmt.Sprintf("%s/%d/%d", classDefault, used, toppedUp))
}

// class is the group that a place is counted in: all places of the default limit are a single group.
func (p place) class() string {
	class, _, _ := strings.Cut(string(p), "/")
	return class
}

// defaultFigures returns the figures in a place of the default limit.
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

// counts returns the item that counts a leaf.
func (b board) counts(leaf int) table.Item {
	if b == plans {
		return schema.UsageKey(schema.RankingPrefix+string(b), fmt.Sprintf("%s/%d", countsEntry, leaf/leavesOfItem))
	}
	return schema.UsageKey(b.partition(leaf), countsEntry)
}

// countAttribute names how many of a leaf are at places of a class.
func (b board) countAttribute(leaf int, class string) string {
	if b == plans {
		return fmt.Sprintf("%02x-%s", leaf, class)
	}
	return class
}

// move puts a restaurant to a place on a board, or takes it off, provided that it still is where it was seen.
func (r *Ranking) move(ctx context.Context, b board, restaurantID string, from, to place) error {
	return r.db.Transact(ctx, append(r.moves(b, restaurantID, from, to), r.recount(b, leafOf(restaurantID), from.class(), to.class(), 1)...), "")
}

// moves are the writes that move needs, besides the leaf's counts.
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

// recount is the write that moves n restaurants of a leaf from one class to another in the counts.
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
