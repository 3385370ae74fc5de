// Command welcome-bootstrap is the Lambda function that takes bootstrap jobs from their queue.
package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/logging"
)

func main() {
	handler, err := welcomebootstrap.New(os.LookupEnv, os.Environ(), time.Now, os.Stdout)
	if err != nil {
		logging.New(os.Stdout, slog.LevelError, welcomebootstrap.Name).Error("start failed", slog.Any("error", err))
		os.Exit(1)
	}
	lambda.Start(handler)
}
