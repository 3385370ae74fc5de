package sam

import (
	"errors"
	"fmt"
	"time"
)

// FunctionEnvironment returns the environment variables of a function in a stack with the given name. Tables have the names
// in Tables. Values that only AWS knows are symbolic: a queue's URL is "${BootstrapQueue}", after its logical id.
func (t *Definition) FunctionEnvironment(logicalID, stackName string) (map[string]string, error) {
	var properties struct {
		Environment struct{ Variables map[string]any }
	}
	if err := t.decodeFunction(logicalID, stackName, &properties); err != nil {
		return nil, err
	}
	variables := make(map[string]string, len(properties.Environment.Variables))
	for name, value := range properties.Environment.Variables {
		var err error
		if variables[name], err = text(value); err != nil {
			return nil, fmt.Errorf("function %s: variable %s: %w", logicalID, name, err)
		}
	}
	return variables, nil
}

// FunctionTimeout returns the time-out of a function's invocations.
func (t *Definition) FunctionTimeout(logicalID, stackName string) (time.Duration, error) {
	var properties struct{ Timeout any }
	if err := t.decodeFunction(logicalID, stackName, &properties); err != nil {
		return 0, err
	}
	var n numbers
	timeout := n.seconds(properties.Timeout, defaultTimeoutSeconds)
	if err := errors.Join(n.faults...); err != nil {
		return 0, fmt.Errorf("function %s: time-out: %w", logicalID, err)
	}
	return timeout, nil
}

// decodeFunction decodes the properties of a function.
func (t *Definition) decodeFunction(logicalID, stackName string, into any) error {
	if t.resources[logicalID].resourceType != functionType {
		return fmt.Errorf("the template has no function %q", logicalID)
	}
	function, created, err := newStack(t, stackName).resource(logicalID)
	if err != nil {
		return fmt.Errorf("function %s: %w", logicalID, err)
	}
	if !created {
		return fmt.Errorf("the stack has no function %s: its condition is not met", logicalID)
	}
	return function.Decode(into)
}
