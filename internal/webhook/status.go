package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/customer"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/phone"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// StatusPath is the address for Twilio's status callbacks.
const StatusPath = Path + "/status"

// maxStatusBody bounds a status callback. Twilio's take less than 1 KiB, but new parameters come without notice.
const maxStatusBody = 16 << 10

// StatusURL returns the public address for status callbacks, given the webhook's.
func StatusURL(webhookURL string) string { return webhookURL + StatusPath[len(Path):] }

// Statuses takes reports of messages' statuses, which come late, repeated and out of order. If it returns an error, Twilio
// posts the callback again.
type Statuses interface {
	ReceiveStatus(ctx context.Context, t conversation.Tenant, r delivery.Report) error
}

// answerStatus answers requests to StatusPath.
func (h *Handler) answerStatus(c *httpedge.Call) (any, error) {
	f, err := readForm(c.Request, maxStatusBody)
	if err != nil {
		return nil, err
	}
	if err := h.verify(c, StatusURL(h.config.URL), f); err != nil {
		return nil, err
	}
	if kind := f.kind(); kind != KindStatus { // a message posted to the wrong address
		h.ignore(c, KindOther)
		return empty, nil
	}
	if err := h.status(c, f, delivery.ParseQuery(c.URL.RawQuery)); err != nil {
		return nil, err
	}
	return empty, nil
}

// The log's reasons for a status without effect.
const (
	reasonStatus   = "unknown status"
	reasonMessage  = "MessageSid is not a message's SID"
	reasonSender   = "no bot has the sender's number"
	reasonAccount  = "signed by a Twilio account that is not the bot's"
	reasonReceiver = "To is neither a phone number nor a user id"
)

// status takes a signed status callback. A callback that can't be for a message of ours is acknowledged, and has no effect.
func (h *Handler) status(c *httpedge.Call, f form, origin delivery.Origin) error {
	h.ignore(c, KindStatus)
	r := delivery.Report{MessageID: f.only("MessageSid"), Status: delivery.ParseStatus(f.only("MessageStatus")), Origin: origin}
	r.ErrorCode, _ = strconv.Atoi(f.only("ErrorCode")) // 0 if there is none or it is no number
	c.Note(slog.String("messageStatus", f.text("MessageStatus", maxShort)), slog.String("messageKind", string(origin.Kind)))
	if r.ErrorCode != 0 {
		c.Note(slog.Int("errorCode", r.ErrorCode))
	}
	without := func(reason string) error {
		c.Note(slog.String("noEffect", reason))
		return nil
	}
	var err error
	if r.Customer, err = customer.Parse(f.only("To")); err != nil {
		return without(reasonReceiver)
	}
	c.Note(logging.Customer("customer", r.Customer))
	if len(r.MessageID) != sidLength || !twilioSID(r.MessageID) {
		return without(reasonMessage)
	}
	c.Note(slog.String("sid", r.MessageID))
	if r.Status == delivery.Unknown {
		return without(reasonStatus)
	}
	number, err := phone.Parse(f.only("From"))
	if err != nil {
		return without(reasonSender)
	}
	t, err := h.config.Tenants.TenantByNumber(c.Context(), number)
	switch {
	case errors.Is(err, restaurant.ErrNotFound):
		return without(reasonSender)
	case err != nil:
		return fmt.Errorf("looking up the restaurant: %w", err)
	case !h.ownAccount(t, f):
		return without(reasonAccount)
	}
	c.Note(logging.Restaurant("restaurantId", t.Restaurant.ID))
	if h.config.Statuses == nil {
		return nil
	}
	return h.config.Statuses.ReceiveStatus(c.Context(), t, r)
}

// ownAccount reports whether the form was signed by the bot's account. A bot without its own account is in Sufrah's.
func (h *Handler) ownAccount(t conversation.Tenant, f form) bool {
	account := f.only("AccountSid")
	return account == t.Bot.TwilioAccountSID || t.Bot.TwilioAccountSID == "" && (account == h.config.AccountSID || account == "")
}
