// Package function runs a Lambda function: it builds the handler from the environment, and serves its invocations.
package function

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/health"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// Build returns the handler for all invocations. It makes no call, so that a cold start is short, and an instance starts even
// during an outage. If the environment is faulty, the error has every fault.
type Build[H any] func(environ config.Environment, now func() time.Time, log io.Writer) (H, error)

// AWS returns the SDK's configuration for a service at an endpoint; "" is AWS's own.
func AWS(settings config.AWS, endpoint string) aws.Config {
	c := awsconfig.New(settings.Region, aws.Credentials{
		AccessKeyID: settings.AccessKeyID, SecretAccessKey: settings.SecretAccessKey, SessionToken: settings.SessionToken,
		Source: "environment",
	})
	if endpoint != "" {
		c.BaseEndpoint = &endpoint
	}
	return c
}

// Tracer returns the tracer that sends an invocation's calls to X-Ray, nil if there is no daemon.
func Tracer(settings config.AWS) *timing.Tracer {
	return timing.NewTracer(settings.XRayDaemon, rand.Uint64)
}

// A function's heap has a few megabytes, so with Go's default every fiftieth invocation or so would pay for a collection.
// Therefore the heap may grow to this percentage of the live data. The limit keeps it below the function's memory, which must
// also hold the binary and the stacks.
const (
	heapGrowth   = 400
	heapPart     = 3
	memoryParts  = 4
	bytesPerMega = 1 << 20
)

// setHeap sets the garbage collector for small heaps that may grow. GOGC and GOMEMLIMIT take precedence if they are set.
func setHeap(environ config.Environment) {
	if environ.Get("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if megabytes, err := strconv.ParseInt(environ.Get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 64); err == nil && environ.Get("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(megabytes * bytesPerMega / memoryParts * heapPart)
	}
}

// loadRoots parses the system's root certificates, which the first connection would do otherwise. Parsing some 145 of them
// takes milliseconds of a whole processor. Lambda gives a function a whole processor while it starts, but only a part of one
// in an invocation: 0.29 at 512 MB (AWS, Lambda developer guide). The channel is closed once the certificates are parsed.
func loadRoots() <-chan struct{} {
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		_, _ = x509.SystemCertPool() // if there are none, the first connection fails and says so
	}()
	return loaded
}

// Health returns a function's checks. It is called for each health event and makes new clients, because an instance's cached
// values, such as a secret's, may be out of date.
type Health func(environ config.Environment, now func() time.Time, log io.Writer) (health.Subject, error)

// Handler returns the handler of a function's invocations. It answers health events, and passes all other events to the
// handler that build returns.
func Handler[H any](build Build[H], check Health, environ config.Environment, now func() time.Time, log io.Writer) (lambda.Handler, error) {
	handler, err := build(environ, now, log)
	if err != nil {
		return nil, err
	}
	return examined{lambda.NewHandler(handler), func() (health.Subject, error) { return check(environ, now, log) }, environ.Get("RELEASE")}, nil
}

// examined answers health events, and passes all others on.
type examined struct {
	lambda.Handler
	subject func() (health.Subject, error)
	release string
}

// Invoke implements lambda.Handler.
func (e examined) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if !health.Asked(payload) {
		return e.Handler.Invoke(ctx, payload)
	}
	subject, err := e.subject()
	if err != nil {
		return nil, err
	}
	subject.Settings.Release = e.release
	answer, err := json.Marshal(health.Examine(ctx, subject))
	if err != nil {
		return nil, fmt.Errorf("encoding the report: %w", err)
	}
	return answer, nil
}

// Run builds the function's handler and serves invocations until Lambda ends the process. It returns only if the handler
// can't be built, after it has logged the reason.
func Run[H any](name string, build Build[H], check Health, environ config.Environment, log io.Writer) error {
	setHeap(environ)
	roots := loadRoots()
	handler, err := Handler(build, check, environ, time.Now, log)
	<-roots
	if err != nil {
		// Alarms find a function's log lines by its name at Lambda.
		deployed := cmp.Or(environ.Get("AWS_LAMBDA_FUNCTION_NAME"), name)
		logging.New(log, slog.LevelError, deployed).Error("start failed", slog.Any("error", err))
		return err
	}
	lambda.Start(handler)
	return nil
}
