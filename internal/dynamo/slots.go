package dynamo

import (
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// The activity item counts the sessions that are open, by the slot of half an hour in which their latest message came. A
// message moves its session from one slot to another, in the write that it makes anyway.
//
// The item has twice as many places as a session is long, so that half of them are free at any time:
//
//	             the restaurant's latest message
//	                          │
//	…  s10 s11 …  s56 s57 s58 │ s59 s60 …  s09 …
//	    └─ sessions, a day ───┘  └─ free, a day ─┘
//
// Whoever moves the latest message frees the half behind it: what it leaves is out of date by then, and what it comes to is
// free. Where the latest message is more than a day back, all is out of date.
//
// The counts are informative, as the tally is: a crash between a session's write and this one loses a move. It is out of the
// count after a day.
const slotPlaces = 2 * usage.SessionSlots

// slotAttributes are made once: a page of a list reads thousands of them.
var slotAttributes = func() (names [slotPlaces]string) {
	for place := range names {
		names[place] = "s" + string([]byte{'0' + byte(place/10), '0' + byte(place%10)})
	}
	return names
}()

func slotAttribute(slot int64) string {
	return slotAttributes[((slot%slotPlaces)+slotPlaces)%slotPlaces]
}

// slotStart returns when a slot begins.
func slotStart(slot int64) time.Time { return time.Unix(0, slot*int64(usage.SessionSlot)) }

// move is what a message did to its customer's session.
type move struct {
	made bool
	from time.Time // the session's latest message before; zero where the message opened it
}

// slots is the change of the activity for a message that is the restaurant's latest, and comes within a day of the one
// before.
func (mv move) slots(at time.Time) expression {
	slot := usage.SlotOf(at)
	var free []string
	for i := range int64(usage.SessionSlots) {
		free = append(free, slotAttribute(slot+1+i))
	}
	e := expression{
		remove:    strings.Join(free, ", "),
		condition: "(attribute_not_exists(#last) OR #last >= :oldest)",
		values:    item{":oldest": instant(slotStart(slot - usage.SessionSlots))},
	}
	return e.and(mv.counts(at, slot))
}

// onlySlot is the change for a message that is the restaurant's latest, after a day without any.
func (mv move) onlySlot(at time.Time) expression {
	slot := usage.SlotOf(at)
	var others []string
	for i := range int64(slotPlaces - 1) {
		others = append(others, slotAttribute(slot+1+i))
	}
	e := expression{
		remove:    strings.Join(others, ", "),
		condition: "#last < :oldest",
		values:    item{":oldest": instant(slotStart(slot - usage.SessionSlots))},
	}
	if mv.made {
		return e.and(expression{set: slotAttribute(slot) + " = :first", values: item{":first": number(1)}})
	}
	return e.and(expression{remove: slotAttribute(slot)})
}

// outdatedSlots are the places of what is out of date, or free, once the restaurant's latest message is another one.
func outdatedSlots(before, latest time.Time) string {
	var outdated []string
	first, head := usage.SlotOf(latest)-usage.SessionSlots+1, usage.SlotOf(before)
	for slot := head - slotPlaces + 1; slot <= head; slot++ {
		if slot < first || slot <= head-usage.SessionSlots {
			outdated = append(outdated, slotAttribute(slot))
		}
	}
	return strings.Join(outdated, ", ")
}

// lateSlots is the change for a message that isn't the restaurant's latest: none where its slot is out of date.
func (mv move) lateSlots(at, latest time.Time) expression {
	head := usage.SlotOf(latest)
	e := mv.counts(at, head)
	if e.add == "" || usage.SlotOf(at) <= head-usage.SessionSlots {
		return expression{}
	}
	return e.and(expression{
		condition: "#last < :next",
		names:     map[string]string{"#last": attrLastActivity},
		values:    item{":next": instant(slotStart(head + 1))}, // else the half that is free is another one
	})
}

// counts moves one session to the slot of a time, from a slot that isn't out of date at the head.
func (mv move) counts(at time.Time, head int64) expression {
	from, to := usage.SlotOf(mv.from), usage.SlotOf(at)
	switch {
	case !mv.made || !mv.from.IsZero() && from == to:
		return expression{}
	case mv.from.IsZero() || from <= head-usage.SessionSlots:
		return expression{add: slotAttribute(to) + " :more", values: item{":more": number(1)}}
	}
	return expression{
		add:    slotAttribute(to) + " :more, " + slotAttribute(from) + " :fewer",
		values: item{":more": number(1), ":fewer": number(-1)},
	}
}

// readSlots returns the sessions by slot.
func readSlots(r *reader, latest time.Time) map[int64]int64 {
	slots := make(map[int64]int64)
	if latest.IsZero() {
		return slots
	}
	head := usage.SlotOf(latest)
	for slot := head - usage.SessionSlots + 1; slot <= head; slot++ {
		if n := r.number(slotAttribute(slot)); n != 0 {
			slots[slot] = n
		}
	}
	return slots
}
