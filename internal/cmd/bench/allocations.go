package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
)

// allocationsOf is the environment variable that makes a copy of this program count a function's allocations. Nothing else
// allocates in that process.
const allocationsOf = "BENCH_ALLOCATIONS_OF"

// workload is the input of such a copy.
type workload struct {
	Environment []string
	Event       json.RawMessage
	Expected    []byte // the expected answer; empty if the answer isn't compared
	Times       int
}

// allocated is the memory that an invocation allocates.
type allocated struct{ Objects, Bytes float64 }

// allocations reports the allocations of an invocation, from the event's JSON to the answer's.
func (b *bench) allocations(ctx context.Context) error {
	for _, i := range invocations {
		w, err := b.warmUp(ctx, i)
		if err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}

		err = b.count(ctx, i.name, i.function, w.environment, w.event(100), w.expected)
		w.close()
		if err != nil {
			return fmt.Errorf("%s: %w", i.name, err)
		}
	}
	environment, err := b.server.FunctionEnvironment(welcomebootstrap.Name)
	if err != nil {
		return err
	}
	return b.count(ctx, "job, all of it cached", welcomebootstrap.Name, environment, job("merchant-allocations"), nil)
}

func (b *bench) count(ctx context.Context, name, function string, environment []string, event any, expected []byte) error {
	encoded, err := json.Marshal(event)
	if err != nil {
		return err
	}
	given, err := json.Marshal(workload{environment, encoded, expected, 200})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, self)
	command.Env = append(os.Environ(), allocationsOf+"="+function, "SSL_CERT_FILE="+b.roots.file)
	command.Stdin, command.Stderr = bytes.NewReader(given), os.Stderr
	output, err := command.Output()
	if err != nil {
		return err
	}
	var a allocated
	if err := json.Unmarshal(output, &a); err != nil {
		return err
	}
	b.state("allocations, "+name, a.Objects, "objects", "")
	b.state("allocations, "+name, a.Bytes/1024, "KiB", "")
	return nil
}

// countAllocations is the program of such a copy.
func countAllocations(function string, in io.Reader, out io.Writer) error {
	var w workload
	if err := json.NewDecoder(in).Decode(&w); err != nil {
		return err
	}
	var handler any
	var err error
	switch function {
	case usageapi.Name:
		handler, err = usageapi.New(w.Environment, time.Now, io.Discard)
	case processmessage.Name:
		handler, err = processmessage.New(w.Environment, time.Now, io.Discard)
	case welcomebootstrap.Name:
		handler, err = welcomebootstrap.New(w.Environment, time.Now, io.Discard)
	default:
		err = errors.New("there is no function " + function)
	}
	if err != nil {
		return err
	}
	h := lambda.NewHandler(handler)
	invoke := func(times int) error {
		for range times {
			answer, err := h.Invoke(context.Background(), w.Event)
			if err != nil {
				return err
			}
			if w.Expected != nil && !bytes.Equal(answer, w.Expected) {
				return fmt.Errorf("the function answered %.500s, not %.500s", answer, w.Expected)
			}
		}
		return nil
	}
	if err := invoke(10); err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := invoke(w.Times); err != nil {
		return err
	}
	runtime.ReadMemStats(&after)
	n := float64(w.Times)
	return json.NewEncoder(out).Encode(allocated{float64(after.Mallocs-before.Mallocs) / n, float64(after.TotalAlloc-before.TotalAlloc) / n})
}

// job returns an SQS event with a job for a merchant.
func job(merchantID string) events.SQSEvent {
	body := fmt.Sprintf(`{"version":1,"jobId":"job-1","restaurantId":"clxyz123abc","merchantId":%q,"customerWa":"+966500000001",`+
		`"profileName":"Guest","enqueuedAt":%q}`, merchantID, time.Now().UTC().Format(time.RFC3339))
	return events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: "message-1", ReceiptHandle: "handle", Body: body, EventSource: "aws:sqs", Attributes: map[string]string{"ApproximateReceiveCount": "1"},
	}}}
}
