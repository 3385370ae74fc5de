package twilio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/outage"
)

// Tokens knows the auth tokens of accounts.
type Tokens interface {
	// AuthToken returns the token of an account, or "" where the account isn't known.
	AuthToken(ctx context.Context, accountSID string) (string, error)
}

// Sender sends messages from the numbers of restaurants' bots. It is safe for concurrent use.
type Sender struct {
	client    *Client
	tokens    Tokens
	masterSID string
	log       *slog.Logger
}

// NewSender returns a sender for bots with an account of their own; those without one send from the master's.
func NewSender(client *Client, tokens Tokens, masterSID string, log *slog.Logger) *Sender {
	return &Sender{client: client, tokens: tokens, masterSID: masterSID, log: log}
}

// SendTemplate implements conversation.Sender.
func (s *Sender) SendTemplate(ctx context.Context, t conversation.Tenant, to, sid string, variables map[string]string) error {
	return s.send(ctx, t, Message{To: to, ContentSID: sid, ContentVariables: variables})
}

// SendText implements conversation.Sender.
func (s *Sender) SendText(ctx context.Context, t conversation.Tenant, to, text string) error {
	return s.send(ctx, t, Message{To: to, Body: text})
}

func (s *Sender) send(ctx context.Context, t conversation.Tenant, m Message) error {
	account := Account{SID: t.Bot.TwilioAccountSID}
	if account.SID == "" {
		account.SID = s.masterSID
	}
	var err error
	if account.AuthToken, err = s.tokens.AuthToken(ctx, account.SID); err != nil {
		return fmt.Errorf("looking up the auth token: %w", err)
	}
	m.From = t.Bot.PhoneNumber
	_, err = s.client.Send(ctx, account, m)
	return s.translate(ctx, t, account.SID, m, err)
}

// translate says what a failure means for a conversation.
//
// Only what is the receiver's own doing is final. What an operator has to put right (a sender that isn't registered, a
// wrong account or token, anything that Twilio refuses for a reason of its own) must not use up the customer's welcome:
// it stays due, and goes out with the next delivery once it has been put right.
func (s *Sender) translate(ctx context.Context, t conversation.Tenant, accountSID string, m Message, err error) error {
	failure, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		return err
	case failure.ReceiverRejected():
		return fmt.Errorf("%w: %w", conversation.ErrUndeliverable, err)
	case m.ContentSID != "" && failure.Permanent():
		// Twilio has many codes for templates that can't be sent, and adds more. Where the fault is another, the text
		// that is sent instead is refused as well, and tells.
		return fmt.Errorf("%w: %w", conversation.ErrTemplateRejected, err)
	case failure.Permanent(), failure.AuthenticationFailed():
		s.log.LogAttrs(ctx, slog.LevelError, "twilio refuses to send: the bot or its account needs an operator",
			slog.String("restaurantId", t.Restaurant.ID), slog.String("accountSid", accountSID),
			slog.Int("twilioCode", failure.Code), slog.Any("error", err))
		return err
	}
	return fmt.Errorf("%w: %w", outage.ErrUnavailable, err)
}
