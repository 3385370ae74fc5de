// Package habits_test checks the rules of CONTRIBUTING.md that a machine can check, on the repository's own files.
package habits_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
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

// pinned matches an action that is named by its commit, with the version in a comment. A tag could be moved to other code.
var pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+(,.*)?$`)

// unpinned returns the actions of a workflow that aren't pinned, and the number of all its actions.
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

// TestDependenciesAreUpdated: each file that names dependencies is in Dependabot's configuration.
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
		t.Fatalf(".github/dependabot.yml can't be read: %v", err)
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

// files returns the repository's own files with a name or an ending, relative to its root.
func files(t *testing.T, ending string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && file != root && (name == "node_modules" || name == "dist" || name == "testdata" || strings.HasPrefix(name, ".")) {
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

// TestDisabledLintersHaveReasons: each disabled linter has its reason in a comment on its line.
func TestDisabledLintersHaveReasons(t *testing.T) {
	t.Parallel()
	var config struct {
		Linters struct {
			Default string
			Disable []yaml.Node
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, ".golangci.yml")), &config); err != nil {
		t.Fatalf(".golangci.yml can't be read: %v", err)
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

// maxReadme bounds the lines of the README: a newcomer reads all of it, and looks up the rest in docs.
const maxReadme = 130

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	if n := strings.Count(read(t, "README.md"), "\n"); n > maxReadme {
		t.Errorf("README.md has %d lines, want at most %d: move reference to docs", n, maxReadme)
	}
}

// names has the repository's make targets and tests.
type names struct {
	targets map[string]bool
	tests   []string
}

// TestDocumentsLeadSomewhere: the files, headings, make targets and tests that documents name exist.
func TestDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	known := names{targets: map[string]bool{}}
	for _, target := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		known.targets[target[1]] = true
	}
	for _, file := range files(t, "_test.go") {
		for _, test := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllStringSubmatch(read(t, file), -1) {
			known.tests = append(known.tests, test[1])
		}
	}
	for _, document := range files(t, ".md") {
		for _, fault := range astray(read(t, document), filepath.Join(root, filepath.Dir(document)), known) {
			t.Errorf("%s: %s", document, fault)
		}
	}
	text := "# It's here\n`make nothing` [a](nowhere.md) [b](https://example.com) [c](#its-here) [d](#there) `make test` [e](habits_test.go#x)\n" +
		"[f](../../../CONTRIBUTING.md#checks) [g](../../../CONTRIBUTING.md#nothing)\nmake nobody\nwe make many\n`-run 'TestSome|TestNone'`"
	want := []string{
		"there is no nowhere.md", "there is no heading #there", "there is no heading ../../../CONTRIBUTING.md#nothing",
		"there is no target nothing", "there is no target nobody", "there is no test TestNone",
	}
	if diff := cmp.Diff(want, astray(text, ".", names{map[string]bool{"test": true}, []string{"TestSomething"}})); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

// astray returns the names and links in a document that lead nowhere. folder is the document's folder. A test's name may be
// cut short, as -run allows.
func astray(document, folder string, known names) (faults []string) {
	for _, link := range regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`).FindAllStringSubmatch(document, -1) {
		content := []byte(document)
		if link[1] != "" {
			var err error
			if content, err = os.ReadFile(filepath.Join(folder, link[1])); err != nil {
				if _, err = os.Stat(filepath.Join(folder, link[1])); err != nil {
					faults = append(faults, "there is no "+link[1])
				}
				continue
			}
		}
		if link[2] != "" && (link[1] == "" || strings.HasSuffix(link[1], ".md")) && !anchors(string(content))[link[2]] {
			faults = append(faults, fmt.Sprintf("there is no heading %s#%s", link[1], link[2]))
		}
	}
	for _, target := range regexp.MustCompile("(?:`|(?m:^))make ([a-z-]+)").FindAllStringSubmatch(document, -1) {
		if !known.targets[target[1]] {
			faults = append(faults, fmt.Sprintf("there is no target %s", target[1]))
		}
	}
	for _, test := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(document, -1) {
		if !slices.ContainsFunc(known.tests, func(name string) bool { return strings.HasPrefix(name, test) }) {
			faults = append(faults, "there is no test "+test)
		}
	}
	return faults
}

// anchors returns the anchors that GitHub gives a document's headings.
func anchors(document string) map[string]bool {
	found := map[string]bool{}
	for _, heading := range regexp.MustCompile("(?m)^#+ (.*)$").FindAllStringSubmatch(document, -1) {
		text := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		found[strings.ReplaceAll(text, " ", "-")] = true
	}
	return found
}
