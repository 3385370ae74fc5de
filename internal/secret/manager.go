// Package secret reads the functions' secrets: Twilio's auth tokens and Sufrah's API key, from AWS Secrets Manager where
// the functions are deployed, from the environment where they are not. No error of it holds a secret's value.
package secret

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/outbound"
)

const (
	// answerTimeout bounds one look-up: a customer waits for it, and within a region it takes some 20 ms.
	answerTimeout = 2 * time.Second
	// maxAnswer is above what the largest secret, of 64 KiB, becomes in JSON.
	maxAnswer = 512 << 10
)

// Manager reads secrets from AWS Secrets Manager. It is safe for concurrent use.
//
// It makes the one call that is needed by itself: the SDK's client would cost every cold start a millisecond.
type Manager struct {
	region      string
	endpoint    string
	credentials aws.CredentialsProvider
	http        *http.Client
	signer      *v4.Signer
	now         func() time.Time
}

// NewManager returns a Manager of the config's region, for its credentials, at its BaseEndpoint where it has one. A nil
// httpClient takes outbound.NewTransport.
func NewManager(config aws.Config, httpClient *http.Client, now func() time.Time) *Manager {
	m := &Manager{
		region: config.Region, endpoint: "https://secretsmanager." + config.Region + ".amazonaws.com/",
		credentials: config.Credentials, http: outbound.NewClient(httpClient, outbound.NoRedirect), signer: v4.NewSigner(), now: now,
	}
	if config.BaseEndpoint != nil {
		m.endpoint = *config.BaseEndpoint
	}
	return m
}

// Secret returns how to read the current value of the secret with the ARN. Reading fails with outage.ErrUnavailable where
// the same call may succeed later.
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
	request, err := m.request(ctx, arn)
	if err != nil {
		return "", err
	}
	response, err := m.http.Do(request)
	if err != nil {
		return "", fmt.Errorf("%w: %w", outage.ErrUnavailable, outbound.Cause(err))
	}
	defer outbound.Close(response)
	body, err := outbound.ReadBody(response, maxAnswer)
	if err != nil {
		return "", fmt.Errorf("%w: %w", outage.ErrUnavailable, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", refusal(response.StatusCode, body)
	}
	var answer struct{ SecretString *string }
	if json.Unmarshal(body, &answer) != nil || answer.SecretString == nil {
		return "", errors.New("the answer holds no text") // the decoder's error could quote it
	}
	return *answer.SecretString, nil
}

// request returns the signed call, in the protocol AWS JSON 1.1.
func (m *Manager) request(ctx context.Context, arn string) (*http.Request, error) {
	body, err := json.Marshal(map[string]string{"SecretId": arn})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, outbound.Cause(err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	credentials, err := m.credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	hash := sha256.Sum256(body)
	err = m.signer.SignHTTP(ctx, credentials, request, hex.EncodeToString(hash[:]), "secretsmanager", m.region, m.now())
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	// The key alone, which isn't sent, has net/http repeat the call where a reused connection turns out to be dead: reading
	// twice does no harm.
	request.Header["Idempotency-Key"] = nil
	return request, nil
}

// refusal returns the error for an answer other than 200. Of the answer it shows only the error's type.
func refusal(status int, body []byte) error {
	var answer struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(body, &answer) // an answer that is no JSON has no type
	kind := answer.Type[strings.LastIndexByte(answer.Type, '#')+1:]
	err := fmt.Errorf("status %d, %.64q", status, kind)
	if outbound.Transient(status) || kind == "ThrottlingException" || kind == "InternalServiceError" {
		return fmt.Errorf("%w: %w", outage.ErrUnavailable, err)
	}
	return err
}
