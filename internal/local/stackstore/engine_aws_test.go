//go:build aws

package stackstore_test

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/engines"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// stack is the test's own empty tables on DynamoDB Local. They are reached as from a function, but with longer time-outs,
// because the engine may be slow on a busy machine.
type stack struct {
	config aws.Config
	tables schema.Tables
}

// newStack creates the template's tables, and deletes them when the test ends. Nothing expires in them: most tests have a
// clock of their own, by which DynamoDB Local would take new items for expired ones.
func newStack(t testing.TB) stack {
	t.Helper()
	return newStackOf(t, func(table *sam.Table) { table.TimeToLive = "" })
}

// newStackOf creates the template's tables, each changed by change.
func newStackOf(t testing.TB, change func(*sam.Table)) stack {
	t.Helper()
	endpoint, err := engines.Endpoint(engines.DynamoDB)
	must(t, err)
	config := newConfig(endpoint)
	config.HTTPClient = patient
	parsed, err := sam.Load("../../../template.yaml")
	must(t, err)
	name := "test-" + strings.ToLower(rand.Text())
	tables, err := parsed.Tables(name)
	must(t, err)
	for i := range tables {
		change(&tables[i])
	}
	client := dynamodb.NewFromConfig(config)
	must(t, engines.CreateTables(t.Context(), client, tables))
	t.Cleanup(func() { must(t, engines.DeleteTables(context.WithoutCancel(t.Context()), client, tables)) })
	return stack{config, schema.StackTables(name)}
}

var patient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// newConfig returns a function's configuration of the SDK, with its own connections.
func newConfig(endpoint string) aws.Config {
	config := awsconfig.New("eu-central-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = &endpoint
	return config
}

// RoundTrip sends a request in the same way as the functions.
func (s stack) RoundTrip(r *http.Request) (*http.Response, error) { return s.config.HTTPClient.Do(r) }

// store returns a store that sends its requests through transport: the stack itself, or a wrapper of it.
func (s stack) store(transport http.RoundTripper) *stackstore.Store {
	return stackstore.New(s.client(transport), s.tables, mathrand.Float64)
}

func (s stack) client(transport http.RoundTripper) *dynamodb.Client {
	config := s.config
	config.HTTPClient = &http.Client{Transport: transport}
	return dynamodb.NewFromConfig(config)
}

func TestEngineContract(t *testing.T) {
	t.Parallel()
	storetest.Exercise(t, func(t *testing.T) storetest.Store {
		s := newStack(t)
		return s.store(s)
	})
}

func TestEngineRecorderContract(t *testing.T) {
	t.Parallel()
	storetest.ExerciseRecorder(t, func(t testing.TB, calendar usage.Calendar) storetest.Ledger {
		s := newStack(t)
		store := s.store(mortal{s})
		recorder := store.Recorder(calendar)
		return storetest.Ledger{Store: store, Recorder: recorder, QuotaAlerter: recorder, Break: breakAfter}
	})
}
