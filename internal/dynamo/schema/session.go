package schema

import (
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Attributes of the conversations table. A customer's session is one item. When the next one takes its place, the one that
// ended becomes an item of its own, so that the latest sessions of a restaurant can be shown.
const (
	AttrEntry       = "entry"
	AttrExpires     = "expiresAt" // when TTL may delete the item, in Unix seconds
	AttrOpened      = "openedAt"
	AttrOpenedBy    = "openedBy" // the message that opened the session
	AttrLastMessage = "lastMessageAt"
	AttrMessages    = "messages"
	AttrReply       = "reply"  // of a session its customer's welcome
	AttrAlias       = "sameAs" // of a customer who is kept under another id: that id. The item has nothing else
	AttrOptedOut    = "optedOutAt"
	AttrKnownAs     = "knownAs" // the BSUID of a customer who is kept under a number

	ReplyDue     = "due"
	ReplySettled = "settled"

	SessionPrefix = "customer/"
	EndedPrefix   = "session/"
	OpeningIndex  = "by-opening" // sessions by when they were opened
)

// EntryKey is the key of an item of the conversations table.
func EntryKey(restaurantID, entry string) table.Item {
	return table.Item{AttrRestaurantID: table.Text(restaurantID), AttrEntry: table.Text(entry)}
}

// SessionKey is the key of a customer's session.
func SessionKey(restaurantID, customer string) table.Item {
	return EntryKey(restaurantID, SessionPrefix+customer)
}

// EndedKey is the key of a session that ended.
func EndedKey(restaurantID, customer string, opened time.Time) table.Item {
	return EntryKey(restaurantID, EndedPrefix+customer+"/"+opened.UTC().Format(table.TimeLayout))
}

// ReadSession reads a session, whether it ended or not.
func ReadSession(r *table.Reader) usage.Session {
	customer := strings.TrimPrefix(r.Text(AttrEntry), SessionPrefix)
	if ended, ok := strings.CutPrefix(customer, EndedPrefix); ok {
		customer, _, _ = strings.Cut(ended, "/")
	}
	return usage.Session{
		ID: r.Text(AttrOpenedBy), Customer: customer, OpenedAt: r.Instant(AttrOpened),
		LastMessage: r.Instant(AttrLastMessage), Messages: r.Number(AttrMessages),
	}
}
