package sam_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

// jobs is a template with a queue, its dead-letter queue and a function with events, to be filled in.
const jobs = `
Parameters: { Attempts: { Type: Number, Default: 4 }, None: { Type: String, Default: none } }
Resources:
  Queue: { Type: AWS::SQS::Queue, Properties: { %s } }
  Dead: { Type: AWS::SQS::Queue, Properties: { QueueName: !Sub "${AWS::StackName}-dead" } }
  Other: { Type: AWS::SNS::Topic }
  F: { Type: AWS::Serverless::Function, Properties: { %s } }
`

func TestQueues(t *testing.T) {
	t.Parallel()
	dead := sam.Queue{
		LogicalID: "Dead", Name: "sufrah-test-dead", VisibilityTimeout: 30 * time.Second, RetentionPeriod: 96 * time.Hour,
	}
	cases := map[string]struct {
		properties string
		want       sam.Queue
	}{
		"as SQS would": {`QueueName: q`, sam.Queue{
			LogicalID: "Queue", Name: "q", VisibilityTimeout: 30 * time.Second, RetentionPeriod: 96 * time.Hour,
		}},
		"all settings": {
			`QueueName: q, VisibilityTimeout: 360, DelaySeconds: "5", MessageRetentionPeriod: 1209600, RedrivePolicy: ` +
				`{ deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: !Ref Attempts }`,
			sam.Queue{
				LogicalID: "Queue", Name: "q", VisibilityTimeout: 6 * time.Minute, Delay: 5 * time.Second,
				RetentionPeriod: 14 * 24 * time.Hour, DeadLetterQueue: "sufrah-test-dead", MaxReceiveCount: 4,
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parse(t, fmt.Sprintf(jobs, c.properties, "")).Queues(stackName)
			if err != nil {
				t.Fatalf("reading the queues from the template: %v", err)
			}
			if diff := cmp.Diff([]sam.Queue{dead, c.want}, got); diff != "" {
				t.Errorf("the template's queues (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventSources(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		properties string
		want       []sam.EventSource
	}{
		"none":          {``, nil},
		"another event": {`Events: { E: { Type: HttpApi } }`, nil},
		"as Lambda would": {`Events: { E: { Type: SQS, Properties: { Queue: !GetAtt Queue.Arn } } }`, []sam.EventSource{
			{FunctionTimeout: 3 * time.Second, BatchSize: 10},
		}},
		"all settings, by name": {
			`Timeout: 60, Events: { Two: { Type: SQS, Properties: { Queue: !GetAtt Queue.Arn, BatchSize: 2 } }, ` +
				`One: { Type: SQS, Properties: { Queue: !GetAtt Queue.Arn, BatchSize: 1, MaximumBatchingWindowInSeconds: 7, ` +
				`FunctionResponseTypes: [ReportBatchItemFailures], ScalingConfig: { MaximumConcurrency: !Ref Attempts } } } }`,
			[]sam.EventSource{
				{
					FunctionTimeout: time.Minute, BatchSize: 1, MaximumBatchingWindow: 7 * time.Second, MaximumConcurrency: 4,
					ReportBatchItemFailures: true,
				},
				{FunctionTimeout: time.Minute, BatchSize: 2},
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range c.want {
				c.want[i].FunctionID = "F"
				c.want[i].Queue = sam.Queue{
					LogicalID: "Queue", Name: "q", VisibilityTimeout: 30 * time.Second, RetentionPeriod: 96 * time.Hour,
				}
			}
			got, err := parse(t, fmt.Sprintf(jobs, "QueueName: q", c.properties)).EventSources(stackName)
			if err != nil {
				t.Fatalf("reading the event sources from the template: %v", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the template's event sources (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventSourcesRefuses(t *testing.T) {
	t.Parallel()
	event := func(properties string) string {
		return "Events: { E: { Type: SQS, Properties: { Queue: !GetAtt Queue.Arn, " + properties + " } } }"
	}
	cases := map[string]struct{ queue, function, want string }{
		"queue without a name": {``, ``, "queue Queue: its QueueName is missing"},
		"name that is none":    {`QueueName: [q]`, ``, "queue Queue: resource Queue: decoding its properties"},
		"unknown name":         {`QueueName: !Ref Nobody`, ``, `the template has no parameter or resource "Nobody"`},
		"time that is none":    {`QueueName: q, VisibilityTimeout: !Ref None`, ``, `queue Queue: "none" is not a whole number`},
		"fraction of a second": {`QueueName: q, DelaySeconds: 1.5`, ``, `"1.5" is not a whole number`},
		"time in a list":       {`QueueName: q, MessageRetentionPeriod: [1]`, ``, "queue Queue: the value must be text"},
		"dead letters to a topic": {
			`QueueName: q, RedrivePolicy: { deadLetterTargetArn: !GetAtt Other.Arn }`, ``, "queue Queue: no queue of the template has the ARN ${Other.Arn}",
		},
		"events in a list": {`QueueName: q`, `Events: []`, "function F: resource F: decoding its properties"},
		"events of a topic": {
			`QueueName: q`, `Events: { E: { Type: SQS, Properties: { Queue: !GetAtt Other.Arn } } }`,
			"function F: event E: no queue of the template has the ARN ${Other.Arn}",
		},
		"batch that is none":         {`QueueName: q`, event(`BatchSize: many`), `event E: "many" is not a whole number`},
		"concurrency that is none":   {`QueueName: q`, event(`ScalingConfig: { MaximumConcurrency: many }`), `"many" is not a whole number`},
		"unknown name in a function": {`QueueName: q`, `Timeout: !Ref Nobody`, `the template has no parameter or resource "Nobody"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(t, fmt.Sprintf(jobs, c.queue, c.function)).EventSources(stackName)
			wantError(t, err, c.want)
		})
	}
}
