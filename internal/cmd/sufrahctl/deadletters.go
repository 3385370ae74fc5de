package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/sqsqueue"
)

type dlqCommand struct {
	List    listDeadLetters    `cmd:"" help:"List bootstrap jobs that were given up, with why. They stay where they are."`
	Delete  deleteDeadLetter   `cmd:"" help:"Delete one for good, such as a job that could only fail again."`
	Redrive redriveDeadLetters `cmd:"" help:"Send them all back to the bootstrap queue, each with all its attempts."`
}

// queueName returns the name that template.yaml gives a stack's bootstrap queue, and deadLetterQueueName that of its
// dead-letter queue.
func queueName(stack string) string           { return stack + "-bootstrap" }
func deadLetterQueueName(stack string) string { return stack + "-bootstrap-dead-letters" }

// deadLetters returns the stack's dead letters.
func (s *session) deadLetters() (*sqsqueue.DeadLetters, error) {
	if s.sqs == nil {
		return nil, errors.New("--sqs-endpoint is missing: a local stack's tables don't go with another stack's queues")
	}
	urls := make([]string, 2)
	for i, name := range []string{queueName(s.stack), deadLetterQueueName(s.stack)} {
		found, err := s.sqs.GetQueueUrl(s.ctx, &sqs.GetQueueUrlInput{QueueName: &name})
		if missing := new(types.QueueDoesNotExist); errors.As(err, &missing) {
			return nil, fmt.Errorf("there is no queue %q here: is the stack's name right, and the account or endpoint?", name)
		}
		if err != nil {
			return nil, fmt.Errorf("looking up queue %s: %w", name, err)
		}
		urls[i] = *found.QueueUrl
	}
	return sqsqueue.NewDeadLetters(s.sqs, urls[0], urls[1]), nil
}

type listDeadLetters struct {
	Limit int `help:"How many to show at most." default:"100"`
}

// shownDeadLetter is a dead letter in JSON. Job is missing where the body is no job, which is then shown as it is.
type shownDeadLetter struct {
	ID     string         `json:"id"`
	Reason string         `json:"reason"`
	SentAt *string        `json:"sentAt"`
	Job    *bootstrap.Job `json:"job,omitempty"`
	Body   string         `json:"body,omitempty"`
}

func (c *listDeadLetters) Run(s *session) error {
	if c.Limit < 1 {
		return errors.New("--limit starts at 1")
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
			r.Reason = "failed as often as the queue allows"
		}
		rows[i] = []string{r.ID, date(letter.SentAt, ""), "", "", "", r.Reason}
		if job, err := bootstrap.ParseJob([]byte(letter.Body)); err == nil {
			r.Job = &job
			rows[i][2], rows[i][3], rows[i][4] = job.RestaurantID, job.MerchantID, logging.MaskCustomer(job.CustomerWa)
		} else {
			r.Body = letter.Body
		}
		results[i] = r
	}
	return s.out.result(results, func(w io.Writer) {
		table(w, []string{"ID", "SENT", "RESTAURANT", "MERCHANT", "CUSTOMER", "REASON"}, rows)
		fmt.Fprintf(w, "%s\n", plural(len(rows), "dead letter"))
	})
}

type deleteDeadLetter struct {
	ID string `arg:"" name:"message-id" help:"The dead letter's id, as listed."`
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
	n, err := queue.Redrive(s.ctx)
	if err != nil {
		return err
	}
	return s.out.result(map[string]int{"moving": n}, func(w io.Writer) {
		fmt.Fprintf(w, "About %s on the way back to the queue.\n", plural(n, "dead letter"))
	})
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
