package dynamolocal

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
)

// update is a parsed UpdateExpression: an action for each path.
type update struct {
	actions *pathTree[action]
	paths   []path // in the order of the expression
}

// action is the effect of an update at a path. It gets the item as it was before the update, so that the order of the actions
// doesn't matter.
type action interface {
	// apply returns the new value at the path; nil removes it.
	apply(item document, old value) (value, error)
}

type (
	setAction    struct{ to expression }
	removeAction struct{}
	addAction    struct{ what value }
	deleteAction struct{ what setValue }
)

// expression is the right side of a SET.
type expression interface {
	evaluate(item document) (value, error)
}

type (
	read        struct{ of operand }
	ifNotExists struct {
		path     path
		fallback expression
	}
	listAppend struct{ first, second expression }
	sum        struct {
		left, right expression
		subtract    bool
	}
)

// update parses an UpdateExpression. Without a text, the update changes nothing.
func (p *placeholders) update(text *string) (*update, error) {
	parsed := &update{actions: new(pathTree[action])}
	if text == nil {
		return parsed, nil
	}
	expression, err := p.parser("UpdateExpression", *text)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for expression.peek().kind != endToken {
		if err := expression.section(parsed, seen); err != nil {
			return nil, err
		}
	}
	if len(parsed.paths) == 0 {
		return nil, expression.syntaxError()
	}
	return parsed, expression.complete()
}

// section parses a SET, REMOVE, ADD or DELETE section. Each may occur once.
func (p *parser) section(into *update, seen map[string]bool) error {
	sections := map[string]func() (action, error){
		"SET": p.setAction, "REMOVE": p.removeAction, "ADD": p.addAction, "DELETE": p.deleteAction,
	}
	for keyword, parse := range sections {
		if !p.accept(keyword) {
			continue
		}
		if seen[keyword] {
			return p.fault(`The "%s" section can only be used once in an update expression;`, keyword)
		}
		seen[keyword] = true
		return p.actions(into, parse)
	}
	return p.syntaxError()
}

func (p *parser) actions(into *update, parse func() (action, error)) error {
	for {
		target, err := p.path()
		if err != nil {
			return err
		}
		p.operators++
		parsed, err := parse()
		if err != nil {
			return err
		}
		if err := into.actions.insert(p.kind, target, parsed); err != nil {
			return err
		}
		into.paths = append(into.paths, target)
		if !p.accept(",") {
			return nil
		}
	}
}

func (p *parser) setAction() (action, error) {
	if err := p.expect("="); err != nil {
		return nil, err
	}
	to, err := p.setValue()
	return setAction{to.expression}, err
}

func (p *parser) removeAction() (action, error) { return removeAction{}, nil }

func (p *parser) addAction() (action, error) {
	what, err := p.value()
	if err != nil {
		return nil, err
	}
	switch what.(type) {
	case numberValue, setValue:
		return addAction{what}, nil
	}
	return nil, p.notInSection("ADD", what)
}

func (p *parser) deleteAction() (action, error) {
	what, err := p.value()
	if err != nil {
		return nil, err
	}
	if set, isSet := what.(setValue); isSet {
		return deleteAction{set}, nil
	}
	return nil, p.notInSection("DELETE", what)
}

func (p *parser) notInSection(section string, v value) error {
	names := map[string]string{"S": "STRING", "N": "NUMBER", "B": "BINARY", "BOOL": "BOOLEAN", "M": "MAP", "L": "LIST"}
	return p.fault("Incorrect operand type for operator or function; "+
		"operator: %s, operand type: %s, typeSet: ALLOWED_FOR_%s_OPERAND",
		section, cmp.Or(names[v.kind()], v.kind()), section)
}

// setSide is a parsed part of the right side of a SET.
type setSide struct {
	expression
	isSum       bool
	parentheses int // number of pairs around it
}

// setValue parses the right side of a SET: an operand, or two operands joined by + or -. The whole and each operand may be in
// parentheses, but a sum can't be an operand.
func (p *parser) setValue() (setSide, error) {
	left, err := p.setOperand()
	if err != nil {
		return setSide{}, err
	}
	operator := p.peek()
	if !operator.is("+") && !operator.is("-") {
		return left, nil
	}
	if err := p.checkAddend(left); err != nil {
		return setSide{}, err
	}
	p.operator()
	right, err := p.setOperand()
	if err != nil {
		return setSide{}, err
	}
	if err := p.checkAddend(right); err != nil {
		return setSide{}, err
	}
	for _, side := range []expression{left.expression, right.expression} {
		if kind := literalKind(side); kind != "" && kind != "N" {
			return setSide{}, p.wrongType(operator.text, kind)
		}
	}
	return setSide{expression: sum{left.expression, right.expression, operator.is("-")}, isSum: true}, nil
}

// checkAddend refuses sums as operands of sums, and more than one pair of parentheses around an operand.
func (p *parser) checkAddend(side setSide) error {
	switch {
	case side.isSum:
		return p.syntaxError()
	case side.parentheses > 1:
		return p.redundant()
	}
	return nil
}

// setOperand parses a term, or something in parentheses.
func (p *parser) setOperand() (setSide, error) {
	if !p.accept("(") {
		term, err := p.setTerm(true)
		return setSide{expression: term}, err
	}
	inner, err := p.setValue()
	if err != nil {
		return setSide{}, err
	}
	if err := p.expect(")"); err != nil {
		return setSide{}, err
	}
	inner.parentheses++
	// A sum may have one pair of parentheses around the whole; an operand may have a second pair of its own.
	if allowed := 2; inner.parentheses > allowed || inner.isSum && inner.parentheses == allowed {
		return setSide{}, p.redundant()
	}
	return inner, nil
}

// literalKind returns the type of an expression that is just a :value, or "".
func literalKind(e expression) string {
	if r, isRead := e.(read); isRead {
		if l, isLiteral := r.of.(literal); isLiteral {
			return l.value.kind()
		}
	}
	return ""
}

// setTerm parses a :value, a path or a function call. A list_append can't be an argument of another function.
func (p *parser) setTerm(outermost bool) (expression, error) {
	t := p.peek()
	switch {
	case t.kind == valueToken:
		v, err := p.value()
		return read{literal{v}}, err
	case t.kind == wordToken && p.tokens[p.at+1].is("("):
		return p.setFunction(outermost)
	}
	attribute, err := p.path()
	return read{attribute}, err
}

func (p *parser) setFunction(outermost bool) (expression, error) {
	name := p.next().text
	switch name {
	case "if_not_exists", "list_append":
	case "attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size":
		return nil, p.fault("The function is not allowed in an update expression; function: %s", name)
	default:
		return nil, p.fault("Invalid function name; function: %s", name)
	}
	p.operators++
	p.next() // the parenthesis, which made this a call
	arguments, err := p.setArguments()
	if err != nil {
		return nil, err
	}
	if len(arguments) != 2 {
		return nil, p.fault("Incorrect number of operands for operator or function; "+
			"operator or function: %s, number of operands: %d", name, len(arguments))
	}
	if name == "list_append" {
		return p.listAppend(outermost, arguments[0], arguments[1])
	}
	first, _ := arguments[0].(read)
	target, isPath := first.of.(path)
	if !isPath {
		return nil, p.fault("Operator or function requires a document path; operator or function: %s", name)
	}
	if fallback, isRead := arguments[1].(read); isRead {
		if err := p.distinct(name, target, fallback.of); err != nil {
			return nil, err
		}
	}
	return ifNotExists{target, arguments[1]}, nil
}

func (p *parser) listAppend(outermost bool, first, second expression) (expression, error) {
	if !outermost {
		return nil, p.misused("list_append")
	}
	for _, argument := range []expression{first, second} {
		if kind := literalKind(argument); kind != "" && kind != "L" {
			return nil, p.wrongType("list_append", kind)
		}
	}
	return listAppend{first, second}, nil
}

func (p *parser) setArguments() ([]expression, error) {
	var arguments []expression
	for {
		argument, err := p.setArgument()
		if err != nil {
			return nil, err
		}
		arguments = append(arguments, argument)
		if p.accept(")") {
			return arguments, nil
		}
		if err := p.expect(","); err != nil {
			return nil, err
		}
	}
}

// setArgument parses an argument of a function, which may be in parentheses.
func (p *parser) setArgument() (expression, error) {
	if !p.accept("(") {
		return p.setTerm(false)
	}
	argument, err := p.setTerm(false)
	if err != nil {
		return nil, err
	}
	return argument, p.expect(")")
}

func (r read) evaluate(item document) (value, error) {
	if v := r.of.resolve(item); v != nil {
		return v, nil
	}
	return nil, validation("The provided expression refers to an attribute that does not exist in the item")
}

// evaluate evaluates the fallback even if it isn't needed, because DynamoDB refuses an update with a failing fallback.
func (e ifNotExists) evaluate(item document) (value, error) {
	fallback, err := e.fallback.evaluate(item)
	if err != nil {
		return nil, err
	}
	if v := e.path.resolve(item); v != nil {
		return v, nil
	}
	return fallback, nil
}

func (e listAppend) evaluate(item document) (value, error) {
	first, second, err := evaluateTwo[listValue](item, e.first, e.second)
	if err != nil {
		return nil, err
	}
	return slices.Concat(first, second), nil
}

func (e sum) evaluate(item document) (value, error) {
	left, right, err := evaluateTwo[numberValue](item, e.left, e.right)
	if err != nil {
		return nil, err
	}
	addend := right.decimal()
	if e.subtract {
		addend = addend.negated()
	}
	return left.plus(addend)
}

func (n numberValue) plus(addend decimal) (value, error) {
	total, err := n.decimal().add(addend)
	if err != nil {
		return nil, err
	}
	return numberValue(total.plain()), nil
}

// evaluateTwo evaluates two operands, which must have the same type.
func evaluateTwo[T value](item document, first, second expression) (a, b T, err error) {
	x, err := first.evaluate(item)
	if err != nil {
		return a, b, err
	}
	y, err := second.evaluate(item)
	if err != nil {
		return a, b, err
	}
	a, aFits := x.(T)
	b, bFits := y.(T)
	if !aFits || !bFits {
		return a, b, wrongOperand()
	}
	return a, b, nil
}

func wrongOperand() error {
	return validation("An operand in the update expression has an incorrect data type")
}

func (a setAction) apply(item document, _ value) (value, error) { return a.to.evaluate(item) }

func (removeAction) apply(document, value) (value, error) { return nil, nil }

func (a addAction) apply(_ document, old value) (value, error) {
	switch old := old.(type) {
	case nil:
		return a.what, nil
	case numberValue:
		if addend, isNumber := a.what.(numberValue); isNumber {
			return old.plus(addend.decimal())
		}
	case setValue:
		if added, isSet := a.what.(setValue); isSet && added.element == old.element {
			return setOf(old.element, slices.Concat(old.members, added.members)), nil
		}
	}
	return nil, wrongOperand()
}

func (a deleteAction) apply(_ document, old value) (value, error) {
	if old == nil {
		return nil, nil
	}
	set, isSet := old.(setValue)
	if !isSet || set.element != a.what.element {
		return nil, wrongOperand()
	}
	left := slices.DeleteFunc(slices.Clone(set.members), func(m string) bool { return slices.Contains(a.what.members, m) })
	if len(left) == 0 {
		return nil, nil
	}
	return setValue{set.element, left}, nil
}

// literal returns the :value that a SET gives the named attribute, nil if there is none.
func (u *update) literal(name string) value {
	node := u.actions.names[name]
	if node == nil || node.leaf == nil {
		return nil
	}
	if set, isSet := (*node.leaf).(setAction); isSet {
		if r, isRead := set.to.(read); isRead {
			if l, isLiteral := r.of.(literal); isLiteral {
				return l.value
			}
		}
	}
	return nil
}

// apply returns the item after all actions. The given item doesn't change.
func (u *update) apply(item document) (document, error) {
	return applyToDocument(u.actions, item, item)
}

// apply returns the value that replaces old. The node's paths end at old or lead through it.
func apply(node *pathTree[action], item document, old value) (value, error) {
	if node.leaf != nil {
		return (*node.leaf).apply(item, old)
	}
	switch old := old.(type) {
	case document:
		if node.names != nil {
			changed, err := applyToDocument(node, item, old)
			if err != nil {
				return nil, err
			}
			return changed, nil
		}
	case listValue:
		if node.indexes != nil {
			return applyToList(node, item, old)
		}
	}
	return nil, validation("The document path provided in the update expression is invalid for update")
}

func applyToDocument(node *pathTree[action], item, old document) (document, error) {
	changed := old
	for _, name := range slices.Sorted(maps.Keys(node.names)) {
		v, err := apply(node.names[name], item, old.get(name))
		if err != nil {
			return nil, err
		}
		if v == nil {
			changed = changed.without(name)
		} else {
			changed = changed.with(name, v)
		}
	}
	return changed, nil
}

// applyToList counts indexes as they were before the update. It appends elements that are set past the end, in the order of
// their indexes, and then closes the gaps of removed elements.
func applyToList(node *pathTree[action], item document, old listValue) (value, error) {
	changed := slices.Clone(old)
	for _, index := range slices.Sorted(maps.Keys(node.indexes)) {
		var before value
		if index < len(old) {
			before = old[index]
		}
		v, err := apply(node.indexes[index], item, before)
		if err != nil {
			return nil, err
		}
		if index < len(old) {
			changed[index] = v
		} else {
			changed = append(changed, v)
		}
	}
	return slices.DeleteFunc(changed, func(v value) bool { return v == nil }), nil
}

// touched returns the item's attributes at the update's paths, for UPDATED_OLD and UPDATED_NEW. A list with a changed element
// is returned whole.
func (u *update) touched(item document) document {
	selected := new(projection)
	for _, p := range u.paths {
		if p.resolve(item) == nil {
			continue
		}
		if i := slices.IndexFunc(p, func(s step) bool { return s.isIndex }); i >= 0 {
			p = p[:i]
		}
		// Two elements of one list select the same list, and the second need not be inserted.
		_ = selected.insert("UpdateExpression", p, struct{}{})
	}
	return projectDocument(selected, item)
}

func integer(n int) numberValue { return numberValue(strconv.Itoa(n)) }
