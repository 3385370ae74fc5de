package sam_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

func parse(t *testing.T, source string) *sam.Definition {
	t.Helper()
	parsed, err := sam.Parse([]byte(source))
	if err != nil {
		t.Fatalf("parsing the template: %v\n%s", err, source)
	}
	return parsed
}

// thing is a template with a single resource; its property Value is to be filled in.
const thing = `
Parameters:
  Stage: { Type: String, Default: dev }
  Limit: { Type: Number, Default: 5 }
  Secret: { Type: String }
Conditions:
  IsDev: !Equals [!Ref Stage, dev]
  IsProd: !Not [{ "Fn::Equals": [{ Ref: Stage }, dev] }]
  IsNothing: text
  IsCircular: !Not [!If [IsCircular, true, false]]
Resources:
  Named: { Type: AWS::DynamoDB::Table, Properties: { TableName: !Sub "${AWS::StackName}-named" } }
  NamedAfterNamed: { Type: AWS::DynamoDB::Table, Properties: { TableName: !Ref Named } }
  NamedAfterItself: { Type: AWS::DynamoDB::Table, Properties: { TableName: !Ref NamedAfterItself } }
  Unnamed: { Type: AWS::DynamoDB::Table }
  Released: { Type: AWS::Serverless::Function, Properties: { AutoPublishAlias: live } }
  Unreleased: { Type: AWS::Serverless::Function }
  Thing: { Type: Test::Thing, Properties: { Value: %s } }
`

func TestValues(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		written string
		want    any
	}{
		"text":                   {`plain`, "plain"},
		"quoted number":          {`"12"`, "12"},
		"number":                 {`12`, 12},
		"fraction":               {`1.5`, 1.5},
		"truth":                  {`true`, true},
		"null":                   {`null`, nil},
		"date stays text":        {`2012-10-17`, "2012-10-17"},
		"list":                   {`[a, 1]`, []any{"a", 1}},
		"mapping":                {`{ a: { 404: b } }`, map[string]any{"a": map[string]any{"404": "b"}}},
		"parameter":              {`!Ref Stage`, "dev"},
		"number parameter":       {`!Ref Limit`, "5"},
		"long form":              {`{ Ref: Stage }`, "dev"},
		"stack name":             {`!Ref AWS::StackName`, "sufrah-test"},
		"what AWS knows":         {`!Ref AWS::Region`, "${AWS::Region}"},
		"named resource":         {`!Ref Named`, "sufrah-test-named"},
		"unnamed resource":       {`!Ref Unnamed`, "${Unnamed}"},
		"resource without names": {`!Ref Thing`, "${Thing}"},
		"a function's alias":     {`!Ref Released.Alias`, "${Released.Alias}"},
		"a function's version":   {`!Sub "${Released.Version}"`, "${Released.Version}"},
		"attribute":              {`!GetAtt Named.Arn`, "${Named.Arn}"},
		"attribute of attribute": {`!GetAtt Thing.Endpoint.Address`, "${Thing.Endpoint.Address}"},
		"attribute as a list":    {`{ "Fn::GetAtt": [Named, Arn] }`, "${Named.Arn}"},
		"substitution":           {`!Sub "${Named}/${Thing.Id}/${Stage}/$"`, "sufrah-test-named/${Thing.Id}/dev/$"},
		"escaped substitution":   {`!Sub "${!Stage}"`, "${Stage}"},
		"substitution of number": {`!Sub 1`, "1"},
		"substitution of a name": {`!Sub ["${A}-${Stage}-${!A}", { A: !Sub "${Named}", B: 1 }]`, "sufrah-test-named-dev-${A}"},
		"condition met":          {`!If [IsDev, !Ref Stage, !Ref Secret]`, "dev"},
		"condition not met":      {`!If [IsProd, !Ref Secret, [!Ref Limit]]`, []any{"5"}},
		"no value":               {`!Ref AWS::NoValue`, nil},
		"no value in a list":     {`[a, !Ref AWS::NoValue, b]`, []any{"a", "b"}},
		"no value in a mapping":  {`{ a: 1, b: !If [IsProd, 2, !Ref AWS::NoValue] }`, map[string]any{"a": 1}},
		"split":                  {`!Split [",", "a,b"]`, []any{"a", "b"}},
		"select":                 {`!Select [1, [a, !Ref Stage]]`, "dev"},
		"select as text":         {`!Select ["0", !Split [",", "a,b"]]`, "a"},
		"zone":                   {`!Select [1, !GetAZs ""]`, "${AWS::AvailabilityZone.1}"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			things, err := parse(t, fmt.Sprintf(thing, c.written)).Resources("Test::Thing", stackName)
			if err != nil {
				t.Fatalf("reading resources from the template: %v", err)
			}
			if diff := cmp.Diff(c.want, things[0].Property("Value")); diff != "" {
				t.Errorf("%s is resolved otherwise than by CloudFormation (-want +got):\n%s", c.written, diff)
			}
		})
	}
}

func TestValuesThatCannotBeResolved(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ written, want string }{
		"unknown name":               {`!Ref Nobody`, `Value: Ref: the template has no parameter or resource "Nobody"`},
		"alias that isn't made":      {`!Ref Unreleased.Alias`, `Value: Ref: the template has no parameter or resource "Unreleased.Alias"`},
		"name that is none":          {`!Ref [a]`, "the argument must be a name"},
		"parameter without default":  {`!Ref Secret`, "parameter Secret has no value"},
		"unknown attribute's owner":  {`!GetAtt Nobody.Arn`, `the template has no resource "Nobody"`},
		"attribute without owner":    {`!GetAtt Arn`, "the argument must name a resource and an attribute, such as Queue.Arn"},
		"attribute of odd names":     {`!GetAtt [Named, [Arn]]`, "the value must be text"},
		"unknown in a text":          {`!Sub "${Nobody}"`, `the template has no parameter or resource "Nobody"`},
		"unknown owner in a text":    {`!Sub "${Nobody.Arn}"`, `the template has no resource "Nobody"`},
		"no value in a text":         {`!Sub "${AWS::NoValue}"`, "the value must be text"},
		"substitution with a list":   {`!Sub ["${Stage}", "a"]`, "the second argument must be a mapping of names"},
		"substitution of a list":     {`!Sub ["a", "b", "c"]`, "the argument must be text"},
		"unknown condition":          {`!If [IsUnknown, 1, 2]`, `the template has no condition "IsUnknown"`},
		"condition that is none":     {`!If [IsNothing, 1, 2]`, "condition IsNothing: the value must be true or false"},
		"circular condition":         {`!If [IsCircular, 1, 2]`, "condition IsCircular depends on itself"},
		"condition without a name":   {`!If [[], 1, 2]`, "the first argument must be a condition's name"},
		"choice of one":              {`!If [IsDev, 1]`, "the function needs three arguments"},
		"equality of one":            {`!Equals [1]`, "the function needs 2 arguments"},
		"equality with a fault":      {`!Equals [!Ref Nobody, 1]`, `the template has no parameter or resource "Nobody"`},
		"equality of lists":          {`!Equals [[], []]`, "the value must be text"},
		"negation of two":            {`!Not [1, 2]`, "the function needs one argument"},
		"conjunction of one":         {`!And [!Equals [a, a]]`, "the function needs two to ten arguments"},
		"conjunction with a fault":   {`!And [!Equals [a, b], !Equals [!Ref Nobody, 1]]`, `the template has no parameter or resource "Nobody"`},
		"split of what is no text":   {`!Split [",", {}]`, "the value must be text"},
		"selection of one":           {`!Select [1]`, "the function needs 2 arguments"},
		"selection from a text":      {`!Select [0, a]`, "the second argument must be a list"},
		"selection by a text":        {`!Select [a, [b]]`, `"a" is not a whole number`},
		"selection past the end":     {`!Select [1, [b]]`, "the list has no entry 1: its 1 entries"},
		"selection before the start": {`!Select [-1, [b]]`, "the list has no entry -1"},
		"selection with a fault":     {`!Select [0, [!Ref Nobody]]`, `the template has no parameter or resource "Nobody"`},
		"unsupported function":       {`!Cidr [a, 1, 2]`, "Fn::Cidr: the local stack does not support this function"},
		"name made of another's":     {`!Ref NamedAfterNamed`, `name of NamedAfterNamed: Ref: the template has no`},
		"name made of itself":        {`!Ref NamedAfterItself`, "name of NamedAfterItself"},
		"deep inside says its place": {`{ a: [{ b: !Ref Nobody }] }`, "resource Thing: Value: a: b: Ref:"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(t, fmt.Sprintf(thing, c.written)).Resources("Test::Thing", stackName)
			wantError(t, err, c.want)
		})
	}
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the fault is reported as \"%v\", want %q in it", err, want)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ source, want string }{
		"nothing":                 {"", "the template is empty"},
		"only a comment":          {"# later", "the template is empty"},
		"no YAML":                 {"a: [", "parsing template: yaml: line 1"},
		"a list":                  {"[]", "line 1: this must be a mapping"},
		"an alias":                {"a: &x {}\nb: *x", "line 2: this is a YAML alias"},
		"a merge":                 {"a: &x {}\nb:\n  <<: *x", "line 3: the key must be plain text"},
		"a key that is a list":    {"[a]: b", "line 1: the key must be plain text"},
		"a key that stands twice": {"a:\n  b: 1\n  b: 2", `line 3: the key "b" appears twice`},
		"a number beyond an int":  {"a: !!int x", "line 1"},
		"resources in a list":     {"Resources: []", "Resources must be a mapping"},
		"a resource that is none": {"Resources: { A: text }", "resource A: the definition must be a mapping"},
		"a resource without type": {"Resources: { A: {} }", "resource A: its Type must be text"},
		"properties in a list":    {"Resources: { A: { Type: T, Properties: [] } }", "resource A: Properties must be a mapping"},
		"a condition in place":    {"Resources: { A: { Type: T, Condition: [] } }", "resource A: its Condition must be a condition's name"},
		"conditions in a list":    {"Conditions: []", "Conditions must be a mapping"},
		"globals in a list":       {"Globals: []", "Globals must be a mapping"},
		"globals of a type": {
			"Globals: { Function: 1 }\nResources: { A: { Type: AWS::Serverless::Function } }",
			"resource A: globals: Function must be a mapping",
		},
		"parameters in a list":     {"Parameters: []", "Parameters must be a mapping"},
		"a parameter that is none": {"Parameters: { A: 1 }", "parameter A: the definition must be a mapping"},
		"a default that is none":   {"Parameters: { A: { Default: [] } }", "parameter A: the value must be text"},
		"values that are none":     {"Parameters: { A: { AllowedValues: 1 } }", "parameter A: the value must be a list of texts"},
		"a pattern that is none":   {"Parameters: { A: { AllowedPattern: '(' } }", "parameter A: error parsing regexp"},
		"a bound in a list":        {"Parameters: { A: { MinValue: [] } }", "parameter A: the value must be text"},
		"a bound that is none":     {"Parameters: { A: { MaxValue: much } }", `parameter A: "much" is not a number`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := sam.Parse([]byte(c.source))
			wantError(t, err, c.want)
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	missing := t.TempDir() + "/template.yaml"
	if _, err := sam.Load(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing template fails with %v, want fs.ErrNotExist", err)
	}
	malformed := t.TempDir() + "/template.yaml"
	if err := os.WriteFile(malformed, []byte("Resources: []"), 0o600); err != nil {
		t.Fatalf("writing a template: %v", err)
	}
	_, err := sam.Load(malformed)
	wantError(t, err, malformed+": Resources must be a mapping")
}

func TestGlobalsAreMergedAsSAMDoes(t *testing.T) {
	t.Parallel()
	parsed := parse(t, `
Globals:
  Function:
    Timeout: 3
    MemorySize: 128
    Layers: [shared]
    Environment: { Variables: { A: shared, B: shared } }
    Tags: !If [X, 1, 2]
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: 10
      Layers: [own]
      Environment: { Variables: { B: own, C: 1 } }
      Tags: { Own: tag }
  Q: { Type: AWS::SQS::Queue, Properties: {} }
`)
	functions, err := parsed.Resources("AWS::Serverless::Function", stackName)
	if err != nil {
		t.Fatalf("reading resources from the template: %v", err)
	}
	want := map[string]any{
		"Timeout": 10, "MemorySize": 128, "Layers": []any{"shared", "own"}, "Tags": map[string]any{"Own": "tag"},
		"Environment": map[string]any{"Variables": map[string]any{"A": "shared", "B": "own", "C": 1}},
	}
	if diff := cmp.Diff(any(want), functions[0].Property()); diff != "" {
		t.Errorf("the function's properties aren't merged with the globals as SAM does (-want +got):\n%s", diff)
	}
	queues, err := parsed.Resources("AWS::SQS::Queue", stackName)
	if err != nil {
		t.Fatalf("reading resources from the template: %v", err)
	}
	if got := queues[0].Property("Timeout"); got != nil {
		t.Errorf("a queue has the Timeout %v of the functions' globals", got)
	}
}

func TestResourcesWhoseConditionIsNotMetAreLeftOut(t *testing.T) {
	t.Parallel()
	parsed := parse(t, `
Parameters: { Stage: { Type: String, Default: dev } }
Conditions: { IsProd: !Equals [!Ref Stage, prod] }
Resources:
  F: { Type: AWS::Serverless::Function, Condition: IsProd }
`)
	if functions, err := parsed.Resources("AWS::Serverless::Function", stackName); err != nil || len(functions) > 0 {
		t.Errorf("in dev the stack has the functions %v (error %v), want none: their condition isn't met", functions, err)
	}
	_, err := parsed.FunctionEnvironment("F", stackName)
	wantError(t, err, "the stack has no function F")
	prod := with(t, parsed, "Stage", "prod")
	if functions, err := prod.Resources("AWS::Serverless::Function", stackName); err != nil || len(functions) != 1 {
		t.Errorf("in prod the stack has the functions %v (error %v), want F", functions, err)
	}
	if functions, err := parsed.Resources("AWS::Serverless::Function", stackName); err != nil || len(functions) > 0 {
		t.Errorf("With changed the definition that it was called on, which now has %v (error %v)", functions, err)
	}
	if _, err := parsed.With("Nobody", "1"); err == nil {
		t.Error("With accepts a parameter that the template doesn't have")
	}
}

func TestFunctionEnvironmentIsText(t *testing.T) {
	t.Parallel()
	got, err := parse(t, `
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: { Environment: { Variables: { A: text, B: 12, C: 1.5, D: true, E: !Ref AWS::NoValue } } }
`).FunctionEnvironment("F", stackName)
	if err != nil {
		t.Fatalf("reading the function's environment: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"A": "text", "B": "12", "C": "1.5", "D": "true"}, got); diff != "" {
		t.Errorf("the function's environment (-want +got):\n%s", diff)
	}
}

func TestFunctionEnvironmentRefuses(t *testing.T) {
	t.Parallel()
	const source = `
Resources:
  Table: { Type: AWS::DynamoDB::Table }
  F: { Type: AWS::Serverless::Function, Properties: { Environment: { Variables: %s } } }
  Conditional: { Type: AWS::Serverless::Function, Condition: IsUnknown }
`
	cases := map[string]struct{ variables, function, want string }{
		"another resource":     {`{}`, "Table", `the template has no function "Table"`},
		"unknown function":     {`{}`, "G", `the template has no function "G"`},
		"variables in a list":  {`[]`, "F", "resource F: decoding its properties"},
		"a list in a variable": {`{ A: [] }`, "F", "function F: variable A: the value must be text"},
		"an unknown condition": {`{}`, "Conditional", `function Conditional: the template has no condition "IsUnknown"`},
		"an unknown name":      {`{ A: !Ref Nobody }`, "F", `function F: Environment: Variables: A: Ref: the template has no`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(t, fmt.Sprintf(source, c.variables)).FunctionEnvironment(c.function, stackName)
			wantError(t, err, c.want)
		})
	}
}

func TestFunctionTimeout(t *testing.T) {
	t.Parallel()
	loaded := parse(t, `
Resources:
  F: { Type: AWS::Serverless::Function, Properties: { Timeout: 12 } }
  G: { Type: AWS::Serverless::Function }
  H: { Type: AWS::Serverless::Function, Properties: { Timeout: soon } }
`)
	for function, want := range map[string]time.Duration{"F": 12 * time.Second, "G": 3 * time.Second} { // 3 s is Lambda's default
		if got, err := loaded.FunctionTimeout(function, stackName); err != nil || got != want {
			t.Errorf("function %s has the time-out %v (error %v), want %v", function, got, err, want)
		}
	}
	for function, want := range map[string]string{"H": "function H: time-out", "I": `the template has no function "I"`} {
		_, err := loaded.FunctionTimeout(function, stackName)
		wantError(t, err, want)
	}
}

func TestTablesRefuses(t *testing.T) {
	t.Parallel()
	const (
		attributes = `TableName: t, AttributeDefinitions: [{ AttributeName: a, AttributeType: S }], `
		partition  = `{ AttributeName: a, KeyType: HASH }`
	)
	cases := map[string]struct{ properties, want string }{
		"no name":           {`KeySchema: []`, "table T has no TableName"},
		"name that is none": {`TableName: [a]`, "resource T: decoding its properties"},
		"no keys":           {`TableName: t`, "table T: the partition key (HASH) is missing"},
		"sort key only":     {attributes + `KeySchema: [{ AttributeName: a, KeyType: RANGE }]`, "the partition key (HASH) is missing"},
		"key without type":  {attributes + `KeySchema: [{ AttributeName: b, KeyType: HASH }]`, `key "b" has no type in AttributeDefinitions`},
		"key of no kind":    {attributes + `KeySchema: [{ AttributeName: a, KeyType: X }]`, `key "a" must be the only`},
		"two partitions":    {attributes + `KeySchema: [` + partition + `, ` + partition + `]`, `key "a" must be the only`},
		"index without keys": {
			attributes + `KeySchema: [` + partition + `], GlobalSecondaryIndexes: [{ IndexName: i }]`,
			"table T: index i: the partition key (HASH) is missing",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := fmt.Sprintf("Resources: { T: { Type: AWS::DynamoDB::Table, Properties: { %s } } }", c.properties)
			_, err := parse(t, source).Tables(stackName)
			wantError(t, err, c.want)
		})
	}
}

// FuzzParse looks for templates with which the package panics or never ends, or that have tables that no store could create.
func FuzzParse(f *testing.F) {
	own, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		f.Fatalf("reading template.yaml: %v", err)
	}
	f.Add(own)
	f.Add(fmt.Appendf(nil, thing, `!Sub "${Named}"`))
	f.Add(fmt.Appendf(nil, jobs, `QueueName: q`, `Events: { E: { Type: SQS, Properties: { Queue: !GetAtt Queue.Arn } } }`))
	f.Add([]byte("Resources: { F: { Type: AWS::Serverless::Function, Properties: !Ref F } }"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, source []byte) {
		parsed, err := sam.Parse(source)
		if err != nil {
			return
		}
		tables, err := parsed.Tables(stackName)
		if err == nil {
			for _, table := range tables {
				if table.LogicalID == "" || table.Name == "" || table.PartitionKey.Name == "" {
					t.Errorf("a parsed table has no name or no key, so that no store can create it: %+v", table)
				}
			}
		}
		queues, err := parsed.Queues(stackName)
		if err == nil {
			for _, queue := range queues {
				if queue.LogicalID == "" || queue.Name == "" {
					t.Errorf("a parsed queue has no name, so that nothing can create it: %+v", queue)
				}
			}
		}
		// The call must end; its result depends on the template.
		_, _ = parsed.EventSources(stackName)
		functions, err := parsed.Resources(functionType, stackName)
		if err != nil {
			return
		}
		for _, function := range functions {
			// This call must end too; its result depends on the template.
			_, _ = parsed.FunctionEnvironment(function.LogicalID, stackName)
		}
	})
}
