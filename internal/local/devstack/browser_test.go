package devstack_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/local/demo"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
)

// serveChanged serves a stack with the test's own options.
func serveChanged(t *testing.T, at time.Time, change func(*devstack.Options)) *devstack.Stack {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	options := devstack.Options{
		Definition: mustLoad(t), BaseURL: "http://" + server.Listener.Addr().String(), WebhookURL: devstack.EventsWebhookURL,
		Clock: devstack.NewClock(func() time.Time { return at }), Log: io.Discard,
	}
	change(&options)
	stack, err := devstack.New(t.Context(), options)
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	server.Config.Handler = stack
	server.Start()
	t.Cleanup(server.Close)
	return stack
}

// TestPagesOfOtherOrigins: a local stack answers browsers as API Gateway does with template.yaml's AllowedOrigins. Without
// any, it allows pages on this machine.
func TestPagesOfOtherOrigins(t *testing.T) {
	t.Parallel()
	const dashboard = "https://dashboard.example.com"
	for allowed, origins := range map[string]map[string]bool{
		"":        {"http://localhost:3000": true, dashboard: false},
		dashboard: {"http://localhost:3000": false, dashboard: true},
	} {
		stack := serveChanged(t, noon, func(o *devstack.Options) { o.AllowedOrigins = allowed })
		for origin, want := range origins {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodOptions, stack.BaseURL+"/api/usage", nil)
			r.Header.Set("Origin", origin)
			r.Header.Set("Access-Control-Request-Method", "GET")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatalf("sending the request: %v", err)
			}
			if err := response.Body.Close(); err != nil {
				t.Fatalf("closing the answer: %v", err)
			}
			if got := response.Header.Get("Access-Control-Allow-Origin") == origin; got != want {
				t.Errorf("with the allowed origins %q, a page of %s may call the API: %v, want %v", allowed, origin, got, want)
			}
			if headers := response.Header.Get("Access-Control-Allow-Headers"); want && headers != "authorization,content-type,idempotency-key,x-api-key,x-restaurant-id" {
				t.Errorf("pages may send the headers %q, which lack one of the API's", headers)
			}
		}
	}
}

// TestStackCountsInItsTimeZone: in Riyadh a month begins three hours earlier than in UTC. During these hours a stack of that
// zone already counts the new month, and so does its demo data.
func TestStackCountsInItsTimeZone(t *testing.T) {
	t.Parallel()
	newYear := time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC) // 01:00 on 1 January in Riyadh
	stack := serveChanged(t, newYear, func(o *devstack.Options) { o.TimeZone = "Asia/Riyadh" })
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, stack.BaseURL+"/api/usage/"+demo.ExampleID, nil)
	r.Header.Set("X-API-Key", demo.AdminKey)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("sending the request: %v", err)
	}
	defer response.Body.Close()
	var got struct {
		ConversationsThisMonth int
		History                []struct{ Year, Month, ConversationCount int }
	}
	if err := json.NewDecoder(response.Body).Decode(&got); err != nil {
		t.Fatalf("decoding the answer: %v", err)
	}
	if got.ConversationsThisMonth != 45 || len(got.History) != 2 || got.History[0].Year != 2027 || got.History[0].Month != 1 {
		t.Errorf("a stack in another zone shows %+v, want 45 conversations in January 2027", got)
	}
}
