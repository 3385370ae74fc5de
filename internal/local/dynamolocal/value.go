package dynamolocal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
	"unique"
)

// maxNesting is the most levels of lists and maps in an attribute, the attribute itself included.
const maxNesting = 32

// value is an attribute value. Values are immutable: an update makes new values and shares the unchanged ones, so that an
// item that was read before a write stays as it was.
type value interface {
	// kind is the type's name on the wire, such as "S".
	kind() string
}

type (
	stringValue string
	numberValue string // canonical: decimal.plain of the number
	binaryValue string // the bytes themselves
	boolValue   bool
	nullValue   struct{}
	listValue   []value
	setValue    struct {
		element string   // "S", "N" or "B"
		members []string // in order, as stringValue, numberValue or binaryValue would hold them
	}
)

func (stringValue) kind() string { return "S" }
func (numberValue) kind() string { return "N" }
func (binaryValue) kind() string { return "B" }
func (boolValue) kind() string   { return "BOOL" }
func (nullValue) kind() string   { return "NULL" }
func (listValue) kind() string   { return "L" }
func (s setValue) kind() string  { return s.element + "S" }

// document is an item or a map: its attributes sorted by name. An absent item is a nil document.
type document []attribute

type attribute struct {
	name  string
	value value
}

func (document) kind() string { return "M" }

func (d document) find(name string) (int, bool) {
	return slices.BinarySearchFunc(d, name, func(a attribute, name string) int { return strings.Compare(a.name, name) })
}

// get returns the named attribute's value, or nil if there is none.
func (d document) get(name string) value {
	if i, found := d.find(name); found {
		return d[i].value
	}
	return nil
}

// with returns a copy that has the attribute set.
func (d document) with(name string, v value) document {
	i, found := d.find(name)
	if !found {
		return slices.Insert(slices.Clip(slices.Clone(d)), i, attribute{name, v})
	}
	changed := slices.Clone(d)
	changed[i].value = v
	return changed
}

// without returns a copy that lacks the attribute.
func (d document) without(name string) document {
	i, found := d.find(name)
	if !found {
		return d
	}
	return slices.Delete(slices.Clone(d), i, i+1)
}

// only returns the named attributes, if they exist.
func (d document) only(names ...string) document {
	kept := make(document, 0, len(names))
	for _, a := range d {
		if slices.Contains(names, a.name) {
			kept = append(kept, a)
		}
	}
	return kept
}

// equal reports whether two values have the same type and content. The order of a set's or map's members doesn't matter.
func equal(a, b value) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	switch a := a.(type) {
	case document:
		b, ok := b.(document)
		return ok && slices.EqualFunc(a, b, func(x, y attribute) bool { return x.name == y.name && equal(x.value, y.value) })
	case listValue:
		b, ok := b.(listValue)
		return ok && slices.EqualFunc(a, b, equal)
	case setValue:
		b, ok := b.(setValue)
		return ok && a.element == b.element && slices.Equal(a.members, b.members)
	}
	switch b.(type) {
	case document, listValue, setValue:
		return false
	}
	return a == b
}

// compare compares two strings, two numbers or two binaries. ok is false for anything else.
func compare(a, b value) (order int, ok bool) {
	x, xOrdered := sortable(a)
	y, yOrdered := sortable(b)
	if !xOrdered || !yOrdered || a.kind() != b.kind() {
		return 0, false
	}
	return strings.Compare(x, y), true
}

// sortable returns bytes that sort like the values of one type. ok is false unless the value is a string, a number or a
// binary.
func sortable(v value) (string, bool) {
	switch v := v.(type) {
	case stringValue:
		return string(v), true
	case binaryValue:
		return string(v), true
	case numberValue:
		return v.decimal().sortable(), true
	}
	return "", false
}

// decimal returns the number to calculate with.
func (n numberValue) decimal() decimal {
	// Every numberValue was made from a decimal, so parsing it can't fail.
	d, _ := parseDecimal(string(n))
	return d
}

// UnmarshalJSON reads attributes in their wire form, such as {"id": {"S": "1"}}. Faults are service errors.
func (d *document) UnmarshalJSON(data []byte) error {
	decoded, err := decodeDocument(data, 1)
	if err == nil {
		*d = decoded
	}
	return err
}

func decodeDocument(data []byte, depth int) (document, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, serialization(err)
	}
	if fields == nil {
		return nil, nil
	}
	decoded := make(document, 0, len(fields))
	for name, field := range fields {
		if name == "" {
			return nil, validation("Empty attribute name")
		}
		v, err := decodeValue(field, depth)
		if err != nil {
			return nil, err
		}
		// The items of a table have the same few names; each name is kept in memory once.
		decoded = append(decoded, attribute{unique.Make(name).Value(), v})
	}
	slices.SortFunc(decoded, func(a, b attribute) int { return strings.Compare(a.name, b.name) })
	return decoded, nil
}

// wireValue is the wire form of a value: exactly one member is set.
type wireValue struct {
	S, N *string
	B    *[]byte
	BOOL *bool
	NULL *bool
	M    json.RawMessage
	L    *[]json.RawMessage
	SS   *[]string
	NS   *[]string
	BS   *[][]byte
}

func decodeValue(data []byte, depth int) (value, error) {
	if depth > maxNesting {
		return nil, validation("Nesting Levels have exceeded supported limits: " +
			"Attributes in the item have nested levels beyond supported limit")
	}
	var wire wireValue
	if err := json.Unmarshal(data, &wire); err != nil {
		return nil, serialization(err)
	}
	switch wire.members() {
	case 0:
		return nil, validation("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
	case 1:
		return wire.value(depth)
	}
	return nil, validation("Supplied AttributeValue has more than one datatypes set, " +
		"must contain exactly one of the supported datatypes")
}

func (w *wireValue) members() int {
	set := 0
	for _, present := range []bool{
		w.S != nil, w.N != nil, w.B != nil, w.BOOL != nil, w.NULL != nil,
		w.hasMap(), w.L != nil, w.SS != nil, w.NS != nil, w.BS != nil,
	} {
		if present {
			set++
		}
	}
	return set
}

func (w *wireValue) hasMap() bool { return w.M != nil && !bytes.Equal(w.M, []byte("null")) }

func (w *wireValue) value(depth int) (value, error) {
	switch {
	case w.S != nil:
		return stringValue(*w.S), nil
	case w.N != nil:
		return newNumber(*w.N)
	case w.B != nil:
		return binaryValue(*w.B), nil
	case w.BOOL != nil:
		return boolValue(*w.BOOL), nil
	case w.NULL != nil && !*w.NULL:
		return nil, invalidParameter("Null attribute value types must have the value of true")
	case w.NULL != nil:
		return nullValue{}, nil
	case w.hasMap():
		decoded, err := decodeDocument(w.M, depth+1)
		if err != nil {
			return nil, err
		}
		return decoded, nil
	case w.L != nil:
		return decodeList(*w.L, depth+1)
	case w.SS != nil:
		return newSet("S", *w.SS)
	case w.NS != nil:
		return newNumberSet(*w.NS)
	}
	members := make([]string, len(*w.BS))
	for i, member := range *w.BS {
		members[i] = string(member)
	}
	return newSet("B", members)
}

func decodeList(elements []json.RawMessage, depth int) (value, error) {
	list := make(listValue, len(elements))
	for i, element := range elements {
		var err error
		if list[i], err = decodeValue(element, depth); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func newNumber(text string) (value, error) {
	d, err := parseDecimal(text)
	if err != nil {
		return nil, err
	}
	return numberValue(d.plain()), nil
}

func newNumberSet(texts []string) (value, error) {
	members := make([]string, len(texts))
	for i, text := range texts {
		d, err := parseDecimal(text)
		if err != nil {
			return nil, err
		}
		members[i] = d.plain()
	}
	return newSet("N", members)
}

// newSet checks the rules of sets: at least one member, and none twice. A member may be empty.
func newSet(element string, members []string) (value, error) {
	if len(members) == 0 {
		switch element {
		case "S":
			return nil, invalidParameter("An string set  may not be empty")
		case "N":
			return nil, invalidParameter("An number set  may not be empty")
		}
		return nil, invalidParameter("Binary sets should not be empty")
	}
	set := setOf(element, members)
	if len(set.members) < len(members) {
		return nil, invalidParameter("Input collection %scontains duplicates.", shownMembers(element, members))
	}
	return set, nil
}

// setOf returns the set of the members, some of which may be given twice. Numbers are in the order of their values.
func setOf(element string, members []string) setValue {
	sorted := slices.Clone(members)
	if element == "N" {
		slices.SortFunc(sorted, func(a, b string) int {
			order, _ := compare(numberValue(a), numberValue(b))
			return order
		})
	} else {
		slices.Sort(sorted)
	}
	return setValue{element, slices.Compact(sorted)}
}

// shownMembers spells a set's members for the message about duplicates. That message has no numbers.
func shownMembers(element string, members []string) string {
	switch element {
	case "S":
		return "[" + strings.Join(members, ", ") + "] "
	case "B":
		encoded := make([]string, len(members))
		for i, member := range members {
			encoded[i] = base64.StdEncoding.EncodeToString([]byte(member))
		}
		return "[" + strings.Join(encoded, ", ") + "]of type BS "
	}
	return ""
}

// MarshalJSON writes the attributes in their wire form.
func (d document) MarshalJSON() ([]byte, error) { return appendDocument(nil, d), nil }

func appendDocument(out []byte, d document) []byte {
	out = append(out, '{')
	for i, a := range d {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, a.name), ':')
		out = appendValue(out, a.value)
	}
	return append(out, '}')
}

func appendValue(out []byte, v value) []byte {
	out = append(out, `{"`+v.kind()+`":`...)
	switch v := v.(type) {
	case stringValue:
		out = appendString(out, string(v))
	case numberValue:
		out = appendString(out, string(v))
	case binaryValue:
		out = appendBinary(out, string(v))
	case boolValue:
		if v {
			out = append(out, "true"...)
		} else {
			out = append(out, "false"...)
		}
	case nullValue:
		out = append(out, "true"...)
	case document:
		out = appendDocument(out, v)
	case listValue:
		out = appendSequence(out, v, appendValue)
	case setValue:
		write := appendString
		if v.element == "B" {
			write = appendBinary
		}
		out = appendSequence(out, v.members, write)
	}
	return append(out, '}')
}

func appendSequence[T any](out []byte, elements []T, write func([]byte, T) []byte) []byte {
	out = append(out, '[')
	for i, element := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		out = write(out, element)
	}
	return append(out, ']')
}

func appendBinary(out []byte, data string) []byte {
	out = append(out, '"')
	out = base64.StdEncoding.AppendEncode(out, []byte(data))
	return append(out, '"')
}

func appendString(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			// Marshalling a string cannot fail.
			quoted, _ := json.Marshal(text)
			return append(out, quoted...)
		}
	}
	out = append(out, '"')
	out = append(out, text...)
	return append(out, '"')
}

// serialization turns a fault in a request's JSON into the service's error. It leaves a service error unchanged.
func serialization(err error) error {
	if known, ok := errors.AsType[*serviceError](err); ok {
		return known
	}
	return &serviceError{code: "SerializationException", message: "Could not parse request body: " + err.Error()}
}
