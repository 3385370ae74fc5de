package table

import (
	"context"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// Expression holds a write's clauses: those of an update, and a condition. Each is optional.
type Expression struct {
	Set, Add, Remove string
	Drop             string // members to remove from sets
	Condition        string
	Names            map[string]string
	Values           Item
}

// And returns an expression with the effects and the conditions of both.
func (e Expression) And(other Expression) Expression {
	return Expression{
		Set:       Joined(e.Set, ", ", other.Set),
		Add:       Joined(e.Add, ", ", other.Add),
		Remove:    Joined(e.Remove, ", ", other.Remove),
		Drop:      Joined(e.Drop, ", ", other.Drop),
		Condition: Joined(e.Condition, " AND ", other.Condition),
		Names:     merged(e.Names, other.Names),
		Values:    merged(e.Values, other.Values),
	}
}

// Joined joins two clauses, either of which may be empty.
func Joined(a, separator, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + separator + b
}

// Update returns the update expression.
func (e Expression) Update() *string {
	var clauses []string
	for _, clause := range [][2]string{{"SET ", e.Set}, {"ADD ", e.Add}, {"REMOVE ", e.Remove}, {"DELETE ", e.Drop}} {
		if clause[1] != "" {
			clauses = append(clauses, clause[0]+clause[1])
		}
	}
	return Optional(strings.Join(clauses, " "))
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

// Optional returns nil for an empty text.
func Optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Put, Update, Delete and Check are the parts of a transaction. If the condition of a part fails, the ConditionError has its
// current item.
func Put(table string, it Item, e Expression) Write {
	return Write{Put: &types.Put{
		TableName: &table, Item: it, ConditionExpression: Optional(e.Condition),
		ExpressionAttributeNames: e.Names, ExpressionAttributeValues: e.Values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

func Update(table string, key Item, e Expression) Write {
	return Write{Update: &types.Update{
		TableName: &table, Key: key, UpdateExpression: e.Update(), ConditionExpression: Optional(e.Condition),
		ExpressionAttributeNames: e.Names, ExpressionAttributeValues: e.Values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

func Delete(table string, key Item, e Expression) Write {
	return Write{Delete: &types.Delete{
		TableName: &table, Key: key, ConditionExpression: Optional(e.Condition),
		ExpressionAttributeNames: e.Names, ExpressionAttributeValues: e.Values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

func Check(table string, key Item, e Expression) Write {
	return Write{ConditionCheck: &types.ConditionCheck{
		TableName: &table, Key: key, ConditionExpression: Optional(e.Condition),
		ExpressionAttributeNames: e.Names, ExpressionAttributeValues: e.Values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}}
}

// Put writes an item, overwriting an existing one, if the condition holds.
func (db *DB) Put(ctx context.Context, table string, it Item, e Expression) error {
	return db.RetryConflicts(ctx, func() error {
		_, err := db.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &table, Item: it, ConditionExpression: Optional(e.Condition),
			ExpressionAttributeNames: e.Names, ExpressionAttributeValues: e.Values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		return err
	})
}

// Update changes one item, if the condition holds.
func (db *DB) Update(ctx context.Context, table string, key Item, e Expression) error {
	_, err := db.Change(ctx, table, key, e, types.ReturnValueNone)
	return err
}

// Change changes an item if the condition holds. It returns the item before or after the change, as requested.
func (db *DB) Change(ctx context.Context, table string, key Item, e Expression, returned types.ReturnValue) (Item, error) {
	var attributes Item
	err := db.RetryConflicts(ctx, func() error {
		output, err := db.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &table, Key: key, UpdateExpression: e.Update(), ConditionExpression: Optional(e.Condition),
			ExpressionAttributeNames: e.Names, ExpressionAttributeValues: e.Values, ReturnValues: returned,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		if err == nil {
			attributes = output.Attributes
		}
		return err
	})
	return attributes, err
}

// Delete deletes one item.
func (db *DB) Delete(ctx context.Context, table string, key Item) error {
	defer timing.Start(ctx, timing.Store)()
	_, err := db.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &table, Key: key})
	return Translate(err)
}

// Scan calls visit with every item of a table, in no order. It stops at visit's first error and returns it.
func (db *DB) Scan(ctx context.Context, table string, visit func(*Reader) error) error {
	consistent := true
	pages := dynamodb.NewScanPaginator(db.client, &dynamodb.ScanInput{TableName: &table, ConsistentRead: &consistent})
	for pages.HasMorePages() {
		end := timing.Start(ctx, timing.Store)
		page, err := pages.NextPage(ctx)
		end()
		if err != nil {
			return Translate(err)
		}
		for _, it := range page.Items {
			if err := visit(&Reader{Item: it}); err != nil {
				return err
			}
		}
	}
	return nil
}
