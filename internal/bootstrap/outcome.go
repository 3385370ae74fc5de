package bootstrap

import "time"

// Delivery is a job's message as the queue delivers it.
type Delivery struct {
	MessageID string // the queue's id of the message
	Body      []byte
	Attempt   int // 1 for the job's first attempt
}

// Kind is the outcome of an attempt at a job.
type Kind int

// The kinds, by the state of the two lists (categories and branches) after the attempt:
//
//	both are fresh in the cache ────────────────────────────────────> Completed
//	at least one is in the cache, perhaps stale ────────────────────> Partial
//	none, and no later attempt can succeed ─────────────────────────> DeadLettered
//	none otherwise ─────────────────────────────────────────────────> Failed: comes again, unless it was the last attempt
//	one may not be fetched yet and none failed; or time is over ────> Waiting: comes again, and no attempt is used up
//	not looked at, because the job is older than MaxAge ────────────> Late: the customer has written again long ago
//
// A stale copy doesn't complete a job: the customer's next message would look for a fresh copy and wait. It doesn't fail the
// job either: the bot can answer with the stale copy.
const (
	Completed Kind = iota + 1
	Partial
	Failed
	DeadLettered
	Waiting
	Late
)

// String returns the kind as operators read it.
func (k Kind) String() string {
	switch k {
	case Completed:
		return "completed"
	case Partial:
		return "partial"
	case Failed:
		return "failed"
	case DeadLettered:
		return "dead-lettered"
	case Waiting:
		return "waiting"
	case Late:
		return "late"
	}
	return "unknown"
}

// Outcome is the outcome of an attempt at a job. It decides what the queue does with the message: completed, partial and late
// messages are acknowledged; failed messages become visible again after Delay; waiting messages come again after Delay, at
// the same attempt; dead-lettered messages go to the dead-letter queue with their Reason.
type Outcome struct {
	Kind     Kind
	Job      Job // the zero Job if the message is malformed
	Attempt  int
	Duration time.Duration // of the work, without the time in Waited
	Waited   time.Duration // time slept until the job could go on
	Delay    time.Duration // until the next attempt
	Last     bool          // no attempt follows this failed one: the queue then moves the message to the dead-letter queue
	Reason   string        // for operators, on one line; "" if the job completed
}

// Acknowledged reports whether the queue may delete the message.
func (o Outcome) Acknowledged() bool {
	return o.Kind == Completed || o.Kind == Partial || o.Kind == Late
}

// The messages of a job's log lines, and their fields. Dashboards and alarms search for them.
const (
	MessageStarted              = "bootstrap job started"
	MessageCategoriesPrefetched = "categories prefetched"
	MessageBranchesPrefetched   = "branches prefetched"
	MessageTemplatesWarmed      = "templates warmed"
	MessageListsMade            = "lists made"
	MessageProductsPrefetched   = "products prefetched"
	MessagePartFailed           = "part not prefetched"
	MessageCompleted            = "bootstrap job completed"
	MessagePartial              = "bootstrap job partially completed"
	MessageFailed               = "bootstrap job failed: it is tried again"
	MessageGivenUp              = "bootstrap job failed for the last time: it goes to the dead-letter queue now"
	MessageDeadLettered         = "bootstrap job dead-lettered"
	MessageWaiting              = "bootstrap job waiting"
	MessageLate                 = "bootstrap job late"

	// In every line, except that a malformed message has none of the job's own fields.
	FieldRequestID    = "requestId"
	FieldMessageID    = "messageId"
	FieldAttempt      = "attempt"
	FieldJobID        = "jobId"
	FieldRestaurantID = "restaurantId"
	FieldMerchantID   = "merchantId"
	FieldCustomer     = "customer" // masked

	FieldQueued      = "queuedMs" // from the welcome to the start of this attempt
	FieldPart        = "part"
	FieldCount       = "count"
	FieldSource      = "source"
	FieldDuration    = "durationMs"
	FieldWaited      = "waitedMs" // time slept, which is not in the duration
	FieldCounts      = "counts"   // a group with a member for each part
	FieldError       = "error"
	FieldMaxAttempts = "maxAttempts"
	FieldNextDelay   = "nextDelayMs" // missing after the last attempt
	FieldReason      = "reason"
	FieldRemedy      = "remedy" // the operator's next steps; only of jobs that go to the dead-letter queue
)
