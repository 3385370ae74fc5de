package main

import (
	"bytes"
	"context"
	"encoding/json"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
)

// inProcess is a function in this process.
type inProcess struct{ handler lambda.Handler }

func (p inProcess) Invoke(ctx context.Context, payload []byte) (lambdalocal.Result, error) {
	answer, err := p.handler.Invoke(ctx, payload)
	return lambdalocal.Result{Payload: answer}, err
}

// newInstance returns an instance of a function that uses the DynamoDB at an address.
func newInstance(t *testing.T, stack *devstack.Server, name, dynamoDB string) instance {
	t.Helper()
	environ, err := stack.FunctionEnvironment(name)
	if err != nil {
		t.Fatalf("reading the function's environment from the template: %v", err)
	}
	environ = append([]string{"AWS_ENDPOINT_URL_DYNAMODB=" + dynamoDB, "WEBHOOK_URL=" + devstack.EventsWebhookURL}, environ...)
	var handler any
	if name == usageapi.Name {
		handler, err = usageapi.New(config.Environment(environ), time.Now, io.Discard)
	} else {
		handler, err = processmessage.New(config.Environment(environ), time.Now, io.Discard)
	}
	if err != nil {
		t.Fatalf("assembling the function from its environment: %v", err)
	}
	return inProcess{lambda.NewHandler(handler)}
}

// change changes the recorded answers of an operation.
func (p *replay) change(operation string, change func(body []byte) []byte) {
	for key, answer := range p.answers {
		if !strings.HasPrefix(key, operation+" ") {
			continue
		}
		changed := httptest.NewRecorder()
		body := change(answer.Body.Bytes())
		changed.Header().Set("Content-Type", "application/x-amz-json-1.0")
		changed.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
		_, _ = changed.Write(body)
		p.answers[key] = changed
	}
}

// TestABrokenRecordIsRefused sends a benchmark's requests without measuring: with the right record, and with wrong records
// that the benchmark once accepted.
func TestABrokenRecordIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it has a stack with the demo data, and many instances of functions")
	}
	t.Parallel()
	stack, err := devstack.Serve(t.Context(), "../../../template.yaml", 0, io.Discard)
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	t.Cleanup(func() { _ = stack.Close() })
	empty := func(operation string) func(*replay) {
		return func(p *replay) {
			p.change(operation, func([]byte) []byte { return []byte(`{"Responses":{},"UnprocessedKeys":{}}`) })
		}
	}
	one := func(operation string) func(*replay) { // gives every call of the operation the answer to the last one, whatever its table and key
		return func(p *replay) {
			var last []byte
			for _, c := range p.calls {
				if strings.HasSuffix(c.Target, "."+operation) {
					last = p.answers[keyOf(c.Target, c.Body)].Body.Bytes()
				}
			}
			p.change(operation, func([]byte) []byte { return last })
		}
	}
	inactive := func(p *replay) {
		for _, operation := range []string{"GetItem", "BatchGetItem", "Query"} {
			p.change(operation, func(body []byte) []byte {
				return bytes.ReplaceAll(body, []byte(`"active":{"BOOL":true}`), []byte(`"active":{"BOOL":false}`))
			})
		}
	}
	byName := make(map[string]invocation)
	for _, i := range invocations {
		byName[i.name] = i
	}
	for name, test := range map[string]struct {
		invocation string
		damage     func(*replay)
		refused    string // part of the error; empty if the record is right
	}{
		"list":                          {"list of 20", func(*replay) {}, ""},
		"list of nobody":                {"list of 20", empty("BatchGetItem"), "answered"},
		"list with one answer for all":  {"list of 20", one("BatchGetItem"), "answered"},
		"restaurant":                    {"one restaurant", func(*replay) {}, ""},
		"restaurant without figures":    {"one restaurant", empty("BatchGetItem"), "answered"},
		"message":                       {"ordinary message", func(*replay) {}, ""},
		"message that wasn't counted":   {"ordinary message", inactive, "a call was made 0 times"},
		"message with nothing recorded": {"ordinary message", func(p *replay) { clear(p.answers) }, "answered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := byName[test.invocation]
			backend := newReplay(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.URL.Path = devstack.DynamoDBPath
				stack.ServeHTTP(w, r)
			}))
			server := httptest.NewServer(backend)
			t.Cleanup(server.Close)
			// Each case has a customer of its own: all write to the same stack, to a restaurant that no case reads.
			event := i.event
			if i.function == processmessage.Name {
				customer := "+96651" + strconv.Itoa(1_000_000+int(crc32.ChecksumIEEE([]byte(name))%1_000_000))
				event = func(n int) events.APIGatewayV2HTTPRequest { return message(customer, "+966110000101", n, "hello") }
			}
			warm := newInstance(t, stack, i.function, server.URL)
			_, expected, err := invoke(t.Context(), newInstance(t, stack, i.function, stack.BaseURL+devstack.DynamoDBPath), event(99))
			if err != nil {
				t.Fatalf("invoking the function: %v", err)
			}
			calls, err := recorded(t.Context(), warm, backend, event)
			if err != nil {
				t.Fatalf("recording the calls of the warm function: %v", err)
			}
			test.damage(backend)
			// A new instance also looks its restaurant up. The record of the first message has that call.
			fresh := newInstance(t, stack, i.function, server.URL)
			if test.refused == "" {
				fresh = warm
			}
			_, err = measured(t.Context(), fresh, backend, event(100), keysOf(calls), expected)
			switch {
			case test.refused == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)):
				t.Errorf("error %v, want one with %q", err, test.refused)
			}
		})
	}
}

// TestWaves records calls, some of them simultaneous.
func TestWaves(t *testing.T) {
	t.Parallel()
	var both sync.WaitGroup // b and c are answered when both have arrived
	both.Add(2)
	p := newReplay(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte(`"b"`)) || bytes.Contains(body, []byte(`"c"`)) {
			both.Done()
			both.Wait()
		}
		_, _ = io.WriteString(w, `{}`)
	}))
	post := func(id string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"TableName":"t","Key":{"id":{"S":"`+id+`"}}}`))
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810.GetItem")
		p.ServeHTTP(httptest.NewRecorder(), r)
	}
	post("a")
	done := make(chan struct{})
	go func() { post("b"); close(done) }()
	post("c")
	<-done
	post("d")
	waves := make(map[string]int)
	for _, c := range p.play() {
		var body struct {
			Key struct{ ID struct{ S string } }
		}
		if err := json.Unmarshal(c.Body, &body); err != nil {
			t.Fatalf("decoding %.500s: %v", c.Body, err)
		}
		waves[body.Key.ID.S] = c.Wave
	}
	if waves["a"] != 0 || waves["b"] != 1 || waves["c"] != 1 || waves["d"] != 2 {
		t.Errorf("waves are %v", waves)
	}
}
