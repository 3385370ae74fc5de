package health

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAsked(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]bool{
		Event: true, `{"check":"health"}`: true, "\n{ \"check\" : \"health\" }\n": true,
		"": false, `{}`: false, `null`: false, `"health"`: false, `{"check": "healthy"}`: false, `{"check": "health", "x": 1}`: false,
		`{"check": "health"} {}`: false, `{"check": "health"` + strings.Repeat(" ", 60) + `}`: false, `[{"check": "health"}]`: false,
		`{"version": "2.0", "body": "{\"check\": \"health\"}"}`: false, `{"Records": [{"body": "{\"check\": \"health\"}"}]}`: false,
	} {
		if got := Asked([]byte(payload)); got != want {
			t.Errorf("Asked(%s) = %t", payload, got)
		}
	}
}

// TestEventsAreNotAsking: events of API Gateway and SQS are never health events.
func TestEventsAreNotAsking(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../../events/*.json")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d events, %v", len(paths), err)
	}
	for _, path := range paths {
		event, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if Asked(event) {
			t.Errorf("%s asks for a report", path)
		}
	}
}

func TestExamine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		closed := false
		check := func(name string, run func(context.Context) error) Check { return Check{name, run} }
		report := Examine(t.Context(), Subject{
			Settings: Settings{TimeZone: "UTC"}, Close: func() { closed = true },
			Checks: []Check{
				check("a", func(context.Context) error { time.Sleep(20 * time.Millisecond); return nil }),
				check("b", func(context.Context) error { return errors.New("one\ntwo") }),
				check("c", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }), // never answers
				check("d", func(context.Context) error { panic("broken") }),
			},
		})
		if report.Healthy || report.TimeZone != "UTC" || !closed || report.Checks[0].DurationMs != 20 || report.Checks[2].DurationMs != 7000 {
			t.Errorf("%+v, closed: %t", report, closed)
		}
		report.Checks[3].Error, _, _ = strings.Cut(report.Checks[3].Error, ";")
		want := []string{"b: one; two", "c: context deadline exceeded", "d: panic: broken"}
		if diff := cmp.Diff(want, report.Faults()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	if report := Examine(t.Context(), Subject{Checks: []Check{{"a", func(context.Context) error { return nil }}}}); !report.Healthy || report.Faults() != nil {
		t.Errorf("%+v", report)
	}
}
