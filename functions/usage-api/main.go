// Command usage-api is the Lambda function behind GET /api/usage.
package main

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"
	_ "time/tzdata" // the function's machine image has no time zones of its own

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/dynamo"
	"github.com/sufrah/usage-bootstrap/internal/lambdahttp"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/usageapi"
)

func main() {
	if err := run(); err != nil {
		logging.New(os.Stdout, slog.LevelError, "usage-api").Error("start failed", slog.Any("error", err))
		os.Exit(1)
	}
}

// run builds what every invocation shares, before the first one, and serves until Lambda ends the process.
func run() error {
	settings, err := config.LoadUsageAPI(os.LookupEnv)
	if err != nil {
		return err
	}
	aws, err := awsconfig.FromEnvironment(os.LookupEnv, "AWS_ENDPOINT_URL_DYNAMODB")
	if err != nil {
		return fmt.Errorf("configuring the AWS SDK: %w", err)
	}
	logger := logging.New(os.Stdout, settings.LogLevel, "usage-api")
	store := dynamo.New(dynamodb.NewFromConfig(aws), dynamo.Tables{
		Restaurants:  settings.RestaurantsTable,
		Bots:         settings.BotsTable,
		Usage:        settings.UsageTable,
		AccessTokens: settings.AccessTokensTable,
		Directory:    settings.DirectoryTable,
	}, rand.Float64)
	api := usageapi.New(
		usage.NewService(store, usage.NewCalendar(settings.TimeZone), settings.DefaultLimits, time.Now),
		credential.NewAuthenticator(store, time.Now), logger, time.Now, lambdahttp.RequestID)
	lambda.Start(lambdahttp.New(api, lambdahttp.Options{BasePath: settings.BasePath, Logger: logger}))
	return nil
}
