package delivery

import (
	"fmt"
	"regexp"
	"time"
)

// PageSize is the number of messages on a page of the ledger. Their statuses take less than 1 KB, which is one write unit.
const PageSize = 100

// PageName is the number of characters in a page's name.
const PageName = 10

// Place is a message's place in the ledger. It is chosen before the message is sent, and no other message ever gets it. The
// zero Place means none.
type Place struct {
	Day    time.Time // a day in the calendar that usage is counted in; only the date counts
	Page   string    // PageName lower-case letters or digits, at random
	Number int       // 0 to PageSize-1
}

// placeForm is the format of String.
var placeForm = regexp.MustCompile(`\A(\d{4}-\d{2}-\d{2})-([0-9a-z]{10})-(\d{2})\z`)

// IsZero reports whether there is no place.
func (p Place) IsZero() bool { return p.Page == "" }

// SamePage reports whether two places are on the same page.
func (p Place) SamePage(q Place) bool { return p.Page == q.Page && p.Day.Equal(q.Day) }

// String returns the place as it is in callback addresses, "" if there is none.
func (p Place) String() string {
	if p.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s-%s-%02d", p.Day.Format(time.DateOnly), p.Page, p.Number)
}

// ParsePlace parses the format of String; it returns false for any other text.
func ParsePlace(s string) (Place, bool) {
	if s == "" {
		return Place{}, true
	}
	parts := placeForm.FindStringSubmatch(s)
	if parts == nil {
		return Place{}, false
	}
	day, err := time.Parse(time.DateOnly, parts[1])
	number := int(parts[3][0]-'0')*10 + int(parts[3][1]-'0')
	return Place{Day: day, Page: parts[2], Number: number}, err == nil
}
