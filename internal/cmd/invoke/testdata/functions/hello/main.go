// Command hello is a Lambda function for the tests of command invoke.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(_ context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		fmt.Println("asked for", e.RawPath)
		if e.RawPath == "/fail" {
			return events.APIGatewayV2HTTPResponse{}, errors.New("no such table")
		}
		return events.APIGatewayV2HTTPResponse{
			StatusCode: 200,
			Headers:    map[string]string{"Content-Type": "application/json"},
			Body:       `{"hello":"` + e.RawPath + `"}`,
		}, nil
	})
}
