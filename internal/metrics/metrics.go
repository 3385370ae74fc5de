// Package metrics writes the functions' counts as lines of the CloudWatch embedded metric format, into the functions' log.
// CloudWatch makes metrics of them by itself, without a call.
package metrics

import (
	"encoding/json"
	"io"
	"strconv"
	"sync"
	"time"
)

// Namespace and Dimension are how CloudWatch finds the metrics: all have one dimension, the function's name as it is
// deployed.
const (
	Namespace = "Sufrah"
	Dimension = "Function"
)

// Name names a metric. Dashboards and alarms use the names.
type Name string

// The metrics. All are counts, except the ones named after a duration, which are in milliseconds.
const (
	JobCompleted    Name = "JobCompleted"
	JobPartial      Name = "JobPartial"
	JobFailed       Name = "JobFailed" // an attempt; after the last attempt the queue dead-letters the job
	JobDeadLettered Name = "JobDeadLettered"
	JobWaiting      Name = "JobWaiting"  // sent anew, since it might not call Sufrah yet
	JobLate         Name = "JobLate"     // acknowledged without a call, for its age
	JobDuration     Name = "JobDuration" // of an attempt, without the wait for its slot
	JobWaited       Name = "JobWaited"   // a duration: asleep

	CacheHit    Name = "CacheHit"
	CacheMiss   Name = "CacheMiss"   // fetched
	CacheStale  Name = "CacheStale"  // not fetched: an old value was served
	CacheFailed Name = "CacheFailed" // not fetched, and nothing was kept

	SufrahStopped Name = "SufrahStopped" // the breaker stopped calls to the Sufrah API for a while

	CacheCommandFailed Name = "CacheCommandFailed" // by the server itself

	MessageTaken     Name = "MessageTaken"     // a delivery of a message that was answered with 200
	MessageNotSigned Name = "MessageNotSigned" // a message refused for its signature
	// Deliveries that were answered with 200 without being a customer's message, by their kind.
	IgnoredStatus   Name = "IgnoredStatus"
	IgnoredSMS      Name = "IgnoredSMS"
	IgnoredOther    Name = "IgnoredOther"
	IgnoredReaction Name = "IgnoredReaction"
	IgnoredSystem   Name = "IgnoredSystem"
	IgnoredOwn      Name = "IgnoredOwn" // from the number of a bot of ours
	IgnoredInactive Name = "IgnoredInactive"

	// A missed service level: a message or a request for figures that was answered with 5xx or too late, or a welcome that was not
	// sent in time.
	LevelMissed   Name = "LevelMissed"
	WelcomeMissed Name = "WelcomeMissed"

	WelcomeSent   Name = "WelcomeSent"
	WelcomeAsText Name = "WelcomeAsText" // in place of a template that failed after Twilio had taken it
	EnqueueFailed Name = "EnqueueFailed"
	AnswerSent    Name = "AnswerSent"
	AnswerLimited Name = "AnswerLimited"
	OptedOut      Name = "OptedOut" // customers who opted out
	OptedIn       Name = "OptedIn"  // customers who opted in again

	// Statuses of messages, by kind: taken by Twilio, and then as callbacks report. A repeated callback counts again, so shares
	// of these are near the truth and sums are not.
	SentWelcome           Name = "SentWelcome"
	SentList              Name = "SentList"
	SentText              Name = "SentText"
	SentQuotaAlert        Name = "SentQuotaAlert"
	DeliveredWelcome      Name = "DeliveredWelcome"
	DeliveredList         Name = "DeliveredList"
	DeliveredText         Name = "DeliveredText"
	DeliveredQuotaAlert   Name = "DeliveredQuotaAlert"
	UndeliveredWelcome    Name = "UndeliveredWelcome"
	UndeliveredList       Name = "UndeliveredList"
	UndeliveredText       Name = "UndeliveredText"
	UndeliveredQuotaAlert Name = "UndeliveredQuotaAlert"
	// Undelivered messages by the party at fault.
	FaultOfContent  Name = "FaultOfContent"
	FaultOfWindow   Name = "FaultOfWindow" // the customer's 24 hours are over
	FaultOfReceiver Name = "FaultOfReceiver"
	FaultOfOperator Name = "FaultOfOperator"
	FaultPassing    Name = "FaultPassing"
	FaultUnknown    Name = "FaultUnknown"

	// Restaurants that passed a threshold of their month's allowance, each once a month.
	QuotaAlert80  Name = "QuotaAlert80"
	QuotaAlert90  Name = "QuotaAlert90"
	QuotaAlert100 Name = "QuotaAlert100"
)

// Metric is a value of a metric.
type Metric struct {
	name   Name
	unit   string
	micros int64 // the value in millionths, so that every value is a number
}

// Count returns a metric that happened n times.
func Count(name Name, n int64) Metric { return Metric{name, "Count", n * 1_000_000} }

// Duration returns a metric of a time, in milliseconds.
func Duration(name Name, d time.Duration) Metric {
	return Metric{name, "Milliseconds", d.Nanoseconds()}
}

// Writer writes the metrics of one function. It is safe for concurrent use.
type Writer struct {
	now      func() time.Time
	function []byte // in JSON

	mu   sync.Mutex
	w    io.Writer
	line []byte
}

// New returns a writer of lines to w, each in one call of Write.
func New(w io.Writer, function string, now func() time.Time) *Writer {
	name, _ := json.Marshal(function) // a string can always be encoded
	return &Writer{now: now, function: name, w: w}
}

// Write writes one event: at most a hundred metrics, each of its own name. A line that can't be written is lost.
func (w *Writer) Write(metrics ...Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := append(w.line[:0], `{"_aws":{"Timestamp":`...)
	line = strconv.AppendInt(line, w.now().UnixMilli(), 10)
	line = append(line, `,"CloudWatchMetrics":[{"Namespace":"`+Namespace+`","Dimensions":[["`+Dimension+`"]],"Metrics":[`...)
	for i, m := range metrics {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(append(append(append(append(line, `{"Name":"`...), m.name...), `","Unit":"`...), m.unit...), `"}`...)
	}
	line = append(append(line, `]}]},"`+Dimension+`":`...), w.function...)
	for _, m := range metrics {
		line = append(append(append(line, `,"`...), m.name...), `":`...)
		line = strconv.AppendFloat(line, float64(m.micros)/1e6, 'f', -1, 64)
	}
	w.line = append(line, "}\n"...)
	_, _ = w.w.Write(w.line)
}
