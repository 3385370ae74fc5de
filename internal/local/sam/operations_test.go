package sam_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// These tests are about operations: releases, alarms, and the documentation of both. internal/local/devstack compares the
// names in the dashboard, alarms and queries with the functions' output.

const (
	alarmType  = "AWS::CloudWatch::Alarm"
	queryType  = "AWS::Logs::QueryDefinition"
	filterType = "AWS::Logs::MetricFilter"
	topicType  = "AWS::SNS::TopicPolicy"
)

// readManual returns the operators' manual.
func readManual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatalf("reading docs/OPERATIONS.md: %v", err)
	}
	return string(text)
}

// TestReleasesAreGradualAndTakenBack: every stage but dev releases gradually, and takes a release back at alarms that the
// manual explains.
func TestReleasesAreGradualAndTakenBack(t *testing.T) {
	t.Parallel()
	manual := readManual(t)
	alarms := map[string]bool{}
	for _, alarm := range resources(t, load(t), alarmType) {
		name, _ := alarm.Property("AlarmName").(string)
		alarms[name] = true
	}
	for stage, kind := range map[string]string{"dev": "AllAtOnce", "staging": "Canary10Percent10Minutes", "prod": "Canary10Percent10Minutes"} {
		loaded := with(t, load(t), "Stage", stage)
		for _, function := range resources(t, loaded, functionType) {
			// A changed parameter must make a version too: `make lint-template` checks that in SAM's output.
			if function.Property("AutoPublishAlias") != "live" || function.Property("AutoPublishAliasAllProperties") != true {
				t.Errorf("function %s: a changed template makes no new version, so that the change isn't released", function.LogicalID)
			}
			release := map[string]any{
				"Type": kind, "Role": "${" + releaseRole + ".Arn}", "Hooks": map[string]any{"PreTraffic": "${ReleaseCheckFunction}"},
			}
			got, _ := function.Property("DeploymentPreference").(map[string]any)
			brakes, _ := got["Alarms"].([]any)
			delete(got, "Alarms")
			if diff := cmp.Diff(release, got); diff != "" {
				t.Errorf("function %s in %s is released otherwise than it should be (-want +template.yaml):\n%s", function.LogicalID, stage, diff)
			}
			newVersion := function.Property("FunctionName").(string) + "-new-version"
			if !slices.Contains(brakes, any(newVersion)) {
				t.Errorf("the alarms %[2]v take back a release of %[1]s, want %[3]s among them", function.LogicalID, brakes, newVersion)
			}
			row := "| " + strings.TrimPrefix(function.Property("FunctionName").(string), stackName+"-") + " | "
			for i, brake := range brakes {
				name, _ := brake.(string)
				if !alarms[name] {
					t.Errorf("function %s's release is taken back by %v, which is no alarm of template.yaml", function.LogicalID, brake)
				}
				if i > 0 {
					row += ", "
				}
				row += "`" + strings.TrimPrefix(name, stackName+"-") + "`"
			}
			if !strings.Contains(manual, row+" |\n") {
				t.Errorf("docs/OPERATIONS.md lists other alarms that take back a release: it doesn't say %q", row)
			}
		}
	}
	atOnce := with(t, with(t, load(t), "Stage", "prod"), "Rollout", "at-once")
	for _, function := range resources(t, atOnce, functionType) {
		if got := function.Property("DeploymentPreference", "Type"); got != "AllAtOnce" {
			t.Errorf("with Rollout=at-once, %s is released by %v, want AllAtOnce: an operator who goes back would have to wait", function.LogicalID, got)
		}
	}
	for _, function := range resources(t, with(t, load(t), "AlarmsHoldReleases", "false"), functionType) {
		if got, _ := function.Property("DeploymentPreference", "Alarms").([]any); len(got) > 0 {
			t.Errorf("with AlarmsHoldReleases=false, a release of %s is still taken back by %v", function.LogicalID, got)
		}
		if got := function.Property("DeploymentPreference", "Hooks", "PreTraffic"); got != nil {
			t.Errorf("with AlarmsHoldReleases=false, a release of %s is still checked by %v", function.LogicalID, got)
		}
	}
}

func TestAlarmsTellTheTopic(t *testing.T) {
	t.Parallel()
	topic := any([]any{"${AlarmTopic}"})
	// For an alarm on missing events, missing data must be breaching.
	silence := []string{"FewMessagesAlarm", "FewRequestsAlarm", "NoMessagesAlarm"}
	for _, alarm := range resources(t, with(t, load(t), "Stage", "prod"), alarmType) {
		for _, actions := range []string{"AlarmActions", "OKActions"} {
			if diff := cmp.Diff(topic, alarm.Property(actions)); diff != "" {
				t.Errorf("alarm %s: its %s don't reach the topic, so that operators learn nothing (-want +template.yaml):\n%s", alarm.LogicalID, actions, diff)
			}
		}
		want := "notBreaching"
		if slices.Contains(silence, alarm.LogicalID) {
			want = "breaching"
		}
		if alarm.Property("TreatMissingData") != want {
			t.Errorf("alarm %s takes missing data as %v, want %s", alarm.LogicalID, alarm.Property("TreatMissingData"), want)
		}
	}
}

// TestEachFunctionIsWatched: every function has the same alarms, so that a new function lacks none.
func TestEachFunctionIsWatched(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	var got []string
	for _, alarm := range resources(t, loaded, alarmType) {
		name, _ := alarm.Property("AlarmName").(string)
		got = append(got, name)
	}
	groups := map[any]bool{}
	for _, filter := range resources(t, loaded, filterType) {
		groups[filter.Property("LogGroupName")] = true
	}
	for _, function := range resources(t, loaded, functionType) {
		name, _ := function.Property("FunctionName").(string)
		for _, what := range []string{"errors", "error-lines", "new-version", "p99-duration", "throttles"} {
			if !slices.Contains(got, name+"-"+what) {
				t.Errorf("no alarm %s-%s: nobody would learn of it", name, what)
			}
		}
		if group := function.Property("LoggingConfig", "LogGroup"); !groups[group] {
			t.Errorf("no metric filter counts the error lines in %v", group)
		}
	}
}

// TestSilence: alarms on silence exist only in prod, compare with the usual traffic, and have data even if nothing comes.
func TestSilence(t *testing.T) {
	t.Parallel()
	for stage, want := range map[string]int{"dev": 0, "staging": 0, "prod": 2} {
		loaded := with(t, load(t), "Stage", stage)
		bands := 0
		for _, alarm := range resources(t, loaded, alarmType) {
			threshold, _ := alarm.Property("ThresholdMetricId").(string)
			if threshold == "" {
				continue
			}
			bands++
			metrics, _ := alarm.Property("Metrics").([]any)
			band, _ := metrics[1].(map[string]any)
			if alarm.Property("ComparisonOperator") != "LessThanLowerThreshold" || band["Id"] != threshold ||
				!strings.HasPrefix(band["Expression"].(string), "ANOMALY_DETECTION_BAND(") {
				t.Errorf("alarm %s on silence doesn't compare with the usual traffic: %v", alarm.LogicalID, alarm.Property())
			}
		}
		if bands != want {
			t.Errorf("there are %d alarms on silence in %s, want %d", bands, stage, want)
		}
		if stage != "prod" {
			continue
		}
		zeros := resource(t, loaded, "AWS::Scheduler::Schedule", "Zeros")
		if rate := zeros.Property("ScheduleExpression"); rate != "rate(5 minutes)" || zeros.Property("State") != nil {
			t.Errorf("the zeros that alarms on silence need come at %v, want every 5 minutes", rate)
		}
	}
}

// TestExports: if exports are wanted, each table with data that can't be recomputed is exported, to a bucket that outlives
// the stack.
func TestExports(t *testing.T) {
	t.Parallel()
	if buckets, err := load(t).Resources("AWS::S3::Bucket", stackName); err != nil || len(buckets) > 0 {
		t.Errorf("the stack makes %d buckets for exports that nobody asked for (error %v)", len(buckets), err)
	}
	loaded := with(t, load(t), "DailyExport", "true")
	var got []string
	for _, schedule := range resources(t, loaded, "AWS::Scheduler::Schedule") {
		var input struct{ TableArn, S3Bucket, S3Prefix, ExportFormat string }
		text, _ := schedule.Property("Target", "Input").(string)
		if err := json.Unmarshal([]byte(text), &input); err != nil {
			t.Fatalf("the export's input %s is no JSON: %v", text, err)
		}
		target, _ := schedule.Property("Target", "Arn").(string)
		if !strings.HasSuffix(target, ":scheduler:::aws-sdk:dynamodb:exportTableToPointInTime") || input.S3Bucket != "${ExportBucket}" ||
			input.ExportFormat != "DYNAMODB_JSON" {
			t.Errorf("schedule %s calls %s with %+v, want an export of a table to the bucket", schedule.LogicalID, target, input)
		}
		got = append(got, input.S3Prefix+" "+input.TableArn)
	}
	slices.Sort(got)
	want := []string{"bots ${BotsTable.Arn}", "restaurants ${RestaurantsTable.Arn}", "usage ${UsageTable.Arn}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the exported tables are not those whose data can't be recomputed (-want +template.yaml):\n%s", diff)
	}
}

func TestOnlyAlarmsAndBudgetsPublish(t *testing.T) {
	t.Parallel()
	for _, policy := range resources(t, load(t), topicType) {
		var got struct {
			Topics         []string
			PolicyDocument struct{ Statement []statement }
		}
		if err := policy.Decode(&got); err != nil {
			t.Fatalf("reading the resource's properties: %v", err)
		}
		alarms := "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:sufrah-test-*"
		want := []statement{
			{
				Effect: "Allow", Principal: principal{Service: oneOrMore{"cloudwatch.amazonaws.com"}}, Action: oneOrMore{"sns:Publish"},
				Resource: oneOrMore{"${AlarmTopic}"}, Condition: condition{"ArnLike": {"aws:SourceArn": alarms}},
			},
			{
				Effect: "Allow", Principal: principal{Service: oneOrMore{"budgets.amazonaws.com"}}, Action: oneOrMore{"sns:Publish"},
				Resource: oneOrMore{"${AlarmTopic}"}, Condition: condition{"StringEquals": {"aws:SourceAccount": "${AWS::AccountId}"}},
			},
			{
				Effect: "Deny", Principal: principal{Anyone: true}, Action: oneOrMore{"sns:Publish"},
				Resource: oneOrMore{"${AlarmTopic}"}, Condition: condition{"Bool": {"aws:SecureTransport": false}},
			},
		}
		if diff := cmp.Diff(want, got.PolicyDocument.Statement); diff != "" {
			t.Errorf("topic policy %s lets others publish to operators, or not the alarms and budgets (-want +template.yaml):\n%s", policy.LogicalID, diff)
		}
	}
}

// TestBudget: if a budget is given, the topic is told when a month's costs are forecast to exceed it, and when they do.
func TestBudget(t *testing.T) {
	t.Parallel()
	const budgetType = "AWS::Budgets::Budget"
	if got, err := load(t).Resources(budgetType, "sufrah-test"); len(got) != 0 || err != nil {
		t.Errorf("the stack makes the budget %+v that nobody asked for (error %v)", got, err)
	}
	budgets := resources(t, with(t, load(t), "MonthlyBudget", "80"), budgetType)
	if len(budgets) != 1 {
		t.Fatalf("there are %d budgets, want one", len(budgets))
	}
	var got struct {
		Budget struct {
			BudgetLimit struct {
				Amount string
				Unit   string
			}
		}
		NotificationsWithSubscribers []struct {
			Notification struct{ NotificationType string }
			Subscribers  []struct{ SubscriptionType, Address string }
		}
	}
	if err := budgets[0].Decode(&got); err != nil {
		t.Fatalf("reading the resource's properties: %v", err)
	}
	if limit := got.Budget.BudgetLimit; limit.Amount != "80" || limit.Unit != "USD" || len(got.NotificationsWithSubscribers) != 2 {
		t.Errorf("the budget is %+v, want 80 USD with two notifications", got)
	}
	for i, kind := range []string{"FORECASTED", "ACTUAL"} {
		n := got.NotificationsWithSubscribers[i]
		if n.Notification.NotificationType != kind || len(n.Subscribers) != 1 || n.Subscribers[0].Address != "${AlarmTopic}" {
			t.Errorf("the budget's notification %d is %+v, want %s, sent to the topic", i, n, kind)
		}
	}
}

// TestOperatorsFindEverything: docs/OPERATIONS.md has a section for each alarm and no other, names each saved query, and has
// no broken link.
func TestOperatorsFindEverything(t *testing.T) {
	t.Parallel()
	manual := readManual(t)
	_, alarmSections, found := strings.Cut(manual, "\n## Alarms\n")
	alarmSections, _, ended := strings.Cut(alarmSections, "\n## ")
	if !found || !ended {
		t.Fatal("docs/OPERATIONS.md has no chapter about alarms")
	}
	documented := map[string]bool{}
	for _, heading := range regexp.MustCompile("(?m)^### (.*)$").FindAllStringSubmatch(alarmSections, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(heading[1], -1) {
			documented[name[1]] = true
		}
	}
	loaded := with(t, load(t), "Stage", "prod") // the stage with all alarms
	alarms := map[string]bool{}
	for _, alarm := range resources(t, loaded, alarmType) {
		name, _ := alarm.Property("AlarmName").(string)
		alarms[strings.TrimPrefix(name, stackName+"-")] = true
	}
	if diff := cmp.Diff(alarms, documented); diff != "" {
		t.Errorf("the alarms of template.yaml and their sections in docs/OPERATIONS.md differ (-template.yaml +section):\n%s", diff)
	}
	for _, query := range resources(t, loaded, queryType) {
		name, _ := query.Property("Name").(string)
		if name = strings.TrimPrefix(name, stackName+"/"); !strings.Contains(manual, "`"+name+"`") {
			t.Errorf("docs/OPERATIONS.md doesn't mention the saved query %s", name)
		}
	}
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile("(?m)^##+ (.*)$").FindAllStringSubmatch(manual, -1) {
		anchor := regexp.MustCompile("[^a-z0-9 -]").ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors[strings.ReplaceAll(anchor, " ", "-")] = true
	}
	for _, link := range regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(manual, -1) {
		if !anchors[link[1]] {
			t.Errorf("docs/OPERATIONS.md has a link to #%s, which leads nowhere", link[1])
		}
	}
}

// TestDashboardShowsEveryAlarm: the dashboard's list of alarms has all alarms that every stage has. The alarms for missing
// traffic are prod's alone: a list with an alarm that doesn't exist shows an error.
func TestDashboardShowsEveryAlarm(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../stack/operations.yaml")
	if err != nil {
		t.Fatalf("reading the operations' template: %v", err)
	}
	_, widget, _ := strings.Cut(string(text), `{"type": "alarm"`)
	widget, _, found := strings.Cut(widget, "]}}")
	if !found {
		t.Fatal("the dashboard has no list of alarms")
	}
	for _, alarm := range resources(t, with(t, load(t), "Stage", "staging"), alarmType) {
		name, _ := alarm.Property("AlarmName").(string)
		name = strings.TrimPrefix(name, stackName+"-")
		if !strings.Contains(widget, "${"+alarm.LogicalID+".Arn}") && !strings.Contains(widget, ":alarm:${Stack}-"+name+`"`) {
			t.Errorf("the dashboard's list of alarms lacks %s (%s)", name, alarm.LogicalID)
		}
	}
}

// TestOperatorsMayDoWhatSufrahctlDoes: the policy in docs/OPERATIONS.md allows exactly the calls in sufrahctl's code.
func TestOperatorsMayDoWhatSufrahctlDoes(t *testing.T) {
	t.Parallel()
	_, text, _ := strings.Cut(readManual(t), "```json\n")
	text, _, _ = strings.Cut(text, "```")
	var policy struct{ Statement []statement }
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		t.Fatalf("decoding the operators' policy %.500s: %v", text, err)
	}
	got := map[string]bool{}
	for _, s := range policy.Statement {
		for _, action := range s.Action {
			got[action] = true
		}
	}
	// SQS moves messages with the caller's permissions: receive, delete and send.
	want := map[string]bool{"sqs:ReceiveMessage": true, "sqs:DeleteMessage": true, "sqs:SendMessage": true}
	for service, patterns := range map[string][]string{
		"dynamodb": {"../../dynamo/*/*.go", "../stackstore/*.go", "../../cmd/sufrahctl/*.go"},
		"sqs":      {"../../sqsqueue/deadletters.go", "../../cmd/sufrahctl/*.go"},
		"lambda":   {"../../cmd/sufrahctl/*.go"},
	} {
		calls := regexp.MustCompile(`&?` + service + `\.(?:New)?(\w+?)(?:Input\{|Paginator\()`)
		for _, pattern := range patterns {
			files, err := filepath.Glob(pattern)
			if err != nil || len(files) == 0 {
				t.Fatalf("no source files at %s (error %v)", pattern, err)
			}
			for _, file := range files {
				source, err := os.ReadFile(file)
				if err != nil {
					t.Fatalf("reading a source file: %v", err)
				}
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				for _, call := range calls.FindAllStringSubmatch(string(source), -1) {
					for _, action := range actionsOf(call[1]) {
						want[service+":"+action] = true
					}
				}
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the operators' policy in docs/OPERATIONS.md doesn't allow exactly what sufrahctl calls (-called +allowed):\n%s", diff)
	}
}

// actionsOf returns IAM's actions for a call. A transaction has no action of its own, and a batch in SQS has the action of
// single calls.
func actionsOf(call string) []string {
	switch call {
	case "TransactWriteItems":
		return []string{"ConditionCheckItem", "DeleteItem", "PutItem", "UpdateItem"}
	case "Invoke":
		return []string{"InvokeFunction"}
	case "ChangeMessageVisibilityBatch", "DeleteMessageBatch":
		return []string{strings.TrimSuffix(call, "Batch")}
	}
	return []string{call}
}
