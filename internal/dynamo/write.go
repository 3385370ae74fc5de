package dynamo

import (
	"context"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// expression is what a write says besides its key: the clauses of an update and a condition, each of them optional.
type expression struct {
	set, add, remove string
	drop             string // members from sets
	condition        string
	names            map[string]string
	values           item
}

// and returns the expression that does what both do, if both conditions hold.
func (e expression) and(other expression) expression {
	return expression{
		set:       joined(e.set, ", ", other.set),
		add:       joined(e.add, ", ", other.add),
		remove:    joined(e.remove, ", ", other.remove),
		drop:      joined(e.drop, ", ", other.drop),
		condition: joined(e.condition, " AND ", other.condition),
		names:     merged(e.names, other.names),
		values:    merged(e.values, other.values),
	}
}

func joined(a, separator, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + separator + b
}

// update returns the update expression.
func (e expression) update() *string {
	var clauses []string
	for _, clause := range [][2]string{{"SET ", e.set}, {"ADD ", e.add}, {"REMOVE ", e.remove}, {"DELETE ", e.drop}} {
		if clause[1] != "" {
			clauses = append(clauses, clause[0]+clause[1])
		}
	}
	return optional(strings.Join(clauses, " "))
}

func merged[V any](a, b map[string]V) map[string]V {
	if len(b) == 0 {
		return a
	}
	m := make(map[string]V, len(a)+len(b))
	maps.Copy(m, a)
	maps.Copy(m, b)
	return m
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// put, update and check are the parts of a transaction. Each asks for the item as it was where its condition fails.
func put(table string, it item, e expression) types.TransactWriteItem {
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &table, Item: it, ConditionExpression: optional(e.condition),
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

func update(table string, key item, e expression) types.TransactWriteItem {
	return types.TransactWriteItem{Update: &types.Update{
		TableName: &table, Key: key, UpdateExpression: e.update(), ConditionExpression: optional(e.condition),
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

func remove(table string, key item, e expression) types.TransactWriteItem {
	return types.TransactWriteItem{Delete: &types.Delete{
		TableName: &table, Key: key, ConditionExpression: optional(e.condition),
		ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
	}}
}

// put writes one item over what is there, if the condition holds.
func (s *Store) put(ctx context.Context, table string, it item, e expression) error {
	return s.retryConflicts(ctx, func() error {
		_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &table, Item: it, ConditionExpression: optional(e.condition),
			ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		return err
	})
}

// update changes one item, if the condition holds.
func (s *Store) update(ctx context.Context, table string, key item, e expression) error {
	return s.retryConflicts(ctx, func() error {
		_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &table, Key: key, UpdateExpression: e.update(), ConditionExpression: optional(e.condition),
			ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		return err
	})
}

func (s *Store) delete(ctx context.Context, table string, key item) error {
	_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: key})
	return translate(err)
}

// scan hands every item of a table to visit, in no order, and stops at its first error.
func (s *Store) scan(ctx context.Context, table string, visit func(*reader) error) error {
	consistent := true
	pages := dynamodb.NewScanPaginator(s.client, &dynamodb.ScanInput{TableName: &table, ConsistentRead: &consistent})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return translate(err)
		}
		for _, it := range page.Items {
			if err := visit(&reader{item: it}); err != nil {
				return err
			}
		}
	}
	return nil
}
