package usagehttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/logging"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
	"github.com/sufrah/usage-bootstrap/internal/usagehttp"
)

func (f *faults) AddTopUp(
	ctx context.Context, id string, month usage.Month, a usage.TopUp, key string, defaultLimit int64,
) (usage.ToppedUp, error) {
	if f.usage != nil {
		return usage.ToppedUp{}, f.usage
	}
	return f.Store.AddTopUp(ctx, id, month, a, key, defaultLimit)
}

// setupAdmin returns a fixture with the handler that changes allowances, and the fixture that shows them.
func setupAdmin(t testing.TB) (admin, shown fixture) {
	t.Helper()
	shown = setup(t)
	admin = shown
	admin.log = new(bytes.Buffer)
	clock := func() time.Time { return now }
	ids := 0
	topUps := usage.NewTopUpService(shown.faults, usage.NewCalendar(time.UTC), restaurant.Limits{ConversationsPerDay: 1000}, clock,
		func() string { ids++; return fmt.Sprint(ids) })
	admin.handler = usagehttp.NewTopUpAPI(topUps, credential.NewAuthenticator(shown.faults, clock),
		logging.New(admin.log, slog.LevelDebug, "usage-admin"), clock, func(context.Context) string { return "request-1" })
	return admin, shown
}

func renew(restaurantID, body string, headers ...string) *http.Request {
	r := request("/api/admin/usage/"+restaurantID+"/renew", headers...)
	r.Method, r.Body = http.MethodPost, http.NoBody
	if body != "" {
		r = httptest.NewRequest(http.MethodPost, r.URL.Path, strings.NewReader(body))
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
	}
	return r
}

func TestTopUpIsAddedOnceForItsKey(t *testing.T) {
	t.Parallel()
	f, shown := setupAdmin(t)
	const key = "Idempotency-Key: 7f3c"
	const first = `{"success":true,"data":{"used":45,"limit":30000,"effectiveLimit":31000,"adjustedBy":1000,"remaining":30955,"usagePercent":0.14,"isNearingQuota":false}}`
	for i, step := range []struct {
		request *http.Request
		status  int
		want    string // the answer's body, or the code of a refusal
	}{
		{renew("clxyz123abc", `{"amount": 1000, "reason": "Manual renewal"}`, asAdmin, key), 200, first},
		{renew("clxyz123abc", "", asAdmin, key), 200, first}, // the defaults are the same
		{renew("clxyz123abc", `{"reason": " "}`, asAdmin, key), 200, first},
		{renew("clxyz123abc", `{"amount": 1000.0}`, asAdmin, key), 200, first}, // the same number in JSON
		{renew("clxyz123abc", `{"amount": 1e3}`, asAdmin, key), 200, first},
		{renew("clxyz123abc", "{}", asAdmin, "Idempotency-Key:  7f3c "), 200, first},
		{renew("clxyz123abc", `{"amount": 1001}`, asAdmin, key), 422, "idempotency_key_reused"},
		{renew("clxyz123abc", `{"reason": "another"}`, asAdmin, key), 422, "idempotency_key_reused"},
		{renew("clxyz123abc", `{"amount": 1000000}`, asAdmin), 200,
			`{"success":true,"data":{"used":45,"limit":30000,"effectiveLimit":1031000,"adjustedBy":1001000,"remaining":1030955,"usagePercent":0,"isNearingQuota":false}}`},
		{renew("clxyz123abc", " \n", asAdmin), 200,
			`{"success":true,"data":{"used":45,"limit":30000,"effectiveLimit":1032000,"adjustedBy":1002000,"remaining":1031955,"usagePercent":0,"isNearingQuota":false}}`},
		{renew("clxyz123abc", `{"amount": -1000000}`, asAdmin, "Idempotency-Key: undo"), 200,
			`{"success":true,"data":{"used":45,"limit":30000,"effectiveLimit":32000,"adjustedBy":2000,"remaining":31955,"usagePercent":0.14,"isNearingQuota":false}}`},
		{renew("clxyz123abc", `{"amount": -1000000, "reason": "Manual correction"}`, asAdmin, "Idempotency-Key: undo"), 200, // the default
			`{"success":true,"data":{"used":45,"limit":30000,"effectiveLimit":32000,"adjustedBy":2000,"remaining":31955,"usagePercent":0.14,"isNearingQuota":false}}`},
		{renew("clxyz123abc", `{"amount": -32001}`, asAdmin), 409, "limit_below_zero"},
		{renew("clxyz123abc", `{"amount": -32000}`, asAdmin), 200,
			`{"success":true,"data":{"used":45,"limit":30000,"effectiveLimit":0,"adjustedBy":-30000,"remaining":0,"usagePercent":100,"isNearingQuota":true}}`},
		{renew("clxyz123abc", `{"amount": 1002000}`, asAdmin), 400, "invalid_parameter"},
		{renew("clxyz123abc", `{"amount": 1000000}`, asAdmin), 200,
			`{"success":true,"data":{"used":45,"limit":30000,"effectiveLimit":1000000,"adjustedBy":970000,"remaining":999955,"usagePercent":0,"isNearingQuota":false}}`},
		{renew("closed", "", asAdmin), 409, "unlimited_allowance"},
	} {
		w := f.do(t, step.request)
		got := strings.TrimSpace(w.Body.String())
		if step.status != 200 {
			var refused map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &refused); err != nil {
				t.Fatalf("decoding %.500s: %v", w.Body.Bytes(), err)
			}
			got = refused["code"]
		}
		if w.Code != step.status || got != step.want {
			t.Errorf("top-up %d is answered with %d %s\nwant %d %s", i, w.Code, w.Body, step.status, step.want)
		}
	}
	w := shown.do(t, request("/api/usage", asOwner, ofExample))
	if !strings.Contains(w.Body.String(), `"monthlyLimit":30000,"monthlyRemaining":999955},"adjustedBy":970000,"usagePercent":0,`) {
		t.Errorf("after the top-ups the owner sees %s, want 999955 of 30000 + 970000 left", w.Body)
	}
}

func TestRefusedTopUpAddsNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request *http.Request
		break_  func(*faults)
		status  int
		code    string
		names   string
	}{
		"no credentials":       {request: renew("new", ""), status: 401, code: "unauthorized"},
		"unknown key, no JSON": {request: renew("new", "{", "X-API-Key: nobody"), status: 401, code: "unauthorized"},
		"revoked key":          {request: renew("new", "", "X-API-Key: "+oldAdmin), status: 401, code: "unauthorized"},
		"both credentials":     {request: renew("new", "", asAdmin, asOwner), status: 400, code: "ambiguous_credentials"},
		"a token":              {request: renew("clxyz123abc", "", asOwner), status: 403, code: "forbidden"},
		"a token for all":      {request: renew("nowhere", "", asDashboard), status: 403, code: "forbidden"},
		"unknown restaurant":   {request: renew("nowhere", "", asAdmin), status: 404, code: "restaurant_not_found"},
		"an id that can't be":  {request: renew("a%20b", "", asAdmin), status: 404, code: "restaurant_not_found"},
		"a bot's id":           {request: renew("bot-1", "", asAdmin), status: 404, code: "restaurant_not_found"},
		"no JSON":              {request: renew("new", "amount=5", asAdmin), status: 400, code: "invalid_body"},
		"half an object":       {request: renew("new", `{"amount": 5`, asAdmin), status: 400, code: "invalid_body"},
		"two objects":          {request: renew("new", `{} {}`, asAdmin), status: 400, code: "invalid_body"},
		"a list":               {request: renew("new", `[5]`, asAdmin), status: 400, code: "invalid_body"},
		"null":                 {request: renew("new", `null`, asAdmin), status: 400, code: "invalid_body"},
		"too long":             {request: renew("new", `{"reason": "`+strings.Repeat(" ", 64<<10)+`"}`, asAdmin), status: 400, code: "invalid_body"},
		"misspelt":             {request: renew("new", `{"amout": 5}`, asAdmin), status: 400, code: "invalid_parameter", names: "body"},
		"in capitals":          {request: renew("new", `{"Amount": 5}`, asAdmin), status: 400, code: "invalid_parameter", names: "body"},
		"amount 0":             {request: renew("new", `{"amount": 0}`, asAdmin), status: 400, code: "invalid_parameter", names: "amount"},
		"amount far negative":  {request: renew("new", `{"amount": -1000001}`, asAdmin), status: 400, code: "invalid_parameter", names: "amount"},
		"below zero":           {request: renew("new", `{"amount": -30001}`, asAdmin), status: 409, code: "limit_below_zero"},
		"a member twice":       {request: renew("new", `{"amount": 1, "amount": 1000000}`, asAdmin), status: 400, code: "invalid_body"},
		"twice the same":       {request: renew("new", `{"reason": "a", "amount": 1, "reason": "a"}`, asAdmin), status: 400, code: "invalid_body"},
		"twice, once escaped":  {request: renew("new", `{"amount": 1, "\u0061mount": 2}`, asAdmin), status: 400, code: "invalid_body"},
		"twice, of any name":   {request: renew("new", `{"reason": "a", "reason": {"amount": 5}}`, asAdmin), status: 400, code: "invalid_body"},
		"two keys":             {request: renew("new", "", asAdmin, "Idempotency-Key: x", "Idempotency-Key: y"), status: 400, code: "invalid_parameter", names: "Idempotency-Key"},
		"the same key twice":   {request: renew("new", "", asAdmin, "Idempotency-Key: x", "Idempotency-Key: x"), status: 400, code: "invalid_parameter", names: "Idempotency-Key"},
		"two keys joined":      {request: renew("new", "", asAdmin, "Idempotency-Key: x,y"), status: 400, code: "invalid_parameter", names: "Idempotency-Key"},
		"amount too large":     {request: renew("new", `{"amount": 1000001}`, asAdmin), status: 400, code: "invalid_parameter", names: "amount"},
		"amount far too large": {request: renew("new", `{"amount": 99999999999999999999}`, asAdmin), status: 400, code: "invalid_parameter", names: "amount"},
		"amount a fraction":    {request: renew("new", `{"amount": 1.5}`, asAdmin), status: 400, code: "invalid_parameter", names: "amount"},
		"amount an exponent":   {request: renew("new", `{"amount": 1e7}`, asAdmin), status: 400, code: "invalid_parameter", names: "amount"},
		"amount past all":      {request: renew("new", `{"amount": 1e400}`, asAdmin), status: 400, code: "invalid_parameter", names: "amount"},
		"amount a text":        {request: renew("new", `{"amount": "5"}`, asAdmin), status: 400, code: "invalid_parameter", names: "amount"},
		"amount null":          {request: renew("new", `{"amount": null}`, asAdmin), status: 400, code: "invalid_parameter", names: "amount"},
		"reason a number":      {request: renew("new", `{"reason": 5}`, asAdmin), status: 400, code: "invalid_parameter", names: "reason"},
		"reason null":          {request: renew("new", `{"reason": null}`, asAdmin), status: 400, code: "invalid_parameter", names: "reason"},
		"reason too long":      {request: renew("new", `{"reason": "`+strings.Repeat("م", 501)+`"}`, asAdmin), status: 400, code: "invalid_parameter", names: "reason"},
		"reason of two lines":  {request: renew("new", `{"reason": "a\nb"}`, asAdmin), status: 400, code: "invalid_parameter", names: "reason"},
		"key empty":            {request: renew("new", "", asAdmin, "Idempotency-Key:  "), status: 400, code: "invalid_parameter", names: "Idempotency-Key"},
		"key too long":         {request: renew("new", "", asAdmin, "Idempotency-Key: "+strings.Repeat("k", 256)), status: 400, code: "invalid_parameter", names: "Idempotency-Key"},
		"store down":           {request: renew("new", "", asAdmin), break_: func(f *faults) { f.usage = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"credentials down":     {request: renew("new", "", asAdmin), break_: func(f *faults) { f.credentials = outage.ErrUnavailable }, status: 503, code: "unavailable"},
		"something else":       {request: renew("new", "", asAdmin), break_: func(f *faults) { f.usage = errors.New("sufrah-prod is on fire") }, status: 500, code: "internal_error"},
		"another address":      {request: renew("new/more", "", asAdmin), status: 404, code: "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, shown := setupAdmin(t)
			if test.break_ != nil {
				test.break_(f.faults)
			}
			w := f.do(t, test.request)
			var body map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatalf("answered with %d %q, want the refusal %d with code %s: %v", w.Code, w.Body, test.status, test.code, err)
			}
			if w.Code != test.status || body["code"] != test.code || !strings.Contains(body["error"], test.names) {
				t.Errorf("the top-up is answered with %d %v, want %d with code %s, naming %q", w.Code, body, test.status, test.code, test.names)
			}
			*f.faults = faults{Store: f.store}
			if w := shown.do(t, request("/api/usage/new", asAdmin)); !strings.Contains(w.Body.String(), `"adjustedBy":0`) {
				t.Errorf("a refused top-up was added all the same: %s", w.Body)
			}
		})
	}
}

func TestTopUpIsAPostOnly(t *testing.T) {
	t.Parallel()
	f, _ := setupAdmin(t)
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		w := f.do(t, httptest.NewRequest(method, "/api/admin/usage/new/renew", nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
			t.Errorf("%s of a top-up is answered with %d and Allow %q, want 405 with POST", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestTopUpIsLoggedWithItsAuthorAndAmount(t *testing.T) {
	t.Parallel()
	f, _ := setupAdmin(t)
	f.do(t, renew("new", `{"amount": 7, "reason": "secret"}`, asAdmin, "Idempotency-Key: hidden"))
	var got map[string]any
	if err := json.Unmarshal(f.log.Bytes(), &got); err != nil {
		t.Fatalf("the log isn't one line of JSON (%v): %s", err, f.log)
	}
	delete(got, "timestamp")
	want := map[string]any{
		"level": "INFO", "message": "request", "function": "usage-admin", "requestId": "request-1", "method": "POST", "durationMs": 0.0,
		"route": "/api/admin/usage/{restaurantId}/renew", "status": 200.0, "restaurantId": "new", "credentialId": "cr_" + admin,
		"amount": 7.0, "adjustedBy": 7.0, "repeat": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log line of a top-up (-want +got):\n%s", diff)
	}
}

// FuzzTopUps: the API answers any body without failing, and adds only an amount that the body has.
func FuzzTopUps(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"amount": 5, "reason": "a"}`, `{"amount": "5"}`, `[]`, "\xff", `{"amount": 5, "amount": 6}`} {
		f.Add(seed, "key")
	}
	admin, _ := setupAdmin(f)
	f.Fuzz(func(t *testing.T, body, key string) {
		r := renew("new", body, asAdmin)
		r.Header["Idempotency-Key"] = []string{key}
		w := admin.do(t, r)
		if w.Code >= 500 || w.Code < 200 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("a top-up with the body %q is answered with %d: %s; want JSON, and no fault of ours", body, w.Code, w.Body)
		}
		admin.log.Reset()
	})
}
