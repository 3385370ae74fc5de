package schema

import (
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Attributes of the conversations table. A customer's session is one item. When the next session takes its place, the
// ended session becomes an item of its own, so that the latest sessions of a restaurant can be shown.
const (
	AttrEntry       = "entry"
	AttrExpires     = "expiresAt" // when TTL may delete the item, in Unix seconds
	AttrOpened      = "openedAt"
	AttrOpenedBy    = "openedBy"  // the message that opened the session
	AttrStarted     = "startedAt" // of an ended session: the time of its opening; ended sessions aren't in the index
	AttrLastMessage = "lastMessageAt"
	AttrMessages    = "messages"
	AttrReply       = "reply"  // of a session its customer's welcome
	AttrAlias       = "sameAs" // of a customer stored under another id: that id. The item has nothing else
	AttrOptedOut    = "optedOutAt"
	AttrKnownAs     = "knownAs" // the BSUID of a customer stored under a number

	ReplyDue     = "due"
	ReplySettled = "settled"

	SessionPrefix = "customer/"
	EndedPrefix   = "session/"
	LedgerPrefix  = "messages/"  // pages of the ledger of messages, by day
	OpeningIndex  = "by-opening" // sessions by when they were opened

	WordIndex  = "by-word" // of the directory: restaurants by the words that a search finds them by
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

// EndedKey returns the key of a session that ended. The keys sort by the time of opening, so ended sessions need no index. Before
// December 2026 the keys began with the customer, and an index had the order.
func EndedKey(restaurantID, customer string, opened time.Time) table.Item {
	return EntryKey(restaurantID, EndedPrefix+opened.UTC().Format(table.TimeLayout)+"/"+customer)
}

// Ended is the condition for the sessions of a restaurant that ended. Only times begin with a digit, and no customer does.
func Ended(restaurantID string) table.Expression {
	return table.Expression{
		Condition: "#id = :id AND #entry BETWEEN :first AND :last",
		Names:     map[string]string{"#id": AttrRestaurantID, "#entry": AttrEntry},
		Values: table.Item{
			":id": table.Text(restaurantID), ":first": table.Text(EndedPrefix + "0"), ":last": table.Text(EndedPrefix + "9~"),
		},
	}
}

// ReadSession reads a session, whether it ended or not.
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
