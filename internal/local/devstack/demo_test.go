package devstack_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
)

// demoBody is the data that a stack gives its page.
type demoBody struct {
	AdminKey, OwnerToken, RestaurantID, RestaurantName, RestaurantNumber, WebhookURL, TwilioAuthToken string

	Templates []templateBody
}

type templateBody struct {
	SID, Body string
	Buttons   []struct{ Title, Payload string }
}

// TestPageGetsWorkingDemoData uses the stack's data as the page does: it asks for usage, writes as a customer, shows the
// welcome, and taps its buttons.
func TestPageGetsWorkingDemoData(t *testing.T) {
	t.Parallel()
	server, err := start(t, 0)
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	t.Cleanup(func() { _ = server.Close() })
	stack := server.Stack
	demo := read[demoBody](t, get(t, stack, "/sandbox/demo"), 200)

	asOwner := []string{"Authorization: Bearer " + demo.OwnerToken, "X-Restaurant-Id: " + demo.RestaurantID}
	if got := read[detail](t, get(t, stack, "/api/usage", asOwner...), 200); got.RestaurantName != demo.RestaurantName {
		t.Errorf("the owner's restaurant is %q, not %q", got.RestaurantName, demo.RestaurantName)
	}
	if a := get(t, stack, "/api/usage/"+demo.RestaurantID, "X-API-Key: "+demo.AdminKey); a.status != 200 {
		t.Errorf("the demo's administrator key is answered with %d %s, want 200", a.status, a.body)
	}

	const customer = "+966500000042"
	write := func(id, body, button string) {
		t.Helper()
		form := url.Values{
			"From": {"whatsapp:" + customer}, "To": {"whatsapp:" + demo.RestaurantNumber}, "MessageSid": {id},
			"Body": {body}, "ProfileName": {"Noura"},
		}
		if button != "" {
			form.Set("ButtonPayload", button)
		}
		a := do(t, stack, http.MethodPost, strings.TrimPrefix(demo.WebhookURL, stack.BaseURL), form.Encode(),
			"Content-Type: application/x-www-form-urlencoded",
			"X-Twilio-Signature: "+twilio.Signature(demo.TwilioAuthToken, demo.WebhookURL, form))
		if a.status != 200 {
			t.Fatalf("the page's message %s is answered with %d %s, want 200", id, a.status, a.body)
		}
	}
	sent := func() []sandbox.SentMessage {
		t.Helper()
		return read[[]sandbox.SentMessage](t, get(t, stack, devstack.MessagesPath+"?to="+url.QueryEscape(customer)), 200)
	}

	write("SM1", "hello", "")
	messages := sent()
	if len(messages) != 1 {
		t.Fatalf("a new customer is sent %d messages, want the welcome", len(messages))
	}
	shown := slices.IndexFunc(demo.Templates, func(template templateBody) bool {
		return template.SID == messages[0].ContentSID
	})
	if shown < 0 {
		t.Fatalf("the welcome is template %s, of which the page isn't told", messages[0].ContentSID)
	}
	welcome := demo.Templates[shown]
	for number, value := range messages[0].ContentVariables {
		if !strings.Contains(welcome.Body, "{{"+number+"}}") {
			t.Errorf("the welcome doesn't show variable %s, %q", number, value)
		}
	}
	for i, button := range welcome.Buttons {
		write("SMbutton"+button.Payload, button.Title, button.Payload)
		if got := len(sent()); got != 2+i {
			t.Errorf("after button %q there are %d messages, want %d", button.Payload, got, 2+i)
		}
	}
}

// TestPageIsServedAtTheRoot: the page is at the address that a browser asks for first. All other paths still go to API
// Gateway.
func TestPageIsServedAtTheRoot(t *testing.T) {
	t.Parallel()
	a := get(t, shared(t), "/")
	if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("/ is answered with %d %s, want the page", a.status, a.header.Get("Content-Type"))
	}
	if a := get(t, shared(t), "/page"); a.status != 404 || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("/page is answered with %d %s, want the API's 404 in JSON", a.status, a.header.Get("Content-Type"))
	}
}
