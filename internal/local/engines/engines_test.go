package engines

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.yaml.in/yaml/v3"
)

// newEngines returns an empty Engines.
func newEngines(t *testing.T) *Engines {
	t.Helper()
	e := &Engines{folder: filepath.Join(t.TempDir(), "engines"), endpoints: make(map[Kind]string)}
	if err := os.Mkdir(e.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

func shell(script string) []string { return []string{"sh", "-c", script} }

func ready(context.Context, string) error { return nil }

func TestStartRefusesWhatThereIsNot(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), t.TempDir(), Kind(7), Kind(8))
	if err == nil || !strings.Contains(err.Error(), "engine 7") || !strings.Contains(err.Error(), "engine 8") {
		t.Errorf("error %v, want one that names both", err)
	}
}

func TestEndpointOfWhatDoesNotRun(t *testing.T) {
	t.Setenv(DynamoDB.Variable(), "")
	if _, err := Endpoint(DynamoDB); err == nil || !strings.Contains(err.Error(), "make test-aws") {
		t.Errorf("error %v, want one that says how to start it", err)
	}
	t.Setenv(SQS.Variable(), "http://127.0.0.1:1")
	if endpoint, err := Endpoint(SQS); err != nil || endpoint != "http://127.0.0.1:1" {
		t.Errorf("endpoint %q, error %v", endpoint, err)
	}
}

// TestEnvironment: each engine has its own variable, and only running engines are named.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	for _, kind := range All()[:3] {
		e.endpoints[kind] = kind.String()
	}
	names := make(map[string]bool)
	for _, variable := range e.Environment() {
		name, _, _ := strings.Cut(variable, "=")
		names[name] = true
	}
	if len(names) != 3 || names[CacheCluster.Variable()] || !names[Cache.Variable()] {
		t.Errorf("variables %v", e.Environment())
	}
}

// TestStopEndsAll: a process ends together with its children, and its files are deleted.
func TestStopEndsAll(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	var child int
	_, err := e.serve(t.Context(), Cache, "parent", func(_, _ int) []string {
		return shell("sleep 60 & echo $! > child; wait")
	}, func(context.Context, string) error {
		var err error
		child, err = readPID(filepath.Join(e.folder, "child"))
		return err
	})
	if err != nil {
		t.Fatalf("starting the engine that forks a child: %v", err)
	}
	e.Stop()
	wantEnd(t, child)
	if exists(e.folder) {
		t.Errorf("%s is left", e.folder)
	}
}

// wantEnd waits until a process has ended: the kernel ends it with a short delay.
func wantEnd(t *testing.T, pid int) {
	t.Helper()
	for begin := time.Now(); !ended(pid); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 5*time.Second {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d goes on", pid)
		}
	}
}

func readPID(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// isZombie reports whether a process has ended without its parent having noticed yet.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func ended(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || isZombie(pid) }

// TestServeTriesAnotherPort: if the chosen port was taken meanwhile, the server is started at another.
func TestServeTriesAnotherPort(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	var ports []int
	address, err := e.serve(t.Context(), Cache, "late", func(port, second int) []string {
		ports = append(ports, port)
		if port == second {
			t.Errorf("port %d is given twice", port)
		}
		if len(ports) < startAttempts {
			return shell("echo the port is taken >&2; exit 1")
		}
		return shell("sleep 60")
	}, func(context.Context, string) error {
		if len(ports) < startAttempts {
			return errors.New("no answer")
		}
		return nil
	})
	if err != nil || len(ports) != startAttempts || !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("address %q after ports %v, error %v", address, ports, err)
	}
}

// TestFixedPorts: an engine fails to start if another program uses its port, and the error says so.
func TestFixedPorts(t *testing.T) {
	t.Parallel()
	e := newEngines(t)
	e.fixed = true
	if listener, err := net.Listen("tcp", Cache.URL()); err == nil { // otherwise the port is taken already
		defer listener.Close()
	}
	_, err := e.serve(t.Context(), Cache, "server", func(_, _ int) []string { return shell("sleep 60") }, ready)
	if err == nil || !strings.Contains(err.Error(), "another program uses port 8002") {
		t.Errorf("starting an engine on a taken port fails with %v, want the port and that another program uses it", err)
	}
}

// compose is the part of compose.yaml that the tests read.
type compose struct {
	Services map[string]struct {
		Image   string
		Command []string
		Ports   []string
	}
}

// TestComposeIsTheSame: the containers have the same engines, in the same versions, at the same ports of this machine.
func TestComposeIsTheSame(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file compose
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatalf("decoding %.500s: %v", text, err)
	}
	if len(file.Services) != 3 {
		t.Errorf("%d services, want 3", len(file.Services))
	}
	for name, want := range map[string]struct {
		kind  Kind
		image string
	}{
		"dynamodb": {DynamoDB, ":" + dynamoDBVersion}, "sqs": {SQS, ":" + motoVersion}, "cache": {Cache, "valkey/valkey:"},
	} {
		service := file.Services[name]
		port := strings.TrimPrefix(want.kind.URL(), "http://") + ":"
		if len(service.Ports) != 1 || !strings.HasPrefix(service.Ports[0], port) || !strings.Contains(service.Image, want.image) {
			t.Errorf("%s: image %s at %q, want %s at %s", name, service.Image, service.Ports, want.image, port)
		}
	}
	for _, option := range []string{"-inMemory", "-sharedDb", "-disableTelemetry"} {
		if !slices.Contains(file.Services["dynamodb"].Command, option) {
			t.Errorf("DynamoDB Local has no %s", option)
		}
	}
}

func TestServeTellsWhy(t *testing.T) {
	t.Parallel()
	silent := errors.New("no answer")
	for name, test := range map[string]struct {
		script string
		want   string
	}{
		"it ends":    {"echo Java is too old >&2; exit 3", "Java is too old"},
		"it is mute": {"echo still loading; exec sleep 60", "still loading"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := newEngines(t).serve(ctx, Cache, "server", func(_, _ int) []string { return shell(test.script) },
				func(context.Context, string) error { return silent })
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	_, err := newEngines(t).serve(t.Context(), Cache, "server", func(_, _ int) []string { return []string{"/no/such/server"} }, ready)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that there is no such command", err)
	}
}

// TestAnotherProgramAnswers: if a process has ended, an answer at its port is another program's.
func TestAnotherProgramAnswers(t *testing.T) {
	t.Parallel()
	_, err := newEngines(t).serve(t.Context(), Cache, "server", func(_, _ int) []string { return shell("exit 1") },
		func(context.Context, string) error { time.Sleep(50 * time.Millisecond); return nil })
	if err == nil {
		t.Error("a server that has ended is up")
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	if err := isUp(t.Context(), server.Addr()); err != nil {
		t.Errorf("asking whether the server is up: %v", err)
	}
	if text, err := ask(t.Context(), server.Addr(), "ECHO hello"); err != nil || text != "hello" {
		t.Errorf("answer %q, error %v", text, err)
	}
	if _, err := ask(t.Context(), server.Addr(), "NOSUCHCOMMAND"); err == nil || !strings.Contains(err.Error(), "ERR unknown command") {
		t.Errorf("error %v, want the server's", err)
	}
	address := server.Addr()
	server.Close()
	if isUp(t.Context(), address) == nil {
		t.Error("a server that is down is up")
	}
}
