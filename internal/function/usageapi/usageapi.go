// Package usageapi assembles the function usage-api from its environment. The function's main starts it, and so do local
// stacks, with a clock of their own.
package usageapi

import (
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/book"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/ranking"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/registry"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/token"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/topup"
	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/lambdahttp"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/metrics"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/usagehttp"
)

// Name is the function's name, in its log and under functions.
const Name = "usage-api"

// within is the service level for figures.
const within = 500 * time.Millisecond

// New is a function.Build.
func New(environ config.Environment, now func() time.Time, log io.Writer) (lambdahttp.Handler, error) {
	settings, err := config.LoadUsageAPI(environ)
	if err != nil {
		return nil, err
	}
	logger := logging.New(log, settings.LogLevel, settings.FunctionName)
	meter := metrics.New(log, settings.FunctionName, now)
	names := tables(settings)
	db := table.New(dynamodb.NewFromConfig(function.AWS(settings.AWS, settings.DynamoDB)), rand.Float64)
	store := struct {
		*registry.Registry
		*ranking.Ranking
		*topup.Store
		*book.Book
	}{registry.New(db, names), ranking.New(db, names), topup.New(db, names), book.New(db, names)}
	service := usage.NewService(store, usage.NewCalendar(settings.TimeZone), settings.DefaultLimits, now).WithPrices(settings.MessagePrices)
	handler := usagehttp.New(service, credential.NewAuthenticator(token.New(db, names), now), logger, now, lambdahttp.RequestID)
	return lambdahttp.New(handler, lambdahttp.Options{
		BasePath: settings.BasePath, Logger: logger, Tracer: function.Tracer(settings.AWS),
		Missed: func(string) { meter.Write(metrics.Count(metrics.LevelMissed, 1)) }, Within: within,
	}), nil
}

// tables returns the names of the tables.
func tables(settings config.UsageAPI) schema.Tables {
	return schema.Tables{
		Restaurants:   settings.RestaurantsTable,
		Bots:          settings.BotsTable,
		Usage:         settings.UsageTable,
		Conversations: settings.ConversationsTable,
		AccessTokens:  settings.AccessTokensTable,
		Directory:     settings.DirectoryTable,
	}
}
