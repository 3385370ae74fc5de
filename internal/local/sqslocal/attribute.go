package sqslocal

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const maxAttributes = 10

// Attribute is the value of a message attribute: StringValue for the types String and Number, BinaryValue for Binary.
type Attribute struct {
	DataType    string `json:"DataType"`
	StringValue string `json:"StringValue,omitempty"`
	BinaryValue []byte `json:"BinaryValue,omitempty"`
}

func (a Attribute) isBinary() bool { return baseType(a.DataType) == "Binary" }

func (a Attribute) value() []byte {
	if a.isBinary() {
		return a.BinaryValue
	}
	return []byte(a.StringValue)
}

// baseType returns the part of a data type before its custom label, such as "Number" of "Number.float".
func baseType(dataType string) string {
	base, _, _ := strings.Cut(dataType, ".")
	return base
}

var attributeName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

func checkAttributes(attributes map[string]Attribute) error {
	if len(attributes) > maxAttributes {
		return invalidParameter("Number of message attributes [%d] exceeds the allowed maximum [%d].",
			len(attributes), maxAttributes)
	}
	// In a fixed order, so that a message with two faults always gets the same answer.
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if err := checkAttribute(name, attributes[name]); err != nil {
			return err
		}
	}
	return nil
}

func checkAttribute(name string, a Attribute) error {
	lower := strings.ToLower(name)
	switch {
	case len(name) > 256, !attributeName.MatchString(name),
		strings.HasPrefix(lower, "aws."), strings.HasPrefix(lower, "amazon."):
		return invalidParameter("The message attribute name '%s' is invalid.", name)
	case len(a.DataType) > 256, !slices.Contains([]string{"String", "Number", "Binary"}, baseType(a.DataType)):
		return invalidParameter("The message attribute '%s' has an invalid message attribute type, the set of supported "+
			"type prefixes is Binary, Number, and String.", name)
	case len(a.value()) == 0:
		return invalidParameter("Message (user) attribute '%s' must contain a non-empty value of type '%s'.",
			name, baseType(a.DataType))
	case !validText(a.StringValue):
		return invalidParameter("Message (user) attribute '%s' value contains invalid characters.", name)
	case baseType(a.DataType) == "Number":
		if _, err := strconv.ParseFloat(a.StringValue, 64); err != nil {
			return invalidParameter("Can't cast the value of message (user) attribute '%s' to a number.", name)
		}
	}
	return nil
}

// validText reports whether SQS accepts every character: the characters of XML 1.0.
func validText(s string) bool {
	for _, r := range s {
		switch {
		case r == '\t', r == '\n', r == '\r', r >= 0x20 && r <= 0xd7ff, r >= 0xe000 && r <= 0xfffd, r >= 0x10000:
		default:
			return false
		}
	}
	return true
}

// attributeBytes returns the attributes' share of a message's size.
func attributeBytes(attributes map[string]Attribute) int {
	size := 0
	for name, a := range attributes {
		size += len(name) + len(a.DataType) + len(a.value())
	}
	return size
}

// selectAttributes returns the attributes that a receive asks for. wanted has names, "All", ".*", or prefixes that end in
// ".*".
func selectAttributes(attributes map[string]Attribute, wanted []string) map[string]Attribute {
	selected := map[string]Attribute{}
	for name, a := range attributes {
		if slices.ContainsFunc(wanted, func(pattern string) bool { return matchesName(pattern, name) }) {
			selected[name] = a
		}
	}
	return selected
}

func matchesName(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, ".*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == "All" || pattern == name
}

func md5OfText(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// md5OfAttributes returns SQS's digest of the attributes, "" if there are none. The attributes are hashed in the order of
// their names. Of each, the name, the data type and the value go in, each with its length in front; before the value there is
// a byte: 1 for text, 2 for binary.
func md5OfAttributes(attributes map[string]Attribute) string {
	if len(attributes) == 0 {
		return ""
	}
	digest := md5.New()
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		writePart(digest, []byte(name))
		writePart(digest, []byte(a.DataType))
		kind := byte(1)
		if a.isBinary() {
			kind = 2
		}
		digest.Write([]byte{kind})
		writePart(digest, a.value())
	}
	return hex.EncodeToString(digest.Sum(nil))
}

func writePart(digest hash.Hash, part []byte) {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(part)))
	digest.Write(length[:])
	digest.Write(part)
}
