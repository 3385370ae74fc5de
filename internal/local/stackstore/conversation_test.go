package stackstore_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// mortal lets a process die after some writes: the writes of requests with its context.
type mortal struct{ next http.RoundTripper }

// life is the number of writes that a process makes before it dies.
type life struct {
	mu     sync.Mutex
	writes int
	end    context.CancelFunc
}

type lifeKey struct{}

// breakAfter returns the context of a process that dies right after the given number of successful writes, before the last
// answer arrives.
func breakAfter(ctx context.Context, writes int) context.Context {
	ctx, end := context.WithCancel(ctx)
	return context.WithValue(ctx, lifeKey{}, &life{writes: writes, end: end})
}

func (m mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := m.next.RoundTrip(r)
	l, ok := r.Context().Value(lifeKey{}).(*life)
	if err != nil || !ok || response.StatusCode != http.StatusOK || !isWrite(r) {
		return response, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writes--; l.writes > 0 {
		return response, nil
	}
	l.end()
	return nil, context.Canceled
}

func isWrite(r *http.Request) bool {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return operation == "PutItem" || operation == "UpdateItem" || operation == "TransactWriteItems"
}

func newLedger(engine *dynamolocal.Engine, calendar usage.Calendar) storetest.Ledger {
	store := newStore(mortal{engine.Transport()})
	recorder := store.Recorder(calendar)
	return storetest.Ledger{Store: store, Recorder: recorder, QuotaAlerter: recorder, Break: breakAfter}
}

func TestRecorderContract(t *testing.T) {
	t.Parallel()
	storetest.ExerciseRecorder(t, func(t testing.TB, calendar usage.Calendar) storetest.Ledger {
		return newLedger(newEngine(t), calendar)
	})
}

func TestCustomers(t *testing.T) {
	t.Parallel()
	storetest.ExerciseCustomers(t, func(t testing.TB, calendar usage.Calendar) storetest.Ledger {
		return newLedger(newEngine(t), calendar)
	})
}

// TestRecorderContractWithConflicts runs the contract on an engine with slow transactions, so that they conflict with one
// another and with ordinary writes.
func TestRecorderContractWithConflicts(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: TestRecorderContract has the same suite, without the conflicts")
	}
	t.Parallel()
	storetest.ExerciseRecorder(t, func(t testing.TB, calendar usage.Calendar) storetest.Ledger {
		return newLedger(newEngine(t).WithTransactionTime(time.Millisecond), calendar)
	})
}

// TestWriteCapacity counts the cost of each kind of message, in write units of all tables together.
func TestWriteCapacity(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	ledger := newLedger(engine, usage.NewCalendar(nil))
	names := schema.StackTables(devstack.StackName)
	used := func() (units float64) {
		for _, table := range []string{names.Conversations, names.Usage} {
			_, written := engine.Consumed(table)
			units += written
		}
		return units
	}
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	must(t, ledger.Store.CreateRestaurant(t.Context(), restaurant.Restaurant{ID: "r1", Name: "One", Active: true, CreatedAt: start},
		&restaurant.Bot{ID: "b", Limits: restaurant.Limits{ConversationsPerDay: 1000}}))
	const session, activity, transaction, refused = 1, 1, 4, 1
	// With a month's first opening, the restaurant gets its place in the ranking, in a transaction of three items: its entry,
	// in two orders, and the counts. The further openings here don't change its whole percentage.
	const placing = 2 * 3
	// An opening enters the session in an index. The customer's next opening moves it there, and stores the ended session as
	// an item of its own.
	const entered, again = 1, 2 + 1
	for _, step := range []struct {
		kind, id, customer string
		after              time.Duration
		want               float64
	}{
		{"a restaurant's first", "m1", "+966500000001", 0, session + entered + transaction + refused + activity + placing},
		{"ordinary", "m2", "+966500000001", time.Minute, session + activity},
		{"ordinary, the next day", "m3", "+966500000001", 13 * time.Hour, session + activity},
		{"repeat", "m3", "+966500000001", 13*time.Hour + time.Second, 2 * refused},
		{"a new customer's first", "m4", "+966500000002", 14 * time.Hour, session + entered + transaction + activity},
		{"opening again, the restaurant's first for a day", "m5", "+966500000001", 40 * time.Hour,
			refused + session + transaction + refused + activity + again},
		{"repeat of an opening", "m5", "+966500000001", 41 * time.Hour, 3 * refused},
		{"ordinary, overtaken by another customer's", "m6", "+966500000002", 30 * time.Hour, session + refused + activity},
	} {
		before := used()
		m := conversation.Message{ID: step.id, RestaurantID: "r1", Customer: step.customer, ReceivedAt: start.Add(step.after), Delivery: step.kind}
		recorded, err := storetest.Record(t.Context(), ledger.Recorder, m)
		must(t, err)
		if recorded.Opened {
			_, err := storetest.Watch(t.Context(), ledger.QuotaAlerter, "r1", recorded.At)
			must(t, err)
		}
		if got := used() - before; got != step.want {
			t.Errorf("%s: %v write units, want %v", step.kind, got, step.want)
		}
	}
}

// counted counts requests.
type counted struct {
	next http.RoundTripper
	n    *atomic.Int64
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.next.RoundTrip(r)
}

// TestCostOfIdentities: with any ids, an ordinary message takes one request before the answer, two write units and no read.
// To find that two ids belong to one customer costs more, but only once.
func TestCostOfIdentities(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	names := schema.StackTables(devstack.StackName)
	used := func() (read, written float64) {
		for _, table := range []string{names.Conversations, names.Usage} {
			r, w := engine.Consumed(table)
			read, written = read+r, written+w
		}
		return read, written
	}
	var requests atomic.Int64
	store := newStore(counted{engine.Transport(), &requests})
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), nil))
	recorder := store.Recorder(usage.NewCalendar(nil))
	const number, user, other = "+966500000001", "SA.13491208655302741918", "SA.2"
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i, step := range []struct {
		what, customer, userID string
		requests               int64 // made by Record
		written                float64
		read                   float64
	}{
		{"first, by number", number, "", 1, -1, 0},
		{"ordinary, by number", number, "", 1, 2, 0},
		{"the first with both", number, user, 5, -1, 2}, // a refused write, two reads, the transaction and the message
		{"ordinary, with both", number, user, 1, 2, 0},
		{"ordinary, by number", number, "", 1, 2, 0},
		{"the first by user id", user, "", 2, 3, 0}, // meets the alias
		{"ordinary, by user id", user, "", 1, 2, 0},
		{"ordinary, with both", number, user, 1, 2, 0},
		{"first, by user id", other, "", 1, -1, 0},
		{"ordinary, by user id", other, "", 1, 2, 0},
		{"first, with both", "+966500000003", "SA.3", 2, -1, 0}, // and writes the alias
		{"ordinary, with both", "+966500000003", "SA.3", 1, 2, 0},
	} {
		at = at.Add(time.Minute)
		m := conversation.Message{ID: fmt.Sprint("m", i), RestaurantID: "r00001", Customer: step.customer, UserID: step.userID, ReceivedAt: at, Delivery: "d"}
		requests.Store(0)
		readBefore, writtenBefore := used()
		recorded, err := recorder.Record(t.Context(), m)
		must(t, err)
		wantSame(t, step.what+": requests", requests.Load(), step.requests)
		must(t, recorder.Complete(t.Context(), m, recorded))
		read, written := used()
		if step.written >= 0 && written-writtenBefore != step.written || read-readBefore != step.read {
			t.Errorf("%s: %v read units, %v write units, want %v and %v", step.what, read-readBefore, written-writtenBefore, step.read, step.written)
		}
	}
}

// TestEndedSessionsOfBothForms: ended sessions are shown in the order of their openings, whether they are stored in the old
// or in the new form.
func TestEndedSessionsOfBothForms(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	ledger, client := newLedger(engine, usage.NewCalendar(nil)), newClient(engine.Transport())
	text := func(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i, customer := range []string{"+966500000009", "SA.13491208655302741918"} {
		at := text(noon.Add(time.Duration(i-72) * time.Hour).Format("2006-01-02T15:04:05.000Z"))
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &tables.Conversations, Item: item{
			"restaurantId": text("r1"), "entry": text("session/" + customer + "/" + at.(*types.AttributeValueMemberS).Value),
			"openedAt": at, "lastMessageAt": at, "openedBy": text("old " + customer), "messages": &types.AttributeValueMemberN{Value: "1"},
		}})
		must(t, err)
	}
	for i, customer := range []string{"+966500000001", "SA.13491208655302741918", "+966500000001", "+966500000001"} {
		m := conversation.Message{
			ID: fmt.Sprint("m", i), RestaurantID: "r1", Customer: customer, ReceivedAt: noon.Add(time.Duration(25*i) * time.Hour), Delivery: "d",
		}
		_, err := storetest.Record(t.Context(), ledger.Recorder, m)
		must(t, err)
	}
	for most, want := range map[int][]string{
		10: {"m3 +966500000001", "m2 +966500000001", "m1 SA.13491208655302741918", "m0 +966500000001",
			"old SA.13491208655302741918 SA.13491208655302741918", "old +966500000009 +966500000009"},
		2: {"m3 +966500000001", "m2 +966500000001"},
	} {
		sessions, err := ledger.Store.Sessions(t.Context(), "r1", most)
		must(t, err)
		var got []string
		for _, s := range sessions {
			got = append(got, s.ID+" "+s.Customer)
		}
		wantSame(t, "sessions", got, want)
	}
}

// TestEndedSessionsSurviveCrashes: a message opens a session after an ended one, and the process dies after any of its
// writes. Twilio may repeat the message or not. A later message comes after the second session's end too. No session is lost.
func TestEndedSessionsSurviveCrashes(t *testing.T) {
	t.Parallel()
	for writes := range 6 {
		for _, again := range []bool{true, false} {
			ledger := newLedger(newEngine(t), usage.NewCalendar(nil))
			record := func(ctx context.Context, i int, delivery string) error {
				_, err := storetest.Record(ctx, ledger.Recorder, conversation.Message{ID: fmt.Sprint("m", i), RestaurantID: "r1", Customer: "+966500000001",
					ReceivedAt: time.Date(2026, 11, 23, 12+25*i, 0, 0, 0, time.UTC), Delivery: delivery})
				return err
			}
			must(t, record(t.Context(), 0, "d"))
			_ = record(ledger.Break(t.Context(), writes), 1, "d") // it may have made fewer writes
			if again {
				must(t, record(t.Context(), 1, "again"))
			}
			must(t, record(t.Context(), 2, "d"))
			sessions, err := ledger.Store.Sessions(t.Context(), "r1", 10)
			must(t, err)
			var got []string
			for _, s := range sessions {
				got = append(got, s.ID)
			}
			if opened := again || len(got) == 3; (opened && !slices.Equal(got, []string{"m2", "m1", "m0"})) || (!opened && !slices.Equal(got, []string{"m2", "m0"})) {
				t.Errorf("after %d writes, again %t: %q", writes, again, got)
			}
		}
	}
}

// TestOpeningsMeet: two messages at the same moment both find no open session. The message that is written first opens a
// session, and the other belongs to it. That holds for new and for returning customers.
func TestOpeningsMeet(t *testing.T) {
	t.Parallel()
	first := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		returns bool
		ahead   time.Duration // how much earlier the other message was received
		want    int64
	}{
		"new, overtaken by an earlier message":     {false, time.Second, 1},
		"new, overtaken by a later message":        {false, -time.Second, 1},
		"coming back, overtaken by an earlier one": {true, time.Second, 2},
		"coming back, overtaken by a later one":    {true, -time.Second, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t).Transport()
			store := newStore(engine)
			must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), nil))
			record := func(s *stackstore.Store, id string, at time.Time) conversation.Recorded {
				m := conversation.Message{ID: id, RestaurantID: "r00001", Customer: "+966500000001", ReceivedAt: at, Delivery: id}
				recorded, err := storetest.Record(t.Context(), s.Recorder(usage.NewCalendar(nil)), m)
				must(t, err)
				return recorded
			}
			at := first
			if test.returns {
				record(store, "m0", first)
				at = at.Add(30 * time.Hour)
			}
			var other conversation.Recorded
			script := []http.RoundTripper{
				roundTrip(func(r *http.Request) (*http.Response, error) {
					other = record(store, "m1", at.Add(-test.ahead))
					return engine.RoundTrip(r)
				}), nil,
			}
			if test.returns { // the first update finds that the session has ended
				script = append([]http.RoundTripper{nil}, script...)
			}
			overtaken := newStore(&wire{next: engine, on: "UpdateItem", script: script})
			recorded := record(overtaken, "m2", at)
			if !other.Opened || recorded.Opened || recorded.First {
				t.Errorf("recorded %+v, overtaken by %+v, which alone was to open the session", recorded, other)
			}
			used, err := store.Usage(t.Context(), "r00001", november.Last(1))
			must(t, err)
			wantSame(t, "conversations", used.Months[november].Conversations, test.want)
		})
	}
}

// TestItemsStaySmall: an item that every message writes fits into one write unit, however long it is used.
func TestItemsStaySmall(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	ledger := newLedger(engine, usage.NewCalendar(nil))
	names := schema.StackTables(devstack.StackName)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for day := range 70 {
		at = at.Add(23 * time.Hour)
		_, before := engine.Consumed(names.Usage)
		m := conversation.Message{ID: at.Format("SM20060102150405"), RestaurantID: "clxyz123abc", Customer: "+966500000001",
			ReceivedAt: at, Delivery: "d"}
		if _, err := storetest.Record(t.Context(), ledger.Recorder, m); err != nil {
			t.Fatalf("recording the message: %v", err)
		}
		// One unit each. A month's first message costs one more for a refused write. On the first day, the transaction also
		// counts the opening.
		if _, after := engine.Consumed(names.Usage); day > 0 && after-before > 2 {
			t.Fatalf("day %d: %v write units", day, after-before)
		}
	}
}

// TestBusyItemsStaySmall: customers write in each slot of some weeks. With all slots in use, the item that every message
// writes still takes one unit.
func TestBusyItemsStaySmall(t *testing.T) {
	t.Parallel()
	engine := newEngine(t)
	ledger := newLedger(engine, usage.NewCalendar(nil))
	names := schema.StackTables(devstack.StackName)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const restaurantID = "clxyz123abcclxyz123abcclxyz123abcclxyz123abcclxyz123abcclxyz1234" // an id of the greatest length
	put := usage.Activity{First: at, Last: at, LastConversation: at, Sessions: make(map[int64]int64),
		Messages: usage.Tally{Month: usage.Month{Year: 2026, Month: time.January}, Days: make(map[int]int64)}}
	for slot := range int64(usage.SessionSlots) { // every slot is in use
		put.Sessions[usage.SlotOf(at)-slot] = 12_345
	}
	for day := 1; day <= 31; day++ {
		put.Messages.Days[day] = 1_234_567
	}
	must(t, ledger.Store.PutUsage(t.Context(), restaurantID, put, nil))
	for i := range 200 {
		at = at.Add(17 * time.Minute)
		_, before := engine.Consumed(names.Usage)
		m := conversation.Message{ID: fmt.Sprint("m", i), RestaurantID: restaurantID, Customer: fmt.Sprintf("+9665%08d", i%20), ReceivedAt: at, Delivery: "d"}
		recorded, err := storetest.Record(t.Context(), ledger.Recorder, m)
		must(t, err)
		if _, after := engine.Consumed(names.Usage); !recorded.Opened && after-before > 1 {
			t.Fatalf("message %d: %v write units", i, after-before)
		}
	}
}

// TestBurst: a hundred customers open conversations with one restaurant at the same moment, and each transaction holds the
// month's item for a while. All are counted within the time of an invocation. The test has a clock of its own.
func TestBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine := newEngine(t).WithTransactionTime(2 * time.Millisecond)
		ledger := newLedger(engine, usage.NewCalendar(nil))
		ctx, cancel := context.WithTimeout(t.Context(), 14*time.Second)
		defer cancel()
		customers := int64(100)
		if testing.Short() {
			customers = 20
		}
		at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		var group errgroup.Group
		for i := range customers {
			group.Go(func() error {
				_, err := storetest.Record(ctx, ledger.Recorder, conversation.Message{
					ID: fmt.Sprint("m", i), RestaurantID: "r1", Customer: fmt.Sprintf("+9665%08d", i), ReceivedAt: at, Delivery: "d",
				})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("recording the messages at once: %v", err)
		}
		month := usage.Month{Year: 2026, Month: time.November}
		must(t, ledger.Store.CreateRestaurant(t.Context(), restaurant.Restaurant{ID: "r1", Name: "One", CreatedAt: at}, nil))
		record, err := ledger.Store.Usage(t.Context(), "r1", []usage.Month{month})
		must(t, err)
		if got := record.Months[month].Conversations; got != customers {
			t.Errorf("%d conversations, want %d", got, customers)
		}
	})
}
