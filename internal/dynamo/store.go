// Package dynamo keeps restaurants, usage and credentials in Amazon DynamoDB.
//
// Every fault leaves the package as an error of the domain: conditions that fail become what they stand for
// (restaurant.ErrExists and so on), and what passes by itself (throttling, outages, time-outs) wraps
// outage.ErrUnavailable. Nothing of the SDK's error types is part of the package's contract.
package dynamo

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
)

// Tables names the tables, each after the entity that it holds. A store that only reads usage needs neither
// Conversations nor write access.
type Tables struct {
	Restaurants   string
	Bots          string
	Usage         string
	Conversations string
	AccessTokens  string
	Directory     string
}

// StackTables returns the names that template.yaml gives the tables of a stack.
func StackTables(stack string) Tables {
	return Tables{
		Restaurants:   stack + "-restaurants",
		Bots:          stack + "-bots",
		Usage:         stack + "-usage",
		Conversations: stack + "-conversations",
		AccessTokens:  stack + "-access-tokens",
		Directory:     stack + "-directory",
	}
}

// Store implements the domain's stores over DynamoDB tables. It is safe for concurrent use.
type Store struct {
	client *dynamodb.Client
	tables Tables
	// wait sleeps between the attempts of a transaction that conflicted: for a random part of the given time.
	wait func(ctx context.Context, atMost time.Duration) error
}

// New returns a Store over the tables. random returns a number in [0, 1): it spreads the attempts of transactions that
// conflict.
func New(client *dynamodb.Client, tables Tables, random func() float64) *Store {
	return &Store{client: client, tables: tables, wait: func(ctx context.Context, atMost time.Duration) error {
		timer := time.NewTimer(time.Duration(random() * float64(atMost)))
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

// The attempts at a transaction that conflicts with another one on the same item: the SDK does not repeat these by
// itself. A hundred customers who open conversations with one restaurant at the same moment take turns on its month's
// item for some seconds, so what ends the attempts is the invocation's time and not their number.
const (
	conflictAttempts   = 100
	conflictFirstDelay = 10 * time.Millisecond
	conflictMaxDelay   = time.Second
)

// transact writes all items or none, again while it conflicts with other writers. A condition that fails is reported
// as *conditionError.
func (s *Store) transact(ctx context.Context, items []types.TransactWriteItem, token string) error {
	return s.retryConflicts(ctx, func() error {
		// The same token on every attempt lets DynamoDB recognise a transaction whose answer got lost.
		input := &dynamodb.TransactWriteItemsInput{TransactItems: items}
		if token != "" {
			input.ClientRequestToken = &token
		}
		_, err := s.client.TransactWriteItems(ctx, input)
		return err
	})
}

// retryConflicts runs write until it ends otherwise than in a conflict with a transaction on the same item.
func (s *Store) retryConflicts(ctx context.Context, write func() error) error {
	delay := conflictFirstDelay
	for attempt := 1; ; attempt++ {
		err := write()
		if err == nil {
			return nil
		}
		if !isConflict(err) || attempt == conflictAttempts {
			return translate(err)
		}
		if err := s.wait(ctx, delay); err != nil {
			return translate(err)
		}
		delay = min(2*delay, conflictMaxDelay)
	}
}

// isConflict reports whether nothing but other writers kept err's operation from happening. A condition that failed
// decides: trying again can't change it.
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

// conditionError says which items' conditions kept a write from happening, with the items as they were where the
// write asked for them.
type conditionError struct {
	failed map[int]map[string]types.AttributeValue // by the item's place in the transaction; 0 for a single write
}

func (e *conditionError) Error() string { return "a condition of the write was not met" }

// lowest returns the first place whose condition failed.
func (e *conditionError) lowest() int { return slices.Min(slices.Collect(maps.Keys(e.failed))) }

// failedCondition reports whether err is due to the condition of the item at index.
func failedCondition(err error, index int) bool {
	var condition *conditionError
	if !errors.As(err, &condition) {
		return false
	}
	_, ok := condition.failed[index]
	return ok
}

// translate turns an error of the SDK into one of the domain, or into *conditionError.
func translate(err error) error {
	if err == nil {
		return nil
	}
	var single *types.ConditionalCheckFailedException
	if errors.As(err, &single) {
		return &conditionError{failed: map[int]map[string]types.AttributeValue{0: single.Item}}
	}
	var cancelled *types.TransactionCanceledException
	if errors.As(err, &cancelled) {
		failed := make(map[int]map[string]types.AttributeValue)
		for i, reason := range cancelled.CancellationReasons {
			if code(reason) == "ConditionalCheckFailed" {
				failed[i] = reason.Item
			}
		}
		if len(failed) > 0 {
			return &conditionError{failed: failed}
		}
	}
	if passes(err) {
		return fmt.Errorf("%w: %w", outage.ErrUnavailable, err)
	}
	return err
}

// passes reports whether the same request may succeed later: it was throttled, DynamoDB or the network failed, time ran
// out, or other writers held the items.
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
		return true // no answer at all, or none that could be read
	}
	_, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	return throttled || api.ErrorFault() == smithy.FaultServer || isConflict(err)
}
