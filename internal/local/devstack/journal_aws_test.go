//go:build aws

package devstack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
)

// journal is a stack's log. It notes the messages and jobs in the lines, and the lines that reveal too much.
type journal struct {
	next io.Writer

	mu       sync.Mutex
	lines    int
	under    map[string]string   // messages by the id of the request that is recording them
	firsts   map[string]bool     // customers' first messages
	unnoted  map[string]int      // by message, the replies that were sent and couldn't be noted
	enqueued map[string]bool     // jobs
	refused  map[string]bool     // jobs that couldn't be enqueued
	ended    map[string][]string // outcomes by job
	attempts map[string]int      // latest attempt, by the queue's message
	leaks    []string
}

func newJournal(next io.Writer) *journal {
	return &journal{
		next: next, under: make(map[string]string), firsts: make(map[string]bool), unnoted: make(map[string]int),
		enqueued: make(map[string]bool), refused: make(map[string]bool), ended: make(map[string][]string),
		attempts: make(map[string]int),
	}
}

// leaking must not be in any line: a local stack's credentials, in plain and as they are sent.
var leaking = []string{
	devstack.TwilioAuthToken, "local-sufrah-key", "local-admin-key", "local-pat-", "local-dashboard-pat",
	"ApiToken", "Bearer ", "bG9jYWwtdHdpbGlvLXRva2Vu", "X-Twilio-Signature",
}

// storming matches the phone numbers of a storm in any notation.
var storming = regexp.MustCompile(`966(50|11)000\d{4}`)

// Write implements io.Writer. Each call has one line.
func (j *journal) Write(line []byte) (int, error) {
	var entry struct {
		Message, RequestID, MessageID, JobID string
		First                                bool
		Attempt                              int
	}
	known := json.Unmarshal(line, &entry) == nil
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines++
	text := string(line)
	if slices.ContainsFunc(leaking, func(s string) bool { return strings.Contains(text, s) }) || storming.MatchString(text) {
		j.leaks = append(j.leaks, text)
	}
	if !known {
		return j.next.Write(line)
	}
	switch entry.Message {
	case "message recorded":
		j.under[entry.RequestID] = entry.MessageID
		if entry.First {
			j.firsts[entry.MessageID] = true
		}
	case "request":
		delete(j.under, entry.RequestID)
	case "reply not settled: another delivery may send it again":
		j.unnoted[entry.MessageID]++
	case "bootstrap job enqueued":
		j.enqueued[entry.JobID] = true
	case "bootstrap job not enqueued":
		j.refused[entry.JobID] = true
	case bootstrap.MessageStarted:
		j.attempts[entry.MessageID] = max(j.attempts[entry.MessageID], entry.Attempt)
	case bootstrap.MessageCompleted, bootstrap.MessagePartial, bootstrap.MessageFailed, bootstrap.MessageGivenUp,
		bootstrap.MessageWaiting, bootstrap.MessageLate:
		j.ended[entry.JobID] = append(j.ended[entry.JobID], entry.Message)
	}
	return j.next.Write(line)
}

// excuses returns the number of further welcomes that each message may have caused: one for each delivery that broke off, and
// one for each reply that couldn't be noted.
func (j *journal) excuses() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	excuses := make(map[string]int)
	for _, message := range j.under {
		excuses[message]++
	}
	for message, times := range j.unnoted {
		excuses[message] += times
	}
	return excuses
}

// outcomes counts the attempts at jobs by their outcome.
func (j *journal) outcomes() string {
	counts := make(map[string]int)
	for _, ends := range j.ended {
		for _, end := range ends {
			counts[end]++
		}
	}
	return fmt.Sprint(counts)
}

// acknowledged reports whether a job was completed, whole or in part, or was too late to be useful.
func (j *journal) acknowledged(jobID string) bool {
	return slices.ContainsFunc(j.ended[jobID], func(end string) bool {
		return end == bootstrap.MessageCompleted || end == bootstrap.MessagePartial || end == bootstrap.MessageLate
	})
}
