// Package delivery defines the statuses of the messages that we send, and our reaction to each error code.
//
// Twilio's response to a send only says that Twilio took the message. Its further statuses come in status callbacks, which
// are late, repeated and out of order. The message's purpose is part of its callback's address (Origin), which Twilio signs.
// So a callback is complete by itself, even if the response to the send was lost, and nothing has to be stored before the
// message is sent.
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

// Kinds are all of them.
var Kinds = []Kind{Welcome, List, Text, QuotaAlert}

// Category is a message's price category at WhatsApp, by which Meta charges it once it is delivered (Meta, "Pricing on the
// WhatsApp Business Platform").
type Category string

// The categories. Free-form messages, lists among them, are Service: "Service messages are billed under the SERVICE pricing
// category" (Meta, "Service messages"). A template has the category that it was approved with.
const (
	Service        Category = "service"
	Utility        Category = "utility"
	Marketing      Category = "marketing"
	FreeEntryPoint Category = "free_entry_point" // within 72 hours of a customer's tap on an ad or a page's button
)

// Categories are all of them.
var Categories = []Category{Service, Utility, Marketing, FreeEntryPoint}

// Origin is the information about a message in its callback's address. It names no customer.
type Origin struct {
	Kind     Kind
	Category Category
	Template bool      // it was sent as a template that WhatsApp approved
	Instead  bool      // it is text in place of a template that failed after Twilio had taken it
	Place    Place     // where the ledger keeps it
	SentAt   time.Time // to the second
}

// Known reports whether there is anything to say: a callback that isn't at an address of ours has no origin.
func (o Origin) Known() bool { return o.Kind != "" }

// Query returns the query of the callback's address. Its last parameter consists of digits alone, so that an address to
// which signed parameters of the form were moved can't be parsed.
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

// ParseQuery returns the origin in the query of a callback's address; the zero Origin if there is none in exactly the form
// that Query gives it.
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
// A later status in this order replaces an earlier status, in any order of arrival. Failed is final: it stands for Twilio's
// failed (never left Twilio) and undelivered (left it, and did not arrive).
type Status int

// The statuses. Queued and the others that precede Sent are Accepted.
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
	Customer  string // the customer that the message went to
	Status    Status
	ErrorCode int // of a message that failed; 0 where none was given
	Origin    Origin
}
