package engines

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// MoveTasks is a transport to the SQS server that carries out the one operation that the server lacks and operators need:
// StartMessageMoveTask, by receiving, sending and deleting. When it answers, all messages have moved.
type MoveTasks struct{ Next http.RoundTripper }

const moveTask = "AmazonSQS.StartMessageMoveTask"

// RoundTrip implements http.RoundTripper.
func (m MoveTasks) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("X-Amz-Target") != moveTask {
		return m.Next.RoundTrip(r)
	}
	defer func() { _ = r.Body.Close() }()
	var task struct{ SourceArn, DestinationArn string }
	if err := json.NewDecoder(r.Body).Decode(&task); err != nil {
		return nil, fmt.Errorf("reading a message move task: %w", err)
	}
	if err := m.move(r.Context(), r.URL, task.SourceArn, task.DestinationArn); err != nil {
		return nil, fmt.Errorf("moving messages: %w", err)
	}
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:   io.NopCloser(strings.NewReader(`{"TaskHandle":"done"}`)),
	}, nil
}

// move moves the messages that can be received from one queue into another one.
func (m MoveTasks) move(ctx context.Context, server *url.URL, sourceARN, destinationARN string) error {
	endpoint := server.Scheme + "://" + server.Host
	queueURL := func(arn string) (region, url string) {
		parts := append(strings.Split(arn, ":"), make([]string, 6)...)
		return parts[3], endpoint + "/" + parts[4] + "/" + parts[5]
	}
	region, source := queueURL(sourceARN)
	_, destination := queueURL(destinationARN)
	client := sqs.New(sqs.Options{
		Region: region, BaseEndpoint: &endpoint, HTTPClient: &http.Client{Transport: m.Next},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	})
	for {
		received, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &source, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAWSTraceHeader},
		})
		if err != nil || len(received.Messages) == 0 {
			return err
		}
		for _, message := range received.Messages {
			if _, err := client.SendMessage(ctx, &sqs.SendMessageInput{
				QueueUrl: &destination, MessageBody: message.Body, MessageAttributes: message.MessageAttributes,
				MessageSystemAttributes: traceOf(message),
			}); err != nil {
				return err
			}
			if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{
				QueueUrl: &source, ReceiptHandle: message.ReceiptHandle,
			}); err != nil {
				return err
			}
		}
	}
}

func traceOf(m types.Message) map[string]types.MessageSystemAttributeValue {
	const name = string(types.MessageSystemAttributeNameAWSTraceHeader)
	trace, ok := m.Attributes[name]
	if !ok {
		return nil
	}
	return map[string]types.MessageSystemAttributeValue{name: {DataType: aws.String("String"), StringValue: &trace}}
}
