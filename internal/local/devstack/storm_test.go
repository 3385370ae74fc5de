package devstack_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
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

// A larger storm: go test -run TestStorm ./internal/local/devstack -storm.messages 20000 -storm.customers 200
// -storm.restaurants 20
var (
	stormMessages    = flag.Int("storm.messages", 1000, "how many messages TestStorm sends")
	stormCustomers   = flag.Int("storm.customers", 60, "how many customers send them")
	stormRestaurants = flag.Int("storm.restaurants", 10, "to how many restaurants, at most 143")
)

// atOnce is the number of simultaneous deliveries.
const atOnce = 16

// storm is a crowd of customers that write to restaurants at the same time, through Twilio. Twilio repeats a delivery that
// wasn't answered with 200, and sometimes a delivery that was.
type storm struct {
	stack  *devstack.Stack
	client *http.Client
	tries  int                           // deliveries of a message before Twilio gives it up
	pause  func(tries int) time.Duration // wait before the next delivery

	mu     sync.Mutex
	status map[int]int // number of answers by status; 0 is no answer
}

// newStorm returns a storm that repeats deliveries so often that every message gets through a store with occasional failures.
func newStorm(stack *devstack.Stack) *storm {
	return &storm{
		stack: stack, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}},
		tries: 50, pause: func(int) time.Duration { return 0 }, status: make(map[int]int),
	}
}

// message is a customer's message to a restaurant. Both are known by their numbers in the storm.
type message struct {
	id                   string
	customer, restaurant int
	body                 string
}

func customerNumber(n int) string { return fmt.Sprintf("+96650%07d", n) }

// nearlyFull is how many of the demo's numbered restaurants have nearly used up their allowance. A storm leaves them out:
// their owners would get messages, and their remaining allowance stops at 0, so that it doesn't show the number of
// conversations.
const nearlyFull = 2

func restaurantNumber(n int) string { return fmt.Sprintf("+96611%07d", nearlyFull+n) }
func restaurantID(n int) string     { return fmt.Sprintf("demo-%03d", nearlyFull+n) }

// errGivenUp says that Twilio gave a message up: none of its deliveries was taken.
var errGivenUp = errors.New("given up")

// deliver posts a signed webhook until it is answered with 200. It fails with errGivenUp, or with an answer that a valid
// message must never get.
func (s *storm) deliver(m message) error {
	form := url.Values{
		"From": {"whatsapp:" + customerNumber(m.customer)}, "To": {"whatsapp:" + restaurantNumber(m.restaurant)},
		"MessageSid": {m.id}, "Body": {m.body}, "ProfileName": {"Guest"},
	}
	target := s.stack.BaseURL + webhook.Path
	signature := twilio.Signature(devstack.TwilioAuthToken, target, form)
	for try := range s.tries {
		if try > 0 {
			time.Sleep(s.pause(try))
		}
		status, answer := s.post(target, signature, form)
		if status == http.StatusOK {
			return nil
		}
		if status > 0 && status < 500 {
			return fmt.Errorf("message %s: status %d: %s", m.id, status, answer)
		}
	}
	return fmt.Errorf("message %s: %w", m.id, errGivenUp)
}

// post makes one delivery and returns the answer. The status is 0 if there is no answer.
func (s *storm) post(target, signature string, form url.Values) (status int, answer []byte) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.status[status]++
	}()
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Twilio-Signature", signature)
	response, err := s.client.Do(r)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	answer, _ = io.ReadAll(response.Body)
	return response.StatusCode, answer
}

// TestStorm sends messages while the store fails, and while deliveries are repeated and overtake one another. Conversations
// are counted exactly, and everybody is welcomed once.
func TestStorm(t *testing.T) {
	t.Parallel()
	messages := *stormMessages
	if testing.Short() {
		messages = min(messages, 40)
	}
	weather(t, serveStory(t), messages, *stormCustomers, *stormRestaurants)
}

// weather sends a storm over a new stack and checks its result.
func weather(t *testing.T, stack *devstack.Stack, messages, customers, restaurants int) {
	t.Helper()
	before := conversations(t, stack)
	put(t, stack, "/sandbox/store", `{"failRate": 0.1, "status": 503}`)

	s := newStorm(stack)
	random := rand.New(rand.NewPCG(1, 2))
	wrote := make(map[[2]int]bool) // pairs of a customer and a restaurant
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range messages {
		m := message{fmt.Sprintf("SM%032d", i), random.IntN(customers), 1 + random.IntN(restaurants), "مرحبا"}
		wrote[[2]int{m.customer, m.restaurant}] = true
		deliveries := 1
		if random.IntN(10) == 0 {
			deliveries = 2 // at the same moment
		}
		for range deliveries {
			group.Go(func() error { return s.deliver(m) })
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("delivering the messages: %v", err)
	}
	t.Logf("answers by status: %v", s.status)
	put(t, stack, "/sandbox/store", `{}`)

	opened := make(map[string]int)
	for pair := range wrote {
		opened[restaurantID(pair[1])]++
	}
	after := conversations(t, stack)
	for id, want := range opened {
		if got := after[id] - before[id]; got != want {
			t.Errorf("after the storm the restaurant %s is billed %d conversations, want %d", id, got, want)
		}
	}
	for pair := range wrote {
		welcomes := 0
		for _, m := range stack.Twilio.Messages(customerNumber(pair[0])) {
			if m.From == restaurantNumber(pair[1]) {
				welcomes++
			}
		}
		if welcomes != 1 {
			t.Errorf("customer %d was welcomed %d times by restaurant %d, want once", pair[0], welcomes, pair[1])
		}
	}
}

// TestStormOfFailures: a tenth of all messages fail after Twilio took them, some at once and most in callbacks. The callbacks
// come twice and out of order, while the store fails. Every customer with a failed template gets exactly one text, and nobody
// else gets one. Repeating all callbacks changes nothing.
func TestStormOfFailures(t *testing.T) {
	t.Parallel()
	stack := serveStory(t)
	customers := 150
	if testing.Short() {
		customers = 40
	}
	before := messagesSent(t, stack, 7)
	put(t, stack, "/sandbox/store", `{"failRate": 0.1, "status": 503}`)
	put(t, stack, "/sandbox/twilio", `{"undeliveredRate": 0.1, "answeredFailedRate": 0.3, "errorCode": 63016, "callbackDelayMs": 20, "callbackRepeats": 1,
		"unreachedRate": 0.1, "unreadRate": 0.3}`)
	s := newStorm(stack)
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range 2 * customers {
		m := message{fmt.Sprintf("SM%032d", i), i % customers, 1 + i%customers%7, "مرحبا"}
		group.Go(func() error { return s.deliver(m) })
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("delivering the messages: %v", err)
	}
	stack.Twilio.Reported()
	put(t, stack, "/sandbox/store", `{}`)
	put(t, stack, "/sandbox/twilio", `{}`)
	// If no callback led to the text, the customer's next message does.
	for i := range customers {
		m := message{fmt.Sprintf("SM9%031d", i), i, 1 + i%7, "مرحبا"}
		group.Go(func() error { return s.deliver(m) })
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("delivering the messages: %v", err)
	}
	check := func() (failures int) {
		t.Helper()
		for i := range customers {
			var failed, texts, templates int
			for _, m := range stack.Twilio.Messages(customerNumber(i)) {
				switch {
				case m.ContentSID == "" && m.Status == "failed": // Twilio's answer was the failure, so the text is sent again
				case m.ContentSID == "":
					texts++
				case m.ErrorCode != 0:
					failed++
					templates++
				default:
					templates++
				}
			}
			if templates != 1 || texts != failed {
				t.Errorf("customer %d was sent %d welcome templates, want 1, of which %d failed, and %d texts, want one for each that failed", i, templates, failed, texts)
			}
			failures += failed
		}
		return failures
	}
	failures := check()
	if failures == 0 {
		t.Error("no template failed in the storm, so this test proves nothing")
	}
	stack.Twilio.Reported()
	wantTruth := func(when string) {
		t.Helper()
		for id, want := range truth(stack) {
			if got := messagesSent(t, stack, 7)[id].minus(before[id]); got != want {
				t.Errorf("%s, the owner of %s sees the sent messages %+v, want %+v", when, id, got, want)
			}
		}
	}
	stack.Twilio.Replay() // also the callbacks that Twilio gave up while the store failed
	wantTruth("after all callbacks came")
	stack.Twilio.Replay()
	wantTruth("after all callbacks came again")
	if again := check(); again != failures {
		t.Errorf("%d templates failed, and %d after all callbacks came again, want no change", failures, again)
	}
	t.Logf("%d of %d templates failed; answers by status: %v", failures, customers, s.status)
}

// fates has the number of messages by their status.
type fates struct{ Sent, Delivered, Read, Failed int }

func (o fates) minus(before fates) fates {
	return fates{o.Sent - before.Sent, o.Delivered - before.Delivered, o.Read - before.Read, o.Failed - before.Failed}
}

// messagesSent returns the statuses of this month's messages as the details show them, for the first restaurants, by id.
func messagesSent(t *testing.T, stack *devstack.Stack, restaurants int) map[string]fates {
	t.Helper()
	all := make(map[string]fates)
	for i := range restaurants {
		id := restaurantID(1 + i)
		var details struct{ SentMessages fates }
		if answer := get(t, stack, "/api/usage/"+id+"/details", asAdmin); answer.status != 200 || json.Unmarshal(answer.body, &details) != nil {
			t.Fatalf("the details of %s are answered with %d %s", id, answer.status, answer.body)
		}
		all[id] = details.SentMessages
	}
	return all
}

// truth returns the true statuses of the messages that Twilio took, by restaurant.
func truth(stack *devstack.Stack) map[string]fates {
	ids := make(map[string]string)
	for i := range 200 {
		ids[restaurantNumber(i)] = restaurantID(i)
	}
	all := make(map[string]fates)
	for _, m := range stack.Twilio.Messages("") {
		o := all[ids[m.From]]
		o.Sent++
		switch m.Status {
		case "read":
			o.Read++
			o.Delivered++
		case "delivered":
			o.Delivered++
		case "failed", "undelivered":
			o.Failed++
		}
		all[ids[m.From]] = o
	}
	return all
}

// conversations returns this month's conversations of all restaurants, by id.
func conversations(t *testing.T, stack *devstack.Stack) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, offset := range []string{"0", "100"} {
		for _, r := range read[page](t, get(t, stack, "/api/usage?limit=100&offset="+offset, asAdmin), 200).Data {
			counts[r.RestaurantID] = int(r.ConversationsThisMonth)
		}
	}
	return counts
}
