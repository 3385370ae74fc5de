package webhook_test

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// status is the form of a WhatsApp message's status callback, as Twilio posts it if the callback's address is the one for
// messages.
func status(changes url.Values) url.Values {
	form := url.Values{
		"AccountSid": {masterSID}, "ApiVersion": {"2010-04-01"}, "ChannelInstallSid": {"XE0123456789abcdef0123456789abcdef"},
		"ChannelPrefix": {"whatsapp"}, "ChannelToAddress": {"+966500000001"}, "From": {"whatsapp:" + exampleNumber},
		"MessageSid": {messageSID}, "MessageStatus": {"delivered"}, "SmsSid": {messageSID}, "SmsStatus": {"delivered"},
		"StructuredMessage": {"false"}, "To": {"whatsapp:+966500000001"},
	}
	for name, values := range changes {
		if form[name] = values; values == nil {
			delete(form, name)
		}
	}
	return form
}

// TestOnlyCustomersMessagesCount: every form that is no customer's WhatsApp message is acknowledged, counted by its kind, and changes nothing.
func TestOnlyCustomersMessagesCount(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		form url.Values
		want webhook.Kind
	}{
		"sent":             {status(url.Values{"MessageStatus": {"sent"}, "SmsStatus": {"sent"}}), webhook.KindStatus},
		"delivered":        {status(nil), webhook.KindStatus},
		"read":             {status(url.Values{"MessageStatus": {"read"}, "SmsStatus": {"read"}, "EventType": {"READ"}}), webhook.KindStatus},
		"failed":           {status(url.Values{"MessageStatus": {"failed"}, "ErrorCode": {"63016"}}), webhook.KindStatus},
		"undelivered":      {status(url.Values{"MessageStatus": {"undelivered"}, "ErrorCode": {"63024"}}), webhook.KindStatus},
		"to a restaurant":  {status(url.Values{"To": {"whatsapp:" + exampleNumber}, "From": {"whatsapp:+966500000001"}}), webhook.KindStatus},
		"of a user id":     {status(url.Values{"To": {"whatsapp:" + userID}}), webhook.KindStatus},
		"SmsStatus alone":  {status(url.Values{"MessageStatus": nil}), webhook.KindStatus},
		"an SMS":           {message(url.Values{"From": {"+966500000001"}, "To": {exampleNumber}, "WaId": nil, "ProfileName": nil}), webhook.KindSMS},
		"of a short code":  {message(url.Values{"From": {"55555"}, "To": {exampleNumber}}), webhook.KindSMS},
		"Messenger":        {message(url.Values{"From": {"messenger:1234567"}, "To": {"messenger:7654321"}}), webhook.KindOther},
		"RCS":              {message(url.Values{"From": {"rcs:+966500000001"}, "To": {"rcs:sufrah"}}), webhook.KindOther},
		"a reaction":       {message(url.Values{"MessageType": {"reaction"}, "Body": {"👍"}}), webhook.KindReaction},
		"a system notice":  {message(url.Values{"MessageType": {"system"}, "Body": {"changed number"}}), webhook.KindSystem},
		"not supported":    {message(url.Values{"MessageType": {"unsupported"}, "Body": nil}), webhook.KindSystem},
		"our own bot":      {message(url.Values{"From": {"whatsapp:" + inactiveNumber}, "Body": {"menu"}}), webhook.KindOwn},
		"the bot itself":   {message(url.Values{"From": {"whatsapp:" + exampleNumber}, "Body": {"menu"}}), webhook.KindOwn},
		"to the inactive":  {message(url.Values{"To": {"whatsapp:" + inactiveNumber}}), webhook.KindInactive},
		"a text":           {message(url.Values{"MessageType": {"text"}, "SmsStatus": {"received"}}), webhook.KindMessage},
		"a picture":        {message(url.Values{"MessageType": {"image"}, "NumMedia": {"1"}, "MediaUrl0": {"https://api.twilio.com/m"}, "Body": nil}), webhook.KindMessage},
		"a place":          {message(url.Values{"MessageType": {"location"}, "Latitude": {"24.7"}, "Longitude": {"46.6"}, "Body": nil}), webhook.KindMessage},
		"a button":         {message(url.Values{"MessageType": {"button"}, "ButtonPayload": {"menu"}}), webhook.KindMessage},
		"a row of a list":  {message(url.Values{"MessageType": {"interactive"}, "ListId": {"row"}}), webhook.KindMessage},
		"a type to come":   {message(url.Values{"MessageType": {"hologram"}}), webhook.KindMessage},
		"by a user id":     {message(url.Values{"From": {"whatsapp:" + userID}, "WaId": nil}), webhook.KindMessage},
		"of another's bot": {message(url.Values{"From": {"whatsapp:+966119999999"}}), webhook.KindMessage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ignored []webhook.Kind
			f := setup(t, func(c *webhook.Config) { c.Ignored = func(k webhook.Kind) { ignored = append(ignored, k) } })
			wantEmpty(t, f.do(post(test.form)))
			if test.want == webhook.KindMessage {
				if len(f.inbox.received) != 1 || len(ignored) != 0 {
					t.Errorf("a customer's message reached the bot as %v, want once, and was ignored as %v, want not", f.inbox.received, ignored)
				}
				return
			}
			if diff := cmp.Diff([]webhook.Kind{test.want}, ignored); diff != "" || len(f.inbox.received) > 0 {
				t.Errorf("a form that is no customer's message reached the bot as %v, want not; counted as (-want +got):\n%s", f.inbox.received, diff)
			}
			if line := f.line(t); line["kind"] != string(test.want) {
				t.Errorf("an ignored form is logged as %v, want its kind %q", line, test.want)
			}
		})
	}
}

// nobody fails the test if tenants are looked up.
type nobody struct{ t *testing.T }

func (n nobody) TenantByNumber(_ context.Context, number string) (conversation.Tenant, error) {
	n.t.Errorf("an unsigned form made the webhook look up %s: anybody could run up the store's bill", number)
	return conversation.Tenant{}, errors.New("looked up")
}

func (n nobody) IsBot(ctx context.Context, number string) (bool, error) {
	_, err := n.TenantByNumber(ctx, number)
	return false, err
}

// TestUnsignedFormIsRefusedWithoutARead: unsigned forms of any content are refused in the same way, without a read.
func TestUnsignedFormIsRefusedWithoutARead(t *testing.T) {
	t.Parallel()
	forms := map[string]url.Values{
		"known number":    message(nil),
		"unknown number":  message(url.Values{"To": {"whatsapp:+966119999999"}}),
		"no number":       message(url.Values{"To": nil}),
		"no sender":       message(url.Values{"From": nil}),
		"a status":        status(nil),
		"another account": message(url.Values{"AccountSid": {ownSID}}),
	}
	var answers []string
	for name, form := range forms {
		f := setup(t, func(c *webhook.Config) { c.Tenants, c.Bots = nobody{t}, nobody{t} })
		w := f.do(signed("forged", form))
		wantRefusal(t, w, 403, "forbidden")
		answers = append(answers, w.Body.String())
		if answers[0] != w.Body.String() {
			t.Errorf("an unsigned form with %s is answered with %s, another with %s: the difference tells which numbers are known", name, w.Body, answers[0])
		}
	}
}

// TestMessageWaitsUntilItsSenderIsKnownToBeNoBot: if it isn't known whether the sender is a bot, the message isn't taken.
func TestMessageWaitsUntilItsSenderIsKnownToBeNoBot(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *webhook.Config) { c.Bots = webhook.NewTenantCache(downTenants{}, c.Now) })
	wantRefusal(t, f.do(post(message(nil))), 503, "unavailable")
	if len(f.inbox.received) > 0 {
		t.Errorf("a message whose sender may be a bot of ours reached the bot: %v; two bots would answer each other without end", f.inbox.received)
	}
}
