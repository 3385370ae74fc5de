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

// Build returns the handler that all invocations share. It makes no call, so that a cold start is short and an outage
// elsewhere keeps no instance from starting. If the environment is faulty, the error names every fault.
type Build[H any] func(environ config.Environment, now func() time.Time, log io.Writer) (H, error)

// AWS returns the SDK's configuration for a service at the endpoint; "" is AWS's own.
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

// Tracer returns the sender of an invocation's calls to X-Ray, nil if no daemon takes them.
func Tracer(settings config.AWS) *timing.Tracer {
	return timing.NewTracer(settings.XRayDaemon, rand.Uint64)
}

// A function's heap is a few megabytes, so with Go's default every fiftieth invocation or so would pay for a collection. The
// heap may grow to this percentage of the live data, and the limit keeps it below the function's memory, because the binary and
// stacks need a part too.
const (
	heapGrowth   = 400
	heapPart     = 3
	memoryParts  = 4
	bytesPerMega = 1 << 20
)

// setHeap sets the garbage collector for small heaps that may grow. GOGC and GOMEMLIMIT, where they are set, win.
func setHeap(environ config.Environment) {
	if environ.Get("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if megabytes, err := strconv.ParseInt(environ.Get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 64); err == nil && environ.Get("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(megabytes * bytesPerMega / memoryParts * heapPart)
	}
}

// loadRoots reads the system's root certificates, which the first connection would do otherwise. Parsing some 145 of them takes
// milliseconds of a whole processor, which Lambda gives a function while it starts, and several times as long in an invocation:
// 512 MB are 0.29 of a processor (AWS, Lambda developer guide). The channel is closed when they have been read.
func loadRoots() <-chan struct{} {
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		_, _ = x509.SystemCertPool() // a user of the certificates is told if there are none
	}()
	return loaded
}

// Health returns a function's checks. It is called for each health event, and makes clients of its own, because an instance's
// cached values, such as a secret's, may be out of date.
type Health func(environ config.Environment, now func() time.Time, log io.Writer) (health.Subject, error)

// Handler returns a handler of the function's invocations: its build's handler, and health events.
func Handler[H any](build Build[H], check Health, environ config.Environment, now func() time.Time, log io.Writer) (lambda.Handler, error) {
	handler, err := build(environ, now, log)
	if err != nil {
		return nil, err
	}
	return examined{lambda.NewHandler(handler), func() (health.Subject, error) { return check(environ, now, log) }, environ.Get("RELEASE")}, nil
}

// examined answers health events, and hands on all others.
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
// can't be built, after it has logged why.
func Run[H any](name string, build Build[H], check Health, environ config.Environment, log io.Writer) error {
	setHeap(environ)
	roots := loadRoots()
	handler, err := Handler(build, check, environ, time.Now, log)
	<-roots
	if err != nil {
		// Alarms find a function's lines by the name that it is deployed under.
		deployed := cmp.Or(environ.Get("AWS_LAMBDA_FUNCTION_NAME"), name)
		logging.New(log, slog.LevelError, deployed).Error("start failed", slog.Any("error", err))
		return err
	}
	lambda.Start(handler)
	return nil
}
