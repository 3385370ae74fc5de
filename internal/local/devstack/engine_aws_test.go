//go:build aws

package devstack_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/engines"
)

// onEngines lets a stack store its data in the engines, under a name of its own. It has a Redis of its own too, because cache
// keys contain the merchant and not the stack.
func onEngines(t *testing.T) func(*devstack.Options) {
	t.Helper()
	dynamoDB, err := engines.Endpoint(engines.DynamoDB)
	if err != nil {
		t.Fatalf("finding the engine's endpoint: %v", err)
	}
	queues, err := engines.Endpoint(engines.SQS)
	if err != nil {
		t.Fatalf("finding the engine's endpoint: %v", err)
	}
	own, err := engines.Start(t.Context(), "../../../.cache/engines", engines.Cache)
	if err != nil {
		t.Fatalf("starting the engine: %v", err)
	}
	t.Cleanup(own.Stop)
	return func(o *devstack.Options) {
		o.Name = "test-" + strings.ToLower(rand.Text())[:16]
		o.Engines = &devstack.Engines{DynamoDB: dynamoDB, SQS: queues, Cache: own.Endpoint(engines.Cache)}
	}
}

// TestEngineStory is TestCustomersOwnersAndOperatorsStory on engines.
func TestEngineStory(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]func(*testing.T, *devstack.Stack){
		"welcome": tellStory, "faults": breakBackends, "time": passTime, "storm": engineStorm,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, serveStory(t, onEngines(t)))
		})
	}
}

// TestEngineFigures reads the demo data from DynamoDB Local.
func TestEngineFigures(t *testing.T) {
	t.Parallel()
	stack := serveStory(t, onEngines(t), func(o *devstack.Options) { o.Clock = devstack.NewClock(func() time.Time { return noon }) })
	demoFigures(t, stack)
	list(t, stack)
}

// compile builds the functions as for a deployment, but for this machine and with further flags, and returns their folder.
func compile(t *testing.T, flags ...string) string {
	t.Helper()
	folder := t.TempDir()
	paths, err := filepath.Glob("../../../functions/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		build := exec.CommandContext(t.Context(), "go", slices.Concat([]string{
			"build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w",
			"-o", filepath.Join(folder, filepath.Base(path), "bootstrap"),
		}, flags, []string{path})...)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", path, err, output)
		}
	}
	return folder
}

// TestEngineBinaries: the deployed binaries, run as Lambda runs them, do the same as the functions in this process.
func TestEngineBinaries(t *testing.T) {
	t.Parallel()
	folder := compile(t)
	for name, part := range map[string]func(*testing.T, *devstack.Stack){
		"welcome": tellStory, "faults": breakBackends, "crashes": killFunctions, "storm": engineStorm,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, serveStory(t, onEngines(t), func(o *devstack.Options) { o.Binaries = folder }))
		})
	}
}

// killFunctions kills every process between requests. The next request must be answered all the same.
func killFunctions(t *testing.T, stack *devstack.Stack) {
	t.Helper()
	c := customer{stack, "+966500000004"}
	before := exampleUsage(t, stack)
	for i := range 3 {
		if status := c.write(t, "+966110000000", fmt.Sprintf("SM%032d", 40+i), "menu"); status != 200 {
			t.Errorf("status %d", status)
		}
		wantEqual(t, "conversations", exampleUsage(t, stack), before+1)
		wantEqual(t, "processes of "+usageapi.Name, stack.Kill(usageapi.Name), 1)
		if n := stack.Kill(processmessage.Name); n == 0 { // there may be several: reports of sent messages come at the same time, each to a process of its own
			t.Error("process-message had no process")
		}
	}
	until(t, "job", func() bool { return len(outcomes(t, stack)) > 0 })
	wantEqual(t, "processes of welcome-bootstrap", stack.Kill(welcomebootstrap.Name), 1)
	if status := (customer{stack, "+966500000005"}).write(t, "+966110000001", "SM00000000000000000000000000000050", "hello"); status != 200 {
		t.Errorf("status %d", status)
	}
	until(t, "second job", func() bool { return len(outcomes(t, stack)) > 1 })
}

// engineStorm is a storm that engines can take within seconds.
func engineStorm(t *testing.T, stack *devstack.Stack) {
	t.Helper()
	weather(t, stack, 300, 30, 5)
}
