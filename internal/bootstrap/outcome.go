package bootstrap

import "time"

// Delivery is a job's message as the queue delivers it.
type Delivery struct {
	MessageID string // the queue's
	Body      []byte
	Attempt   int // at the job: 1 for the first
}

// Kind is the outcome of an attempt at a job.
type Kind int

// The kinds.
//
//	both lists are fresh in the cache ───────────────────────────> Completed
//	one of them, or a stale copy of either ──────────────────────> Partial
//	none, and no other attempt can have one ─────────────────────> DeadLettered
//	none ────────────────────────────────────────────────────────> Failed: comes again, or is the last attempt
//	one of them may not be fetched yet ──────────────────────────> Waiting: comes again, and no attempt is used up
//	the job is older than MaxAge ────────────────────────────────> Late: its customer has long written again
//
// With a stale copy a job isn't completed, because the customer's next message would look for a fresh copy and wait. It isn't
// failed either, because the bot can answer with the stale copy.
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

// Outcome is the outcome of an attempt at a job, and the treatment of its message. Completed, partial and late messages are
// acknowledged. Failed ones become visible again after Delay. Waiting ones come again after Delay at the same attempt.
// Dead-lettered ones go to the dead-letter queue with their Reason.
type Outcome struct {
	Kind     Kind
	Job      Job // the zero Job where the message isn't one
	Attempt  int
	Duration time.Duration // of the work, without Waited
	Waited   time.Duration // asleep, until the job could go on
	Delay    time.Duration // 0 after the last attempt: the queue moves the message as soon as it comes up again
	Reason   string        // for operators, on one line; "" if the job completed
}

// Acknowledged says whether the queue is done with the message.
func (o Outcome) Acknowledged() bool {
	return o.Kind == Completed || o.Kind == Partial || o.Kind == Late
}

// The messages of a job's log lines and the fields in them. Dashboards and alarms search for these.
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
	MessageFailed               = "bootstrap job failed"
	MessageDeadLettered         = "bootstrap job dead-lettered"
	MessageWaiting              = "bootstrap job waiting"
	MessageLate                 = "bootstrap job late"

	// In every line. The job's own are missing if a message is no job.
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
	FieldWaited      = "waitedMs" // asleep, and not in the duration
	FieldCounts      = "counts"   // a group with a member for each part
	FieldError       = "error"
	FieldMaxAttempts = "maxAttempts"
	FieldNextDelay   = "nextDelayMs" // missing after the last attempt
	FieldReason      = "reason"
)
