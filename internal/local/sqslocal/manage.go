package sqslocal

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// purgePause is how long after a purge another purge is refused.
const purgePause = time.Minute

// maxListed is the most queues on a page of ListQueues.
const maxListed = 1000

var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

type createQueueInput struct {
	QueueName  string            `json:"QueueName"`
	Attributes map[string]string `json:"Attributes"`
}

type queueURLOutput struct {
	QueueURL string `json:"QueueUrl"`
}

// createQueue creates a queue, or finds the existing queue with that name and the given attributes.
func (e *Engine) createQueue(in createQueueInput, at func(string) string) (queueURLOutput, error) {
	now := e.lock()
	defer e.mu.Unlock()
	switch {
	case in.QueueName == "":
		return queueURLOutput{}, missingParameter("QueueName")
	case strings.HasSuffix(in.QueueName, ".fifo"):
		return queueURLOutput{}, errUnsupportedFIFO
	case !queueName.MatchString(in.QueueName):
		return queueURLOutput{}, invalidParameter("Can only include alphanumeric characters, hyphens, or underscores. " +
			"1 to 80 in length")
	}
	existing, exists := e.queues[in.QueueName]
	base := defaultSettings()
	if exists {
		base = existing.settings
	}
	wanted, err := e.applyAttributes(base, in.Attributes)
	if err != nil {
		return queueURLOutput{}, err
	}
	if exists && wanted != existing.settings {
		return queueURLOutput{}, errQueueNameExists
	}
	if !exists {
		e.queues[in.QueueName] = newQueue(in.QueueName, wanted, now)
	}
	return queueURLOutput{at(in.QueueName)}, nil
}

// applyAttributes returns the settings after the attributes of a CreateQueue request are applied. The lock must be held.
func (e *Engine) applyAttributes(s settings, attributes map[string]string) (settings, error) {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if name == "RedrivePolicy" {
			policy, err := e.parseRedrive(attributes[name])
			if err != nil {
				return settings{}, err
			}
			s.redrive = policy
			continue
		}
		if err := s.applyNumber(name, attributes[name]); err != nil {
			return settings{}, err
		}
	}
	return s, nil
}

func (s *settings) applyNumber(name, value string) error {
	n, err := strconv.Atoi(value)
	in := func(low, high int) bool { return err == nil && n >= low && n <= high }
	d := time.Duration(n) * time.Second
	switch {
	case name == "VisibilityTimeout" && in(0, 43200):
		s.visibility = d
	case name == "DelaySeconds" && in(0, 900):
		s.delay = d
	case name == "MessageRetentionPeriod" && in(60, 1209600):
		s.retention = d
	case name == "ReceiveMessageWaitTimeSeconds" && in(0, 20):
		s.wait = d
	case name == "MaximumMessageSize" && in(1024, maxMessageBytes):
		s.maxBytes = n
	case slices.Contains(queueAttributeNames(), name):
		return invalidAttributeValue(name)
	default:
		return invalidAttributeName(name)
	}
	return nil
}

type redrivePolicy struct {
	DeadLetterTargetARN string      `json:"deadLetterTargetArn"`
	MaxReceiveCount     json.Number `json:"maxReceiveCount"`
}

func (e *Engine) parseRedrive(text string) (redrive, error) {
	if text == "" {
		return redrive{}, nil
	}
	var policy redrivePolicy
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return redrive{}, invalidAttributeValue("RedrivePolicy")
	}
	n, err := strconv.Atoi(policy.MaxReceiveCount.String())
	if err != nil || n < 1 || n > 1000 {
		return redrive{}, invalidParameter("Value %s for parameter RedrivePolicy is invalid. Reason: Invalid value for "+
			"maxReceiveCount: %s, valid values are from 1 to 1000 both inclusive.", text, policy.MaxReceiveCount)
	}
	target, ok := e.byARN(policy.DeadLetterTargetARN)
	if !ok {
		return redrive{}, invalidParameter("Value %s for parameter RedrivePolicy is invalid. Reason: Dead letter target "+
			"does not exist.", text)
	}
	return redrive{queue: target.name, maxReceives: n}, nil
}

// byARN returns the queue with an ARN. The lock must be held.
func (e *Engine) byARN(arn string) (*queue, bool) {
	q, ok := e.queues[arn[strings.LastIndexByte(arn, ':')+1:]]
	return q, ok && ARN(q.name) == arn
}

type getQueueURLInput struct {
	QueueName string `json:"QueueName"`
}

func (e *Engine) getQueueURL(in getQueueURLInput, at func(string) string) (queueURLOutput, error) {
	e.lock()
	defer e.mu.Unlock()
	if _, ok := e.queues[in.QueueName]; !ok {
		return queueURLOutput{}, errQueueDoesNotExist
	}
	return queueURLOutput{at(in.QueueName)}, nil
}

type listQueuesInput struct {
	QueueNamePrefix string `json:"QueueNamePrefix"`
	MaxResults      *int   `json:"MaxResults"`
	NextToken       string `json:"NextToken"`
}

type listQueuesOutput struct {
	QueueURLs []string `json:"QueueUrls,omitempty"`
	NextToken string   `json:"NextToken,omitempty"`
}

// listQueues pages by name: the token is the last name on the previous page.
func (e *Engine) listQueues(in listQueuesInput, at func(string) string) (listQueuesOutput, error) {
	if outside(in.MaxResults, 1, maxListed) {
		return listQueuesOutput{}, invalidParameter("Value %d for parameter MaxResults is invalid. Reason: Must be between "+
			"1 and %d.", *in.MaxResults, maxListed)
	}
	limit := maxListed
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	e.lock()
	defer e.mu.Unlock()
	var out listQueuesOutput
	last := ""
	for _, name := range slices.Sorted(maps.Keys(e.queues)) {
		if !strings.HasPrefix(name, in.QueueNamePrefix) || name <= in.NextToken {
			continue
		}
		if len(out.QueueURLs) == limit {
			out.NextToken = last
			break
		}
		out.QueueURLs = append(out.QueueURLs, at(name))
		last = name
	}
	return out, nil
}

type queueAttributesInput struct {
	QueueURL       string   `json:"QueueUrl"`
	AttributeNames []string `json:"AttributeNames"`
}

type queueAttributesOutput struct {
	Attributes map[string]string `json:"Attributes,omitempty"`
}

func queueAttributeNames() []string {
	return []string{
		"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible",
		"CreatedTimestamp", "DelaySeconds", "LastModifiedTimestamp", "MaximumMessageSize", "MessageRetentionPeriod",
		"QueueArn", "ReceiveMessageWaitTimeSeconds", "RedrivePolicy", "VisibilityTimeout",
	}
}

func (e *Engine) getQueueAttributes(in queueAttributesInput) (queueAttributesOutput, error) {
	now := e.lock()
	defer e.mu.Unlock()
	q, err := e.byURL(in.QueueURL)
	if err != nil {
		return queueAttributesOutput{}, err
	}
	all := q.attributes(now)
	selected := map[string]string{}
	for _, name := range in.AttributeNames {
		switch {
		case name == "All":
			return queueAttributesOutput{all}, nil
		case !slices.Contains(queueAttributeNames(), name):
			return queueAttributesOutput{}, invalidAttributeName(name)
		}
		if value, ok := all[name]; ok {
			selected[name] = value
		}
	}
	return queueAttributesOutput{selected}, nil
}

func (q *queue) attributes(now time.Time) map[string]string {
	visible, delayed, inFlight := q.counts(now)
	inSeconds := func(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
	created := strconv.FormatInt(q.created.Unix(), 10)
	all := map[string]string{
		"ApproximateNumberOfMessages":           strconv.Itoa(visible),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(delayed),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(inFlight),
		"CreatedTimestamp":                      created,
		"LastModifiedTimestamp":                 created,
		"DelaySeconds":                          inSeconds(q.settings.delay),
		"MaximumMessageSize":                    strconv.Itoa(q.settings.maxBytes),
		"MessageRetentionPeriod":                inSeconds(q.settings.retention),
		"QueueArn":                              ARN(q.name),
		"ReceiveMessageWaitTimeSeconds":         inSeconds(q.settings.wait),
		"VisibilityTimeout":                     inSeconds(q.settings.visibility),
	}
	if r := q.settings.redrive; r.queue != "" {
		all["RedrivePolicy"] = `{"deadLetterTargetArn":"` + ARN(r.queue) + `","maxReceiveCount":` +
			strconv.Itoa(r.maxReceives) + `}`
	}
	return all
}

type purgeInput struct {
	QueueURL string `json:"QueueUrl"`
}

func (e *Engine) purgeQueue(in purgeInput) (empty, error) {
	now := e.lock()
	defer e.mu.Unlock()
	q, err := e.byURL(in.QueueURL)
	if err != nil {
		return empty{}, err
	}
	if !q.purged.IsZero() && now.Before(q.purged.Add(purgePause)) {
		return empty{}, errPurgeInProgress
	}
	q.purged = now
	q.clear()
	e.notify()
	return empty{}, nil
}
