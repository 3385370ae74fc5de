package schema

import (
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
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
// A write that moves the latest message forwards frees the half behind it: the slots that it leaves are out of date by then,
// and the slots that it comes to are free. If the latest message is more than a day back, all slots are out of date.
//
// The counts are informative, as the tally is: a crash between a session's write and this write loses a move. It has left
// the count after a day.
const slotPlaces = 2 * usage.SessionSlots

// slotAttributes are made once: a page of a list reads thousands of them.
var slotAttributes = func() (names [slotPlaces]string) {
	for place := range names {
		names[place] = "s" + string([]byte{'0' + byte(place/10), '0' + byte(place%10)})
	}
	return names
}()

// SlotAttribute names the place of a slot.
func SlotAttribute(slot int64) string {
	return slotAttributes[((slot%slotPlaces)+slotPlaces)%slotPlaces]
}

// slotStart returns when a slot begins.
func slotStart(slot int64) time.Time { return time.Unix(0, slot*int64(usage.SessionSlot)) }

// Move is a message's effect on its customer's session.
type Move struct {
	Made bool
	From time.Time // the session's latest message before; zero where the message opened it
}

// Slots is the change of the activity for a message that is the restaurant's latest, and comes within a day of the
// message before.
func (mv Move) Slots(at time.Time) table.Expression {
	slot := usage.SlotOf(at)
	var free []string
	for i := range int64(usage.SessionSlots) {
		free = append(free, SlotAttribute(slot+1+i))
	}
	e := table.Expression{
		Remove:    strings.Join(free, ", "),
		Condition: "(attribute_not_exists(#last) OR #last >= :oldest)",
		Values:    table.Item{":oldest": table.Instant(slotStart(slot - usage.SessionSlots))},
	}
	return e.And(mv.counts(at, slot))
}

// OnlySlot is the change for a message that is the restaurant's latest, after a day without any.
func (mv Move) OnlySlot(at time.Time) table.Expression {
	slot := usage.SlotOf(at)
	var others []string
	for i := range int64(slotPlaces - 1) {
		others = append(others, SlotAttribute(slot+1+i))
	}
	e := table.Expression{
		Remove:    strings.Join(others, ", "),
		Condition: "#last < :oldest",
		Values:    table.Item{":oldest": table.Instant(slotStart(slot - usage.SessionSlots))},
	}
	if mv.Made {
		return e.And(table.Expression{Set: SlotAttribute(slot) + " = :first", Values: table.Item{":first": table.Number(1)}})
	}
	return e.And(table.Expression{Remove: SlotAttribute(slot)})
}

// OutdatedSlots are the places of slots that are out of date, or free, once the restaurant's latest message has
// changed.
func OutdatedSlots(before, latest time.Time) string {
	var outdated []string
	first, head := usage.SlotOf(latest)-usage.SessionSlots+1, usage.SlotOf(before)
	for slot := head - slotPlaces + 1; slot <= head; slot++ {
		if slot < first || slot <= head-usage.SessionSlots {
			outdated = append(outdated, SlotAttribute(slot))
		}
	}
	return strings.Join(outdated, ", ")
}

// LateSlots is the change for a message that isn't the restaurant's latest: none where its slot is out of date.
func (mv Move) LateSlots(at, latest time.Time) table.Expression {
	head := usage.SlotOf(latest)
	e := mv.counts(at, head)
	if e.Add == "" || usage.SlotOf(at) <= head-usage.SessionSlots {
		return table.Expression{}
	}
	return e.And(table.Expression{
		Condition: "#last < :next",
		Names:     map[string]string{"#last": AttrLastActivity},
		Values:    table.Item{":next": table.Instant(slotStart(head + 1))}, // else the free half has moved
	})
}

// counts moves one session to the slot of a time, from a slot that isn't out of date at the head.
func (mv Move) counts(at time.Time, head int64) table.Expression {
	from, to := usage.SlotOf(mv.From), usage.SlotOf(at)
	switch {
	case !mv.Made || !mv.From.IsZero() && from == to:
		return table.Expression{}
	case mv.From.IsZero() || from <= head-usage.SessionSlots:
		return table.Expression{Add: SlotAttribute(to) + " :more", Values: table.Item{":more": table.Number(1)}}
	}
	return table.Expression{
		Add:    SlotAttribute(to) + " :more, " + SlotAttribute(from) + " :fewer",
		Values: table.Item{":more": table.Number(1), ":fewer": table.Number(-1)},
	}
}

// ReadSlots returns the sessions by slot.
func ReadSlots(r *table.Reader, latest time.Time) map[int64]int64 {
	slots := make(map[int64]int64)
	if latest.IsZero() {
		return slots
	}
	head := usage.SlotOf(latest)
	for slot := head - usage.SessionSlots + 1; slot <= head; slot++ {
		if n := r.Number(SlotAttribute(slot)); n != 0 {
			slots[slot] = n
		}
	}
	return slots
}
