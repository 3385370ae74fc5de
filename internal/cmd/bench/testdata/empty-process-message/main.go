// Command empty-process-message is the lower bound for the start of process-message: the same router, SDK clients and cache
// client, built from a literal configuration, with a handler that does nothing.
package main

import (
	"context"
	"crypto/x509"
	"net/http"
	_ "time/tzdata" // as process-message

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
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
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = store.PutItem(r.Context(), &dynamodb.PutItemInput{})
		_, _ = store.UpdateItem(r.Context(), &dynamodb.UpdateItemInput{})
		_, _ = store.TransactWriteItems(r.Context(), &dynamodb.TransactWriteItemsInput{})
		_, _ = queue.SendMessage(r.Context(), &sqs.SendMessageInput{})
		_, _ = valkey.NewClient(valkey.ClientOption{InitAddress: []string{"localhost:6379"}})
		w.WriteHeader(http.StatusOK)
	})
	lambda.Start(httpadapter.NewV2(mux).ProxyWithContext)
}
