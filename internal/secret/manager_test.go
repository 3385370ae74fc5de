package secret_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/secret"
)

const arn = "arn:aws:secretsmanager:me-south-1:123456789012:secret:sufrah-dev-twilio-AbCdEf"

// setup returns a manager with the handler as its Secrets Manager.
func setup(t *testing.T, handler http.HandlerFunc) *secret.Manager {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	config := awsconfig.New("me-south-1", aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s3cr3t", SessionToken: "session"})
	config.BaseEndpoint = &server.URL
	return secret.NewManager(secretsmanager.NewFromConfig(config))
}

func TestManagerReads(t *testing.T) {
	t.Parallel()
	m := setup(t, func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != `{"SecretId":"`+arn+`"}` {
			t.Errorf("body %q, %v", body, err)
		}
		if target := r.Header.Get("X-Amz-Target"); target != "secretsmanager.GetSecretValue" || r.Header.Get("X-Amz-Security-Token") != "session" {
			t.Errorf("target %q, headers %v", target, r.Header)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, `{"ARN": "`+arn+`", "Name": "x", "SecretString": "{\"AC1\": \"token\"}", "VersionStages": ["AWSCURRENT"]}`)
	})
	value, err := m.Secret(arn)(t.Context())
	if err != nil || value != `{"AC1": "token"}` {
		t.Errorf("value %q, %v", value, err)
	}
}

// TestManagerInEveryPartition: China and GovCloud have domains of their own, which the SDK knows.
func TestManagerInEveryPartition(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]string{
		"me-south-1":    "secretsmanager.me-south-1.amazonaws.com",
		"cn-north-1":    "secretsmanager.cn-north-1.amazonaws.com.cn",
		"us-gov-east-1": "secretsmanager.us-gov-east-1.amazonaws.com",
	} {
		config := awsconfig.New(region, aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s3cr3t"})
		var asked string
		config.HTTPClient = doer(func(r *http.Request) (*http.Response, error) {
			asked = r.URL.Host
			return nil, io.ErrUnexpectedEOF
		})
		_, err := secret.NewManager(secretsmanager.NewFromConfig(config)).Secret(arn)(t.Context())
		if !errors.Is(err, outage.ErrUnavailable) || asked != want {
			t.Errorf("%s: asked %q, want %q; error %v", region, asked, want, err)
		}
	}
}

// doer is an HTTP client that is a function.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func TestManagerErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		passes bool
		text   string
	}{
		"access denied":     {400, `{"__type": "AccessDeniedException", "Message": "User: AKID"}`, false, "AccessDeniedException"},
		"no such secret":    {400, `{"__type": "com.amazonaws#ResourceNotFoundException"}`, false, `"ResourceNotFoundException"`},
		"throttled":         {400, `{"__type": "ThrottlingException"}`, true, "status 400"},
		"a fault of theirs": {500, `{"__type": "InternalServiceError"}`, true, "status 500"},
		"unavailable":       {503, `<html>`, true, "status 503"},
		"a redirect":        {302, ``, false, "status 302"},
		"no JSON":           {200, `value-of-the-secret`, true, "unreadable answer"},
		"no text":           {200, `{"SecretBinary": "dmFsdWUtb2YtdGhlLXNlY3JldA=="}`, false, "no text"},
		"another form":      {200, `{"SecretString": {"value-of-the-secret": 1}}`, true, "unreadable answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := setup(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			value, err := m.Secret(arn)(t.Context())
			if err == nil || value != "" || errors.Is(err, outage.ErrUnavailable) != test.passes {
				t.Fatalf("value %q, error %v; it passes: %t", value, err, test.passes)
			}
			if !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), "sufrah-dev-twilio") {
				t.Errorf("error %q doesn't say %q", err, test.text)
			}
			for _, secret := range []string{"value-of-the-secret", "s3cr3t", "AKID", "123456789012"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q tells %q", err, secret)
				}
			}
		})
	}
}

func TestManagerIsBounded(t *testing.T) {
	t.Parallel()
	m := setup(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := m.Secret(arn)(ctx); !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("no answer in time: %v", err)
	}
}

// TestManagerAfterAFreeze: the server has closed the connection while the instance slept, which costs no error.
func TestManagerAfterAFreeze(t *testing.T) {
	t.Parallel()
	calls := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 2 { // on the connection of the first call: closed without an answer
			connection, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("cutting the connection: %v", err)
				return
			}
			_ = connection.Close()
			return
		}
		_, _ = io.WriteString(w, `{"SecretString": "value"}`)
	}))
	server.Start()
	t.Cleanup(server.Close)
	config := awsconfig.New("me-south-1", aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s3cr3t"})
	config.BaseEndpoint = &server.URL
	m := secret.NewManager(secretsmanager.NewFromConfig(config))
	for i := range 2 {
		if value, err := m.Secret(arn)(t.Context()); err != nil || value != "value" {
			t.Errorf("call %d: %q, %v", i+1, value, err)
		}
	}
	if calls != 3 {
		t.Errorf("%d calls arrived, want 3", calls)
	}
}
