package devstack

import (
	"encoding/json"
	"io"
	"slices"
	"sync"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
)

// jobOutcome is the log line at the end of an attempt at a job.
type jobOutcome struct {
	JobID      string  `json:"jobId"`
	MerchantID string  `json:"merchantId"`
	Outcome    string  `json:"outcome"`
	Attempt    int     `json:"attempt"`
	DurationMs float64 `json:"durationMs"`
}

// keptOutcomes bounds the number of remembered outcomes.
const keptOutcomes = 1000

// jobLog passes log lines on, and remembers the outcomes of jobs in them. So the sandbox shows the same as operators see in
// the log.
type jobLog struct {
	next io.Writer

	mu       sync.Mutex
	outcomes []jobOutcome // oldest first
}

// outcomesByMessage has the log messages that end an attempt at a job.
var outcomesByMessage = map[string]bootstrap.Kind{
	bootstrap.MessageCompleted:    bootstrap.Completed,
	bootstrap.MessagePartial:      bootstrap.Partial,
	bootstrap.MessageFailed:       bootstrap.Failed,
	bootstrap.MessageGivenUp:      bootstrap.Failed,
	bootstrap.MessageDeadLettered: bootstrap.DeadLettered,
	bootstrap.MessageWaiting:      bootstrap.Waiting,
	bootstrap.MessageLate:         bootstrap.Late,
}

// Write implements io.Writer. Each call has one line.
func (l *jobLog) Write(line []byte) (int, error) {
	var entry struct {
		Message string `json:"message"`
		jobOutcome
	}
	if err := json.Unmarshal(line, &entry); err == nil {
		if kind, ok := outcomesByMessage[entry.Message]; ok {
			entry.Outcome = kind.String()
			l.mu.Lock()
			l.outcomes = append(l.outcomes, entry.jobOutcome)
			l.outcomes = l.outcomes[max(0, len(l.outcomes)-keptOutcomes):]
			l.mu.Unlock()
		}
	}
	return l.next.Write(line)
}

// latest returns the outcomes, newest first.
func (l *jobLog) latest() []jobOutcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	outcomes := append([]jobOutcome{}, l.outcomes...)
	slices.Reverse(outcomes)
	return outcomes
}
