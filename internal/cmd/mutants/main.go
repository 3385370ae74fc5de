// Command mutants checks the tests. For each mutant it breaks one chosen line of the code, without changing any file, and
// runs the tests that must notice. It runs as many mutants at the same time as there are processors. A mutant fails if no
// test notices it, or if its line no longer exists.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

func main() {
	only := flag.String("run", "", "only mutants whose description matches this regular expression")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, ".", list, *only); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// outcome is the outcome of a mutant.
type outcome int

const (
	noticed  outcome = iota // a test failed, as it must
	survived                // no test failed
	broken                  // it doesn't compile, so the tests prove nothing
)

func (o outcome) String() string { return [...]string{"noticed", "SURVIVED", "DOESN'T COMPILE"}[o] }

// run checks the mutants of the module in a directory, and writes a line as each ends. Its error names the mutants that no
// test noticed.
func run(ctx context.Context, w io.Writer, directory string, mutants []mutant, only string) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg     sync.WaitGroup
		turns  = make(chan struct{}, runtime.NumCPU()) // most of a mutant's time goes into linking a test, which takes one processor
		mu     sync.Mutex
		faults []error
		table  = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	)
	for _, m := range mutants {
		if !pattern.MatchString(m.what) {
			continue
		}
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			begin := time.Now()
			o, err := m.check(ctx, directory)
			if err != nil {
				cancel(fmt.Errorf("%s: %w", m.what, err)) // ends all others
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if o != noticed {
				faults = append(faults, fmt.Errorf("%s: %s (%s)", o, m.what, m.file))
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%.0fs\n", o, m.what, m.file, time.Since(begin).Seconds())
			_ = table.Flush() // at once, because each mutant takes some seconds
		})
	}
	wg.Wait()
	return errors.Join(append(faults, context.Cause(ctx))...)
}

// timeout bounds a mutant's tests. A test that never ends has noticed the mutant.
const timeout = 3 * time.Minute

// check runs the tests with the mutant, which the compiler takes in place of the file.
func (m mutant) check(ctx context.Context, directory string) (outcome, error) {
	file, err := filepath.Abs(filepath.Join(directory, m.file))
	if err != nil {
		return 0, err
	}
	mutated, err := m.apply(file)
	if err != nil {
		return 0, err
	}
	scratch, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)
	replacement, overlay := filepath.Join(scratch, filepath.Base(file)), filepath.Join(scratch, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: replacement}})
	if err != nil {
		return 0, err
	}
	if err := errors.Join(os.WriteFile(replacement, mutated, 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return 0, err
	}
	args := []string{"test", "-overlay", overlay, "-vet=off", "-failfast", "-timeout", timeout.String(), "-run", m.tests}
	for _, suite := range m.suites {
		args = append(args, "./"+suite)
	}
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = directory
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case err == nil:
		return survived, nil
	case !errors.As(err, &exit):
		return 0, err
	case bytes.Contains(output, []byte("[build failed]")) || bytes.Contains(output, []byte("[setup failed]")):
		return broken, nil
	case !bytes.Contains(output, []byte("\nFAIL\t")) && !bytes.HasPrefix(output, []byte("FAIL\t")):
		return 0, fmt.Errorf("running the tests: %w\n%s", err, output)
	}
	return noticed, nil
}

// apply returns the file's content with the mutant. It fails unless the line to be broken is there exactly once.
func (m mutant) apply(file string) ([]byte, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(source), m.from); n != 1 {
		return nil, fmt.Errorf("%s has %q %d times, want it once", m.file, m.from, n)
	}
	return []byte(strings.Replace(string(source), m.from, m.to, 1)), nil
}
