package local

import (
	"context"
	crypto "crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sufrah/usage-bootstrap/internal/apigateway"
	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/demo"
	"github.com/sufrah/usage-bootstrap/internal/dynamo"
	"github.com/sufrah/usage-bootstrap/internal/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/eventsource"
	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/usageadmin"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/sqslocal"
	"github.com/sufrah/usage-bootstrap/internal/template"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	api "github.com/sufrah/usage-bootstrap/internal/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// Stack is the deployed system on one machine: its functions behind their API Gateway routes and their queue, over stand-ins
// that speak the protocols of what they stand in for. It is an http.Handler that serves all of it.
type Stack struct {
	Options
	DynamoDB *dynamolocal.Engine
	SQS      *sqslocal.Engine
	Twilio   *sandbox.Twilio
	Sufrah   *sandbox.Sufrah

	cache        *cacheServer
	store, queue *sandbox.Fault // how DynamoDB and SQS behave
	source       template.EventSource
	jobs         *jobLog

	mux     *http.ServeMux // the stack's own paths
	gateway *apigateway.Gateway
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Options say where and when a stack is.
type Options struct {
	Template *template.Template
	// BaseURL is where the stack will be served. Its functions reach their stand-ins there.
	BaseURL string
	Clock   *Clock
	// WebhookURL is the address that webhooks are signed for; empty means that at BaseURL.
	WebhookURL string
	// Log receives the functions' log lines, each in one call of Write. It must be safe for concurrent use.
	Log io.Writer
}

// New returns a stack with the demo data, which takes jobs from its queue until it is closed.
func New(ctx context.Context, o Options) (*Stack, error) {
	var err error
	if o.Template, err = o.Template.With("TwilioAccountSid", twilioAccountSID); err != nil {
		return nil, fmt.Errorf("setting the template's parameters: %w", err)
	}
	tables, err := Tables(o.Template)
	if err != nil {
		return nil, err
	}
	queues, source, err := queues(o.Template)
	if err != nil {
		return nil, err
	}
	s := &Stack{
		Options:  o,
		DynamoDB: dynamolocal.New(o.Clock.Now, tables...),
		SQS:      sqslocal.New(o.Clock.Now, queues...),
		Twilio:   sandbox.NewTwilio(o.Clock.Now, rand.Float64),
		Sufrah:   sandbox.NewSufrah(rand.Float64),
		store:    sandbox.NewFault(rand.Float64, writeDynamoDBFailure),
		queue:    sandbox.NewFault(rand.Float64, writeSQSFailure),
		source:   source,
		jobs:     &jobLog{next: o.Log},
		mux:      http.NewServeMux(),
		gateway: apigateway.New(apigateway.Options{
			Now: o.Clock.Now, Logger: logging.New(o.Log, slog.LevelInfo, "api-gateway"),
		}),
	}
	s.Log = s.jobs
	if err := s.loadDemo(ctx); err != nil {
		return nil, err
	}
	if s.cache, err = newCacheServer(rand.Float64); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// start puts the functions behind their routes and their queue.
func (s *Stack) start() error {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.serveSandbox()
	s.Clock.OnMove(s.SQS.Wake)
	s.running.Go(func() { s.cache.age(ctx, s.Clock) })

	lookup, _, err := s.environment(usageapi.Name) // it takes no variables of unknown names
	if err != nil {
		return err
	}
	usageAPI, err := usageapi.New(lookup, s.Clock.Now, s.Log)
	if err != nil {
		return err
	}
	if lookup, _, err = s.environment(usageadmin.Name); err != nil {
		return err
	}
	usageAdmin, err := usageadmin.New(lookup, s.Clock.Now, s.Log)
	if err != nil {
		return err
	}
	lookup, environ, err := s.environment(processmessage.Name)
	if err != nil {
		return err
	}
	processMessage, err := processmessage.New(lookup, environ, s.Clock.Now, s.Log)
	if err != nil {
		return err
	}
	if lookup, environ, err = s.environment(welcomebootstrap.Name); err != nil {
		return err
	}
	welcomeBootstrap, err := welcomebootstrap.New(lookup, environ, s.Clock.Now, s.Log)
	if err != nil {
		return err
	}
	s.running.Go(func() { s.poll(ctx, welcomeBootstrap) })
	return errors.Join(
		s.gateway.Handle("$default", usageAPI),
		s.gateway.Handle("ANY "+api.RenewPattern, usageAdmin),
		s.gateway.Handle("ANY "+webhook.Path, processMessage))
}

// Close stops taking jobs, and what the stack started.
func (s *Stack) Close() error {
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
	s.cache.Close()
	return nil
}

// ServeHTTP serves the API's routes as API Gateway does, and the stack's own paths.
func (s *Stack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == HealthPath || strings.HasPrefix(r.URL.Path, "/sandbox/") {
		s.mux.ServeHTTP(w, r)
		return
	}
	s.gateway.ServeHTTP(w, r) // not through the mux, which would redirect paths that API Gateway passes on
}

// loadDemo fills the tables in process: their address isn't served yet.
func (s *Stack) loadDemo(ctx context.Context) error {
	local := awsConfig()
	local.BaseEndpoint = aws.String("http://" + StackName)
	local.HTTPClient = &http.Client{Transport: s.DynamoDB.Transport()}
	store := dynamo.New(dynamodb.NewFromConfig(local), dynamo.StackTables(StackName), rand.Float64)
	return demo.Load(ctx, store, usage.NewCalendar(nil), s.Clock.Now())
}

// awsConfig returns the SDK's configuration for stand-ins, which check neither region nor credentials.
func awsConfig() aws.Config {
	return awsconfig.New(sqslocal.Region, aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
}

// pollPause is how long the poller waits before it starts again, after it failed.
const pollPause = time.Second

// poll hands the queue's messages to the function, as the template's event source mapping does.
func (s *Stack) poll(ctx context.Context, invoke eventsource.Invoke) {
	local := awsConfig()
	local.BaseEndpoint = aws.String("http://" + StackName)
	local.HTTPClient = &http.Client{Transport: s.SQS.Transport()} // AWS's own poller doesn't share our outages
	mapping := eventsource.Mapping{
		QueueURL: s.queueURL(s.source.Queue.Name), QueueARN: sqslocal.ARN(s.source.Queue.Name),
		BatchSize: s.source.BatchSize, MaximumBatchingWindow: s.source.MaximumBatchingWindow,
		MaximumConcurrency: s.source.MaximumConcurrency, FunctionTimeout: s.source.FunctionTimeout,
		ReportBatchItemFailures: s.source.ReportBatchItemFailures,
		Grace:                   time.Second, Now: s.Clock.Now, Log: logging.New(s.Log, slog.LevelWarn, "event-source"),
	}
	for ctx.Err() == nil {
		if err := mapping.Run(ctx, sqs.NewFromConfig(local), named(invoke)); err != nil && ctx.Err() == nil {
			mapping.Log.Error("polling failed", slog.Any("error", err))
			select {
			case <-ctx.Done():
			case <-time.After(pollPause):
			}
		}
	}
}

// named gives each invocation a request id, as Lambda does.
func named(invoke eventsource.Invoke) eventsource.Invoke {
	return func(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
		return invoke(lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: crypto.Text()}), event)
	}
}

// queueURL returns the address of a queue by its name.
func (s *Stack) queueURL(name string) string { return sqslocal.QueueURL(s.BaseURL+SQSPath, name) }

// queues returns the template's queues, and how its one event source takes messages from them.
func queues(t *template.Template) ([]sqslocal.Queue, template.EventSource, error) {
	defined, err := t.Queues(StackName)
	if err != nil {
		return nil, template.EventSource{}, fmt.Errorf("reading the template's queues: %w", err)
	}
	sources, err := t.EventSources(StackName)
	if err != nil {
		return nil, template.EventSource{}, fmt.Errorf("reading the template's event sources: %w", err)
	}
	if len(sources) != 1 || sources[0].FunctionID != logicalID(welcomebootstrap.Name) {
		return nil, template.EventSource{}, fmt.Errorf("the template has %d event sources, want that of %s", len(sources), welcomebootstrap.Name)
	}
	queues := make([]sqslocal.Queue, len(defined))
	for i, q := range defined {
		queues[i] = sqslocal.Queue{
			Name: q.Name, VisibilityTimeout: q.VisibilityTimeout, Delay: q.Delay, RetentionPeriod: q.RetentionPeriod,
			DeadLetterQueue: q.DeadLetterQueue, MaxReceiveCount: q.MaxReceiveCount,
		}
	}
	return queues, sources[0], nil
}

// writeDynamoDBFailure answers as DynamoDB does when it fails.
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

// writeSQSFailure answers as SQS does when it fails.
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
	fmt.Fprintf(w, `{"__type":%q,"message":"the sandbox was told to fail"}`, fault)
}
