// Command welcome-bootstrap is the Lambda function that takes bootstrap jobs from their queue.
package main

import (
	"cmp"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/logging"
)

func main() {
	handler, err := welcomebootstrap.New(os.LookupEnv, os.Environ(), time.Now, os.Stdout)
	if err != nil {
		name := cmp.Or(lambdacontext.FunctionName, welcomebootstrap.Name) // as it is deployed, which alarms go by
		logging.New(os.Stdout, slog.LevelError, name).Error("start failed", slog.Any("error", err))
		os.Exit(1)
	}
	lambda.Start(handler)
}
