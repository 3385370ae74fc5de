package stackstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/search"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// start is the creation time of the tests' restaurants.
var start = storetest.Start.Truncate(time.Millisecond)

var november = usage.Month{Year: 2026, Month: time.November}

// roundTrip is a function that is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// respond returns a transport that gives one of DynamoDB's answers.
func respond(status int, body string) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		header := http.Header{"Content-Type": {"application/x-amz-json-1.0"}}
		header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 10))
		return &http.Response{
			StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)),
			ContentLength: int64(len(body)), Request: r,
		}, nil
	}
}

// fault returns a transport that answers with one of DynamoDB's exceptions.
func fault(status int, exception string) roundTrip {
	return respond(status, `{"__type":"com.amazonaws.dynamodb.v20120810#`+exception+`","message":"as the test wants it"}`)
}

// broken returns a transport that fails.
func broken(err error) roundTrip {
	return func(*http.Request) (*http.Response, error) { return nil, err }
}

// operation returns the name of a request's operation, such as "GetItem".
func operation(r *http.Request) string {
	_, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return name
}

// wire answers the requests of one operation by a script, and passes all others on to next. After the script's end its last
// answer is repeated. A nil answer means next's.
type wire struct {
	next   http.RoundTripper
	on     string // name of the operation
	script []http.RoundTripper

	mu       sync.Mutex
	attempts int
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if operation(r) != w.on {
		return w.next.RoundTrip(r)
	}
	w.mu.Lock()
	answer := w.script[min(w.attempts, len(w.script)-1)]
	w.attempts++
	w.mu.Unlock()
	if answer == nil {
		answer = w.next
	}
	return answer.RoundTrip(r)
}

// inBubble runs test in a synctest bubble, where sleeping takes no time, and returns how long it would have taken.
func inBubble(t *testing.T, test func(ctx context.Context, t *testing.T)) (took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		test(t.Context(), t)
		took = time.Since(begin)
	})
	return took
}

// TestFailures tries every failure of a request. A failure that passes by itself becomes outage.ErrUnavailable, after three
// attempts and before the caller's deadline.
func TestFailures(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	timedOut := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	for name, test := range map[string]struct {
		answer   roundTrip
		passes   bool
		attempts int
	}{
		"throttled":                    {fault(400, "ThrottlingException"), true, 3},
		"throughput exceeded":          {fault(400, "ProvisionedThroughputExceededException"), true, 3},
		"request limit exceeded":       {fault(400, "RequestLimitExceeded"), true, 3},
		"limit exceeded":               {fault(400, "LimitExceededException"), true, 3},
		"internal error":               {fault(500, "InternalServerError"), true, 3},
		"unavailable":                  {fault(503, "ServiceUnavailable"), true, 3},
		"a gateway's page":             {respond(502, "<html>Bad Gateway</html>"), true, 3},
		"500 with nothing":             {respond(500, ""), true, 3},
		"connection refused":           {broken(refused), true, 3},
		"connection reset":             {broken(reset), true, 3},
		"dialling takes too long":      {broken(timedOut), true, 3},
		"no such host":                 {broken(&net.DNSError{Err: "no such host", Name: "dynamodb", IsNotFound: true}), true, 1},
		"the answer ends early":        {respond(200, `{"Item":{"id":{"S":"cou`), true, 1},
		"the answer is no JSON":        {respond(200, "<html>welcome</html>"), true, 1},
		"access denied":                {fault(400, "AccessDeniedException"), false, 1},
		"unknown key":                  {fault(400, "UnrecognizedClientException"), false, 1},
		"wrong signature":              {fault(400, "InvalidSignatureException"), false, 1},
		"no such table":                {fault(400, "ResourceNotFoundException"), false, 1},
		"not valid":                    {fault(400, "ValidationException"), false, 1},
		"an exception nobody heard of": {fault(400, "SomethingNewException"), false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &wire{on: "GetItem", script: []http.RoundTripper{test.answer}}
			var err error
			took := inBubble(t, func(ctx context.Context, t *testing.T) { _, err = newStore(w).Directory(ctx) })
			if err == nil || errors.Is(err, outage.ErrUnavailable) != test.passes {
				t.Errorf("error %v; ErrUnavailable should be %t", err, test.passes)
			}
			if w.attempts != test.attempts {
				t.Errorf("%d attempts, want %d", w.attempts, test.attempts)
			}
			if took > 300*time.Millisecond {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// TestRecovery: a failure that passes within the attempts has no effect.
func TestRecovery(t *testing.T) {
	t.Parallel()
	for name, script := range map[string][]http.RoundTripper{
		"throttled once":     {fault(400, "ThrottlingException"), nil},
		"failing twice":      {fault(500, "InternalServerError"), fault(503, "ServiceUnavailable"), nil},
		"an answer got lost": {broken(io.ErrUnexpectedEOF), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &wire{next: newEngine(t).Transport(), on: "GetItem", script: script}
			inBubble(t, func(ctx context.Context, t *testing.T) {
				if directory, err := newStore(w).Directory(ctx); err != nil || directory.Total(usage.All) != 0 {
					t.Errorf("directory %v, error %v", directory, err)
				}
			})
			if w.attempts != len(script) {
				t.Errorf("%d attempts, want %d", w.attempts, len(script))
			}
		})
	}
}

// TestContextEnds: an expired deadline is an outage; a cancellation is the caller's own error.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	forever := roundTrip(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	conflict := cancelled("TransactionConflict")
	for name, test := range map[string]struct {
		on     string
		answer roundTrip
		end    func(context.Context) (context.Context, context.CancelFunc)
		want   error
		passes bool
	}{
		"time runs out in a request":   {"GetItem", forever, timeout, context.DeadlineExceeded, true},
		"time runs out between two":    {"TransactWriteItems", conflict, timeout, context.DeadlineExceeded, true},
		"called off in a request":      {"GetItem", forever, callOff, context.Canceled, false},
		"called off between two":       {"TransactWriteItems", conflict, callOff, context.Canceled, false},
		"time ran out before":          {"GetItem", forever, timedOut, context.DeadlineExceeded, true},
		"time runs out between parts":  {"BatchWriteItem", nothingProcessed, timeout, context.DeadlineExceeded, true},
		"called off between two parts": {"BatchWriteItem", nothingProcessed, callOff, context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &wire{next: newEngine(t).Transport(), on: test.on, script: []http.RoundTripper{test.answer}}
			inBubble(t, func(ctx context.Context, t *testing.T) {
				ctx, cancel := test.end(ctx)
				defer cancel()
				store := newSlowestStore(w)
				err := store.CreateRestaurant(ctx, storetest.Restaurant(1), nil)
				if test.on == "BatchWriteItem" {
					err = store.PutRestaurants(ctx, []restaurant.Restaurant{storetest.Restaurant(1)})
				}
				if !errors.Is(err, test.want) || errors.Is(err, outage.ErrUnavailable) != test.passes {
					t.Errorf("error %v; want %v, and ErrUnavailable %t", err, test.want, test.passes)
				}
			})
		})
	}
}

const patience = 50 * time.Millisecond

func timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}

func timedOut(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 0)
}

func callOff(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(patience, cancel)
	return ctx, cancel
}

// nothingProcessed answers that all of a BatchWriteItem is unprocessed.
func nothingProcessed(r *http.Request) (*http.Response, error) {
	var request struct{ RequestItems json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	return respond(200, `{"UnprocessedItems":`+string(request.RequestItems)+`}`)(r)
}

// imported is a session from elsewhere.
var imported = conversation.Session{
	RestaurantID: "r00001", Customer: "+966500000001", OpenedAt: start, LastMessageAt: start, Messages: 1, Welcomed: true,
}

// TestEveryOperation: whichever request of an operation fails, an outage is told apart from a refusal, and neither looks like
// a fault of the domain.
func TestEveryOperation(t *testing.T) {
	t.Parallel()
	token := credential.Grant{Kind: credential.PAT, All: true}.Credential("secret", "cr_1", start)
	bot := restaurant.Bot{ID: "bot", PhoneNumber: "+966110000001"}
	operations := map[string]struct {
		sends []string
		do    func(context.Context, *stackstore.Store) error
	}{
		"Usage": {[]string{"BatchGetItem"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.Usage(ctx, "r00001", november.Last(6))
			return err
		}},
		"Directory": {[]string{"GetItem"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.Directory(ctx)
			return err
		}},
		"Page": {[]string{"BatchGetItem"}, func(ctx context.Context, s *stackstore.Store) error {
			directory, err := s.Directory(ctx)
			if err == nil {
				_, err = directory.Page(ctx, usage.All, 0, 100, november)
			}
			return err
		}},
		"Bot": {[]string{"GetItem"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.Bot(ctx, "r00001")
			return err
		}},
		"CreateRestaurant": {[]string{"GetItem", "TransactWriteItems"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.CreateRestaurant(ctx, storetest.Restaurant(2), &bot)
		}},
		"SetActive": {[]string{"GetItem", "TransactWriteItems"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.SetActive(ctx, "r00001", false)
		}},
		"SetBot": {[]string{"GetItem", "TransactWriteItems"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.SetBot(ctx, "r00001", bot)
		}},
		"PutRestaurants": {[]string{"BatchWriteItem"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.PutRestaurants(ctx, []restaurant.Restaurant{storetest.Restaurant(3)})
		}},
		"PutUsage": {[]string{"BatchWriteItem"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.PutUsage(ctx, "r00001", usage.Activity{}, nil)
		}},
		"AddRestaurants": {[]string{"GetItem", "TransactWriteItems"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.AddRestaurants(ctx, []restaurant.Restaurant{storetest.Restaurant(4), storetest.Restaurant(5)})
		}},
		"Restaurants": {[]string{"BatchGetItem"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.Restaurants(ctx, []string{"r00001"})
			return err
		}},
		"Search": {[]string{"Query"}, func(ctx context.Context, s *stackstore.Store) error {
			q, err := search.Parse("kebab")
			must(t, err)
			_, err = s.Search(ctx, q, usage.All, usage.Start{}, 10)
			return err
		}},
		"UpdateRestaurant": {[]string{"GetItem", "TransactWriteItems"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.UpdateRestaurant(ctx, storetest.Restaurant(1))
		}},
		"MergeMonth": {[]string{"UpdateItem"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.MergeMonth(ctx, "r00001", november, usage.MonthCount{Conversations: 9, LastConversation: start})
			return err
		}},
		"MergeActivity": {[]string{"UpdateItem"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.MergeActivity(ctx, "r00001", usage.Activity{First: start})
			return err
		}},
		"MergeSession": {[]string{"UpdateItem", "GetItem"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.MergeSession(ctx, imported)
			return err
		}},
		"Reindex": {[]string{"Scan", "Query"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.Reindex(ctx)
			return err
		}},
		"TenantByNumber": {[]string{"GetItem", "BatchGetItem"}, func(ctx context.Context, s *stackstore.Store) error {
			if err := s.SetBot(ctx, "r00001", bot); err != nil {
				return err
			}
			_, err := s.TenantByNumber(ctx, bot.PhoneNumber)
			return err
		}},
		"EachSession": {[]string{"Scan"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.EachSession(ctx, func(conversation.Session) error { return nil })
		}},
		"CheckDirectory": {[]string{"GetItem", "Scan", "BatchGetItem"}, func(ctx context.Context, s *stackstore.Store) error {
			_, _, err := s.CheckDirectory(ctx)
			return err
		}},
		"TidyDirectory": {[]string{"GetItem"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.TidyDirectory(ctx)
			return err
		}},
		"RebuildDirectory": {[]string{"GetItem", "Scan", "BatchWriteItem", "PutItem", "DeleteItem"},
			func(ctx context.Context, s *stackstore.Store) error {
				_, err := s.RebuildDirectory(ctx)
				if err == nil { // the first rebuild has no older pages to delete
					_, err = s.RebuildDirectory(ctx)
				}
				return err
			}},
		"FindCredential": {[]string{"GetItem"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.FindCredential(ctx, token.Hash)
			return err
		}},
		"AddCredential": {[]string{"PutItem"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.AddCredential(ctx, credential.Grant{Kind: credential.APIKey}.Credential("other", "cr_2", start))
		}},
		"ExpireCredential": {[]string{"Scan", "UpdateItem"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.ExpireCredential(ctx, "cr_1", start)
		}},
		"RevokeCredential": {[]string{"Scan", "UpdateItem"}, func(ctx context.Context, s *stackstore.Store) error {
			return s.RevokeCredential(ctx, "cr_1", start)
		}},
		"Credentials": {[]string{"Scan"}, func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.Credentials(ctx)
			return err
		}},
	}
	domain := []error{restaurant.ErrNotFound, restaurant.ErrExists, restaurant.ErrNumberTaken,
		credential.ErrRefused, credential.ErrNotFound, credential.ErrExists}
	for name, test := range operations {
		for _, on := range test.sends {
			for passes, answer := range map[bool]roundTrip{true: fault(503, "ServiceUnavailable"), false: fault(400, "AccessDeniedException")} {
				t.Run(fmt.Sprintf("%s/%s/passes=%t", name, on, passes), func(t *testing.T) {
					t.Parallel()
					engine := newEngine(t).Transport()
					if err := newStore(engine).CreateRestaurant(t.Context(), storetest.Restaurant(1), nil); err != nil {
						t.Fatalf("creating the restaurant: %v", err)
					}
					if err := newStore(engine).AddCredential(t.Context(), token); err != nil {
						t.Fatalf("storing the credential: %v", err)
					}
					w := &wire{next: engine, on: on, script: []http.RoundTripper{answer}}
					var err error
					inBubble(t, func(ctx context.Context, t *testing.T) { err = test.do(ctx, newStore(w)) })
					if err == nil || w.attempts == 0 || errors.Is(err, outage.ErrUnavailable) != passes {
						t.Errorf("after %d attempts error %v; ErrUnavailable should be %t", w.attempts, err, passes)
					}
					for _, other := range domain {
						if errors.Is(err, other) {
							t.Errorf("%v is %v", err, other)
						}
					}
				})
			}
		}
	}
}

// cancelled returns a transport that cancels a transaction, with a reason for each item.
func cancelled(reasons ...string) roundTrip {
	parts := make([]string, len(reasons))
	for i, code := range reasons {
		parts[i] = `{"Code":"` + code + `"}`
	}
	return respond(400, `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",`+
		`"Message":"Transaction cancelled","CancellationReasons":[`+strings.Join(parts, ",")+`]}`)
}

func repeat(n int, answer, last http.RoundTripper) []http.RoundTripper {
	script := make([]http.RoundTripper, n+1)
	for i := range script {
		script[i] = answer
	}
	script[n] = last
	return script
}

// TestCancelledTransactions tries the mixes of reasons for which a transaction can be cancelled. Creating a restaurant with a
// bot in an empty store writes six items: the restaurant, its bot, the phone number, two pages and the counts.
func TestCancelledTransactions(t *testing.T) {
	t.Parallel()
	const none, conflict, failed = "None", "TransactionConflict", "ConditionalCheckFailed"
	allConflict := cancelled(conflict, conflict, conflict, conflict, conflict, conflict, conflict, conflict)
	directoryChanged := cancelled(none, none, none, none, none, none, none, failed)
	for name, test := range map[string]struct {
		script   []http.RoundTripper
		want     error // nil: it succeeds; errOther: an error that the domain has no name for
		attempts int
	}{
		"conflict once":                        {repeat(1, cancelled(none, none, none, none, none, none, none, conflict), nil), nil, 2},
		"conflict of all, once":                {repeat(1, allConflict, nil), nil, 2},
		"conflict fifteen times":               {repeat(15, allConflict, nil), nil, 16},
		"conflict always":                      {repeat(0, nil, allConflict), outage.ErrUnavailable, 100},
		"throttled once":                       {repeat(1, cancelled(none, "ThrottlingError", none, none, none, none, none, none), nil), nil, 2},
		"throughput exceeded once":             {repeat(1, cancelled("ProvisionedThroughputExceeded", none, none, none, none, none, none, none), nil), nil, 2},
		"throttled and conflict always":        {repeat(0, nil, cancelled("ThrottlingError", conflict, none, none, none, none, none, none)), outage.ErrUnavailable, 100},
		"it exists":                            {repeat(0, nil, cancelled(failed, none, none, none, none, none, none, none)), restaurant.ErrExists, 1},
		"it exists, others conflict":           {repeat(0, nil, cancelled(failed, conflict, conflict, conflict, none, none, conflict, conflict)), restaurant.ErrExists, 1},
		"it exists, the directory changed":     {repeat(0, nil, cancelled(failed, none, none, none, none, none, none, failed)), restaurant.ErrExists, 1},
		"number taken":                         {repeat(0, nil, cancelled(none, none, failed, none, none, none, none, none)), restaurant.ErrNumberTaken, 1},
		"number taken, the directory changed":  {repeat(0, nil, cancelled(none, none, failed, none, none, none, none, failed)), restaurant.ErrNumberTaken, 1},
		"number taken, others throttled":       {repeat(0, nil, cancelled(none, "ThrottlingError", failed, none, none, none, none, none)), restaurant.ErrNumberTaken, 1},
		"bot's id is another bot's":            {repeat(0, nil, cancelled(none, none, none, failed, none, none, none, none)), restaurant.ErrIDTaken, 1},
		"id is a bot's":                        {repeat(0, nil, cancelled(none, none, none, none, failed, none, none, none)), restaurant.ErrIDTaken, 1},
		"bot's id is a restaurant's":           {repeat(0, nil, cancelled(none, none, none, none, none, failed, none, none)), restaurant.ErrIDTaken, 1},
		"it exists and number taken":           {repeat(0, nil, cancelled(failed, none, failed, none, none, none, none, none)), restaurant.ErrExists, 1},
		"the directory changed once":           {repeat(1, directoryChanged, nil), nil, 2},
		"the directory changed and conflict":   {repeat(1, cancelled(conflict, none, none, none, none, none, conflict, failed), nil), nil, 2},
		"the directory changed, then conflict": {append(repeat(1, directoryChanged, allConflict), nil), nil, 3},
		"the directory changes always":         {repeat(0, nil, directoryChanged), outage.ErrUnavailable, 10},
		"not valid":                            {repeat(0, nil, cancelled(none, none, none, "ValidationError", none, none, none, none)), errOther, 1},
		"not valid, others conflict":           {repeat(0, nil, cancelled(conflict, none, none, "ValidationError", none, none, none, none)), errOther, 1},
		"too large":                            {repeat(0, nil, cancelled("ItemCollectionSizeLimitExceeded", none, none, none, none, none, none, none)), errOther, 1},
		"a reason nobody heard of":             {repeat(0, nil, cancelled(none, "SomethingNew", none, none, none, none, none, none)), errOther, 1},
		"no reasons":                           {repeat(0, nil, cancelled()), errOther, 1},
		"in progress":                          {repeat(0, nil, fault(400, "TransactionInProgressException")), outage.ErrUnavailable, 3},
		"throttled as a whole":                 {repeat(0, nil, fault(400, "ThrottlingException")), outage.ErrUnavailable, 3},
		"another request's token":              {repeat(0, nil, fault(400, "IdempotentParameterMismatchException")), errOther, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t)
			w := &wire{next: engine.Transport(), on: "TransactWriteItems", script: test.script}
			bot := restaurant.Bot{ID: "bot", PhoneNumber: "+966110000001"}
			var err error
			inBubble(t, func(ctx context.Context, t *testing.T) {
				err = newStore(w).CreateRestaurant(ctx, storetest.Restaurant(1), &bot)
			})
			wantOutcome(t, err, test.want)
			attempts := test.attempts
			if test.want == nil {
				attempts++ // the place in the ranking
			}
			if w.attempts != attempts {
				t.Errorf("%d attempts, want %d", w.attempts, attempts)
			}
			if created := engine.ItemCount("sufrah-local-restaurants") == 1; created != (test.want == nil) {
				t.Errorf("created: %t", created)
			}
		})
	}
}

// TestDirectoryNeverSettles: if others change the directory at every attempt, that is an outage.
func TestDirectoryNeverSettles(t *testing.T) {
	t.Parallel()
	const none, failed = "None", "ConditionalCheckFailed"
	for name, test := range map[string]struct {
		on     string
		answer roundTrip
		do     func(context.Context, *stackstore.Store) error
	}{
		"create": {"TransactWriteItems", cancelled(none, none, failed), func(ctx context.Context, s *stackstore.Store) error {
			return s.CreateRestaurant(ctx, storetest.Restaurant(2), nil)
		}},
		"switch": {"TransactWriteItems", cancelled(none, none, none, failed), func(ctx context.Context, s *stackstore.Store) error {
			return s.SetActive(ctx, "r00001", false)
		}},
		"add": {"TransactWriteItems", cancelled(none, none, failed), func(ctx context.Context, s *stackstore.Store) error {
			return s.AddRestaurants(ctx, []restaurant.Restaurant{storetest.Restaurant(2)})
		}},
		"set bot": {"TransactWriteItems", cancelled(none, failed, none), func(ctx context.Context, s *stackstore.Store) error {
			return s.SetBot(ctx, "r00001", restaurant.Bot{ID: "b"})
		}},
		"rebuild": {"PutItem", fault(400, "ConditionalCheckFailedException"), func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.RebuildDirectory(ctx)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := newEngine(t).Transport()
			must(t, newStore(engine).CreateRestaurant(t.Context(), storetest.Restaurant(1), nil))
			w := &wire{next: engine, on: test.on, script: []http.RoundTripper{test.answer}}
			var err error
			inBubble(t, func(ctx context.Context, t *testing.T) { err = test.do(ctx, newStore(w)) })
			if !errors.Is(err, outage.ErrUnavailable) || w.attempts < 2 {
				t.Errorf("after %d attempts error %v, want ErrUnavailable after several", w.attempts, err)
			}
		})
	}
}

// errOther stands for any error that the domain has no name for.
var errOther = errors.New("some error that the domain has no name for")

func wantOutcome(t *testing.T, err, want error) {
	t.Helper()
	if want != errOther {
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
		return
	}
	if err == nil {
		t.Error("it succeeded")
	}
	for _, known := range []error{outage.ErrUnavailable, restaurant.ErrExists, restaurant.ErrNotFound, restaurant.ErrNumberTaken} {
		if errors.Is(err, known) {
			t.Errorf("%v is %v", err, known)
		}
	}
}

// TestConflictOfASingleWrite: a write outside a transaction also fails while a transaction holds its item.
func TestConflictOfASingleWrite(t *testing.T) {
	t.Parallel()
	conflict := fault(400, "TransactionConflictException")
	token := credential.Grant{Kind: credential.PAT, All: true}.Credential("secret", "cr_1", start)
	for name, test := range map[string]struct {
		script   []http.RoundTripper
		want     error
		attempts int
	}{
		"once":              {repeat(1, conflict, nil), nil, 2},
		"ninety-nine times": {repeat(99, conflict, nil), nil, 100},
		"always":            {repeat(0, nil, conflict), outage.ErrUnavailable, 100},
		"then it is there":  {repeat(1, conflict, fault(400, "ConditionalCheckFailedException")), credential.ErrExists, 2},
		"then it throttles": {repeat(1, conflict, fault(400, "ThrottlingException")), outage.ErrUnavailable, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &wire{next: newEngine(t).Transport(), on: "PutItem", script: test.script}
			var err error
			inBubble(t, func(ctx context.Context, t *testing.T) { err = newStore(w).AddCredential(ctx, token) })
			wantOutcome(t, err, test.want)
			if w.attempts != test.attempts {
				t.Errorf("%d attempts, want %d", w.attempts, test.attempts)
			}
		})
	}
}

// TestConflictsSpreadOut: each wait between attempts is a random part of a bound, which doubles up to a maximum.
func TestConflictsSpreadOut(t *testing.T) {
	t.Parallel()
	w := &wire{next: newEngine(t).Transport(), on: "TransactWriteItems", script: []http.RoundTripper{cancelled("TransactionConflict")}}
	took := inBubble(t, func(ctx context.Context, t *testing.T) {
		_ = newSlowestStore(w).CreateRestaurant(ctx, storetest.Restaurant(1), nil)
	})
	// 10, 20, 40, 80, 160, 320 and 640 ms, and then 92 times a second.
	if want := 93270 * time.Millisecond; took < want-50*time.Millisecond || took > want {
		t.Errorf("the longest wait is %s, want just below %s", took, want)
	}
}

// lost carries out a request and loses the answer.
func lost(next http.RoundTripper) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		answer, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		return fault(500, "InternalServerError")(r)
	}
}

// TestLostAnswers: a write with a lost answer is neither refused nor done twice.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	bot := restaurant.Bot{ID: "bot", PhoneNumber: "+966110000001"}
	for name, test := range map[string]struct {
		on string
		do func(context.Context, *stackstore.Store) error
	}{
		"create": {"TransactWriteItems", func(ctx context.Context, s *stackstore.Store) error {
			return s.CreateRestaurant(ctx, storetest.Restaurant(2), &bot)
		}},
		"switch": {"TransactWriteItems", func(ctx context.Context, s *stackstore.Store) error {
			return s.SetActive(ctx, "r00001", false)
		}},
		"set bot": {"TransactWriteItems", func(ctx context.Context, s *stackstore.Store) error {
			return s.SetBot(ctx, "r00001", bot)
		}},
		"rebuild": {"PutItem", func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.RebuildDirectory(ctx)
			return err
		}},
		"add": {"TransactWriteItems", func(ctx context.Context, s *stackstore.Store) error {
			return s.AddRestaurants(ctx, []restaurant.Restaurant{storetest.Restaurant(2)})
		}},
		"merge month": {"UpdateItem", func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.MergeMonth(ctx, "r00001", november, usage.MonthCount{Conversations: 2, Days: map[int]int64{3: 1}})
			return err
		}},
		"merge session": {"UpdateItem", func(ctx context.Context, s *stackstore.Store) error {
			_, err := s.MergeSession(ctx, imported)
			return err
		}},
		"revoke": {"UpdateItem", func(ctx context.Context, s *stackstore.Store) error {
			return s.RevokeCredential(ctx, "cr_1", start)
		}},
		"put usage": {"BatchWriteItem", func(ctx context.Context, s *stackstore.Store) error {
			return s.PutUsage(ctx, "r00001", usage.Activity{}, map[usage.Month]usage.MonthCount{november: {Conversations: 2}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The same operations without lost answers must give the same result.
			var lists [2][]string
			for i := range lists {
				engine := newEngine(t).Transport()
				script := []http.RoundTripper{nil}
				if i == 1 {
					script = []http.RoundTripper{lost(engine), nil}
				}
				w := &wire{next: engine, on: test.on, script: script}
				inBubble(t, func(ctx context.Context, t *testing.T) {
					must(t, newStore(engine).CreateRestaurant(ctx, storetest.Restaurant(1), nil))
					token := credential.Grant{Kind: credential.PAT, All: true}.Credential("secret", "cr_1", start)
					must(t, newStore(engine).AddCredential(ctx, token))
					must(t, test.do(ctx, newStore(w)))
					lists[i] = snapshot(ctx, t, newStore(engine))
				})
			}
			if diff := cmp.Diff(lists[0], lists[1]); diff != "" {
				t.Errorf("the lost answer made a difference (-without +with):\n%s", diff)
			}
		})
	}
}

// snapshot describes everything in a store.
func snapshot(ctx context.Context, t *testing.T, s *stackstore.Store) []string {
	t.Helper()
	directory, err := s.Directory(ctx)
	must(t, err)
	var lines []string
	for _, filter := range []usage.Filter{usage.All, usage.ActiveOnly, usage.InactiveOnly} {
		records, err := directory.Page(ctx, filter, 0, 100, november)
		must(t, err)
		for _, record := range records {
			lines = append(lines, fmt.Sprintf("filter %d: %+v bot %+v months %+v",
				filter, record.Restaurant, record.Bot, record.Months))
		}
		lines = append(lines, fmt.Sprintf("filter %d: %d", filter, directory.Total(filter)))
	}
	credentials, err := s.Credentials(ctx)
	must(t, err)
	for _, c := range credentials {
		lines = append(lines, fmt.Sprintf("%+v", c))
	}
	return lines
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("a step that must succeed failed: %v", err)
	}
}

// newClient returns an SDK client that sends its requests through transport.
func newClient(transport http.RoundTripper) *dynamodb.Client {
	config := awsconfig.New("us-east-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = aws.String("http://dynamodb.local")
	config.HTTPClient = &http.Client{Transport: transport}
	return dynamodb.NewFromConfig(config)
}

// newSlowestStore returns a store with the longest possible waits.
func newSlowestStore(transport http.RoundTripper) *stackstore.Store {
	return stackstore.New(newClient(transport), schema.StackTables(devstack.StackName), func() float64 { return math.Nextafter(1, 0) })
}
