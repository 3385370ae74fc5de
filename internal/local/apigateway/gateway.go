// Package apigateway is an API Gateway HTTP API on this machine: it turns HTTP requests into events of payload format 2.0,
// passes them to a function, and turns the function's answers back into HTTP. It is for local stacks and tests only.
//
// It behaves like Amazon's gateway, surprises included: the path is decoded and the query isn't, repeated headers and query
// parameters are joined with commas, a form is passed on in base64, a named stage is part of the path, and HEAD reaches only
// a route for HEAD or ANY.
package apigateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// Amazon's fixed quotas for HTTP APIs.
const (
	MaxBodyBytes = 10 << 20
	MaxTimeout   = 30 * time.Second
)

// DefaultStage is the stage whose name isn't part of the path.
const DefaultStage = "$default"

// Invoke calls a function with one event, as lambda.Start does. It may be called concurrently. Its context ends at the
// gateway's time-out, and not when the client leaves: Lambda doesn't notice that either.
type Invoke func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)

// Options configure a gateway.
type Options struct {
	// Stage is the stage's name, which the client leaves out: with the stage "prod", a request for /api has the rawPath
	// /prod/api, as behind a custom domain. Empty: DefaultStage.
	Stage string

	// Timeout is the time after which the client gets a 503 in place of the function's answer. Zero: MaxTimeout.
	Timeout time.Duration

	// CORS says which web sites' pages may call the API. With nil none may, and functions get preflights like any other
	// request.
	CORS *CORS

	// Now gives the time in events. It must not be nil.
	Now func() time.Time

	// Logger gets a line for every failed invocation. It must not be nil.
	Logger *slog.Logger
}

// Gateway is an http.Handler. Add all routes before it serves its first request.
type Gateway struct {
	stage   string
	timeout time.Duration
	cors    *CORS
	now     func() time.Time
	logger  *slog.Logger
	routes  routeTable
}

// New returns a gateway without routes.
func New(opts Options) *Gateway {
	g := &Gateway{stage: opts.Stage, timeout: opts.Timeout, cors: opts.CORS, now: opts.Now, logger: opts.Logger}
	if g.stage == "" {
		g.stage = DefaultStage
	}
	if g.timeout == 0 {
		g.timeout = MaxTimeout
	}
	return g
}

// Handle adds a route: it sends the route's requests to invoke. A route has API Gateway's form: a method or ANY, and a path
// ("GET /api/usage"). A segment of the path may be a variable ("GET /api/usage/{id}"), and the last one may stand for the
// rest of the path ("ANY /api/{proxy+}"). "$default" takes all requests that no other route takes. Handle fails if the route
// has another form or exists already.
//
// A request goes to its most specific route, whatever the order of the calls: text comes before a variable, a variable before
// the rest, and a method before ANY.
func (g *Gateway) Handle(route string, invoke Invoke) error {
	if err := g.routes.add(route, invoke); err != nil {
		return fmt.Errorf("adding route %q: %w", route, err)
	}
	return nil
}

// ServeHTTP answers with the answer of the route's function. The gateway's own answers are JSON of the form {"message": …}:
// 404 if there is no route, 413 for a body over MaxBodyBytes, 500 if the function failed or gave no HTTP answer, and 503 if
// it took too long.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := newRequestID()
	w.Header().Set("Apigw-Requestid", requestID)
	if g.cors.answer(w, r) {
		return
	}

	route, parameters := g.routes.find(r.Method, r.URL.Path)
	if route == nil {
		writeMessage(w, http.StatusNotFound, "Not Found")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBodyBytes))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		writeMessage(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	} else if err != nil {
		writeMessage(w, http.StatusBadRequest, "Bad Request")
		return
	}

	event := g.newEvent(r, body, requestID)
	event.RouteKey, event.RequestContext.RouteKey = route.key, route.key
	event.PathParameters = parameters

	answer, err := g.call(r.Context(), route.invoke, event)
	if err == nil {
		err = g.writeAnswer(w, answer)
	}
	if err != nil {
		g.logger.ErrorContext(r.Context(), "invocation failed", slog.String("route", route.key),
			slog.String("requestId", requestID), slog.String("error", err.Error()))
		if errors.Is(err, errTimedOut) {
			writeMessage(w, http.StatusServiceUnavailable, "Service Unavailable")
			return
		}
		writeMessage(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

// call invokes the function and waits for it until the time-out. The function may go on after that.
func (g *Gateway) call(ctx context.Context, invoke Invoke, event events.APIGatewayV2HTTPRequest) (
	events.APIGatewayV2HTTPResponse, error,
) {
	type outcome struct {
		answer events.APIGatewayV2HTTPResponse
		err    error
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.timeout)
	defer cancel()
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- outcome{err: fmt.Errorf("function panicked: %v", p)}
			}
		}()
		answer, err := invoke(ctx, event)
		done <- outcome{answer, err}
	}()

	var o outcome
	select {
	case o = <-done:
	case <-ctx.Done():
		o.err = ctx.Err()
	}
	if o.err != nil && ctx.Err() != nil {
		return o.answer, errTimedOut
	}
	return o.answer, o.err
}

var (
	errTimedOut = errors.New("the function did not answer in time")
	errNoAnswer = errors.New("the function's answer is no HTTP answer")
)

// writeAnswer sends a function's answer to the client. If it returns an error, it has sent nothing.
func (g *Gateway) writeAnswer(w http.ResponseWriter, answer events.APIGatewayV2HTTPResponse) error {
	if answer.StatusCode < 200 || answer.StatusCode > 599 {
		return fmt.Errorf("%w: status %d", errNoAnswer, answer.StatusCode)
	}
	body := []byte(answer.Body)
	if answer.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(answer.Body); err != nil {
			return fmt.Errorf("%w: %w", errNoAnswer, err)
		}
	}
	header := w.Header()
	for name, value := range answer.Headers {
		if !g.cors.ignoresHeader(name) {
			header.Set(name, value)
		}
	}
	for _, cookie := range answer.Cookies {
		header.Add("Set-Cookie", cookie)
	}
	for _, name := range []string{"Connection", "Content-Length", "Transfer-Encoding"} {
		header.Del(name) // the server sets it itself
	}
	if header.Get("Content-Type") == "" && len(body) > 0 {
		header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(body) // fails if the client has gone, or if the status allows no body
	return nil
}

func writeMessage(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"message":"`+message+`"}`)
}
