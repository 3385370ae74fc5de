package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// invocation is an event whose handling is measured.
type invocation struct {
	name, function string
	event          func(n int) events.APIGatewayV2HTTPRequest // the nth
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

// read is a GET as API Gateway hands it over.
func read(path, query string, headers ...string) events.APIGatewayV2HTTPRequest {
	event := events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: "$default", RawPath: path, RawQueryString: query, Headers: map[string]string{}}
	for i := 0; i < len(headers); i += 2 {
		event.Headers[headers[i]] = headers[i+1]
	}
	event.RequestContext.HTTP.Method, event.RequestContext.Stage, event.RequestContext.RequestID = "GET", "$default", "request"
	return event
}

// message is the nth message of a customer, signed for the address of the files in events.
func message(from, to string, n int, body string) events.APIGatewayV2HTTPRequest {
	form, signature := signed(devstack.EventsWebhookURL, from, to, n, body)
	event := read(webhook.Path, "", "content-type", "application/x-www-form-urlencoded", "x-twilio-signature", signature)
	event.RequestContext.HTTP.Method, event.Body = "POST", form.Encode()
	return event
}

func signed(target, from, to string, n int, body string) (url.Values, string) {
	form := url.Values{
		"From": {"whatsapp:" + from}, "To": {"whatsapp:" + to}, "MessageSid": {fmt.Sprintf("SM%s%024d", from[5:], n)}, "Body": {body},
		"ProfileName": {"Guest"}, "NumMedia": {"0"}, "AccountSid": {"AC0123456789abcdef0123456789abcdef"},
	}
	return form, twilio.Signature(devstack.TwilioAuthToken, target, form)
}

// environment returns a function's, with DynamoDB elsewhere.
func (b *bench) environment(name, dynamoDB string) ([]string, error) {
	environment, err := b.server.FunctionEnvironment(name)
	return append(environment, "AWS_ENDPOINT_URL_DYNAMODB="+dynamoDB, "WEBHOOK_URL="+devstack.EventsWebhookURL), err // the last value counts
}

// recorded has an instance handle the event until it is warm, and returns the calls that it makes then.
func recorded(ctx context.Context, instance *lambdalocal.Instance, calls *replay, event func(int) events.APIGatewayV2HTTPRequest) ([]call, error) {
	for n := range 5 {
		calls.rewind()
		if _, err := invoke(ctx, instance, event(n)); err != nil {
			return nil, err
		}
	}
	return calls.play(), nil
}

// invoke has an instance handle an event, and returns how long it took. It fails unless the answer is 200.
func invoke(ctx context.Context, instance *lambdalocal.Instance, event any) (time.Duration, error) {
	encoded, err := json.Marshal(event)
	if err != nil {
		return 0, err
	}
	result, err := instance.Invoke(ctx, encoded)
	if err == nil && (result.FunctionError != "" || strings.Contains(string(result.Payload), "statusCode") && !strings.Contains(string(result.Payload), `"statusCode":200`)) {
		err = fmt.Errorf("the function answered %.500s", result.Payload)
	}
	return result.Duration, err
}

// warmInvocations reports how long invocations take of a function, of a minimal one that makes the same calls with the SDK as it
// comes, of one whose SDK keeps its connections, and of one that makes the calls with a bare client, in turn.
func (b *bench) warmInvocations(ctx context.Context) error {
	for _, i := range invocations {
		if err := b.warm(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
	}
	return nil
}

// warmed is a warm instance of a function, and the backend that answers it as it did.
type warmed struct {
	environment []string
	instance    *lambdalocal.Instance
	calls       []call // of one invocation
	close       func()
}

// warmUp starts the function of an invocation, and has a backend record its calls.
func (b *bench) warmUp(ctx context.Context, i invocation) (*warmed, error) {
	calls := newReplay(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = devstack.DynamoDBPath
		b.server.ServeHTTP(w, r)
	}))
	backend := httptest.NewServer(calls)
	w := &warmed{close: backend.Close}
	var err error
	if w.environment, err = b.environment(i.function, backend.URL); err == nil {
		w.instance, err = b.start(ctx, function(i.function), w.environment, io.Discard)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	w.close = func() { _ = w.instance.Close(); backend.Close() }
	if w.calls, err = recorded(ctx, w.instance, calls, i.event); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
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
	instances := []*lambdalocal.Instance{w.instance}
	variables := append(w.environment, "CALLS="+string(encoded))
	for _, baseline := range []struct{ name, variable string }{{"minimal", ""}, {"minimal", "KEEP_CONNECTIONS=true"}, {"bare", ""}} {
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
			d, err := invoke(ctx, instance, i.event(100+n))
			if err != nil {
				return err
			}
			took[k] = append(took[k], d)
		}
	}
	name := fmt.Sprintf("warm invocation, %s (%d calls)", i.name, len(w.calls))
	b.report(name+", minimal handler", milliseconds(median(took[0])), "ms", milliseconds(median(took[1])), "≤ 1.10 × baseline")
	b.report(name+", minimal handler that keeps its connections", milliseconds(median(took[0])), "ms", milliseconds(median(took[2])), "≤ 1.10 × baseline")
	b.report(name+", bare client", milliseconds(median(took[0])), "ms", milliseconds(median(took[3])), "≤ 1.25 × baseline (stretch)")
	return nil
}
