package dynamolocal

import (
	"maps"
	"slices"
	"strings"
)

// placeholders are the #names and :values of a request. Each must be used by one of its expressions.
type placeholders struct {
	names      map[string]string
	values     document
	usedNames  map[string]bool
	usedValues map[string]bool
}

// newPlaceholders checks the form of the placeholders themselves.
func newPlaceholders(names map[string]string, values document) (*placeholders, error) {
	if names != nil && len(names) == 0 {
		return nil, validation("ExpressionAttributeNames must not be empty")
	}
	if values != nil && len(values) == 0 {
		return nil, validation("ExpressionAttributeValues must not be empty")
	}
	for key := range names {
		if kind, length := scan(key + " "); kind != nameToken || length != len(key) {
			return nil, validation(`ExpressionAttributeNames contains invalid key: Syntax error; key: "%s"`, key)
		}
	}
	for _, a := range values {
		if kind, length := scan(a.name + " "); kind != valueToken || length != len(a.name) {
			return nil, validation(`ExpressionAttributeValues contains invalid key: Syntax error; key: "%s"`, a.name)
		}
	}
	return &placeholders{names, values, make(map[string]bool), make(map[string]bool)}, nil
}

// unused returns the error for placeholders that no expression uses, or nil. A request without any expression may have no
// placeholders.
func (p *placeholders) unused(anyExpression bool) error {
	if !anyExpression && p.names != nil {
		return validation("ExpressionAttributeNames can only be specified when using expressions")
	}
	if !anyExpression && p.values != nil {
		return validation("ExpressionAttributeValues can only be specified when using expressions")
	}
	var values []string
	for _, a := range p.values {
		if !p.usedValues[a.name] {
			values = append(values, a.name)
		}
	}
	if len(values) > 0 {
		return validation("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}",
			strings.Join(values, ", "))
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(p.names)), func(name string) bool { return p.usedNames[name] })
	if len(names) > 0 {
		return validation("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}",
			strings.Join(names, ", "))
	}
	return nil
}
