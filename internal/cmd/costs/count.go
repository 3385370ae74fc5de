package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// The restaurant that the operations concern, and the credentials that cover it.
const (
	busiest = "clxyz000007"
	number  = "+966110000007"
	apiKey  = "costs-administrators-key"
	token   = "costs-dashboard-token"
)

// nearing is the number of restaurants that have nearly used up their allowance: more than a page of alerts has.
const nearing = 60

// started is the time at which counting begins.
var started = time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC)

// count counts the operations with matching names, on tables with the given number of restaurants. The operations that use the
// cache are counted twice: the second time, the cache is in a table.
func count(ctx context.Context, restaurants int, matching *regexp.Regexp) ([]cost, error) {
	parsed, err := sam.Load("template.yaml")
	if err != nil {
		return nil, err
	}
	withTable, err := parsed.With("CacheKind", "dynamodb")
	if err != nil {
		return nil, err
	}
	defined, err := devstack.Tables(withTable) // including the cache's table
	if err != nil {
		return nil, err
	}
	loaded := dynamolocal.New(func() time.Time { return started }, defined...)
	asked := func(all []operation) []operation {
		return slices.DeleteFunc(slices.Clone(all), func(o operation) bool { return !matching.MatchString(o.name) })
	}
	ranked := slices.ContainsFunc(asked(operations), func(o operation) bool { return strings.HasPrefix(o.name, "alerts") })
	if err := load(ctx, loaded, restaurants, started, ranked); err != nil {
		return nil, fmt.Errorf("loading restaurants: %w", err)
	}
	costs, err := countOn(ctx, parsed, loaded, defined, asked(operations))
	if err != nil {
		return nil, err
	}
	inTable, err := countOn(ctx, withTable, loaded, defined, asked(inTableOperations()))
	if err != nil {
		return nil, fmt.Errorf("with a cache in a table: %w", err)
	}
	costs = append(costs, inTable...)
	for i := range costs {
		costs[i].Restaurants = restaurants
	}
	return costs, nil
}

// countOn counts operations on a stack with loaded tables.
func countOn(ctx context.Context, parsed *sam.Definition, loaded *dynamolocal.Engine, defined []dynamolocal.Table, operations []operation) ([]cost, error) {
	var clock atomic.Int64 // stands still, so that items always have the same sizes
	clock.Store(started.UnixNano())
	now := func() time.Time { return time.Unix(0, clock.Load()).UTC() }
	m := new(meter)
	server := httptest.NewServer(m)
	defer server.Close()
	stack, err := devstack.New(ctx, devstack.Options{
		Definition: parsed, BaseURL: server.URL, WebhookURL: devstack.EventsWebhookURL, Clock: devstack.NewClock(now), Log: io.Discard, Tables: loaded,
	})
	if err != nil {
		return nil, err
	}
	defer stack.Close()
	stack.Twilio.Close() // otherwise late callbacks would be counted with the next operation
	m.next = stack
	s, err := newSubject(ctx, stack, now, func(d time.Duration) { clock.Add(int64(d)) })
	if err != nil {
		return nil, err
	}
	units := func() (read, written float64) {
		for _, table := range defined {
			r, w := stack.StandIn().Consumed(table.Name)
			read, written = read+r, written+w
		}
		return read, written
	}
	var costs []cost
	for _, o := range operations {
		if err := o.before(s); err != nil {
			return nil, fmt.Errorf("before %s: %w", o.name, err)
		}
		read, written := units()
		m.start()
		err := o.do(s)
		trips := m.stop()
		if errors.Is(err, errNotFound) {
			fmt.Fprintf(os.Stderr, "costs: %s: %v: not counted\n", o.name, err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		readAfter, writtenAfter := units()
		costs = append(costs, cost{o.name, 0, readAfter - read, writtenAfter - written, trips})
	}
	return costs, nil
}

// load fills tables with restaurants: a tenth is inactive, some have nearly used up their allowance, and one has been busy
// for half a year. Alerts find only ranked restaurants.
func load(ctx context.Context, engine *dynamolocal.Engine, restaurants int, now time.Time, ranked bool) error {
	config := awsconfig.New(devstack.Region, aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint, config.HTTPClient = aws.String("http://dynamodb.local"), &http.Client{Transport: engine.Transport()}
	store := stackstore.New(dynamodb.NewFromConfig(config), schema.StackTables(devstack.StackName), func() float64 { return 0 })
	created := now.AddDate(-1, 0, 0)
	all := make([]restaurant.Restaurant, restaurants)
	for i := range all {
		all[i] = restaurant.Restaurant{ID: fmt.Sprintf("clxyz%06d", i), Name: fmt.Sprintf("Restaurant %d", i), Active: i%10 != 0,
			MerchantID: fmt.Sprintf("merchant-%06d", i), CreatedAt: created.Add(time.Duration(i) * time.Minute)}
	}
	if err := store.PutRestaurants(ctx, all); err != nil {
		return err
	}
	if _, err := store.RebuildDirectory(ctx); err != nil {
		return err
	}
	if ranked {
		if _, err := store.Reindex(ctx); err != nil {
			return err
		}
	}
	bot := restaurant.Bot{ID: "bot-7", PhoneNumber: number, Limits: restaurant.Limits{ConversationsPerDay: 1000, AnswersPerMinute: 60}}
	if err := store.SetBot(ctx, busiest, bot); err != nil {
		return err
	}
	for raw, grant := range map[string]credential.Grant{apiKey: {Kind: credential.APIKey}, token: {Kind: credential.PAT, All: true}} {
		if err := store.AddCredential(ctx, grant.Credential(raw, "cr_"+raw[:12], created)); err != nil {
			return err
		}
	}
	month := usage.NewCalendar(nil).Month(now)
	for i := range nearing {
		months := map[usage.Month]usage.MonthCount{month: {Conversations: int64(28_000 + i), LastConversation: now}}
		if err := store.PutUsage(ctx, all[i+10].ID, usage.Activity{}, months); err != nil {
			return err
		}
	}
	months := make(map[usage.Month]usage.MonthCount)
	for _, m := range month.Last(usage.HistoryMonths) {
		months[m] = usage.MonthCount{Conversations: 5000, LastConversation: now.Add(-time.Hour)}
	}
	activity := usage.Activity{First: created, Last: now.Add(-time.Hour), LastConversation: now.Add(-time.Hour)}
	return store.PutUsage(ctx, busiest, activity, months)
}
