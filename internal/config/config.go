// Package config reads the functions' configuration from the environment, once, at the start. It reports all faults together.
// No other code reads the environment.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// Environment lists variables as "NAME=value", like os.Environ. If a name occurs twice, the first value counts.
type Environment []string

// Get returns a variable, or "" if it isn't set.
func (e Environment) Get(name string) string {
	for _, variable := range e {
		if value, ok := strings.CutPrefix(variable, name); ok && strings.HasPrefix(value, "=") {
			return value[1:]
		}
	}
	return ""
}

// Fault is the fault of a variable. It doesn't include the value, which may be a secret.
type Fault struct {
	Variable string
	Problem  string
}

func (f *Fault) Error() string { return f.Variable + " " + f.Problem }

// environment reads variables and collects their faults. For a faulty variable it returns the zero value.
type environment struct {
	given  Environment
	faults []error
}

func (e *environment) fault(name, problem string) {
	e.faults = append(e.faults, &Fault{name, problem})
}

// err returns all faults, or nil.
func (e *environment) err() error {
	if len(e.faults) == 0 {
		return nil
	}
	return fmt.Errorf("configuration: %w", errors.Join(e.faults...))
}

// optional returns a variable, or fallback if it is missing or empty: SAM sets an unset parameter to "".
func (e *environment) optional(name, fallback string) string {
	return cmp.Or(e.given.Get(name), fallback)
}

// functionName returns the function's name at Lambda, which differs between the stacks of an account.
func (e *environment) functionName(fallback string) string {
	return e.optional("AWS_LAMBDA_FUNCTION_NAME", fallback)
}

func (e *environment) required(name string) string {
	value := e.optional(name, "")
	if value == "" {
		e.fault(name, "is missing")
	}
	return value
}

func (e *environment) integer(name string, fallback, least, most int64) int64 {
	value := e.optional(name, strconv.FormatInt(fallback, 10))
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < least || n > most {
		e.fault(name, fmt.Sprintf("must be a whole number from %d to %d", least, most))
		return 0
	}
	return n
}

func (e *environment) location(name string) *time.Location {
	location, err := time.LoadLocation(e.optional(name, "UTC"))
	// "Local" would stand for the machine's zone, which nobody has chosen.
	if err != nil || location == time.Local {
		e.fault(name, "must be an IANA time zone such as Asia/Riyadh")
		return time.UTC
	}
	return location
}

func (e *environment) level(name string) slog.Level {
	levels := map[string]slog.Level{
		"DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARN": slog.LevelWarn, "ERROR": slog.LevelError,
	}
	level, ok := levels[strings.ToUpper(e.optional(name, "INFO"))]
	if !ok {
		e.fault(name, "must be DEBUG, INFO, WARN or ERROR")
	}
	return level
}

// prices returns the prices of delivered messages.
func (e *environment) prices(name string) ledger.Prices {
	prices, err := ledger.ParsePrices(e.optional(name, ""))
	if err != nil {
		e.fault(name, err.Error())
	}
	return prices
}

// basePath returns the path that a custom domain puts in front of every route: "" or "/name".
func (e *environment) basePath(name string) string {
	given := e.optional(name, "/")
	if given == "/" {
		return ""
	}
	value := strings.TrimSuffix(given, "/")
	if given[0] != '/' || value == "/" || path.Clean(value) != value || strings.ContainsAny(value, "?#% ") {
		e.fault(name, "must be a path such as /usage")
		return ""
	}
	return value
}

// limits returns the limits of a restaurant without a bot. sufrahctl reads the same variables for a new bot. A restaurant
// without a bot has no number, so its per-minute limit never applies.
func (e *environment) limits() restaurant.Limits {
	const most = 1_000_000_000
	return restaurant.Limits{
		ConversationsPerDay: e.integer("DEFAULT_MAX_MESSAGES_PER_DAY", restaurant.DefaultLimits.ConversationsPerDay, -1, most),
		AnswersPerMinute:    e.integer("DEFAULT_MAX_MESSAGES_PER_MIN", restaurant.DefaultLimits.AnswersPerMinute, -1, most),
	}
}

// UsageAPI is the configuration of the function usage-api.
type UsageAPI struct {
	FunctionName       string // its name at Lambda
	RestaurantsTable   string
	BotsTable          string
	UsageTable         string
	ConversationsTable string
	AccessTokensTable  string
	DirectoryTable     string
	TimeZone           *time.Location
	DefaultLimits      restaurant.Limits
	MessagePrices      ledger.Prices
	BasePath           string
	LogLevel           slog.Level
	AWS
}

// LoadUsageAPI returns the configuration of usage-api, or every fault of it as *Fault, joined.
func LoadUsageAPI(given Environment) (UsageAPI, error) {
	e := environment{given: given}
	c := UsageAPI{
		FunctionName:       e.functionName("usage-api"),
		RestaurantsTable:   e.required("RESTAURANTS_TABLE"),
		BotsTable:          e.required("BOTS_TABLE"),
		UsageTable:         e.required("USAGE_TABLE"),
		ConversationsTable: e.required("CONVERSATIONS_TABLE"),
		AccessTokensTable:  e.required("ACCESS_TOKENS_TABLE"),
		DirectoryTable:     e.required("DIRECTORY_TABLE"),
		TimeZone:           e.location("USAGE_TIME_ZONE"),
		DefaultLimits:      e.limits(),
		MessagePrices:      e.prices("MESSAGE_PRICES"),
		BasePath:           e.basePath("BASE_PATH"),
		LogLevel:           e.level("LOG_LEVEL"),
		AWS:                e.aws(),
	}
	c.DynamoDB = e.dynamoDB()
	return c, e.err()
}
