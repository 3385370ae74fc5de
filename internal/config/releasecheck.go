package config

import "log/slog"

// ReleaseCheck is the configuration of the function release-check.
type ReleaseCheck struct {
	FunctionName string // its name at Lambda
	LogLevel     slog.Level
	CodeDeploy   string // CodeDeploy's endpoint; "" is AWS's own
	Lambda       string
	AWS
}

// LoadReleaseCheck returns the configuration of release-check, or every fault of it as *Fault, joined.
func LoadReleaseCheck(given Environment) (ReleaseCheck, error) {
	e := environment{given: given}
	return ReleaseCheck{
		FunctionName: e.functionName("release-check"),
		LogLevel:     e.level("LOG_LEVEL"),
		CodeDeploy:   e.endpoint("AWS_ENDPOINT_URL_CODEDEPLOY"),
		Lambda:       e.endpoint("AWS_ENDPOINT_URL_LAMBDA"),
		AWS:          e.aws(),
	}, e.err()
}
