// Package processmessage assembles the function process-message from its environment. The function's main starts it, and so
// do local stacks, with a clock of their own.
package processmessage

import (
	crypto "crypto/rand"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/book"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/recording"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/registry"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/backend"
	"github.com/sufrah/usage-bootstrap/internal/lambdahttp"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/listcontent"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/metrics"
	"github.com/sufrah/usage-bootstrap/internal/ratelimit"
	"github.com/sufrah/usage-bootstrap/internal/sqsqueue"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// Name is the function's name, in its log and under functions.
const Name = "process-message"

// within is the service level for an answer: Twilio waits for it, and so does the customer's next message.
const within = 2 * time.Second

// twilioTimeout is nearly an invocation's time, because a message that Twilio takes after a time-out is sent twice.
const twilioTimeout = 10 * time.Second

// New is a function.Build.
func New(environ config.Environment, now func() time.Time, log io.Writer) (lambdahttp.Handler, error) {
	settings, err := config.LoadProcessMessage(environ)
	if err != nil {
		return nil, err
	}
	logger := logging.New(log, settings.LogLevel, settings.FunctionName)
	meter := metrics.New(log, settings.FunctionName, now)
	server, err := backend.Cache(settings.Cache, settings.AWS, now, meter)
	if err != nil {
		return nil, err
	}
	origin, err := backend.Sufrah(settings.Sufrah, settings.AWS, now, logger)
	if err != nil {
		return nil, err
	}
	tokens := backend.TwilioTokens(settings.Twilio, settings.AWS, now, logger)
	client, err := twilio.New(twilio.Config{BaseURL: settings.Twilio.APIBase, Timeout: twilioTimeout})
	if err != nil {
		return nil, fmt.Errorf("configuring Twilio: %w", err)
	}
	contents, err := backend.Contents(settings.Twilio, tokens)
	if err != nil {
		return nil, err
	}
	names := tables(settings)
	db := table.New(dynamodb.NewFromConfig(function.AWS(settings.AWS, settings.DynamoDB)), rand.Float64)
	options := backend.CacheOptions(server, settings.Sufrah, now, logger, meter)
	lists := options
	lists.Observer = cache.Observer{}                         // the metrics are about menus
	lists.Breaker, lists.RetryAfter, lists.Hold = nil, nil, 0 // these concern Sufrah, and lists are made at Twilio
	calendar := usage.NewCalendar(settings.TimeZone)
	recorder := recording.New(db, names, calendar)
	service := &conversation.Service{
		Recorder:        recorder,
		QuotaAlerter:    recorder,
		WelcomeFailures: recorder,
		Sender: twilio.NewSender(twilio.SenderConfig{
			Client: client, Tokens: tokens, MasterSID: settings.Twilio.AccountSID, StatusURL: webhook.StatusURL(settings.WebhookURL),
			Log: logger, Now: now,
		}),
		Ledger:        ledger.New(book.New(db, names), calendar.Date, crypto.Text, logger),
		Queue:         sqsqueue.New(sqs.NewFromConfig(function.AWS(settings.AWS, settings.SQS)), settings.BootstrapQueueURL, ""),
		Menu:          cache.NewMenu(origin, options),
		Templates:     cache.NewTemplates(server, settings.TemplateSIDs, settings.Sufrah.CacheTTL, logger),
		Products:      cache.NewProducts(origin, options),
		Lists:         listcontent.New(contents, lists),
		Choices:       cache.NewChoices(server, logger),
		ListTemplates: settings.TemplateSIDs,
		Categories:    settings.TemplateCategories,
		Limiter:       ratelimit.NewWindow(server, now, logger),
		Now:           now,
		NewID:         crypto.Text,
		RequestID:     lambdahttp.RequestID,
		Log:           logger,
		Events:        events(meter),
	}
	tenants := webhook.NewTenantCache(registry.New(db, names), now)
	handler := webhook.New(webhook.Config{
		URL: settings.WebhookURL, Tenants: tenants, Bots: tenants, AccountSID: settings.Twilio.AccountSID, Tokens: tokens, Receiver: service,
		Statuses: service,
		Log:      logger, Now: now, RequestID: lambdahttp.RequestID,
		Taken: counting(meter, metrics.MessageTaken), NotSigned: counting(meter, metrics.MessageNotSigned),
		Ignored: func(k webhook.Kind) { meter.Ignored(string(k)) },
	})
	return lambdahttp.New(handler, lambdahttp.Options{
		BasePath: settings.BasePath, Logger: logger, Tracer: function.Tracer(settings.AWS),
		Missed: func(path string) {
			if strings.TrimSuffix(path, "/") == webhook.Path { // the service level doesn't cover status callbacks, which nobody waits for
				meter.Write(metrics.Count(metrics.LevelMissed, 1))
			}
		},
		Within: within,
	}), nil
}

// events returns the service's events, which are counted in metrics.
func events(meter *metrics.Writer) conversation.Events {
	return conversation.Events{
		WelcomeSent:     counting(meter, metrics.WelcomeSent),
		WelcomeAsText:   counting(meter, metrics.WelcomeAsText),
		WelcomeMissed:   counting(meter, metrics.WelcomeMissed),
		EnqueueFailed:   counting(meter, metrics.EnqueueFailed),
		MessageSent:     meter.MessageSent,
		MessageReported: meter.MessageReported,
		AnswerLimited:   counting(meter, metrics.AnswerLimited),
		OptedOut:        counting(meter, metrics.OptedOut),
		OptedIn:         counting(meter, metrics.OptedIn),
		QuotaAlert:      meter.QuotaAlert,
		AnswerSent:      func(cache.Source, time.Duration) { meter.Write(metrics.Count(metrics.AnswerSent, 1)) },
	}
}

// counting returns a func that counts its calls in a metric.
func counting(meter *metrics.Writer, name metrics.Name) func() {
	return func() { meter.Write(metrics.Count(name, 1)) }
}

// tables returns the names of the tables.
func tables(settings config.ProcessMessage) schema.Tables {
	return schema.Tables{
		Restaurants:   settings.RestaurantsTable,
		Bots:          settings.BotsTable,
		Usage:         settings.UsageTable,
		Conversations: settings.ConversationsTable,
		Directory:     settings.DirectoryTable,
	}
}
