package local_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/lambdalocal"
	"github.com/sufrah/usage-bootstrap/internal/local"
)

// benchStack returns a stack with the demo data that is served for the benchmark's duration.
func benchStack(b *testing.B) *local.Server {
	b.Helper()
	server, err := local.Serve(b.Context(), "../../template.yaml", 0, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	return server
}

// BenchmarkRequest measures requests from API Gateway's side, with DynamoDB's stand-in on loopback.
func BenchmarkRequest(b *testing.B) {
	server := benchStack(b)
	for _, bench := range []struct {
		name, target string
		header       http.Header
	}{
		{"one", "/api/usage", http.Header{"Authorization": {"Bearer local-dashboard-pat"}, "X-Restaurant-Id": {"clxyz123abc"}}},
		{"detail", "/api/usage/clxyz123abc", http.Header{"X-Api-Key": {"local-admin-key"}}},
		{"list-20", "/api/usage", http.Header{"X-Api-Key": {"local-admin-key"}}},
		{"list-100", "/api/usage?limit=100", http.Header{"X-Api-Key": {"local-admin-key"}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, bench.target, nil)
				r.Header = bench.header
				w := httptest.NewRecorder()
				server.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatalf("status %d: %s", w.Code, w.Body)
				}
			}
		})
	}
}

// BenchmarkColdStart measures the time from starting a function's binary to its first request for an invocation, in turn
// with a function that does nothing, and reports the ratio of the medians.
func BenchmarkColdStart(b *testing.B) {
	server := benchStack(b)
	environment, err := server.FunctionEnvironment("usage-api")
	if err != nil {
		b.Fatal(err)
	}
	empty := build(b, "./internal/local/testdata/emptyfunction")
	function := build(b, "./functions/usage-api")
	const runs = 20
	for b.Loop() {
		var baseline, real []time.Duration
		for range runs {
			baseline = append(baseline, coldStart(b, empty, nil))
			real = append(real, coldStart(b, function, environment))
		}
		b.ReportMetric(milliseconds(median(baseline)), "empty-ms")
		b.ReportMetric(milliseconds(median(real)), "usage-api-ms")
		b.ReportMetric(float64(median(real))/float64(median(baseline)), "ratio")
	}
}

// build compiles a program of this module as a function is compiled.
func build(b *testing.B, program string) string {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "bootstrap")
	command := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", binary, program)
	command.Dir = "../.."
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, output)
	}
	return binary
}

func coldStart(b *testing.B, binary string, environment []string) time.Duration {
	b.Helper()
	instance, err := lambdalocal.Start(context.Background(), lambdalocal.Function{
		Path: binary, Env: environment, Timeout: 10 * time.Second, Stdout: io.Discard,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer instance.Close()
	return instance.InitDuration()
}

func median(durations []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(durations))[len(durations)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// BenchmarkList measures a page of 100 restaurants at the list's begin and end, with few restaurants and with many.
func BenchmarkList(b *testing.B) {
	for _, tb := range []tables{few(b), many(b)} {
		for _, offset := range slices.Compact([]int{0, tb.restaurants - 100}) {
			b.Run(fmt.Sprintf("restaurants=%d/offset=%d", tb.restaurants, offset), func(b *testing.B) {
				api := newAPI(tb.store())
				for b.Loop() {
					r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/api/usage?limit=100&offset=%d", offset), nil)
					r.Header = withKey
					w := httptest.NewRecorder()
					api.ServeHTTP(w, r)
					if w.Code != http.StatusOK {
						b.Fatalf("status %d: %s", w.Code, w.Body)
					}
				}
			})
		}
	}
}
