// Package webhook takes customers' messages from Twilio's webhook: it checks that Twilio signed the request, finds the
// restaurant, and hands the message on.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/customer"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/phone"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/task"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
)

// Path is the path to which Twilio posts messages.
const Path = "/webhooks/whatsapp"

// Tenants finds the restaurant that a message is for.
type Tenants interface {
	// TenantByNumber returns the restaurant of the bot at a number in E.164 form. It fails with restaurant.ErrNotFound if there
	// is none, and with outage.ErrUnavailable if the store can't tell.
	TenantByNumber(ctx context.Context, number string) (conversation.Tenant, error)
}

// Tokens knows the auth tokens of Twilio accounts.
type Tokens interface {
	// AuthToken returns an account's token; an empty accountSID is Sufrah's own account. The token is empty if the account
	// isn't known. It fails with outage.ErrUnavailable if tokens can't be read.
	AuthToken(ctx context.Context, accountSID string) (string, error)
	// NewAuthToken is AuthToken for a token that turned out to be wrong: some seconds after the token was changed, it returns the
	// new token. It must be cheap to call often, because forged requests cause calls.
	NewAuthToken(ctx context.Context, accountSID string) (string, error)
}

// Bots tells our own bots from customers.
type Bots interface {
	// IsBot reports whether a number is one of our bots'. The result may be up to MaxAbsentAge old. It fails with
	// outage.ErrUnavailable if the store can't tell.
	IsBot(ctx context.Context, number string) (bool, error)
}

// Receiver takes a delivery of a message. A failed delivery may be repeated, however far it got.
type Receiver interface {
	Receive(ctx context.Context, t conversation.Tenant, in conversation.Incoming) error
}

// Config is a Handler's configuration. All fields are required unless their comment says otherwise.
type Config struct {
	// URL is the webhook's public address as configured at Twilio, without its query string. It is configured because a
	// request's Host may differ. The query string, if any, is taken from the request.
	URL      string
	Tenants  Tenants
	Tokens   Tokens
	Receiver Receiver
	Bots     Bots
	// AccountSID is Sufrah's own account, for bots without an account of their own.
	AccountSID string
	Statuses   Statuses // nil: statuses are acknowledged and have no effect
	Log        *slog.Logger
	Now        func() time.Time
	// RequestID names the request in the log and in the answer's X-Request-Id header; an empty name is left out.
	RequestID func(context.Context) string
	// Taken is called for each delivery of a message that is answered with 200, NotSigned for each request that is refused
	// for its signature. Both are for metrics and may be nil. Status callbacks don't count as messages.
	Taken, NotSigned func()
	// Ignored is called for each request that is acknowledged without being a customer's message. It may be nil.
	Ignored func(Kind)
}

// Handler is an http.Handler. It logs one line for each request, without texts, tokens or whole numbers of customers.
type Handler struct {
	*httpedge.Edge
	config Config
}

// New returns the webhook's handler. It answers with an empty TwiML document once the message is dealt with. After any error
// answer, Twilio delivers the message again.
func New(config Config) *Handler {
	h := &Handler{config: config}
	h.Edge = httpedge.New(httpedge.Options{
		Log: config.Log, Now: config.Now, RequestID: config.RequestID, Translate: translate, Answered: h.answered,
	}, httpedge.Route{Pattern: Path, Methods: []string{http.MethodPost}, Answer: h.answer},
		httpedge.Route{Pattern: StatusPath, Methods: []string{http.MethodPost}, Answer: h.answerStatus})
	return h
}

// answered counts a request's result in the metrics.
func (h *Handler) answered(err error) {
	if errors.Is(err, errNotSigned) {
		tell(h.config.NotSigned)
	}
}

func tell(f func()) {
	if f != nil {
		f()
	}
}

// empty is a TwiML document without instructions: replies are sent through Twilio's API instead.
var empty = httpedge.Document{ContentType: "text/xml", Body: "<Response/>"}

func (h *Handler) answer(c *httpedge.Call) (any, error) {
	if err := h.receive(c); err != nil {
		return nil, err
	}
	return empty, nil
}

// receive takes a request. It checks the signature first: an unsigned request costs no read, and gets the same answer
// whatever its content.
func (h *Handler) receive(c *httpedge.Call) error {
	f, err := readForm(c.Request, maxBody)
	if err != nil {
		return err
	}
	if err := h.verify(c, h.config.URL, f); err != nil {
		return err
	}
	switch kind := f.kind(); kind {
	case KindMessage:
		if err := h.message(c, f); err != nil {
			return err
		}
	case KindStatus: // Twilio's console may name this address for statuses too
		return h.status(c, f, delivery.Origin{})
	default:
		h.ignore(c, kind)
	}
	tell(h.config.Taken)
	return nil
}

// ignore logs and counts a request that has no effect on conversations.
func (h *Handler) ignore(c *httpedge.Call, kind Kind) {
	c.Note(slog.String("kind", string(kind)))
	if h.config.Ignored != nil {
		h.config.Ignored(kind)
	}
}

// message takes a customer's WhatsApp message.
func (h *Handler) message(c *httpedge.Call, f form) error {
	number, err := phone.Parse(f.only("To"))
	if err != nil {
		return restaurant.ErrNotFound
	}
	in, err := f.incoming()
	if err != nil {
		return err
	}
	c.Note(slog.String("messageId", in.MessageID), logging.Customer("customer", in.Customer))
	own := task.Start(func() (struct{}, error) { // both lookups at the same time
		return struct{}{}, h.fromCustomer(c.Context(), in.Customer)
	})
	t, err := h.config.Tenants.TenantByNumber(c.Context(), number)
	_, ownErr := own.Wait()
	if err != nil {
		return fmt.Errorf("looking up the restaurant: %w", err)
	}
	c.Note(logging.Restaurant("restaurantId", t.Restaurant.ID))
	if !h.ownAccount(t, f) {
		return fmt.Errorf("%w: %w", errNotSigned, errOtherAccount)
	}
	switch {
	case errors.Is(ownErr, errOwnNumber):
		h.ignore(c, KindOwn)
		return nil
	case ownErr != nil:
		return ownErr
	case !t.Restaurant.Active:
		h.ignore(c, KindInactive)
		return nil
	}
	return h.config.Receiver.Receive(c.Context(), t, in)
}

// errOwnNumber says that a bot wrote the message: two bots that answer each other would never stop.
var errOwnNumber = errors.New("the sender is one of Sufrah's own bots")

// fromCustomer fails with errOwnNumber if the sender is a bot of ours.
func (h *Handler) fromCustomer(ctx context.Context, id string) error {
	if customer.IsUserID(id) {
		return nil // a user id: bots have numbers
	}
	bot, err := h.config.Bots.IsBot(ctx, id)
	switch {
	case err != nil:
		return fmt.Errorf("looking up the sender: %w", err)
	case bot:
		return errOwnNumber
	}
	return nil
}

// verify fails with errNotSigned unless the request has exactly one signature, by the form's account for the public address,
// and the form can't be the text of another signed form (see recut). The log line of a refused request has the reason, and
// the bot and account that the form names.
func (h *Handler) verify(c *httpedge.Call, url string, f form) error {
	fault, err := h.unsigned(c, url, f)
	if err != nil || fault == nil {
		return err
	}
	c.Note(f.claims()...)
	c.Note(slog.String("reason", fault.Error()))
	return fmt.Errorf("%w: %w", errNotSigned, fault)
}

// unsigned returns the fault of a request's signature, nil if the signature is valid.
func (h *Handler) unsigned(c *httpedge.Call, url string, f form) (fault, err error) {
	signatures := c.Header.Values("X-Twilio-Signature")
	switch {
	case len(signatures) == 0:
		return errNoSignature, nil
	case len(signatures) > 1:
		return errSignatures, nil
	case signatures[0] == "":
		return errEmptySignature, nil
	}
	public := url
	if query := c.URL.RawQuery; query != "" {
		url += "?" + query
	}
	account := f.only("AccountSid")
	var token string
	for _, look := range []func(context.Context, string) (string, error){
		h.config.Tokens.AuthToken, h.config.Tokens.NewAuthToken, // the second look finds a token that was just changed
	} {
		if token, err = look(c.Context(), account); err != nil {
			return nil, fmt.Errorf("looking up the auth token: %w", err)
		}
		if !twilio.ValidSignature(token, url, f.values, signatures[0]) {
			continue
		}
		if recut(f.values) {
			return errRecut, nil
		}
		return nil, nil
	}
	switch sid := len(account) == sidLength && twilioSID(account); {
	case token == "" && sid:
		return fmt.Errorf("%w: %q", errNoToken, account), nil
	case token == "":
		return errNoAccount, nil
	case url != public: // anybody can write a query, so the log doesn't have it
		return mismatchError{public + " and the request's query"}, nil
	}
	return mismatchError{public}, nil
}
