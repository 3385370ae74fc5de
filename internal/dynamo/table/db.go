// Package table reads and writes items of DynamoDB tables. The other packages below internal/dynamo are built on it.
//
// A failed condition is a *ConditionError, which the caller translates to an error of the domain. A fault that passes by
// itself (throttling, outage, time-out) wraps outage.ErrUnavailable. The SDK's error types are not part of the contract.
package table

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// DB reads and writes items of any table. It is safe for concurrent use.
type DB struct {
	client *dynamodb.Client
	random func() float64
}

// New returns a DB over the client. random returns a number in [0, 1).
func New(client *dynamodb.Client, random func() float64) *DB {
	return &DB{client: client, random: random}
}

// Wait sleeps for a random part of the given time, so that two writers that have met don't meet again.
func (db *DB) Wait(ctx context.Context, atMost time.Duration) error {
	defer timing.Start(ctx, timing.Wait)()
	timer := time.NewTimer(time.Duration(db.random() * float64(atMost)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return Translate(ctx.Err())
	}
}

// The attempts at a transaction that conflicts with another on the same item, which the SDK doesn't repeat. If a hundred
// customers of a restaurant open conversations at the same moment, they take turns on the month's item for some seconds. So
// the number of attempts is high, and an invocation's time usually ends first.
const (
	ConflictAttempts   = 100
	conflictFirstDelay = 10 * time.Millisecond
	conflictMaxDelay   = time.Second
)

// Transact writes all items or none. It tries again while others write the same items. A failed condition is returned as a
// *ConditionError.
func (db *DB) Transact(ctx context.Context, items []Write, token string) error {
	return db.RetryConflicts(ctx, func() error { return db.transact(ctx, items, token) })
}

// TransactOnce is Transact with a single attempt: a conflict with other writers fails it with outage.ErrUnavailable.
func (db *DB) TransactOnce(ctx context.Context, items []Write) error {
	defer timing.Start(ctx, timing.Store)()
	return Translate(db.transact(ctx, items, ""))
}

func (db *DB) transact(ctx context.Context, items []Write, token string) error {
	// All attempts have the same token, so DynamoDB recognises a transaction that succeeded although its response was lost.
	input := &dynamodb.TransactWriteItemsInput{TransactItems: items}
	if token != "" {
		input.ClientRequestToken = &token
	}
	_, err := db.client.TransactWriteItems(ctx, input)
	return err
}

// RetryConflicts repeats write while it fails because of a transaction on the same item.
func (db *DB) RetryConflicts(ctx context.Context, write func() error) error {
	delay := conflictFirstDelay
	for attempt := 1; ; attempt++ {
		end := timing.Start(ctx, timing.Store)
		err := write()
		end()
		if err == nil {
			return nil
		}
		if !isConflict(err) || attempt == ConflictAttempts {
			return Translate(err)
		}
		if err := db.Wait(ctx, delay); err != nil {
			return err
		}
		delay = min(2*delay, conflictMaxDelay)
	}
}

// isConflict reports whether an operation failed only because others wrote the same items at the same time. If a condition
// failed too, it isn't a conflict: trying again can't help.
func isConflict(err error) bool {
	var conflict *types.TransactionConflictException
	if errors.As(err, &conflict) {
		return true
	}
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) {
		return false
	}
	conflicts := false
	for _, reason := range cancelled.CancellationReasons {
		switch code(reason) {
		case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
			conflicts = true
		case "None":
		default:
			return false
		}
	}
	return conflicts
}

func code(reason types.CancellationReason) string {
	if reason.Code == nil {
		return "None"
	}
	return *reason.Code
}

// ConditionError says which items' conditions failed in a write. It has the current items, if the write asked for them.
type ConditionError struct {
	Failed map[int]Item // by the item's index in the transaction; 0 for a single write
}

func (e *ConditionError) Error() string { return "a condition of the write was not met" }

// Lowest returns the lowest index with a failed condition.
func (e *ConditionError) Lowest() int { return slices.Min(slices.Collect(maps.Keys(e.Failed))) }

// FailedCondition reports whether err is a failed condition of the item at index.
func FailedCondition(err error, index int) bool {
	var condition *ConditionError
	if !errors.As(err, &condition) {
		return false
	}
	_, ok := condition.Failed[index]
	return ok
}

// Translate turns an error of the SDK into an error of the domain or a *ConditionError.
func Translate(err error) error {
	if err == nil {
		return nil
	}
	var single *types.ConditionalCheckFailedException
	if errors.As(err, &single) {
		return &ConditionError{Failed: map[int]Item{0: single.Item}}
	}
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		failed := make(map[int]Item)
		for i, reason := range cancelled.CancellationReasons {
			if code(reason) == "ConditionalCheckFailed" {
				failed[i] = reason.Item
			}
		}
		if len(failed) > 0 {
			return &ConditionError{Failed: failed}
		}
	}
	if passes(err) {
		return fmt.Errorf("%w: %w", outage.ErrUnavailable, err)
	}
	return err
}

// passes reports whether the same request may succeed later: it was throttled, DynamoDB or the network failed, time ran out,
// or others wrote the same items.
func passes(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	var response *awshttp.ResponseError
	if errors.As(err, &response) && response.HTTPStatusCode() >= http.StatusInternalServerError {
		return true
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return true // no answer, or an unreadable one
	}
	_, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	return throttled || api.ErrorFault() == smithy.FaultServer || isConflict(err)
}
