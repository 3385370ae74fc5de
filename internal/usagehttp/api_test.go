package usagehttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/search"
	"github.com/sufrah/usage-bootstrap/internal/test/localstore"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/usagehttp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// now is the time of the tests' requests.
var now = time.Date(2025, 10, 20, 18, 0, 0, 0, time.UTC)

const (
	owner     = "pat-of-clxyz123abc"
	dashboard = "pat-of-all"
	expired   = "pat-expired"
	revoked   = "pat-revoked"
	admin     = "key-of-admin"
	oldAdmin  = "key-revoked"
)

// fixture is an API over a store with a few restaurants.
type fixture struct {
	handler http.Handler
	store   *stackstore.Store
	faults  *faults
	log     *bytes.Buffer
	passed  *time.Duration // time since the fixture was set up, as credentials see it
}

// later moves the clock by which remembered credentials age. The clock of the figures stands still.
func (f fixture) later(by time.Duration) { *f.passed += by }

// faults wraps a working store and makes it fail.
type faults struct {
	*stackstore.Store
	usage, directory, credentials, bots, alerts error

	find func(credential.Hash) credential.Credential // answers in the store's place
}

func (f *faults) Ranks(ctx context.Context, month usage.Month) (usage.Ranks, error) {
	if f.alerts != nil {
		return nil, raise(f.alerts)
	}
	return f.Store.Ranks(ctx, month)
}

func (f *faults) RestaurantOfBot(ctx context.Context, botID string) (string, error) {
	if f.bots != nil {
		return "", raise(f.bots)
	}
	return f.Store.RestaurantOfBot(ctx, botID)
}

func (f *faults) Usage(ctx context.Context, id string, months []usage.Month) (usage.Record, error) {
	if f.usage != nil {
		return usage.Record{}, raise(f.usage)
	}
	return f.Store.Usage(ctx, id, months)
}

func (f *faults) Directory(ctx context.Context) (usage.Directory, error) {
	if f.directory != nil {
		return nil, raise(f.directory)
	}
	return f.Store.Directory(ctx)
}

func (f *faults) Search(ctx context.Context, q search.Query, filter usage.Filter, start usage.Start, limit int) (usage.Found, error) {
	if f.directory != nil {
		return usage.Found{}, raise(f.directory)
	}
	return f.Store.Search(ctx, q, filter, start, limit)
}

func (f *faults) FindCredential(ctx context.Context, hash credential.Hash) (credential.Credential, error) {
	if f.credentials != nil {
		return credential.Credential{}, raise(f.credentials)
	}
	if f.find != nil {
		return f.find(hash), nil
	}
	return f.Store.FindCredential(ctx, hash)
}

// prices are the prices of the tests' month.
var prices, errPrices = ledger.ParsePrices("SAR;2025-10:service=0.0125,utility=0.04,marketing=0.18")

// filled returns a store with a few restaurants and credentials.
var filled = localstore.Filled(func(store *stackstore.Store) error {
	ctx := context.Background()
	faults := []error{errPrices}
	check := func(err error) { faults = append(faults, err) }
	month := func(year int, m time.Month) usage.Month { return usage.Month{Year: year, Month: m} }
	last := time.Date(2025, 10, 20, 15, 30, 0, 0, time.UTC)

	check(store.CreateRestaurant(ctx, restaurant.Restaurant{ID: "clxyz123abc", Name: "Example Restaurant", Active: true,
		CreatedAt: now.AddDate(0, -2, 0)},
		&restaurant.Bot{ID: "bot-1", Limits: restaurant.Limits{ConversationsPerDay: 1000, AnswersPerMinute: 60}}))
	check(store.PutUsage(ctx, "clxyz123abc",
		usage.Activity{First: time.Date(2025, 9, 1, 8, 0, 0, 0, time.UTC), Last: last, LastConversation: last},
		map[usage.Month]usage.MonthCount{
			month(2025, 10): {Conversations: 45, Days: map[int]int64{19: 45}, LastConversation: last},
			month(2025, 9):  {Conversations: 123, LastConversation: time.Date(2025, 9, 30, 23, 59, 59, 999e6, time.UTC)},
			month(2025, 6):  {Conversations: 7, LastConversation: time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)},
			month(2025, 4):  {Conversations: 9, LastConversation: time.Date(2025, 4, 1, 0, 0, 0, 0, time.UTC)}, // too old to show
		}))
	check(store.CreateRestaurant(ctx, restaurant.Restaurant{ID: "new", Name: `مطعم "الجديد" <&>`, Active: true,
		CreatedAt: now.AddDate(0, -1, 0)}, nil))
	check(store.CreateRestaurant(ctx, restaurant.Restaurant{ID: "closed", Name: "Closed", CreatedAt: now.AddDate(0, -3, 0)},
		&restaurant.Bot{ID: "bot-3", Limits: restaurant.Limits{ConversationsPerDay: usage.Unlimited}}))

	for raw, g := range map[string]credential.Grant{
		owner:     {Kind: credential.PAT, Restaurants: []string{"clxyz123abc"}},
		dashboard: {Kind: credential.PAT, All: true},
		expired:   {Kind: credential.PAT, All: true, ExpiresAt: now.Add(-time.Second)},
		revoked:   {Kind: credential.PAT, All: true},
		admin:     {Kind: credential.APIKey},
		oldAdmin:  {Kind: credential.APIKey},
	} {
		check(store.AddCredential(ctx, g.Credential(raw, "cr_"+raw, now.AddDate(0, -1, 0))))
	}
	check(store.RevokeCredential(ctx, "cr_"+revoked, now))
	check(store.RevokeCredential(ctx, "cr_"+oldAdmin, now))
	return errors.Join(faults...)
})

func setup(t testing.TB) fixture {
	t.Helper()
	store := filled(t)
	faults := &faults{Store: store}
	log := new(bytes.Buffer)
	clock := func() time.Time { return now }
	service := usage.NewService(faults, usage.NewCalendar(time.UTC), restaurant.Limits{ConversationsPerDay: 1000, AnswersPerMinute: 60}, clock).WithPrices(prices)
	passed := new(time.Duration)
	api := usagehttp.New(service, credential.NewAuthenticator(faults, func() time.Time { return now.Add(*passed) }),
		logging.New(log, slog.LevelDebug, "usage-api"), clock, func(context.Context) string { return "request-1" })
	return fixture{handler: api, store: store, faults: faults, log: log, passed: passed}
}

// write has two customers write to a restaurant, the first of them twice.
func (f fixture) write(t testing.TB, restaurantID string) {
	t.Helper()
	recorder := f.store.Recorder(usage.NewCalendar(time.UTC))
	for i, minutes := range []int{-90, -20, -5} {
		_, err := storetest.Record(t.Context(), recorder, conversation.Message{ID: fmt.Sprint("SM", i), RestaurantID: restaurantID, Delivery: "d",
			Customer: fmt.Sprintf("+96650000000%d", i/2), ReceivedAt: now.Add(time.Duration(minutes) * time.Minute)})
		if err != nil {
			t.Fatalf("recording the message: %v", err)
		}
	}
}

// send lets messages be sent, and their statuses be reported.
func (f fixture) send(t testing.TB, restaurantID string) {
	t.Helper()
	for i, m := range []struct {
		daysAgo int
		class   ledger.Class
		status  delivery.Status
	}{
		{1, ledger.Class{Kind: delivery.Welcome, Category: delivery.Utility}, delivery.Read},
		{1, ledger.Class{Kind: delivery.List, Category: delivery.Service}, delivery.Delivered},
		{0, ledger.Class{Kind: delivery.List, Category: delivery.Service}, delivery.Read},
		{0, ledger.Class{Kind: delivery.List, Category: delivery.Service}, delivery.Sent},
		{0, ledger.Class{Kind: delivery.Text, Category: delivery.Service}, delivery.Failed},
	} {
		place := delivery.Place{Day: usage.NewCalendar(time.UTC).Date(now.AddDate(0, 0, -m.daysAgo)), Page: "k7f3q2ab9x", Number: i}
		if err := f.store.Enter(t.Context(), restaurantID, ledger.Entry{Place: place, Class: m.class, Status: m.status}); err != nil {
			t.Fatalf("entering the sent message into the ledger: %v", err)
		}
	}
}

// withSessions fills the details: customers write and are answered, and there is a top-up.
func (f fixture) withSessions(t testing.TB) fixture {
	t.Helper()
	f.send(t, "clxyz123abc")
	f.write(t, "closed")
	for i, month := range (usage.Month{Year: 2025, Month: time.October}).Last(2) {
		a := usage.TopUp{ID: fmt.Sprint("adj_", i), Amount: 7, Type: usage.TopUpType, Reason: "why", CreatedAt: now, CreatedBy: "cr_1"}
		if _, err := f.store.AddTopUp(t.Context(), "clxyz123abc", month, a, "", 0); err != nil {
			t.Fatalf("adding the top-up: %v", err)
		}
	}
	return f
}

// request is a GET with headers given as "Name: value".
func request(target string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// do sends a request, and compares the answer with the API's description.
func (f fixture) do(t testing.TB, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r.Clone(t.Context())) // a handler writes into its request, and parallel tests share theirs
	if err := loadDescription(t).Check(r.Method, r.URL.Path, w.Result(), w.Body.Bytes()); err != nil {
		t.Errorf("the answer isn't as docs/openapi.yaml promises: %v", err)
	}
	return w
}

const (
	asOwner     = "Authorization: Bearer " + owner
	asDashboard = "Authorization: Bearer " + dashboard
	asAdmin     = "X-API-Key: " + admin
	ofExample   = "X-Restaurant-Id: clxyz123abc"
)

// TestAnswersAreTheGoldenFiles compares whole answers with the files in testdata.
func TestAnswersAreTheGoldenFiles(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*http.Request{
		"one":             request("/api/usage", asOwner, ofExample),
		"one-without-bot": request("/api/usage", asDashboard, "X-Restaurant-Id: new"),
		"one-unlimited":   request("/api/usage", asDashboard, "X-Restaurant-Id: closed"),
		"list":            request("/api/usage", asAdmin),
		"list-window":     request("/api/usage?limit=1&offset=1", asAdmin),
		"list-past-end":   request("/api/usage?offset=3", asAdmin),
		"list-active":     request("/api/usage?isActive=true&limit=1", asAdmin),
		"list-found":      request("/api/usage?search=clo", asAdmin),
		"list-inactive":   request("/api/usage?isActive=false", asAdmin),
		"detail":          request("/api/usage/clxyz123abc", asAdmin),
		"detail-unused":   request("/api/usage/new", asAdmin),
		"details":         request("/api/usage/details", asOwner, ofExample),
		"details-unused":  request("/api/usage/new/details", asAdmin),
		"details-bot":     request("/api/usage/details?tenantId=bot-3", asDashboard),
		"alerts":          request("/api/usage/alerts", asAdmin),
		"alerts-all":      request("/api/usage/alerts?threshold=0&limit=1&offset=1", asAdmin),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			if strings.HasPrefix(name, "details") {
				f = f.withSessions(t)
			}
			w := f.do(t, r)
			if w.Code != http.StatusOK {
				t.Fatalf("%s is answered with %d, want 200: %s", r.URL, w.Code, w.Body)
			}
			golden := filepath.Join("testdata", name+".json")
			var got bytes.Buffer
			if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
				t.Fatalf("the answer to %s is no JSON: %v", r.URL, err)
			}
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("the answer to %s isn't %s, so dashboards would read something else (-want +got):\n%s", r.URL, golden, diff)
			}
		})
	}
}

// TestRefusalsFollowTheErrorTable covers every row of the API's error table.
func TestRefusalsFollowTheErrorTable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request *http.Request
		break_  func(*faults)
		status  int
		code    string
		names   string // the parameter that the error's sentence must name
	}{
		"no credentials":                         {request: request("/api/usage"), status: 401, code: "unauthorized"},
		"no credentials, detail":                 {request: request("/api/usage/new"), status: 401, code: "unauthorized"},
		"empty credentials":                      {request: request("/api/usage", "Authorization: ", "X-API-Key: "), status: 401, code: "unauthorized"},
		"another scheme":                         {request: request("/api/usage", "Authorization: Basic "+owner, ofExample), status: 401, code: "unauthorized"},
		"a scheme alone":                         {request: request("/api/usage", "Authorization: Bearer", ofExample), status: 401, code: "unauthorized"},
		"unknown token":                          {request: request("/api/usage", "Authorization: Bearer nobody", ofExample), status: 401, code: "unauthorized"},
		"unknown token, no restaurant":           {request: request("/api/usage", "Authorization: Bearer nobody"), status: 401, code: "unauthorized"},
		"unknown token, detail":                  {request: request("/api/usage/new", "Authorization: Bearer nobody"), status: 401, code: "unauthorized"},
		"expired token":                          {request: request("/api/usage", "Authorization: Bearer "+expired, ofExample), status: 401, code: "unauthorized"},
		"revoked token":                          {request: request("/api/usage", "Authorization: Bearer "+revoked, ofExample), status: 401, code: "unauthorized"},
		"unknown key":                            {request: request("/api/usage", "X-API-Key: nobody"), status: 401, code: "unauthorized"},
		"revoked key":                            {request: request("/api/usage", "X-API-Key: "+oldAdmin), status: 401, code: "unauthorized"},
		"unknown key, bad parameter":             {request: request("/api/usage?limit=x", "X-API-Key: nobody"), status: 401, code: "unauthorized"},
		"a key as token":                         {request: request("/api/usage", "Authorization: Bearer "+admin, ofExample), status: 401, code: "unauthorized"},
		"a token as key":                         {request: request("/api/usage", "X-API-Key: "+owner), status: 401, code: "unauthorized"},
		"a header twice":                         {request: request("/api/usage", "X-API-Key: "+admin, "X-API-Key: "+admin), status: 401, code: "unauthorized"},
		"a header twice, joined":                 {request: request("/api/usage", asOwner+",Bearer "+owner, ofExample), status: 401, code: "unauthorized"},
		"a token of a megabyte":                  {request: request("/api/usage", "X-API-Key: "+strings.Repeat("a", 1<<20)), status: 401, code: "unauthorized"},
		"both credentials":                       {request: request("/api/usage", asOwner, asAdmin, ofExample), status: 400, code: "ambiguous_credentials"},
		"both credentials, detail":               {request: request("/api/usage/new", asOwner, asAdmin), status: 400, code: "ambiguous_credentials"},
		"token without restaurant":               {request: request("/api/usage", asOwner), status: 400, code: "restaurant_id_required"},
		"token with blank restaurant":            {request: request("/api/usage", asDashboard, "X-Restaurant-Id:  "), status: 400, code: "restaurant_id_required"},
		"another's restaurant":                   {request: request("/api/usage", asOwner, "X-Restaurant-Id: new"), status: 403, code: "forbidden"},
		"no one's restaurant":                    {request: request("/api/usage", asOwner, "X-Restaurant-Id: nowhere"), status: 403, code: "forbidden"},
		"two restaurants":                        {request: request("/api/usage", asOwner, ofExample, "X-Restaurant-Id: new"), status: 403, code: "forbidden"},
		"two restaurants, token for all":         {request: request("/api/usage", asDashboard, ofExample, "X-Restaurant-Id: new"), status: 404, code: "restaurant_not_found"},
		"named differently":                      {request: request("/api/usage?restaurantId=new", asDashboard, ofExample), status: 400, code: "ambiguous_restaurant"},
		"named differently, in the query":        {request: request("/api/usage?restaurantId=new&tenantId=closed", asDashboard), status: 400, code: "ambiguous_restaurant"},
		"named twice, differently":               {request: request("/api/usage?tenantId=new&tenantId=closed", asDashboard), status: 400, code: "ambiguous_restaurant"},
		"named differently, unknown token":       {request: request("/api/usage?restaurantId=new", "Authorization: Bearer nobody", ofExample), status: 401, code: "unauthorized"},
		"id and bot's id":                        {request: request("/api/usage?restaurantId=bot-1", asOwner, ofExample), status: 400, code: "ambiguous_restaurant"},
		"another's bot":                          {request: request("/api/usage", asOwner, "X-Restaurant-Id: bot-3"), status: 403, code: "forbidden"},
		"another's bot, in the query":            {request: request("/api/usage?tenantId=bot-3", asOwner), status: 403, code: "forbidden"},
		"no one's bot, token for all":            {request: request("/api/usage?tenantId=bot-9", asDashboard), status: 404, code: "restaurant_not_found"},
		"a bot's id on detail":                   {request: request("/api/usage/bot-1", asAdmin), status: 404, code: "restaurant_not_found"},
		"usage down, own bot's id":               {request: request("/api/usage", asOwner, "X-Restaurant-Id: bot-1"), break_: func(f *faults) { f.usage = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"bots down, a bot's id":                  {request: request("/api/usage", asDashboard, "X-Restaurant-Id: bot-1"), break_: func(f *faults) { f.bots = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"token on detail":                        {request: request("/api/usage/clxyz123abc", asOwner), status: 403, code: "forbidden"},
		"token for all on detail":                {request: request("/api/usage/clxyz123abc", asDashboard), status: 403, code: "forbidden"},
		"token on unknown detail":                {request: request("/api/usage/nowhere", asDashboard), status: 403, code: "forbidden"},
		"limit 0":                                {request: request("/api/usage?limit=0", asAdmin), status: 400, code: "invalid_parameter", names: "limit"},
		"limit negative":                         {request: request("/api/usage?limit=-1", asAdmin), status: 400, code: "invalid_parameter", names: "limit"},
		"limit a fraction":                       {request: request("/api/usage?limit=1.5", asAdmin), status: 400, code: "invalid_parameter", names: "limit"},
		"limit empty":                            {request: request("/api/usage?limit=", asAdmin), status: 400, code: "invalid_parameter", names: "limit"},
		"limit with sign":                        {request: request("/api/usage?limit=%2B5", asAdmin), status: 400, code: "invalid_parameter", names: "limit"},
		"limit in Arabic digits":                 {request: request("/api/usage?limit=%D9%A5", asAdmin), status: 400, code: "invalid_parameter", names: "limit"},
		"limit twice":                            {request: request("/api/usage?limit=5&limit=6", asAdmin), status: 400, code: "invalid_parameter", names: "limit"},
		"offset negative":                        {request: request("/api/usage?offset=-1", asAdmin), status: 400, code: "invalid_parameter", names: "offset"},
		"offset not a number":                    {request: request("/api/usage?offset=ten", asAdmin), status: 400, code: "invalid_parameter", names: "offset"},
		"offset in another base":                 {request: request("/api/usage?offset=0x10", asAdmin), status: 400, code: "invalid_parameter", names: "offset"},
		"cursor empty":                           {request: request("/api/usage?cursor=", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"cursor of nobody's making":              {request: request("/api/usage?cursor=abc", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"cursor padded":                          {request: request("/api/usage?cursor=MTc1ODM5MTIwMDAwMC9uZXc=", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"cursor with a bit too many":             {request: request("/api/usage?cursor=LTUvYR", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"cursor with a time of another spelling": {request: request("/api/usage?cursor=MDUvYWJj", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"cursor without an id":                   {request: request("/api/usage?cursor=MTcwMDAwMDAwMDAwMC8", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"cursor of a time beyond all":            {request: request("/api/usage?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTkvYWJj", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"cursor too long":                        {request: request("/api/usage?cursor="+strings.Repeat("QUFB", 50), asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"cursor and offset":                      {request: request("/api/usage?offset=0&cursor=MTc1ODM5MTIwMDAwMC9uZXc", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"cursor twice":                           {request: request("/api/usage?cursor=MTc1ODM5MTIwMDAwMC9uZXc&cursor=MTc1ODM5MTIwMDAwMC9uZXc", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"search of one letter":                   {request: request("/api/usage?search=a", asAdmin), status: 400, code: "invalid_parameter", names: "search"},
		"search of signs":                        {request: request("/api/usage?search=%21%3F", asAdmin), status: 400, code: "invalid_parameter", names: "search"},
		"search twice":                           {request: request("/api/usage?search=ab&search=ab", asAdmin), status: 400, code: "invalid_parameter", names: "search"},
		"search too long":                        {request: request("/api/usage?search="+strings.Repeat("a", 101), asAdmin), status: 400, code: "invalid_parameter", names: "search"},
		"a list's cursor in a search":            {request: request("/api/usage?search=cl&cursor=MTc1ODM5MTIwMDAwMC9uZXc", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"a search's cursor in the list":          {request: request("/api/usage?cursor=MS9jbG9zZWQvY2xvc2Vk", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"another search's cursor":                {request: request("/api/usage?search=exam&cursor=MS9jbG9zZWQvY2xvc2Vk", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"search's cursor with a number below 0":  {request: request("/api/usage?search=cl&cursor=LTEvY2xvc2VkL2Nsb3NlZA", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"search's cursor without an id":          {request: request("/api/usage?search=cl&cursor=MS9jbG9zZWQ", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"search's cursor of bytes":               {request: request("/api/usage?search=cl&cursor=MS9jbP8vY2xvc2Vk", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"search's cursor and offset":             {request: request("/api/usage?search=cl&offset=1&cursor=MS9jbG9zZWQvY2xvc2Vk", asAdmin), status: 400, code: "invalid_parameter", names: "cursor"},
		"search, directory down":                 {request: request("/api/usage?search=cl", asAdmin), break_: func(f *faults) { f.directory = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"search, unknown key":                    {request: request("/api/usage?search=a", "X-API-Key: nobody"), status: 401, code: "unauthorized"},
		"isActive not a boolean":                 {request: request("/api/usage?isActive=yes", asAdmin), status: 400, code: "invalid_parameter", names: "isActive"},
		"isActive empty":                         {request: request("/api/usage?isActive=", asAdmin), status: 400, code: "invalid_parameter", names: "isActive"},
		"details with a key":                     {request: request("/api/usage/details", asAdmin), status: 400, code: "restaurant_id_required"},
		"details without restaurant":             {request: request("/api/usage/details", asOwner), status: 400, code: "restaurant_id_required"},
		"details of another's":                   {request: request("/api/usage/details?tenantId=bot-3", asOwner), status: 403, code: "forbidden"},
		"details, unknown key":                   {request: request("/api/usage/details", "X-API-Key: nobody"), status: 401, code: "unauthorized"},
		"details by path, token":                 {request: request("/api/usage/clxyz123abc/details", asOwner), status: 403, code: "forbidden"},
		"details by path, unknown":               {request: request("/api/usage/nowhere/details", asAdmin), status: 404, code: "restaurant_not_found"},
		"details, usage down":                    {request: request("/api/usage/new/details", asAdmin), break_: func(f *faults) { f.usage = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"alerts, token":                          {request: request("/api/usage/alerts", asDashboard), status: 403, code: "forbidden"},
		"alerts, no credentials":                 {request: request("/api/usage/alerts?threshold=x"), status: 401, code: "unauthorized"},
		"alerts, unknown key":                    {request: request("/api/usage/alerts?threshold=x", "X-API-Key: nobody"), status: 401, code: "unauthorized"},
		"threshold over 1":                       {request: request("/api/usage/alerts?threshold=1.000001", asAdmin), status: 400, code: "invalid_parameter", names: "threshold"},
		"threshold in percent":                   {request: request("/api/usage/alerts?threshold=90", asAdmin), status: 400, code: "invalid_parameter", names: "threshold"},
		"threshold negative":                     {request: request("/api/usage/alerts?threshold=-0.1", asAdmin), status: 400, code: "invalid_parameter", names: "threshold"},
		"threshold empty":                        {request: request("/api/usage/alerts?threshold=", asAdmin), status: 400, code: "invalid_parameter", names: "threshold"},
		"threshold too exact":                    {request: request("/api/usage/alerts?threshold=0.9000001", asAdmin), status: 400, code: "invalid_parameter", names: "threshold"},
		"threshold an exponent":                  {request: request("/api/usage/alerts?threshold=9e-1", asAdmin), status: 400, code: "invalid_parameter", names: "threshold"},
		"threshold twice":                        {request: request("/api/usage/alerts?threshold=1&threshold=1", asAdmin), status: 400, code: "invalid_parameter", names: "threshold"},
		"threshold with a dot alone":             {request: request("/api/usage/alerts?threshold=.", asAdmin), status: 400, code: "invalid_parameter", names: "threshold"},
		"alerts, limit 0":                        {request: request("/api/usage/alerts?limit=0", asAdmin), status: 400, code: "invalid_parameter", names: "limit"},
		"alerts, store down":                     {request: request("/api/usage/alerts", asAdmin), break_: func(f *faults) { f.alerts = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"malformed query":                        {request: request("/api/usage?limit=%zz", asAdmin), status: 400, code: "invalid_parameter"},
		"unknown restaurant, key":                {request: request("/api/usage/nowhere", asAdmin), status: 404, code: "restaurant_not_found"},
		"unknown restaurant, all":                {request: request("/api/usage", asDashboard, "X-Restaurant-Id: nowhere"), status: 404, code: "restaurant_not_found"},
		"an id that can't be":                    {request: request("/api/usage/a%20b", asAdmin), status: 404, code: "restaurant_not_found"},
		"an id of a megabyte":                    {request: request("/api/usage/"+strings.Repeat("a", 1<<20), asAdmin), status: 404, code: "restaurant_not_found"},
		"unknown path":                           {request: request("/api/usages", asAdmin), status: 404, code: "not_found"},
		"root":                                   {request: request("/", asAdmin), status: 404, code: "not_found"},
		"deeper path":                            {request: request("/api/usage/new/history", asAdmin), status: 404, code: "not_found"},
		"dots":                                   {request: request("/api/usage/../usage", asAdmin), status: 404, code: "not_found"},
		"encoded dots":                           {request: request("/api/%2e%2e/api/usage", asAdmin), status: 404, code: "not_found"},
		"double slash":                           {request: request("/api//usage", asAdmin), status: 404, code: "not_found"},
		"two slashes at the end":                 {request: request("/api/usage//", asAdmin), status: 404, code: "not_found"},
		"upper case":                             {request: request("/API/usage", asAdmin), status: 404, code: "not_found"},
		"credentials down":                       {request: request("/api/usage", asAdmin), break_: func(f *faults) { f.credentials = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"usage down":                             {request: request("/api/usage", asOwner, ofExample), break_: func(f *faults) { f.usage = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"usage down, detail":                     {request: request("/api/usage/new", asAdmin), break_: func(f *faults) { f.usage = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"directory down":                         {request: request("/api/usage", asAdmin), break_: func(f *faults) { f.directory = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"usage down, unknown token":              {request: request("/api/usage", "Authorization: Bearer nobody", ofExample), break_: func(f *faults) { f.usage = outage.ErrUnavailable }, status: 401, code: "unauthorized"},
		"usage down, another's":                  {request: request("/api/usage", asOwner, "X-Restaurant-Id: new"), break_: func(f *faults) { f.usage = outage.ErrUnavailable }, status: 403, code: "forbidden"},
		"something that nobody thought of":       {request: request("/api/usage", asOwner, ofExample), break_: func(f *faults) { f.usage = errors.New("table sufrah-prod-usage: access denied") }, status: 500, code: "internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			if test.break_ != nil {
				test.break_(f.faults)
			}
			w := f.do(t, test.request)
			var body map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatalf("answered with %d %q, want the refusal %d with code %s: %v", w.Code, w.Body, test.status, test.code, err)
			}
			if w.Code != test.status || body["code"] != test.code || body["error"] == "" || len(body) != 2 {
				t.Errorf("answered with %d %v, want %d with code %s and a sentence", w.Code, body, test.status, test.code)
			}
			if !strings.Contains(body["error"], test.names) {
				t.Errorf("the refusal's sentence %q doesn't name %q, so the caller can't tell what to mend", body["error"], test.names)
			}
			if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") != (test.status == 401) {
				t.Errorf("WWW-Authenticate is %q with status %d, want it with 401 only", challenge, test.status)
			}
			if retry := w.Header().Get("Retry-After"); (retry != "") != (test.status == 503) {
				t.Errorf("Retry-After is %q with status %d, want it with 503 only", retry, test.status)
			}
			if strings.Contains(w.Body.String(), "sufrah-prod") {
				t.Errorf("the answer tells strangers of the inside: %s", w.Body)
			}
		})
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} {
		for _, target := range []string{"/api/usage", "/api/usage/new", "/api/usage/alerts", "/api/usage/details", "/api/usage/new/details"} {
			w := f.do(t, httptest.NewRequest(method, target, strings.NewReader("{}")))
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s is answered with %d and Allow %q, want 405 with \"GET, HEAD\"", method, target, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	if w := f.do(t, httptest.NewRequest("POST", "/nowhere", nil)); w.Code != http.StatusNotFound {
		t.Errorf("POST to an unknown path is answered with %d, want 404", w.Code)
	}
}

func TestPaginationShowsWhatApplied(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"":                            `{"total":3,"limit":20,"offset":0,"hasMore":false}`,
		"?limit=100":                  `{"total":3,"limit":100,"offset":0,"hasMore":false}`,
		"?limit=101":                  `{"total":3,"limit":100,"offset":0,"hasMore":false}`,
		"?limit=99999999999999999999": `{"total":3,"limit":100,"offset":0,"hasMore":false}`,
		"?limit=2":                    `{"total":3,"limit":2,"offset":0,"hasMore":true,"nextCursor":"MTc1NTcxMjgwMDAwMC9jbHh5ejEyM2FiYw"}`,
		"?limit=2&offset=1":           `{"total":3,"limit":2,"offset":1,"hasMore":false}`,
		"?limit=3":                    `{"total":3,"limit":3,"offset":0,"hasMore":false}`,
		"?limit=2&cursor=MTc1ODM5MTIwMDAwMC9uZXc":                           `{"total":3,"limit":2,"offset":1,"hasMore":false}`,
		"?limit=1&cursor=MTc1ODM5MTIwMDAwMC9uZXc":                           `{"total":3,"limit":1,"offset":1,"hasMore":true,"nextCursor":"MTc1NTcxMjgwMDAwMC9jbHh5ejEyM2FiYw"}`,
		"?limit=1&isActive=false&cursor=MTc1NTcxMjgwMDAwMC9jbHh5ejEyM2FiYw": `{"total":1,"limit":1,"offset":0,"hasMore":false}`,
		"?cursor=LTUvYQ":     `{"total":3,"limit":20,"offset":3,"hasMore":false}`, // before 1970, behind all
		"?search=cl":         `{"total":2,"limit":20,"offset":0,"hasMore":false}`,
		"?search=%20%20":     `{"total":3,"limit":20,"offset":0,"hasMore":false}`,
		"?search=":           `{"total":3,"limit":20,"offset":0,"hasMore":false}`,
		"?search=CL&limit=1": `{"total":2,"limit":1,"offset":0,"hasMore":true,"nextCursor":"MS9jbG9zZWQvY2xvc2Vk"}`,
		"?search=cl&limit=1&cursor=MS9jbG9zZWQvY2xvc2Vk": `{"total":2,"limit":1,"offset":1,"hasMore":false}`,
		"?search=cl&limit=1&offset=1":                    `{"total":2,"limit":1,"offset":1,"hasMore":false}`,
		"?search=cl&offset=7":                            `{"total":2,"limit":20,"offset":7,"hasMore":false}`,
		"?search=cl&isActive=false":                      `{"total":1,"limit":20,"offset":0,"hasMore":false}`,
		"?search=exam+rest":                              `{"total":1,"limit":20,"offset":0,"hasMore":false}`,
		"?search=exam+clo":                               `{"total":0,"limit":20,"offset":0,"hasMore":false}`,
		"?limit=007":                                     `{"total":3,"limit":7,"offset":0,"hasMore":false}`,
		"?offset=99999999999999999999":                   `{"total":3,"limit":20,"offset":9007199254740991,"hasMore":false}`,
		"?isActive=true&limit=1":                         `{"total":2,"limit":1,"offset":0,"hasMore":true,"nextCursor":"MTc1ODM5MTIwMDAwMC9uZXc"}`,
		"?isActive=false&limit=1":                        `{"total":1,"limit":1,"offset":0,"hasMore":false}`,
		"?sort=name&isActive=false&page=2":               `{"total":1,"limit":20,"offset":0,"hasMore":false}`,
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			w := setup(t).do(t, request("/api/usage"+query, asAdmin))
			var body struct{ Pagination json.RawMessage }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatalf("decoding %.500s: %v", w.Body.Bytes(), err)
			}
			if string(body.Pagination) != want {
				t.Errorf("the list %q shows the pagination %s, want %s", query, body.Pagination, want)
			}
		})
	}
}

func TestFormsOfOneRequestGetTheSameAnswer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	want := f.do(t, request("/api/usage", asOwner, ofExample))
	for name, r := range map[string]*http.Request{
		"trailing slash":      request("/api/usage/", asOwner, ofExample),
		"scheme in any case":  request("/api/usage", "authorization: bEARER "+owner, ofExample),
		"spaces":              request("/api/usage", "Authorization:  Bearer   "+owner+" ", "X-Restaurant-Id:  clxyz123abc "),
		"restaurantId":        request("/api/usage?restaurantId=clxyz123abc", asOwner),
		"tenantId":            request("/api/usage?tenantId=clxyz123abc", asOwner),
		"everywhere":          request("/api/usage?tenantId=clxyz123abc&restaurantId=clxyz123abc", asOwner, ofExample),
		"named empty too":     request("/api/usage?tenantId=&restaurantId=clxyz123abc", asOwner, "X-Restaurant-Id: "),
		"its bot":             request("/api/usage", asOwner, "X-Restaurant-Id: bot-1"),
		"its bot, in a query": request("/api/usage?tenantId=bot-1", asDashboard),
		"unrelated query":     request("/api/usage?limit=0&x=%zz", asOwner, ofExample),
		"the dashboard's own": request("/api/usage", asDashboard, ofExample),
	} {
		got := f.do(t, r)
		if got.Code != http.StatusOK || got.Body.String() != want.Body.String() {
			t.Errorf("the request with %s is answered with %d %s, want what the plain form gets: %s", name, got.Code, got.Body, want.Body)
		}
	}
	if w := f.do(t, request("/api/usage/new/", asAdmin)); w.Code != http.StatusOK {
		t.Errorf("a restaurant's path with a trailing slash is answered with %d %s, want 200", w.Code, w.Body)
	}
}

func TestHeadHasTheHeadersOnly(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, target := range []string{"/api/usage", "/api/usage/new", "/api/usage/nowhere", "/nowhere", "/api/usage?limit=x"} {
		get := f.do(t, request(target, asAdmin))
		r := request(target, asAdmin)
		r.Method = http.MethodHead
		head := f.do(t, r)
		if head.Code != get.Code || head.Body.Len() != 0 {
			t.Errorf("HEAD %s is answered with %d and the body %q, want GET's status %d and no body", target, head.Code, head.Body, get.Code)
		}
		if diff := cmp.Diff(get.Header(), head.Header()); diff != "" {
			t.Errorf("HEAD %s has other headers than GET (-GET +HEAD):\n%s", target, diff)
		}
	}
}

func TestAnswersAreNeitherCachedNorSniffed(t *testing.T) {
	t.Parallel()
	w := setup(t).do(t, request("/api/usage", asAdmin))
	want := http.Header{
		"Content-Type": {"application/json"}, "Cache-Control": {"no-store"},
		"X-Content-Type-Options": {"nosniff"}, "X-Request-Id": {"request-1"},
	}
	if diff := cmp.Diff(want, w.Header()); diff != "" {
		t.Errorf("headers of an answer (-want +got):\n%s", diff)
	}
}

func TestEveryRequestHasALogLineWithoutCredentials(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.do(t, request("/api/usage", asOwner, ofExample))
	f.do(t, request("/api/usage", asOwner, "X-Restaurant-Id: new"))
	f.do(t, request("/api/usage", "Authorization: Bearer "+expired, ofExample))
	f.faults.usage = fmt.Errorf("%w: table is on fire", outage.ErrUnavailable)
	f.do(t, request("/api/usage/new", asAdmin))

	var got []map[string]any
	for line := range strings.Lines(f.log.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("the log line %q is no JSON: %v", line, err)
		}
		delete(entry, "timestamp")
		got = append(got, entry)
	}
	common := map[string]any{"message": "request", "function": "usage-api", "requestId": "request-1", "method": "GET", "durationMs": 0.0}
	want := []map[string]any{
		{"level": "INFO", "route": "/api/usage", "status": 200.0, "restaurantId": "clxyz123abc", "credentialId": "cr_" + owner},
		{"level": "WARN", "route": "/api/usage", "status": 403.0, "restaurantId": "new", "credentialId": "cr_" + owner,
			"sourceIp": "192.0.2.1:1234", "code": "forbidden", "error": "This access token does not cover that restaurant"},
		{"level": "WARN", "route": "/api/usage", "status": 401.0, "restaurantId": "clxyz123abc", "credentialId": "cr_" + expired,
			"sourceIp": "192.0.2.1:1234", "code": "unauthorized", "error": "credential refused: expired"},
		{"level": "ERROR", "route": "/api/usage/{restaurantId}", "status": 503.0, "restaurantId": "new", "credentialId": "cr_" + admin,
			"sourceIp": "192.0.2.1:1234", "code": "unavailable", "error": "reading usage of restaurant new: temporarily unavailable: table is on fire"},
	}
	for _, entry := range want {
		for key, value := range common {
			entry[key] = value
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log of the requests (-want +got):\n%s", diff)
	}
	// The fixture's credential ids contain the credentials' values, which real ids don't. So the log is searched for the
	// values as they were sent.
	if strings.Contains(f.log.String(), "Bearer") {
		t.Errorf("the log shows an Authorization header, and with it a token: %s", f.log)
	}
}

// TestAlertsAreOrderedAndCounted has restaurants around a threshold, and pages of them.
func TestAlertsAreOrderedAndCounted(t *testing.T) {
	t.Parallel()
	f := setup(t)
	october := usage.Month{Year: 2025, Month: time.October}
	for id, used := range map[string]int64{"a": 24, "b": 27, "c": 26, "d": 40, "e": 27} {
		r := restaurant.Restaurant{ID: id, Name: id, Active: true, CreatedAt: now}
		bot := &restaurant.Bot{ID: "bot-" + id, Limits: restaurant.Limits{ConversationsPerDay: 1}}
		if err := f.store.CreateRestaurant(t.Context(), r, bot); err != nil {
			t.Fatalf("creating the restaurant: %v", err)
		}
		months := map[usage.Month]usage.MonthCount{october: {Conversations: used}, october.Last(2)[1]: {Conversations: 900}}
		if err := f.store.PutUsage(t.Context(), id, usage.Activity{}, months); err != nil {
			t.Fatalf("storing the usage: %v", err)
		}
	}
	for query, want := range map[string]string{
		"":                              `d b e total 3 limit 50 offset 0 more false threshold 0.9`,
		"?threshold=0.9&limit=2":        `d b total 3 limit 2 offset 0 more true threshold 0.9`,
		"?threshold=0.90&offset=2":      `e total 3 limit 50 offset 2 more false threshold 0.9`,
		"?threshold=0.900001":           `d total 1 limit 50 offset 0 more false threshold 0.900001`,
		"?threshold=0.8&limit=1000":     `d b e c a total 5 limit 200 offset 0 more false threshold 0.8`,
		"?threshold=1":                  `d total 1 limit 50 offset 0 more false threshold 1`,
		"?threshold=1.0&offset=7":       ` total 1 limit 50 offset 7 more false threshold 1`,
		"?threshold=0":                  `d b e c a clxyz123abc new total 7 limit 50 offset 0 more false threshold 0`,
		"?threshold=0.000001&x=1&x=2":   `d b e c a clxyz123abc total 6 limit 50 offset 0 more false threshold 1e-06`,
		"?threshold=0.9&isActive=never": `d b e total 3 limit 50 offset 0 more false threshold 0.9`,
	} {
		var body struct {
			Data       []struct{ RestaurantID string }
			Pagination struct {
				Total, Limit, Offset int
				HasMore              bool
			}
			Threshold float64
		}
		w := f.do(t, request("/api/usage/alerts"+query, asAdmin))
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("the alerts %q are no JSON: %s", query, w.Body)
		}
		var ids []string
		for _, r := range body.Data {
			ids = append(ids, r.RestaurantID)
		}
		p := body.Pagination
		got := fmt.Sprintf("%s total %d limit %d offset %d more %t threshold %v", strings.Join(ids, " "), p.Total, p.Limit, p.Offset, p.HasMore, body.Threshold)
		if got != want {
			t.Errorf("the alerts %q are %s\nwant %s", query, got, want)
		}
	}
}

// FuzzRequests: the API answers any request without failing or panicking.
func FuzzRequests(f *testing.F) {
	f.Add("GET", "/api/usage", "limit=5&offset=1&isActive=true", "Bearer "+owner, admin, "clxyz123abc")
	f.Add("GET", "/api/usage/clxyz123abc", "", "", admin, "")
	f.Add("HEAD", "/api//usage/%2e%2e", "limit=%zz;offset=1", "Basic \x00", "", "\xff")
	fixture := setup(f)
	f.Fuzz(func(t *testing.T, method, path, query, authorization, key, restaurantID string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		r.Header = http.Header{"Authorization": {authorization}, "X-Api-Key": {key}, "X-Restaurant-Id": {restaurantID}}
		w := fixture.do(t, r)
		if w.Code >= 500 || w.Code < 200 {
			t.Errorf("%s %s?%s is answered with %d: %s; want no fault of ours, whatever is asked", method, path, query, w.Code, w.Body)
		}
		if method != http.MethodHead && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s?%s is answered with %q, which is no JSON", method, path, query, w.Body)
		}
		fixture.log.Reset()
	})
}
