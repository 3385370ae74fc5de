package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/sqsqueue"
)

type dlqCommand struct {
	List    listDeadLetters    `cmd:"" help:"List dead letters (bootstrap jobs that were given up) with their reasons. The list changes nothing."`
	Delete  deleteDeadLetter   `cmd:"" help:"Delete a dead letter for good, such as a job that can't succeed."`
	Redrive redriveDeadLetters `cmd:"" help:"Send jobs back to the bootstrap queue, each with all its attempts. Messages that are no jobs stay."`
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

type listDeadLetters struct {
	Limit int `help:"Number of dead letters to show." default:"100"`
}

// unexplained is the reason of a letter that SQS moved by itself. The cause is in the worker's log.
const unexplained = "every attempt failed; the saved query what-happened-to-a-welcome shows the cause by the job's id"

// recipient matches customers' numbers and user ids in a body that isn't a job.
var recipient = regexp.MustCompile(`\+?\d{8,15}\b|\b[A-Z]{2}\.[A-Za-z0-9]{6,128}\b`)

// shownDeadLetter is a dead letter in JSON. If the body isn't a job, Job is missing and the body is shown unchanged.
// Customers are masked, as in logs.
type shownDeadLetter struct {
	ID     string         `json:"id"`
	Reason string         `json:"reason"`
	SentAt *string        `json:"sentAt"`
	Job    *bootstrap.Job `json:"job,omitempty"`
	Body   string         `json:"body,omitempty"`
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
	for i, letter := range letters {
		r := shownDeadLetter{ID: letter.MessageID, Reason: letter.Reason, SentAt: jsonTime(letter.SentAt)}
		if r.Reason == "" {
			r.Reason = unexplained
		}
		rows[i] = []string{r.ID, date(letter.SentAt, ""), "", "", "", "", r.Reason}
		if job, err := bootstrap.ParseJob([]byte(letter.Body)); err == nil {
			job.CustomerWa = logging.MaskCustomer(job.CustomerWa)
			r.Job = &job
			copy(rows[i][2:], []string{job.JobID, job.RestaurantID, job.MerchantID, job.CustomerWa})
		} else {
			r.Body = recipient.ReplaceAllStringFunc(letter.Body, logging.MaskCustomer)
		}
		results[i] = r
	}
	return s.out.result(results, func(w io.Writer) {
		table(w, []string{"ID", "SENT", "JOB", "RESTAURANT", "MERCHANT", "CUSTOMER", "REASON"}, rows)
		fmt.Fprintf(w, "%s\n", plural(len(rows), "dead letter"))
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

type redriveDeadLetters struct{}

func (*redriveDeadLetters) Run(s *session) error {
	queue, err := s.deadLetters()
	if err != nil {
		return err
	}
	moved, stay, err := queue.Redrive(s.ctx, func(body string) bool {
		_, err := bootstrap.ParseJob([]byte(body))
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("%s sent back to the queue, then: %w", plural(moved, "dead letter"), err)
	}
	return s.out.result(map[string]int{"moved": moved, "stay": stay}, func(w io.Writer) {
		fmt.Fprintf(w, "%s sent back to the queue.\n", plural(moved, "dead letter"))
		if stay > 0 {
			fmt.Fprintf(w, "%s not sent back: not a bootstrap job. dlq list shows the reason, dlq delete removes a letter.\n", plural(stay, "dead letter"))
		}
	})
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
