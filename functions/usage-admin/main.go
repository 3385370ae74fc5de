// Command usage-admin is the Lambda function behind POST /api/admin/usage/{restaurantId}/renew.
package main

import (
	"cmp"
	"log/slog"
	"os"
	"time"
	_ "time/tzdata" // the function's machine image has no time zones of its own

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/sufrah/usage-bootstrap/internal/function/usageadmin"
	"github.com/sufrah/usage-bootstrap/internal/logging"
)

func main() {
	handler, err := usageadmin.New(os.LookupEnv, time.Now, os.Stdout)
	if err != nil {
		name := cmp.Or(lambdacontext.FunctionName, usageadmin.Name) // as it is deployed, which alarms go by
		logging.New(os.Stdout, slog.LevelError, name).Error("start failed", slog.Any("error", err))
		os.Exit(1)
	}
	lambda.Start(handler)
}
