// Command empty-welcome-bootstrap is the lower bound for the start of welcome-bootstrap: the same clients, built from a literal
// configuration, with a handler that does nothing.
package main

import (
	"context"
	"crypto/x509"
	"net/http"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/valkey-io/valkey-go"
)

func main() {
	_, _ = x509.SystemCertPool() // as the functions: calls over TLS need them
	config := aws.Config{
		Region: "local",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	}
	store, queue := dynamodb.NewFromConfig(config), sqs.NewFromConfig(config)
	lambda.Start(func(ctx context.Context, _ events.SQSEvent) (events.SQSEventResponse, error) {
		_, _ = store.PutItem(ctx, &dynamodb.PutItemInput{})
		_, _ = store.UpdateItem(ctx, &dynamodb.UpdateItemInput{})
		_, _ = queue.SendMessage(ctx, &sqs.SendMessageInput{})
		_, _ = queue.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{})
		_, _ = http.Get("http://localhost/")
		_, _ = valkey.NewClient(valkey.ClientOption{InitAddress: []string{"localhost:6379"}})
		return events.SQSEventResponse{}, nil
	})
}
