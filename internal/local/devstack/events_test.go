package devstack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/usageadmin"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
)

var update = flag.Bool("update", false, "write the golden files anew")

// function returns a function's handler, with the stack's environment and clock.
func function(t *testing.T, stack *devstack.Stack, name string) lambda.Handler {
	t.Helper()
	return functionWith(t, stack, name, io.Discard, nil)
}

// functionWith returns a function's handler with a log, and with variables "NAME=value" that override the stack's.
func functionWith(t *testing.T, stack *devstack.Stack, name string, log io.Writer, variables []string) lambda.Handler {
	t.Helper()
	handler, err := newFunction(stack, name, log, variables)
	if err != nil {
		t.Fatalf("starting the function: %v", err)
	}
	return handler
}

func newFunction(stack *devstack.Stack, name string, log io.Writer, variables []string) (lambda.Handler, error) {
	environ, err := stack.FunctionEnvironment(name)
	if err != nil {
		return nil, err
	}
	environ = append(slices.Clone(variables), environ...) // the first variable of a name counts
	var handler any
	switch name {
	case usageapi.Name:
		handler, err = usageapi.New(environ, stack.Clock.Now, log)
	case usageadmin.Name:
		handler, err = usageadmin.New(environ, stack.Clock.Now, log)
	case processmessage.Name:
		handler, err = processmessage.New(environ, stack.Clock.Now, log)
	case welcomebootstrap.Name:
		handler, err = welcomebootstrap.New(environ, stack.Clock.Now, log)
	}
	return lambda.NewHandler(handler), err
}

var eventsTime = time.Date(2025, 10, 20, 15, 30, 4, 123e6, time.UTC)

// TestEvents sends each file in events through its function, and compares the whole answer with the golden file of the same
// name.
func TestEvents(t *testing.T) {
	t.Parallel()
	functions := map[string]string{ // by the first word of the event's file name
		"usage": usageapi.Name, "renew": usageadmin.Name, "message": processmessage.Name, "job": welcomebootstrap.Name,
	}
	before := map[string]string{ // events that another event needs to come first
		"message-repeat": "message-first", "message-menu-button": "message-first", "message-list-row": "message-first", "message-status": "message-first",
		"renew-repeat": "renew",
	}

	// usage-api only reads, so its events can share a stack.
	readOnly := sync.OnceValue(func() *devstack.Stack { return serve(t, eventsTime) })

	paths, err := filepath.Glob("../../../events/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no events: %v", err)
	}
	goldens := make(map[string]bool) // those that have no event
	for _, path := range mustGlob(t, "testdata/events/*.golden") {
		goldens[path] = true
	}
	for _, path := range paths {
		if path == samEnvironment {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		golden := filepath.Join("testdata", "events", name+".golden")
		delete(goldens, golden)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			word, _, _ := strings.Cut(name, "-")
			if functions[word] == "" {
				t.Fatalf("no function is known for %s", path)
			}
			stack := readOnly()
			if functions[word] != usageapi.Name {
				stack = serve(t, eventsTime)
			}
			handler := function(t, stack, functions[word])
			if first, ok := before[name]; ok {
				send(t, handler, filepath.Join(filepath.Dir(path), first+".json"))
			}
			answer := send(t, handler, path)
			if functions[word] == usageapi.Name || functions[word] == usageadmin.Name {
				checkEventDescribed(t, path, answer)
			}
			compareGolden(t, golden, readable(t, answer)+received(t, stack))
		})
	}
	for golden := range goldens {
		t.Errorf("%s has no event", golden)
	}
}

// samEnvironment is the file with the variables that `sam local` gives the functions in its containers.
const samEnvironment = "../../../events/env.json"

// TestSAMEnvironmentIsTheTemplates: with this file, a function in a container reaches the stack of `make dev-aws` at its
// usual ports. All of the file's variables are in template.yaml, because `sam local` ignores others.
func TestSAMEnvironmentIsTheTemplates(t *testing.T) {
	t.Parallel()
	const baseURL, machine = "http://localhost:8080", "host.docker.internal" // as containers call it
	stack, err := devstack.New(t.Context(), devstack.Options{
		Definition: mustLoad(t), BaseURL: baseURL, WebhookURL: devstack.EventsWebhookURL,
		Clock: devstack.NewClock(time.Now), Log: io.Discard,
	})
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	defer stack.Close()
	want := make(map[string]map[string]string)
	for function, name := range map[string]string{
		"UsageApiFunction": usageapi.Name, "UsageAdminFunction": usageadmin.Name,
		"ProcessMessageFunction": processmessage.Name, "WelcomeBootstrapFunction": welcomebootstrap.Name,
	} {
		declared, err := stack.Definition.FunctionEnvironment(function, devstack.StackName)
		if err != nil {
			t.Fatalf("reading the function's environment from the template: %v", err)
		}
		environ, err := stack.FunctionEnvironment(name)
		if err != nil {
			t.Fatalf("reading the function's environment from the template: %v", err)
		}
		want[function] = make(map[string]string)
		for _, variable := range environ {
			name, value, _ := strings.Cut(variable, "=")
			if _, ok := declared[name]; ok {
				want[function][name] = strings.Replace(value, baseURL+"/sandbox/", "http://"+machine+":8080/sandbox/", 1)
			}
		}
		if _, ok := declared["CACHE_ENDPOINT"]; ok {
			want[function]["CACHE_ENDPOINT"] = fmt.Sprintf("%s:%d", machine, devstack.CachePort)
		}
	}
	text, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatalf("encoding the JSON: %v", err)
	}
	compareGolden(t, samEnvironment, string(text)+"\n")
}

func send(t *testing.T, handler lambda.Handler, path string) []byte {
	t.Helper()
	event, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := handler.Invoke(t.Context(), event)
	if err != nil {
		t.Fatalf("invoking the function: %v", err)
	}
	return answer
}

// checkEventDescribed compares the answer to an event of the usage API with the API's description.
func checkEventDescribed(t *testing.T, path string, answer []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var event events.APIGatewayV2HTTPRequest
	var got events.APIGatewayV2HTTPResponse
	if err := errors.Join(json.Unmarshal(text, &event), json.Unmarshal(answer, &got)); err != nil {
		t.Fatalf("decoding the event or the function's answer: %v\n%s\n%s", err, text, answer)
	}
	response := &http.Response{StatusCode: got.StatusCode, Header: http.Header{}}
	for name, value := range got.Headers {
		response.Header.Set(name, value)
	}
	if err := checkDescribed(event.RequestContext.HTTP.Method, event.RawPath, response, []byte(got.Body)); err != nil {
		t.Errorf("comparing the answer with docs/openapi.yaml: %v", err)
	}
}

// received returns the messages that customers got, the newest first.
func received(t *testing.T, stack *devstack.Stack) string {
	t.Helper()
	var text strings.Builder
	for _, m := range stack.Twilio.Messages("+966500000001") {
		variables, err := json.Marshal(m.ContentVariables)
		if err != nil {
			t.Fatalf("encoding the JSON: %v", err)
		}
		sid := m.ContentSID
		if m.ListPicker != nil {
			sid = "(a list)" // the SID depends on the lists made before
		}
		fmt.Fprintf(&text, "\n\n--> %s %s %s\n%s", m.To, sid, variables, shown(m))
	}
	return text.String()
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

// readable returns an HTTP answer in a form for people: status, sorted headers, indented body. It returns any other answer
// indented.
func readable(t *testing.T, answer []byte) string {
	t.Helper()
	if !bytes.Contains(answer, []byte(`"statusCode"`)) {
		return indented(answer)
	}
	var response events.APIGatewayV2HTTPResponse
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&response); err != nil {
		t.Fatalf("decoding the answer: %v", err)
	}
	if response.IsBase64Encoded || len(response.Cookies) > 0 || len(response.MultiValueHeaders) > 0 {
		t.Fatalf("answer %s, want a text, no cookies, and no headers that API Gateway ignores", answer)
	}
	var text bytes.Buffer
	fmt.Fprintln(&text, response.StatusCode)
	for _, name := range slices.Sorted(maps.Keys(response.Headers)) {
		fmt.Fprintf(&text, "%s: %s\n", name, response.Headers[name])
	}
	return text.String() + "\n" + indented([]byte(response.Body))
}

// indented returns JSON with indentation, and anything else unchanged.
func indented(body []byte) string {
	var text bytes.Buffer
	if err := json.Indent(&text, body, "", "  "); err != nil {
		return string(body)
	}
	return text.String()
}
