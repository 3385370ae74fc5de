package table

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/task"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

const (
	BatchGetKeys   = 100 // DynamoDB's limit for a BatchGetItem
	BatchWriteRows = 25  // DynamoDB's limit for a BatchWriteItem
	// DynamoDB leaves a part of a batch unprocessed if it is throttled, or past 16 MB. That part is tried again, up to this
	// many attempts in all.
	batchAttempts   = 6
	batchFirstDelay = 20 * time.Millisecond
	batchMaxDelay   = 400 * time.Millisecond
)

// Key is an item's key with its table.
type Key struct {
	Table string
	Key   Item
}

// GetAll reads the items with the given keys, strongly consistently, in as many requests as it takes, at the same time. It
// calls found for each item that exists, in no order and never concurrently.
func (db *DB) GetAll(ctx context.Context, keys []Key, found func(table string, it Item)) error {
	return db.getAll(ctx, keys, true, found)
}

// GetAllStale is GetAll at half the price; its data may be some moments old.
func (db *DB) GetAllStale(ctx context.Context, keys []Key, found func(table string, it Item)) error {
	return db.getAll(ctx, keys, false, found)
}

func (db *DB) getAll(ctx context.Context, keys []Key, consistent bool, found func(table string, it Item)) error {
	batches := (len(keys) + BatchGetKeys - 1) / BatchGetKeys
	if batches == 1 {
		return db.getBatch(ctx, keys, consistent, found)
	}
	items := make([][]Key, batches) // one list for each request, so that found need not be safe for concurrent use
	group, ctx := task.WithContext(ctx)
	for i := range batches {
		group.Go(func() error {
			return db.getBatch(ctx, keys[i*BatchGetKeys:min(len(keys), (i+1)*BatchGetKeys)], consistent, func(table string, it Item) {
				items[i] = append(items[i], Key{table, it})
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, batch := range items {
		for _, it := range batch {
			found(it.Table, it.Key)
		}
	}
	return nil
}

func (db *DB) getBatch(ctx context.Context, keys []Key, consistent bool, found func(string, Item)) error {
	request := make(map[string]types.KeysAndAttributes)
	for _, k := range keys {
		table := request[k.Table]
		table.ConsistentRead = &consistent
		table.Keys = append(table.Keys, k.Key)
		request[k.Table] = table
	}
	return db.untilProcessed(ctx, func() (int, error) {
		end := timing.Start(ctx, timing.Store)
		output, err := db.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: request})
		end()
		if err != nil {
			return 0, Translate(err)
		}
		for table, items := range output.Responses {
			for _, it := range items {
				found(table, it)
			}
		}
		request = output.UnprocessedKeys
		return len(request), nil
	})
}

// Get reads an item, strongly consistently; nil if there is none.
func (db *DB) Get(ctx context.Context, table string, key Item) (Item, error) {
	consistent := true
	defer timing.Start(ctx, timing.Store)()
	output, err := db.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key, ConsistentRead: &consistent})
	if err != nil {
		return nil, Translate(err)
	}
	return output.Item, nil
}

// untilProcessed repeats a batch operation until nothing is left unprocessed. The operation returns the size of the
// unprocessed part.
func (db *DB) untilProcessed(ctx context.Context, operation func() (left int, err error)) error {
	delay := batchFirstDelay
	for attempt := 1; ; attempt++ {
		left, err := operation()
		if err != nil || left == 0 {
			return err
		}
		if attempt == batchAttempts {
			return fmt.Errorf("%w: DynamoDB left part of a batch unprocessed %d times", outage.ErrUnavailable, attempt)
		}
		if err := db.Wait(ctx, delay); err != nil {
			return err
		}
		delay = min(2*delay, batchMaxDelay)
	}
}

// PutAll writes items one by one, overwriting existing items. It is not a transaction.
func (db *DB) PutAll(ctx context.Context, table string, items []Item) error {
	for len(items) > 0 {
		n := min(len(items), BatchWriteRows)
		requests := make([]types.WriteRequest, n)
		for i, it := range items[:n] {
			requests[i] = types.WriteRequest{PutRequest: &types.PutRequest{Item: it}}
		}
		items = items[n:]
		pending := map[string][]types.WriteRequest{table: requests}
		err := db.untilProcessed(ctx, func() (int, error) {
			end := timing.Start(ctx, timing.Store)
			output, err := db.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: pending})
			end()
			if err != nil {
				return 0, Translate(err)
			}
			pending = output.UnprocessedItems
			return len(pending), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
