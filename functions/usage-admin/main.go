// Command usage-admin is the Lambda function behind POST /api/admin/usage/{restaurantId}/renew.
package main

import (
	"os"
	_ "time/tzdata" // the function's machine image has no time zones

	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/usageadmin"
)

func main() {
	if err := function.Run(usageadmin.Name, usageadmin.New, usageadmin.Health, os.Environ(), os.Stdout); err != nil {
		os.Exit(1)
	}
}
