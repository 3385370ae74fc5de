package usagehttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/lambdahttp"
	"github.com/sufrah/usage-bootstrap/internal/local/apigateway"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/test/openapitest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/usagehttp"
)

// description is the document that fixture.do checks every response against.
var description = sync.OnceValues(func() (*openapitest.Description, error) { return openapitest.Load("../../docs/openapi.yaml") })

func loadDescription(t testing.TB) *openapitest.Description {
	t.Helper()
	d, err := description()
	if err != nil {
		t.Fatalf("reading docs/openapi.yaml: %v", err)
	}
	return d
}

// TestOpenAPIExamplesAreRealAnswers sends the request of each example in the description as a client would, through API
// Gateway and the Lambda adapter, and compares the whole answer.
func TestOpenAPIExamplesAreRealAnswers(t *testing.T) {
	t.Parallel()
	examples, err := loadDescription(t).Examples()
	if err != nil {
		t.Fatalf("reading docs/openapi.yaml: %v", err)
	}
	var codes []string
	for _, example := range examples {
		if shown, ok := example.Value.(map[string]any)["code"].(string); ok {
			codes = append(codes, shown)
		}
		t.Run(example.Name, func(t *testing.T) {
			t.Parallel()
			if example.Request == nil {
				if example.Status != http.StatusTooManyRequests {
					t.Errorf("the example %s of docs/openapi.yaml has no x-request, so nothing proves it", example.Name)
				}
				return
			}
			got := sendExample(t, *example.Request)
			if got.Code != example.Status {
				t.Errorf("the example %s is answered with %d, documented is %d", example.Name, got.Code, example.Status)
			}
			var body any
			if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
				t.Fatalf("the example %s is answered with %q, which is no JSON: %v", example.Name, got.Body, err)
			}
			if diff := cmp.Diff(example.Value, body); diff != "" {
				t.Errorf("the example %s is answered otherwise than docs/openapi.yaml shows (-described +got):\n%s", example.Name, diff)
			}
		})
	}
	slices.Sort(codes)
	if diff := cmp.Diff(loadDescription(t).Codes(), slices.Compact(codes)); diff != "" {
		t.Errorf("error codes that docs/openapi.yaml lists and its examples show (-listed +shown):\n%s", diff)
	}
}

func sendExample(t *testing.T, request openapitest.Request) *httptest.ResponseRecorder {
	t.Helper()
	admin, f := setupAdmin(t)
	switch request.Given {
	case "":
	case "activity":
		f.write(t, "clxyz123abc")
		f.send(t, "clxyz123abc")
		admin.renewExample(t)
	case "renewed":
		admin.renewExample(t)
	case "nearing":
		count := usage.MonthCount{Conversations: 28_500}
		if err := f.store.PutUsage(t.Context(), "clxyz123abc", usage.Activity{}, map[usage.Month]usage.MonthCount{{Year: 2025, Month: time.October}: count}); err != nil {
			t.Fatalf("storing the usage: %v", err)
		}
	default:
		t.Fatalf("an example of docs/openapi.yaml is given %q, which this test doesn't know", request.Given)
	}
	switch request.Fault {
	case "":
	case "unavailable":
		f.faults.usage = outage.ErrUnavailable
	case "unexpected":
		f.faults.usage = errors.New("nobody thought of this")
	default:
		t.Fatalf("an example of docs/openapi.yaml has the fault %q, which this test doesn't know", request.Fault)
	}
	logger := slog.New(slog.DiscardHandler)
	gateway := apigateway.New(apigateway.Options{Now: func() time.Time { return now }, Logger: logger})
	for route, handler := range map[string]http.Handler{"$default": f.handler, "ANY " + usagehttp.TopUpRoute: admin.handler} {
		if err := gateway.Handle(route, lambdahttp.New(handler, lambdahttp.Options{Logger: logger})); err != nil {
			t.Fatalf("adding the route to the gateway: %v", err)
		}
	}
	r := httptest.NewRequestWithContext(context.Background(), request.Method, request.Path,
		strings.NewReader(request.Body+strings.Repeat(" ", request.BodyBytes)))
	for name, value := range request.Headers {
		r.Header.Set(name, value)
	}
	if host, ok := request.Headers["Host"]; ok {
		r.Host = host
	}
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, r)
	if err := loadDescription(t).Check(r.Method, r.URL.Path, w.Result(), w.Body.Bytes()); err != nil {
		t.Errorf("the answer isn't as docs/openapi.yaml promises: %v", err)
	}
	return w
}

// renewExample adds 1000 to the example restaurant's allowance, with the key renewal-1.
func (f fixture) renewExample(t *testing.T) {
	t.Helper()
	if w := f.do(t, renew("clxyz123abc", "", asAdmin, "Idempotency-Key: renewal-1")); w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
}

// TestDescriptionNoticesDifferences: answers that the API never gives don't pass as answers of the description.
func TestDescriptionNoticesDifferences(t *testing.T) {
	t.Parallel()
	one := setup(t).do(t, request("/api/usage", asOwner, ofExample)).Body.String()
	for name, test := range map[string]struct {
		method, path string
		status       int
		header       http.Header
		body         string
	}{
		"no JSON":                   {"GET", "/api/usage", 200, nil, "ok"},
		"nothing":                   {"GET", "/api/usage", 200, nil, "{}"},
		"a field too many":          {"GET", "/api/usage", 200, nil, strings.Replace(one, "{", `{"secret":1,`, 1)},
		"a field too many, inside":  {"GET", "/api/usage", 200, nil, strings.Replace(one, `"dailyLimit"`, `"x":1,"dailyLimit"`, 1)},
		"a field too few":           {"GET", "/api/usage", 200, nil, strings.Replace(one, `,"isActive":true`, "", 1)},
		"a field of another type":   {"GET", "/api/usage", 200, nil, strings.Replace(one, `"isActive":true`, `"isActive":"true"`, 1)},
		"a time without fractions":  {"GET", "/api/usage", 200, nil, strings.ReplaceAll(one, ".000Z", "Z")},
		"a detail without history":  {"GET", "/api/usage/new", 200, nil, one},
		"a code of no meaning":      {"GET", "/api/usage", 400, nil, `{"error":"x","code":"what"}`},
		"no challenge":              {"GET", "/api/usage", 401, nil, `{"error":"x","code":"unauthorized"}`},
		"an undescribed status":     {"GET", "/api/usage", 418, nil, `{"error":"x","code":"forbidden"}`},
		"an undescribed header":     {"GET", "/api/usage", 200, http.Header{"X-Debug": {"1"}}, one},
		"a path that should not be": {"GET", "/api/admin", 200, nil, one},
		"a method that isn't":       {"POST", "/api/usage", 200, nil, one},
		"a body for HEAD":           {"HEAD", "/api/usage", 200, nil, one},
		"an error of no form":       {"GET", "/nowhere", 404, nil, `{"message":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := &http.Response{StatusCode: test.status, Header: http.Header{"Content-Type": {"application/json"}}}
			for name, values := range test.header {
				answer.Header[name] = values
			}
			if err := loadDescription(t).Check(test.method, test.path, answer, []byte(test.body)); err == nil {
				t.Errorf("the answer %d to %s %s passes for what docs/openapi.yaml describes, though it isn't: %s", test.status, test.method, test.path, test.body)
			}
		})
	}
}
