package sam

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
)

// parameter is a parameter of template.yaml. As in CloudFormation, its values are texts, whatever its type.
type parameter struct {
	value   *string // nil if template.yaml has no default and With has set none
	allowed []string
	pattern *regexp.Regexp // nil if every text is allowed
	number  bool
	min     *float64 // nil without a bound
	max     *float64
}

func newParameter(value any) (parameter, error) {
	definition, ok := value.(map[string]any)
	if !ok {
		return parameter{}, errors.New("the definition must be a mapping")
	}
	p := parameter{number: definition["Type"] == "Number"}
	var faults []error
	if stated, ok := definition["Default"]; ok {
		value, err := text(stated)
		p.value, faults = &value, append(faults, err)
	}
	if stated, ok := definition["AllowedValues"]; ok {
		allowed, err := texts(stated)
		p.allowed, faults = allowed, append(faults, err)
	}
	if stated, ok := definition["AllowedPattern"]; ok {
		pattern, err := text(stated)
		if err == nil {
			p.pattern, err = regexp.Compile(pattern)
		}
		faults = append(faults, err)
	}
	for name, bound := range map[string]**float64{"MinValue": &p.min, "MaxValue": &p.max} {
		if stated, ok := definition[name]; ok {
			number, err := toNumber(stated)
			*bound, faults = &number, append(faults, err)
		}
	}
	return p, errors.Join(faults...)
}

// allow returns an error if the parameter's rules don't allow the value.
func (p parameter) allow(value string) error {
	if p.allowed != nil && !slices.Contains(p.allowed, value) {
		return fmt.Errorf("%q is not allowed: it must be one of %q", value, p.allowed)
	}
	if p.pattern != nil && !p.pattern.MatchString(value) {
		return fmt.Errorf("%q is not allowed: it must match %s", value, p.pattern)
	}
	if !p.number {
		return nil
	}
	number, err := toNumber(value)
	switch {
	case err != nil:
		return err
	case p.min != nil && number < *p.min:
		return fmt.Errorf("%s is not allowed: it must be at least %v", value, *p.min)
	case p.max != nil && number > *p.max:
		return fmt.Errorf("%s is not allowed: it must be at most %v", value, *p.max)
	}
	return nil
}

// text returns a scalar as CloudFormation writes it into a text.
func text(value any) (string, error) {
	switch value := value.(type) {
	case string:
		return value, nil
	case int:
		return strconv.Itoa(value), nil
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64), nil
	case bool:
		return strconv.FormatBool(value), nil
	}
	return "", errors.New("the value must be text, a number or a truth value")
}

func texts(value any) ([]string, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, errors.New("the value must be a list of texts")
	}
	values := make([]string, len(list))
	for i := range list {
		var err error
		if values[i], err = text(list[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func toNumber(value any) (float64, error) {
	s, err := text(value)
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return number, nil
}

// integer parses a whole number, which may be a text, as the values of parameters are.
func integer(value any) (int, error) {
	s, err := text(value)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return n, nil
}
