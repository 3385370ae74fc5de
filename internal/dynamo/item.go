package dynamo

import (
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// item is an item of any table.
type item = map[string]types.AttributeValue

// timeLayout is how times are stored: text of one width, which sorts and compares as time passes and which a person
// can read in the console.
const timeLayout = "2006-01-02T15:04:05.000Z"

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func flag(b bool) types.AttributeValue   { return &types.AttributeValueMemberBOOL{Value: b} }
func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
func instant(t time.Time) types.AttributeValue {
	return text(t.UTC().Format(timeLayout))
}

func textSet(members ...string) types.AttributeValue {
	return &types.AttributeValueMemberSS{Value: members}
}

func numbers(ns []int64) types.AttributeValue {
	list := make([]types.AttributeValue, len(ns))
	for i, n := range ns {
		list[i] = number(n)
	}
	return &types.AttributeValueMemberL{Value: list}
}

// setText and setInstant store optional attributes only where they have a value.
func setText(it item, name, value string) {
	if value != "" {
		it[name] = text(value)
	}
}

func setInstant(it item, name string, value time.Time) {
	if !value.IsZero() {
		it[name] = instant(value)
	}
}

// reader reads the attributes of an item; an absent one is its type's zero value. The first attribute of another type
// than expected is kept as err: such an item was written by something else than this package.
type reader struct {
	item item
	err  error
}

func (r *reader) fail(name, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("stored attribute %q is not %s", name, want)
	}
}

func (r *reader) text(name string) string {
	switch v := r.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberS:
		return v.Value
	default:
		r.fail(name, "a text")
	}
	return ""
}

func (r *reader) texts(name string) []string {
	switch v := r.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberSS:
		return v.Value
	default:
		r.fail(name, "a set of texts")
	}
	return nil
}

func (r *reader) flag(name string) bool {
	switch v := r.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberBOOL:
		return v.Value
	default:
		r.fail(name, "a boolean")
	}
	return false
}

func (r *reader) number(name string) int64 { return r.parseNumber(name, r.item[name]) }

func (r *reader) parseNumber(name string, value types.AttributeValue) int64 {
	switch v := value.(type) {
	case nil:
		return 0
	case *types.AttributeValueMemberN:
		if n, err := strconv.ParseInt(v.Value, 10, 64); err == nil {
			return n
		}
	}
	r.fail(name, "a whole number")
	return 0
}

func (r *reader) numbers(name string) []int64 {
	switch v := r.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberL:
		ns := make([]int64, len(v.Value))
		for i, value := range v.Value {
			ns[i] = r.parseNumber(name, value)
		}
		return ns
	default:
		r.fail(name, "a list of numbers")
	}
	return nil
}

func (r *reader) numberMap(name string) map[string]int64 {
	switch v := r.item[name].(type) {
	case nil:
	case *types.AttributeValueMemberM:
		ns := make(map[string]int64, len(v.Value))
		for key, value := range v.Value {
			ns[key] = r.parseNumber(name, value)
		}
		return ns
	default:
		r.fail(name, "a map of numbers")
	}
	return nil
}

func (r *reader) instant(name string) time.Time {
	s := r.text(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(timeLayout, s)
	if err != nil {
		r.fail(name, "a time")
	}
	return t
}
