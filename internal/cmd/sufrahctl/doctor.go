package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/health"
)

type doctorCommand struct {
	Lambda string `name:"lambda-endpoint" help:"Lambda endpoint, for a local stack." env:"AWS_ENDPOINT_URL_LAMBDA"`
}

// finding is the doctor's result for a part of the stack.
type finding struct {
	What  string `json:"what"`
	Wrong string `json:"wrong,omitempty"` // "" if nothing is wrong
	Mend  string `json:"mend,omitempty"`
	// Warning is a state that somebody should look at, although it can be right. The command succeeds.
	Warning string `json:"warning,omitempty"`
}

// errUnwell makes the command exit with a status that scripts notice.
var errUnwell = errors.New("the stack is not complete")

func (c *doctorCommand) Run(s *session) error {
	d := &doctor{session: s, looked: map[string]int{}}
	if missing := c.missing(s); missing != "" {
		return errors.New(missing + ": with --endpoint, the queues and functions must be local too")
	}
	config, err := awsConfig(s.ctx, c.Lambda)
	if err != nil {
		return err
	}
	d.functions = lambda.NewFromConfig(config)
	d.tables()
	d.emptyUsage()
	d.queues()
	d.health()
	d.sumUp()
	wrong := 0
	rows := make([][]string, 0, len(d.findings))
	for _, f := range d.findings {
		if f.Warning != "" {
			rows = append(rows, []string{"WARNING", f.What, f.Warning})
			continue
		}
		if f.Wrong == "" {
			rows = append(rows, []string{"ok", f.What, ""})
			continue
		}
		wrong++
		rows = append(rows, []string{"WRONG", f.What, f.Wrong})
	}
	err = s.out.result(d.findings, func(w io.Writer) {
		table(w, []string{"", "PART", "FAULT"}, rows)
		for _, f := range d.findings {
			if fault := f.Wrong + f.Warning; fault != "" {
				fmt.Fprintf(w, "\n%s: %s.\n  %s\n", printable(f.What), printable(fault), f.Mend)
			}
		}
		warnings := slices.ContainsFunc(d.findings, func(f finding) bool { return f.Warning != "" })
		if wrong == 0 && warnings {
			fmt.Fprintln(w, "\nThe stack is complete, but see the warnings above.")
		} else if wrong == 0 {
			fmt.Fprintf(w, "\nThe stack is complete: all %d checks passed.\n", len(d.findings))
		}
	})
	if err == nil && wrong > 0 {
		return fmt.Errorf("%w: %s", errUnwell, plural(wrong, "fault"))
	}
	return err
}

// missing names the endpoints that a local stack needs and that weren't given.
func (c *doctorCommand) missing(s *session) string {
	var names []string
	if s.sqs == nil {
		names = append(names, "--sqs-endpoint (AWS_ENDPOINT_URL_SQS)")
	}
	if s.endpoint != "" && c.Lambda == "" {
		names = append(names, "--lambda-endpoint (AWS_ENDPOINT_URL_LAMBDA)")
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0] + " is missing"
	}
	return strings.Join(names, " and ") + " are missing"
}

// doctor examines a stack's parts and writes nothing.
type doctor struct {
	*session
	functions *lambda.Client
	findings  []finding
	looked    map[string]int // number of parts looked up, by kind
	failed    []failure
}

// failure is a table, queue or function that couldn't be looked up.
type failure struct {
	kind, what string
	err        error
}

// The kinds of parts that are looked up by their names.
const (
	aTable    = "table"
	aQueue    = "queue"
	aFunction = "function"
)

// lost notes a part that couldn't be looked up. ifMissing, the advice to restore or deploy, is given only if the part doesn't
// exist.
func (d *doctor) lost(kind, what string, err error, ifMissing string) {
	d.failed = append(d.failed, failure{kind, what, err})
	advice := ifMissing
	if cause := kindOfFailure(err); cause != "" && !isMissing(cause) {
		advice = "Check --stack, profile, region, permissions and network, and try again. Don't restore or deploy anything before that."
	}
	d.say(what, code(err), advice)
}

// unreachable is the kind of failure in which AWS doesn't answer.
const unreachable = "unreachable"

// kindOfFailure returns the error code of a failed call to AWS, unreachable if AWS didn't answer, and "" for other errors.
func kindOfFailure(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	if _, ok := errors.AsType[*smithy.OperationError](err); ok {
		return unreachable
	}
	return ""
}

// isMissing reports whether an error code of DynamoDB, Lambda or SQS says that the part doesn't exist.
func isMissing(code string) bool {
	return code == "ResourceNotFoundException" || strings.Contains(code, "QueueDoesNotExist") || strings.Contains(code, "NonExistentQueue")
}

// alike reports whether all parts of a kind failed in the same way.
func (d *doctor) alike(kind string) bool {
	n, cause := 0, ""
	for _, f := range d.failed {
		if f.kind != kind {
			continue
		}
		this := kindOfFailure(f.err)
		if this == "" || n > 0 && this != cause {
			return false
		}
		n, cause = n+1, this
	}
	return n > 0 && n == d.looked[kind]
}

// sumUp replaces the findings of all tables by a single one if no table could be looked up, for the same reason. The fault is
// then the stack's name, the account, the region or the network. Queues and functions that failed in the same way go into
// that finding too.
func (d *doctor) sumUp() {
	if !d.alike(aTable) {
		return
	}
	summed, seen := map[string]bool{}, map[string]bool{}
	var kinds, causes []string
	for _, f := range d.failed {
		if !d.alike(f.kind) {
			continue
		}
		summed[f.what] = true
		if !slices.Contains(kinds, f.kind) {
			kinds = append(kinds, f.kind)
		}
		cause := kindOfFailure(f.err)
		if isMissing(cause) {
			cause = "missing"
		}
		if !seen[cause] {
			seen[cause] = true
			causes = append(causes, code(f.err))
		}
	}
	wrong := fmt.Sprintf("nothing of the stack %q is here, or it can't be reached: %s", d.stack, strings.Join(causes, "; "))
	if len(kinds) < len(d.looked) {
		wrong = fmt.Sprintf("no %s of it is here, or can be reached: %s", strings.Join(kinds, " or "), strings.Join(causes, "; "))
	}
	rest := slices.DeleteFunc(d.findings, func(f finding) bool { return summed[f.What] })
	d.findings = append([]finding{{
		What: "stack " + d.stack, Wrong: wrong, Mend: "Check --stack, profile, region and network (on a local stack: the endpoints). Don't restore or deploy anything before that.",
	}}, rest...)
}

func (d *doctor) say(what, wrong, mend string) {
	if wrong == "" {
		mend = ""
	}
	d.findings = append(d.findings, finding{What: what, Wrong: wrong, Mend: strings.ReplaceAll(mend, "STACK", d.stack)})
}

// code returns the error code of a failed call to AWS, or its cause if it has none. It leaves out the operation and its
// address, so that calls that fail alike give the same text.
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	if call, ok := errors.AsType[*url.Error](err); ok {
		err = call.Err
	} else if operation, ok := errors.AsType[*smithy.OperationError](err); ok {
		err = operation.Err
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

const redeploy = "Deploy the stack again (make deploy STAGE=…). CloudFormation doesn't replace a resource that was deleted by hand: see \"Restoring tables\" in docs/OPERATIONS.md."

// tables checks the tables' keys, indexes and expiry, and on AWS also that they can be restored.
func (d *doctor) tables() {
	names := schema.StackTables(d.stack)
	for _, t := range []struct {
		name, index, expiry string
	}{
		{names.Restaurants, "", ""}, {names.Bots, "", ""}, {names.Usage, "", ""},
		{names.Conversations, schema.OpeningIndex, "expiresAt"}, {names.AccessTokens, "", ""}, {names.Directory, schema.WordIndex, ""},
	} {
		what := "table " + t.name
		d.looked[aTable]++
		described, err := d.dynamodb.DescribeTable(d.ctx, &dynamodb.DescribeTableInput{TableName: &t.name})
		if err != nil {
			d.lost(aTable, what, err, "Restore the table from its backup (\"Restoring tables\" in docs/OPERATIONS.md). In a new stack, look at the stack's events in CloudFormation.")
			continue
		}
		wrong := ""
		if status := described.Table.TableStatus; status != dynamodbtypes.TableStatusActive {
			wrong = "its status is " + string(status)
		}
		d.say(what, wrong, "Wait until the table is ACTIVE: aws dynamodb wait table-exists --table-name "+t.name)
		if t.index != "" {
			d.index(described.Table, t.name, t.index)
		}
		if t.expiry != "" {
			d.expiry(t.name, t.expiry)
		}
		if d.endpoint == "" { // the stand-ins have no backups
			d.recovery(t.name)
		}
	}
}

// emptyUsage warns if there are restaurants and the usage table has no items. Creating a restaurant writes its place in the
// ranking there, so the counts are probably lost.
func (d *doctor) emptyUsage() {
	names := schema.StackTables(d.stack)
	usage, err := d.hasItems(names.Usage)
	if err != nil || usage {
		return // it has a finding already if it can't be read
	}
	if restaurants, err := d.hasItems(names.Restaurants); err != nil || !restaurants {
		return
	}
	d.findings = append(d.findings, finding{
		What: "content of table " + names.Usage, Warning: "the table is empty, but there are restaurants",
		Mend: "If customers have written to any restaurant, the counts are lost: see \"Restoring tables\" in docs/OPERATIONS.md. If none have, run sufrahctl usage reindex.",
	})
}

// hasItems reports whether a table has an item. It reads at most one.
func (d *doctor) hasItems(table string) (bool, error) {
	answer, err := d.dynamodb.Scan(d.ctx, &dynamodb.ScanInput{TableName: &table, Limit: aws.Int32(1)})
	if err != nil {
		return false, err
	}
	return len(answer.Items) > 0, nil
}

func (d *doctor) index(t *dynamodbtypes.TableDescription, table, name string) {
	what := "index " + name + " of table " + table
	for _, index := range t.GlobalSecondaryIndexes {
		if index.IndexName != nil && *index.IndexName == name {
			wrong := ""
			if index.IndexStatus != dynamodbtypes.IndexStatusActive {
				wrong = "its status is " + string(index.IndexStatus)
			}
			d.say(what, wrong, "Wait until the index is ACTIVE: for a large table, this takes hours.")
			return
		}
	}
	d.say(what, "the index is missing", redeploy+" DynamoDB then fills the index from the table.")
}

func (d *doctor) expiry(table, attribute string) {
	what := "expiry of table " + table
	answer, err := d.dynamodb.DescribeTimeToLive(d.ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &table})
	if err != nil {
		d.say(what, code(err), "Give your AWS profile the permission dynamodb:DescribeTimeToLive.")
		return
	}
	wrong := ""
	if e := answer.TimeToLiveDescription; e == nil || e.AttributeName == nil || *e.AttributeName != attribute ||
		e.TimeToLiveStatus != dynamodbtypes.TimeToLiveStatusEnabled && e.TimeToLiveStatus != dynamodbtypes.TimeToLiveStatusEnabling {
		wrong = "items don't expire by their attribute " + attribute
	}
	d.say(what, wrong, "aws dynamodb update-time-to-live --table-name "+table+" --time-to-live-specification Enabled=true,AttributeName="+attribute)
}

func (d *doctor) recovery(table string) {
	what := "recovery of table " + table
	answer, err := d.dynamodb.DescribeContinuousBackups(d.ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &table})
	if err != nil {
		d.say(what, code(err), "Give your AWS profile the permission dynamodb:DescribeContinuousBackups.")
		return
	}
	wrong := ""
	if p := answer.ContinuousBackupsDescription.PointInTimeRecoveryDescription; p == nil ||
		p.PointInTimeRecoveryStatus != dynamodbtypes.PointInTimeRecoveryStatusEnabled {
		wrong = "point-in-time recovery is off: the table can't be restored"
	}
	d.say(what, wrong, "aws dynamodb update-continuous-backups --table-name "+table+" --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true")
}

// leastVisibility is six times the worker's time-out, as Lambda demands (AWS, Lambda developer guide, "Using Lambda with
// SQS").
const leastVisibility = 360

// queues checks that failing jobs go to the dead-letter queue.
func (d *doctor) queues() {
	arns := map[string]string{}
	var redrive, visibility string
	for _, name := range []string{deadLetterQueueName(d.stack), queueName(d.stack)} {
		what := "queue " + name
		d.looked[aQueue]++
		found, err := d.sqs.GetQueueUrl(d.ctx, &sqs.GetQueueUrlInput{QueueName: &name})
		if err != nil {
			d.lost(aQueue, what, err, redeploy)
			continue
		}
		got, err := d.sqs.GetQueueAttributes(d.ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: found.QueueUrl, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll},
		})
		if err != nil {
			d.say(what, code(err), "Give your AWS profile the permission sqs:GetQueueAttributes.")
			continue
		}
		d.say(what, "", "")
		arns[name] = got.Attributes["QueueArn"]
		redrive, visibility = got.Attributes["RedrivePolicy"], got.Attributes["VisibilityTimeout"] // of the bootstrap queue, which comes last
	}
	if len(arns) < 2 {
		return
	}
	var policy struct {
		Target string          `json:"deadLetterTargetArn"`
		Most   json.RawMessage `json:"maxReceiveCount"` // a number, which older SDKs write as text
	}
	wrong := ""
	switch err := json.Unmarshal([]byte(redrive), &policy); {
	case redrive == "":
		wrong = "there is no redrive policy: a job that fails is tried again for four days"
	case err != nil || policy.Target != arns[deadLetterQueueName(d.stack)]:
		wrong = "it leads to another queue: " + policy.Target
	case strings.Trim(string(policy.Most), `"0123456789`) != "" || strings.Trim(string(policy.Most), `"0`) == "":
		wrong = "it has no maxReceiveCount"
	}
	d.say("redrive policy of queue "+queueName(d.stack), wrong, redeploy)
	wrong = ""
	if seconds, err := strconv.Atoi(visibility); err != nil || seconds < leastVisibility {
		wrong = fmt.Sprintf("it is %q seconds, want %d or more: another instance may get a job that is still running", visibility, leastVisibility)
	}
	d.say("visibility time-out of queue "+queueName(d.stack), wrong, redeploy)
}

// health sends the functions a health event, and compares their configurations.
func (d *doctor) health() {
	zones := map[string][]string{}
	webhook := ""
	for _, name := range []string{"usage-api", "usage-admin", "process-message", "welcome-bootstrap"} {
		what := "function " + d.stack + "-" + name
		d.looked[aFunction]++
		report, err := d.examine(d.stack + "-" + name + ":live")
		if err != nil {
			d.lost(aFunction, what, err, "Read the function's log, /aws/lambda/STACK-"+name+": \"start failed\" names the wrong variable. If there is no such function, deploy the stack.")
			continue
		}
		d.say(what, "", "")
		for _, check := range report.Checks {
			d.say(name+": "+check.Name, check.Error, mend(check.Name))
		}
		if report.TimeZone != "" {
			zones[report.TimeZone] = append(zones[report.TimeZone], name)
		}
		if report.WebhookURL != "" {
			webhook = report.WebhookURL
		}
	}
	if len(zones) > 0 {
		wrong, zone := "", ""
		for one, functions := range zones {
			zone = one
			if len(zones) > 1 {
				wrong += fmt.Sprintf("%s in %s; ", one, strings.Join(functions, ", "))
			}
		}
		if wrong != "" {
			zone = "several"
		}
		d.say("time zone ("+zone+")", strings.TrimSuffix(wrong, "; "), "Deploy all functions again with the same time zone (make deploy STAGE=… PARAMETERS=UsageTimeZone=…).")
	}
	if webhook != "" {
		d.say("webhook "+webhook, d.webhook(webhook),
			"Set the parameter WebhookUrl to this stack's public address (empty for the API's own), and set exactly that address at Twilio.")
	}
}

// mend returns how to restore a function's missing resource.
func mend(check string) string {
	switch {
	case strings.HasPrefix(check, "table "), strings.HasPrefix(check, "index "):
		return "If the table or index exists (see above), DynamoDB fails, the function's role lacks a permission, or its environment has a wrong name (make deploy STAGE=… sets both)."
	case check == "cache":
		return "aws elasticache describe-serverless-caches --serverless-cache-name STACK-cache shows whether the cache is available. If so, check security groups, subnets, and the user STACK-functions. " +
			"With CacheKind=dynamodb, check the table STACK-cache and the roles' policy use-cache-table. See \"cache-failing\" in docs/OPERATIONS.md."
	case strings.Contains(check, "Twilio"):
		return "aws secretsmanager put-secret-value --secret-id STACK/twilio --secret-string file:///dev/stdin, and type {\"AC…\": \"auth token\"} with the account of the parameter TwilioAccountSid."
	}
	return "aws secretsmanager put-secret-value --secret-id STACK/sufrah --secret-string file:///dev/stdin, and type {\"apiKey\": \"…\"}."
}

// examine sends a function a health event.
func (d *doctor) examine(name string) (health.Report, error) {
	answer, err := d.functions.Invoke(d.ctx, &lambda.InvokeInput{FunctionName: &name, Payload: []byte(health.Event)})
	if err != nil {
		return health.Report{}, err
	}
	var report health.Report
	switch err := json.Unmarshal(answer.Payload, &report); {
	case answer.FunctionError != nil:
		return report, fmt.Errorf("the function didn't start or crashed: %.300s", answer.Payload)
	case err != nil || report.Checks == nil:
		return report, errors.New("the function doesn't answer health events: its version is older than this sufrahctl")
	}
	return report, nil
}

// webhookPatience is how long the webhook may take to answer; Twilio gives up after 15 s.
const webhookPatience = 10 * time.Second

// webhook posts an unsigned message to an address and returns the fault of the answer. Only our webhook refuses the message
// in its own form.
func (d *doctor) webhook(address string) string {
	if !strings.HasPrefix(address, "https://") && d.endpoint == "" {
		return "not an https address"
	}
	ctx, cancel := context.WithTimeout(d.ctx, webhookPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader("From=whatsapp%3A%2B0"))
	if err != nil {
		return "not an address"
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "no answer: " + err.Error()
	}
	defer response.Body.Close()
	var refusal struct{ Code string }
	_ = json.NewDecoder(io.LimitReader(response.Body, 4<<10)).Decode(&refusal) // an unreadable answer leaves the code empty
	if response.StatusCode != http.StatusForbidden || refusal.Code != "forbidden" {
		return fmt.Sprintf("another server answers at this address, with status %d", response.StatusCode)
	}
	return ""
}
