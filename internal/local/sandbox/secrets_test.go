package sandbox_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/secret"
)

// TestSecrets reads secrets as functions do.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:one"
	server := httptest.NewServer(sandbox.Secrets{arn: `{"apiKey":"k"}`})
	t.Cleanup(server.Close)
	config := awsconfig.New("us-east-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = &server.URL
	manager := secret.NewManager(secretsmanager.NewFromConfig(config))
	if value, err := manager.Secret(arn)(t.Context()); err != nil || value != `{"apiKey":"k"}` {
		t.Errorf("the function reads the secret as %q (error %v), want its value", value, err)
	}
	if value, err := manager.Secret(arn + "x")(t.Context()); err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("a missing secret is read as %q (error %v), want ResourceNotFoundException", value, err)
	}
}

func TestSecretsRefuse(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"secretsmanager.DeleteSecret": "UnknownOperationException", "secretsmanager.GetSecretValue": "SerializationException",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{"))
		r.Header.Set("X-Amz-Target", target)
		sandbox.Secrets{}.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("the stand-in answers %s with %d %s, want %s as Secrets Manager", target, w.Code, w.Body, want)
		}
	}
}
