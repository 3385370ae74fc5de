package sam

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// call is an intrinsic function with its argument. The tag "!Sub text" and the mapping "Fn::Sub: text" give the same call.
type call struct {
	function string // by its full name: "Ref", "Fn::Sub"
	argument any
}

// decode turns YAML into values of the types string, int, float64, bool, nil, []any, map[string]any and call.
func decode(node *yaml.Node) (any, error) {
	if tag := node.Tag; strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!") {
		return decodeTagged(node)
	}
	switch node.Kind {
	case yaml.ScalarNode:
		return decodeScalar(node)
	case yaml.SequenceNode:
		return decodeSequence(node)
	case yaml.MappingNode:
		return decodeMappingOrCall(node)
	default:
		return nil, fmt.Errorf("line %d: this is a YAML alias, which CloudFormation refuses: write the value itself", node.Line)
	}
}

func decodeTagged(node *yaml.Node) (any, error) {
	function := "Fn::" + node.Tag[1:]
	if node.Tag == "!Ref" {
		function = "Ref"
	}
	untagged := *node
	untagged.Tag = ""
	if node.Kind == yaml.ScalarNode {
		untagged.Tag = "!!str" // the argument of a function is text: !Sub 1 means "1"
	}
	argument, err := decode(&untagged)
	return call{function, argument}, err
}

// decodeScalar decodes numbers and truth values as YAML does, and everything else as text: a policy's version 2012-10-17 is
// no date.
func decodeScalar(node *yaml.Node) (any, error) {
	switch node.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return decodeAs[bool](node)
	case "!!int":
		return decodeAs[int](node)
	case "!!float":
		return decodeAs[float64](node)
	}
	return node.Value, nil
}

func decodeAs[T any](node *yaml.Node) (any, error) {
	var value T
	if err := node.Decode(&value); err != nil {
		return nil, fmt.Errorf("line %d: %w", node.Line, err)
	}
	return value, nil
}

func decodeSequence(node *yaml.Node) ([]any, error) {
	values := make([]any, len(node.Content))
	for i, item := range node.Content {
		var err error
		if values[i], err = decode(item); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func decodeMapping(node *yaml.Node) (map[string]any, error) {
	if node.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: this must be a mapping", node.Line)
	}
	values := make(map[string]any, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" {
			return nil, fmt.Errorf("line %d: the key must be plain text and no merge key (<<)", key.Line)
		}
		if _, twice := values[key.Value]; twice {
			return nil, fmt.Errorf("line %d: the key %q appears twice", key.Line, key.Value)
		}
		value, err := decode(node.Content[i+1])
		if err != nil {
			return nil, err
		}
		values[key.Value] = value
	}
	return values, nil
}

func decodeMappingOrCall(node *yaml.Node) (any, error) {
	values, err := decodeMapping(node)
	if err != nil {
		return nil, err
	}
	for key, value := range values {
		if len(values) == 1 && (key == "Ref" || strings.HasPrefix(key, "Fn::")) {
			return call{key, value}, nil
		}
	}
	return values, nil
}
