package dynamolocal

import (
	"reflect"
	"slices"
	"strings"
)

// function parses a call in a condition.
func (p *parser) function() (term, error) {
	name := p.next().text
	switch name {
	case "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size":
	case "if_not_exists", "list_append":
		return term{}, p.fault("The function is not allowed in a condition expression; function: %s", name)
	default:
		return term{}, p.fault("Invalid function name; function: %s", name)
	}
	p.operators++
	p.next() // the parenthesis, which made this a call
	arguments, err := p.operands()
	if err != nil {
		return term{}, err
	}
	called, err := p.call(name, arguments)
	called.function = name
	return called, err
}

func (p *parser) call(name string, arguments []operand) (term, error) {
	wanted := 2
	if name == "size" || strings.HasPrefix(name, "attribute_") && strings.HasSuffix(name, "_exists") {
		wanted = 1
	}
	if len(arguments) != wanted {
		return term{}, p.fault("Incorrect number of operands for operator or function; "+
			"operator or function: %s, number of operands: %d", name, len(arguments))
	}
	switch name {
	case "size":
		return term{operand: sizeOf{arguments[0]}}, p.sized(arguments[0])
	case "begins_with":
		return p.beginsWith(arguments[0], arguments[1])
	case "contains":
		return term{condition: contains{arguments[0], arguments[1]}}, p.distinct(name, arguments[0], arguments[1])
	}
	attribute, isPath := arguments[0].(path)
	if !isPath {
		return term{}, p.fault("Operator or function requires a document path; operator or function: %s", name)
	}
	if name == "attribute_type" {
		return p.hasType(attribute, arguments[1])
	}
	return term{condition: exists{attribute, name == "attribute_exists"}}, nil
}

func (p *parser) sized(of operand) error {
	if l, isLiteral := of.(literal); isLiteral {
		switch l.value.(type) {
		case numberValue, boolValue, nullValue:
			return p.wrongType("size", l.value.kind())
		}
	}
	return nil
}

func (p *parser) beginsWith(of, prefix operand) (term, error) {
	if err := p.distinct("begins_with", of, prefix); err != nil {
		return term{}, err
	}
	for _, argument := range []operand{of, prefix} {
		if _, isSize := argument.(sizeOf); isSize {
			return term{}, p.wrongType("begins_with", "N")
		}
		if l, isLiteral := argument.(literal); isLiteral && l.value.kind() != "S" && l.value.kind() != "B" {
			return term{}, p.wrongType("begins_with", l.value.kind())
		}
	}
	return term{condition: beginsWith{of, prefix}}, nil
}

func (p *parser) hasType(of path, kind operand) (term, error) {
	if err := p.distinct("attribute_type", of, kind); err != nil {
		return term{}, err
	}
	l, isLiteral := kind.(literal)
	if !isLiteral {
		return term{}, p.fault("Incorrect operand type for operator or function; operator or function: attribute_type")
	}
	name, isString := l.value.(stringValue)
	if !isString {
		return term{}, p.wrongType("attribute_type", l.value.kind())
	}
	if !slices.Contains([]string{"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}, string(name)) {
		return term{}, p.fault("Invalid attribute type name found; type: %s, "+
			"valid types: {N,BS,L,B,NULL,M,S,SS,NS,BOOL}", name)
	}
	return term{condition: hasType{of, string(name)}}, nil
}

// distinct refuses a comparison of an attribute with itself.
func (p *parser) distinct(operator string, first operand, rest ...operand) error {
	attribute, isPath := first.(path)
	for _, other := range rest {
		if isPath && reflect.DeepEqual(first, other) {
			return p.fault("The first operand must be distinct from the remaining operands for this operator or function; "+
				"operator: %s, first operand: %s", operator, attribute)
		}
	}
	return nil
}

// ordered refuses :values of a type without an order.
func (p *parser) ordered(operator string, operands ...operand) error {
	for _, o := range operands {
		if l, isLiteral := o.(literal); isLiteral {
			if _, hasOrder := sortable(l.value); !hasOrder {
				return p.wrongType(operator, l.value.kind())
			}
		}
	}
	return nil
}

func (p *parser) wrongType(operator, kind string) error {
	return p.fault("Incorrect operand type for operator or function; operator or function: %s, operand type: %s",
		operator, kind)
}
