// Package sqslocal is an in-memory stand-in for Amazon SQS. It speaks the AWS JSON 1.0 protocol, so that the SDK's client
// works with it unchanged, over loopback HTTP or through the in-process Transport.
//
// All times (delays, visibility time-outs, retention, rate-limited redrives) follow the clock given to New, so a clock that
// jumps takes effect at once. After moving such a clock, call Wake: long polls then look again.
//
// Only standard queues exist. Signatures are not checked; policies, tags and encryption are not kept. Request members that
// the engine doesn't know are ignored, as SQS ignores them. A long poll also ends when its waiting time has passed on the
// wall clock, even if the engine's clock stands still.
package sqslocal

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// Region is the AWS region in the ARN of every queue.
	Region = "us-east-1"
	// AccountID is the AWS account in the ARN and the URL of every queue.
	AccountID = "000000000000"
)

// ARN returns the Amazon resource name of the queue with the given name.
func ARN(name string) string {
	return "arn:aws:sqs:" + Region + ":" + AccountID + ":" + name
}

// QueueURL returns the URL of a queue in an engine at endpoint, such as "http://127.0.0.1:4100". GetQueueUrl returns the
// same.
func QueueURL(endpoint, name string) string {
	return endpoint + "/" + AccountID + "/" + name
}

// Queue describes a queue that New creates.
type Queue struct {
	// Name identifies the queue. If two descriptions have the same name, the later one counts.
	Name string
	// VisibilityTimeout hides a received message from further receives; zero means 30 seconds.
	VisibilityTimeout time.Duration
	// Delay hides a new message from receives.
	Delay time.Duration
	// RetentionPeriod is the time after sending at which a message is dropped; zero means 4 days.
	RetentionPeriod time.Duration
	// DeadLetterQueue names the queue for messages that were received MaxReceiveCount times without being deleted; empty
	// means none. A dead-letter queue that no Queue describes is created with the defaults. A queue can't be its own
	// dead-letter queue.
	DeadLetterQueue string
	// MaxReceiveCount is how often a message may be received; zero means 10. It has no effect without a DeadLetterQueue.
	MaxReceiveCount int
}

func (q Queue) settings() settings {
	s := defaultSettings()
	s.visibility = cmp.Or(q.VisibilityTimeout, s.visibility)
	s.retention = cmp.Or(q.RetentionPeriod, s.retention)
	s.delay = q.Delay
	if q.DeadLetterQueue != q.Name {
		s.redrive = redrive{queue: q.DeadLetterQueue, maxReceives: cmp.Or(q.MaxReceiveCount, 10)}
	}
	return s
}

// Engine holds queues and serves their wire protocol as an http.Handler. It is safe for concurrent use. Create it with New.
type Engine struct {
	now func() time.Time

	mu      sync.Mutex
	queues  map[string]*queue
	tasks   []*moveTask
	sent    uint64
	changed chan struct{}
}

// New returns an engine that holds the given queues and takes the time from now.
func New(now func() time.Time, queues ...Queue) *Engine {
	e := &Engine{now: now, queues: map[string]*queue{}, changed: make(chan struct{})}
	start := now()
	for _, q := range queues {
		e.queues[q.Name] = newQueue(q.Name, q.settings(), start)
	}
	for _, q := range queues {
		name := q.DeadLetterQueue
		if _, known := e.queues[name]; name != "" && !known {
			e.queues[name] = newQueue(name, defaultSettings(), start)
		}
	}
	return e
}

// Wake makes waiting receives look at the clock again. Call it after moving the clock.
func (e *Engine) Wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notify()
}

// Changed returns a channel that is closed at the next change of any queue, or call of Wake. To wait for a state, call
// Changed before looking at the state: otherwise a change in between is missed.
func (e *Engine) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// Counts returns how many messages of a queue can be received, are delayed, and are hidden by a receive. An unknown
// queue is empty.
func (e *Engine) Counts(name string) (visible, delayed, inFlight int) {
	now := e.lock()
	defer e.mu.Unlock()
	q, ok := e.queues[name]
	if !ok {
		return 0, 0, 0
	}
	return q.counts(now)
}

// State is a message's stage of life in a queue.
type State string

// The states.
const (
	Visible  State = "visible"  // the next receive may return it
	Delayed  State = "delayed"  // not yet received, and hidden until its delay has passed
	InFlight State = "inFlight" // received, and hidden until its visibility time-out
)

// Message describes a message in a queue.
type Message struct {
	ID         string
	Body       string
	Attributes map[string]Attribute
	// TraceHeader is the message's AWSTraceHeader, or empty.
	TraceHeader string
	State       State
	SentAt      time.Time
	// VisibleAt is the time from which the message can be received.
	VisibleAt time.Time
	// FirstReceivedAt is zero for a message that has never been received.
	FirstReceivedAt time.Time
	// ReceiveCount counts receives, including receives before a move to the dead-letter queue.
	ReceiveCount int
	// DeadLetterSource names the queue from which a redrive policy moved the message here, or is empty.
	DeadLetterSource string
}

// Messages returns the messages of a queue in the order in which they came into it. It doesn't count as a receive. An unknown
// queue is empty.
func (e *Engine) Messages(name string) []Message {
	now := e.lock()
	defer e.mu.Unlock()
	q, ok := e.queues[name]
	if !ok {
		return nil
	}
	var views []Message
	for _, m := range slices.SortedFunc(maps.Values(q.messages), bySequence) {
		views = append(views, m.view(now))
	}
	return views
}

// lock takes the engine's lock, applies all changes that are due, and returns the time. It reads the clock before it takes
// the lock: a caller that moves the clock may hold the clock's own lock while calling Wake.
func (e *Engine) lock() time.Time {
	now := e.now()
	e.mu.Lock()
	for _, q := range e.queues {
		if q.expire(now) {
			e.notify()
		}
	}
	for _, t := range e.tasks {
		if e.advance(t, now) {
			e.notify()
		}
	}
	return now
}

// notify wakes all calls that wait for a change. The lock must be held.
func (e *Engine) notify() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// add puts a message into a queue, last in the order of sending. The lock must be held.
func (e *Engine) add(q *queue, m *message) {
	e.sent++
	m.sequence = e.sent
	q.put(m)
}

// take receives at most limit visible messages and hides them for visibility. It moves messages that were received too often
// to the dead-letter queue. The lock must be held.
func (e *Engine) take(q *queue, now time.Time, limit int, visibility time.Duration) []*message {
	var taken []*message
	moved := false
	for len(taken) < limit {
		m := q.nextVisible(now)
		if m == nil {
			break
		}
		// A received message stays out of the queue until the loop ends; with a time-out of zero it would be received again.
		q.drop(m)
		if target := e.queues[q.settings.redrive.queue]; target != nil && m.receives >= q.settings.redrive.maxReceives {
			m.deadLetter(q.name, now)
			e.add(target, m)
			moved = true
			continue
		}
		m.receive(q.name, now, visibility)
		taken = append(taken, m)
	}
	for _, m := range taken {
		q.put(m)
	}
	if moved || len(taken) > 0 {
		e.notify()
	}
	return taken
}

// newID returns a random UUID (version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
