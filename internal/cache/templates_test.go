package cache

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/delivery"

	"github.com/sufrah/usage-bootstrap/internal/outage"
)

var sids = map[string]string{
	"welcome":     "HX0123456789abcdef0123456789abcdef",
	"branch_list": "HXfedcba9876543210FEDCBA9876543210",
}

// forbidden is a cache that fails the test when it is asked.
type forbidden struct {
	TemplateServer
	t *testing.T
}

func (f forbidden) Get(_ context.Context, key string) ([]byte, bool, error) {
	f.t.Errorf("the cache was asked for %s", key)
	return nil, false, nil
}

func TestOwnTemplatesAreNotLookedUp(t *testing.T) {
	t.Parallel()
	templates := NewTemplates(forbidden{t: t}, sids, time.Hour, slog.New(slog.DiscardHandler))
	if sid, ok := templates.SID(t.Context(), "welcome"); !ok || sid != sids["welcome"] {
		t.Errorf("SID %q, %t", sid, ok)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	w := setup(t)
	log := slog.New(slog.NewTextHandler(w.log, nil))
	own := map[string]string{"welcome": "HX" + strings.Repeat("1", 32), "rating_list": "HX" + strings.Repeat("2", 32)}
	templates := NewTemplates(w.client(t), own, time.Hour, log)
	check := func(when string, want map[string]string) {
		t.Helper()
		got := map[string]string{}
		for _, key := range []string{"welcome", "branch_list", "rating_list", "unknown"} {
			if sid, ok := templates.SID(t.Context(), key); ok {
				got[key] = sid
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("before they are warmed", own)
	before := w.redis.TotalConnectionCount()
	if n, err := templates.Warm(t.Context(), sids); n != 2 || err != nil {
		t.Errorf("Warm = %d, %v", n, err)
	}
	if n := w.redis.TotalConnectionCount() - before; n != 0 {
		t.Errorf("Warm made %d connections", n)
	}
	warm := map[string]string{"welcome": own["welcome"], "branch_list": sids["branch_list"], "rating_list": own["rating_list"]}
	check("warm", warm)
	if err := w.redis.Set(sidKey("branch_list"), "HX1"); err != nil {
		t.Fatal(err)
	}
	delete(warm, "branch_list")
	check("with a cached SID that is none", warm)
	w.advance(time.Hour)
	check("after an hour", own)
	if text := w.log.String(); text != "" {
		t.Errorf("logged:\n%s", text)
	}
	w.redis.Close()
	check("with the cache down", own)
	if n, err := templates.Warm(t.Context(), sids); n != 0 || !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("Warm with the cache down = %d, %v", n, err)
	}
	if n, err := templates.Warm(t.Context(), nil); n != 0 || err != nil {
		t.Errorf("Warm without templates = %d, %v", n, err)
	}
	if !strings.Contains(w.log.String(), "cache command failed: the call goes on without the cache") {
		t.Error("nobody was told that the cache is down")
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if sid, ok := templates.SID(done, "welcome"); !ok || sid != own["welcome"] {
		t.Errorf("a caller whose time is over got %q", sid)
	}
}

func TestWarmInPart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.redis.Server().SetPreHook(func(peer *server.Peer, command string, args ...string) bool {
		full := command == "SET" && args[0] == sidKey("welcome")
		if full {
			peer.WriteError("OOM command not allowed when used memory > 'maxmemory'.")
		}
		return full
	})
	templates := NewTemplates(w.client(t), nil, time.Hour, slog.New(slog.DiscardHandler))
	if n, err := templates.Warm(t.Context(), sids); n != 1 || !errors.Is(err, outage.ErrUnavailable) {
		t.Errorf("Warm = %d, %v, want one written", n, err)
	}
}

// TestTemplateKeysAreNobodysMenu guards against a merchant with the id of the templates' owner.
func TestTemplateKeysAreNobodysMenu(t *testing.T) {
	t.Parallel()
	if sidKey("categories") == Key("templates", "categories") {
		t.Error("a template and a menu share a key")
	}
}

func TestParseTemplateSIDs(t *testing.T) {
	t.Parallel()
	got, err := ParseTemplateSIDs([]string{
		"PATH=/bin", "CONTENT_SID_WELCOME=" + sids["welcome"], "CONTENT_SID_BRANCH_LIST=" + sids["branch_list"],
		"CONTENT_SID_QUANTITY=", "MY_CONTENT_SID_X=1", "CONTENT_SID", "",
	})
	if diff := cmp.Diff(sids, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	good := "=" + sids["welcome"]
	faulty := []string{
		"CONTENT_SID_" + good, "CONTENT_SID_welcome" + good, "CONTENT_SID_A-B" + good, "CONTENT_SID_SHORT=HX12",
		"CONTENT_SID_OTHER=MG0123456789abcdef0123456789abcdef", "CONTENT_SID_LONG" + good + "0",
		"CONTENT_SID_SIGN=HX0123456789abcdef0123456789abcdeg",
	}
	got, err = ParseTemplateSIDs(append(faulty, "CONTENT_SID_WELCOME"+good))
	if got != nil || err == nil {
		t.Fatalf("faults are accepted: %v", got)
	}
	for _, variable := range faulty {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.Contains(err.Error(), name+" ") || strings.Contains(err.Error(), value) {
			t.Errorf("%s is not named, or its value is, in: %v", name, err)
		}
	}
}

func TestParseTemplateCategories(t *testing.T) {
	t.Parallel()
	welcome, branches := sids["welcome"], sids["branch_list"]
	environ := []string{"CONTENT_SIDS=BRANCH_LIST=" + branches + ":marketing,OTHER=" + welcome, "CONTENT_SID_WELCOME=" + welcome + ":utility"}
	got := ParseTemplateCategories(environ)
	want := map[string]delivery.Category{welcome: delivery.Utility, branches: delivery.Marketing}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("categories (-want +got):\n%s", diff)
	}
	parsed, err := ParseTemplateSIDs(environ)
	if diff := cmp.Diff(map[string]string{"welcome": welcome, "branch_list": branches, "other": welcome}, parsed); diff != "" || err != nil {
		t.Errorf("%v, SIDs (-want +got):\n%s", err, diff)
	}
	for _, category := range []string{":", ":service", ":free_entry_point", ":Marketing", ":marketing:utility"} {
		if _, err := ParseTemplateSIDs([]string{"CONTENT_SID_WELCOME=" + welcome + category}); err == nil || !strings.Contains(err.Error(), "CONTENT_SID_WELCOME must have one of the categories") {
			t.Errorf("%s: error %v", category, err)
		}
	}
}

func TestParseTemplateSIDList(t *testing.T) {
	t.Parallel()
	welcome, branches := "WELCOME="+sids["welcome"], "BRANCH_LIST="+sids["branch_list"]
	other := strings.Replace(sids["welcome"], "0", "f", 1)
	for name, test := range map[string]struct {
		environ []string
		want    map[string]string
	}{
		"nothing":           {[]string{"CONTENT_SIDS="}, map[string]string{}},
		"one":               {[]string{"CONTENT_SIDS=" + welcome}, map[string]string{"welcome": sids["welcome"]}},
		"two":               {[]string{"CONTENT_SIDS=" + welcome + "," + branches}, sids},
		"and a variable":    {[]string{"CONTENT_SIDS=" + welcome, "CONTENT_SID_" + branches}, sids},
		"a variable wins":   {[]string{"CONTENT_SID_" + welcome, "CONTENT_SIDS=" + branches + ",WELCOME=" + other}, sids},
		"and by any order":  {[]string{"CONTENT_SIDS=" + branches + ",WELCOME=" + other, "CONTENT_SID_" + welcome}, sids},
		"an empty variable": {[]string{"CONTENT_SIDS=" + welcome + "," + branches, "CONTENT_SID_WELCOME="}, sids},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseTemplateSIDs(test.environ)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	// Each of these entries has another fault, and each fault must be reported.
	faulty := []string{"welcome=" + sids["welcome"], "SHORT=HX12", "NO_SID", "", " SPACE=" + sids["welcome"], "=" + sids["welcome"]}
	_, err := ParseTemplateSIDs([]string{"CONTENT_SIDS=" + strings.Join(faulty, ","), "CONTENT_SID_OTHER=MG1"})
	if err == nil {
		t.Fatal("faults are accepted")
	}
	for _, name := range []string{"entry 1,", "entry 2,", "entry 3,", "entry 4,", "entry 5,", "entry 6,", "CONTENT_SID_OTHER "} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "HX12") || strings.Contains(err.Error(), sids["welcome"]) {
		t.Errorf("a value is shown in: %v", err)
	}
	if _, err := ParseTemplateSIDs([]string{"CONTENT_SIDS=" + welcome + "," + branches + "," + welcome}); err == nil || !strings.Contains(err.Error(), "entry 3,") {
		t.Errorf("a key that is given twice: %v", err)
	}
}
