package dynamolocal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
)

// The tables of these tests: users has a partition key only, orders a sort key and indexes of every projection.
var (
	users = dynamolocal.Table{
		Name:         "users",
		PartitionKey: dynamolocal.Key{Name: "id", Type: "S"},
		TimeToLive:   "expires",
	}
	orders = dynamolocal.Table{
		Name:         "orders",
		PartitionKey: dynamolocal.Key{Name: "shop", Type: "S"},
		SortKey:      dynamolocal.Key{Name: "nr", Type: "N"},
		Indexes: []dynamolocal.Index{
			{
				Name:         "byState",
				PartitionKey: dynamolocal.Key{Name: "phase", Type: "S"},
				SortKey:      dynamolocal.Key{Name: "due", Type: "N"},
			},
			{
				Name:         "keysByState",
				PartitionKey: dynamolocal.Key{Name: "phase", Type: "S"},
				Projection:   "KEYS_ONLY",
			},
			{
				Name:         "noteByState",
				PartitionKey: dynamolocal.Key{Name: "phase", Type: "S"},
				Projection:   "INCLUDE",
				Include:      []string{"note"},
			},
		},
	}
)

// noon is the time of these tests: their clocks stand still.
var noon = time.Date(2025, 10, 20, 12, 0, 0, 0, time.UTC)

// setup returns an engine with the users and orders tables and the SDK's client for it.
func setup(t *testing.T) (*dynamolocal.Engine, *dynamodb.Client) {
	t.Helper()
	engine := dynamolocal.New(func() time.Time { return noon }, users, orders)
	return engine, newClient("http://dynamodb.test", &http.Client{Transport: engine.Transport()})
}

func newClient(endpoint string, client *http.Client) *dynamodb.Client {
	return dynamodb.NewFromConfig(aws.Config{
		Region: "local",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
		BaseEndpoint:     aws.String(endpoint),
		HTTPClient:       client,
		RetryMaxAttempts: 1,
	})
}

// object is an item in Go's own types: string for S, int or number for N, []byte for B, bool, nil for NULL, list and
// object for L and M, []string, []int and [][]byte for sets.
type (
	object = map[string]any
	list   = []any
	number string
)

// attributes turns an object into the SDK's form.
func attributes(o object) map[string]types.AttributeValue {
	if o == nil {
		return nil
	}
	converted := make(map[string]types.AttributeValue, len(o))
	for name, v := range o {
		converted[name] = attribute(v)
	}
	return converted
}

func attribute(v any) types.AttributeValue {
	switch v := v.(type) {
	case string:
		return &types.AttributeValueMemberS{Value: v}
	case int:
		return &types.AttributeValueMemberN{Value: strconv.Itoa(v)}
	case number:
		return &types.AttributeValueMemberN{Value: string(v)}
	case []byte:
		return &types.AttributeValueMemberB{Value: v}
	case bool:
		return &types.AttributeValueMemberBOOL{Value: v}
	case object:
		return &types.AttributeValueMemberM{Value: attributes(v)}
	case list:
		elements := make([]types.AttributeValue, len(v))
		for i, element := range v {
			elements[i] = attribute(element)
		}
		return &types.AttributeValueMemberL{Value: elements}
	case []string:
		return &types.AttributeValueMemberSS{Value: v}
	case []int:
		members := make([]string, len(v))
		for i, n := range v {
			members[i] = strconv.Itoa(n)
		}
		return &types.AttributeValueMemberNS{Value: members}
	case [][]byte:
		return &types.AttributeValueMemberBS{Value: v}
	}
	return &types.AttributeValueMemberNULL{Value: true}
}

// plain turns the SDK's form into an object.
func plain(item map[string]types.AttributeValue) object {
	if item == nil {
		return nil
	}
	converted := make(object, len(item))
	for name, v := range item {
		converted[name] = plainValue(v)
	}
	return converted
}

func plainValue(v types.AttributeValue) any {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		if n, err := strconv.Atoi(v.Value); err == nil {
			return n
		}
		return number(v.Value)
	case *types.AttributeValueMemberB:
		return v.Value
	case *types.AttributeValueMemberBOOL:
		return v.Value
	case *types.AttributeValueMemberM:
		return plain(v.Value)
	case *types.AttributeValueMemberL:
		elements := make(list, len(v.Value))
		for i, element := range v.Value {
			elements[i] = plainValue(element)
		}
		return elements
	case *types.AttributeValueMemberSS:
		return v.Value
	case *types.AttributeValueMemberNS:
		members := make([]int, len(v.Value))
		for i, text := range v.Value {
			members[i], _ = strconv.Atoi(text)
		}
		return members
	case *types.AttributeValueMemberBS:
		return v.Value
	}
	return nil
}

// put stores an item, or ends the test.
func put(t *testing.T, client *dynamodb.Client, table string, item object) {
	t.Helper()
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: attributes(item)})
	if err != nil {
		t.Fatalf("putting %v: %v", item, err)
	}
}

// get returns an item, or nil, or ends the test.
func get(t *testing.T, client *dynamodb.Client, table string, key object) object {
	t.Helper()
	output, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: aws.String(table), Key: attributes(key), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		t.Fatalf("getting %v: %v", key, err)
	}
	return plain(output.Item)
}

// wantError checks an error's code, and that its message contains the text. An empty code means that no error is wanted.
func wantError(t *testing.T, err error, code, text string) {
	t.Helper()
	if code == "" {
		if err != nil {
			t.Errorf("the stand-in refuses with \"%v\" what DynamoDB accepts", err)
		}
		return
	}
	failure, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		t.Errorf("the stand-in gives the error %v where DynamoDB refuses with %s", err, code)
		return
	}
	if failure.ErrorCode() != code || !strings.Contains(failure.ErrorMessage(), text) {
		t.Errorf("the stand-in gives the error %v where DynamoDB refuses with %s: …%s…", err, code, text)
	}
}

const validationException = "ValidationException"

func TestRoundTripOfEveryType(t *testing.T) {
	t.Parallel()
	engine, inProcess := setup(t)
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	item := object{
		"id": "1", "text": "سلام <&> \"\\\n\x01", "none": "", "n": -17, "decimal": number("0.1"), "bytes": []byte{0, 255},
		"noBytes": []byte{}, "yes": true, "nr": false, "null": nil, "list": list{1, "a", list{}}, "map": object{"a": object{}},
		"strings": []string{"a", "b"}, "numbers": []int{1, 2}, "binaries": [][]byte{{1}, {2}},
	}
	for name, client := range map[string]*dynamodb.Client{
		"in process": inProcess, "over HTTP": newClient(server.URL, server.Client()),
	} {
		put(t, client, "users", item)
		if diff := cmp.Diff(item, get(t, client, "users", object{"id": "1"})); diff != "" {
			t.Errorf("%s: the item comes back otherwise than it was put (-put +got):\n%s", name, diff)
		}
		if got := get(t, client, "users", object{"id": "2"}); got != nil {
			t.Errorf("%s: reading an absent item gives %v", name, got)
		}
	}
	if n := engine.ItemCount("users"); n != 1 {
		t.Errorf("ItemCount says %d items, want 1", n)
	}
}

func TestClone(t *testing.T) {
	t.Parallel()
	engine, client := setup(t)
	for nr := range 1_000 { // more than a block holds
		put(t, client, "orders", object{"shop": "a", "nr": nr, "phase": "new", "due": nr})
	}
	clone := engine.Clone(func() time.Time { return noon })
	copied := newClient("http://dynamodb.test", &http.Client{Transport: clone.Transport()})
	if read, written := clone.Consumed("orders"); read != 0 || written != 0 {
		t.Errorf("the clone has consumed %v and %v units, want none", read, written)
	}
	put(t, client, "orders", object{"shop": "a", "nr": 1, "phase": "old", "due": 1})
	put(t, copied, "orders", object{"shop": "b", "nr": 1})
	for name, test := range map[string]struct {
		client *dynamodb.Client
		engine *dynamolocal.Engine
		items  int
		new    int32
	}{"original": {client, engine, 1_000, 999}, "clone": {copied, clone, 1_001, 1_000}} {
		page, err := test.client.Query(t.Context(), &dynamodb.QueryInput{
			TableName: aws.String("orders"), IndexName: aws.String("byState"), KeyConditionExpression: aws.String("phase = :p"),
			ExpressionAttributeValues: attributes(object{":p": "new"}), Select: types.SelectCount,
		})
		if err != nil {
			t.Fatalf("running the query: %v", err)
		}
		if n := test.engine.ItemCount("orders"); n != test.items || page.Count != test.new {
			t.Errorf("%s: %d items of which %d in the index, want %d and %d", name, n, page.Count, test.items, test.new)
		}
	}
}

func TestWireForm(t *testing.T) {
	t.Parallel()
	engine, _ := setup(t)
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	huge := `{"TableName":"users","Key":{"id":{"S":"` + strings.Repeat("x", 18<<20) + `"}}}`
	tests := []struct {
		name, target, body string
		status             int
		errorType          string
	}{
		{"item", "GetItem", `{"TableName":"users","Key":{"id":{"S":"1"}}}`, 200, ""},
		{"unknown operation", "PutEverything", `{}`, 400, "com.amazon.coral.service#UnknownOperationException"},
		{"no JSON", "GetItem", `{"TableName"`, 400, "com.amazon.coral.service#SerializationException"},
		{"no object", "GetItem", `[]`, 400, "com.amazon.coral.service#SerializationException"},
		{"two values", "GetItem", `{} {}`, 400, "com.amazon.coral.service#SerializationException"},
		{"empty body", "GetItem", ``, 400, "com.amazon.coral.service#SerializationException"},
		{"wrong type", "GetItem", `{"TableName":5}`, 400, "com.amazon.coral.service#SerializationException"},
		{"wrong value type", "GetItem", `{"TableName":"users","Key":{"id":{"S":1}}}`, 400, "com.amazon.coral.service#SerializationException"},
		{"wrong base64", "GetItem", `{"TableName":"users","Key":{"id":{"B":"!"}}}`, 400, "com.amazon.coral.service#SerializationException"},
		{"empty value", "GetItem", `{"TableName":"users","Key":{"id":{}}}`, 400, "com.amazon.coral.validate#ValidationException"},
		{"two types", "GetItem", `{"TableName":"users","Key":{"id":{"S":"1","N":"1"}}}`, 400, "com.amazon.coral.validate#ValidationException"},
		{"no table name", "GetItem", `null`, 400, "com.amazon.coral.validate#ValidationException"},
		{"replaced parameter", "GetItem", `{"TableName":"users","AttributesToGet":["id"]}`, 400, "com.amazon.coral.validate#ValidationException"},
		{"unknown table", "GetItem", `{"TableName":"none","Key":{}}`, 400, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"},
		{"too large", "GetItem", huge, 413, "com.amazonaws.dynamodb.v20120810#RequestEntityTooLarge"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(test.body))
			if err != nil {
				t.Fatalf("making the request: %v", err)
			}
			request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+test.target)
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatalf("sending the request: %v", err)
			}
			defer func() { _ = response.Body.Close() }()
			var body bytes.Buffer
			if _, err := body.ReadFrom(response.Body); err != nil {
				t.Fatalf("reading the answer: %v", err)
			}
			var answer struct {
				Type string `json:"__type"`
			}
			if err := json.Unmarshal(body.Bytes(), &answer); err != nil {
				t.Fatalf("the answer %q is no JSON: %v", body.String(), err)
			}
			if response.StatusCode != test.status || answer.Type != test.errorType {
				t.Errorf("the stand-in answers with %d %q, DynamoDB with %d %q", response.StatusCode, answer.Type, test.status, test.errorType)
			}
			want := strconv.FormatUint(uint64(crc32.ChecksumIEEE(body.Bytes())), 10)
			if got := response.Header.Get("X-Amz-Crc32"); got != want {
				t.Errorf("the answer's checksum X-Amz-Crc32 is %q, want %q: the SDK would refuse it", got, want)
			}
			if response.Header.Get("X-Amzn-Requestid") == "" || response.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
				t.Errorf("the answer's headers aren't DynamoDB's: %v", response.Header)
			}
		})
	}
}

func TestTransportHonoursContext(t *testing.T) {
	t.Parallel()
	engine, _ := setup(t)
	engine.WithTransactionTime(time.Hour)
	client := newClient("http://dynamodb.test", &http.Client{Transport: engine.Transport()})

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.ListTables(canceled, &dynamodb.ListTablesInput{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a call with an ended context gives %v, want context.Canceled", err)
	}

	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = client.TransactWriteItems(short, &dynamodb.TransactWriteItemsInput{
		TransactItems: []types.TransactWriteItem{transactPut("users", object{"id": "1"})},
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that waits for a held transaction gives %v, want context.DeadlineExceeded", err)
	}
	if got := get(t, client, "users", object{"id": "1"}); got != nil {
		t.Errorf("a read sees the item %v of a transaction that isn't over", got)
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	engine := dynamolocal.New(func() time.Time { return noon })
	client := newClient("http://dynamodb.test", &http.Client{Transport: engine.Transport()})
	create := &dynamodb.CreateTableInput{
		TableName:   aws.String("made"),
		BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("p"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("s"), KeyType: types.KeyTypeRange},
		},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("p"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("s"), AttributeType: types.ScalarAttributeTypeN},
			{AttributeName: aws.String("g"), AttributeType: types.ScalarAttributeTypeB},
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String("byG"),
			KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("g"), KeyType: types.KeyTypeHash}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	}
	if _, err := client.CreateTable(t.Context(), create); err != nil {
		t.Fatalf("creating the tables: %v", err)
	}
	_, err := client.CreateTable(t.Context(), create)
	wantError(t, err, "ResourceInUseException", "made")

	put(t, client, "made", object{"p": "a", "s": 1, "g": []byte("g")})
	put(t, client, "made", object{"p": "a", "s": 2})
	described, err := client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("made")})
	if err != nil {
		t.Fatalf("describing the table: %v", err)
	}
	table := described.Table
	if table.TableStatus != types.TableStatusActive || *table.ItemCount != 2 || !table.CreationDateTime.Equal(noon) {
		t.Errorf("the created table is %s with %d items, created at %s; want active, 2 items, noon", table.TableStatus, *table.ItemCount, table.CreationDateTime)
	}
	if got := *table.GlobalSecondaryIndexes[0].ItemCount; got != 1 {
		t.Errorf("the created index has %d items, want 1", got)
	}
	if len(table.KeySchema) != 2 || len(table.AttributeDefinitions) != 3 {
		t.Errorf("the table is described with the keys %v and attributes %v, want 2 and 3", table.KeySchema, table.AttributeDefinitions)
	}
	if _, err := client.DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("made")}); err != nil {
		t.Fatalf("deleting the tables: %v", err)
	}
	_, err = client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String("made")})
	wantError(t, err, "ResourceNotFoundException", "")
}

func TestListTables(t *testing.T) {
	t.Parallel()
	var tables []dynamolocal.Table
	for _, name := range []string{"c", "a", "b"} {
		tables = append(tables, dynamolocal.Table{Name: name, PartitionKey: users.PartitionKey})
	}
	engine := dynamolocal.New(time.Now, tables...)
	pages := dynamodb.NewListTablesPaginator(newClient("http://dynamodb.test", &http.Client{Transport: engine.Transport()}),
		&dynamodb.ListTablesInput{Limit: aws.Int32(2)})
	var names []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("reading the next page: %v", err)
		}
		names = append(names, page.TableNames...)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
		t.Errorf("tables differ (-want +got):\n%s", diff)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	engine, client := setup(t)
	past, future := int(noon.Add(-time.Second).Unix()), int(noon.Add(time.Second).Unix())
	put(t, client, "users", object{"id": "past", "expires": past})
	put(t, client, "users", object{"id": "now", "expires": int(noon.Unix())})
	put(t, client, "users", object{"id": "future", "expires": future})
	put(t, client, "users", object{"id": "text", "expires": strconv.Itoa(past)})
	put(t, client, "users", object{"id": "never"})
	if get(t, client, "users", object{"id": "past"}) == nil {
		t.Error("an expired item is gone before it was swept")
	}
	if swept := engine.Sweep(); swept != 2 {
		t.Errorf("swept %d items, want 2", swept)
	}
	for id, want := range map[string]bool{"past": false, "now": false, "future": true, "text": true, "never": true} {
		if got := get(t, client, "users", object{"id": id}) != nil; got != want {
			t.Errorf("after the sweep: %s is there: %t, want %t", id, got, want)
		}
	}
}

func TestTimeToLive(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	set := func(attribute string, enabled bool) error {
		_, err := client.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
			TableName: aws.String("users"),
			TimeToLiveSpecification: &types.TimeToLiveSpecification{
				AttributeName: aws.String(attribute), Enabled: aws.Bool(enabled),
			},
		})
		return err
	}
	status := func() types.TimeToLiveStatus {
		output, err := client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: aws.String("users")})
		if err != nil {
			t.Fatalf("reading the table's time to live: %v", err)
		}
		return output.TimeToLiveDescription.TimeToLiveStatus
	}
	if got := status(); got != types.TimeToLiveStatusEnabled {
		t.Errorf("status is %s, want ENABLED", got)
	}
	wantError(t, set("other", true), validationException, "already enabled")
	wantError(t, set("other", false), validationException, "different AttributeName")
	wantError(t, set("expires", false), "", "")
	wantError(t, set("expires", false), validationException, "already disabled")
	if got := status(); got != types.TimeToLiveStatusDisabled {
		t.Errorf("status is %s, want DISABLED", got)
	}
}
