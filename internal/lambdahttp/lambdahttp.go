// Package lambdahttp serves an http.Handler behind an API Gateway HTTP API (payload format 2.0).
//
// It stands between API Gateway and aws-lambda-go-api-proxy's httpadapter, which does the conversion, and closes the
// adapter's gaps: whatever arrives is answered, an invocation never fails, and the adapter never writes to the log.
//
// What a handler sees:
//
//   - r.URL.Path is the path that the client asked for, without the stage and without Options.BasePath. API Gateway
//     decodes rawPath, so r.URL.Path equals what is left of it byte for byte, and an encoded slash is a slash.
//   - r.Body holds exactly the bytes that the client sent, after base64 decoding, so signatures can be checked over them.
//   - A header that was sent several times was joined with commas by API Gateway. The adapter splits it at each comma
//     and trims spaces: r.Header.Values has the parts, r.Header.Get only the first. A single value with a comma in it
//     (a Date, say) is split all the same. Headers that can occur only once (Authorization, Content-Type, Host,
//     User-Agent and the like) are not split: sent twice, they arrive as one value with a comma.
//   - Each cookie is a Cookie header of its own, as r.Cookies expects.
//   - r.RemoteAddr is the caller's IP address without a port.
package lambdahttp

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// DefaultMaxBodyBytes bounds a request's body, after base64 decoding, unless Options has another limit.
const DefaultMaxBodyBytes = 64 << 10

// Options configure the translation of events into requests.
type Options struct {
	// BasePath is the path that a custom domain puts before the API's own paths ("/usage" or "usage/v1"). A path without it
	// is served unchanged, because the API's default endpoint has no base path. Empty: none.
	BasePath string

	// MaxBodyBytes bounds the decoded body; a longer one is answered with 413. Zero or less: DefaultMaxBodyBytes.
	MaxBodyBytes int

	// Tracer sends a request's calls to X-Ray; nil sends nothing.
	Tracer *timing.Tracer

	// Missed is called with the path of each request that misses the service level: it is answered with 5xx, or after more
	// than Within. It may be nil.
	Missed func(path string)
	Within time.Duration

	// Logger gets a line for every event that couldn't be served properly. It must not be nil.
	Logger *slog.Logger
}

// Handler is a Lambda handler of API Gateway's events.
type Handler = func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)

// New returns a Lambda handler that serves API Gateway's events with h. It never returns an error. An event that isn't an
// HTTP request is answered with 400, a body over the limit with 413, and a panic of h with 500, each with a JSON body
// {"error": …, "code": …}. A request's context has its RequestID, and ends shortly before the invocation does.
func New(h http.Handler, opts Options) Handler {
	s := &server{
		basePath:     strings.Trim(opts.BasePath, "/"),
		maxBodyBytes: opts.MaxBodyBytes,
		logger:       opts.Logger,
		tracer:       opts.Tracer,
		missed:       opts.Missed,
		within:       opts.Within,
		proxy:        httpadapter.NewV2(strict(h)).ProxyWithContext,
	}
	if s.maxBodyBytes <= 0 {
		s.maxBodyBytes = DefaultMaxBodyBytes
	}
	return s.handle
}

type requestIDKey struct{}

// RequestID returns the id of a request in the logs: API Gateway's, or Lambda's if the invocation wasn't served by New. It is
// empty outside an invocation.
func RequestID(ctx context.Context) string {
	if id, ok := ctx.Value(requestIDKey{}).(string); ok {
		return id
	}
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return ""
}

// answerMargin is the time between the end of the request's context and the end of the invocation. It is enough to answer a
// waiting request as unavailable. Otherwise the caller would get API Gateway's bare 500.
const answerMargin = 500 * time.Millisecond

type server struct {
	basePath     string // without slashes at its ends
	maxBodyBytes int
	logger       *slog.Logger
	tracer       *timing.Tracer
	missed       func(path string)
	within       time.Duration
	proxy        Handler
}

func (s *server) handle(ctx context.Context, event events.APIGatewayV2HTTPRequest) (
	events.APIGatewayV2HTTPResponse, error,
) {
	if id := event.RequestContext.RequestID; id != "" {
		ctx = context.WithValue(ctx, requestIDKey{}, id)
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerMargin))
		defer cancel()
	}
	lambdaID := ""
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		lambdaID = lc.AwsRequestID
	}
	ctx, end := timing.Begin(ctx, lambdaID, s.tracer)
	defer end()
	start := time.Now()
	answer := s.serve(ctx, event)
	if s.missed != nil && (answer.StatusCode >= http.StatusInternalServerError || time.Since(start) > s.within) {
		s.missed(s.path(event))
	}
	if strings.EqualFold(event.RequestContext.HTTP.Method, http.MethodHead) {
		answer.Body, answer.IsBase64Encoded = "", false
	}
	return answer, nil
}

func (s *server) serve(ctx context.Context, event events.APIGatewayV2HTTPRequest) (
	answer events.APIGatewayV2HTTPResponse,
) {
	defer func() {
		if p := recover(); p != nil {
			s.logger.ErrorContext(ctx, "request handler panicked: answered with 500", slog.String("requestId", RequestID(ctx)),
				slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			answer = internalError()
		}
	}()

	event, err := s.normalize(event)
	if err != nil {
		s.logger.WarnContext(ctx, "request refused", slog.String("requestId", RequestID(ctx)),
			slog.String("reason", err.Error()))
		return refusal(err)
	}
	answer, err = s.proxy(ctx, event)
	if err != nil {
		s.logger.ErrorContext(ctx, "request not converted for the handler: answered with 500", slog.String("requestId", RequestID(ctx)),
			slog.String("error", err.Error()))
		return internalError()
	}
	return answer
}

var (
	errBodyTooLarge = errors.New("body too large")
	errNoMethod     = errors.New("the event has no HTTP method: it is not of payload format 2.0")
)

// normalize returns the event in a form that the adapter converts without error or loss. Its own error quotes only the faulty
// part of the request.
func (s *server) normalize(event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPRequest, error) {
	body, err := s.decodeBody(event)
	if err != nil {
		return event, err
	}
	event.Body, event.IsBase64Encoded = body, false

	// API Gateway decodes the path but not the query. The adapter parses both together as a URL, in which a "%" or "?" of the
	// decoded path, or a "#" of either, would have another meaning.
	event.RawPath = (&url.URL{Path: s.path(event)}).EscapedPath()
	event.RawQueryString = strings.ReplaceAll(event.RawQueryString, "#", "%23")

	return event, checkRequest(event)
}

func (s *server) decodeBody(event events.APIGatewayV2HTTPRequest) (string, error) {
	body := event.Body
	if event.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			return "", fmt.Errorf("decoding the body: %w", err)
		}
		body = string(decoded)
	}
	if len(body) > s.maxBodyBytes {
		return "", fmt.Errorf("%w: %d bytes are more than the allowed %d", errBodyTooLarge, len(body), s.maxBodyBytes)
	}
	return body, nil
}

// path returns the event's path within the API.
func (s *server) path(event events.APIGatewayV2HTTPRequest) string {
	return s.trimPath(cmp.Or(event.RawPath, event.RequestContext.HTTP.Path), event.RequestContext.Stage)
}

// trimPath cuts the stage and then the base path off a path. API Gateway puts a named stage in front of every path, on the
// default endpoint and on custom domains. It doesn't do so for the stage $default.
func (s *server) trimPath(path, stage string) string {
	if stage != "$default" {
		path = cutSegments(path, stage)
	}
	path = cutSegments(path, s.basePath)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return path
}

// cutSegments removes prefix from path if path begins with its whole segments: "api" is cut off "/api/usage" but not off
// "/apiary". prefix has no slash at its ends.
func cutSegments(path, prefix string) string {
	if prefix == "" {
		return path
	}
	rest, found := strings.CutPrefix(path, "/"+prefix)
	if found && (rest == "" || rest[0] == '/') {
		return rest
	}
	return path
}

// checkRequest builds the request in the same way as the adapter. If the adapter itself failed, it would print the request to
// standard output and fail the invocation.
func checkRequest(event events.APIGatewayV2HTTPRequest) error {
	method := event.RequestContext.HTTP.Method
	if method == "" {
		return errNoMethod
	}
	target := "https://" + event.RequestContext.DomainName + event.RawPath
	if event.RawQueryString != "" {
		target += "?" + event.RawQueryString
	}
	if _, err := http.NewRequestWithContext(context.Background(), strings.ToUpper(method), target, nil); err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err // the outer error has the whole URL
		}
		return fmt.Errorf("building the request: %w", err)
	}
	return nil
}

func refusal(err error) events.APIGatewayV2HTTPResponse {
	if errors.Is(err, errBodyTooLarge) {
		return failure(http.StatusRequestEntityTooLarge, "The request body is too large.", "body_too_large")
	}
	return failure(http.StatusBadRequest, "The request could not be read.", "bad_request")
}

func internalError() events.APIGatewayV2HTTPResponse {
	return failure(http.StatusInternalServerError, "Something went wrong on our side.", "internal_error")
}

// failure returns an error answer. sentence and code must need no JSON escaping.
func failure(status int, sentence, code string) events.APIGatewayV2HTTPResponse {
	return events.APIGatewayV2HTTPResponse{
		StatusCode: status,
		Headers:    map[string]string{"Content-Type": "application/json"},
		Body:       `{"error":"` + sentence + `","code":"` + code + `"}`,
	}
}
