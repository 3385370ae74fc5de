package cachetable

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/startlog"
)

const (
	// ClockMargin is the largest expected difference between two instances' clocks. A start counts for this much longer than
	// the period, so that it counts for at least the period by any instance's clock.
	ClockMargin = 250 * time.Millisecond
	// keepLog is how long a log of starts is kept after its latest request.
	keepLog = 7 * 24 * time.Hour
	// maxWaiting bounds the waiting callers in a log, and so the size of its item. A further caller is told the next moment
	// after theirs, but isn't entered in the log.
	maxWaiting = 1000
	// nameBytes is the length of a waiting caller's name in a log, which is a hash.
	nameBytes = 8
)

// Count adds one to a key's counter and returns the sum. The counter expires when keep has passed since it began.
func (c *Client) Count(ctx context.Context, key string, keep time.Duration) (n int64, err error) {
	err = c.do(ctx, "Count", func(ctx context.Context) error {
		it := c.newItem(key, keep)
		e := table.Expression{
			Set: "#expires = if_not_exists(#expires, :expires), #delete = if_not_exists(#delete, :delete)", Add: "#count :one",
			Names:  map[string]string{"#expires": attrExpires, "#delete": attrDeleteAt, "#count": attrCount},
			Values: table.Item{":expires": it[attrExpires], ":delete": it[attrDeleteAt], ":one": table.Number(1)},
		}
		output, err := c.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &c.config.Table, Key: keyOf(key), UpdateExpression: e.Update(), ExpressionAttributeNames: e.Names,
			ExpressionAttributeValues: e.Values, ReturnValues: types.ReturnValueUpdatedNew,
		})
		if err != nil {
			return err
		}
		r := table.Reader{Item: output.Attributes}
		n = r.Number(attrCount)
		return r.Err
	})
	return n, err
}

// Start applies package startlog's rule to the log under a key, by this instance's clock unless the request has a time. A
// time in the request needs no ClockMargin.
func (c *Client) Start(ctx context.Context, key string, r startlog.Request) (answer startlog.Answer, err error) {
	name := sha256.Sum256([]byte(r.Name))
	r.Name = string(name[:nameBytes])
	if r.At == 0 {
		r.Per += ClockMargin.Microseconds()
	}
	err = c.do(ctx, "Start", func(ctx context.Context) error {
		return c.change(ctx, key, func(old table.Item) (table.Item, error) {
			now := r.At
			if now == 0 {
				now = c.config.Now().UnixMicro()
			}
			log := logOf(old)
			if answer = log.Ask(now, r); answer.MustOffer {
				return nil, nil
			}
			log.Waiting = log.Waiting[:min(len(log.Waiting), maxWaiting)]
			it := c.newItem(key, keepLog)
			it[attrValue] = table.Binary(encoded(log))
			return it, nil
		})
	})
	return answer, err
}

// logOf returns the log in an item. An unreadable log counts as a log that has lost its content.
func logOf(it table.Item) startlog.Log {
	stored, ok := it[attrValue].(*types.AttributeValueMemberB)
	if !ok {
		return startlog.Log{}
	}
	log, err := decoded(stored.Value)
	if err != nil {
		return startlog.Log{}
	}
	return log
}

// encoded returns a log in few bytes. A start is stored as its distance from the next start, which takes about three bytes.
func encoded(log startlog.Log) []byte {
	b := binary.AppendVarint(nil, log.Epoch)
	b = binary.AppendVarint(b, int64(len(log.Starts)))
	last := int64(0)
	for _, at := range log.Starts {
		b = binary.AppendVarint(b, last-at)
		last = at
	}
	b = binary.AppendVarint(b, int64(len(log.Waiting)))
	for _, w := range log.Waiting {
		b = binary.AppendVarint(b, w.At-last)
		b = append(b, w.Name...)
		last = w.At
	}
	return b
}

var errNoLog = errors.New("the bytes are no log of starts")

func decoded(b []byte) (startlog.Log, error) {
	r := reader{rest: b}
	log := startlog.Log{Epoch: r.number()}
	last := int64(0)
	for n := r.number(); n > 0 && !r.failed; n-- {
		last -= r.number()
		log.Starts = append(log.Starts, last)
	}
	for n := r.number(); n > 0 && !r.failed; n-- {
		last += r.number()
		log.Waiting = append(log.Waiting, startlog.Waiter{At: last, Name: r.name()})
	}
	if r.failed || len(r.rest) > 0 {
		return startlog.Log{}, errNoLog
	}
	return log, nil
}

// reader reads numbers and names one after the other. Once a read has failed, all further reads fail.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) number() int64 {
	n, length := binary.Varint(r.rest)
	if length <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[length:]
	return n
}

func (r *reader) name() string {
	if len(r.rest) < nameBytes {
		r.failed, r.rest = true, nil
		return ""
	}
	name := string(r.rest[:nameBytes])
	r.rest = r.rest[nameBytes:]
	return name
}
