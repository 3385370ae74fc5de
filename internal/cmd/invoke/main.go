// Command invoke compiles one of the functions and sends it an event over Lambda's runtime interface, on this machine and
// without containers:
//
//	go run ./internal/cmd/invoke -function usage-api -event events/usage-pat.json
//
// It prints the answer, the function's log, and the durations of initialization and invocation. It exits with status 1 if the
// function failed. Run it from the module's root.
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
	"time"

	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, localStack)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "invoke:", err)
		os.Exit(1)
	}
}

// errFunction says that the function reported an error, which has been printed.
var errFunction = errors.New("the function failed")

// environment returns a function's variables, and a func that stops the services that they lead to.
type environment func(ctx context.Context, function string) (env []string, stop func(), err error)

func run(ctx context.Context, args []string, stdout io.Writer, environment environment) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	event, err := readEvent(o.event)
	if err != nil {
		return err
	}
	var before []byte
	if o.before != "" {
		if before, err = readEvent(o.before); err != nil {
			return err
		}
	}

	dir, err := os.MkdirTemp("", "invoke")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := build(ctx, o.function, dir)
	if err != nil {
		return err
	}
	env, stop, err := environment(ctx, o.function)
	if err != nil {
		return fmt.Errorf("preparing the environment: %w", err)
	}
	defer stop()

	r, failure := invoke(ctx, lambdalocal.Function{Path: binary, Env: env, Timeout: o.timeout}, before, event, o.repeat)
	r.Function = o.function
	write := r.writeText
	if o.json {
		write = r.writeJSON
	}
	if err := write(stdout); err != nil {
		return fmt.Errorf("printing the answer: %w", err)
	}
	return failure
}

func readEvent(path string) ([]byte, error) {
	event, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	if !json.Valid(event) {
		return nil, fmt.Errorf("reading the event: %s is not JSON", path)
	}
	return event, nil
}

type options struct {
	function, event, before string
	repeat                  int
	timeout                 time.Duration
	json                    bool
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("invoke", flag.ContinueOnError)
	flags.StringVar(&o.function, "function", "", "function to invoke: the name of a directory under functions")
	flags.StringVar(&o.event, "event", "", "file with the event, in JSON")
	flags.StringVar(&o.before, "before", "", "file with an event to send first; its answer isn't shown")
	flags.IntVar(&o.repeat, "repeat", 1, "number of times that the event is sent to the same instance")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "time limit of an invocation")
	flags.BoolVar(&o.json, "json", false, "print one JSON object, for scripts")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.function == "" || o.function != filepath.Base(o.function) || !filepath.IsLocal(o.function):
		return o, fmt.Errorf("-function must be the name of a directory under functions, not %q", o.function)
	case o.event == "":
		return o, errors.New("-event must name a file")
	case o.repeat < 1:
		return o, fmt.Errorf("-repeat must be at least 1, not %d", o.repeat)
	case o.timeout <= 0:
		return o, fmt.Errorf("-timeout must be more than 0, not %v", o.timeout)
	}
	return o, nil
}

// build compiles a function as for deployment, into a directory below dir, and returns the binary.
func build(ctx context.Context, function, dir string) (string, error) {
	binary := filepath.Join(dir, function, "bootstrap")
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "lambda.norpc",
		"-o", binary, "./functions/"+function)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", function, err, bytes.TrimSpace(output))
	}
	return binary, nil
}

// invoke starts the function, sends it the event before, if any, and then event repeat times, or until it fails. After a
// failure the report has the results so far.
func invoke(ctx context.Context, f lambdalocal.Function, before, event []byte, repeat int) (report, error) {
	var log bytes.Buffer // the instance writes to it until it is closed
	f.Stdout = &log

	r := report{DurationsMS: []float64{}}
	instance, err := lambdalocal.Start(ctx, f)
	if err == nil {
		r.InitMS = milliseconds(instance.InitDuration())
		if before != nil {
			_, err = instance.Invoke(ctx, before)
		}
		for i := 0; i < repeat && err == nil; i++ {
			err = r.invoke(ctx, instance, event)
		}
		err = errors.Join(err, instance.Close())
	}
	r.Log = log.String()
	return r, err
}

func (r *report) invoke(ctx context.Context, instance *lambdalocal.Instance, event []byte) error {
	result, err := instance.Invoke(ctx, event)
	if err != nil {
		return err
	}
	r.DurationsMS = append(r.DurationsMS, milliseconds(result.Duration))
	r.Payload, r.FunctionError = result.Payload, result.FunctionError
	if !json.Valid(r.Payload) {
		r.Payload, _ = json.Marshal(string(result.Payload)) // can't fail for a string
	}
	if r.FunctionError != "" {
		return errFunction
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
