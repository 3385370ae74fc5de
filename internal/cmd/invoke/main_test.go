package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
)

// TestRun isn't parallel: it changes into the directory that has testdata/functions/hello, which it compiles.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it builds a function")
	}
	t.Chdir("testdata")
	event := func(path string) string {
		file := filepath.Join(t.TempDir(), "event.json")
		if err := os.WriteFile(file, []byte(`{"rawPath":"`+path+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}

	t.Run("answer", func(t *testing.T) {
		var out strings.Builder
		err := run(t.Context(), []string{"-function", "hello", "-event", event("/a"), "-repeat", "3"}, &out, nothing)
		if err != nil {
			t.Fatalf("running the command: %v", err)
		}
		want := "200 OK\nContent-Type: application/json\n\n{\n  \"hello\": \"/a\"\n}\n\n" +
			"Log:\nasked for /a\nasked for /a\nasked for /a\n\ninit "
		timing, ok := strings.CutPrefix(out.String(), want)
		if !ok || !strings.Contains(timing, "  duration ") || !strings.HasSuffix(timing, " ms (median of 2)\n") {
			t.Errorf("printed:\n%s\nwant:\n%s… duration … (median of 2)", out.String(), want)
		}
	})

	t.Run("function error as JSON", func(t *testing.T) {
		var out strings.Builder
		err := run(t.Context(), []string{"-json", "-function", "hello", "-event", event("/fail"), "-repeat", "3"}, &out, nothing)
		if !errors.Is(err, errFunction) {
			t.Errorf("error %v, want the function's", err)
		}
		var got report
		if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
			t.Fatalf("printed %q: %v", out.String(), err)
		}
		if got.InitMS <= 0 || len(got.DurationsMS) != 1 || !strings.HasPrefix(got.Log, "asked for /fail\n") {
			t.Errorf("init %v, durations %v, log %q", got.InitMS, got.DurationsMS, got.Log)
		}
		got.InitMS, got.DurationsMS, got.Log = 0, nil, ""
		want := report{
			Function: "hello", FunctionError: "Unhandled",
			Payload: json.RawMessage(`{"errorMessage":"no such table","errorType":"errorString"}`),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("report (-want +got):\n%s", diff)
		}
	})

	t.Run("no such function", func(t *testing.T) {
		var out strings.Builder
		err := run(t.Context(), []string{"-function", "nowhere", "-event", event("/")}, &out, nothing)
		if err == nil || !strings.Contains(err.Error(), "building nowhere") || out.Len() > 0 {
			t.Errorf("error %v, printed %q", err, out.String())
		}
	})
}

func TestInvokeUnstartable(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "bootstrap")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho no configuration; exit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := invoke(t.Context(), lambdalocal.Function{Path: program}, nil, []byte(`{}`), 1)
	if _, ok := errors.AsType[*lambdalocal.InitError](err); !ok {
		t.Errorf("error %v, want an InitError", err)
	}
	if diff := cmp.Diff(report{DurationsMS: []float64{}, Log: "no configuration\n"}, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	notJSON := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(notJSON, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":                                       "-function must be",
		"-function ../x -event e":                "-function must be",
		"-function .. -event e":                  "-function must be",
		"-function a":                            "-event must name",
		"-function a -event e -repeat 0":         "-repeat must be",
		"-function a -event e -timeout 0s":       "-timeout must be",
		"-function a -event e more":              `unexpected argument "more"`,
		"-function a -event missing.json":        "reading the event",
		"-function a -event " + notJSON:          "is not JSON",
		"-function a -event e -repeat sometimes": "invalid value",
	} {
		err := run(context.Background(), strings.Fields(args), os.Stdout, nothing)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", args, err, want)
		}
	}
}

func TestWriteText(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		report report
		want   string
	}{
		"nothing": {report{}, ""},
		"log only": {
			report{Log: "no configuration\n\n"},
			"Log:\nno configuration\n",
		},
		"not HTTP": {
			report{Payload: json.RawMessage(`{"batchItemFailures":[]}`), InitMS: 12.34, DurationsMS: []float64{4.56}},
			"{\n  \"batchItemFailures\": []\n}\n\ninit 12.3 ms  duration 4.6 ms\n",
		},
		"a string": {
			report{Payload: json.RawMessage(`"ok"`), DurationsMS: []float64{1, 9, 3, 2}},
			"\"ok\"\n\ninit 0.0 ms  duration 1.0 ms  warm 3.0 ms (median of 3)\n",
		},
		"no body": {
			report{Payload: json.RawMessage(`{"statusCode":204,"headers":{"B":"2","A":"1"},"cookies":["c=3"]}`)},
			"204 No Content\nA: 1\nB: 2\nSet-Cookie: c=3\n",
		},
		"text": {
			report{Payload: json.RawMessage(`{"statusCode":200,"body":"<Response/>"}`)},
			"200 OK\n\n<Response/>\n",
		},
		"text in base64": {
			report{Payload: json.RawMessage(`{"statusCode":200,"body":"WzFd","isBase64Encoded":true}`)},
			"200 OK\n\n[\n  1\n]\n",
		},
		"bytes": {
			report{Payload: json.RawMessage(`{"statusCode":200,"body":"iVBORw==","isBase64Encoded":true}`)},
			"200 OK\n\n(4 bytes)\n",
		},
		"broken base64": {
			report{Payload: json.RawMessage(`{"statusCode":200,"body":"*","isBase64Encoded":true}`)},
			"200 OK\n\n(a body that is not base64)\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := tt.report.writeText(&out); err != nil {
				t.Fatalf("writing the table: %v", err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
}

// nothing is the environment of a function that needs none.
func nothing(context.Context, string) ([]string, func(), error) { return nil, func() {}, nil }
