package conversation_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
)

// consents is a working recorder that keeps the consent of one customer.
type consents struct {
	conversation.Recorder
	out bool
}

func (c *consents) Record(ctx context.Context, m conversation.Message) (conversation.Recorded, error) {
	var recorded conversation.Recorded
	if m.Consent != conversation.OptsOut {
		var err error
		if recorded, err = c.Recorder.Record(ctx, m); err != nil {
			return recorded, err
		}
	}
	recorded = recorded.After(c.out, m.Consent)
	c.out = recorded.OptedOut
	return recorded, nil
}

func optingOut(t *testing.T) *fixture {
	f := setup(t)
	f.Recorder = &consents{Recorder: f.recorder}
	return f
}

func TestOptOutIsSentNothingUntilOptingIn(t *testing.T) {
	t.Parallel()
	f := optingOut(t)
	f.mustReceive(t, "m1", "hello")
	f.mustReceive(t, "m2", "menu")
	f.wantReceived(t, welcome, englishMenu)
	for i, body := range []string{"STOP", "stop", "menu", "القائمة", "branches"} {
		f.mustReceive(t, fmt.Sprint("n", i), body)
	}
	f.wantReceived(t, welcome, englishMenu)
	f.wantLogged(t, "INFO", "customer opted out: the bot sends nothing until the customer opts in")
	f.wantLogged(t, "INFO", "nothing sent: the customer has opted out")
	if strings.Contains(f.log.String(), customer) {
		t.Errorf("the log shows the customer's number: %s", f.log)
	}
	f.mustReceive(t, "in", "ابدأ")
	f.wantReceived(t, welcome, englishMenu)
	f.mustReceive(t, "in again", "start")
	f.mustReceive(t, "m3", "menu")
	f.wantReceived(t, welcome, englishMenu, englishMenu)
	f.wantLogged(t, "INFO", "customer opted in again")
	f.wantEvents(t, map[string]int{"welcome sent": 1, "answer sent, fresh": 2, "opted out": 1, "opted in": 1})
}

// TestOptOutBeforeTheWelcome: a customer's first message that opts out causes neither a welcome nor a job; opting in later
// causes both.
func TestOptOutBeforeTheWelcome(t *testing.T) {
	t.Parallel()
	f := optingOut(t)
	f.mustReceive(t, "m1", "إلغاء الاشتراك")
	if n := f.conversations(t); n != 0 {
		t.Errorf("a message that only opts out is billed as %d conversations, want 0", n)
	}
	f.mustReceive(t, "m2", "hello")
	f.wantReceived(t)
	if n := f.conversations(t); n != 1 || len(f.queue.jobs) > 0 {
		t.Errorf("a customer who has opted out writes again: %d conversations billed, want 1; bootstrap jobs %v, want none", n, f.queue.jobs)
	}
	f.mustReceive(t, "m3", "menu")
	f.mustReceive(t, "m4", "start")
	f.wantReceived(t, welcome)
	f.mustReceive(t, "m3", "menu") // the withheld answer isn't sent now
	f.wantReceived(t, welcome)
	if len(f.queue.jobs) != 1 {
		t.Errorf("after opting in there are the bootstrap jobs %v, want one", f.queue.jobs)
	}
}

// TestOptOutTypeCountsBeforeTheWords: Twilio's reading of a text counts before ours.
func TestOptOutTypeCountsBeforeTheWords(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in   conversation.Incoming
		out  bool
		sent int
	}{
		"a keyword of ours":           {conversation.Incoming{Body: "stop"}, true, 0},
		"a keyword of the account's":  {conversation.Incoming{Body: "جوال", OptOutType: "STOP"}, true, 0},
		"a keyword that means help":   {conversation.Incoming{Body: "menu", OptOutType: "HELP"}, false, 0}, // Twilio answered
		"stop as a keyword for start": {conversation.Incoming{Body: "stop", OptOutType: "START"}, false, 0},
		"part of a sentence":          {conversation.Incoming{Body: "stop sending me the menu twice"}, false, 0},
		"a row's title":               {conversation.Incoming{Body: "Stop", ListID: "v1/en/menu/1", ListTitle: "Stop"}, false, 1},
		"a type to come":              {conversation.Incoming{Body: "hello", OptOutType: "PAUSE"}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t).welcomed(t)
			recorder := &consents{Recorder: f.recorder}
			f.Recorder = recorder
			test.in.MessageID, test.in.Customer = "m1", customer
			if err := f.Receive(t.Context(), f.tenant, test.in); err != nil {
				t.Fatalf("receiving the message: %v", err)
			}
			if recorder.out != test.out || len(f.phones.received) != test.sent {
				t.Errorf("after %+v the customer has opted out: %t, want %t; and was sent %v, want %d messages", test.in, recorder.out, test.out, f.phones.received, test.sent)
			}
		})
	}
}
