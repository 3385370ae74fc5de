package webhook_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// statuses keeps the reports it is given, or fails.
type statuses struct {
	received    []delivery.Report
	restaurants []string
	err         error
}

func (s *statuses) ReceiveStatus(_ context.Context, t conversation.Tenant, r delivery.Report) error {
	s.received = append(s.received, r)
	s.restaurants = append(s.restaurants, t.Restaurant.ID)
	return s.err
}

var origin = delivery.Origin{
	Kind: delivery.Welcome, Category: delivery.Utility, Template: true, SentAt: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
}

// callback is a status as Twilio posts and signs it, to an address with a query.
func callback(token, query string, form url.Values) *http.Request {
	target := publicURL + "/status"
	r := httptest.NewRequest(http.MethodPost, "http://internal.example.com"+webhook.StatusPath+"?"+query, strings.NewReader(form.Encode()))
	if query != "" {
		target += "?" + query
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	r.Header.Set("X-Twilio-Signature", twilio.Signature(token, target, form))
	return r
}

func TestStatusIsReportedToItsRestaurant(t *testing.T) {
	t.Parallel()
	own := url.Values{"AccountSid": {ownSID}, "From": {"whatsapp:" + ownNumber}}
	report := func(change func(*delivery.Report)) *delivery.Report {
		r := delivery.Report{MessageID: messageSID, Customer: "+966500000001", Status: delivery.Delivered, Origin: origin}
		change(&r)
		return &r
	}
	same := func(*delivery.Report) {}
	for name, test := range map[string]struct {
		request    *http.Request
		restaurant string
		want       *delivery.Report // nil: acknowledged, without effect
		noEffect   string
	}{
		"delivered": {callback(masterToken, origin.Query(), status(nil)), "example", report(same), ""},
		"undelivered": {
			callback(masterToken, origin.Query(), status(url.Values{"MessageStatus": {"undelivered"}, "ErrorCode": {"63016"}})), "example",
			report(func(r *delivery.Report) { r.Status, r.ErrorCode = delivery.Failed, 63016 }), "",
		},
		"a code that is none": {
			callback(masterToken, origin.Query(), status(url.Values{"MessageStatus": {"failed"}, "ErrorCode": {"new"}})), "example",
			report(func(r *delivery.Report) { r.Status = delivery.Failed }), "",
		},
		"to a user id": {
			callback(masterToken, origin.Query(), status(url.Values{"To": {"whatsapp:" + userID}})), "example",
			report(func(r *delivery.Report) { r.Customer = userID }), "",
		},
		"of an account of its own": {callback(ownToken, origin.Query(), status(own)), "own", report(same), ""},
		"with parameters to come": {
			callback(masterToken, origin.Query(), status(url.Values{"Mood": {"good"}, "EventType": {"READ"}})), "example", report(same), "",
		},
		"from an inactive restaurant": {
			callback(masterToken, origin.Query(), status(url.Values{"From": {"whatsapp:" + inactiveNumber}})), "inactive", report(same), "",
		},
		"at another address of ours": {
			callback(masterToken, "x=1", status(nil)), "example", report(func(r *delivery.Report) { r.Origin = delivery.Origin{} }), "",
		},
		"at the address for messages": {
			post(status(nil)), "example", report(func(r *delivery.Report) { r.Origin = delivery.Origin{} }), "",
		},
		"a status to come": {
			callback(masterToken, origin.Query(), status(url.Values{"MessageStatus": {"teleported"}})), "", nil, "unknown status",
		},
		"no status": {callback(masterToken, origin.Query(), status(url.Values{"MessageStatus": nil})), "", nil, "unknown status"},
		"of a message that can't be": {
			callback(masterToken, origin.Query(), status(url.Values{"MessageSid": {"no-sid"}})), "", nil, "MessageSid is not a message's SID",
		},
		"of no message": {callback(masterToken, origin.Query(), status(url.Values{"MessageSid": nil})), "", nil, "MessageSid is not a message's SID"},
		"from no bot": {
			callback(masterToken, origin.Query(), status(url.Values{"From": {"whatsapp:+966119999999"}})), "", nil, "no bot has the sender's number",
		},
		"from nobody": {callback(masterToken, origin.Query(), status(url.Values{"From": nil})), "", nil, "no bot has the sender's number"},
		"to nobody":   {callback(masterToken, origin.Query(), status(url.Values{"To": nil})), "", nil, "To is neither a phone number nor a user id"},
		"of another account's message": {
			callback(ownToken, origin.Query(), status(url.Values{"AccountSid": {ownSID}})), "", nil, "signed by a Twilio account that is not the bot's",
		},
		"of the master's message in an own account": {
			callback(masterToken, origin.Query(), status(url.Values{"From": {"whatsapp:" + ownNumber}})), "", nil, "signed by a Twilio account that is not the bot's",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &statuses{}
			f := setup(t, func(c *webhook.Config) { c.Statuses = s })
			wantEmpty(t, f.do(test.request))
			var want []delivery.Report
			if test.want != nil {
				want = append(want, *test.want)
			}
			if diff := cmp.Diff(want, s.received); diff != "" {
				t.Errorf("the status is reported as (-want +got):\n%s", diff)
			}
			if strings.Join(s.restaurants, "") != test.restaurant || len(f.inbox.received) > 0 {
				t.Errorf("the status is reported to %q, want %q; and reached the bot as the messages %v, want none", s.restaurants, test.restaurant, f.inbox.received)
			}
			line := f.line(t)
			if reason, _ := line["noEffect"].(string); reason != test.noEffect || line["kind"] != "status" || line["status"] != 200.0 || line["messageStatus"] == nil || strings.Contains(f.log.String(), "500000001") {
				t.Errorf("the status is logged as %v, want kind status, noEffect %q, and no customer's number", line, test.noEffect)
			}
		})
	}
}

func TestForeignStatusIsRefused(t *testing.T) {
	t.Parallel()
	good := func() *http.Request { return callback(masterToken, origin.Query(), status(nil)) }
	for name, test := range map[string]struct {
		request *http.Request
		status  int
		code    string
	}{
		"not signed":         {with(good(), func(r *http.Request) { r.Header.Del("X-Twilio-Signature") }), 403, "forbidden"},
		"by another account": {callback(ownToken, origin.Query(), status(nil)), 403, "forbidden"},
		"another kind": {
			with(good(), func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "welcome", "text", 1) }), 403, "forbidden",
		},
		"without its query": {with(good(), func(r *http.Request) { r.URL.RawQuery = "" }), 403, "forbidden"},
		"for another address": {
			with(post(status(nil)), func(r *http.Request) { r.URL.Path = webhook.StatusPath }), 403, "forbidden",
		},
		"too large": {
			callback(masterToken, origin.Query(), status(url.Values{"Mood": {strings.Repeat("x", 16<<10)}})), 413, "body_too_large",
		},
		"no form": {with(good(), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }), 415, "unsupported_media_type"},
		"read":    {with(good(), func(r *http.Request) { r.Method = http.MethodGet }), 405, "method_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &statuses{}
			f := setup(t, func(c *webhook.Config) { c.Statuses = s })
			wantRefusal(t, f.do(test.request), test.status, test.code)
			if len(s.received) > 0 {
				t.Errorf("a refused status was reported all the same: %v", s.received)
			}
		})
	}
}

// We answer so that Twilio posts a status again if we couldn't take it at the moment. We don't if the status can never be
// taken, or if a message was posted to the address for statuses.
func TestStatusThatNobodyTakesIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := &statuses{err: outage.ErrUnavailable}
	f := setup(t, func(c *webhook.Config) { c.Statuses = s })
	wantRefusal(t, f.do(callback(masterToken, origin.Query(), status(nil))), 503, "unavailable")

	down := setup(t, func(c *webhook.Config) { c.Statuses, c.Tenants = s, downTenants{} })
	wantRefusal(t, down.do(callback(masterToken, origin.Query(), status(nil))), 503, "unavailable")

	nobody := setup(t)
	wantEmpty(t, nobody.do(callback(masterToken, origin.Query(), status(nil))))

	wantEmpty(t, f.do(callback(masterToken, origin.Query(), message(nil))))
	if len(f.inbox.received) > 0 || len(s.received) != 1 {
		t.Errorf("what isn't for the address was taken there: messages %v, statuses %v, want none", f.inbox.received, s.received)
	}
}

// The signature of a callback fits no other callback, whether a part of the address is moved into the form or the reverse.
func TestStatusCutAnewIsRefused(t *testing.T) {
	t.Parallel()
	signature := callback(masterToken, origin.Query(), status(nil)).Header.Get("X-Twilio-Signature")
	query := origin.Query()
	form := status(nil)
	intoForm := status(url.Values{"AccountSid": nil})
	intoForm[query[len(query)-4:]+"AccountSid"] = []string{masterSID}
	intoQuery := status(url.Values{"AccountSid": nil, "ApiVersion": nil})
	for name, r := range map[string]*http.Request{
		"the query into the form": callback("", query[:len(query)-4], intoForm),
		"the form into the query": callback("", query+"AccountSid"+masterSID+"ApiVersion"+form.Get("ApiVersion"), intoQuery),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &statuses{}
			f := setup(t, func(c *webhook.Config) { c.Statuses = s })
			r.Header.Set("X-Twilio-Signature", signature)
			f.do(r)
			for _, report := range s.received {
				if report.Origin.Known() {
					t.Errorf("a status cut anew under a captured signature was taken: %+v", report)
				}
			}
		})
	}
}
