package config_test

import (
	"log/slog"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests' zones, independent of the machine's

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/config"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// required returns the variables of usage-api that have no default.
func required() map[string]string {
	return map[string]string{
		"RESTAURANTS_TABLE": "t-restaurants", "BOTS_TABLE": "t-bots", "USAGE_TABLE": "t-usage",
		"ACCESS_TOKENS_TABLE": "t-access-tokens", "DIRECTORY_TABLE": "t-directory",
		"CONVERSATIONS_TABLE": "t-conversations",
		"AWS_REGION":          "me-south-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "key",
	}
}

// load returns the configuration for the required variables with changes.
func load(changes map[string]string) (config.UsageAPI, error) {
	environment := required()
	maps.Copy(environment, changes)
	return config.LoadUsageAPI(environ(environment))
}

func environ(variables map[string]string) config.Environment {
	var list config.Environment
	for name, value := range variables {
		list = append(list, name+"="+value)
	}
	return list
}

// faulty returns the variables in err's faults, sorted.
func faulty(err error) []string {
	var names []string
	switch e := err.(type) {
	case *config.Fault:
		names = []string{e.Variable}
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			names = append(names, faulty(one)...)
		}
	case interface{ Unwrap() error }:
		names = faulty(e.Unwrap())
	}
	slices.Sort(names)
	return names
}

func compareZones(a, b *time.Location) bool { return a.String() == b.String() }

func comparePrices(a, b ledger.Prices) bool { return reflect.DeepEqual(a, b) }

func wantConfig(t *testing.T, got, want config.UsageAPI) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.Comparer(compareZones), cmp.Comparer(comparePrices)); diff != "" {
		t.Errorf("the configuration that the environment gives (-want +got):\n%s", diff)
	}
}

func defaults() config.UsageAPI {
	return config.UsageAPI{
		FunctionName:     "usage-api",
		RestaurantsTable: "t-restaurants", BotsTable: "t-bots", UsageTable: "t-usage",
		ConversationsTable: "t-conversations", AccessTokensTable: "t-access-tokens", DirectoryTable: "t-directory",
		TimeZone: time.UTC, DefaultLimits: restaurant.Limits{ConversationsPerDay: 1000, AnswersPerMinute: 60},
		LogLevel: slog.LevelInfo, AWS: config.AWS{Region: "me-south-1", AccessKeyID: "AKID", SecretAccessKey: "key"},
	}
}

func TestUnsetVariablesHaveTheirDefaults(t *testing.T) {
	t.Parallel()
	empty := make(map[string]string)
	for _, name := range []string{
		"USAGE_TIME_ZONE", "DEFAULT_MAX_MESSAGES_PER_DAY", "DEFAULT_MAX_MESSAGES_PER_MIN", "BASE_PATH", "LOG_LEVEL", "AWS_LAMBDA_FUNCTION_NAME",
		"AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_DYNAMODB",
	} {
		empty[name] = ""
	}
	for name, changes := range map[string]map[string]string{"not set": nil, "set to nothing, as SAM does": empty} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := load(changes)
			if err != nil {
				t.Fatalf("reading the configuration: %v", err)
			}
			wantConfig(t, got, defaults())
		})
	}
}

func TestEachVariableIsRead(t *testing.T) {
	t.Parallel()
	riyadh, err := time.LoadLocation("Asia/Riyadh")
	if err != nil {
		t.Fatalf("loading the time zone: %v", err)
	}
	const prices = "SAR;2026-10:service=0.02,utility=0.04,marketing=0.18"
	parsed, err := ledger.ParsePrices(prices)
	if err != nil {
		t.Fatalf("reading the prices: %v", err)
	}
	const daily, perMinute = "DEFAULT_MAX_MESSAGES_PER_DAY", "DEFAULT_MAX_MESSAGES_PER_MIN"
	tests := map[string]struct {
		variable, value string
		change          func(*config.UsageAPI)
	}{
		"table":            {"USAGE_TABLE", "other", func(c *config.UsageAPI) { c.UsageTable = "other" }},
		"prices":           {"MESSAGE_PRICES", prices, func(c *config.UsageAPI) { c.MessagePrices = parsed }},
		"zone":             {"USAGE_TIME_ZONE", "Asia/Riyadh", func(c *config.UsageAPI) { c.TimeZone = riyadh }},
		"name":             {"AWS_LAMBDA_FUNCTION_NAME", "sufrah-prod-usage-api", func(c *config.UsageAPI) { c.FunctionName = "sufrah-prod-usage-api" }},
		"zone UTC":         {"USAGE_TIME_ZONE", "UTC", func(*config.UsageAPI) {}},
		"daily limit":      {daily, "250", func(c *config.UsageAPI) { c.DefaultLimits.ConversationsPerDay = 250 }},
		"nothing a day":    {daily, "0", func(c *config.UsageAPI) { c.DefaultLimits.ConversationsPerDay = 0 }},
		"unlimited a day":  {daily, "-1", func(c *config.UsageAPI) { c.DefaultLimits.ConversationsPerDay = -1 }},
		"largest a day":    {daily, "1000000000", func(c *config.UsageAPI) { c.DefaultLimits.ConversationsPerDay = 1e9 }},
		"minute's limit":   {perMinute, "5", func(c *config.UsageAPI) { c.DefaultLimits.AnswersPerMinute = 5 }},
		"unlimited":        {perMinute, "-1", func(c *config.UsageAPI) { c.DefaultLimits.AnswersPerMinute = -1 }},
		"base path":        {"BASE_PATH", "/usage", func(c *config.UsageAPI) { c.BasePath = "/usage" }},
		"two segments":     {"BASE_PATH", "/usage/v1", func(c *config.UsageAPI) { c.BasePath = "/usage/v1" }},
		"slash at its end": {"BASE_PATH", "/usage/", func(c *config.UsageAPI) { c.BasePath = "/usage" }},
		"only a slash":     {"BASE_PATH", "/", func(*config.UsageAPI) {}},
		"debug":            {"LOG_LEVEL", "DEBUG", func(c *config.UsageAPI) { c.LogLevel = slog.LevelDebug }},
		"warn":             {"LOG_LEVEL", "WARN", func(c *config.UsageAPI) { c.LogLevel = slog.LevelWarn }},
		"region":           {"AWS_REGION", "eu-central-1", func(c *config.UsageAPI) { c.Region = "eu-central-1" }},
		"session":          {"AWS_SESSION_TOKEN", "t", func(c *config.UsageAPI) { c.SessionToken = "t" }},
		"a stand-in":       {"AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:8000/x", func(c *config.UsageAPI) { c.DynamoDB = "http://127.0.0.1:8000/x" }},
		"error":            {"LOG_LEVEL", "ERROR", func(c *config.UsageAPI) { c.LogLevel = slog.LevelError }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := defaults()
			test.change(&want)
			got, err := load(map[string]string{test.variable: test.value})
			if err != nil {
				t.Fatalf("reading the configuration: %v", err)
			}
			wantConfig(t, got, want)
		})
	}
}

func TestMissingVariableIsNamed(t *testing.T) {
	t.Parallel()
	for name := range required() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, emptyErr := load(map[string]string{name: ""})
			environment := required()
			delete(environment, name)
			_, unsetErr := config.LoadUsageAPI(environ(environment))
			for how, err := range map[string]error{"empty": emptyErr, "not set": unsetErr} {
				if diff := cmp.Diff([]string{name}, faulty(err)); diff != "" {
					t.Errorf("with %s %s, the error names the variables (-want +got):\n%s", name, how, diff)
				}
				if err != nil && !strings.Contains(err.Error(), name+" is missing") {
					t.Errorf("error %q doesn't say that %s is missing", err, name)
				}
			}
		})
	}
}

// impossible returns values that each variable must refuse.
func impossible() map[string][]string {
	numbers := []string{"-2", "1000000001", "99999999999999999999", "1.5", "1e3", "0x10", " 1", "1 ", "1,000", "١٠", "ten", "-"}
	return map[string][]string{
		"USAGE_TIME_ZONE":              {"Local", "Riyadh", "Asia/Atlantis", "+03:00", "../etc/passwd", "/etc/localtime", " UTC", "Asia"},
		"DEFAULT_MAX_MESSAGES_PER_DAY": numbers,
		"DEFAULT_MAX_MESSAGES_PER_MIN": numbers,
		"MESSAGE_PRICES":               {"free", "SAR", "SAR;2026-10:service=1", "sar;2026-10:service=1,utility=1,marketing=1"},
		"BASE_PATH":                    {"usage", "https://example.com/usage", "/usage?x=1", "/usage#top", "/us%61ge", "/my usage", "?"},
		"AWS_ENDPOINT_URL_DYNAMODB":    {"127.0.0.1:8000", "http://dynamodb.example.com", "https://user:pass@example.com"},
		"LOG_LEVEL":                    {"VERBOSE", "TRACE", "INFORMATION", "9", " INFO", "INFO,DEBUG"},
	}
}

func TestFaultyValueNamesItsVariable(t *testing.T) {
	t.Parallel()
	for name, values := range impossible() {
		for _, value := range values {
			t.Run(name+"="+value, func(t *testing.T) {
				t.Parallel()
				_, err := load(map[string]string{name: value})
				if diff := cmp.Diff([]string{name}, faulty(err)); diff != "" {
					t.Errorf("with %s=%q, the error \"%v\" names the variables (-want +got):\n%s", name, value, err, diff)
				}
			})
		}
	}
}

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t value?"
	environment := make(map[string]string)
	for name := range impossible() {
		environment[name] = secret
	}
	_, err := config.LoadUsageAPI(environ(environment))
	want := slices.Sorted(maps.Keys(required()))
	want = append(want, slices.Collect(maps.Keys(environment))...)
	slices.Sort(want)
	if diff := cmp.Diff(want, faulty(err)); diff != "" {
		t.Fatalf("with every variable faulty, the error names (-want +got):\n%s", diff)
	}
	for _, name := range want {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the faulty variable %s isn't named in the error %q", name, err)
		}
	}
	if strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("the error shows a value, which may be a secret: %q", err)
	}
}

// FuzzBasePath: an accepted base path is a prefix of every route's path. It has no slash at its end and no double slash,
// because no request would match.
func FuzzBasePath(f *testing.F) {
	for _, seed := range []string{"", "/", "/usage", "/usage/v1/", "//", "//usage", "/usage//", "/a//b", "usage", "/a b", "/?"} {
		f.Add(seed)
	}
	path := regexp.MustCompile(`\A(/[^/?#% ]+)*\z`)
	f.Fuzz(func(t *testing.T, value string) {
		got, err := load(map[string]string{"BASE_PATH": value})
		if err != nil {
			if diff := cmp.Diff([]string{"BASE_PATH"}, faulty(err)); diff != "" {
				t.Errorf("with BASE_PATH=%q, the error \"%v\" names the variables (-want +got):\n%s", value, err, diff)
			}
			return
		}
		if !path.MatchString(got.BasePath) {
			t.Errorf("BASE_PATH=%q became %q, with which no request would match a route", value, got.BasePath)
		}
	})
}

// TestUsageAdminReadsItsVariables: usage-admin reads the variables of usage-api, except for the directory and the
// conversations.
func TestUsageAdminReadsItsVariables(t *testing.T) {
	t.Parallel()
	environment := required()
	delete(environment, "DIRECTORY_TABLE")
	delete(environment, "CONVERSATIONS_TABLE")
	maps.Copy(environment, map[string]string{"USAGE_TIME_ZONE": "Asia/Riyadh", "DEFAULT_MAX_MESSAGES_PER_DAY": "7", "BASE_PATH": "/sufrah", "LOG_LEVEL": "WARN"})
	got, err := config.LoadUsageAdmin(environ(environment))
	if err != nil {
		t.Fatalf("reading the configuration: %v", err)
	}
	if got.UsageTable != "t-usage" || got.RestaurantsTable != "t-restaurants" || got.BotsTable != "t-bots" || got.AccessTokensTable != "t-access-tokens" ||
		got.TimeZone.String() != "Asia/Riyadh" || got.DefaultLimits != (restaurant.Limits{ConversationsPerDay: 7, AnswersPerMinute: 60}) ||
		got.BasePath != "/sufrah" || got.LogLevel != slog.LevelWarn {
		t.Errorf("usage-admin's configuration is %+v, want the environment's tables, zone, limits, base path and level", got)
	}
	for name := range environment {
		environment[name] = ""
	}
	environment["USAGE_TIME_ZONE"] = "Mars/Olympus"
	_, err = config.LoadUsageAdmin(environ(environment))
	want := []string{
		"ACCESS_TOKENS_TABLE", "AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "BOTS_TABLE", "RESTAURANTS_TABLE", "USAGE_TABLE", "USAGE_TIME_ZONE",
	}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(faulty(err)))); diff != "" {
		t.Errorf("with nothing but a faulty zone, the error names (-want +got):\n%s", diff)
	}
}
