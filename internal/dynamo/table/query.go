package table

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// Query selects items of one partition.
type Query struct {
	Table      string
	Index      string     // empty: the table itself, read strongly consistently
	Key        Expression // with its Condition, Names and Values
	Projection string     // empty: all attributes
	Backwards  bool
	Stale      bool  // half the price; the data may be some moments old, as an index's always is
	Limit      int32 // most items that are read; 0 is no limit
}

// Query calls visit with each item, in the order of the sort key. It stops at visit's first error and returns it.
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
