package devstack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/local/demo"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/test/openapitest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// noon is the time of most tests' stacks: the middle of a day in the middle of a month.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// serve serves a stack on this machine, with a clock that stands still.
func serve(t testing.TB, at time.Time) *devstack.Stack {
	t.Helper()
	return serveLogging(t, at, io.Discard)
}

func serveLogging(t testing.TB, at time.Time, log io.Writer) *devstack.Stack {
	t.Helper()
	stack, server, err := newServed(t.Context(), at, distinctKeys(t, log))
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	t.Cleanup(server.Close)
	return stack
}

// loadDefinition reads template.yaml once. Nobody changes it: With returns a copy.
var loadDefinition = sync.OnceValues(func() (*sam.Definition, error) { return sam.Load("../../../template.yaml") })

func newServed(ctx context.Context, at time.Time, log io.Writer) (*devstack.Stack, *httptest.Server, error) {
	parsed, err := loadDefinition()
	if err != nil {
		return nil, nil, err
	}
	tables, err := demoTables(at)
	if err != nil {
		return nil, nil, err
	}
	server := httptest.NewUnstartedServer(nil)
	stack, err := devstack.New(ctx, devstack.Options{
		Definition: parsed,
		Tables:     tables,
		BaseURL:    "http://" + server.Listener.Addr().String(),
		WebhookURL: devstack.EventsWebhookURL,
		Clock:      devstack.NewClock(func() time.Time { return at }),
		Log:        log,
	})
	server.Config.Handler = stack
	server.Start()
	return stack, server, err
}

var demos struct {
	sync.Mutex
	at map[time.Time]*dynamolocal.Engine
}

// demoTables returns tables with the demo data of a moment. They are loaded once and then copied, which is much faster.
func demoTables(at time.Time) (*dynamolocal.Engine, error) {
	demos.Lock()
	defer demos.Unlock()
	if loaded := demos.at[at]; loaded != nil {
		return loaded, nil
	}
	parsed, err := loadDefinition()
	if err != nil {
		return nil, err
	}
	defined, err := devstack.Tables(parsed)
	if err != nil {
		return nil, err
	}
	tb := tables{engine: dynamolocal.New(func() time.Time { return at }, defined...)}
	if err := demo.Load(context.Background(), tb.store(), usage.NewCalendar(nil), at); err != nil {
		return nil, err
	}
	if demos.at == nil {
		demos.at = make(map[time.Time]*dynamolocal.Engine)
	}
	demos.at[at] = tb.engine
	return tb.engine, nil
}

func mustLoad(t *testing.T) *sam.Definition {
	t.Helper()
	parsed, err := loadDefinition()
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	return parsed
}

var newShared = sync.OnceValues(func() (*devstack.Stack, error) {
	stack, _, err := newServed(context.Background(), noon, io.Discard)
	return stack, err
})

// shared returns one stack, at noon, for all tests that only read.
func shared(t *testing.T) *devstack.Stack {
	t.Helper()
	stack, err := newShared()
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	return stack
}

// answer is an answer over HTTP.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request with headers given as "Name: value", and returns the answer.
func do(t *testing.T, stack *devstack.Stack, method, target, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, stack.BaseURL+target, strings.NewReader(body))
	if err != nil {
		t.Fatalf("making the request: %v", err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(r) // a client would follow redirects
	if err != nil {
		t.Fatalf("sending the request: %v", err)
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	if strings.HasPrefix(target, "/api/") {
		if err := checkDescribed(method, target, response, read); err != nil {
			t.Errorf("the answer to %s %s isn't as docs/openapi.yaml promises: %v", method, target, err)
		}
	}
	return answer{response.StatusCode, response.Header, read}
}

var description = sync.OnceValues(func() (*openapitest.Description, error) { return openapitest.Load("../../../docs/openapi.yaml") })

// checkDescribed compares an answer of the usage API with the API's description.
func checkDescribed(method, target string, response *http.Response, body []byte) error {
	described, err := description()
	if err != nil {
		return err
	}
	parsed, err := url.ParseRequestURI(target)
	if err != nil {
		return err
	}
	return described.Check(method, parsed.Path, response, body)
}

func get(t *testing.T, stack *devstack.Stack, target string, headers ...string) answer {
	t.Helper()
	return do(t, stack, http.MethodGet, target, "", headers...)
}

// read decodes an answer. It fails unless the answer has the status.
func read[T any](t *testing.T, a answer, status int) T {
	t.Helper()
	var value T
	if a.status != status {
		t.Fatalf("the request is answered with %d, want %d: %s", a.status, status, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("the answer has the content type %q, want JSON", got)
	}
	decoder := json.NewDecoder(bytes.NewReader(a.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("the answer %s can't be read: %v", a.body, err)
	}
	return value
}

// The answers' types, as a client would declare them.
type (
	allowance struct{ DailyLimit, DailyRemaining, MonthlyLimit, MonthlyRemaining int64 }
	period    struct {
		Year, Month        int
		TimeZone           string
		StartsAt, ResetsAt time.Time
	}
	figures struct {
		RestaurantID, RestaurantName                    string
		ConversationsToday, ConversationsThisMonth      int64
		LastConversationAt, FirstActivity, LastActivity *time.Time
		Period                                          period
		Allowance                                       allowance
		AdjustedBy                                      int64
		UsagePercent                                    *float64 // absent if there is no limit
		IsNearingQuota, HasAccess, IsActive             bool
	}
	month struct {
		Month, Year        int
		ConversationCount  int64
		LastConversationAt *time.Time
	}
	detail struct {
		figures
		History []month
	}
	page struct {
		Data       []figures
		Pagination struct {
			Total, Limit, Offset int
			HasMore              bool
			NextCursor           string
		}
	}
	failure struct{ Error, Code string }
)

const (
	asOwner     = "Authorization: Bearer local-pat-clxyz123abc"
	asDashboard = "Authorization: Bearer local-dashboard-pat"
	asAdmin     = "X-API-Key: local-admin-key"
	ofExample   = "X-Restaurant-Id: clxyz123abc"
)

func at(year int, month time.Month, day, hour, minute int) *time.Time {
	t := time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	return &t
}

func percent(p float64) *float64 { return &p }

func wantEqual[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(detail{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestDemoFigures checks the documented figures of the demo data for each kind of caller.
func TestDemoFigures(t *testing.T) {
	t.Parallel()
	demoFigures(t, shared(t))
}

// demoFigures looks at a stack at noon.
func demoFigures(t *testing.T, stack *devstack.Stack) {
	t.Helper()
	yesterday := at(2026, 11, 22, 12, 0)
	thousand := allowance{1000, 1000, 30_000, 30_000}
	november := period{2026, 11, "UTC", *at(2026, 11, 1, 0, 0), *at(2026, 12, 1, 0, 0)}
	example := figures{
		RestaurantID: "clxyz123abc", RestaurantName: "Example Restaurant", ConversationsThisMonth: 45,
		LastConversationAt: yesterday, FirstActivity: at(2026, 10, 20, 14, 30), LastActivity: yesterday,
		Allowance: allowance{1000, 1000, 30_000, 29_955}, UsagePercent: percent(0.15), Period: november, HasAccess: true, IsActive: true,
	}
	for _, want := range []detail{
		{example, []month{{11, 2026, 45, yesterday}, {10, 2026, 123, at(2026, 10, 20, 15, 30)}}},
		{figures{RestaurantID: "demo-inactive", RestaurantName: "مطعم مغلق", LastConversationAt: at(2026, 8, 20, 15, 30),
			FirstActivity: at(2026, 8, 20, 14, 30), LastActivity: at(2026, 8, 20, 15, 30), Allowance: thousand,
			UsagePercent: percent(0), Period: november, HasAccess: true},
			[]month{{8, 2026, 17, at(2026, 8, 20, 15, 30)}}},
		{figures{RestaurantID: "demo-no-bot", RestaurantName: "Shawarma Without a Bot", ConversationsThisMonth: 3,
			LastConversationAt: yesterday, FirstActivity: at(2026, 11, 22, 11, 0), LastActivity: yesterday,
			Allowance: allowance{1000, 1000, 30_000, 29_997}, UsagePercent: percent(0.01),
			Period: november, HasAccess: true, IsActive: true}, []month{{11, 2026, 3, yesterday}}},
		{figures{RestaurantID: "demo-never", RestaurantName: "بيت الكبسة الجديد", Allowance: thousand,
			UsagePercent: percent(0), Period: november, HasAccess: true, IsActive: true}, []month{}},
		{figures{RestaurantID: "demo-unlimited", RestaurantName: "Unlimited Grill", ConversationsThisMonth: 5000,
			LastConversationAt: yesterday, FirstActivity: at(2026, 11, 22, 11, 0), LastActivity: yesterday,
			Allowance: allowance{-1, -1, -1, -1}, Period: november, HasAccess: true, IsActive: true}, []month{{11, 2026, 5000, yesterday}}},
	} {
		id := want.RestaurantID
		wantEqual(t, id+" in detail", read[detail](t, get(t, stack, "/api/usage/"+id, asAdmin), 200), want)
		got := read[figures](t, get(t, stack, "/api/usage", asDashboard, "X-Restaurant-Id: "+id), 200)
		wantEqual(t, id+" to the dashboard", got, want.figures)
	}
	wantEqual(t, "example to its owner", read[figures](t, get(t, stack, "/api/usage", asOwner, ofExample), 200), example)
}

// TestAbsentTimesAreNull: every field is there, even if it has no value.
func TestAbsentTimesAreNull(t *testing.T) {
	t.Parallel()
	a := get(t, shared(t), "/api/usage/demo-never", asAdmin)
	for _, field := range []string{`"lastConversationAt":null`, `"firstActivity":null`, `"lastActivity":null`, `"history":[]`} {
		if !bytes.Contains(a.body, []byte(field)) {
			t.Errorf("the field %s is missing in %s, want null", field, a.body)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	list(t, shared(t))
}

func list(t *testing.T, stack *devstack.Stack) {
	t.Helper()
	for query, want := range map[string]struct {
		shown, total, limit, offset int
		hasMore                     bool
	}{
		"":                                {20, 150, 20, 0, true},
		"?limit=1":                        {1, 150, 1, 0, true},
		"?limit=100":                      {100, 150, 100, 0, true},
		"?limit=101":                      {100, 150, 100, 0, true},
		"?limit=99999999999999999999":     {100, 150, 100, 0, true},
		"?limit=100&offset=50":            {100, 150, 100, 50, false},
		"?limit=100&offset=49":            {100, 150, 100, 49, true},
		"?offset=149":                     {1, 150, 20, 149, false},
		"?offset=150":                     {0, 150, 20, 150, false},
		"?offset=151":                     {0, 150, 20, 151, false},
		"?isActive=true&limit=100":        {100, 149, 100, 0, true},
		"?isActive=true&offset=140":       {9, 149, 20, 140, false},
		"?isActive=false":                 {1, 1, 20, 0, false},
		"?isActive=false&offset=1":        {0, 1, 20, 1, false},
		"?limit=5&offset=0&unknown=thing": {5, 150, 5, 0, true},
	} {
		got := read[page](t, get(t, stack, "/api/usage"+query, asAdmin), 200)
		if len(got.Data) != want.shown || got.Pagination.Total != want.total || got.Pagination.Limit != want.limit ||
			got.Pagination.Offset != want.offset || got.Pagination.HasMore != want.hasMore || (got.Pagination.NextCursor != "") != want.hasMore {
			t.Errorf("the list %q shows %d restaurants with the pagination %+v, want %+v", query, len(got.Data), got.Pagination, want)
		}
		for _, f := range got.Data {
			if strings.Contains(query, "isActive") && f.IsActive != strings.Contains(query, "isActive=true") {
				t.Errorf("the list %q shows %s, active %t, which its filter leaves out", query, f.RestaurantID, f.IsActive)
			}
		}
	}
}

// TestListIsWhole: the pages of the list show every restaurant once, the newest first.
func TestListIsWhole(t *testing.T) {
	t.Parallel()
	stack := shared(t)
	var got []string
	for offset := 0; ; offset += 40 {
		p := read[page](t, get(t, stack, fmt.Sprintf("/api/usage?limit=40&offset=%d", offset), asAdmin), 200)
		for _, f := range p.Data {
			got = append(got, f.RestaurantID)
		}
		if !p.Pagination.HasMore {
			break
		}
	}
	want := []string{"clxyz123abc", "demo-unlimited", "demo-never", "demo-no-bot", "demo-inactive"}
	for i := 145; i >= 1; i-- {
		want = append(want, fmt.Sprintf("demo-%03d", i))
	}
	wantEqual(t, "ids", got, want)
}

// TestErrorsFollowTheErrorTableBehindTheGateway covers every row of the API's error table.
func TestErrorsFollowTheErrorTableBehindTheGateway(t *testing.T) {
	t.Parallel()
	stack := serve(t, noon)
	vault := stack.Store()
	for raw, c := range map[string]struct {
		grant   credential.Grant
		revoked bool
	}{
		"pat-expired": {credential.Grant{Kind: credential.PAT, All: true, ExpiresAt: noon}, false},
		"pat-revoked": {credential.Grant{Kind: credential.PAT, All: true}, true},
		"key-revoked": {credential.Grant{Kind: credential.APIKey}, true},
		"pat-two":     {credential.Grant{Kind: credential.PAT, Restaurants: []string{"demo-001", "demo-002", "gone"}}, false},
	} {
		if err := vault.AddCredential(t.Context(), c.grant.Credential(raw, "cr_"+raw, noon.Add(-time.Hour))); err != nil {
			t.Fatalf("storing the credential: %v", err)
		}
		if c.revoked {
			if err := vault.RevokeCredential(t.Context(), "cr_"+raw, noon); err != nil {
				t.Fatalf("revoking the credential: %v", err)
			}
		}
	}
	const ofTwo = "X-Restaurant-Id: demo-002"
	for name, test := range map[string]struct {
		method  string // GET where empty
		target  string
		headers []string
		status  int
		code    string
		names   string // word that the error's sentence must have
	}{
		"no credentials":                     {"", "/api/usage", nil, 401, "unauthorized", ""},
		"no credentials, detail":             {"", "/api/usage/clxyz123abc", nil, 401, "unauthorized", ""},
		"a restaurant alone":                 {"", "/api/usage", []string{ofExample}, 401, "unauthorized", ""},
		"empty key":                          {"", "/api/usage", []string{"X-API-Key: "}, 401, "unauthorized", ""},
		"another scheme":                     {"", "/api/usage", []string{"Authorization: Basic bG9jYWw6cGF0", ofExample}, 401, "unauthorized", ""},
		"token without scheme":               {"", "/api/usage", []string{"Authorization: local-dashboard-pat", ofExample}, 401, "unauthorized", ""},
		"unknown token":                      {"", "/api/usage", []string{"Authorization: Bearer nobody", ofExample}, 401, "unauthorized", ""},
		"unknown token without restaurant":   {"", "/api/usage", []string{"Authorization: Bearer nobody"}, 401, "unauthorized", ""},
		"expired token":                      {"", "/api/usage", []string{"Authorization: Bearer pat-expired", ofExample}, 401, "unauthorized", ""},
		"revoked token":                      {"", "/api/usage", []string{"Authorization: Bearer pat-revoked", ofExample}, 401, "unauthorized", ""},
		"unknown key":                        {"", "/api/usage", []string{"X-API-Key: nobody"}, 401, "unauthorized", ""},
		"revoked key":                        {"", "/api/usage", []string{"X-API-Key: key-revoked"}, 401, "unauthorized", ""},
		"revoked key, detail":                {"", "/api/usage/clxyz123abc", []string{"X-API-Key: key-revoked"}, 401, "unauthorized", ""},
		"token as key":                       {"", "/api/usage", []string{"X-API-Key: local-dashboard-pat"}, 401, "unauthorized", ""},
		"key as token":                       {"", "/api/usage", []string{"Authorization: Bearer local-admin-key", ofExample}, 401, "unauthorized", ""},
		"key twice":                          {"", "/api/usage", []string{asAdmin, asAdmin}, 401, "unauthorized", ""},
		"token twice":                        {"", "/api/usage", []string{asOwner, asOwner, ofExample}, 401, "unauthorized", ""},
		"both credentials":                   {"", "/api/usage", []string{asOwner, asAdmin, ofExample}, 400, "ambiguous_credentials", ""},
		"both credentials, detail":           {"", "/api/usage/clxyz123abc", []string{asOwner, asAdmin}, 400, "ambiguous_credentials", ""},
		"both, neither good":                 {"", "/api/usage", []string{"Authorization: Bearer x", "X-API-Key: y"}, 400, "ambiguous_credentials", ""},
		"no restaurant":                      {"", "/api/usage", []string{asOwner}, 400, "restaurant_id_required", "X-Restaurant-Id"},
		"no restaurant, token for all":       {"", "/api/usage", []string{asDashboard}, 400, "restaurant_id_required", "X-Restaurant-Id"},
		"another's restaurant":               {"", "/api/usage", []string{asOwner, "X-Restaurant-Id: demo-001"}, 403, "forbidden", ""},
		"another's, which doesn't exist":     {"", "/api/usage", []string{asOwner, "X-Restaurant-Id: nobody"}, 403, "forbidden", ""},
		"another's, which can't exist":       {"", "/api/usage", []string{asOwner, "X-Restaurant-Id: a/b"}, 403, "forbidden", ""},
		"a third one":                        {"", "/api/usage", []string{"Authorization: Bearer pat-two", "X-Restaurant-Id: demo-003"}, 403, "forbidden", ""},
		"two restaurants at once":            {"", "/api/usage", []string{"Authorization: Bearer pat-two", "X-Restaurant-Id: demo-001", ofTwo}, 403, "forbidden", ""},
		"token on detail":                    {"", "/api/usage/clxyz123abc", []string{asOwner}, 403, "forbidden", ""},
		"token on another's detail":          {"", "/api/usage/demo-001", []string{asOwner}, 403, "forbidden", ""},
		"token for all on detail":            {"", "/api/usage/nobody", []string{asDashboard}, 403, "forbidden", ""},
		"limit 0":                            {"", "/api/usage?limit=0", []string{asAdmin}, 400, "invalid_parameter", "limit"},
		"limit negative":                     {"", "/api/usage?limit=-5", []string{asAdmin}, 400, "invalid_parameter", "limit"},
		"limit a fraction":                   {"", "/api/usage?limit=2.5", []string{asAdmin}, 400, "invalid_parameter", "limit"},
		"limit a word":                       {"", "/api/usage?limit=many", []string{asAdmin}, 400, "invalid_parameter", "limit"},
		"limit empty":                        {"", "/api/usage?limit=", []string{asAdmin}, 400, "invalid_parameter", "limit"},
		"limit twice":                        {"", "/api/usage?limit=1&limit=2", []string{asAdmin}, 400, "invalid_parameter", "limit"},
		"offset negative":                    {"", "/api/usage?offset=-1", []string{asAdmin}, 400, "invalid_parameter", "offset"},
		"offset a word":                      {"", "/api/usage?offset=end", []string{asAdmin}, 400, "invalid_parameter", "offset"},
		"isActive a number":                  {"", "/api/usage?isActive=1", []string{asAdmin}, 400, "invalid_parameter", "isActive"},
		"isActive in capitals":               {"", "/api/usage?isActive=TRUE", []string{asAdmin}, 400, "invalid_parameter", "isActive"},
		"bad parameter of nobody":            {"", "/api/usage?limit=0", []string{"X-API-Key: nobody"}, 401, "unauthorized", ""},
		"unknown restaurant, key":            {"", "/api/usage/nobody", []string{asAdmin}, 404, "restaurant_not_found", ""},
		"unknown restaurant, token for all":  {"", "/api/usage", []string{asDashboard, "X-Restaurant-Id: nobody"}, 404, "restaurant_not_found", ""},
		"unknown restaurant, token names it": {"", "/api/usage", []string{"Authorization: Bearer pat-two", "X-Restaurant-Id: gone"}, 404, "restaurant_not_found", ""},
		"an id that can't be":                {"", "/api/usage/%D9%85%D8%B7%D8%B9%D9%85", []string{asAdmin}, 404, "restaurant_not_found", ""},
		"unknown path":                       {"", "/api/usages", []string{asAdmin}, 404, "not_found", ""},
		"unknown path without credentials":   {"", "/elsewhere", nil, 404, "not_found", ""},
		"below a restaurant":                 {"", "/api/usage/clxyz123abc/history", []string{asAdmin}, 404, "not_found", ""},
		"an encoded slash":                   {"", "/api/usage/clxyz123abc%2Fhistory", []string{asAdmin}, 404, "not_found", ""},
		"double slash":                       {"", "/api//usage", []string{asAdmin}, 404, "not_found", ""},
		"encoded dots":                       {"", "/api/usage/%2e%2e/usage", []string{asAdmin}, 404, "not_found", ""},
		"POST":                               {"POST", "/api/usage", []string{asAdmin}, 405, "method_not_allowed", ""},
		"PUT":                                {"PUT", "/api/usage/clxyz123abc", []string{asAdmin}, 405, "method_not_allowed", ""},
		"PATCH":                              {"PATCH", "/api/usage", []string{asOwner}, 405, "method_not_allowed", ""},
		"DELETE without credentials":         {"DELETE", "/api/usage/clxyz123abc", nil, 405, "method_not_allowed", ""},
		"OPTIONS":                            {"OPTIONS", "/api/usage", nil, 405, "method_not_allowed", ""},
		"POST with a trailing slash":         {"POST", "/api/usage/", nil, 405, "method_not_allowed", ""},
		"a method nobody heard of":           {"BREW", "/api/usage", []string{asAdmin}, 405, "method_not_allowed", ""},
		"POST to an unknown path":            {"POST", "/api/orders", nil, 404, "not_found", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			method := test.method
			if method == "" {
				method = http.MethodGet
			}
			a := do(t, stack, method, test.target, "", test.headers...)
			got := read[failure](t, a, test.status)
			if got.Code != test.code || !strings.HasSuffix(got.Error, ".") || !strings.Contains(got.Error, test.names) {
				t.Errorf("the refusal is %s, want code %s and a sentence that names %q", a.body, test.code, test.names)
			}
			if challenged := a.header.Get("WWW-Authenticate") != ""; challenged != (test.status == 401) {
				t.Errorf("WWW-Authenticate of the refusal is %q, want it with 401 only", a.header.Get("WWW-Authenticate"))
			}
			if allow := a.header.Get("Allow"); (allow == "GET, HEAD") != (test.status == 405) || (allow != "") != (test.status == 405) {
				t.Errorf("Allow is %q", allow)
			}
		})
	}
}

// TestFormsOfOneRequestGetTheSameAnswerBehindTheGateway: equivalent forms of a request get the same answer behind the gateway too.
func TestFormsOfOneRequestGetTheSameAnswerBehindTheGateway(t *testing.T) {
	t.Parallel()
	stack := shared(t)
	want := get(t, stack, "/api/usage", asOwner, ofExample)
	for name, got := range map[string]answer{
		"trailing slash":           get(t, stack, "/api/usage/", asOwner, ofExample),
		"headers in capitals":      get(t, stack, "/api/usage", strings.ToUpper("authorization")+": BEARER local-pat-clxyz123abc", "X-RESTAURANT-ID: clxyz123abc"),
		"encoded path":             get(t, stack, "/%61pi/us%61ge", asOwner, ofExample),
		"a query without meaning":  get(t, stack, "/api/usage?limit=none&%zz", asOwner, ofExample),
		"a fragment of a query":    get(t, stack, "/api/usage?", asOwner, ofExample),
		"cookies and other things": get(t, stack, "/api/usage", asOwner, ofExample, "Cookie: a=b; c=d", "Accept: text/html", "Accept: */*"),
		"a body":                   do(t, stack, http.MethodGet, "/api/usage", "\x00\xff", asOwner, ofExample),
	} {
		if got.status != 200 || !bytes.Equal(got.body, want.body) {
			t.Errorf("the request with %s is answered with %d %s, want what the plain form gets", name, got.status, got.body)
		}
	}
	plain := get(t, stack, "/api/usage/clxyz123abc", asAdmin)
	slash := get(t, stack, "/api/usage/clxyz123abc/", asAdmin)
	if plain.status != 200 || slash.status != 200 || !bytes.Equal(plain.body, slash.body) {
		t.Errorf("a restaurant's path with a trailing slash is answered with %d %s", slash.status, slash.body)
	}
	// A top-up's path may have the slash too. An amount that makes no sense changes nothing.
	if slash := do(t, stack, http.MethodPost, "/api/admin/usage/clxyz123abc/renew/", `{"amount": 0}`, asAdmin); slash.status != 400 {
		t.Errorf("a top-up's path with a trailing slash is answered with %d %s", slash.status, slash.body)
	}
}

// TestHeadIsAnsweredAsGetWithoutABody: HEAD answers as GET does, without the body.
func TestHeadIsAnsweredAsGetWithoutABody(t *testing.T) {
	t.Parallel()
	stack := shared(t)
	for _, test := range []struct {
		target  string
		headers []string
		status  int
	}{
		{"/api/usage", []string{asOwner, ofExample}, 200},
		{"/api/usage", []string{asAdmin}, 200},
		{"/api/usage/clxyz123abc", []string{asAdmin}, 200},
		{"/api/usage", nil, 401},
		{"/api/usage/nobody", []string{asAdmin}, 404},
		{"/nowhere", nil, 404},
	} {
		want := get(t, stack, test.target, test.headers...)
		got := do(t, stack, http.MethodHead, test.target, "", test.headers...)
		if got.status != test.status || want.status != test.status || len(got.body) != 0 {
			t.Errorf("HEAD %s is answered with %d %q, GET with %d; want both %d, HEAD without a body", test.target, got.status, got.body, want.status, test.status)
		}
		for _, differs := range []string{"Apigw-Requestid", "X-Request-Id", "Date", "Content-Length"} {
			want.header.Del(differs)
			got.header.Del(differs)
		}
		wantEqual(t, test.target+" headers", got.header, want.header)
	}
}

// TestAnswersAreNotKeptAndCanBeFoundInTheLog: answers forbid caching, and their request id is in the log.
func TestAnswersAreNotKeptAndCanBeFoundInTheLog(t *testing.T) {
	t.Parallel()
	header := get(t, shared(t), "/api/usage", asOwner, ofExample).header
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Request-Id": header.Get("Apigw-Requestid"),
	} {
		if got := header.Get(name); got != want || got == "" {
			t.Errorf("the header %s of an answer is %q, want %q", name, got, want)
		}
	}
}

func put(t *testing.T, stack *devstack.Stack, target, body string) answer {
	t.Helper()
	return do(t, stack, http.MethodPut, target, body)
}

// TestStoreThatFailsIsAnsweredWith503: after any failure of DynamoDB callers get a 503. Once DynamoDB works again they are
// served.
func TestStoreThatFailsIsAnsweredWith503(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			stack := serve(t, noon)
			for range 2 { // with an unknown credential, and then with a remembered one
				behavior := fmt.Sprintf(`{"failRate": 1, "status": %d}`, status)
				if a := put(t, stack, "/sandbox/store", behavior); a.status != 200 {
					t.Fatalf("sandbox: %d %s", a.status, a.body)
				}
				for _, target := range []string{"/api/usage", "/api/usage/clxyz123abc"} {
					a := get(t, stack, target, asAdmin)
					if got := read[failure](t, a, 503); got.Code != "unavailable" || a.header.Get("Retry-After") == "" {
						t.Errorf("with the store down %s is answered with %s and Retry-After %q, want unavailable", target, a.body, a.header.Get("Retry-After"))
					}
					if bytes.Contains(a.body, []byte("sandbox")) || bytes.Contains(a.body, []byte("Dynamo")) {
						t.Errorf("with the store down %s tells strangers of the inside: %s", target, a.body)
					}
				}
				if a := get(t, stack, "/api/usage"); a.status != 401 {
					t.Errorf("with the store down a request without credentials is answered with %d %s, want 401", a.status, a.body)
				}

				put(t, stack, "/sandbox/store", `{}`)
				read[page](t, get(t, stack, "/api/usage", asAdmin), 200)
				read[detail](t, get(t, stack, "/api/usage/clxyz123abc", asAdmin), 200)
			}
		})
	}
}

// TestStoreCanBeMadeSlow: a latency slows every answer, until it is taken away.
func TestStoreCanBeMadeSlow(t *testing.T) {
	t.Parallel()
	const latency = 150 * time.Millisecond
	stack := serve(t, noon)
	put(t, stack, "/sandbox/store", `{"latencyMs": 150}`)
	begin := time.Now()
	read[figures](t, get(t, stack, "/api/usage", asOwner, ofExample), 200)
	if took := time.Since(begin); took < latency {
		t.Errorf("a store that was made slow is read within %s, want at least %s", took, latency)
	}
	if got := read[map[string]any](t, put(t, stack, "/sandbox/store", `{"latencyMs": 0}`), 200); got["latencyMs"] != 0.0 {
		t.Errorf("the sandbox shows the store's behaviour as %v, want no latency", got)
	}
}

func TestStoreSandboxRefusesNonsense(t *testing.T) {
	t.Parallel()
	stack := serve(t, noon)
	for _, body := range []string{
		"", "{", "null null", "[]", `{"failRate": 2}`, `{"failRate": -0.1}`, `{"failRate": "1"}`, `{"status": 200}`, `{"status": 600}`,
		`{"latencyMs": -1}`, `{"latencyMs": 1e9}`, `{"latency": 5}`, `{} {}`,
	} {
		if got := read[failure](t, put(t, stack, "/sandbox/store", body), 400); got.Code == "" || got.Error == "" {
			t.Errorf("the nonsense %q is refused with %+v, want a code and a sentence", body, got)
		}
	}
	read[figures](t, get(t, stack, "/api/usage", asOwner, ofExample), 200)
}

// TestMovedClockMovesDaysAndMonths moves a stack's clock through days and months.
func TestMovedClockMovesDaysAndMonths(t *testing.T) {
	t.Parallel()
	stack := serve(t, noon)
	yesterday := at(2026, 11, 22, 12, 0)
	october := month{10, 2026, 123, at(2026, 10, 20, 15, 30)}
	november := month{11, 2026, 45, yesterday}
	for _, step := range []struct {
		offset                 string
		thisMonth              int64
		dailyLeft, monthlyLeft int64
		history                []month
	}{
		{"0s", 45, 1000, 29_955, []month{november, october}},
		{"-12h1m", 45, 955, 29_955, []month{november, october}}, // the day on which they were opened
		{"-12h", 45, 1000, 29_955, []month{november, october}},
		{"36h", 45, 1000, 29_955, []month{november, october}},
		{"179h59m59.999s", 45, 1000, 29_955, []month{november, october}}, // the last moment of November
		{"180h", 0, 1000, 30_000, []month{november, october}},
		{"8760h", 0, 1000, 30_000, []month{}},
		{"3420h", 0, 1000, 30_000, []month{november}}, // 15 April: November is the oldest of the six months
		{"-816h", 123, 877, 29_877, []month{october}}, // 20 October, the day of October's conversations
		{"87840h", 0, 1000, 30_000, []month{}},
		{"-87840h", 0, 1000, 30_000, []month{}},
		{"0h", 45, 1000, 29_955, []month{november, october}},
	} {
		shown := read[map[string]string](t, put(t, stack, "/sandbox/clock", `{"offset": "`+step.offset+`"}`), 200)
		offset, err := time.ParseDuration(step.offset)
		if err != nil {
			t.Fatalf("reading the time of the test's case: %v", err)
		}
		if now, err := time.Parse(time.RFC3339Nano, shown["now"]); err != nil || !now.Equal(noon.Add(offset)) {
			t.Errorf("the clock, moved by %s, says %v", step.offset, shown)
		}
		got := read[detail](t, get(t, stack, "/api/usage/clxyz123abc", asAdmin), 200)
		want := allowance{1000, step.dailyLeft, 30_000, step.monthlyLeft}
		if got.ConversationsThisMonth != step.thisMonth || got.Allowance != want {
			t.Errorf("with the clock moved by %s the restaurant has %d conversations and %+v, want %d and %+v",
				step.offset, got.ConversationsThisMonth, got.Allowance, step.thisMonth, want)
		}
		wantEqual(t, "history at "+step.offset, got.History, step.history)
		wantEqual(t, "last activity at "+step.offset, got.LastActivity, yesterday)
	}
}

func TestClockRefusesNonsense(t *testing.T) {
	t.Parallel()
	stack := serve(t, noon)
	put(t, stack, "/sandbox/clock", `{"offset": "1h"}`)
	for _, body := range []string{
		"", "{", "{}", "[]", `"36h"`, `{"offset": ""}`, `{"offset": 36}`, `{"offset": "36"}`, `{"offset": "tomorrow"}`, `{"offset": "1d"}`,
		`{"offset": "87841h"}`, `{"offset": "-87841h"}`, `{"offset": "99999999999h"}`, `{"offset": "` + strings.Repeat("0", 2000) + `h"}`,
	} {
		if got := read[failure](t, put(t, stack, "/sandbox/clock", body), 400); got.Code == "" || got.Error == "" {
			t.Errorf("the nonsense %q is refused with %+v, want a code and a sentence", body, got)
		}
	}
	if got := read[map[string]string](t, get(t, stack, "/sandbox/clock"), 200); got["offset"] != "1h0m0s" {
		t.Errorf("nonsense moved the clock: %v, want 1h0m0s as before", got)
	}
}

// TestExpiryFollowsTheClock: credentials expire by the stack's clock.
func TestExpiryFollowsTheClock(t *testing.T) {
	t.Parallel()
	stack := serve(t, noon)
	g := credential.Grant{Kind: credential.PAT, All: true, ExpiresAt: noon.Add(time.Hour)}
	if err := stack.Store().AddCredential(t.Context(), g.Credential("short", "cr_short", noon)); err != nil {
		t.Fatalf("storing the credential: %v", err)
	}
	for _, step := range []struct {
		offset string
		status int
	}{{"0s", 200}, {"59m59s", 200}, {"60m", 401}, {"30m", 200}} {
		put(t, stack, "/sandbox/clock", `{"offset": "`+step.offset+`"}`)
		if a := get(t, stack, "/api/usage", "Authorization: Bearer short", ofExample); a.status != step.status {
			t.Errorf("a token of an hour, with the clock moved by %s, is answered with %d %s, want %d", step.offset, a.status, a.body, step.status)
		}
	}
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestEachRequestHasALogLineWithoutSecrets: each request has a log line, which names the restaurant and no credential.
func TestEachRequestHasALogLineWithoutSecrets(t *testing.T) {
	t.Parallel()
	log := new(syncBuffer)
	stack := serveLogging(t, noon, log)
	a := get(t, stack, "/api/usage", asOwner, ofExample)
	get(t, stack, "/api/usage", asDashboard, "X-Restaurant-Id: nobody")
	get(t, stack, "/api/usage?limit=0&secret=local-admin-key", asAdmin)
	get(t, stack, "/api/usage", "X-API-Key: mistyped-secret")
	put(t, stack, "/sandbox/store", `{"failRate": 1}`)
	get(t, stack, "/api/usage/demo-001", asAdmin)
	text := log.String()
	if lines := strings.Count(text, `"message":"request"`); lines != 5 {
		t.Errorf("five requests have %d log lines, want one each:\n%s", lines, text)
	}
	for _, wanted := range []string{a.header.Get("X-Request-Id"), `"clxyz123abc"`, "cr_local_example", "ServiceUnavailable"} {
		if !strings.Contains(text, wanted) {
			t.Errorf("the log doesn't say %s:\n%s", wanted, text)
		}
	}
	for _, secret := range []string{"local-pat-clxyz123abc", "local-dashboard-pat", "local-admin-key", "mistyped-secret", "Bearer"} {
		if strings.Contains(text, secret) {
			t.Errorf("the log shows the secret %s:\n%s", secret, text)
		}
	}
}

// start serves a stack as a developer gets it.
func start(t *testing.T, port int) (*devstack.Server, error) {
	t.Helper()
	return devstack.Serve(t.Context(), "../../../template.yaml", port, io.Discard)
}

// TestEndpointsOfOtherSDKs calls the endpoints in docs/LOCAL.md as AWS's SDK for JavaScript does: it appends a slash to an
// endpoint that has a path, and sends requests about a queue to the queue's own URL.
func TestEndpointsOfOtherSDKs(t *testing.T) {
	t.Parallel()
	stack := serve(t, noon)
	send := func(path, target, body string) answer {
		t.Helper()
		got := do(t, stack, http.MethodPost, path, body, "X-Amz-Target: "+target, "Content-Type: application/x-amz-json-1.0")
		if got.status != http.StatusOK {
			t.Errorf("an SDK's POST %s is answered with %d %s, want 200", path, got.status, got.body)
		}
		return got
	}
	for _, slash := range []string{"", "/"} {
		tables := send(devstack.DynamoDBPath+slash, "DynamoDB_20120810.ListTables", `{}`)
		if !bytes.Contains(tables.body, []byte(`"sufrah-local-restaurants"`)) {
			t.Errorf("an SDK lists the tables %s, want sufrah-local-restaurants among them", tables.body)
		}
		var queues struct{ QueueUrls []string }
		if err := json.Unmarshal(send(devstack.SQSPath+slash, "AmazonSQS.ListQueues", `{}`).body, &queues); err != nil || len(queues.QueueUrls) == 0 {
			t.Fatalf("an SDK lists the queues %v (error %v), want some", queues, err)
		}
		for _, url := range queues.QueueUrls {
			path, here := strings.CutPrefix(url, stack.BaseURL)
			if !here {
				t.Fatalf("a queue is at %s, not at %s", url, stack.BaseURL)
			}
			send(path, "AmazonSQS.GetQueueAttributes", fmt.Sprintf(`{"QueueUrl":%q}`, url))
		}
	}
	if beyond := do(t, stack, http.MethodPost, devstack.DynamoDBPath+"/x", `{}`); beyond.status != http.StatusNotFound {
		t.Errorf("a path below DynamoDB's endpoint is answered with %d, want 404", beyond.status)
	}
}

func TestServedStackAnswersUntilItIsStopped(t *testing.T) {
	t.Parallel()
	server, err := start(t, 0)
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	if got := read[map[string]string](t, get(t, server.Stack, devstack.HealthPath), 200); got["status"] != "ready" {
		t.Errorf("the local stack's health is %v, want ready", got)
	}
	got := read[detail](t, get(t, server.Stack, "/api/usage/clxyz123abc", asAdmin), 200)
	if got.ConversationsThisMonth != 45 || len(got.History) != 2 || got.History[1].ConversationCount != 123 {
		t.Errorf("the example restaurant has %+v, want 45 conversations this month and 123 in the month before", got)
	}
	if a := get(t, server.Stack, "/sandbox/nothing"); a.status != 404 {
		t.Errorf("an unknown sandbox is answered with %d %s, want 404", a.status, a.body)
	}

	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	go func() { waited <- server.Wait(ctx) }()
	cancel()
	if err := <-waited; err != nil {
		t.Errorf("stopping the local stack fails: %v", err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.BaseURL+devstack.HealthPath, nil)
	if err != nil {
		t.Fatalf("making the request: %v", err)
	}
	if response, err := http.DefaultTransport.RoundTrip(r); err == nil {
		response.Body.Close()
		t.Errorf("the stopped stack still answers, with %d", response.StatusCode)
	}
}

// TestCloseEndsWait: closing a server ends Wait and frees the port.
func TestCloseEndsWait(t *testing.T) {
	t.Parallel()
	server, err := start(t, 0)
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Fatalf("stopping the local stack: %v", err)
	}
	if err := server.Wait(t.Context()); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("waiting for a closed stack ended with %v, want ErrServerClosed", err)
	}
	if err := server.Close(); err != nil {
		t.Errorf("closing a closed stack fails: %v", err)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"on this machine": "localhost:0", "on every interface": ":0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
			if err != nil {
				t.Fatalf("listening on a port: %v", err)
			}
			defer other.Close()
			port := other.Addr().(*net.TCPAddr).Port
			server, err := start(t, port)
			if err == nil {
				server.Close()
			}
			if !errors.Is(err, devstack.ErrPortTaken) || !strings.Contains(err.Error(), fmt.Sprint(port)) {
				t.Errorf("starting on a taken port fails with %v, want ErrPortTaken with the port %d", err, port)
			}
		})
	}
}
