package local_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/dynamo"
	"github.com/sufrah/usage-bootstrap/internal/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/template"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/usageapi"
)

// roundTrip is what every DynamoDB call takes in these tests' own time. Nothing else takes any, so a request's duration
// tells exactly how many calls it made one after the other.
const roundTrip = time.Second

// slow is an SDK middleware that makes each attempt of each call take roundTrip.
func slow(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("RoundTrip", func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		time.Sleep(roundTrip)
		return next.HandleDeserialize(ctx, in)
	}), middleware.Before)
}

// tables holds a stack's tables with so many restaurants, every tenth of them inactive.
type tables struct {
	engine      *dynamolocal.Engine
	restaurants int
}

func newTables(t testing.TB, restaurants int) tables {
	t.Helper()
	parsed, err := template.Load("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defined, err := local.Tables(parsed)
	if err != nil {
		t.Fatal(err)
	}
	tb := tables{dynamolocal.New(time.Now, defined...), restaurants}
	store := tb.store()
	created := time.Now().AddDate(-1, 0, 0)
	all := make([]restaurant.Restaurant, restaurants)
	for i := range all {
		all[i] = restaurant.Restaurant{ID: fmt.Sprintf("clxyz%06d", i), Name: fmt.Sprintf("Restaurant %d", i), Active: i%10 != 0,
			CreatedAt: created.Add(time.Duration(i) * time.Minute)}
	}
	if err := store.PutRestaurants(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if _, err := store.RebuildDirectory(t.Context()); err != nil {
		t.Fatal(err)
	}
	for raw, g := range map[string]credential.Grant{"key": {Kind: credential.APIKey}, "pat": {Kind: credential.PAT, All: true}} {
		if err := store.AddCredential(t.Context(), g.Credential(raw, "cr_"+raw, created)); err != nil {
			t.Fatal(err)
		}
	}
	return tb
}

func (tb tables) store(options ...func(*middleware.Stack) error) *dynamo.Store {
	config := awsconfig.New("local", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = aws.String("http://dynamodb.local")
	config.HTTPClient = &http.Client{Transport: tb.engine.Transport()}
	config.APIOptions = options
	return dynamo.New(dynamodb.NewFromConfig(config), dynamo.StackTables(local.StackName), func() float64 { return 0 })
}

func newAPI(store *dynamo.Store) *usageapi.API {
	return usageapi.New(
		usage.NewService(store, usage.NewCalendar(nil), restaurant.Limits{MessagesPerDay: 1000}, time.Now),
		credential.NewAuthenticator(store, time.Now), slog.New(slog.DiscardHandler), time.Now,
		func(context.Context) string { return "" })
}

// capacity returns the read units that all tables have used so far.
func (tb tables) capacity() float64 {
	names := dynamo.StackTables(local.StackName)
	var sum float64
	for _, name := range []string{names.Restaurants, names.Bots, names.Usage, names.AccessTokens, names.Directory} {
		read, _ := tb.engine.Consumed(name)
		sum += read
	}
	return sum
}

// written returns the write units that all tables have used so far.
func (tb tables) written() float64 {
	names := dynamo.StackTables(local.StackName)
	var sum float64
	for _, name := range []string{names.Restaurants, names.Bots, names.Usage, names.AccessTokens, names.Directory, names.Conversations} {
		_, written := tb.engine.Consumed(name)
		sum += written
	}
	return sum
}

// cost is what one request used: DynamoDB calls one after the other, and read capacity units.
type cost struct {
	roundTrips int
	units      float64
}

// costOf sends one request to a cold function and returns its status and cost.
func costOf(t *testing.T, tb tables, target string, header http.Header) (status int, c cost) {
	t.Helper()
	before := tb.capacity()
	w := httptest.NewRecorder()
	synctest.Test(t, func(*testing.T) {
		api := newAPI(tb.store(slow))
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header = header
		start := time.Now()
		api.ServeHTTP(w, r)
		status = w.Code
		c.roundTrips = int(time.Since(start) / roundTrip)
	})
	c.units = tb.capacity() - before
	if err := checkDescribed(http.MethodGet, target, w.Result(), w.Body.Bytes()); err != nil {
		t.Error(err)
	}
	return status, c
}

var (
	withKey   = http.Header{"X-Api-Key": {"key"}}
	withToken = http.Header{"Authorization": {"Bearer pat"}, "X-Restaurant-Id": {"clxyz000007"}}
)

// The two sizes are filled once for all tests: a hundred thousand take some seconds.
var few, many = once(100), once(100_000)

func once(restaurants int) func(testing.TB) tables {
	var do sync.Once
	var tb tables
	return func(t testing.TB) tables {
		do.Do(func() { tb = newTables(t, restaurants) })
		return tb
	}
}

// TestRoundTrips holds each path to its number of sequential DynamoDB calls, with few restaurants and with many.
func TestRoundTrips(t *testing.T) {
	for _, tb := range []tables{few(t), many(t)} {
		restaurants := tb.restaurants
		for _, test := range []struct {
			target string
			header http.Header
			status int
			want   int
		}{
			{"/api/usage", withToken, 200, 1},
			{"/api/usage", http.Header{"Authorization": {"Bearer nobody"}, "X-Restaurant-Id": {"clxyz000007"}}, 401, 1},
			{"/api/usage/clxyz000007", withKey, 200, 1},
			{"/api/usage/nobody", withKey, 404, 1},
			{"/api/usage?limit=100", withKey, 200, 3},
			{"/api/usage?limit=1", withKey, 200, 3},
			{fmt.Sprintf("/api/usage?limit=100&offset=%d", restaurants/2-1), withKey, 200, 3},
			{fmt.Sprintf("/api/usage?limit=100&offset=%d", restaurants-100), withKey, 200, 3},
			{fmt.Sprintf("/api/usage?limit=100&offset=%d", restaurants), withKey, 200, 1},
			{"/api/usage?limit=100&isActive=true", withKey, 200, 3},
			{fmt.Sprintf("/api/usage?limit=10&isActive=true&offset=%d", restaurants*9/10-10), withKey, 200, 3},
			{"/api/usage?limit=100&isActive=false", withKey, 200, 3},
			{fmt.Sprintf("/api/usage?limit=10&isActive=false&offset=%d", restaurants/10-10), withKey, 200, 3},
		} {
			status, got := costOf(t, tb, test.target, test.header)
			if status != test.status || got.roundTrips != test.want {
				t.Errorf("%d restaurants, %s: status %d with %d round trips, want %d with %d",
					restaurants, test.target, status, got.roundTrips, test.status, test.want)
			}
		}
	}
}

// TestReadCapacity holds a page of 100 to the same capacity, within a factor of two, wherever it is.
func TestReadCapacity(t *testing.T) {
	_, base := costOf(t, few(t), "/api/usage?limit=100", withKey)
	t.Logf("100 restaurants: %v units", base.units)
	for _, query := range []string{
		"limit=100", "limit=100&offset=50250", "limit=100&offset=99900",
		"limit=100&isActive=true&offset=89900", "limit=100&isActive=false", "limit=100&isActive=false&offset=9900",
	} {
		_, got := costOf(t, many(t), "/api/usage?"+query, withKey)
		t.Logf("100,000 restaurants, %s: %v units", query, got.units)
		if got.units > 2*base.units || got.units < base.units/2 {
			t.Errorf("100,000 restaurants, %s: %v units; with 100 restaurants they are %v", query, got.units, base.units)
		}
	}
	for target, most := range map[string]float64{"/api/usage": 5, "/api/usage/clxyz000007": 10} {
		header := withKey
		if target == "/api/usage" {
			header = withToken
		}
		if _, got := costOf(t, many(t), target, header); got.units > most {
			t.Errorf("%s: %v units, want at most %v", target, got.units, most)
		}
	}
}

// TestReadsWriteNothing: a read never writes.
func TestReadsWriteNothing(t *testing.T) {
	tb := few(t)
	before := tb.written()
	for _, target := range []string{"/api/usage?limit=100", "/api/usage/clxyz000007", "/api/usage/nobody"} {
		costOf(t, tb, target, withKey)
	}
	costOf(t, tb, "/api/usage", withToken)
	if after := tb.written(); after != before {
		t.Errorf("reading used %v write units", after-before)
	}
}
