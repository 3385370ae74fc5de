// Command usage-api is the Lambda function behind GET /api/usage.
package main

import (
	"os"
	_ "time/tzdata" // the function's machine image has no time zones

	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
)

func main() {
	if err := function.Run(usageapi.Name, usageapi.New, usageapi.Health, os.Environ(), os.Stdout); err != nil {
		os.Exit(1)
	}
}
