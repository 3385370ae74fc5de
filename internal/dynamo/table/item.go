package table

import (
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Item is an item of a table, Value is an attribute's value, and Write is a part of a transaction.
type (
	Item  = map[string]types.AttributeValue
	Value = types.AttributeValue
	Write = types.TransactWriteItem
)

// TimeLayout is the stored form of times: text of a fixed width, which sorts in the order of time, and which people can read
// in the console.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Text, Flag, Number, Big, Instant, TextSet and Numbers return values in their stored form.
func Text(s string) Value              { return &types.AttributeValueMemberS{Value: s} }
func Flag(b bool) types.AttributeValue { return &types.AttributeValueMemberBOOL{Value: b} }
func Number(n int64) Value {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func Big(n *big.Int) Value { return &types.AttributeValueMemberN{Value: n.String()} }

func Instant(t time.Time) Value {
	return Text(t.UTC().Format(TimeLayout))
}

func TextSet(members ...string) Value {
	return &types.AttributeValueMemberSS{Value: members}
}

func Numbers(ns []int64) Value {
	list := make([]Value, len(ns))
	for i, n := range ns {
		list[i] = Number(n)
	}
	return &types.AttributeValueMemberL{Value: list}
}

// SetText and SetInstant set an attribute, unless its value is empty or zero.
func SetText(it Item, name, value string) {
	if value != "" {
		it[name] = Text(value)
	}
}

func SetInstant(it Item, name string, value time.Time) {
	if !value.IsZero() {
		it[name] = Instant(value)
	}
}

// Reader reads the attributes of an item. A missing attribute has its type's zero value. If an attribute has an unexpected
// type, this system didn't write the item: Err keeps the first such fault.
type Reader struct {
	Item Item
	Err  error
}

// Fail notes an attribute with an unexpected value in Err.
func (r *Reader) Fail(name, want string) {
	if r.Err == nil {
		r.Err = fmt.Errorf("stored attribute %q is not %s", name, want)
	}
}

// Text returns a text.
func (r *Reader) Text(name string) string {
	switch v := r.Item[name].(type) {
	case nil:
	case *types.AttributeValueMemberS:
		return v.Value
	default:
		r.Fail(name, "a text")
	}
	return ""
}

// Texts returns the members of a set of texts.
func (r *Reader) Texts(name string) []string {
	switch v := r.Item[name].(type) {
	case nil:
	case *types.AttributeValueMemberSS:
		return v.Value
	default:
		r.Fail(name, "a set of texts")
	}
	return nil
}

// Flag returns a boolean.
func (r *Reader) Flag(name string) bool {
	switch v := r.Item[name].(type) {
	case nil:
	case *types.AttributeValueMemberBOOL:
		return v.Value
	default:
		r.Fail(name, "a boolean")
	}
	return false
}

// Number returns a whole number.
func (r *Reader) Number(name string) int64 { return r.parseNumber(name, r.Item[name]) }

func (r *Reader) parseNumber(name string, value Value) int64 {
	switch v := value.(type) {
	case nil:
		return 0
	case *types.AttributeValueMemberN:
		if n, err := strconv.ParseInt(v.Value, 10, 64); err == nil {
			return n
		}
	}
	r.Fail(name, "a whole number")
	return 0
}

// Numbers returns a list of whole numbers.
func (r *Reader) Numbers(name string) []int64 {
	switch v := r.Item[name].(type) {
	case nil:
	case *types.AttributeValueMemberL:
		ns := make([]int64, len(v.Value))
		for i, value := range v.Value {
			ns[i] = r.parseNumber(name, value)
		}
		return ns
	default:
		r.Fail(name, "a list of numbers")
	}
	return nil
}

// NumberMap returns a map of whole numbers.
func (r *Reader) NumberMap(name string) map[string]int64 {
	switch v := r.Item[name].(type) {
	case nil:
	case *types.AttributeValueMemberM:
		ns := make(map[string]int64, len(v.Value))
		for key, value := range v.Value {
			ns[key] = r.parseNumber(name, value)
		}
		return ns
	default:
		r.Fail(name, "a map of numbers")
	}
	return nil
}

// Instant returns a time.
func (r *Reader) Instant(name string) time.Time {
	s := r.Text(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(TimeLayout, s)
	if err != nil {
		r.Fail(name, "a time")
	}
	return t
}

// Map returns a map in its stored form.
func Map(m Item) Value { return &types.AttributeValueMemberM{Value: m} }

// Same reports whether two texts, numbers or flags are equal, or both missing. Values of other types are never equal.
func Same(a, b Value) bool { return scalar(a) == scalar(b) }

// scalar returns the stored form of a text, a number or a flag, "" for anything else.
func scalar(value Value) string {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return v.Value
	case *types.AttributeValueMemberBOOL:
		return strconv.FormatBool(v.Value)
	}
	return ""
}

// Binary and BinarySet return bytes in their stored form.
func Binary(b []byte) Value { return &types.AttributeValueMemberB{Value: b} }

func BinarySet(members ...[]byte) Value { return &types.AttributeValueMemberBS{Value: members} }

// Binaries returns the members of a set of bytes.
func (r *Reader) Binaries(name string) [][]byte {
	switch v := r.Item[name].(type) {
	case nil:
	case *types.AttributeValueMemberBS:
		return v.Value
	default:
		r.Fail(name, "a set of bytes")
	}
	return nil
}

// NumberSet returns whole numbers as a set.
func NumberSet(ns ...int) Value {
	members := make([]string, len(ns))
	for i, n := range ns {
		members[i] = strconv.Itoa(n)
	}
	return &types.AttributeValueMemberNS{Value: members}
}

// NumberSet returns the members of a set of whole numbers, in no order.
func (r *Reader) NumberSet(name string) []int {
	switch v := r.Item[name].(type) {
	case nil:
	case *types.AttributeValueMemberNS:
		ns := make([]int, len(v.Value))
		for i, member := range v.Value {
			n, err := strconv.Atoi(member)
			if err != nil {
				r.Fail(name, "a set of whole numbers")
			}
			ns[i] = n
		}
		return ns
	default:
		r.Fail(name, "a set of whole numbers")
	}
	return nil
}
