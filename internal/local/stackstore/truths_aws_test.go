//go:build aws

package stackstore_test

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// TestEngineCancellationReasons: a cancelled transaction tells which condition failed, and returns the item if the request
// asked for it.
func TestEngineCancellationReasons(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	client := s.client(s)
	key := func(id string) item { return item{"id": str(id)} }
	put := func(id, condition string, returned types.ReturnValuesOnConditionCheckFailure) types.TransactWriteItem {
		it := key(id)
		it["all"] = str("new")
		written := &types.Put{TableName: &s.tables.Directory, Item: it, ReturnValuesOnConditionCheckFailure: returned}
		if condition != "" {
			written.ConditionExpression = &condition
		}
		return types.TransactWriteItem{Put: written}
	}
	const allOld, absent = types.ReturnValuesOnConditionCheckFailureAllOld, "attribute_not_exists(id)"
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &s.tables.Directory, Item: key("there")})
	must(t, err)

	_, err = client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		put("a", "", ""), put("there", absent, allOld), put("b", "attribute_exists(id)", allOld), put("c", absent, allOld),
	}})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		t.Fatalf("error %v, want the transaction's cancellation", err)
	}
	var reasons []string
	for _, reason := range cancelled.CancellationReasons {
		reasons = append(reasons, fmt.Sprintf("%s with %d attributes", aws.ToString(reason.Code), len(reason.Item)))
	}
	wantSame(t, "reasons", reasons, []string{
		"None with 0 attributes", "ConditionalCheckFailed with 1 attributes",
		"ConditionalCheckFailed with 0 attributes", "None with 0 attributes",
	})
	for id, want := range map[string]int{"a": 0, "there": 1, "b": 0, "c": 0} {
		output, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &s.tables.Directory, Key: key(id)})
		must(t, err)
		wantSame(t, "attributes of "+id, len(output.Item), want)
	}

	_, err = client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: &s.tables.Directory, Key: key("there"), UpdateExpression: aws.String("SET x = id"),
		ConditionExpression: aws.String("attribute_exists(x)"), ReturnValuesOnConditionCheckFailure: allOld,
	})
	var refused *types.ConditionalCheckFailedException
	if !errors.As(err, &refused) || len(refused.Item) != 1 {
		t.Errorf("error %v, want the condition's with the item", err)
	}
}

// TestEngineLostAnswers: if the answer to a write is lost, the SDK repeats the write, and it counts once.
func TestEngineLostAnswers(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"PutItem", "UpdateItem", "TransactWriteItems"} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			// newWire loses the answer to the next request of this operation.
			newWire := func() *wire {
				return &wire{next: s, on: lost, script: []http.RoundTripper{roundTrip(func(r *http.Request) (*http.Response, error) {
					response, err := s.RoundTrip(r)
					if err == nil {
						_ = response.Body.Close()
						err = io.ErrUnexpectedEOF
					}
					return nil, err
				}), nil}}
			}
			bot := restaurant.Bot{ID: "bot", PhoneNumber: "+966110000001"}
			must(t, s.store(newWire()).CreateRestaurant(t.Context(), storetest.Restaurant(1), &bot))
			for minute := range 3 {
				w := newWire()
				recorder := s.store(w).Recorder(usage.NewCalendar(nil))
				recorded, err := storetest.Record(t.Context(), recorder, conversation.Message{
					ID: fmt.Sprint("m", minute), RestaurantID: "r00001", Customer: "+966500000001", Delivery: fmt.Sprint(minute), Asks: true,
					ReceivedAt: start.Add(time.Duration(minute) * time.Minute),
				})
				must(t, err)
				// The client's own retry of a write that was carried out finds the message's id: it looks like a repeat, with
				// its reply still due.
				if recorded.Repeat && lost == "TransactWriteItems" || recorded.First != (minute == 0) {
					t.Errorf("message %d: %+v", minute, recorded)
				}
				if w.attempts == 0 && (minute == 0 || lost != "TransactWriteItems") {
					t.Errorf("message %d sent no %s", minute, lost)
				}
			}
			record, err := s.store(s).Usage(t.Context(), "r00001", []usage.Month{november})
			must(t, err)
			wantSame(t, "conversations", record.Months[november].Conversations, 1)
			wantListed(t, s.store(s), []restaurant.Restaurant{storetest.Restaurant(1)})
		})
	}
}

// strained stands between client and engine and behaves like a busy DynamoDB: every tenth request is throttled at its first
// attempt, and every third of the other writes conflicts with another transaction. DynamoDB Local does neither by itself.
type strained struct {
	next                http.RoundTripper
	requests, writes    atomic.Int64
	throttled, conflict atomic.Int64 // number of such answers
}

func (s *strained) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt=1") && s.requests.Add(1)%10 == 0 {
		s.throttled.Add(1)
		return fault(http.StatusBadRequest, "ThrottlingException")(r)
	}
	switch operation(r) {
	case "PutItem", "UpdateItem":
		if s.writes.Add(1)%3 == 0 {
			s.conflict.Add(1)
			return fault(http.StatusBadRequest, "TransactionConflictException")(r)
		}
	case "TransactWriteItems":
		if s.writes.Add(1)%3 == 0 {
			s.conflict.Add(1)
			return s.cancel(r)
		}
	}
	return s.next.RoundTrip(r)
}

// cancel answers that every item of the transaction is in conflict.
func (s *strained) cancel(r *http.Request) (*http.Response, error) {
	var request struct{ TransactItems []json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	reasons := make([]string, len(request.TransactItems))
	for i := range reasons {
		reasons[i] = "TransactionConflict"
	}
	return cancelled(reasons...)(r)
}

// TestEngineHotItems: sixteen writers write the items that all of a restaurant's messages share, and the directory's counts,
// while DynamoDB throttles and reports conflicts. Nothing fails, is lost, or is counted twice.
func TestEngineHotItems(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const writers, each = 16, 8
	strain := &strained{next: s}
	store := s.store(strain)
	recorder := store.Recorder(usage.NewCalendar(nil))
	all := series(writers * each)
	must(t, store.CreateRestaurant(t.Context(), all[0], nil))
	group, ctx := errgroup.WithContext(t.Context())
	for writer := range writers {
		group.Go(func() error {
			for i := range each {
				n := writer*each + i
				if n > 0 {
					if err := store.CreateRestaurant(ctx, all[n], nil); err != nil {
						return err
					}
				}
				all[n].Active = !all[n].Active
				if err := store.SetActive(ctx, all[n].ID, all[n].Active); err != nil {
					return err
				}
				// A customer's first two messages: one opens a session, the other extends it.
				for _, message := range []string{"opening", "ordinary"} {
					_, err := storetest.Record(ctx, recorder, conversation.Message{
						ID: fmt.Sprint(message, n), RestaurantID: all[0].ID, Customer: fmt.Sprintf("+9665%08d", n),
						ReceivedAt: start.Add(time.Duration(n+len(message)) * time.Millisecond), Delivery: message,
					})
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	must(t, group.Wait())
	if strain.throttled.Load() < writers || strain.conflict.Load() < writers*each {
		t.Errorf("%d requests were throttled and %d in conflict: too few", strain.throttled.Load(), strain.conflict.Load())
	}
	wantListed(t, store, all)
	record, err := store.Usage(t.Context(), all[0].ID, []usage.Month{november})
	must(t, err)
	wantSame(t, "conversations", record.Months[november].Conversations, writers*each)
	wantSame(t, "tally", record.Activity.Messages.Days, map[int]int64{start.Day(): 2 * writers * each})
}

// TestEngineUnprocessed: the part of a batch that was left unprocessed is asked for again.
func TestEngineUnprocessed(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	all := series(60) // four items each: three requests to read and three to write
	const atATime = 20
	b := newBusy(s, atATime)
	must(t, s.store(b).PutRestaurants(t.Context(), all))
	b.check(t, len(all), 25)
	if entered, err := s.store(s).RebuildDirectory(t.Context()); err != nil || entered != len(all) {
		t.Fatalf("%d restaurants entered, error %v", entered, err)
	}
	b = newBusy(s, atATime)
	directory, err := s.store(b).Directory(t.Context())
	must(t, err)
	wantSame(t, "list", readAll(t, directory, usage.All), listed(all, usage.All))
	b.check(t, 4*len(all)+2, 100) // two of them are the page's items

	directory, err = s.store(newBusy(s, 0)).Directory(t.Context())
	must(t, err)
	begin := time.Now()
	_, err = directory.Page(t.Context(), usage.All, 0, 10, november)
	wantUnavailable(t, "a batch that is never processed", err, begin, margin)
}

// TestEngineAddsMany: transactions of a hundred items, with expressions that name the greatest possible number of
// restaurants.
func TestEngineAddsMany(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	store := s.store(s)
	all := series(620)
	slices.Reverse(all)
	for some := range slices.Chunk(all, 310) { // the second portion has earlier creation times than the first
		must(t, store.AddRestaurants(t.Context(), some))
	}
	must(t, store.AddRestaurants(t.Context(), all[300:320]))
	wantSound(t, store, all)
}

// TestEngineReservedWords: restaurants' ids become attribute names on the directory's pages, and some ids are reserved words
// of DynamoDB's expressions.
func TestEngineReservedWords(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	store := s.store(s)
	var all []restaurant.Restaurant
	for i, id := range []string{
		"all", "active", "entries", "name", "COUNT", "size", "SET", "and", "NULL", "attribute_exists", "0", "007", "-", "_", "a-b", "-1",
	} {
		r := storetest.Restaurant(i)
		r.ID = id
		must(t, store.CreateRestaurant(t.Context(), r, nil))
		if i%2 == 0 {
			r.Active = false
			must(t, store.SetActive(t.Context(), id, false))
		}
		all = append(all, r)
	}
	wantListed(t, store, all)
}

// TestEngineLargeDirectory fills a page of the directory to its limit, with the longest ids. The table of restaurants exceeds
// the megabyte of one answer.
func TestEngineLargeDirectory(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	store := s.store(s)
	const restaurants, inactive = 4000, 20 // a page's limit, nearly all restaurants in one item
	all := make([]restaurant.Restaurant, restaurants)
	for i := range all {
		all[i] = restaurant.Restaurant{
			ID: fmt.Sprintf("%064d", i), Name: strings.Repeat("م", 200), Active: i >= inactive, CreatedAt: start,
		}
	}
	group, ctx := errgroup.WithContext(t.Context())
	for some := range slices.Chunk(all, 500) {
		group.Go(func() error { return store.PutRestaurants(ctx, some) })
	}
	must(t, group.Wait())
	var scans atomic.Int64
	counted := s.store(roundTrip(func(r *http.Request) (*http.Response, error) {
		if operation(r) == "Scan" {
			scans.Add(1)
		}
		return s.RoundTrip(r)
	}))
	if entered, err := counted.RebuildDirectory(t.Context()); err != nil || entered != restaurants {
		t.Fatalf("%d restaurants entered, error %v", entered, err)
	}
	if scans.Load() < 3 { // at least two of the restaurants and one of the directory
		t.Errorf("%d scans read a table of 2 MB, and another one", scans.Load())
	}
	for i := range inactive / 2 {
		all[i].Active = true
		must(t, store.SetActive(t.Context(), all[i].ID, true))
	}
	directory, err := store.Directory(t.Context())
	must(t, err)
	for _, filter := range []usage.Filter{usage.All, usage.ActiveOnly, usage.InactiveOnly} {
		want := listed(all, filter)
		wantSame(t, "total", directory.Total(filter), len(want))
		for _, offset := range []int{0, len(want) / 2, len(want) - 5} {
			records, err := directory.Page(t.Context(), filter, offset, 5, november)
			must(t, err)
			var got []string
			for _, record := range records {
				got = append(got, record.Restaurant.ID)
			}
			wantSame(t, fmt.Sprint("filter ", filter, " from ", offset), got, want[offset:offset+5])
		}
	}
	err = store.CreateRestaurant(t.Context(), storetest.Restaurant(0), nil)
	if err == nil || !strings.Contains(err.Error(), "no room left") {
		t.Errorf("one restaurant more: error %v", err)
	}
}

// TestEngineRebuildTidiesUp: pages of past generations are deleted.
func TestEngineRebuildTidiesUp(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	store := s.store(s)
	must(t, store.CreateRestaurant(t.Context(), storetest.Restaurant(1), nil))
	var items []int
	for range 5 {
		_, err := store.RebuildDirectory(t.Context())
		must(t, err)
		output, err := s.client(s).Scan(t.Context(), &dynamodb.ScanInput{TableName: &s.tables.Directory})
		must(t, err)
		items = append(items, len(output.Items))
	}
	if slices.Max(items[2:]) > items[1] {
		t.Errorf("the directory grows with its rebuilds: %d items", items)
	}
}

// TestEngineSessionTally: a session counts its messages, also those that were recorded after later ones.
func TestEngineSessionTally(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	recorder := s.store(s).Recorder(usage.NewCalendar(nil))
	for _, minute := range []int{0, 3, 1, 2, 1} { // the last is a repeat
		_, err := storetest.Record(t.Context(), recorder, conversation.Message{
			ID: fmt.Sprint("m", minute), RestaurantID: "r00001", Customer: "+966500000001", Delivery: rand.Text(),
			ReceivedAt: start.Add(time.Duration(minute) * time.Minute),
		})
		must(t, err)
	}
	output, err := s.client(s).GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &s.tables.Conversations, Key: item{"restaurantId": str("r00001"), "entry": str("customer/+966500000001")},
	})
	must(t, err)
	if messages, ok := output.Item["messages"].(*types.AttributeValueMemberN); !ok || messages.Value != "4" {
		t.Errorf("the session is %v, want one of 4 messages", output.Item)
	}
}

// meter asks DynamoDB for the cost of each request, and adds the costs up.
type meter struct {
	next http.RoundTripper

	mu    sync.Mutex
	units float64 // units of the requests that were carried out
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	var request map[string]json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	request["ReturnConsumedCapacity"] = json.RawMessage(`"TOTAL"`)
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	response, err := m.next.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	defer func() { _ = response.Body.Close() }()
	if body, err = io.ReadAll(response.Body); err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, m.read(body)
}

// read adds the capacity in an answer: one value, or for a transaction one for each table.
func (m *meter) read(body []byte) error {
	type capacity struct{ CapacityUnits float64 }
	var answer struct{ ConsumedCapacity json.RawMessage }
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	var one capacity
	var many []capacity
	if err := json.Unmarshal(answer.ConsumedCapacity, &one); err == nil {
		many = []capacity{one}
	} else if err := json.Unmarshal(answer.ConsumedCapacity, &many); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range many {
		m.units += c.CapacityUnits
	}
	return nil
}

// TestEngineCapacity: the items that every message writes stay small, however long they are used. So an ordinary message
// always costs three write units.
func TestEngineCapacity(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	m := &meter{next: s}
	recorder := s.store(m).Recorder(usage.NewCalendar(nil))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	costs := make(map[float64]int)
	for range 70 {
		at = at.Add(23 * time.Hour)
		before := m.units
		_, err := storetest.Record(t.Context(), recorder, conversation.Message{
			ID: at.Format("SM20060102150405"), RestaurantID: "clxyz123abc", Customer: "+966500000001", ReceivedAt: at, Delivery: "d",
		})
		must(t, err)
		costs[m.units-before]++
	}
	// The first message opens the session, which is entered in an index and counted in a transaction.
	wantSame(t, "messages by write units", costs, map[float64]int{7: 1, 2: 69})
}

// TestEngineExpiry: DynamoDB deletes the markers of past messages by itself, and nothing else. DynamoDB Local fails to do so
// if the table has an index that the marker isn't in.
func TestEngineExpiry(t *testing.T) {
	t.Parallel()
	s := newStackOf(t, func(table *sam.Table) { table.Indexes = nil })
	recorder := s.store(s).Recorder(usage.NewCalendar(nil))
	now := time.Now().Truncate(time.Millisecond)
	for id, at := range map[string]time.Time{"old": now.Add(-25 * time.Hour), "new": now} {
		_, err := storetest.Record(t.Context(), recorder, conversation.Message{
			ID: id, RestaurantID: "r00001", Customer: "+9665" + id, ReceivedAt: at, Delivery: "d", Asks: true,
		})
		must(t, err)
	}
	const patience = time.Minute // AWS may take some days
	for begin := time.Now(); ; time.Sleep(250 * time.Millisecond) {
		output, err := s.client(s).Scan(t.Context(), &dynamodb.ScanInput{TableName: &s.tables.Conversations})
		must(t, err)
		var entries []string
		for _, it := range output.Items {
			entries = append(entries, it["entry"].(*types.AttributeValueMemberS).Value)
		}
		slices.Sort(entries)
		diff := gocmp.Diff([]string{"customer/+9665new", "customer/+9665old", "message/new"}, entries)
		if diff == "" {
			return
		}
		if time.Since(begin) > patience {
			t.Fatalf("entries after %v (-want +got):\n%s", patience, diff)
		}
	}
}

// wantUnavailable checks that an error is an outage, and came at most the given time after begin.
func wantUnavailable(t *testing.T, what string, err error, begin time.Time, atMost time.Duration) {
	t.Helper()
	took := time.Since(begin)
	wantOutcome(t, cmp.Or(err, errors.New(what+" succeeded")), outage.ErrUnavailable)
	if took > atMost {
		t.Errorf("%s took %v, at most %v is allowed", what, took, atMost)
	}
}
