// Package cachetest has the servers that the cache can run on, for tests, and the contract that packages cache and ratelimit
// rely on.
package cachetest

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/circuit"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/cachetable"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/startlog"
	"github.com/sufrah/usage-bootstrap/internal/valkey"
)

// Client is an instance's connection to a server, with all operations that the deployed code uses.
type Client interface {
	Get(ctx context.Context, key string) (value []byte, found bool, err error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	SetAll(ctx context.Context, values map[string][]byte, ttl time.Duration) (int, error)
	SetIfAbsent(ctx context.Context, key, value string, ttl time.Duration) (bool, error)
	DeleteIfEquals(ctx context.Context, key, value string) error
	AskCircuit(ctx context.Context, key string) (circuit.Pass, time.Duration, error)
	TellCircuit(ctx context.Context, key string, outcome circuit.Outcome) (time.Duration, error)
	Count(ctx context.Context, key string, keep time.Duration) (int64, error)
	Start(ctx context.Context, key string, r startlog.Request) (startlog.Answer, error)
	Close()
}

// Server is a server for tests, with a clock that the test sets.
type Server interface {
	// Client returns the connection of a further instance.
	Client(t *testing.T) Client
	// Behind returns the connection of an instance with a clock that is behind. part is the share, from -1 to 1, of the largest
	// difference that the server tolerates.
	Behind(t *testing.T, part float64) Client
	// SetTime sets the time, and lets entries expire by it.
	SetTime(at time.Time)
	// Keys returns the keys of all unexpired entries, in order.
	Keys(t *testing.T) []string
	// TTL returns the time until an entry expires.
	TTL(t *testing.T, key string) time.Duration
	// Clear deletes all entries.
	Clear(t *testing.T)
	// Margin is how much longer than its period a start counts, because instances' clocks differ.
	Margin() time.Duration
	// Seen returns a request for a start in the form in which the server applies startlog's rule to it.
	Seen(r startlog.Request) startlog.Request
}

// Start is the servers' time at first.
var Start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// patience bounds how long a test waits for success, so that a busy machine doesn't fail it.
const patience = 10 * time.Second

// Kinds has a function for each kind of server, by name.
var Kinds = map[string]func(t *testing.T) Server{
	"valkey":   func(t *testing.T) Server { return NewValkey(t) },
	"dynamodb": func(t *testing.T) Server { return NewTable(t) },
}

// Each runs a test on a server of each kind.
func Each(t *testing.T, test func(t *testing.T, s Server)) {
	t.Helper()
	for name, open := range Kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// Valkey is a stand-in for a Valkey server.
type Valkey struct {
	*miniredis.Miniredis

	mu sync.Mutex
	at time.Time
}

// NewValkey starts a server.
func NewValkey(t *testing.T) *Valkey {
	t.Helper()
	s := &Valkey{Miniredis: miniredis.RunT(t), at: Start}
	s.Miniredis.SetTime(Start)
	return s
}

// Client implements Server.
func (s *Valkey) Client(t *testing.T) Client {
	t.Helper()
	client, err := valkey.New(valkey.Config{Address: s.Addr(), DialTimeout: patience, CommandTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// Behind implements Server. The server's clock counts, whatever the instance's clock is.
func (s *Valkey) Behind(t *testing.T, _ float64) Client {
	t.Helper()
	return s.Client(t)
}

// SetTime implements Server.
func (s *Valkey) SetTime(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if passed := at.Sub(s.at); passed > 0 {
		s.FastForward(passed)
	}
	s.at = at
	s.Miniredis.SetTime(at)
}

// Keys implements Server.
func (s *Valkey) Keys(*testing.T) []string { return s.Miniredis.Keys() }

// TTL implements Server.
func (s *Valkey) TTL(_ *testing.T, key string) time.Duration { return s.Miniredis.TTL(key) }

// Clear implements Server.
func (s *Valkey) Clear(*testing.T) { s.FlushAll() }

// Margin implements Server.
func (s *Valkey) Margin() time.Duration { return 0 }

// Seen implements Server.
func (s *Valkey) Seen(r startlog.Request) startlog.Request { return r }

// Table is the cache in a DynamoDB table.
type Table struct {
	Config aws.Config
	Name   string

	mu sync.Mutex
	at time.Time
}

// Definition is the definition of the table in template.yaml.
var Definition = dynamolocal.Table{Name: "cache", PartitionKey: dynamolocal.Key{Name: "key", Type: "S"}, TimeToLive: "deleteAt"}

// NewTable returns an empty table on DynamoDB's stand-in.
func NewTable(t *testing.T) *Table {
	t.Helper()
	engine := dynamolocal.New(time.Now, Definition)
	return Over(&http.Client{Transport: engine.Transport()}, "http://dynamodb.local", Definition.Name)
}

// Over returns a table that is reached with an HTTP client.
func Over(client *http.Client, endpoint, name string) *Table {
	config := awsconfig.New("us-east-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint, config.HTTPClient = &endpoint, client
	return &Table{Config: config, Name: name, at: Start}
}

// Client implements Server.
func (s *Table) Client(t *testing.T) Client {
	t.Helper()
	return s.Behind(t, 0)
}

// Behind implements Server. Two clocks differ by the margin at most, so each is off by at most half of it.
func (s *Table) Behind(_ *testing.T, part float64) Client {
	by := time.Duration(part * float64(cachetable.ClockMargin) / 2)
	return cachetable.New(s.Config, cachetable.Config{
		Table: s.Name, Timeout: patience, Now: func() time.Time { return s.now().Add(-by) }, Random: rand.Uint64,
	})
}

func (s *Table) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// SetTime implements Server.
func (s *Table) SetTime(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
}

// items returns the items' keys and times of expiry.
func (s *Table) items(t *testing.T) map[string]time.Time {
	t.Helper()
	items := make(map[string]time.Time)
	pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(s.Config), &dynamodb.ScanInput{TableName: &s.Name, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			ms, err := strconv.ParseInt(it["expiresAt"].(*types.AttributeValueMemberN).Value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			items[it["key"].(*types.AttributeValueMemberS).Value] = time.UnixMilli(ms)
		}
	}
	return items
}

// Keys implements Server.
func (s *Table) Keys(t *testing.T) []string {
	t.Helper()
	var keys []string
	for key, expires := range s.items(t) {
		if expires.After(s.now()) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// TTL implements Server.
func (s *Table) TTL(t *testing.T, key string) time.Duration {
	t.Helper()
	return max(0, s.items(t)[key].Sub(s.now()))
}

// Clear implements Server.
func (s *Table) Clear(t *testing.T) {
	t.Helper()
	client := dynamodb.NewFromConfig(s.Config)
	for key := range s.items(t) {
		_, err := client.DeleteItem(context.WithoutCancel(t.Context()), &dynamodb.DeleteItemInput{
			TableName: &s.Name, Key: map[string]types.AttributeValue{"key": &types.AttributeValueMemberS{Value: key}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Margin implements Server.
func (s *Table) Margin() time.Duration { return cachetable.ClockMargin }

// Seen implements Server.
func (s *Table) Seen(r startlog.Request) startlog.Request {
	name := sha256.Sum256([]byte(r.Name))
	r.Name = string(name[:8])
	if r.At == 0 {
		r.Per += cachetable.ClockMargin.Microseconds()
	}
	return r
}
