package apigateway_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/apigateway"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	const (
		dashboard = "https://dashboard.example.com"
		preflight = "OPTIONS"
	)
	allowed := map[string]string{
		"Access-Control-Allow-Origin": dashboard, "Access-Control-Allow-Methods": "GET,POST",
		"Access-Control-Allow-Headers": "x-api-key,authorization", "Access-Control-Max-Age": "7200",
	}
	read := func(origin string) map[string]string {
		return map[string]string{"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "Apigw-Requestid,Retry-After"}
	}
	for name, test := range map[string]struct {
		method, path, origin string
		requestMethod        string
		localhost            bool
		status               int
		want                 map[string]string
	}{
		"preflight":                       {preflight, "/api", dashboard, "POST", false, 204, allowed},
		"preflight of no route":           {preflight, "/elsewhere", dashboard, "GET", false, 204, allowed},
		"preflight from elsewhere":        {preflight, "/api", "https://evil.example", "GET", false, 204, nil},
		"preflight without a method":      {preflight, "/api", dashboard, "", false, 200, read(dashboard)},
		"request":                         {"GET", "/api", dashboard, "", false, 200, read(dashboard)},
		"request from elsewhere":          {"GET", "/api", "https://evil.example", "", false, 200, nil},
		"request without an origin":       {"GET", "/api", "", "", false, 200, nil},
		"the gateway's own error":         {"GET", "/elsewhere", dashboard, "", false, 404, read(dashboard)},
		"localhost, not let in":           {"GET", "/api", "http://localhost:3000", "", false, 200, nil},
		"localhost":                       {"GET", "/api", "http://localhost:3000", "", true, 200, read("http://localhost:3000")},
		"a name below localhost":          {"GET", "/api", "https://app.localhost", "", true, 200, read("https://app.localhost")},
		"this machine's address":          {"GET", "/api", "http://127.0.0.1:5173", "", true, 200, read("http://127.0.0.1:5173")},
		"this machine's IPv6 address":     {"GET", "/api", "http://[::1]:5173", "", true, 200, read("http://[::1]:5173")},
		"a name that begins as localhost": {"GET", "/api", "http://localhost.evil.example", "", true, 200, nil},
		"a page without an origin":        {"GET", "/api", "null", "", true, 200, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gw := apigateway.New(apigateway.Options{
				Now: time.Now, Logger: slog.New(slog.DiscardHandler),
				CORS: &apigateway.CORS{
					AllowOrigins: []string{"https://other.example", dashboard}, AllowMethods: []string{"GET", "POST"},
					AllowHeaders: []string{"X-API-Key", "Authorization"}, ExposeHeaders: []string{"Apigw-Requestid", "Retry-After"},
					MaxAge: 7200, AllowLocalhost: test.localhost,
				},
			})
			handle(t, gw, "ANY /api", func(context.Context, event) (answer, error) {
				return answer{StatusCode: http.StatusOK, Headers: map[string]string{"access-control-allow-origin": "https://the-functions-own.example"}}, nil
			})
			r := httptest.NewRequest(test.method, test.path, nil)
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			if test.requestMethod != "" {
				r.Header.Set("Access-Control-Request-Method", test.requestMethod)
			}
			w := serve(gw, r)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			got := map[string]string{}
			for _, header := range []string{"Allow-Origin", "Allow-Methods", "Allow-Headers", "Max-Age", "Expose-Headers"} {
				if value := w.Header().Get("Access-Control-" + header); value != "" {
					got["Access-Control-"+header] = value
				}
			}
			if test.want == nil {
				test.want = map[string]string{}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNoCORS: without CORS, a function gets preflights and may answer them itself.
func TestNoCORS(t *testing.T) {
	t.Parallel()
	gw := setup(t, "")
	handle(t, gw, "ANY /api", func(context.Context, event) (answer, error) {
		return answer{StatusCode: http.StatusOK, Headers: map[string]string{"access-control-allow-origin": "*"}}, nil
	})
	r := httptest.NewRequest("OPTIONS", "/api", nil)
	r.Header.Set("Origin", "https://dashboard.example.com")
	r.Header.Set("Access-Control-Request-Method", "GET")
	if w := serve(gw, r); w.Code != http.StatusOK || w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("status %d, headers %v", w.Code, w.Header())
	}
}
