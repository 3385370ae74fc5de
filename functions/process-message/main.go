// Command process-message is the Lambda function behind POST /webhooks/whatsapp.
package main

import (
	"cmp"
	"log/slog"
	"os"
	"time"
	_ "time/tzdata" // the function's machine image has no time zones of its own

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/logging"
)

func main() {
	handler, err := processmessage.New(os.LookupEnv, os.Environ(), time.Now, os.Stdout)
	if err != nil {
		name := cmp.Or(lambdacontext.FunctionName, processmessage.Name) // as it is deployed, which alarms go by
		logging.New(os.Stdout, slog.LevelError, name).Error("start failed", slog.Any("error", err))
		os.Exit(1)
	}
	lambda.Start(handler)
}
