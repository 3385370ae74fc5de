package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/twilio"
)

var testAccount = twilio.Account{SID: "AC0123456789abcdef0123456789abcdef", AuthToken: "local-twilio-token"}

// setupTwilio returns a stand-in with a stopped clock, and the production client of it.
func setupTwilio(t *testing.T) (*Twilio, *twilio.Client, string) {
	t.Helper()
	now := func() time.Time {
		return time.Date(2026, 11, 23, 9, 30, 0, 120_000_000, time.FixedZone("AST", 3*60*60))
	}
	standIn := NewTwilio(now, luck())
	server := httptest.NewServer(standIn)
	t.Cleanup(server.Close)
	t.Cleanup(standIn.Close)
	client, err := twilio.New(twilio.Config{BaseURL: server.URL, HTTPClient: server.Client()})
	if err != nil {
		t.Fatalf("making the Twilio client: %v", err)
	}
	return standIn, client, server.URL
}

func TestTwilioRemembersWhatItWasAskedToSend(t *testing.T) {
	t.Parallel()
	standIn, client, _ := setupTwilio(t)
	messages := []twilio.Message{
		{
			From: "+966110000000", To: "+966500000001", ContentSID: "HX0123456789abcdef0123456789abcdef",
			ContentVariables: map[string]string{"1": "مطعم", "2": "Sara"},
		},
		{From: "+966110000000", To: "+966500000002", Body: "hello"},
		{MessagingServiceSID: "MG1", To: "+966500000001", Body: "القائمة"},
	}
	for i, m := range messages {
		sid, err := client.Send(t.Context(), testAccount, m)
		if err != nil || sid != messageSID(i+1) {
			t.Fatalf("the stand-in gives the message the SID %q (error %v), want the next one", sid, err)
		}
	}
	standIn.Reported()
	const at = "2026-11-23T06:30:00.120Z"
	template := SentMessage{
		At: at, From: "+966110000000", To: "+966500000001", ContentSID: "HX0123456789abcdef0123456789abcdef",
		ContentVariables: map[string]string{"1": "مطعم", "2": "Sara"}, SID: messageSID(1), Status: "read",
	}
	hello := SentMessage{At: at, From: "+966110000000", To: "+966500000002", Body: "hello", SID: messageSID(2), Status: "read"}
	list := SentMessage{At: at, From: "MG1", To: "+966500000001", Body: "القائمة", SID: messageSID(3), Status: "read"}
	for to, want := range map[string][]SentMessage{
		"":                       {list, hello, template},
		"+966500000001":          {list, template},
		" 966500000001":          {list, template},
		"whatsapp:+966500000001": {list, template},
		"+966500000003":          {},
	} {
		if diff := cmp.Diff(want, standIn.Messages(to)); diff != "" {
			t.Errorf("the stand-in shows other messages to %q than were sent (-want +got):\n%s", to, diff)
		}
	}
}

func TestSentMessageJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal([]SentMessage{{At: "2026-11-23T06:30:00.000Z", From: "+1", To: "+2", Body: "b"}})
	const want = `[{"at":"2026-11-23T06:30:00.000Z","from":"+1","to":"+2","contentSid":"","contentVariables":null,"body":"b",` +
		`"sid":"","status":"","errorCode":0}]`
	if err != nil || string(got) != want {
		t.Errorf("a sent message is shown as %s (error %v), want %s", got, err, want)
	}
}

func TestTwilioRefuses(t *testing.T) {
	t.Parallel()
	standIn, _, address := setupTwilio(t)
	standIn.Approve("HX1", Template{Body: "Hello {{1}}"})
	const path = "/2010-04-01/Accounts/AC1/Messages.json"
	valid := url.Values{"From": {"whatsapp:+966110000000"}, "To": {"whatsapp:+966500000001"}, "Body": {"hello"}}
	with := func(pairs ...string) string {
		form := url.Values{}
		for name, values := range valid {
			form[name] = values
		}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		return form.Encode()
	}
	tests := map[string]struct {
		path, user, password, form string
		status, code               int
	}{
		"no credentials":          {path, "", "", with(), 401, 20003},
		"no token":                {path, "AC1", "", with(), 401, 20003},
		"another account":         {path, "AC2", "token", with(), 401, 20003},
		"another path":            {"/2010-04-01/Accounts/AC1/Calls.json", "AC1", "token", with(), 404, 20404},
		"no receiver":             {path, "AC1", "token", with("To", ""), 400, 21604},
		"no sender":               {path, "AC1", "token", with("From", ""), 400, 21603},
		"a sender of SMS":         {path, "AC1", "token", with("From", "+966110000000"), 400, 63007},
		"a receiver of SMS":       {path, "AC1", "token", with("To", "+966500000001"), 400, 21211},
		"no number":               {path, "AC1", "token", with("To", "whatsapp:+96650x"), 400, 21211},
		"Twilio's invalid number": {path, "AC1", "token", with("To", "whatsapp:+15005550001"), 400, 21211},
		"Twilio's unsubscriber":   {path, "AC1", "token", with("To", "whatsapp:+15005550004"), 400, 21610},
		"Twilio's landline":       {path, "AC1", "token", with("To", "whatsapp:+15005550009"), 400, 21614},
		"nothing to say":          {path, "AC1", "token", with("Body", ""), 400, 21619},
		"a text too long":         {path, "AC1", "token", with("Body", strings.Repeat("ء", 1601)), 400, 21617},
		"no template":             {path, "AC1", "token", with("ContentSid", "welcome"), 400, 21655},
		"variables that are none": {path, "AC1", "token", with("ContentSid", "HX1", "ContentVariables", "{"), 400, 21656},
		"an empty variable":       {path, "AC1", "token", with("ContentSid", "HX1", "ContentVariables", `{"1": " "}`), 400, 21656},
		"a variable that is null": {path, "AC1", "token", with("ContentSid", "HX1", "ContentVariables", `{"1": null}`), 400, 21656},
		"a variable of two lines": {path, "AC1", "token", with("ContentSid", "HX1", "ContentVariables", `{"1": "a\nb"}`), 400, 21656},
		"a variable with a tab":   {path, "AC1", "token", with("ContentSid", "HX1", "ContentVariables", `{"1": "a\tb"}`), 400, 21656},
		"a variable with a gap":   {path, "AC1", "token", with("ContentSid", "HX1", "ContentVariables", `{"1": "a     b"}`), 400, 21656},
		"variables of nothing":    {path, "AC1", "token", with("ContentVariables", `{"1": "a"}`), 400, 21654},
		"an unknown template":     {path, "AC1", "token", with("ContentSid", "HX2"), 400, 21655},
		"a variable left out":     {path, "AC1", "token", with("ContentSid", "HX1"), 400, 21656},
		"variables too long":      {path, "AC1", "token", with("ContentSid", "HX1", "ContentVariables", `{"1":"`+strings.Repeat("ء", 1600)+`"}`), 400, 21617},
		"a callback that is none": {path, "AC1", "token", with("StatusCallback", "/status"), 400, 21609},
		"a callback's host":       {path, "AC1", "token", with("StatusCallback", "https://a_b.example.com/"), 400, 21609},
		"a callback too long":     {path, "AC1", "token", with("StatusCallback", "https://example.com/"+strings.Repeat("x", 4000)), 400, 21609},
		"a form that is none":     {path, "AC1", "token", "%zz", 400, 20400},
		"a form without end":      {path, "AC1", "token", with("Body", strings.Repeat("x", maxFormBytes)), 400, 20400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			body := strings.NewReader(test.form)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+test.path, body)
			if err != nil {
				t.Fatalf("making the request: %v", err)
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if test.user != "" {
				request.SetBasicAuth(test.user, test.password)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatalf("sending the request: %v", err)
			}
			defer func() { _ = response.Body.Close() }()
			var got twilioError
			if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
				t.Fatalf("decoding the answer: %v", err)
			}
			want := twilioError{
				Code: test.code, Status: test.status, Message: got.Message,
				MoreInfo: fmt.Sprintf("https://www.twilio.com/docs/errors/%d", test.code),
			}
			if diff := cmp.Diff(want, got); diff != "" || response.StatusCode != test.status || got.Message == "" {
				t.Errorf("the stand-in refuses with %d and another error than Twilio (-want +got):\n%s", response.StatusCode, diff)
			}
		})
	}
	if sent := standIn.Messages(""); len(sent) != 0 {
		t.Errorf("the stand-in remembers refused messages: %v", sent)
	}
}

// The longest text has 1,600 characters, however many bytes they take.
func TestTwilioTakesTheLongestText(t *testing.T) {
	t.Parallel()
	_, client, _ := setupTwilio(t)
	message := twilio.Message{From: "+966110000000", To: "+966500000001", Body: strings.Repeat("ء", 1600)}
	if _, err := client.Send(t.Context(), testAccount, message); err != nil {
		t.Errorf("a text of 1,600 characters, the most that Twilio takes, is refused: %v", err)
	}
}

// The client must treat each fault of the stand-in like the same fault of Twilio.
func TestTwilioFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status, code              int
		retryable, authentication bool
	}{
		{400, 20400, false, false}, {401, 20003, true, true}, {404, 20404, false, false},
		{429, 20429, true, false}, {500, 20500, true, false}, {503, 20503, true, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			t.Parallel()
			standIn, client, _ := setupTwilio(t)
			if err := standIn.Fault().Set(Behavior{FailRate: 1, Status: test.status}); err != nil {
				t.Fatalf("setting the sandbox's behaviour: %v", err)
			}
			message := twilio.Message{From: "+966110000000", To: "+966500000001", Body: "hello"}
			_, err := client.Send(t.Context(), testAccount, message)
			e, ok := errors.AsType[*twilio.Error](err)
			if !ok {
				t.Fatalf("a fault gives the client %v, want a *twilio.Error", err)
			}
			if e.StatusCode != test.status || e.Code != test.code || e.Retryable() != test.retryable ||
				e.AuthenticationFailed() != test.authentication {
				t.Errorf("the client takes the stand-in's fault as %+v, want %+v", e, test)
			}
			if wait := e.RetryAfter; (wait > 0) != (test.status == http.StatusTooManyRequests) {
				t.Errorf("the client waits for %s after the status %d, want a wait only after 429", wait, test.status)
			}
			if sent := standIn.Messages(""); len(sent) != 0 {
				t.Errorf("a failed call sent the messages %v", sent)
			}
		})
	}
}

func TestTwilioRemembersTheLatest(t *testing.T) {
	t.Parallel()
	standIn := NewTwilio(time.Now, luck())
	const extra = 7
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range maxMessages / 4 {
				standIn.remember(SentMessage{To: "+1", Body: "old"})
			}
		})
	}
	senders.Wait()
	for n := range extra {
		standIn.remember(SentMessage{To: "+2", Body: fmt.Sprint(n)})
	}
	all := standIn.Messages("")
	if len(all) != maxMessages || all[0].Body != fmt.Sprint(extra-1) || all[len(all)-1].Body != "old" {
		t.Errorf("the stand-in remembers %d messages, from %q to %q, want the latest ones, newest first", len(all), all[0].Body, all[len(all)-1].Body)
	}
	if got := len(standIn.Messages("+2")); got != extra {
		t.Errorf("the stand-in remembers %d of the latest messages, want %d", got, extra)
	}
}
