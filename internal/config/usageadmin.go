package config

import (
	"log/slog"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

// UsageAdmin is the configuration of the function usage-admin.
type UsageAdmin struct {
	FunctionName      string // its name at Lambda
	RestaurantsTable  string
	BotsTable         string
	UsageTable        string
	AccessTokensTable string
	TimeZone          *time.Location
	DefaultLimits     restaurant.Limits
	BasePath          string
	LogLevel          slog.Level
	AWS
}

// LoadUsageAdmin returns the configuration of usage-admin, or every fault of it as *Fault, joined.
func LoadUsageAdmin(given Environment) (UsageAdmin, error) {
	e := environment{given: given}
	c := UsageAdmin{
		FunctionName:      e.functionName("usage-admin"),
		RestaurantsTable:  e.required("RESTAURANTS_TABLE"),
		BotsTable:         e.required("BOTS_TABLE"),
		UsageTable:        e.required("USAGE_TABLE"),
		AccessTokensTable: e.required("ACCESS_TOKENS_TABLE"),
		TimeZone:          e.location("USAGE_TIME_ZONE"),
		DefaultLimits:     e.limits(),
		BasePath:          e.basePath("BASE_PATH"),
		LogLevel:          e.level("LOG_LEVEL"),
		AWS:               e.aws(),
	}
	c.DynamoDB = e.dynamoDB()
	return c, e.err()
}
