package dynamo

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/outage"
)

const (
	batchGetKeys   = 100 // DynamoDB's bound for one BatchGetItem
	batchWriteRows = 25  // and for one BatchWriteItem
	// The attempts at what DynamoDB left unprocessed: it does so when throttled, or past 16 MB.
	batchAttempts   = 6
	batchFirstDelay = 20 * time.Millisecond
	batchMaxDelay   = 400 * time.Millisecond
)

// tableKey is an item's key with its table.
type tableKey struct {
	table string
	key   item
}

// getAll reads the items with the given keys, strongly consistent and at the same time, in as many requests as it
// takes, and hands each that exists to found, in no order and never two at once.
func (s *Store) getAll(ctx context.Context, keys []tableKey, found func(table string, it item)) error {
	batches := (len(keys) + batchGetKeys - 1) / batchGetKeys
	if batches == 1 {
		return s.getBatch(ctx, keys, found)
	}
	items := make([][]tableKey, batches) // each request's own, so that found need not be safe for concurrent use
	group, ctx := errgroup.WithContext(ctx)
	for i := range batches {
		group.Go(func() error {
			return s.getBatch(ctx, keys[i*batchGetKeys:min(len(keys), (i+1)*batchGetKeys)], func(table string, it item) {
				items[i] = append(items[i], tableKey{table, it})
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, batch := range items {
		for _, it := range batch {
			found(it.table, it.key)
		}
	}
	return nil
}

func (s *Store) getBatch(ctx context.Context, keys []tableKey, found func(string, item)) error {
	consistent := true
	request := make(map[string]types.KeysAndAttributes)
	for _, k := range keys {
		table := request[k.table]
		table.ConsistentRead = &consistent
		table.Keys = append(table.Keys, k.key)
		request[k.table] = table
	}
	return s.untilProcessed(ctx, func() (int, error) {
		output, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: request})
		if err != nil {
			return 0, translate(err)
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

// untilProcessed repeats a batch operation, which returns what it left undone, until nothing is.
func (s *Store) untilProcessed(ctx context.Context, operation func() (left int, err error)) error {
	delay := batchFirstDelay
	for attempt := 1; ; attempt++ {
		left, err := operation()
		if err != nil || left == 0 {
			return err
		}
		if attempt == batchAttempts {
			return fmt.Errorf("%w: DynamoDB left part of a batch unprocessed %d times", outage.ErrUnavailable, attempt)
		}
		if err := s.wait(ctx, delay); err != nil {
			return translate(err)
		}
		delay = min(2*delay, batchMaxDelay)
	}
}

// putAll writes items, each on its own, overwriting what is there.
func (s *Store) putAll(ctx context.Context, table string, items []item) error {
	for len(items) > 0 {
		n := min(len(items), batchWriteRows)
		requests := make([]types.WriteRequest, n)
		for i, it := range items[:n] {
			requests[i] = types.WriteRequest{PutRequest: &types.PutRequest{Item: it}}
		}
		items = items[n:]
		pending := map[string][]types.WriteRequest{table: requests}
		err := s.untilProcessed(ctx, func() (int, error) {
			output, err := s.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: pending})
			if err != nil {
				return 0, translate(err)
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
