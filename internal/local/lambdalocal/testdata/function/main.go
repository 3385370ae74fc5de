// Command function is a Lambda function that does as it is told, for the tests of package lambdalocal.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type order struct {
	Do   string
	Text string
}

type answer struct {
	Text      string
	Count     int
	PID       int
	RequestID string
	ARN       string
	Deadline  time.Time
	Env       []string `json:",omitempty"`
}

func main() {
	fmt.Println("starting up")
	switch os.Getenv("AT_START") {
	case "exit":
		os.Exit(3)
	case "panic":
		panic("no configuration")
	case "hang":
		time.Sleep(time.Hour)
	case "report":
		report()
	case "ignore SIGTERM":
		signal.Ignore(syscall.SIGTERM)
	}

	count := 0
	lambda.Start(func(ctx context.Context, o order) (answer, error) {
		count++
		return obey(ctx, o, count)
	})
}

func obey(ctx context.Context, o order, count int) (answer, error) {
	switch o.Do {
	case "fail":
		return answer{}, errors.New(o.Text)
	case "panic":
		panic(o.Text)
	case "exit":
		os.Exit(4)
	case "hang":
		time.Sleep(time.Hour)
	case "large":
		return answer{Text: strings.Repeat("x", 7<<20)}, nil
	case "log":
		fmt.Fprintln(os.Stdout, "out:", o.Text)
		fmt.Fprintln(os.Stderr, "err:", o.Text)
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	a := answer{
		Text: o.Text, Count: count, PID: os.Getpid(), RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn, Deadline: deadline,
	}
	if o.Do == "env" {
		a.Env = os.Environ()
	}
	return a, nil
}

// report tells Lambda that the function can't start, and waits for the consequences.
func report() {
	url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
	body := strings.NewReader(`{"errorMessage":"no table","errorType":"Config.Missing","stackTrace":[]}`)
	if _, err := http.Post(url, "application/json", body); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	time.Sleep(time.Hour)
}
