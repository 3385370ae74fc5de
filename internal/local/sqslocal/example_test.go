package sqslocal_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

// The SDK's client reaches the engine without a network.
func Example() {
	engine := sqslocal.New(time.Now, sqslocal.Queue{Name: "jobs", DeadLetterQueue: "dead", MaxReceiveCount: 3})
	client := newClient("http://sqs.local", engine.Transport())

	_, err := client.SendMessage(context.Background(), &sqs.SendMessageInput{
		QueueUrl: aws.String(sqslocal.QueueURL("http://sqs.local", "jobs")), MessageBody: aws.String("hello"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range engine.Messages("jobs") {
		fmt.Println(m.Body, m.State)
	}
	// Output: hello visible
}
