// Command bench measures the system. It measures each figure and its baseline in turns, so that the machine's other load
// affects both alike. It prints a line of JSON for each figure and a table at the end.
//
// The functions are compiled as for deployment, but for this machine, and run with Lambda's runtime interface. The services
// that they call are on the loopback interface. Run it from the module's root:
//
//	go run ./internal/cmd/bench [-run cold] [-rounds 20] [-restaurants 1000000]
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
)

func main() {
	if name := os.Getenv(allocationsOf); name != "" { // this process was started to count a function's allocations
		if err := countAllocations(name, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// figure is a result. Its baseline is the value to compare it with, null if there is none.
type figure struct {
	Name     string   `json:"name"`
	Value    float64  `json:"value"`
	Unit     string   `json:"unit"`
	Baseline *float64 `json:"baseline"`

	aim string // for the quotient of value and baseline, or without a baseline for the value
}

// bench holds the state that the measurements share.
type bench struct {
	warmUps     int    // number so far
	directory   string // with the compiled programs
	rounds      int
	restaurants int
	out         io.Writer
	figures     []figure
	server      *devstack.Server
	roots       *roots
}

// measurement is a group of figures.
type measurement struct {
	name    string
	measure func(*bench, context.Context) error
}

var measurements = []measurement{
	{"size", (*bench).sizes},
	{"cold", (*bench).coldStarts},
	{"first", (*bench).firstInvocations},
	{"warm", (*bench).warmInvocations},
	{"allocations", (*bench).allocations},
	{"instructions", (*bench).instructions},
	{"job", (*bench).jobs},
	{"menu", (*bench).menus},
	{"answers", (*bench).answers},
	{"fetches", (*bench).fetches},
	{"burst", (*bench).bursts},
	{"webhook", (*bench).webhooks},
	{"list", (*bench).lists},
}

// signedAsEvents makes a stack accept webhooks that are signed for the address of the files in events, whatever its own
// address is.
func signedAsEvents(o *devstack.Options) { o.WebhookURL = devstack.EventsWebhookURL }

func run(ctx context.Context, args []string, out io.Writer) error {
	b := &bench{out: out}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	var names []string
	for _, m := range measurements {
		names = append(names, m.name)
	}
	only := flags.String("run", "", "only the `groups` whose names match: "+strings.Join(names, ", "))
	flags.IntVar(&b.rounds, "rounds", 40, "number of starts of each program; the other measurements scale with this number")
	flags.IntVar(&b.restaurants, "restaurants", 1_000_000, "number of restaurants in the longest list")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	if b.directory, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.directory)
	if b.roots, err = newRoots(b.directory); err != nil {
		return err
	}
	if b.server, err = devstack.Serve(ctx, "template.yaml", 0, io.Discard, signedAsEvents); err != nil {
		return err
	}
	defer b.server.Close()
	b.server.Twilio.Close() // otherwise late callbacks would be measured with the next figure
	for _, m := range measurements {
		if !pattern.MatchString(m.name) {
			continue
		}
		if err := m.measure(b, ctx); err != nil {
			return fmt.Errorf("measuring %s: %w", m.name, err)
		}
	}
	return b.table()
}

// report prints a figure that has a baseline.
func (b *bench) report(name string, value float64, unit string, baseline float64, aim string) {
	b.print(figure{name, value, unit, &baseline, aim})
}

// state prints a figure without a baseline.
func (b *bench) state(name string, value float64, unit, aim string) {
	b.print(figure{name, value, unit, nil, aim})
}

func (b *bench) print(f figure) {
	b.figures = append(b.figures, f)
	line, err := json.Marshal(f)
	if err != nil {
		line = fmt.Appendf(nil, "%+v: %v", f, err) // a failed measurement has given a NaN
	}
	fmt.Fprintf(b.out, "%s\n", line)
}

// table prints all figures for people.
func (b *bench) table() error {
	w := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nfigure\tvalue\tbaseline\tratio\taim")
	for _, f := range b.figures {
		baseline, ratio := "", ""
		if f.Baseline != nil {
			baseline = fmt.Sprintf("%.4g %s", *f.Baseline, f.Unit)
			ratio = fmt.Sprintf("%.3f", f.Value/(*f.Baseline))
		}
		fmt.Fprintf(w, "%s\t%.4g %s\t%s\t%s\t%s\n", f.Name, f.Value, f.Unit, baseline, ratio, f.aim)
	}
	return w.Flush()
}

// functions lists the deployed functions, each with the empty program that has the same router and clients.
var functions = []struct{ name, empty string }{
	{"usage-api", "empty-usage-api"}, {"usage-admin", "empty-usage-api"},
	{"process-message", "empty-process-message"}, {"welcome-bootstrap", "empty-welcome-bootstrap"},
}

// build compiles a program of this module in the same way as a function, once.
func (b *bench) build(ctx context.Context, program string) (string, error) {
	binary := filepath.Join(b.directory, filepath.Base(program), "bootstrap")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", binary, program)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compiling %s: %w\n%s", program, err, output)
	}
	return binary, nil
}

func function(name string) string { return "./functions/" + name }
func program(name string) string  { return "./internal/cmd/bench/testdata/" + name }

// start starts a program as Lambda starts a function.
func (b *bench) start(ctx context.Context, path string, environment []string, log io.Writer) (*lambdalocal.Instance, error) {
	binary, err := b.build(ctx, path)
	if err != nil {
		return nil, err
	}
	return lambdalocal.Start(ctx, lambdalocal.Function{Path: binary, Env: environment, Timeout: 30 * time.Second, Stdout: log})
}

// median returns the value in the middle.
func median[T cmp.Ordered](values []T) T { return percentile(values, 50) }

// percentile returns the value below which the given percentage of the values lies.
func percentile[T cmp.Ordered](values []T, percent int) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
