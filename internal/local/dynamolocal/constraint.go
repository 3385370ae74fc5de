package dynamolocal

import (
	"fmt"
	"slices"
	"strings"
)

// constraints are the faults of a request's members that are outside their bounds. DynamoDB checks these bounds first, and
// reports all such faults together.
//
// The wording is that of AWS's answers recorded in October 2026 (github.com/paritysuite/dynamodb-conformance, tests/tier3).
// Where regions differ, it is the wording of most.
type constraints []string

// err returns the error for all failed constraints, or nil.
func (c constraints) err() error {
	switch len(c) {
	case 0:
		return nil
	case 1:
		return validation("1 validation error detected: %s", c[0])
	}
	return validation("%d validation errors detected: %s", len(c), strings.Join(c, "; "))
}

func (c *constraints) add(format string, arguments ...any) {
	*c = append(*c, fmt.Sprintf(format, arguments...))
}

// fail adds a member, without its value in the message.
func (c *constraints) fail(member, rule string) {
	c.add("Value at '%s' failed to satisfy constraint: %s", member, rule)
}

// failValue adds a member, with its value in the message.
func (c *constraints) failValue(value, member, rule string) {
	c.add("Value '%s' at '%s' failed to satisfy constraint: %s", value, member, rule)
}

// oneOf checks a member that must be one of the allowed values. An empty text is an absent member.
func (c *constraints) oneOf(member, given string, allowed ...string) {
	if given != "" && !slices.Contains(allowed, given) {
		c.failValue(given, member, "Member must satisfy enum value set: ["+strings.Join(allowed, ", ")+"]")
	}
}

func (c *constraints) capacityDetail(given string) {
	c.oneOf("returnConsumedCapacity", given, "INDEXES", "TOTAL", "NONE")
}

func (c *constraints) collectionMetrics(given string) {
	c.oneOf("returnItemCollectionMetrics", given, "SIZE", "NONE")
}

// between checks a number. nil is an absent number.
func (c *constraints) between(member string, given *int, low, high int) {
	switch {
	case given == nil:
	case *given < low:
		c.fail(member, fmt.Sprintf("Member must have value greater than or equal to %d", low))
	case *given > high:
		c.fail(member, fmt.Sprintf("Member must have value less than or equal to %d", high))
	}
}

// The bounds of the length of a new table's or index's name.
const (
	minName = 3
	maxName = 255
)

const namePattern = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"

// tableName checks the name of an existing table.
func (c *constraints) tableName(member, name string) {
	if name == "" {
		c.fail("T"+strings.TrimPrefix(member, "t"), "Member must have length greater than or equal to 1")
		return
	}
	c.name(member, name, 1)
}

// name checks a name with a minimum length.
func (c *constraints) name(member, name string, shortest int) {
	if strings.ContainsFunc(name, func(r rune) bool { return !isTableNameRune(r) }) {
		c.failValue(name, member, namePattern)
	}
	switch {
	case len(name) < shortest:
		c.failValue(name, member, fmt.Sprintf("Member must have length greater than or equal to %d", shortest))
	case len(name) > maxName:
		c.failValue(name, member, fmt.Sprintf("Member must have length less than or equal to %d", maxName))
	}
}

func isTableNameRune(r rune) bool {
	return r < 0x80 && isNameByte(byte(r)) || r == '.' || r == '-'
}

// mapKeys checks the table names of a batch, which are the keys of a map. AWS's message quotes the request:
// request returns that text.
func (c *constraints) mapKeys(names []string, request func() string) {
	malformed := func(name string) bool {
		var own constraints
		own.name("", name, minName)
		return len(own) > 0
	}
	if slices.ContainsFunc(names, malformed) {
		c.failValue(request(), "requestItems", "Map keys must satisfy constraint: [Member must have length less than or equal "+
			"to 255, Member must have length greater than or equal to 3, "+namePattern+"]")
	}
}
