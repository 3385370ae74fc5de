package main

import (
	"bytes"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

// TestDeadLetters lists letters, sends jobs among them back to the queue, and leaves letters that can't succeed.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	jobs, dead := queueName(devstack.StackName), deadLetterQueueName(devstack.StackName)
	engine := sqslocal.New(time.Now, sqslocal.Queue{Name: jobs}, sqslocal.Queue{Name: dead})
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	config := awsconfig.New("us-east-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = &server.URL
	client := sqs.NewFromConfig(config)
	url, err := client.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &dead})
	if err != nil {
		t.Fatalf("finding the queue: %v", err)
	}
	const job = `{"version":1,"jobId":"job-SM1","restaurantId":"r1","merchantId":"merchant-1","customerWa":"+966500000001",` +
		`"profileName":"Sara","enqueuedAt":"2026-11-23T12:00:00.000Z"}`
	send := func(body, reason string) {
		t.Helper()
		in := &sqs.SendMessageInput{QueueUrl: url.QueueUrl, MessageBody: &body}
		if reason != "" {
			in.MessageAttributes = map[string]types.MessageAttributeValue{"reason": {DataType: aws.String("String"), StringValue: &reason}}
		}
		if _, err := client.SendMessage(t.Context(), in); err != nil {
			t.Fatalf("sending the message: %v", err)
		}
	}
	send(job, "")
	send(strings.Replace(job, "job-SM1", "job-SM2", 1), "neither list: status 401 from Sufrah")
	send(`{"customerWa":"+966500000002","user":"SA.13491208655302741918"}`, "malformed bootstrap job")
	command := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		line := append([]string{"--stack", devstack.StackName, "--endpoint", server.URL, "--sqs-endpoint", server.URL}, args...)
		if err := run(t.Context(), line, &out, io.Discard); err != nil {
			t.Fatalf("running the command: %v", err)
		}
		return out.String()
	}
	for _, list := range [][]string{{"dlq", "list"}, {"dlq", "list", "--json"}} {
		listed := command(list...)
		for _, want := range []string{"job-SM1", "job-SM2", "what-happened-to-a-welcome", "status 401 from Sufrah", "malformed bootstrap job"} {
			if !strings.Contains(listed, want) {
				t.Errorf("%s lacks %q:\n%s", list, want, listed)
			}
		}
		for _, secret := range []string{"966500000001", "966500000002", "13491208655302741918"} {
			if strings.Contains(listed, secret) {
				t.Errorf("%s shows %s:\n%s", list, secret, listed)
			}
		}
	}
	if got := command("dlq", "redrive"); got != "2 dead letters sent back to the queue.\n1 dead letter not sent back: not a bootstrap job. dlq list shows the reason, dlq delete removes a letter.\n" {
		t.Errorf("redrive: %s", got)
	}
	if got := command("dlq", "redrive", "--json"); got != `{"moved":0,"stay":1}`+"\n" {
		t.Errorf("again: %s", got)
	}
	if visible, _, _ := engine.Counts(jobs); visible != 2 {
		t.Errorf("%d jobs are back", visible)
	}
}
