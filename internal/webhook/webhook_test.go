package webhook_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/lambdahttp"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/localstore"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// publicURL is the address that Twilio posts to; the requests themselves name another host.
const publicURL = "https://bot.example.com/webhooks/whatsapp"

const (
	masterSID   = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	masterToken = "token-of-the-master"
	ownSID      = "AC0123456789abcdef0123456789abcdef"
	ownToken    = "token-of-the-bot"

	exampleNumber  = "+966110000000" // a bot in Sufrah's account
	ownNumber      = "+966110000001" // a bot with an account of its own
	strangeNumber  = "+966110000002" // a bot with an account that has no stored token
	inactiveNumber = "+966110000003"
)

// tokens are the accounts' tokens.
type tokens map[string]string

func (t tokens) AuthToken(_ context.Context, accountSID string) (string, error) {
	return t[accountSID], nil
}

func (t tokens) NewAuthToken(ctx context.Context, accountSID string) (string, error) {
	return t.AuthToken(ctx, accountSID)
}

// changed are tokens that were changed: the first look still returns the old token.
type changed struct {
	tokens
	before string
	looks  int // number of looks for the new token
}

func (c *changed) AuthToken(context.Context, string) (string, error) { return c.before, nil }

func (c *changed) NewAuthToken(ctx context.Context, accountSID string) (string, error) {
	c.looks++
	return c.tokens.AuthToken(ctx, accountSID)
}

// noTokens fails every look.
type noTokens struct{ err error }

func (t noTokens) AuthToken(context.Context, string) (string, error) { return "", t.err }

func (t noTokens) NewAuthToken(context.Context, string) (string, error) { return "", t.err }

// downTenants fails every lookup.
type downTenants struct{}

func (downTenants) TenantByNumber(context.Context, string) (conversation.Tenant, error) {
	return conversation.Tenant{}, fmt.Errorf("throttled: %w", outage.ErrUnavailable)
}

// inbox is a Receiver that keeps deliveries, or fails.
type inbox struct {
	received    []conversation.Incoming
	restaurants []string
	err         error
}

func (i *inbox) Receive(_ context.Context, t conversation.Tenant, in conversation.Incoming) error {
	i.received = append(i.received, in)
	i.restaurants = append(i.restaurants, t.Restaurant.ID)
	return i.err
}

type fixture struct {
	*webhook.Handler
	inbox *inbox
	log   *bytes.Buffer
}

// tenants returns a store of four restaurants.
var tenants = localstore.Filled(func(store *stackstore.Store) error {
	for id, bot := range map[string]restaurant.Bot{
		"example":  {PhoneNumber: exampleNumber},
		"own":      {PhoneNumber: ownNumber, TwilioAccountSID: ownSID},
		"strange":  {PhoneNumber: strangeNumber, TwilioAccountSID: "ACffffffffffffffffffffffffffffffff"},
		"inactive": {PhoneNumber: inactiveNumber},
	} {
		bot.ID = "bot-" + id
		r := restaurant.Restaurant{ID: id, Name: "Restaurant " + id, Active: id != "inactive", CreatedAt: time.Now()}
		if err := store.CreateRestaurant(context.Background(), r, &bot); err != nil {
			return err
		}
	}
	return nil
})

// setup returns a webhook of the tenants.
func setup(t testing.TB, change ...func(*webhook.Config)) fixture {
	t.Helper()
	store := tenants(t)
	f := fixture{inbox: &inbox{}, log: new(bytes.Buffer)}
	config := webhook.Config{
		URL: publicURL, Tenants: store, Bots: webhook.NewTenantCache(store, time.Now), AccountSID: masterSID,
		Tokens: tokens{"": masterToken, masterSID: masterToken, ownSID: ownToken}, Receiver: f.inbox,
		Log: logging.New(f.log, slog.LevelDebug, "process-message"), Now: time.Now,
		RequestID: func(context.Context) string { return "request-1" },
	}
	for _, c := range change {
		c(&config)
	}
	f.Handler = webhook.New(config)
	return f
}

const userID = "SA.13491208655302741918"

const messageSID = "SM0123456789abcdef0123456789abcdef"

// message is the form of a customer's message, with changes: nil removes a parameter.
func message(changes url.Values) url.Values {
	form := url.Values{
		"AccountSid": {masterSID}, "MessageSid": {messageSID}, "SmsMessageSid": {messageSID}, "NumMedia": {"0"},
		"From": {"whatsapp:+966500000001"}, "To": {"whatsapp:" + exampleNumber}, "WaId": {"966500000001"},
		"ProfileName": {"سارة"}, "Body": {"hello & welcome = 100%"},
	}
	for name, values := range changes {
		if form[name] = values; values == nil {
			delete(form, name)
		}
	}
	return form
}

// post is a form as Twilio posts and signs it for Sufrah's account.
func post(form url.Values) *http.Request { return signed(masterToken, form) }

func signed(token string, form url.Values) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://internal.example.com"+webhook.Path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	r.Header.Set("X-Twilio-Signature", twilio.Signature(token, publicURL, form))
	return r
}

func with(r *http.Request, change func(*http.Request)) *http.Request {
	change(r)
	return r
}

func (f fixture) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// line returns the only logged line.
func (f fixture) line(t *testing.T) map[string]any {
	t.Helper()
	var line map[string]any
	if err := json.Unmarshal(f.log.Bytes(), &line); err != nil { // fails for two lines too
		t.Fatalf("the log isn't one line of JSON (%v): %s", err, f.log)
	}
	return line
}

func wantEmpty(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code != http.StatusOK || w.Body.String() != "<Response/>" || w.Header().Get("Content-Type") != "text/xml" {
		t.Errorf("Twilio is answered with %d %v %s, want 200 with an empty TwiML <Response/>", w.Code, w.Header(), w.Body)
	}
}

func wantRefusal(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("answered with %d %q, want the refusal %d with code %s: %v", w.Code, w.Body, status, code, err)
	}
	if w.Code != status || body["code"] != code || body["error"] == "" || len(body) != 2 {
		t.Errorf("answered with %d %v, want %d with code %s and a sentence", w.Code, body, status, code)
	}
	for header, due := range map[string]bool{"Allow": status == 405, "Retry-After": status == 503} {
		if given := w.Header().Get(header); (given != "") != due {
			t.Errorf("the header %s is %q with status %d, want it with 405 (Allow) or 503 (Retry-After) only", header, given, status)
		}
	}
	if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("X-Request-Id") != "request-1" {
		t.Errorf("the refusal's headers are %v, want JSON and the request's id", w.Header())
	}
}

func TestMessageReachesItsRestaurant(t *testing.T) {
	t.Parallel()
	incoming := func(change func(*conversation.Incoming)) conversation.Incoming {
		in := conversation.Incoming{
			MessageID: messageSID, Customer: "+966500000001", ProfileName: "سارة", Body: "hello & welcome = 100%",
		}
		change(&in)
		return in
	}
	for name, test := range map[string]struct {
		request    *http.Request
		restaurant string
		want       conversation.Incoming
	}{
		"a text": {post(message(nil)), "example", incoming(func(*conversation.Incoming) {})},
		"a button": {
			post(message(url.Values{"ButtonPayload": {"browse_menu"}, "ButtonText": {"تصفح القائمة"}, "Body": {"تصفح القائمة"}})),
			"example", incoming(func(in *conversation.Incoming) {
				in.ButtonPayload, in.ButtonText, in.Body = "browse_menu", "تصفح القائمة", "تصفح القائمة"
			}),
		},
		"a bot with an account of its own": {
			signed(ownToken, message(url.Values{"To": {"whatsapp:" + ownNumber}, "AccountSid": {ownSID}})), "own",
			incoming(func(*conversation.Incoming) {}),
		},
		"nothing but what is needed": {
			post(url.Values{"To": {"whatsapp:" + exampleNumber}, "From": {"whatsapp:+966500000001"}, "MessageSid": {"m_1-A"}}), "example",
			conversation.Incoming{MessageID: "m_1-A", Customer: "+966500000001"},
		},
		"numbers as people write them": {
			post(message(url.Values{"To": {"WhatsApp: 00966 11 000 0000"}, "From": {"whatsapp:+966 50-000-0001"}})), "example",
			incoming(func(*conversation.Incoming) {}),
		},
		"an id as long as can be": {
			post(message(url.Values{"MessageSid": {strings.Repeat("m", 64)}})), "example",
			incoming(func(in *conversation.Incoming) { in.MessageID = strings.Repeat("m", 64) }),
		},
		"texts that are too long": {
			post(message(url.Values{"Body": {strings.Repeat("ق", 9000)}, "ProfileName": {"a" + strings.Repeat("س", 200)},
				"ButtonText": {strings.Repeat("b", 300)}, "ButtonPayload": {strings.Repeat("p", 300)}})), "example",
			incoming(func(in *conversation.Incoming) {
				in.Body, in.ProfileName = strings.Repeat("ق", 8192), "a"+strings.Repeat("س", 127)
				in.ButtonText, in.ButtonPayload = strings.Repeat("b", 256), strings.Repeat("p", 256)
			}),
		},
		"bytes that are no text": {
			post(message(url.Values{"Body": {"a\xff\xfeb"}, "ProfileName": {"\xc3"}})), "example",
			incoming(func(in *conversation.Incoming) { in.Body, in.ProfileName = "a\uFFFDb", "\uFFFD" }),
		},
		"parameters that nobody knows, some of them twice": {
			post(message(url.Values{"Latitude": {"24.7"}, "MediaUrl0": {"b", "a", "b"}})), "example",
			incoming(func(*conversation.Incoming) {}),
		},
		"a text given twice": {
			post(message(url.Values{"Body": {"one", "two"}})), "example", incoming(func(in *conversation.Incoming) { in.Body = "" }),
		},
		"a user id beside the number": {
			post(message(url.Values{"ExternalUserId": {userID}, "ParentExternalUserId": {"SA.ENT.7"}})), "example",
			incoming(func(in *conversation.Incoming) { in.UserID = userID }),
		},
		"a user id that can't be read": {
			post(message(url.Values{"ExternalUserId": {"SA.ENT.7 "}})), "example", incoming(func(*conversation.Incoming) {}),
		},
		"a user id instead of the number": {
			post(message(url.Values{"From": {"whatsapp:" + userID}, "ExternalUserId": {userID}, "WaId": nil})), "example",
			incoming(func(in *conversation.Incoming) { in.Customer = userID }),
		},
		"a user id and no sender": {
			post(message(url.Values{"From": nil, "ExternalUserId": {userID}, "WaId": nil})), "example",
			incoming(func(in *conversation.Incoming) { in.Customer = userID }),
		},
		"a keyword of Twilio's": {
			post(message(url.Values{"Body": {"stop"}, "OptOutType": {"STOP"}})), "example",
			incoming(func(in *conversation.Incoming) { in.Body, in.OptOutType = "stop", "STOP" }),
		},
		"a row of a list": {
			post(message(url.Values{"ListId": {"row-1"}, "ListTitle": {"المنيو"}})), "example",
			incoming(func(in *conversation.Incoming) { in.ListID, in.ListTitle = "row-1", "المنيو" }),
		},
		"from an ad": {
			post(message(url.Values{"ReferralSourceType": {"ad"}, "ReferralSourceId": {"120210000000000001"}, "ReferralCtwaClid": {"ARAbc"}})), "example",
			incoming(func(in *conversation.Incoming) { in.FromAd = true }),
		},
		"a query, which is signed too": {
			with(post(message(nil)), func(r *http.Request) {
				r.URL.RawQuery = "b=2&a=%20&To=%2B1"
				r.Header.Set("X-Twilio-Signature", twilio.Signature(masterToken, publicURL+"?b=2&a=%20&To=%2B1", message(nil)))
			}), "example", incoming(func(*conversation.Incoming) {}),
		},
		"a URL with its port": {
			with(post(message(nil)), func(r *http.Request) {
				withPort := strings.Replace(publicURL, ".com/", ".com:443/", 1)
				r.Header.Set("X-Twilio-Signature", twilio.Signature(masterToken, withPort, message(nil)))
			}), "example", incoming(func(*conversation.Incoming) {}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			wantEmpty(t, f.do(test.request))
			if diff := cmp.Diff([]conversation.Incoming{test.want}, f.inbox.received); diff != "" {
				t.Errorf("the bot received (-want +got):\n%s", diff)
			}
			if !slices.Equal(f.inbox.restaurants, []string{test.restaurant}) {
				t.Errorf("the message reached the restaurants %v, want %s only", f.inbox.restaurants, test.restaurant)
			}
		})
	}
}

// TestRefusedRequestNeverReachesTheBot: these requests never reach the receiver.
func TestRefusedRequestNeverReachesTheBot(t *testing.T) {
	t.Parallel()
	changed := func(name string, values ...string) *http.Request { return post(message(url.Values{name: values})) }
	withSignature := func(values ...string) *http.Request {
		return with(post(message(nil)), func(r *http.Request) { r.Header["X-Twilio-Signature"] = values })
	}
	// tampered signs a form, then changes it, and posts it.
	tampered := func(change func(url.Values)) *http.Request {
		form := message(nil)
		signature := twilio.Signature(masterToken, publicURL, form)
		change(form)
		return with(post(form), func(r *http.Request) { r.Header.Set("X-Twilio-Signature", signature) })
	}
	raw := func(body string) *http.Request {
		return with(post(nil), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body)) })
	}
	typed := func(contentType string) *http.Request {
		return with(post(message(nil)), func(r *http.Request) { r.Header.Set("Content-Type", contentType) })
	}
	good := twilio.Signature(masterToken, publicURL, message(nil))
	for name, test := range map[string]struct {
		request *http.Request
		status  int
		code    string
	}{
		"another path":        {with(post(message(nil)), func(r *http.Request) { r.URL.Path = "/webhooks" }), 404, "not_found"},
		"a deeper path":       {with(post(message(nil)), func(r *http.Request) { r.URL.Path += "/x" }), 404, "not_found"},
		"upper case":          {with(post(message(nil)), func(r *http.Request) { r.URL.Path = strings.ToUpper(r.URL.Path) }), 404, "not_found"},
		"GET":                 {with(post(message(nil)), func(r *http.Request) { r.Method = "GET" }), 405, "method_not_allowed"},
		"PUT":                 {with(post(message(nil)), func(r *http.Request) { r.Method = "PUT" }), 405, "method_not_allowed"},
		"another path by GET": {with(post(message(nil)), func(r *http.Request) { r.Method, r.URL.Path = "GET", "/" }), 404, "not_found"},

		"JSON":                  {typed("application/json"), 415, "unsupported_media_type"},
		"a multipart form":      {typed("multipart/form-data; boundary=x"), 415, "unsupported_media_type"},
		"no content type":       {typed(""), 415, "unsupported_media_type"},
		"a broken content type": {typed("application/x-www-form-urlencoded; ="), 415, "unsupported_media_type"},
		"a large body":          {changed("Body", strings.Repeat("a", 64<<10)), 413, "body_too_large"},
		"a broken escape":       {raw("To=%zz"), 400, "malformed_form"},
		"a semicolon":           {raw("To=a;From=b"), 400, "malformed_form"},
		"a body that breaks off": {
			with(post(nil), func(r *http.Request) { r.Body = io.NopCloser(io.MultiReader(strings.NewReader("To="), broken{})) }),
			400, "malformed_form",
		},

		"no receiver":                      {changed("To"), 404, "restaurant_not_found"},
		"an empty body":                    {raw(""), 404, "restaurant_not_found"},
		"an empty receiver":                {changed("To", ""), 404, "restaurant_not_found"},
		"a receiver who is no number":      {changed("To", "whatsapp:restaurant"), 404, "restaurant_not_found"},
		"a receiver in Arabic digits":      {changed("To", "whatsapp:+٩٦٦١١٠٠٠٠٠٠٠"), 404, "restaurant_not_found"},
		"a receiver in full-width digits":  {changed("To", "whatsapp:+９６６１１０００００００"), 404, "restaurant_not_found"},
		"a receiver whom nobody knows":     {changed("To", "whatsapp:+966119999999"), 404, "restaurant_not_found"},
		"the receiver twice":               {changed("To", exampleNumber, exampleNumber), 404, "restaurant_not_found"},
		"two receivers":                    {changed("To", exampleNumber, inactiveNumber), 404, "restaurant_not_found"},
		"a receiver in the query":          {with(changed("To"), func(r *http.Request) { r.URL.RawQuery = "To=%2B966110000000" }), 403, "forbidden"},
		"a receiver in lower case":         {post(url.Values{"to": {exampleNumber}}), 404, "restaurant_not_found"},
		"an unknown receiver, not signed":  {with(changed("To", "whatsapp:+966119999999"), func(r *http.Request) { r.Header.Del("X-Twilio-Signature") }), 403, "forbidden"},
		"an id that can't be, not signed":  {with(changed("MessageSid", "a b"), func(r *http.Request) { r.Header.Del("X-Twilio-Signature") }), 403, "forbidden"},
		"an inactive receiver, not signed": {with(changed("To", inactiveNumber), func(r *http.Request) { r.Header.Del("X-Twilio-Signature") }), 403, "forbidden"},

		"no signature":                   {withSignature(), 403, "forbidden"},
		"an empty signature":             {withSignature(""), 403, "forbidden"},
		"a forged signature":             {withSignature(base64.StdEncoding.EncodeToString(make([]byte, 20))), 403, "forbidden"},
		"a truncated signature":          {withSignature(good[:len(good)-1]), 403, "forbidden"},
		"an extended signature":          {withSignature(good + "="), 403, "forbidden"},
		"a signature in another case":    {withSignature(strings.ToLower(good)), 403, "forbidden"},
		"a signature with a space":       {withSignature(good + " "), 403, "forbidden"},
		"the signature twice":            {withSignature(good, good), 403, "forbidden"},
		"the signature twice, joined":    {withSignature(good + "," + good), 403, "forbidden"},
		"a wrong signature and the good": {withSignature("x", good), 403, "forbidden"},
		"signed with an empty token":     {signed("", message(nil)), 403, "forbidden"},
		"signed with another's token":    {signed(ownToken, message(nil)), 403, "forbidden"},
		"signed by the master for a bot of its own account": {
			signed(masterToken, message(url.Values{"To": {"whatsapp:" + ownNumber}})), 403, "forbidden",
		},
		"signed for the host that was asked": {
			withSignature(twilio.Signature(masterToken, "http://internal.example.com"+webhook.Path, message(nil))), 403, "forbidden",
		},
		"a forwarded host": {
			with(withSignature(twilio.Signature(masterToken, "https://evil.example.com"+webhook.Path, message(nil))), func(r *http.Request) {
				r.Header.Set("X-Forwarded-Host", "evil.example.com")
				r.Host = "evil.example.com"
			}), 403, "forbidden",
		},
		"a query that isn't signed": {with(post(message(nil)), func(r *http.Request) { r.URL.RawQuery = "a=b" }), 403, "forbidden"},
		"without the query that is": {withSignature(twilio.Signature(masterToken, publicURL+"?a=b", message(nil))), 403, "forbidden"},
		"an account without a token": {
			signed("", message(url.Values{"To": {"whatsapp:" + strangeNumber}})), 403, "forbidden",
		},
		"another text":       {tampered(func(v url.Values) { v.Set("Body", "menu") }), 403, "forbidden"},
		"another sender":     {tampered(func(v url.Values) { v.Set("From", "whatsapp:+966500000002") }), 403, "forbidden"},
		"another restaurant": {tampered(func(v url.Values) { v.Set("To", "whatsapp:"+inactiveNumber) }), 403, "forbidden"},
		"another id":         {tampered(func(v url.Values) { v.Set("MessageSid", "SM1") }), 403, "forbidden"},
		"one parameter more": {tampered(func(v url.Values) { v.Set("ButtonPayload", "menu") }), 403, "forbidden"},
		"one parameter less": {tampered(func(v url.Values) { v.Del("WaId") }), 403, "forbidden"},
		"a second text":      {tampered(func(v url.Values) { v.Add("Body", "menu") }), 403, "forbidden"},
		"a second sender":    {tampered(func(v url.Values) { v.Add("From", "whatsapp:+966500000002") }), 403, "forbidden"},
		"a second id":        {tampered(func(v url.Values) { v.Add("MessageSid", "SM1") }), 403, "forbidden"},
		"an id that swallows its neighbour": {
			tampered(func(v url.Values) { v.Set("MessageSid", messageSID+"NumMedia0"); v.Del("NumMedia") }), 400, "invalid_parameter",
		},

		"no sender":                     {changed("From"), 400, "invalid_parameter"},
		"an empty sender":               {changed("From", "whatsapp:"), 400, "invalid_parameter"},
		"a sender in Arabic digits":     {changed("From", "whatsapp:+٩٦٦٥٠٠٠٠٠٠٠١"), 400, "invalid_parameter"},
		"the sender twice":              {changed("From", "+966500000001", "+966500000001"), 400, "invalid_parameter"},
		"no id":                         {changed("MessageSid"), 400, "invalid_parameter"},
		"an empty id":                   {changed("MessageSid", ""), 400, "invalid_parameter"},
		"an id with a slash":            {changed("MessageSid", "SM1/../SM2"), 400, "invalid_parameter"},
		"an id with a line break":       {changed("MessageSid", "SM1\n"), 400, "invalid_parameter"},
		"an id with an Arabic digit":    {changed("MessageSid", "SM١"), 400, "invalid_parameter"},
		"an id that is too long":        {changed("MessageSid", strings.Repeat("m", 65)), 400, "invalid_parameter"},
		"the id twice":                  {changed("MessageSid", "SM1", "SM1"), 400, "invalid_parameter"},
		"inactive, but with a wrong id": {post(message(url.Values{"To": {"whatsapp:" + inactiveNumber}, "MessageSid": {"?"}})), 400, "invalid_parameter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			wantRefusal(t, f.do(test.request), test.status, test.code)
			if len(f.inbox.received) > 0 {
				t.Errorf("a refused request reached the bot all the same: %v", f.inbox.received)
			}
			if line := f.line(t); line["code"] != test.code || line["status"] != float64(test.status) {
				t.Errorf("the refusal is logged as %v, want status %d with code %s", line, test.status, test.code)
			}
		})
	}
}

// broken is a body that never ends.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestFailureMakesTwilioDeliverAgain: after each of these failures Twilio must deliver the message again.
func TestFailureMakesTwilioDeliverAgain(t *testing.T) {
	t.Parallel()
	receiver := func(err error) func(*webhook.Config) {
		return func(c *webhook.Config) { c.Receiver = &inbox{err: err} }
	}
	for name, test := range map[string]struct {
		change func(*webhook.Config)
		status int
		code   string
	}{
		"tenants down":          {func(c *webhook.Config) { c.Tenants = downTenants{} }, 503, "unavailable"},
		"tokens down":           {func(c *webhook.Config) { c.Tokens = noTokens{outage.ErrUnavailable} }, 503, "unavailable"},
		"tokens not to be read": {func(c *webhook.Config) { c.Tokens = noTokens{errors.New("secret sufrah/prod: access denied")} }, 500, "internal_error"},
		"store down":            {receiver(fmt.Errorf("recording: %w", outage.ErrUnavailable)), 503, "unavailable"},
		"another delivery":      {receiver(fmt.Errorf("welcoming: %w", conversation.ErrElsewhere)), 503, "unavailable"},
		"out of time":           {receiver(fmt.Errorf("welcoming: %w", context.DeadlineExceeded)), 503, "unavailable"},
		"a send that may yet succeed": {
			receiver(fmt.Errorf("answering: %w", &twilio.Error{StatusCode: 429})), 503, "unavailable",
		},
		"a send that an operator must see to": {
			receiver(fmt.Errorf("welcoming: %w", &twilio.Error{StatusCode: 400, Code: 21617})), 500, "internal_error",
		},
		"something that nobody thought of": {receiver(errors.New("table sufrah/prod: no such thing")), 500, "internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, test.change)
			w := f.do(post(message(nil)))
			wantRefusal(t, w, test.status, test.code)
			if strings.Contains(w.Body.String(), "sufrah/prod") {
				t.Errorf("the answer tells strangers of the inside: %s", w.Body)
			}
			if line := f.line(t); line["level"] != "ERROR" || line["error"] == "" {
				t.Errorf("the failure is logged as %v, want an ERROR with its cause", line)
			}
		})
	}
}

func TestMessageToAnInactiveRestaurantIsAcknowledged(t *testing.T) {
	t.Parallel()
	f := setup(t)
	wantEmpty(t, f.do(post(message(url.Values{"To": {"whatsapp:" + inactiveNumber}}))))
	if len(f.inbox.received) > 0 {
		t.Errorf("a message to an inactive restaurant reached the bot: %v; its conversations would be billed", f.inbox.received)
	}
	if line := f.line(t); line["restaurantId"] != "inactive" || line["kind"] != "inactive" {
		t.Errorf("a message to an inactive restaurant is logged as %v, want kind inactive with the restaurant", line)
	}
}

// TestChangedTwilioTokenIsAccepted: a signature with a new token is accepted although the instance still has the old one. A
// signature with any other token is refused. The instance looks for a new token only if a signature doesn't fit.
func TestChangedTwilioTokenIsAccepted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request       *http.Request
		before        string
		status, looks int
	}{
		"the new token":            {post(message(nil)), "old", 200, 1},
		"of a new account":         {post(message(nil)), "", 200, 1},
		"still the old token":      {signed("old", message(nil)), "old", 200, 0},
		"neither":                  {signed("forged", message(nil)), "old", 403, 1},
		"no signature, no looking": {with(post(message(nil)), func(r *http.Request) { r.Header.Del("X-Twilio-Signature") }), "old", 403, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			known := &changed{tokens: tokens{masterSID: masterToken}, before: test.before}
			told := map[int]int{}
			f := setup(t, func(c *webhook.Config) {
				c.Tokens = known
				c.Taken, c.NotSigned = func() { told[200]++ }, func() { told[403]++ }
			})
			if w := f.do(test.request); w.Code != test.status || known.looks != test.looks {
				t.Errorf("answered with %d after looking for a new token %d times, want %d after %d", w.Code, known.looks, test.status, test.looks)
			}
			if diff := cmp.Diff(map[int]int{test.status: 1}, told); diff != "" {
				t.Errorf("taken and unsigned messages that the metrics count (-want +got):\n%s", diff)
			}
			if line := f.line(t); (line["sourceIp"] == "192.0.2.1:1234") != (test.status == 403) {
				t.Errorf("answered with %d and logged as %v, want the caller's address with 403 only", test.status, line)
			}
		})
	}
}

// TestRepeatIsPassedOnUnchanged: the webhook treats a repeat like a first delivery; the receiver tells them apart.
func TestRepeatIsPassedOnUnchanged(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for range 3 {
		wantEmpty(t, f.do(post(message(nil))))
	}
	if len(f.inbox.received) != 3 || f.inbox.received[0] != f.inbox.received[2] {
		t.Errorf("three deliveries of one message reached the bot as %v, want three times the same", f.inbox.received)
	}
}

func TestRequestIsLoggedWithAMaskedCustomer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.do(post(message(url.Values{"Body": {"a secret wish"}})))
	line := f.line(t)
	delete(line, "timestamp")
	want := map[string]any{
		"level": "INFO", "message": "request", "function": "process-message", "requestId": "request-1", "method": "POST",
		"route": webhook.Path, "status": 200.0, "durationMs": 0.0, "restaurantId": "example", "messageId": messageSID,
		"customer": "+966*******01",
	}
	line["durationMs"] = 0.0
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("the log line of a message (-want +got):\n%s", diff)
	}
}

// TestOperatorIsToldOfAnAccountWithoutAToken: requests of an account without a token are refused until an operator stores
// one.
func TestOperatorIsToldOfAnAccountWithoutAToken(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.do(post(message(url.Values{"To": {"whatsapp:" + strangeNumber}, "AccountSid": {"ACffffffffffffffffffffffffffffffff"}})))
	line := f.line(t)
	if message := fmt.Sprint(line["error"]); line["level"] != "WARN" || !strings.Contains(message, "ACffffffff") {
		t.Errorf("a message of an account without a token is logged as %v, want a WARN that names the account: only an operator can mend it", line)
	}
}

// TestRefusedSignatureIsExplained: the log line of a wrong signature has the reason, and the bot and account that the form
// claims. It has no text, token or customer's number.
func TestRefusedSignatureIsExplained(t *testing.T) {
	t.Parallel()
	const mismatch = "the signature doesn't match the public URL " + publicURL
	signatures := func(form url.Values, values ...string) *http.Request {
		return with(post(form), func(r *http.Request) { r.Header["X-Twilio-Signature"] = values })
	}
	account := message(nil).Get("AccountSid")
	bot := strings.TrimPrefix(message(nil).Get("To"), "whatsapp:")
	for name, test := range map[string]struct {
		request      *http.Request
		reason       string
		bot, account any
	}{
		"no header":            {signatures(message(nil)), "no X-Twilio-Signature header", bot, account},
		"several headers":      {signatures(message(nil), "x", "y"), "several signatures", bot, account},
		"an empty header":      {signatures(message(nil), ""), "the X-Twilio-Signature header is empty", bot, account},
		"another token":        {signed("another", message(nil)), mismatch + " with the stored token", bot, account},
		"a receiver in words":  {signed("another", message(url.Values{"To": {"whatsapp:a secret wish"}})), mismatch + " with the stored token", nil, account},
		"two receivers":        {signed("another", message(url.Values{"To": {exampleNumber, ownNumber}})), mismatch + " with the stored token", nil, account},
		"an account in words":  {signed("another", message(url.Values{"AccountSid": {"a secret wish"}})), "AccountSid is not an account's SID, and no auth token is stored for it", bot, nil},
		"a status: its sender": {signatures(message(url.Values{"MessageStatus": {"sent"}, "From": {"whatsapp:" + ownNumber}, "To": {"whatsapp:+966500000001"}})), "no X-Twilio-Signature header", ownNumber, account},
		"a query, which isn't logged": {
			with(signed("another", message(nil)), func(r *http.Request) { r.URL.RawQuery = "a=secret" }), mismatch + " and the request's query with the stored token", bot, account,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			wantRefusal(t, f.do(test.request), 403, "forbidden")
			line := f.line(t)
			if line["reason"] != test.reason || line["claimedBot"] != test.bot || line["claimedAccountSid"] != test.account {
				t.Errorf("the refusal is logged as %v, want reason %q, claimedBot %v, claimedAccountSid %v", line, test.reason, test.bot, test.account)
			}
			for _, secret := range []string{"secret", "500000001", masterToken, "another\""} {
				if strings.Contains(f.log.String(), secret) {
					t.Errorf("the log shows %q: %s", secret, f.log)
				}
			}
		})
	}
}

// TestNothingSecretIsLogged sends requests of all kinds and searches the log for their content.
func TestNothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	f := setup(t)
	forms := []url.Values{
		message(url.Values{"Body": {"a secret wish"}}),
		message(url.Values{"Body": {"a secret wish"}, "MessageSid": {"a secret wish"}}),
		message(url.Values{"Body": {"a secret wish"}, "From": {"+966500000001", "+966500000001"}}),
		message(url.Values{"Body": {"a secret wish"}, "To": {"a secret wish"}}),
	}
	for _, form := range forms {
		f.do(post(form))
		f.do(signed("wrong", form))
		f.do(with(post(form), func(r *http.Request) { r.URL.Path = "/a secret wish" }))
		f.do(with(post(form), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("a+secret+wish=%zz")) }))
	}
	for _, secret := range []string{"secret wish", "secret+wish", "500000001", masterToken, twilio.Signature(masterToken, publicURL, forms[0])} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("the log holds %q, which is a customer's or a secret:\n%s", secret, f.log)
		}
	}
}

// TestFormIsReadInBase64AndInPlain: API Gateway passes the form in base64 or in plain.
func TestFormIsReadInBase64AndInPlain(t *testing.T) {
	t.Parallel()
	form := message(url.Values{"Body": {"منيو 🍽 + &="}})
	for name, test := range map[string]struct {
		body   string
		base64 bool
		status int
	}{
		"plain":           {form.Encode(), false, 200},
		"base64":          {base64.StdEncoding.EncodeToString([]byte(form.Encode())), true, 200},
		"broken base64":   {"*", true, 400},
		"base64 unmarked": {base64.StdEncoding.EncodeToString([]byte(form.Encode())), false, 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, func(c *webhook.Config) { c.RequestID = lambdahttp.RequestID })
			event := events.APIGatewayV2HTTPRequest{
				RawPath: "/prod/api" + webhook.Path, Body: test.body, IsBase64Encoded: test.base64,
				Headers: map[string]string{
					"content-type":       "application/x-www-form-urlencoded; charset=utf-8",
					"x-twilio-signature": twilio.Signature(masterToken, publicURL, form),
				},
			}
			event.RequestContext.HTTP.Method, event.RequestContext.Stage, event.RequestContext.RequestID = "POST", "prod", "request-2"
			handle := lambdahttp.New(f, lambdahttp.Options{BasePath: "/api", Logger: slog.New(slog.DiscardHandler)})
			answer, err := handle(t.Context(), event)
			if err != nil || answer.StatusCode != test.status {
				t.Fatalf("Lambda's answer is %+v (error %v), want status %d", answer, err, test.status)
			}
			if test.status == 200 && (answer.Body != "<Response/>" || len(f.inbox.received) != 1 || f.line(t)["requestId"] != "request-2") {
				t.Errorf("the message is answered with %+v, reached the bot as %v, and is logged as %s; want <Response/>, once, with request-2", answer, f.inbox.received, f.log)
			}
		})
	}
}

// TestRepeatedSignatureHeaderIsRefused: API Gateway joins repeated headers with a comma.
func TestRepeatedSignatureHeaderIsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	signature := twilio.Signature(masterToken, publicURL, message(nil))
	event := events.APIGatewayV2HTTPRequest{RawPath: webhook.Path, Body: message(nil).Encode(), Headers: map[string]string{
		"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": signature + "," + signature,
	}}
	event.RequestContext.HTTP.Method = "POST"
	answer, err := lambdahttp.New(f, lambdahttp.Options{Logger: slog.New(slog.DiscardHandler)})(t.Context(), event)
	if err != nil || answer.StatusCode != http.StatusForbidden {
		t.Errorf("a form with its signature twice is answered with %+v (error %v), want 403", answer, err)
	}
}

// FuzzHandler: every form is answered, without a 500, and only a signed form is accepted.
func FuzzHandler(f *testing.F) {
	good := message(nil).Encode()
	for _, body := range []string{
		good, "", "&&&", "To=%2B966110000000", "To=%2B966110000000&MessageSid=a&From=%2B966500000001", "a;b", "%", "=&=",
		message(url.Values{"To": {"whatsapp:" + ownNumber}, "Body": {"\xff", "\x00"}}).Encode(),
		message(url.Values{"MessageSid": {messageSID + "NumMedia0"}, "NumMedia": nil}).Encode(),
	} {
		f.Add("POST", webhook.Path, "", "application/x-www-form-urlencoded", "", body, true)
		f.Add("POST", webhook.Path, "", "application/x-www-form-urlencoded", "c2lnbmF0dXJl", body, false)
	}
	f.Add("GET", "/", "a=%zz", "text/plain", "", good, true)
	f.Fuzz(func(t *testing.T, method, path, query, contentType, signature, body string, sign bool) {
		fixture := setup(t)
		r := httptest.NewRequest(http.MethodPost, webhook.Path, strings.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		r.Header.Set("Content-Type", contentType)
		form, err := url.ParseQuery(body)
		if sign = sign && err == nil; sign {
			target := publicURL
			if query != "" {
				target += "?" + query
			}
			signature = twilio.Signature(masterToken, target, form)
		}
		r.Header.Set("X-Twilio-Signature", signature)
		w := fixture.do(r)
		if w.Code >= 500 {
			t.Errorf("%s %s?%s with %q is answered with %d, want no fault of ours: %s", method, path, query, body, w.Code, fixture.log)
		}
		if len(fixture.inbox.received) > 0 && !sign {
			t.Errorf("an unsigned form reached the bot: %v", fixture.inbox.received)
		}
		for _, in := range fixture.inbox.received {
			if w.Code != 200 || !utf8.ValidString(in.Body+in.ProfileName+in.ButtonPayload+in.ButtonText) {
				t.Errorf("answered with %d, the bot received %+v, want 200 and valid text", w.Code, in)
			}
		}
		if (w.Code == 200) != (w.Body.String() == "<Response/>") {
			t.Errorf("answered with %d and the body %q, want <Response/> with 200, and with nothing else", w.Code, w.Body)
		}
	})
}
