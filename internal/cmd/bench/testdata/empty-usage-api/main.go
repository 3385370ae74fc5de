// Command empty-usage-api is the lower bound for the start of usage-api and usage-admin: the same router and SDK client, built from a literal
// configuration, with a handler that does nothing.
package main

import (
	"context"
	"crypto/x509"
	"net/http"
	_ "time/tzdata" // as usage-api

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
)

func main() {
	_, _ = x509.SystemCertPool() // as the functions: calls over TLS need them
	client := dynamodb.NewFromConfig(aws.Config{
		Region: "local",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = client.GetItem(r.Context(), &dynamodb.GetItemInput{})
		w.WriteHeader(http.StatusOK)
	})
	lambda.Start(httpadapter.NewV2(mux).ProxyWithContext)
}
