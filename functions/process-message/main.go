// Command process-message is the Lambda function behind POST /webhooks/whatsapp.
package main

import (
	"os"
	_ "time/tzdata" // the function's machine image has no time zones

	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
)

func main() {
	if err := function.Run(processmessage.Name, processmessage.New, processmessage.Health, os.Environ(), os.Stdout); err != nil {
		os.Exit(1)
	}
}
