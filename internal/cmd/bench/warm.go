package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// invocation is an event of which the handling is measured.
type invocation struct {
	name, function string
	event          func(n int) events.APIGatewayV2HTTPRequest // returns the nth event
}

var invocations = []invocation{
	{"one restaurant", "usage-api", func(int) events.APIGatewayV2HTTPRequest {
		return read("/api/usage", "", "authorization", "Bearer local-dashboard-pat", "x-restaurant-id", "clxyz123abc")
	}},
	{"one restaurant in detail", "usage-api", func(int) events.APIGatewayV2HTTPRequest {
		return read("/api/usage/clxyz123abc", "", "x-api-key", "local-admin-key")
	}},
	{"list of 20", "usage-api", func(int) events.APIGatewayV2HTTPRequest {
		return read("/api/usage", "", "x-api-key", "local-admin-key")
	}},
	{"ordinary message", "process-message", func(n int) events.APIGatewayV2HTTPRequest {
		return message("+966510000000", "+966110000000", n, "hello")
	}},
}

// read returns a GET as API Gateway passes it on.
func read(path, query string, headers ...string) events.APIGatewayV2HTTPRequest {
	event := events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: "$default", RawPath: path, RawQueryString: query, Headers: map[string]string{}}
	for i := 0; i < len(headers); i += 2 {
		event.Headers[headers[i]] = headers[i+1]
	}
	event.RequestContext.HTTP.Method, event.RequestContext.Stage, event.RequestContext.RequestID = "GET", "$default", "request"
	return event
}

// message returns a customer's nth message, signed for the address of the files in events.
func message(from, to string, n int, body string) events.APIGatewayV2HTTPRequest {
	form, signature := signed(devstack.EventsWebhookURL, from, to, n, body)
	return posted(form, signature)
}

// tap returns a customer's nth message as a tap on a row of a list.
func tap(from, to string, n int, row string) events.APIGatewayV2HTTPRequest {
	form, _ := signed(devstack.EventsWebhookURL, from, to, n, "")
	form.Set("ListId", row)
	return posted(form, twilio.Signature(devstack.TwilioAuthToken, devstack.EventsWebhookURL, form))
}

// posted returns a form as API Gateway passes it on.
func posted(form url.Values, signature string) events.APIGatewayV2HTTPRequest {
	event := read(webhook.Path, "", "content-type", "application/x-www-form-urlencoded", "x-twilio-signature", signature)
	event.RequestContext.HTTP.Method, event.Body = "POST", form.Encode()
	return event
}

func signed(target, from, to string, n int, body string) (url.Values, string) {
	form := url.Values{
		"From": {"whatsapp:" + from}, "To": {"whatsapp:" + to}, "MessageSid": {fmt.Sprintf("SM%s%024d", from[5:], n)}, "Body": {body},
		"ProfileName": {"Guest"}, "NumMedia": {"0"}, "AccountSid": {devstack.TwilioAccountSID},
	}
	return form, twilio.Signature(devstack.TwilioAuthToken, target, form)
}

// environment returns a function's environment, with another DynamoDB.
func (b *bench) environment(name, dynamoDB string) ([]string, error) {
	environment, err := b.server.FunctionEnvironment(name)
	own := []string{"AWS_ENDPOINT_URL_DYNAMODB=" + dynamoDB, "WEBHOOK_URL=" + devstack.EventsWebhookURL, "SSL_CERT_FILE=" + b.roots.file}
	return append(own, slices.DeleteFunc(environment, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return name == "AWS_ENDPOINT_URL_DYNAMODB" || name == "WEBHOOK_URL"
	})...), err
}

// instance handles events: the process of a function, or in tests the function itself.
type instance interface {
	Invoke(ctx context.Context, payload []byte) (lambdalocal.Result, error)
}

// recorded lets an instance handle events until it is warm, and returns the calls of an invocation after that.
func recorded(ctx context.Context, of instance, calls *replay, event func(int) events.APIGatewayV2HTTPRequest) ([]call, error) {
	for n := range 5 {
		calls.rewind()
		if _, _, err := invoke(ctx, of, event(n)); err != nil {
			return nil, err
		}
	}
	return calls.play(), nil
}

// invoke lets an instance handle an event. It returns the duration and the answer, and fails unless the answer is 200.
func invoke(ctx context.Context, of instance, event any) (time.Duration, []byte, error) {
	encoded, err := json.Marshal(event)
	if err != nil {
		return 0, nil, err
	}
	result, err := of.Invoke(ctx, encoded)
	if err == nil && (result.FunctionError != "" || strings.Contains(string(result.Payload), "statusCode") && !strings.Contains(string(result.Payload), `"statusCode":200`)) {
		err = fmt.Errorf("the function answered %.500s", result.Payload)
	}
	return result.Duration, result.Payload, err
}

// warmInvocations reports the duration of a function's invocations. In turns with it, it measures three baselines: a minimal
// handler that makes the same calls at the same times and keeps its connections, the same handler with the unmodified SDK,
// and a handler that makes the calls with a bare client.
func (b *bench) warmInvocations(ctx context.Context) error {
	for _, i := range invocations {
		if err := b.warm(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
	}
	return nil
}

// mostEvents bounds the events of one warming up.
const mostEvents = 100_000

// warmed is a warm instance of a function, with the backend that replays its recorded calls.
type warmed struct {
	environment []string
	instance    *lambdalocal.Instance
	backend     *replay
	calls       []call // of one invocation, as recorded
	expected    []byte // the right answer
	event       func(n int) events.APIGatewayV2HTTPRequest
	close       func()
}

// warmUp starts the function of an invocation, and records its calls.
func (b *bench) warmUp(ctx context.Context, i invocation) (*warmed, error) {
	w := &warmed{backend: newReplay(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = devstack.DynamoDBPath
		b.server.ServeHTTP(w, r)
	}))}
	// Each warming up has its own messages: the stack would take the messages of an earlier warming up for repeats.
	b.warmUps++
	first := b.warmUps * mostEvents
	w.event = func(n int) events.APIGatewayV2HTTPRequest { return i.event(first + n) }
	backend := b.roots.serve(w.backend)
	w.close = backend.Close
	var err error
	if w.environment, err = b.environment(i.function, backend.URL); err == nil {
		w.instance, err = b.start(ctx, function(i.function), w.environment, io.Discard)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	w.close = func() { _ = w.instance.Close(); backend.Close() }
	if w.expected, err = b.expected(ctx, i.function, w.event(99)); err == nil {
		w.calls, err = recorded(ctx, w.instance, w.backend, w.event)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// expected returns the right answer to an event: that of another instance of the function, which uses the stack itself.
func (b *bench) expected(ctx context.Context, name string, event any) ([]byte, error) {
	environment, err := b.server.FunctionEnvironment(name)
	if err != nil {
		return nil, err
	}
	// If a variable is given twice, a process takes its last value.
	fresh, err := b.start(ctx, function(name), append(environment, "WEBHOOK_URL="+devstack.EventsWebhookURL), io.Discard)
	if err != nil {
		return nil, err
	}
	defer fresh.Close()
	_, answer, err := invoke(ctx, fresh, event)
	return answer, err
}

// measured lets an instance handle an event, and returns the duration. Outside the measured time it compares the answer with
// the expected one, if any, and the calls with the recorded ones: the answer to a message doesn't show whether it was
// counted.
func measured(ctx context.Context, of instance, backend *replay, event any, calls map[string]int, expected []byte) (time.Duration, error) {
	backend.rewind()
	took, answer, err := invoke(ctx, of, event)
	if err != nil {
		return 0, err
	}
	if expected != nil && !bytes.Equal(answer, expected) {
		return 0, fmt.Errorf("the function answered %.600s, not %.600s", answer, expected)
	}
	return took, backend.check(calls)
}

func (b *bench) warm(ctx context.Context, i invocation) error {
	w, err := b.warmUp(ctx, i)
	if err != nil {
		return err
	}
	defer w.close()
	encoded, err := json.Marshal(w.calls)
	if err != nil {
		return err
	}
	calls := keysOf(w.calls)
	instances := []*lambdalocal.Instance{w.instance}
	variables := append(w.environment, "CALLS="+string(encoded))
	for _, baseline := range []struct{ name, variable string }{{"minimal", "KEEP_CONNECTIONS=true"}, {"minimal", ""}, {"bare", ""}} {
		instance, err := b.start(ctx, program(baseline.name), append(variables, baseline.variable), io.Discard)
		if err != nil {
			return err
		}
		defer instance.Close()
		instances = append(instances, instance)
	}
	took := make([][]time.Duration, len(instances))
	for n := range 10 * b.rounds {
		for k, instance := range instances {
			expected := w.expected
			if k > 0 {
				expected = nil // the baselines have no answer
			}
			d, err := measured(ctx, instance, w.backend, w.event(100+n), calls, expected)
			if err != nil {
				return fmt.Errorf("%s: %w", []string{"the function", "the minimal handler", "the SDK as it comes", "a bare client"}[k], err)
			}
			took[k] = append(took[k], d)
		}
	}
	name := fmt.Sprintf("warm invocation, %s (%d calls, %d one after the other)", i.name, len(w.calls), waves(w.calls))
	b.report(name, milliseconds(median(took[0])), "ms", milliseconds(median(took[1])), "≤ 1.10 × baseline")
	b.report(name+", against the SDK as it comes", milliseconds(median(took[0])), "ms", milliseconds(median(took[2])), "")
	b.report(name+", against a bare client", milliseconds(median(took[0])), "ms", milliseconds(median(took[3])), "≤ 1.25 × baseline (stretch)")
	return nil
}

func waves(calls []call) int {
	if len(calls) == 0 {
		return 0
	}
	return calls[len(calls)-1].Wave + 1
}

// firstInvocations reports the duration of an instance's first invocation, in which it opens its connections. The baseline is
// a minimal handler that makes the calls of a warm invocation.
func (b *bench) firstInvocations(ctx context.Context) error {
	for _, i := range invocations {
		if err := b.first(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
	}
	return nil
}

func (b *bench) first(ctx context.Context, i invocation) error {
	w, err := b.warmUp(ctx, i)
	if err != nil {
		return err
	}
	defer w.close()
	encoded, err := json.Marshal(w.calls)
	if err != nil {
		return err
	}
	variables := append(w.environment, "CALLS="+string(encoded), "KEEP_CONNECTIONS=true")
	var took [2][]time.Duration
	for n := range b.rounds {
		for k, path := range []string{function(i.function), program("minimal")} {
			instance, err := b.start(ctx, path, variables, io.Discard)
			if err != nil {
				return err
			}
			d, answer, err := invoke(ctx, instance, w.event(5000+n))
			if err == nil && k == 0 && !bytes.Equal(answer, w.expected) {
				err = fmt.Errorf("the function answered %.600s, not %.600s", answer, w.expected)
			}
			if err := errors.Join(err, instance.Close()); err != nil {
				return err
			}
			took[k] = append(took[k], d)
		}
	}
	b.report("first invocation over TLS, "+i.name, milliseconds(median(took[0])), "ms", milliseconds(median(took[1])), "≤ 1.10 × baseline")
	return nil
}
