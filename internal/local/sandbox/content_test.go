package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/menu"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
)

type anyToken struct{}

func (anyToken) AuthToken(_ context.Context, accountSID string) (string, error) {
	if accountSID == strangerSID {
		return "", nil
	}
	return "token", nil
}

const (
	masterSID   = "AC0123456789abcdef0123456789abcdef"
	otherSID    = "AC11111111111111111111111111111111"
	strangerSID = "AC22222222222222222222222222222222"
)

// setupContentsOnly returns the sandbox and the production client of its contents.
func setupContentsOnly(t *testing.T) (*Twilio, *twilio.Contents) {
	t.Helper()
	standIn, contents, client, at := setupContents(t)
	_, _ = client, at
	return standIn, contents
}

func setupContents(t *testing.T) (*Twilio, *twilio.Contents, *twilio.Client, *time.Time) {
	t.Helper()
	var mu sync.Mutex
	at := time.Date(2026, 11, 23, 9, 30, 0, 0, time.UTC)
	standIn := NewTwilio(func() time.Time { mu.Lock(); defer mu.Unlock(); return at }, luck())
	server := httptest.NewServer(standIn)
	t.Cleanup(server.Close)
	config := twilio.Config{BaseURL: server.URL, HTTPClient: server.Client()}
	contents, err := twilio.NewContents(config, anyToken{}, masterSID)
	if err != nil {
		t.Fatalf("making the client of Twilio's Content API: %v", err)
	}
	client, err := twilio.New(config)
	if err != nil {
		t.Fatalf("making the Twilio client: %v", err)
	}
	return standIn, contents, client, &at
}

func drinks() listpicker.List {
	return listpicker.Menu([]menu.Category{{ID: "c1", Name: menu.Text{English: "Drinks"}}}, menu.LanguageEnglish)[0]
}

// TestContentLifecycle makes a list, finds it by its name, sends it, and deletes it when it is old.
func TestContentLifecycle(t *testing.T) {
	t.Parallel()
	standIn, contents, client, now := setupContents(t)
	ctx, list, start := t.Context(), drinks(), *now
	if sid, err := contents.Find(ctx, "", list.Name(), start.Add(-time.Hour)); sid != "" || err != nil {
		t.Fatalf("a list was found as %q (error %v) before it was created", sid, err)
	}
	sid, err := contents.Create(ctx, "", list)
	if err != nil || len(sid) != 34 || !strings.HasPrefix(sid, "HX") {
		t.Fatalf("creating a list gave the SID %q (error %v), want HX and 32 digits", sid, err)
	}
	for account, want := range map[string]string{"": sid, masterSID: sid, otherSID: ""} {
		if found, err := contents.Find(ctx, account, list.Name(), start.Add(-time.Hour)); found != want || err != nil {
			t.Errorf("account %q finds its list as %q (error %v), want %q", account, found, err, want)
		}
	}
	if found, err := contents.Find(ctx, "", list.Name(), start); found != "" || err != nil {
		t.Errorf("a list was found as %q (error %v) though it is older than asked for", found, err)
	}
	message := twilio.Message{From: "+966110000000", To: "+966500000001", ContentSID: sid}
	account := twilio.Account{SID: masterSID, AuthToken: "token"}
	if _, err := client.Send(ctx, account, message); err != nil {
		t.Fatalf("sending the message: %v", err)
	}
	want := &ListPicker{
		Body: "Our menu: choose a category to see its dishes.", Button: "See the menu",
		Items: []ListItem{{Item: "Drinks", ID: "v1/en/category/c1", Description: "Tap to see the dishes"}},
	}
	if diff := cmp.Diff(want, standIn.Messages("+966500000001")[0].ListPicker); diff != "" {
		t.Error(diff)
	}
	wantCode(t, client, twilio.Account{SID: otherSID, AuthToken: "token"}, message, 21655)
	standIn.Wrote("whatsapp:+966500000001", "whatsapp:+966110000000")
	*now = start.Add(24 * time.Hour)
	wantCode(t, client, account, message, 63016)
	standIn.Wrote("whatsapp:+966500000001", "whatsapp:+966110000000")
	if _, err := client.Send(ctx, account, message); err != nil {
		t.Errorf("within 24 hours of the customer's message, sending a list fails with %v", err)
	}

	if old, _, err := contents.Older(ctx, "", listpicker.NamePrefix, start); len(old) > 0 || err != nil {
		t.Errorf("the lists %v (error %v) count as older than the only list", old, err)
	}
	old, more, err := contents.Older(ctx, "", listpicker.NamePrefix, start.Add(time.Second))
	if len(old) != 1 || old[0] != sid || more || err != nil {
		t.Errorf("the old lists are %v, further ones: %v (error %v), want the only list", old, more, err)
	}
	if err := contents.Delete(ctx, otherSID, sid); err != nil {
		t.Errorf("deleting another account's content fails with %v, want no error", err)
	}
	if len(standIn.contents.bySID) != 1 {
		t.Error("an account deleted another account's content")
	}
	for range 2 { // deleting it twice is no error
		if err := contents.Delete(ctx, "", sid); err != nil {
			t.Errorf("deleting the content, the second time too, fails with %v", err)
		}
	}
	wantCode(t, client, account, message, 21655)
}

func wantCode(t *testing.T, client *twilio.Client, account twilio.Account, m twilio.Message, want int) {
	t.Helper()
	_, err := client.Send(t.Context(), account, m)
	failure, ok := errors.AsType[*twilio.Error](err)
	if !ok || failure.Code != want || !failure.TemplateRejected() {
		t.Errorf("sending gives %v, want Twilio's code %d as a rejected template", err, want)
	}
}

// TestContentFaults: the client's errors for a Content API that is full, down or throttled, that refuses, or that has no such
// account.
func TestContentFaults(t *testing.T) {
	t.Parallel()
	standIn, contents, _, _ := setupContents(t)
	check := func(what string, retryable bool) {
		t.Helper()
		_, err := contents.Create(t.Context(), "", drinks())
		failure, ok := errors.AsType[*twilio.Error](err)
		if !ok || failure.Retryable() != retryable || strings.Contains(err.Error(), "token") {
			t.Errorf("with the Content API %s, creating a list fails with %v, want retryable: %v, and no token in it", what, err, retryable)
		}
	}
	if _, err := contents.Create(t.Context(), "", drinks()); err != nil {
		t.Fatalf("creating the content: %v", err)
	}
	standIn.Contents().Limit(1)
	check("full", false)
	standIn.Contents().Limit(0)
	for status, retryable := range map[int]bool{400: false, 401: true, 403: false, 404: false, 429: true, 500: true, 503: true} {
		if err := standIn.Contents().Fault().Set(Behavior{FailRate: 1, Status: status}); err != nil {
			t.Fatalf("setting the sandbox's behaviour: %v", err)
		}
		check(fmt.Sprint(status), retryable)
	}
	if _, err := contents.Create(t.Context(), strangerSID, drinks()); err == nil {
		t.Error("an account without a token created a list")
	}
}

// TestLimitsOfLists: a list just above any limit is refused, and a list at all limits is accepted.
func TestLimitsOfLists(t *testing.T) {
	t.Parallel()
	item := func(i int) ListItem {
		return ListItem{strings.Repeat("x", maxListTitle), fmt.Sprintf("%0*d", maxListID, i), strings.Repeat("x", maxListDescription)}
	}
	full := func() ListPicker {
		l := ListPicker{Body: strings.Repeat("x", maxListBody), Button: strings.Repeat("x", maxListButton)}
		for i := range maxListItems {
			l.Items = append(l.Items, item(i))
		}
		return l
	}
	for what, change := range map[string]func(*ListPicker){
		"": func(*ListPicker) {}, "body": func(l *ListPicker) { l.Body += "x" }, "no body": func(l *ListPicker) { l.Body = " " },
		"button": func(l *ListPicker) { l.Button += "x" }, "row": func(l *ListPicker) { l.Items = append(l.Items, item(maxListItems)) },
		"no row": func(l *ListPicker) { l.Items = nil }, "title": func(l *ListPicker) { l.Items[9].Item += "x" },
		"an emoji more": func(l *ListPicker) { l.Items[9].Item = l.Items[9].Item[1:] + "🍽" }, "id": func(l *ListPicker) { l.Items[9].ID += "x" },
		"description": func(l *ListPicker) { l.Items[9].Description += "x" }, "no description": func(l *ListPicker) { l.Items[9].Description = "" },
		"equal ids": func(l *ListPicker) { l.Items[9].ID = l.Items[0].ID }, "variable": func(l *ListPicker) { l.Items[9].Item = "{{1}}" },
	} {
		list := full()
		change(&list)
		err := content{Language: "en", Types: map[string]ListPicker{"twilio/list-picker": list}}.validate()
		if (err != nil) != (what != "") {
			t.Errorf("a list with one more %q gives the error %v; want WhatsApp's limits, and only those, to refuse it", what, err)
		}
	}
}

// TestNoListIsRefused makes the lists of random menus. The stand-in must accept all their pages.
func TestNoListIsRefused(t *testing.T) {
	t.Parallel()
	_, contents := setupContentsOnly(t)
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"Grills", "{{1}}", "👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦", "\u200f", "مشويات على الفحم مع الخبز"}))
		all := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) menu.Category {
			return menu.Category{ID: rapid.String().Draw(rt, "id"), Name: menu.Text{Arabic: name.Draw(rt, "arabic"), English: name.Draw(rt, "english")}}
		}), 1, 40).Draw(rt, "categories")
		for _, list := range listpicker.Menu(all, menu.LanguageArabic) {
			if _, err := contents.Create(t.Context(), "", list); err != nil {
				rt.Fatalf("a list of the menu is refused with %v, so that customers get text: %+v", err, list)
			}
		}
	})
}

func TestContentLimitAPI(t *testing.T) {
	t.Parallel()
	standIn, _ := setupContentsOnly(t)
	for body, want := range map[string]int{`{"limit": 3}`: 200, `{"limit": -1}`: 400, `3`: 400} {
		w := httptest.NewRecorder()
		standIn.Contents().ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/sandbox/contents", strings.NewReader(body)))
		if w.Code != want {
			t.Errorf("setting the limit to %s is answered with %d, want %d", body, w.Code, want)
		}
	}
}
