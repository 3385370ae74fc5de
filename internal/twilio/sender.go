package twilio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/customer"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/outage"
)

// Tokens has the auth tokens of accounts.
type Tokens interface {
	// AuthToken returns the token of an account, or "" if the account isn't known.
	AuthToken(ctx context.Context, accountSID string) (string, error)
}

// Sender sends messages from the numbers of restaurants' bots. It is safe for concurrent use.
type Sender struct {
	SenderConfig
}

// SenderConfig is a Sender's configuration. All fields are required.
type SenderConfig struct {
	Client *Client
	Tokens Tokens
	// MasterSID is the account for bots without one of their own.
	MasterSID string
	// StatusURL is the public address for status callbacks, without a query.
	StatusURL string
	Log       *slog.Logger
	Now       func() time.Time
}

// NewSender returns a sender. Bots send from their own accounts, or from MasterSID if they have none.
func NewSender(config SenderConfig) *Sender { return &Sender{config} }

// callbackOverrides makes Twilio post a callback again until it is answered with 200, five times within 15 s. Without it,
// Twilio tries once more, and only if it couldn't connect (Twilio, "Webhooks: Connection Overrides"). A fragment is neither
// sent nor signed.
const callbackOverrides = "#rc=5&rp=all"

// Send implements conversation.Sender.
func (s *Sender) Send(ctx context.Context, t conversation.Tenant, o conversation.Outgoing) (string, error) {
	origin := delivery.Origin{
		Kind: o.Kind, Category: o.Category, Template: o.ContentSID != "" && o.Category != delivery.Service, Instead: o.Instead,
		Place: o.Place, SentAt: s.Now(),
	}
	m := Message{
		To: o.To, ContentSID: o.ContentSID, ContentVariables: o.Variables, Body: o.Text,
		StatusCallback: s.StatusURL + "?" + origin.Query() + callbackOverrides,
	}
	account := Account{SID: t.Bot.TwilioAccountSID}
	if account.SID == "" {
		account.SID = s.MasterSID
	}
	var err error
	if account.AuthToken, err = s.Tokens.AuthToken(ctx, account.SID); err != nil {
		return "", fmt.Errorf("looking up the auth token: %w", err)
	}
	m.From = t.Bot.PhoneNumber
	sid, err := s.Client.Send(ctx, account, m)
	return sid, s.translate(ctx, t, account.SID, m, err)
}

// invalidTo is Twilio's code for an invalid receiver. A sender that isn't enabled for user ids gets it for every user id
// (nyaruka/courier #1083).
const invalidTo = 21211

// translate returns the conversation's error for a failure.
//
// Only failures caused by the receiver are final. Failures that an operator must mend (an unregistered sender, a wrong
// account or token, anything that Twilio refuses for reasons of its own) must not use up the customer's welcome: the welcome
// stays due, and is sent with the first delivery after the mending.
func (s *Sender) translate(ctx context.Context, t conversation.Tenant, accountSID string, m Message, err error) error {
	failure, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return err
	case failure.ReceiverRejected():
		if failure.Code == invalidTo && customer.IsUserID(m.To) {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "twilio refuses user ids from this sender: customers without a number can't be reached",
				slog.String("restaurantId", t.Restaurant.ID), slog.String("accountSid", accountSID), logging.Customer("customer", m.To))
		}
		return fmt.Errorf("%w: %w", conversation.ErrUndeliverable, err)
	case m.ContentSID != "" && failure.Permanent():
		// Twilio has many codes for templates that can't be sent, and adds more, so any permanent refusal is taken for the
		// template's fault. If it isn't, Twilio refuses the replacing text too, and that error shows the real fault.
		return fmt.Errorf("%w: %w", conversation.ErrTemplateRejected, err)
	case failure.Permanent(), failure.AuthenticationFailed():
		s.Log.LogAttrs(ctx, slog.LevelError, "twilio refuses to send: an operator must mend the bot or its account",
			slog.String("restaurantId", t.Restaurant.ID), slog.String("accountSid", accountSID),
			slog.Int("twilioCode", failure.Code), slog.Any("error", err))
		return err
	}
	return fmt.Errorf("%w: %w", outage.ErrUnavailable, err)
}
