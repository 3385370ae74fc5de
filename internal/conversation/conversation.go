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
	// RepeatWindow is how long a message is remembered: its repeats within that time change nothing.
	RepeatWindow = 24 * time.Hour
	// LeaseLength is how long the right to send a reply lasts unless it is renewed, as the delivery that holds it does until
	// the reply is noted. A process that dies leaves the rest of it: less than the 15 s within which Twilio repeats a delivery
	// (Twilio, "Webhooks: connection overrides"), so that a repeat gets the reply out. By instances' clocks, which ClockSkew
	// bounds, it lasts long enough for a renewal to come before anybody takes it for ended.
	LeaseLength = 10 * time.Second
	// ClockSkew is how far an instance's clock may be off.
	ClockSkew = 2 * time.Second
	// FreeEntryPoint is how long messages are free after a customer wrote from an ad or a page's button, and was answered within 24
	// hours, as the bot does at once (Meta, "Pricing on the WhatsApp Business Platform", free entry points).
	FreeEntryPoint = 72 * time.Hour
	// AlertLeaseLength is the same for quota alerts. Their lease is not renewed: it is longer than an invocation may take,
	// and the restaurant's next conversation completes an alert that wasn't finished.
	AlertLeaseLength = 30 * time.Second
)

// Message is one delivery of a customer's message.
type Message struct {
	ID           string // Twilio's MessageSid, the same for every delivery
	RestaurantID string
	Customer     string // E.164, or a BSUID if the number isn't known
	UserID       string // the BSUID that came beside the number, or ""
	// Home is the id that the customer is stored under, as Record found it; "" stands for Customer. The caller of Record
	// sets it before it continues with the message.
	Home       string
	ReceivedAt time.Time
	Asks       bool // it asks for an answer
	Consent    Consent
	FromAd     bool // the customer tapped an ad or a page's button to write it
	// Place is where the ledger is to keep the answer, if the message Asks for one and this delivery sends it. An answer that is
	// entered there is settled, even if the process died before it called Settle.
	Place delivery.Place
	// Delivery tells the deliveries of one message apart: random, and never the same for two.
	Delivery string
}

// ReplyState is the state of a reply as seen by a delivery: may it send the reply, or is that done or not needed?
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
	ReplySettled   ReplyState = iota // sent, or it never can be, or there never was one
	ReplyDue                         // nobody is sending it
	ReplyHeld                        // this delivery is to send it
	ReplyElsewhere                   // another delivery is sending it
)

// Recorded is a Recorder's result for a delivery.
type Recorded struct {
	// At is when the message was received. Of a repeat it is when it opened its session, or else when the session's latest
	// message came.
	At      time.Time
	Repeat  bool       // an earlier delivery of the message was seen
	First   bool       // the customer's first message ever, or a repeat of it
	Welcome ReplyState // the customer's welcome
	Answer  ReplyState // the answer to this message, if it asks for any
	Opened  bool       // this message, or a repeat of it, opened the customer's session
	// WelcomeFailed says that the welcome's template failed after Twilio had taken it: a welcome that is due is due as text.
	WelcomeFailed bool
	// FreeUntil is until when messages to the customer are free, zero if they aren't: FreeEntryPoint after the latest message
	// FromAd.
	FreeUntil time.Time
	// OptedOut says that the customer is to be sent nothing, after this message. OptedBefore says the same of before it.
	OptedOut, OptedBefore bool
	// Home is the id that the customer is stored under: the number, if it is known.
	Home string

	// The input of Complete: when the session was opened, whether the opening is still to be counted, and whether the
	// message moved the session's end, from the time of the message before (zero if it opened the session).
	OpenedAt  time.Time
	Uncounted bool
	Moved     bool
	From      time.Time
	Ended     usage.Session // the session before, replaced by this opening; it is stored before counting
	Unlinked  string        // the BSUID that may not lead to the customer yet, which comes before counting
}

// After returns the customer's consent after a message with the effect said, which may be none.
func (r Recorded) After(optedBefore bool, said Consent) Recorded {
	r.OptedBefore = optedBefore
	r.OptedOut = said == OptsOut || optedBefore && said != OptsIn
	return r
}

// Reply names a reply that can be claimed.
type Reply int

// The replies to a message.
const (
	Welcome Reply = iota // belongs to the customer: due since the first message, whichever message gets it out
	Answer               // belongs to the message
)

// Recorder records messages and the leases on their replies. All of it is atomic with respect to other deliveries. It
// fails with outage.ErrUnavailable if the store can't answer; the delivery can then be recorded again, with the same
// result as if it had been recorded once.
type Recorder interface {
	// Record opens or extends the customer's session, once for each message ID of a restaurant, and returns the state of the
	// replies. Once a message has carried both a number and a BSUID, either id finds the same customer: two customers known
	// until then become a single customer. A message that opts out neither opens nor extends a session and asks for nothing:
	// it only sets the customer's flag, until a message opts in. If a welcome has no holder, this delivery holds its lease
	// from then on, as if claimed; so it does for the answer to a message that Asks. Repeats are recognised for
	// RepeatWindow, and repeats of a customer's latest 16 messages without limit. Times never move backwards.
	Record(ctx context.Context, m Message) (Recorded, error)

	// Complete counts the opening of a recorded message, each opening exactly once, and notes the restaurant's activity. It
	// may run concurrently with the replies. If a delivery breaks off before Complete, the next delivery of the message or
	// the customer's next message completes it. The tally of messages is informative: breaking off may lose a message.
	Complete(ctx context.Context, m Message, recorded Recorded) error

	// CountWelcomed counts the opening of a recorded message and settles its welcome, both by a single write. It makes a single
	// attempt, so that the welcome doesn't wait while other customers of the restaurant are counted. If it returns false, the
	// caller has to call Settle and Complete. If it returns true, Complete is called with Uncounted false.
	CountWelcomed(ctx context.Context, m Message, recorded Recorded) bool

	// Claim gives the delivery the lease on a reply that is due, until now + LeaseLength, and returns ReplyHeld.
	// Otherwise it returns the reply's state. The holder of the lease renews it by claiming again.
	Claim(ctx context.Context, m Message, r Reply, now time.Time) (ReplyState, error)

	// Settle notes that a reply went out or never can. An answer with an entry at its Place needs no Settle. Release gives
	// the lease back. Neither has an effect if the delivery doesn't hold the lease.
	Settle(ctx context.Context, m Message, r Reply) error
	Release(ctx context.Context, m Message, r Reply) error
}

// QuotaState is how a restaurant stood in a month after a conversation was opened in it.
type QuotaState struct {
	Month       usage.Month
	Quota       usage.Quota
	QuotaAlerts QuotaAlerts
	// Place brings the restaurant's place in the ranking up to date; nil if it is up to date. Its work is bounded; the rest
	// is done after a later opening.
	Place func(context.Context) error
}

// QuotaAlerts says which thresholds of a month's allowance were told of, as the highest one's percentage; 0 is none.
type QuotaAlerts struct {
	Noted int64 // in the log and in metrics
	Sent  int64 // to the restaurant's owner, or it never can be
}

// QuotaAlerter reads quotas and hands out the right to send quota alerts. Every call may be repeated. It fails with outage.ErrUnavailable.
type QuotaAlerter interface {
	// QuotaState returns how the restaurant stands in the month of a conversation that was opened at the time and recorded.
	QuotaState(ctx context.Context, restaurantID string, at time.Time) (QuotaState, error)

	// ClaimQuotaAlerts gives the delivery the right to tell of the month's thresholds, until now + AlertLeaseLength, and returns
	// which ones have been told of by then; or false while another delivery has that right.
	ClaimQuotaAlerts(ctx context.Context, m Message, month usage.Month, now time.Time) (QuotaAlerts, bool, error)

	// SettleQuotaAlerts notes which thresholds have been told of, and with done gives the right back. It does nothing where
	// the delivery doesn't have it.
	SettleQuotaAlerts(ctx context.Context, m Message, month usage.Month, told QuotaAlerts, done bool) error
}

// ErrElsewhere says that another delivery of the same message is sending its reply. Whether that succeeds isn't known
// yet, so the message should be delivered again.
var ErrElsewhere = errors.New("another delivery of the message is sending its reply")
