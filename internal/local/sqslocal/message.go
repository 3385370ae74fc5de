package sqslocal

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// byURL returns the queue that a request names. The lock must be held.
func (e *Engine) byURL(url string) (*queue, error) {
	if url == "" {
		return nil, missingParameter("QueueUrl")
	}
	q, ok := e.queues[url[strings.LastIndexByte(url, '/')+1:]]
	if !ok {
		return nil, errQueueDoesNotExist
	}
	return q, nil
}

// outgoing is a message as a client sends it, alone or in a batch.
type outgoing struct {
	MessageBody             string               `json:"MessageBody"`
	DelaySeconds            *int                 `json:"DelaySeconds"`
	MessageAttributes       map[string]Attribute `json:"MessageAttributes"`
	MessageSystemAttributes map[string]Attribute `json:"MessageSystemAttributes"`
}

func (o outgoing) bytes() int { return len(o.MessageBody) + attributeBytes(o.MessageAttributes) }

func (o outgoing) check(q *queue) error {
	switch {
	case o.MessageBody == "":
		return missingParameter("MessageBody")
	case !validText(o.MessageBody):
		return errInvalidMessageContents
	case o.bytes() > q.settings.maxBytes:
		return invalidParameter("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.",
			q.settings.maxBytes)
	case outside(o.DelaySeconds, 0, 900):
		return invalidParameter("Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and "+
			"<= 900.", *o.DelaySeconds)
	}
	for name, a := range o.MessageSystemAttributes {
		if name != traceHeader || a.DataType != "String" || a.StringValue == "" || !validText(a.StringValue) {
			return invalidParameter("The message system attribute '%s' is invalid.", name)
		}
	}
	return checkAttributes(o.MessageAttributes)
}

const traceHeader = "AWSTraceHeader"

// outside reports whether a member is present and not between low and high.
func outside(n *int, low, high int) bool { return n != nil && (*n < low || *n > high) }

// seconds returns a member's value as a duration, or otherwise if the member is absent.
func seconds(n *int, otherwise time.Duration) time.Duration {
	if n == nil {
		return otherwise
	}
	return time.Duration(*n) * time.Second
}

type sendInput struct {
	QueueURL string `json:"QueueUrl"`
	outgoing
}

type sent struct {
	MessageID             string `json:"MessageId"`
	MD5OfBody             string `json:"MD5OfMessageBody"`
	MD5OfAttributes       string `json:"MD5OfMessageAttributes,omitempty"`
	MD5OfSystemAttributes string `json:"MD5OfMessageSystemAttributes,omitempty"`
}

func (e *Engine) sendMessage(in sendInput) (sent, error) {
	now := e.lock()
	defer e.mu.Unlock()
	q, err := e.byURL(in.QueueURL)
	if err != nil {
		return sent{}, err
	}
	return e.accept(q, in.outgoing, now)
}

// accept adds a valid message to the queue. The lock must be held.
func (e *Engine) accept(q *queue, out outgoing, now time.Time) (sent, error) {
	if err := out.check(q); err != nil {
		return sent{}, err
	}
	m := &message{
		id: newID(), body: out.MessageBody, attributes: out.MessageAttributes,
		traceHeader: out.MessageSystemAttributes[traceHeader].StringValue,
		sentAt:      now, visibleAt: now.Add(seconds(out.DelaySeconds, q.settings.delay)),
	}
	e.add(q, m)
	e.notify()
	return sent{
		MessageID: m.id, MD5OfBody: md5OfText(m.body), MD5OfAttributes: md5OfAttributes(m.attributes),
		MD5OfSystemAttributes: md5OfAttributes(out.MessageSystemAttributes),
	}, nil
}

type receiveInput struct {
	QueueURL                    string   `json:"QueueUrl"`
	MaxNumberOfMessages         *int     `json:"MaxNumberOfMessages"`
	VisibilityTimeout           *int     `json:"VisibilityTimeout"`
	WaitTimeSeconds             *int     `json:"WaitTimeSeconds"`
	AttributeNames              []string `json:"AttributeNames"`
	MessageSystemAttributeNames []string `json:"MessageSystemAttributeNames"`
	MessageAttributeNames       []string `json:"MessageAttributeNames"`
}

func (in receiveInput) check() error {
	switch {
	case outside(in.MaxNumberOfMessages, 1, 10):
		return invalidParameter("Value %d for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, "+
			"if provided.", *in.MaxNumberOfMessages)
	case outside(in.WaitTimeSeconds, 0, 20):
		return invalidParameter("Value %d for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if "+
			"provided.", *in.WaitTimeSeconds)
	}
	for _, name := range in.systemAttributes() {
		if name != "All" && !slices.Contains(systemAttributeNames(), name) {
			return invalidAttributeName(name)
		}
	}
	return checkVisibility(in.VisibilityTimeout)
}

func (in receiveInput) systemAttributes() []string {
	return slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames)
}

func checkVisibility(timeout *int) error {
	if outside(timeout, 0, int(maxVisibility.Seconds())) {
		return invalidParameter("Value %d for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an "+
			"integer between 0 and 43200.", *timeout)
	}
	return nil
}

type received struct {
	MessageID         string               `json:"MessageId"`
	ReceiptHandle     string               `json:"ReceiptHandle"`
	MD5OfBody         string               `json:"MD5OfBody"`
	Body              string               `json:"Body"`
	Attributes        map[string]string    `json:"Attributes,omitempty"`
	MD5OfAttributes   string               `json:"MD5OfMessageAttributes,omitempty"`
	MessageAttributes map[string]Attribute `json:"MessageAttributes,omitempty"`
}

type receiveOutput struct {
	Messages []received `json:"Messages,omitempty"`
}

// receiveMessage waits for messages for the request's waiting time, or else the queue's. It returns none to a caller that has
// left: they would be hidden from everybody without being received.
func (e *Engine) receiveMessage(ctx context.Context, in receiveInput) (receiveOutput, error) {
	if err := in.check(); err != nil {
		return receiveOutput{}, err
	}
	var wait *waiting
	for {
		look, err := e.look(ctx, in)
		if err != nil {
			return receiveOutput{}, err
		}
		if wait == nil {
			wait = newWaiting(look.now, seconds(in.WaitTimeSeconds, look.wait))
			defer wait.stop()
		}
		if len(look.messages) > 0 || !wait.more(ctx, look) {
			return receiveOutput{Messages: look.messages}, nil
		}
	}
}

// look is the result of one attempt to receive, with the data needed to wait for the next attempt.
type look struct {
	now      time.Time
	wait     time.Duration // the queue's own waiting time
	messages []received
	changed  <-chan struct{} // taken before the look, so that no change is missed
	until    time.Duration   // time until a hidden message becomes visible
	pending  bool            // whether there is a hidden message
}

func (e *Engine) look(ctx context.Context, in receiveInput) (look, error) {
	changed := e.Changed() // before the clock is read: it may be moved, and Wake called, before the lock is taken
	now := e.lock()
	defer e.mu.Unlock()
	q, err := e.byURL(in.QueueURL)
	if err != nil {
		return look{}, err
	}
	l := look{now: now, wait: q.settings.wait, changed: changed}
	if ctx.Err() == nil {
		limit := 1
		if in.MaxNumberOfMessages != nil {
			limit = *in.MaxNumberOfMessages
		}
		for _, m := range e.take(q, now, limit, seconds(in.VisibilityTimeout, q.settings.visibility)) {
			l.messages = append(l.messages, m.received(in))
		}
	}
	l.until, l.pending = q.untilVisible(now)
	if e.moving() {
		l.until, l.pending = min(time.Second, cmp.Or(l.until, time.Second)), true
	}
	return l, nil
}

// waiting is a long poll's waiting time. It ends by the engine's clock, and at the latest by the wall clock.
type waiting struct {
	deadline time.Time
	wall     *time.Timer
}

func newWaiting(now time.Time, d time.Duration) *waiting {
	return &waiting{deadline: now.Add(d), wall: time.NewTimer(d)}
}

func (w *waiting) stop() { w.wall.Stop() }

// more waits until another look may find a message. It returns false when the waiting time is over.
func (w *waiting) more(ctx context.Context, l look) bool {
	if ctx.Err() != nil || !l.now.Before(w.deadline) {
		return false
	}
	var due <-chan time.Time
	if l.pending {
		timer := time.NewTimer(max(l.until, time.Millisecond))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-l.changed:
		return true
	case <-due:
		return true
	case <-w.wall.C:
		return false
	case <-ctx.Done():
		return false
	}
}

func (m *message) received(in receiveInput) received {
	attributes := selectAttributes(m.attributes, in.MessageAttributeNames)
	return received{
		MessageID: m.id, ReceiptHandle: m.handle, Body: m.body, MD5OfBody: md5OfText(m.body),
		Attributes:        m.systemAttributes(in.systemAttributes()),
		MessageAttributes: attributes, MD5OfAttributes: md5OfAttributes(attributes),
	}
}

// systemAttributeNames are the names that SQS knows; the last three belong to FIFO queues and are never returned.
func systemAttributeNames() []string {
	return []string{
		"SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp", traceHeader,
		"DeadLetterQueueSourceArn", "SequenceNumber", "MessageDeduplicationId", "MessageGroupId",
	}
}

func (m *message) systemAttributes(wanted []string) map[string]string {
	all := map[string]string{
		"SenderId":                         AccountID,
		"SentTimestamp":                    milliseconds(m.sentAt),
		"ApproximateReceiveCount":          strconv.Itoa(m.receives),
		"ApproximateFirstReceiveTimestamp": milliseconds(m.firstReceivedAt),
	}
	if m.traceHeader != "" {
		all[traceHeader] = m.traceHeader
	}
	if m.source != "" {
		all["DeadLetterQueueSourceArn"] = ARN(m.source)
	}
	if slices.Contains(wanted, "All") {
		return all
	}
	selected := map[string]string{}
	for _, name := range wanted {
		if value, ok := all[name]; ok {
			selected[name] = value
		}
	}
	return selected
}

func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

type empty struct{}

type deleteInput struct {
	QueueURL      string `json:"QueueUrl"`
	ReceiptHandle string `json:"ReceiptHandle"`
}

func (e *Engine) deleteMessage(in deleteInput) (empty, error) {
	e.lock()
	defer e.mu.Unlock()
	q, err := e.byURL(in.QueueURL)
	if err != nil {
		return empty{}, err
	}
	defer e.notify()
	return empty{}, q.remove(in.ReceiptHandle)
}

type visibilityInput struct {
	QueueURL          string `json:"QueueUrl"`
	ReceiptHandle     string `json:"ReceiptHandle"`
	VisibilityTimeout *int   `json:"VisibilityTimeout"`
}

func (e *Engine) changeMessageVisibility(in visibilityInput) (empty, error) {
	now := e.lock()
	defer e.mu.Unlock()
	q, err := e.byURL(in.QueueURL)
	if err != nil {
		return empty{}, err
	}
	defer e.notify()
	return empty{}, q.changeVisibility(in.ReceiptHandle, in.VisibilityTimeout, now)
}

func (q *queue) changeVisibility(handle string, timeout *int, now time.Time) error {
	if timeout == nil {
		return missingParameter("VisibilityTimeout")
	}
	if err := checkVisibility(timeout); err != nil {
		return err
	}
	return q.hide(handle, seconds(timeout, 0), now)
}
