package sam_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// workflow is a GitHub workflow, as far as the tests read it.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		If          string
		Environment string
		Concurrency struct {
			CancelInProgress bool `yaml:"cancel-in-progress"`
		}
		Steps []struct {
			Uses string
			Run  string
			With map[string]any
		}
	}
}

func readRoot(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("../../../" + name)
	if err != nil {
		t.Fatalf("reading a file of the delivery: %v", err)
	}
	return string(content)
}

// TestDelivery: a machine deploys only commits that passed ci. It uses the same commands as people, and a role, not a stored
// key. Every action of every workflow is pinned to a commit.
func TestDelivery(t *testing.T) {
	t.Parallel()
	pinned := regexp.MustCompile(`^[\w-]+/[\w-]+@[0-9a-f]{40}$`)
	for _, name := range []string{"ci", "deploy"} {
		var w workflow
		if err := yaml.Unmarshal([]byte(readRoot(t, ".github/workflows/"+name+".yml")), &w); err != nil {
			t.Fatalf(".github/workflows/%s.yml can't be read: %v", name, err)
		}
		for _, job := range w.Jobs {
			for _, step := range job.Steps {
				if step.Uses != "" && !pinned.MatchString(step.Uses) {
					t.Errorf("%s uses %s, which isn't pinned by a commit", name, step.Uses)
				}
			}
		}
	}
	text := readRoot(t, ".github/workflows/deploy.yml")
	var deploy workflow
	if err := yaml.Unmarshal([]byte(text), &deploy); err != nil {
		t.Fatalf("decoding the document %.500s: %v", text, err)
	}
	if diff := cmp.Diff(map[string]string{"contents": "read", "id-token": "write", "actions": "read"}, deploy.Permissions); diff != "" {
		t.Errorf("the workflow's permissions (-want +workflow):\n%s", diff)
	}
	for _, stored := range []string{"secrets.", "aws-access-key-id", "aws-secret-access-key"} {
		if strings.Contains(text, stored) {
			t.Errorf("the workflow has the stored secret %s, want none: it takes a role instead", stored)
		}
	}
	job := deploy.Jobs["deploy"]
	if !strings.Contains(job.Environment, "'prod' || 'staging'") || job.Concurrency.CancelInProgress ||
		!strings.Contains(job.If, "workflow_run.conclusion == 'success'") {
		t.Errorf("the deploying job is %+v, want an environment for each stage, no cancelling, and only after a successful check", job)
	}
	var commands []string
	for _, step := range job.Steps {
		commands = append(commands, step.Run)
		if strings.HasPrefix(step.Uses, "aws-actions/") && (step.With["role-to-assume"] != "${{ vars.DEPLOY_ROLE_ARN }}" || step.With["aws-region"] == nil) {
			t.Errorf("the step %+v takes its AWS role from elsewhere than DEPLOY_ROLE_ARN", step)
		}
	}
	for _, want := range []string{`make deploy STAGE="$STAGE" CONFIRM=no`, `make build && bin/sufrahctl --stack "sufrah-$STAGE" doctor`} {
		if !slices.Contains(commands, want) {
			t.Errorf("the workflow doesn't run %s", want)
		}
	}
	if !strings.Contains(strings.Join(commands, "\n"), "git merge-base --is-ancestor") {
		t.Error("a tag of any commit is deployed: want only commits of main")
	}
}

// servicesOf has the prefixes of the actions that CloudFormation takes as the deployer, by the first two parts of a
// resource's type.
var servicesOf = map[string][]string{
	"AWS::CloudFormation": {"cloudformation"}, "AWS::CloudWatch": {"cloudwatch"}, "AWS::DynamoDB": {"dynamodb"}, "AWS::EC2": {"ec2"},
	"AWS::ElastiCache": {"elasticache"}, "AWS::IAM": {"iam"}, "AWS::Lambda": {"lambda"}, "AWS::Logs": {"logs"}, "AWS::S3": {"s3"},
	"AWS::SNS": {"sns"}, "AWS::SQS": {"sqs"}, "AWS::Scheduler": {"scheduler"}, "AWS::SecretsManager": {"secretsmanager"},
	"AWS::Serverless": {"lambda", "apigateway", "codedeploy"}, "AWS::ApiGatewayV2": {"apigateway"}, "AWS::CertificateManager": {"acm"},
	"AWS::Route53": {"route53"}, "AWS::Budgets": {"budgets"},
}

// inlineLimit is the most characters of a role's inline policies, without white space (AWS, IAM user guide, "IAM and STS
// quotas").
const inlineLimit = 10_240

// TestDeployer: docs/deployer-policy.json has an action for every service with a resource in the stack. It passes roles only
// to the services that take them, names this stack's resources wherever IAM allows names, and fits into a role.
func TestDeployer(t *testing.T) {
	t.Parallel()
	text := readRoot(t, "docs/deployer-policy.json")
	var policy struct{ Statement []statement }
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		t.Fatalf("decoding the policy %.500s: %v", text, err)
	}
	if n := len(strings.Join(strings.FieldsFunc(text, unicode.IsSpace), "")); n > inlineLimit {
		t.Errorf("the policy has %d characters, and IAM takes %d", n, inlineLimit)
	}
	allowed := map[string]bool{}
	for _, s := range policy.Statement {
		for _, action := range s.Action {
			service, verb, _ := strings.Cut(action, ":")
			allowed[service] = true
			if strings.Contains(verb, "*") && verb != "Describe*" {
				t.Errorf("the deploying role may call every action like %s, want single actions", action)
			}
			if strings.HasPrefix(action, "iam:") && verb != "CreateServiceLinkedRole" && !slices.Equal(s.Resource, oneOrMore{"arn:aws:iam::ACCOUNT:role/sufrah-STAGE-*"}) {
				t.Errorf("the deploying role may call %s on %v, want single resources", action, s.Resource)
			}
			if action == "iam:PassRole" && s.Condition["StringEquals"]["iam:PassedToService"] == nil {
				t.Errorf("the deploying role may pass a role by %s to any service", action)
			}
		}
	}
	for resourceType := range types(t) {
		parts := strings.Split(resourceType, "::")
		services := servicesOf[parts[0]+"::"+parts[1]]
		if len(services) == 0 {
			t.Errorf("the test knows no service for the resource type %s: add it", resourceType)
		}
		for _, service := range services {
			if !allowed[service] {
				t.Errorf("the stack has a %s, but the deploying role may do nothing with %s: the deployment would fail", resourceType, service)
			}
		}
	}
	if trust := readRoot(t, "docs/deployer-trust.json"); !strings.Contains(trust, `"repo:OWNER/REPOSITORY:environment:STAGE"`) ||
		!strings.Contains(trust, `"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"`) || !json.Valid([]byte(trust)) {
		t.Errorf("any repository's workflow may take the deploying role: %s", trust)
	}
}

// types returns the types of all resources in the template files.
func types(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	files := []string{"template.yaml"}
	nested, err := os.ReadDir("../../stack")
	if err != nil {
		t.Fatalf("reading internal/stack: %v", err)
	}
	for _, file := range nested {
		files = append(files, "internal/stack/"+file.Name())
	}
	for _, file := range files {
		for _, match := range regexp.MustCompile(`(?m)^    Type: (AWS::\w+::\w+)\b`).FindAllStringSubmatch(readRoot(t, file), -1) {
			found[match[1]] = true
		}
	}
	if len(found) < 15 {
		t.Fatalf("found only the resource types %v in the templates: the test proves nothing", found)
	}
	return found
}
