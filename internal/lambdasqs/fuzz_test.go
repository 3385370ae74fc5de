package lambdasqs_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/clock"
	"github.com/sufrah/usage-bootstrap/internal/lambdasqs"
)

// always gives every job a slot.
type always struct{}

func (always) Start(context.Context, string) (time.Duration, error) { return 0, nil }

// FuzzMessages: for any content of the queue, Lambda accepts the report. Each message is carried out as a job, or goes to the
// dead-letter queue with a reason of one line.
func FuzzMessages(f *testing.F) {
	const job = `{"version":1,"jobId":"job-1","restaurantId":"r","merchantId":"m","customerWa":"+966500000001","profileName":"Guest",` +
		`"enqueuedAt":"2026-11-23T12:00:00Z"}`
	f.Add("message-1", "1", job, "message-2", "x")
	f.Add("message-1", "", job+job, "message-1", job)
	f.Add("message-1", "99999999999999999999", `{"version":1e400}`, "", "null")
	f.Add("message-1", "-1", strings.Replace(job, "Guest", `\u0000\u202e`, 1), "message-2", strings.Replace(job, `"m"`, `"../m"`, 1))
	f.Fuzz(func(t *testing.T, id1, count, body1, id2, body2 string) {
		prefetched := map[string]int{}
		worker := &bootstrap.Worker{
			Parts: []bootstrap.Part{{Name: "categories", Prefetch: func(_ context.Context, j bootstrap.Job, _ cache.Admit) (int, cache.Source, error) {
				if err := j.Validate(); err != nil {
					t.Errorf("an invalid job is carried out: %v", err)
				}
				prefetched[j.MerchantID]++
				return 1, cache.Fetched, nil
			}}},
			Pace: always{}, Attempts: 3, MaxAge: 100 * 365 * 24 * time.Hour, Backoff: time.Second, Now: time.Now, Sleep: clock.Sleep,
			RequestID: func(context.Context) string { return "request" }, Log: slog.New(slog.DiscardHandler),
		}
		queue := &ledger{}
		event := events.SQSEvent{Records: []events.SQSMessage{
			{MessageId: id1, Body: body1, ReceiptHandle: "1", Attributes: map[string]string{"ApproximateReceiveCount": count}},
			{MessageId: id2, Body: body2, ReceiptHandle: "2"},
		}}
		response, err := lambdasqs.New(worker, queue, slog.New(slog.DiscardHandler), nil)(t.Context(), event)
		if err != nil || len(response.BatchItemFailures) != 0 {
			t.Errorf("every message is either done or dead, and the report is %+v, %v", response, err)
		}
		carriedOut := 0
		for _, body := range []string{body1, body2} {
			if _, err := bootstrap.ParseJob([]byte(body)); err == nil {
				carriedOut++
			}
		}
		sum := 0
		for _, n := range prefetched {
			sum += n
		}
		if sum != carriedOut || len(queue.entries) != 2-carriedOut {
			t.Errorf("%d prefetched, settled %q; want %d prefetched", sum, queue.entries, carriedOut)
		}
		if slices.ContainsFunc(queue.entries, func(entry string) bool { return strings.ContainsAny(entry, "\r\n") || strings.HasSuffix(entry, ": ") }) {
			t.Errorf("a reason isn't one line: %q", queue.entries)
		}
	})
}
