package engines

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

// TestMoveTasks moves more messages than one receive has, with all that belongs to them, and none twice.
func TestMoveTasks(t *testing.T) {
	t.Parallel()
	engine := sqslocal.New(time.Now, sqslocal.Queue{Name: "jobs", DeadLetterQueue: "dead", MaxReceiveCount: 3})
	client := sqs.NewFromConfig(newConfig(MoveTasks{Next: engine.Transport()}))
	const letters, trace = 12, "Root=1-67891233-abcdef012345678912345678"
	dead := sqslocal.QueueURL("http://engine.local", "dead")
	for i := range letters {
		input := &sqs.SendMessageInput{
			QueueUrl: &dead, MessageBody: aws.String(fmt.Sprint(i)),
			MessageAttributes: map[string]types.MessageAttributeValue{"reason": {DataType: aws.String("String"), StringValue: aws.String("r")}},
		}
		if i > 0 {
			input.MessageSystemAttributes = map[string]types.MessageSystemAttributeValue{
				"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String(trace)},
			}
		}
		if _, err := client.SendMessage(t.Context(), input); err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{
		SourceArn: aws.String(sqslocal.ARN("dead")), DestinationArn: aws.String(sqslocal.ARN("jobs")),
	})
	if err != nil {
		t.Fatal(err)
	}
	moved := engine.Messages("jobs")
	if left := engine.Messages("dead"); len(moved) != letters || len(left) > 0 {
		t.Fatalf("%d messages moved, %d left", len(moved), len(left))
	}
	for i, m := range moved {
		if m.Body != fmt.Sprint(i) || m.Attributes["reason"].StringValue != "r" || m.ReceiveCount != 0 || (m.TraceHeader == trace) != (i > 0) {
			t.Errorf("message %d: %+v", i, m)
		}
	}
	_, err = client.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{
		SourceArn: aws.String(sqslocal.ARN("nobody")), DestinationArn: aws.String(sqslocal.ARN("jobs")),
	})
	if err == nil {
		t.Error("the messages of no queue were moved")
	}
}
