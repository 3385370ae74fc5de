//go:build aws

package queuetest_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sufrah/usage-bootstrap/internal/local/engines"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/test/queuetest"
)

// TestEngineContract checks the contract itself, with somebody else's server and the template's queues.
func TestEngineContract(t *testing.T) {
	t.Parallel()
	endpoint, err := engines.Endpoint(engines.SQS)
	must(t, err)
	client := sqs.NewFromConfig(aws.Config{
		Region: "eu-central-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	parsed, err := sam.Load("../../../template.yaml")
	must(t, err)
	queuetest.Exercise(t, func(t *testing.T) queuetest.Fixture {
		f := queuetest.Fixture{Client: client, Advance: time.Sleep}
		queues, err := parsed.Queues("test-" + rand.Text())
		must(t, err)
		for i := range queues { // with shorter times than the template's
			queues[i].VisibilityTimeout, queues[i].MaxReceiveCount = queuetest.VisibilityTimeout, queuetest.MaxReceiveCount
		}
		urls, err := engines.CreateQueues(t.Context(), client, queues)
		must(t, err)
		for _, queue := range queues {
			if queue.DeadLetterQueue != "" {
				f.QueueURL, f.DeadLetterURL = urls[queue.Name], urls[queue.DeadLetterQueue]
			}
		}
		return f
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("a step that must succeed failed: %v", err)
	}
}
