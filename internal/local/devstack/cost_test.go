package devstack_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/usagehttp"
)

// roundTrip is the duration of every DynamoDB call, in these tests' own time. Nothing else takes time, so a request's
// duration shows the number of its successive calls.
const roundTrip = time.Second

// slow is an SDK middleware that lets each attempt of each call take roundTrip.
func slow(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("RoundTrip", func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		time.Sleep(roundTrip)
		return next.HandleDeserialize(ctx, in)
	}), middleware.Before)
}

// tables holds a stack's tables with the given number of restaurants, every tenth of them inactive.
type tables struct {
	engine      *dynamolocal.Engine
	restaurants int
}

func newTables(t testing.TB, restaurants int) tables {
	t.Helper()
	parsed, err := loadDefinition()
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	defined, err := devstack.Tables(parsed)
	if err != nil {
		t.Fatalf("reading the tables from the template: %v", err)
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
		t.Fatalf("storing the restaurants: %v", err)
	}
	if _, err := store.RebuildDirectory(t.Context()); err != nil {
		t.Fatalf("rebuilding the directory: %v", err)
	}
	if _, err := store.Reindex(t.Context()); err != nil {
		t.Fatalf("reindexing the ranking: %v", err)
	}
	if err := store.SetBot(t.Context(), "clxyz000007", restaurant.Bot{ID: "bot-7", Limits: restaurant.Limits{ConversationsPerDay: 1000}}); err != nil {
		t.Fatalf("setting the bot: %v", err)
	}
	for raw, g := range map[string]credential.Grant{"key": {Kind: credential.APIKey}, "pat": {Kind: credential.PAT, All: true}} {
		if err := store.AddCredential(t.Context(), g.Credential(raw, "cr_"+raw, created)); err != nil {
			t.Fatalf("storing the credential: %v", err)
		}
	}
	return tb
}

func (tb tables) store(options ...func(*middleware.Stack) error) *stackstore.Store {
	return stackstore.New(tb.client(options...), schema.StackTables(devstack.StackName), func() float64 { return 0 })
}

func (tb tables) client(options ...func(*middleware.Stack) error) *dynamodb.Client {
	config := awsconfig.New("us-east-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = aws.String("http://dynamodb.local")
	config.HTTPClient = &http.Client{Transport: tb.engine.Transport()}
	config.APIOptions = options
	return dynamodb.NewFromConfig(config)
}

func newAPI(store *stackstore.Store) *usagehttp.API {
	return usagehttp.New(
		usage.NewService(store, usage.NewCalendar(nil), restaurant.Limits{ConversationsPerDay: 1000}, time.Now),
		credential.NewAuthenticator(store, time.Now), slog.New(slog.DiscardHandler), time.Now,
		func(context.Context) string { return "" })
}

// capacity returns the read units that all tables have used so far.
func (tb tables) capacity() float64 {
	names := schema.StackTables(devstack.StackName)
	var sum float64
	for _, name := range []string{names.Restaurants, names.Bots, names.Usage, names.AccessTokens, names.Directory, names.Conversations} {
		read, _ := tb.engine.Consumed(name)
		sum += read
	}
	return sum
}

// written returns the write units that all tables have used so far.
func (tb tables) written() float64 {
	names := schema.StackTables(devstack.StackName)
	var sum float64
	for _, name := range []string{names.Restaurants, names.Bots, names.Usage, names.AccessTokens, names.Directory, names.Conversations} {
		_, written := tb.engine.Consumed(name)
		sum += written
	}
	return sum
}

// cost is the cost of a request: its successive DynamoDB calls and its read units.
type cost struct {
	roundTrips int
	units      float64
}

// costOf sends a request and returns its status and cost. The function has seen the credential before, but too long ago to
// use it without reading it again.
func costOf(t *testing.T, tb tables, target string, header http.Header) (status int, c cost) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		api := newAPI(tb.store(slow))
		measure(t, tb, api, target, header)
		time.Sleep(2 * credential.MaxCacheAge)
		status, c = measure(t, tb, api, target, header)
	})
	return status, c
}

// coldCostOf sends a request to a function that has seen no credential yet.
func coldCostOf(t *testing.T, tb tables, target string, header http.Header) (status int, c cost) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { status, c = measure(t, tb, newAPI(tb.store(slow)), target, header) })
	return status, c
}

// measure sends a request in a bubble.
func measure(t *testing.T, tb tables, api http.Handler, target string, header http.Header) (status int, c cost) {
	t.Helper()
	before, start := tb.capacity(), time.Now()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Header = header
	api.ServeHTTP(w, r)
	c = cost{int(time.Since(start) / roundTrip), tb.capacity() - before}
	if err := checkDescribed(http.MethodGet, target, w.Result(), w.Body.Bytes()); err != nil {
		t.Errorf("the answer to %s isn't as docs/openapi.yaml promises: %v", target, err)
	}
	return w.Code, c
}

var (
	withKey   = http.Header{"X-Api-Key": {"key"}}
	withToken = http.Header{"Authorization": {"Bearer pat"}, "X-Restaurant-Id": {"clxyz000007"}}
)

// The tables of both sizes are filled once for all tests, since a hundred thousand restaurants take some seconds. With
// -short, many restaurants are just enough for a few pages of the directory.
var few, many = once(100, 100), once(100_000, 3_000)

func once(restaurants, short int) func(testing.TB) tables {
	var do sync.Once
	var tb tables
	return func(t testing.TB) tables {
		do.Do(func() {
			if testing.Short() {
				restaurants = short
			}
			tb = newTables(t, restaurants)
		})
		return tb
	}
}

// TestRoundTrips compares the number of each path's successive DynamoDB calls with the expected number, with few restaurants
// and with many.
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
			{"/api/usage?tenantId=clxyz000007", http.Header{"Authorization": {"Bearer pat"}}, 200, 1},
			{"/api/usage?restaurantId=bot-7", http.Header{"Authorization": {"Bearer pat"}}, 200, 2}, // the id of the restaurant's bot
			{"/api/usage?restaurantId=nobody", http.Header{"Authorization": {"Bearer pat"}}, 404, 1},
			{"/api/usage/clxyz000007", withKey, 200, 1},
			{"/api/usage/nobody", withKey, 404, 1},
			{"/api/usage?limit=100", withKey, 200, 3},
			{"/api/usage?limit=1", withKey, 200, 3},
			{fmt.Sprintf("/api/usage?limit=100&offset=%d", restaurants/2-1), withKey, 200, 3},
			{fmt.Sprintf("/api/usage?limit=100&offset=%d", restaurants-100), withKey, 200, 3},
			{fmt.Sprintf("/api/usage?limit=100&offset=%d", restaurants), withKey, 200, 1},
			{"/api/usage?limit=100&isActive=true", withKey, 200, 3},
			{"/api/usage?limit=100&search=restaurant", withKey, 200, 2},
			{"/api/usage?limit=10&search=rest+clxyz0000&isActive=false", withKey, 200, 2},
			{"/api/usage?search=nobody", withKey, 200, 1},
			{"/api/usage?limit=10&cursor=" + cursorAt(t, tb, restaurants/2), withKey, 200, 3},
			{"/api/usage?limit=10&isActive=true&cursor=" + cursorAt(t, tb, restaurants/2), withKey, 200, 3},
			{fmt.Sprintf("/api/usage?limit=10&isActive=true&offset=%d", restaurants*9/10-10), withKey, 200, 3},
			{"/api/usage?limit=100&isActive=false", withKey, 200, 3},
			{fmt.Sprintf("/api/usage?limit=10&isActive=false&offset=%d", restaurants/10-10), withKey, 200, 3},
		} {
			status, got := costOf(t, tb, test.target, test.header)
			if status != test.status || got.roundTrips != test.want {
				t.Errorf("with %d restaurants %s is answered with %d after %d round trips, want %d after %d",
					restaurants, test.target, status, got.roundTrips, test.status, test.want)
			}
		}
	}
}

// TestGuessCost: a request without a valid credential costs the read of one item, one unit, on any route and with any
// restaurant's name. That holds even if the function remembers valid credentials.
func TestGuessCost(t *testing.T) {
	tb := few(t)
	for _, kind := range []string{"Authorization", "X-Api-Key"} {
		for _, target := range []string{
			"/api/usage", "/api/usage?restaurantId=clxyz000007", "/api/usage?tenantId=bot-7", "/api/usage?limit=100&offset=3", "/api/usage/alerts",
			"/api/usage/alerts?threshold=0", "/api/usage/details?tenantId=clxyz000007", "/api/usage/details", "/api/usage/clxyz000007",
			"/api/usage/clxyz000007/details", "/api/usage/nobody",
		} {
			for guess, want := range map[string]cost{"nobody": {1, 1}, "": {0, 0}, "Bearer ": {}} {
				if guess == "Bearer " {
					guess = string(make([]byte, 300)) // longer than any credential
				}
				header := http.Header{"X-Restaurant-Id": {"clxyz000007"}, kind: {guess}}
				if kind == "Authorization" {
					header.Set(kind, "Bearer "+guess)
				}
				for _, costOf := range []func(*testing.T, tables, string, http.Header) (int, cost){coldCostOf, costOf} {
					if status, got := costOf(t, tb, target, header); got != want || status != 401 && status != 400 {
						t.Errorf("guessing the %[2]s %.10[3]q at %[1]s is answered with %[4]d and costs %+[5]v, want 401 or 400 at %+[6]v: guesses would run up the bill", target, kind, guess, status, got, want)
					}
				}
			}
		}
	}
}

// TestFirstSightOfACredentialCostsOneRead: a valid credential that the function hasn't seen yet costs one round trip more,
// and no more units.
func TestFirstSightOfACredentialCostsOneRead(t *testing.T) {
	tb := few(t)
	for target, header := range map[string]http.Header{
		"/api/usage": withToken, "/api/usage/details": withToken, "/api/usage?limit=10": withKey, "/api/usage/clxyz000007": withKey,
		"/api/usage/clxyz000007/details": withKey,
	} {
		_, first := coldCostOf(t, tb, target, header)
		if status, later := costOf(t, tb, target, header); status != 200 || first.roundTrips != later.roundTrips+1 || first.units != later.units {
			t.Errorf("%s is answered with %d and costs %+v at the credential's first sight, %+v later; want one round trip more at first", target, status, first, later)
		}
	}
	// A token in the place of an API key: only the token is read, to name it in the log.
	header := http.Header{"Authorization": {"Bearer pat"}}
	for _, target := range []string{"/api/usage/clxyz000007", "/api/usage/clxyz000007/details", "/api/usage/alerts"} {
		if status, got := costOf(t, tb, target, header); status != 403 || got != (cost{1, 1}) {
			t.Errorf("%s with a token is answered with %d and costs %+v, want 403 at one read", target, status, got)
		}
	}
}

// cursorAt returns the cursor that continues after the restaurant at an offset.
func cursorAt(t *testing.T, tb tables, offset int) string {
	t.Helper()
	directory, err := tb.store().Directory(t.Context())
	if err != nil {
		t.Fatalf("reading the directory: %v", err)
	}
	records, err := directory.Page(t.Context(), usage.All, offset, 1, usage.Month{Year: 2000, Month: time.January})
	if err != nil || len(records) != 1 {
		t.Fatal(records, err)
	}
	of := records[0].Restaurant
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d/%s", of.CreatedAt.UnixMilli(), of.ID))
}

// TestReadCapacity: a page of 100 costs the same at any offset, within a factor of two.
func TestReadCapacity(t *testing.T) {
	_, base := costOf(t, few(t), "/api/usage?limit=100", withKey)
	t.Logf("100 restaurants: %v units", base.units)
	all := many(t).restaurants
	for _, test := range []struct {
		filter string
		offset int
	}{
		{"", 0}, {"", all/2 + 250}, {"", all - 100},
		{"&isActive=true", all*9/10 - 100}, {"&isActive=false", 0}, {"&isActive=false", all/10 - 100},
	} {
		query := fmt.Sprintf("limit=100%s&offset=%d", test.filter, test.offset)
		_, got := costOf(t, many(t), "/api/usage?"+query, withKey)
		t.Logf("%d restaurants, %s: %v units", all, query, got.units)
		if got.units > 2*base.units || got.units < base.units/2 {
			t.Errorf("with %d restaurants %s reads %v units, with 100 restaurants %v: the cost grows", all, query, got.units, base.units)
		}
	}
	// A search reads the same number of words, however many match: for each term 1,000 words of some 100 bytes.
	_, base = costOf(t, few(t), "/api/usage?limit=20&search=rest", withKey)
	t.Logf("100 restaurants, a search that all match: %v units", base.units)
	for _, query := range []string{"search=rest", "search=rest&isActive=false", "search=restaurant+clxyz000", "search=rest&offset=700", "search=clxyz0000"} {
		_, got := costOf(t, many(t), "/api/usage?limit=20&"+query, withKey)
		t.Logf("%d restaurants, %s: %v units", all, query, got.units)
		if terms := 1 + strings.Count(query, "+"); got.units > base.units+float64(20*terms) {
			t.Errorf("with %d restaurants %s reads %v units, with 100 restaurants %v: the cost grows", all, query, got.units, base.units)
		}
	}
	_, base = costOf(t, few(t), "/api/usage?limit=100", withKey)
	// With a cursor, its whole page of the directory is read, and the next page too, in case the first has too few
	// restaurants left.
	for _, offset := range []int{400, all/2 + 250, all - 700} {
		target := "/api/usage?limit=100&cursor=" + cursorAt(t, many(t), offset)
		_, got := costOf(t, many(t), target, withKey)
		t.Logf("%d restaurants, behind the one at %d: %v units", all, offset, got.units)
		if got.units > base.units+15 {
			t.Errorf("with %d restaurants the page behind the one at %d reads %v units, with 100 restaurants %v: the cost grows", all, offset, got.units, base.units)
		}
	}
	for target, most := range map[string]float64{"/api/usage": 6, "/api/usage/clxyz000007": 10} {
		header := withKey
		if target == "/api/usage" {
			header = withToken
		}
		if _, got := costOf(t, many(t), target, header); got.units > most {
			t.Errorf("%s reads %v units, want at most %v", target, got.units, most)
		}
	}
}

// TestAlertCost: a page of alerts takes the same round trips, and costs the same within a factor of two, at any threshold and
// offset, with any number of restaurants, whether few of them match or all.
func TestAlertCost(t *testing.T) {
	month := usage.Month{Year: 2000, Month: time.January} // a bubble's time begins in 2000
	const few = 60
	type page struct {
		threshold, place string
		limit            int
	}
	fullPage := func(limit int) page { return page{"0", "first", limit} }
	costs := make(map[int]map[page]cost)
	for _, tb := range []tables{newTables(t, few), many(t)} {
		// Of every ten restaurants, one is inactive, one is idle, and one has no bot. The others are spread over all
		// percentages, half of them at the same percentage.
		store := tb.store()
		group := errgroup.Group{}
		group.SetLimit(8)
		busy := min(tb.restaurants, 3_000) // as many as have conversations; the others are idle
		if testing.Short() {
			busy = min(busy, 1_000)
		}
		for i := range busy {
			id := fmt.Sprintf("clxyz%06d", i)
			used := map[int]int64{1: 0, 2: 29_000}[i%10]
			if i%10 > 2 {
				used = int64(i % 101)
			}
			if i%2 == 0 && i%10 > 2 {
				used = 95
			}
			group.Go(func() error {
				limits := restaurant.Limits{ConversationsPerDay: 1000}
				if i%10 > 2 {
					limits.ConversationsPerDay = 10 // 300 a month
					used *= 3
				}
				if i%10 != 2 && i != 7 {
					if err := store.SetBot(t.Context(), id, restaurant.Bot{ID: fmt.Sprint("bot-", i), Limits: limits}); err != nil {
						return err
					}
				}
				return store.PutUsage(t.Context(), id, usage.Activity{}, map[usage.Month]usage.MonthCount{month: {Conversations: used}})
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("recording the messages: %v", err)
		}
		costs[tb.restaurants] = make(map[page]cost)
		for _, threshold := range []string{"0", "0.01", "0.5", "0.9", "0.95", "1"} {
			ranks, err := store.Ranks(t.Context(), month)
			if err != nil {
				t.Fatalf("reading the ranking: %v", err)
			}
			share, err := strconv.ParseFloat(threshold, 64)
			if err != nil {
				t.Fatalf("reading the threshold: %v", err)
			}
			_, total, err := ranks.Page(t.Context(), usage.Share(share*float64(usage.Whole)), 1000, 0, 1)
			if err != nil {
				t.Fatalf("reading a page of the ranking: %v", err)
			}
			for _, limit := range []int{1, 5, 50} {
				for place, offset := range map[string]int{"first": 0, "middle": max(0, total/2-limit/2), "last": max(0, total-limit)} {
					target := fmt.Sprintf("/api/usage/alerts?threshold=%s&limit=%d&offset=%d", threshold, limit, offset)
					status, got := costOf(t, tb, target, withKey)
					shown := min(limit, total)
					t.Logf("%d restaurants, %s of %d: %+v", tb.restaurants, target, total, got)
					// A page reads four items for each restaurant shown, besides the credential, the counts and the leaves.
					if least := float64(4*shown - 1); status != 200 || got.units < least {
						t.Errorf("%d restaurants, %s: status %d, %+v, which is less than what is shown", tb.restaurants, target, status, got)
					}
					if got.roundTrips > 4 {
						t.Errorf("%d restaurants, %s: %d round trips", tb.restaurants, target, got.roundTrips)
					}
					costs[tb.restaurants][page{threshold, place, limit}] = got
				}
			}
		}
	}
	for restaurants, counted := range costs {
		for page, got := range counted {
			if base := costs[few][fullPage(page.limit)]; got.units > 2*base.units {
				t.Errorf("%d restaurants, %+v: %+v; a full page with %d is %+v", restaurants, page, got, few, base)
			}
		}
	}
}

// putSessions writes a restaurant's sessions directly, a second apart: to record them as messages would take a minute.
func (tb tables) putSessions(t *testing.T, restaurantID string, first, n int) {
	t.Helper()
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	start := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC).Add(-24 * time.Hour)
	requests := make([]types.WriteRequest, n)
	for i := range requests {
		at := text(start.Add(time.Duration(first+i) * time.Second).Format("2006-01-02T15:04:05.000Z"))
		requests[i].PutRequest = &types.PutRequest{Item: map[string]types.AttributeValue{
			"restaurantId": text(restaurantID), "entry": text(fmt.Sprintf("customer/+9665%08d", first+i)), "openedAt": at, "lastMessageAt": at,
			"openedBy": text(fmt.Sprint("SM", first+i)), "messages": &types.AttributeValueMemberN{Value: "1"},
		}}
	}
	_, err := tb.client().BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{
		RequestItems: map[string][]types.WriteRequest{schema.StackTables(devstack.StackName).Conversations: requests},
	})
	if err != nil {
		t.Fatalf("writing the batch: %v", err)
	}
}

// TestDetailsCost: a restaurant's details cost the same after a day of 10,000 sessions as after a day of 50 sessions, and
// with many restaurants as with few.
func TestDetailsCost(t *testing.T) {
	asOwner := http.Header{"Authorization": {"Bearer pat"}, "X-Restaurant-Id": {"clxyz000007"}}
	asBot := http.Header{"Authorization": {"Bearer pat"}, "X-Restaurant-Id": {"bot-7"}}
	const path = "/api/usage/clxyz000007/details"
	tb := newTables(t, 100)
	sessions := 0
	fill := func(most int) {
		t.Helper()
		for ; sessions < most; sessions += 25 {
			tb.putSessions(t, "clxyz000007", sessions, 25)
		}
	}
	fill(50)
	for _, test := range []struct {
		target string
		header http.Header
		want   int
	}{{path, withKey, 2}, {"/api/usage/details", asOwner, 2}, {"/api/usage/details", asBot, 3}} {
		status, got := costOf(t, tb, test.target, test.header)
		t.Logf("%v: %+v", test.header, got)
		if status != 200 || got.roundTrips != test.want {
			t.Errorf("%s: status %d, %+v; want %d round trips", test.target, status, got, test.want)
		}
	}
	_, few := costOf(t, tb, path, withKey)
	busy := 10_000
	if testing.Short() {
		busy = 1_000
	}
	fill(busy)
	status, got := costOf(t, tb, path, withKey)
	t.Logf("50 sessions: %+v, %d sessions: %+v", few, busy, got)
	if status != 200 || got.roundTrips != few.roundTrips || got.units > few.units+1 {
		t.Errorf("%d sessions: status %d, %+v; with 50 it is %+v", busy, status, got, few)
	}
	if status, got := costOf(t, many(t), path, withKey); status != 200 || got.roundTrips > few.roundTrips || got.units > few.units {
		t.Errorf("many restaurants: status %d, %+v; with 100 it is %+v", status, got, few)
	}
}

// TestReadsWriteNothing: no request that reads writes anything.
func TestReadsWriteNothing(t *testing.T) {
	tb := few(t)
	before := tb.written()
	for _, target := range []string{"/api/usage?limit=100", "/api/usage/clxyz000007", "/api/usage/nobody", "/api/usage/alerts?threshold=0",
		"/api/usage/clxyz000007/details"} {
		costOf(t, tb, target, withKey)
	}
	costOf(t, tb, "/api/usage", withToken)
	if after := tb.written(); after != before {
		t.Errorf("reading used %v write units", after-before)
	}
}
