package sam

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Queue is an SQS queue of a stack.
type Queue struct {
	LogicalID         string
	Name              string
	VisibilityTimeout time.Duration
	Delay             time.Duration
	RetentionPeriod   time.Duration
	DeadLetterQueue   string // name of the dead-letter queue; empty if there is none
	MaxReceiveCount   int    // receives after which a message becomes a dead letter
}

// The defaults of SQS and Lambda.
const (
	defaultVisibilitySeconds = 30
	defaultRetentionSeconds  = 4 * 24 * 60 * 60
	defaultBatchSize         = 10
	defaultTimeoutSeconds    = 3
)

// queueProperties are the properties of a queue that affect the delivery of messages. A number may be a text, because it may
// come from a parameter.
type queueProperties struct {
	QueueName                                               string
	VisibilityTimeout, DelaySeconds, MessageRetentionPeriod any
	RedrivePolicy                                           struct {
		DeadLetterTargetARN string `json:"deadLetterTargetArn"`
		MaxReceiveCount     any    `json:"maxReceiveCount"`
	}
}

// Queues returns the queues of a stack with the given name, by logical id.
func (t *Definition) Queues(stackName string) ([]Queue, error) {
	resources, err := t.Resources(queueType, stackName)
	if err != nil {
		return nil, err
	}
	queues := make([]Queue, len(resources))
	deadLetters := make([]string, len(resources)) // ARNs of the dead-letter queues
	for i, resource := range resources {
		if queues[i], deadLetters[i], err = newQueue(resource); err != nil {
			return nil, fmt.Errorf("queue %s: %w", resource.LogicalID, err)
		}
	}
	for i, arn := range deadLetters {
		if arn == "" {
			continue
		}
		target, err := queueOf(queues, arn)
		if err != nil {
			return nil, fmt.Errorf("queue %s: %w", queues[i].LogicalID, err)
		}
		queues[i].DeadLetterQueue = target.Name
	}
	return queues, nil
}

func newQueue(resource Resource) (q Queue, deadLetterARN string, err error) {
	var properties queueProperties
	if err := resource.Decode(&properties); err != nil {
		return Queue{}, "", err
	}
	q = Queue{LogicalID: resource.LogicalID, Name: properties.QueueName}
	if q.Name == "" {
		return Queue{}, "", errors.New("its QueueName is missing")
	}
	var n numbers
	q.VisibilityTimeout = n.seconds(properties.VisibilityTimeout, defaultVisibilitySeconds)
	q.Delay = n.seconds(properties.DelaySeconds, 0)
	q.RetentionPeriod = n.seconds(properties.MessageRetentionPeriod, defaultRetentionSeconds)
	q.MaxReceiveCount = n.integer(properties.RedrivePolicy.MaxReceiveCount, 0)
	return q, properties.RedrivePolicy.DeadLetterTargetARN, errors.Join(n.faults...)
}

// queueOf returns the queue that !GetAtt Queue.Arn refers to.
func queueOf(queues []Queue, arn string) (Queue, error) {
	i := slices.IndexFunc(queues, func(q Queue) bool { return arn == symbol(q.LogicalID+".Arn") })
	if i < 0 {
		return Queue{}, fmt.Errorf("no queue of the template has the ARN %s", arn)
	}
	return queues[i], nil
}

// EventSource is a queue that Lambda reads for a function.
type EventSource struct {
	FunctionID              string // the function's logical id
	FunctionTimeout         time.Duration
	Queue                   Queue
	BatchSize               int
	MaximumBatchingWindow   time.Duration
	MaximumConcurrency      int // zero if there is no limit
	ReportBatchItemFailures bool
}

// functionEvents are the properties of a function that define its events.
type functionEvents struct {
	Timeout any
	Events  map[string]struct {
		Type       string
		Properties struct {
			Queue                                     string
			BatchSize, MaximumBatchingWindowInSeconds any
			FunctionResponseTypes                     []string
			ScalingConfig                             struct{ MaximumConcurrency any }
		}
	}
}

// EventSources returns the event sources of a stack with the given name, by their functions' logical ids and then by their
// own names.
func (t *Definition) EventSources(stackName string) ([]EventSource, error) {
	queues, err := t.Queues(stackName)
	if err != nil {
		return nil, err
	}
	functions, err := t.Resources(functionType, stackName)
	if err != nil {
		return nil, err
	}
	var sources []EventSource
	for _, function := range functions {
		own, err := eventSources(function, queues)
		if err != nil {
			return nil, fmt.Errorf("function %s: %w", function.LogicalID, err)
		}
		sources = append(sources, own...)
	}
	return sources, nil
}

func eventSources(function Resource, queues []Queue) ([]EventSource, error) {
	var properties functionEvents
	if err := function.Decode(&properties); err != nil {
		return nil, err
	}
	var sources []EventSource
	for _, name := range slices.Sorted(maps.Keys(properties.Events)) {
		event := properties.Events[name]
		if event.Type != "SQS" {
			continue
		}
		queue, err := queueOf(queues, event.Properties.Queue)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", name, err)
		}
		var n numbers
		sources = append(sources, EventSource{
			FunctionID:              function.LogicalID,
			FunctionTimeout:         n.seconds(properties.Timeout, defaultTimeoutSeconds),
			Queue:                   queue,
			BatchSize:               n.integer(event.Properties.BatchSize, defaultBatchSize),
			MaximumBatchingWindow:   n.seconds(event.Properties.MaximumBatchingWindowInSeconds, 0),
			MaximumConcurrency:      n.integer(event.Properties.ScalingConfig.MaximumConcurrency, 0),
			ReportBatchItemFailures: slices.Contains(event.Properties.FunctionResponseTypes, "ReportBatchItemFailures"),
		})
		if len(n.faults) > 0 {
			return nil, fmt.Errorf("event %s: %w", name, errors.Join(n.faults...))
		}
	}
	return sources, nil
}

// numbers parses numbers and collects the faults.
type numbers struct{ faults []error }

// integer parses a number; if template.yaml has none, it returns fallback.
func (n *numbers) integer(value any, fallback int) int {
	if value == nil {
		return fallback
	}
	read, err := integer(value)
	if err != nil {
		n.faults = append(n.faults, err)
	}
	return read
}

func (n *numbers) seconds(value any, fallback int) time.Duration {
	return time.Duration(n.integer(value, fallback)) * time.Second
}
