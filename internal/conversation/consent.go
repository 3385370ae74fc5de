package conversation

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/intent"
)

// Consent is a message's effect on the customer's permission to be written to.
type Consent = intent.Consent

// The consents of messages.
const (
	NoConsent = intent.Unchanged
	OptsOut   = intent.OptOut
	OptsIn    = intent.OptIn
)

// consentOf returns a message's effect on the customer's permission to be written to. Twilio's OptOutType takes precedence
// over our reading of the text, because Twilio's keywords can be configured
// (twilio.com/docs/messaging/tutorials/advanced-opt-out, OptOutType). The text of a tapped row or button is no keyword.
func consentOf(in Incoming) Consent {
	switch strings.ToUpper(strings.TrimSpace(in.OptOutType)) {
	case "STOP":
		return OptsOut
	case "START":
		return OptsIn
	case "HELP":
		return NoConsent
	}
	if in.ListID != "" {
		return NoConsent // a row's title may be any dish's name
	}
	return intent.ConsentOf(in.Body)
}

// noteConsent logs and counts a message that changes whether its customer may be written to.
func (s *Service) noteConsent(ctx context.Context, log *slog.Logger, m Message, recorded Recorded) {
	switch {
	case recorded.Repeat:
	case m.Consent == OptsOut && !recorded.OptedBefore:
		log.LogAttrs(ctx, slog.LevelInfo, "customer opted out: the bot sends nothing until the customer opts in")
		call(s.Events.OptedOut)
	case m.Consent == OptsIn && recorded.OptedBefore:
		log.LogAttrs(ctx, slog.LevelInfo, "customer opted in again")
		call(s.Events.OptedIn)
	}
}

// keepQuiet sends nothing to an opted-out customer. A welcome stays due, and is sent once the customer opts in. A withheld
// answer is never sent.
func (s *Service) keepQuiet(ctx context.Context, log *slog.Logger, m Message, recorded Recorded) error {
	log.LogAttrs(ctx, slog.LevelInfo, "nothing sent: the customer has opted out")
	var err error
	if recorded.Welcome == ReplyHeld {
		err = s.Recorder.Release(ctx, m, Welcome)
	}
	if m.Asks && recorded.Answer == ReplyHeld {
		err = errors.Join(err, insist(ctx, func() error { return s.Recorder.Settle(ctx, m, Answer) }))
	}
	return err
}
