// Command usage-api is the Lambda function behind GET /api/usage.
package main

import (
	"cmp"
	"log/slog"
	"os"
	"time"
	_ "time/tzdata" // the function's machine image has no time zones of its own

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/logging"
)

func main() {
	handler, err := usageapi.New(os.LookupEnv, time.Now, os.Stdout)
	if err != nil {
		name := cmp.Or(lambdacontext.FunctionName, usageapi.Name) // as it is deployed, which alarms go by
		logging.New(os.Stdout, slog.LevelError, name).Error("start failed", slog.Any("error", err))
		os.Exit(1)
	}
	lambda.Start(handler)
}
