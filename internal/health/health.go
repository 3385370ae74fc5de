// Package health lets a release, or an operator, ask a deployed function whether it can do its work.
//
// A health event is {"check": "health"} and nothing else. Only a direct invocation can send it, which needs
// lambda:InvokeFunction: an event of API Gateway or SQS always has other members too, whatever text a client sends. The
// report names missing parts, and never contains a secret's or an item's value.
package health

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/task"
)

// Event is the payload that asks for a report.
const Event = `{"check": "health"}`

// maxEvent bounds the length of an event that is examined. Even the smallest event of API Gateway or SQS is several times as
// long.
const maxEvent = 64

// Asked reports whether a payload is a health event.
func Asked(payload []byte) bool {
	if len(payload) > maxEvent {
		return false
	}
	var event struct {
		Check string `json:"check"`
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	return decoder.Decode(&event) == nil && event.Check == "health" && !decoder.More()
}

// Check checks one thing that a function needs.
type Check struct {
	Name string // "table sufrah-prod-usage", "cache", "secret of Sufrah's key"
	Run  func(context.Context) error
}

// Settings are the parts of a function's configuration that must agree with other functions' settings, or with settings
// elsewhere.
type Settings struct {
	Release    string `json:"release,omitempty"`
	TimeZone   string `json:"timeZone,omitempty"`
	WebhookURL string `json:"webhookUrl,omitempty"`
}

// Subject is a function with a valid configuration.
type Subject struct {
	Settings Settings
	Checks   []Check
	Close    func() // closes the checks' connections; may be nil
}

// Report is the answer to a health event.
type Report struct {
	Healthy bool `json:"healthy"`
	Settings
	Checks []Result `json:"checks"`
}

// Result is the result of a check.
type Result struct {
	Name       string  `json:"name"`
	Error      string  `json:"error,omitempty"`
	DurationMs float64 `json:"durationMs"`
}

// timeout bounds each check. It is longer than any client's own time-out, and shorter than any function's.
const timeout = 7 * time.Second

// Examine carries out a subject's checks at the same time.
func Examine(ctx context.Context, s Subject) Report {
	if s.Close != nil {
		defer s.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	report := Report{Healthy: true, Settings: s.Settings, Checks: make([]Result, len(s.Checks))}
	var running sync.WaitGroup
	for i, check := range s.Checks {
		running.Go(func() {
			start := time.Now()
			err := carryOut(ctx, check)
			report.Checks[i] = Result{Name: check.Name, DurationMs: float64(time.Since(start).Microseconds()) / 1000}
			if err != nil {
				report.Checks[i].Error = strings.ReplaceAll(err.Error(), "\n", "; ")
			}
		})
	}
	running.Wait()
	for _, r := range report.Checks {
		report.Healthy = report.Healthy && r.Error == ""
	}
	return report
}

func carryOut(ctx context.Context, c Check) (err error) {
	defer task.Recover(&err)
	return c.Run(ctx)
}

// Faults returns a sentence for each fault, nil if there are none.
func (r Report) Faults() (faults []string) {
	for _, c := range r.Checks {
		if c.Error != "" {
			faults = append(faults, fmt.Sprintf("%s: %s", c.Name, c.Error))
		}
	}
	return faults
}
