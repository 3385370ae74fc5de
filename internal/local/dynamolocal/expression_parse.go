package dynamolocal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The limits of an expression.
const (
	maxOperators  = 300
	maxInOperands = 100
)

// parser reads one expression by recursive descent.
type parser struct {
	kind       string // such as "ConditionExpression", for messages
	text       string
	tokens     []token
	at         int
	operators  int
	attributes []string // the top-level attributes of all paths
	*placeholders
}

func (p *placeholders) parser(kind, text string) (*parser, error) {
	if text == "" {
		return nil, validation("Invalid %s: The expression can not be empty;", kind)
	}
	if len(text) > maxExpression {
		return nil, validation("Invalid %s: Expression size has exceeded the maximum allowed size; expression size: %d",
			kind, len(text))
	}
	return &parser{kind: kind, text: text, tokens: lex(text), placeholders: p}, nil
}

// condition parses a ConditionExpression, a FilterExpression or a KeyConditionExpression. It also returns the names of the
// attributes in it. Without a text there is no condition.
func (p *placeholders) condition(kind string, text *string) (condition, []string, error) {
	if text == nil {
		return nil, nil, nil
	}
	expression, err := p.parser(kind, *text)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := expression.disjunction()
	if err != nil {
		return nil, nil, err
	}
	if err := expression.complete(); err != nil {
		return nil, nil, err
	}
	whole, err := expression.asCondition(parsed)
	return whole, expression.attributes, err
}

// complete checks that the whole text was parsed, and that the expression is within its limits.
func (p *parser) complete() error {
	if p.peek().kind != endToken {
		return p.syntaxError()
	}
	if p.operators > maxOperators {
		return p.fault("The expression contains too many operators; operator count: %d", p.operators)
	}
	return nil
}

// projection parses a ProjectionExpression. Without a text there is no projection.
func (p *placeholders) projection(text *string) (*projection, error) {
	if text == nil {
		return nil, nil
	}
	expression, err := p.parser("ProjectionExpression", *text)
	if err != nil {
		return nil, err
	}
	selected := new(projection)
	for {
		part, err := expression.path()
		if err != nil {
			return nil, err
		}
		if err := selected.insert(expression.kind, part, struct{}{}); err != nil {
			return nil, err
		}
		if expression.peek().kind == endToken {
			return selected, nil
		}
		if err := expression.expect(","); err != nil {
			return nil, err
		}
	}
}

func (p *parser) peek() token { return p.tokens[p.at] }

// next takes a token. At the end it returns the endToken again and again.
func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != endToken {
		p.at++
	}
	return t
}

// accept takes the next token if it is the symbol or keyword.
func (p *parser) accept(text string) bool {
	if !p.peek().is(text) {
		return false
	}
	p.next()
	return true
}

func (p *parser) expect(symbol string) error {
	if !p.accept(symbol) {
		return p.syntaxError()
	}
	return nil
}

// fault is a validation error of this expression.
func (p *parser) fault(format string, arguments ...any) error {
	return validation("Invalid %s: %s", p.kind, fmt.Sprintf(format, arguments...))
}

// syntaxError says that the next token is out of place, with its neighbours.
func (p *parser) syntaxError() error {
	first, last := max(p.at-1, 0), min(p.at+1, len(p.tokens)-1)
	near := p.text[p.tokens[first].start:p.tokens[last].end]
	return p.fault(`Syntax error; token: "%s", near: "%s"`, p.peek().text, strings.TrimSpace(near))
}

// term is a parsed part of a condition. It may be a condition or an operand, until the text around it decides: in "(a) = :b"
// the parentheses hold an operand, in "(a = :b)" a condition.
type term struct {
	condition     condition
	operand       operand
	function      string // name of the called function, "" if the term is no call
	parenthesized bool
}

func (p *parser) asCondition(t term) (condition, error) {
	switch {
	case t.condition != nil:
		return t.condition, nil
	case t.function != "":
		return nil, p.misused(t.function)
	}
	return nil, p.syntaxError()
}

func (p *parser) asOperand(t term) (operand, error) {
	switch {
	case t.operand != nil:
		return t.operand, nil
	case t.function != "":
		return nil, p.misused(t.function)
	}
	return nil, p.syntaxError()
}

func (p *parser) misused(function string) error {
	return p.fault("The function is not allowed to be used this way in an expression; function: %s", function)
}

// disjunction parses conditions joined by OR.
func (p *parser) disjunction() (term, error) {
	return p.joined("OR", p.conjunction, func(left, right condition) condition { return or{left, right} })
}

// conjunction parses conditions joined by AND.
func (p *parser) conjunction() (term, error) {
	return p.joined("AND", p.negation, func(left, right condition) condition { return and{left, right} })
}

func (p *parser) joined(
	keyword string, part func() (term, error), join func(left, right condition) condition,
) (term, error) {
	joined, err := part()
	for err == nil && p.accept(keyword) {
		p.operators++
		var right term
		if right, err = part(); err != nil {
			break
		}
		joined, err = p.join(joined, right, join)
	}
	return joined, err
}

func (p *parser) join(left, right term, join func(left, right condition) condition) (term, error) {
	a, err := p.asCondition(left)
	if err != nil {
		return term{}, err
	}
	b, err := p.asCondition(right)
	if err != nil {
		return term{}, err
	}
	return term{condition: join(a, b)}, nil
}

// negation parses a condition with any number of NOTs before it.
func (p *parser) negation() (term, error) {
	if !p.accept("NOT") {
		return p.relation()
	}
	p.operators++
	inner, err := p.negation()
	if err != nil {
		return term{}, err
	}
	negated, err := p.asCondition(inner)
	if err != nil {
		return term{}, err
	}
	return term{condition: not{negated}}, nil
}

// relation parses a comparison, BETWEEN, IN, a function alone, or something in parentheses.
func (p *parser) relation() (term, error) {
	first, err := p.primary()
	if err != nil {
		return term{}, err
	}
	switch operator := p.peek(); {
	case operator.kind == symbolToken && slices.Contains([]string{"=", "<>", "<", "<=", ">", ">="}, operator.text):
		return p.comparison(first)
	case operator.is("BETWEEN"):
		return p.between(first)
	case operator.is("IN"):
		return p.in(first)
	}
	return first, nil
}

func (p *parser) comparison(first term) (term, error) {
	left, err := p.asOperand(first)
	if err != nil {
		return term{}, err
	}
	operator := p.operator()
	right, err := p.operand()
	if err != nil {
		return term{}, err
	}
	if err := p.distinct(operator, left, right); err != nil {
		return term{}, err
	}
	if operator != "=" && operator != "<>" {
		if err := p.ordered(operator, left, right); err != nil {
			return term{}, err
		}
	}
	return term{condition: comparison{operator, left, right}}, nil
}

func (p *parser) between(first term) (term, error) {
	of, err := p.asOperand(first)
	if err != nil {
		return term{}, err
	}
	p.operator()
	low, err := p.operand()
	if err != nil {
		return term{}, err
	}
	if err := p.expect("AND"); err != nil {
		return term{}, err
	}
	high, err := p.operand()
	if err != nil {
		return term{}, err
	}
	if err := p.distinct("BETWEEN", of, low, high); err != nil {
		return term{}, err
	}
	if err := p.ordered("BETWEEN", of, low, high); err != nil {
		return term{}, err
	}
	if err := p.bounds(low, high); err != nil {
		return term{}, err
	}
	return term{condition: between{of, low, high}}, nil
}

// bounds checks the bounds of a BETWEEN, if both are given.
func (p *parser) bounds(low, high operand) error {
	from, isLiteral := low.(literal)
	to, areLiteral := high.(literal)
	if !isLiteral || !areLiteral {
		return nil
	}
	operands := fmt.Sprintf("lower bound operand: AttributeValue: %s, upper bound operand: AttributeValue: %s",
		shown(from.value), shown(to.value))
	order, ok := compare(from.value, to.value)
	if !ok {
		return p.fault("The BETWEEN operator requires same data type for lower and upper bounds; %s", operands)
	}
	if order > 0 {
		return p.fault("The BETWEEN operator requires upper bound to be greater than or equal to lower bound; %s", operands)
	}
	return nil
}

// shown spells a scalar as DynamoDB's messages do.
func shown(v value) string {
	text, _ := scalarText(v)
	return "{" + v.kind() + ":" + text + "}"
}

func (p *parser) in(first term) (term, error) {
	of, err := p.asOperand(first)
	if err != nil {
		return term{}, err
	}
	p.operator()
	if err := p.expect("("); err != nil {
		return term{}, err
	}
	among, err := p.operands()
	if err != nil {
		return term{}, err
	}
	if len(among) > maxInOperands {
		return term{}, p.fault("The IN operator is provided with too many operands; number of operands: %d", len(among))
	}
	if err := p.distinct("IN", of, among...); err != nil {
		return term{}, err
	}
	return term{condition: in{of, among}}, nil
}

func (p *parser) operator() string {
	p.operators++
	return p.next().text
}

// operand parses something with a value.
func (p *parser) operand() (operand, error) {
	parsed, err := p.primary()
	if err != nil {
		return nil, err
	}
	return p.asOperand(parsed)
}

// operands parses at least one operand, and the parenthesis that closes the list.
func (p *parser) operands() ([]operand, error) {
	var list []operand
	for {
		next, err := p.operand()
		if err != nil {
			return nil, err
		}
		list = append(list, next)
		if p.accept(")") {
			return list, nil
		}
		if err := p.expect(","); err != nil {
			return nil, err
		}
	}
}

// primary parses a path, a :value, a function call or something in parentheses.
func (p *parser) primary() (term, error) {
	t := p.peek()
	switch {
	case t.is("("):
		return p.parentheses()
	case t.kind == valueToken:
		v, err := p.value()
		return term{operand: literal{v}}, err
	case t.kind == wordToken && p.tokens[p.at+1].is("("):
		return p.function()
	}
	attribute, err := p.path()
	return term{operand: attribute}, err
}

func (p *parser) parentheses() (term, error) {
	p.next()
	inner, err := p.disjunction()
	if err != nil {
		return term{}, err
	}
	if err := p.expect(")"); err != nil {
		return term{}, err
	}
	if inner.parenthesized {
		return term{}, p.redundant()
	}
	inner.parenthesized = true
	return inner, nil
}

func (p *parser) redundant() error {
	return p.fault("The expression has redundant parentheses;")
}

// value takes a :placeholder and returns its value.
func (p *parser) value() (value, error) {
	t := p.next()
	if t.kind != valueToken {
		p.at--
		return nil, p.syntaxError()
	}
	v := p.values.get(t.text)
	if v == nil {
		return nil, p.fault("An expression attribute value used in expression is not defined; attribute value: %s", t.text)
	}
	p.usedValues[t.text] = true
	return v, nil
}

// path parses a document path.
func (p *parser) path() (path, error) {
	first, err := p.name()
	if err != nil {
		return nil, err
	}
	parsed := path{first}
	p.attributes = append(p.attributes, first.name)
	for {
		var next step
		switch {
		case p.accept("."):
			next, err = p.name()
		case p.accept("["):
			next, err = p.index()
		default:
			return parsed, nil
		}
		if err != nil {
			return nil, err
		}
		if parsed = append(parsed, next); len(parsed) > maxNesting {
			return nil, p.fault("The document path has too many nesting elements; nesting levels: %d", len(parsed))
		}
	}
}

// name takes an attribute name or its #placeholder.
func (p *parser) name() (step, error) {
	t := p.peek()
	switch t.kind {
	case wordToken:
		if t.isKeyword() {
			return step{}, p.syntaxError()
		}
		if reserved(t.text) {
			return step{}, p.fault("Attribute name is a reserved keyword; reserved keyword: %s", t.text)
		}
		p.next()
		return step{name: t.text}, nil
	case nameToken:
		name, defined := p.names[t.text]
		if !defined {
			return step{}, p.fault("An expression attribute name used in the document path is not defined; "+
				"attribute name: %s", t.text)
		}
		p.usedNames[t.text] = true
		p.next()
		return step{name: name}, nil
	}
	return step{}, p.syntaxError()
}

// index takes the rest of a list index, after its bracket.
func (p *parser) index() (step, error) {
	t := p.peek()
	if t.kind != numberToken {
		return step{}, p.syntaxError()
	}
	index, err := strconv.ParseInt(t.text, 10, 32)
	if err != nil {
		return step{}, p.fault("List index is not within the allowable range; index: [%s]", t.text)
	}
	p.next()
	return step{index: int(index), isIndex: true}, p.expect("]")
}
