package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/sam"
)

const root = "../../../"

// TestGeneratedPartsAreUpToDate: to change an alarm, change its .tmpl file and run `make alarms`.
func TestGeneratedPartsAreUpToDate(t *testing.T) {
	t.Parallel()
	for _, target := range targets {
		content, err := os.ReadFile(root + target.path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := target.generate(string(content))
		if err != nil {
			t.Fatalf("generating the alarms of %s: %v", target.path, err)
		}
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(content), "\n")); diff != "" {
			t.Errorf("%s isn't what `make alarms` makes (-want +got):\n%s", target.path, diff)
		}
	}
}

// TestEveryFunctionHasAlarms: a function in the stack must be in the list.
func TestEveryFunctionHasAlarms(t *testing.T) {
	t.Parallel()
	loaded, err := sam.Load(root + "template.yaml")
	if err == nil {
		loaded, err = loaded.With("TwilioAccountSid", "AC00000000000000000000000000000000")
	}
	if err != nil {
		t.Fatalf("changing a parameter of the template: %v", err)
	}
	deployed, err := loaded.Resources("AWS::Serverless::Function", "sufrah-test")
	if err != nil {
		t.Fatalf("reading resources from the template: %v", err)
	}
	want, got := map[string]any{}, map[string]any{}
	for _, f := range deployed {
		want[f.LogicalID] = f.Property("FunctionName")
	}
	for _, f := range functions {
		got[f.ID+"Function"] = "sufrah-test-" + f.Name
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions (-of the stack +with alarms):\n%s", diff)
	}
}

func TestFilesWithoutAGeneratedPartAreLeftAlone(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", begin, end, end + begin} {
		if got, err := targets[0].generate(content); err == nil {
			t.Errorf("%q became %q", content, got)
		}
	}
}
