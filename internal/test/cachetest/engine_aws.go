//go:build aws

package cachetest

import (
	"context"
	"crypto/rand"
	random "math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/cachetable"
	"github.com/sufrah/usage-bootstrap/internal/local/engines"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/valkey"
)

// patient is an HTTP client with patience for an engine on a busy machine.
var patient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// OnEngine returns an empty table on DynamoDB Local. It is deleted when the test ends. Its items are never deleted by time,
// because tests have a clock of their own.
func OnEngine(t *testing.T) *Table {
	t.Helper()
	endpoint, err := engines.Endpoint(engines.DynamoDB)
	must(t, err)
	s := Over(patient, endpoint, "cache-"+rand.Text())
	tables := []sam.Table{{Name: s.Name, PartitionKey: sam.Key(Definition.PartitionKey)}}
	client := dynamodb.NewFromConfig(s.Config)
	must(t, engines.CreateTables(t.Context(), client, tables))
	t.Cleanup(func() { must(t, engines.DeleteTables(context.WithoutCancel(t.Context()), client, tables)) })
	return s
}

// EachValkey runs a test on a real Valkey server and on a cluster, which use their own clocks. connect returns the connection
// of an instance.
func EachValkey(t *testing.T, test func(t *testing.T, connect func() *valkey.Client)) {
	t.Helper()
	for name, kind := range map[string]engines.Kind{"single": engines.Cache, "cluster": engines.CacheCluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, err := engines.Endpoint(kind)
			must(t, err)
			test(t, func() *valkey.Client {
				client, err := valkey.New(valkey.Config{
					Address: address, ClusterMode: kind == engines.CacheCluster, DialTimeout: patience, CommandTimeout: patience,
				})
				must(t, err)
				t.Cleanup(client.Close)
				return client
			})
		})
	}
}

// EachEngine runs a test on the same servers as EachValkey, and on DynamoDB Local with the machine's clock.
func EachEngine(t *testing.T, test func(t *testing.T, connect func() Client)) {
	t.Helper()
	EachValkey(t, func(t *testing.T, connect func() *valkey.Client) {
		test(t, func() Client { return connect() })
	})
	t.Run("dynamodb", func(t *testing.T) {
		t.Parallel()
		s := OnEngine(t)
		test(t, func() Client {
			return cachetable.New(s.Config, cachetable.Config{Table: s.Name, Timeout: patience, Now: time.Now, Random: random.Uint64})
		})
	})
}
