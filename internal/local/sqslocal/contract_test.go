package sqslocal_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
	"github.com/sufrah/usage-bootstrap/internal/test/queuetest"
)

// clock is a clock that moves only when told to.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newClient(endpoint string, transport http.RoundTripper) *sqs.Client {
	return sqs.NewFromConfig(aws.Config{
		Region:       sqslocal.Region,
		Credentials:  credentials.NewStaticCredentialsProvider("local", "local", ""),
		BaseEndpoint: &endpoint,
		HTTPClient:   &http.Client{Transport: transport},
	})
}

const inProcess = "http://sqs.local"

// stack is an engine with the queue "jobs", its dead-letter queue "dead", a clock and a client.
type stack struct {
	*clock
	engine *sqslocal.Engine
	client *sqs.Client
	jobs   string
	dead   string
}

func setup() stack {
	c := newClock()
	e := sqslocal.New(c.now, sqslocal.Queue{
		Name: "jobs", VisibilityTimeout: queuetest.VisibilityTimeout,
		DeadLetterQueue: "dead", MaxReceiveCount: queuetest.MaxReceiveCount,
	})
	return stack{
		clock: c, engine: e, client: newClient(inProcess, e.Transport()),
		jobs: sqslocal.QueueURL(inProcess, "jobs"), dead: sqslocal.QueueURL(inProcess, "dead"),
	}
}

func (s stack) pass(d time.Duration) {
	s.advance(d)
	s.engine.Wake()
}

func TestContractInProcess(t *testing.T) {
	t.Parallel()
	queuetest.Exercise(t, func(*testing.T) queuetest.Fixture {
		s := setup()
		return queuetest.Fixture{Client: s.client, QueueURL: s.jobs, DeadLetterURL: s.dead, Advance: s.pass}
	})
}

func TestContractOverHTTP(t *testing.T) {
	t.Parallel()
	queuetest.Exercise(t, func(t *testing.T) queuetest.Fixture {
		s := setup()
		server := httptest.NewServer(s.engine)
		t.Cleanup(server.Close)
		return queuetest.Fixture{
			Client: newClient(server.URL, server.Client().Transport), Advance: s.pass,
			QueueURL:      sqslocal.QueueURL(server.URL, "jobs"),
			DeadLetterURL: sqslocal.QueueURL(server.URL, "dead"),
		}
	})
}
