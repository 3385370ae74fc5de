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

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/secret"
)

const arn = "arn:aws:secretsmanager:me-south-1:123456789012:secret:sufrah-dev-twilio-AbCdEf"

// now is when the tests' calls are made.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// setup returns a manager whose Secrets Manager is the handler.
func setup(t *testing.T, handler http.HandlerFunc) *secret.Manager {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	config := awsconfig.New("me-south-1", aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s3cr3t", SessionToken: "session"})
	config.BaseEndpoint = &server.URL
	return secret.NewManager(config, server.Client(), func() time.Time { return now })
}

func TestManagerOnTheWire(t *testing.T) {
	t.Parallel()
	m := setup(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"SecretId":"`+arn+`"}` {
			t.Errorf("body %q, %v", body, err)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue",
			"X-Amz-Date": "20261123T120000Z", "X-Amz-Security-Token": "session", "Idempotency-Key": "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		authorization := r.Header.Get("Authorization")
		scope := "AWS4-HMAC-SHA256 Credential=AKID/20261123/me-south-1/secretsmanager/aws4_request, SignedHeaders="
		if !strings.HasPrefix(authorization, scope) || !strings.Contains(authorization, "x-amz-target") ||
			!strings.Contains(authorization, ", Signature=") || strings.Contains(authorization, "idempotency") {
			t.Errorf("Authorization is %q", authorization)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = io.WriteString(w, `{"ARN": "`+arn+`", "Name": "x", "SecretString": "{\"AC1\": \"token\"}", "VersionStages": ["AWSCURRENT"]}`)
	})
	value, err := m.Secret(arn)(t.Context())
	if err != nil || value != `{"AC1": "token"}` {
		t.Errorf("value %q, %v", value, err)
	}
}

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
		"no JSON":           {200, `value-of-the-secret`, false, "no text"},
		"no text":           {200, `{"SecretBinary": "dmFsdWUtb2YtdGhlLXNlY3JldA=="}`, false, "no text"},
		"another form":      {200, `{"SecretString": {"value-of-the-secret": 1}}`, false, "no text"},
		"too large":         {200, `{"SecretString": "` + strings.Repeat("value-of-the-secret", 40_000) + `"}`, true, "too large"},
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
				t.Error(err)
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
	m := secret.NewManager(config, nil, time.Now)
	for i := range 2 {
		if value, err := m.Secret(arn)(t.Context()); err != nil || value != "value" {
			t.Errorf("call %d: %q, %v", i+1, value, err)
		}
	}
	if calls != 3 {
		t.Errorf("%d calls arrived, want 3", calls)
	}
}
