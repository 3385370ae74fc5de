// Package webhook takes customers' messages from Twilio's webhook: it finds the restaurant that was written to, checks
// that Twilio signed the request, and hands the message on.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/phone"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
)

// Path is where Twilio posts messages to.
const Path = "/webhooks/whatsapp"

// Tenants finds who is written to.
type Tenants interface {
	// TenantByNumber returns the restaurant whose bot answers at a number in E.164 form. It fails with
	// restaurant.ErrNotFound where there is none, and with outage.ErrUnavailable where the store can't tell.
	TenantByNumber(ctx context.Context, number string) (conversation.Tenant, error)
}

// Tokens knows the auth tokens of Twilio accounts.
type Tokens interface {
	// AuthToken returns the token of an account, of Sufrah's own where accountSID is empty. The token is empty where the
	// account isn't known. It fails with outage.ErrUnavailable where tokens can't be read.
	AuthToken(ctx context.Context, accountSID string) (string, error)
	// NewAuthToken is AuthToken for when that one's token turns out to be wrong: if it was changed, it is the new one. It
	// may be asked as often as anybody likes to send forged requests.
	NewAuthToken(ctx context.Context, accountSID string) (string, error)
}

// Receiver takes one delivery of a message. A delivery that fails may be repeated, whatever it has done already.
type Receiver interface {
	Receive(ctx context.Context, t conversation.Tenant, in conversation.Incoming) error
}

// Config is what a Handler works with. All of it is needed but for what says otherwise.
type Config struct {
	// URL is the public address of the webhook as it is configured at Twilio, without its query string: what arrives can
	// name another host, or none. If there is a query string, that of the request is signed.
	URL      string
	Tenants  Tenants
	Tokens   Tokens
	Receiver Receiver
	Log      *slog.Logger
	Now      func() time.Time
	// RequestID names the request in the log and in the answer's X-Request-Id header; an empty name is left out.
	RequestID func(context.Context) string
	// Taken is told of each delivery that is answered with 200, and NotSigned of each that is refused for its signature:
	// for metrics. Either may be nil.
	Taken, NotSigned func()
}

// Handler is an http.Handler. It logs one line for each request, and never a text, a token or a customer's number in full.
type Handler struct {
	*httpedge.Edge
	config Config
}

// New returns a handler of the webhook. It answers with an empty TwiML document once nothing is left to be done for the
// message, or with an error, after which Twilio delivers the message again.
func New(config Config) *Handler {
	h := &Handler{config: config}
	h.Edge = httpedge.New(httpedge.Options{
		Log: config.Log, Now: config.Now, RequestID: config.RequestID, Translate: translate, Answered: h.answered,
	}, httpedge.Route{Pattern: Path, Methods: []string{http.MethodPost}, Answer: h.answer})
	return h
}

// answered tells metrics of a request's end.
func (h *Handler) answered(err error) {
	switch {
	case err == nil:
		tell(h.config.Taken)
	case errors.Is(err, errNotSigned):
		tell(h.config.NotSigned)
	}
}

func tell(f func()) {
	if f != nil {
		f()
	}
}

// empty is a TwiML document that asks Twilio for nothing: replies go out over its API.
var empty = httpedge.Document{ContentType: "text/xml", Body: "<Response/>"}

func (h *Handler) answer(c *httpedge.Call) (any, error) {
	if err := h.receive(c); err != nil {
		return nil, err
	}
	return empty, nil
}

// receive takes the message in a request. Whom it is for is looked at before its signature, whose key depends on it;
// everything else only after that.
func (h *Handler) receive(c *httpedge.Call) error {
	f, err := readForm(c.Request)
	if err != nil {
		return err
	}
	t, err := h.tenant(c.Context(), f)
	if err != nil {
		return err
	}
	c.Note(slog.String("restaurantId", t.Restaurant.ID))
	if err := h.verify(c, t, f); err != nil {
		return err
	}
	in, err := f.incoming()
	if err != nil {
		return err
	}
	c.Note(slog.String("messageId", in.MessageID), logging.Phone("customer", in.Customer))
	if !t.Restaurant.Active {
		c.Note(slog.String("ignored", "the restaurant is inactive"))
		return nil
	}
	return h.config.Receiver.Receive(c.Context(), t, in)
}

// tenant returns whom the message is for.
func (h *Handler) tenant(ctx context.Context, f form) (conversation.Tenant, error) {
	number, err := phone.Parse(f.only("To"))
	if err != nil {
		return conversation.Tenant{}, restaurant.ErrNotFound
	}
	t, err := h.config.Tenants.TenantByNumber(ctx, number)
	if err != nil {
		return conversation.Tenant{}, fmt.Errorf("looking up the restaurant: %w", err)
	}
	return t, nil
}

// verify fails with errNotSigned unless the request bears one signature, which the account of the bot made for it: with
// the bot's own token or, where it has no account, with that of Sufrah's account.
func (h *Handler) verify(c *httpedge.Call, t conversation.Tenant, f form) error {
	signatures := c.Header.Values("X-Twilio-Signature")
	if len(signatures) != 1 || signatures[0] == "" {
		return errNotSigned
	}
	url := h.config.URL
	if c.URL.RawQuery != "" {
		url += "?" + c.URL.RawQuery
	}
	var token string
	for _, look := range []func(context.Context, string) (string, error){
		h.config.Tokens.AuthToken, h.config.Tokens.NewAuthToken, // the token may just have been changed
	} {
		var err error
		if token, err = look(c.Context(), t.Bot.TwilioAccountSID); err != nil {
			return fmt.Errorf("looking up the auth token: %w", err)
		}
		if twilio.ValidSignature(token, url, f.values, signatures[0]) {
			return nil
		}
	}
	if token == "" {
		return fmt.Errorf("%w: %w: %q", errNotSigned, errNoToken, t.Bot.TwilioAccountSID)
	}
	return errNotSigned
}
