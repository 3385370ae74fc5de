package dynamolocal_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
)

func transactPut(table string, item object) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{TableName: aws.String(table), Item: attributes(item)}}
}

// transactAdd adds 1 to the user's n.
func transactAdd(id string) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: aws.String("users"), Key: attributes(object{"id": id}), UpdateExpression: aws.String("ADD n :one"),
		ExpressionAttributeValues: attributes(object{":one": 1}),
	}}
}

func transactDelete(id string) types.TransactWriteItem {
	return types.TransactWriteItem{Delete: &types.Delete{TableName: aws.String("users"), Key: attributes(object{"id": id})}}
}

func transactCheck(id, condition string, returns types.ReturnValuesOnConditionCheckFailure) types.TransactWriteItem {
	return types.TransactWriteItem{ConditionCheck: &types.ConditionCheck{
		TableName: aws.String("users"), Key: attributes(object{"id": id}), ConditionExpression: aws.String(condition),
		ReturnValuesOnConditionCheckFailure: returns,
	}}
}

// reason is a cancellation reason to compare with.
type reason struct {
	Code string
	Item object
}

// reasons returns the reasons of a cancelled transaction, nil for any other error.
func reasons(err error) []reason {
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return nil
	}
	list := make([]reason, len(canceled.CancellationReasons))
	for i, r := range canceled.CancellationReasons {
		list[i] = reason{aws.ToString(r.Code), plain(r.Item)}
	}
	return list
}

func TestTransactWriteItems(t *testing.T) {
	t.Parallel()
	const allOld = types.ReturnValuesOnConditionCheckFailureAllOld
	old := object{"id": "1", "n": 1, "s": "x"}
	tests := []struct {
		name    string
		items   []types.TransactWriteItem
		reasons []reason // nil if the transaction succeeds
	}{
		{"every kind", []types.TransactWriteItem{
			transactPut("orders", object{"shop": "a", "nr": 1}), transactAdd("2"), transactDelete("1"),
			transactCheck("3", "attribute_not_exists(id)", ""),
		}, nil},
		{"condition", []types.TransactWriteItem{transactAdd("2"), transactCheck("1", "n > n2", "")},
			[]reason{{Code: "None"}, {Code: "ConditionalCheckFailed"}}},
		{"condition with the old item", []types.TransactWriteItem{transactCheck("1", "attribute_not_exists(id)", allOld), transactAdd("2")},
			[]reason{{"ConditionalCheckFailed", old}, {Code: "None"}}},
		{"condition on nothing", []types.TransactWriteItem{transactAdd("2"), transactCheck("9", "attribute_exists(id)", allOld)},
			[]reason{{Code: "None"}, {Code: "ConditionalCheckFailed"}}},
		{"wrong operand", []types.TransactWriteItem{transactAdd("2"), {Update: &types.Update{
			TableName: aws.String("users"), Key: attributes(object{"id": "1"}), UpdateExpression: aws.String("ADD s :one"),
			ExpressionAttributeValues: attributes(object{":one": 1}),
		}}}, []reason{{Code: "None"}, {Code: "ValidationError"}}},
		{"wrong index key", []types.TransactWriteItem{transactAdd("2"), transactPut("orders", object{"shop": "a", "nr": 1, "phase": 1})},
			[]reason{{Code: "None"}, {Code: "ValidationError"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			engine, client := setup(t)
			put(t, client, "users", old)
			_, err := client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: test.items})
			if diff := cmp.Diff(test.reasons, reasons(err)); diff != "" {
				t.Errorf("reasons differ (-want +got):\n%s\n%v", diff, err)
			}
			changed := get(t, client, "users", object{"id": "2"}) != nil
			if want := test.reasons == nil; changed != want {
				t.Errorf("the transaction was carried out: %t, want %t", changed, want)
			}
			if test.reasons == nil && (engine.ItemCount("users") != 1 || engine.ItemCount("orders") != 1) {
				t.Errorf("tables have %d and %d items", engine.ItemCount("users"), engine.ItemCount("orders"))
			}
		})
	}
}

func TestInvalidTransactions(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	many := make([]types.TransactWriteItem, 101)
	large := make([]types.TransactWriteItem, 11)
	for i := range many {
		many[i] = transactAdd(fmt.Sprint(i))
	}
	for i := range large {
		large[i] = transactPut("users", object{"id": fmt.Sprint(i), "x": strings.Repeat("x", 399<<10)})
	}
	both := transactAdd("1")
	both.Delete = transactDelete("1").Delete
	tests := []struct {
		name, code, message string
		items               []types.TransactWriteItem
	}{
		{"nothing", validationException, "greater than or equal to 1", []types.TransactWriteItem{}},
		{"too many", validationException, "less than or equal to 100", many},
		{"too large", validationException, "4 MB", large},
		{"twice the same item", validationException, "multiple operations on one item", []types.TransactWriteItem{transactAdd("1"), transactDelete("1")}},
		{"two kinds", validationException, "can only contain one of", []types.TransactWriteItem{both}},
		{"no table", "ResourceNotFoundException", "", []types.TransactWriteItem{transactPut("none", object{"id": "1"})}},
		{"wrong condition", validationException, "Syntax error", []types.TransactWriteItem{transactCheck("1", "n", "")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: test.items})
			wantError(t, err, test.code, test.message)
		})
	}
}

func TestClientRequestToken(t *testing.T) {
	t.Parallel()
	var clock atomic.Pointer[time.Time]
	clock.Store(&noon)
	engine := dynamolocal.New(func() time.Time { return *clock.Load() }, users)
	client := newClient("http://dynamodb.test", &http.Client{Transport: engine.Transport()})
	transact := func(token string, items ...types.TransactWriteItem) error {
		_, err := client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			ClientRequestToken: aws.String(token), TransactItems: items,
		})
		return err
	}
	count := func() any { return get(t, client, "users", object{"id": "1"})["n"] }

	for range 3 {
		wantError(t, transact("one", transactAdd("1")), "", "")
	}
	if got := count(); got != 1 {
		t.Errorf("three times with one token: counted %v, want 1", got)
	}
	wantError(t, transact("one", transactAdd("2")), "IdempotentParameterMismatchException", "")
	wantError(t, transact("two", transactAdd("1")), "", "")
	if got := count(); got != 2 {
		t.Errorf("with a second token: counted %v, want 2", got)
	}

	// A transaction that failed may be tried again with its token.
	failing := []types.TransactWriteItem{transactAdd("1"), transactCheck("gate", "attribute_exists(id)", "")}
	wantError(t, transact("three", failing...), "TransactionCanceledException", "[None, ConditionalCheckFailed]")
	put(t, client, "users", object{"id": "gate"})
	wantError(t, transact("three", failing...), "", "")
	if got := count(); got != 3 {
		t.Errorf("after the repeat of a failure: counted %v, want 3", got)
	}

	later := noon.Add(10 * time.Minute)
	clock.Store(&later)
	wantError(t, transact("one", transactAdd("1")), "", "")
	if got := count(); got != 4 {
		t.Errorf("after ten minutes: counted %v, want 4", got)
	}
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine, _ := setup(t)
		engine.WithTransactionTime(time.Second)
		client := newClient("http://dynamodb.test", &http.Client{Transport: engine.Transport()})
		put(t, client, "users", object{"id": "held", "n": 0})

		done := make(chan error)
		go func() {
			_, err := client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
				ClientRequestToken: aws.String("token"),
				TransactItems:      []types.TransactWriteItem{transactAdd("held"), transactAdd("other")},
			})
			done <- err
		}()
		time.Sleep(time.Second / 2)

		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: aws.String("users"), Item: attributes(object{"id": "held"}),
		})
		wantError(t, err, "TransactionConflictException", "Transaction is ongoing for the item")
		_, err = client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			TransactItems: []types.TransactWriteItem{transactAdd("free"), transactAdd("held")},
		})
		if diff := cmp.Diff([]reason{{Code: "None"}, {Code: "TransactionConflict"}}, reasons(err)); diff != "" {
			t.Errorf("reasons differ (-want +got):\n%s", diff)
		}
		_, err = client.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{
			{Get: &types.Get{TableName: aws.String("users"), Key: attributes(object{"id": "held"})}},
		}})
		if diff := cmp.Diff([]reason{{Code: "TransactionConflict"}}, reasons(err)); diff != "" {
			t.Errorf("reasons of the read differ (-want +got):\n%s", diff)
		}
		_, err = client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			ClientRequestToken: aws.String("token"),
			TransactItems:      []types.TransactWriteItem{transactAdd("held"), transactAdd("other")},
		})
		wantError(t, err, "TransactionInProgressException", "")
		batch, err := client.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{"users": {
				{PutRequest: &types.PutRequest{Item: attributes(object{"id": "held"})}},
				{PutRequest: &types.PutRequest{Item: attributes(object{"id": "batched"})}},
			}},
		})
		if err != nil {
			t.Fatalf("writing the batch: %v", err)
		}
		if left := batch.UnprocessedItems["users"]; len(left) != 1 || plain(left[0].PutRequest.Item)["id"] != "held" {
			t.Errorf("unprocessed: %v, want the held item", left)
		}

		// Reads and other items don't wait.
		if got := get(t, client, "users", object{"id": "held"})["n"]; got != 0 {
			t.Errorf("read %v of a held item, want what it was before", got)
		}
		put(t, client, "users", object{"id": "free"})

		if err := <-done; err != nil {
			t.Fatalf("writing the transaction that held the item: %v", err)
		}
		put(t, client, "users", object{"id": "other"})
		if got := get(t, client, "users", object{"id": "held"})["n"]; got != 1 {
			t.Errorf("after the transaction: %v, want 1", got)
		}
	})
}

func TestConcurrentAddsLoseNothing(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	const workers, each = 8, 25
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for range each {
				var err error
				if worker%2 == 0 {
					_, err = client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
						TableName: aws.String("users"), Key: attributes(object{"id": "1"}), UpdateExpression: aws.String("ADD n :one"),
						ExpressionAttributeValues: attributes(object{":one": 1}),
					})
				} else {
					_, err = client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
						TransactItems: []types.TransactWriteItem{transactAdd("1"), transactAdd("2")},
					})
				}
				if err != nil {
					t.Errorf("writing the transaction: %v", err)
				}
			}
		})
	}
	group.Wait()
	if got := get(t, client, "users", object{"id": "1"})["n"]; got != workers*each {
		t.Errorf("counted %v, want %d", got, workers*each)
	}
	if got := get(t, client, "users", object{"id": "2"})["n"]; got != workers*each/2 {
		t.Errorf("counted %v in transactions, want %d", got, workers*each/2)
	}
}

func TestTransactionsAreAtomic(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	put(t, client, "users", object{"id": "a", "n": 100})
	put(t, client, "users", object{"id": "b", "n": 100})
	move := func(from, to string) error {
		change := func(id string, by int) types.TransactWriteItem {
			return types.TransactWriteItem{Update: &types.Update{
				TableName: aws.String("users"), Key: attributes(object{"id": id}), UpdateExpression: aws.String("SET n = n + :by"),
				ConditionExpression: aws.String("n >= :least"), ExpressionAttributeValues: attributes(object{":by": by, ":least": -by}),
			}}
		}
		_, err := client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{
			TransactItems: []types.TransactWriteItem{change(to, 7), change(from, -7)},
		})
		return err
	}
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for range 25 {
				var err error
				if worker == 0 {
					err = move("b", "a")
				} else {
					err = move("a", "b")
				}
				if err != nil && reasons(err) == nil {
					t.Errorf("moving an item in a transaction: %v", err)
				}
			}
		})
	}
	group.Go(func() {
		for range 50 {
			read, err := client.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{
				{Get: &types.Get{TableName: aws.String("users"), Key: attributes(object{"id": "a"})}},
				{Get: &types.Get{TableName: aws.String("users"), Key: attributes(object{"id": "b"})}},
			}})
			if err != nil {
				t.Errorf("reading the transaction: %v", err)
				return
			}
			a, b := plain(read.Responses[0].Item)["n"].(int), plain(read.Responses[1].Item)["n"].(int)
			if a+b != 200 || a < 0 || b < 0 {
				t.Errorf("read %d and %d, whose sum is not 200 or which are below 0", a, b)
			}
		}
	})
	group.Wait()
}

func TestTransactGetItems(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	put(t, client, "users", object{"id": "1", "n": 1})
	read := func(gets ...types.Get) ([]object, error) {
		items := make([]types.TransactGetItem, len(gets))
		for i := range gets {
			items[i].Get = &gets[i]
		}
		output, err := client.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{TransactItems: items})
		if err != nil {
			return nil, err
		}
		found := make([]object, len(output.Responses))
		for i, response := range output.Responses {
			found[i] = plain(response.Item)
		}
		return found, nil
	}
	one := types.Get{TableName: aws.String("users"), Key: attributes(object{"id": "1"})}
	none := types.Get{TableName: aws.String("users"), Key: attributes(object{"id": "2"})}
	got, err := read(none, one)
	if err != nil {
		t.Fatalf("reading both items in a transaction: %v", err)
	}
	if diff := cmp.Diff([]object{nil, {"id": "1", "n": 1}}, got); diff != "" {
		t.Errorf("items differ (-want +got):\n%s", diff)
	}
	_, err = read(one, one)
	wantError(t, err, validationException, "multiple operations on one item")
	_, err = read()
	wantError(t, err, validationException, "")
}
