package template

import "fmt"

// FunctionEnvironment returns the environment variables of a function in a stack of that name: what its code reads its
// configuration from. Tables' names are those that Tables returns. What only AWS knows is symbolic here too: a queue's URL
// is "${BootstrapQueue}", after its logical id.
func (t *Template) FunctionEnvironment(logicalID, stackName string) (map[string]string, error) {
	if t.resources[logicalID].resourceType != functionType {
		return nil, fmt.Errorf("there is no function %q", logicalID)
	}
	function, created, err := newStack(t, stackName).resource(logicalID)
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", logicalID, err)
	}
	if !created {
		return nil, fmt.Errorf("the stack has no function %s: its condition is not met", logicalID)
	}
	var properties struct {
		Environment struct{ Variables map[string]any }
	}
	if err := function.Decode(&properties); err != nil {
		return nil, err
	}
	variables := make(map[string]string, len(properties.Environment.Variables))
	for name, value := range properties.Environment.Variables {
		if variables[name], err = text(value); err != nil {
			return nil, fmt.Errorf("function %s: variable %s: %w", logicalID, name, err)
		}
	}
	return variables, nil
}
