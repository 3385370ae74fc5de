package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/usageadmin"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// operation is an operation with a counted cost. before prepares it uncounted: afterwards the instance knows the credential
// and the restaurant, as it does except right after its start.
type operation struct {
	name   string
	before func(*subject) error
	do     func(*subject) error
}

const (
	inSession = "message in a session"
	unknown   = "message in a session, restaurant not cached"
)

// The customers of the messages. Each operation begins in the state that the previous one left.
const (
	warmer    = "+966500000001" // writes messages that refresh the instance's knowledge
	newcomer  = "+966500000002"
	returning = "+966500000003"
)

var operations = []operation{
	{"first message ever", say(warmer, "hello"), say(newcomer, "hello")},
	{"repeat of a message", nothing, repeat},
	{inSession, say(newcomer, "hello"), say(newcomer, "hello")},
	{unknown, pass(2 * time.Minute), say(newcomer, "hello")},
	{"message that opens a session", func(s *subject) error {
		return errors.Join(say(returning, "hello")(s), pass(30*time.Hour)(s), say(warmer, "hello")(s))
	}, say(returning, "hello")},
	{"menu from the cache", say(newcomer, "menu"), say(newcomer, "menu")},
	{"status callback", nothing, callback},
	{"status callback that was taken before", nothing, callback},
	{"bootstrap job", nothing, job},
	{"one restaurant", get("/api/usage", owner), get("/api/usage", owner)},
	{"one restaurant with history", get("/api/usage/"+busiest, admin), get("/api/usage/"+busiest, admin)},
	{"details", get("/api/usage/details", owner), get("/api/usage/details", owner)},
	{"list of 100", get("/api/usage?limit=100", admin), get("/api/usage?limit=100", admin)},
	{"list of 50, by cursor", nextPage, func(s *subject) error { return get("/api/usage?limit=50&cursor="+s.cursor, admin)(s) }},
	{"search that all match, 20 of them", get("/api/usage?search=rest", admin), get("/api/usage?search=rest&limit=20", admin)},
	{"search that ten match", get("/api/usage?search=rest", admin), get("/api/usage?search=clxyz00000", admin)},
	{"alerts of 50", get("/api/usage/alerts?limit=50", admin), get("/api/usage/alerts?limit=50", admin)},
	{"top-up", nothing, topUp},
	{"refused credential", nothing, refused},
}

// inTable ends the name of an operation that is counted with the cache in a table.
const inTable = ", cache in a table"

// inTableOperations returns the operations that use the cache. The job comes first, because the cache must be empty before
// it. A welcome is not among them: it uses no cache, and the stack would carry out its job during the count.
func inTableOperations() []operation {
	return []operation{
		{"bootstrap job" + inTable, nothing, job},
		{"bootstrap job, all in the cache" + inTable, nothing, job},
		{"menu from the cache" + inTable, func(s *subject) error {
			return errors.Join(say(newcomer, "hello")(s), s.jobDone(), say(newcomer, "menu")(s))
		}, say(newcomer, "menu")},
	}
}

// jobDone waits until the stack has carried out a job.
func (s *subject) jobDone() error {
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(quiet) {
		answer := httptest.NewRecorder()
		s.stack.ServeHTTP(answer, httptest.NewRequestWithContext(s, http.MethodGet, "/sandbox/jobs", http.NoBody))
		if strings.Contains(answer.Body.String(), "completed") {
			return nil
		}
	}
	return errors.New("no job was carried out in a minute")
}

// subject is the functions of the counted operations, with their stack.
type subject struct {
	context.Context
	stack     *devstack.Stack
	functions map[string]lambda.Handler
	now       func() time.Time
	pass      func(time.Duration)
	account   string // at Twilio
	messages  int
	latest    events.APIGatewayV2HTTPRequest // the latest message of a customer
	cursor    string                         // of the second half of the list
}

// newSubject builds the functions in this process, like instances that Lambda has started.
func newSubject(ctx context.Context, stack *devstack.Stack, now func() time.Time, pass func(time.Duration)) (*subject, error) {
	s := &subject{Context: ctx, stack: stack, functions: make(map[string]lambda.Handler), now: now, pass: pass}
	return s, errors.Join(
		start(s, usageapi.Name, usageapi.New), start(s, usageadmin.Name, usageadmin.New), start(s, processmessage.Name, processmessage.New),
		start(s, welcomebootstrap.Name, welcomebootstrap.New))
}

func start[H any](s *subject, name string, build func(config.Environment, func() time.Time, io.Writer) (H, error)) error {
	environ, err := s.stack.FunctionEnvironment(name)
	if err != nil {
		return err
	}
	handler, err := build(environ, s.now, io.Discard)
	s.functions[name] = lambda.NewHandler(handler)
	if account := config.Environment(environ).Get("TWILIO_ACCOUNT_SID"); account != "" {
		s.account = account
	}
	return err
}

// invoke lets a function handle an event, and returns the answer.
func (s *subject) invoke(function string, event any) ([]byte, error) {
	encoded, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s, time.Minute)
	defer cancel()
	return s.functions[function].Invoke(ctx, encoded)
}

// request lets a function answer an HTTP request. It fails unless the answer has the wanted status and all of the parts.
func (s *subject) request(function string, r events.APIGatewayV2HTTPRequest, status int, parts ...string) error {
	answer, err := s.invoke(function, r)
	if err != nil {
		return err
	}
	var response events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		return err
	}
	if response.StatusCode == http.StatusNotFound {
		return errNotFound
	}
	if response.StatusCode != status {
		return fmt.Errorf("%s was answered %d %.300s, want %d", r.RawPath, response.StatusCode, response.Body, status)
	}
	for _, part := range parts {
		if !strings.Contains(response.Body, part) {
			return fmt.Errorf("%s was answered %.300s, without %q", r.RawPath, response.Body, part)
		}
	}
	return nil
}

var errNotFound = errors.New("there is nothing at the path")

func event(method, target, body string, headers map[string]string) events.APIGatewayV2HTTPRequest {
	path, query, _ := strings.Cut(target, "?")
	e := events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: "$default", RawPath: path, RawQueryString: query, Headers: headers, Body: body}
	e.RequestContext.HTTP.Method, e.RequestContext.Stage, e.RequestContext.RequestID = method, "$default", "request"
	return e
}

func nothing(*subject) error { return nil }

func pass(d time.Duration) func(*subject) error {
	return func(s *subject) error {
		s.pass(d)
		return nil
	}
}

// say lets a customer write to the busiest restaurant.
func say(customer, text string) func(*subject) error {
	return func(s *subject) error {
		s.pass(time.Second) // so that no two messages come at the same moment
		s.messages++
		s.latest = s.signed(webhook.Path, url.Values{
			"From": {"whatsapp:" + customer}, "To": {"whatsapp:" + number}, "MessageSid": {fmt.Sprintf("SM%032d", s.messages)}, "Body": {text},
			"ProfileName": {"Guest"}, "NumMedia": {"0"}, "AccountSid": {s.account},
		})
		return s.request(processmessage.Name, s.latest, http.StatusOK, "<Response")
	}
}

// signed returns a form as Twilio posts and signs it.
func (s *subject) signed(path string, form url.Values) events.APIGatewayV2HTTPRequest {
	target := strings.TrimSuffix(devstack.EventsWebhookURL, webhook.Path) + path
	return event(http.MethodPost, path, form.Encode(), map[string]string{
		"content-type": "application/x-www-form-urlencoded", "x-twilio-signature": twilio.Signature(devstack.TwilioAuthToken, target, form),
	})
}

// repeat delivers the latest message again.
func repeat(s *subject) error {
	return s.request(processmessage.Name, s.latest, http.StatusOK)
}

// callback reports a status of the latest answer.
func callback(s *subject) error {
	sent := s.stack.Twilio.Messages("")
	if len(sent) == 0 {
		return errors.New("nothing was sent")
	}
	origin := delivery.Origin{
		Kind: delivery.List, Category: delivery.Service, SentAt: s.now(),
		Place: delivery.Place{Day: usage.NewCalendar(nil).Date(s.now()), Page: "k7f3q2ab9x", Number: 7},
	}
	return s.request(processmessage.Name, s.signed(webhook.StatusPath+"?"+origin.Query(), url.Values{
		"MessageSid": {sent[0].SID}, "MessageStatus": {"delivered"}, "From": {"whatsapp:" + number}, "To": {"whatsapp:" + newcomer},
		"AccountSid": {s.account},
	}), http.StatusOK)
}

// job prefetches a merchant's menu.
func job(s *subject) error {
	body := fmt.Sprintf(`{"version":1,"jobId":"job-1","restaurantId":%q,"merchantId":"merchant-new","customerWa":%q,"profileName":"Guest","enqueuedAt":%q}`,
		busiest, newcomer, s.now().UTC().Format(time.RFC3339))
	answer, err := s.invoke(welcomebootstrap.Name, events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: "message-1", ReceiptHandle: "handle", Body: body, EventSource: "aws:sqs", Attributes: map[string]string{"ApproximateReceiveCount": "1"},
	}}})
	if err == nil && bytes.Contains(answer, []byte("itemIdentifier")) {
		err = fmt.Errorf("the job failed: %s", answer)
	}
	return err
}

// The callers.
var (
	owner = map[string]string{"authorization": "Bearer " + token, "x-restaurant-id": busiest}
	admin = map[string]string{"x-api-key": apiKey}
)

func get(target string, as map[string]string) func(*subject) error {
	return func(s *subject) error {
		parts := []string{busiest}
		if strings.Contains(target, "limit=") { // the page must be full
			parts = []string{`"data":[{`, `"hasMore":true`}
		}
		if (strings.Contains(target, "limit=100") || strings.Contains(target, "cursor=")) && s.restaurants() == 100 {
			parts = parts[:1]
		}
		return s.request(usageapi.Name, event(http.MethodGet, target, "", as), http.StatusOK, parts...)
	}
}

// nextPage takes the cursor at the end of the page in the middle of the list.
func nextPage(s *subject) error {
	target := fmt.Sprintf("/api/usage?limit=50&offset=%d", s.restaurants()/2-50)
	answer, err := s.invoke(usageapi.Name, event(http.MethodGet, target, "", admin))
	if err != nil {
		return err
	}
	var response events.APIGatewayV2HTTPResponse
	var page struct{ Pagination struct{ NextCursor string } }
	err = errors.Join(json.Unmarshal(answer, &response), json.Unmarshal([]byte(response.Body), &page))
	s.cursor = page.Pagination.NextCursor
	return err
}

func (s *subject) restaurants() int {
	return s.stack.Tables.ItemCount(devstack.StackName + "-restaurants")
}

func topUp(s *subject) error {
	headers := map[string]string{"x-api-key": apiKey, "idempotency-key": "costs-1", "content-type": "application/json"}
	return s.request(usageadmin.Name, event(http.MethodPost, "/api/admin/usage/"+busiest+"/renew", `{"amount":500}`, headers), http.StatusOK)
}

func refused(s *subject) error {
	headers := map[string]string{"authorization": "Bearer " + strings.Repeat("x", len(token)), "x-restaurant-id": busiest}
	return s.request(usageapi.Name, event(http.MethodGet, "/api/usage/details", "", headers), http.StatusUnauthorized)
}
