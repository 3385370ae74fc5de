package ledger

import (
	"slices"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
)

// Count holds the number of messages that reached each status. Sent includes the delivered and failed messages, and
// Delivered includes the messages that were read.
type Count struct {
	Sent      int64 // taken by Twilio
	Delivered int64
	Read      int64
	Failed    int64 // never left Twilio, or did not arrive
}

// plus returns the sum of two counts.
func (c Count) plus(d Count) Count {
	return Count{c.Sent + d.Sent, c.Delivered + d.Delivered, c.Read + d.Read, c.Failed + d.Failed}
}

// Marks are the numbers of a page's messages that have a status.
type Marks struct {
	Class   Class
	Status  delivery.Status
	Numbers []int
}

// Page is the content of a page.
type Page []Marks

// Has reports whether the page has the entry's status for its message, or a further one.
func (p Page) Has(e Entry) bool {
	return slices.ContainsFunc(p, func(m Marks) bool {
		return m.Class == e.Class && m.Status >= e.Status && slices.Contains(m.Numbers, e.Place.Number)
	})
}

// Taken reports whether Twilio took the message with the number and the message didn't fail.
func (p Page) Taken(number int) bool {
	furthest := delivery.Unknown
	for _, m := range p {
		if slices.Contains(m.Numbers, number) {
			furthest = max(furthest, m.Status)
		}
	}
	return furthest >= delivery.Sent && furthest < delivery.Failed
}

// Counts returns the page's counts. A message with several statuses counts with the furthest.
func (p Page) Counts() map[Class]Count {
	furthest := make(map[Class]map[int]delivery.Status)
	for _, m := range p {
		if furthest[m.Class] == nil {
			furthest[m.Class] = make(map[int]delivery.Status)
		}
		for _, n := range m.Numbers {
			furthest[m.Class][n] = max(furthest[m.Class][n], m.Status)
		}
	}
	counts := make(map[Class]Count, len(furthest))
	for class, messages := range furthest {
		var c Count
		for _, status := range messages {
			c = c.plus(countOf(status))
		}
		counts[class] = c
	}
	return counts
}

// countOf returns the count of one message.
func countOf(furthest delivery.Status) Count {
	switch furthest {
	case delivery.Sent:
		return Count{Sent: 1}
	case delivery.Delivered:
		return Count{Sent: 1, Delivered: 1}
	case delivery.Read:
		return Count{Sent: 1, Delivered: 1, Read: 1}
	case delivery.Failed:
		return Count{Sent: 1, Failed: 1}
	}
	return Count{}
}

// Month holds the counts of a month, by day.
type Month map[int]map[Class]Count

// Add adds the counts of a page that belongs to the day.
func (m Month) Add(day int, p Page) {
	if m[day] == nil {
		m[day] = make(map[Class]Count)
	}
	for class, c := range p.Counts() {
		m[day][class] = m[day][class].plus(c)
	}
}

// Day returns the count of a day.
func (m Month) Day(day int) (sum Count) {
	for _, c := range m[day] {
		sum = sum.plus(c)
	}
	return sum
}

// Total returns the count of the month.
func (m Month) Total() (sum Count) {
	for day := range m {
		sum = sum.plus(m.Day(day))
	}
	return sum
}

// Kinds returns the counts by kind, without the kinds of which nothing was sent.
func (m Month) Kinds() map[delivery.Kind]Count {
	return by(m, func(c Class) delivery.Kind { return c.Kind })
}

// Categories returns the counts by category, without the categories of which nothing was sent.
func (m Month) Categories() map[delivery.Category]Count {
	return by(m, func(c Class) delivery.Category { return c.Category })
}

func by[K comparable](m Month, key func(Class) K) map[K]Count {
	sums := make(map[K]Count)
	for _, classes := range m {
		for class, c := range classes {
			sums[key(class)] = sums[key(class)].plus(c)
		}
	}
	return sums
}
