package delivery_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
)

var (
	sentAt = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	place  = delivery.Place{Day: time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC), Page: "k7f3q2ab9x", Number: 7}
)

func TestOriginComesBackWithTheStatus(t *testing.T) {
	t.Parallel()
	for _, kind := range delivery.Kinds {
		for _, category := range delivery.Categories {
			for _, flag := range []bool{false, true} {
				origin := delivery.Origin{Kind: kind, Category: category, Template: flag, Instead: !flag, SentAt: sentAt}
				if flag {
					origin.Place = place
				}
				if diff := cmp.Diff(origin, delivery.ParseQuery(origin.Query())); diff != "" || !origin.Known() {
					t.Errorf("the status callback's address loses what the message was (-sent +come back):\n%s", diff)
				}
			}
		}
	}
}

// An attacker with a signed callback can move text between its address and its form. Only the original address may be
// accepted.
func TestForeignAddressIsNoOrigin(t *testing.T) {
	t.Parallel()
	good := delivery.Origin{Kind: delivery.Welcome, Category: delivery.Utility, Template: true, Place: place, SentAt: sentAt}.Query()
	for _, query := range []string{
		"", "%zz", good + "AccountSidAC1", good + "&x=1", "x=1&" + good, strings.Replace(good, "&", ";", 1),
		strings.Replace(good, "welcome", "newsletter", 1), strings.Replace(good, "utility", "free", 1),
		strings.Replace(good, "template=1", "template=2", 1), strings.Replace(good, "sent=", "sent=0", 1), strings.Split(good, "&sent")[0],
		strings.Replace(good, "-07", "-7", 1), strings.Replace(good, "-07", "-007", 1), strings.Replace(good, "2026-11-28", "2026-11-31", 1),
		strings.Replace(good, "k7f3q2ab9x", "K7F3Q2AB9X", 1), strings.Replace(good, "k7f3q2ab9x", "k7f3q2ab9x0", 1), strings.Replace(good, "k7f3", "k7%66", 1),
	} {
		if o := delivery.ParseQuery(query); o.Known() {
			t.Errorf("the foreign query %q is taken for our message %+v, want an unknown origin", query, o)
		}
	}
}

func TestTwiliosStatusesAreKnown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]delivery.Status{
		"queued": delivery.Accepted, "accepted": delivery.Accepted, "sending": delivery.Accepted, "scheduled": delivery.Accepted,
		"sent": delivery.Sent, "delivered": delivery.Delivered, "read": delivery.Read, "failed": delivery.Failed,
		"undelivered": delivery.Failed, "": delivery.Unknown, "received": delivery.Unknown, "teleported": delivery.Unknown,
	} {
		if got := delivery.ParseStatus(text); got != want {
			t.Errorf("Twilio's status %q is read as %d, want %d", text, got, want)
		}
	}
}

// TestOutsideTheWindowIsNoFaultOfATemplate: error 63016 of a text says that the customer's 24 hours are over.
func TestOutsideTheWindowIsNoFaultOfATemplate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		report delivery.Report
		fault  delivery.Fault
		alarm  bool
		means  string
	}{
		"template":         {delivery.Report{ErrorCode: 63016, Origin: delivery.Origin{Kind: delivery.Welcome, Template: true}}, delivery.FaultContent, true, "not approved"},
		"welcome as text":  {delivery.Report{ErrorCode: 63016, Origin: delivery.Origin{Kind: delivery.Welcome}}, delivery.FaultWindow, false, "24 hours are over"},
		"list":             {delivery.Report{ErrorCode: 63016, Origin: delivery.Origin{Kind: delivery.List}}, delivery.FaultWindow, false, "24 hours are over"},
		"text":             {delivery.Report{ErrorCode: 63016, Origin: delivery.Origin{Kind: delivery.Text}}, delivery.FaultWindow, false, "24 hours are over"},
		"unknown":          {delivery.Report{ErrorCode: 63016}, delivery.FaultContent, true, "or a template"},
		"text, other code": {delivery.Report{ErrorCode: 63013, Origin: delivery.Origin{Kind: delivery.Text}}, delivery.FaultContent, false, "policy"},
	} {
		got := test.report.Code()
		if got.Fault != test.fault || got.Alarm != test.alarm || !strings.Contains(got.Means, test.means) {
			t.Errorf("%s: error %d is taken for %+v, want a fault of %s (alarm: %t) that means %q", name, test.report.ErrorCode, got, test.fault, test.alarm, test.means)
		}
	}
}

func TestErrorCodeNamesWhoseFaultItIs(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]delivery.Fault{
		63016: delivery.FaultContent, 63024: delivery.FaultReceiver, 63032: delivery.FaultReceiver, 21610: delivery.FaultReceiver,
		63018: delivery.FaultPassing, 20003: delivery.FaultOperator, 0: delivery.FaultUnknown, 99999: delivery.FaultUnknown,
	} {
		if got := delivery.CodeOf(code); got.Fault != want || (got.Means == "") != (want == delivery.FaultUnknown) {
			t.Errorf("Twilio's error %d is taken for %+v, want a fault of %s, with a meaning unless unknown", code, got, want)
		}
	}
	for _, code := range []int{63016, 63018, 20003} {
		if !delivery.CodeOf(code).Alarm {
			t.Errorf("Twilio's error %d raises no alarm, though it is our fault", code)
		}
	}
}
