package config

import (
	"log/slog"
	"time"
)

// WelcomeBootstrap is the configuration of the function welcome-bootstrap.
type WelcomeBootstrap struct {
	FunctionName       string // its name at Lambda
	BootstrapQueueURL  string
	DeadLetterQueueURL string
	BackoffDelay       time.Duration // wait before the second attempt at a job; doubled before each further one
	Attempts           int64         // attempts after which the queue moves a job to the dead-letter queue
	JobsPerMinute      int64         // jobs that may call Sufrah in a minute, in all instances together
	MaxAge             time.Duration // an older job is no longer worth carrying out
	LogLevel           slog.Level
	AWS
	ProductCalls int64 // a job's calls to Sufrah for products; 0 prefetches none
	Twilio
	Sufrah
	Cache
	TemplateSIDs map[string]string // of content templates, by key
}

// LoadWelcomeBootstrap returns the configuration of welcome-bootstrap, or every fault of it, joined.
func LoadWelcomeBootstrap(given Environment) (WelcomeBootstrap, error) {
	e := environment{given: given}
	c := WelcomeBootstrap{
		FunctionName:       e.functionName("welcome-bootstrap"),
		BootstrapQueueURL:  e.serviceURL("BOOTSTRAP_QUEUE_URL", ""),
		DeadLetterQueueURL: e.serviceURL("DEAD_LETTER_QUEUE_URL", ""),
		// SQS hides a message for at most twelve hours.
		BackoffDelay:  e.milliseconds("QUEUE_BACKOFF_DELAY", 5*time.Second, 0, 12*time.Hour),
		Attempts:      e.integer("QUEUE_RETRY_ATTEMPTS", 3, 1, 1000), // the limit of a redrive policy
		JobsPerMinute: e.integer("JOB_RATE_PER_MINUTE", 20, 1, 60_000),
		MaxAge:        e.milliseconds("BOOTSTRAP_MAX_AGE_MS", 10*time.Minute, time.Second, 24*time.Hour),
		ProductCalls:  e.integer("BOOTSTRAP_PRODUCT_CALLS", 3, 0, 100),
		LogLevel:      e.level("LOG_LEVEL"),
		AWS:           e.aws(),
		Sufrah:        e.sufrah(),
		Cache:         e.cache(),
		TemplateSIDs:  e.templateSIDs(),
	}
	c.DynamoDB, c.SQS, c.SecretsManager = e.dynamoDB(), e.sqs(), e.secretsManager()
	c.Twilio = e.twilio(c.BootstrapQueueURL == "" || e.servedHere(c.BootstrapQueueURL)) // an invalid address must not add a fault of the token
	return c, e.err()
}
