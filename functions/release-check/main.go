// Command release-check is the Lambda function that CodeDeploy calls before a new version gets traffic.
package main

import (
	"os"

	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/releasecheck"
)

func main() {
	if err := function.Run(releasecheck.Name, releasecheck.New, releasecheck.Health, os.Environ(), os.Stdout); err != nil {
		os.Exit(1)
	}
}
