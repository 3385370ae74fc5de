package devstack_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

var mixedWebhooks = flag.Int("mixed.webhooks", 10_000, "how many webhooks TestMixedWebhooks posts")

// guest is the only customer of a restaurant, with the expected data about both.
type guest struct {
	number, user, restaurant, to string

	last          [2]time.Time // latest message under the number and under the user id, until the two are joined
	joined        bool
	outBy         [2]bool // whether the customer opted out, under each id
	conversations int
	latest        []url.Values // the forms of the latest messages
	sentWhenOut   int          // number of messages sent until the customer opted out
}

// The ids that a form carries.
const (
	underNumber = iota
	underUser
	underBoth
)

// side returns the index in last and outBy for a message with the given ids. The first message with both ids joins the two
// entries.
func (g *guest) side(ids int) int {
	if ids == underBoth && !g.joined {
		g.joined = true
		if g.last[1].After(g.last[0]) {
			g.last[0] = g.last[1]
		}
		g.outBy[0] = g.outBy[0] || g.outBy[1]
	}
	if ids == underUser && !g.joined {
		return 1
	}
	return 0
}

// writes notes a message in the expected data.
func (g *guest) writes(ids int, at time.Time) {
	side := g.side(ids)
	if g.last[side].IsZero() || !at.Before(g.last[side].Add(24*time.Hour)) {
		g.conversations++
	}
	g.last[side] = at
}

func (g *guest) optedOut() bool { return g.outBy[0] && (g.joined || g.outBy[1]) }

// mixed posts webhooks of every kind.
type mixed struct {
	t      *testing.T
	stack  *devstack.Stack
	random *rand.Rand
	n      int
	mu     sync.Mutex
	kinds  map[string]int
}

func (m *mixed) form(g *guest, ids int) url.Values {
	m.n++
	form := url.Values{
		"AccountSid": {"AC25bf8e1a2393f1108d37029b3df55932"}, "ApiVersion": {"2010-04-01"}, "NumMedia": {"0"}, "NumSegments": {"1"},
		"MessageSid": {fmt.Sprintf("SM%032x", m.n)}, "SmsStatus": {"received"}, "MessageType": {"text"}, "ProfileName": {"Guest"},
		"To": {"whatsapp:" + g.to}, "Body": {"hello"},
	}
	form["SmsMessageSid"] = form["MessageSid"]
	switch ids {
	case underNumber:
		form.Set("From", "whatsapp:"+g.number)
		form.Set("WaId", g.number[1:])
	case underUser:
		form.Set("From", "whatsapp:"+g.user)
		form.Set("ExternalUserId", g.user)
	case underBoth:
		form.Set("From", "whatsapp:"+g.number)
		form.Set("WaId", g.number[1:])
		form.Set("ExternalUserId", g.user)
	}
	return form
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// draw returns a random webhook that concerns a guest, with the name of its kind, and notes its effect in the expected data.
func (m *mixed) draw(g *guest, now time.Time) (kind string, form url.Values) {
	ids := pick(m.random, underNumber, underUser, underUser, underBoth, underBoth)
	form = m.form(g, ids)
	switch n := m.random.IntN(100); {
	case n < 12 && len(g.latest) > 0:
		return "repeat", pick(m.random, g.latest...)
	case n < 18:
		form.Set("MessageStatus", pick(m.random, "sent", "delivered", "read", "failed", "undelivered"))
		form.Set("SmsStatus", form.Get("MessageStatus"))
		form["From"], form["To"] = form["To"], []string{"whatsapp:" + g.number}
		return "status", form
	case n < 24:
		form.Set("From", g.number)
		form.Set("To", g.to)
		form.Del("ExternalUserId")
		return "text message", form
	case n < 30: // a message from another of our bots
		form.Set("From", "whatsapp:+966110000000")
		form.Set("Body", "قائمة المطعم:\n1. مشويات\nmenu")
		return "own bot", form
	case n < 34:
		form.Set("MessageType", pick(m.random, "reaction", "system"))
		return "notice", form
	case n < 40:
		if word := pick(m.random, "stop", "STOP", "إلغاء الاشتراك", "ايقاف", "Unsubscribe!", "keyword"); word == "keyword" {
			form.Set("OptOutType", "STOP")
		} else {
			form.Set("Body", word)
		}
		g.outBy[g.side(ids)] = true
		g.latest = append(g.latest, form)
		return "opting out", form
	case n < 45:
		form.Set("Body", pick(m.random, "start", "ابدأ"))
		side := g.side(ids)
		g.outBy[side] = false
		g.writes(ids, now)
		g.latest = append(g.latest, form)
		return "opting in", form
	case n < 49 && ids != underUser: // unreadable metadata must not lose the message
		form.Set("ExternalUserId", pick(m.random, "", "SA", "SA.", "sa.1", "SA.1 2", "1", strings.Repeat("x", 300)))
		g.writes(underNumber, now)
		g.latest = append(g.latest, form)
		return "unreadable user id", form
	}
	form.Set("Body", pick(m.random, "hello", "menu", "القائمة", "وين فروعكم", "شكرا", "stop the music please", "From: me To: you MessageSid SM1"))
	g.writes(ids, now)
	g.latest = append(g.latest, form)
	return "message", form
}

// post delivers a webhook as Twilio does: again, as long as the answer asks for it.
func (m *mixed) post(kind string, form url.Values) error {
	signature := twilio.Signature(devstack.TwilioAuthToken, devstack.EventsWebhookURL, form)
	for range 20 {
		r, err := http.NewRequest(http.MethodPost, m.stack.BaseURL+webhook.Path, strings.NewReader(form.Encode()))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Twilio-Signature", signature)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.kinds[kind]++
			return nil
		}
		if response.StatusCode < 500 {
			return fmt.Errorf("%s is answered with %d: %v", kind, response.StatusCode, form)
		}
	}
	return fmt.Errorf("%s isn't taken: %v", kind, form)
}

// TestMixedWebhooks posts webhooks of all kinds over some weeks. No well-formed webhook is refused, and each customer's
// conversations are counted exactly. No message goes to an opted-out customer or to one of our bots.
func TestMixedWebhooks(t *testing.T) {
	t.Parallel()
	total := *mixedWebhooks
	if testing.Short() {
		total = min(total, 200)
	}
	stack := serve(t, noon)
	m := &mixed{t: t, stack: stack, random: rand.New(rand.NewPCG(14, 10_000)), kinds: make(map[string]int)}
	guests := make([]*guest, 120)
	before := make([]int, len(guests))
	for i := range guests {
		guests[i] = &guest{
			number: fmt.Sprintf("+96650%07d", i), user: fmt.Sprintf("SA.1349120865530274%04d", i),
			restaurant: fmt.Sprintf("demo-%03d", 10+i), to: fmt.Sprintf("+96611%07d", 10+i),
		}
		before[i] = allConversations(t, stack, guests[i].restaurant)
	}
	var offset time.Duration
	for posted := 0; posted < total; {
		// The steps are longer than a lease, which never ends while the clock stands still.
		offset += pick(m.random, 6*time.Second, 7*time.Second, time.Minute, time.Hour, 5*time.Hour, 9*time.Hour)
		put(t, stack, "/sandbox/clock", fmt.Sprintf(`{"offset": %q}`, offset))
		var group errgroup.Group
		group.SetLimit(atOnce)
		for _, i := range m.random.Perm(len(guests))[:80] { // each guest once, so that the order of the messages doesn't matter
			g := guests[i]
			wasOut := g.optedOut()
			kind, form := m.draw(g, noon.Add(offset))
			if len(g.latest) > 16 { // the ids of so many messages are known forever
				g.latest = g.latest[1:]
			}
			copies := 1 + m.random.IntN(12)/11 // some are delivered twice at the same moment
			for range copies {
				group.Go(func() error { return m.post(kind, form) })
			}
			if posted += copies; wasOut && g.optedOut() {
				continue
			}
			g.sentWhenOut = -1
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("delivering the messages: %v", err)
		}
		for _, g := range guests {
			sent := len(stack.Twilio.Messages(g.number)) + len(stack.Twilio.Messages(g.user))
			switch {
			case !g.optedOut():
			case g.sentWhenOut < 0:
				g.sentWhenOut = sent
			case g.sentWhenOut != sent:
				t.Fatalf("the customer %s opted out, and was sent %d messages since", g.number, sent-g.sentWhenOut)
			}
		}
	}
	t.Logf("%v over %s", m.kinds, offset)
	for i, g := range guests {
		if got := allConversations(t, stack, g.restaurant) - before[i]; got != g.conversations {
			t.Errorf("%s's messages are billed as %d conversations, want %d", g.number, got, g.conversations)
		}
	}
	if sent := stack.Twilio.Messages("+966110000000"); len(sent) > 0 {
		t.Errorf("a bot of ours was answered with %v: two bots would talk without end", sent)
	}
}

// allConversations returns the restaurant's conversations of all months since this test's beginning.
func allConversations(t *testing.T, stack *devstack.Stack, restaurantID string) int {
	t.Helper()
	var sum int
	detail := read[map[string]any](t, get(t, stack, "/api/usage/"+restaurantID, asAdmin), http.StatusOK)
	history, _ := detail["history"].([]any)
	for _, month := range history {
		of, _ := month.(map[string]any)
		year, _ := of["year"].(float64)
		number, _ := of["month"].(float64)
		if count, _ := of["conversationCount"].(float64); year > 2026 || number >= 11 {
			sum += int(count)
		}
	}
	return sum
}

// TestCapturedWebhooks posts captured webhooks again on each day of a month. None is counted, opts a customer out, or joins
// two customers.
func TestCapturedWebhooks(t *testing.T) {
	t.Parallel()
	stack := serve(t, noon)
	m := &mixed{t: t, stack: stack, kinds: make(map[string]int)}
	g := &guest{number: "+966500000001", user: "SA.1", restaurant: "demo-010", to: "+966110000010"}
	before := allConversations(t, stack, g.restaurant)
	var captured []url.Values
	for i, ids := range []int{underNumber, underUser, underBoth, underUser, underNumber, underBoth} {
		form := m.form(g, ids)
		if i == 3 {
			form.Set("Body", "stop")
		}
		if i == 4 {
			form.Set("Body", "start")
		}
		captured = append(captured, form)
		if err := m.post("message", form); err != nil {
			t.Fatalf("posting the webhook: %v", err)
		}
	}
	const opened = 2 // one under the number and one under the user id, before they were joined
	want := func(what string, conversations int) {
		t.Helper()
		if got := allConversations(t, stack, g.restaurant) - before; got != conversations {
			t.Fatalf("%s: the restaurant is billed %d conversations, want %d", what, got, conversations)
		}
	}
	want("at first", opened)
	sent := len(stack.Twilio.Messages(g.number)) + len(stack.Twilio.Messages(g.user))
	for day := range 30 {
		put(t, stack, "/sandbox/clock", fmt.Sprintf(`{"offset": "%dh"}`, 24*(day+1)+1))
		for _, form := range captured {
			if err := m.post("again", form); err != nil {
				t.Fatalf("posting the webhook: %v", err)
			}
		}
		want(fmt.Sprint("day ", day), opened)
	}
	if now := len(stack.Twilio.Messages(g.number)) + len(stack.Twilio.Messages(g.user)); now != sent {
		t.Errorf("webhooks that were captured and posted again brought the customer %d messages, want none", now-sent)
	}
	menu := m.form(g, underUser)
	menu.Set("Body", "menu")
	if err := m.post("message", menu); err != nil {
		t.Fatalf("posting the webhook: %v", err)
	}
	want("in the end", opened+1)
	if now := len(stack.Twilio.Messages(g.number)); now == 0 {
		t.Error("a customer who had opted in again, and asked for the menu, got nothing")
	}
}
