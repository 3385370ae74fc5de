package main

import (
	"context"
	"io"
	"strings"
	"testing"
)

// until is a writer that calls a function when a certain text is written.
type until struct {
	text string
	call func()
	all  strings.Builder
}

func (u *until) Write(p []byte) (int, error) {
	if u.all.Write(p); strings.Contains(u.all.String(), u.text) {
		u.call()
	}
	return len(p), nil
}

func environment(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, ok := variables[name]; return value, ok }
}

// TestRun: the stack announces itself, and ends with its context.
func TestRun(t *testing.T) {
	t.Chdir("../../..")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout := &until{text: "\nready http://localhost:", call: cancel}
	if err := run(ctx, nil, environment(map[string]string{"PORT": "0"}), stdout, io.Discard); err != nil {
		t.Fatalf("running the command: %v", err)
	}
	if text := stdout.all.String(); strings.Contains(text, "redis") || strings.Contains(text, "$") {
		t.Errorf("announced:\n%s", text)
	}
}

func TestAnnounceEngines(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	announce(&text, "http://localhost:8080", true)
	for _, want := range []string{"http://127.0.0.1:8000", "http://127.0.0.1:8001", "-p 8002", "events/env.json", "export AWS_ENDPOINT_URL_LAMBDA=http://localhost:8080/sandbox/lambda\n", "\nready http://localhost:8080\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, port, want string }{
		{"", "http", "PORT is"}, {"", "65536", "PORT is"}, {"-engines maybe", "0", `want "start" or "running"`}, {"-x", "0", "-x"},
	} {
		err := run(t.Context(), strings.Fields(test.args), environment(map[string]string{"PORT": test.port}), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q with PORT %s: error %v, want %q", test.args, test.port, err, test.want)
		}
	}
}
