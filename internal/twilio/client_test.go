package twilio

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	testAccount = Account{SID: "AC0123456789abcdef0123456789abcdef", AuthToken: "local-twilio-token"}
	testMessage = Message{From: "+966110000000", To: "+966500000001", Body: "مرحبا"}
)

// setup returns a client of a server that answers with the handler.
func setup(t *testing.T, handler http.HandlerFunc, change ...func(*Config)) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	config := Config{BaseURL: server.URL, HTTPClient: server.Client()}
	for _, c := range change {
		c(&config)
	}
	client, err := New(config)
	if err != nil {
		t.Fatalf("making the Twilio client: %v", err)
	}
	return client
}

func TestMessageIsSentAsTwilioExpectsIt(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		message Message
		want    url.Values
	}{
		"a text": {
			testMessage,
			url.Values{"From": {"whatsapp:+966110000000"}, "To": {"whatsapp:+966500000001"}, "Body": {"مرحبا"}},
		},
		"a template": {
			Message{
				From: "whatsapp:+966110000000", To: "whatsapp:+966500000001", ContentSID: "HX1",
				ContentVariables: map[string]string{"2": "سارة", "1": `A & "B"`}, Body: "for want of the template",
			},
			url.Values{
				"From": {"whatsapp:+966110000000"}, "To": {"whatsapp:+966500000001"}, "ContentSid": {"HX1"},
				"ContentVariables": {`{"1":"A \u0026 \"B\"","2":"سارة"}`},
			},
		},
		"a messaging service": {
			Message{To: "+966500000001", MessagingServiceSID: "MG1", Body: "hello"},
			url.Values{"MessagingServiceSid": {"MG1"}, "To": {"whatsapp:+966500000001"}, "Body": {"hello"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got url.Values
			client := setup(t, func(w http.ResponseWriter, r *http.Request) {
				user, token, _ := r.BasicAuth()
				if r.Method != http.MethodPost || user != testAccount.SID || token != testAccount.AuthToken ||
					r.URL.Path != "/2010-04-01/Accounts/"+testAccount.SID+"/Messages.json" {
					t.Errorf("the message was sent by %s %s as the user %q, which Twilio refuses", r.Method, r.URL, user)
				}
				if err := r.ParseForm(); err != nil {
					t.Errorf("reading the posted form: %v", err)
				}
				got = r.PostForm
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, `{"sid": "SM1", "status": "queued"}`)
			})
			sid, err := client.Send(t.Context(), testAccount, test.message)
			if err != nil || sid != "SM1" {
				t.Errorf("Send = %q with the error %v, want the SID that Twilio gave", sid, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the form that Twilio gets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInvalidMessageIsNotSent(t *testing.T) {
	t.Parallel()
	message := func(change func(*Message)) Message {
		m := testMessage
		change(&m)
		return m
	}
	tests := map[string]struct {
		account        Account
		message        Message
		authentication bool
	}{
		"no account":                    {Account{AuthToken: "secret"}, testMessage, true},
		"no token":                      {Account{SID: "AC1"}, testMessage, true},
		"an account that leaves a path": {Account{SID: "../AC1", AuthToken: "secret"}, testMessage, true},
		"no receiver":                   {testAccount, message(func(m *Message) { m.To = "" }), false},
		"a receiver without a plus":     {testAccount, message(func(m *Message) { m.To = "966500000001" }), false},
		"a receiver with a letter":      {testAccount, message(func(m *Message) { m.To = "+96650000000x" }), false},
		"a receiver that is too long":   {testAccount, message(func(m *Message) { m.To = "+9665000000012345" }), false},
		"a receiver on another channel": {testAccount, message(func(m *Message) { m.To = "messenger:1" }), false},
		"no sender":                     {testAccount, message(func(m *Message) { m.From = "" }), false},
		"a sender that is no number":    {testAccount, message(func(m *Message) { m.From = "Sufrah" }), false},
		"nothing to say":                {testAccount, message(func(m *Message) { m.Body = "" }), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := setup(t, func(http.ResponseWriter, *http.Request) {
				t.Error("Twilio was called with a message that can't be sent")
			})
			_, err := client.Send(t.Context(), test.account, test.message)
			e := asError(t, err)
			if e.AuthenticationFailed() != test.authentication || e.Permanent() == test.authentication {
				t.Errorf("an invalid message fails with %v (authentication failed %t, permanent %t), want permanent: sending it again can't help", err, e.AuthenticationFailed(), e.Permanent())
			}
			if text := err.Error(); strings.Contains(text, "secret") || strings.Contains(text, "50000000") {
				t.Errorf("the error shows a secret or a customer's number: %s", text)
			}
		})
	}
}

func TestTwiliosAnswerIsUnderstood(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status  int
		body    string
		wantSID string
		want    *Error // nil for success
	}{
		"created":              {201, `{"sid": "SM1"}`, "SM1", nil},
		"created, unreadable":  {201, `{"sid": "SM`, "", nil},
		"created, without end": {201, strings.Repeat(" ", maxAnswer+1), "", nil},
		"a page":               {200, "<html>", "", &Error{StatusCode: 200}},
		"a redirect":           {302, "", "", &Error{StatusCode: 302}},
		"Twilio's error": {
			400, `{"code": 63016, "message": "Failed to send freeform message", "more_info": "https://example.com", "status": 400}`,
			"", &Error{StatusCode: 400, Code: 63016, Message: "Failed to send freeform message"},
		},
		"too many requests": {
			429, `{"code": 20429, "message": "Too Many Requests", "status": 429}`,
			"", &Error{StatusCode: 429, Code: 20429, Message: "Too Many Requests"},
		},
		"a proxy's error": {502, "<html>Bad gateway</html>", "", &Error{StatusCode: 502}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			client := setup(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("Location", "/elsewhere")
				w.Header().Set("Retry-After", "3")
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			sid, err := client.Send(t.Context(), testAccount, testMessage)
			if sid != test.wantSID || calls.Load() != 1 {
				t.Errorf("Twilio's answer %d %.40q gives the SID %q after %d calls, want %q after one: a second call sends twice", test.status, test.body, sid, calls.Load(), test.wantSID)
			}
			if test.want == nil {
				if err != nil {
					t.Errorf("a message that Twilio took (%d %.40q) counts as failed, and would be sent again: %v", test.status, test.body, err)
				}
				return
			}
			test.want.RetryAfter = 3 * time.Second
			if diff := cmp.Diff(test.want, asError(t, err)); diff != "" {
				t.Errorf("Twilio's answer %d is understood as (-want +got):\n%s", test.status, diff)
			}
		})
	}
}

func TestSlowTwilioIsWaitedForOnlySoLong(t *testing.T) {
	t.Parallel()
	slow := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then, the server doesn't notice that the client has gone
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	tests := map[string]struct {
		ctx    context.Context
		client *Client
	}{
		"the client's own": {t.Context(), setup(t, slow, func(c *Config) { c.Timeout = 50 * time.Millisecond })},
		"the context's":    {short, setup(t, slow)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := test.client.Send(test.ctx, testAccount, testMessage)
			if e := asError(t, err); !e.Retryable() || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a Twilio that is too slow gives the error %v, want a retryable deadline", err)
			}
		})
	}
}

func TestBrokenConnectionIsNotSentAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		beginning string
		accepted  bool
	}{
		"before the answer":             {"", false},
		"within an error":               {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n{", false},
		"within an acceptance's body":   {"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"sid\"", true},
		"within an answer's first line": {"HTTP/1.1 20", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			client := setup(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				conn, buffer, err := w.(http.Hijacker).Hijack()
				if err != nil {
					return
				}
				_, _ = buffer.WriteString(test.beginning)
				_ = buffer.Flush()
				_ = conn.Close()
			})
			sid, err := client.Send(t.Context(), testAccount, testMessage)
			if calls.Load() != 1 {
				t.Errorf("over a broken connection the message was sent %d times, want once: the customer may have it already", calls.Load())
			}
			if test.accepted {
				if err != nil || sid != "" {
					t.Errorf("Send = %q, %v; want no SID and no error", sid, err)
				}
				return
			}
			if e := asError(t, err); !e.Retryable() {
				t.Errorf("a broken connection gives the error %v, want a retryable one", err)
			}
			if text := err.Error(); strings.Contains(text, testAccount.SID) || strings.Contains(text, testAccount.AuthToken) {
				t.Errorf("the error names the account: %s", text)
			}
		})
	}
}

func TestDefaultsAndFaultyConfigurationOfTheClient(t *testing.T) {
	t.Parallel()
	client, err := New(Config{})
	if err != nil || client.baseURL != "https://api.twilio.com" || client.timeout != DefaultTimeout {
		t.Errorf("an empty configuration gives the client %+v (error %v), want Twilio's address and the default time-out", client, err)
	}
	for _, config := range []Config{{BaseURL: "twilio"}, {Timeout: -1}} {
		if _, err := New(config); err == nil {
			t.Errorf("New(%+v) found no fault", config)
		}
	}
}

func asError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("the client failed with %v, want an *Error, which says whether to try again", err)
	}
	return e
}
