// Package conversation takes customers' messages: it counts each conversation exactly once, welcomes new customers, and
// answers requests for the menu or the branches.
//
// A conversation is a session of a customer with a restaurant. A message opens a session, and each further message
// keeps it open for another SessionLength; only the opening counts. Twilio delivers a message at least once, and
// perhaps to two instances at the same moment, so every step can be repeated: the next delivery completes the steps
// that an earlier delivery didn't finish.
//
//	message ──> Recorder.Record ──> session opened or extended, counted, tallied
//	              │
//	              ├─ the customer's first ──> welcome  ∥  bootstrap job
//	              └─ asks for a list ──────> answer
//
// Replies go out at least once. A delivery claims a lease on a reply before sending it, releases the lease if sending
// fails, and settles the reply once it went out. If the delivery's process dies while sending, the lease expires by
// itself.
package conversation

import (
	"context"
	"errors"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

const (
	// SessionLength is how long a session stays open after a message.
	SessionLength = 24 * time.Hour
	// RepeatWindow is how long a message is remembered: a repeat within that time changes nothing.
	RepeatWindow = 24 * time.Hour
	// LeaseLength is how long the right to send a reply lasts. The delivery that holds it renews it until the reply is noted.
	// If the process dies, the lease ends within the 15 s after which Twilio repeats a delivery (Twilio, "Webhooks:
	// connection overrides"), so that the repeat sends the reply. Instances' clocks differ by up to ClockSkew; the lease is
	// long enough to be renewed in time all the same.
	LeaseLength = 10 * time.Second
	// ClockSkew is how far an instance's clock may be off.
	ClockSkew = 2 * time.Second
	// FreeEntryPoint is how long messages are free after a customer has written from an ad or a page's button and has been
	// answered within 24 hours; the bot answers at once (Meta, "Pricing on the WhatsApp Business Platform", free entry
	// points).
	FreeEntryPoint = 72 * time.Hour
	// AlertLeaseLength is how long the right to send quota alerts lasts. It isn't renewed, since it is longer than any
	// invocation. An unfinished alert is completed by the restaurant's next conversation.
	AlertLeaseLength = 30 * time.Second
)

// Message is one delivery of a customer's message.
type Message struct {
	ID           string // Twilio's MessageSid, the same for every delivery
	RestaurantID string
	Customer     string // E.164, or a BSUID if the number is unknown
	UserID       string // the BSUID that came beside the number, or ""
	// Home is the id that the customer is stored under; "" stands for Customer. After Record, the caller sets it to
	// Recorded.Home, for all further calls with the message.
	Home       string
	ReceivedAt time.Time
	Asks       bool // the message asks for an answer
	Consent    Consent
	FromAd     bool // the customer came from an ad or a page's button
	// Place is the ledger's place for the answer that this delivery may send, if the message Asks for an answer. A ledger
	// entry at this place settles the answer, even if the process dies before it calls Settle.
	Place delivery.Place
	// Delivery is a random id of this delivery: two deliveries of a message have different ones.
	Delivery string
}

// ReplyState is the state of a reply for one delivery: whether the delivery may send the reply, or has nothing to send.
type ReplyState int

// The states of a reply.
//
//	            claim            settle
//	ReplyDue ──────────> held ──────────> ReplySettled
//	    ^                  │ release, or LeaseLength passes
//	    └──────────────────┘
//
// A held reply is ReplyHeld to the delivery that holds it, and ReplyElsewhere to all others.
const (
	ReplySettled   ReplyState = iota // the reply was sent, can never be sent, or was never needed
	ReplyDue                         // no delivery is sending the reply
	ReplyHeld                        // this delivery has to send the reply
	ReplyElsewhere                   // another delivery is sending the reply
)

// Recorded is a Recorder's result for a delivery.
type Recorded struct {
	// At is when the message was received. For a repeat, it is the opening of the session if the message opened it, and
	// otherwise the time of the session's latest message.
	At      time.Time
	Repeat  bool       // an earlier delivery of the message was seen
	First   bool       // the customer's first message ever, or a repeat of it
	Welcome ReplyState // the customer's welcome
	Answer  ReplyState // the answer to this message, if it asks for any
	Opened  bool       // this message, or a repeat of it, opened the customer's session
	// WelcomeFailed says that Twilio took the welcome's template, which then failed. A welcome that is due must then be sent
	// as text.
	WelcomeFailed bool
	// FreeUntil is the end of the time in which messages to the customer are free, FreeEntryPoint after the latest message
	// FromAd. It is zero if there was no such message.
	FreeUntil time.Time
	// OptedOut says that after this message the customer must be sent nothing. OptedBefore says the same of the time before
	// the message.
	OptedOut, OptedBefore bool
	// Home is the id that the customer is stored under: the number, if it is known.
	Home string

	// Input of Complete: when the session was opened, whether the opening is still to be counted, and whether the message is
	// now the session's latest, after a message received at From.
	OpenedAt  time.Time
	Uncounted bool
	Moved     bool
	From      time.Time
	Ended     usage.Session // the session before this one; it is stored before the opening is counted
	Unlinked  string        // a BSUID that may not lead to the customer yet; it is linked before the opening is counted
}

// After returns the result with the customer's consent before the message, and after it.
func (r Recorded) After(optedBefore bool, said Consent) Recorded {
	r.OptedBefore = optedBefore
	r.OptedOut = said == OptsOut || optedBefore && said != OptsIn
	return r
}

// Reply names a reply that can be claimed.
type Reply int

// The replies to a message.
const (
	Welcome Reply = iota // of the customer: due from the first message on, and sent with any message
	Answer               // of the message
)

// Recorder records messages and the leases on their replies. Every call is atomic with respect to other deliveries, and fails
// with outage.ErrUnavailable if the store doesn't answer. The delivery can then be recorded again, with the same result.
type Recorder interface {
	// Record opens or extends the customer's session, once for each message ID of a restaurant, and returns the states of the
	// replies. Once a message has carried both a number and a BSUID, either id finds the same customer: two customers known
	// until then become one. A message that opts out neither opens nor extends a session and gets no answer: it only sets the
	// customer's flag, until a message opts in. The delivery that opens a customer's first session gets the lease on the
	// welcome, and the first delivery of a message that Asks gets the lease on its answer. Any other delivery has to Claim a
	// reply that is due. Repeats are recognised for RepeatWindow, and repeats of a customer's latest 16 messages without
	// limit. Times never move backwards.
	Record(ctx context.Context, m Message) (Recorded, error)

	// Complete counts the opening of a recorded message, each opening exactly once, and notes the restaurant's activity. It
	// may run beside the replies. If a delivery breaks off before Complete, the next delivery of the message or the
	// customer's next message completes it. Only the tally of messages may then miss a message: nothing is billed by the
	// tally.
	Complete(ctx context.Context, m Message, recorded Recorded) error

	// CountWelcomed counts the opening of a recorded message and settles its welcome in one write. It doesn't try again after
	// a conflict, so that the welcome doesn't wait for the counts of other customers. If it returns false, the caller has to
	// call Settle and Complete; if true, only Complete, with Uncounted false.
	CountWelcomed(ctx context.Context, m Message, recorded Recorded) bool

	// Claim gives the delivery the lease on a reply that is due, until now + LeaseLength, and returns ReplyHeld. Otherwise it
	// returns the reply's state. The holder renews the lease by claiming it again.
	Claim(ctx context.Context, m Message, r Reply, now time.Time) (ReplyState, error)

	// Settle notes that a reply was sent or can never be sent. An answer with an entry at its Place needs no Settle. Release
	// gives the lease back. Neither has an effect if the delivery doesn't hold the lease.
	Settle(ctx context.Context, m Message, r Reply) error
	Release(ctx context.Context, m Message, r Reply) error
}

// QuotaState is a restaurant's quota in a month, after a conversation was opened in it.
type QuotaState struct {
	Month       usage.Month
	Quota       usage.Quota
	QuotaAlerts QuotaAlerts
	// Place updates the restaurant's place in the ranking; nil if the place is right. It makes a bounded number of tries; if
	// they all fail, a later opening updates the place.
	Place func(context.Context) error
}

// QuotaAlerts are the highest thresholds of a month's allowance that were reported, in percent; 0 is none.
type QuotaAlerts struct {
	Noted int64 // reported in the log and in metrics
	Sent  int64 // sent to the restaurant's owner, or given up
}

// QuotaAlerter reads quotas and leases the right to send quota alerts. Every method may be called again after a failure,
// which is outage.ErrUnavailable.
type QuotaAlerter interface {
	// QuotaState returns the restaurant's quota in the month of a recorded conversation, given when it was opened.
	QuotaState(ctx context.Context, restaurantID string, at time.Time) (QuotaState, error)

	// ClaimQuotaAlerts gives the delivery the right to report the month's thresholds, until now + AlertLeaseLength, and
	// returns the thresholds that were reported. It returns false while another delivery has that right.
	ClaimQuotaAlerts(ctx context.Context, m Message, month usage.Month, now time.Time) (QuotaAlerts, bool, error)

	// SettleQuotaAlerts notes the reported thresholds and, with done, gives the right back. It does nothing if the delivery
	// doesn't have the right.
	SettleQuotaAlerts(ctx context.Context, m Message, month usage.Month, told QuotaAlerts, done bool) error
}

// ErrElsewhere says that another delivery of the message is sending its reply. As that may fail, the message should be
// delivered again.
var ErrElsewhere = errors.New("another delivery of the message is sending its reply")
