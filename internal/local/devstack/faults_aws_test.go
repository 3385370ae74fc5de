//go:build aws

package devstack_test

import (
	"context"
	crypto "crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/usageapi"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/engines"
	"github.com/sufrah/usage-bootstrap/internal/test/faultproxy"
)

var faultsSeed = flag.Uint64("faults.seed", 0, "repeats TestFaults' messages, their order, and the faults; 0 takes another each time")

const (
	// stormDays is the number of days with a storm. They are two days apart, so that no session lasts from one to the next.
	stormDays = 3
	apart     = 48 * time.Hour
	// drift is how far the stack's clock is moved forward and back in a storm. In addition, each process's clock is up to two
	// seconds off. The difference between two processes must stay below the time by which a lease outlasts its next renewal.
	drift = time.Second
)

// TestFaults sends a storm over engines and compiled functions, while every part of them fails and functions are killed. In
// the end every conversation is counted once, every job has ended, and no log line has a secret or a phone number. Nobody is
// welcomed twice, unless a delivery broke off. docs/FAULTS.md describes the faults and the promises.
func TestFaults(t *testing.T) {
	seed := *faultsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d messages of %d customers to %d restaurants", seed, *stormMessages, *stormCustomers, *stormRestaurants)
	f := newFaulty(t, seed)
	begin := time.Now()
	for day := range stormDays {
		f.day(t, day)
	}
	stormed := time.Since(begin)
	letters := f.drain(t)
	t.Logf("the storm took %v, and the queue %v more", stormed.Round(time.Second), (time.Since(begin) - stormed).Round(time.Second))
	f.checkHistory(t)
	f.checkWelcomes(t)
	f.checkJobs(t, letters)
	f.checkLog(t)
	t.Logf("faults: %v", f.count)
	t.Logf("answers to deliveries, by status: %v; messages that Twilio gave up: %d", f.status, f.givenUp)
	t.Logf("ends of attempts at jobs: %s; dead letters: %d", f.journal.outcomes(), len(letters.DeadLetters))
}

// pair is a customer and a restaurant to which the customer writes.
type pair struct{ customer, restaurant int }

// faulty is a stack on engines in which every part can be made to fail. It notes the expected result of a storm.
type faulty struct {
	*storm
	seed        uint64
	journal     *journal
	start       time.Time                // the beginning of the first day
	store       *faultproxy.Network      // between the stack and DynamoDB Local
	queue       *faultproxy.Network      // between the stack and the SQS server
	cache       *faultproxy.Network      // between the stack and Redis
	cacheServer *engines.Engines         // a Redis that only this storm uses
	sent        map[string]pair          // by message id
	opened      [stormDays]map[pair]bool // for each day, the pairs that opened a conversation
	before      map[string]figures       // figures before the storm, by restaurant

	tallyMu sync.Mutex
	count   map[string]int // number of faults, by name
	givenUp int            // number of messages that Twilio gave up
}

// newFaulty starts the stack. Its functions are the deployed ones with another clock. Its template has a shorter time until
// jobs come again and a higher rate of jobs, without which a storm would take hours.
func newFaulty(t *testing.T, seed uint64) *faulty {
	t.Helper()
	f := &faulty{seed: seed, start: lastDay(time.Now().UTC()), sent: make(map[string]pair), count: make(map[string]int)}
	f.store, f.queue = f.between(t, endpoint(t, engines.DynamoDB)), f.between(t, endpoint(t, engines.SQS))
	if err := f.startCache(t.Context()); err != nil {
		t.Fatalf("starting the cache server: %v", err)
	}
	t.Cleanup(func() { f.cacheServer.Stop() })
	f.cache = f.between(t, f.cacheServer.Endpoint(engines.Cache))

	log, err := os.Create(filepath.Join(t.ArtifactDir(), "log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	f.journal = newJournal(log)
	ahead := time.Until(f.start)
	clock := devstack.NewClock(func() time.Time { return time.Now().Add(ahead) })
	hand := filepath.Join(t.TempDir(), "clock")
	point := func(time.Duration) {
		content := []byte(time.Until(clock.Now()).String())
		if err := errors.Join(os.WriteFile(hand+"~", content, 0o644), os.Rename(hand+"~", hand)); err != nil {
			t.Error(err)
		}
	}
	point(0)
	clock.OnMove(point)
	binaries := compile(t, "-overlay", movable(t, hand))
	server, err := devstack.Serve(t.Context(), hastened(t), 0, f.journal, func(o *devstack.Options) {
		o.Name, o.Clock, o.Binaries = "test-"+strings.ToLower(crypto.Text())[:16], clock, binaries
		o.Engines = &devstack.Engines{
			DynamoDB: "http://" + f.store.Address(), SQS: "http://" + f.queue.Address(), Cache: f.cache.Address(),
		}
		for parameter, value := range map[string]string{
			"JobRatePerMinute": "60000", "QueueBackoffDelay": "1000", "SufrahCacheTtlMs": "2000",
		} {
			if o.Definition, err = o.Definition.With(parameter, value); err != nil {
				t.Fatalf("changing a parameter of the template: %v", err)
			}
		}
	})
	if err != nil {
		t.Fatalf("changing a parameter of the template: %v", err)
	}
	t.Cleanup(func() { _ = errors.Join(server.Close(), log.Close()) })
	f.storm = newStorm(server.Stack)
	f.tries, f.pause = 1+5, func(try int) time.Duration { return 100 * time.Millisecond << try } // #rc=5
	f.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce, MaxConnsPerHost: atOnce}}
	f.before = f.usage(t)
	return f
}

// lastDay returns noon on the next last day of a month, so that the storm's second day is in another month.
func lastDay(now time.Time) time.Time {
	noon := time.Date(now.Year(), now.Month()+1, 0, 12, 0, 0, 0, time.UTC)
	if noon.Before(now) {
		noon = time.Date(now.Year(), now.Month()+2, 0, 12, 0, 0, 0, time.UTC)
	}
	return noon
}

// hastened returns the file of a template in which a failed job comes again after 30 seconds, longer than any attempt takes here.
func hastened(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const deployed = "VisibilityTimeout: 360"
	if strings.Count(string(content), deployed) != 1 {
		t.Fatalf("template.yaml doesn't have one %q", deployed)
	}
	folder := t.TempDir()
	if err := os.CopyFS(filepath.Join(folder, "internal/stack"), os.DirFS("../../stack")); err != nil { // the template's nested templates
		t.Fatal(err)
	}
	path := filepath.Join(folder, "template.yaml")
	if err := os.WriteFile(path, []byte(strings.Replace(string(content), deployed, "VisibilityTimeout: 30", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// movable returns an overlay for the compiler that gives functions another clock. The clock adds the duration in a file to
// the machine's time, and up to two seconds more or less that differ between processes.
func movable(t *testing.T, hand string) string {
	t.Helper()
	folder := t.TempDir()
	const path = "../../../internal/function/function.go"
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	moved := string(source)
	for from, to := range map[string]string{"environ, time.Now, log)": "environ, movedNow, log)", "\t\"math/rand/v2\"\n": "\t\"math/rand/v2\"\n\t\"os\"\n"} {
		if strings.Count(moved, from) != 1 {
			t.Fatalf("%s doesn't have one %q", path, from)
		}
		moved = strings.Replace(moved, from, to, 1)
	}
	moved += fmt.Sprintf(`
func movedNow() time.Time {
	hand, _ := os.ReadFile(%q)
	ahead, _ := time.ParseDuration(string(hand))
	return time.Now().Add(ahead + time.Duration(os.Getpid()%%5-2)*time.Second)
}
`, hand)
	absolute, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	replaced := filepath.Join(folder, "function.go")
	if err := os.WriteFile(replaced, []byte(moved), 0o644); err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(map[string]map[string]string{"Replace": {absolute: replaced}})
	if err != nil {
		t.Fatalf("encoding the JSON: %v", err)
	}
	overlay := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(overlay, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return overlay
}

func endpoint(t *testing.T, kind engines.Kind) string {
	t.Helper()
	found, err := engines.Endpoint(kind)
	if err != nil {
		t.Fatalf("finding the engine's endpoint: %v", err)
	}
	return found
}

// between returns a network to an engine.
func (f *faulty) between(t *testing.T, engine string) *faultproxy.Network {
	t.Helper()
	n, err := faultproxy.New(strings.TrimPrefix(engine, "http://"))
	if err != nil {
		t.Fatalf("starting the fault proxy: %v", err)
	}
	t.Cleanup(n.Close)
	return n
}

func (f *faulty) startCache(ctx context.Context) (err error) {
	f.cacheServer, err = engines.Start(ctx, "../../../.cache/engines", engines.Cache)
	return err
}

// observer sends requests outside the storm. It waits for up to a minute, longer than any answer takes.
var observer = &http.Client{Timeout: time.Minute}

// set changes a setting of the sandbox.
func (f *faulty) set(what, body string) error {
	r, err := http.NewRequest(http.MethodPut, f.stack.BaseURL+"/sandbox/"+what, strings.NewReader(body))
	if err != nil {
		return err
	}
	response, err := observer.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s can't be set to %s: status %d", what, body, response.StatusCode)
	}
	return nil
}

// turn sets the clock to a day's beginning plus a duration. The time that the day has taken so far comes on top.
func (f *faulty) turn(day int, by time.Duration) error {
	return f.set("clock", fmt.Sprintf(`{"offset": %q}`, time.Duration(day)*apart+by))
}

// day sends one day's share of the storm, and checks the figures at its end.
func (f *faulty) day(t *testing.T, day int) {
	t.Helper()
	if err := errors.Join(f.turn(day, 0), f.set("sufrah", usualSufrah)); err != nil {
		t.Fatalf("beginning the day of the storm: %v", err)
	}
	before := f.usage(t)

	var aside []message
	ctx, calm := context.WithCancel(t.Context())
	var troubles, deliveries errgroup.Group
	for lane, faults := range [][]fault{f.ofStore(), f.ofOthers()} {
		troubles.Go(func() error { return f.trouble(ctx, rand.New(rand.NewPCG(f.seed, uint64(100*day+lane+1))), faults) })
	}
	troubles.Go(func() error { return f.kill(ctx, day) })
	troubles.Go(func() error { return f.look(ctx) })
	deliveries.SetLimit(4 * atOnce) // the client sends atOnce of them, while the others pause
	for _, m := range f.plan(day) {
		deliveries.Go(func() error {
			err := f.deliver(m)
			if errors.Is(err, errGivenUp) {
				f.tallyMu.Lock()
				defer f.tallyMu.Unlock()
				aside = append(aside, m)
				return nil
			}
			return err
		})
	}
	err := deliveries.Wait()
	calm()
	if err := errors.Join(err, troubles.Wait()); err != nil {
		t.Fatalf("delivering the day's messages, or making its faults: %v", err)
	}

	// Messages that Twilio gave up are delivered once more, after all faults and the leases of killed processes have ended.
	f.givenUp += len(aside)
	if err := f.turn(day, 2*conversation.LeaseLength); err != nil {
		t.Fatalf("repeating the deliveries that Twilio gave up: %v", err)
	}
	for _, m := range aside {
		deliveries.Go(func() (err error) {
			for range 5 { // after a failed fetch of the menu, questions are refused for up to a minute
				if err = f.deliver(m); !errors.Is(err, errGivenUp) {
					break
				}
			}
			return err
		})
	}
	if err := deliveries.Wait(); err != nil {
		t.Fatalf("when all is well: %v", err)
	}
	after := f.usage(t)
	for id, now := range after {
		opened := f.openedAt(id, day)
		if got := now.ConversationsThisMonth - before[id].ConversationsThisMonth; got != opened {
			t.Errorf("day %d: %s has %d conversations more in its month, want %d", day, id, got, opened)
		}
		if got := before[id].Allowance.DailyRemaining - now.Allowance.DailyRemaining; got != opened && now.Allowance.DailyLimit > 0 {
			t.Errorf("day %d: %s has %d conversations more in its day, want %d", day, id, got, opened)
		}
	}
}

// openedAt returns the number of a restaurant's conversations that were opened on a day.
func (f *faulty) openedAt(id string, day int) (n int64) {
	for p := range f.opened[day] {
		if restaurantID(p.restaurant) == id {
			n++
		}
	}
	return n
}

// plan returns a day's deliveries in their order. Of the messages, a tenth is delivered twice at the same moment, a tenth
// again later, and a tenth after messages that were written later.
func (f *faulty) plan(day int) []message {
	type delivery struct {
		at float64
		message
	}
	f.opened[day] = make(map[pair]bool)
	random := rand.New(rand.NewPCG(f.seed, uint64(100*day)))
	bodies := []string{"مرحبا", "hello", "thanks", "ok", "شكرا", "?", "yes", "no", "menu", "الفروع"}
	var deliveries []delivery
	for i := range *stormMessages / stormDays {
		m := message{
			fmt.Sprintf("SM%032d", day*(*stormMessages)+i), random.IntN(*stormCustomers), 1 + random.IntN(*stormRestaurants),
			bodies[random.IntN(len(bodies))],
		}
		f.sent[m.id] = pair{m.customer, m.restaurant}
		f.opened[day][f.sent[m.id]] = true
		at := float64(i)
		if random.IntN(10) == 0 {
			at += 5 * atOnce * random.Float64()
		}
		deliveries = append(deliveries, delivery{at, m})
		if random.IntN(10) == 0 {
			deliveries = append(deliveries, delivery{at, m})
		}
		if random.IntN(10) == 0 {
			deliveries = append(deliveries, delivery{at + 20*atOnce*random.Float64(), m})
		}
	}
	slices.SortStableFunc(deliveries, func(a, b delivery) int {
		return int(1000*a.at) - int(1000*b.at)
	})
	planned := make([]message, len(deliveries))
	for i, d := range deliveries {
		planned[i] = d.message
	}
	return planned
}

// usualSufrah is Sufrah's behavior when no fault changes it, also after the storm.
const usualSufrah = `{"failRate": 0.3}`

// fault begins, lasts at least for a while, and ends.
type fault struct {
	name       string
	begin, end func() error
	least      time.Duration
}

// behaves makes a fault of a behavior of the sandbox.
func (f *faulty) behaves(name, what, as, usually string) fault {
	return fault{name: name, begin: func() error { return f.set(what, as) }, end: func() error { return f.set(what, usually) }}
}

func turns(name string, n *faultproxy.Network, to faultproxy.Weather) fault {
	return fault{name: name, begin: func() error { return n.Turn(to) }, end: func() error { return n.Turn(faultproxy.Weather{}) }}
}

// answersLost carries out one request in three without answering it.
var answersLost = faultproxy.Weather{Cut: 40, Every: 3}

func (f *faulty) ofStore() []fault {
	return []fault{
		f.behaves("store throttled", "store", `{"failRate": 0.5, "status": 400}`, `{}`),
		f.behaves("store failing", "store", `{"failRate": 0.5, "status": 503}`, `{}`),
		f.behaves("store slow", "store", `{"latencyMs": 150}`, `{}`),
		turns("store away", f.store, faultproxy.Weather{Refuses: true}),
		turns("store silent", f.store, faultproxy.Weather{Silent: true}),
		turns("store's connections reset", f.store, faultproxy.Weather{Reset: true}),
		turns("store's answers lost", f.store, answersLost),
	}
}

func (f *faulty) ofOthers() []fault {
	down := f.behaves("Sufrah down", "sufrah", `{"failRate": 1}`, usualSufrah)
	down.least = 4 * time.Second // long enough for jobs to use up their attempts
	return []fault{
		down,
		f.behaves("queue failing", "queue", `{"failRate": 0.5, "status": 500}`, `{}`),
		turns("queue restarted", f.queue, faultproxy.Weather{Refuses: true}),
		turns("queue's answers lost", f.queue, answersLost),
		f.behaves("cache failing", "cache", `{"failRate": 0.3}`, `{}`),
		turns("cache slow", f.cache, faultproxy.Weather{Delay: 100 * time.Millisecond}),
		turns("cache silent", f.cache, faultproxy.Weather{Silent: true}),
		{name: "cache restarted", begin: func() error { f.cacheServer.Stop(); return nil }, end: func() error {
			if err := f.startCache(context.Background()); err != nil {
				return err
			}
			f.cache.Lead(f.cacheServer.Endpoint(engines.Cache))
			return nil
		}},
		f.behaves("Twilio failing", "twilio", `{"failRate": 0.5}`, `{}`),
		f.behaves("Twilio slow", "twilio", `{"latencyMs": 300}`, `{}`),
	}
}

// wait returns after d, or when the context ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (f *faulty) tally(name string) {
	f.tallyMu.Lock()
	defer f.tallyMu.Unlock()
	f.count[name]++
}

// trouble lets one fault after another begin and end until the context ends. Their order changes in each round.
func (f *faulty) trouble(ctx context.Context, random *rand.Rand, faults []fault) error {
	part := func(d time.Duration) time.Duration { return time.Duration(random.Float64() * float64(d)) }
	for {
		random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, now := range faults {
			f.tally(now.name)
			if err := now.begin(); err != nil {
				return fmt.Errorf("%s: %w", now.name, err)
			}
			wait(ctx, now.least+200*time.Millisecond+part(1300*time.Millisecond))
			if err := now.end(); err != nil {
				return fmt.Errorf("the end of %s: %w", now.name, err)
			}
			wait(ctx, part(1500*time.Millisecond))
			if ctx.Err() != nil {
				return nil
			}
		}
	}
}

// kill kills processes and moves the clock forward and back until the context ends.
func (f *faulty) kill(ctx context.Context, day int) error {
	random := rand.New(rand.NewPCG(f.seed, uint64(100*day+3)))
	functions := []string{processmessage.Name, processmessage.Name, welcomebootstrap.Name, usageapi.Name}
	for {
		wait(ctx, 100*time.Millisecond+time.Duration(random.Float64()*float64(500*time.Millisecond)))
		if ctx.Err() != nil {
			return nil
		}
		function := functions[random.IntN(len(functions))]
		switch random.IntN(8) {
		case 0, 1:
			f.tally("clock moved")
			if err := f.turn(day, time.Duration((2*random.Float64()-1)*float64(drift))); err != nil {
				return err
			}
		case 2:
			if f.stack.Kill(function) > 0 {
				f.tally("all of " + function + " killed")
			}
		default:
			if f.stack.KillOne(function) {
				f.tally(function + " killed")
			}
		}
	}
}

// look polls the usage as a dashboard does, until the context ends. Each answer must be correct or a 503.
func (f *faulty) look(ctx context.Context) error {
	for ; ctx.Err() == nil; wait(ctx, 200*time.Millisecond) {
		r, err := http.NewRequest(http.MethodGet, f.stack.BaseURL+"/api/usage?limit=100", nil)
		if err != nil {
			return err
		}
		r.Header.Set("X-API-Key", "local-admin-key")
		response, err := observer.Do(r)
		if err != nil {
			return err
		}
		response.Body.Close()
		f.tally(fmt.Sprint("dashboard answered ", response.StatusCode))
		if response.StatusCode != http.StatusOK && response.StatusCode < 500 {
			return fmt.Errorf("the dashboard was answered with status %d", response.StatusCode)
		}
	}
	return nil
}

// usage returns the figures of all restaurants, as an administrator sees them.
func (f *faulty) usage(t *testing.T) map[string]figures {
	t.Helper()
	all := make(map[string]figures)
	for _, offset := range []string{"0", "100"} {
		for _, r := range read[page](t, get(t, f.stack, "/api/usage?limit=100&offset="+offset, asAdmin), 200).Data {
			all[r.RestaurantID] = r
		}
	}
	return all
}

// drain waits until the queue is empty, and returns its state with the dead letters. Sufrah still fails now and then.
func (f *faulty) drain(t *testing.T) (state queues) {
	t.Helper()
	const (
		patience = 30 * time.Minute // a large storm leaves thousands of jobs, and the SQS server hands out only some a second
		interval = 3 * time.Second  // each look receives all dead letters
	)
	for begin := time.Now(); ; time.Sleep(interval) {
		state = read[queues](t, get(t, f.stack, "/sandbox/queues"), 200)
		if state.Bootstrap == (queues{}).Bootstrap {
			return state
		}
		if time.Since(begin) > patience {
			t.Fatalf("after %v the queue still has %+v", patience, state.Bootstrap)
		}
	}
}

// checkHistory checks the months of each restaurant in the storm.
func (f *faulty) checkHistory(t *testing.T) {
	t.Helper()
	for n := 1; n <= *stormRestaurants; n++ {
		id := restaurantID(n)
		want := map[string]int64{f.start.Format("1/2006"): f.before[id].ConversationsThisMonth}
		for day := range stormDays {
			want[f.start.Add(time.Duration(day)*apart).Format("1/2006")] += f.openedAt(id, day)
		}
		got := make(map[string]int64)
		for _, m := range read[detail](t, get(t, f.stack, "/api/usage/"+id, asAdmin), 200).History {
			if month := fmt.Sprint(m.Month, "/", m.Year); want[month] > 0 {
				got[month] = m.ConversationCount
			}
		}
		maps.DeleteFunc(want, func(_ string, n int64) bool { return n == 0 })
		wantEqual(t, id+"'s conversations by month", got, want)
	}
}

// checkWelcomes checks the customers' welcomes: one from each restaurant that the customer wrote to. A further welcome is
// allowed for each delivery that was killed or couldn't note its welcome.
func (f *faulty) checkWelcomes(t *testing.T) {
	t.Helper()
	const most = 10_000 // messages that the sandbox remembers
	messages := f.stack.Twilio.Messages("")
	if len(messages) >= most {
		t.Fatalf("%d messages were sent: too many to know all of them", len(messages))
	}
	welcomes := make(map[[2]string]int)
	for _, m := range messages {
		if m.ContentSID != "" && len(m.ContentVariables) > 0 { // a list has no variables
			welcomes[[2]string{m.To, m.From}]++
		}
	}
	excuses := make(map[pair]int)
	for id, n := range f.journal.excuses() {
		excuses[f.sent[id]] += n
	}
	pairs := make(map[pair]bool)
	for _, p := range f.sent {
		pairs[p] = true
	}
	extra, excused := 0, 0
	unnoted := 0
	for _, n := range f.journal.unnoted {
		unnoted += n
	}
	for p := range pairs {
		key := [2]string{customerNumber(p.customer), restaurantNumber(p.restaurant)}
		if got := welcomes[key]; got < 1 || got > 1+excuses[p] {
			t.Errorf("customer %d was welcomed %d times by restaurant %d, want once, and at most %d times more",
				p.customer, got, p.restaurant, excuses[p])
		}
		extra += welcomes[key] - 1
		excused += min(excuses[p], 1)
		delete(welcomes, key)
	}
	if len(welcomes) > 0 {
		t.Errorf("welcomes to customers who hadn't written: %v", welcomes)
	}
	if excused > len(pairs)/2 {
		t.Errorf("%d of %d customers may have had another welcome: that says little", excused, len(pairs))
	}
	t.Logf("%d new customers; welcomes beyond the first: %d, among %d customers of whom a delivery was killed or a reply not noted (%d times)",
		len(pairs), extra, excused, unnoted)
}

// checkJobs checks the jobs. Each new customer has one, unless the queue failed. Each job was completed, at least in part, or
// is a dead letter after exactly three attempts.
func (f *faulty) checkJobs(t *testing.T, letters queues) {
	t.Helper()
	const attempts = 3
	dead := make(map[string]bool)
	for _, letter := range letters.DeadLetters {
		var job struct{ JobID string }
		if err := json.Unmarshal([]byte(letter.Body), &job); err != nil {
			t.Errorf("dead letter %s: %v", letter.Body, err)
		}
		dead[job.JobID] = true
		if letter.ReceiveCount != attempts || letter.Reason != "failed as often as the queue allows" {
			t.Errorf("%s is a dead letter after %d attempts: %s", job.JobID, letter.ReceiveCount, letter.Reason)
		}
	}
	for message, n := range f.journal.attempts {
		if n > attempts {
			t.Errorf("the queue's message %s had %d attempts", message, n)
		}
	}
	for job := range f.journal.enqueued {
		if !dead[job] && !f.journal.acknowledged(job) {
			t.Errorf("%s is lost; the ends of its attempts were %v", job, f.journal.ended[job])
		}
	}
	without := make(map[pair]bool)
	for _, p := range f.sent {
		without[p] = true
	}
	for _, jobs := range []map[string]bool{f.journal.enqueued, f.journal.refused} {
		for job := range jobs {
			delete(without, f.sent[strings.TrimPrefix(job, "job-")])
		}
	}
	if len(without) > 0 {
		t.Errorf("customers for whom no job was enqueued, and who weren't logged as such: %v", without)
	}
	t.Logf("jobs: %d enqueued, %d that the queue didn't take", len(f.journal.enqueued), len(f.journal.refused))
}

// checkLog checks that no line has forbidden text, and that each customer has exactly one first message.
func (f *faulty) checkLog(t *testing.T) {
	t.Helper()
	f.journal.mu.Lock()
	defer f.journal.mu.Unlock()
	if n := len(f.journal.leaks); n > 0 {
		t.Errorf("%d of %d log lines have a secret or a phone number, such as\n%s", n, f.journal.lines, f.journal.leaks[0])
	}
	firsts := make(map[pair][]string)
	for id := range f.journal.firsts {
		firsts[f.sent[id]] = append(firsts[f.sent[id]], id)
	}
	for p, ids := range firsts {
		if len(ids) > 1 {
			t.Errorf("customer %d has several first messages to restaurant %d: %v", p.customer, p.restaurant, ids)
		}
	}
	t.Logf("%d log lines", f.journal.lines)
}
