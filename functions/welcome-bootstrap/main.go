// Command welcome-bootstrap is the Lambda function that takes bootstrap jobs from their queue.
package main

import (
	"os"

	"github.com/sufrah/usage-bootstrap/internal/function"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
)

func main() {
	if err := function.Run(welcomebootstrap.Name, welcomebootstrap.New, welcomebootstrap.Health, os.Environ(), os.Stdout); err != nil {
		os.Exit(1)
	}
}
