package sam

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// stack resolves the template's values for a stack with a given name.
type stack struct {
	template   *Definition
	name       string
	conditions map[string]bool     // conditions with known values
	deciding   map[string]struct{} // conditions being resolved, to detect a condition that depends on itself
}

func newStack(t *Definition, name string) *stack {
	return &stack{template: t, name: name, conditions: map[string]bool{}, deciding: map[string]struct{}{}}
}

// nothing is the value of !Ref AWS::NoValue: a property with this value is left out.
type nothing struct{}

// nameProperties has the property that !Ref resolves to, by the resource's type. A resource of any other type, or without
// that property, has a name that only AWS knows.
var nameProperties = map[string]string{
	tableType:                           "TableName",
	functionType:                        "FunctionName",
	"AWS::CloudWatch::Alarm":            "AlarmName",
	"AWS::CloudWatch::Dashboard":        "DashboardName",
	"AWS::ElastiCache::ServerlessCache": "ServerlessCacheName",
	"AWS::ElastiCache::User":            "UserId",
	"AWS::ElastiCache::UserGroup":       "UserGroupId",
	"AWS::Logs::LogGroup":               "LogGroupName",
}

// resource returns a resource, and false if its condition keeps it out of the stack.
func (s *stack) resource(logicalID string) (Resource, bool, error) {
	d := s.template.resources[logicalID]
	if d.condition != "" {
		if met, err := s.condition(d.condition); err != nil || !met {
			return Resource{}, false, err
		}
	}
	properties, err := s.resolveMapping(d.properties)
	if err != nil {
		return Resource{}, false, err
	}
	attributes, err := s.resolveMapping(d.attributes)
	if err != nil {
		return Resource{}, false, err
	}
	return Resource{logicalID, d.resourceType, properties, attributes}, true, nil
}

// nested returns a nested stack with the outer stack's parameters for it, and false if its condition keeps it out. Nothing
// may rely on its name, to which CloudFormation adds a part that only AWS knows.
func (s *stack) nested(logicalID string) (*stack, bool, error) {
	resource, created, err := s.resource(logicalID)
	if err != nil || !created {
		return nil, false, err
	}
	template := s.template.nested[logicalID]
	given, _ := resource.Property("Parameters").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value, err := text(given[name])
		if err == nil {
			template, err = template.With(name, value)
		}
		if err != nil {
			return nil, false, fmt.Errorf("nested stack %s: %w", logicalID, err)
		}
	}
	return newStack(template, symbol(logicalID)), true, nil
}

// output returns an output of a nested stack.
func (s *stack) output(logicalID, name string) (any, error) {
	nested, created, err := s.nested(logicalID)
	if err != nil {
		return nil, err
	}
	definition, ok := s.template.nested[logicalID].outputs[name].(map[string]any)
	if !created || !ok {
		return nil, fmt.Errorf("nested stack %s has no output %s", logicalID, name)
	}
	value, err := nested.resolve(definition["Value"])
	if err != nil {
		return nil, fmt.Errorf("nested stack %s: output %s: %w", logicalID, name, err)
	}
	return value, nil
}

func (s *stack) resolve(value any) (any, error) {
	switch value := value.(type) {
	case call:
		resolved, err := s.call(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", value.function, err)
		}
		return resolved, nil
	case map[string]any:
		return s.resolveMapping(value)
	case []any:
		return s.resolveList(value)
	}
	return value, nil
}

func (s *stack) resolveMapping(mapping map[string]any) (map[string]any, error) {
	resolved := make(map[string]any, len(mapping))
	for _, key := range slices.Sorted(maps.Keys(mapping)) { // in a fixed order, so that an error is always the same
		value, err := s.resolve(mapping[key])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if _, absent := value.(nothing); !absent {
			resolved[key] = value
		}
	}
	return resolved, nil
}

func (s *stack) resolveList(list []any) ([]any, error) {
	resolved := make([]any, 0, len(list))
	for _, item := range list {
		value, err := s.resolve(item)
		if err != nil {
			return nil, err
		}
		if _, absent := value.(nothing); !absent {
			resolved = append(resolved, value)
		}
	}
	return resolved, nil
}

func (s *stack) call(c call) (any, error) {
	switch c.function {
	case "Ref":
		return s.ref(c.argument)
	case "Fn::GetAtt":
		return s.attribute(c.argument)
	case "Fn::Sub":
		return s.substitute(c.argument)
	case "Fn::Split":
		return s.split(c.argument)
	case "Fn::Select":
		return s.selectOne(c.argument)
	case "Fn::GetAZs":
		return zones, nil
	case "Fn::If":
		return s.choose(c.argument)
	case "Fn::Equals":
		return s.equals(c.argument)
	case "Fn::Not":
		return s.not(c.argument)
	case "Fn::And":
		return s.and(c.argument)
	}
	return nil, errors.New("the local stack does not support this function")
}

// ref resolves a reference to a parameter, a resource or a pseudo parameter of AWS.
func (s *stack) ref(argument any) (any, error) {
	name, ok := argument.(string)
	if !ok {
		return nil, errors.New("the argument must be a name")
	}
	if name == "AWS::NoValue" {
		return nothing{}, nil
	}
	if name == "AWS::StackName" {
		return s.name, nil
	}
	if strings.HasPrefix(name, "AWS::") {
		return symbol(name), nil
	}
	if p, ok := s.template.parameters[name]; ok {
		if p.value == nil {
			return nil, fmt.Errorf("parameter %s has no value: it has no default, and none was given", name)
		}
		return *p.value, nil
	}
	if d, ok := s.template.resources[name]; ok {
		return s.physicalName(name, d)
	}
	if s.made(name) {
		return symbol(name), nil
	}
	return nil, fmt.Errorf("the template has no parameter or resource %q", name)
}

// made reports whether a name is that of an alias or version that SAM makes for a function with AutoPublishAlias.
func (s *stack) made(name string) bool {
	logicalID, kind, _ := strings.Cut(name, ".")
	function := s.template.resources[logicalID]
	return function.resourceType == functionType && function.properties["AutoPublishAlias"] != nil && (kind == "Alias" || kind == "Version")
}

// symbol returns the symbol for a value that only AWS knows.
func symbol(name string) string { return "${" + name + "}" }

// physicalName returns a resource's own name. The name may contain parameters, but no other resource's name, so that names
// can't depend on each other in a circle.
func (s *stack) physicalName(logicalID string, d definition) (any, error) {
	name, named := d.properties[nameProperties[d.resourceType]]
	if !named {
		return symbol(logicalID), nil
	}
	parametersOnly := &Definition{parameters: s.template.parameters}
	resolved, err := newStack(parametersOnly, s.name).resolve(name)
	if err != nil {
		return nil, fmt.Errorf("name of %s: %w", logicalID, err)
	}
	return resolved, nil
}

// attribute resolves an attribute, given as "LogicalID.Attribute" or as a list of both.
func (s *stack) attribute(argument any) (any, error) {
	if list, ok := argument.([]any); ok {
		names, err := texts(list)
		if err != nil {
			return nil, err
		}
		argument = strings.Join(names, ".")
	}
	name, _ := argument.(string)
	logicalID, attribute, _ := strings.Cut(name, ".")
	if attribute == "" {
		return nil, errors.New("the argument must name a resource and an attribute, such as Queue.Arn")
	}
	if _, ok := s.template.resources[logicalID]; !ok {
		return nil, fmt.Errorf("the template has no resource %q", logicalID)
	}
	if output, ok := strings.CutPrefix(attribute, "Outputs."); ok && s.template.nested[logicalID] != nil {
		return s.output(logicalID, output)
	}
	return symbol(name), nil
}

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

// substitute replaces ${Name} and ${LogicalID.Attribute} in a text by the values of !Ref and !GetAtt, and ${!Name} by the
// literal ${Name}. The argument is the text, or a list of the text and a mapping with further names.
func (s *stack) substitute(argument any) (any, error) {
	more := map[string]any{}
	if list, ok := argument.([]any); ok && len(list) == 2 {
		given, ok := list[1].(map[string]any)
		if !ok {
			return nil, errors.New("the second argument must be a mapping of names")
		}
		var err error
		if more, err = s.resolveMapping(given); err != nil {
			return nil, err
		}
		argument = list[0]
	}
	pattern, ok := argument.(string)
	if !ok {
		return nil, errors.New("the argument must be text, or a list of text and a mapping")
	}
	var faults []error
	replaced := placeholder.ReplaceAllStringFunc(pattern, func(found string) string {
		name := found[len("${") : len(found)-len("}")]
		if literal, escaped := strings.CutPrefix(name, "!"); escaped {
			return symbol(literal)
		}
		lookUp := s.ref
		if strings.Contains(name, ".") {
			lookUp = s.attribute
		}
		if value, own := more[name]; own {
			lookUp = func(any) (any, error) { return value, nil }
		}
		value, err := lookUp(name)
		if err != nil {
			faults = append(faults, err)
			return ""
		}
		replacement, err := text(value)
		faults = append(faults, err)
		return replacement
	})
	return replaced, errors.Join(faults...)
}

// split splits a text, the second argument, at each occurrence of the first.
func (s *stack) split(argument any) (any, error) {
	arguments, err := s.arguments(argument, 2)
	if err != nil {
		return nil, err
	}
	var parts []any
	for part := range strings.SplitSeq(arguments[1], arguments[0]) {
		parts = append(parts, part)
	}
	return parts, nil
}

// zones stand for the availability zones of a region. Regions have two or more.
var zones = []any{symbol("AWS::AvailabilityZone.0"), symbol("AWS::AvailabilityZone.1")}

// selectOne returns an entry of a list, the second argument. The first argument is its index.
func (s *stack) selectOne(argument any) (any, error) {
	resolved, err := s.resolve(argument)
	if err != nil {
		return nil, err
	}
	arguments, ok := resolved.([]any)
	if !ok || len(arguments) != 2 {
		return nil, errors.New("the function needs 2 arguments")
	}
	list, ok := arguments[1].([]any)
	if !ok {
		return nil, errors.New("the second argument must be a list")
	}
	index, err := integer(arguments[0])
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= len(list) {
		return nil, fmt.Errorf("the list has no entry %d: its %d entries are counted from 0", index, len(list))
	}
	return list[index], nil
}

// choose resolves the second argument if the condition named by the first is true, otherwise the third.
func (s *stack) choose(argument any) (any, error) {
	arguments, ok := argument.([]any)
	if !ok || len(arguments) != 3 {
		return nil, errors.New("the function needs three arguments")
	}
	name, ok := arguments[0].(string)
	if !ok {
		return nil, errors.New("the first argument must be a condition's name")
	}
	met, err := s.condition(name)
	if err != nil {
		return nil, err
	}
	if met {
		return s.resolve(arguments[1])
	}
	return s.resolve(arguments[2])
}

// condition returns the value of the condition with the given name.
func (s *stack) condition(name string) (bool, error) {
	if met, decided := s.conditions[name]; decided {
		return met, nil
	}
	value, ok := s.template.conditions[name]
	if !ok {
		return false, fmt.Errorf("the template has no condition %q", name)
	}
	if _, circular := s.deciding[name]; circular {
		return false, fmt.Errorf("condition %s depends on itself", name)
	}
	s.deciding[name] = struct{}{}
	met, err := s.truth(value)
	if err != nil {
		return false, fmt.Errorf("condition %s: %w", name, err)
	}
	s.conditions[name] = met
	return met, nil
}

func (s *stack) truth(value any) (bool, error) {
	resolved, err := s.resolve(value)
	if err != nil {
		return false, err
	}
	truth, ok := resolved.(bool)
	if !ok {
		return false, errors.New("the value must be true or false")
	}
	return truth, nil
}

func (s *stack) equals(argument any) (any, error) {
	arguments, err := s.arguments(argument, 2)
	if err != nil {
		return nil, err
	}
	return arguments[0] == arguments[1], nil
}

func (s *stack) not(argument any) (any, error) {
	arguments, ok := argument.([]any)
	if !ok || len(arguments) != 1 {
		return nil, errors.New("the function needs one argument")
	}
	truth, err := s.truth(arguments[0])
	return !truth, err
}

func (s *stack) and(argument any) (any, error) {
	arguments, ok := argument.([]any)
	if !ok || len(arguments) < 2 || len(arguments) > 10 {
		return nil, errors.New("the function needs two to ten arguments")
	}
	all := true
	for _, a := range arguments {
		truth, err := s.truth(a)
		if err != nil {
			return nil, err
		}
		all = all && truth
	}
	return all, nil
}

// arguments resolves a list of exactly n texts.
func (s *stack) arguments(argument any, n int) ([]string, error) {
	resolved, err := s.resolve(argument)
	if err != nil {
		return nil, err
	}
	arguments, err := texts(resolved)
	if err != nil {
		return nil, err
	}
	if len(arguments) != n {
		return nil, fmt.Errorf("the function needs %d arguments", n)
	}
	return arguments, nil
}
