// Command process-message is the Lambda function behind POST /webhooks/whatsapp.
package main

import (
	"log/slog"
	"os"
	"time"
	_ "time/tzdata" // the function's machine image has no time zones of its own

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/logging"
)

func main() {
	handler, err := processmessage.New(os.LookupEnv, os.Environ(), time.Now, os.Stdout)
	if err != nil {
		logging.New(os.Stdout, slog.LevelError, processmessage.Name).Error("start failed", slog.Any("error", err))
		os.Exit(1)
	}
	lambda.Start(handler)
}
