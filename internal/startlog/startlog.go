// Package startlog contains the rule of a rate that all instances share: at most Rate starts in any period of length Per,
// each at the first moment that this allows. To apply it, a log keeps the latest starts and the waiting callers.
//
// All instances share the log. A store that can compute, such as Valkey, applies the same rule in its own language. With any
// other store, the instance reads the Log, computes the new one with this package, and writes it unless it has changed
// meanwhile.
//
// Times are Unix times in microseconds, and durations are in microseconds.
package startlog

import (
	"cmp"
	"slices"
)

// Offer says which starts a caller tells the log.
type Offer string

// The offers.
const (
	Nothing Offer = ""       // none; the log asks if it needs them
	Starts  Offer = "starts" // the starts that the log wasn't told of
	All     Offer = "all"    // all starts that the caller knows
)

// Request asks for a start.
type Request struct {
	Name  string // callers with the same name wait for the same moment
	Rate  int    // most starts in any Per
	Per   int64
	At    int64   // the time, for clocks that are moved by hand; 0 means the store's time
	Epoch int64   // of the log in which the caller knows starts; 0 if it knows of no start within Per
	Fresh int64   // a random number of up to 50 bits, for a new epoch
	Offer Offer   // the starts that Ages has
	Ages  []int64 // ages of starts
	Older int     // with All: number of further starts within Per, older than those in Ages
}

// Answer is the answer to a request.
type Answer struct {
	MustOffer bool    // the log has lost its content: the caller must offer all starts that it knows; nothing else is set
	Wait      int64   // time to wait; 0 if the caller starts now
	Epoch     int64   // of the log
	Now       int64   // the store's time
	Taken     int     // number of starts in the log
	Latest    []int64 // the latest of them, at most Told, newest first
}

const (
	// Told is the most starts in an answer, so that a start's cost doesn't grow with the rate.
	Told = 32
	// WaitsFor is how long after its moment a waiting caller is still expected.
	WaitsFor = 10_000_000
	// ahead is how far in the future a start may lie. If it lies further, a clock was put back.
	ahead = 1_000_000
)

// Log has the latest starts. The zero Log has lost its content, or never had any.
type Log struct {
	// Epoch is 0 only in the zero Log, and a new random number each time that the log's content was lost: an even number if
	// an instance restored the starts that it knew, an odd number if none knew any.
	Epoch   int64
	Starts  []int64  // newest first
	Waiting []Waiter // by their moments, then by name
}

// Waiter is a waiting caller, with the moment that it was given.
type Waiter struct {
	Name string
	At   int64
}

// Ask adds a start to the log, or returns the time to wait.
//
//	the log's epoch is the instance's ─────────────> the log counts
//	another epoch, seeded with known starts ───────> the log counts
//	no epoch, or one seeded without known starts
//	   └─ the instance knows of starts in this Per ──> it seeds the log with these, and with as many starts at this
//	                                                   very moment as the rule could have allowed others
func (l *Log) Ask(now int64, r Request) Answer {
	lost := r.Epoch != 0 && l.Epoch != r.Epoch && (l.Epoch == 0 || l.Epoch%2 == 1)
	switch {
	case lost && r.Offer != All:
		return Answer{MustOffer: true}
	case lost:
		l.Epoch = r.Fresh * 2
	case l.Epoch == 0:
		l.Epoch = r.Fresh*2 + 1
	}
	if lost || len(r.Ages) > 0 || len(l.Starts) > 0 && l.Starts[0] > now+ahead {
		l.seed(now, r, lost)
	}
	for len(l.Starts) > 0 && l.Starts[len(l.Starts)-1]+r.Per <= now {
		l.Starts = l.Starts[:len(l.Starts)-1]
	}
	l.Waiting = slices.DeleteFunc(l.Waiting, func(w Waiter) bool { return w.At <= now-WaitsFor })
	place := slices.IndexFunc(l.Waiting, func(w Waiter) bool { return w.Name == r.Name })
	var wait int64
	if len(l.Starts) < r.Rate {
		l.Starts = slices.Insert(l.Starts, 0, now)
		if place >= 0 {
			l.Waiting = slices.Delete(l.Waiting, place, place+1)
		}
	} else {
		wait = l.enlist(now, r, place)
	}
	return Answer{
		Wait: wait, Epoch: l.Epoch, Now: now, Taken: len(l.Starts), Latest: slices.Clone(l.Starts[:min(Told, len(l.Starts))]),
	}
}

// seed puts the offered starts into the log. If the log was lost, it adds the starts of others that the caller can't know.
func (l *Log) seed(now int64, r Request, lost bool) {
	starts := make([]int64, 0, len(l.Starts)+len(r.Ages))
	for _, at := range l.Starts {
		starts = append(starts, min(at, now)) // a start in the future is from before a clock was put back
	}
	for _, age := range r.Ages {
		starts = append(starts, now-age)
	}
	slices.SortFunc(starts, func(a, b int64) int { return cmp.Compare(b, a) })
	unknown := 0
	if lost {
		unknown = max(0, r.Rate-len(starts)-r.Older)
		for range r.Older {
			if len(starts) > 0 {
				starts = append(starts, starts[len(starts)-1])
			}
		}
	}
	l.Starts = append(slices.Repeat([]int64{now}, unknown), starts[:min(len(starts), r.Rate-unknown)]...)
}

// enlist enters a caller that can't start yet among the waiting callers, at the index place, or at the end if place is
// negative. It returns the time until that place's moment.
func (l *Log) enlist(now int64, r Request, place int) int64 {
	rank := place
	if place < 0 {
		rank = len(l.Waiting)
	}
	var at int64
	if rank < r.Rate {
		at = l.Starts[len(l.Starts)-1-rank] + r.Per
	} else {
		at = l.Waiting[rank-r.Rate].At + r.Per
	}
	if place >= 0 {
		l.Waiting = slices.Delete(l.Waiting, place, place+1)
	}
	w := Waiter{r.Name, at}
	i, _ := slices.BinarySearchFunc(l.Waiting, w, func(a, b Waiter) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Name, b.Name)) })
	l.Waiting = slices.Insert(l.Waiting, i, w)
	return max(1, at-now)
}
