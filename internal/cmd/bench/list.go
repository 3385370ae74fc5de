package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
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
	"github.com/sufrah/usage-bootstrap/internal/usagehttp"
)

// lists reports the round trips and read capacity units of a page of 100, at the beginning, in the middle and at the end of
// short and long lists. Both numbers are counted and exact. The baseline is a list of 100 restaurants.
func (b *bench) lists(ctx context.Context) error {
	var base *page
	for n := 100; n <= b.restaurants; n *= 10 {
		tables, err := newTables(ctx, n)
		if err != nil {
			return err
		}
		for _, offset := range slices.Compact([]int{0, min(n/2, n-100), n - 100}) {
			p, err := tables.read(offset)
			if err != nil {
				return err
			}
			if base == nil {
				base = &p
			}
			name := fmt.Sprintf("list of 100 of %d, offset %d", n, offset)
			b.report(name, float64(p.roundTrips), "round trips", float64(base.roundTrips), "the same")
			b.report(name, p.units, "read units", base.units, "≤ 2 × baseline")
		}
	}
	return nil
}

// tables are the tables of a stack with the given number of restaurants.
type tables struct {
	engine *dynamolocal.Engine
	calls  *spans
	store  *stackstore.Store
}

// page is the cost of a page.
type page struct {
	roundTrips int
	units      float64
}

// spans notes the times at which calls begin and end. As a transport it makes each call last so long that simultaneous calls
// can be told from successive ones.
type spans struct {
	next http.RoundTripper
	slow bool

	mu    sync.Mutex
	ended []time.Time
	begun []time.Time
}

const callTakes = 250 * time.Millisecond

func (s *spans) RoundTrip(r *http.Request) (*http.Response, error) {
	if !s.slow {
		return s.next.RoundTrip(r)
	}
	begin := time.Now()
	time.Sleep(callTakes)
	response, err := s.next.RoundTrip(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun, s.ended = append(s.begun, begin), append(s.ended, time.Now())
	return response, err
}

// sequential returns the number of successive calls: the longest chain in which each call began after the previous one had
// ended. Calls are noted in the order of their ends, so a greedy choice finds the chain.
func (s *spans) sequential() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, last := 0, time.Time{}
	for i, begin := range s.begun {
		if begin.After(last) {
			n, last = n+1, s.ended[i]
		}
	}
	return n
}

func newTables(ctx context.Context, restaurants int) (*tables, error) {
	parsed, err := sam.Load("template.yaml")
	if err != nil {
		return nil, err
	}
	defined, err := devstack.Tables(parsed)
	if err != nil {
		return nil, err
	}
	t := &tables{engine: dynamolocal.New(time.Now, defined...)}
	t.calls = &spans{next: t.engine.Transport()}
	config := awsconfig.New("local", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint, config.HTTPClient = aws.String("http://dynamodb.local"), &http.Client{Transport: t.calls}
	t.store = stackstore.New(dynamodb.NewFromConfig(config), schema.StackTables(devstack.StackName), func() float64 { return 0 })

	created := time.Now().AddDate(-5, 0, 0)
	const batch = 10_000 // restaurants written at a time, to bound the memory
	for first := 0; first < restaurants; first += batch {
		rows := make([]restaurant.Restaurant, min(batch, restaurants-first))
		for i := range rows {
			rows[i] = restaurant.Restaurant{ID: fmt.Sprintf("clxyz%07d", first+i), Name: "Restaurant", Active: (first+i)%10 != 0,
				CreatedAt: created.Add(time.Duration(first+i) * time.Minute)}
		}
		if err := t.store.PutRestaurants(ctx, rows); err != nil {
			return nil, err
		}
	}
	if _, err := t.store.RebuildDirectory(ctx); err != nil {
		return nil, err
	}
	key := credential.Grant{Kind: credential.APIKey}.Credential("key", "cr_key", created)
	return t, t.store.AddCredential(ctx, key)
}

// read lets a new instance read a page of 100.
func (t *tables) read(offset int) (page, error) {
	names := schema.StackTables(devstack.StackName)
	units := func() (sum float64) {
		for _, name := range []string{names.Restaurants, names.Bots, names.Usage, names.AccessTokens, names.Directory} {
			read, _ := t.engine.Consumed(name)
			sum += read
		}
		return sum
	}
	api := usagehttp.New(usage.NewService(t.store, usage.NewCalendar(nil), restaurant.Limits{ConversationsPerDay: 1000}, time.Now),
		credential.NewAuthenticator(t.store, time.Now), slog.New(slog.DiscardHandler), time.Now, func(context.Context) string { return "" })
	r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/api/usage?limit=100&offset=%d", offset), nil)
	r.Header.Set("X-Api-Key", "key")
	w := httptest.NewRecorder()
	before := units()
	t.calls.slow, t.calls.begun, t.calls.ended = true, nil, nil
	api.ServeHTTP(w, r)
	t.calls.slow = false
	if w.Code != http.StatusOK {
		return page{}, fmt.Errorf("status %d: %s", w.Code, w.Body)
	}
	return page{t.calls.sequential(), units() - before}, nil
}
