package httpedge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/httpedge"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/task"
)

var errBusy = errors.New("busy")

// operators is an error that must be reported to an operator.
type operators struct{ error }

func (e operators) Unwrap() error { return e.error }

func (operators) LogLevel() slog.Level { return slog.LevelError }

// do sends a request to an edge with routes that fail or answer in different ways. It returns the answer and the only log line.
func do(t *testing.T, method, path string) (*httptest.ResponseRecorder, map[string]any) {
	t.Helper()
	answers := map[string]func(*httpedge.Call) (any, error){
		"/value": func(c *httpedge.Call) (any, error) {
			c.Note(slog.Int("n", 7))
			return map[string]string{"a": "<&>"}, nil
		},
		"/document": func(*httpedge.Call) (any, error) {
			return httpedge.Document{ContentType: "text/xml", Body: "<Response/>"}, nil
		},
		"/by/{id}": func(c *httpedge.Call) (any, error) { return c.PathValue("id"), nil },
		"/refused": func(*httpedge.Call) (any, error) {
			return nil, fmt.Errorf("inside: %w", httpedge.InvalidParameter("limit", "must be small"))
		},
		"/busy":     func(*httpedge.Call) (any, error) { return nil, fmt.Errorf("inside: %w", errBusy) },
		"/operator": func(*httpedge.Call) (any, error) { return nil, operators{httpedge.InvalidParameter("a", "is odd")} },
		"/fault":    func(*httpedge.Call) (any, error) { return nil, errors.New("secret table") },
		"/panic":    func(*httpedge.Call) (any, error) { panic("secret table") },
		"/panic/far": func(*httpedge.Call) (any, error) {
			return task.Start(func() (any, error) { panic("secret table") }).Wait()
		},
		"/panic/busy": func(*httpedge.Call) (any, error) {
			return nil, fmt.Errorf("%w: %w", errBusy, &task.PanicError{Value: "secret table"})
		},
	}
	var routes []httpedge.Route
	for pattern, answer := range answers {
		routes = append(routes, httpedge.Route{Pattern: pattern, Methods: []string{"GET", "HEAD", "POST"}, Answer: answer})
	}
	var log bytes.Buffer
	ends := 0
	edge := httpedge.New(httpedge.Options{
		Log: logging.New(&log, slog.LevelDebug, "function"), Now: func() time.Time { return time.Unix(0, 0) },
		RequestID: func(context.Context) string { return "request-1" },
		Translate: func(err error) *httpedge.Refusal {
			if errors.Is(err, errBusy) {
				return httpedge.Unavailable("Come back.", "2")
			}
			return nil
		},
		Answered: func(error) { ends++ },
	}, routes...)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "/", strings.NewReader("{}"))
	r.URL.Path = path
	edge.ServeHTTP(w, r)
	if r.URL.Path != path {
		t.Errorf("the caller's request was changed to %s", r.URL.Path)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || ends != 1 {
		t.Fatalf("%d log lines, %d ends: %s", lines, ends, &log)
	}
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("decoding %.500s: %v", log.Bytes(), err)
	}
	delete(line, "timestamp")
	return w, line
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, path string
		status       int
		body         string
		level, route string
	}{
		"a value":                  {"GET", "/value", 200, `{"a":"<&>"}` + "\n", "INFO", "/value"},
		"posted to":                {"POST", "/value", 200, `{"a":"<&>"}` + "\n", "INFO", "/value"},
		"a trailing slash":         {"GET", "/value/", 200, `{"a":"<&>"}` + "\n", "INFO", "/value"},
		"posted to one":            {"POST", "/value/", 200, `{"a":"<&>"}` + "\n", "INFO", "/value"},
		"after a wildcard":         {"POST", "/by/x/", 200, `"x"` + "\n", "INFO", "/by/{id}"},
		"HEAD":                     {"HEAD", "/value", 200, "", "INFO", "/value"},
		"a document":               {"GET", "/document", 200, "<Response/>", "INFO", "/document"},
		"a refusal":                {"GET", "/refused", 400, `{"error":"Parameter 'limit' must be small.","code":"invalid_parameter"}` + "\n", "WARN", "/refused"},
		"an error of the domain":   {"GET", "/busy", 503, `{"error":"Come back.","code":"unavailable"}` + "\n", "ERROR", "/busy"},
		"an operator's":            {"GET", "/operator", 400, `{"error":"Parameter 'a' is odd.","code":"invalid_parameter"}` + "\n", "ERROR", "/operator"},
		"a fault":                  {"GET", "/fault", 500, `{"error":"Something went wrong on our side.","code":"internal_error"}` + "\n", "ERROR", "/fault"},
		"a panic":                  {"GET", "/panic", 500, `{"error":"Something went wrong on our side.","code":"internal_error"}` + "\n", "ERROR", "/panic"},
		"a panic in a goroutine":   {"GET", "/panic/far", 500, `{"error":"Something went wrong on our side.","code":"internal_error"}` + "\n", "ERROR", "/panic/far"},
		"a panic among failures":   {"GET", "/panic/busy", 500, `{"error":"Something went wrong on our side.","code":"internal_error"}` + "\n", "ERROR", "/panic/busy"},
		"another method":           {"DELETE", "/value", 405, `{"error":"Use GET or HEAD or POST at this address.","code":"method_not_allowed"}` + "\n", "WARN", "/value"},
		"an unknown path":          {"GET", "/values", 404, `{"error":"There is nothing at this address.","code":"not_found"}` + "\n", "WARN", ""},
		"two slashes at the end":   {"GET", "/value//", 404, `{"error":"There is nothing at this address.","code":"not_found"}` + "\n", "WARN", ""},
		"dots":                     {"GET", "/a/../value", 404, `{"error":"There is nothing at this address.","code":"not_found"}` + "\n", "WARN", ""},
		"the root":                 {"GET", "/", 404, `{"error":"There is nothing at this address.","code":"not_found"}` + "\n", "WARN", ""},
		"no path at all":           {"GET", "", 404, `{"error":"There is nothing at this address.","code":"not_found"}` + "\n", "WARN", ""},
		"posted to what isn't one": {"POST", "/a//value", 404, `{"error":"There is nothing at this address.","code":"not_found"}` + "\n", "WARN", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, line := do(t, test.method, test.path)
			if w.Code != test.status || w.Body.String() != test.body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, test.status, test.body)
			}
			if line["level"] != test.level || line["route"] != test.route || line["status"] != float64(test.status) {
				t.Errorf("log line %v", line)
			}
			header := w.Header()
			if header.Get("X-Request-Id") != "request-1" || header.Get("Cache-Control") != "no-store" ||
				(header.Get("Allow") == "GET, HEAD, POST") != (test.status == 405) || (header.Get("Retry-After") == "2") != (test.status == 503) {
				t.Errorf("headers %v", header)
			}
		})
	}
}

func TestLogLine(t *testing.T) {
	t.Parallel()
	_, line := do(t, "GET", "/value")
	want := map[string]any{"level": "INFO", "message": "request", "function": "function", "requestId": "request-1", "method": "GET",
		"route": "/value", "status": 200.0, "durationMs": 0.0, "n": 7.0}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("log line (-want +got):\n%s", diff)
	}
	for _, path := range []string{"/panic", "/panic/far"} {
		_, line := do(t, http.MethodGet, path)
		if line["error"] != "panic: secret table" || !strings.Contains(fmt.Sprint(line["stack"]), "httpedge_test") {
			t.Errorf("%s: log line %v", path, line)
		}
	}
}
