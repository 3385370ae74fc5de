// Package startlog has the rule of a rate that all instances share: at most Rate starts in any Per, wherever it begins, each at
// the first moment that this allows. For that a log keeps the latest starts, and the callers that wait.
//
// The log is kept where all instances reach it. A store that can compute, such as Valkey, applies the same rule in its own
// language; any other reads a Log, has it computed here, and writes it unless it has changed.
//
// All times are Unix times in microseconds, and all durations microseconds.
package startlog

import (
	"cmp"
	"slices"
)

// Offer says which starts a caller tells.
type Offer string

// The offers.
const (
	Nothing Offer = ""       // the log asks for them if it needs them
	Starts  Offer = "starts" // that the log wasn't told of
	All     Offer = "all"    // that the caller knows
)

// Request asks for a start.
type Request struct {
	Name  string // callers with the same name wait for the same moment
	Rate  int    // starts in any Per
	Per   int64
	At    int64   // the time, for clocks that are moved by hand; 0 takes the store's
	Epoch int64   // of the log that the caller knows starts of; 0 if it knows of no start that counts
	Fresh int64   // a random number of up to 50 bits, for a new epoch
	Offer Offer   // which starts Ages has
	Ages  []int64 // of starts
	Older int     // starts beyond Ages that count and that are not younger; for All
}

// Answer is the answer to a request.
type Answer struct {
	MustOffer bool    // the log has lost its content: the caller must offer all that it knows. Nothing else is set.
	Wait      int64   // 0 for a start
	Epoch     int64   // of the log
	Now       int64   // the store's time
	Taken     int     // starts in the log
	Latest    []int64 // at most Told of them, newest first
}

const (
	// Told is how many starts an answer tells: the cost of a start doesn't grow with the rate.
	Told = 32
	// WaitsFor is the time after its moment for which a waiting caller is expected.
	WaitsFor = 10_000_000
	// ahead is how far in the future a start may be. A clock was put back if it is further.
	ahead = 1_000_000
)

// Log is the log of the latest starts. Its zero value is a log that has lost its content, or never had any.
type Log struct {
	// Epoch is 0 only in the zero value. It changes when the content was lost, and is even if it was seeded by an instance that
	// knew of starts.
	Epoch   int64
	Starts  []int64  // newest first
	Waiting []Waiter // by their moments, then by name
}

// Waiter is a waiting caller with the moment that it was given.
type Waiter struct {
	Name string
	At   int64
}

// Ask adds a start to the log, or returns the time to wait.
//
//	the log's epoch is the instance's ─────────────> the log counts
//	another epoch, seeded with known starts ───────> the log counts
//	no epoch, or one seeded without known starts
//	   └─ the instance knows of starts in this Per ──> it seeds: the log is its own knowledge, and as many starts at
//	                                                   this very moment as the rule could have allowed others
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

// seed puts the starts that are offered into the log. A lost log also gets those that the caller can't know of.
func (l *Log) seed(now int64, r Request, lost bool) {
	starts := make([]int64, 0, len(l.Starts)+len(r.Ages))
	for _, at := range l.Starts {
		starts = append(starts, min(at, now)) // a start in the future is from before the clock was put back
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

// enlist enters a caller that can't start yet among the waiting callers. Its place decides the moment of its start; enlist returns
// the time until that moment. A place below 0 is the end.
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
