package table

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// Query says which items of one partition are asked for.
type Query struct {
	Table      string
	Index      string     // empty: the table itself, which is then read strongly consistent
	Key        Expression // its Condition, Names and Values
	Projection string     // empty: all attributes
	Backwards  bool
	Stale      bool  // half the price: the data may be some moments old, as an index's always is
	Limit      int32 // of items, before which the query ends; 0 is none
}

// Query hands each item to visit, in the order of the sort key, and stops at its first error.
func (db *DB) Query(ctx context.Context, q Query, visit func(*Reader) error) error {
	consistent, forwards := q.Index == "" && !q.Stale, !q.Backwards
	input := &dynamodb.QueryInput{
		TableName: &q.Table, IndexName: Optional(q.Index), ConsistentRead: &consistent, ScanIndexForward: &forwards,
		KeyConditionExpression: &q.Key.Condition, ProjectionExpression: Optional(q.Projection),
		ExpressionAttributeNames: q.Key.Names, ExpressionAttributeValues: q.Key.Values,
	}
	if q.Limit > 0 {
		input.Limit = &q.Limit
	}
	pages := dynamodb.NewQueryPaginator(db.client, input)
	for left := int(q.Limit); pages.HasMorePages(); {
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
		if left -= len(page.Items); q.Limit > 0 && left <= 0 {
			return nil
		}
	}
	return nil
}
