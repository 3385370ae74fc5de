package dynamolocal_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

// setupOrders returns a client for a table of orders: shop a has the orders -1, 0, 1, 2.5, 10 and 100; shop b has order 1.
// Shop a's orders from 1 on are open, and due in the opposite order.
func setupOrders(t *testing.T) *dynamodb.Client {
	t.Helper()
	_, client := setup(t)
	for i, nr := range []any{-1, 0, 1, number("2.5"), 10, 100} {
		order := object{"shop": "a", "nr": nr, "note": fmt.Sprint("note ", nr), "extra": i}
		if i >= 2 {
			order["phase"], order["due"] = "open", -i
		}
		put(t, client, "orders", order)
	}
	put(t, client, "orders", object{"shop": "b", "nr": 1, "phase": "open"})
	return client
}

// query is a Query of the orders, with "a" for :a, 1 for :b and 10 for :c if the condition has them.
func query(input dynamodb.QueryInput, condition string) *dynamodb.QueryInput {
	input.TableName, input.KeyConditionExpression = aws.String("orders"), aws.String(condition)
	if input.ExpressionAttributeValues == nil {
		values := object{":a": "a", ":b": 1, ":c": 10}
		for name := range values {
			if !strings.Contains(condition, name) && !strings.Contains(aws.ToString(input.FilterExpression), name) {
				delete(values, name)
			}
		}
		if len(values) > 0 {
			input.ExpressionAttributeValues = attributes(values)
		}
	}
	return &input
}

// numbers returns the order numbers of the items.
func numbers(items []map[string]types.AttributeValue) list {
	found := list{}
	for _, item := range items {
		found = append(found, plain(item)["nr"])
	}
	return found
}

func TestKeyConditions(t *testing.T) {
	t.Parallel()
	client := setupOrders(t)
	tests := []struct {
		condition string
		want      list
	}{
		{"shop = :a", list{-1, 0, 1, number("2.5"), 10, 100}},
		{":a = shop", list{-1, 0, 1, number("2.5"), 10, 100}},
		{"shop = :a AND nr = :b", list{1}},
		{"(shop = :a) AND (nr = :b)", list{1}},
		{"nr = :b AND shop = :a", list{1}},
		{"shop = :a AND nr < :b", list{-1, 0}},
		{"shop = :a AND nr <= :b", list{-1, 0, 1}},
		{"shop = :a AND nr > :b", list{number("2.5"), 10, 100}},
		{"shop = :a AND :b < nr", list{number("2.5"), 10, 100}},
		{"shop = :a AND nr >= :b", list{1, number("2.5"), 10, 100}},
		{"shop = :a AND nr BETWEEN :b AND :c", list{1, number("2.5"), 10}},
	}
	for _, test := range tests {
		t.Run(test.condition, func(t *testing.T) {
			t.Parallel()
			for _, forward := range []bool{true, false} {
				output, err := client.Query(t.Context(), query(dynamodb.QueryInput{ScanIndexForward: aws.Bool(forward)}, test.condition))
				if err != nil {
					t.Fatalf("running the query: %v", err)
				}
				want := slices.Clone(test.want)
				if !forward {
					slices.Reverse(want)
				}
				if diff := cmp.Diff(want, numbers(output.Items)); diff != "" {
					t.Errorf("forward %t: orders differ (-want +got):\n%s", forward, diff)
				}
				if int(output.Count) != len(want) || int(output.ScannedCount) != len(want) || output.LastEvaluatedKey != nil {
					t.Errorf("counts are %d and %d, last key %v", output.Count, output.ScannedCount, output.LastEvaluatedKey)
				}
			}
		})
	}
}

func TestStringAndBinaryKeyConditions(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	for _, keyType := range []types.ScalarAttributeType{types.ScalarAttributeTypeS, types.ScalarAttributeTypeB} {
		name := "texts" + string(keyType)
		_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: aws.String(name),
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String("p"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("s"), KeyType: types.KeyTypeRange},
			},
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: aws.String("p"), AttributeType: keyType}, {AttributeName: aws.String("s"), AttributeType: keyType},
			},
		})
		if err != nil {
			t.Fatalf("creating the tables: %v", err)
		}
		as := func(text string) any {
			if keyType == types.ScalarAttributeTypeB {
				return []byte(text)
			}
			return text
		}
		// Each partition key begins another one, and the zero bytes look like the ends of keys.
		all := []string{"\x00", "\x00\x00", "\x01", "a", "a\x00", "a\x00\x01", "ab", "b", "é", "\U0010ffff"}
		last := all[9:]
		if keyType == types.ScalarAttributeTypeB {
			all = append(all, "\xff", "\xff\x00", "\xff\xff")
			last = all[10:]
		}
		for _, partition := range []string{"a", "a\x00", "a\x00\x00a"} {
			for _, sort := range all {
				put(t, client, name, object{"p": as(partition), "s": as(sort)})
			}
		}
		tests := []struct {
			condition string
			want      []string
		}{
			{"p = :p", all},
			{"p = :p AND s = :a", []string{"a"}},
			{"p = :p AND s < :a", all[:3]},
			{"p = :p AND s <= :a", all[:4]},
			{"p = :p AND s > :a", all[4:]},
			{"p = :p AND s >= :a", all[3:]},
			{"p = :p AND begins_with(s, :a)", all[3:7]},
			{"p = :p AND begins_with(s, :last)", last},
			{"p = :p AND s BETWEEN :a AND :ab", all[3:7]},
		}
		for _, test := range tests {
			values := object{":p": as("a\x00"), ":a": as("a"), ":ab": as("ab"), ":last": as(last[0])}
			for placeholder := range values {
				if !slices.Contains(strings.FieldsFunc(test.condition, func(r rune) bool { return strings.ContainsRune(" (),", r) }), placeholder) {
					delete(values, placeholder)
				}
			}
			output, err := client.Query(t.Context(), &dynamodb.QueryInput{
				TableName: aws.String(name), KeyConditionExpression: aws.String(test.condition),
				ExpressionAttributeValues: attributes(values),
			})
			if err != nil {
				t.Fatalf("running the query: %v", err)
			}
			var got []string
			for _, item := range output.Items {
				switch sort := plain(item)["s"].(type) {
				case string:
					got = append(got, sort)
				case []byte:
					got = append(got, string(sort))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s of %s: sort keys differ (-want +got):\n%s", test.condition, name, diff)
			}
		}
	}
}

func TestInvalidQueries(t *testing.T) {
	t.Parallel()
	client := setupOrders(t)
	byState := dynamodb.QueryInput{IndexName: aws.String("byState")}
	noteByState := dynamodb.QueryInput{IndexName: aws.String("noteByState")}
	from := func(key object) dynamodb.QueryInput {
		return dynamodb.QueryInput{ExclusiveStartKey: attributes(key)}
	}
	tests := []struct {
		condition string
		input     dynamodb.QueryInput
		message   string
	}{
		{"shop > :a", dynamodb.QueryInput{}, "Query key condition not supported"},
		{"nr = :b", dynamodb.QueryInput{}, "Query condition missed key schema element: shop"},
		{"shop = :a", byState, "Query condition missed key schema element: phase"},
		{"shop = :a AND extra = :b", dynamodb.QueryInput{}, "Query key condition not supported"},
		{"shop = :a AND nr = :b AND extra = :b", dynamodb.QueryInput{}, "The number of query conditions (3) exceeds"},
		{"phase = :a AND nr = :b", noteByState, "The number of query conditions (2) exceeds the number of key attributes defined in the schema (1)"},
		{"shop = :a AND shop = :a", dynamodb.QueryInput{}, "only contain one condition per key"},
		{"shop = :a AND nr > :b AND nr < :c", dynamodb.QueryInput{},
			"Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"},
		{"shop = :a OR nr = :b", dynamodb.QueryInput{}, "Invalid operator used in KeyConditionExpression: OR"},
		{"NOT shop = :a", dynamodb.QueryInput{}, "Invalid operator used in KeyConditionExpression: NOT"},
		{"shop = :a AND nr <> :b", dynamodb.QueryInput{}, "Invalid operator used in KeyConditionExpression: <>"},
		{"shop = :a AND nr IN (:b)", dynamodb.QueryInput{}, "Invalid operator used in KeyConditionExpression: IN"},
		{"shop = :a AND contains(nr, :b)", dynamodb.QueryInput{}, "Invalid operator used in KeyConditionExpression: contains"},
		{"shop = :a AND attribute_exists(nr)", dynamodb.QueryInput{}, "Invalid operator used in KeyConditionExpression: attribute_exists"},
		{"shop = :a AND size(nr) = :b", dynamodb.QueryInput{}, "cannot contain nested operations"},
		{"shop.x = :a", dynamodb.QueryInput{}, "Key attributes must be scalars"},
		{"shop = nr", dynamodb.QueryInput{}, "Multiple attribute names used in one condition"},
		{"shop = :b", dynamodb.QueryInput{}, "Condition parameter type does not match schema type"},
		{"shop = :a AND nr = :a", dynamodb.QueryInput{}, "Condition parameter type does not match schema type"},
		{"shop = :a AND nr BETWEEN :c AND :b", dynamodb.QueryInput{}, "requires upper bound to be greater than or equal to lower bound"},
		{"shop = :a", dynamodb.QueryInput{ExpressionAttributeValues: attributes(object{":a": ""})}, "cannot contain an empty string value. Key: shop"},
		{"", dynamodb.QueryInput{}, "Invalid KeyConditionExpression: The expression can not be empty;"},
		{"shop = :a", dynamodb.QueryInput{IndexName: aws.String("none")}, "does not have the specified index: none"},
		{"phase = :a", dynamodb.QueryInput{IndexName: aws.String("byState"), ConsistentRead: aws.Bool(true)},
			"Consistent reads are not supported on global secondary indexes"},
		{"shop = :a", dynamodb.QueryInput{Limit: aws.Int32(0)}, "at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"shop = :a", dynamodb.QueryInput{FilterExpression: aws.String("nr = :b")}, "Primary key attribute: nr"},
		{"phase = :a", dynamodb.QueryInput{IndexName: aws.String("byState"), FilterExpression: aws.String("due = :b")}, "Primary key attribute: due"},
		{"phase = :a", dynamodb.QueryInput{IndexName: aws.String("noteByState"), FilterExpression: aws.String("extra = :b")},
			"does not project one or more filter attributes: [extra]"},
		{"phase = :a", dynamodb.QueryInput{IndexName: aws.String("noteByState"), ProjectionExpression: aws.String("extra")}, "does not project [extra]"},
		{"phase = :a", dynamodb.QueryInput{IndexName: aws.String("noteByState"), Select: types.SelectAllAttributes}, "its projection type is not ALL"},
		{"shop = :a", dynamodb.QueryInput{Select: types.SelectAllProjectedAttributes}, "only when Querying using an IndexName"},
		{"shop = :a", dynamodb.QueryInput{Select: types.SelectSpecificAttributes}, "Must specify the AttributesToGet or ProjectionExpression"},
		{"shop = :a", dynamodb.QueryInput{Select: types.SelectCount, ProjectionExpression: aws.String("nr")}, "only the Count"},
		{"shop = :a", dynamodb.QueryInput{Select: types.SelectAllAttributes, ProjectionExpression: aws.String("nr")}, "choosing to get ALL_ATTRIBUTES"},
		{"shop = :a", dynamodb.QueryInput{Select: "SOME"}, "at 'select' failed to satisfy constraint"},
		{"shop = :a", from(object{"shop": "a"}), "The provided starting key is invalid"},
		{"shop = :a", from(object{"shop": "a", "nr": "1"}), "The provided starting key is invalid"},
		{"shop = :a", from(object{"shop": "a", "nr": 1, "extra": 1}), "The provided starting key is invalid"},
		{"shop = :a", from(object{"shop": "b", "nr": 1}), "outside query boundaries"},
		{"shop = :a AND nr > :b", from(object{"shop": "a", "nr": 1}), "outside query boundaries"},
	}
	for _, test := range tests {
		t.Run(test.message, func(t *testing.T) {
			t.Parallel()
			_, err := client.Query(t.Context(), query(test.input, test.condition))
			wantError(t, err, validationException, test.message)
		})
	}
	_, err := client.Query(t.Context(), &dynamodb.QueryInput{TableName: aws.String("orders")})
	wantError(t, err, validationException, "KeyConditionExpression parameter must be specified")
}

func TestPages(t *testing.T) {
	t.Parallel()
	client := setupOrders(t)
	for _, forward := range []bool{true, false} {
		pages := dynamodb.NewQueryPaginator(client, query(dynamodb.QueryInput{
			Limit: aws.Int32(2), ScanIndexForward: aws.Bool(forward), FilterExpression: aws.String("extra <> :b"),
		}, "shop = :a"))
		var got list
		var counts []int32
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatalf("reading the next page: %v", err)
			}
			got = append(got, numbers(page.Items)...)
			counts = append(counts, page.Count, page.ScannedCount)
		}
		want, wantCounts := list{-1, 1, number("2.5"), 10, 100}, []int32{1, 2, 2, 2, 2, 2, 0, 0}
		if !forward {
			slices.Reverse(want)
			wantCounts = []int32{2, 2, 2, 2, 1, 2, 0, 0}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("forward %t: orders differ (-want +got):\n%s", forward, diff)
		}
		// The limit counts items read, not matches. A full page has a last key even if nothing follows.
		if diff := cmp.Diff(wantCounts, counts); diff != "" {
			t.Errorf("forward %t: counts differ (-want +got):\n%s", forward, diff)
		}
	}
}

func TestIndexPages(t *testing.T) {
	t.Parallel()
	client := setupOrders(t)
	open := attributes(object{":open": "open"})
	for index, want := range map[string][]object{
		// By due date; the order of shop b has none.
		"byState": {
			{"shop": "a", "nr": 100, "phase": "open", "due": -5, "note": "note 100", "extra": 5},
			{"shop": "a", "nr": 10, "phase": "open", "due": -4, "note": "note 10", "extra": 4},
			{"shop": "a", "nr": number("2.5"), "phase": "open", "due": -3, "note": "note 2.5", "extra": 3},
			{"shop": "a", "nr": 1, "phase": "open", "due": -2, "note": "note 1", "extra": 2},
		},
		"keysByState": {
			{"shop": "a", "nr": 1, "phase": "open"}, {"shop": "a", "nr": number("2.5"), "phase": "open"},
			{"shop": "a", "nr": 10, "phase": "open"}, {"shop": "a", "nr": 100, "phase": "open"}, {"shop": "b", "nr": 1, "phase": "open"},
		},
		"noteByState": {
			{"shop": "a", "nr": 1, "phase": "open", "note": "note 1"}, {"shop": "a", "nr": number("2.5"), "phase": "open", "note": "note 2.5"},
			{"shop": "a", "nr": 10, "phase": "open", "note": "note 10"}, {"shop": "a", "nr": 100, "phase": "open", "note": "note 100"},
			{"shop": "b", "nr": 1, "phase": "open"},
		},
	} {
		pages := dynamodb.NewQueryPaginator(client, query(dynamodb.QueryInput{
			IndexName: aws.String(index), Limit: aws.Int32(1), ExpressionAttributeValues: open,
		}, "phase = :open"))
		var got []object
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatalf("reading the next page: %v", err)
			}
			for _, item := range page.Items {
				got = append(got, plain(item))
			}
		}
		byKey := func(a, b object) int {
			return strings.Compare(fmt.Sprint(a["shop"], a["nr"]), fmt.Sprint(b["shop"], b["nr"]))
		}
		if index != "byState" {
			// Without a sort key an index has no reliable order.
			slices.SortFunc(want, byKey)
			slices.SortFunc(got, byKey)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: items differ (-want +got):\n%s", index, diff)
		}
	}
}

func TestIndexFollowsItems(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	inPhase := func(phase string) list {
		output, err := client.Query(t.Context(), query(dynamodb.QueryInput{
			IndexName: aws.String("noteByState"), ExpressionAttributeValues: attributes(object{":phase": phase}),
		}, "phase = :phase"))
		if err != nil {
			t.Fatalf("running the query: %v", err)
		}
		found := list{}
		for _, item := range output.Items {
			found = append(found, plain(item)["note"])
		}
		return found
	}
	update := func(expression string, values object) {
		_, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String("orders"), Key: attributes(object{"shop": "a", "nr": 1}),
			UpdateExpression: aws.String(expression), ExpressionAttributeValues: attributes(values),
		})
		if err != nil {
			t.Fatalf("updating the item: %v", err)
		}
	}
	expect := func(step string, open, closed list) {
		t.Helper()
		if diff := cmp.Diff([]list{open, closed}, []list{inPhase("open"), inPhase("closed")}); diff != "" {
			t.Errorf("after %s: index differs (-want +got):\n%s", step, diff)
		}
	}
	put(t, client, "orders", object{"shop": "a", "nr": 1, "note": "x"})
	expect("an item without the index's key", list{}, list{})
	update("SET phase = :v", object{":v": "open"})
	expect("setting the key", list{"x"}, list{})
	update("SET note = :v", object{":v": "y"})
	expect("changing an included attribute", list{"y"}, list{})
	update("SET phase = :v", object{":v": "closed"})
	expect("changing the key", list{}, list{"y"})
	update("REMOVE phase", nil)
	expect("removing the key", list{}, list{})
	put(t, client, "orders", object{"shop": "a", "nr": 1, "phase": "open", "note": "z"})
	expect("replacing the item", list{"z"}, list{})
	_, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
		TableName: aws.String("orders"), Key: attributes(object{"shop": "a", "nr": 1}),
	})
	if err != nil {
		t.Fatalf("deleting the item: %v", err)
	}
	expect("deleting the item", list{}, list{})
}

func TestPageOfAMegabyte(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	// Each item is 104,858 bytes: the tenth is the first to pass 1,048,576.
	for nr := 10; nr < 22; nr++ {
		put(t, client, "orders", object{"shop": "a", "nr": nr, "x": strings.Repeat("x", 104858-4-1-2-2-1)})
	}
	output, err := client.Query(t.Context(), query(dynamodb.QueryInput{
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal, ConsistentRead: aws.Bool(true),
		FilterExpression: aws.String("attribute_not_exists(x)"),
	}, "shop = :a"))
	if err != nil {
		t.Fatalf("running the query: %v", err)
	}
	if output.ScannedCount != 10 || output.Count != 0 {
		t.Errorf("read %d items and returned %d, want 10 and 0", output.ScannedCount, output.Count)
	}
	if diff := cmp.Diff(object{"shop": "a", "nr": 19}, plain(output.LastEvaluatedKey)); diff != "" {
		t.Errorf("last key differs (-want +got):\n%s", diff)
	}
	if got := *output.ConsumedCapacity.CapacityUnits; got != 257 {
		t.Errorf("consumed %v units, want 257", got)
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	client := setupOrders(t)
	output, err := client.Query(t.Context(), query(dynamodb.QueryInput{Select: types.SelectCount}, "shop = :a"))
	if err != nil {
		t.Fatalf("running the query: %v", err)
	}
	if output.Count != 6 || output.Items != nil {
		t.Errorf("counted %d with items %v, want 6 without items", output.Count, output.Items)
	}
	output, err = client.Query(t.Context(), query(dynamodb.QueryInput{
		Select: types.SelectSpecificAttributes, ProjectionExpression: aws.String("extra, phase"),
	}, "shop = :a AND nr = :b"))
	if err != nil {
		t.Fatalf("running the query: %v", err)
	}
	if diff := cmp.Diff(object{"extra": 2, "phase": "open"}, plain(output.Items[0])); diff != "" {
		t.Errorf("item differs (-want +got):\n%s", diff)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	client := setupOrders(t)
	count := func(input dynamodb.ScanInput) int {
		t.Helper()
		input.TableName, input.Limit = aws.String("orders"), aws.Int32(2)
		pages := dynamodb.NewScanPaginator(client, &input)
		seen := 0
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatalf("reading the next page: %v", err)
			}
			seen += int(page.Count)
		}
		return seen
	}
	if got := count(dynamodb.ScanInput{}); got != 7 {
		t.Errorf("scanned %d items, want 7", got)
	}
	if got := count(dynamodb.ScanInput{IndexName: aws.String("byState")}); got != 4 {
		t.Errorf("scanned %d items of the index, want 4", got)
	}
	filtered := dynamodb.ScanInput{
		FilterExpression: aws.String("shop = :a"), ExpressionAttributeValues: attributes(object{":a": "b"}),
	}
	if got := count(filtered); got != 1 {
		t.Errorf("scanned %d items of one shop, want 1", got)
	}
}

func TestParallelScan(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	for i := range 100 {
		put(t, client, "users", object{"id": fmt.Sprint(i)})
	}
	for _, total := range []int32{1, 3, 8} {
		seen := make(map[any]int)
		for segment := range total {
			output, err := client.Scan(t.Context(), &dynamodb.ScanInput{
				TableName: aws.String("users"), Segment: aws.Int32(segment), TotalSegments: aws.Int32(total),
			})
			if err != nil {
				t.Fatalf("running the scan: %v", err)
			}
			if output.Count == 0 {
				t.Errorf("segment %d of %d is empty", segment, total)
			}
			for _, item := range output.Items {
				seen[plain(item)["id"]]++
			}
		}
		if len(seen) != 100 {
			t.Errorf("%d segments have %d different items, want 100", total, len(seen))
		}
		for id, times := range seen {
			if times != 1 {
				t.Errorf("item %v is in %d of %d segments", id, times, total)
			}
		}
	}
	for message, input := range map[string]dynamodb.ScanInput{
		"TotalSegments parameter is required":  {Segment: aws.Int32(0)},
		"Segment parameter is required":        {TotalSegments: aws.Int32(1)},
		"is not less than TotalSegments":       {Segment: aws.Int32(1), TotalSegments: aws.Int32(1)},
		"'TotalSegments' failed to satisfy":    {Segment: aws.Int32(0), TotalSegments: aws.Int32(0)},
		"The provided starting key is invalid": {ExclusiveStartKey: attributes(object{"x": "1"})},
	} {
		input.TableName = aws.String("users")
		_, err := client.Scan(t.Context(), &input)
		wantError(t, err, validationException, message)
	}
}

func TestBatchGetItem(t *testing.T) {
	t.Parallel()
	client := setupOrders(t)
	put(t, client, "users", object{"id": "1", "n": 1, "x": 1})
	output, err := client.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{
		"orders": {Keys: []map[string]types.AttributeValue{
			attributes(object{"shop": "b", "nr": 1}), attributes(object{"shop": "b", "nr": 2}), attributes(object{"shop": "a", "nr": 10}),
		}},
		"users": {
			Keys:                     []map[string]types.AttributeValue{attributes(object{"id": "1"})},
			ProjectionExpression:     aws.String("#n"),
			ExpressionAttributeNames: map[string]string{"#n": "n"},
		},
	}})
	if err != nil {
		t.Fatalf("reading the batch: %v", err)
	}
	found := numbers(output.Responses["orders"])
	slices.SortFunc(found, func(a, b any) int { return a.(int) - b.(int) })
	if diff := cmp.Diff(list{1, 10}, found); diff != "" {
		t.Errorf("orders differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(object{"n": 1}, plain(output.Responses["users"][0])); diff != "" {
		t.Errorf("user differs (-want +got):\n%s", diff)
	}
	if len(output.UnprocessedKeys) > 0 {
		t.Errorf("unprocessed: %v", output.UnprocessedKeys)
	}
}

func TestBatchGetItemLimits(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	get := func(ids ...int) (*dynamodb.BatchGetItemOutput, error) {
		keys := make([]map[string]types.AttributeValue, len(ids))
		for i, id := range ids {
			keys[i] = attributes(object{"id": fmt.Sprint(id)})
		}
		return client.BatchGetItem(context.Background(), &dynamodb.BatchGetItemInput{
			RequestItems: map[string]types.KeysAndAttributes{"users": {Keys: keys, ConsistentRead: aws.Bool(true)}},
		})
	}
	var ids []int
	for i := range 101 {
		ids = append(ids, i)
	}
	_, err := get(ids...)
	wantError(t, err, validationException, "at 'RequestItems.users.member.Keys' failed to satisfy constraint: Member must have length less than or equal to 100")
	_, err = get(1, 2, 1)
	wantError(t, err, validationException, "contains duplicates")
	_, err = get()
	wantError(t, err, validationException, "greater than or equal to 1")

	if testing.Short() {
		return // the rest takes a second
	}
	// Forty-two items of 400,000 bytes exceed 16 MB; the last ones must be asked for again.
	for id := range 42 {
		put(t, client, "users", object{"id": fmt.Sprint(id), "x": strings.Repeat("x", 399_990)})
	}
	output, err := get(ids[:42]...)
	if err != nil {
		t.Fatalf("getting 42 items at once: %v", err)
	}
	left := output.UnprocessedKeys["users"]
	if len(output.Responses["users"]) != 41 || len(left.Keys) != 1 || !aws.ToBool(left.ConsistentRead) {
		t.Errorf("got %d items and left %v", len(output.Responses["users"]), left)
	}
}

func TestBatchWriteItem(t *testing.T) {
	t.Parallel()
	engine, client := setup(t)
	put(t, client, "users", object{"id": "old"})
	write := func(requests ...types.WriteRequest) error {
		_, err := client.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{"users": requests},
		})
		return err
	}
	putting := func(id string) types.WriteRequest {
		return types.WriteRequest{PutRequest: &types.PutRequest{Item: attributes(object{"id": id})}}
	}
	deleting := func(id string) types.WriteRequest {
		return types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: attributes(object{"id": id})}}
	}
	wantError(t, write(putting("1"), putting("2"), deleting("old"), deleting("none")), "", "")
	if got := engine.ItemCount("users"); got != 2 {
		t.Errorf("the table has %d items, want 2", got)
	}
	var many []types.WriteRequest
	for i := range 26 {
		many = append(many, putting(fmt.Sprint(i)))
	}
	wantError(t, write(many...), validationException, "less than or equal to 25")
	wantError(t, write(), validationException, "greater than or equal to 1")
	wantError(t, write(putting("3"), deleting("3")), validationException, "contains duplicates")
	wantError(t, write(types.WriteRequest{}), validationException, "exactly one of")
	wantError(t, write(putting("3"), putting("")), validationException, "empty string value")
	if got := engine.ItemCount("users"); got != 2 {
		t.Errorf("after refused batches the table has %d items, want 2", got)
	}
}
