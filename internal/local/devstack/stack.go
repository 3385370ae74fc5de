package devstack

import (
	"bytes"
	"cmp"
	"context"
	crypto "crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/apigateway"
	"github.com/sufrah/usage-bootstrap/internal/local/demo"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/eventsource"
	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
	"github.com/sufrah/usage-bootstrap/internal/local/page"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/usagehttp"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// Stack is the deployed system on a single machine. Its functions are behind API Gateway's routes and the queue, and store
// their data in engines or in stand-ins that speak the same protocols. It is an http.Handler that serves all of this.
type Stack struct {
	Options
	Twilio *sandbox.Twilio
	Sufrah *sandbox.Sufrah

	*backend
	store, queue *sandbox.Fault // how DynamoDB and SQS behave
	source       sam.EventSource
	jobs         *jobLog
	secrets      *secretStore
	pools        map[string]*lambdalocal.Pool // of compiled functions, by name

	mux     *http.ServeMux // the stack's own paths
	gateway *apigateway.Gateway
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Options configure a stack.
type Options struct {
	Definition *sam.Definition
	// Name is the stack's name, from which the names of its tables and queues are made; empty means StackName.
	Name string
	// Host is the address of this machine at which the stack listens; empty means that only this machine reaches it.
	Host string
	// BaseURL is the address at which the stack is served. Its functions reach their stand-ins there.
	BaseURL string
	Clock   *Clock
	// TimeZone is the IANA zone of days and months; empty means template.yaml's default.
	TimeZone string
	// MessagePrices are the prices of messages, for the costs in the usage API; empty means that it shows no costs.
	MessagePrices string
	// AllowedOrigins are the origins of pages that may call the API, as in template.yaml's parameter; empty means every
	// origin on this machine.
	AllowedOrigins string
	// CacheKind is the kind of cache, "elasticache" or "dynamodb", as in template.yaml's parameter; empty means its default.
	CacheKind string
	// WebhookURL is the address for which webhooks are signed; empty means the webhook's address below BaseURL.
	WebhookURL string
	// Log receives the functions' log lines, one in each Write. It must be safe for concurrent use.
	Log io.Writer
	// Tables are the initial tables of a stack on stand-ins, named for this stack. They are copied, not changed; nil means
	// tables with the demo data.
	Tables *dynamolocal.Engine
	// Engines store the stack's data; nil means stand-ins in this process.
	Engines *Engines
	// Binaries is a folder with the compiled functions, each as <name>/bootstrap, which then run as processes of their own;
	// empty means that the functions run in this process.
	Binaries string
}

// New returns a stack with the demo data, or with the tables in its options. It carries out jobs until it is closed.
func New(ctx context.Context, o Options) (*Stack, error) {
	o.Name = cmp.Or(o.Name, StackName)
	parameters := map[string]string{
		"TwilioAccountSid": TwilioAccountSID,
		"AllowedOrigins":   cmp.Or(o.AllowedOrigins, o.BaseURL), // never empty: without any origin, template.yaml has no CORS
	}
	if o.TimeZone != "" {
		parameters["UsageTimeZone"] = o.TimeZone
	}
	if o.MessagePrices != "" {
		parameters["MessagePrices"] = o.MessagePrices
	}
	if o.CacheKind != "" {
		parameters["CacheKind"] = o.CacheKind
	}
	var err error
	for name, value := range parameters {
		if o.Definition, err = o.Definition.With(name, value); err != nil {
			return nil, fmt.Errorf("setting the stack's parameters: %w", err)
		}
	}
	cors, err := corsOf(o)
	if err != nil {
		return nil, err
	}
	s := &Stack{
		Options: o,
		Twilio:  sandbox.NewTwilio(o.Clock.Now, rand.Float64),
		Sufrah:  sandbox.NewSufrah(rand.Float64),
		store:   sandbox.NewFault(rand.Float64, writeDynamoDBFailure),
		queue:   sandbox.NewFault(rand.Float64, writeSQSFailure),
		jobs:    &jobLog{next: o.Log},
		secrets: newSecretStore(),
		mux:     http.NewServeMux(),
		gateway: apigateway.New(apigateway.Options{
			CORS: cors, Now: o.Clock.Now, Logger: logging.New(o.Log, slog.LevelInfo, "api-gateway"),
		}),
	}
	s.Log = s.jobs
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open creates the resources of template.yaml.
func (s *Stack) open(ctx context.Context) error {
	tables, err := s.Definition.Tables(s.Name)
	if err != nil {
		return fmt.Errorf("reading template.yaml's tables: %w", err)
	}
	queues, err := s.Definition.Queues(s.Name)
	if err != nil {
		return fmt.Errorf("reading template.yaml's queues: %w", err)
	}
	sources, err := s.Definition.EventSources(s.Name)
	if err != nil {
		return fmt.Errorf("reading template.yaml's event sources: %w", err)
	}
	if len(sources) != 1 || sources[0].FunctionID != logicalID(welcomebootstrap.Name) {
		return fmt.Errorf("template.yaml has %d event sources: the local stack supports only one, of %s", len(sources), welcomebootstrap.Name)
	}
	s.source = sources[0]
	if s.Engines == nil {
		s.backend, err = newStandIns(s.Options, tables, queues, s.source)
	} else {
		s.backend, err = newOnEngines(ctx, s.Options, tables, queues, s.source)
	}
	return err
}

// start loads the demo data, and connects the functions to their routes and their queue.
func (s *Stack) start(ctx context.Context) error {
	zone, err := s.zone()
	if err != nil {
		return err
	}
	if s.Tables == nil || s.Engines != nil {
		if err := demo.Load(ctx, s.Store(), usage.NewCalendar(zone), s.Clock.Now()); err != nil {
			return err
		}
	}
	s.Twilio.PostThrough(publicAddress{s.BaseURL})
	for sid, template := range approvedTemplates() {
		s.Twilio.Approve(sid, template)
	}
	s.serveSandbox()
	build := s.assembled
	if s.Binaries != "" {
		build = s.compiled
	}
	functions, err := build()
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.running.Go(func() { s.run(running) })
	s.running.Go(func() { s.poll(running, functions.welcomeBootstrap) })
	return errors.Join(
		s.gateway.Handle("$default", functions.usageAPI),
		s.gateway.Handle("ANY "+usagehttp.TopUpRoute, functions.usageAdmin),
		s.gateway.Handle("ANY "+webhook.Path, functions.processMessage),
		s.gateway.Handle("ANY "+webhook.StatusPath, functions.processMessage))
}

// publicAddress is a transport that sends every request to the stack itself, whatever public address it names: a local stack
// must post to nobody else.
type publicAddress struct{ baseURL string }

func (p publicAddress) RoundTrip(r *http.Request) (*http.Response, error) {
	base, err := url.Parse(p.baseURL)
	if err != nil {
		return nil, err
	}
	there := r.Clone(r.Context())
	there.URL.Scheme, there.URL.Host = base.Scheme, base.Host
	return toEngines.RoundTrip(there)
}

// zone returns the time zone of the stack's functions.
func (s *Stack) zone() (*time.Location, error) {
	variables, err := s.Definition.FunctionEnvironment(logicalID(usageapi.Name), s.Name)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(variables["USAGE_TIME_ZONE"])
	if err != nil {
		return nil, fmt.Errorf("loading the time zone USAGE_TIME_ZONE: %w", err)
	}
	return zone, nil
}

// corsOf returns the CORS of template.yaml's only HTTP API.
func corsOf(o Options) (*apigateway.CORS, error) {
	apis, err := o.Definition.Resources("AWS::Serverless::HttpApi", o.Name)
	if err != nil {
		return nil, fmt.Errorf("reading template.yaml's API: %w", err)
	}
	if len(apis) != 1 {
		return nil, fmt.Errorf("template.yaml has %d HTTP APIs: the local stack supports only one", len(apis))
	}
	var properties struct{ CorsConfiguration apigateway.CORS }
	if err := apis[0].Decode(&properties); err != nil {
		return nil, fmt.Errorf("reading template.yaml's CORS: %w", err)
	}
	cors := &properties.CorsConfiguration
	cors.AllowLocalhost = o.AllowedOrigins == ""
	return cors, nil
}

// Store returns the stack's tables, without the faults that functions see.
func (s *Stack) Store() *stackstore.Store {
	return stackstore.New(dynamodb.NewFromConfig(s.dynamoDB.config()), schema.StackTables(s.Name), rand.Float64)
}

// StandIn returns the stack's stand-in for DynamoDB, which counts units. It is nil if the stack is on engines.
func (s *Stack) StandIn() *dynamolocal.Engine {
	engine, _ := s.dynamoDB.Handler.(*dynamolocal.Engine)
	return engine
}

// Close stops the jobs and everything else that the stack started.
func (s *Stack) Close() error {
	if s.stop != nil {
		s.stop()
	}
	s.Twilio.Close()
	s.running.Wait()
	for _, pool := range s.pools {
		pool.Close()
	}
	s.cache.close()
	return nil
}

// ServeHTTP serves the API's routes as API Gateway does, and the stack's own paths.
func (s *Stack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == HealthPath || strings.HasPrefix(r.URL.Path, "/sandbox/") || page.Serves(r.URL.Path) {
		s.mux.ServeHTTP(w, r)
		return
	}
	if r.Method == http.MethodPost && r.URL.Path == webhook.Path {
		s.noteMessage(r)
	}
	s.gateway.ServeHTTP(w, r) // not through the mux, which would redirect paths that API Gateway passes on
}

// noteMessage tells Twilio's stand-in that the customer has written, so that lists can be sent for 24 hours.
func (s *Stack) noteMessage(r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	r.Body = readCloser{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	if form, parseErr := url.ParseQuery(string(body)); err == nil && parseErr == nil {
		s.Twilio.Wrote(form.Get("From"), form.Get("To"))
	}
}

type readCloser struct {
	io.Reader
	io.Closer
}

// pollPause is the wait before polling starts again after a failure.
const pollPause = time.Second

// poll passes the queue's messages to the function, as template.yaml's event source mapping does.
func (s *Stack) poll(ctx context.Context, invoke eventsource.Invoke) {
	client := sqs.NewFromConfig(s.sqs.config()) // without the sandbox's faults: AWS's poller has no share in a function's outages
	mapping := eventsource.Mapping{
		QueueURL: s.queueURL(s.source.Queue.Name), QueueARN: sqslocal.ARN(s.source.Queue.Name),
		BatchSize: s.source.BatchSize, MaximumBatchingWindow: s.source.MaximumBatchingWindow,
		MaximumConcurrency: s.source.MaximumConcurrency, FunctionTimeout: s.source.FunctionTimeout,
		ReportBatchItemFailures: s.source.ReportBatchItemFailures,
		Grace:                   time.Second, Now: s.Clock.Now, Log: logging.New(s.Log, slog.LevelWarn, "event-source"),
	}
	for ctx.Err() == nil {
		if err := mapping.Run(ctx, client, invoke); err != nil && ctx.Err() == nil {
			mapping.Log.Error("polling failed", slog.Any("error", err))
			select {
			case <-ctx.Done():
			case <-time.After(pollPause):
			}
		}
	}
}

// named gives each invocation a request id and a trace id, as Lambda's runtime does.
func named[In, Out any](invoke func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, event In) (Out, error) {
		ctx = context.WithValue(ctx, "x-amzn-trace-id", lambdalocal.NewTraceID(time.Now())) //nolint:staticcheck // the runtime has no other key
		return invoke(lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: crypto.Text()}), event)
	}
}

// queueURL returns the address of a queue by its name.
func (s *Stack) queueURL(name string) string { return sqslocal.QueueURL(s.BaseURL+SQSPath, name) }

// writeDynamoDBFailure answers like a failing DynamoDB.
func writeDynamoDBFailure(w http.ResponseWriter, status int) {
	code := "InternalServerError"
	switch {
	case status == http.StatusServiceUnavailable:
		code = "ServiceUnavailable"
	case status < http.StatusInternalServerError: // DynamoDB throttles with 400
		code = "ThrottlingException"
	}
	writeAWSFailure(w, status, "com.amazonaws.dynamodb.v20120810#"+code)
}

// writeSQSFailure answers like a failing SQS.
func writeSQSFailure(w http.ResponseWriter, status int) {
	code := "InternalFailure"
	switch {
	case status == http.StatusServiceUnavailable:
		code = "ServiceUnavailable"
	case status < http.StatusInternalServerError:
		code = "RequestThrottled"
	}
	writeAWSFailure(w, status, "com.amazonaws.sqs#"+code)
}

func writeAWSFailure(w http.ResponseWriter, status int, fault string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"__type":%q,"message":"the sandbox is set to fail"}`, fault)
}
