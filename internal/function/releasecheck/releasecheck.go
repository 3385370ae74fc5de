// Package releasecheck is a function that checks a new version of another function before the version gets traffic.
// CodeDeploy calls the check before moving the alias (hook BeforeAllowTraffic). The check sends the version a health event,
// and tells CodeDeploy whether to go on. So a version that doesn't start, or that can't reach a table, a secret or the cache,
// never gets traffic.
package releasecheck

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/sufrah/usage-bootstrap/internal/clock"
	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/health"
	"github.com/sufrah/usage-bootstrap/internal/logging"
)

// Name is the function's name, in its log and under functions.
const Name = "release-check"

// Hook is the input that CodeDeploy gives a hook (AWS, CodeDeploy user guide, "AppSpec 'hooks' section for an AWS Lambda
// deployment").
type Hook struct {
	DeploymentID string `json:"DeploymentId"`
	ExecutionID  string `json:"LifecycleEventHookExecutionId"`
}

// Handler is a Lambda handler for CodeDeploy's hooks. It fails if it couldn't answer CodeDeploy.
type Handler = func(context.Context, Hook) error

// A version is checked several times, because within seconds new permissions reach IAM, and the version its network.
const (
	attempts = 4
	pause    = 5 * time.Second
	// answerMargin is the part of the invocation that is kept for answering CodeDeploy, which would otherwise wait for an
	// hour.
	answerMargin = 5 * time.Second
)

// New is a function.Build.
func New(environ config.Environment, _ func() time.Time, log io.Writer) (Handler, error) {
	c, err := newChecker(environ, log)
	if err != nil {
		return nil, err
	}
	return c.handle, nil
}

func newChecker(environ config.Environment, log io.Writer) (*checker, error) {
	settings, err := config.LoadReleaseCheck(environ)
	if err != nil {
		return nil, err
	}
	account := function.AWS(settings.AWS, "")
	patient := account
	patient.HTTPClient = nil // the SDK's own client, without our short time-outs: the version may take its function's whole time-out
	return &checker{
		deployments: codedeploy.NewFromConfig(account, func(o *codedeploy.Options) { o.BaseEndpoint = endpoint(settings.CodeDeploy) }),
		functions:   lambda.NewFromConfig(patient, func(o *lambda.Options) { o.BaseEndpoint = endpoint(settings.Lambda) }),
		pause:       pause,
		log:         logging.New(log, settings.LogLevel, settings.FunctionName),
	}, nil
}

func endpoint(url string) *string {
	if url == "" {
		return nil
	}
	return &url
}

// Health is a function.Health. The function needs nothing that it could check.
func Health(environ config.Environment, _ func() time.Time, _ io.Writer) (health.Subject, error) {
	_, err := config.LoadReleaseCheck(environ)
	return health.Subject{}, err
}

type checker struct {
	deployments *codedeploy.Client
	functions   *lambda.Client
	pause       time.Duration // between attempts at a version
	log         *slog.Logger
}

func (c *checker) handle(ctx context.Context, hook Hook) error {
	status := types.LifecycleEventStatusSucceeded
	if err := c.check(ctx, hook); err != nil {
		status = types.LifecycleEventStatusFailed
		c.log.ErrorContext(ctx, "release refused", slog.String("deploymentId", hook.DeploymentID), slog.Any("error", err))
	} else {
		c.log.InfoContext(ctx, "release accepted", slog.String("deploymentId", hook.DeploymentID))
	}
	_, err := c.deployments.PutLifecycleEventHookExecutionStatus(context.WithoutCancel(ctx), &codedeploy.PutLifecycleEventHookExecutionStatusInput{
		DeploymentId: &hook.DeploymentID, LifecycleEventHookExecutionId: &hook.ExecutionID, Status: status,
	})
	if err != nil {
		return fmt.Errorf("reporting the result to CodeDeploy: %w", err)
	}
	return nil
}

// check returns the faults of a deployment's versions.
func (c *checker) check(ctx context.Context, hook Hook) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerMargin))
		defer cancel()
	}
	versions, err := c.versions(ctx, hook.DeploymentID)
	if err != nil {
		return err
	}
	for _, version := range versions {
		if err := c.healthy(ctx, version); err != nil {
			return fmt.Errorf("%s: %w", version, err)
		}
	}
	return nil
}

var errNoVersion = errors.New("the deployment has no function version to check")

// versions returns the functions of a deployment, each with its new version, as name:version.
func (c *checker) versions(ctx context.Context, deployment string) ([]string, error) {
	listed, err := c.deployments.ListDeploymentTargets(ctx, &codedeploy.ListDeploymentTargetsInput{DeploymentId: &deployment})
	if err != nil {
		return nil, fmt.Errorf("looking up the deployment: %w", err)
	}
	found, err := c.deployments.BatchGetDeploymentTargets(ctx, &codedeploy.BatchGetDeploymentTargetsInput{
		DeploymentId: &deployment, TargetIds: listed.TargetIds,
	})
	if err != nil {
		return nil, fmt.Errorf("looking up the deployment's targets: %w", err)
	}
	var versions []string
	for _, target := range found.DeploymentTargets {
		if target.LambdaTarget == nil || target.LambdaTarget.LambdaFunctionInfo == nil {
			continue
		}
		info := target.LambdaTarget.LambdaFunctionInfo
		if info.FunctionName != nil && info.TargetVersion != nil {
			versions = append(versions, *info.FunctionName+":"+*info.TargetVersion)
		}
	}
	if len(versions) == 0 {
		return nil, errNoVersion
	}
	return versions, nil
}

// healthy checks a version until it is healthy, a limited number of times.
func (c *checker) healthy(ctx context.Context, version string) error {
	for attempt := 1; ; attempt++ {
		err := c.ask(ctx, version)
		if err == nil || attempt == attempts {
			return err
		}
		c.log.WarnContext(ctx, "new version not healthy: checking it again", slog.String("version", version), slog.Any("error", err))
		if clock.Sleep(ctx, c.pause) != nil {
			return err
		}
	}
}

// ask sends a version a health event.
func (c *checker) ask(ctx context.Context, version string) error {
	answer, err := c.functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: &version, Payload: []byte(health.Event)})
	if err != nil {
		return fmt.Errorf("invoking the version: %w", err)
	}
	if answer.FunctionError != nil {
		return fmt.Errorf("the version didn't start or crashed: %s: %.500s", *answer.FunctionError, answer.Payload)
	}
	var report health.Report
	if err := json.Unmarshal(answer.Payload, &report); err != nil || report.Checks == nil {
		return fmt.Errorf("the answer to a health event is not a health report: %.200s", answer.Payload)
	}
	if !report.Healthy {
		return errors.New(strings.Join(report.Faults(), "; "))
	}
	return nil
}
