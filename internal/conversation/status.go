package conversation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/task"
)

// WelcomeFailure is the state of a welcome after the failure of its template was noted.
type WelcomeFailure struct {
	// State is the state of the welcome as text. If it is ReplySettled, no text may be sent: either a text was sent, or
	// another field gives the reason.
	State     ReplyState
	Noted     string // SID of the message with an earlier noted failure; "" if this call noted the failure
	Unknown   bool   // the customer has no session
	Closed    bool   // the customer's 24 hours are over: WhatsApp takes no text (63016)
	OptedOut  bool
	Home      string    // the id that the customer is stored under
	FreeUntil time.Time // end of the time in which messages to the customer are free
}

// WelcomeFailures notes that welcomes' templates failed after Twilio had taken them.
type WelcomeFailures interface {
	// FailWelcome makes a customer's welcome due again, as text, and gives the lease on it to the delivery instead of the
	// template's sender: once for each customer, within 24 hours of the customer's latest message. The parameter welcome is
	// the welcome itself as a message. Further calls return the text's current state; if that is ReplyDue, the caller can
	// claim it.
	FailWelcome(ctx context.Context, welcome Message, now time.Time) (WelcomeFailure, error)

	// SettleFailedWelcome notes that Twilio took the text of a failed welcome, whichever delivery holds the lease. If no text
	// is due, it writes nothing.
	SettleFailedWelcome(ctx context.Context, restaurantID, customer string) error
}

// ReceiveStatus enters a callback's report of a message in the ledger, and sends a welcome as text if its template failed. If
// ReceiveStatus fails, another callback should try again.
func (s *Service) ReceiveStatus(ctx context.Context, t Tenant, r delivery.Report) error {
	if s.Events.MessageReported != nil {
		s.Events.MessageReported(r)
	}
	defer s.Ledger.Entered(ctx) // waits for the text's entry
	entered := task.Start(func() (struct{}, error) { return struct{}{}, s.Ledger.Report(ctx, t.Restaurant.ID, r) })
	err := s.actOn(ctx, t, r)
	_, enterErr := entered.Wait()
	return errors.Join(err, enterErr)
}

// templateKeys are the keys of the templates by the kind of their messages. A list's template depends on its number of rows, so
// the kind alone doesn't tell it.
var templateKeys = map[delivery.Kind]string{delivery.Welcome: TemplateWelcome, delivery.QuotaAlert: TemplateQuotaAlert}

// actOn does what a message's status requires.
func (s *Service) actOn(ctx context.Context, t Tenant, r delivery.Report) error {
	if r.Origin.Instead { // the sender may have died before it noted the text; now no other delivery sends it again
		if err := s.WelcomeFailures.SettleFailedWelcome(ctx, t.Restaurant.ID, r.Customer); err != nil {
			return fmt.Errorf("settling the welcome that was sent as text: %w", err)
		}
	}
	if r.Status != delivery.Failed {
		return nil
	}
	log := s.Log.With(slog.String("requestId", s.RequestID(ctx)), logging.Restaurant("restaurantId", t.Restaurant.ID),
		logging.Customer("customer", r.Customer))
	code := r.Code()
	level := slog.LevelWarn
	if code.Alarm {
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.String("sid", r.MessageID), slog.String("kind", string(r.Origin.Kind)),
		slog.Int("twilioCode", r.ErrorCode), slog.String("fault", string(code.Fault)), slog.String("means", code.Means)}
	if key, ok := templateKeys[r.Origin.Kind]; ok && r.Origin.Template {
		// Callbacks don't name the template. The logged SID is the one configured now for this kind of message; it is wrong
		// if the stack was deployed with another SID after the message was sent.
		if sid, known := s.Templates.SID(ctx, key); known {
			attrs = append(attrs, slog.String("contentSid", sid))
		}
	}
	log.LogAttrs(ctx, level, "message not delivered", attrs...)
	if r.Origin.Kind != delivery.Welcome {
		return nil
	}
	if !r.Origin.Template {
		noText(ctx, log, r.MessageID, "the text itself was not delivered")
		return nil
	}
	if code.Fault != delivery.FaultContent && code.Fault != delivery.FaultUnknown {
		noText(ctx, log, r.MessageID, "a text would fail too")
		return nil
	}
	m := Message{
		ID: r.MessageID, RestaurantID: t.Restaurant.ID, Customer: r.Customer, ReceivedAt: s.Now(), Delivery: s.NewID(),
	}
	if err := s.textAfterFailure(ctx, log, t, m); err != nil {
		return fmt.Errorf("welcoming with text: %w", err)
	}
	return nil
}

// noText logs the reason for not replacing a failed welcome by text.
func noText(ctx context.Context, log *slog.Logger, sid, reason string) {
	log.LogAttrs(ctx, slog.LevelWarn, "welcome not sent as text", slog.String("sid", sid), slog.String("reason", reason))
}

// whyNoText returns the reason for not replacing the welcome with the SID by text; "" if a text is due.
func (f WelcomeFailure) whyNoText(sid string) string {
	settled := f.State == ReplySettled
	switch {
	case f.Unknown:
		return "the customer has no session"
	case settled && f.Noted == sid:
		return "the text was sent or given up already"
	case settled && f.Noted != "":
		return "the text was sent or given up after another welcome failed"
	case f.OptedOut:
		return "the customer has opted out"
	case f.Closed:
		return "the customer's 24 hours are over"
	}
	return ""
}

// textAfterFailure sends the welcome m as text, unless another delivery sends it or has sent it.
func (s *Service) textAfterFailure(ctx context.Context, log *slog.Logger, t Tenant, m Message) error {
	failure, err := s.WelcomeFailures.FailWelcome(ctx, m, s.Now())
	if err != nil {
		return err
	}
	m.Home = failure.Home
	if reason := failure.whyNoText(m.ID); reason != "" {
		noText(ctx, log, m.ID, reason)
		return nil
	}
	log = replacing(log, m)
	return s.reply(ctx, log, m, Welcome, failure.State, true, func(ctx context.Context) error {
		return s.welcomeAsText(ctx, log, t, receiver{id: m.Customer, freeUntil: failure.FreeUntil}, "")
	}, s.settling(m, Welcome))
}

// textAfterAnswer sends the welcome m as text for the delivery with the lease, after Twilio's answer said that the template
// was taken and failed. If a callback reported the failure first, the callback has taken the lease and sends the text.
func (s *Service) textAfterAnswer(ctx context.Context, log *slog.Logger, t Tenant, m Message, to receiver, guest string) error {
	log.LogAttrs(ctx, slog.LevelWarn, "welcome's template failed at once: the welcome is tried as text", slog.String("sid", m.ID))
	failure, err := s.WelcomeFailures.FailWelcome(ctx, m, s.Now())
	if err != nil {
		return err
	}
	switch failure.State {
	case ReplyHeld:
		return s.welcomeAsText(ctx, replacing(log, m), t, to, guest)
	case ReplySettled:
		noText(ctx, log, m.ID, failure.whyNoText(m.ID))
		return nil
	}
	return ErrElsewhere
}

// replacing returns the logger for a text that replaces the welcome m. The text's own SID is "sid".
func replacing(log *slog.Logger, m Message) *slog.Logger {
	return log.With(slog.String("replacesSid", m.ID))
}

// welcomeAsText sends the welcome as text, instead of a failed template.
func (s *Service) welcomeAsText(ctx context.Context, log *slog.Logger, t Tenant, to receiver, guest string) error {
	for _, text := range welcomeContent(t.Restaurant.Name, guest, "").Texts {
		m := s.outgoing(to, Outgoing{Kind: delivery.Welcome, Category: delivery.Service, Text: text, Instead: true})
		if _, err := s.sendOne(ctx, log, t, m); err != nil {
			return err
		}
	}
	log.LogAttrs(ctx, slog.LevelInfo, "welcome sent as text")
	call(s.Events.WelcomeAsText)
	return nil
}
