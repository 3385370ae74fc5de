package schema

import (
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// The activity item counts the open sessions by slot: the half hour of their latest message. A message moves its session from
// one slot to another, within a write that is made anyway.
//
// The item has twice as many slots as a session is long, so that half of them are free at any time:
//
//	             the restaurant's latest message
//	                          │
//	…  s10 s11 …  s56 s57 s58 │ s59 s60 …  s09 …
//	    └─ sessions, a day ───┘  └─ free, a day ─┘
//
// A write that moves the latest message forward also moves the free half: it clears the slots that are now more than a day
// old. If the latest message was more than a day ago, all slots are out of date.
//
// Nothing is billed by these counts. A crash between the session's write and this write loses a move; the error disappears
// after a day.
const slotPlaces = 2 * usage.SessionSlots

// slotAttributes has the names of all slots, made once: a page of a list reads thousands of them.
var slotAttributes = func() (names [slotPlaces]string) {
	for place := range names {
		names[place] = "s" + string([]byte{'0' + byte(place/10), '0' + byte(place%10)})
	}
	return names
}()

// SlotAttribute names the attribute of a slot.
func SlotAttribute(slot int64) string {
	return slotAttributes[((slot%slotPlaces)+slotPlaces)%slotPlaces]
}

// slotStart returns the time at which a slot begins.
func slotStart(slot int64) time.Time { return time.Unix(0, slot*int64(usage.SessionSlot)) }

// Move is a message's effect on its customer's session.
type Move struct {
	Made bool
	From time.Time // the session's previous message; zero if this message opened the session
}

// Slots is the change of the activity for a message that is the restaurant's latest and came within a day after the previous
// latest.
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

// OnlySlot is the change of the activity for a message that is the restaurant's latest and the first for a day.
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

// OutdatedSlots returns the attributes of the slots that are out of date once a message at latest follows the restaurant's
// previous message, at before.
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

// LateSlots is the change of the activity for a message that isn't the restaurant's latest. If the message's slot is out of
// date, nothing changes.
func (mv Move) LateSlots(at, latest time.Time) table.Expression {
	head := usage.SlotOf(latest)
	e := mv.counts(at, head)
	if e.Add == "" || usage.SlotOf(at) <= head-usage.SessionSlots {
		return table.Expression{}
	}
	return e.And(table.Expression{
		Condition: "#last < :next",
		Names:     map[string]string{"#last": AttrLastActivity},
		Values:    table.Item{":next": table.Instant(slotStart(head + 1))}, // later, the free half has moved
	})
}

// counts moves one session to the slot of a time. It leaves the session's old slot alone if that is out of date.
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

// ReadSlots returns the number of sessions in each slot.
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
