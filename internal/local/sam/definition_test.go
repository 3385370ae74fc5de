package sam_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

// These tests hold for the project's own template, whatever is added to it.

const (
	stackName = "sufrah-test"

	accountSID = "AC00000000000000000000000000000000"

	functionType = "AWS::Serverless::Function"
	httpAPIType  = "AWS::Serverless::HttpApi"
	logGroupType = "AWS::Logs::LogGroup"
	roleType     = "AWS::IAM::Role"
	tableType    = "AWS::DynamoDB::Table"
)

// load returns template.yaml with values for the parameters without a default.
func load(t *testing.T) *sam.Definition {
	t.Helper()
	loaded, err := sam.Load("../../../template.yaml")
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	return with(t, loaded, "TwilioAccountSid", accountSID)
}

func with(t *testing.T, loaded *sam.Definition, parameter, value string) *sam.Definition {
	t.Helper()
	changed, err := loaded.With(parameter, value)
	if err != nil {
		t.Fatalf("changing a parameter of the template: %v", err)
	}
	return changed
}

// resources returns the resources of a type. It fails if there are none, because a loop over none would prove nothing.
func resources(t *testing.T, loaded *sam.Definition, resourceType string) []sam.Resource {
	t.Helper()
	found, err := loaded.Resources(resourceType, stackName)
	if err != nil {
		t.Fatalf("reading resources from the template: %v", err)
	}
	if len(found) == 0 {
		t.Fatalf("template.yaml has no %s", resourceType)
	}
	return found
}

// TestDefinitionCanBeRead: no template is too long to read. The rest is in nested templates in internal/stack.
func TestDefinitionCanBeRead(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatalf("reading template.yaml: %v", err)
	}
	if lines := bytes.Count(content, []byte("\n")); lines > 1500 {
		t.Errorf("template.yaml has %d lines, want 1500 at most", lines)
	}
}

func TestTablesAreThoseThatTheStoresUse(t *testing.T) {
	t.Parallel()
	restaurant := sam.Key{Name: "restaurantId", Type: "S"}
	want := []sam.Table{
		{
			LogicalID: "AccessTokensTable", Name: "sufrah-test-access-tokens",
			PartitionKey: sam.Key{Name: "tokenHash", Type: "S"},
		},
		{
			LogicalID: "BotsTable", Name: "sufrah-test-bots", PartitionKey: restaurant,
			Indexes: []sam.Index{{
				Name: "by-plan", PartitionKey: sam.Key{Name: "plan", Type: "S"}, Projection: "KEYS_ONLY",
			}},
		},
		{
			LogicalID: "ConversationsTable", Name: "sufrah-test-conversations", PartitionKey: restaurant,
			SortKey: sam.Key{Name: "entry", Type: "S"}, TimeToLive: "expiresAt",
			Indexes: []sam.Index{{
				Name: "by-opening", PartitionKey: restaurant, SortKey: sam.Key{Name: "openedAt", Type: "S"}, Projection: "KEYS_ONLY",
			}},
		},
		{
			LogicalID: "DirectoryTable", Name: "sufrah-test-directory",
			PartitionKey: sam.Key{Name: "id", Type: "S"},
			Indexes: []sam.Index{{
				Name: "by-word", PartitionKey: sam.Key{Name: "wordIn", Type: "S"}, SortKey: sam.Key{Name: "word", Type: "S"},
				Projection: "INCLUDE", NonKeyAttributes: []string{"words", "active"},
			}},
		},
		{
			LogicalID: "RestaurantsTable", Name: "sufrah-test-restaurants", PartitionKey: restaurant,
		},
		{
			LogicalID: "UsageTable", Name: "sufrah-test-usage", PartitionKey: restaurant,
			SortKey: sam.Key{Name: "period", Type: "S"},
			Indexes: []sam.Index{{
				Name: "by-fullness", PartitionKey: sam.Key{Name: "listedIn", Type: "S"},
				SortKey:    sam.Key{Name: "fullness", Type: "N"},
				Projection: "INCLUDE", NonKeyAttributes: []string{"conversations", "adjustedBy", "planLimit"},
			}},
		},
	}
	got, err := load(t).Tables(stackName)
	if err != nil {
		t.Fatalf("reading the tables from the template: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the tables of template.yaml are not those that the stores use (-want +template.yaml):\n%s", diff)
	}
}

func TestTablesSurviveMistakes(t *testing.T) {
	t.Parallel()
	first := with(t, load(t), "ProtectTables", "false")
	for _, test := range []struct {
		stage     string
		of        *sam.Definition
		protected bool
	}{
		{"dev", load(t), false}, {"staging", load(t), true}, {"prod", load(t), true}, {"prod", first, false},
	} {
		stage, protected := test.stage, test.protected
		for _, table := range resources(t, with(t, test.of, "Stage", stage), tableType) {
			want := map[string]any{
				"BillingMode":               "PAY_PER_REQUEST",
				"PointInTimeRecovery":       true,
				"SSE":                       true,
				"DeletionProtectionEnabled": protected,
				"DeletionPolicy":            "RetainExceptOnCreate",
				"UpdateReplacePolicy":       "Retain",
			}
			got := map[string]any{
				"BillingMode":               table.Property("BillingMode"),
				"PointInTimeRecovery":       table.Property("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"),
				"SSE":                       table.Property("SSESpecification", "SSEEnabled"),
				"DeletionProtectionEnabled": table.Property("DeletionProtectionEnabled"),
				"DeletionPolicy":            table.Attribute("DeletionPolicy"),
				"UpdateReplacePolicy":       table.Attribute("UpdateReplacePolicy"),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("table %s in %s isn't protected as the stage needs (-want +template.yaml):\n%s", table.LogicalID, stage, diff)
			}
		}
	}
}

func TestFunctionsRunWhatTheMakefileBuilds(t *testing.T) {
	t.Parallel()
	for _, function := range resources(t, load(t), functionType) {
		want := map[string]any{
			"Runtime": "provided.al2023", "Architectures": []any{"arm64"}, "Handler": "bootstrap",
			"Tracing": "Active", "LogFormat": "JSON", "BuildMethod": "makefile",
		}
		got := map[string]any{
			"Runtime":       function.Property("Runtime"),
			"Architectures": function.Property("Architectures"),
			"Handler":       function.Property("Handler"),
			"Tracing":       function.Property("Tracing"),
			"LogFormat":     function.Property("LoggingConfig", "LogFormat"),
			"BuildMethod":   function.Attribute("Metadata", "BuildMethod"),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("function %s doesn't run what the Makefile builds (-want +template.yaml):\n%s", function.LogicalID, diff)
		}
		if memory, _ := function.Property("MemorySize").(int); memory < 128 {
			t.Errorf("function %s has %v MB of memory, want 128 or more", function.LogicalID, function.Property("MemorySize"))
		}
	}
}

func TestLogsAreKeptForALimitedTime(t *testing.T) {
	t.Parallel()
	loaded := with(t, load(t), "LogRetentionDays", "14")
	groups := map[any]bool{}
	for _, group := range resources(t, loaded, logGroupType) {
		groups[group.Property("LogGroupName")] = true
		if got := group.Property("RetentionInDays"); got != "14" {
			t.Errorf("log group %s keeps lines for %v days, want 14", group.LogicalID, got)
		}
	}
	for _, function := range resources(t, loaded, functionType) {
		if group := function.Property("LoggingConfig", "LogGroup"); group == nil || !groups[group] {
			t.Errorf("function %s logs to %v, which is no log group of template.yaml: its lines would be kept forever", function.LogicalID, group)
		}
	}
}

// statement is a policy's statement. IAM accepts a text in place of a list of one text.
type statement struct {
	Effect    string
	Action    oneOrMore
	Resource  oneOrMore
	Principal principal
	Condition condition
}

// principal is the principal of a statement; "*" becomes Anyone.
type principal struct {
	Anyone  bool
	Service oneOrMore
}

func (p *principal) UnmarshalJSON(encoded []byte) error {
	if string(encoded) == `"*"` {
		p.Anyone = true
		return nil
	}
	return json.Unmarshal(encoded, (*struct {
		Anyone  bool `json:"-"`
		Service oneOrMore
	})(p))
}

// condition is a statement's condition, by operator and then by key.
type condition map[string]map[string]any

type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(encoded []byte) error {
	var one string
	if json.Unmarshal(encoded, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(encoded, (*[]string)(o))
}

type role struct {
	AssumeRolePolicyDocument struct{ Statement []statement }
	Policies                 []policy
	ManagedPolicyArns        []string
}

type policy struct {
	PolicyDocument struct{ Statement []statement }
}

// roles returns template.yaml's roles by their logical id.
func roles(t *testing.T, loaded *sam.Definition) map[string]role {
	t.Helper()
	found := map[string]role{}
	for _, resource := range resources(t, loaded, roleType) {
		var r role
		if err := resource.Decode(&r); err != nil {
			t.Fatalf("reading the resource's properties: %v", err)
		}
		found[resource.LogicalID] = r
	}
	for _, resource := range resources(t, loaded, "AWS::IAM::Policy") { // policies that are resources of their own
		var apart struct {
			policy
			Roles []string
		}
		if err := resource.Decode(&apart); err != nil {
			t.Fatalf("reading a policy's properties: %v", err)
		}
		for _, name := range apart.Roles {
			logicalID := strings.TrimSuffix(strings.TrimPrefix(name, "${"), "}")
			r := found[logicalID]
			r.Policies = append(r.Policies, apart.policy)
			found[logicalID] = r
		}
	}
	return found
}

// permissions returns a role's permissions as sorted lines "action resource", with the partition keys that they are limited
// to.
func (r role) permissions() []string {
	var lines []string
	for _, policy := range r.Policies {
		for _, statement := range policy.PolicyDocument.Statement {
			for _, action := range statement.Action {
				for _, resource := range statement.Resource {
					line := statement.Effect + " " + action + " " + resource
					if keys, ok := statement.Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"].([]any); ok {
						line += fmt.Sprint(" of ", keys[0])
					}
					lines = append(lines, line)
				}
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// writing returns every function's permissions for its own log group and for X-Ray.
func writing(logGroup string) []string {
	return []string{
		"Allow logs:CreateLogStream ${" + logGroup + ".Arn}",
		"Allow logs:PutLogEvents ${" + logGroup + ".Arn}",
		"Allow xray:PutTelemetryRecords *",
		"Allow xray:PutTraceSegments *",
	}
}

// cached returns the permissions of a function that uses the cache and therefore is in a VPC.
func cached() []string {
	lines := []string{
		"Allow elasticache:Connect ${Cache.ARN}",
		"Allow elasticache:Connect ${CacheUser.Arn}",
	}
	for _, action := range []string{
		"AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface",
		"DescribeNetworkInterfaces", "DescribeSubnets", "UnassignPrivateIpAddresses",
	} {
		lines = append(lines, "Allow ec2:"+action+" *", "Deny ec2:"+action+" *")
	}
	return lines
}

// whole returns the stack with all its optional parts.
func whole(t *testing.T) *sam.Definition {
	t.Helper()
	return with(t, with(t, with(t, load(t), "Stage", "prod"), "DailyExport", "true"), "DomainName", "api.example.com")
}

func TestFunctionsMayDoOnlyWhatTheyNeed(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"UsageApiRole": slices.Concat(writing("UsageApiLogGroup"), []string{
			"Allow dynamodb:BatchGetItem ${BotsTable.Arn}",
			"Allow dynamodb:BatchGetItem ${ConversationsTable.Arn}",
			"Allow dynamodb:BatchGetItem ${DirectoryTable.Arn}",
			"Allow dynamodb:BatchGetItem ${RestaurantsTable.Arn}",
			"Allow dynamodb:BatchGetItem ${UsageTable.Arn}",
			"Allow dynamodb:GetItem ${AccessTokensTable.Arn}",
			"Allow dynamodb:GetItem ${DirectoryTable.Arn}",
			"Allow dynamodb:Query ${BotsTable.Arn}/index/by-plan",
			"Allow dynamodb:Query ${DirectoryTable.Arn}/index/by-word",
			"Allow dynamodb:Query ${ConversationsTable.Arn}",
			"Allow dynamodb:Query ${ConversationsTable.Arn}/index/by-opening",
			"Allow dynamodb:Query ${UsageTable.Arn}",
			"Allow dynamodb:Query ${UsageTable.Arn}/index/by-fullness",
		}),
		"UsageAdminRole": slices.Concat(writing("UsageAdminLogGroup"), []string{
			"Allow dynamodb:BatchGetItem ${BotsTable.Arn}",
			"Allow dynamodb:BatchGetItem ${RestaurantsTable.Arn}",
			"Allow dynamodb:BatchGetItem ${UsageTable.Arn}",
			"Allow dynamodb:ConditionCheckItem ${BotsTable.Arn}",
			"Allow dynamodb:ConditionCheckItem ${RestaurantsTable.Arn}",
			"Allow dynamodb:DeleteItem ${UsageTable.Arn} of ranking/*",
			"Allow dynamodb:GetItem ${AccessTokensTable.Arn}",
			"Allow dynamodb:PutItem ${UsageTable.Arn}",
			"Allow dynamodb:UpdateItem ${UsageTable.Arn}",
		}),
		"ProcessMessageRole": slices.Concat(writing("ProcessMessageLogGroup"), cached(), []string{
			"Allow dynamodb:BatchGetItem ${BotsTable.Arn}",
			"Allow dynamodb:BatchGetItem ${RestaurantsTable.Arn}",
			"Allow dynamodb:BatchGetItem ${UsageTable.Arn}",
			"Allow dynamodb:ConditionCheckItem ${BotsTable.Arn}",
			"Allow dynamodb:ConditionCheckItem ${RestaurantsTable.Arn}",
			"Allow dynamodb:DeleteItem ${UsageTable.Arn} of ranking/*",
			"Allow dynamodb:GetItem ${ConversationsTable.Arn}",
			"Allow dynamodb:GetItem ${DirectoryTable.Arn}",
			"Allow dynamodb:PutItem ${ConversationsTable.Arn}",
			"Allow dynamodb:PutItem ${UsageTable.Arn} of ranking/*",
			"Allow dynamodb:UpdateItem ${ConversationsTable.Arn}",
			"Allow dynamodb:UpdateItem ${UsageTable.Arn}",
			"Allow secretsmanager:GetSecretValue ${SufrahSecret}",
			"Allow secretsmanager:GetSecretValue ${TwilioSecret}",
			"Allow sqs:SendMessage ${BootstrapQueue.Arn}",
		}),
		"WelcomeBootstrapRole": slices.Concat(writing("WelcomeBootstrapLogGroup"), cached(), []string{
			"Allow secretsmanager:GetSecretValue ${SufrahSecret}",
			"Allow secretsmanager:GetSecretValue ${TwilioSecret}",
			"Allow sqs:ChangeMessageVisibility ${BootstrapQueue.Arn}",
			"Allow sqs:DeleteMessage ${BootstrapQueue.Arn}",
			"Allow sqs:GetQueueAttributes ${BootstrapQueue.Arn}",
			"Allow sqs:ReceiveMessage ${BootstrapQueue.Arn}",
			"Allow sqs:SendMessage ${BootstrapDeadLetterQueue.Arn}", "Allow sqs:SendMessage ${BootstrapQueue.Arn}",
		}),
	}
	const function = "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:"
	releasing := []string{"Allow cloudwatch:DescribeAlarms *", "Allow lambda:InvokeFunction " + function + stackName + "-release-check"}
	checking := []string{
		"Allow codedeploy:BatchGetDeploymentTargets *", "Allow codedeploy:ListDeploymentTargets *",
		"Allow codedeploy:PutLifecycleEventHookExecutionStatus arn:${AWS::Partition}:codedeploy:${AWS::Region}:${AWS::AccountId}:deploymentgroup:" + stackName + "-*",
		"Allow logs:CreateLogStream ${ReleaseCheckLogGroup.Arn}", "Allow logs:PutLogEvents ${ReleaseCheckLogGroup.Arn}",
	}
	for _, released := range resources(t, load(t), functionType) {
		arn := function + released.Property("FunctionName").(string)
		checking = append(checking, "Allow lambda:InvokeFunction "+arn+":*")
		for _, action := range []string{"GetAlias", "GetProvisionedConcurrencyConfig", "UpdateAlias"} {
			releasing = append(releasing, "Allow lambda:"+action+" "+arn, "Allow lambda:"+action+" "+arn+":*")
		}
	}
	want[releaseRole], want[checkRole] = releasing, checking
	got := map[string][]string{}
	want["ZerosRole"] = []string{"Allow cloudwatch:PutMetricData *"}
	want["ExportRole"] = []string{
		"Allow dynamodb:ExportTableToPointInTime ${BotsTable.Arn}", "Allow dynamodb:ExportTableToPointInTime ${RestaurantsTable.Arn}",
		"Allow dynamodb:ExportTableToPointInTime ${UsageTable.Arn}",
		"Allow s3:AbortMultipartUpload ${ExportBucket.Arn}/*", "Allow s3:PutObject ${ExportBucket.Arn}/*", "Allow s3:PutObjectAcl ${ExportBucket.Arn}/*",
	}
	for logicalID, role := range roles(t, whole(t)) {
		got[logicalID] = role.permissions()
	}
	inTable := roles(t, with(t, load(t), "CacheKind", "dynamodb"))
	for _, logicalID := range []string{"ProcessMessageRole", "WelcomeBootstrapRole"} {
		name := logicalID + " with a cache in a table"
		got[name] = inTable[logicalID].permissions()
		want[name] = slices.DeleteFunc(slices.Clone(want[logicalID]), func(line string) bool { return slices.Contains(cached(), line) })
		for _, action := range []string{"BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "UpdateItem"} {
			want[name] = append(want[name], "Allow dynamodb:"+action+" ${CacheTable.Arn}")
		}
	}
	for _, lines := range want {
		slices.Sort(lines)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions may do more or less than they need (-want +template.yaml):\n%s", diff)
	}
}

// unlimited has the only actions that may be allowed on every resource, with the reason for each.
var unlimited = map[string]string{
	"xray:PutTelemetryRecords": "X-Ray has no resource to limit it to",
	"xray:PutTraceSegments":    "X-Ray has no resource to limit it to",

	"codedeploy:BatchGetDeploymentTargets":            "a hook knows its deployment's id and not its group; it only reads",
	"codedeploy:ListDeploymentTargets":                "a hook knows its deployment's id and not its group; it only reads",
	"codedeploy:PutLifecycleEventHookExecutionStatus": "applications have names of CloudFormation's making, which begin with the stack's",

	"cloudwatch:PutMetricData":  "metrics are no resources; it is limited to our namespace",
	"cloudwatch:DescribeAlarms": "it is asked for several alarms at once, which is allowed for all or for none; it only reads",

	"ec2:AssignPrivateIpAddresses":   lambdasOwn,
	"ec2:CreateNetworkInterface":     lambdasOwn,
	"ec2:DeleteNetworkInterface":     lambdasOwn,
	"ec2:DescribeNetworkInterfaces":  lambdasOwn,
	"ec2:DescribeSubnets":            lambdasOwn,
	"ec2:UnassignPrivateIpAddresses": lambdasOwn,
}

// releaseRole is CodeDeploy's role, the only role without a function. checkRole is the role of the function that CodeDeploy
// calls.
const (
	releaseRole = "ReleaseRole"
	checkRole   = "ReleaseCheckRole"
)

// lambdasOwn is the reason for the permissions that Lambda itself uses with the role. TestCodeMayNotTouchInterfaces checks
// that the function's code can't use them.
const lambdasOwn = "Lambda attaches functions to a VPC with it, and asks for all of it; the code is denied it"

func TestRolesAllowNothingThatIsNotWrittenOut(t *testing.T) {
	t.Parallel()
	for logicalID, role := range roles(t, whole(t)) {
		if len(role.ManagedPolicyArns) > 0 {
			t.Errorf("role %s has the managed policies %q, want none: they allow more than a function needs", logicalID, role.ManagedPolicyArns)
		}
		for _, permission := range role.permissions() {
			effect, rest, _ := strings.Cut(permission, " ")
			action, resource, _ := strings.Cut(rest, " ")
			if strings.Contains(action, "*") {
				t.Errorf("role %s: %s: want an action without *", logicalID, permission)
			}
			resource, _, _ = strings.Cut(resource, " of ")
			single, _ := strings.CutSuffix(resource, ":*") // the streams of a log group; the versions and aliases of a function
			single, _ = strings.CutSuffix(single, "Bucket.Arn}/*")
			if effect != "Deny" && strings.Contains(single, "*") && unlimited[action] == "" {
				t.Errorf("role %s: %s: want a resource without *", logicalID, permission)
			}
		}
		trusted := oneOrMore{"lambda.amazonaws.com"}
		switch logicalID {
		case releaseRole:
			trusted = oneOrMore{"codedeploy.amazonaws.com"}
		case "ZerosRole", "ExportRole":
			trusted = oneOrMore{"scheduler.amazonaws.com"}
		}
		for _, statement := range role.AssumeRolePolicyDocument.Statement {
			if diff := cmp.Diff(trusted, statement.Principal.Service); diff != "" {
				t.Errorf("role %s may be taken by others than its function (-want +template.yaml):\n%s", logicalID, diff)
			}
		}
	}
}

// TestCodeMayNotTouchInterfaces: the function's own code is denied the permissions for network interfaces that Lambda needs.
func TestCodeMayNotTouchInterfaces(t *testing.T) {
	t.Parallel()
	functions := map[string]any{}
	loaded := load(t)
	for _, function := range resources(t, loaded, functionType) {
		arn, _ := function.Property("Role").(string)
		functions[strings.TrimSuffix(strings.TrimPrefix(arn, "${"), ".Arn}")] = function.Property("FunctionName")
	}
	for logicalID, role := range roles(t, loaded) {
		var allowed, denied oneOrMore
		for _, policy := range role.Policies {
			for _, statement := range policy.PolicyDocument.Statement {
				switch {
				case !strings.HasPrefix(statement.Action[0], "ec2:"):
				case statement.Effect == "Allow":
					allowed = append(allowed, statement.Action...)
				default:
					denied = append(denied, statement.Action...)
					arn := fmt.Sprintf("arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:%v", functions[logicalID])
					names, _ := statement.Condition["ArnLike"]["lambda:SourceFunctionArn"].([]any)
					if len(statement.Condition) != 1 || !slices.Contains(names, any(arn)) || !slices.Contains(names, any(arn+":*")) {
						t.Errorf("role %s: the denial of network permissions to the code has the condition %v", logicalID, statement.Condition)
					}
				}
			}
		}
		if diff := cmp.Diff(allowed, denied); diff != "" {
			t.Errorf("%s: the network permissions that are not denied to the code (-allowed +denied):\n%s", logicalID, diff)
		}
	}
}

func TestEachFunctionHasItsOwnRole(t *testing.T) {
	t.Parallel()
	loaded := load(t)
	users := map[string][]string{}
	for _, function := range resources(t, loaded, functionType) {
		arn, _ := function.Property("Role").(string)
		users[arn] = append(users[arn], function.LogicalID)
		if function.Property("Policies") != nil {
			t.Errorf("function %s has Policies, which SAM ignores beside a Role: they would have no effect", function.LogicalID)
		}
	}
	for logicalID := range roles(t, loaded) {
		if logicalID == releaseRole || logicalID == checkRole {
			continue
		}
		arn := "${" + logicalID + ".Arn}"
		if len(users[arn]) != 1 {
			t.Errorf("role %s is used by the functions %q, want one function", logicalID, users[arn])
		}
		delete(users, arn)
	}
	if len(users) > 0 {
		t.Errorf("these functions have no role of template.yaml: %v", users)
	}
}

func TestFunctionsAreToldOfTheTablesThatTheyMayUse(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"elasticache", "dynamodb"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			areToldOfTables(t, with(t, load(t), "CacheKind", kind))
		})
	}
}

func areToldOfTables(t *testing.T, loaded *sam.Definition) {
	t.Helper()
	tables, err := loaded.Tables(stackName)
	if err != nil {
		t.Fatalf("reading the tables from the template: %v", err)
	}
	logicalIDs := map[string]string{}
	for _, table := range tables {
		logicalIDs[table.Name] = table.LogicalID
	}
	allRoles := roles(t, loaded)
	for _, function := range resources(t, loaded, functionType) {
		environment, err := loaded.FunctionEnvironment(function.LogicalID, stackName)
		if err != nil {
			t.Fatalf("reading the function's environment from the template: %v", err)
		}
		told, allowed := map[string]bool{}, map[string]bool{}
		for name, value := range environment {
			if strings.HasSuffix(name, "_TABLE") && value != "" {
				told["${"+logicalIDs[value]+".Arn}"] = true
			}
		}
		arn, _ := function.Property("Role").(string)
		for _, permission := range allRoles[strings.TrimSuffix(strings.TrimPrefix(arn, "${"), ".Arn}")].permissions() {
			if parts := strings.Fields(permission); strings.HasPrefix(parts[1], "dynamodb:") {
				table, _, _ := strings.Cut(parts[2], "/index/")
				allowed[table] = true
			}
		}
		if diff := cmp.Diff(allowed, told); diff != "" {
			t.Errorf("function %s is not told of the tables that it may use, or of others (-may use +told of):\n%s", function.LogicalID, diff)
		}
	}
}

func TestUsageAPIEnvironment(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"ACCESS_TOKENS_TABLE":          "sufrah-test-access-tokens",
		"AWS_ENDPOINT_URL_DYNAMODB":    "",
		"BASE_PATH":                    "",
		"BOTS_TABLE":                   "sufrah-test-bots",
		"CONVERSATIONS_TABLE":          "sufrah-test-conversations",
		"DEFAULT_MAX_MESSAGES_PER_DAY": "1000",
		"DEFAULT_MAX_MESSAGES_PER_MIN": "60",
		"DIRECTORY_TABLE":              "sufrah-test-directory",
		"LOG_LEVEL":                    "INFO",
		"MESSAGE_PRICES":               "",
		"RELEASE":                      "none",
		"RESTAURANTS_TABLE":            "sufrah-test-restaurants",
		"USAGE_TABLE":                  "sufrah-test-usage",
		"USAGE_TIME_ZONE":              "Asia/Riyadh",
	}
	got, err := with(t, load(t), "UsageTimeZone", "Asia/Riyadh").FunctionEnvironment("UsageApiFunction", stackName)
	if err != nil {
		t.Fatalf("reading the function's environment from the template: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the function's environment has other names and values than its code reads (-want +template.yaml):\n%s", diff)
	}
}

// route is a route of the HTTP API to a function.
type route struct {
	Type       string
	Properties struct{ APIID, Method, Path, PayloadFormatVersion string }
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	want := []string{
		"UsageAdminFunction ANY /api/admin/{proxy+}",
		"UsageApiFunction $default",
	}
	var got []string // all routes but the webhook's, which TestWebhookIsReachable checks
	for _, function := range resources(t, load(t), functionType) {
		var properties struct {
			Timeout int
			Events  map[string]route
		}
		if err := function.Decode(&properties); err != nil {
			t.Fatalf("reading the resource's properties: %v", err)
		}
		for name, event := range properties.Events {
			if event.Type != "HttpApi" {
				continue
			}
			route := event.Properties.Method + " " + event.Properties.Path
			if route == " " {
				route = "$default"
			}
			got = append(got, function.LogicalID+" "+route)
			if event.Properties.PayloadFormatVersion != "2.0" || event.Properties.APIID != "${HttpApi}" {
				t.Errorf("route %s is %+v, want payload 2.0 from template.yaml's own API", name, event.Properties)
			}
			if properties.Timeout < 1 || properties.Timeout >= 30 {
				t.Errorf("function %s ends after %d s, but API Gateway gives up after 30: its caller would get no answer", function.LogicalID, properties.Timeout)
			}
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the API's routes are not the functions' (-want +template.yaml):\n%s", diff)
	}
}

func TestHTTPAPIIsAtTheRootAndThrottled(t *testing.T) {
	t.Parallel()
	for _, api := range resources(t, load(t), httpAPIType) {
		if got := api.Property("StageName"); got != "$default" {
			t.Errorf("API %s: the stage %v would become part of every path", api.LogicalID, got)
		}
		for _, limit := range []string{"ThrottlingRateLimit", "ThrottlingBurstLimit"} {
			if got, _ := api.Property("DefaultRouteSettings", limit).(int); got < 1 {
				t.Errorf("API %s: the limit %s is %v, want one above 0", api.LogicalID, limit, api.Property("DefaultRouteSettings", limit))
			}
		}
	}
}

func TestBrowsersMayCallFromTheAllowedOriginsOnly(t *testing.T) {
	t.Parallel()
	want := map[string]any{
		"AllowOrigins":  []any{"https://dashboard.example.com", "http://localhost:3000"},
		"AllowMethods":  []any{"GET", "HEAD", "POST"},
		"AllowHeaders":  []any{"Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", "X-Restaurant-Id"},
		"ExposeHeaders": []any{"Apigw-Requestid", "Retry-After", "X-Request-Id"},
		"MaxAge":        7200,
	}
	allowing := with(t, load(t), "AllowedOrigins", "https://dashboard.example.com,http://localhost:3000")
	for _, api := range resources(t, allowing, httpAPIType) {
		if diff := cmp.Diff(any(want), api.Property("CorsConfiguration")); diff != "" {
			t.Errorf("API %s, with allowed origins, has other CORS rules (-want +template.yaml):\n%s", api.LogicalID, diff)
		}
	}
	for _, api := range resources(t, load(t), httpAPIType) {
		if got := api.Property("CorsConfiguration"); got != nil {
			t.Errorf("API %s, without allowed origins, has the CORS rules %v, want none", api.LogicalID, got)
		}
	}
}

// TestAccessLogHoldsNoClientsWords lists everything that the access log may have: the request's id, and values that a client
// can't choose freely. A client's text may be secret, or may forge a line.
func TestAccessLogHoldsNoClientsWords(t *testing.T) {
	t.Parallel()
	want := []string{
		"$context.error.responseType", "$context.identity.sourceIp", "$context.integrationLatency",
		"$context.integrationStatus", "$context.requestId", "$context.responseLatency", "$context.responseLength",
		"$context.routeKey", "$context.status",
	}
	for _, api := range resources(t, load(t), httpAPIType) {
		format, _ := api.Property("AccessLogSettings", "Format").(string)
		if strings.ContainsAny(format, "\r\n") {
			t.Errorf("API %s: the access log's format has several lines: each request would give several", api.LogicalID)
		}
		var fields map[string]string
		if err := json.Unmarshal([]byte(format), &fields); err != nil {
			t.Fatalf("API %s: the access log's format is no JSON object of texts: %v", api.LogicalID, err)
		}
		if diff := cmp.Diff(want, slices.Sorted(maps.Values(fields))); diff != "" {
			t.Errorf("API %s: the access log has other fields (-want +template.yaml):\n%s", api.LogicalID, diff)
		}
		if got := api.Property("AccessLogSettings", "DestinationArn"); got != "${HttpApiAccessLogGroup.Arn}" {
			t.Errorf("API %s writes its access log to %v, which is no log group of template.yaml", api.LogicalID, got)
		}
	}
}

func TestParametersRefuseWhatTheCodeWouldRefuse(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ allowed, refused []string }{
		"Stage": {[]string{"dev", "staging", "prod"}, []string{"", "production", "DEV"}},
		"UsageTimeZone": {
			[]string{"UTC", "Asia/Riyadh", "Etc/GMT+3", "America/Argentina/Buenos_Aires"},
			[]string{"", "utc", "+03:00", "/etc/passwd", "Asia/../UTC", "UTC\n"},
		},
		"DefaultMaxMessagesPerDay": {
			[]string{"-1", "0", "1000", "1000000000"}, []string{"", "-2", "1000000001", "many"},
		},
		"MessagePrices": {
			[]string{"", "SAR;2026-10:service=0.02,utility=0.04,marketing=0.18;2027-01:service=0,utility=0,marketing=0,free_entry_point=0"},
			[]string{"SAR", "sar;2026-10:service=1", "SAR;2026-10:", "SAR; 2026-10:service=1", `{"currency": "SAR"}`},
		},
		"DefaultMaxMessagesPerMin": {[]string{"-1", "0", "60"}, []string{"-2", "1000000001"}},
		"AllowedOrigins": {
			[]string{"", "https://a.example", "https://a.example,http://localhost:3000"},
			[]string{"*", "a.example", "https://a.example/", "https://a.example, https://b.example", "https://a.example,"},
		},
		"BasePath": {[]string{"", "/sufrah", "/sufrah/v1"}, []string{"/", "sufrah", "/sufrah/", "/a//b"}},
		"WebhookUrl": {
			[]string{"", "https://a.example/webhooks/whatsapp", "https://a.example:8443/sufrah/v1/webhooks/whatsapp"},
			[]string{
				"http://a.example/webhooks/whatsapp", "https://a.example/webhooks/whatsapp/", "https://a.example",
				"a.example/webhooks/whatsapp", "https://a.example/webhooks/whatsapp?a=b",
				"https://u:p@a.example/webhooks/whatsapp", "https:///webhooks/whatsapp",
			},
		},
		"TwilioAccountSid": {[]string{accountSID}, []string{"", "AC0", "SK" + accountSID[2:], accountSID + "0"}},
		"SufrahApiBase": {
			[]string{"https://api.sufrah.sa/api/v1/external", "https://a.example", "https://a.example:8443/b/"},
			[]string{"", "http://a.example", "https://a.example?b", "https://u:p@a.example", "https://"},
		},
		"SufrahCacheTtlMs":      {[]string{"1", "180000", "86400000"}, []string{"", "0", "86400001"}},
		"QueueBackoffDelay":     {[]string{"0", "5000", "43200000"}, []string{"", "-1", "43200001"}},
		"QueueRetryAttempts":    {[]string{"1", "3", "1000"}, []string{"", "0", "1001"}},
		"JobRatePerMinute":      {[]string{"1", "20", "60000"}, []string{"", "0", "60001"}},
		"BootstrapMaxAgeMs":     {[]string{"1000", "600000", "86400000"}, []string{"", "999", "86400001"}},
		"BootstrapProductCalls": {[]string{"0", "3", "100"}, []string{"", "-1", "101"}},
		"ContentSids": {
			[]string{
				"", "BRANCH_LIST=HX0123456789abcdef0123456789ABCDEF",
				"WELCOME=HX0123456789abcdef0123456789ABCDEF,LIST_2=HX0123456789abcdef0123456789abcdef",
			},
			[]string{
				"HX0123456789abcdef0123456789ABCDEF", "WELCOME=HX0123456789abcdef0123456789ABCDEG", "welcome=HX0123456789abcdef0123456789ABCDEF",
				"WELCOME=HX0123456789abcdef0123456789ABCDEF,", "WELCOME=HX0123456789abcdef0123456789ABCDEF, LIST=HX0123456789abcdef0123456789ABCDEF",
			},
		},
		"VpcId": {[]string{"", "vpc-0a1b2c3d"}, []string{"vpc", "subnet-0a1b2c3d", "vpc-0a1b2c3d,vpc-1"}},
		"SubnetIds": {
			[]string{"", "subnet-0a,subnet-1b", "subnet-0a,subnet-1b,subnet-2c"},
			[]string{"subnet-0a", "subnet-0a, subnet-1b", "subnet-0a,subnet-1b,", "subnet-0a,subnet-1b,subnet-2c,subnet-3d"},
		},
		"AlarmEmail":         {[]string{"", "ops@sufrah.example"}, []string{"ops", "ops@", "a b@c"}},
		"AlarmsHoldReleases": {[]string{"true", "false"}, []string{"", "yes"}},
		"LogLevel":           {[]string{"DEBUG", "INFO", "WARN", "ERROR"}, []string{"", "debug", "TRACE"}},
		"LogRetentionDays":   {[]string{"1", "30", "3653"}, []string{"0", "2", "-1"}},
	}
	loaded := load(t)
	for parameter, values := range cases {
		for _, value := range values.allowed {
			if _, err := loaded.With(parameter, value); err != nil {
				t.Errorf("a value that operators need is refused: %v", err)
			}
		}
		for _, value := range values.refused {
			if _, err := loaded.With(parameter, value); err == nil {
				t.Errorf("parameter %s may be %q, want that refused", parameter, value)
			}
		}
	}
}
