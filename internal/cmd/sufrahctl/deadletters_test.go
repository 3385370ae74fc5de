package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
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
	job := func(id string, age time.Duration) string {
		return `{"version":1,"jobId":"` + id + `","restaurantId":"r1","merchantId":"merchant-1","customerWa":"+966500000001",` +
			`"profileName":"Sara","enqueuedAt":"` + time.Now().Add(-age).UTC().Format(time.RFC3339Nano) + `"}`
	}
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
	send(job("job-SM1", 2*time.Hour), "")
	send(job("job-SM2", time.Minute), "neither list: status 401 from Sufrah")
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
	resultOf := func(args ...string) (got redriveResult) {
		t.Helper()
		if err := json.Unmarshal([]byte(command(append(args, "--json")...)), &got); err != nil {
			t.Fatalf("decoding the result: %v", err)
		}
		return got
	}
	// A minute and two hours are more than a second and less than a day: the limit is the flag's.
	for limit, want := range map[string]string{"": "run dropped stays", "1000": "dropped dropped stays", "86400000": "run run stays"} {
		args := []string{"dlq", "list"}
		if limit != "" {
			args = append(args, "--max-age-ms", limit)
		}
		listed := command(args...)
		if got := shownEffects(listed, "job-SM2", "job-SM1", "malformed bootstrap"); got != want {
			t.Errorf("%s shows the effects %q, want %q:\n%s", args, got, want, listed)
		}
	}
	for _, wrong := range []string{"0", "-1"} {
		line := []string{"--stack", devstack.StackName, "--endpoint", server.URL, "--sqs-endpoint", server.URL, "dlq", "redrive", "--max-age-ms=" + wrong}
		if err := run(t.Context(), line, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "1 or more") {
			t.Errorf("the greatest age %s is taken: %v", wrong, err)
		}
	}
	got := command("dlq", "redrive")
	for _, want := range []string{
		"2 dead letters sent back to the queue.\n", "1 job older than 10m will be dropped by the worker as late, without being run.\n",
		"1 dead letter not sent back: not a bootstrap job. dlq list shows the reason, dlq delete removes a letter.\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("redrive lacks %q:\n%s", want, got)
		}
	}
	if effects := shownEffects(got, "job-SM2", "job-SM1"); effects != "run dropped" {
		t.Errorf("redrive shows the effects %q:\n%s", effects, got)
	}
	if got := resultOf("dlq", "redrive"); got.Moved != 0 || got.Late != 0 || got.Stay != 1 || len(got.Letters) != 1 || got.Letters[0].Redrive != stays {
		t.Errorf("again: %+v", got)
	}
	if visible, _, _ := engine.Counts(jobs); visible != 2 {
		t.Errorf("%d jobs are back", visible)
	}
}

// shownEffects returns the first word of the effect in the table's line with each text.
func shownEffects(table string, lines ...string) string {
	var found []string
	for _, with := range lines {
		for line := range strings.Lines(table) {
			if strings.Contains(line, with) {
				found = append(found, redriveEffect.FindString(line))
			}
		}
	}
	return strings.Join(found, " ")
}

var redriveEffect = regexp.MustCompile(`\b(run|dropped|stays)\b`)

// TestMaxAgeIsTheTemplates: without a flag, sufrahctl calls a job late if the worker of a stack with default parameters drops
// it.
func TestMaxAgeIsTheTemplates(t *testing.T) {
	t.Parallel()
	parsed, err := sam.Load("../../../template.yaml")
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	if parsed, err = parsed.With("TwilioAccountSid", "AC"+strings.Repeat("0", 32)); err != nil {
		t.Fatalf("setting a parameter of the template: %v", err)
	}
	variables, err := parsed.FunctionEnvironment("WelcomeBootstrapFunction", devstack.StackName)
	if err != nil {
		t.Fatalf("reading the function's environment from the template: %v", err)
	}
	if got, want := variables["BOOTSTRAP_MAX_AGE_MS"], fmt.Sprint(defaultMaxAge.Milliseconds()); got != want {
		t.Errorf("the worker drops jobs older than %s ms, sufrahctl assumes %s ms", got, want)
	}
}
