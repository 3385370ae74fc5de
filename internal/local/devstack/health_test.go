package devstack_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/health"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

// examine sends a function a health event, over Lambda's own API.
func examine(t *testing.T, stack *devstack.Stack, function string) health.Report {
	t.Helper()
	a := do(t, stack, http.MethodPost, devstack.LambdaPath+"/2015-03-31/functions/"+devstack.StackName+"-"+function+":live/invocations", health.Event)
	if failed := a.header.Get("X-Amz-Function-Error"); failed != "" {
		t.Fatalf("examining %s fails: %s %s", function, failed, a.body)
	}
	return read[health.Report](t, a, http.StatusOK)
}

var functions = []string{"usage-api", "usage-admin", "process-message", "welcome-bootstrap"}

// TestHealthyStackReportsEveryCheck: on a complete stack every function is healthy, and its report has a check of everything
// that it uses.
func TestHealthyStackReportsEveryCheck(t *testing.T) {
	t.Parallel()
	loaded, err := loadDefinition()
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	s := newStories(t, loaded)
	for function, checks := range map[string]int{"usage-api": 8, "usage-admin": 4, "process-message": 8, "welcome-bootstrap": 3} {
		report := examine(t, s.Stack, function)
		if !report.Healthy || len(report.Checks) != checks || report.Faults() != nil {
			t.Errorf("the healthy %s reports %+v, want %d checks without a fault", function, report, checks)
		}
		if zone := report.TimeZone; (function != "welcome-bootstrap") != (zone == "UTC") || (function == "process-message") != (report.WebhookURL != "") {
			t.Errorf("%s reports the settings %+v, want its zone UTC and, of process-message, the webhook's address", function, report.Settings)
		}
	}
	if a := do(t, s.Stack, http.MethodPost, devstack.LambdaPath+"/2015-03-31/functions/sufrah-prod-usage-api/invocations", health.Event); a.status != http.StatusNotFound {
		t.Errorf("invoking another stack's function is answered with %d, want 404", a.status)
	}
}

// TestHealthReportNamesTheFault takes away one resource after the other, and checks which functions report it.
func TestHealthReportNamesTheFault(t *testing.T) {
	t.Parallel()
	loaded, err := loadDefinition()
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	for name, test := range map[string]struct {
		broken func(s *stories)
		ill    []string
		says   string
	}{
		"DynamoDB fails":         {func(s *stories) { s.behave("store", `{"failRate": 1}`) }, functions[:3], "table "},
		"the cache fails":        {func(s *stories) { s.behave("cache", `{"failRate": 1}`) }, functions[2:], "cache: "},
		"no token":               {func(s *stories) { s.behave("secrets", `{"twilio": "{}"}`) }, functions[2:], "Twilio's tokens: the secret has no token"},
		"no JSON":                {func(s *stories) { s.behave("secrets", `{"twilio": "AC"}`) }, functions[2:], "is not of the form"},
		"no key":                 {func(s *stories) { s.behave("secrets", `{"sufrah": "{\"apiKey\": \"\"}"}`) }, functions[2:], "Sufrah's key: the secret"},
		"a key of no form":       {func(s *stories) { s.behave("secrets", `{"sufrah": "{\"apiKey\": \"a b\"}"}`) }, functions[2:], "the key can't be sent in a header of a request"},
		"a secret isn't there":   {func(s *stories) { s.behave("secrets", `{"sufrah": null}`) }, functions[2:], "ResourceNotFoundException"},
		"Twilio and Sufrah fail": {func(s *stories) { s.behave("twilio", `{"failRate": 1}`); s.behave("sufrah", `{"failRate": 1}`) }, nil, ""}, // no release can cause or mend this
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStories(t, loaded)
			test.broken(s)
			for _, function := range functions {
				report := examine(t, s.Stack, function)
				if ill := slices.Contains(test.ill, function); report.Healthy == ill || ill && !strings.Contains(strings.Join(report.Faults(), "\n"), test.says) {
					t.Errorf("%s reports %+v, want ill: %t, saying %q", function, report, ill, test.says)
				}
			}
		})
	}
}

// TestHealthReportNamesAMissingPart: if the stack's definition lacks a resource, the function that reads it reports it.
func TestHealthReportNamesAMissingPart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ from, to, says string }{
		{"IndexName: by-word", "IndexName: by-something", "index by-word of table sufrah-local-directory: "},
		{"ACCESS_TOKENS_TABLE: !Ref AccessTokensTable", "ACCESS_TOKENS_TABLE: nowhere", "table nowhere: "},
	} {
		t.Run(test.to, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(nil)
			stack, err := devstack.New(t.Context(), devstack.Options{
				Definition: changedDefinition(t, test.from, test.to), BaseURL: "http://" + server.Listener.Addr().String(),
				Clock: devstack.NewClock(func() time.Time { return noon }), Log: io.Discard,
			})
			if err != nil {
				t.Fatalf("starting the local stack: %v", err)
			}
			server.Config.Handler = stack
			server.Start()
			t.Cleanup(server.Close)
			t.Cleanup(func() { _ = stack.Close() })
			faults := examine(t, stack, "usage-api").Faults()
			if len(faults) != 1 || !strings.HasPrefix(faults[0], test.says) {
				t.Errorf("a stack with a missing part reports the faults %q, want one that begins %q", faults, test.says)
			}
		})
	}
}

// changedDefinition returns template.yaml with one text replaced.
func changedDefinition(t *testing.T, from, to string) *sam.Definition {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(filepath.Join(folder, "internal", "stack"), os.DirFS("../../stack")); err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile("../../../template.yaml")
	if err != nil || !strings.Contains(string(template), from) {
		t.Fatalf("no %q in template.yaml, %v", from, err)
	}
	path := filepath.Join(folder, "template.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(template), from, to)), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := sam.Load(path)
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	return loaded
}
