// Package cachetable keeps the cache in a DynamoDB table in place of a Valkey server, for stacks that are too small for a
// network of their own.
//
// Values expire by the clock of the instance that reads them. DynamoDB deletes them later, by its time-to-live attribute: it
// "typically deletes expired items within a few days", and until then reads return them (DynamoDB's developer guide, "Using
// time to live", "Working with expired items"). Instances' clocks are close to one another: a function's execution
// environment "uses NTP to synchronize the system clock" (AWS Lambda's developer guide, "Defined runtime environment
// variables").
//
// DynamoDB runs no scripts. So this package reads a state, applies the rule of the breaker or of starts to it, and writes the
// new state under the condition that the old one hasn't changed.
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

// DefaultTimeout bounds an operation with all its requests. A request takes some milliseconds, a new connection some tens of
// milliseconds. A slower table counts as a cache that is down.
const DefaultTimeout = 500 * time.Millisecond

const (
	// pause is how long a table is left alone after it didn't answer.
	pause = time.Second
	// firstWait bounds the random wait before a change is tried again because another instance changed the item first. The
	// bound doubles with each further try, up to longestWait. Five jobs run at once, and in each round of tries one succeeds,
	// so that all five succeed within the time-out.
	firstWait   = 4 * time.Millisecond
	longestWait = 64 * time.Millisecond
	// attempts is how often the SDK tries a request. The second try is for a connection that was closed while the process was
	// frozen.
	attempts   = 2
	maxBackoff = 20 * time.Millisecond
	// longestKey is the longest key that is stored unchanged; a longer key ends in a hash. DynamoDB allows partition keys of
	// up to 2,048 bytes.
	longestKey = 1500
)

// The attributes of an item. template.yaml has the names of the key and of attrDeleteAt too.
const (
	attrKey      = "key"
	attrValue    = "value"
	attrPacked   = "packed"    // the value is compressed
	attrParts    = "parts"     // number of items that hold the value
	attrID       = "id"        // of a value's parts, or of the state that a change was based on
	attrExpires  = "expiresAt" // the end of the item's validity, in Unix milliseconds
	attrDeleteAt = "deleteAt"  // the time after which DynamoDB deletes it, in Unix seconds
	attrCount    = "count"
	attrFailures = "failures"
	attrUntil    = "until"
)

var (
	errPaused    = errors.New("the table failed to answer a moment ago")
	errOvertaken = errors.New("other instances changed the item each time")
)

// Config names the table and configures the client.
type Config struct {
	Table   string
	Timeout time.Duration // of an operation; 0 means DefaultTimeout
	Now     func() time.Time
	Random  func() uint64 // evenly distributed and different in each instance; safe for concurrent use
	// Failed is called for each operation that the table failed, or that was not sent because of an earlier failure. It isn't
	// called if the operation's context had ended. It may be nil.
	Failed func()
}

// Client keeps values and states in a table. It is safe for concurrent use. Every error wraps outage.ErrUnavailable or the
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

// Close does nothing: the connections belong to the SDK.
func (c *Client) Close() {}

// do runs an operation within the time-out. It fails at once while the table is left alone.
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

// answered reports whether the table answered; a refusal is an answer too.
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

// newItem returns an item that expires after ttl.
func (c *Client) newItem(key string, ttl time.Duration) table.Item {
	it := keyOf(key)
	expires := c.config.Now().Add(ttl)
	it[attrExpires], it[attrDeleteAt] = table.Number(expires.UnixMilli()), table.Number(expires.Unix()+1)
	return it
}

// expired reports whether an item has expired. An expired item counts as absent.
func (c *Client) expired(it table.Item) bool {
	r := table.Reader{Item: it}
	return r.Number(attrExpires) <= c.config.Now().UnixMilli() || r.Err != nil
}

// read returns an item, expired or not; nil if there is none. The read is strongly consistent, so that an instance that has
// waited for another's lock then finds the value that the other has written.
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

// change reads an item and writes the item that step returns for it. If the item was changed in between, it calls step again
// with the changed item. step's argument is nil if the item is absent or expired. If step returns nil, nothing is written.
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
			return errOvertaken // not the table's fault
		}
	}
}

// newID returns an id that no other writer has.
func (c *Client) newID() string {
	return strconv.FormatUint(c.config.Random(), 36) + strconv.FormatUint(c.config.Random(), 36)
}
