package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestList: every line in the list exists in the code. Whoever changes the line must change the list too.
func TestList(t *testing.T) {
	t.Parallel()
	for _, m := range list {
		if _, err := m.apply(filepath.Join("../../..", m.file)); err != nil {
			t.Errorf("%s: %v", m.what, err)
		}
		if m.from == m.to || len(m.suites) == 0 {
			t.Errorf("%s: nothing changes, or nothing is run", m.what)
		}
	}
}

// TestOutcomes checks mutants of a small module: one that its test notices, one that it doesn't, one that doesn't compile,
// one whose line is missing, and one whose line is there twice.
func TestOutcomes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it builds and runs tests")
	}
	t.Parallel()
	module := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module example\n\ngo 1.26\n",
		"p.go":       "package example\n\nfunc add(a, b int) int {\n\tif a > 99 {\n\t\ta = 99\n\t}\n\treturn a + b // +\n}\n",
		"p_test.go":  "package example\n\nimport \"testing\"\n\nfunc TestAdd(t *testing.T) {\n\tif add(1, 2) != 3 {\n\t\tt.Error()\n\t}\n}\n",
		"doc/doc.go": "package doc\n",
	} {
		path := filepath.Join(module, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	suites := []string{"."}
	for name, test := range map[string]struct {
		mutant
		shown, fault string
	}{
		"noticed":                 {mutant{"sum", "p.go", "a + b", "a - b", suites, ""}, "noticed  sum", ""},
		"survived":                {mutant{"bound", "p.go", "a > 99", "a > 9", suites, ""}, "SURVIVED  bound", "SURVIVED: bound (p.go)"},
		"doesn't compile":         {mutant{"type", "p.go", "a + b", `"a"`, suites, ""}, "DOESN'T COMPILE  type", "DOESN'T COMPILE: type (p.go)"},
		"isn't there":             {mutant{"gone", "p.go", "a * b", "a", suites, ""}, "", `p.go has "a * b" 0 times`},
		"is there twice":          {mutant{"twice", "p.go", "99", "9", suites, ""}, "", `p.go has "99" 2 times`},
		"noticed by another test": {mutant{"narrow", "p.go", "a + b", "a - b", suites, "TestNothing"}, "SURVIVED  narrow", "SURVIVED: narrow (p.go)"},
		"no such file":            {mutant{"file", "q.go", "a", "b", suites, ""}, "", "q.go"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var shown strings.Builder
			err := run(t.Context(), &shown, module, []mutant{test.mutant}, "")
			if (err != nil) != (test.fault != "") || err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("error %v, want one that says %q", err, test.fault)
			}
			if !strings.HasPrefix(shown.String(), test.shown) {
				t.Errorf("shown:\n%s\nwant %q", &shown, test.shown)
			}
		})
	}
}
