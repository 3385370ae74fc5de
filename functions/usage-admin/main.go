// Command usage-admin is the Lambda function behind POST /api/admin/usage/{restaurantId}/renew.
package main

import (
	"log/slog"
	"os"
	"time"
	_ "time/tzdata" // the function's machine image has no time zones of its own

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sufrah/usage-bootstrap/internal/function/usageadmin"
	"github.com/sufrah/usage-bootstrap/internal/logging"
)

func main() {
	handler, err := usageadmin.New(os.LookupEnv, time.Now, os.Stdout)
	if err != nil {
		logging.New(os.Stdout, slog.LevelError, usageadmin.Name).Error("start failed", slog.Any("error", err))
		os.Exit(1)
	}
	lambda.Start(handler)
}
