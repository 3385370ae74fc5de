package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// maxDelay keeps below SQS's limit: a message can be hidden for twelve hours in all.
const maxDelay = 11 * time.Hour

// Worker carries jobs out. All fields but RetryAfter and Observe are required. It is safe for concurrent use, and carrying a
// job out twice does no harm.
type Worker struct {
	Parts    []Part
	Pace     Pace
	Attempts int           // the number of attempts after which a job is a dead letter
	MaxAge   time.Duration // an older job is no longer worth carrying out
	Backoff  time.Duration // wait between the first and the second attempt; doubled after each further attempt
	// RetryAfter returns the wait that the failed service asked for, or 0 if it asked for none.
	RetryAfter func(error) time.Duration
	Now        func() time.Time
	Sleep      func(context.Context, time.Duration) error // clock.Sleep, except in tests
	RequestID  func(context.Context) string               // names the invocation in the log
	Log        *slog.Logger
	Observe    func(Outcome)
}

// Handle makes an attempt at the job in a message and returns its outcome. It logs each step, and returns before the
// context's deadline or soon after it. A job that can't be finished in that time gets the outcome Waiting.
func (w *Worker) Handle(ctx context.Context, d Delivery) Outcome {
	start := w.Now()
	log := w.Log.With(slog.String(FieldRequestID, w.RequestID(ctx)), slog.String(FieldMessageID, d.MessageID),
		slog.Int(FieldAttempt, d.Attempt))
	var o Outcome
	var results []result
	job, err := ParseJob(d.Body)
	if err != nil {
		o = Outcome{Kind: DeadLettered, Reason: oneLine(err.Error())}
	} else {
		log = log.With(slog.String(FieldJobID, job.JobID), slog.String(FieldRestaurantID, job.RestaurantID),
			slog.String(FieldMerchantID, job.MerchantID), logging.Customer(FieldCustomer, job.CustomerWa))
		log = log.With(slog.Int64(FieldQueued, job.Age(start).Milliseconds()))
		if job.Late(start, w.MaxAge) {
			o = Outcome{Kind: Late, Reason: fmt.Sprintf("the job is older than %s: its customer's menu was fetched on demand", w.MaxAge)}
		} else {
			log.LogAttrs(ctx, slog.LevelInfo, MessageStarted)
			results, o.Waited = w.attempt(ctx, log, job)
			waited := o.Waited
			o = w.judge(ctx, d.Attempt, results)
			o.Waited = waited
		}
		o.Job = job
	}
	o.Attempt, o.Duration = d.Attempt, w.Now().Sub(start)-o.Waited
	w.log(ctx, log, o, results)
	if w.Observe != nil {
		w.Observe(o)
	}
	return o
}

// attempt runs the job's parts. While some parts may not be fetched yet it sleeps, up to MaxSleep in all, and returns the
// time slept.
func (w *Worker) attempt(ctx context.Context, log *slog.Logger, j Job) (results []result, slept time.Duration) {
	results = make([]result, len(w.Parts))
	s := &slot{pace: w.Pace, merchantID: j.MerchantID}
	for done := 0; ; {
		w.prefetch(ctx, log, j, s.admit, results)
		wait := longestWait(results)
		if before := done; wait > 0 {
			// A success shows that Sufrah answers again. Another part may have been waiting only for that, so it is tried at
			// once.
			if done = prefetched(results); done > before {
				continue
			}
		}
		if deadline, ok := ctx.Deadline(); wait == 0 || slept+wait > MaxSleep || ok && time.Until(deadline) < wait+CallTime {
			return results, slept
		}
		if w.Sleep(ctx, wait) != nil {
			return results, slept
		}
		slept += wait
	}
}

// prefetched returns the number of deciding parts that have succeeded.
func prefetched(results []result) (n int) {
	for _, r := range results {
		if r.err == nil && !r.part.Optional {
			n++
		}
	}
	return n
}

// longestWait returns the longest time that a part must wait, or 0 if none has to.
func longestWait(results []result) (longest time.Duration) {
	for _, r := range results {
		wait, _ := r.waits()
		longest = max(longest, wait)
	}
	return longest
}

// judge derives an attempt's outcome from the results of its parts.
func (w *Worker) judge(ctx context.Context, attempt int, results []result) Outcome {
	var v verdict
	for _, r := range results {
		if !r.part.Optional {
			v.add(w, r)
		}
	}
	o := Outcome{Reason: oneLine(strings.Join(v.faults, "; "))}
	switch {
	case v.failed == 0 && v.wait > 0:
		o.Kind, o.Delay, o.Reason = Waiting, v.wait, v.waitsFor
	case len(v.faults) == 0:
		o.Kind = Completed
	case v.permanent == v.parts:
		// A refused key is permanent too: a retry seconds later would be refused again. The job waits in the dead-letter
		// queue, with its reason, until an operator has replaced the key and redrives the queue.
		o.Kind = DeadLettered
	case ctx.Err() != nil:
		o.Kind, o.Delay = Waiting, retryDelay
	case v.kept > 0:
		o.Kind = Partial
	default:
		o.Kind = Failed
		if o.Last = attempt >= w.Attempts; !o.Last {
			o.Delay = w.delay(attempt, v.retryAfter)
		}
	}
	return o
}

// verdict sums up the results of the deciding parts.
type verdict struct {
	parts, kept, permanent, failed int
	faults                         []string
	wait                           time.Duration // longest wait of a part that may not be fetched yet
	waitsFor                       string
	retryAfter                     time.Duration
}

func (v *verdict) add(w *Worker, r result) {
	v.parts++
	if r.kept() {
		v.kept++
	}
	if r.err == nil {
		return
	}
	text, _, _ := strings.Cut(r.err.Error(), "\n") // first line only: the stack of a panic is in the part's own log line
	v.faults = append(v.faults, r.part.Name+": "+text)
	if wait, ok := r.waits(); ok {
		v.wait, v.waitsFor = max(v.wait, wait), oneLine(r.err.Error())
		return
	}
	v.failed++
	if permanent(r.err) {
		v.permanent++
	}
	if w.RetryAfter != nil {
		v.retryAfter = max(v.retryAfter, w.RetryAfter(r.err))
	}
}

// permanent reports whether an error declares that trying again is of no use.
func permanent(err error) bool {
	said, ok := errors.AsType[interface {
		error
		Retryable() bool
	}](err)
	return ok && !said.Retryable()
}

// delay returns the time until the next attempt: the backoff, or a longer time if Sufrah asked for it.
func (w *Worker) delay(attempt int, asked time.Duration) time.Duration {
	backoff := w.Backoff
	for i := 1; i < attempt && backoff < maxDelay; i++ {
		backoff *= 2
	}
	return min(max(backoff, asked), maxDelay)
}

// log writes the log line at an attempt's end.
func (w *Worker) log(ctx context.Context, log *slog.Logger, o Outcome, results []result) {
	attrs := []slog.Attr{
		slog.Float64(FieldDuration, float64(o.Duration.Microseconds())/1000),
		slog.Float64(FieldWaited, float64(o.Waited.Microseconds())/1000),
	}
	var counts []any
	for _, r := range results {
		if r.kept() {
			counts = append(counts, slog.Int(r.part.Name, r.count))
		}
	}
	attrs = append(attrs, slog.Group(FieldCounts, counts...))
	level, message := slog.LevelWarn, ""
	switch o.Kind {
	case Completed:
		level, message = slog.LevelInfo, MessageCompleted
	case Partial:
		message = MessagePartial
		attrs = append(attrs, slog.String(FieldError, o.Reason))
	case DeadLettered:
		level, message = slog.LevelError, MessageDeadLettered
		attrs = append(attrs, slog.String(FieldReason, o.Reason), slog.String(FieldRemedy, w.remedy(o.Job)))
	case Late:
		level, message = slog.LevelInfo, MessageLate
		attrs = append(attrs, slog.String(FieldReason, o.Reason))
	case Waiting:
		level, message = slog.LevelInfo, MessageWaiting
		attrs = append(attrs, slog.String(FieldReason, o.Reason), slog.Int64(FieldNextDelay, o.Delay.Milliseconds()))
	case Failed:
		attrs = append(attrs, slog.String(FieldError, o.Reason), slog.Int(FieldMaxAttempts, w.Attempts))
		if o.Last {
			level, message = slog.LevelError, MessageGivenUp
			attrs = append(attrs, slog.String(FieldRemedy, w.remedy(o.Job)))
		} else {
			message = MessageFailed
			attrs = append(attrs, slog.Int64(FieldNextDelay, o.Delay.Milliseconds()))
		}
	}
	log.LogAttrs(ctx, level, message, append(attrs, timing.Attrs(ctx, timing.Wait)...)...) // FieldWaited has the time slept
}

// remedy returns an operator's next steps for a job that goes to the dead-letter queue; a message that is no job has the zero Job.
func (w *Worker) remedy(j Job) string {
	if j.EnqueuedAt.IsZero() {
		return "no attempt can succeed: find its id with sufrahctl dlq list, and remove it with sufrahctl dlq delete"
	}
	return "mend the cause, then run sufrahctl dlq redrive; after " + j.EnqueuedAt.Add(w.MaxAge).UTC().Format(time.RFC3339) +
		" the job is late, and is dropped without being run"
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }
