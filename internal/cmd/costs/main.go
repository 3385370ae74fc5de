// Command costs counts the cost of each operation, with 100 and with 100,000 restaurants: read and write units, and
// successive round trips of DynamoDB. It runs the functions in its own process. DynamoDB's stand-in counts the units, and a
// proxy in front of it the round trips. Nothing is estimated, and nothing relies on the functions' own code.
//
//	go run ./internal/cmd/costs [--json] [--write] [--check] [--restaurants N] [--run PATTERN]
//
// It prints a table. --json prints a line of JSON for each operation instead. --write writes these lines to docs/costs.jsonl,
// and the resulting prices to docs/OPERATIONS.md. --check fails if either file differs from the count. --restaurants counts
// with another number of restaurants, and --run counts only the operations with names that match a regular expression. A
// million restaurants take some 8 GB of memory. Run it from the module's root.
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
	"os/signal"
	"regexp"
	"text/tabwriter"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "costs:", err)
		os.Exit(1)
	}
}

// The files that the count is compared with.
const (
	countedFile = "docs/costs.jsonl"
	pricesFile  = "docs/OPERATIONS.md"
)

// sizes are the numbers of restaurants for which every operation is counted.
var sizes = []int{100, 100_000}

// cost is the cost of an operation.
type cost struct {
	Operation       string  `json:"operation"`
	Restaurants     int     `json:"restaurants"`
	ReadUnits       float64 `json:"readUnits"`
	WriteUnits      float64 `json:"writeUnits"`
	SequentialTrips int     `json:"sequentialTrips"`
}

// errDiffers means that a cost differs from the repository's.
var errDiffers = errors.New("the costs have changed: run `make costs ARGS=--write`, and commit the difference if it is intended")

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("costs", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "print a line of JSON for each operation")
	write := flags.Bool("write", false, "write the results to "+countedFile+" and "+pricesFile)
	check := flags.Bool("check", false, "fail if "+countedFile+" or "+pricesFile+" is out of date")
	only := flags.Int("restaurants", 0, "count with this number of restaurants, from 100 to 1000000")
	pattern := flags.String("run", "", "count only the operations with names that match this regular expression")
	if err := flags.Parse(args); err != nil {
		return err
	}
	matching, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("--run: %w", err)
	}
	sizes := sizes
	if *only != 0 {
		if *only < 100 || *only > 1_000_000 {
			return errors.New("--restaurants must be from 100 to 1000000")
		}
		sizes = []int{*only}
	}
	if (*write || *check) && (*only != 0 || *pattern != "") {
		return errors.New("--write and --check need all operations and sizes: leave out --restaurants and --run")
	}
	var counted []cost
	for _, restaurants := range sizes {
		costs, err := count(ctx, restaurants, matching)
		if err != nil {
			return fmt.Errorf("counting with %d restaurants: %w", restaurants, err)
		}
		counted = append(counted, costs...)
	}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for _, c := range counted {
		if err := encoder.Encode(c); err != nil {
			return err
		}
	}
	if *asJSON {
		_, err = out.Write(lines.Bytes())
	} else {
		err = printTable(out, counted, sizes)
	}
	if err != nil || *only != 0 || *pattern != "" {
		return err
	}
	document, err := os.ReadFile(pricesFile)
	if err != nil {
		return err
	}
	priced, err := withPrices(document, counted)
	if err != nil {
		return err
	}
	if *write {
		return errors.Join(os.WriteFile(countedFile, lines.Bytes(), 0o644), os.WriteFile(pricesFile, priced, 0o644))
	}
	if *check {
		before, err := os.ReadFile(countedFile)
		if err != nil {
			return err
		}
		if !bytes.Equal(before, lines.Bytes()) || !bytes.Equal(document, priced) {
			return errDiffers
		}
	}
	return nil
}

// printTable prints a row for each operation, with few restaurants and with many.
func printTable(out io.Writer, counted []cost, sizes []int) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "operation\t")
	for _, n := range sizes {
		fmt.Fprintf(w, "%d restaurants: read\twritten\ttrips\t", n)
	}
	fmt.Fprintln(w)
	each := len(counted) / len(sizes)
	for i := range each {
		fmt.Fprintf(w, "%s\t", counted[i].Operation)
		for k := range sizes {
			c := counted[k*each+i]
			fmt.Fprintf(w, "%g\t%g\t%d\t", c.ReadUnits, c.WriteUnits, c.SequentialTrips)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}
