package sqslocal

import (
	"encoding/base64"
	"strings"
	"time"
)

// The states of a move task. Only a running task can be canceled, and only a running task has a handle.
const (
	taskRunning   = "RUNNING"
	taskCompleted = "COMPLETED"
	taskCanceled  = "CANCELLED"
	taskFailed    = "FAILED"
)

// moveTask redrives a dead-letter queue. It advances whenever an operation looks at the engine, as far as the clock allows by
// then.
type moveTask struct {
	handle      string
	source      *queue
	destination *queue // nil: each message returns to its original queue
	rate        int    // messages a second; 0 moves all at once
	started     time.Time
	moved       int
	toMove      int
	status      string
	failure     string
}

// moving reports whether a task runs: then messages can come as time passes. The lock must be held.
func (e *Engine) moving() bool {
	for _, t := range e.tasks {
		if t.status == taskRunning {
			return true
		}
	}
	return false
}

// advance moves as many messages as the task's rate allows by now, and reports whether it moved any. The lock must be held.
func (e *Engine) advance(t *moveTask, now time.Time) bool {
	before := t.moved
	for t.status == taskRunning {
		m := t.source.nextVisible(now)
		switch {
		case t.moved == t.toMove, m == nil:
			t.status = taskCompleted
		case t.moved >= t.allowed(now):
			return t.moved > before
		default:
			e.move(t, m, now)
		}
	}
	return t.moved > before
}

func (t *moveTask) allowed(now time.Time) int {
	if t.rate == 0 {
		return t.toMove
	}
	return t.rate * (1 + int(now.Sub(t.started)/time.Second))
}

// move sends a dead letter on as a new message, with its id, age and receive count. A message that was sent directly to the
// dead-letter queue has no original queue: without a destination, it makes the task fail, as in SQS.
func (e *Engine) move(t *moveTask, m *message, now time.Time) {
	target := t.destination
	if target == nil {
		target = e.queues[m.source]
	}
	if target == nil {
		t.status, t.failure = taskFailed, "CouldNotDetermineMessageSource"
		return
	}
	t.source.drop(m)
	e.add(target, &message{
		id: newID(), body: m.body, attributes: m.attributes, traceHeader: m.traceHeader, sentAt: now, visibleAt: now,
	})
	t.moved++
}

type startMoveInput struct {
	SourceARN                    string `json:"SourceArn"`
	DestinationARN               string `json:"DestinationArn"`
	MaxNumberOfMessagesPerSecond *int   `json:"MaxNumberOfMessagesPerSecond"`
}

type taskHandle struct {
	TaskHandle string `json:"TaskHandle"`
}

func (e *Engine) startMessageMoveTask(in startMoveInput) (taskHandle, error) {
	now := e.lock()
	defer e.mu.Unlock()
	source, err := e.moveSource(in.SourceARN)
	if err != nil {
		return taskHandle{}, err
	}
	t := &moveTask{source: source, started: now, status: taskRunning}
	if in.DestinationARN != "" {
		destination, ok := e.byARN(in.DestinationARN)
		if !ok {
			return taskHandle{}, unknownResource("DestinationArn")
		}
		if destination == source {
			return taskHandle{}, invalidParameter("Source queue arn and destination queue arn cannot be the same.")
		}
		t.destination = destination
	}
	if in.MaxNumberOfMessagesPerSecond != nil {
		t.rate = *in.MaxNumberOfMessagesPerSecond
		if t.rate < 1 || t.rate > 500 {
			return taskHandle{}, invalidParameter("Value %d for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: "+
				"Must be between 1 and 500.", t.rate)
		}
	}
	for _, other := range e.tasks {
		if other.source == source && other.status == taskRunning {
			return taskHandle{}, invalidParameter("There is already a task running. Only one active task is allowed for a " +
				"source queue arn at a given time.")
		}
	}
	t.handle = base64.StdEncoding.EncodeToString([]byte(source.name + " " + newID()))
	t.toMove, _, _ = source.counts(now)
	e.tasks = append(e.tasks, t)
	e.advance(t, now)
	e.notify()
	return taskHandle{t.handle}, nil
}

func unknownResource(parameter string) error {
	return resourceNotFound("The resource that you specified for the " + parameter + " parameter doesn't exist.")
}

// moveSource returns the queue to redrive. It must be the dead-letter queue of some queue. The lock must be held.
func (e *Engine) moveSource(arn string) (*queue, error) {
	if arn == "" {
		return nil, missingParameter("SourceArn")
	}
	source, ok := e.byARN(arn)
	if !ok {
		return nil, unknownResource("SourceArn")
	}
	for _, q := range e.queues {
		if q.settings.redrive.queue == source.name {
			return source, nil
		}
	}
	return nil, invalidParameter("Source queue must be configured as a Dead Letter Queue.")
}

type listMovesInput struct {
	SourceARN  string `json:"SourceArn"`
	MaxResults *int   `json:"MaxResults"`
}

type listMovesOutput struct {
	Results []moveResult `json:"Results"`
}

type moveResult struct {
	TaskHandle                   string `json:"TaskHandle,omitempty"`
	Status                       string `json:"Status"`
	SourceARN                    string `json:"SourceArn"`
	DestinationARN               string `json:"DestinationArn,omitempty"`
	MaxNumberOfMessagesPerSecond int    `json:"MaxNumberOfMessagesPerSecond,omitempty"`
	Moved                        int    `json:"ApproximateNumberOfMessagesMoved"`
	ToMove                       int    `json:"ApproximateNumberOfMessagesToMove"`
	FailureReason                string `json:"FailureReason,omitempty"`
	StartedTimestamp             int64  `json:"StartedTimestamp"`
}

// listMessageMoveTasks returns the latest tasks, newest first: as many as the request asks for, or one.
func (e *Engine) listMessageMoveTasks(in listMovesInput) (listMovesOutput, error) {
	if outside(in.MaxResults, 1, 10) {
		return listMovesOutput{}, invalidParameter("Value %d for parameter MaxResults is invalid. Reason: Must be between "+
			"1 and 10.", *in.MaxResults)
	}
	limit := 1
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	e.lock()
	defer e.mu.Unlock()
	source, ok := e.byARN(in.SourceARN)
	if !ok {
		return listMovesOutput{}, unknownResource("SourceArn")
	}
	out := listMovesOutput{Results: []moveResult{}}
	for i := len(e.tasks) - 1; i >= 0 && len(out.Results) < limit; i-- {
		if t := e.tasks[i]; t.source == source {
			out.Results = append(out.Results, t.result())
		}
	}
	return out, nil
}

func (t *moveTask) result() moveResult {
	r := moveResult{
		Status: t.status, SourceARN: ARN(t.source.name), MaxNumberOfMessagesPerSecond: t.rate,
		Moved: t.moved, ToMove: t.toMove, FailureReason: t.failure, StartedTimestamp: t.started.UnixMilli(),
	}
	if t.status == taskRunning {
		r.TaskHandle = t.handle
	}
	if t.destination != nil {
		r.DestinationARN = ARN(t.destination.name)
	}
	return r
}

type cancelMoveOutput struct {
	Moved int `json:"ApproximateNumberOfMessagesMoved"`
}

func (e *Engine) cancelMessageMoveTask(in taskHandle) (cancelMoveOutput, error) {
	e.lock()
	defer e.mu.Unlock()
	if strings.TrimSpace(in.TaskHandle) == "" {
		return cancelMoveOutput{}, missingParameter("TaskHandle")
	}
	for _, t := range e.tasks {
		if t.handle != in.TaskHandle {
			continue
		}
		if t.status != taskRunning {
			return cancelMoveOutput{}, invalidParameter("Only active tasks can be cancelled.")
		}
		t.status = taskCanceled
		return cancelMoveOutput{t.moved}, nil
	}
	return cancelMoveOutput{}, resourceNotFound("Task does not exist.")
}
