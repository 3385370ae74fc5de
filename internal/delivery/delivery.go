// Package delivery defines the statuses of the messages that we send, and our reaction to each error code.
//
// Twilio's answer to a send only says that Twilio took the message. Further statuses come in callbacks, which are late,
// repeated and out of order. A callback's address has the message's purpose (Origin), and Twilio signs the address. So a
// callback needs nothing that was stored before the message was sent, and is complete even if the answer to the send was
// lost.
package delivery

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Kind is a message's purpose in our system.
type Kind string

// The kinds.
const (
	Welcome    Kind = "welcome"
	List       Kind = "list"
	Text       Kind = "text"
	QuotaAlert Kind = "quota_alert"
)

// Kinds lists all kinds.
var Kinds = []Kind{Welcome, List, Text, QuotaAlert}

// Category is a message's price category at WhatsApp. Meta charges a delivered message by its category (Meta, "Pricing on the
// WhatsApp Business Platform").
type Category string

// The categories. Free-form messages, including lists, are Service: "Service messages are billed under the SERVICE pricing
// category" (Meta, "Service messages"). A template has the category that it was approved in.
const (
	Service        Category = "service"
	Utility        Category = "utility"
	Marketing      Category = "marketing"
	FreeEntryPoint Category = "free_entry_point" // within 72 hours of a customer's tap on an ad or a page's button
)

// Categories lists all categories.
var Categories = []Category{Service, Utility, Marketing, FreeEntryPoint}

// Origin is the data about a message in its callback's address. It doesn't contain the customer.
type Origin struct {
	Kind     Kind
	Category Category
	Template bool      // it was sent as an approved template
	Instead  bool      // it is the text that replaces a template that failed after Twilio had taken it
	Place    Place     // its place in the ledger
	SentAt   time.Time // to the second
}

// Known reports whether there is an origin. A callback to another address than ours has none.
func (o Origin) Known() bool { return o.Kind != "" }

// Query returns the query of the callback's address. The query's last parameter has only digits. So if an attacker moves
// parameters from the signed form to the end of the address, the address can't be parsed.
func (o Origin) Query() string {
	return "kind=" + string(o.Kind) + "&category=" + string(o.Category) + "&template=" + flag(o.Template) + "&instead=" + flag(o.Instead) +
		"&place=" + o.Place.String() + "&sent=" + strconv.FormatInt(o.SentAt.Unix(), 10)
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// ParseQuery returns the origin in the query of a callback's address. It returns the zero Origin unless the query has exactly
// the form that Query gives it.
func ParseQuery(query string) Origin {
	values, err := url.ParseQuery(query)
	if err != nil {
		return Origin{}
	}
	sent, err := strconv.ParseInt(values.Get("sent"), 10, 64)
	place, ok := ParsePlace(values.Get("place"))
	o := Origin{
		Kind: Kind(values.Get("kind")), Category: Category(values.Get("category")),
		Template: values.Get("template") == flag(true), Instead: values.Get("instead") == flag(true),
		Place: place, SentAt: time.Unix(sent, 0).UTC(),
	}
	if err != nil || !ok || !slices.Contains(Kinds, o.Kind) || !slices.Contains(Categories, o.Category) || o.Query() != query {
		return Origin{}
	}
	return o
}

// Status is a message's progress.
//
//	Sent ──> Delivered ──> Read
//	  └────> Failed
//
// A status further along replaces an earlier one, in whatever order they arrive. Failed is final. It stands for two of
// Twilio's statuses: failed (the message never left Twilio) and undelivered (it left and didn't arrive).
type Status int

// The statuses. Accepted stands for queued and Twilio's other statuses before sent.
const (
	Unknown Status = iota
	Accepted
	Sent
	Delivered
	Read
	Failed
)

// ParseStatus parses a MessageStatus; it returns Unknown for values that Twilio may add
// (https://www.twilio.com/docs/messaging/api/message-resource, "Message Status values").
func ParseStatus(s string) Status {
	switch s {
	case "accepted", "scheduled", "queued", "sending":
		return Accepted
	case "sent":
		return Sent
	case "delivered":
		return Delivered
	case "read":
		return Read
	case "failed", "undelivered":
		return Failed
	}
	return Unknown
}

// Report is the content of a callback.
type Report struct {
	MessageID string // Twilio's SID
	Customer  string // the message's receiver
	Status    Status
	ErrorCode int // of a failed message; 0 if none was given
	Origin    Origin
}
