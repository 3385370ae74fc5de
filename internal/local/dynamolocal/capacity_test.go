package dynamolocal_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

// consumption is the capacity that a request reports: of the table and of each index.
type consumption struct {
	Total, Table float64
	Indexes      map[string]float64
}

func consumptionOf(c *types.ConsumedCapacity) consumption {
	got := consumption{Total: aws.ToFloat64(c.CapacityUnits)}
	if c.Table != nil {
		got.Table = aws.ToFloat64(c.Table.CapacityUnits)
	}
	for name, index := range c.GlobalSecondaryIndexes {
		if got.Indexes == nil {
			got.Indexes = make(map[string]float64)
		}
		got.Indexes[name] = aws.ToFloat64(index.CapacityUnits)
	}
	return got
}

// sized returns a user of exactly the given size: "id" and "1" take 3 bytes, "x" takes one more.
func sized(bytes int) object {
	return object{"id": "1", "x": strings.Repeat("x", bytes-4)}
}

func TestReadUnits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		item       object // nil for none
		consistent bool
		want       float64
	}{
		{"nothing", nil, true, 1},
		{"nothing, eventually", nil, false, 0.5},
		{"small", sized(100), true, 1},
		{"4 KB", sized(4096), true, 1},
		{"4 KB and a byte", sized(4097), true, 2},
		{"4 KB and a byte, eventually", sized(4097), false, 1},
		{"the largest", sized(400 << 10), true, 100},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			engine, client := setup(t)
			if test.item != nil {
				put(t, client, "users", test.item)
			}
			key := attributes(object{"id": "1"})
			got, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{
				TableName: aws.String("users"), Key: key, ConsistentRead: aws.Bool(test.consistent),
				ProjectionExpression:   aws.String("id"), // a projection saves no capacity
				ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
			})
			if err != nil {
				t.Fatalf("getting the item: %v", err)
			}
			want := consumption{Total: test.want, Table: test.want}
			if diff := cmp.Diff(want, consumptionOf(got.ConsumedCapacity)); diff != "" {
				t.Errorf("GetItem's capacity differs (-want +got):\n%s", diff)
			}
			batch, err := client.BatchGetItem(t.Context(), &dynamodb.BatchGetItemInput{
				RequestItems: map[string]types.KeysAndAttributes{"users": {
					Keys:           []map[string]types.AttributeValue{key, attributes(object{"id": "absent"})},
					ConsistentRead: aws.Bool(test.consistent),
				}},
				ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
			})
			if err != nil {
				t.Fatalf("reading the batch: %v", err)
			}
			absent := 0.5
			if test.consistent {
				absent = 1
			}
			if got := aws.ToFloat64(batch.ConsumedCapacity[0].CapacityUnits); got != test.want+absent {
				t.Errorf("BatchGetItem of this and an absent item: %v units, want %v", got, test.want+absent)
			}
			if read, _ := engine.Consumed("users"); read != 2*test.want+absent {
				t.Errorf("the engine counted %v units, want %v", read, 2*test.want+absent)
			}
		})
	}
}

func TestPagesRoundUpTheirSum(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	for nr := 1; nr < 9; nr++ {
		// 4+1 for shop, 2+2 for no, 5+4 for phase, 1+1,000 for x: 1,019 bytes.
		put(t, client, "orders", object{"shop": "a", "nr": nr, "phase": "open", "x": strings.Repeat("x", 1000)})
	}
	tests := []struct {
		name  string
		input dynamodb.QueryInput
		want  consumption
	}{
		{"four items", dynamodb.QueryInput{Limit: aws.Int32(4), ConsistentRead: aws.Bool(true)}, consumption{Total: 1, Table: 1}},
		{"five items", dynamodb.QueryInput{Limit: aws.Int32(5), ConsistentRead: aws.Bool(true)}, consumption{Total: 2, Table: 2}},
		{"five items, eventually", dynamodb.QueryInput{Limit: aws.Int32(5)}, consumption{Total: 1, Table: 1}},
		{"counted", dynamodb.QueryInput{Select: types.SelectCount}, consumption{Total: 1, Table: 1}},
		{"filtered out", dynamodb.QueryInput{FilterExpression: aws.String("attribute_not_exists(x)")}, consumption{Total: 1, Table: 1}},
		{"whole index", dynamodb.QueryInput{IndexName: aws.String("noteByState")},
			consumption{Total: 0.5, Indexes: map[string]float64{"noteByState": 0.5}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			condition := "shop = :a"
			if test.input.IndexName != nil {
				condition = "phase = :open"
				test.input.ExpressionAttributeValues = attributes(object{":open": "open"})
			}
			test.input.ReturnConsumedCapacity = types.ReturnConsumedCapacityIndexes
			output, err := client.Query(t.Context(), query(test.input, condition))
			if err != nil {
				t.Fatalf("running the query: %v", err)
			}
			if diff := cmp.Diff(test.want, consumptionOf(output.ConsumedCapacity)); diff != "" {
				t.Errorf("capacity differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteUnits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		old, item object // nil for none
		want      float64
	}{
		{"nothing to delete", nil, nil, 1},
		{"1 KB", nil, sized(1024), 1},
		{"1 KB and a byte", nil, sized(1025), 2},
		{"smaller than before", sized(3000), sized(100), 3},
		{"larger than before", sized(100), sized(3000), 3},
		{"deleted", sized(3000), nil, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			engine, client := setup(t)
			if test.old != nil {
				put(t, client, "users", test.old)
			}
			_, before := engine.Consumed("users")
			var got *types.ConsumedCapacity
			if test.item != nil {
				output, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{
					TableName: aws.String("users"), Item: attributes(test.item),
					ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
				})
				if err != nil {
					t.Fatalf("putting the item: %v", err)
				}
				got = output.ConsumedCapacity
			} else {
				output, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
					TableName: aws.String("users"), Key: attributes(object{"id": "1"}),
					ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
				})
				if err != nil {
					t.Fatalf("deleting the item: %v", err)
				}
				got = output.ConsumedCapacity
			}
			if diff := cmp.Diff(consumption{Total: test.want, Table: test.want}, consumptionOf(got)); diff != "" {
				t.Errorf("capacity differs (-want +got):\n%s", diff)
			}
			if _, written := engine.Consumed("users"); written-before != test.want {
				t.Errorf("the engine counted %v units, want %v", written-before, test.want)
			}
		})
	}
}

func TestFailedConditionsConsume(t *testing.T) {
	t.Parallel()
	engine, client := setup(t)
	put(t, client, "users", sized(3000))
	_, before := engine.Consumed("users")
	_, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String("users"), Key: attributes(object{"id": "1"}), UpdateExpression: aws.String("REMOVE x"),
		ConditionExpression: aws.String("attribute_not_exists(id)"),
	})
	wantError(t, err, conditionFailed, "")
	if _, written := engine.Consumed("users"); written-before != 3 {
		t.Errorf("a failed condition on 3,000 bytes consumed %v units, want 3", written-before)
	}
	_, before = engine.Consumed("users")
	_, err = client.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		transactCheck("1", "attribute_not_exists(id)", ""), transactAdd("2"),
	}})
	wantError(t, err, "TransactionCanceledException", "")
	if _, written := engine.Consumed("users"); written-before != 8 {
		t.Errorf("a cancelled transaction on 3,000 bytes and a new item consumed %v units, want 8", written-before)
	}
}

func TestIndexWriteUnits(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	write := func(name string, item object, want consumption) {
		t.Helper()
		output, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: aws.String("orders"), Item: attributes(item), ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
		})
		if err != nil {
			t.Fatalf("putting the item: %v", err)
		}
		if diff := cmp.Diff(want, consumptionOf(output.ConsumedCapacity)); diff != "" {
			t.Errorf("%s: capacity differs (-want +got):\n%s", name, diff)
		}
	}
	order := func(more object) object {
		item := object{"shop": "a", "nr": 1}
		for name, v := range more {
			item[name] = v
		}
		return item
	}
	open := object{"phase": "open", "due": 1, "note": "x"}
	write("in no index", order(nil), consumption{Total: 1, Table: 1})
	write("into every index", order(open), consumption{4, 1, map[string]float64{"byState": 1, "keysByState": 1, "noteByState": 1}})
	write("unchanged", order(open), consumption{Total: 1, Table: 1})
	open["note"] = "y"
	write("an included attribute", order(open), consumption{3, 1, map[string]float64{"byState": 1, "noteByState": 1}})
	open["extra"] = 1
	write("an attribute of one index", order(open), consumption{2, 1, map[string]float64{"byState": 1}})
	open["due"] = 2
	write("one index's sort key", order(open), consumption{3, 1, map[string]float64{"byState": 2}})
	open["phase"] = "done"
	write("every index's key", order(open), consumption{7, 1, map[string]float64{"byState": 2, "keysByState": 2, "noteByState": 2}})
	open["note"] = strings.Repeat("x", 1500)
	write("larger", order(open), consumption{6, 2, map[string]float64{"byState": 2, "noteByState": 2}})
	write("out of every index", order(nil), consumption{7, 2, map[string]float64{"byState": 2, "keysByState": 1, "noteByState": 2}})
}

func TestTransactionUnits(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	put(t, client, "users", sized(3000))
	input := &dynamodb.TransactWriteItemsInput{
		ClientRequestToken:     aws.String("token"),
		ReturnConsumedCapacity: types.ReturnConsumedCapacityIndexes,
		TransactItems: []types.TransactWriteItem{
			transactPut("orders", object{"shop": "a", "nr": 1, "phase": "open"}),
			transactAdd("2"),
			transactCheck("1", "attribute_exists(id)", ""),
		},
	}
	for _, test := range []struct {
		name string
		want []consumption
	}{
		{"first", []consumption{
			{6, 2, map[string]float64{"keysByState": 2, "noteByState": 2}},
			{Total: 2 + 6, Table: 2 + 6},
		}},
		{"repeated", []consumption{{Total: 2, Table: 2}, {Total: 2 + 2, Table: 2 + 2}}},
	} {
		output, err := client.TransactWriteItems(t.Context(), input)
		if err != nil {
			t.Fatalf("writing the transaction: %v", err)
		}
		got := []consumption{consumptionOf(&output.ConsumedCapacity[0]), consumptionOf(&output.ConsumedCapacity[1])}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: capacity differs (-want +got):\n%s", test.name, diff)
		}
	}
	read, err := client.TransactGetItems(t.Context(), &dynamodb.TransactGetItemsInput{
		ReturnConsumedCapacity: types.ReturnConsumedCapacityTotal,
		TransactItems: []types.TransactGetItem{
			{Get: &types.Get{TableName: aws.String("users"), Key: attributes(object{"id": "1"})}},
			{Get: &types.Get{TableName: aws.String("users"), Key: attributes(object{"id": "absent"})}},
		},
	})
	if err != nil {
		t.Fatalf("reading the transaction: %v", err)
	}
	if got := aws.ToFloat64(read.ConsumedCapacity[0].CapacityUnits); got != 4 {
		t.Errorf("TransactGetItems of 3,000 bytes and an absent item: %v units, want 4", got)
	}
}
