package stackstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/menu"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// twilio takes messages. It calls before with each, which may make it fail.
type twilio struct {
	mu      sync.Mutex
	taken   []conversation.Outgoing
	before  func(ctx context.Context, sid string, m conversation.Outgoing) error
	nothing bool // a message that fails is not taken
}

func (w *twilio) Send(ctx context.Context, _ conversation.Tenant, m conversation.Outgoing) (string, error) {
	w.mu.Lock()
	w.taken = append(w.taken, m)
	sid := fmt.Sprintf("SM%d", len(w.taken))
	before := w.before
	w.mu.Unlock()
	if before != nil {
		err := before(ctx, sid, m)
		if err != nil && w.nothing {
			return "", err
		}
		return sid, err
	}
	return sid, nil
}

func (w *twilio) counts() (templates, texts int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.taken {
		if m.ContentSID != "" {
			templates++
		} else {
			texts++
		}
	}
	return templates, texts
}

// nothing stands for the service's queue, menu, templates and limiter.
type nothing struct{}

func (nothing) Enqueue(context.Context, bootstrap.Job) error { return nil }

func (nothing) Categories(context.Context, string) ([]menu.Category, cache.Source, error) {
	return nil, cache.Fetched, nil
}

func (nothing) Branches(context.Context, string) ([]menu.Branch, cache.Source, error) {
	return nil, cache.Fetched, nil
}

func (nothing) Renewed(context.Context) {}

func (nothing) SID(_ context.Context, key string) (string, bool) {
	return "HX1", key == conversation.TemplateWelcome
}

func (nothing) Allow(context.Context, string, int64) bool { return true }

const guest = "+966500000001"

// welcomed is a service with a customer who has an open session and was sent the template SM1.
type welcomed struct {
	*conversation.Service
	t      *testing.T
	engine *dynamolocal.Engine
	store  storetest.Store
	tenant conversation.Tenant
	twilio *twilio
	log    *bytes.Buffer
}

// newWelcomed must be called in a synctest bubble.
func newWelcomed(t *testing.T) *welcomed {
	t.Helper()
	engine := newEngine(t)
	ledger := newLedger(engine, usage.NewCalendar(nil))
	recorder := ledger.Recorder
	w := &welcomed{
		t: t, engine: engine, store: ledger.Store, twilio: &twilio{}, log: new(bytes.Buffer),
		tenant: conversation.Tenant{
			Restaurant: restaurant.Restaurant{ID: "r1", Name: "One", MerchantID: "m1", Active: true, CreatedAt: time.Now()},
			Bot: restaurant.Bot{ID: "b", PhoneNumber: "+966110000000",
				Limits: restaurant.Limits{ConversationsPerDay: -1, AnswersPerMinute: -1}},
		},
	}
	if err := ledger.Store.CreateRestaurant(t.Context(), w.tenant.Restaurant, &w.tenant.Bot); err != nil {
		t.Fatalf("creating the restaurant: %v", err)
	}
	w.Service = &conversation.Service{
		Recorder: recorder, WelcomeFailures: recorder.(conversation.WelcomeFailures), QuotaAlerter: ledger.QuotaAlerter, Sender: w.twilio,
		Ledger: messageLedger(ledger.Store), Queue: nothing{}, Menu: nothing{}, Templates: nothing{}, Limiter: nothing{}, Now: time.Now, NewID: rand.Text,
		RequestID: func(context.Context) string { return "request" }, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	return w
}

func (w *welcomed) write(id string) {
	w.t.Helper()
	in := conversation.Incoming{MessageID: id, Customer: guest, Body: "hello"}
	if id == "stop" {
		in.Body = "stop"
	}
	if err := w.Receive(w.t.Context(), w.tenant, in); err != nil {
		w.t.Fatalf("message %s: %v", id, err)
	}
}

// report is a callback of the template SM1, or of another message.
func report(code int, change ...func(*delivery.Report)) delivery.Report {
	r := delivery.Report{
		MessageID: "SM1", Customer: guest, Status: delivery.Failed, ErrorCode: code,
		Origin: delivery.Origin{Kind: delivery.Welcome, Category: delivery.Utility, Template: true, SentAt: time.Now()},
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

// from delivers a message of any customer.
func (w *welcomed) from(customer, id, body string) {
	w.t.Helper()
	if err := w.Receive(w.t.Context(), w.tenant, conversation.Incoming{MessageID: id, Customer: customer, Body: body}); err != nil {
		w.t.Fatalf("message %s: %v", id, err)
	}
}

// written returns the write units that the tables took until now.
func (w *welcomed) written() (units float64) {
	names := schema.StackTables(devstack.StackName)
	for _, table := range []string{names.Conversations, names.Usage} {
		_, written := w.engine.Consumed(table)
		units += written
	}
	return units
}

func (w *welcomed) receive(r delivery.Report) {
	w.t.Helper()
	if err := w.ReceiveStatus(w.t.Context(), w.tenant, r); err != nil {
		w.t.Fatalf("receiving the status: %v", err)
	}
}

// want checks the number of templates and texts. If the test names a reason, the log must have it.
func (w *welcomed) want(templates, texts int, reason string) {
	w.t.Helper()
	if gotTemplates, gotTexts := w.twilio.counts(); gotTemplates != templates || gotTexts != texts {
		w.t.Errorf("%d templates and %d texts were sent, want %d and %d", gotTemplates, gotTexts, templates, texts)
	}
	if !strings.Contains(w.log.String(), reason) {
		w.t.Errorf("the log has no %q: %s", reason, w.log)
	}
	if strings.Contains(w.log.String(), guest) {
		w.t.Errorf("the log shows the customer's number: %s", w.log)
	}
}

// TestWelcomeByOutcome: after its template failed, the welcome is sent as text, once, unless the text would fail too.
func TestWelcomeByOutcome(t *testing.T) {
	t.Parallel()
	of := func(change func(*delivery.Report)) []delivery.Report { return []delivery.Report{report(63016, change)} }
	for name, test := range map[string]struct {
		before  func(*welcomed)
		reports []delivery.Report
		texts   int
		reason  string
	}{
		"the template isn't approved": {nil, []delivery.Report{report(63016)}, 1, "welcome sent as text"},
		"a code that nobody knows":    {nil, []delivery.Report{report(99999)}, 1, "welcome sent as text"},
		"told three times":            {nil, []delivery.Report{report(63016), report(63016), report(63016)}, 1, "sent or given up already"},
		"two templates failed": {
			nil, []delivery.Report{report(63016), report(63016, func(r *delivery.Report) { r.MessageID = "SM9" })}, 1,
			"sent or given up after another welcome failed",
		},
		"the number can't receive":   {nil, []delivery.Report{report(63024)}, 0, "a text would fail too"},
		"part of an experiment":      {nil, []delivery.Report{report(63032)}, 0, "a text would fail too"},
		"too many messages":          {nil, []delivery.Report{report(63018)}, 0, "a text would fail too"},
		"an operator's fault":        {nil, []delivery.Report{report(63007)}, 0, "level=ERROR"},
		"the text failed":            {nil, of(func(r *delivery.Report) { r.Origin.Template = false }), 0, "the text itself was not delivered"},
		"a list failed":              {nil, of(func(r *delivery.Report) { r.Origin.Kind = delivery.List }), 0, "message not delivered"},
		"of nobody knows what":       {nil, of(func(r *delivery.Report) { r.Origin = delivery.Origin{} }), 0, "message not delivered"},
		"delivered":                  {nil, of(func(r *delivery.Report) { r.Status = delivery.Delivered }), 0, ""},
		"of a customer without one":  {nil, of(func(r *delivery.Report) { r.Customer = "+966500000099" }), 0, "the customer has no session"},
		"after the customer's hours": {func(*welcomed) { time.Sleep(24 * time.Hour) }, []delivery.Report{report(63016)}, 0, "24 hours are over"},
		"just before they end": {
			func(*welcomed) { time.Sleep(24*time.Hour - time.Minute) }, []delivery.Report{report(63016)}, 1, "welcome sent as text",
		},
		"after opting out": {func(w *welcomed) { w.write("stop") }, []delivery.Report{report(63016)}, 0, "the customer has opted out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWelcomed(t)
				w.write("m1")
				if test.before != nil {
					test.before(w)
				}
				for _, r := range test.reports {
					w.receive(r)
				}
				w.want(1, test.texts, test.reason)
				if test.before == nil {
					time.Sleep(time.Minute)
					w.write("m2") // no reply is due any more
					w.want(1, test.texts, test.reason)
				}
			})
		})
	}
}

// TestUndeliveredMessageIsExplainedInTheLog: the log line of a failed template names the template, and a text outside the
// customer's 24 hours isn't called a template's fault.
func TestUndeliveredMessageIsExplainedInTheLog(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind            delivery.Kind
		template        bool
		want, wantNever string
	}{
		{delivery.Welcome, true, `level=ERROR msg="message not delivered" .* fault=content means=".*not approved.*" contentSid=HX1`, "window"},
		{delivery.QuotaAlert, true, `level=ERROR msg="message not delivered" .* fault=content`, "contentSid"}, // the stack has no such template any more
		{delivery.List, true, `level=ERROR msg="message not delivered" .* fault=content`, "contentSid"},
		{delivery.List, false, `level=WARN msg="message not delivered" .* fault=window means="the customer's 24 hours are over`, "contentSid"},
		{delivery.Text, false, `level=WARN msg="message not delivered" .* fault=window means="the customer's 24 hours are over`, "contentSid"},
	} {
		t.Run(fmt.Sprint(test.kind, ", template ", test.template), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWelcomed(t)
				w.write("m1")
				w.log.Reset()
				w.Templates = keyed{t}
				w.receive(report(63016, func(r *delivery.Report) { r.Origin.Kind, r.Origin.Template = test.kind, test.template }))
				line, _, _ := strings.Cut(w.log.String(), "\n")
				if !regexp.MustCompile(test.want).MatchString(line) || strings.Contains(line, test.wantNever) {
					t.Errorf("logged %q, want %s without %q", line, test.want, test.wantNever)
				}
			})
		})
	}
}

// keyed is nothing's templates. It refuses to be asked without a key, which would ask the cache in vain.
type keyed struct{ t *testing.T }

func (k keyed) SID(ctx context.Context, key string) (string, bool) {
	if key == "" {
		k.t.Error("a template without a key was looked up")
	}
	return nothing{}.SID(ctx, key)
}

// TestCallbacksMeet: two callbacks of one failure come at the same time; the second comes while the text is being sent.
func TestCallbacksMeet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWelcomed(t)
		w.write("m1")
		sending, goOn := make(chan struct{}), make(chan struct{})
		w.twilio.before = func(context.Context, string, conversation.Outgoing) error {
			close(sending) // panics if a second text is sent
			<-goOn
			return nil
		}
		var both sync.WaitGroup
		both.Go(func() { w.receive(report(63016)) })
		<-sending
		both.Go(func() { w.receive(report(63016)) })
		synctest.Wait() // the second callback finds the lease held, and waits
		close(goOn)
		both.Wait()
		w.want(1, 1, "welcome sent as text")
	})
}

// TestWelcomeSurvivesDeaths: the process that takes a callback dies after any of its writes, or while it sends. Twilio posts
// the callback again, or the customer writes. One text is sent. If Twilio took the text, its own callbacks settle it.
func TestWelcomeSurvivesDeaths(t *testing.T) {
	t.Parallel()
	for _, death := range []string{"after the note", "after the settling", "in sending, not taken", "in sending, taken"} {
		for _, next := range []string{"a callback", "a message"} {
			t.Run(death+", then "+next, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWelcomed(t)
					w.write("m1")
					dying, die := context.WithCancel(t.Context())
					var lost bool
					switch death {
					case "after the note":
						dying = breakAfter(dying, 1)
					case "after the settling":
						dying = breakAfter(dying, 2)
					default:
						w.twilio.before = func(context.Context, string, conversation.Outgoing) error {
							lost = true
							die()
							return context.Canceled
						}
					}
					_ = w.ReceiveStatus(dying, w.tenant, report(63016)) // the process is dead, so nobody gets the error
					die()
					w.twilio.before = nil
					if lost && death == "in sending, not taken" {
						w.twilio.taken = w.twilio.taken[:1]
					} else if _, texts := w.twilio.counts(); texts == 1 {
						w.receive(delivery.Report{
							MessageID: "SM2", Customer: guest, Status: delivery.Sent,
							Origin: delivery.Origin{Kind: delivery.Welcome, Category: delivery.Service, Instead: true, SentAt: time.Now()},
						})
					}
					for try := 0; next == "a callback"; try++ {
						err := w.ReceiveStatus(t.Context(), w.tenant, report(63016))
						if err == nil {
							break
						}
						if try == 5 || !errors.Is(err, conversation.ErrElsewhere) {
							t.Fatalf("try %d: %v", try, err)
						}
					}
					if next == "a message" {
						time.Sleep(conversation.LeaseLength)
						w.write("m2")
					}
					w.want(1, 1, "")
				})
			})
		}
	}
}

// TestTemplateFailsAtOnce: Twilio's answer to the template already has its failure, and a callback reports it too: before the
// answer, at the same time as the text, or after it.
func TestTemplateFailsAtOnce(t *testing.T) {
	t.Parallel()
	failed := fmt.Errorf("%w: 63016", conversation.ErrTemplateRejected)
	for _, when := range []string{"never", "before the answer", "beside the text", "after it"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWelcomed(t)
				var callbacks sync.WaitGroup
				w.twilio.before = func(_ context.Context, sid string, m conversation.Outgoing) error {
					switch {
					case m.ContentSID != "" && when == "before the answer":
						w.receive(report(63016))
					case m.ContentSID == "" && when == "beside the text":
						callbacks.Go(func() { w.receive(report(63016)) })
						time.Sleep(time.Second)
					}
					if m.ContentSID != "" {
						return failed
					}
					return nil
				}
				w.write("m1")
				if when == "after it" {
					w.receive(report(63016))
				}
				callbacks.Wait()
				w.want(1, 1, "welcome sent as text")
				if !slices.ContainsFunc(w.twilio.taken, func(m conversation.Outgoing) bool { return m.Instead && m.Text != "" }) {
					t.Errorf("the text doesn't say that it is in place of a template: %+v", w.twilio.taken)
				}
			})
		})
	}
}

// A text that can't be sent now is sent when the callback is posted again, or with the customer's next message.
func TestTextIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWelcomed(t)
		w.write("m1")
		w.twilio.before = func(context.Context, string, conversation.Outgoing) error { return outage.ErrUnavailable }
		for range 2 {
			if err := w.ReceiveStatus(t.Context(), w.tenant, report(63016)); !errors.Is(err, outage.ErrUnavailable) {
				t.Errorf("ReceiveStatus: %v", err)
			}
		}
		w.twilio.taken, w.twilio.before = w.twilio.taken[:1], nil
		w.write("m2")
		w.want(1, 1, "welcome sent as text")
		w.receive(report(63016))
		w.want(1, 1, "sent or given up already")
	})
}

// TestWelcomeOfAJoinedCustomer: the failed template went to a user id that has since become an alias of a number. Its text is
// sent all the same, once.
func TestWelcomeOfAJoinedCustomer(t *testing.T) {
	t.Parallel()
	const userID = "SA.13491208655302741918"
	synctest.Test(t, func(t *testing.T) {
		w := newWelcomed(t)
		for i, in := range []conversation.Incoming{
			{MessageID: "m1", Customer: userID, Body: "hello"},
			{MessageID: "m2", Customer: guest, UserID: userID, Body: "hello"},
		} {
			if err := w.Receive(t.Context(), w.tenant, in); err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			time.Sleep(time.Minute)
		}
		failed := report(63016, func(r *delivery.Report) { r.Customer = userID })
		w.receive(failed)
		w.want(1, 1, "welcome sent as text")
		w.receive(failed)
		w.want(1, 1, "sent or given up already")
	})
}
