package stackstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// DynamoDB's capacity in a second: that of a partition, and the default of an on-demand table.
//
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
const (
	partitionWrites, partitionReads = 1_000, 3_000
	tableUnits                      = 40_000
	callTime                        = 5 * time.Millisecond

	// window is the period for which capacity is given: a tenth of a second. DynamoDB is more generous: it uses at least a
	// second, and saves up five minutes of unused capacity.
	window = time.Second / 10
)

// capacity stands between client and engine. It gives each partition key the units of a partition, and each table its own,
// and refuses requests beyond that, like a DynamoDB without saved capacity. An index is a partition of its own: if it has no
// units left, writes to its table are refused.
type capacity struct {
	next http.RoundTripper

	mu      sync.Mutex
	buckets map[string]*bucket
	refused map[string]int // number of refused requests, by the exhausted partition or table
	first   string         // first refused one
	peak    map[string]float64
	used    map[string]float64 // units used in this window, by table
	current int64
}

type bucket struct {
	left float64
	at   time.Time
}

// take takes units and reports whether there were enough. With debt it takes them in any case.
func (c *capacity) take(name string, rate, units float64, debt bool) bool {
	now := time.Now()
	b := c.buckets[name]
	if b == nil {
		b = &bucket{left: rate * window.Seconds(), at: now}
		c.buckets[name] = b
	}
	b.left = min(rate*window.Seconds(), b.left+rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.left < units && !debt {
		return false
	}
	b.left -= units
	return true
}

type access struct {
	table, key string
	write      bool
	units      float64
}

// accesses returns the partitions that a request reads or writes.
func accesses(operation string, body []byte) []access {
	type attribute struct{ S string }
	type part struct {
		TableName string
		Key, Item map[string]attribute
	}
	var request struct {
		part
		TransactItems []map[string]part
		RequestItems  map[string]struct{ Keys []map[string]attribute }
	}
	_ = json.Unmarshal(body, &request) // attributes that are not texts stay empty, and keys are texts
	partition := func(p part) string {
		for _, key := range []map[string]attribute{p.Key, p.Item} {
			for _, name := range []string{"restaurantId", "id", "tokenHash"} {
				if key[name].S != "" {
					return key[name].S
				}
			}
		}
		return ""
	}
	var all []access
	switch operation {
	case "PutItem", "UpdateItem", "DeleteItem":
		all = append(all, access{request.TableName, partition(request.part), true, 1})
	case "GetItem":
		all = append(all, access{request.TableName, partition(request.part), false, 1})
	case "TransactWriteItems":
		for _, item := range request.TransactItems {
			for _, p := range item {
				all = append(all, access{p.TableName, partition(p), true, 2})
			}
		}
	case "BatchGetItem":
		for table, keys := range request.RequestItems {
			for _, key := range keys.Keys {
				all = append(all, access{table, partition(part{Key: key}), false, 1})
			}
		}
	}
	return all
}

func (a access) bucket() (name string, rate float64) {
	if a.write {
		return "writes of " + a.table + " " + a.key, partitionWrites
	}
	return "reads of " + a.table + " " + a.key, partitionReads
}

func (c *capacity) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	time.Sleep(callTime)
	if refused := c.charge(accesses(operation(r), body)); refused {
		return fault(400, "ThrottlingException").RoundTrip(r)
	}
	if isWrite(r) {
		body = append([]byte(`{"ReturnConsumedCapacity":"INDEXES",`), body[1:]...)
		r.ContentLength = int64(len(body))
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	response, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(answer))
	var used struct {
		ConsumedCapacity json.RawMessage
	}
	if json.Unmarshal(answer, &used) == nil && bytes.Contains(used.ConsumedCapacity, []byte("by-opening")) {
		c.chargeIndex(accesses(operation(r), body))
	}
	return response, nil
}

// charge takes a request's units from all partitions and tables that it touches, or from none of them.
func (c *capacity) charge(all []access) (refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if current := time.Now().UnixNano() / int64(window); current != c.current {
		c.current = current
		clear(c.used)
	}
	for _, a := range all {
		name, rate := a.bucket()
		checks := map[string]float64{name: rate, "table " + a.table: tableUnits}
		if a.write {
			checks["index of "+a.table+" "+a.key] = partitionWrites
		}
		for name, rate := range checks {
			if !c.take(name, rate, a.units, false) {
				what := strings.TrimPrefix(name, "index of ")
				c.refused[what]++
				if c.first == "" {
					c.first = what
				}
				return true
			}
			if strings.HasPrefix(name, "index of ") {
				c.take(name, rate, -a.units, true) // given back: this was only a check, because few writes concern the index
			}
		}
		kind := map[bool]string{true: "writes of ", false: "reads of "}[a.write] + a.table
		c.used[kind] += a.units / window.Seconds()
		c.peak[kind] = max(c.peak[kind], c.used[kind])
	}
	return false
}

// chargeIndex takes an opening's units from the index: two writes.
func (c *capacity) chargeIndex(all []access) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range all {
		if strings.HasSuffix(a.table, "conversations") {
			c.take("index of "+a.table+" "+a.key, partitionWrites, 2, true)
		}
	}
}

// TestScale: a million restaurants get ten thousand messages a second, in virtual time (testing/synctest). Two restaurants
// get more messages than a partition can take. Only these two are throttled, and nothing is lost. A failed delivery is
// repeated, as Twilio does.
func TestScale(t *testing.T) {
	t.Parallel()
	const restaurants = 1_000_000
	const perSecond = 10_000
	busy := map[string]int{"r1000001": 3_000, "r1000002": 1_500, "r1000003": 100} // messages a second, by restaurant
	length := 400 * time.Millisecond
	if testing.Short() {
		length = 50 * time.Millisecond
	}
	names := schema.StackTables("sufrah-local")
	limits := &capacity{next: newEngine(t).WithTransactionTime(callTime).Transport(), buckets: make(map[string]*bucket),
		refused: make(map[string]int), peak: make(map[string]float64), used: make(map[string]float64)}
	random := rand.New(rand.NewPCG(1, 2))
	type message struct {
		conversation.Message
		after time.Duration
	}
	var messages []message
	conversations, customers := make(map[string]int64), make(map[string]int)
	add := func(id string, newcomer bool, after time.Duration) {
		customer := random.IntN(max(1, customers[id]))
		if newcomer || customers[id] == 0 {
			customer = customers[id]
			customers[id]++
			conversations[id]++
		}
		messages = append(messages, message{conversation.Message{
			ID: fmt.Sprint("m", len(messages)), RestaurantID: id, Customer: fmt.Sprintf("+9665%08d", customer), Delivery: "d",
		}, after})
	}
	const step = time.Second / perSecond
	var known []string
	for after := time.Duration(0); after < length; after += step {
		id := ""
		for _, name := range slices.Sorted(maps.Keys(busy)) {
			if id == "" && random.IntN(perSecond) < busy[name] {
				id = name
			}
		}
		switch {
		case id != "":
			add(id, random.IntN(50) == 0, after)
		case len(known) > 0 && random.IntN(10) < 8: // eight of ten belong to a known conversation
			add(known[random.IntN(len(known))], false, after)
		default:
			id = fmt.Sprintf("r%07d", random.IntN(restaurants))
			known = append(known, id)
			add(id, true, after)
		}
	}
	var mu sync.Mutex
	repeated, slowest := 0, time.Duration(0)
	var elapsed time.Duration
	synctest.Test(t, func(t *testing.T) {
		store, free := newStore(limits), newStore(limits.next)
		client := newClient(limits.next)
		for id := range conversations { // only restaurants with messages need a bot
			must(t, free.PutRestaurants(t.Context(), []restaurant.Restaurant{{ID: id, Name: id, Active: true, CreatedAt: start}}))
			bot := restaurant.Bot{ID: "bot-" + id, Limits: restaurant.Limits{ConversationsPerDay: 10}} // three conversations are one percent
			_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &names.Bots, Item: schema.BotItem(id, bot)})
			must(t, err)
		}
		recorder := store.Recorder(usage.NewCalendar(nil))
		begin := time.Now()
		var all sync.WaitGroup
		for _, m := range messages {
			all.Go(func() {
				time.Sleep(m.after)
				m.ReceivedAt = time.Now()
				for deliveries := 1; ; deliveries++ {
					m.Delivery = fmt.Sprint(m.ID, "/", deliveries)
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					recorded, err := storetest.Record(ctx, recorder, m.Message)
					if err == nil && recorded.Opened {
						// If the place can't be set now, a later opening sets it, and the message isn't affected.
						_, _ = storetest.Watch(ctx, recorder, m.RestaurantID, recorded.At)
					}
					cancel()
					if err == nil {
						mu.Lock()
						repeated += deliveries - 1
						slowest = max(slowest, time.Since(m.ReceivedAt))
						mu.Unlock()
						return
					}
					if deliveries == 100 {
						t.Errorf("message %s to %s is lost: %v", m.ID, m.RestaurantID, err)
						return
					}
					time.Sleep(time.Second)
				}
			})
		}
		all.Wait()
		elapsed = time.Since(begin)
		month := usage.NewCalendar(nil).Month(begin)
		wrong := 0
		for id, want := range conversations {
			record, err := free.Usage(t.Context(), id, []usage.Month{month})
			must(t, err)
			if got := record.Months[month].Conversations; got != want {
				wrong++
				t.Errorf("restaurant %s: %d conversations, want %d", id, got, want)
			}
			if wrong > 10 {
				break
			}
		}
	})
	t.Logf("%d messages to %d of %d restaurants, %d a second: done after %v, the slowest took %v, %d deliveries repeated",
		len(messages), len(conversations), restaurants, perSecond, elapsed, slowest, repeated)
	t.Logf("first to be throttled: %s", limits.first)
	for _, what := range slices.Sorted(maps.Keys(limits.refused)) {
		t.Logf("refused %d times: %s", limits.refused[what], what)
		if !strings.HasSuffix(what, "r1000001") && !strings.HasSuffix(what, "r1000002") {
			t.Errorf("%s was throttled, which isn't that of a busy restaurant", what)
		}
	}
	if limits.refused["writes of "+names.Conversations+" r1000001"]+limits.refused["writes of "+names.Usage+" r1000001"] == 0 {
		t.Error("a restaurant with more messages than a partition takes wasn't throttled")
	}
	for _, kind := range slices.Sorted(maps.Keys(limits.peak)) {
		t.Logf("units a second at most: %.0f %s", limits.peak[kind], kind)
		if limits.peak[kind] > tableUnits {
			t.Errorf("%s took %.0f units in a second: more than a table's quota", kind, limits.peak[kind])
		}
	}
}
