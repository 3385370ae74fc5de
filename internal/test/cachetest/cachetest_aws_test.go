//go:build aws

package cachetest_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	driver "github.com/valkey-io/valkey-go"

	"github.com/sufrah/usage-bootstrap/internal/circuit"
	"github.com/sufrah/usage-bootstrap/internal/local/engines"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/startlog"
	"github.com/sufrah/usage-bootstrap/internal/test/cachetest"
	"github.com/sufrah/usage-bootstrap/internal/valkey"
)

func TestEngineContract(t *testing.T) {
	t.Parallel()
	cachetest.Exercise(t, func(t *testing.T) cachetest.Server { return cachetest.OnEngine(t) })
}

// TestEngineUser: the cache's user in template.yaml may run all commands of a client, in scripts too.
func TestEngineUser(t *testing.T) {
	t.Parallel()
	address, err := engines.Endpoint(engines.Cache)
	must(t, err)
	parsed, err := sam.Load("../../../template.yaml")
	must(t, err)
	users, err := parsed.Resources("AWS::ElastiCache::User", "test")
	must(t, err)
	access, _ := users[0].Property("AccessString").(string)
	administrator, err := driver.NewClient(driver.ClientOption{InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true})
	must(t, err)
	t.Cleanup(administrator.Close)
	name := rand.Text()
	rules := append([]string{"SETUSER", name, ">secret"}, strings.Fields(access)...)
	must(t, administrator.Do(t.Context(), administrator.B().Arbitrary("ACL").Args(rules...).Build()).Error())
	client, err := valkey.New(valkey.Config{
		Address: address, Username: name, Token: func(context.Context) (string, error) { return "secret", nil },
		DialTimeout: 10 * time.Second, CommandTimeout: 10 * time.Second,
	})
	must(t, err)
	t.Cleanup(client.Close)
	key := "sufrah:v1:{" + rand.Text() + "}:"
	must(t, client.Set(t.Context(), key+"a", []byte("a"), time.Minute))
	_, err = client.SetIfAbsent(t.Context(), key+"lock", "mine", time.Minute)
	must(t, err)
	must(t, client.DeleteIfEquals(t.Context(), key+"lock", "mine"))
	_, err = client.Count(t.Context(), key+"count", time.Minute)
	must(t, err)
	for range circuit.After + 1 {
		_, _, err = client.AskCircuit(t.Context(), key+"breaker")
		must(t, err)
		_, err = client.TellCircuit(t.Context(), key+"breaker", circuit.Outcome{Event: circuit.Failed, Percent: 100})
		must(t, err)
	}
	for _, event := range []circuit.Event{circuit.NotMade, circuit.Answered} {
		_, err = client.TellCircuit(t.Context(), key+"breaker", circuit.Outcome{Event: event})
		must(t, err)
	}
	for _, caller := range []string{"a", "b", "c", "b"} {
		r := startlog.Request{Name: caller, Rate: 1, Per: 60_000_000, Fresh: 1, Offer: startlog.All, Ages: []int64{59_000_000}}
		_, err = client.Start(t.Context(), key+"starts", r)
		must(t, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
