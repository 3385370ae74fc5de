// Package cachetable keeps the cache in a DynamoDB table, in place of a Valkey server: for stacks that are too small for a
// network of their own.
//
// Values expire by the clock of the instance that reads them. DynamoDB deletes them later, by the attribute for its time to live:
// it "typically deletes expired items within a few days", and reads return them until then (DynamoDB's developer guide, "Using
// time to live", "Working with expired items"). Instances' clocks are close to one another: a function's execution environment
// "uses NTP to synchronize the system clock" (AWS Lambda's developer guide, "Defined runtime environment variables").
//
// DynamoDB runs no scripts. The rules of the breaker and of starts are applied here to the state that was read, and the new state
// is written under the condition that the old one hasn't changed.
package cachetable

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/sufrah/usage-bootstrap/internal/clock"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// DefaultTimeout bounds an operation with all its requests. A request takes some milliseconds, and a new connection some tens of
// them: a table that needs longer costs its caller what a cache that is down does.
const DefaultTimeout = 500 * time.Millisecond

const (
	// pause is how long a table that doesn't answer is left alone.
	pause = time.Second
	// firstWait is the longest wait before the second attempt at a change that another instance got ahead of; doubled before each
	// further one, up to longestWait. Five jobs run at once, and of each round of attempts one succeeds: within the time-out all
	// five do.
	firstWait   = 4 * time.Millisecond
	longestWait = 64 * time.Millisecond
	// attempts of the SDK at one request: the second is for a connection that was closed while the process was frozen.
	attempts   = 2
	maxBackoff = 20 * time.Millisecond
	// longestKey is the longest key that is kept as it is. DynamoDB takes partition keys of up to 2,048 bytes.
	longestKey = 1500
)

// The attributes of an item. Template.yaml names the key and attrDeleteAt too.
const (
	attrKey      = "key"
	attrValue    = "value"
	attrPacked   = "packed"    // the value is compressed
	attrParts    = "parts"     // number of items that hold the value
	attrID       = "id"        // of the parts, or of a state that the next writer has read
	attrExpires  = "expiresAt" // milliseconds, by which the item counts
	attrDeleteAt = "deleteAt"  // seconds, by which DynamoDB deletes it
	attrCount    = "count"
	attrFailures = "failures"
	attrUntil    = "until"
)

var (
	errPaused    = errors.New("the table failed to answer a moment ago")
	errOvertaken = errors.New("other instances changed the item each time")
)

// Config says which table is the cache.
type Config struct {
	Table   string
	Timeout time.Duration // of an operation; 0 takes DefaultTimeout
	Now     func() time.Time
	Random  func() uint64 // evenly distributed, by instances apart; safe for concurrent use
	// Failed is told of each operation that the table failed in, or wasn't asked for after a failure, while its caller had time
	// left; nil tells nobody.
	Failed func()
}

// Client keeps values and states in a table. It is safe for concurrent use. Every error wraps outage.ErrUnavailable, or else the
// error of the operation's own context.
type Client struct {
	config Config
	db     *dynamodb.Client
	pause  outage.Pause
}

// New returns a client. It sends nothing.
func New(c aws.Config, config Config) *Client {
	config.Timeout = cmp.Or(config.Timeout, DefaultTimeout)
	return &Client{config: config, db: dynamodb.NewFromConfig(c, func(o *dynamodb.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = attempts, maxBackoff, ratelimit.None
		})
	})}
}

// Close does nothing: connections are the SDK's.
func (c *Client) Close() {}

// do runs an operation within the time-out, unless the table is left alone.
func (c *Client) do(ctx context.Context, name string, operation func(context.Context) error) error {
	return outage.Attempt(ctx, "cache: "+name, c.config.Failed, func() error {
		defer timing.Start(ctx, timing.Cache)()
		return c.tried(ctx, operation)
	})
}

func (c *Client) tried(ctx context.Context, operation func(context.Context) error) error {
	if !c.pause.Admits(c.config.Timeout) {
		return errPaused
	}
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	err := operation(bounded)
	if !outage.Ended(ctx) { // a caller that left early says nothing about the table
		c.pause.Judge(answered(err), pause)
	}
	return err
}

// answered reports whether the table answered, if only with a refusal.
func answered(err error) bool {
	_, refused := errors.AsType[smithy.APIError](err)
	return err == nil || refused || errors.Is(err, errOvertaken) || errors.Is(err, errTooLarge)
}

// keyOf returns the key of an item.
func keyOf(key string) table.Item {
	if len(key) > longestKey {
		sum := sha256.Sum256([]byte(key))
		key = key[:longestKey] + "#" + hex.EncodeToString(sum[:])
	}
	return table.Item{attrKey: table.Text(key)}
}

// newItem returns an item that counts for ttl.
func (c *Client) newItem(key string, ttl time.Duration) table.Item {
	it := keyOf(key)
	expires := c.config.Now().Add(ttl)
	it[attrExpires], it[attrDeleteAt] = table.Number(expires.UnixMilli()), table.Number(expires.Unix()+1)
	return it
}

// expired reports whether an item doesn't count any more. It is then as good as absent.
func (c *Client) expired(it table.Item) bool {
	r := table.Reader{Item: it}
	return r.Number(attrExpires) <= c.config.Now().UnixMilli() || r.Err != nil
}

// read returns an item, expired or not; nil if there is none. It is strongly consistent, so that an instance that has waited for
// another one's lock finds the value behind it.
func (c *Client) read(ctx context.Context, key string) (table.Item, error) {
	output, err := c.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &c.config.Table, Key: keyOf(key), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return output.Item, nil
}

// put writes an item under a condition.
func (c *Client) put(ctx context.Context, it table.Item, e table.Expression) error {
	_, err := c.db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &c.config.Table, Item: it, ConditionExpression: table.Optional(e.Condition),
		ExpressionAttributeNames: e.Names, ExpressionAttributeValues: e.Values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	return err
}

// change reads an item, has step make another of it, and writes that one unless the item has changed meanwhile: then it begins
// again with the item as it is by then. step is given nil for an item that is absent or has expired, and returns nil to leave the
// item as it is.
func (c *Client) change(ctx context.Context, key string, step func(old table.Item) (table.Item, error)) error {
	old, err := c.read(ctx, key)
	if err != nil {
		return err
	}
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		seen := old
		if old != nil && c.expired(old) {
			seen = nil
		}
		it, err := step(seen)
		if err != nil || it == nil {
			return err
		}
		it[attrID] = table.Text(c.newID())
		unchanged := table.Expression{Condition: "attribute_not_exists(#id)", Names: map[string]string{"#id": attrID}}
		if old[attrID] != nil {
			unchanged.Condition, unchanged.Values = "#id = :id", table.Item{":id": old[attrID]}
		}
		err = c.put(ctx, it, unchanged)
		overtaken, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
		if !ok {
			return err
		}
		if old = overtaken.Item; len(old) == 0 {
			old = nil
		}
		if clock.Sleep(ctx, time.Duration(c.config.Random()%uint64(wait))) != nil {
			return errOvertaken // which says nothing against the table
		}
	}
}

// newID returns an id that no other writer has.
func (c *Client) newID() string {
	return strconv.FormatUint(c.config.Random(), 36) + strconv.FormatUint(c.config.Random(), 36)
}
