package apigateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sufrah/usage-bootstrap/internal/local/apigateway"
)

type (
	event  = events.APIGatewayV2HTTPRequest
	answer = events.APIGatewayV2HTTPResponse
)

// setup returns a gateway with the given stage and a stopped clock.
func setup(t *testing.T, stage string) *apigateway.Gateway {
	t.Helper()
	return apigateway.New(apigateway.Options{
		Stage:  stage,
		Now:    func() time.Time { return time.Date(2025, 10, 20, 15, 30, 0, 0, time.UTC) },
		Logger: slog.New(slog.DiscardHandler),
	})
}

func handle(t *testing.T, gw *apigateway.Gateway, route string, invoke apigateway.Invoke) {
	t.Helper()
	if err := gw.Handle(route, invoke); err != nil {
		t.Fatalf("adding the route to the gateway: %v", err)
	}
}

// capture returns a function that keeps the event and answers 200.
func capture(got *event) apigateway.Invoke {
	return func(_ context.Context, e event) (answer, error) {
		*got = e
		return answer{StatusCode: http.StatusOK}, nil
	}
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEvent(t *testing.T) {
	t.Parallel()
	gw := setup(t, "")
	var got event
	handle(t, gw, "ANY /api/{proxy+}", capture(&got))

	r := httptest.NewRequest("GET", "/api/usage/caf%C3%A9%20bar%2F1?tag=a&tag=b%2Cc&note=%C3%A9&empty", nil)
	r.Host = "api.localhost:8080"
	r.RemoteAddr = "192.0.2.7:51000"
	r.Header.Add("X-Restaurant-Id", "one")
	r.Header.Add("X-Restaurant-Id", "two, three")
	r.Header.Set("User-Agent", "curl/8.5")
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	r.Header.Set("X-Amzn-Trace-Id", "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e")
	r.Header.Add("Cookie", "a=1; b=2")
	r.Header.Add("Cookie", "c=3;")
	r.Header.Set("Connection", "keep-alive")
	if w := serve(gw, r); w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}

	want := event{
		Version: "2.0", RouteKey: "ANY /api/{proxy+}",
		RawPath: "/api/usage/café bar/1", RawQueryString: "tag=a&tag=b%2Cc&note=%C3%A9&empty",
		Cookies: []string{"a=1", "b=2", "c=3"},
		Headers: map[string]string{
			"content-length":    "0",
			"host":              "api.localhost:8080",
			"user-agent":        "curl/8.5",
			"x-amzn-trace-id":   "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e",
			"x-forwarded-for":   "203.0.113.9,192.0.2.7",
			"x-forwarded-port":  "8080",
			"x-forwarded-proto": "http",
			"x-restaurant-id":   "one,two, three",
		},
		QueryStringParameters: map[string]string{"tag": "a,b,c", "note": "é", "empty": ""},
		PathParameters:        map[string]string{"proxy": "usage/café bar/1"},
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: "ANY /api/{proxy+}", AccountID: "123456789012", APIID: "local", Stage: "$default",
			DomainName: "api.localhost:8080", DomainPrefix: "api",
			Time: "20/Oct/2025:15:30:00 +0000", TimeEpoch: 1760974200000,
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: "GET", Path: "/api/usage/café bar/1", Protocol: "HTTP/1.1", SourceIP: "192.0.2.7",
				UserAgent: "curl/8.5",
			},
		},
	}
	ignoreID := cmpopts.IgnoreFields(events.APIGatewayV2HTTPRequestContext{}, "RequestID")
	if diff := cmp.Diff(want, got, ignoreID); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestTraceIDAdded(t *testing.T) {
	t.Parallel()
	gw := setup(t, "")
	var got event
	handle(t, gw, "$default", capture(&got))
	serve(gw, httptest.NewRequest("GET", "/", nil))
	id := got.Headers["x-amzn-trace-id"]
	if !strings.HasPrefix(id, "Root=1-68f65578-") || len(id) != len("Root=1-68f65578-")+24 {
		t.Errorf("trace id %q, want the gateway's time and 24 hexadecimal digits", id)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	gw := setup(t, "")
	var got event
	handle(t, gw, "$default", capture(&got))
	seen := map[string]bool{}
	for range 10 {
		w := serve(gw, httptest.NewRequest("GET", "/", nil))
		id := got.RequestContext.RequestID
		if id == "" || w.Header().Get("Apigw-Requestid") != id {
			t.Errorf("request id %q in the event, %q in the answer", id, w.Header().Get("Apigw-Requestid"))
		}
		seen[id] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d different ids for 10 requests", len(seen))
	}
}

func TestStage(t *testing.T) {
	t.Parallel()
	gw := setup(t, "prod")
	var got event
	handle(t, gw, "GET /api/{id}", capture(&got))
	serve(gw, httptest.NewRequest("GET", "/api/1", nil))
	if got.RawPath != "/prod/api/1" || got.RequestContext.HTTP.Path != "/prod/api/1" {
		t.Errorf("paths %q and %q, want the stage in both", got.RawPath, got.RequestContext.HTTP.Path)
	}
	if got.RequestContext.Stage != "prod" || got.PathParameters["id"] != "1" {
		t.Errorf("stage %q, parameters %v", got.RequestContext.Stage, got.PathParameters)
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		contentType, body string
		want              string
		wantBase64        bool
	}{
		"JSON":            {"application/json", `{"a":"é"}`, `{"a":"é"}`, false},
		"JSON in UTF-8":   {"Application/JSON; charset=utf-8", `{}`, `{}`, false},
		"XML":             {"application/xml", `<a/>`, `<a/>`, false},
		"script":          {"application/javascript", `a()`, `a()`, false},
		"plain text":      {"text/plain", "a", "a", false},
		"text, malformed": {"text/plain", "\xff", "/w==", true},
		"form":            {"application/x-www-form-urlencoded", "a=1", "YT0x", true},
		"multipart":       {"multipart/form-data; boundary=x", "--x--", "LS14LS0=", true},
		"bytes":           {"application/octet-stream", "a", "YQ==", true},
		"problem":         {"application/problem+json", "{}", "e30=", true},
		"no type":         {"", "a", "YQ==", true},
		"nothing":         {"application/octet-stream", "", "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gw := setup(t, "")
			var got event
			handle(t, gw, "POST /", capture(&got))
			r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.contentType)
			serve(gw, r)
			if got.Body != tt.want || got.IsBase64Encoded != tt.wantBase64 {
				t.Errorf("body %q, base64 %t; want %q, %t", got.Body, got.IsBase64Encoded, tt.want, tt.wantBase64)
			}
		})
	}
}

func TestRouting(t *testing.T) {
	t.Parallel()
	// In a misleading order, on purpose.
	routes := []string{
		"ANY /api/{proxy+}", "GET /api/{proxy+}", "GET /api/usage/{id}", "ANY /api/usage/{id}", "GET /api/usage",
		"ANY /api/usage/special", "GET /api/{area}/{id}/history", "POST /webhooks/whatsapp", "GET /",
	}
	tests := []struct {
		method, path string
		want         string // "" means 404
		parameters   map[string]string
	}{
		{"GET", "/", "GET /", nil},
		{"POST", "/", "", nil},
		{"GET", "/api/usage", "GET /api/usage", nil},
		{"HEAD", "/api/usage", "ANY /api/{proxy+}", map[string]string{"proxy": "usage"}},
		{"GET", "/api/usage/1", "GET /api/usage/{id}", map[string]string{"id": "1"}},
		{"PUT", "/api/usage/1", "ANY /api/usage/{id}", map[string]string{"id": "1"}},
		{"GET", "/api/usage/special", "ANY /api/usage/special", nil},
		{"GET", "/api/usage/", "GET /api/{proxy+}", map[string]string{"proxy": "usage/"}},
		{"GET", "/api/x/1/history", "GET /api/{area}/{id}/history", map[string]string{"area": "x", "id": "1"}},
		{"GET", "/api/x/1/2", "GET /api/{proxy+}", map[string]string{"proxy": "x/1/2"}},
		{"PATCH", "/api/x", "ANY /api/{proxy+}", map[string]string{"proxy": "x"}},
		{"GET", "/api/", "", nil},
		{"GET", "/api", "", nil},
		{"GET", "/apiary", "", nil},
		{"GET", "/api%2Fusage", "GET /api/usage", nil},
		{"POST", "/webhooks/whatsapp", "POST /webhooks/whatsapp", nil},
		{"POST", "/webhooks/whatsapp/more", "", nil},
		{"GET", "/webhooks/whatsapp", "", nil},
		{"GET", "/nowhere", "", nil},
	}
	for _, withDefault := range []bool{false, true} {
		gw := setup(t, "")
		var got event
		if withDefault {
			handle(t, gw, "$default", capture(&got))
		}
		for _, route := range routes {
			handle(t, gw, route, capture(&got))
		}
		for _, tt := range tests {
			got = event{}
			w := serve(gw, httptest.NewRequest(tt.method, tt.path, nil))
			want, wantCode := tt.want, http.StatusOK
			switch {
			case want == "" && withDefault:
				want = "$default"
			case want == "":
				wantCode = http.StatusNotFound
			}
			if w.Code != wantCode || got.RouteKey != want || got.RequestContext.RouteKey != want {
				t.Errorf("%s %s: %d by %q, want %d by %q", tt.method, tt.path, w.Code, got.RouteKey, wantCode, want)
			}
			if diff := cmp.Diff(tt.parameters, got.PathParameters); diff != "" {
				t.Errorf("%s %s: parameters (-want +got):\n%s", tt.method, tt.path, diff)
			}
		}
	}
}

func TestHandleRefuses(t *testing.T) {
	t.Parallel()
	gw := setup(t, "")
	handle(t, gw, "GET /api", capture(new(event)))
	handle(t, gw, "$default", capture(new(event)))
	for _, route := range []string{
		"", "/api", "GET", "GET api", " /api", "GET /{proxy+}/more", "GET /api", "$default",
	} {
		if err := gw.Handle(route, capture(new(event))); err == nil {
			t.Errorf("Handle(%q) gave no error", route)
		}
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer     answer
		err        error
		wantStatus int
		wantHeader http.Header
		wantBody   string
	}{
		"JSON": {
			answer: answer{
				StatusCode: 201, Headers: map[string]string{"content-type": "application/json", "Vary": "A,B"},
				Body: `{"a":1}`, Cookies: []string{"a=1; Path=/", "b=2"},
			},
			wantStatus: 201,
			wantHeader: http.Header{
				"Content-Type": {"application/json"}, "Vary": {"A,B"}, "Set-Cookie": {"a=1; Path=/", "b=2"},
			},
			wantBody: `{"a":1}`,
		},
		"base64": {
			answer: answer{
				StatusCode: 200, Headers: map[string]string{"Content-Type": "image/png"},
				Body: "iVBORw==", IsBase64Encoded: true,
			},
			wantStatus: 200, wantHeader: http.Header{"Content-Type": {"image/png"}}, wantBody: "\x89PNG",
		},
		"no content type": {
			answer:     answer{StatusCode: 200, Body: "<html>"},
			wantStatus: 200, wantHeader: http.Header{"Content-Type": {"text/plain;charset=UTF-8"}}, wantBody: "<html>",
		},
		"nothing": {
			answer:     answer{StatusCode: 204},
			wantStatus: 204, wantHeader: http.Header{},
		},
		"length is the server's": {
			answer: answer{
				StatusCode: 200, Body: "ab",
				Headers: map[string]string{"content-length": "99", "connection": "close", "Content-Type": "text/plain"},
			},
			wantStatus: 200, wantHeader: http.Header{"Content-Type": {"text/plain"}}, wantBody: "ab",
		},
		"function failed": {
			err:        errors.New("database password is hunter2"),
			wantStatus: 500, wantHeader: http.Header{"Content-Type": {"application/json"}},
			wantBody: `{"message":"Internal Server Error"}`,
		},
		"function's own time-out": {
			err:        context.DeadlineExceeded,
			wantStatus: 500, wantHeader: http.Header{"Content-Type": {"application/json"}},
			wantBody: `{"message":"Internal Server Error"}`,
		},
		"no status": {
			answer:     answer{Body: "text"},
			wantStatus: 500, wantHeader: http.Header{"Content-Type": {"application/json"}},
			wantBody: `{"message":"Internal Server Error"}`,
		},
		"bad base64": {
			answer:     answer{StatusCode: 200, Body: "*", IsBase64Encoded: true, Headers: map[string]string{"X-A": "1"}},
			wantStatus: 500, wantHeader: http.Header{"Content-Type": {"application/json"}},
			wantBody: `{"message":"Internal Server Error"}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			gw := apigateway.New(apigateway.Options{Now: time.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			handle(t, gw, "GET /", func(context.Context, event) (answer, error) { return tt.answer, tt.err })

			w := serve(gw, httptest.NewRequest("GET", "/", nil))
			w.Header().Del("Apigw-Requestid")
			if w.Code != tt.wantStatus || w.Body.String() != tt.wantBody {
				t.Errorf("answer %d %q, want %d %q", w.Code, w.Body, tt.wantStatus, tt.wantBody)
			}
			if diff := cmp.Diff(tt.wantHeader, w.Header()); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if logged := log.Len() > 0; logged != (tt.wantStatus == 500) {
				t.Errorf("log %q", &log)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	gw := setup(t, "")
	handle(t, gw, "$default", func(context.Context, event) (answer, error) { panic("boom") })
	if w := serve(gw, httptest.NewRequest("GET", "/", nil)); w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", w.Code)
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	gw := setup(t, "")
	var got event
	handle(t, gw, "POST /", capture(&got))
	body := make([]byte, apigateway.MaxBodyBytes+1)

	w := serve(gw, httptest.NewRequest("POST", "/", bytes.NewReader(body)))
	if want := `{"message":"Request Entity Too Large"}`; w.Code != 413 || w.Body.String() != want {
		t.Errorf("one byte too many: %d %q, want 413 %q", w.Code, w.Body, want)
	}
	if w := serve(gw, httptest.NewRequest("POST", "/", bytes.NewReader(body[1:]))); w.Code != http.StatusOK {
		t.Errorf("at the limit: status %d, want 200", w.Code)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	functions := map[string]apigateway.Invoke{
		"heeds its context": func(ctx context.Context, _ event) (answer, error) {
			<-ctx.Done()
			return answer{}, ctx.Err()
		},
		"goes on": func(context.Context, event) (answer, error) {
			<-release
			return answer{StatusCode: http.StatusOK}, nil
		},
	}
	t.Cleanup(func() { close(release) })
	for name, invoke := range functions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gw := apigateway.New(apigateway.Options{
				Timeout: 10 * time.Millisecond, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			})
			handle(t, gw, "GET /", invoke)
			w := serve(gw, httptest.NewRequest("GET", "/", nil))
			if want := `{"message":"Service Unavailable"}`; w.Code != 503 || w.Body.String() != want {
				t.Errorf("answer %d %q, want 503 %q", w.Code, w.Body, want)
			}
		})
	}
}

// TestClientGone: as on Lambda, a function goes on after its client has left.
func TestClientGone(t *testing.T) {
	t.Parallel()
	gw := setup(t, "")
	handle(t, gw, "GET /", func(ctx context.Context, _ event) (answer, error) {
		return answer{StatusCode: http.StatusOK}, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := serve(gw, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	if w.Code != http.StatusOK {
		t.Errorf("status %d, want the function's 200", w.Code)
	}
}

func TestBrokenBody(t *testing.T) {
	t.Parallel()
	gw := setup(t, "")
	handle(t, gw, "POST /", func(context.Context, event) (answer, error) {
		t.Error("the function was invoked")
		return answer{}, nil
	})
	broken := io.MultiReader(strings.NewReader("half"), failingReader{})
	if w := serve(gw, httptest.NewRequest("POST", "/", broken)); w.Code != http.StatusBadRequest {
		t.Errorf("status %d, want 400", w.Code)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
