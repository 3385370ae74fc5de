package lambdalocal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
)

// binary is the compiled testdata/function.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lambdalocal")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "obedient", "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", binary, "./testdata/function")
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the function: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// order is the function's input, and answer its output.
type order struct{ Do, Text string }

type answer struct {
	Text      string
	Count     int
	PID       int
	RequestID string
	ARN       string
	Deadline  time.Time
	Env       []string
}

// log is a function's log. It can be read while the function writes it.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs the function, and closes it at the end of the test.
func start(t *testing.T, f lambdalocal.Function) *lambdalocal.Instance {
	t.Helper()
	f.Path = binary
	instance, err := lambdalocal.Start(t.Context(), f)
	if err != nil {
		t.Fatalf("starting the instance: %v", err)
	}
	t.Cleanup(func() {
		if err := instance.Close(); err != nil {
			t.Errorf("stopping the instance: %v", err)
		}
	})
	return instance
}

func invoke(t *testing.T, instance *lambdalocal.Instance, o order) (lambdalocal.Result, error) {
	t.Helper()
	payload, err := json.Marshal(o)
	if err != nil {
		t.Fatalf("encoding the JSON: %v", err)
	}
	return instance.Invoke(t.Context(), payload)
}

// mustInvoke sends an order and returns the function's answer. It fails the test if the answer is an error.
func mustInvoke(t *testing.T, instance *lambdalocal.Instance, o order) (lambdalocal.Result, answer) {
	t.Helper()
	result, err := invoke(t, instance, o)
	if err != nil {
		t.Fatalf("invoking the function: %v", err)
	}
	if result.FunctionError != "" {
		t.Fatalf("function error %s: %s", result.FunctionError, result.Payload)
	}
	var a answer
	if err := json.Unmarshal(result.Payload, &a); err != nil {
		t.Fatalf("answer %q: %v", result.Payload, err)
	}
	return result, a
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	instance := start(t, lambdalocal.Function{Timeout: time.Minute})
	if d := instance.InitDuration(); d <= 0 || d > 10*time.Second {
		t.Errorf("init took %v", d)
	}

	before := time.Now()
	result, a := mustInvoke(t, instance, order{Text: "مرحبا"})
	after := time.Now()

	if a.Text != "مرحبا" || a.Count != 1 {
		t.Errorf("answer %+v, want the text of the first order", a)
	}
	if result.RequestID == "" || a.RequestID != result.RequestID {
		t.Errorf("request id %q, the function saw %q", result.RequestID, a.RequestID)
	}
	if want := "arn:aws:lambda:us-east-1:123456789012:function:obedient"; a.ARN != want {
		t.Errorf("ARN %q, want %q", a.ARN, want)
	}
	earliest, latest := before.Add(time.Minute-time.Millisecond), after.Add(time.Minute)
	if a.Deadline.Before(earliest) || a.Deadline.After(latest) {
		t.Errorf("deadline %v, want a minute from the start", a.Deadline)
	}
	if result.Duration <= 0 || result.Duration > after.Sub(before) {
		t.Errorf("took %v, want at most %v", result.Duration, after.Sub(before))
	}
}

func TestManyInvocations(t *testing.T) {
	t.Parallel()
	instance := start(t, lambdalocal.Function{})
	ids := map[string]bool{}
	for n := 1; n <= 200; n++ {
		result, a := mustInvoke(t, instance, order{Text: fmt.Sprint(n)})
		if a.Count != n || a.Text != fmt.Sprint(n) {
			t.Fatalf("invocation %d: answer %+v", n, a)
		}
		ids[result.RequestID] = true
	}
	if len(ids) != 200 {
		t.Errorf("%d different request ids, want 200", len(ids))
	}
}

func TestConcurrentInvocations(t *testing.T) {
	t.Parallel()
	instance := start(t, lambdalocal.Function{})
	var wg sync.WaitGroup
	counts := make([]int, 50)
	for n := range counts {
		wg.Go(func() {
			result, err := instance.Invoke(t.Context(), fmt.Appendf(nil, `{"Text":"%d"}`, n))
			var a answer
			if err == nil {
				err = json.Unmarshal(result.Payload, &a)
			}
			if err != nil || a.Text != fmt.Sprint(n) {
				t.Errorf("invocation %d: answer %+v, %v", n, a, err)
			}
			counts[n] = a.Count
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	for _, count := range counts {
		seen[count] = true
	}
	if len(seen) != len(counts) {
		t.Errorf("%d invocations of their own, want %d", len(seen), len(counts))
	}
}

func TestFunctionError(t *testing.T) {
	t.Parallel()
	instance := start(t, lambdalocal.Function{})
	result, err := invoke(t, instance, order{Do: "fail", Text: "no such table"})
	if err != nil {
		t.Fatalf("invoking the function: %v", err)
	}
	want := `{"errorMessage":"no such table","errorType":"errorString"}`
	if result.FunctionError != "Unhandled" || string(result.Payload) != want {
		t.Errorf("%q, %s; want Unhandled, %s", result.FunctionError, result.Payload, want)
	}
	if _, a := mustInvoke(t, instance, order{}); a.Count != 2 {
		t.Errorf("invocation %d of the process after an error, want 2", a.Count)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	instance := start(t, lambdalocal.Function{})
	result, err := invoke(t, instance, order{Do: "panic", Text: "boom"})
	if err != nil {
		t.Fatalf("invoking the function: %v", err)
	}
	var report struct{ ErrorMessage, ErrorType string }
	if err := json.Unmarshal(result.Payload, &report); err != nil {
		t.Fatalf("decoding %.500s: %v", result.Payload, err)
	}
	if result.FunctionError != "Unhandled" || report.ErrorMessage != "boom" || report.ErrorType != "string" {
		t.Errorf("%q, %s; want Unhandled with the panic", result.FunctionError, result.Payload)
	}

	exit, ok := asExitError(invoke(t, instance, order{}))
	if !ok || exit.State != "exit status 1" {
		t.Errorf("after the panic: %v, want exit status 1", exit)
	}
}

func asExitError(_ lambdalocal.Result, err error) (*lambdalocal.ExitError, bool) {
	return errors.AsType[*lambdalocal.ExitError](err)
}

func TestExit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ do, state string }{
		"exit":             {"exit", "exit status 4"},
		"answer too large": {"large", "exit status 1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			instance := start(t, lambdalocal.Function{})
			for _, do := range []string{tt.do, "anything"} {
				exit, ok := asExitError(invoke(t, instance, order{Do: do}))
				if !ok || exit.State != tt.state || exit.RequestID == "" {
					t.Errorf("%s: %v, want %s", do, exit, tt.state)
				}
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	instance := start(t, lambdalocal.Function{Timeout: 50 * time.Millisecond})
	_, err := invoke(t, instance, order{Do: "hang"})
	late, ok := errors.AsType[*lambdalocal.TimeoutError](err)
	if !ok || late.After != 50*time.Millisecond || !strings.HasSuffix(late.Error(), "timed out after 0.05 seconds") {
		t.Fatalf("%v, want a time-out", err)
	}
	assertEnded(t, instance.PID())
	if exit, ok := asExitError(invoke(t, instance, order{})); !ok || exit.State != "signal: killed" {
		t.Errorf("after the time-out: %v, want signal: killed", exit)
	}
}

func TestInitFailure(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		atStart string
		want    lambdalocal.InitError
		log     string
	}{
		"exit":   {"exit", lambdalocal.InitError{Type: "Runtime.ExitError", Message: "exit status 3"}, "starting up"},
		"panic":  {"panic", lambdalocal.InitError{Type: "Runtime.ExitError", Message: "exit status 2"}, "no configuration"},
		"report": {"report", lambdalocal.InitError{Type: "Config.Missing", Message: "no table"}, "starting up"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l log
			_, err := lambdalocal.Start(t.Context(), lambdalocal.Function{
				Path: binary, Env: []string{"AT_START=" + tt.atStart}, Stdout: &l,
			})
			got, ok := errors.AsType[*lambdalocal.InitError](err)
			if !ok {
				t.Fatalf("%v, want an InitError", err)
			}
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if !strings.Contains(l.String(), tt.log) {
				t.Errorf("log %q, want %q in it", l.String(), tt.log)
			}
		})
	}
}

func TestStartGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := lambdalocal.Start(ctx, lambdalocal.Function{Path: binary, Env: []string{"AT_START=hang"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the context's error", err)
	}
}

func TestNoBinary(t *testing.T) {
	t.Parallel()
	_, err := lambdalocal.Start(t.Context(), lambdalocal.Function{Path: filepath.Join(t.TempDir(), "bootstrap")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want not found", err)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	var l log
	instance := start(t, lambdalocal.Function{Stdout: &l})
	mustInvoke(t, instance, order{Do: "log", Text: "hello"})
	if err := instance.Close(); err != nil {
		t.Fatalf("stopping the instance: %v", err)
	}
	if want := "starting up\nout: hello\nerr: hello\n"; l.String() != want {
		t.Errorf("log %q, want %q", l.String(), want)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	instance := start(t, lambdalocal.Function{
		MemoryMB: 512, Env: []string{"TABLE=usage", "AWS_REGION=me-south-1"},
	})
	_, a := mustInvoke(t, instance, order{Do: "env"})
	env := map[string]string{}
	for _, variable := range a.Env {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	address := env["AWS_LAMBDA_RUNTIME_API"]
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("runtime interface at %q, want loopback", address)
	}
	delete(env, "AWS_LAMBDA_RUNTIME_API")
	delete(env, "_X_AMZN_TRACE_ID") // set by aws-lambda-go for each invocation
	want := map[string]string{
		"AWS_ACCESS_KEY_ID":               "local",
		"AWS_DEFAULT_REGION":              "us-east-1",
		"AWS_EXECUTION_ENV":               "AWS_Lambda_provided.al2023",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
		"AWS_LAMBDA_FUNCTION_NAME":        "obedient",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/obedient",
		"AWS_LAMBDA_LOG_STREAM_NAME":      "local",
		"AWS_REGION":                      "me-south-1",
		"AWS_SECRET_ACCESS_KEY":           "local",
		"AWS_SESSION_TOKEN":               "local",
		"LAMBDA_TASK_ROOT":                filepath.Dir(binary),
		"LANG":                            "en_US.UTF-8",
		"PATH":                            "/usr/local/bin:/usr/bin:/bin",
		"TABLE":                           "usage",
		"TZ":                              ":UTC",
		"_HANDLER":                        "bootstrap",
	}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

// TestCallerGone: after its caller has left, the function finishes the event before it takes the next.
func TestCallerGone(t *testing.T) {
	t.Parallel()
	instance := start(t, lambdalocal.Function{})
	stop(t, instance.PID())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := instance.Invoke(ctx, []byte(`{}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the context's error", err)
	}
	if err := syscall.Kill(instance.PID(), syscall.SIGCONT); err != nil {
		t.Fatalf("signalling the process: %v", err)
	}
	if _, a := mustInvoke(t, instance, order{}); a.Count != 2 {
		t.Errorf("invocation %d, want 2", a.Count)
	}
}

// stop stops a process, and returns when all its threads have stopped: until then, it may take an event and answer it.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("signalling the process: %v", err)
	}
	running := func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(threads, func(thread string) bool {
			stat, _ := os.ReadFile(thread) // "1234 (bootstrap) T 1 …"
			return !bytes.Contains(stat, []byte(") T "))
		})
	}
	for deadline := time.Now().Add(20 * time.Second); running(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d doesn't stop", pid)
		}
	}
}

// TestFrozenAndThawed stops the process between invocations, as Lambda does.
func TestFrozenAndThawed(t *testing.T) {
	t.Parallel()
	instance := start(t, lambdalocal.Function{})
	mustInvoke(t, instance, order{})
	for _, signal := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := syscall.Kill(instance.PID(), signal); err != nil {
			t.Fatalf("signalling the process: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, a := mustInvoke(t, instance, order{}); a.Count != 2 {
		t.Errorf("invocation %d of the process, want 2", a.Count)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	instance := start(t, lambdalocal.Function{})
	instance.Kill()
	assertEnded(t, instance.PID())
	if exit, ok := asExitError(invoke(t, instance, order{})); !ok || exit.State != "signal: killed" {
		t.Errorf("%v, want signal: killed", exit)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	tests := map[string]lambdalocal.Function{
		"willing":  {},
		"stubborn": {Env: []string{"AT_START=ignore SIGTERM"}},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f.Timeout = time.Minute
			instance := start(t, f)
			underWay := make(chan error)
			go func() {
				_, err := instance.Invoke(t.Context(), []byte(`{"Do":"hang"}`))
				underWay <- err
			}()
			time.Sleep(20 * time.Millisecond)
			for range 2 {
				if err := instance.Close(); err != nil {
					t.Errorf("stopping the instance: %v", err)
				}
			}
			assertEnded(t, instance.PID())
			if err := <-underWay; !errors.Is(err, lambdalocal.ErrClosed) {
				t.Errorf("invocation under way: %v, want ErrClosed", err)
			}
			if _, err := invoke(t, instance, order{}); !errors.Is(err, lambdalocal.ErrClosed) {
				t.Errorf("invocation after Close: %v, want ErrClosed", err)
			}
		})
	}
}

// TestNothingLeft isn't parallel, so that it counts only its own goroutines.
func TestNothingLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		instance, err := lambdalocal.Start(t.Context(), lambdalocal.Function{Path: binary, Timeout: 20 * time.Millisecond})
		if err != nil {
			t.Fatalf("starting the instance: %v", err)
		}
		mustInvoke(t, instance, order{})
		if _, err := invoke(t, instance, order{Do: "hang"}); err == nil {
			t.Error("no time-out")
		}
		if err := instance.Close(); err != nil {
			t.Errorf("stopping the instance: %v", err)
		}
		assertEnded(t, instance.PID())
	}
	_, err := lambdalocal.Start(t.Context(), lambdalocal.Function{Path: binary, Env: []string{"AT_START=exit"}})
	if err == nil {
		t.Error("no init error")
	}
	deadline := time.Now().Add(20 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("goroutines left:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

// assertEnded checks that no process has this id, not even a zombie.
func assertEnded(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d: %v, want no such process", pid, err)
	}
}
