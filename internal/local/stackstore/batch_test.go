package stackstore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// busy is a DynamoDB that carries out only the first parts of each batch, as if it were throttled. For each part it counts
// the requests and the executions.
type busy struct {
	next    http.RoundTripper
	atATime int

	mu          sync.Mutex
	asked, done map[string]int
	largest     int // most parts in a request
}

func newBusy(next http.RoundTripper, atATime int) *busy {
	return &busy{next: next, atATime: atATime, asked: make(map[string]int), done: make(map[string]int)}
}

// readTable is the part of a BatchGetItem for one table.
type readTable struct {
	Keys           []json.RawMessage
	ConsistentRead bool
}

func (b *busy) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch operation(r) {
	case "BatchGetItem":
		return b.read(r)
	case "BatchWriteItem":
		return b.write(r)
	}
	return b.next.RoundTrip(r)
}

func (b *busy) read(r *http.Request) (*http.Response, error) {
	var request struct{ RequestItems map[string]readTable }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	parts := 0
	now, later := make(map[string]readTable), make(map[string]readTable)
	for _, table := range slices.Sorted(maps.Keys(request.RequestItems)) {
		asked := request.RequestItems[table]
		first := b.split(table, asked.Keys, &parts)
		if first > 0 {
			now[table] = readTable{asked.Keys[:first], asked.ConsistentRead}
		}
		if first < len(asked.Keys) {
			later[table] = readTable{asked.Keys[first:], asked.ConsistentRead}
		}
	}
	b.largest = max(b.largest, parts)
	return b.forward(r, now, "UnprocessedKeys", later)
}

func (b *busy) write(r *http.Request) (*http.Response, error) {
	var request struct{ RequestItems map[string][]json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	parts := 0
	now, later := make(map[string][]json.RawMessage), make(map[string][]json.RawMessage)
	for table, asked := range request.RequestItems {
		first := b.split(table, asked, &parts)
		if first > 0 {
			now[table] = asked[:first]
		}
		if first < len(asked) {
			later[table] = asked[first:]
		}
	}
	b.largest = max(b.largest, parts)
	return b.forward(r, now, "UnprocessedItems", later)
}

// split counts the parts of a batch for one table, and returns how many of them are carried out now.
func (b *busy) split(table string, parts []json.RawMessage, seen *int) (first int) {
	for _, part := range parts {
		name := table + canonical(part)
		b.asked[name]++
		if *seen < b.atATime {
			b.done[name]++
			first++
		}
		*seen++
	}
	return first
}

// canonical returns a part with sorted keys, because the SDK writes them in any order.
func canonical(part json.RawMessage) string {
	var value any
	_ = json.Unmarshal(part, &value) // can't fail: it is part of valid JSON
	sorted, _ := json.Marshal(value)
	return string(sorted)
}

// forward lets next carry out a part of a request, and adds the rest to the answer as unprocessed.
func (b *busy) forward(r *http.Request, now any, leftName string, left any) (*http.Response, error) {
	answer := map[string]any{}
	if b.atATime > 0 {
		body, err := json.Marshal(map[string]any{"RequestItems": now})
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		processed, err := b.next.RoundTrip(r)
		if err != nil || processed.StatusCode != http.StatusOK {
			return processed, err
		}
		if err := json.NewDecoder(processed.Body).Decode(&answer); err != nil {
			return nil, err
		}
	}
	answer[leftName] = left
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return respond(http.StatusOK, string(body))(r)
}

// check fails for parts that weren't carried out exactly once, and for requests larger than DynamoDB allows.
func (b *busy) check(t *testing.T, parts, largest int) {
	t.Helper()
	if len(b.done) != parts {
		t.Errorf("%d parts were carried out, want %d", len(b.done), parts)
	}
	for part := range b.asked {
		if b.done[part] != 1 {
			t.Errorf("%s was carried out %d times, want once", part, b.done[part])
		}
	}
	if b.largest > largest {
		t.Errorf("a request had %d parts, at most %d are allowed", b.largest, largest)
	}
}

// TestReadInParts: items that DynamoDB leaves unprocessed are asked for again, and no others.
func TestReadInParts(t *testing.T) {
	t.Parallel()
	const restaurants = 60 // four items each: three requests
	engine := newEngine(t).Transport()
	store := newStore(engine)
	var want []string
	for i := range restaurants {
		r := storetest.Restaurant(i)
		must(t, store.CreateRestaurant(t.Context(), r, &restaurant.Bot{ID: "bot-" + r.ID}))
		must(t, store.PutUsage(t.Context(), r.ID, usage.Activity{First: start, Last: start},
			map[usage.Month]usage.MonthCount{november: {Conversations: int64(i)}}))
		want = append(want, fmt.Sprintf("%s %d", r.ID, i))
	}
	slices.Reverse(want)
	for _, atATime := range []int{17, 50, 99, 1000} {
		t.Run(fmt.Sprint(atATime), func(t *testing.T) {
			t.Parallel()
			b := newBusy(engine, atATime)
			var got []string
			inBubble(t, func(ctx context.Context, t *testing.T) {
				directory, err := newStore(engine).Directory(ctx)
				must(t, err)
				pages, err := newStore(b).Directory(ctx)
				must(t, err)
				records, err := pages.Page(ctx, usage.All, 0, restaurants, november)
				must(t, err)
				for _, record := range records {
					got = append(got, fmt.Sprintf("%s %d", record.Restaurant.ID, record.Months[november].Conversations))
				}
				if directory.Total(usage.All) != restaurants {
					t.Errorf("total %d", directory.Total(usage.All))
				}
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			b.check(t, 4*restaurants+2, 100) // two of them are the page's items
		})
	}
}

// TestWriteInParts: writes that DynamoDB leaves unprocessed are repeated, and no others.
func TestWriteInParts(t *testing.T) {
	t.Parallel()
	const restaurants = 60
	for _, atATime := range []int{5, 24, 25} {
		t.Run(fmt.Sprint(atATime), func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t)
			b := newBusy(engine.Transport(), atATime)
			all := make([]restaurant.Restaurant, restaurants)
			for i := range all {
				all[i] = storetest.Restaurant(i)
			}
			inBubble(t, func(ctx context.Context, t *testing.T) { must(t, newStore(b).PutRestaurants(ctx, all)) })
			b.check(t, restaurants, 25)
			if n := engine.ItemCount("sufrah-local-restaurants"); n != restaurants {
				t.Errorf("%d restaurants are stored, want %d", n, restaurants)
			}
		})
	}
}

// TestNeverProcessed: a batch that DynamoDB never completes is an outage, not an incomplete result.
func TestNeverProcessed(t *testing.T) {
	t.Parallel()
	const attempts = 6
	engine := newEngine(t).Transport()
	for i := range 40 {
		must(t, newStore(engine).CreateRestaurant(t.Context(), storetest.Restaurant(i), nil))
	}
	for _, atATime := range []int{0, 1} {
		t.Run(fmt.Sprint(atATime), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(ctx context.Context, t *testing.T) {
				directory, err := newStore(engine).Directory(ctx)
				must(t, err)
				if records, err := directory.Page(ctx, usage.All, 0, 40, november); err != nil || len(records) != 40 {
					t.Fatalf("%d records, error %v", len(records), err)
				}
				b := newBusy(engine, atATime)
				if record, err := newStore(b).Usage(ctx, "r00001", november.Last(6)); !errors.Is(err, outage.ErrUnavailable) {
					t.Errorf("usage is %+v, error %v", record, err)
				}
				wantMostAsked(t, b, attempts)

				b = newBusy(engine, atATime)
				all := make([]restaurant.Restaurant, 25)
				for i := range all {
					all[i] = storetest.Restaurant(100 + i)
				}
				if err := newStore(b).PutRestaurants(ctx, all); !errors.Is(err, outage.ErrUnavailable) {
					t.Errorf("writing: error %v", err)
				}
				wantMostAsked(t, b, attempts)
			})
		})
	}
}

func wantMostAsked(t *testing.T, b *busy, want int) {
	t.Helper()
	if most := slices.Max(slices.Collect(maps.Values(b.asked))); most != want {
		t.Errorf("a part was asked for %d times, want %d", most, want)
	}
}
