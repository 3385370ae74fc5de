package usagehttp_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/credential"
)

// TestRefusedCredentialsAreNamed: the log names the refused credential, if we issued it.
func TestRefusedCredentialsAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request *http.Request
		id      any
	}{
		"expired":              {request("/api/usage", "Authorization: Bearer "+expired, ofExample), "cr_" + expired},
		"revoked":              {request("/api/usage", "Authorization: Bearer "+revoked, ofExample), "cr_" + revoked},
		"revoked key":          {request("/api/usage/new", "X-API-Key: "+oldAdmin), "cr_" + oldAdmin},
		"not covering":         {request("/api/usage", asOwner, "X-Restaurant-Id: new"), "cr_" + owner},
		"not an administrator": {request("/api/usage/new", asOwner), "cr_" + owner},
		"a token as a key":     {request("/api/usage", "X-API-Key: "+owner), "cr_" + owner},
		"a key as a token":     {request("/api/usage", "Authorization: Bearer "+admin, ofExample), "cr_" + admin},
		"a guess":              {request("/api/usage", "X-API-Key: guess"), nil},
		"none":                 {request("/api/usage"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			w := f.do(t, test.request)
			if line := f.onlyLine(t); w.Code < 400 || line["credentialId"] != test.id {
				t.Errorf("a refused credential is answered with %d, want 400 or above, and logged as %v, want credentialId %v: operators look for it after a leak", w.Code, line, test.id)
			}
		})
	}
}

// onlyLine returns the log's only line.
func (f fixture) onlyLine(t *testing.T) map[string]any {
	t.Helper()
	var line map[string]any
	if err := json.Unmarshal(f.log.Bytes(), &line); err != nil {
		t.Fatalf("the log isn't one line of JSON (%v): %s", err, f.log)
	}
	return line
}

// TestPanicIsAnsweredAs500AndLogged has a store panic in each goroutine of a request, for a known and for an unknown credential.
func TestPanicIsAnsweredAs500AndLogged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		request *http.Request
		break_  func(*faults)
	}{
		"a restaurant":         {request("/api/usage", asOwner, ofExample), func(f *faults) { f.usage = panicking{} }},
		"for the dashboard":    {request("/api/usage", asDashboard, ofExample), func(f *faults) { f.usage = panicking{} }},
		"looking up the bot":   {request("/api/usage", asDashboard, ofExample), func(f *faults) { f.bots = panicking{} }},
		"looking up a bot":     {request("/api/usage", asOwner, "X-Restaurant-Id: bot-1"), func(f *faults) { f.bots = panicking{} }},
		"all restaurants":      {request("/api/usage", asAdmin), func(f *faults) { f.directory = panicking{} }},
		"details":              {request("/api/usage/clxyz123abc/details", asAdmin), func(f *faults) { f.usage = panicking{} }},
		"alerts":               {request("/api/usage/alerts", asAdmin), func(f *faults) { f.alerts = panicking{} }},
		"verifying":            {request("/api/usage/new", asAdmin), func(f *faults) { f.credentials = panicking{} }},
		"though it is refused": {request("/api/usage/new", asAdmin), func(f *faults) { f.usage, f.credentials = panicking{}, credential.ErrUnknown }},
	} {
		for _, seen := range []bool{false, true} {
			if name == "though it is refused" && !seen {
				continue // nothing is read then
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := setup(t)
				if seen {
					f.do(t, test.request)
					f.later(credential.MaxCacheAge)
				}
				f.log.Reset()
				test.break_(f.faults)
				w := f.do(t, test.request)
				if w.Code != 500 || !strings.Contains(w.Body.String(), `"code":"internal_error"`) || strings.Contains(w.Body.String(), "on fire") {
					t.Errorf("a panic, with a credential seen before: %t, is answered with %d %s, want 500 internal_error and nothing of the inside", seen, w.Code, w.Body)
				}
				line := f.onlyLine(t)
				if stack, _ := line["stack"].(string); line["level"] != "ERROR" || line["error"] != "panic: on fire" || !strings.Contains(stack, "faults") {
					t.Errorf("a panic, with a credential seen before: %t, is logged as %v, want an ERROR with the panic and its stack", seen, line)
				}
			})
		}
	}
}

// TestOwnerWhoseAccessChangedSeesOnlyTheNewRestaurant: figures that were read under a credential's remembered access are not
// returned if its access has changed since.
func TestOwnerWhoseAccessChangedSeesOnlyTheNewRestaurant(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.do(t, request("/api/usage", asOwner, ofExample))
	f.later(credential.MaxCacheAge)
	f.faults.find = func(hash credential.Hash) credential.Credential {
		return credential.Credential{ID: "cr_" + owner, Hash: hash, Kind: credential.PAT, Restaurants: []string{"new"}}
	}
	if w := f.do(t, request("/api/usage", asOwner, ofExample)); w.Code != http.StatusForbidden {
		t.Errorf("an owner who no longer covers the restaurant is answered with %d %s, want 403: these are another's figures now", w.Code, w.Body)
	}
	if w := f.do(t, request("/api/usage", asOwner, "X-Restaurant-Id: new")); w.Code != http.StatusOK {
		t.Errorf("an owner is answered with %d %s for the restaurant that the token covers now, want 200", w.Code, w.Body)
	}
}

// panicking is an error that raise turns into a panic.
type panicking struct{ error }

// raise panics with a panicking error, and returns any other error.
func raise(err error) error {
	if _, ok := err.(panicking); ok {
		panic("on fire")
	}
	return err
}
