// Package secret reads the functions' secrets: Twilio's auth tokens and Sufrah's API key, from AWS Secrets Manager where the
// functions are deployed, from the environment where they are not. Its errors never contain a secret's value.
package secret

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// answerTimeout bounds one look-up with its repeats: a customer waits for it, and within a region it takes some 20 ms.
const answerTimeout = 2 * time.Second

// errNoText says that a secret has no text: it is binary, or the answer isn't Secrets Manager's.
var errNoText = errors.New("the secret has no text value")

// Client is the part of an SDK client that a Manager uses; *secretsmanager.Client has it.
type Client interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (
		*secretsmanager.GetSecretValueOutput, error)
}

// Manager reads secrets from AWS Secrets Manager. It is safe for concurrent use.
type Manager struct{ client Client }

// NewManager returns a Manager of the client's region.
func NewManager(client Client) *Manager { return &Manager{client} }

// Secret returns the source that reads the current value of the secret with the ARN. Reading fails with outage.ErrUnavailable
// if the same call may succeed later.
func (m *Manager) Secret(arn string) Source {
	return func(ctx context.Context) (string, error) {
		value, err := m.value(ctx, arn)
		if err != nil {
			return "", fmt.Errorf("reading secret %s: %w", nameOf(arn), err)
		}
		return value, nil
	}
}

// nameOf returns the last part of an ARN: the rest tells of the account.
func nameOf(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }

func (m *Manager) value(ctx context.Context, arn string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	defer timing.Start(ctx, timing.Secrets)()
	out, err := m.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	switch {
	case err != nil && awsconfig.Transient(err):
		return "", fmt.Errorf("%w: %w", outage.ErrUnavailable, reason(err))
	case err != nil:
		return "", reason(err)
	case out.SecretString == nil:
		return "", errNoText
	}
	return *out.SecretString, nil
}

// reason returns the part of the SDK's error that is safe to log: the status and the kind of error. The rest of the error may
// name the account, or quote an unreadable answer.
func reason(err error) error {
	kind := "no answer"
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		kind = api.ErrorCode()
	} else if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		kind = "unreadable answer"
	}
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return fmt.Errorf("status %d, code %.64q", response.HTTPStatusCode(), kind)
	}
	if failed, ok := errors.AsType[*net.OpError](err); ok {
		return failed
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return errors.New(kind)
}
