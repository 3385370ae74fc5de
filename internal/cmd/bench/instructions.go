package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sufrah/usage-bootstrap/internal/local/lambdalocal"
)

// The numbers of invocations in a short run and in a long run. Both costs include the start, so their difference is the cost
// of the additional invocations.
const (
	fewInvocations  = 10
	manyInvocations = 60
)

// instructions reports the instructions of a warm invocation, for a function and for the minimal handler that makes the same
// calls. Unlike a duration, the count doesn't depend on the machine's other load. It needs valgrind; without it, it reports
// nothing.
func (b *bench) instructions(ctx context.Context) error {
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: valgrind isn't installed: instructions aren't counted")
		return nil
	}
	for _, i := range invocations {
		if err := b.instructionsOf(ctx, valgrind, i); err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
	}
	return nil
}

func (b *bench) instructionsOf(ctx context.Context, valgrind string, i invocation) error {
	w, err := b.warmUp(ctx, i)
	if err != nil {
		return err
	}
	defer w.close()
	encoded, err := json.Marshal(w.calls)
	if err != nil {
		return err
	}
	// A single root certificate: the start isn't counted, and parsing all of Lambda's roots would take seconds under
	// valgrind.
	variables := append(w.environment, "CALLS="+string(encoded), "KEEP_CONNECTIONS=true", "SSL_CERT_FILE="+b.roots.own)
	programs := []struct{ path, variable string }{
		{function(i.function), ""}, {program("minimal"), ""},
		{program("minimal"), "GOGC=400"}, // the functions set the same
	}
	each := make([]float64, len(programs))
	for k, p := range programs {
		var totals [2]float64
		for n, times := range []int{fewInvocations, manyInvocations} {
			expected := w.expected
			if k > 0 {
				expected = nil
			}
			if totals[n], err = b.countInstructions(ctx, valgrind, p.path, append(variables, p.variable), w.event, times, expected); err != nil {
				return err
			}
		}
		each[k] = (totals[1] - totals[0]) / (manyInvocations - fewInvocations)
	}
	b.report("instructions, "+i.name, each[0]/1e6, "million", each[1]/1e6, "≤ 1.05 × baseline")
	b.report("instructions, "+i.name+", against one that collects as seldom", each[0]/1e6, "million", each[2]/1e6, "≤ 1.05 × baseline")
	return nil
}

// countInstructions returns the number of instructions of a program, from its start to its end, with the given number of
// invocations.
func (b *bench) countInstructions(
	ctx context.Context, valgrind, path string, variables []string, event func(int) events.APIGatewayV2HTTPRequest, times int, expected []byte,
) (float64, error) {
	binary, err := b.build(ctx, path)
	if err != nil {
		return 0, err
	}
	log, wrapper := filepath.Join(b.directory, "valgrind.log"), filepath.Join(b.directory, "under-valgrind")
	script := fmt.Sprintf("#!/bin/sh\nexec %s --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null --log-file=%s %s\n", valgrind, log, binary)
	if err := os.WriteFile(wrapper, []byte(script), 0o700); err != nil {
		return 0, err
	}
	instance, err := lambdalocal.Start(ctx, lambdalocal.Function{Path: wrapper, Env: variables, Timeout: time.Minute, Stdout: io.Discard})
	if err != nil {
		return 0, err
	}
	for n := range times {
		_, answer, err := invoke(ctx, instance, event(20_000+n))
		if err == nil && expected != nil && string(answer) != string(expected) {
			err = fmt.Errorf("the function answered %.600s, not %.600s", answer, expected)
		}
		if err != nil {
			return 0, errors.Join(err, instance.Close())
		}
	}
	if err := instance.Close(); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(log)
	if err != nil {
		return 0, err
	}
	found := instructionsRead.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("valgrind printed no number of instructions: %.500s", text)
	}
	return strconv.ParseFloat(strings.ReplaceAll(string(found[1]), ",", ""), 64)
}

var instructionsRead = regexp.MustCompile(`I\s+refs:\s+([0-9,]+)`)
