package devstack_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
)

// benchStack serves a stack with demo data while the benchmark runs.
func benchStack(b *testing.B) *devstack.Server {
	b.Helper()
	server, err := devstack.Serve(b.Context(), "../../../template.yaml", 0, io.Discard)
	if err != nil {
		b.Fatalf("starting the local stack: %v", err)
	}
	b.Cleanup(func() { _ = server.Close() })
	return server
}

// BenchmarkRequest measures requests at API Gateway, with DynamoDB's stand-in on loopback.
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

// BenchmarkList measures a page of 100 restaurants at the beginning and at the end of the list, with few restaurants and with
// many.
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
