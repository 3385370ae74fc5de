package lambdahttp_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/lambdahttp"
)

// seen is a request as a handler got it.
type seen struct {
	Method, Path, Query, Host, RemoteAddr, Body, RequestID string
	Header                                                 http.Header
	Cookies                                                []string
}

// observe is a handler that notes its request and answers 204.
func observe(got *seen) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*got = seen{
			Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Host: r.Host, RemoteAddr: r.RemoteAddr,
			Body: string(body), RequestID: lambdahttp.RequestID(r.Context()), Header: r.Header,
		}
		for _, c := range r.Cookies() {
			got.Cookies = append(got.Cookies, c.String())
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// handle sends an event to h. It fails the test if the invocation fails.
func handle(
	t *testing.T, h http.Handler, opts lambdahttp.Options, event events.APIGatewayV2HTTPRequest,
) events.APIGatewayV2HTTPResponse {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	answer, err := lambdahttp.New(h, opts)(t.Context(), event)
	if err != nil {
		t.Fatalf("invocation failed: %v", err)
	}
	return answer
}

func load(t *testing.T, name string) events.APIGatewayV2HTTPRequest {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var event events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(data, &event); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return event
}

// request returns the smallest event for a method and a path.
func request(method, rawPath string) events.APIGatewayV2HTTPRequest {
	event := events.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: rawPath}
	event.RequestContext.Stage = "$default"
	event.RequestContext.DomainName = "api.example.com"
	event.RequestContext.HTTP.Method = method
	event.RequestContext.HTTP.Path = rawPath
	return event
}

func TestRealEvents(t *testing.T) {
	t.Parallel()
	tests := map[string]seen{
		"usage.json": {
			Method: "GET", Path: "/api/usage/clxyz123abc", Query: "tag=a&tag=b%2Cc&note=caf%C3%A9",
			Host: "r3pmxmplak.execute-api.eu-central-1.amazonaws.com", RemoteAddr: "205.255.255.176",
			RequestID: "JKJaXmPLvHcESHA=",
			Cookies:   []string{"session=abc", "theme=dark"},
			Header: http.Header{
				"Accept":            {"application/json", "text/plain"},
				"Authorization":     {"Bearer sfr_pat_1,2"},
				"Content-Length":    {"0"},
				"Cookie":            {"session=abc", "theme=dark"},
				"Host":              {"r3pmxmplak.execute-api.eu-central-1.amazonaws.com"},
				"User-Agent":        {"Mozilla/5.0 (X11; Linux x86_64) (KHTML, like Gecko)"},
				"X-Amzn-Trace-Id":   {"Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e"},
				"X-Forwarded-For":   {"205.255.255.176"},
				"X-Forwarded-Port":  {"443"},
				"X-Forwarded-Proto": {"https"},
				"X-Restaurant-Id":   {"clxyz123abc", "clother"},
			},
		},
		"webhook.json": {
			Method: "POST", Path: "/webhooks/whatsapp", Host: "hooks.sufrah.sa", RemoteAddr: "54.172.60.0",
			Body:      "Body=%D9%85%D8%B1%D8%AD%D8%A8%D8%A7&From=whatsapp%3A%2B966500000001",
			RequestID: "Kh3bXmPLvHcESHA=",
			Header: http.Header{
				"Accept":                     {"*/*"},
				"Content-Length":             {"67"},
				"Content-Type":               {"application/x-www-form-urlencoded; charset=utf-8"},
				"Host":                       {"hooks.sufrah.sa"},
				"I-Twilio-Idempotency-Token": {"a5d5a1f1-4a52-4f0c-9ba7-0d2d4d0e0c11"},
				"User-Agent":                 {"TwilioProxy/1.1"},
				"X-Forwarded-For":            {"54.172.60.0"},
				"X-Forwarded-Port":           {"443"},
				"X-Forwarded-Proto":          {"https"},
				"X-Twilio-Signature":         {"0/KCTR6DLpKmkAf8muzZqo1nDgQ="},
			},
		},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got seen
			answer := handle(t, observe(&got), lambdahttp.Options{}, load(t, name))
			if answer.StatusCode != http.StatusNoContent {
				t.Errorf("status %d, want 204", answer.StatusCode)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the handler saw (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPath(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		basePath, stage, rawPath string
		want                     string
	}{
		"default stage":                 {"", "$default", "/api/usage", "/api/usage"},
		"default stage is no segment":   {"", "$default", "/$default/api", "/$default/api"},
		"named stage":                   {"", "prod", "/prod/api/usage", "/api/usage"},
		"named stage only":              {"", "prod", "/prod", "/"},
		"named stage, root":             {"", "prod", "/prod/", "/"},
		"stage cut once":                {"", "prod", "/prod/prod/api", "/prod/api"},
		"stage is a prefix of a word":   {"", "prod", "/products", "/products"},
		"stage missing":                 {"", "prod", "/api/usage", "/api/usage"},
		"no stage":                      {"", "", "/api/usage", "/api/usage"},
		"base path":                     {"/api", "$default", "/api/usage", "/usage"},
		"base path is a prefix":         {"/api", "$default", "/apiary", "/apiary"},
		"base path only":                {"/api", "$default", "/api", "/"},
		"base path without slash":       {"api", "$default", "/api/usage", "/usage"},
		"base path with slashes":        {"/sufrah/v1/", "$default", "/sufrah/v1/usage", "/usage"},
		"base path that does not occur": {"/v1", "$default", "/api/usage", "/api/usage"},
		"stage and base path":           {"v1", "prod", "/prod/v1/usage", "/usage"},
		"base path of slashes":          {"//", "$default", "/api", "/api"},
		"empty":                         {"", "$default", "", "/"},
		"no leading slash":              {"", "$default", "api", "/api"},
		"double slash":                  {"", "$default", "//api//usage", "//api//usage"},
		"space and umlaut":              {"", "$default", "/caf\u00e9 bar", "/caf\u00e9 bar"},
		"decoded question mark":         {"", "$default", "/a?b", "/a?b"},
		"decoded hash":                  {"", "$default", "/a#b", "/a#b"},
		"decoded percent":               {"", "$default", "/100%", "/100%"},
		"not decoded twice":             {"", "$default", "/a%41", "/a%41"},
		"control character":             {"", "$default", "/a\nb", "/a\nb"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := request("GET", tt.rawPath)
			event.RequestContext.Stage = tt.stage
			var got seen
			handle(t, observe(&got), lambdahttp.Options{BasePath: tt.basePath}, event)
			if got.Path != tt.want {
				t.Errorf("path %q, want %q", got.Path, tt.want)
			}
		})
	}
}

func TestPathFromContext(t *testing.T) {
	t.Parallel()
	event := request("GET", "")
	event.RequestContext.HTTP.Path = "/api/usage"
	var got seen
	handle(t, observe(&got), lambdahttp.Options{}, event)
	if got.Path != "/api/usage" {
		t.Errorf("path %q, want that of the request context", got.Path)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	event := request("GET", "/")
	event.RawQueryString = "a=1#2&b=%zz"
	var got seen
	handle(t, observe(&got), lambdahttp.Options{}, event)
	if want := "a=1%232&b=%zz"; got.Query != want {
		t.Errorf("query %q, want %q", got.Query, want)
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	binary := string([]byte{0, 0xff, 0xfe, '\n', '%'})
	tests := map[string]struct {
		body     string
		isBase64 bool
		want     string
	}{
		"text":         {"a=1&b=%D9\r\n", false, "a=1&b=%D9\r\n"},
		"binary":       {base64.StdEncoding.EncodeToString([]byte(binary)), true, binary},
		"empty":        {"", false, ""},
		"empty base64": {"", true, ""},
		"at the limit": {strings.Repeat("x", 64<<10), false, strings.Repeat("x", 64<<10)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := request("POST", "/")
			event.Body, event.IsBase64Encoded = tt.body, tt.isBase64
			var got seen
			handle(t, observe(&got), lambdahttp.Options{}, event)
			if got.Body != tt.want {
				t.Errorf("body %q, want %q", got.Body, tt.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	badRequest := events.APIGatewayV2HTTPResponse{
		StatusCode: 400, Headers: map[string]string{"Content-Type": "application/json"},
		Body: `{"error":"The request could not be read.","code":"bad_request"}`,
	}
	tooLarge := events.APIGatewayV2HTTPResponse{
		StatusCode: 413, Headers: map[string]string{"Content-Type": "application/json"},
		Body: `{"error":"The request body is too large.","code":"body_too_large"}`,
	}
	post := func(body string, isBase64 bool) events.APIGatewayV2HTTPRequest {
		event := request("POST", "/")
		event.Body, event.IsBase64Encoded = body, isBase64
		return event
	}
	query := func(query string) events.APIGatewayV2HTTPRequest {
		event := request("GET", "/")
		event.RawQueryString = query
		return event
	}
	domain := func(domain string) events.APIGatewayV2HTTPRequest {
		event := request("GET", "/")
		event.RequestContext.DomainName = domain
		return event
	}
	tests := map[string]struct {
		event events.APIGatewayV2HTTPRequest
		want  events.APIGatewayV2HTTPResponse
	}{
		"empty event":                {events.APIGatewayV2HTTPRequest{}, badRequest},
		"bad base64":                 {post("a*b", true), badRequest},
		"base64 without its padding": {post("YQ", true), badRequest},
		"bad method":                 {request("GE T", "/"), badRequest},
		"method with a newline":      {request("GET\n", "/"), badRequest},
		"control character in query": {query("a=\x00"), badRequest},
		"newline in query":           {query("a=1\r\nb: 2"), badRequest},
		"bad escape in the domain":   {domain("a%zz"), badRequest},
		"space in the domain":        {domain("a b"), badRequest},
		"large":                      {post(strings.Repeat("x", 11), false), tooLarge},
		"large after decoding":       {post(base64.StdEncoding.EncodeToString(make([]byte, 11)), true), tooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			opts := lambdahttp.Options{MaxBodyBytes: 10, Logger: slog.New(slog.NewJSONHandler(&log, nil))}
			reached := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
			tt.event.RequestContext.RequestID = "JKJaXmPLvHcESHA="

			got := handle(t, reached, opts, tt.event)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			var line struct{ Level, Msg, RequestID, Reason string }
			if err := json.Unmarshal(log.Bytes(), &line); err != nil {
				t.Fatalf("log is not one line: %v\n%s", err, &log)
			}
			if line.Level != "WARN" || line.RequestID != "JKJaXmPLvHcESHA=" || line.Reason == "" {
				t.Errorf("log line %+v", line)
			}
		})
	}
}

// TestRefusalHidesRequest: a query, which may be private, doesn't appear in the log.
func TestRefusalHidesRequest(t *testing.T) {
	t.Parallel()
	event := request("GET", "/")
	event.RawQueryString = "phone=966500000001&a=\x00"
	var log bytes.Buffer
	handle(t, http.NotFoundHandler(), lambdahttp.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, event)
	if strings.Contains(log.String(), "966500000001") {
		t.Errorf("the log shows the query: %s", &log)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{"text": "boom", "error": io.ErrUnexpectedEOF, "abort": http.ErrAbortHandler} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			opts := lambdahttp.Options{Logger: slog.New(slog.NewJSONHandler(&log, nil))}
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Half", "done")
				fmt.Fprint(w, "half an answer")
				panic(value)
			})

			got := handle(t, h, opts, load(t, "usage.json"))
			want := events.APIGatewayV2HTTPResponse{
				StatusCode: 500, Headers: map[string]string{"Content-Type": "application/json"},
				Body: `{"error":"Something went wrong on our side.","code":"internal_error"}`,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			var line struct{ Level, RequestID, Panic, Stack string }
			if err := json.Unmarshal(log.Bytes(), &line); err != nil {
				t.Fatalf("log is not one line: %v\n%s", err, &log)
			}
			if line.Level != "ERROR" || line.RequestID != "JKJaXmPLvHcESHA=" || line.Panic != fmt.Sprint(value) ||
				!strings.Contains(line.Stack, "TestPanic") {
				t.Errorf("log line %+v", line)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	type answer = events.APIGatewayV2HTTPResponse
	tests := map[string]struct {
		handler http.HandlerFunc
		want    answer
	}{
		"nothing": {
			func(http.ResponseWriter, *http.Request) {},
			answer{StatusCode: 200, Headers: map[string]string{}},
		},
		"empty write": {
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) },
			answer{StatusCode: 200, Headers: map[string]string{}},
		},
		"JSON": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusCreated)
				fmt.Fprint(w, `{"name":`, `"مرحبا"}`)
			},
			answer{
				StatusCode: 201, Headers: map[string]string{"Content-Type": "application/json"},
				Body: `{"name":"مرحبا"}`,
			},
		},
		"guessed content type": {
			func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
			answer{
				StatusCode: 200, Headers: map[string]string{"Content-Type": "text/html; charset=utf-8"}, Body: "<html>",
			},
		},
		"binary": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "image/png")
				_, _ = w.Write([]byte{0x89, 'P', 'N', 'G'})
			},
			answer{
				StatusCode: 200, Headers: map[string]string{"Content-Type": "image/png"},
				Body: "iVBORw==", IsBase64Encoded: true,
			},
		},
		"repeated headers and cookies": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Add("Vary", "Origin")
				w.Header().Add("Vary", "Accept")
				http.SetCookie(w, &http.Cookie{Name: "a", Value: "1", Path: "/"})
				http.SetCookie(w, &http.Cookie{Name: "b", Value: "2", Secure: true})
				w.WriteHeader(http.StatusNoContent)
			},
			answer{
				StatusCode: 204, Headers: map[string]string{"Vary": "Origin,Accept"},
				Cookies: []string{"a=1; Path=/", "b=2; Secure"},
			},
		},
		"first status and headers count": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				w.WriteHeader(http.StatusProcessing)
				w.WriteHeader(http.StatusTeapot)
				w.WriteHeader(http.StatusOK)
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("X-Late", "1")
				fmt.Fprint(w, "short and stout")
			},
			answer{
				StatusCode: 418, Headers: map[string]string{"Content-Type": "text/plain"}, Body: "short and stout",
			},
		},
		"invalid status": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(-1) },
			answer{
				StatusCode: 500, Headers: map[string]string{"Content-Type": "application/json"},
				Body: `{"error":"Something went wrong on our side.","code":"internal_error"}`,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := handle(t, tt.handler, lambdahttp.Options{}, request("GET", "/"))
			if len(got.Cookies) == 0 {
				got.Cookies = nil
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}

			head := handle(t, tt.handler, lambdahttp.Options{}, request("HEAD", "/"))
			got.Body, got.IsBase64Encoded = "", false
			if len(head.Cookies) == 0 {
				head.Cookies = nil
			}
			if diff := cmp.Diff(got, head); diff != "" {
				t.Errorf("answer to HEAD (-GET without body +HEAD):\n%s", diff)
			}
		})
	}
}

func TestHeadRefusedHasNoBody(t *testing.T) {
	t.Parallel()
	event := request("HEAD", "/")
	event.RawQueryString = "\x00"
	got := handle(t, http.NotFoundHandler(), lambdahttp.Options{}, event)
	if got.StatusCode != http.StatusBadRequest || got.Body != "" {
		t.Errorf("answer %d %q, want 400 without a body", got.StatusCode, got.Body)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	background := context.Background()
	invoked := lambdacontext.NewContext(background, &lambdacontext.LambdaContext{AwsRequestID: "79104EXAMPLEB723"})
	if got := lambdahttp.RequestID(background); got != "" {
		t.Errorf("outside an invocation: %q, want none", got)
	}
	if got := lambdahttp.RequestID(invoked); got != "79104EXAMPLEB723" {
		t.Errorf("in another kind of invocation: %q, want Lambda's id", got)
	}

	for gateway, want := range map[string]string{"JKJaXmPLvHcESHA=": "JKJaXmPLvHcESHA=", "": "79104EXAMPLEB723"} {
		var got seen
		event := request("GET", "/")
		event.RequestContext.RequestID = gateway
		handler := lambdahttp.New(observe(&got), lambdahttp.Options{Logger: slog.New(slog.DiscardHandler)})
		if _, err := handler(invoked, event); err != nil {
			t.Fatalf("invoking the function: %v", err)
		}
		if got.RequestID != want {
			t.Errorf("with API Gateway's id %q: %q, want %q", gateway, got.RequestID, want)
		}
	}
}

func TestHandlerEndsBeforeTheInvocation(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()
	var got time.Time
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = r.Context().Deadline() })
	handler := lambdahttp.New(h, lambdahttp.Options{Logger: slog.New(slog.DiscardHandler)})
	if _, err := handler(ctx, request("GET", "/")); err != nil {
		t.Fatalf("invoking the function: %v", err)
	}
	if margin := end.Sub(got); margin <= 0 || margin > time.Second {
		t.Errorf("deadline is %v before the invocation's end", margin)
	}
}

// failOnError is a log handler that fails the test on an error, which would mean that the adapter failed or panicked.
type failOnError struct {
	slog.Handler
	t *testing.T
}

func (f failOnError) Enabled(context.Context, slog.Level) bool { return true }

func (f failOnError) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		r.Attrs(func(a slog.Attr) bool { f.t.Logf("%s: %s", a.Key, a.Value); return true })
		f.t.Errorf("error logged: %s", r.Message)
	}
	return nil
}

func FuzzHandle(f *testing.F) {
	f.Add("GET", "api.example.com", "$default", "/api/usage", "limit=1", "", false, "accept", "a,b", "a=b")
	f.Add("POST", "hooks.sufrah.sa", "prod", "/prod/webhooks", "", "YT0x", true, "content-type", "text/plain", "")
	f.Add("HEAD", "[::1]:8080", "", "/%zz?#\n", "%zz#;", "\xff", false, "host", "\n", ";=")
	f.Add("", "", "", "", "", "", true, "", "", "")
	f.Fuzz(func(t *testing.T, method, domain, stage, rawPath, query, body string, isBase64 bool,
		headerName, headerValue, cookie string,
	) {
		event := events.APIGatewayV2HTTPRequest{
			RawPath: rawPath, RawQueryString: query, Cookies: []string{cookie},
			Headers: map[string]string{headerName: headerValue}, Body: body, IsBase64Encoded: isBase64,
			QueryStringParameters: map[string]string{headerName: cookie},
		}
		event.RequestContext.DomainName = domain
		event.RequestContext.Stage = stage
		event.RequestContext.HTTP.Method = method

		called := false
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			called = true
			if received, err := io.ReadAll(r.Body); err != nil || !isBase64 && string(received) != body {
				t.Errorf("body %q (%v), want %q", received, err, body)
			}
			fmt.Fprint(w, r.URL, r.Header, lambdahttp.RequestID(r.Context()))
		})
		opts := lambdahttp.Options{BasePath: "/v1", MaxBodyBytes: 1 << 10, Logger: slog.New(failOnError{t: t})}
		got, err := lambdahttp.New(h, opts)(t.Context(), event)
		switch {
		case err != nil:
			t.Errorf("invocation failed: %v", err)
		case called && got.StatusCode != http.StatusOK:
			t.Errorf("status %d, want the handler's 200", got.StatusCode)
		case !called && got.StatusCode != http.StatusBadRequest && got.StatusCode != http.StatusRequestEntityTooLarge:
			t.Errorf("status %d without the handler, want 400 or 413", got.StatusCode)
		}
	})
}

func ExampleNew() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/usage/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "usage of %s", r.PathValue("id"))
	})
	handler := lambdahttp.New(mux, lambdahttp.Options{Logger: slog.Default()})

	// In a function: lambda.Start(handler)
	event := events.APIGatewayV2HTTPRequest{RawPath: "/prod/api/usage/clxyz123abc"}
	event.RequestContext.Stage = "prod"
	event.RequestContext.HTTP.Method = http.MethodGet
	answer, err := handler(context.Background(), event)
	fmt.Println(answer.StatusCode, answer.Body, err)
	// Output: 200 usage of clxyz123abc <nil>
}

// TestMissed: a request misses the service level by its status or by its duration.
func TestMissed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		took   time.Duration
		want   int
	}{
		"in time": {200, 0, 0}, "at the last moment": {404, time.Second, 0}, "late": {200, time.Second + 1, 1}, "failed": {503, 0, 1}, "both": {500, time.Minute, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var missed []string
				h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					time.Sleep(test.took)
					w.WriteHeader(test.status)
				})
				handle(t, h, lambdahttp.Options{
					BasePath: "v1", Missed: func(path string) { missed = append(missed, path) }, Within: time.Second,
				}, request("GET", "/v1/api/usage"))
				if want := slices.Repeat([]string{"/api/usage"}, test.want); !slices.Equal(missed, want) {
					t.Errorf("a request answered with %d after %v counts as missed for the paths %q, want %q", test.status, test.took, missed, want)
				}
			})
		})
	}
}
