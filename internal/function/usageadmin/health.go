package usageadmin

import (
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/probe"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/health"
)

// Health is a function.Health.
func Health(environ config.Environment, _ func() time.Time, _ io.Writer) (health.Subject, error) {
	settings, err := config.LoadUsageAdmin(environ)
	if err != nil {
		return health.Subject{}, err
	}
	db := table.New(dynamodb.NewFromConfig(function.AWS(settings.AWS, settings.DynamoDB)), rand.Float64)
	return health.Subject{
		Settings: health.Settings{TimeZone: settings.TimeZone.String()},
		Checks:   probe.Reads(db, tables(settings)),
	}, nil
}
