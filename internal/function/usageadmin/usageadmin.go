// Package usageadmin assembles the function usage-admin from its environment: for its main, and for local stacks, which run
// the very same with another clock.
package usageadmin

import (
	crypto "crypto/rand"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

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

// Name is the function's name, in its log and under functions.
const Name = "usage-admin"

// New builds what every invocation shares, and returns the handler. It fails with every fault of the environment.
func New(lookup config.Lookup, now func() time.Time, log io.Writer) (lambdahttp.Handler, error) {
	settings, err := config.LoadUsageAdmin(lookup)
	if err != nil {
		return nil, err
	}
	aws, err := awsconfig.FromEnvironment(lookup, "AWS_ENDPOINT_URL_DYNAMODB")
	if err != nil {
		return nil, fmt.Errorf("configuring the AWS SDK: %w", err)
	}
	logger := logging.New(log, settings.LogLevel, settings.FunctionName)
	store := dynamo.New(dynamodb.NewFromConfig(aws), dynamo.Tables{
		Restaurants:  settings.RestaurantsTable,
		Bots:         settings.BotsTable,
		Usage:        settings.UsageTable,
		AccessTokens: settings.AccessTokensTable,
	}, rand.Float64)
	topUps := usage.NewTopUpService(store, usage.NewCalendar(settings.TimeZone), settings.DefaultLimits, now, crypto.Text)
	handler := usageapi.NewAdmin(topUps, credential.NewAuthenticator(store, now), logger, now, lambdahttp.RequestID)
	return lambdahttp.New(handler, lambdahttp.Options{BasePath: settings.BasePath, Logger: logger}), nil
}
