package schema

import (
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Attributes of the conversations table. A customer's latest session is one item. When the next session begins, the ended
// session becomes an item of its own, so that a restaurant's latest sessions can be shown.
const (
	AttrEntry       = "entry"
	AttrExpires     = "expiresAt" // time after which TTL may delete the item, in Unix seconds
	AttrOpened      = "openedAt"
	AttrOpenedBy    = "openedBy"  // id of the message that opened the session
	AttrStarted     = "startedAt" // opening time of an ended session, which is not in the index
	AttrLastMessage = "lastMessageAt"
	AttrMessages    = "messages"
	AttrReply       = "reply"  // in a session: the state of the customer's welcome
	AttrAlias       = "sameAs" // the only attribute of an alias: the id that the customer is stored under
	AttrOptedOut    = "optedOutAt"
	AttrKnownAs     = "knownAs" // the BSUID of a customer stored under a number

	ReplyDue     = "due"
	ReplySettled = "settled"

	SessionPrefix = "customer/"
	EndedPrefix   = "session/"
	LedgerPrefix  = "messages/"  // pages of the ledger of messages, by day
	OpeningIndex  = "by-opening" // sessions by the time of their opening

	WordIndex  = "by-word" // of the directory: restaurants by search words
	AttrWordIn = "wordIn"
)

// EntryKey is the key of an item of the conversations table.
func EntryKey(restaurantID, entry string) table.Item {
	return table.Item{AttrRestaurantID: table.Text(restaurantID), AttrEntry: table.Text(entry)}
}

// SessionKey is the key of a customer's session.
func SessionKey(restaurantID, customer string) table.Item {
	return EntryKey(restaurantID, SessionPrefix+customer)
}

// EndedKey returns the key of an ended session. The keys sort by the time of opening, so ended sessions need no index. Keys
// from before December 2026 begin with the customer; those sessions are in an index instead.
func EndedKey(restaurantID, customer string, opened time.Time) table.Item {
	return EntryKey(restaurantID, EndedPrefix+opened.UTC().Format(table.TimeLayout)+"/"+customer)
}

// Ended is the condition for a restaurant's ended sessions: their keys begin with a digit, and no others do.
func Ended(restaurantID string) table.Expression {
	return table.Expression{
		Condition: "#id = :id AND #entry BETWEEN :first AND :last",
		Names:     map[string]string{"#id": AttrRestaurantID, "#entry": AttrEntry},
		Values: table.Item{
			":id": table.Text(restaurantID), ":first": table.Text(EndedPrefix + "0"), ":last": table.Text(EndedPrefix + "9~"),
		},
	}
}

// ReadSession reads a session, open or ended.
func ReadSession(r *table.Reader) usage.Session {
	customer := strings.TrimPrefix(r.Text(AttrEntry), SessionPrefix)
	if ended, ok := strings.CutPrefix(customer, EndedPrefix); ok {
		first, second, _ := strings.Cut(ended, "/")
		customer = first
		if '0' <= first[0] && first[0] <= '9' {
			customer = second
		}
	}
	session := usage.Session{
		ID: r.Text(AttrOpenedBy), Customer: customer, OpenedAt: r.Instant(AttrOpened),
		LastMessage: r.Instant(AttrLastMessage), Messages: r.Number(AttrMessages),
	}
	if session.OpenedAt.IsZero() {
		session.OpenedAt = r.Instant(AttrStarted)
	}
	return session
}
