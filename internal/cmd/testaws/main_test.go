package main

import (
	"slices"
	"strings"
	"testing"
)

func TestSuites(t *testing.T) {
	t.Parallel()
	packages, err := suites("../../..")
	if err != nil {
		t.Fatalf("finding the suites that run on real engines: %v", err)
	}
	for _, want := range []string{"internal/local/stackstore", "internal/test/queuetest", "internal/valkey"} {
		if n := len(slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return !strings.HasSuffix(p, want) })); n != 1 {
			t.Errorf("%s is there %d times: %q", want, n, packages)
		}
	}
	if packages, err := suites(t.TempDir()); err == nil {
		t.Errorf("nothing has the suites %q", packages)
	}
}

// TestNoTestIsAFailure: a package whose file for engines has no test named TestEngine… must fail.
func TestNoTestIsAFailure(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it builds and runs tests")
	}
	t.Parallel()
	var stdout, stderr strings.Builder
	err := test(t.Context(), []string{"."}, nil, &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "TestEngine") {
		t.Errorf("error %v after\n%s%s", err, &stdout, &stderr)
	}
}
