// Package metrics writes the functions' counts into their logs, as lines of the CloudWatch embedded metric format. CloudWatch
// turns these lines into metrics without being called.
package metrics

import (
	"encoding/json"
	"io"
	"strconv"
	"sync"
	"time"
)

// Namespace and Dimension identify the metrics in CloudWatch. All have one dimension, the function's name at Lambda.
const (
	Namespace = "Sufrah"
	Dimension = "Function"
)

// Name names a metric. Dashboards and alarms use these names.
type Name string

// The metrics. All are counts, except those named after a duration, which are in milliseconds.
const (
	JobCompleted    Name = "JobCompleted"
	JobPartial      Name = "JobPartial"
	JobFailed       Name = "JobFailed" // a failed attempt; after the last one the job is a dead letter
	JobDeadLettered Name = "JobDeadLettered"
	JobWaiting      Name = "JobWaiting"  // sent anew, because it may not call Sufrah yet
	JobLate         Name = "JobLate"     // acknowledged without a call, because of its age
	JobDuration     Name = "JobDuration" // of an attempt, without the wait for its slot
	JobWaited       Name = "JobWaited"   // a duration: time slept

	// Look-ups of menus, products and branches, by their result.
	CacheHit        Name = "CacheHit"
	CacheMiss       Name = "CacheMiss"       // fetched from the Sufrah API
	CacheStale      Name = "CacheStale"      // an old value was served: a new one was being fetched, or the fetch failed
	MenuUnavailable Name = "MenuUnavailable" // the fetch failed, and the cache had no old value

	SufrahStopped Name = "SufrahStopped" // the breaker has stopped calls to the Sufrah API for a while

	CacheCommandFailed Name = "CacheCommandFailed" // failed by the cache's server or table, or not sent because of an earlier failure

	MessageTaken     Name = "MessageTaken"     // a delivery of a message, answered with 200
	MessageNotSigned Name = "MessageNotSigned" // a message refused for its signature
	// By kind, deliveries answered with 200 that are no customer's message.
	IgnoredStatus   Name = "IgnoredStatus"
	IgnoredSMS      Name = "IgnoredSMS"
	IgnoredOther    Name = "IgnoredOther"
	IgnoredReaction Name = "IgnoredReaction"
	IgnoredSystem   Name = "IgnoredSystem"
	IgnoredOwn      Name = "IgnoredOwn" // from one of our own bots' numbers
	IgnoredInactive Name = "IgnoredInactive"

	// A missed service level: a message, or a request for figures, that was answered with 5xx or too late; or a welcome that
	// was sent too late.
	LevelMissed   Name = "LevelMissed"
	WelcomeMissed Name = "WelcomeMissed"

	WelcomeSent   Name = "WelcomeSent"
	WelcomeAsText Name = "WelcomeAsText" // replaces a template that failed after Twilio had taken it
	EnqueueFailed Name = "EnqueueFailed"
	AnswerSent    Name = "AnswerSent"
	AnswerLimited Name = "AnswerLimited"
	OptedOut      Name = "OptedOut" // opt-outs by customers
	OptedIn       Name = "OptedIn"  // opt-ins by customers after an opt-out

	// Statuses of messages, by kind: taken by Twilio, and as callbacks report. A repeated callback counts again, so shares of
	// these numbers are nearly right and sums are not.
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

	// Restaurants that have passed a threshold of their month's quota, each once a month.
	QuotaAlert80  Name = "QuotaAlert80"
	QuotaAlert90  Name = "QuotaAlert90"
	QuotaAlert100 Name = "QuotaAlert100"
)

// Metric is a value of a metric.
type Metric struct {
	name   Name
	unit   string
	micros int64 // the value in millionths, which are always a whole number
}

// Count returns a metric that counts n.
func Count(name Name, n int64) Metric { return Metric{name, "Count", n * 1_000_000} }

// Duration returns a metric with a time in milliseconds.
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

// New returns a writer that writes lines to w, one in each Write.
func New(w io.Writer, function string, now func() time.Time) *Writer {
	name, _ := json.Marshal(function) // can't fail for a string
	return &Writer{now: now, function: name, w: w}
}

// Write writes a line with at most a hundred metrics, each with a name of its own. A line that can't be written is lost.
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
