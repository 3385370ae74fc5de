package dynamolocal

import (
	"slices"
	"strings"
	"unicode/utf16"
)

// operand is a part of an expression that has a value: an attribute, a :value, or a function of one.
type operand interface {
	// resolve returns the operand's value for the item, or nil if it has none.
	resolve(item document) value
}

// condition is true or false for an item. An absent item counts as an empty one.
type condition interface {
	holds(item document) bool
}

type (
	literal struct{ value value }
	sizeOf  struct{ of operand }
)

func (l literal) resolve(document) value { return l.value }

// resolve counts a string's UTF-16 units, a binary's bytes, or the members of a set, list or map.
func (s sizeOf) resolve(item document) value {
	var size int
	switch v := s.of.resolve(item).(type) {
	case stringValue:
		size = len(utf16.Encode([]rune(string(v))))
	case binaryValue:
		size = len(v)
	case setValue:
		size = len(v.members)
	case listValue:
		size = len(v)
	case document:
		size = len(v)
	default:
		return nil
	}
	return integer(size)
}

type (
	and struct{ left, right condition }
	or  struct{ left, right condition }
	not struct{ inner condition }

	comparison struct {
		operator    string
		left, right operand
	}
	between struct{ of, low, high operand }
	in      struct {
		of    operand
		among []operand
	}
	exists struct {
		path path
		want bool
	}
	hasType struct {
		of   path
		kind string
	}
	beginsWith struct{ of, prefix operand }
	contains   struct{ of, needle operand }
)

func (c and) holds(item document) bool { return c.left.holds(item) && c.right.holds(item) }
func (c or) holds(item document) bool  { return c.left.holds(item) || c.right.holds(item) }
func (c not) holds(item document) bool { return !c.inner.holds(item) }

// holds compares the two operands. An absent attribute differs from every value.
func (c comparison) holds(item document) bool {
	left, right := c.left.resolve(item), c.right.resolve(item)
	switch c.operator {
	case "=":
		return left != nil && equal(left, right)
	case "<>":
		return left == nil || !equal(left, right)
	}
	return inOrder(c.operator, left, right)
}

// inOrder compares with <, <=, > or >=. Values of different types, or of a type without an order, never satisfy it.
func inOrder(operator string, left, right value) bool {
	if left == nil || right == nil {
		return false
	}
	order, ok := compare(left, right)
	if !ok {
		return false
	}
	switch operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

func (c between) holds(item document) bool {
	v := c.of.resolve(item)
	return inOrder(">=", v, c.low.resolve(item)) && inOrder("<=", v, c.high.resolve(item))
}

func (c in) holds(item document) bool {
	v := c.of.resolve(item)
	return v != nil && slices.ContainsFunc(c.among, func(o operand) bool { return equal(v, o.resolve(item)) })
}

func (c exists) holds(item document) bool { return (c.path.resolve(item) != nil) == c.want }

func (c hasType) holds(item document) bool {
	v := c.of.resolve(item)
	return v != nil && v.kind() == c.kind
}

func (c beginsWith) holds(item document) bool {
	whole, prefix, ok := sameText(c.of.resolve(item), c.prefix.resolve(item))
	return ok && strings.HasPrefix(whole, prefix)
}

// holds reports whether a string or binary contains the needle, or a set or list has it as a member.
func (c contains) holds(item document) bool {
	whole, needle := c.of.resolve(item), c.needle.resolve(item)
	if needle == nil {
		return false
	}
	switch whole := whole.(type) {
	case listValue:
		return slices.ContainsFunc(whole, func(element value) bool { return equal(element, needle) })
	case setValue:
		text, ok := scalarText(needle)
		return ok && whole.element == needle.kind() && slices.Contains(whole.members, text)
	}
	text, part, ok := sameText(whole, needle)
	return ok && strings.Contains(text, part)
}

// sameText returns the contents of two strings or of two binaries.
func sameText(a, b value) (string, string, bool) {
	switch a := a.(type) {
	case stringValue:
		b, ok := b.(stringValue)
		return string(a), string(b), ok
	case binaryValue:
		b, ok := b.(binaryValue)
		return string(a), string(b), ok
	}
	return "", "", false
}

// scalarText returns a scalar as a set would hold it.
func scalarText(v value) (string, bool) {
	switch v := v.(type) {
	case stringValue:
		return string(v), true
	case numberValue:
		return string(v), true
	case binaryValue:
		return string(v), true
	}
	return "", false
}
