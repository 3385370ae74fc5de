package dynamolocal_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

const conditionFailed = "ConditionalCheckFailedException"

func TestConditions(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	item := object{
		"id": "1", "s": "héé", "n": 5, "ss": []string{"x", "yy"}, "l": list{1, "a"}, "m": object{"k": "v", "odd.key": 1},
		"yes": true, "nil": nil, "b": []byte("abc"), "half": number("0.5"),
	}
	put(t, client, "users", item)
	tests := []struct {
		condition string
		values    object
		names     map[string]string
		want      bool
	}{
		{"n = :v", object{":v": 5}, nil, true},
		{"n=:v", object{":v": number("5.00")}, nil, true},
		{"n = :v", object{":v": "5"}, nil, false},
		{"n <> :v", object{":v": "5"}, nil, true},
		{"half < :v", object{":v": number("0.50000000000000000000000000000000000001")}, nil, true},
		{"n < :v", object{":v": 10}, nil, true},
		{"n < :v", object{":v": "9"}, nil, false},
		{"n <= :v", object{":v": 5}, nil, true},
		{"n > :v", object{":v": -6}, nil, true},
		{"n >= :v", object{":v": 6}, nil, false},
		{"s < :v", object{":v": "i"}, nil, true},
		{"b < :v", object{":v": []byte("abd")}, nil, true},
		{":v = n", object{":v": 5}, nil, true},
		{":v = :w", object{":v": 5, ":w": 5}, nil, true},
		{":v = :v", object{":v": 5}, nil, true},
		{"yes = :v", object{":v": true}, nil, true},
		{"nil = :v", object{":v": nil}, nil, true},
		{"ss = :v", object{":v": []string{"yy", "x"}}, nil, true},
		{"l = :v", object{":v": list{number("1.0"), "a"}}, nil, true},
		{"l = :v", object{":v": list{"a", 1}}, nil, false},
		{"m = :v", object{":v": object{"odd.key": 1, "k": "v"}}, nil, true},
		{"m = :v", object{":v": object{"k": "v"}}, nil, false},

		// An absent attribute differs from every value, and has no order.
		{"absent = :v", object{":v": 5}, nil, false},
		{"absent <> :v", object{":v": 5}, nil, true},
		{"absent = lost", nil, nil, false},
		{"absent <> lost", nil, nil, true},
		{"absent < :v", object{":v": 5}, nil, false},
		{"NOT absent = :v", object{":v": 5}, nil, true},

		{"n BETWEEN :a AND :b", object{":a": 5, ":b": 6}, nil, true},
		{"n between :a and :b", object{":a": 6, ":b": 7}, nil, false},
		{"n BETWEEN half AND :b", object{":b": 7}, nil, true},
		{"n IN (:a, :b)", object{":a": 4, ":b": 5}, nil, true},
		{"n IN (:a, s)", object{":a": 4}, nil, false},
		{"absent IN (lost)", nil, nil, false},

		// AND binds tighter than OR, NOT tighter than AND.
		{"n = :y OR n = :x AND n = :x", object{":x": 0, ":y": 5}, nil, true},
		{"(n = :y OR n = :x) AND n = :x", object{":x": 0, ":y": 5}, nil, false},
		{"NOT n = :x AND n = :x", object{":x": 0}, nil, false},
		{"NOT (n = :x AND n = :x)", object{":x": 0}, nil, true},
		{"NOT NOT n = :v", object{":v": 5}, nil, true},
		{"((n = :v) AND s <> :v)", object{":v": 5}, nil, true},
		{"(n) = (:v)", object{":v": 5}, nil, true},

		{"attribute_exists(id)", nil, nil, true},
		{"attribute_exists (m.k)", nil, nil, true},
		{"attribute_exists(m.absent)", nil, nil, false},
		{"attribute_exists(l[1])", nil, nil, true},
		{"attribute_exists(l[2])", nil, nil, false},
		{"attribute_exists(s[0])", nil, nil, false},
		{"attribute_exists(l.k)", nil, nil, false},
		{"attribute_not_exists(absent)", nil, nil, true},
		{"attribute_not_exists(nil)", nil, nil, false},
		{"attribute_type(n, :t)", object{":t": "N"}, nil, true},
		{"attribute_type(ss, :t)", object{":t": "NS"}, nil, false},
		{"attribute_type(absent, :t)", object{":t": "NULL"}, nil, false},
		{"begins_with(s, :v)", object{":v": "hé"}, nil, true},
		{"begins_with(b, :v)", object{":v": []byte("ab")}, nil, true},
		{"begins_with(n, :v)", object{":v": "5"}, nil, false},
		{"begins_with(:v, s)", object{":v": "héééé"}, nil, true},
		{"contains(s, :v)", object{":v": "éé"}, nil, true},
		{"contains(b, :v)", object{":v": []byte("bc")}, nil, true},
		{"contains(ss, :v)", object{":v": "yy"}, nil, true},
		{"contains(ss, :v)", object{":v": "y"}, nil, false},
		{"contains(l, :v)", object{":v": number("1.0")}, nil, true},
		{"contains(m, :v)", object{":v": "k"}, nil, false},
		{"contains(s, :v)", object{":v": 5}, nil, false},
		{"contains(:v, n)", object{":v": []int{4, 5}}, nil, true},
		{"size(s) = :v", object{":v": 3}, nil, true},
		{"size(b) = :v", object{":v": 3}, nil, true},
		{"size(ss) = size(l)", nil, nil, true},
		{"size(m) > :v", object{":v": 1}, nil, true},
		{"size(n) = :v", object{":v": 1}, nil, false},
		{"size(absent) < :v", object{":v": 1}, nil, false},

		{"#n = :v", object{":v": 5}, map[string]string{"#n": "n"}, true},
		{"m.#k = :v", object{":v": 1}, map[string]string{"#k": "odd.key"}, true},
		{"#1.#2 = :3", object{":3": "v"}, map[string]string{"#1": "m", "#2": "k"}, true},
		{"l [ 0 ] = :v", object{":v": 1}, nil, true},
		{"m . k = :v", object{":v": "v"}, nil, true},
	}
	for _, test := range tests {
		t.Run(test.condition, func(t *testing.T) {
			t.Parallel()
			code := conditionFailed
			if test.want {
				code = ""
			}
			_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{
				TableName: aws.String("users"), Item: attributes(item), ConditionExpression: aws.String(test.condition),
				ExpressionAttributeNames: test.names, ExpressionAttributeValues: attributes(test.values),
			})
			wantError(t, err, code, "")
		})
	}
}

func TestInvalidConditions(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	hundred := make(object)
	operands := make([]string, 101)
	for i := range operands {
		operands[i] = fmt.Sprintf(":v%d", i)
		hundred[operands[i]] = i
	}
	tests := []struct {
		condition string
		values    object
		names     map[string]string
		message   string
	}{
		{"", nil, nil, "The expression can not be empty;"},
		{" ", nil, nil, `Syntax error; token: "<EOF>"`},
		{"n", nil, nil, `Syntax error; token: "<EOF>", near: "n"`},
		{"n =", nil, nil, `Syntax error; token: "<EOF>", near: "="`},
		{"n = :v AND", object{":v": 1}, nil, `Syntax error; token: "<EOF>", near: "AND"`},
		{"n = :v n = :v", object{":v": 1}, nil, `Syntax error; token: "n", near: ":v n ="`},
		{"n == :v", object{":v": 1}, nil, `Syntax error; token: "=", near: "== :v"`},
		{"n != :v", object{":v": 1}, nil, `Syntax error; token: "!", near: "n !="`},
		{"n < = :v", object{":v": 1}, nil, `Syntax error; token: "="`},
		{"n + :v = :v", object{":v": 1}, nil, `Syntax error; token: "+"`},
		{"n = :v é", object{":v": 1}, nil, `Syntax error; token: "é"`},
		{"n IN ()", nil, nil, `Syntax error; token: ")"`},
		{"n IN :v", object{":v": 1}, nil, `Syntax error; token: ":v"`},
		{"n BETWEEN :v OR :v", object{":v": 1}, nil, `Syntax error; token: "OR"`},
		{"(n = :v", object{":v": 1}, nil, `Syntax error; token: "<EOF>"`},
		{"n = :v)", object{":v": 1}, nil, `Syntax error; token: ")"`},
		{"l[01] = :v", object{":v": 1}, nil, `Syntax error; token: "1"`},
		{"l[:v] = :v", object{":v": 1}, nil, `Syntax error; token: ":v"`},
		{"l[99999999999] = :v", object{":v": 1}, nil, "List index is not within the allowable range"},
		{"_n = :v", object{":v": 1}, nil, `Syntax error; token: "_"`},
		{"((n = :v))", object{":v": 1}, nil, "redundant parentheses"},
		{"NOT n", nil, nil, "Syntax error"},
		{"(n = :v) = :v", object{":v": 1}, nil, "Syntax error"},
		{"name = :v", object{":v": 1}, nil, "reserved keyword; reserved keyword: name"},
		{"m.Status = :v", object{":v": 1}, nil, "reserved keyword; reserved keyword: Status"},
		{"n = :w", object{":v": 1}, nil, "attribute value used in expression is not defined; attribute value: :w"},
		{"#n = :v", object{":v": 1}, nil, "name used in the document path is not defined; attribute name: #n"},
		{"n = :v", object{":v": 1, ":b": 1, ":a": 1}, nil, "unused in expressions: keys: {:a, :b}"},
		{"n = :v", object{":v": 1}, map[string]string{"#n": "n"}, "unused in expressions: keys: {#n}"},
		{"n = :v", object{":v": 1, "w": 1}, nil, `ExpressionAttributeValues contains invalid key: Syntax error; key: "w"`},
		{"n = :v", object{":v": 1}, map[string]string{"#a-b": "n"}, `ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b"`},
		{"n = n", nil, nil, "The first operand must be distinct from the remaining operands"},
		{"n BETWEEN l AND n", nil, nil, "operator: BETWEEN, first operand: [n]"},
		{"begins_with(s, size(s))", nil, nil, "operator or function: begins_with, operand type: N"},
		{"n < :v", object{":v": true}, nil, "operator or function: <, operand type: BOOL"},
		{"ss < :v", object{":v": []string{"a"}}, nil, "operator or function: <, operand type: SS"},
		{"n BETWEEN :b AND :a", object{":a": 1, ":b": 2}, nil, "requires upper bound to be greater than or equal to lower bound"},
		{"n BETWEEN :a AND :b", object{":a": 1, ":b": "2"}, nil, "requires same data type for lower and upper bounds"},
		{"n IN (" + strings.Join(operands, ",") + ")", hundred, nil, "number of operands: 101"},
		{"nosuch(n)", nil, nil, "Invalid function name; function: nosuch"},
		{"ATTRIBUTE_EXISTS(n)", nil, nil, "Invalid function name; function: ATTRIBUTE_EXISTS"},
		{"list_append(n, s) = n", nil, nil, "not allowed in a condition expression; function: list_append"},
		{"size(n)", nil, nil, "not allowed to be used this way in an expression; function: size"},
		{"attribute_exists(n) = :v", object{":v": 1}, nil, "not allowed to be used this way in an expression; function: attribute_exists"},
		{"attribute_exists(:v)", object{":v": 1}, nil, "requires a document path; operator or function: attribute_exists"},
		{"attribute_exists(n, s)", nil, nil, "attribute_exists, number of operands: 2"},
		{"attribute_type(n, :v)", object{":v": "Q"}, nil, "Invalid attribute type name found; type: Q"},
		{"attribute_type(n, :v)", object{":v": 1}, nil, "operator or function: attribute_type, operand type: N"},
		{"attribute_type(n, s)", nil, nil, "operator or function: attribute_type"},
		{"begins_with(s, :v)", object{":v": 1}, nil, "operator or function: begins_with, operand type: N"},
		{"size(:v) = :w", object{":v": 1, ":w": 1}, nil, "operator or function: size, operand type: N"},
		{strings.Repeat("n = :v AND ", 150) + "n = :v", object{":v": 1}, nil, "too many operators; operator count: 301"},
		{"n = :v" + strings.Repeat(" ", 4096), object{":v": 1}, nil, "maximum allowed size; expression size: 4102"},
		{"n" + strings.Repeat(".n", 32) + " = :v", object{":v": 1}, nil, "too many nesting elements"},
	}
	for _, test := range tests {
		t.Run(test.message, func(t *testing.T) {
			t.Parallel()
			_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{
				TableName: aws.String("users"), Item: attributes(object{"id": "1"}), ConditionExpression: aws.String(test.condition),
				ExpressionAttributeNames: test.names, ExpressionAttributeValues: attributes(test.values),
			})
			wantError(t, err, validationException, test.message)
		})
	}
}

func TestPlaceholdersWithoutExpressions(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	tests := []struct {
		name    string
		input   dynamodb.UpdateItemInput
		message string
	}{
		{"values alone", dynamodb.UpdateItemInput{ExpressionAttributeValues: attributes(object{":v": 1})},
			"ExpressionAttributeValues can only be specified when using expressions"},
		{"names alone", dynamodb.UpdateItemInput{ExpressionAttributeNames: map[string]string{"#n": "n"}},
			"ExpressionAttributeNames can only be specified when using expressions"},
		{"empty values", dynamodb.UpdateItemInput{
			UpdateExpression: aws.String("REMOVE a"), ExpressionAttributeValues: attributes(object{})},
			"ExpressionAttributeValues must not be empty"},
		{"empty names", dynamodb.UpdateItemInput{
			UpdateExpression: aws.String("REMOVE a"), ExpressionAttributeNames: map[string]string{}},
			"ExpressionAttributeNames must not be empty"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.input.TableName, test.input.Key = aws.String("users"), attributes(object{"id": "1"})
			_, err := client.UpdateItem(t.Context(), &test.input)
			wantError(t, err, validationException, test.message)
		})
	}
}

func TestUpdates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, update string
		values       object
		before, want object // without the key; before may be nil for no item
	}{
		{"set", "SET a = :v", object{":v": 1}, object{}, object{"a": 1}},
		{"makes the item", "SET a = :v", object{":v": 1}, nil, object{"a": 1}},
		{"replace", "set a = :v", object{":v": "x"}, object{"a": 1, "b": 2}, object{"a": "x", "b": 2}},
		{"swap", "SET a = b, b = a", nil, object{"a": 1, "b": 2}, object{"a": 2, "b": 1}},
		{"add up", "SET a = a + :v", object{":v": number("0.1")}, object{"a": number("0.2")}, object{"a": number("0.3")}},
		{"take off", "SET a = :v - a", object{":v": 1}, object{"a": 3}, object{"a": -2}},
		{"38 digits", "SET a = a + :v", object{":v": 1}, object{"a": number("99999999999999999999999999999999999998")},
			object{"a": number("99999999999999999999999999999999999999")}},
		{"parentheses", "SET a = (a + :v)", object{":v": 1}, object{"a": 1}, object{"a": 2}},
		{"parentheses round operands", "SET a = ((a) + (:v))", object{":v": 1}, object{"a": 1}, object{"a": 2}},
		{"parentheses round the first operand", "SET a = (a) - :v", object{":v": 1}, object{"a": 1}, object{"a": 0}},
		{"parentheses round the second operand", "SET a = a - (:v)", object{":v": 1}, object{"a": 1}, object{"a": 0}},
		{"parentheses round a function", "SET a = (if_not_exists(a, (:v))) + :v", object{":v": 1}, nil, object{"a": 2}},
		{"parentheses round an operand alone", "SET a = ((:v))", object{":v": 1}, nil, object{"a": 1}},
		{"default", "SET a = if_not_exists(a, :v)", object{":v": 1}, object{}, object{"a": 1}},
		{"no default", "SET a = if_not_exists(a, :v)", object{":v": 1}, object{"a": 7}, object{"a": 7}},
		{"counter", "SET a = if_not_exists(a, :zero) + :one", object{":zero": 0, ":one": 1}, nil, object{"a": 1}},
		{"nested default", "SET a = if_not_exists(a, if_not_exists(b, :v))", object{":v": 1}, object{"b": 2}, object{"a": 2, "b": 2}},
		{"append", "SET l = list_append(l, :v)", object{":v": list{2}}, object{"l": list{1}}, object{"l": list{1, 2}}},
		{"prepend", "SET l = list_append(:v, l)", object{":v": list{2}}, object{"l": list{1}}, object{"l": list{2, 1}}},
		{"first append", "SET l = list_append(if_not_exists(l, :none), :v)", object{":none": list{}, ":v": list{1}}, nil, object{"l": list{1}}},
		{"in a map", "SET m.a.b = :v", object{":v": 1}, object{"m": object{"a": object{"c": 2}}}, object{"m": object{"a": object{"b": 1, "c": 2}}}},
		{"in a list", "SET l[1].a = :v", object{":v": 1}, object{"l": list{0, object{}}}, object{"l": list{0, object{"a": 1}}}},
		{"past the end", "SET l[9] = :a, l[5] = :b", object{":a": 9, ":b": 5}, object{"l": list{1}}, object{"l": list{1, 5, 9}}},
		{"remove", "REMOVE a, m.b", nil, object{"a": 1, "m": object{"b": 1}}, object{"m": object{}}},
		{"remove what is absent", "REMOVE a, l[9]", nil, object{"l": list{1}}, object{"l": list{1}}},
		{"remove makes the item", "REMOVE a", nil, nil, object{}},
		{"remove elements", "REMOVE l[0], l[2]", nil, object{"l": list{1, 2, 3}}, object{"l": list{2}}},
		{"set and remove elements", "SET l[9] = :v REMOVE l[0]", object{":v": 9}, object{"l": list{1, 2}}, object{"l": list{2, 9}}},
		{"add", "ADD a :v", object{":v": 2}, object{"a": 1}, object{"a": 3}},
		{"add to nothing", "ADD a :v", object{":v": 2}, nil, object{"a": 2}},
		{"add in a map", "ADD m.a :v", object{":v": 2}, object{"m": object{"a": -2}}, object{"m": object{"a": 0}}},
		{"add to a set", "ADD s :v", object{":v": []string{"b", "c"}}, object{"s": []string{"a", "b"}}, object{"s": []string{"a", "b", "c"}}},
		{"add a set", "ADD s :v", object{":v": []int{1}}, object{}, object{"s": []int{1}}},
		{"set an empty string in a set", "SET s = :v", object{":v": []string{"", "a"}}, nil, object{"s": []string{"", "a"}}},
		{"add an empty string to a set", "ADD s :v", object{":v": []string{""}}, object{"s": []string{"a"}}, object{"s": []string{"", "a"}}},
		{"add an empty binary to nothing", "ADD s :v", object{":v": [][]byte{{}}}, nil, object{"s": [][]byte{{}}}},
		{"delete an empty string from a set", "DELETE s :v", object{":v": []string{""}}, object{"s": []string{"", "a"}}, object{"s": []string{"a"}}},
		{"numbers of a set in their order", "SET s = :v", object{":v": []int{300, 2, -7, 10}}, nil, object{"s": []int{-7, 2, 10, 300}}},
		{"add to a set of numbers", "ADD s :v", object{":v": []int{10, 2}}, object{"s": []int{300, 2}}, object{"s": []int{2, 10, 300}}},
		{"delete from a set", "DELETE s :v", object{":v": []string{"b", "c"}}, object{"s": []string{"a", "b"}}, object{"s": []string{"a"}}},
		{"delete a whole set", "DELETE s :v", object{":v": []string{"a", "b"}}, object{"s": []string{"a", "b"}}, object{}},
		{"delete from nothing", "DELETE s :v", object{":v": []string{"a"}}, object{}, object{}},
		{"all sections", "SET a = :v REMOVE b ADD c :v DELETE s :s", object{":v": 1, ":s": []string{"x"}},
			object{"b": 1, "s": []string{"x", "y"}}, object{"a": 1, "c": 1, "s": []string{"y"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, client := setup(t)
			if test.before != nil {
				put(t, client, "users", withID(test.before))
			}
			output, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: aws.String("users"), Key: attributes(object{"id": "1"}), UpdateExpression: aws.String(test.update),
				ExpressionAttributeValues: attributes(test.values), ReturnValues: types.ReturnValueAllNew,
			})
			if err != nil {
				t.Fatalf("updating the item: %v", err)
			}
			if diff := cmp.Diff(withID(test.want), plain(output.Attributes)); diff != "" {
				t.Errorf("returned item differs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(withID(test.want), get(t, client, "users", object{"id": "1"})); diff != "" {
				t.Errorf("stored item differs (-want +got):\n%s", diff)
			}
		})
	}
}

// withID returns the item with the key of these tests.
func withID(item object) object {
	whole := object{"id": "1"}
	for name, v := range item {
		whole[name] = v
	}
	return whole
}

func TestInvalidUpdates(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	before := object{
		"id": "1", "s": "x", "n": 1, "big": number("1e38"), "huge": number("9e125"), "l": list{1}, "m": object{"a": 1},
		"tags": []string{"a"},
	}
	put(t, client, "users", before)
	tests := []struct {
		update  string
		values  object
		message string
	}{
		{"", nil, "The expression can not be empty;"},
		{"SET", nil, `Syntax error; token: "<EOF>", near: "SET"`},
		{"a = :v", object{":v": 1}, `Syntax error; token: "a"`},
		{"SET a = :v,", object{":v": 1}, `Syntax error; token: "<EOF>", near: ","`},
		{"SET a = :v b = :v", object{":v": 1}, `Syntax error; token: "b", near: ":v b ="`},
		{"SET a = :v + :v + :v", object{":v": 1}, `Syntax error; token: "+"`},
		{"SET a = (:v + :v) + :v", object{":v": 1}, `Syntax error; token: "+"`},
		{"SET a = :v + (:v + :v)", object{":v": 1}, `Syntax error; token: "<EOF>"`},
		{"SET a = ((:v + :v))", object{":v": 1}, "The expression has redundant parentheses;"},
		{"SET a = (((:v)))", object{":v": 1}, "The expression has redundant parentheses;"},
		{"SET a = ((:v)) + :v", object{":v": 1}, "The expression has redundant parentheses;"},
		{"SET a = (:v + :v", object{":v": 1}, `Syntax error; token: "<EOF>"`},
		{"SET a = -:v", object{":v": 1}, `Syntax error; token: "-"`},
		{"SET l[-1] = :v", object{":v": 1}, `Syntax error; token: "-"`},
		{"SET a = if_not_exists(a, :v + :v)", object{":v": 1}, `Syntax error; token: "+"`},
		{"ADD a b", nil, `Syntax error; token: "b"`},
		{"SET a = :v SET b = :v", object{":v": 1}, `The "SET" section can only be used once in an update expression;`},
		{"SET a = :v, a = :v", object{":v": 1}, "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a], path two: [a]"},
		{"SET a.b.c = :v REMOVE a.b", object{":v": 1}, "overlap with each other; must remove or rewrite one of these paths; path one: [a, b, c], path two: [a, b]"},
		{"SET a.b = :v, a[1] = :v", object{":v": 1}, "conflict with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, [1]]"},
		{"SET id = :v", object{":v": "2"}, "Cannot update attribute id. This attribute is part of the key"},
		{"REMOVE id.x", nil, "Cannot update attribute id. This attribute is part of the key"},
		{"SET #n = :v", object{":v": 1}, "not defined; attribute name: #n"},
		{"SET name = :v", object{":v": 1}, "reserved keyword; reserved keyword: name"},
		{"SET a = :v", object{":v": 1, ":w": 1}, "unused in expressions: keys: {:w}"},
		{"SET a = absent", nil, "refers to an attribute that does not exist in the item"},
		{"SET a = if_not_exists(absent, lost)", nil, "refers to an attribute that does not exist in the item"},
		{"SET a = absent + :v", object{":v": 1}, "refers to an attribute that does not exist in the item"},
		{"SET m.x.y = :v", object{":v": 1}, "The document path provided in the update expression is invalid for update"},
		{"SET absent.x = :v", object{":v": 1}, "The document path provided in the update expression is invalid for update"},
		{"REMOVE absent.x", nil, "The document path provided in the update expression is invalid for update"},
		{"SET s[0] = :v", object{":v": 1}, "The document path provided in the update expression is invalid for update"},
		{"SET l.a = :v", object{":v": 1}, "The document path provided in the update expression is invalid for update"},
		{"SET m[0] = :v", object{":v": 1}, "The document path provided in the update expression is invalid for update"},
		{"SET a = s + :v", object{":v": 1}, "An operand in the update expression has an incorrect data type"},
		{"SET a = list_append(s, :v)", object{":v": list{1}}, "An operand in the update expression has an incorrect data type"},
		{"ADD s :v", object{":v": 1}, "An operand in the update expression has an incorrect data type"},
		{"ADD tags :v", object{":v": []int{1}}, "An operand in the update expression has an incorrect data type"},
		{"SET remove = :v", object{":v": 1}, `Syntax error; token: "remove", near: "SET remove ="`},
		{"DELETE n :v", object{":v": []string{"a"}}, "An operand in the update expression has an incorrect data type"},
		{"SET a = :v + :w", object{":v": 1, ":w": "x"}, "operator or function: +, operand type: S"},
		{"SET a = list_append(:v, l)", object{":v": 1}, "operator or function: list_append, operand type: N"},
		{"ADD a :v", object{":v": "x"}, "operator: ADD, operand type: STRING, typeSet: ALLOWED_FOR_ADD_OPERAND"},
		{"DELETE a :v", object{":v": 1}, "operator: DELETE, operand type: NUMBER, typeSet: ALLOWED_FOR_DELETE_OPERAND"},
		{"SET a = if_not_exists(:v, l)", object{":v": 1}, "requires a document path; operator or function: if_not_exists"},
		{"SET a = if_not_exists(l, l)", nil, "operator: if_not_exists, first operand: [l]"},
		{"SET a = if_not_exists(l, absent)", nil, "refers to an attribute that does not exist in the item"},
		{"SET a = if_not_exists(l)", nil, "if_not_exists, number of operands: 1"},
		{"SET a = list_append(list_append(l, l), l)", nil, "not allowed to be used this way in an expression; function: list_append"},
		{"SET a = size(l)", nil, "not allowed in an update expression; function: size"},
		{"SET a = nosuch(l)", nil, "Invalid function name; function: nosuch"},
		{"SET big = big + :v", object{":v": 1}, "38 significant digits"},
		{"ADD huge :v", object{":v": number("9e125")}, "Number overflow"},
		{"SET a = :v", object{":v": []string{}}, "An string set  may not be empty"},
		{"SET a = :v", object{":v": [][]byte{}}, "Binary sets should not be empty"},
		{"SET a = :v", object{":v": []string{"b", "a", "b"}}, "Input collection [b, a, b] contains duplicates."},
		{"SET a = :v", object{":v": []string{"", ""}}, "Input collection [, ] contains duplicates."},
		{"SET a = :v", object{":v": [][]byte{{0xff}, {0}, {0}}}, "Input collection [/w==, AA==, AA==]of type BS contains duplicates."},
		{"SET a = :v", object{":v": []int{2, 1, 2}}, "Input collection contains duplicates."},
		{"SET a = :v", object{":v": number("x")}, "cannot be converted to a numeric value"},
		{"SET a = :v", object{":v": number("1e126")}, "Number overflow"},
		{"SET a = :v", object{":v": number("1e-131")}, "Number underflow"},
		{"SET a = :v", object{":v": object{"": 1}}, "Empty attribute name"},
		{"SET a = :v", object{":v": nested(33)}, "Nesting Levels have exceeded supported limits"},
		{"SET a = :v", object{":v": strings.Repeat("x", 400<<10)}, "Item size to update has exceeded the maximum allowed size"},
	}
	for _, test := range tests {
		t.Run(test.message, func(t *testing.T) {
			t.Parallel()
			_, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: aws.String("users"), Key: attributes(object{"id": "1"}), UpdateExpression: aws.String(test.update),
				ExpressionAttributeValues: attributes(test.values),
			})
			wantError(t, err, validationException, test.message)
		})
	}
	t.Cleanup(func() {
		// Any effect of a refused update would show here. Large numbers come back with all their digits.
		before["big"], before["huge"] = number("1"+strings.Repeat("0", 38)), number("9"+strings.Repeat("0", 125))
		output, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("users"), Key: attributes(object{"id": "1"})})
		if err == nil && cmp.Diff(before, plain(output.Item)) != "" {
			t.Errorf("the refused updates changed the item:\n%s", cmp.Diff(before, plain(output.Item)))
		}
	})
}

// nested returns lists within lists, with the given number of levels.
func nested(levels int) any {
	var v any = 1
	for range levels - 1 {
		v = list{v}
	}
	return v
}

func TestReturnValues(t *testing.T) {
	t.Parallel()
	const update = "SET m.a = :v, l[1] = :v, made = :v REMOVE m.b, gone"
	before := object{"id": "1", "m": object{"a": 1, "b": 2, "c": 3}, "l": list{1, 2, 3}, "gone": 1, "kept": 1}
	after := object{"id": "1", "m": object{"a": 9, "c": 3}, "l": list{1, 9, 3}, "made": 9, "kept": 1}
	tests := []struct {
		returns types.ReturnValue
		want    object
	}{
		{"", nil},
		{types.ReturnValueNone, nil},
		{types.ReturnValueAllOld, before},
		{types.ReturnValueAllNew, after},
		{types.ReturnValueUpdatedOld, object{"m": object{"a": 1, "b": 2}, "l": list{1, 2, 3}, "gone": 1}},
		{types.ReturnValueUpdatedNew, object{"m": object{"a": 9}, "l": list{1, 9, 3}, "made": 9}},
	}
	for _, test := range tests {
		t.Run(string(test.returns), func(t *testing.T) {
			t.Parallel()
			_, client := setup(t)
			put(t, client, "users", before)
			output, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
				TableName: aws.String("users"), Key: attributes(object{"id": "1"}), UpdateExpression: aws.String(update),
				ExpressionAttributeValues: attributes(object{":v": 9}), ReturnValues: test.returns,
			})
			if err != nil {
				t.Fatalf("updating the item: %v", err)
			}
			if diff := cmp.Diff(test.want, plain(output.Attributes)); diff != "" {
				t.Errorf("attributes differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReturnValuesOfPutAndDelete(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	replace := func(item object) object {
		output, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: aws.String("users"), Item: attributes(item), ReturnValues: types.ReturnValueAllOld,
		})
		if err != nil {
			t.Fatalf("putting the item: %v", err)
		}
		return plain(output.Attributes)
	}
	remove := func() object {
		output, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
			TableName: aws.String("users"), Key: attributes(object{"id": "1"}), ReturnValues: types.ReturnValueAllOld,
		})
		if err != nil {
			t.Fatalf("deleting the item: %v", err)
		}
		return plain(output.Attributes)
	}
	one, two := object{"id": "1", "n": 1}, object{"id": "1", "n": 2}
	got := []object{replace(one), replace(two), remove(), remove()}
	if diff := cmp.Diff([]object{nil, one, two, nil}, got); diff != "" {
		t.Errorf("old items differ (-want +got):\n%s", diff)
	}
	_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String("users"), Item: attributes(one), ReturnValues: types.ReturnValueAllNew,
	})
	wantError(t, err, validationException, "Return values set to invalid value")
}

func TestReturnValuesOnConditionCheckFailure(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	item := object{"id": "1", "n": 1}
	put(t, client, "users", item)
	for _, test := range []struct {
		returns types.ReturnValuesOnConditionCheckFailure
		id      string
		want    object
	}{
		{types.ReturnValuesOnConditionCheckFailureAllOld, "1", item},
		{types.ReturnValuesOnConditionCheckFailureAllOld, "2", nil},
		{types.ReturnValuesOnConditionCheckFailureNone, "1", nil},
	} {
		_, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
			TableName: aws.String("users"), Key: attributes(object{"id": test.id}), ConditionExpression: aws.String("n = :v"),
			ExpressionAttributeValues: attributes(object{":v": 2}), ReturnValuesOnConditionCheckFailure: test.returns,
		})
		wantError(t, err, conditionFailed, "The conditional request failed")
		failure, _ := errors.AsType[*types.ConditionalCheckFailedException](err)
		if failure == nil || cmp.Diff(test.want, plain(failure.Item)) != "" {
			t.Errorf("%s of %s: got %v, want item %v", test.returns, test.id, err, test.want)
		}
	}
}

func TestProjections(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	put(t, client, "users", object{"id": "1", "n": 5, "l": list{1, 2, object{"a": 1, "b": 2}}, "m": object{"k": "v", "j": 1}})
	tests := []struct {
		projection string
		want       object
		message    string
	}{
		{"n", object{"n": 5}, ""},
		{"n, m.k", object{"n": 5, "m": object{"k": "v"}}, ""},
		{"l[2].b, l[0]", object{"l": list{1, object{"b": 2}}}, ""},
		{"m.absent, l[9], absent", object{}, ""},
		{"#m.k", object{"m": object{"k": "v"}}, ""},
		{"", nil, "The expression can not be empty;"},
		{"n,", nil, `Syntax error; token: "<EOF>", near: ","`},
		{"n m", nil, `Syntax error; token: "m"`},
		{":v", nil, `Syntax error; token: ":v"`},
		{"name", nil, "reserved keyword: name"},
		{"n, n", nil, "overlap with each other"},
		{"m, m.k", nil, "path one: [m], path two: [m, k]"},
		{"m.k, m[0]", nil, "conflict with each other"},
	}
	for _, test := range tests {
		t.Run(test.projection, func(t *testing.T) {
			t.Parallel()
			input := &dynamodb.GetItemInput{
				TableName: aws.String("users"), Key: attributes(object{"id": "1"}), ProjectionExpression: aws.String(test.projection),
			}
			if strings.Contains(test.projection, "#") {
				input.ExpressionAttributeNames = map[string]string{"#m": "m"}
			}
			output, err := client.GetItem(t.Context(), input)
			if test.message != "" {
				wantError(t, err, validationException, test.message)
				return
			}
			if err != nil {
				t.Fatalf("getting the item: %v", err)
			}
			if diff := cmp.Diff(test.want, plain(output.Item)); diff != "" {
				t.Errorf("item differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeysAndItems(t *testing.T) {
	t.Parallel()
	_, client := setup(t)
	tests := []struct {
		name    string
		item    object // of the orders table
		message string
	}{
		{"whole", object{"shop": "a", "nr": 1}, ""},
		{"missing", object{"shop": "a"}, "Missing the key nr in the item"},
		{"wrong type", object{"shop": "a", "nr": "1"}, "Type mismatch for key nr expected: N actual: S"},
		{"empty", object{"shop": "", "nr": 1}, "cannot contain an empty string value. Key: shop"},
		{"longest", object{"shop": strings.Repeat("x", 2048), "nr": 1}, ""},
		{"too long", object{"shop": strings.Repeat("x", 2049), "nr": 1}, "Size of hashkey has exceeded"},
		{"wrong index key", object{"shop": "a", "nr": 1, "phase": 1}, "Type mismatch for Index Key phase Expected: S Actual: N IndexName: byState"},
		{"empty index key", object{"shop": "a", "nr": 1, "phase": ""}, "IndexName: byState, IndexKey: phase"},
		{"largest", object{"shop": "a", "nr": 1, "x": strings.Repeat("x", 400<<10-10)}, ""},
		{"too large", object{"shop": "a", "nr": 1, "x": strings.Repeat("x", 400<<10-9)}, "Item size has exceeded the maximum allowed size"},
		{"deepest", object{"shop": "a", "nr": 1, "x": nested(32)}, ""},
		{"too deep", object{"shop": "a", "nr": 1, "x": nested(33)}, "Nesting Levels have exceeded supported limits"},
		{"nameless", object{"shop": "a", "nr": 1, "": 1}, "Empty attribute name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code := validationException
			if test.message == "" {
				code = ""
			}
			_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("orders"), Item: attributes(test.item)})
			wantError(t, err, code, test.message)
		})
	}
	for name, key := range map[string]object{
		"empty": {}, "partial": {"shop": "a"}, "too much": {"shop": "a", "nr": 1, "x": 1}, "wrong type": {"shop": "a", "nr": "1"},
	} {
		_, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String("orders"), Key: attributes(key)})
		t.Log(name)
		wantError(t, err, validationException, "The provided key element does not match the schema")
	}
}
