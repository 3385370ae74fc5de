// Package usageadmin assembles the function usage-admin from its environment. The function's main starts it, and so do local
// stacks, with a clock of their own.
package usageadmin

import (
	crypto "crypto/rand"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/token"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/topup"
	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/lambdahttp"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/usagehttp"
)

// Name is the function's name, in its log and under functions.
const Name = "usage-admin"

// New is a function.Build.
func New(environ config.Environment, now func() time.Time, log io.Writer) (lambdahttp.Handler, error) {
	settings, err := config.LoadUsageAdmin(environ)
	if err != nil {
		return nil, err
	}
	logger := logging.New(log, settings.LogLevel, settings.FunctionName)
	names := tables(settings)
	db := table.New(dynamodb.NewFromConfig(function.AWS(settings.AWS, settings.DynamoDB)), rand.Float64)
	topUps := usage.NewTopUpService(topup.New(db, names), usage.NewCalendar(settings.TimeZone), settings.DefaultLimits, now, crypto.Text)
	handler := usagehttp.NewTopUpAPI(topUps, credential.NewAuthenticator(token.New(db, names), now), logger, now, lambdahttp.RequestID)
	return lambdahttp.New(handler, lambdahttp.Options{
		BasePath: settings.BasePath, Logger: logger, Tracer: function.Tracer(settings.AWS),
	}), nil
}

// tables returns the names of the tables.
func tables(settings config.UsageAdmin) schema.Tables {
	return schema.Tables{
		Restaurants:  settings.RestaurantsTable,
		Bots:         settings.BotsTable,
		Usage:        settings.UsageTable,
		AccessTokens: settings.AccessTokensTable,
	}
}
