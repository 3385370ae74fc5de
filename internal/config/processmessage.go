package config

import (
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
)

// ProcessMessage is the configuration of the function process-message.
type ProcessMessage struct {
	FunctionName       string // its name at Lambda
	RestaurantsTable   string
	BotsTable          string
	UsageTable         string
	ConversationsTable string
	DirectoryTable     string
	TimeZone           *time.Location
	BasePath           string
	LogLevel           slog.Level
	WebhookURL         string // the public address for which Twilio signs
	BootstrapQueueURL  string
	AWS
	Twilio
	Sufrah
	Cache
	TemplateSIDs       map[string]string            // of content templates, by key
	TemplateCategories map[string]delivery.Category // WhatsApp's, by SID; only templates that have one
}

// LoadProcessMessage returns the configuration of process-message, or every fault of it, joined.
func LoadProcessMessage(given Environment) (ProcessMessage, error) {
	e := environment{given: given}
	c := ProcessMessage{
		FunctionName:       e.functionName("process-message"),
		RestaurantsTable:   e.required("RESTAURANTS_TABLE"),
		BotsTable:          e.required("BOTS_TABLE"),
		UsageTable:         e.required("USAGE_TABLE"),
		ConversationsTable: e.required("CONVERSATIONS_TABLE"),
		DirectoryTable:     e.required("DIRECTORY_TABLE"),
		TimeZone:           e.location("USAGE_TIME_ZONE"),
		BasePath:           e.basePath("BASE_PATH"),
		LogLevel:           e.level("LOG_LEVEL"),
		WebhookURL:         e.webhookURL("WEBHOOK_URL"),
		BootstrapQueueURL:  e.serviceURL("BOOTSTRAP_QUEUE_URL", ""),
		AWS:                e.aws(),
		Sufrah:             e.sufrah(),
		Cache:              e.cache(),
		TemplateSIDs:       e.templateSIDs(),
		TemplateCategories: cache.ParseTemplateCategories(given),
	}
	c.Twilio = e.twilio(c.WebhookURL == "" || e.servedHere(c.WebhookURL)) // an invalid address must not add a fault of the token
	c.DynamoDB, c.SQS, c.SecretsManager = e.dynamoDB(), e.sqs(), e.secretsManager()
	c.Twilio.APIBase = e.serviceURL("TWILIO_API_BASE", "https://api.twilio.com")
	return c, e.err()
}

// webhookPath is the path of messages, without the prefix of a stage or a custom domain.
const webhookPath = "/webhooks/whatsapp"

// webhookURL returns the webhook's public address. It must end in webhookPath: otherwise every signature would be wrong.
func (e *environment) webhookURL(name string) string {
	value := e.serviceURL(name, "")
	if value != "" && !strings.HasSuffix(value, webhookPath) {
		e.fault(name, "must end in "+webhookPath)
	}
	return value
}

// servedHere reports whether an address is on this machine.
func (e *environment) servedHere(address string) bool {
	u, err := url.Parse(address)
	return err == nil && e.localHost(u.Hostname())
}
