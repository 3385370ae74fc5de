package processmessage_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
)

// deployed returns the environment of a deployed function, with one endpoint for all of AWS.
func deployed(endpoint string) map[string]string {
	return map[string]string{
		"AWS_REGION": "me-south-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cr3t",
		"AWS_ENDPOINT_URL_DYNAMODB": endpoint, "AWS_ENDPOINT_URL_SQS": endpoint, "AWS_ENDPOINT_URL_SECRETSMANAGER": endpoint,
		"RESTAURANTS_TABLE": "r", "BOTS_TABLE": "b", "USAGE_TABLE": "u", "CONVERSATIONS_TABLE": "c", "DIRECTORY_TABLE": "d",
		"WEBHOOK_URL": "https://bot.example.com/webhooks/whatsapp", "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
		"TWILIO_SECRET_ARN":   "arn:aws:secretsmanager:me-south-1:123456789012:secret:twilio",
		"SUFRAH_SECRET_ARN":   "arn:aws:secretsmanager:me-south-1:123456789012:secret:sufrah",
		"BOOTSTRAP_QUEUE_URL": "https://sqs.me-south-1.amazonaws.com/123456789012/q",
		"CACHE_ENDPOINT":      "c.serverless.mes1.cache.amazonaws.com:6379", "CACHE_USER": "u", "CACHE_NAME": "n",
	}
}

func environ(variables map[string]string) (list []string) {
	for name, value := range variables {
		list = append(list, name+"="+value)
	}
	return list
}

// TestStartsWithoutACall: the function makes no call before its first message, so that a cold start is short, and an instance
// starts even during an outage.
func TestStartsWithoutACall(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was called", r.Header.Get("X-Amz-Target"))
	}))
	t.Cleanup(server.Close)
	var log bytes.Buffer
	handle, err := processmessage.New(environ(deployed(server.URL)), time.Now, &log)
	if err != nil {
		t.Fatalf("assembling the function from its environment: %v", err)
	}
	event := events.APIGatewayV2HTTPRequest{RawPath: "/webhooks/whatsapp"}
	event.RequestContext.HTTP.Method = http.MethodGet
	answer, err := handle(t.Context(), event)
	if err != nil || answer.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(log.String(), `"function":"process-message"`) {
		t.Errorf("answer %+v, %v, log %s", answer, err, &log)
	}
}

func TestFaultsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"WEBHOOK_URL": "WEBHOOK_URL is missing", "AWS_REGION": "AWS_REGION", "CACHE_ENDPOINT": "CACHE_ENDPOINT is missing",
	} {
		environment := deployed("http://localhost:1")
		delete(environment, name)
		if _, err := processmessage.New(environ(environment), time.Now, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: error %v", name, err)
		}
	}
}
