package ranking

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/task"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// idle stands for the percentage of a restaurant that has opened no conversation in the month. Such a restaurant is on the
// board of plans, but not on the month's board.
const idle = -1

// exactSize is how many restaurants of one percentage are put into exact order even on a smaller page, at two units each.
const exactSize = 8

// Ranks implements usage.Ranking in one round trip. It reads the counts of the month's board and of the board of plans, and
// the places of the restaurants without a bot.
func (r *Ranking) Ranks(ctx context.Context, month usage.Month) (usage.Ranks, error) {
	ranks := &ranks{ranking: r, month: month, board: board(month.String())}
	group, ctx := task.WithContext(ctx)
	group.Go(func() error {
		var keys []table.Key
		for leaf := range leaves {
			keys = append(keys, table.Key{Table: r.names.Usage, Key: ranks.board.counts(leaf)})
		}
		for leaf := 0; leaf < leaves; leaf += leavesOfItem {
			keys = append(keys, table.Key{Table: r.names.Usage, Key: plans.counts(leaf)})
		}
		var fault error
		err := r.db.GetAllStale(ctx, keys, func(_ string, it table.Item) {
			if err := ranks.readCounts(it); err != nil {
				fault = err
			}
		})
		return cmp.Or(err, fault)
	})
	group.Go(func() error {
		var fault error
		err := r.entries(ctx, span{partition: ranks.board.partition(defaultLeaf), first: "at/", last: "at/" + lastID}, func(entry string, _ *table.Reader) {
			used, toppedUp, err := defaultFigures(place(entry[:strings.LastIndex(entry, "/")]))
			if err != nil {
				fault = err
			}
			ranks.withoutBot = append(ranks.withoutBot, filled{entry[strings.LastIndex(entry, "/")+1:], usage.Quota{Used: used, ToppedUp: toppedUp}})
		})
		return cmp.Or(err, fault)
	})
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("reading the ranking of %s: %w", month, err)
	}
	return ranks, nil
}

// span is a range of a partition's entries, from first to last. most bounds their number; 0 is no bound.
type span struct {
	partition, first, last string
	most                   int
	consistent             bool // otherwise the data may be some moments old
}

// entries calls visit with the entries of a span, without their prefix ("of/" or "at/").
func (r *Ranking) entries(ctx context.Context, s span, visit func(string, *table.Reader)) error {
	return r.db.Query(ctx, table.Query{
		Table: r.names.Usage, Stale: !s.consistent, Limit: int32(s.most),
		Key: table.Expression{
			Condition: "#id = :id AND #period BETWEEN :first AND :last",
			Names:     map[string]string{"#id": schema.AttrRestaurantID, "#period": "period"},
			Values:    table.Item{":id": table.Text(s.partition), ":first": table.Text(s.first), ":last": table.Text(s.last)},
		},
	}, func(in *table.Reader) error {
		visit(in.Text("period")[len("at/"):], in)
		return in.Err
	})
}

// ranks implements usage.Ranks.
type ranks struct {
	ranking *Ranking
	month   usage.Month
	board   board

	counts     [leaves]map[string]int64 // by class
	plans      map[string]int64         // by attribute
	withoutBot []filled                 // their quotas have no limit yet
}

type filled struct {
	id    string
	quota usage.Quota
}

func (k *ranks) readCounts(it table.Item) error {
	in := table.Reader{Item: it}
	partition := in.Text(schema.AttrRestaurantID)
	counts := make(map[string]int64, len(it))
	for name := range it {
		if name != schema.AttrRestaurantID && name != "period" {
			counts[name] = in.Number(name)
		}
	}
	if partition == schema.RankingPrefix+string(plans) {
		if k.plans == nil {
			k.plans = make(map[string]int64)
		}
		for name, n := range counts {
			k.plans[name] = n
		}
		return in.Err
	}
	for leaf := range leaves {
		if partition == k.board.partition(leaf) {
			k.counts[leaf] = counts
		}
	}
	return in.Err
}

// bucket has the restaurants of a whole percentage: the ids of those without a bot, and for the others a number for each leaf.
type bucket struct {
	percent    int64
	withoutBot []filled // the fullest first, and by id if equal
	leaves     [leaves]int64
	size       int
}

// buckets returns the buckets at or above a share that have restaurants, the fullest first.
func (k *ranks) buckets(share usage.Share, defaultLimit int64) []bucket {
	least := int64(share / usage.Percent)
	all := make([]bucket, mostPercent-least+1, mostPercent+2)
	for i := range all {
		all[i].percent = mostPercent - int64(i)
		class := percentPlace(all[i].percent).class()
		for leaf, counts := range k.counts {
			all[i].leaves[leaf] = max(0, counts[class])
		}
	}
	if defaultLimit >= 0 {
		for _, f := range k.withoutBot {
			quota := usage.NewQuota(defaultLimit, f.quota.Used, f.quota.ToppedUp)
			if i := mostPercent - quota.WholePercent(mostPercent); i < int64(len(all)) {
				all[i].withoutBot = append(all[i].withoutBot, filled{f.id, quota})
			}
		}
	}
	if share <= 0 {
		all = append(all, k.idle(defaultLimit))
	}
	for i := range all {
		slices.SortFunc(all[i].withoutBot, fuller)
		all[i].size = len(all[i].withoutBot)
		for _, n := range all[i].leaves {
			all[i].size += int(n)
		}
	}
	return slices.DeleteFunc(all, func(b bucket) bool { return b.size == 0 })
}

func fuller(a, b filled) int {
	return cmp.Or(b.quota.CompareUse(a.quota), cmp.Compare(a.id, b.id))
}

// idle returns the bucket of restaurants that have a limit and no conversation in the month.
func (k *ranks) idle(defaultLimit int64) bucket {
	b := bucket{percent: idle}
	for leaf, counts := range k.counts {
		b.leaves[leaf] = k.plans[plans.countAttribute(leaf, string(placeLimited))]
		if defaultLimit >= 0 {
			b.leaves[leaf] += k.plans[plans.countAttribute(leaf, classDefault)]
		}
		for class, n := range counts {
			if class != classDefault || defaultLimit >= 0 {
				b.leaves[leaf] -= n
			}
		}
		b.leaves[leaf] = max(0, b.leaves[leaf])
	}
	return b
}

// Page implements usage.Ranks in one round trip. A second round trip reads exact figures in two cases: the share isn't a
// whole percentage; or the page shows only a part of the restaurants at its first or last percentage, and that percentage has
// at most limit or exactSize restaurants, whichever is more. With more restaurants, their order is fixed, but not by exact
// figures.
func (k *ranks) Page(ctx context.Context, share usage.Share, defaultLimit int64, offset, limit int) ([]string, int, error) {
	buckets := k.buckets(share, defaultLimit)
	var parts []*part
	total := 0
	for i := range buckets {
		b := &buckets[i]
		p := &part{bucket: b, skip: min(max(0, offset-total), b.size), end: min(max(0, offset+limit-total), b.size)}
		total += b.size
		switch {
		case share%usage.Percent != 0 && b.percent == int64(share/usage.Percent): // this is the last bucket
			p.share, p.skip, p.end = share, max(0, offset-total+b.size), max(0, offset+limit-total+b.size)
			p.exactly = true
			total -= b.size
		case p.skip == p.end:
			continue
		default:
			p.exactly = p.end-p.skip < b.size && b.size <= max(limit, exactSize) && b.percent != idle
		}
		parts = append(parts, p)
	}
	if err := k.read(ctx, parts, defaultLimit); err != nil {
		return nil, 0, fmt.Errorf("reading a page of the ranking of %s: %w", k.month, err)
	}
	var ids []string
	seen := make(map[string]bool) // a restaurant that moved during the read may come twice
	for _, p := range parts {
		if p.share > 0 {
			total += len(p.ids)
		}
		if p.exactly {
			p.ids = p.ids[min(p.skip, len(p.ids)):min(p.end, len(p.ids))]
		}
		for _, id := range p.ids {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids, total, nil
}

// part is the part of a bucket that a page shows.
type part struct {
	*bucket
	skip, end int
	exactly   bool        // the whole bucket is read, and ordered by exact figures
	share     usage.Share // a restaurant must reach it; 0 if the percentage suffices
	ids       []string
}

// read sets each part's ids. If exactly is set, these are all ids of the bucket that reach share, in order. Otherwise these are
// the ids from skip to end; of adjacent whole parts, the first gets the leaves' ids of all.
func (k *ranks) read(ctx context.Context, parts []*part, defaultLimit int64) error {
	var reads []func(context.Context) error
	found := make([][][]string, len(parts))
	// Adjacent percentages that the page shows whole are read with one query for each leaf.
	var end int
	for start := 0; start < len(parts); start = end {
		i, p := start, parts[start]
		end = start + 1
		found[i] = make([][]string, leaves)
		if p.whole() {
			for end < len(parts) && parts[end].whole() {
				end++
			}
		}
		skip, left := max(0, p.skip-len(p.withoutBot)), p.end-max(p.skip, len(p.withoutBot))
		if p.exactly {
			skip, left = 0, p.size
		}
		for leaf := range leaves {
			n := 0
			for _, adjacent := range parts[i:end] {
				n += int(adjacent.leaves[leaf])
			}
			from, to := min(skip, n), n
			if !p.whole() {
				to = min(n, skip+max(0, left))
				skip, left = skip-from, left-(to-from)
			}
			if from < to {
				most, least := p.percent, parts[end-1].percent
				reads = append(reads, func(ctx context.Context) (err error) {
					found[i][leaf], err = k.readLeaf(ctx, leaf, least, most, from, to, p.whole() || p.exactly, defaultLimit)
					return err
				})
			}
		}
	}
	if err := together(ctx, reads); err != nil {
		return err
	}
	var exact []*part
	for i, p := range parts {
		p.ids = slices.Concat(found[i]...)
		if p.exactly {
			exact = append(exact, p)
			continue
		}
		for j := min(p.end, len(p.withoutBot)) - 1; j >= p.skip; j-- {
			p.ids = slices.Insert(p.ids, 0, p.withoutBot[j].id)
		}
	}
	return k.order(ctx, exact)
}

// whole reports whether the page shows the whole bucket, and the bucket is on the month's board.
func (p *part) whole() bool {
	return !p.exactly && p.percent != idle && p.skip == 0 && p.end == p.size
}

func together(ctx context.Context, reads []func(context.Context) error) error {
	group, ctx := task.WithContext(ctx)
	for _, read := range reads {
		group.Go(func() error { return read(ctx) })
	}
	return group.Wait()
}

// readLeaf returns the ids of a leaf's restaurants with a percentage from least to most: the ids at the positions [from, to).
// If all is set, it returns every id at position from or later, even if there are more by now.
func (k *ranks) readLeaf(ctx context.Context, leaf int, least, most int64, from, to int, all bool, defaultLimit int64) ([]string, error) {
	if most == idle {
		ids, err := k.readIdle(ctx, leaf, defaultLimit)
		return ids[min(from, len(ids)):min(to, len(ids))], err
	}
	var ids []string
	n := to
	if all {
		n = 0
	}
	first, last := "at/"+string(percentPlace(least))+"/", "at/"+string(percentPlace(most))+"/"+lastID
	err := k.ranking.entries(ctx, span{partition: k.board.partition(leaf), first: first, last: last, most: n}, func(entry string, _ *table.Reader) {
		_, id, _ := strings.Cut(entry, "/")
		ids = append(ids, id)
	})
	return ids[min(from, len(ids)):], err
}

// readIdle returns the ids of a leaf's restaurants that have a limit and aren't on the month's board, in order.
func (k *ranks) readIdle(ctx context.Context, leaf int, defaultLimit int64) ([]string, error) {
	var limited []string
	busy := make(map[string]bool)
	err := together(ctx, []func(context.Context) error{
		func(ctx context.Context) error {
			first := "at/" + string(placeLimited) + "/"
			if defaultLimit >= 0 {
				first = "at/" // also the restaurants without a bot, which sort first
			}
			return k.ranking.entries(ctx, span{partition: plans.partition(leaf), first: first, last: "at/" + lastID}, func(entry string, _ *table.Reader) {
				_, id, _ := strings.Cut(entry, "/")
				limited = append(limited, id)
			})
		},
		func(ctx context.Context) error {
			return k.ranking.entries(ctx, span{partition: k.board.partition(leaf), first: "of/", last: "of/" + lastID}, func(id string, _ *table.Reader) { busy[id] = true })
		},
	})
	limited = slices.DeleteFunc(limited, func(id string) bool { return busy[id] })
	slices.Sort(limited)
	return limited, err
}

// order reads the figures of the parts' restaurants, at two units each, and orders them. It drops a restaurant below its
// part's share.
func (k *ranks) order(ctx context.Context, parts []*part) error {
	var keys []table.Key
	names := k.ranking.names
	for _, p := range parts {
		for _, id := range p.ids {
			keys = append(keys, table.Key{Table: names.Bots, Key: schema.RestaurantKey(id)},
				table.Key{Table: names.Usage, Key: schema.UsageKey(id, k.month.String())})
		}
	}
	seen := make(map[string]*Standing)
	var fault error
	if len(keys) > 0 {
		err := k.ranking.db.GetAll(ctx, keys, func(name string, it table.Item) {
			in := table.Reader{Item: it}
			id := in.Text(schema.AttrRestaurantID)
			if seen[id] == nil {
				seen[id] = new(Standing)
			}
			if name == names.Bots {
				bot := schema.ReadBot(&in)
				seen[id].Bot = &bot
			} else {
				seen[id].Month = schema.ReadMonth(&in)
			}
			fault = cmp.Or(fault, in.Err)
		})
		if err := cmp.Or(err, fault); err != nil {
			return err
		}
	}
	for _, p := range parts {
		exact := slices.Clone(p.withoutBot)
		for _, id := range p.ids {
			if st := seen[id]; st != nil && st.Bot != nil {
				exact = append(exact, filled{id, st.Quota(usage.Unlimited)})
			}
		}
		exact = slices.DeleteFunc(exact, func(f filled) bool { return !f.quota.Reaches(p.share) })
		slices.SortFunc(exact, fuller)
		p.ids = p.ids[:0]
		for _, f := range exact {
			p.ids = append(p.ids, f.id)
		}
	}
	return nil
}
