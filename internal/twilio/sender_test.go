package twilio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
)

const (
	masterSID  = "AC00000000000000000000000000000001"
	ownSID     = "AC00000000000000000000000000000002"
	strangeSID = "AC00000000000000000000000000000003"
	welcomeSID = "HX0123456789abcdef0123456789abcdef"
	customer   = "+966500000001"
)

// tokens has the accounts' tokens. If it is failing, no token can be read.
type tokens struct {
	of  map[string]string
	err error
}

func (t tokens) AuthToken(_ context.Context, accountSID string) (string, error) {
	return t.of[accountSID], t.err
}

var known = tokens{of: map[string]string{masterSID: "master-token", ownSID: "own-token"}}

// setupSender returns a sender with the handler as its Twilio, and its log.
func setupSender(t *testing.T, handler http.Handler, tokens twilio.Tokens) (*twilio.Sender, *bytes.Buffer) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := twilio.New(twilio.Config{BaseURL: server.URL, HTTPClient: server.Client(), Timeout: time.Second})
	if err != nil {
		t.Fatalf("making the Twilio client: %v", err)
	}
	log := new(bytes.Buffer)
	return twilio.NewSender(twilio.SenderConfig{
		Client: client, Tokens: tokens, MasterSID: masterSID, StatusURL: "https://bot.example.com/webhooks/whatsapp/status",
		Log: logging.New(log, slog.LevelDebug, "test"), Now: func() time.Time { return time.Unix(1764340000, 0) },
	}), log
}

// welcomeOf and textTo are messages.
func welcomeOf(sid string, variables map[string]string) conversation.Outgoing {
	return conversation.Outgoing{To: customer, Kind: delivery.Welcome, Category: delivery.Utility, ContentSID: sid, Variables: variables}
}

func textTo(to string) conversation.Outgoing {
	return conversation.Outgoing{To: to, Kind: delivery.Text, Category: delivery.Service, Text: "hello"}
}

// attempt sends a message and returns its failure.
func attempt(t *testing.T, sender *twilio.Sender, accountSID string, m conversation.Outgoing) error {
	t.Helper()
	_, err := sender.Send(t.Context(), tenant(accountSID), m)
	return err
}

func tenant(accountSID string) conversation.Tenant {
	return conversation.Tenant{
		Restaurant: restaurant.Restaurant{ID: "clxyz123abc", Name: "Example Restaurant"},
		Bot:        restaurant.Bot{ID: "bot", PhoneNumber: "+966110000000", TwilioAccountSID: accountSID},
	}
}

func TestSenderSendsFromTheBotsNumberAndAccount(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }
	standIn := sandbox.NewTwilio(now, func() float64 { return 0 })
	var accounts []string
	sender, log := setupSender(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, token, _ := r.BasicAuth()
		accounts = append(accounts, user+" "+token)
		standIn.ServeHTTP(w, r)
	}), known)
	variables := map[string]string{"1": "مطعم", "2": "سارة"}
	arabic := textTo(customer)
	arabic.Text = "أهلاً"
	if err := errors.Join(attempt(t, sender, "", welcomeOf(welcomeSID, variables)), attempt(t, sender, ownSID, arabic)); err != nil {
		t.Fatalf("sending the welcome or the text: %v", err)
	}
	const at = "2026-11-23T12:00:00.000Z"
	want := []sandbox.SentMessage{
		{At: at, From: "+966110000000", To: customer, Body: "أهلاً", SID: "SM00000000000000000000000000000002", Status: "read"},
		{
			At: at, From: "+966110000000", To: customer, ContentSID: welcomeSID, ContentVariables: variables,
			SID: "SM00000000000000000000000000000001", Status: "read",
		},
	}
	standIn.Reported()
	if diff := cmp.Diff(want, standIn.Messages("")); diff != "" {
		t.Errorf("the messages that Twilio has (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{masterSID + " master-token", ownSID + " own-token"}, accounts); diff != "" {
		t.Errorf("the accounts that sent them (-want +got):\n%s", diff)
	}
	if log.Len() > 0 {
		t.Errorf("sending without a fault logged %s, want nothing", log)
	}
}

// TestRefusalsOfTwilioAreToldApart covers the refusals of Twilio's stand-in.
func TestRefusalsOfTwilioAreToldApart(t *testing.T) {
	t.Parallel()
	standIn := sandbox.NewTwilio(time.Now, func() float64 { return 0 })
	sender, _ := setupSender(t, standIn, known)
	for to, want := range map[string]error{
		customer:       nil,
		"+15005550001": conversation.ErrUndeliverable,
		"+15005550004": conversation.ErrUndeliverable,
		"+15005550009": conversation.ErrUndeliverable,
	} {
		if err := attempt(t, sender, "", textTo(to)); !errors.Is(err, want) {
			t.Errorf("a text to %s gives the error %v, want %v", to, err, want)
		}
	}
	if err := attempt(t, sender, "", welcomeOf("no-sid", nil)); !errors.Is(err, conversation.ErrTemplateRejected) {
		t.Errorf("a template that Twilio doesn't know gives the error %v, want ErrTemplateRejected, so that text goes out", err)
	}
	if err := standIn.Fault().Set(sandbox.Behavior{FailRate: 1, Status: 429}); err != nil {
		t.Fatalf("setting the sandbox's behaviour: %v", err)
	}
	if err := attempt(t, sender, "", textTo(customer)); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("too many requests give the error %v, want an outage, so that the message is delivered again", err)
	}
}

// The kinds of errors of a Sender, besides none.
const (
	undeliverable    = "undeliverable"
	templateRejected = "template rejected"
	unavailable      = "unavailable"
	operator         = "operator"
)

func meaningOf(err error) string {
	var meanings []string
	for meaning, fault := range map[string]error{
		undeliverable: conversation.ErrUndeliverable, templateRejected: conversation.ErrTemplateRejected, unavailable: outage.ErrUnavailable,
	} {
		if errors.Is(err, fault) {
			meanings = append(meanings, meaning)
		}
	}
	if len(meanings) == 0 {
		return operator
	}
	return strings.Join(meanings, ", ")
}

func TestTwiliosErrorsMeanWhatTheBotDoesNext(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status, code   int
		template, text string // expected kind for each
	}{
		"invalid receiver":             {400, 21211, undeliverable, undeliverable},
		"unsubscribed":                 {400, 21610, undeliverable, undeliverable},
		"no mobile":                    {400, 21614, undeliverable, undeliverable},
		"receiver not found":           {400, 63003, undeliverable, undeliverable},
		"blocked by the receiver":      {400, 63014, undeliverable, undeliverable},
		"receiver not on WhatsApp":     {400, 63024, undeliverable, undeliverable},
		"invalid template":             {400, 21655, templateRejected, operator},
		"invalid variables":            {400, 21656, templateRejected, operator},
		"outside the window":           {400, 63016, templateRejected, operator},
		"wrong number of variables":    {400, 63028, templateRejected, operator},
		"kept back by Meta":            {400, 63049, templateRejected, operator},
		"sender not registered":        {400, 63007, operator, operator},
		"part of an experiment":        {400, 63032, undeliverable, undeliverable},
		"failed at once: content":      {201, 63016, templateRejected, operator},
		"failed at once: receiver":     {201, 63024, undeliverable, undeliverable},
		"failed at once: rate":         {201, 63018, unavailable, unavailable},
		"failed at once: not known":    {201, 99999, templateRejected, operator},
		"no such path":                 {404, 20404, templateRejected, operator},
		"text too long":                {400, 21617, templateRejected, operator},
		"not allowed":                  {403, 0, templateRejected, operator},
		"a code that nobody knows":     {400, 99999, templateRejected, operator},
		"wrong token":                  {401, 20003, operator, operator},
		"suspended account":            {403, 20005, operator, operator},
		"too many requests":            {429, 20429, unavailable, unavailable},
		"too many for the account":     {400, 63017, unavailable, unavailable},
		"too many for the receiver":    {400, 63018, unavailable, unavailable},
		"a fault of Twilio's":          {500, 20500, unavailable, unavailable},
		"maintenance":                  {503, 0, unavailable, unavailable},
		"a page of something between":  {302, 0, unavailable, unavailable},
		"a time-out of something else": {408, 0, unavailable, unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender, log := setupSender(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				if test.status == http.StatusCreated {
					fmt.Fprintf(w, `{"sid": "SM1", "status": "failed", "error_code": %d, "error_message": "to +966500000001"}`, test.code)
					return
				}
				fmt.Fprintf(w, `{"code": %d, "message": "to +966500000001", "status": %d}`, test.code, test.status)
			}), known)
			for kind, tried := range map[string]struct {
				err  error
				want string
			}{
				"template": {attempt(t, sender, "", welcomeOf(welcomeSID, nil)), test.template},
				"text":     {attempt(t, sender, "", textTo(customer)), test.text},
			} {
				if got := meaningOf(tried.err); got != tried.want {
					t.Errorf("a %s that fails with \"%v\" counts as %s, want %s", kind, tried.err, got, tried.want)
				}
				if failure, ok := errors.AsType[*twilio.Error](tried.err); !ok || failure.Code != test.code {
					t.Errorf("a %s failed with \"%v\", which has lost Twilio's code %d", kind, tried.err, test.code)
				}
			}
			told := strings.Count(log.String(), `"level":"ERROR"`)
			want := 0
			for _, meaning := range []string{test.template, test.text} {
				if meaning == operator {
					want++
				}
			}
			if told != want {
				t.Errorf("the log has %d ERROR lines for the operator, want %d: %s", told, want, log)
			}
			if strings.Contains(log.String(), "500000001") || strings.Contains(log.String(), "master-token") {
				t.Errorf("the log shows a customer's number or the token: %s", log)
			}
		})
	}
}

// TestSenderThatTakesNoUserIDsIsLogged: if a sender isn't enabled for user ids, the log says so.
func TestSenderThatTakesNoUserIDsIsLogged(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]bool{"SA.13491208655302741918": true, customer: false} {
		sender, log := setupSender(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"code": 21211, "message": "The 'To' number is not valid", "status": 400}`)
		}), known)
		if err := attempt(t, sender, "", textTo(to)); meaningOf(err) != undeliverable {
			t.Errorf("a text to %s fails with \"%v\", want a customer who can't receive", to, err)
		}
		if told := strings.Contains(log.String(), "refuses user ids from this sender"); told != want || strings.Contains(log.String(), to) {
			t.Errorf("after a refused text to %s the log says that the sender takes no user ids: %t, want %t, and never the address: %s", to, told, want, log)
		}
	}
}

// TestEverySendNamesItsStatusCallback: the callback's address describes the message, and doesn't name the customer.
func TestEverySendNamesItsStatusCallback(t *testing.T) {
	t.Parallel()
	const base = "https://bot.example.com/webhooks/whatsapp/status?kind="
	const end = "&place=2025-11-28-k7f3q2ab9x-07&sent=1764340000#rc=5&rp=all"
	for want, m := range map[string]conversation.Outgoing{
		base + "welcome&category=utility&template=1&instead=0" + end: welcomeOf(welcomeSID, nil),
		base + "text&category=service&template=0&instead=0" + end:    textTo(customer),
		base + "list&category=service&template=0&instead=0" + end: {
			To: customer, Kind: delivery.List, Category: delivery.Service, ContentSID: welcomeSID,
		},
		base + "quota_alert&category=utility&template=1&instead=0" + end: {
			To: customer, Kind: delivery.QuotaAlert, Category: delivery.Utility, ContentSID: welcomeSID,
		},
	} {
		var got string
		sender, _ := setupSender(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.PostFormValue("StatusCallback")
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"sid": "SM1", "status": "queued", "error_code": null, "error_message": null}`)
		}), known)
		m.Place = delivery.Place{Day: time.Date(2025, 11, 28, 0, 0, 0, 0, time.UTC), Page: "k7f3q2ab9x", Number: 7}
		if sid, err := sender.Send(t.Context(), tenant(""), m); err != nil || sid != "SM1" || got != want {
			t.Errorf("Send = %q (error %v) names the status callback %s, want %s: the ledger finds the message by it", sid, err, got, want)
		}
	}
}

// A message that Twilio takes and calls failed has a SID, and callbacks with that SID may come.
func TestMessageThatFailsAtOnceHasASID(t *testing.T) {
	t.Parallel()
	sender, _ := setupSender(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"sid": "SM1", "status": "failed", "error_code": 63016}`)
	}), known)
	sid, err := sender.Send(t.Context(), tenant(""), welcomeOf(welcomeSID, nil))
	if sid != "SM1" || !errors.Is(err, conversation.ErrTemplateRejected) {
		t.Errorf("a message that Twilio takes and calls failed gives %q with the error %v, want its SID SM1 with ErrTemplateRejected", sid, err)
	}
}

// TestOperatorIsToldOfAFaultySender: the log tells the operator where to look.
func TestOperatorIsToldOfAFaultySender(t *testing.T) {
	t.Parallel()
	sender, log := setupSender(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"code": 63007, "message": "Twilio could not find a Channel with the specified From address"}`)
	}), known)
	_ = attempt(t, sender, ownSID, textTo(customer))
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("the log isn't one line of JSON (%v): %s", err, log)
	}
	if line["level"] != "ERROR" || line["restaurantId"] != "clxyz123abc" || line["accountSid"] != ownSID || line["twilioCode"] != 63007.0 {
		t.Errorf("a faulty sender is logged as %v, want an ERROR with the restaurant, the account and Twilio's code 63007", line)
	}
}

func TestNothingIsSentWithoutAToken(t *testing.T) {
	t.Parallel()
	unused := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("Twilio was called without a token") })
	sender, log := setupSender(t, unused, known)
	if err := attempt(t, sender, strangeSID, textTo(customer)); meaningOf(err) != operator || log.Len() == 0 {
		t.Errorf("a bot of an account without a token fails with %v, logged %q, want a fault of the operator's, in the log", err, log)
	}
	sender, _ = setupSender(t, unused, tokens{err: fmt.Errorf("secret: %w", outage.ErrUnavailable)})
	if err := attempt(t, sender, "", textTo(customer)); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("with the tokens unreadable the send fails with %v, want an outage", err)
	}
}

// TestTwilioThatDoesNotAnswerIsAnOutage: Twilio can't be reached, or doesn't answer in time.
func TestTwilioThatDoesNotAnswerIsAnOutage(t *testing.T) {
	t.Parallel()
	sender, _ := setupSender(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("cutting the connection: %v", err)
			return
		}
		_ = connection.Close()
	}), known)
	if err := attempt(t, sender, "", textTo(customer)); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("a broken connection fails the send with %v, want an outage, so that the message is delivered again", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	sender, _ = setupSender(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then, the server doesn't notice that the client has gone
		<-r.Context().Done()
	}), known)
	if _, err := sender.Send(ctx, tenant(""), textTo(customer)); !errors.Is(err, outage.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer in time fails the send with %v, want an outage and the deadline", err)
	}
}
