package processmessage

import (
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/probe"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/backend"
	"github.com/sufrah/usage-bootstrap/internal/health"
)

// Health is a function.Health.
func Health(environ config.Environment, now func() time.Time, _ io.Writer) (health.Subject, error) {
	settings, err := config.LoadProcessMessage(environ)
	if err != nil {
		return health.Subject{}, err
	}
	names := tables(settings)
	db := table.New(dynamodb.NewFromConfig(function.AWS(settings.AWS, settings.DynamoDB)), rand.Float64)
	names.Conversations = "" // the role may read its items one by one, not in batches; the write below checks the table
	checks := append(probe.Reads(db, names), probe.Writes(db, settings.ConversationsTable))
	shared, done, err := backend.Checks(settings.Cache, settings.Twilio, settings.Sufrah, settings.AWS, now)
	if err != nil {
		return health.Subject{}, err
	}
	return health.Subject{
		Settings: health.Settings{TimeZone: settings.TimeZone.String(), WebhookURL: settings.WebhookURL},
		Checks:   append(checks, shared...), Close: done,
	}, nil
}
