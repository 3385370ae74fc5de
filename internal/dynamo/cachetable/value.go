package cachetable

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
)

const (
	// packFrom is the length in bytes from which values are compressed. A write costs a unit for each KB, so that compressing
	// a shorter value saves nothing.
	packFrom = 900
	// partBytes is the most bytes of a value that one item holds. DynamoDB allows items of up to 400 KB, names and keys
	// included (DynamoDB's developer guide, "Constraints").
	partBytes = 380 << 10
	// maxParts bounds the size of a value: a BatchGetItem returns at most 16 MB.
	maxParts = 16
	// maxUnpacked bounds the size of a value after decompression.
	maxUnpacked = 64 << 20
	// batchRows is the most items in a BatchWriteItem.
	batchRows = 25
)

var (
	errTooLarge    = errors.New("the value is too large")
	errUnprocessed = errors.New("part of a batch was left unprocessed")
)

// Get returns the key's value; found is false if it has none.
func (c *Client) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	err = c.do(ctx, "Get", func(ctx context.Context) error {
		it, err := c.read(ctx, key)
		if err != nil || it == nil || c.expired(it) {
			return err
		}
		value, found, err = c.value(ctx, key, it)
		return err
	})
	return value, found, err
}

// value returns an item's value; found is false if a part is missing or the value can't be read.
func (c *Client) value(ctx context.Context, key string, it table.Item) ([]byte, bool, error) {
	r := table.Reader{Item: it}
	var value []byte
	switch parts := int(r.Number(attrParts)); {
	case r.Err != nil || parts < 0 || parts > maxParts:
		return nil, false, nil
	case parts > 0:
		var whole bool
		var err error
		if value, whole, err = c.joined(ctx, key, r.Text(attrID), parts); err != nil || !whole {
			return nil, false, err
		}
	default:
		stored, ok := it[attrValue].(*types.AttributeValueMemberB)
		if !ok {
			return nil, false, nil
		}
		value = stored.Value
	}
	if r.Flag(attrPacked) {
		unpacked, err := unpack(value)
		return unpacked, err == nil, nil
	}
	return value, r.Err == nil, nil
}

// partKey returns the key of a part. The id is new for each write, so that a reader never mixes parts of two values.
func partKey(key, id string, part int) string { return fmt.Sprintf("%s#%s#%d", key, id, part) }

// joined reads a value's parts and joins them. It reports whether all parts were found.
func (c *Client) joined(ctx context.Context, key, id string, parts int) ([]byte, bool, error) {
	request := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
	place := make(map[string]int, parts)
	for i := range parts {
		k := keyOf(partKey(key, id, i))
		place[textOf(k)] = i
		request.Keys = append(request.Keys, k)
	}
	output, err := c.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
		RequestItems: map[string]types.KeysAndAttributes{c.config.Table: request},
	})
	if err != nil {
		return nil, false, err
	}
	read := make([][]byte, parts)
	for _, it := range output.Responses[c.config.Table] {
		if stored, ok := it[attrValue].(*types.AttributeValueMemberB); ok {
			read[place[textOf(it)]] = stored.Value
		}
	}
	for _, part := range read {
		if len(part) == 0 {
			return nil, false, nil // missing, or left unprocessed because the table is throttled
		}
	}
	return bytes.Join(read, nil), true, nil
}

func textOf(it table.Item) string {
	r := table.Reader{Item: it}
	return r.Text(attrKey)
}

// Set gives the key a value for ttl. The parts of a large value are written before the item that refers to them.
func (c *Client) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return c.do(ctx, "Set", func(ctx context.Context) error {
		head, parts, err := c.items(key, value, ttl)
		if err != nil {
			return err
		}
		if len(parts) > 0 {
			if _, err := c.putAll(ctx, parts); err != nil {
				return err
			}
		}
		return c.put(ctx, head, table.Expression{})
	})
}

// items returns the items of a value: the item under the key, and the parts, if any.
func (c *Client) items(key string, value []byte, ttl time.Duration) (head table.Item, parts []table.Item, err error) {
	head = c.newItem(key, ttl)
	if len(value) >= packFrom {
		if packed := pack(value); len(packed) < len(value) {
			value, head[attrPacked] = packed, table.Flag(true)
		}
	}
	if len(value) <= partBytes {
		head[attrValue] = table.Binary(append([]byte{}, value...)) // never nil, which the SDK treats as a missing value
		return head, nil, nil
	}
	n := (len(value) + partBytes - 1) / partBytes
	if n > maxParts {
		return nil, nil, errTooLarge
	}
	id := c.newID()
	head[attrParts], head[attrID] = table.Number(int64(n)), table.Text(id)
	for i := range n {
		part := c.newItem(partKey(key, id, i), ttl)
		part[attrValue] = table.Binary(value[i*partBytes : min(len(value), (i+1)*partBytes)])
		parts = append(parts, part)
	}
	return head, parts, nil
}

// SetAll gives each key its value for ttl, in a round trip for each 25 keys. It returns the number of keys set. If that is
// fewer than all, it also returns an error.
func (c *Client) SetAll(ctx context.Context, values map[string][]byte, ttl time.Duration) (n int, err error) {
	err = c.do(ctx, "SetAll", func(ctx context.Context) error {
		items := make([]table.Item, 0, len(values))
		for key, value := range values {
			head, parts, err := c.items(key, value, ttl)
			if err != nil || len(parts) > 0 {
				return errTooLarge
			}
			items = append(items, head)
		}
		n, err = c.putAll(ctx, items)
		return err
	})
	return n, err
}

// putAll writes items and returns the number written.
func (c *Client) putAll(ctx context.Context, items []table.Item) (n int, err error) {
	for len(items) > 0 {
		rows := min(len(items), batchRows)
		requests := make([]types.WriteRequest, rows)
		for i, it := range items[:rows] {
			requests[i] = types.WriteRequest{PutRequest: &types.PutRequest{Item: it}}
		}
		output, err := c.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{c.config.Table: requests},
		})
		if err != nil {
			return n, err
		}
		left := len(output.UnprocessedItems[c.config.Table])
		if n += rows - left; left > 0 {
			return n, errUnprocessed
		}
		items = items[rows:]
	}
	return n, nil
}

// SetIfAbsent gives the key a value for ttl and returns true, unless the key has another value. Each caller must use a value
// of its own, so that the operation can be repeated after a lost answer.
func (c *Client) SetIfAbsent(ctx context.Context, key, value string, ttl time.Duration) (set bool, err error) {
	err = c.do(ctx, "SetIfAbsent", func(ctx context.Context) error {
		it := c.newItem(key, ttl)
		it[attrValue] = table.Binary([]byte(value))
		err := c.put(ctx, it, table.Expression{
			Condition: "attribute_not_exists(#key) OR #expires <= :now OR #value = :value",
			Names:     map[string]string{"#key": attrKey, "#expires": attrExpires, "#value": attrValue},
			Values:    table.Item{":now": table.Number(c.config.Now().UnixMilli()), ":value": it[attrValue]},
		})
		if set = err == nil; isConditionFailed(err) {
			return nil
		}
		return err
	})
	return set, err
}

// DeleteIfEquals deletes the key if it has the value.
func (c *Client) DeleteIfEquals(ctx context.Context, key, value string) error {
	return c.do(ctx, "DeleteIfEquals", func(ctx context.Context) error {
		_, err := c.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: &c.config.Table, Key: keyOf(key), ConditionExpression: aws.String("#value = :value"),
			ExpressionAttributeNames:  map[string]string{"#value": attrValue},
			ExpressionAttributeValues: table.Item{":value": table.Binary([]byte(value))},
		})
		if isConditionFailed(err) {
			return nil
		}
		return err
	})
}

func isConditionFailed(err error) bool {
	_, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	return ok
}

func pack(value []byte) []byte {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(value) // writing to a buffer never fails
	_ = w.Close()
	return packed.Bytes()
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	value, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err == nil && len(value) > maxUnpacked {
		err = errTooLarge
	}
	return value, err
}
