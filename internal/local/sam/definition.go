// Package sam reads the project's SAM template, the only definition of the stack. Local stacks and tests take their tables,
// queues and the functions' environments from it, so that they can't drift from the stack on AWS.
//
// Values are resolved as CloudFormation does for a stack of a given name, with the parameters' defaults. A value that only
// AWS knows stays symbolic, in the notation of Fn::Sub: !GetAtt UsageTable.Arn is "${UsageTable.Arn}". The package knows the
// CloudFormation functions in template.yaml; the value of any other is an error.
//
// Nested stacks with templates in local files are read too. Their resources count as the stack's own.
package sam

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	serverlessPrefix = "AWS::Serverless::" // of the types that Globals can have properties for
	functionType     = serverlessPrefix + "Function"
	nestedType       = "AWS::CloudFormation::Stack"
	queueType        = "AWS::SQS::Queue"
	tableType        = "AWS::DynamoDB::Table"
)

// Definition is a SAM template. It never changes, and is safe for concurrent use.
type Definition struct {
	parameters map[string]parameter
	conditions map[string]any
	resources  map[string]definition
	outputs    map[string]any
	nested     map[string]*Definition // by the logical id of the nested stack
}

// definition is a resource of template.yaml, merged with the properties that Globals has for its type.
type definition struct {
	resourceType string
	condition    string // empty: always created
	properties   map[string]any
	attributes   map[string]any // siblings of the properties, such as DeletionPolicy
}

// Load reads the stack's definition in a file, with its nested stacks. It fails as Parse does, and if two templates have the
// same logical id.
func Load(path string) (*Definition, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading template: %w", err)
	}
	t, err := Parse(source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, logicalID := range slices.Sorted(maps.Keys(t.resources)) {
		d := t.resources[logicalID]
		if d.resourceType != nestedType {
			continue
		}
		location, ok := d.properties["TemplateURL"].(string)
		if !ok {
			return nil, fmt.Errorf("%s: resource %s: its TemplateURL must be the path of a template", path, logicalID)
		}
		nested, err := Load(filepath.Join(filepath.Dir(path), location))
		if err != nil {
			return nil, fmt.Errorf("nested stack %s: %w", logicalID, err)
		}
		for other := range nested.resources {
			if _, taken := t.resources[other]; taken {
				return nil, fmt.Errorf("%s: resource %s is also in nested stack %s: one of the two needs another logical id", path, other, logicalID)
			}
		}
		t.nested[logicalID] = nested
	}
	return t, nil
}

// Parse reads a template without its nested stacks. It fails for malformed YAML, for YAML that CloudFormation refuses
// (aliases, duplicate keys), and for parts without the form that CloudFormation demands.
func Parse(source []byte) (*Definition, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		return nil, fmt.Errorf("parsing template: %w", err)
	}
	if len(document.Content) == 0 {
		return nil, errors.New("parsing template: the template is empty")
	}
	root, err := decodeMapping(document.Content[0])
	if err != nil {
		return nil, fmt.Errorf("parsing template: %w", err)
	}
	return newTemplate(root)
}

func newTemplate(root map[string]any) (*Definition, error) {
	t := &Definition{parameters: map[string]parameter{}, resources: map[string]definition{}, nested: map[string]*Definition{}}
	parameters, err := mappingAt(root, "Parameters")
	if err != nil {
		return nil, err
	}
	for name := range parameters {
		if t.parameters[name], err = newParameter(parameters[name]); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
	}
	if t.conditions, err = mappingAt(root, "Conditions"); err != nil {
		return nil, err
	}
	if t.outputs, err = mappingAt(root, "Outputs"); err != nil {
		return nil, err
	}
	globals, err := mappingAt(root, "Globals")
	if err != nil {
		return nil, err
	}
	resources, err := mappingAt(root, "Resources")
	if err != nil {
		return nil, err
	}
	for logicalID := range resources {
		if t.resources[logicalID], err = newDefinition(resources[logicalID], globals); err != nil {
			return nil, fmt.Errorf("resource %s: %w", logicalID, err)
		}
	}
	return t, nil
}

func newDefinition(value any, globals map[string]any) (definition, error) {
	attributes, ok := value.(map[string]any)
	if !ok {
		return definition{}, errors.New("the definition must be a mapping")
	}
	resourceType, ok := attributes["Type"].(string)
	if !ok {
		return definition{}, errors.New("its Type must be text")
	}
	properties, err := mappingAt(attributes, "Properties")
	if err != nil {
		return definition{}, err
	}
	if kind, serverless := strings.CutPrefix(resourceType, serverlessPrefix); serverless {
		shared, err := mappingAt(globals, kind)
		if err != nil {
			return definition{}, fmt.Errorf("globals: %w", err)
		}
		properties = merge(shared, properties).(map[string]any)
	}
	condition, ok := attributes["Condition"].(string)
	if _, stated := attributes["Condition"]; stated && !ok {
		return definition{}, errors.New("its Condition must be a condition's name")
	}
	attributes = maps.Clone(attributes)
	delete(attributes, "Properties")
	return definition{resourceType, condition, properties, attributes}, nil
}

// mappingAt returns the mapping under a key; it is empty if the key is missing.
func mappingAt(values map[string]any, key string) (map[string]any, error) {
	value, stated := values[key]
	if !stated {
		return map[string]any{}, nil
	}
	mapping, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s must be a mapping", key)
	}
	return mapping, nil
}

// merge combines a resource's own value with the value in Globals, by SAM's rules: mappings are united, lists are joined, and
// otherwise the resource's own value wins.
func merge(shared, own any) any {
	switch own := own.(type) {
	case map[string]any:
		if shared, ok := shared.(map[string]any); ok {
			united := maps.Clone(shared)
			for key, value := range own {
				if sharedValue, ok := shared[key]; ok {
					value = merge(sharedValue, value)
				}
				united[key] = value
			}
			return united
		}
	case []any:
		if shared, ok := shared.([]any); ok {
			return slices.Concat(shared, own)
		}
	}
	return own
}

// With returns a copy of t with another value of a parameter. It fails if template.yaml has no such parameter or doesn't
// allow the value.
func (t *Definition) With(parameterName, value string) (*Definition, error) {
	p, ok := t.parameters[parameterName]
	if !ok {
		return nil, fmt.Errorf("the template has no parameter %s", parameterName)
	}
	if err := p.allow(value); err != nil {
		return nil, fmt.Errorf("parameter %s: %w", parameterName, err)
	}
	p.value = &value
	other := *t
	other.parameters = maps.Clone(t.parameters)
	other.parameters[parameterName] = p
	return &other, nil
}

// Resource is one resource of a stack. Its values are of the types string, int, float64, bool, nil, []any and
// map[string]any, with all functions resolved.
type Resource struct {
	LogicalID  string
	Type       string
	properties map[string]any
	attributes map[string]any
}

// Resources returns a stack's resources of a type, such as "AWS::IAM::Role", by logical id. stackName is the stack's name;
// its nested stacks are included.
func (t *Definition) Resources(resourceType, stackName string) ([]Resource, error) {
	resources, err := newStack(t, stackName).all(resourceType)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(resources, func(a, b Resource) int { return strings.Compare(a.LogicalID, b.LogicalID) })
	return resources, nil
}

// all returns the resources of a type, in no order.
func (s *stack) all(resourceType string) ([]Resource, error) {
	var resources []Resource
	for _, logicalID := range slices.Sorted(maps.Keys(s.template.nested)) {
		nested, created, err := s.nested(logicalID)
		if err != nil {
			return nil, err
		}
		if !created {
			continue
		}
		inside, err := nested.all(resourceType)
		if err != nil {
			return nil, fmt.Errorf("nested stack %s: %w", logicalID, err)
		}
		resources = append(resources, inside...)
	}
	for _, logicalID := range slices.Sorted(maps.Keys(s.template.resources)) {
		if s.template.resources[logicalID].resourceType != resourceType {
			continue
		}
		resource, created, err := s.resource(logicalID)
		if err != nil {
			return nil, fmt.Errorf("resource %s: %w", logicalID, err)
		}
		if created {
			resources = append(resources, resource)
		}
	}
	return resources, nil
}

// Property returns the property at a path of names, nil if there is none.
func (r Resource) Property(path ...string) any {
	return at(r.properties, path)
}

// Attribute returns an attribute of the resource that isn't a property, such as "DeletionPolicy" or "Metadata",
// "BuildMethod"; nil if there is none.
func (r Resource) Attribute(path ...string) any {
	return at(r.attributes, path)
}

func at(value any, path []string) any {
	for _, name := range path {
		mapping, _ := value.(map[string]any)
		value = mapping[name]
	}
	return value
}

// Decode decodes the properties into a struct with CloudFormation's names. Properties without a field are ignored; a value
// that doesn't fit its field is an error.
func (r Resource) Decode(into any) error {
	encoded, err := json.Marshal(r.properties)
	if err == nil {
		err = json.Unmarshal(encoded, into)
	}
	if err != nil {
		return fmt.Errorf("resource %s: decoding its properties: %w", r.LogicalID, err)
	}
	return nil
}
