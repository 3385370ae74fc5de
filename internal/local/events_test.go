package local_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/local"
)

var update = flag.Bool("update", false, "write the golden files anew")

// usageAPI returns the function usage-api, configured by the environment that the stack gives it, at the stack's time.
func usageAPI(t *testing.T, stack *local.Stack) lambda.Handler {
	t.Helper()
	variables, err := stack.FunctionEnvironment(usageapi.Name)
	if err != nil {
		t.Fatal(err)
	}
	handler, err := usageapi.New(func(wanted string) (string, bool) {
		for _, variable := range variables {
			if name, value, _ := strings.Cut(variable, "="); name == wanted {
				return value, true
			}
		}
		return "", false
	}, stack.Clock.Now, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return lambda.NewHandler(handler)
}

// TestEvents sends each file of events through the function that it is for, and compares the whole answer with the
// golden file of the same name.
func TestEvents(t *testing.T) {
	t.Parallel()
	stack := serve(t, time.Date(2025, 10, 20, 15, 30, 4, 123e6, time.UTC))
	handlers := map[string]lambda.Handler{"usage": usageAPI(t, stack)} // by the first word of the file's name

	paths, err := filepath.Glob("../../events/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no events: %v", err)
	}
	goldens := make(map[string]bool) // those without an event
	for _, path := range mustGlob(t, "testdata/events/*.golden") {
		goldens[path] = true
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		golden := filepath.Join("testdata", "events", name+".golden")
		delete(goldens, golden)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			function, _, _ := strings.Cut(name, "-")
			handler, ok := handlers[function]
			if !ok {
				t.Fatalf("no function is known for %s", path)
			}
			event, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := handler.Invoke(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, golden, readable(t, answer))
		})
	}
	for golden := range goldens {
		t.Errorf("%s has no event", golden)
	}
}

func mustGlob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

// readable returns an HTTP answer as a person would write it down: status, headers in order, indented body.
func readable(t *testing.T, answer []byte) string {
	t.Helper()
	var response events.APIGatewayV2HTTPResponse
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&response); err != nil {
		t.Fatal(err)
	}
	if response.IsBase64Encoded || len(response.Cookies) > 0 || len(response.MultiValueHeaders) > 0 {
		t.Fatalf("answer %s, want a text, no cookies, and no headers that API Gateway ignores", answer)
	}
	var text bytes.Buffer
	fmt.Fprintln(&text, response.StatusCode)
	for _, name := range slices.Sorted(maps.Keys(response.Headers)) {
		fmt.Fprintf(&text, "%s: %s\n", name, response.Headers[name])
	}
	fmt.Fprintln(&text)
	if err := json.Indent(&text, []byte(response.Body), "", "  "); err != nil {
		t.Fatal(err)
	}
	return text.String()
}
