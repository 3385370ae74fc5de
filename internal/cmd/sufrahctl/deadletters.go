package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/sqsqueue"
)

type dlqCommand struct {
	List    listDeadLetters    `cmd:"" help:"List dead letters (bootstrap jobs that were given up) with their reasons and ages, and the effect of a redrive on each. The list changes nothing."`
	Delete  deleteDeadLetter   `cmd:"" help:"Delete a dead letter for good, such as a job that can't succeed."`
	Redrive redriveDeadLetters `cmd:"" help:"Send jobs back to the bootstrap queue, each with all its attempts. The worker drops a job older than --max-age-ms as late. Messages that are no jobs stay."`
}

// queueName returns the name of a stack's bootstrap queue in template.yaml; deadLetterQueueName returns that of its
// dead-letter queue.
func queueName(stack string) string           { return stack + "-bootstrap" }
func deadLetterQueueName(stack string) string { return stack + "-bootstrap-dead-letters" }

// deadLetters returns the stack's dead letters.
func (s *session) deadLetters() (*sqsqueue.DeadLetters, error) {
	if s.sqs == nil {
		return nil, errors.New("--sqs-endpoint is missing: with --endpoint, the queues must be local too")
	}
	urls := make([]string, 2)
	for i, name := range []string{queueName(s.stack), deadLetterQueueName(s.stack)} {
		found, err := s.sqs.GetQueueUrl(s.ctx, &sqs.GetQueueUrlInput{QueueName: &name})
		if missing := new(types.QueueDoesNotExist); errors.As(err, &missing) {
			return nil, fmt.Errorf("there is no queue %q here: check --stack, and the AWS account and region or --sqs-endpoint", name)
		}
		if err != nil {
			return nil, fmt.Errorf("looking up queue %s: %w", name, err)
		}
		urls[i] = *found.QueueUrl
	}
	return sqsqueue.NewDeadLetters(s.sqs, urls[0], urls[1]), nil
}

// defaultMaxAge is the default of the stack's parameter BootstrapMaxAgeMs.
const defaultMaxAge = 10 * time.Minute

// ageFlag is the stack's parameter that decides which jobs are late.
type ageFlag struct {
	MaxAgeMs int64 `name:"max-age-ms" help:"The stack's parameter BootstrapMaxAgeMs. The worker runs a job up to this age, counted in milliseconds from the customer's welcome to the job's turn. It drops an older job as late, because that customer's menu was fetched on demand." env:"BOOTSTRAP_MAX_AGE_MS" default:"${maxAge}"`
}

// Validate is called by kong.
func (f ageFlag) Validate() error {
	if f.MaxAgeMs < 1 {
		return errors.New("--max-age-ms must be 1 or more")
	}
	return nil
}

func (f ageFlag) maxAge() time.Duration { return time.Duration(f.MaxAgeMs) * time.Millisecond }

// effect is the effect of a redrive on a dead letter.
type effect string

const (
	runs  effect = "run"
	drops effect = "drop" // the job is late
	stays effect = "stay" // the letter is no job
)

// String returns the effect as a table shows it.
func (e effect) String() string {
	switch e {
	case drops:
		return "dropped: late"
	case stays:
		return "stays: no job"
	}
	return "run"
}

// examine returns the job of a letter (nil if it is none), and the effect of a redrive at now.
func (f ageFlag) examine(letter sqsqueue.DeadLetter, now time.Time) (*bootstrap.Job, effect) {
	job, err := bootstrap.ParseJob([]byte(letter.Body))
	switch {
	case err != nil:
		return nil, stays
	case job.Late(now, f.maxAge()):
		return &job, drops
	}
	return &job, runs
}

// age is a job's age as a table shows it.
func age(job *bootstrap.Job, now time.Time) string { return span(job.Age(now).Round(time.Second)) }

// span shows a duration without seconds that are zero: 10m, not 10m0s.
func span(d time.Duration) string {
	if short, whole := strings.CutSuffix(d.String(), "m0s"); whole {
		return short + "m"
	}
	return d.String()
}

// ageMs is a job's age in JSON.
func ageMs(job *bootstrap.Job, now time.Time) *int64 {
	ms := job.Age(now).Milliseconds()
	return &ms
}

type listDeadLetters struct {
	Limit int     `help:"Number of dead letters to show." default:"100"`
	Age   ageFlag `embed:""`
}

// unexplained is the reason of a letter that SQS moved by itself. The cause is in the worker's log.
const unexplained = "every attempt failed; the saved query what-happened-to-a-welcome shows the cause by the job's id"

// recipient matches customers' numbers and user ids in a body that isn't a job.
var recipient = regexp.MustCompile(`\+?\d{8,15}\b|\b[A-Z]{2}\.[A-Za-z0-9]{6,128}\b`)

// shownDeadLetter is a dead letter in JSON. If the body isn't a job, Job is missing and the body is shown unchanged.
// Customers are masked, as in logs.
type shownDeadLetter struct {
	ID      string         `json:"id"`
	Reason  string         `json:"reason"`
	SentAt  *string        `json:"sentAt"`
	AgeMs   *int64         `json:"ageMs,omitempty"` // of the job, since the welcome
	Redrive effect         `json:"redrive"`
	Job     *bootstrap.Job `json:"job,omitempty"`
	Body    string         `json:"body,omitempty"`
}

func (c *listDeadLetters) Run(s *session) error {
	if c.Limit < 1 {
		return errors.New("--limit must be 1 or more")
	}
	queue, err := s.deadLetters()
	if err != nil {
		return err
	}
	letters, err := queue.List(s.ctx, c.Limit)
	if err != nil {
		return err
	}
	results := make([]shownDeadLetter, len(letters))
	rows := make([][]string, len(letters))
	now := s.now()
	for i, letter := range letters {
		job, effect := c.Age.examine(letter, now)
		r := shownDeadLetter{ID: letter.MessageID, Reason: letter.Reason, SentAt: jsonTime(letter.SentAt), Redrive: effect, Job: job}
		if r.Reason == "" {
			r.Reason = unexplained
		}
		rows[i] = []string{r.ID, date(letter.SentAt, ""), "", effect.String(), "", "", "", "", r.Reason}
		if job != nil {
			job.CustomerWa = logging.MaskCustomer(job.CustomerWa)
			r.AgeMs, rows[i][2] = ageMs(job, now), age(job, now)
			copy(rows[i][4:], []string{job.JobID, job.RestaurantID, job.MerchantID, job.CustomerWa})
		} else {
			r.Body = recipient.ReplaceAllStringFunc(letter.Body, logging.MaskCustomer)
		}
		results[i] = r
	}
	return s.out.result(results, func(w io.Writer) {
		table(w, []string{"ID", "SENT", "AGE", "REDRIVE", "JOB", "RESTAURANT", "MERCHANT", "CUSTOMER", "REASON"}, rows)
		fmt.Fprintf(w, "%s\n", plural(len(rows), "dead letter"))
		if len(rows) > 0 {
			fmt.Fprintf(w, "After a redrive the worker runs jobs up to %s old, and drops older jobs as late.\n", span(c.Age.maxAge()))
		}
	})
}

type deleteDeadLetter struct {
	ID string `arg:"" name:"message-id" help:"Id of the dead letter, as shown by list."`
}

func (c *deleteDeadLetter) Run(s *session) error {
	queue, err := s.deadLetters()
	if err != nil {
		return err
	}
	if err := queue.Delete(s.ctx, c.ID); err != nil {
		return err
	}
	return s.out.result(map[string]string{"deleted": c.ID}, func(w io.Writer) { fmt.Fprintln(w, "The dead letter is deleted.") })
}

type redriveDeadLetters struct {
	Age ageFlag `embed:""`
}

// redrivenLetter is a dead letter of a redrive in JSON.
type redrivenLetter struct {
	ID         string `json:"id"`
	JobID      string `json:"jobId,omitempty"`
	MerchantID string `json:"merchantId,omitempty"`
	AgeMs      *int64 `json:"ageMs,omitempty"`
	Redrive    effect `json:"redrive"`
}

// redriveResult is the result of a redrive in JSON.
type redriveResult struct {
	Moved   int              `json:"moved"`
	Late    int              `json:"late"` // moved too, and dropped by the worker
	Stay    int              `json:"stay"`
	Letters []redrivenLetter `json:"letters"`
}

func (c *redriveDeadLetters) Run(s *session) error {
	queue, err := s.deadLetters()
	if err != nil {
		return err
	}
	result := redriveResult{Letters: []redrivenLetter{}}
	var rows [][]string
	result.Moved, result.Stay, err = queue.Redrive(s.ctx, func(letter sqsqueue.DeadLetter) bool {
		now := s.now()
		job, effect := c.Age.examine(letter, now)
		shown, row := redrivenLetter{ID: letter.MessageID, Redrive: effect}, []string{letter.MessageID, "", effect.String(), "", ""}
		if job != nil {
			shown.JobID, shown.MerchantID, shown.AgeMs = job.JobID, job.MerchantID, ageMs(job, now)
			row[1], row[3], row[4] = age(job, now), job.JobID, job.MerchantID
		}
		if effect == drops {
			result.Late++
		}
		result.Letters, rows = append(result.Letters, shown), append(rows, row)
		return effect != stays
	})
	if err != nil {
		return fmt.Errorf("%s sent back to the queue, then: %w", plural(result.Moved, "dead letter"), err)
	}
	return s.out.result(result, func(w io.Writer) {
		if len(rows) > 0 {
			table(w, []string{"ID", "AGE", "REDRIVE", "JOB", "MERCHANT"}, rows)
		}
		fmt.Fprintf(w, "%s sent back to the queue.\n", plural(result.Moved, "dead letter"))
		if result.Late > 0 {
			fmt.Fprintf(w, "%s older than %s will be dropped by the worker as late, without being run.\n", plural(result.Late, "job"), span(c.Age.maxAge()))
		}
		if result.Stay > 0 {
			fmt.Fprintf(w, "%s not sent back: not a bootstrap job. dlq list shows the reason, dlq delete removes a letter.\n", plural(result.Stay, "dead letter"))
		}
	})
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
