// Package habits_test holds the repository's own files to the rules of CONTRIBUTING.md that a machine can check.
package habits_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const root = "../../.."

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// pinned is an action by its commit, with the version that this is in a comment: a tag can be moved to other code.
var pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+(,.*)?$`)

// unpinned returns the actions of a workflow that aren't pinned, and how many actions there are.
func unpinned(workflow string) (found []string, all int) {
	for _, use := range regexp.MustCompile(`(?m)^[ -]*uses:[ ]*(.*)$`).FindAllStringSubmatch(workflow, -1) {
		all++
		if !strings.HasPrefix(use[1], "./") && !pinned.MatchString(use[1]) { // "./" is the repository's own
			found = append(found, use[1])
		}
	}
	return found, all
}

func TestActionsArePinned(t *testing.T) {
	t.Parallel()
	workflows, err := filepath.Glob(root + "/.github/workflows/*.y*ml")
	if err != nil || len(workflows) == 0 {
		t.Fatalf("%d workflows, %v", len(workflows), err)
	}
	for _, workflow := range workflows {
		name, err := filepath.Rel(root, workflow)
		if err != nil {
			t.Fatal(err)
		}
		found, all := unpinned(read(t, name))
		if all == 0 {
			t.Errorf("%s uses no action", name)
		}
		for _, use := range found {
			t.Errorf("%s uses %s: want owner/name@<commit> # <version>", name, use)
		}
	}
	commit := strings.Repeat("0a", 20)
	loose := []string{
		"a/b@v4", "a/b@v4 # v4.0.0", "a/b@" + commit, "a/b@" + commit + " # v4", "a/b@" + commit[1:] + " # v4.0.0", "a/b@main # v4.0.0",
	}
	found, _ := unpinned("- uses: " + strings.Join(loose, "\n  uses: ") + "\n- uses: a/b@" + commit + " # v4.0.0, for c\n- uses: ./own")
	if diff := cmp.Diff(loose, found); diff != "" {
		t.Errorf("unpinned actions (-want +found):\n%s", diff)
	}
}

// TestDependenciesAreUpdated: each place in which the repository names dependencies is in Dependabot's configuration.
func TestDependenciesAreUpdated(t *testing.T) {
	t.Parallel()
	var config struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github/dependabot.yml")), &config); err != nil {
		t.Fatal(err)
	}
	updated := func(ecosystem, folder string) bool {
		for _, update := range config.Updates {
			for _, pattern := range append(update.Directories, update.Directory) {
				if matches, err := path.Match(pattern, folder); err == nil && matches && update.Ecosystem == ecosystem {
					return true
				}
			}
		}
		return false
	}
	if !updated("github-actions", "/") {
		t.Error("actions aren't kept up to date")
	}
	for name, ecosystem := range map[string]string{"go.mod": "gomod", "package.json": "npm"} {
		for _, file := range files(t, name) {
			if folder := path.Join("/", path.Dir(filepath.ToSlash(file))); !updated(ecosystem, folder) {
				t.Errorf("%s isn't kept up to date", file)
			}
		}
	}
	if updated("npm", "/") || updated("gomod", "/client") {
		t.Error("what isn't there is kept up to date")
	}
}

// files returns the repository's own files of a name, or with that ending, relative to its root.
func files(t *testing.T, ending string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && file != root && (name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(entry.Name(), ending) {
			name, err := filepath.Rel(root, file)
			found = append(found, name)
			return err
		}
		return nil
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("%d files %s, %v", len(found), ending, err)
	}
	return found
}

// TestDisabledLintersHaveReasons: who disables a linter says why, in a comment on its line.
func TestDisabledLintersHaveReasons(t *testing.T) {
	t.Parallel()
	var config struct {
		Linters struct {
			Default string
			Disable []yaml.Node
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, ".golangci.yml")), &config); err != nil {
		t.Fatal(err)
	}
	if config.Linters.Default != "all" || len(config.Linters.Disable) == 0 {
		t.Fatalf("of %q linters %d are disabled: what isn't disabled should be on", config.Linters.Default, len(config.Linters.Disable))
	}
	for _, linter := range config.Linters.Disable {
		if len(strings.Fields(linter.LineComment)) < 4 {
			t.Errorf("%s is disabled without a reason: %q", linter.Value, linter.LineComment)
		}
	}
}

// TestDocumentsLeadSomewhere: files that documents link to and targets that they name exist.
func TestDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{}
	for _, target := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets[target[1]] = true
	}
	for _, document := range files(t, ".md") {
		for _, fault := range astray(read(t, document), filepath.Join(root, filepath.Dir(document)), targets) {
			t.Errorf("%s: %s", document, fault)
		}
	}
	text := "`make nothing` [a](nowhere.md) [b](https://example.com) [c](#here) `make test` [d](habits_test.go#x) \nmake nobody\nwe make many"
	want := []string{"there is no nowhere.md", "there is no target nothing", "there is no target nobody"}
	if diff := cmp.Diff(want, astray(text, ".", map[string]bool{"test": true})); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

// astray returns what a document in a folder links to in vain.
func astray(document, folder string, targets map[string]bool) (faults []string) {
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`).FindAllStringSubmatch(document, -1) {
		if _, err := os.Stat(filepath.Join(folder, link[1])); err != nil {
			faults = append(faults, "there is no "+link[1])
		}
	}
	for _, target := range regexp.MustCompile("(?:`|(?m:^))make ([a-z-]+)").FindAllStringSubmatch(document, -1) {
		if !targets[target[1]] {
			faults = append(faults, fmt.Sprintf("there is no target %s", target[1]))
		}
	}
	return faults
}
