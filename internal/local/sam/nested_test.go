package sam_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

// nesting is a template with alarms in a nested stack, which takes the alarms' topic and returns a name.
var nesting = map[string]string{
	"template.yaml": `
Parameters: { Stage: { Type: String, Default: dev } }
Conditions: { IsProd: !Equals [!Ref Stage, prod] }
Resources:
  Topic: { Type: AWS::SNS::Topic }
  Alarms:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: below/alarms.yaml
      Parameters: { Stack: !Ref AWS::StackName, Topic: !Ref Topic, Least: 3 }
  Prod:
    Type: AWS::CloudFormation::Stack
    Condition: IsProd
    Properties: { TemplateURL: below/prod.yaml }
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: !GetAtt Alarms.Outputs.Least
      Environment: { Variables: { ALARM: !GetAtt Alarms.Outputs.Name, STACK: !Ref Alarms, ZONE: !Sub "in ${Alarms.Outputs.Name}" } }
`,
	"below/alarms.yaml": `
Parameters: { Stack: { Type: String }, Topic: { Type: String }, Least: { Type: Number, MaxValue: 9 } }
Resources:
  A: { Type: AWS::CloudWatch::Alarm, Properties: { AlarmName: !Sub "${Stack}-a", Threshold: !Ref Least, AlarmActions: [!Ref Topic] } }
Outputs:
  Name: { Value: !Ref A }
  Least: { Value: !Ref Least }
`,
	"below/prod.yaml": `Resources: { B: { Type: AWS::CloudWatch::Alarm, Properties: { AlarmName: b } } }`,
}

func loadNesting(t *testing.T, changes map[string]string) (*sam.Definition, error) {
	t.Helper()
	files := maps.Clone(nesting)
	maps.Copy(files, changes)
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "below"), 0o755); err != nil {
		t.Fatalf("creating a folder: %v", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatalf("writing a template: %v", err)
		}
	}
	return sam.Load(filepath.Join(folder, "template.yaml"))
}

func TestNestedStacks(t *testing.T) {
	t.Parallel()
	loaded, err := loadNesting(t, nil)
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	alarms := resources(t, loaded, alarmType)
	want := map[string]any{"AlarmName": "sufrah-test-a", "Threshold": "3", "AlarmActions": []any{"${Topic}"}}
	if diff := cmp.Diff(any(want), alarms[0].Property()); diff != "" || len(alarms) != 1 {
		t.Errorf("the nested stack's alarms: %d, want one, with the outer stack's values (-want +got):\n%s", len(alarms), diff)
	}
	wantVariables := map[string]string{"ALARM": "sufrah-test-a", "STACK": "${Alarms}", "ZONE": "in sufrah-test-a"}
	if diff := cmp.Diff(wantVariables, environment(t, loaded, "Function")); diff != "" {
		t.Errorf("the outer stack gets other outputs of the nested stack (-want +got):\n%s", diff)
	}
	if got := timeout(t, loaded, "Function").Seconds(); got != 3 {
		t.Errorf("the function's time-out is %v s, want 3, from the nested stack", got)
	}
	if got := resources(t, with(t, loaded, "Stage", "prod"), alarmType); len(got) != 2 || got[1].LogicalID != "B" {
		t.Errorf("in prod the stack has the alarms %v, want also B of the nested stack with a condition", got)
	}
}

func TestNestedStacksRefused(t *testing.T) {
	t.Parallel()
	const head = "Resources:\n  Alarms: { Type: AWS::CloudFormation::Stack, Properties: "
	for name, test := range map[string]struct {
		changes map[string]string
		want    string
	}{
		"no file":            {map[string]string{"template.yaml": head + "{ TemplateURL: nowhere.yaml } }"}, "nested stack Alarms: reading template"},
		"no path":            {map[string]string{"template.yaml": head + "{ TemplateURL: !Ref Url } }"}, "its TemplateURL must be the path of a template"},
		"malformed":          {map[string]string{"below/alarms.yaml": "Resources: []"}, "alarms.yaml: Resources must be a mapping"},
		"an id taken":        {map[string]string{"below/prod.yaml": "Resources: { Topic: { Type: AWS::SNS::Topic } }"}, "Topic is also in nested stack Prod"},
		"an unknown value":   {map[string]string{"below/alarms.yaml": "Parameters: { Stack: { Type: String } }"}, "no parameter Least"},
		"a value over bound": {map[string]string{"below/alarms.yaml": "Parameters: { Least: { Type: Number, MaxValue: 2 } }"}, "3 is not allowed: it must be at most 2"},
		"an unknown output": {
			map[string]string{"template.yaml": head + "{ TemplateURL: below/prod.yaml } }\n  F: { Type: AWS::Serverless::Function, Properties: { A: !GetAtt Alarms.Outputs.C } }"},
			"nested stack Alarms has no output C",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loaded, err := loadNesting(t, test.changes)
			if err == nil {
				_, err = loaded.Resources(alarmType, stackName)
			}
			if err == nil {
				_, err = loaded.Resources(functionType, stackName)
			}
			wantError(t, err, test.want)
		})
	}
}
