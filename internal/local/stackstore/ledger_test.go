package stackstore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/menu"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// messageLedger returns a ledger of messages in a store.
func messageLedger(store ledger.Store) *ledger.Ledger {
	return ledger.New(store, usage.NewCalendar(nil).Date, rand.Text, slog.New(slog.DiscardHandler))
}

// callback is Twilio's report of a message.
func callback(m conversation.Outgoing, status delivery.Status) delivery.Report {
	r := delivery.Report{
		MessageID: "SM" + m.Place.String(), Customer: m.To, Status: status, Origin: delivery.Origin{
			Kind: m.Kind, Category: m.Category, Template: m.Category != delivery.Service, Instead: m.Instead, Place: m.Place, SentAt: time.Now(),
		},
	}
	if status == delivery.Failed {
		r.ErrorCode = 63024 // an error after which no text would arrive either
	}
	return r
}

// messages returns the counts of the current month.
func (w *welcomed) messages() ledger.Month {
	w.t.Helper()
	month, err := w.store.Messages(w.t.Context(), "r1", usage.NewCalendar(nil).Month(time.Now()))
	if err != nil {
		w.t.Fatalf("reading the ledger: %v", err)
	}
	return month
}

var (
	welcomes = ledger.Class{Kind: delivery.Welcome, Category: delivery.Utility}
	texts    = ledger.Class{Kind: delivery.Welcome, Category: delivery.Service}
)

// TestLedgerFollowsMessages: a message that Twilio didn't take isn't entered. A message that it took is entered together with
// the reply, and its statuses by its callbacks.
func TestLedgerFollowsMessages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWelcomed(t)
		want := func(classes map[ledger.Class]ledger.Count) {
			t.Helper()
			month := ledger.Month{}
			if classes != nil {
				month[time.Now().UTC().Day()] = classes
			}
			if diff := cmp.Diff(month, w.messages()); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		}
		w.twilio.before = func(context.Context, string, conversation.Outgoing) error { return outage.ErrUnavailable }
		w.twilio.nothing = true
		if err := w.Receive(t.Context(), w.tenant, conversation.Incoming{MessageID: "m1", Customer: guest, Body: "hello"}); !errors.Is(err, outage.ErrUnavailable) {
			t.Fatalf("error %v", err)
		}
		want(nil)
		w.twilio.before, w.twilio.taken = nil, nil
		w.write("m1")
		want(map[ledger.Class]ledger.Count{welcomes: {Sent: 1}})
		first := w.twilio.taken[0]
		w.receive(callback(first, delivery.Delivered))
		want(map[ledger.Class]ledger.Count{welcomes: {Sent: 1, Delivered: 1}})
		w.receive(callback(first, delivery.Read))
		w.receive(callback(first, delivery.Sent))
		want(map[ledger.Class]ledger.Count{welcomes: {Sent: 1, Delivered: 1, Read: 1}})
	})
}

func TestLedgerOfWhatFailsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWelcomed(t)
		w.twilio.before = func(_ context.Context, _ string, m conversation.Outgoing) error {
			if m.ContentSID != "" {
				return fmt.Errorf("%w: 63016", conversation.ErrTemplateRejected)
			}
			return nil
		}
		w.write("m1")
		want := ledger.Month{time.Now().UTC().Day(): {welcomes: {Sent: 1, Failed: 1}, texts: {Sent: 1}}}
		if diff := cmp.Diff(want, w.messages()); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}

// TestLedgerSurvivesDeaths: the answering process dies after any of its writes. Twilio reports each message that it took, in
// any order and repeatedly. The ledger equals the sent messages, and further callbacks change nothing.
func TestLedgerSurvivesDeaths(t *testing.T) {
	t.Parallel()
	for writes := range 12 {
		for _, last := range []delivery.Status{delivery.Sent, delivery.Delivered, delivery.Read, delivery.Failed} {
			t.Run(fmt.Sprintf("after %d writes, status %d", writes, last), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWelcomed(t)
					in := conversation.Incoming{MessageID: "m1", Customer: guest, Body: "hello"}
					_ = w.Receive(breakAfter(t.Context(), writes), w.tenant, in) // the process is dead, so nobody gets the error
					time.Sleep(conversation.LeaseLength)
					if err := w.Receive(t.Context(), w.tenant, in); err != nil {
						t.Fatalf("receiving the message: %v", err)
					}
					var callbacks []delivery.Report
					want := ledger.Count{}
					for _, m := range w.twilio.taken {
						for status := delivery.Sent; status <= last; status++ {
							if status != delivery.Delivered && status != delivery.Read || last != delivery.Failed {
								callbacks = append(callbacks, callback(m, status), callback(m, status))
							}
						}
						want.Sent++
						switch last {
						case delivery.Failed:
							want.Failed++
						case delivery.Read:
							want.Read++
							want.Delivered++
						case delivery.Delivered:
							want.Delivered++
						}
					}
					for range 2 {
						mathrand.Shuffle(len(callbacks), func(i, j int) { callbacks[i], callbacks[j] = callbacks[j], callbacks[i] })
						for _, r := range callbacks {
							w.receive(r)
						}
						if got := w.messages().Total(); got != want {
							t.Errorf("%+v, want %+v: %d messages were taken", got, want, len(w.twilio.taken))
						}
					}
				})
			})
		}
	}
}

// TestLedgerInAnOutage: a callback that can't be entered is posted again, and still has its other effects.
func TestLedgerInAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWelcomed(t)
		w.write("m1")
		w.Ledger = downLedger{w.Ledger}
		err := w.ReceiveStatus(t.Context(), w.tenant, report(63016))
		if !errors.Is(err, outage.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		w.want(1, 1, "welcome sent as text")
	})
}

// downLedger fails to enter callbacks.
type downLedger struct{ conversation.Ledger }

func (downLedger) Report(context.Context, string, delivery.Report) error {
	return outage.ErrUnavailable
}

// TestCategories: a template counts in its approved category, and a text as service. For 72 hours after a customer came from
// an ad, both count as free, also the text in place of a template that failed later.
func TestCategories(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ad       bool
		approved map[string]delivery.Category
		after    time.Duration
		want     [2]delivery.Category // of the template, and of the text that replaces it
	}{
		"a template":              {want: [2]delivery.Category{delivery.Utility, delivery.Service}},
		"one of marketing":        {approved: map[string]delivery.Category{"HX1": delivery.Marketing}, want: [2]delivery.Category{delivery.Marketing, delivery.Service}},
		"after an ad":             {ad: true, want: [2]delivery.Category{delivery.FreeEntryPoint, delivery.FreeEntryPoint}},
		"long after an ad":        {ad: true, after: 72 * time.Hour, want: [2]delivery.Category{delivery.FreeEntryPoint, delivery.Service}},
		"of marketing, before it": {ad: true, approved: map[string]delivery.Category{"HX1": delivery.Marketing}, want: [2]delivery.Category{delivery.FreeEntryPoint, delivery.FreeEntryPoint}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWelcomed(t)
				w.Categories = test.approved
				if err := w.Receive(t.Context(), w.tenant, conversation.Incoming{MessageID: "m1", Customer: guest, Body: "hello", FromAd: test.ad}); err != nil {
					t.Fatalf("receiving the message: %v", err)
				}
				if test.after > 0 {
					time.Sleep(test.after - time.Hour)
					w.write("m2")
					time.Sleep(time.Hour)
				}
				w.receive(report(63016))
				var got [2]delivery.Category
				if len(w.twilio.taken) != 2 {
					t.Fatalf("%d messages were sent", len(w.twilio.taken))
				}
				for i, m := range w.twilio.taken {
					got[i] = m.Category
				}
				if got != test.want {
					t.Errorf("categories %v, want %v", got, test.want)
				}
			})
		})
	}
}

// manyBranches are a restaurant's, and take three texts.
type manyBranches struct{ nothing }

func (manyBranches) Branches(context.Context, string) ([]menu.Branch, cache.Source, error) {
	branches := make([]menu.Branch, 15)
	for i := range branches {
		branches[i].Name.English, branches[i].Address.English = fmt.Sprint("Branch ", i), strings.Repeat("x", 250)
	}
	return branches, cache.Fetched, nil
}

// allTemplates has the quota alert's template too.
type allTemplates struct{ nothing }

func (allTemplates) SID(_ context.Context, key string) (string, bool) {
	return "HX1", key == conversation.TemplateWelcome || key == conversation.TemplateQuotaAlert
}

// TestMessageCostsTwoUnitsInTheLedger: each message that is sent costs at most two write units beyond the units for counting
// and answering, its callbacks included. None of them is written before the message is sent.
func TestMessageCostsTwoUnitsInTheLedger(t *testing.T) {
	t.Parallel()
	// An opening: the session, its entry in the index of sessions, the count in a transaction of two items, the activity. The
	// count settles the welcome.
	const opening = 1 + 1 + 4 + 1
	// A message in a session: the session and the activity. An answer has a marker.
	const extension, marker = 1 + 1, 1
	// A quota alert: the lease, a note before it is sent, and a note after it that gives the lease back. Reaching 80 % moves the
	// restaurant in the ranking: out of one place and into another, in two orders, in a transaction.
	const claim, noted, placing = 1, 2, 2 * 4
	const settled = 1 // a reply, by its entry in the ledger or by another write
	for name, test := range map[string]struct {
		before   []string // messages
		body     string
		limit    int64 // of conversations a day
		messages int
		units    float64 // without the ledger
	}{
		"a welcome":                {body: "hello", limit: -1, messages: 1, units: opening + settled},
		"an answer":                {before: []string{"hello"}, body: "menu", limit: -1, messages: 1, units: extension + marker + settled},
		"an answer in three texts": {before: []string{"hello"}, body: "branches", limit: -1, messages: 3, units: extension + marker + settled},
		"a welcome and an alert":   {body: "hello", limit: 1, messages: 2, units: opening + settled + claim + noted + settled + placing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWelcomed(t)
				w.Menu, w.Templates = manyBranches{}, allTemplates{}
				for i := range 23 { // the next conversation reaches 80 % of a limit of one a day
					w.from(fmt.Sprintf("+9665100000%02d", i), fmt.Sprint("other", i), "hello")
				}
				w.tenant.Bot.Limits.ConversationsPerDay, w.tenant.Bot.OwnerNumber = test.limit, "+966500000099"
				must(t, w.store.SetBot(t.Context(), "r1", w.tenant.Bot))
				for i, body := range test.before {
					time.Sleep(time.Minute)
					w.from(guest, fmt.Sprint("before", i), body)
				}
				time.Sleep(time.Minute)
				w.twilio.taken = nil
				before, atSend := w.written(), -1.0
				w.twilio.before = func(context.Context, string, conversation.Outgoing) error {
					if atSend < 0 {
						atSend = w.written() - before
					}
					return nil
				}
				w.from(guest, "m", test.body)
				for _, m := range w.twilio.taken {
					for _, status := range []delivery.Status{delivery.Sent, delivery.Delivered, delivery.Read, delivery.Delivered} {
						w.receive(callback(m, status))
					}
				}
				if len(w.twilio.taken) != test.messages {
					t.Fatalf("%d messages were sent, want %d: %+v", len(w.twilio.taken), test.messages, w.twilio.taken)
				}
				if got, want := w.written()-before, test.units+2*float64(test.messages); got != want {
					t.Errorf("%s and all callbacks took %v write units, want %v", name, got, want)
				}
				if test.body != "hello" && atSend > extension+marker {
					t.Errorf("%v write units came before the answer, want %d", atSend, extension+marker)
				}
			})
		})
	}
}

// TestAnswerSurvivesDeaths: the answering process dies after any of its writes. Twilio reports the messages that it took, and
// delivers the customer's message again. The customer gets exactly one answer. The answer and its entry are noted by a single
// write.
func TestAnswerSurvivesDeaths(t *testing.T) {
	t.Parallel()
	for writes := range 8 {
		t.Run(fmt.Sprintf("after %d writes", writes), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWelcomed(t)
				w.write("m1")
				time.Sleep(time.Minute)
				in := conversation.Incoming{MessageID: "m2", Customer: guest, Body: "menu"}
				_ = w.Receive(breakAfter(t.Context(), writes), w.tenant, in) // the process is dead, so nobody gets the error
				for _, m := range w.twilio.taken[1:] {
					w.receive(callback(m, delivery.Sent))
				}
				time.Sleep(conversation.LeaseLength)
				if err := w.Receive(t.Context(), w.tenant, in); err != nil {
					t.Fatalf("receiving the message: %v", err)
				}
				if answers := len(w.twilio.taken) - 1; answers != 1 {
					t.Errorf("%d answers were sent", answers)
				}
				if got, want := w.messages().Total(), (ledger.Count{Sent: 2}); got != want {
					t.Errorf("messages %+v, want %+v", got, want)
				}
			})
		})
	}
}
