package dynamolocal_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
)

// refusal is the answer to a refused request.
type refusal struct {
	Code, Message string
	// Reasons are the reasons of a cancelled transaction, as "code" or "code: message".
	Reasons []string
}

func invalid(message string) refusal { return refusal{Code: validationException, Message: message} }

func notFound() refusal {
	return refusal{Code: "ResourceNotFoundException", Message: "Requested resource not found"}
}

func canceled(reasons ...string) refusal {
	codes := make([]string, len(reasons))
	for i, reason := range reasons {
		codes[i], _, _ = strings.Cut(reason, ":")
	}
	return refusal{"TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [" +
		strings.Join(codes, ", ") + "]", reasons}
}

// refuse sends a request unchanged. The SDK itself would refuse many of these requests before DynamoDB can.
func refuse(t *testing.T, engine *dynamolocal.Engine, operation, body string) refusal {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://dynamodb.test", strings.NewReader(body))
	if err != nil {
		t.Fatalf("making the request: %v", err)
	}
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	response, err := (&http.Client{Transport: engine.Transport()}).Do(request)
	if err != nil {
		t.Fatalf("sending the request: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Type                string `json:"__type"`
		Message             string `json:"message"`
		CancellationReasons []struct{ Code, Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("decoding the answer: %v", err)
	}
	_, code, _ := strings.Cut(answer.Type, "#")
	got := refusal{Code: code, Message: answer.Message}
	for _, r := range answer.CancellationReasons {
		got.Reasons = append(got.Reasons, strings.TrimSuffix(r.Code+": "+r.Message, ": "))
	}
	return got
}

const (
	one         = "1 validation error detected: "
	enumBogus   = "Value 'BOGUS' at 'returnConsumedCapacity' failed to satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
	enumMetrics = "Value 'BOGUS' at 'returnItemCollectionMetrics' failed to satisfy constraint: Member must satisfy enum value set: [SIZE, NONE]"
	badName     = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
	syntax      = `Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "("`
	unused      = "Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}"
	mismatch    = "The provided key element does not match the schema"
	emptyKey    = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: id"
	emptyIndex  = "One or more parameter values are not valid. A value specified for a secondary index key is not supported. " +
		"The AttributeValue for a key attribute cannot contain an empty string value. IndexName: byState, IndexKey: phase"
	tooDeep = "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit"
)

// Actions of transactions, and their faults.
var (
	fine       = `{"Put":{"TableName":"users","Item":{"id":{"S":"a"}}}}`
	noTable    = `{"Put":{"TableName":"none","Item":{"id":{"S":"a"}}}}`
	badSyntax  = `{"ConditionCheck":{"TableName":"users","Key":{"id":{"S":"c"}},"ConditionExpression":"attribute_not_exists("}}`
	unusedOne  = `{"ConditionCheck":{"TableName":"users","Key":{"id":{"S":"c"}},"ConditionExpression":"attribute_not_exists(id)","ExpressionAttributeValues":{":v":{"S":"x"}}}}`
	deepItem   = `{"Put":{"TableName":"users","Item":{"id":{"S":"d"},"x":` + strings.Repeat(`{"L":[`, 32) + `{"S":"x"}` + strings.Repeat(`]}`, 32) + `}}}`
	wrongTyped = `{"Put":{"TableName":"users","Item":{"id":{"N":"5"}}}}`
	// The item has an attribute s, so the condition fails.
	failing = `{"ConditionCheck":{"TableName":"users","Key":{"id":{"S":"there"}},"ConditionExpression":"attribute_not_exists(id)"}}`
)

func transaction(actions ...string) string {
	return `{"TransactItems":[` + strings.Join(actions, ",") + `]}`
}

// updating is the Update of a transaction. Without its wrapper it is an UpdateItem.
func updating(key, update, values string) string {
	return fmt.Sprintf(`{"Update":{"TableName":"users","Key":{"id":%s},"UpdateExpression":%q,"ExpressionAttributeValues":%s}}`, key, update, values)
}

// TestRefusals compares the answers to invalid requests with AWS's own, recorded in October 2026 by
// github.com/paritysuite/dynamodb-conformance. Every request is refused before it changes anything.
func TestRefusals(t *testing.T) {
	t.Parallel()
	hundredAndOne := func(element string) string { return strings.TrimSuffix(strings.Repeat(element+",", 101), ",") }
	keys := make([]string, 101)
	for i := range keys {
		keys[i] = fmt.Sprintf(`{"id":{"S":"%d"}}`, i)
	}
	const phaseOrder = `"shop":{"S":"a"},"nr":{"N":"1"},"phase":`
	longName := strings.Repeat("n", 256)
	tooLong := "Value '" + longName + "' at 'tableName' failed to satisfy constraint: Member must have length less than or equal to 255"

	tests := []struct {
		name, operation, body string
		want                  refusal
	}{
		// The constraints of single members come first, and all of them are reported together.
		{"unknown detail of capacity", "GetItem", `{"TableName":"users","Key":{"id":{"S":"1"}},"ReturnConsumedCapacity":"BOGUS"}`, invalid(one + enumBogus)},
		{"unknown detail of capacity and no table", "Query", `{"TableName":"none","KeyConditionExpression":"id =","ReturnConsumedCapacity":"BOGUS"}`, invalid(one + enumBogus)},
		{"unknown details of a write", "PutItem", `{"TableName":"users","Item":{"id":{"S":"1"}},"ReturnConsumedCapacity":"BOGUS","ReturnItemCollectionMetrics":"BOGUS"}`,
			invalid("2 validation errors detected: " + enumBogus + "; " + enumMetrics)},
		{"unknown return values", "UpdateItem", `{"TableName":"none","Key":{"id":{"S":"1"}},"ReturnValues":"BOGUS"}`,
			invalid(one + "Value 'BOGUS' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]")},
		{"unknown selection", "Query", `{"TableName":"none","KeyConditionExpression":"id = :v","Select":"BOGUS"}`,
			invalid(one + "Value 'BOGUS' at 'select' failed to satisfy constraint: Member must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]")},
		{"no limit", "Query", `{"TableName":"users","KeyConditionExpression":"id = :v","ExpressionAttributeValues":{":v":{"S":"1"}},"Limit":0}`,
			invalid(one + "Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1")},
		{"no limit of a scan", "Scan", `{"TableName":"none","Limit":0}`,
			invalid(one + "Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1")},
		{"negative segment", "Scan", `{"TableName":"users","Segment":-1,"TotalSegments":4}`,
			invalid(one + "Value at 'Segment' failed to satisfy constraint: Member must have value greater than or equal to 0")},

		// A malformed table name is a fault of the request, even if no such table exists.
		{"malformed name", "PutItem", `{"TableName":"bad table!@#","Item":{"id":{"S":"1"}}}`, invalid(one + "Value 'bad table!@#' at 'tableName' failed to satisfy constraint: " + badName)},
		{"malformed name of a query", "Query", `{"TableName":"bad!","KeyConditionExpression":"id = :v"}`, invalid(one + "Value 'bad!' at 'tableName' failed to satisfy constraint: " + badName)},
		{"malformed name of a description", "DescribeTable", `{"TableName":"bad!"}`, invalid(one + "Value 'bad!' at 'tableName' failed to satisfy constraint: " + badName)},
		{"letters of another alphabet", "GetItem", `{"TableName":"جدول","Key":{"id":{"S":"1"}}}`, invalid(one + "Value 'جدول' at 'tableName' failed to satisfy constraint: " + badName)},
		{"long name", "GetItem", `{"TableName":"` + longName + `","Key":{"id":{"S":"1"}}}`, invalid(one + tooLong)},
		{"long name of a write", "DeleteItem", `{"TableName":"` + longName + `","Key":{"id":{"S":"1"}}}`, invalid(one + tooLong)},
		{"long name of a scan", "Scan", `{"TableName":"` + longName + `"}`, invalid(one + tooLong)},
		{"empty name", "UpdateItem", `{"TableName":"","Key":{"id":{"S":"1"}}}`, invalid(one + "Value at 'TableName' failed to satisfy constraint: Member must have length greater than or equal to 1")},

		// Expressions are parsed before the table is looked for.
		{"syntax before the table", "PutItem", `{"TableName":"none","Item":{"id":{"S":"1"}},"ConditionExpression":"attribute_not_exists("}`, invalid(syntax)},
		{"syntax of an update before the table", "UpdateItem", `{"TableName":"none","Key":{"id":{"S":"1"}},"UpdateExpression":"SET"}`,
			invalid(`Invalid UpdateExpression: Syntax error; token: "<EOF>", near: "SET"`)},
		{"syntax of a projection before the table", "GetItem", `{"TableName":"none","Key":{"id":{"S":"1"}},"ProjectionExpression":"!!!"}`,
			invalid(`Invalid ProjectionExpression: Syntax error; token: "!", near: "!!"`)},
		{"syntax of a filter before the table", "Scan", `{"TableName":"none","FilterExpression":"attribute_not_exists("}`,
			invalid(`Invalid FilterExpression: Syntax error; token: "<EOF>", near: "("`)},
		{"unused value before the table", "DeleteItem", `{"TableName":"none","Key":{"id":{"S":"1"}},"ConditionExpression":"attribute_exists(id)","ExpressionAttributeValues":{":v":{"S":"x"}}}`, invalid(unused)},
		{"wrong operand before the table", "Query", `{"TableName":"none","KeyConditionExpression":"id = :p AND begins_with(n, :v)","ExpressionAttributeValues":{":p":{"S":"q"},":v":{"N":"1"}}}`,
			invalid("Invalid KeyConditionExpression: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N")},
		{"no table", "Query", `{"TableName":"none","KeyConditionExpression":"id = :p","ExpressionAttributeValues":{":p":{"S":"q"}}}`, notFound()},
		{"no table to put into", "PutItem", `{"TableName":"none","Item":{"id":{"N":"1"}}}`, notFound()},
		{"two conditions on a sort key", "Query", `{"TableName":"none","KeyConditionExpression":"shop = :p AND nr > :a AND nr < :b","ExpressionAttributeValues":{":p":{"S":"q"},":a":{"N":"1"},":b":{"N":"5"}}}`,
			invalid("Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key")},
		{"three attributes in a key condition", "Query", `{"TableName":"orders","KeyConditionExpression":"shop = :p AND nr > :a AND extra = :b","ExpressionAttributeValues":{":p":{"S":"q"},":a":{"N":"1"},":b":{"N":"5"}}}`,
			invalid("The number of query conditions (3) exceeds the number of key attributes defined in the schema (2)")},

		// Batches.
		{"over 100 keys", "BatchGetItem", `{"RequestItems":{"users":{"Keys":[` + strings.Join(keys, ",") + `]}}}`,
			invalid(one + "Value at 'RequestItems.users.member.Keys' failed to satisfy constraint: Member must have length less than or equal to 100")},
		{"over 100 keys in two tables", "BatchGetItem", `{"RequestItems":{"users":{"Keys":[` + strings.Join(keys[:100], ",") + `]},"none":{"Keys":[` + keys[0] + `]}}}`,
			invalid("Too many items requested for the BatchGetItem call")},
		{"no keys at all", "BatchGetItem", `{"RequestItems":{}}`, invalid(one + "Value at 'RequestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"no keys of a table", "BatchGetItem", `{"RequestItems":{"users":{"Keys":[]}}}`, invalid(one + "Value at 'RequestItems.users.member.Keys' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"malformed name in a batch", "BatchGetItem", `{"RequestItems":{"bad!name":{"Keys":[{"pk":{"S":"a"}}]}},"ReturnConsumedCapacity":"BOGUS"}`,
			invalid(`2 validation errors detected: Value '{"bad!name":{"Keys":[{"pk":{"S":"a"}}]}}' at 'requestItems' failed to satisfy constraint: Map keys must satisfy constraint: ` +
				`[Member must have length less than or equal to 255, Member must have length greater than or equal to 3, ` + badName + `]; ` + enumBogus)},
		{"syntax in a batch before its other table", "BatchGetItem", `{"RequestItems":{"none":{"Keys":[` + keys[0] + `]},"users":{"Keys":[` + keys[0] + `],"ProjectionExpression":"!!!"}}}`,
			invalid(`Invalid ProjectionExpression: Syntax error; token: "!", near: "!!"`)},
		{"no table of a batch", "BatchGetItem", `{"RequestItems":{"none":{"Keys":[` + keys[0] + `]}}}`, notFound()},
		{"no writes at all", "BatchWriteItem", `{"RequestItems":{}}`, invalid(one + "Value at 'RequestItems' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"no writes of a table", "BatchWriteItem", `{"RequestItems":{"users":[]}}`,
			invalid(one + "Value '{users=[]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater than or equal to 1]")},
		{"unknown details of a batch of writes", "BatchWriteItem", `{"RequestItems":{"bad!name":[{"PutRequest":{"Item":{"id":{"S":"a"}}}}]},"ReturnConsumedCapacity":"BOGUS","ReturnItemCollectionMetrics":"BOGUS"}`,
			invalid("2 validation errors detected: " + enumBogus + "; " + enumMetrics)},
		{"wrong key in a batch", "BatchWriteItem", `{"RequestItems":{"users":[{"PutRequest":{"Item":{"id":{"N":"5"}}}}]}}`, invalid(mismatch)},
		{"item without its key in a batch", "BatchWriteItem", `{"RequestItems":{"users":[{"PutRequest":{"Item":{"x":{"N":"5"}}}}]}}`, invalid(mismatch)},
		{"empty key in a batch", "BatchWriteItem", `{"RequestItems":{"users":[{"PutRequest":{"Item":{"id":{"S":""}}}}]}}`, invalid(emptyKey)},

		// Transactions: rules that need no table.
		{"transaction of nothing", "TransactWriteItems", transaction(), invalid(one + "Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"transaction of 101 writes", "TransactWriteItems", transaction(hundredAndOne(fine)), invalid(one + "Value '[" +
			strings.ReplaceAll(hundredAndOne("TransactWriteItem(put=(tableName=users))"), ",", ", ") + "]' at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100")},
		{"reading nothing", "TransactGetItems", transaction(), invalid(one + "Value '[]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		{"reading 101 items", "TransactGetItems", transaction(hundredAndOne(`{"Get":{"TableName":"users","Key":{"id":{"S":"a"}}}}`)), invalid(one + "Value '[" +
			strings.ReplaceAll(hundredAndOne("TransactGetItem(get=(tableName=users))"), ",", ", ") + "]' at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100")},
		{"unknown details of a transaction", "TransactWriteItems", `{"TransactItems":[` + fine + `,` + fine + `],"ReturnConsumedCapacity":"BOGUS","ReturnItemCollectionMetrics":"BOGUS"}`,
			invalid("2 validation errors detected: " + enumBogus + "; " + enumMetrics)},
		{"unknown detail of a reading transaction", "TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"none","Key":{"id":{"S":"a"}}}}],"ReturnConsumedCapacity":"BOGUS"}`, invalid(one + enumBogus)},
		{"long token", "TransactWriteItems", `{"TransactItems":[` + fine + `],"ClientRequestToken":"` + strings.Repeat("x", 37) + `","ReturnConsumedCapacity":"BOGUS"}`,
			invalid("2 validation errors detected: Value '" + strings.Repeat("x", 37) + "' at 'clientRequestToken' failed to satisfy constraint: Member must have length less than or equal to 36; " + enumBogus)},
		{"malformed name in a transaction", "TransactWriteItems", transaction(badSyntax, `{"Put":{"TableName":"bad!name","Item":{"id":{"S":"a"}}}}`),
			invalid(one + "Value 'bad!name' at 'transactItems.2.member.put.tableName' failed to satisfy constraint: " + badName)},
		{"malformed name in a reading transaction", "TransactGetItems", transaction(`{"Get":{"TableName":"bad!name","Key":{"id":{"S":"a"}}}}`),
			invalid(one + "Value 'bad!name' at 'transactItems.1.member.get.tableName' failed to satisfy constraint: " + badName)},
		{"syntax after a missing table", "TransactWriteItems", transaction(noTable, badSyntax), invalid(syntax)},
		{"syntax before a deep item", "TransactWriteItems", transaction(badSyntax, deepItem), invalid(syntax)},
		{"syntax after a deep item", "TransactWriteItems", transaction(deepItem, badSyntax), invalid(tooDeep)},
		{"unused value after a missing table", "TransactWriteItems", transaction(noTable, unusedOne), invalid(unused)},
		{"unused value before a missing table", "TransactWriteItems", transaction(unusedOne, noTable), invalid(unused)},
		{"unused value and an item twice", "TransactWriteItems", transaction(fine, fine, unusedOne), invalid(unused)},
		{"no JSON in the second action", "TransactWriteItems", transaction(badSyntax, `{"Put":{"TableName":5}}`),
			refusal{Code: "SerializationException", Message: "Could not parse request body: json: cannot unmarshal number into Go struct field writeRequest.Put.TableName of type string"}},
		{"missing table", "TransactWriteItems", transaction(fine, noTable), notFound()},
		{"syntax of a reading transaction", "TransactGetItems", transaction(`{"Get":{"TableName":"none","Key":{"id":{"S":"a"}}}}`, `{"Get":{"TableName":"users","Key":{"id":{"S":"a"}},"ProjectionExpression":"!!!"}}`),
			invalid(`Invalid ProjectionExpression: Syntax error; token: "!", near: "!!"`)},

		// Transactions: a key of the wrong type cancels the transaction; an empty key is refused.
		{"put of a wrong key", "TransactWriteItems", transaction(fine, wrongTyped), canceled("None", "ValidationError: One or more parameter values were invalid: Type mismatch for key id expected: S actual: N")},
		{"put of a list for a key", "TransactWriteItems", transaction(`{"Put":{"TableName":"users","Item":{"id":{"L":[{"S":"x"}]}}}}`),
			canceled("ValidationError: One or more parameter values were invalid: Type mismatch for key id expected: S actual: L")},
		{"put without a key", "TransactWriteItems", transaction(`{"Put":{"TableName":"users","Item":{"x":{"S":"x"}}}}`),
			canceled("ValidationError: One or more parameter values were invalid: Missing the key id in the item")},
		{"update of a wrong key", "TransactWriteItems", transaction(updating(`{"N":"5"}`, "SET x = :v", `{":v":{"S":"x"}}`)), canceled("ValidationError: " + mismatch)},
		{"delete of a wrong key", "TransactWriteItems", transaction(`{"Delete":{"TableName":"users","Key":{"id":{"N":"5"}}}}`), canceled("ValidationError: " + mismatch)},
		{"check of a wrong key", "TransactWriteItems", transaction(`{"ConditionCheck":{"TableName":"users","Key":{"id":{"L":[]}},"ConditionExpression":"attribute_exists(id)"}}`), canceled("ValidationError: " + mismatch)},
		{"delete of too much of a key", "TransactWriteItems", transaction(`{"Delete":{"TableName":"users","Key":{"id":{"S":"5"},"x":{"S":"5"}}}}`), canceled("ValidationError: " + mismatch)},
		{"update of a key's attribute", "TransactWriteItems", transaction(updating(`{"S":"5"}`, "SET id = :v", `{":v":{"S":"x"}}`)),
			canceled("ValidationError: One or more parameter values were invalid: Cannot update attribute id. This attribute is part of the key")},
		{"wrong keys beside a failed condition", "TransactWriteItems", transaction(wrongTyped, failing, fine),
			canceled("ValidationError: One or more parameter values were invalid: Type mismatch for key id expected: S actual: N", "ConditionalCheckFailed: The conditional request failed", "None")},
		{"reading a wrong key", "TransactGetItems", transaction(`{"Get":{"TableName":"users","Key":{"id":{"S":"1"}}}}`, `{"Get":{"TableName":"users","Key":{}}}`), canceled("None", "ValidationError: "+mismatch)},
		{"wrong index key", "TransactWriteItems", transaction(`{"Put":{"TableName":"orders","Item":{` + phaseOrder + `{"N":"1"}}}}`),
			canceled("ValidationError: One or more parameter values were invalid: Type mismatch for Index Key phase Expected: S Actual: N IndexName: byState")},
		{"put of an empty key", "TransactWriteItems", transaction(`{"Put":{"TableName":"users","Item":{"id":{"S":""}}}}`), invalid(emptyKey)},
		{"update of an empty key", "TransactWriteItems", transaction(updating(`{"S":""}`, "SET x = :v", `{":v":{"S":"x"}}`)), invalid(emptyKey)},
		{"delete of an empty key", "TransactWriteItems", transaction(`{"Delete":{"TableName":"users","Key":{"id":{"S":""}}}}`), invalid(emptyKey)},
		{"put of an empty index key", "TransactWriteItems", transaction(failing, `{"Put":{"TableName":"orders","Item":{`+phaseOrder+`{"S":""}}}}`), invalid(emptyIndex)},
		{"update of an empty index key", "TransactWriteItems", transaction(`{"Update":{"TableName":"orders","Key":{"shop":{"S":"a"},"nr":{"N":"1"}},"UpdateExpression":"SET phase = :v","ExpressionAttributeValues":{":v":{"S":""}}}}`), invalid(emptyIndex)},
		{"empty index key of one item", "PutItem", `{"TableName":"orders","Item":{` + phaseOrder + `{"S":""}},"ConditionExpression":"attribute_exists(shop)"}`, invalid(emptyIndex)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			engine, client := setup(t)
			put(t, client, "users", object{"id": "there"})
			if diff := cmp.Diff(test.want, refuse(t, engine, test.operation, test.body)); diff != "" {
				t.Errorf("differs from AWS's answer (-AWS +here):\n%s", diff)
			}
			if users, orders := engine.ItemCount("users"), engine.ItemCount("orders"); users != 1 || orders != 0 {
				t.Errorf("the tables have %d and %d items afterwards, want 1 and 0", users, orders)
			}
		})
	}
}

// TestEmptyIndexKeyOfAnItem: an update that copies an empty value into an index's key is refused. Only carrying the update
// out shows the empty value.
func TestEmptyIndexKeyOfAnItem(t *testing.T) {
	t.Parallel()
	engine, client := setup(t)
	put(t, client, "orders", object{"shop": "a", "nr": 1, "note": ""})
	got := refuse(t, engine, "TransactWriteItems", transaction(`{"Update":{"TableName":"orders","Key":{"shop":{"S":"a"},"nr":{"N":"1"}},"UpdateExpression":"SET phase = note"}}`))
	if diff := cmp.Diff(canceled("ValidationError: "+emptyIndex), got); diff != "" {
		t.Errorf("the refusal differs (-want +got):\n%s", diff)
	}
}

func TestInvalidTables(t *testing.T) {
	t.Parallel()
	table := func(name, keys, indexes string) string {
		return fmt.Sprintf(`{"TableName":%q,"BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],`+
			`"KeySchema":[%s],"GlobalSecondaryIndexes":[%s]}`, name, keys, indexes)
	}
	const hash, sort = `{"AttributeName":"pk","KeyType":"HASH"}`, `{"AttributeName":"pk","KeyType":"RANGE"}`
	index := func(name string) string {
		return fmt.Sprintf(`{"IndexName":%q,"KeySchema":[%s],"Projection":{"ProjectionType":"ALL"}}`, name, hash)
	}
	const short = "failed to satisfy constraint: Member must have length greater than or equal to 3"
	for name, test := range map[string]struct{ body, want string }{
		"short name":             {table("ab", hash, ""), one + "Value 'ab' at 'tableName' " + short},
		"malformed name":         {table("abc!", hash, ""), one + "Value 'abc!' at 'tableName' failed to satisfy constraint: " + badName},
		"short index names":      {table("made", hash, index("g1")+","+index("byKey")+","+index("")), "2 validation errors detected: Value 'g1' at 'globalSecondaryIndexes.1.member.indexName' " + short + "; Value '' at 'globalSecondaryIndexes.3.member.indexName' " + short},
		"malformed index name":   {table("made", hash, index("by key")), one + "Value 'by key' at 'globalSecondaryIndexes.1.member.indexName' failed to satisfy constraint: " + badName},
		"index name given twice": {table("made", hash, index("same")+","+index("same")), "One or more parameter values were invalid: Duplicate index name: same"},
		"attribute given twice":  {table("made", hash+","+sort, ""), "Invalid KeySchema: Some index key attribute have no definition"},
		"attribute given twice in an index": {table("made", hash, `{"IndexName":"byKey","KeySchema":[`+hash+","+sort+`],"Projection":{"ProjectionType":"ALL"}}`),
			"Invalid KeySchema: Some index key attribute have no definition"},
		"three keys": {table("made", hash+","+sort+","+sort, ""), one + "Value '[KeySchemaElement(attributeName=pk, keyType=HASH), KeySchemaElement(attributeName=pk, keyType=RANGE), " +
			"KeySchemaElement(attributeName=pk, keyType=RANGE)]' at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2"},
		"unknown type of key": {table("made", `{"AttributeName":"pk","KeyType":"BOGUS"}`, ""), one + "Value 'BOGUS' at 'keySchema.1.member.keyType' failed to satisfy constraint: Member must satisfy enum value set: [HASH, RANGE]"},
		"unknown billing":     {strings.Replace(table("made", hash, ""), "PAY_PER_REQUEST", "BOGUS", 1), one + "Value 'BOGUS' at 'billingMode' failed to satisfy constraint: Member must satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"},
		"unknown type of attribute": {strings.Replace(table("made", hash, ""), `"AttributeType":"S"`, `"AttributeType":"BOGUS"`, 1),
			one + "Value 'BOGUS' at 'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member must satisfy enum value set: [B, N, S]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine, _ := setup(t)
			if diff := cmp.Diff(invalid(test.want), refuse(t, engine, "CreateTable", test.body)); diff != "" {
				t.Errorf("differs from AWS's answer (-AWS +here):\n%s", diff)
			}
		})
	}
}

// TestBatchOfTooManyWrites doesn't compare the request that the message repeats, because its form differs between regions.
func TestBatchOfTooManyWrites(t *testing.T) {
	t.Parallel()
	engine, _ := setup(t)
	writes := strings.TrimSuffix(strings.Repeat(`{"PutRequest":{"Item":{"id":{"S":"a"}}}},`, 26), ",")
	got := refuse(t, engine, "BatchWriteItem", `{"RequestItems":{"users":[`+writes+`]}}`)
	start, end := one+"Value '{users=[WriteRequest(putRequest=", "]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: "+
		"[Member must have length less than or equal to 25, Member must have length greater than or equal to 1]"
	if got.Code != validationException || !strings.HasPrefix(got.Message, start) || !strings.HasSuffix(got.Message, end) {
		t.Errorf("the stand-in answers with %s: %s, which isn't AWS's answer", got.Code, got.Message)
	}
}
