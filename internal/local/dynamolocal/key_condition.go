package dynamolocal

// keyConditions parses a KeyConditionExpression into conditions, each on a single attribute.
func (p *placeholders) keyConditions(text *string) (map[string]keyCondition, error) {
	if text == nil {
		return nil, validation("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	parsed, _, err := p.condition("KeyConditionExpression", text)
	if err != nil {
		return nil, err
	}
	return keyConditions(parsed)
}

// setRange sets the range of stored keys that the key conditions describe.
func (p *page) setRange(conditions map[string]keyCondition) error {
	if attributes := p.schema.names(); len(conditions) > len(attributes) {
		return validation("The number of query conditions (%d) exceeds the number of key attributes defined in the schema (%d)",
			len(conditions), len(attributes))
	}
	partition, given := conditions[p.schema.partition.Name]
	if !given {
		return validation("Query condition missed key schema element: %s", p.schema.partition.Name)
	}
	if partition.operator != "=" {
		return validation("Query key condition not supported")
	}
	if err := partition.check(p.schema.partition); err != nil {
		return err
	}
	prefix := partitionPrefix(partition.values[0])
	p.low, p.high = prefix, after(prefix)
	if len(conditions) == 1 {
		return nil
	}
	sort, given := conditions[p.schema.sort.Name]
	if !given || p.schema.sort.Name == "" {
		return validation("Query key condition not supported")
	}
	if err := sort.check(p.schema.sort); err != nil {
		return err
	}
	p.low, p.high = sort.within(prefix)
	return nil
}

// keyCondition is a condition on one key attribute.
type keyCondition struct {
	operator string // "=", "<", "<=", ">", ">=", "BETWEEN" or "begins_with"
	values   []value
}

// keyConditions splits a condition into conditions on single attributes. It refuses a form that no key condition has.
func keyConditions(c condition) (map[string]keyCondition, error) {
	switch c := c.(type) {
	case and:
		left, err := keyConditions(c.left)
		if err != nil {
			return nil, err
		}
		right, err := keyConditions(c.right)
		if err != nil {
			return nil, err
		}
		for name, condition := range right {
			if _, twice := left[name]; twice {
				return nil, validation("Invalid KeyConditionExpression: " +
					"KeyConditionExpressions must only contain one condition per key")
			}
			left[name] = condition
		}
		return left, nil
	case comparison:
		if c.operator == "<>" {
			return nil, invalidKeyOperator(c.operator)
		}
		if _, reversed := c.right.(path); reversed {
			mirrored := map[string]string{"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
			return onKey(mirrored[c.operator], c.right, c.left)
		}
		return onKey(c.operator, c.left, c.right)
	case between:
		return onKey("BETWEEN", c.of, c.low, c.high)
	case beginsWith:
		return onKey("begins_with", c.of, c.prefix)
	case or:
		return nil, invalidKeyOperator("OR")
	case not:
		return nil, invalidKeyOperator("NOT")
	case in:
		return nil, invalidKeyOperator("IN")
	case contains:
		return nil, invalidKeyOperator("contains")
	case hasType:
		return nil, invalidKeyOperator("attribute_type")
	}
	return nil, invalidKeyOperator("attribute_exists")
}

func invalidKeyOperator(operator string) error {
	return validation("Invalid operator used in KeyConditionExpression: %s", operator)
}

// onKey returns the condition of an attribute with :values.
func onKey(operator string, attribute operand, operands ...operand) (map[string]keyCondition, error) {
	key, isPath := attribute.(path)
	if !isPath {
		return nil, validation("KeyConditionExpressions cannot contain nested operations")
	}
	if len(key) > 1 {
		return nil, validation("Key attributes must be scalars; "+
			"list random access '[]' and map lookup '.' are not allowed: Key: %s", key[0].name)
	}
	values := make([]value, len(operands))
	for i, o := range operands {
		switch o := o.(type) {
		case literal:
			values[i] = o.value
		case path:
			return nil, validation("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition")
		default:
			return nil, validation("KeyConditionExpressions cannot contain nested operations")
		}
	}
	return map[string]keyCondition{key[0].name: {operator, values}}, nil
}

// check refuses values that the key attribute cannot have.
func (c keyCondition) check(key Key) error {
	for _, v := range c.values {
		if v.kind() != key.Type {
			return invalidParameter("Condition parameter type does not match schema type")
		}
		if empty := emptyKind(v); empty != "" {
			return validation("One or more parameter values are not valid. "+
				"The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", empty, key.Name)
		}
	}
	return nil
}

// within returns the range of the partition's stored keys that satisfy the condition on the sort key.
func (c keyCondition) within(partition string) (low, high string) {
	first := partition + sortPart(c.values[0])
	switch c.operator {
	case "=":
		return first + partEnd, first + afterPart
	case "<":
		return partition, first + partEnd
	case "<=":
		return partition, first + afterPart
	case ">":
		return first + afterPart, after(partition)
	case ">=":
		return first + partEnd, after(partition)
	case "BETWEEN":
		return first + partEnd, partition + sortPart(c.values[1]) + afterPart
	}
	return first, afterPrefix(first)
}

func sortPart(v value) string {
	encoded, _ := sortable(v)
	return escapePart(encoded)
}
