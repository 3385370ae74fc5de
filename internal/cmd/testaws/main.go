// Command testaws runs the tests that need real engines. It starts the engines, runs the tests in all files whose names end
// in _aws_test.go (build tag aws, functions TestEngine…), and stops the engines. It fails if an engine can't be started.
// Arguments are passed on to go test; packages in them are tested in place of all packages:
//
//	go run ./internal/cmd/testaws -v ./internal/local/stackstore
//
// Run it from the module's root.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/local/engines"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testaws:", err)
		os.Exit(1)
	}
}

// cacheDir is the folder in which engines are kept between runs.
const cacheDir = ".cache/engines"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if !slices.ContainsFunc(args, isPackage) {
		packages, err := suites(".")
		if err != nil {
			return err
		}
		args = slices.Concat(args, packages)
	}
	begin := time.Now()
	fmt.Fprintln(stdout, "starting engines; missing ones are downloaded first, which takes about a minute")
	started, err := engines.Start(ctx, cacheDir, engines.All()...)
	if err != nil {
		return fmt.Errorf("the engines can't be started:\n%w", err)
	}
	defer started.Stop()
	fmt.Fprintf(stdout, "the engines answered after %v\n", time.Since(begin).Round(time.Second))
	for _, variable := range started.Environment() {
		fmt.Fprintln(stdout, variable)
	}
	return test(ctx, args, started.Environment(), stdout, stderr)
}

func isPackage(arg string) bool { return strings.HasPrefix(arg, "./") }

// suites returns the packages of a module that have tests for engines.
func suites(root string) ([]string, error) {
	var packages []string
	for _, pattern := range []string{"internal/*/*_aws_test.go", "internal/*/*/*_aws_test.go"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			packages = append(packages, "./"+filepath.ToSlash(filepath.Dir(file)))
		}
	}
	slices.Sort(packages)
	packages = slices.Compact(packages)
	if len(packages) == 0 {
		return nil, errors.New("there are no *_aws_test.go files: run testaws in the module's root")
	}
	return packages, nil
}

// test runs go test. It also fails if a package has no test named TestEngine….
func test(ctx context.Context, args, environment []string, stdout, stderr io.Writer) error {
	var printed bytes.Buffer
	command := exec.CommandContext(ctx, "go", append([]string{
		"test", "-tags=aws", "-run=^TestEngine", "-count=1", "-timeout=8m",
	}, args...)...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = io.MultiWriter(stdout, &printed), stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that the tests end together with go test
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	if err := command.Run(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	if bytes.Contains(printed.Bytes(), []byte("[no tests to run]")) {
		return errors.New("a package has no test whose name begins with TestEngine")
	}
	return nil
}
