package local_test

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/local"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// A storm of any size: go test -run TestStorm ./internal/local -storm.messages 20000 -storm.customers 200 -storm.restaurants 20
var (
	stormMessages    = flag.Int("storm.messages", 1000, "how many messages TestStorm sends")
	stormCustomers   = flag.Int("storm.customers", 60, "how many customers send them")
	stormRestaurants = flag.Int("storm.restaurants", 10, "to how many restaurants, at most 145")
)

// atOnce is how many deliveries are under way at a time.
const atOnce = 16

// storm is a crowd of customers who write to restaurants at the same time, through Twilio: which delivers again whatever
// isn't answered with 200, and sometimes what is.
type storm struct {
	stack  *local.Stack
	client *http.Client

	mu     sync.Mutex
	status map[int]int // answers by status
}

// deliver posts one signed webhook until it is answered with 200.
func (s *storm) deliver(from, to, id, body string) error {
	form := url.Values{
		"From": {"whatsapp:" + from}, "To": {"whatsapp:" + to}, "MessageSid": {id}, "Body": {body}, "ProfileName": {"Guest"},
	}
	target := s.stack.BaseURL + webhook.Path
	signature := twilio.Signature(local.TwilioAuthToken, target, form)
	for range 50 {
		r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Twilio-Signature", signature)
		response, err := s.client.Do(r)
		if err != nil {
			return err
		}
		answer, _ := io.ReadAll(response.Body)
		response.Body.Close()
		s.mu.Lock()
		s.status[response.StatusCode]++
		s.mu.Unlock()
		switch {
		case response.StatusCode == http.StatusOK:
			return nil
		case response.StatusCode < 500:
			return fmt.Errorf("status %d: %s", response.StatusCode, answer)
		}
	}
	return fmt.Errorf("message %s was never taken", id)
}

// TestStorm counts conversations while the store fails, and deliveries are repeated and overtake one another: the counts
// are exact, and everybody is welcomed once.
func TestStorm(t *testing.T) {
	t.Parallel()
	weather(t, serveStory(t), *stormMessages, *stormCustomers, *stormRestaurants)
}

// weather sends a storm over a fresh stack.
func weather(t *testing.T, stack *local.Stack, messages, customers, restaurants int) {
	t.Helper()
	before := conversations(t, stack)
	put(t, stack, "/sandbox/store", `{"failRate": 0.1, "status": 503}`)

	s := &storm{stack: stack, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}, status: map[int]int{}}
	random := rand.New(rand.NewPCG(1, 2))
	number := func(prefix string, i int) string { return fmt.Sprintf("+966%s%07d", prefix, i) }
	wrote := make(map[[2]int]bool) // who wrote to whom
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range messages {
		customer, restaurant := random.IntN(customers), 1+random.IntN(restaurants)
		wrote[[2]int{customer, restaurant}] = true
		from, to, id := number("50", customer), number("11", restaurant), fmt.Sprintf("SM%032d", i)
		deliveries := 1
		if random.IntN(10) == 0 {
			deliveries = 2 // at the same moment
		}
		for range deliveries {
			group.Go(func() error { return s.deliver(from, to, id, "مرحبا") })
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("answers by status: %v", s.status)
	put(t, stack, "/sandbox/store", `{}`)

	opened := make(map[string]int)
	for pair := range wrote {
		opened[fmt.Sprintf("demo-%03d", pair[1])]++
	}
	after := conversations(t, stack)
	for id, want := range opened {
		if got := after[id] - before[id]; got != want {
			t.Errorf("%s: %d conversations, want %d", id, got, want)
		}
	}
	for pair := range wrote {
		welcomes := 0
		for _, m := range stack.Twilio.Messages(number("50", pair[0])) {
			if m.From == number("11", pair[1]) || m.From == "whatsapp:"+number("11", pair[1]) {
				welcomes++
			}
		}
		if welcomes != 1 {
			t.Errorf("customer %d was welcomed %d times by restaurant %d", pair[0], welcomes, pair[1])
		}
	}
}

// conversations returns this month's conversations of all restaurants, by id.
func conversations(t *testing.T, stack *local.Stack) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, offset := range []string{"0", "100"} {
		for _, r := range read[page](t, get(t, stack, "/api/usage?limit=100&offset="+offset, asAdmin), 200).Data {
			counts[r.RestaurantID] = int(r.ConversationsThisMonth)
		}
	}
	return counts
}
