package devstack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// customer writes to a stack's restaurants and reads their messages.
type customer struct {
	stack  *devstack.Stack
	number string
}

// write delivers a message to a restaurant's number as Twilio does, and returns the answer's status.
func (c customer) write(t *testing.T, to, id, body string) int {
	t.Helper()
	form := url.Values{
		"From": {"whatsapp:" + c.number}, "To": {"whatsapp:" + to}, "MessageSid": {id}, "Body": {body}, "ProfileName": {"سارة"},
	}
	address := c.stack.BaseURL + webhook.Path
	a := do(t, c.stack, http.MethodPost, webhook.Path, form.Encode(), "Content-Type: application/x-www-form-urlencoded",
		"X-Twilio-Signature: "+twilio.Signature(devstack.TwilioAuthToken, address, form))
	if a.status == http.StatusOK && !strings.Contains(string(a.body), "<Response") {
		t.Errorf("the webhook of message %s is answered with %s, want TwiML", id, a.body)
	}
	return a.status
}

// received returns the messages that the customer got, the newest first.
func (c customer) received(t *testing.T) []sandbox.SentMessage {
	t.Helper()
	return read[[]sandbox.SentMessage](t, get(t, c.stack, "/sandbox/messages?to="+url.QueryEscape(c.number)), 200)
}

type (
	job struct {
		JobID, MerchantID, Outcome string
		Attempt                    int
		DurationMs                 float64
	}
	queues struct {
		Bootstrap   struct{ Visible, Delayed, InFlight int }
		DeadLetters []struct {
			Reason       string
			ReceiveCount int
			Body         string
		}
	}
)

// until waits for an event that the stack causes by itself.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	const patience = time.Minute
	for begin := time.Now(); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("%s didn't happen within %v", what, patience)
		}
	}
}

func outcomes(t *testing.T, stack *devstack.Stack) []string {
	t.Helper()
	var got []string
	for _, j := range read[[]job](t, get(t, stack, "/sandbox/jobs"), 200) {
		got = append(got, fmt.Sprintf("%s of %s at attempt %d", j.Outcome, j.MerchantID, j.Attempt))
	}
	return got
}

func sufrahCalls(t *testing.T, stack *devstack.Stack) int {
	t.Helper()
	calls := 0
	for _, n := range read[map[string]int](t, get(t, stack, "/sandbox/sufrah/calls"), 200) {
		calls += n
	}
	return calls
}

// exampleUsage returns the number of the example restaurant's conversations.
func exampleUsage(t *testing.T, stack *devstack.Stack) int64 {
	t.Helper()
	got := read[figures](t, get(t, stack, "/api/usage", asOwner, ofExample), 200)
	if left := got.Allowance.MonthlyLimit - got.ConversationsThisMonth; got.Allowance.MonthlyRemaining != left {
		t.Errorf("the owner sees %+v, want %d conversations remaining", got, left)
	}
	return got.ConversationsThisMonth
}

// tellStory plays a story: a new customer writes, is welcomed and asks for the menu, and the owner looks at the usage. The
// stack must be new, with a number for each restaurant.
func tellStory(t *testing.T, stack *devstack.Stack) {
	t.Helper()
	before := exampleUsage(t, stack)
	c := customer{stack, "+966500000001"}
	const example = "+966110000000"
	for range 2 { // Twilio delivers twice
		if status := c.write(t, example, "SM00000000000000000000000000000001", "hello"); status != 200 {
			t.Fatalf("the customer's first message is answered with %d, want 200", status)
		}
	}
	welcome := c.received(t)
	if len(welcome) != 1 || welcome[0].ContentSID == "" || welcome[0].ContentVariables["1"] != "Example Restaurant" {
		t.Errorf("a customer whose first message Twilio delivered twice received %+v, want one welcome", welcome)
	}
	until(t, "job", func() bool { return len(outcomes(t, stack)) > 0 })
	wantEqual(t, "outcomes", outcomes(t, stack), []string{"completed of merchant-clxyz123abc at attempt 1"})
	calls := sufrahCalls(t, stack)
	wantEqual(t, "calls of the Sufrah API", calls, 2+3) // both lists, and the products of three categories

	for i, ask := range []struct{ body, want string }{{"menu", "Grills"}, {"القائمة", "فطور شعبي"}, {"branches", "Olaya"}} {
		if status := c.write(t, example, fmt.Sprintf("SM%032d", 10+i), ask.body); status != 200 {
			t.Fatalf("the question %q is answered with %d, want 200", ask.body, status)
		}
		if latest := c.received(t)[0]; !strings.Contains(shown(latest), ask.want) {
			t.Errorf("the customer asks %q and gets %q, want %q in it", ask.body, shown(latest), ask.want)
		}
	}
	wantEqual(t, "calls of the Sufrah API when all is in the cache", sufrahCalls(t, stack), calls)
	wantEqual(t, "conversations", exampleUsage(t, stack), before+1)

	// A job for another restaurant's customer fails for good.
	put(t, stack, "/sandbox/sufrah", `{"failRate": 1, "status": 403}`)
	if status := c.write(t, "+966110000003", "SM00000000000000000000000000000002", "hello"); status != 200 {
		t.Fatalf("the first message to the other restaurant is answered with %d, want 200", status)
	}
	var state queues
	until(t, "dead letter", func() bool {
		state = read[queues](t, get(t, stack, "/sandbox/queues"), 200)
		return len(state.DeadLetters) > 0
	})
	for range 2 { // the first look must change nothing
		var body struct{ MerchantID string }
		letter := state.DeadLetters[0]
		if err := json.Unmarshal([]byte(letter.Body), &body); err != nil || body.MerchantID != "merchant-demo-003" ||
			!strings.Contains(letter.Reason, "403") || letter.ReceiveCount != 0 || len(state.DeadLetters) != 1 {
			t.Errorf("the operator sees the dead letters %+v, want that of merchant-demo-003 with its reason", state.DeadLetters)
		}
		state = read[queues](t, get(t, stack, "/sandbox/queues"), 200)
	}
	wantEqual(t, "outcomes", outcomes(t, stack)[0], "dead-lettered of merchant-demo-003 at attempt 1")
	until(t, "empty queue", func() bool {
		return read[queues](t, get(t, stack, "/sandbox/queues"), 200).Bootstrap == struct{ Visible, Delayed, InFlight int }{}
	})
	put(t, stack, "/sandbox/sufrah", `{}`)
}

// breakBackends lets the store, the queue and the cache fail in turn, and checks the effect on customers and owners.
func breakBackends(t *testing.T, stack *devstack.Stack) {
	t.Helper()
	const example, down = "+966110000000", `{"failRate": 1, "status": 503}`
	put(t, stack, "/sandbox/store", down)
	c := customer{stack, "+966500000002"}
	if status := c.write(t, example, "SM00000000000000000000000000000003", "hello"); status != 503 {
		t.Errorf("with the store down a message is answered with %d, want 503, so that Twilio delivers it again", status)
	}
	if a := get(t, stack, "/api/usage", asOwner, ofExample); a.status != 503 {
		t.Errorf("with the store down the owner is answered with %d %s, want 503", a.status, a.body)
	}
	put(t, stack, "/sandbox/store", `{}`)

	put(t, stack, "/sandbox/queue", down)
	if status := c.write(t, example, "SM00000000000000000000000000000003", "hello"); status != 200 || len(c.received(t)) != 1 {
		t.Errorf("with the queue down a first message is answered with %d, and the customer received %+v, want 200 and the welcome", status, c.received(t))
	}
	put(t, stack, "/sandbox/queue", `{}`)

	calls := sufrahCalls(t, stack)
	put(t, stack, "/sandbox/cache", down)
	if status := c.write(t, example, "SM00000000000000000000000000000004", "menu"); status != 200 || len(c.received(t)) != 2 {
		t.Errorf("with the cache down a question is answered with %d, and the customer received %+v, want 200 and the menu", status, c.received(t))
	}
	if got := sufrahCalls(t, stack); got != calls+1 {
		t.Errorf("with the cache down the menu took %d calls to Sufrah, want 1", got-calls)
	}
	put(t, stack, "/sandbox/cache", `{}`)
}

// passTime moves the clock beyond a session's end, and then beyond the lifetime of cached entries.
func passTime(t *testing.T, stack *devstack.Stack) {
	t.Helper()
	const example = "+966110000000"
	c := customer{stack, "+966500000003"}
	before, opened := exampleUsage(t, stack), int64(0)
	for i, step := range []struct {
		offset string
		opens  bool
	}{{"0s", true}, {"23h", false}, {"46h", false}, {"71h", true}} {
		put(t, stack, "/sandbox/clock", `{"offset": "`+step.offset+`"}`)
		if step.opens {
			opened++
		}
		if status := c.write(t, example, fmt.Sprintf("SM%032d", 30+i), "menu"); status != 200 {
			t.Errorf("a message %s later is answered with %d, want 200", step.offset, status)
		}
		now := read[detail](t, get(t, stack, "/api/usage/clxyz123abc", asAdmin), 200)
		var sum int64 // of all months: the offset may lead into another one
		for _, m := range now.History {
			sum += m.ConversationCount
		}
		if sum -= 123; sum != before+opened {
			t.Errorf("%s later the restaurant is billed %d conversations, want %d", step.offset, sum, before+opened)
		}
	}
	// After its lifetime in the cache, a menu isn't shown even if Sufrah fails.
	put(t, stack, "/sandbox/clock", `{"offset": "140h"}`)
	put(t, stack, "/sandbox/sufrah", `{"failRate": 1, "status": 503}`)
	received := len(c.received(t))
	if status := c.write(t, example, "SM00000000000000000000000000000035", "menu"); status != 503 || len(c.received(t)) != received {
		t.Errorf("with Sufrah down and no menu of today, a question is answered with %d, and the customer received %+v, want 503 and nothing more", status, c.received(t))
	}
	put(t, stack, "/sandbox/sufrah", `{}`)
	put(t, stack, "/sandbox/clock", `{"offset": "0s"}`)
}

// started is the time of the stories' demo data. Stories use the machine's clock.
var started = time.Now()

// serveStory serves a stack for one test, at the machine's time.
func serveStory(t *testing.T, changes ...func(*devstack.Options)) *devstack.Stack {
	t.Helper()
	log := new(syncBuffer)
	demo, err := demoTables(started)
	if err != nil {
		t.Fatalf("filling tables with the demo data: %v", err)
	}
	withDemo := func(o *devstack.Options) {
		if o.TimeZone == "" && o.CacheKind == "" { // the prepared tables fit the default options only
			o.Tables = demo
		}
	}
	server, err := devstack.Serve(t.Context(), "../../../template.yaml", 0, log, append(changes, withDemo)...)
	if err != nil {
		t.Fatalf("starting the local stack: %v", err)
	}
	t.Cleanup(func() {
		_ = server.Close() // nobody else uses it
		if t.Failed() {
			t.Logf("the stack's log:\n%s", log)
		}
	})
	return server.Stack
}

// TestCustomersOwnersAndOperatorsStory plays the stories on stand-ins, with each kind of cache. engine_aws_test.go plays them
// on engines.
func TestCustomersOwnersAndOperatorsStory(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]func(*testing.T, *devstack.Stack){
		"welcome": tellStory, "faults": breakBackends, "time": passTime,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, serveStory(t))
		})
		t.Run(name+", cache in a table", func(t *testing.T) {
			t.Parallel()
			stack := serveStory(t, func(o *devstack.Options) { o.CacheKind = "dynamodb" })
			part(t, stack)
			if name == "faults" { // here no operation of the cache succeeds
				return
			}
			if read, written := stack.StandIn().Consumed(devstack.StackName + "-cache"); read == 0 || written == 0 {
				t.Errorf("the cache's table has had %v reads and %v writes", read, written)
			}
		})
	}
}
