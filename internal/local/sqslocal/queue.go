package sqslocal

import (
	"cmp"
	"container/heap"
	"encoding/base64"
	"maps"
	"strconv"
	"strings"
	"time"
)

// maxVisibility is the longest time for which a receive can hide a message, extensions included.
const maxVisibility = 12 * time.Hour

// maxMessageBytes bounds the size of a message with its attributes, and of a batch.
const maxMessageBytes = 1 << 20

type redrive struct {
	queue       string
	maxReceives int
}

type settings struct {
	visibility, delay, retention, wait time.Duration
	maxBytes                           int
	redrive                            redrive
}

func defaultSettings() settings {
	return settings{visibility: 30 * time.Second, retention: 4 * 24 * time.Hour, maxBytes: maxMessageBytes}
}

type queue struct {
	name     string
	settings settings
	created  time.Time
	purged   time.Time
	messages map[string]*message
	// schedule has the same messages, with the message that becomes visible first at the top.
	schedule schedule
	// nextExpiry is not later than the first expiry of a message. Until then, no operation has to look through all messages.
	nextExpiry time.Time
}

func newQueue(name string, s settings, created time.Time) *queue {
	return &queue{name: name, settings: s, created: created, messages: map[string]*message{}}
}

func (q *queue) put(m *message) {
	expiry := m.sentAt.Add(q.settings.retention)
	if len(q.messages) == 0 || expiry.Before(q.nextExpiry) {
		q.nextExpiry = expiry
	}
	q.messages[m.id] = m
	heap.Push(&q.schedule, m)
}

func (q *queue) drop(m *message) {
	delete(q.messages, m.id)
	heap.Remove(&q.schedule, m.index)
}

// nextVisible returns the message that has been visible for longest, nil if none is visible.
func (q *queue) nextVisible(now time.Time) *message {
	if len(q.schedule) == 0 || q.schedule[0].visibleAt.After(now) {
		return nil
	}
	return q.schedule[0]
}

// untilVisible returns the time until a hidden message becomes visible; ok is false if none is hidden.
func (q *queue) untilVisible(now time.Time) (d time.Duration, ok bool) {
	if len(q.schedule) == 0 {
		return 0, false
	}
	return q.schedule[0].visibleAt.Sub(now), true
}

// expire drops the messages past their retention and reports whether there were any.
func (q *queue) expire(now time.Time) bool {
	if len(q.messages) == 0 || q.nextExpiry.After(now) {
		return false
	}
	before := len(q.messages)
	q.nextExpiry = now.Add(q.settings.retention)
	for _, m := range q.messages {
		expiry := m.sentAt.Add(q.settings.retention)
		if !expiry.After(now) {
			q.drop(m)
		} else if expiry.Before(q.nextExpiry) {
			q.nextExpiry = expiry
		}
	}
	return len(q.messages) < before
}

func (q *queue) clear() {
	clear(q.messages)
	q.schedule = nil
}

func (q *queue) counts(now time.Time) (visible, delayed, inFlight int) {
	for _, m := range q.messages {
		switch m.state(now) {
		case Visible:
			visible++
		case Delayed:
			delayed++
		case InFlight:
			inFlight++
		}
	}
	return visible, delayed, inFlight
}

// find returns the message with the given handle, which must be of its latest receive. It returns nil if the message is gone
// or has been received again. A text that is no handle of this queue is an error.
func (q *queue) find(handle string) (*message, error) {
	if handle == "" {
		return nil, missingParameter("ReceiptHandle")
	}
	id, ok := parseHandle(q.name, handle)
	if !ok {
		return nil, errReceiptHandleIsInvalid
	}
	if m := q.messages[id]; m != nil && m.handle == handle {
		return m, nil
	}
	return nil, nil
}

// remove deletes the message with the handle. With a stale handle it succeeds and deletes nothing, as SQS documents.
func (q *queue) remove(handle string) error {
	m, err := q.find(handle)
	if err != nil {
		return err
	}
	if m != nil {
		q.drop(m)
	}
	return nil
}

// hide changes the time at which a message in flight becomes visible.
func (q *queue) hide(handle string, timeout time.Duration, now time.Time) error {
	m, err := q.find(handle)
	switch {
	case err != nil:
		return err
	case m == nil:
		return invalidParameter("Value %s for parameter ReceiptHandle is invalid. Reason: Message does not exist or is "+
			"not available for visibility timeout change.", handle)
	case m.state(now) != InFlight:
		return errMessageNotInflight
	case now.Add(timeout).After(m.receivedAt.Add(maxVisibility)):
		return invalidParameter("Value %d for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for "+
			"the message is beyond the limit [43200 seconds].", int(timeout.Seconds()))
	}
	m.visibleAt = now.Add(timeout)
	heap.Fix(&q.schedule, m.index)
	return nil
}

type message struct {
	id, body    string
	attributes  map[string]Attribute
	traceHeader string

	sequence        uint64
	sentAt          time.Time
	visibleAt       time.Time
	firstReceivedAt time.Time
	receivedAt      time.Time
	receives        int
	handle          string // of the latest receive from this queue
	source          string // the queue from which the message became a dead letter
	index           int    // in the schedule
}

func (m *message) receive(queue string, now time.Time, visibility time.Duration) {
	m.receives++
	if m.firstReceivedAt.IsZero() {
		m.firstReceivedAt = now
	}
	m.receivedAt, m.visibleAt = now, now.Add(visibility)
	m.handle = formatHandle(queue, m.id, m.receives)
}

// deadLetter prepares a message for its dead-letter queue. As in SQS, the message keeps its id, its sending time and its
// receive count, so its age isn't reset.
func (m *message) deadLetter(source string, now time.Time) {
	m.source, m.handle, m.visibleAt = source, "", now
}

func (m *message) state(now time.Time) State {
	switch {
	case !m.visibleAt.After(now):
		return Visible
	case m.handle == "":
		return Delayed
	default:
		return InFlight
	}
}

func (m *message) view(now time.Time) Message {
	return Message{
		ID: m.id, Body: m.body, Attributes: maps.Clone(m.attributes), TraceHeader: m.traceHeader, State: m.state(now),
		SentAt: m.sentAt, VisibleAt: m.visibleAt, FirstReceivedAt: m.firstReceivedAt,
		ReceiveCount: m.receives, DeadLetterSource: m.source,
	}
}

func bySequence(a, b *message) int { return cmp.Compare(a.sequence, b.sequence) }

// formatHandle returns the receipt handle of a message's nth receive. Each receive has a different handle, and clients can't
// read anything from it.
func formatHandle(queue, id string, receives int) string {
	return base64.StdEncoding.EncodeToString([]byte(queue + " " + id + " " + strconv.Itoa(receives)))
}

func parseHandle(queue, handle string) (id string, ok bool) {
	text, err := base64.StdEncoding.DecodeString(handle)
	if err != nil {
		return "", false
	}
	parts := strings.Split(string(text), " ")
	if len(parts) != 3 || parts[0] != queue {
		return "", false
	}
	return parts[1], true
}

// schedule is a heap of messages, ordered by the time at which they become visible, then by the order of sending.
type schedule []*message

func (s schedule) Len() int { return len(s) }

func (s schedule) Less(i, j int) bool {
	return cmp.Or(s[i].visibleAt.Compare(s[j].visibleAt), bySequence(s[i], s[j])) < 0
}

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

func (s *schedule) Push(x any) {
	m := x.(*message)
	m.index = len(*s)
	*s = append(*s, m)
}

func (s *schedule) Pop() any {
	old := *s
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return last
}
