package dynamolocal

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fuzzItem has an attribute of every type.
func fuzzItem(tb testing.TB) document {
	tb.Helper()
	var item document
	err := json.Unmarshal([]byte(`{"id":{"S":"1"},"s":{"S":"x"},"n":{"N":"1"},"b":{"B":"AA=="},"l":{"L":[{"N":"1"},{"M":{"a":{"N":"1"}}}]},
		"m":{"M":{"a":{"N":"1"},"l":{"L":[]}}},"ss":{"SS":["a","b"]},"ns":{"NS":["1","2"]},"t":{"BOOL":true},"z":{"NULL":true}}`), &item)
	if err != nil {
		tb.Fatalf("decoding the seed: %v", err)
	}
	return item
}

func fuzzPlaceholders(tb testing.TB) *placeholders {
	tb.Helper()
	var values document
	err := json.Unmarshal([]byte(`{":s":{"S":"N"},":n":{"N":"1"},":l":{"L":[]},":ss":{"SS":["a","b"]},":m":{"M":{}}}`), &values)
	if err != nil {
		tb.Fatalf("decoding the seed: %v", err)
	}
	known, err := newPlaceholders(map[string]string{"#n": "n", "#m": "m"}, values)
	if err != nil {
		tb.Fatalf("reading the placeholders: %v", err)
	}
	return known
}

// wantServiceError fails for an error that isn't in the form of the service's errors.
func wantServiceError(tb testing.TB, err error) {
	tb.Helper()
	if failure, ok := errors.AsType[*serviceError](err); !ok || failure.status >= http.StatusInternalServerError {
		tb.Errorf("got %v, want a service error", err)
	}
}

func FuzzCondition(f *testing.F) {
	for _, seed := range []string{
		"#n = :n AND NOT (s <> :s OR l[0] < :n)", "n BETWEEN :n AND :n", "n IN (:n, s)", "attribute_exists(m.a)", "size(ss) >= :n",
		"attribute_type(n, :s) and contains(ss, :s) or begins_with(s, :s)", "((n) = (:n))", "a.b[1].c = :m", "n = \xff", "", "(((", "NOT NOT",
	} {
		f.Add(seed)
	}
	item := fuzzItem(f)
	f.Fuzz(func(t *testing.T, text string) {
		parsed, attributes, err := fuzzPlaceholders(t).condition("ConditionExpression", &text)
		if err != nil {
			wantServiceError(t, err)
			return
		}
		if (not{parsed}).holds(item) == parsed.holds(item) {
			t.Errorf("%q is true and false at once", text)
		}
		for _, name := range attributes {
			if !strings.Contains(text, name) && name != "n" && name != "m" {
				t.Errorf("%q looks at %q", text, name)
			}
		}
	})
}

func FuzzUpdate(f *testing.F) {
	for _, seed := range []string{
		"SET n = n + :n, s = if_not_exists(a, :s) REMOVE m.a, l[0] ADD ns :n DELETE ss :ss", "SET l = list_append(l, :l)", "SET l[5] = :n, l[9] = :n",
		"SET #m.#n = (:n - n)", "ADD q.w[1] :n", "SET", "REMOVE", "SET a", "REMOVE l[0], l[1] SET l[1].a = :n", "DELETE", "set x=:n,",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		item := fuzzItem(t)
		parsed, err := fuzzPlaceholders(t).update(&text)
		if err != nil {
			wantServiceError(t, err)
			return
		}
		changed, err := parsed.apply(item)
		if err != nil {
			wantServiceError(t, err)
		}
		if !equal(item, fuzzItem(t)) {
			t.Errorf("%q changed the item in place", text)
		}
		_ = parsed.touched(changed)
		encoded, err := changed.MarshalJSON()
		if err != nil || !json.Valid(encoded) {
			t.Errorf("%q leaves %s, %v", text, encoded, err)
		}
	})
}

func FuzzProjection(f *testing.F) {
	for _, seed := range []string{"n", "m.a, l[1].a, #n", "n, n", "l[0], l[1]", "m.l[0]", ",", "a.", "a[", "a[99999999999999999999]"} {
		f.Add(seed)
	}
	item := fuzzItem(f)
	f.Fuzz(func(t *testing.T, text string) {
		selected, err := fuzzPlaceholders(t).projection(&text)
		if err != nil {
			wantServiceError(t, err)
			return
		}
		kept := projectDocument(selected, item)
		if again := projectDocument(selected, kept); len(again) > len(kept) {
			t.Errorf("%q of %v finds %v", text, kept, again)
		}
	})
}

func FuzzItem(f *testing.F) {
	for _, seed := range []string{
		`{"a":{"S":"\u0000<\ud800"}}`, `{"a":{"N":"-1.50e-3"}}`, `{"a":{"M":{"b":{"L":[{"NULL":true}]}}}}`, `{"a":{"BS":["AA=="]}}`,
		`{"a":{"NS":["1","2.0"]}}`, `{"a":{}}`, `{"a":{"S":null}}`, `null`, `{"":{"S":""}}`, `{"a":{"L":[[]]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		item, err := decodeDocument(data, 1)
		if err != nil {
			wantServiceError(t, err)
			return
		}
		encoded, err := item.MarshalJSON()
		if err != nil {
			t.Fatalf("encoding the JSON: %v", err)
		}
		again, err := decodeDocument(encoded, 1)
		if err != nil || !equal(item, again) || item.size() != again.size() {
			t.Errorf("%s is %s, which is read as %v, %v", data, encoded, again, err)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add("PutItem", []byte(`{"TableName":"t","Item":{"p":{"S":"a"},"s":{"N":"1"},"g":{"B":"AA=="}},"ReturnValues":"ALL_OLD"}`))
	f.Add("GetItem", []byte(`{"TableName":"t","Key":{"p":{"S":"a"},"s":{"N":"1"}},"ProjectionExpression":"a"}`))
	f.Add("UpdateItem", []byte(`{"TableName":"t","Key":{"p":{"S":"a"},"s":{"N":"1"}},"UpdateExpression":"REMOVE a"}`))
	f.Add("DeleteItem", []byte(`{"TableName":"t","Key":{"p":{"S":"a"},"s":{"N":"1"}}}`))
	f.Add("Query", []byte(`{"TableName":"t","KeyConditionExpression":"p=:p","ExpressionAttributeValues":{":p":{"S":"a"}},"Limit":1}`))
	f.Add("Query", []byte(`{"TableName":"t","IndexName":"i","KeyConditionExpression":"g=:g","ExpressionAttributeValues":{":g":{"B":"AA=="}}}`))
	f.Add("Scan", []byte(`{"TableName":"t","Segment":0,"TotalSegments":2,"ExclusiveStartKey":{"p":{"S":"a"},"s":{"N":"1"}}}`))
	f.Add("BatchGetItem", []byte(`{"RequestItems":{"t":{"Keys":[{"p":{"S":"a"},"s":{"N":"1"}}]}}}`))
	f.Add("BatchWriteItem", []byte(`{"RequestItems":{"t":[{"PutRequest":{"Item":{"p":{"S":"a"},"s":{"N":"1"}}}}]}}`))
	f.Add("TransactWriteItems", []byte(`{"TransactItems":[{"Put":{"TableName":"t","Item":{"p":{"S":"a"},"s":{"N":"1"}}}}],"ClientRequestToken":"x"}`))
	f.Add("TransactGetItems", []byte(`{"TransactItems":[{"Get":{"TableName":"t","Key":{"p":{"S":"a"},"s":{"N":"1"}}}}]}`))
	f.Add("CreateTable", []byte(`{"TableName":"new","KeySchema":[{"AttributeName":"p","KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"}]}`))
	f.Add("UpdateTimeToLive", []byte(`{"TableName":"t","TimeToLiveSpecification":{"AttributeName":"a","Enabled":true}}`))
	f.Add("ListTables", []byte(`{"Limit":1}`))
	f.Fuzz(func(t *testing.T, operation string, body []byte) {
		engine := New(time.Now, Table{
			Name: "t", PartitionKey: Key{"p", "S"}, SortKey: Key{"s", "N"},
			Indexes: []Index{{Name: "i", PartitionKey: Key{"g", "B"}}},
		})
		request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		request.Header["X-Amz-Target"] = []string{targetPrefix + operation}
		status, _, answer := engine.answer(request)
		if status >= http.StatusInternalServerError || !json.Valid(answer) {
			t.Errorf("%s with %q: %d %s", operation, body, status, answer)
		}
	})
}
