package config_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
)

const (
	twilioARN = "arn:aws:secretsmanager:me-south-1:123456789012:secret:sufrah-dev-twilio-AbCdEf"
	sufrahARN = "arn:aws:secretsmanager:me-south-1:123456789012:secret:sufrah-dev-sufrah-AbCdEf"
	masterSID = "AC0123456789abcdef0123456789ABCDEF"
	queueURL  = "https://sqs.me-south-1.amazonaws.com/123456789012/sufrah-dev-bootstrap"
	deadURL   = "https://sqs.me-south-1.amazonaws.com/123456789012/sufrah-dev-bootstrap-dlq"
	welcome   = "HX0123456789abcdef0123456789abcdef"
)

// ofProcessMessage returns the variables of process-message without a default, as in a deployed stack.
func ofProcessMessage() map[string]string {
	return map[string]string{
		"RESTAURANTS_TABLE": "t-restaurants", "BOTS_TABLE": "t-bots", "USAGE_TABLE": "t-usage",
		"CONVERSATIONS_TABLE": "t-conversations", "DIRECTORY_TABLE": "t-directory",
		"WEBHOOK_URL": "https://bot.example.com/prod/webhooks/whatsapp", "TWILIO_ACCOUNT_SID": masterSID, "TWILIO_SECRET_ARN": twilioARN,
		"BOOTSTRAP_QUEUE_URL": queueURL, "CACHE_ENDPOINT": "cache.example.com:6379", "SUFRAH_SECRET_ARN": sufrahARN,
		"AWS_REGION": "me-south-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "key",
	}
}

// ofWelcomeBootstrap has the variables of welcome-bootstrap.
func ofWelcomeBootstrap() map[string]string {
	return map[string]string{
		"BOOTSTRAP_QUEUE_URL": queueURL, "DEAD_LETTER_QUEUE_URL": deadURL, "TWILIO_ACCOUNT_SID": masterSID, "TWILIO_SECRET_ARN": twilioARN,
		"CACHE_ENDPOINT": "cache.example.com:6379", "SUFRAH_SECRET_ARN": sufrahARN,
		"AWS_REGION": "me-south-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "key",
	}
}

// local returns the variables in which a local stack differs: everything on this machine, and secrets in the environment.
func local() map[string]string {
	return map[string]string{
		"WEBHOOK_URL": "http://localhost:8080/webhooks/whatsapp", "TWILIO_SECRET_ARN": "", "TWILIO_AUTH_TOKEN": "local-twilio-token",
		"TWILIO_API_BASE": "http://localhost:8080/sandbox/api/twilio", "BOOTSTRAP_QUEUE_URL": "http://localhost:8080/sandbox/sqs/queue",
		"CACHE_ENDPOINT": "127.0.0.1:6379", "CACHE_TLS": "false", "CACHE_CLUSTER": "false",
		"SUFRAH_API_BASE": "http://[::1]:8080/sufrah", "SUFRAH_SECRET_ARN": "", "SUFRAH_API_KEY": "local-key",
	}
}

// merged returns an environment with changes.
func merged(environment map[string]string, changes ...map[string]string) map[string]string {
	environment = maps.Clone(environment)
	for _, change := range changes {
		maps.Copy(environment, change)
	}
	return environment
}

func loadProcessMessage(environment map[string]string) (config.ProcessMessage, error) {
	return config.LoadProcessMessage(environ(environment))
}

func loadWelcomeBootstrap(environment map[string]string) (config.WelcomeBootstrap, error) {
	return config.LoadWelcomeBootstrap(environ(environment))
}

func processMessageDefaults() config.ProcessMessage {
	return config.ProcessMessage{
		FunctionName:     "process-message",
		RestaurantsTable: "t-restaurants", BotsTable: "t-bots", UsageTable: "t-usage",
		ConversationsTable: "t-conversations", DirectoryTable: "t-directory",
		TimeZone:   time.UTC,
		AWS:        config.AWS{Region: "me-south-1", AccessKeyID: "AKID", SecretAccessKey: "key"},
		WebhookURL: "https://bot.example.com/prod/webhooks/whatsapp", BootstrapQueueURL: queueURL,
		Twilio: config.Twilio{AccountSID: masterSID, SecretARN: twilioARN, APIBase: "https://api.twilio.com", ContentAPIBase: "https://content.twilio.com"},
		Sufrah: config.Sufrah{
			APIBase: "https://api.sufrah.sa/api/v1/external", SecretARN: sufrahARN, CacheTTL: 3 * time.Minute,
		},
		Cache:        config.Cache{Endpoint: "cache.example.com:6379", TLS: true, Cluster: true},
		TemplateSIDs: map[string]string{}, TemplateCategories: map[string]delivery.Category{},
	}
}

// optionalOfServices are the variables with defaults that several functions have.
var optionalOfServices = []string{
	"TWILIO_API_BASE", "TWILIO_CONTENT_API_BASE", "CACHE_TLS", "CACHE_CLUSTER", "CACHE_USER", "CACHE_NAME", "SUFRAH_API_BASE", "SUFRAH_CACHE_TTL_MS",
	"SUFRAH_API_KEY", "TWILIO_AUTH_TOKEN", "CONTENT_SID_WELCOME", "LOG_LEVEL", "BASE_PATH", "USAGE_TIME_ZONE",
	"AWS_SAM_LOCAL", "AWS_LAMBDA_FUNCTION_NAME",
	"QUEUE_BACKOFF_DELAY", "QUEUE_RETRY_ATTEMPTS", "BOOTSTRAP_PRODUCT_CALLS", "JOB_RATE_PER_MINUTE", "BOOTSTRAP_MAX_AGE_MS",
}

func unset(names []string) map[string]string {
	empty := make(map[string]string)
	for _, name := range names {
		empty[name] = ""
	}
	return empty
}

func TestProcessMessageReadsItsVariables(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		changes map[string]string
		change  func(*config.ProcessMessage)
	}{
		"defaults":                    {nil, func(*config.ProcessMessage) {}},
		"set to nothing, as SAM does": {unset(optionalOfServices), func(*config.ProcessMessage) {}},
		"another Content API":         {map[string]string{"TWILIO_CONTENT_API_BASE": "https://twilio.example.com"}, func(c *config.ProcessMessage) { c.Twilio.ContentAPIBase = "https://twilio.example.com" }},
		"another Twilio":              {map[string]string{"TWILIO_API_BASE": "https://twilio.example.com"}, func(c *config.ProcessMessage) { c.Twilio.APIBase = "https://twilio.example.com" }},
		"a name":                      {map[string]string{"AWS_LAMBDA_FUNCTION_NAME": "f"}, func(c *config.ProcessMessage) { c.FunctionName = "f" }},
		"a user of the cache":         {map[string]string{"CACHE_USER": "u", "CACHE_NAME": "n"}, func(c *config.ProcessMessage) { c.Cache.User, c.Cache.Name = "u", "n" }},
		"a cache without slots":       {map[string]string{"CACHE_CLUSTER": "false"}, func(c *config.ProcessMessage) { c.Cluster = false }},
		"a table as the cache": {map[string]string{"CACHE_ENDPOINT": "", "CACHE_TABLE": "t-cache"}, func(c *config.ProcessMessage) {
			c.Cache.Endpoint, c.Cache.Table = "", "t-cache"
		}},
		"what is said already": {map[string]string{"CACHE_CLUSTER": "true", "CACHE_TLS": "true"}, func(*config.ProcessMessage) {}},
		"a short time to live": {map[string]string{"SUFRAH_CACHE_TTL_MS": "1"}, func(c *config.ProcessMessage) { c.CacheTTL = time.Millisecond }},
		"a long time to live":  {map[string]string{"SUFRAH_CACHE_TTL_MS": "86400000"}, func(c *config.ProcessMessage) { c.CacheTTL = 24 * time.Hour }},
		"a secret of another partition": {map[string]string{"SUFRAH_SECRET_ARN": strings.Replace(sufrahARN, "aws", "aws-us-gov", 1)}, func(c *config.ProcessMessage) {
			c.Sufrah.SecretARN = strings.Replace(sufrahARN, "aws", "aws-us-gov", 1)
		}},
		"Sufrah's key in plain": {
			map[string]string{"SUFRAH_SECRET_ARN": "", "SUFRAH_API_KEY": "k"},
			func(c *config.ProcessMessage) { c.Sufrah.SecretARN, c.APIKey = "", "k" },
		},
		"stand-ins for AWS": {
			map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:1", "AWS_ENDPOINT_URL_SQS": "http://localhost:2", "AWS_ENDPOINT_URL_SECRETSMANAGER": "http://localhost:3"},
			func(c *config.ProcessMessage) {
				c.DynamoDB, c.SQS, c.SecretsManager = "http://localhost:1", "http://localhost:2", "http://localhost:3"
			},
		},
		"templates": {
			map[string]string{"CONTENT_SID_WELCOME": welcome, "CONTENT_SID_BRANCH_LIST": "", "CONTENT_SID_NEW_ONE": welcome},
			func(c *config.ProcessMessage) {
				c.TemplateSIDs = map[string]string{"welcome": welcome, "new_one": welcome}
			},
		},
		"a local stack": {local(), func(c *config.ProcessMessage) {
			c.WebhookURL, c.BootstrapQueueURL = "http://localhost:8080/webhooks/whatsapp", "http://localhost:8080/sandbox/sqs/queue"
			c.Twilio = config.Twilio{AccountSID: masterSID, AuthToken: "local-twilio-token", APIBase: "http://localhost:8080/sandbox/api/twilio", ContentAPIBase: "https://content.twilio.com"}
			c.Sufrah = config.Sufrah{APIBase: "http://[::1]:8080/sufrah", APIKey: "local-key", CacheTTL: 3 * time.Minute}
			c.Cache = config.Cache{Endpoint: "127.0.0.1:6379"}
		}},
		"sam local, which reaches this machine by a name": {
			map[string]string{"AWS_SAM_LOCAL": "true", "TWILIO_SECRET_ARN": "", "TWILIO_AUTH_TOKEN": "t",
				"CACHE_ENDPOINT": "host.docker.internal:6379", "CACHE_TLS": "false", "BOOTSTRAP_QUEUE_URL": "http://host.docker.internal:8080/q"},
			func(c *config.ProcessMessage) {
				c.Twilio.SecretARN, c.AuthToken, c.BootstrapQueueURL = "", "t", "http://host.docker.internal:8080/q"
				c.Cache = config.Cache{Endpoint: "host.docker.internal:6379", Cluster: true}
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := processMessageDefaults()
			test.change(&want)
			got, err := loadProcessMessage(merged(ofProcessMessage(), test.changes))
			if err != nil {
				t.Fatalf("reading the configuration: %v", err)
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(compareZones)); diff != "" {
				t.Errorf("the configuration that the environment gives (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWelcomeBootstrapReadsItsVariables(t *testing.T) {
	t.Parallel()
	defaults := func() config.WelcomeBootstrap {
		of := processMessageDefaults()
		return config.WelcomeBootstrap{
			FunctionName:      "welcome-bootstrap",
			BootstrapQueueURL: queueURL, DeadLetterQueueURL: deadURL, BackoffDelay: 5 * time.Second, Attempts: 3, JobsPerMinute: 20, MaxAge: 10 * time.Minute,
			ProductCalls: 3, Twilio: config.Twilio{AccountSID: masterSID, SecretARN: twilioARN, ContentAPIBase: "https://content.twilio.com"},
			AWS: of.AWS, Sufrah: of.Sufrah, Cache: of.Cache, TemplateSIDs: map[string]string{},
		}
	}
	tests := map[string]struct {
		changes map[string]string
		change  func(*config.WelcomeBootstrap)
	}{
		"defaults":                    {nil, func(*config.WelcomeBootstrap) {}},
		"set to nothing, as SAM does": {unset(optionalOfServices), func(*config.WelcomeBootstrap) {}},
		"a name":                      {map[string]string{"AWS_LAMBDA_FUNCTION_NAME": "f"}, func(c *config.WelcomeBootstrap) { c.FunctionName = "f" }},
		"no delay":                    {map[string]string{"QUEUE_BACKOFF_DELAY": "0"}, func(c *config.WelcomeBootstrap) { c.BackoffDelay = 0 }},
		"the longest delay":           {map[string]string{"QUEUE_BACKOFF_DELAY": "43200000"}, func(c *config.WelcomeBootstrap) { c.BackoffDelay = 12 * time.Hour }},
		"one attempt":                 {map[string]string{"QUEUE_RETRY_ATTEMPTS": "1"}, func(c *config.WelcomeBootstrap) { c.Attempts = 1 }},
		"no products":                 {map[string]string{"BOOTSTRAP_PRODUCT_CALLS": "0"}, func(c *config.WelcomeBootstrap) { c.ProductCalls = 0 }},
		"another rate":                {map[string]string{"JOB_RATE_PER_MINUTE": "600"}, func(c *config.WelcomeBootstrap) { c.JobsPerMinute = 600 }},
		"a short life":                {map[string]string{"BOOTSTRAP_MAX_AGE_MS": "1000"}, func(c *config.WelcomeBootstrap) { c.MaxAge = time.Second }},
		"a template":                  {map[string]string{"CONTENT_SID_WELCOME": welcome}, func(c *config.WelcomeBootstrap) { c.TemplateSIDs["welcome"] = welcome }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := defaults()
			test.change(&want)
			got, err := loadWelcomeBootstrap(merged(ofWelcomeBootstrap(), test.changes))
			if err != nil {
				t.Fatalf("reading the configuration: %v", err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the configuration that the environment gives (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMissingVariableOfAServiceIsNamed(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, name string, err error) {
		t.Helper()
		if diff := cmp.Diff([]string{name}, faulty(err)); diff != "" {
			t.Errorf("with %s missing, the error \"%v\" names the variables (-want +got):\n%s", name, err, diff)
		} else if !strings.Contains(err.Error(), name+" is missing") {
			t.Errorf("error %q doesn't say that %s is missing", err, name)
		}
	}
	for name := range ofProcessMessage() {
		_, err := loadProcessMessage(merged(ofProcessMessage(), map[string]string{name: ""}))
		check(t, name, err)
	}
	for name := range ofWelcomeBootstrap() {
		_, err := loadWelcomeBootstrap(merged(ofWelcomeBootstrap(), map[string]string{name: ""}))
		check(t, name, err)
	}
}

func TestFaultyValueOfAServiceNamesItsVariable(t *testing.T) {
	t.Parallel()
	addresses := []string{"example.com", "https://", "ftp://example.com", "https://user:s3cr3t@example.com/q", "https://example.com/q?a=b",
		"https://example.com/q?", "https://example.com/q#top", "https://example.com/q#", "http://example.com/q", "http://10.0.0.1/q",
		"http://localhost.example.com/q", "https://exa mple.com/", "://", "%zz"}
	numbers := []string{"-1", "1.5", "ten", "99999999999999999999", "5s", " 5", "٥"}
	arns := []string{"s3cr3t", "arn:aws:s3:::bucket", strings.Replace(twilioARN, ":secret:", ":", 1), twilioARN + " ", twilioARN + ":x",
		strings.Replace(twilioARN, "me-south-1", "", 1), "arn:aws:secretsmanager:me-south-1:123456789012:secret:"}
	cacheOver := func(values ...string) []map[string]string {
		var changes []map[string]string
		for _, value := range values {
			changes = append(changes, map[string]string{"CACHE_ENDPOINT": value})
		}
		return changes
	}
	changes := map[string][]map[string]string{
		"CACHE_ENDPOINT": cacheOver("cache.example.com", ":6379", "cache.example.com:", "[::1:6379", "https://cache.example.com:6379"),
		"CACHE_TABLE":    {{"CACHE_TABLE": "t-cache"}}, // with an endpoint too
		"CACHE_TLS": {
			{"CACHE_TLS": "false"}, // with another machine's endpoint
			{"CACHE_TLS": "yes"}, {"CACHE_TLS": "1"}, {"CACHE_TLS": "TRUE"},
			{"CACHE_TLS": "false", "CACHE_ENDPOINT": "localhost:6379", "CACHE_USER": "u", "CACHE_NAME": "n"},
		},
		"CACHE_CLUSTER": {{"CACHE_CLUSTER": "no"}, {"CACHE_CLUSTER": "0"}},
		"CACHE_USER":    {{"CACHE_NAME": "n"}},
		"CACHE_NAME":    {{"CACHE_USER": "u"}},
		"TWILIO_ACCOUNT_SID": {
			{"TWILIO_ACCOUNT_SID": "AC1"}, {"TWILIO_ACCOUNT_SID": "SK" + masterSID[2:]}, {"TWILIO_ACCOUNT_SID": masterSID + "0"},
			{"TWILIO_ACCOUNT_SID": masterSID[:33] + "g"},
		},
		"TWILIO_AUTH_TOKEN": {
			{"TWILIO_AUTH_TOKEN": "s3cr3t"}, // with a secret's ARN too
			{"TWILIO_AUTH_TOKEN": "s3cr3t", "TWILIO_SECRET_ARN": "", "AWS_SAM_LOCAL": "false"},
			{"TWILIO_AUTH_TOKEN": "s3cr3t", "TWILIO_SECRET_ARN": ""}, // in a deployed stack
			{"TWILIO_AUTH_TOKEN": "s3cr3t", "TWILIO_SECRET_ARN": "", "WEBHOOK_URL": "https://localhost.example.com/webhooks/whatsapp"},
		},
		"SUFRAH_API_KEY": {{"SUFRAH_API_KEY": "s3cr3t"}},
	}
	for name, values := range map[string][]string{
		"WEBHOOK_URL":             append([]string{"https://bot.example.com", "https://bot.example.com/webhooks/whatsapp/", "https://bot.example.com/webhooks/WhatsApp"}, addresses...),
		"TWILIO_API_BASE":         addresses,
		"TWILIO_CONTENT_API_BASE": addresses,
		"SUFRAH_API_BASE":         addresses,
		"BOOTSTRAP_QUEUE_URL":     addresses,
		"TWILIO_SECRET_ARN":       arns,
		"SUFRAH_SECRET_ARN":       arns,
		"SUFRAH_CACHE_TTL_MS":     append([]string{"0", "86400001"}, numbers...),
	} {
		for _, value := range values {
			changes[name] = append(changes[name], map[string]string{name: value})
		}
	}
	for name, ways := range changes {
		for _, way := range ways {
			_, err := loadProcessMessage(merged(ofProcessMessage(), way))
			wantFaulty(t, way, err, name)
		}
	}
	for name, values := range map[string][]string{
		"DEAD_LETTER_QUEUE_URL": addresses,
		"SUFRAH_API_BASE":       addresses,
		"QUEUE_BACKOFF_DELAY":   append([]string{"43200001"}, numbers...),
		"QUEUE_RETRY_ATTEMPTS":  append([]string{"0", "1001"}, numbers...),
		"JOB_RATE_PER_MINUTE":   append([]string{"0", "60001"}, numbers...),
		"BOOTSTRAP_MAX_AGE_MS":  append([]string{"0", "999", "86400001"}, numbers...),
		"LOG_LEVEL":             {"LOUD"},
	} {
		for _, value := range values {
			way := map[string]string{name: value}
			_, err := loadWelcomeBootstrap(merged(ofWelcomeBootstrap(), way))
			wantFaulty(t, way, err, name)
		}
	}
}

// wantFaulty checks that the error names the variable, and shows no secret.
func wantFaulty(t *testing.T, way map[string]string, err error, name string) {
	t.Helper()
	names := slices.Compact(faulty(err))
	if !slices.Equal(names, []string{name}) {
		t.Errorf("with %v, the error is \"%v\", want one that names %s only", way, err, name)
	}
	if err != nil && strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("with %v, the error shows a value, which may be a secret: %v", way, err)
	}
}

func TestFaultyTemplateSIDNamesItsVariable(t *testing.T) {
	t.Parallel()
	environment := map[string]string{"CONTENT_SID_WELCOME": "s3cr3t", "CONTENT_SID_lower": welcome, "CONTENT_SID_": welcome}
	_, messageErr := loadProcessMessage(merged(ofProcessMessage(), environment))
	_, bootstrapErr := loadWelcomeBootstrap(merged(ofWelcomeBootstrap(), environment))
	for _, err := range []error{messageErr, bootstrapErr} {
		if err == nil {
			t.Fatalf("the configuration was taken with the template SIDs %v, none of which is valid", environment)
		}
		for name := range environment {
			if !strings.Contains(err.Error(), name+" must") {
				t.Errorf("the error %q doesn't say what %s must be", err, name)
			}
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the error shows a value, which may be a secret: %v", err)
		}
	}
}

func TestAllFaultsOfServicesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	environment := make(map[string]string)
	for _, name := range slices.Concat(optionalOfServices, slices.Collect(maps.Keys(ofProcessMessage())), slices.Collect(maps.Keys(ofWelcomeBootstrap()))) {
		environment[name] = "s3cr3t value?"
	}
	for _, free := range []string{"AWS_SAM_LOCAL", "CACHE_USER", "CACHE_NAME"} { // every value is allowed
		delete(environment, free)
	}
	_, messageErr := loadProcessMessage(environment)
	_, bootstrapErr := loadWelcomeBootstrap(environment)
	for _, test := range []struct {
		err  error
		want []string
	}{
		{messageErr, []string{
			"BASE_PATH", "BOOTSTRAP_QUEUE_URL", "CACHE_CLUSTER", "CACHE_ENDPOINT", "CACHE_TLS",
			"LOG_LEVEL", "SUFRAH_API_BASE", "SUFRAH_API_KEY", "SUFRAH_CACHE_TTL_MS",
			"TWILIO_ACCOUNT_SID", "TWILIO_API_BASE", "TWILIO_AUTH_TOKEN", "TWILIO_CONTENT_API_BASE", "USAGE_TIME_ZONE", "WEBHOOK_URL",
		}},
		{bootstrapErr, []string{
			"BOOTSTRAP_MAX_AGE_MS", "BOOTSTRAP_PRODUCT_CALLS", "BOOTSTRAP_QUEUE_URL", "CACHE_CLUSTER", "CACHE_ENDPOINT", "CACHE_TLS", "DEAD_LETTER_QUEUE_URL", "JOB_RATE_PER_MINUTE",
			"LOG_LEVEL", "QUEUE_BACKOFF_DELAY", "QUEUE_RETRY_ATTEMPTS", "SUFRAH_API_BASE", "SUFRAH_API_KEY", "SUFRAH_CACHE_TTL_MS",
			"TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_CONTENT_API_BASE",
		}},
	} {
		if diff := cmp.Diff(test.want, faulty(test.err)); diff != "" {
			t.Errorf("with every variable faulty, the error names (-want +got):\n%s", diff)
		}
		if !strings.Contains(test.err.Error(), "CONTENT_SID_WELCOME") || strings.Contains(test.err.Error(), "s3cr3t") {
			t.Errorf("the error %q doesn't name CONTENT_SID_WELCOME, or shows a value", test.err)
		}
	}
}
