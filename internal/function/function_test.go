package function_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // which the functions link

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/usageadmin"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
)

// asFunction, followed by a function's name, makes this test's program run as that function.
const asFunction = "-as-function"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == asFunction {
		if err := run(os.Args[2], os.Environ(), os.Stdout); err != nil {
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func run(name string, environ []string, log io.Writer) error {
	switch name {
	case usageapi.Name:
		return function.Run(name, usageapi.New, usageapi.Health, environ, log)
	case usageadmin.Name:
		return function.Run(name, usageadmin.New, usageadmin.Health, environ, log)
	case processmessage.Name:
		return function.Run(name, processmessage.New, processmessage.Health, environ, log)
	default:
		return function.Run(name, welcomebootstrap.New, welcomebootstrap.Health, environ, log)
	}
}

// TestHeap isn't parallel, because the garbage collector belongs to the whole process.
func TestHeap(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
	t.Cleanup(func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(limit) })
	for name, test := range map[string]struct {
		environ []string
		percent int
		limit   int64
	}{
		"on Lambda":    {[]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512"}, 400, 384 << 20},
		"elsewhere":    {nil, 400, math.MaxInt64},
		"set already":  {[]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=512", "GOGC=50", "GOMEMLIMIT=1GiB"}, 100, math.MaxInt64},
		"unreadable":   {[]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=much"}, 400, math.MaxInt64},
		"only percent": {[]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "GOMEMLIMIT=1GiB"}, 400, math.MaxInt64},
	} {
		debug.SetGCPercent(100)
		debug.SetMemoryLimit(math.MaxInt64)
		stop := errors.New("enough")
		err := function.Run("test", func(config.Environment, func() time.Time, io.Writer) (func(), error) { return nil, stop }, nil, test.environ, io.Discard)
		if percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1); !errors.Is(err, stop) || percent != test.percent || limit != test.limit {
			t.Errorf("%s: the heap may grow by %d %% up to %d bytes, want %d %% and %d; %v", name, percent, limit, test.percent, test.limit, err)
		}
	}
}

// TestEmptyEnvironment starts each function with an empty environment. A single line names everything that is missing, so
// that nobody has to start the function again to learn of the next variable.
func TestEmptyEnvironment(t *testing.T) {
	t.Parallel()
	account := []string{"AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_SECRET_ACCESS_KEY"}
	for name, want := range map[string][]string{
		usageapi.Name:   append([]string{"ACCESS_TOKENS_TABLE", "BOTS_TABLE", "CONVERSATIONS_TABLE", "DIRECTORY_TABLE", "RESTAURANTS_TABLE", "USAGE_TABLE"}, account...),
		usageadmin.Name: append([]string{"ACCESS_TOKENS_TABLE", "BOTS_TABLE", "RESTAURANTS_TABLE", "USAGE_TABLE"}, account...),
		processmessage.Name: append([]string{"BOOTSTRAP_QUEUE_URL", "BOTS_TABLE", "CACHE_ENDPOINT", "CONVERSATIONS_TABLE", "DIRECTORY_TABLE", "RESTAURANTS_TABLE",
			"SUFRAH_SECRET_ARN", "TWILIO_ACCOUNT_SID", "TWILIO_SECRET_ARN", "USAGE_TABLE", "WEBHOOK_URL"}, account...),
		welcomebootstrap.Name: append([]string{"BOOTSTRAP_QUEUE_URL", "CACHE_ENDPOINT", "DEAD_LETTER_QUEUE_URL", "SUFRAH_SECRET_ARN", "TWILIO_ACCOUNT_SID", "TWILIO_SECRET_ARN"}, account...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var stdout, stderr bytes.Buffer
			command := exec.CommandContext(ctx, self, asFunction, name)
			command.Env, command.Stdout, command.Stderr = []string{}, &stdout, &stderr // nil would inherit this process's environment
			if exit, ok := errors.AsType[*exec.ExitError](command.Run()); !ok || exit.ExitCode() != 1 {
				t.Fatalf("it ended with %v, want status 1; it wrote %s %s", exit, &stdout, &stderr)
			}
			var line struct{ Level, Message, Function, Error string }
			if err := json.Unmarshal(stdout.Bytes(), &line); err != nil {
				t.Fatalf("its log is not one line of JSON: %q: %v", &stdout, err)
			}
			if line.Level != "ERROR" || line.Message != "start failed" || line.Function != name {
				t.Errorf("its log is %+v", line)
			}
			var got []string
			for _, match := range regexp.MustCompile(`([A-Z_]+) is missing`).FindAllStringSubmatch(line.Error, -1) {
				got = append(got, match[1])
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("variables that it misses (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFaultsNameTheFunction: the log line has the function's name at Lambda, by which alarms find it.
func TestFaultsNameTheFunction(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	broken := errors.New("broken")
	build := func(config.Environment, func() time.Time, io.Writer) (func() error, error) { return nil, broken }
	if err := function.Run("f", build, nil, config.Environment{"AWS_LAMBDA_FUNCTION_NAME=sufrah-prod-f"}, &log); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if !bytes.Contains(log.Bytes(), []byte(`"function":"sufrah-prod-f"`)) {
		t.Errorf("log %s", &log)
	}
}
