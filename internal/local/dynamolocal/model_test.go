package dynamolocal_test

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"pgregory.net/rapid"
)

// model is the expected content of the orders table: each order's attributes by shop and number.
type model map[string]map[int]object

// TestModel makes random writes to the table and to a model, and compares their results and content.
func TestModel(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		engine := dynamolocal.New(time.Now, orders)
		client := newClient("http://dynamodb.test", &http.Client{Transport: engine.Transport()})
		expected := model{"a": {}, "b": {}}
		for range rapid.IntRange(1, 25).Draw(t, "writes") {
			shop, nr := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "shop"), rapid.IntRange(-3, 3).Draw(t, "nr")
			old := expected[shop][nr]
			changed, got, err := randomWrite(ctx, t, client, shop, nr, old)
			if err != nil {
				t.Fatalf("writing a random item: %v", err)
			}
			if diff := cmp.Diff(changed, got); diff != "" {
				t.Fatalf("returned item differs (-want +got):\n%s", diff)
			}
			if changed == nil {
				delete(expected[shop], nr)
			} else {
				expected[shop][nr] = changed
			}
		}
		expected.check(ctx, t, client)
		if got := engine.ItemCount("orders"); got != len(expected["a"])+len(expected["b"]) {
			t.Errorf("the table has %d items, want %d and %d", got, len(expected["a"]), len(expected["b"]))
		}
	})
}

// randomWrite makes one write. It returns the resulting order, once from the model and once from the table.
func randomWrite(
	ctx context.Context, t *rapid.T, client *dynamodb.Client, shop string, nr int, old object,
) (want, got object, err error) {
	key := object{"shop": shop, "nr": nr}
	want = maps.Clone(key)
	if old != nil {
		want = maps.Clone(old)
	}
	n := rapid.IntRange(-9, 9).Draw(t, "n")
	update := func(expression string, value any) (object, object, error) {
		output, err := client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: aws.String("orders"), Key: attributes(key), UpdateExpression: aws.String(expression),
			ExpressionAttributeValues: attributes(object{":v": value}), ReturnValues: types.ReturnValueAllNew,
		})
		if err != nil {
			return nil, nil, err
		}
		return want, plain(output.Attributes), nil
	}
	tally, _ := want["tally"].(int)
	entries, _ := want["entries"].(list)
	switch rapid.SampledFrom([]string{"put", "delete", "add", "set", "append", "phase"}).Draw(t, "write") {
	case "put":
		want = object{"shop": shop, "nr": nr, "tally": n}
		_, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("orders"), Item: attributes(want)})
		return want, want, err
	case "delete":
		output, err := client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: aws.String("orders"), Key: attributes(key), ReturnValues: types.ReturnValueAllOld,
		})
		if err == nil && cmp.Diff(old, plain(output.Attributes)) != "" {
			t.Fatalf("deleted %v, want %v", plain(output.Attributes), old)
		}
		return nil, nil, err
	case "add":
		want["tally"] = tally + n
		return update("ADD tally :v", n)
	case "set":
		want["x"] = n
		delete(want, "entries")
		return update("SET x = :v REMOVE entries", n)
	case "append":
		want["entries"] = append(slices.Clone(entries), n)
		if entries == nil {
			return update("SET entries = :v", list{n})
		}
		return update("SET entries = list_append(entries, :v)", list{n})
	}
	want["phase"] = "open"
	return update("SET phase = :v", "open")
}

// check compares the whole model with the results of queries.
func (m model) check(ctx context.Context, t *rapid.T, client *dynamodb.Client) {
	open := 0
	for shop, shopOrders := range m {
		var want []object
		for _, nr := range slices.Sorted(maps.Keys(shopOrders)) {
			want = append(want, shopOrders[nr])
			if shopOrders[nr]["phase"] == "open" {
				open++
			}
		}
		pages := dynamodb.NewQueryPaginator(client, query(dynamodb.QueryInput{
			Limit:                     aws.Int32(int32(rapid.IntRange(1, 4).Draw(t, "limit"))),
			ExpressionAttributeValues: attributes(object{":shop": shop}),
		}, "shop = :shop"))
		var got []object
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatalf("reading the next page: %v", err)
			}
			for _, item := range page.Items {
				got = append(got, plain(item))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("orders of %s differ (-want +got):\n%s", shop, diff)
		}
	}
	output, err := client.Query(ctx, query(dynamodb.QueryInput{
		IndexName: aws.String("keysByState"), Select: types.SelectCount,
		ExpressionAttributeValues: attributes(object{":open": "open"}),
	}, "phase = :open"))
	if err != nil {
		t.Fatalf("running the query: %v", err)
	}
	if int(output.Count) != open {
		t.Fatalf("the index has %d open orders, want %d", output.Count, open)
	}
}
