// Package welcomebootstrap assembles the function welcome-bootstrap from its environment. The function's main starts it, and
// so do local stacks, with a clock of their own.
package welcomebootstrap

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/clock"
	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/backend"
	"github.com/sufrah/usage-bootstrap/internal/lambdasqs"
	"github.com/sufrah/usage-bootstrap/internal/listcontent"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/metrics"
	"github.com/sufrah/usage-bootstrap/internal/ratelimit"
	"github.com/sufrah/usage-bootstrap/internal/sqsqueue"
)

// Name is the function's name, in its log and under functions.
const Name = "welcome-bootstrap"

const (
	// startSpread is added to the minute of the rate. The rate should hold for the calls that Sufrah sees, but the time
	// between a job's start and its first call varies by some milliseconds. Without the addition, Sufrah could see one call
	// too many in a minute.
	startSpread = 200 * time.Millisecond
	// atOnce is the number of simultaneous jobs in all instances: the template's MaximumConcurrency. While the cache is down,
	// each instance keeps a fifth of the rate.
	atOnce = 5
)

// Handler is a Lambda handler of SQS events.
type Handler = func(context.Context, events.SQSEvent) (events.SQSEventResponse, error)

// New is a function.Build.
func New(environ config.Environment, now func() time.Time, log io.Writer) (Handler, error) {
	settings, err := config.LoadWelcomeBootstrap(environ)
	if err != nil {
		return nil, err
	}
	logger := logging.New(log, settings.LogLevel, settings.FunctionName)
	meter := metrics.New(log, settings.FunctionName, now)
	server, err := backend.Cache(settings.Cache, settings.AWS, now, meter)
	if err != nil {
		return nil, err
	}
	origin, err := backend.Sufrah(settings.Sufrah, settings.AWS, now, logger)
	if err != nil {
		return nil, err
	}
	pace, err := ratelimit.NewLimiter(ratelimit.LimiterConfig{
		Key: "sufrah:v1:{jobs}:starts", Rate: int(settings.JobsPerMinute), Per: time.Minute + startSpread,
		Alone: max(1, int(settings.JobsPerMinute)/atOnce), Now: now, Random: rand.Uint64,
	}, server, logger)
	if err != nil {
		return nil, fmt.Errorf("configuring the rate of jobs: %w", err)
	}
	options := backend.CacheOptions(server, settings.Sufrah, now, logger, meter)
	menu := cache.NewMenu(origin, options)
	contents, err := backend.Contents(settings.Twilio, backend.TwilioTokens(settings.Twilio, settings.AWS, now, logger))
	if err != nil {
		return nil, err
	}
	lists := options
	lists.Observer = cache.Observer{}                         // the metrics are about menus
	lists.Breaker, lists.RetryAfter, lists.Hold = nil, nil, 0 // these concern Sufrah, and lists are made at Twilio
	parts := append(
		bootstrap.Parts(menu, cache.NewTemplates(server, settings.TemplateSIDs, settings.Sufrah.CacheTTL, logger), settings.TemplateSIDs),
		bootstrap.ListPart(menu, listcontent.New(contents, lists)))
	if settings.ProductCalls > 0 {
		products := cache.NewProducts(origin, options)
		parts = append(parts, bootstrap.ProductPart(menu, products, int(settings.ProductCalls)))
	}
	worker := &bootstrap.Worker{
		Parts:      parts,
		Pace:       pace,
		Attempts:   int(settings.Attempts),
		MaxAge:     settings.MaxAge,
		Backoff:    settings.BackoffDelay,
		RetryAfter: backend.RetryAfter,
		Now:        now,
		Sleep:      clock.Sleep,
		RequestID:  requestID,
		Log:        logger,
		Observe:    meter.JobEnded,
	}
	queue := sqsqueue.New(sqs.NewFromConfig(function.AWS(settings.AWS, settings.SQS)), settings.BootstrapQueueURL, settings.DeadLetterQueueURL)
	return lambdasqs.New(worker, queue, logger, function.Tracer(settings.AWS)), nil
}

func requestID(ctx context.Context) string {
	if invocation, ok := lambdacontext.FromContext(ctx); ok {
		return invocation.AwsRequestID
	}
	return ""
}
