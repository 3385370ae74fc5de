package sam

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestNothingWaitsForItself follows the dependencies of each resource, including the aliases that SAM makes: a function's
// release waits for the alarms that may stop it, and the API waits for the aliases that it calls. CloudFormation refuses a
// template with a cycle, and cfn-lint doesn't see cycles through a release.
func TestNothingWaitsForItself(t *testing.T) {
	t.Parallel()
	loaded, err := Load("../../../template.yaml")
	if err != nil {
		t.Fatalf("loading the template: %v", err)
	}
	graph := dependencies(loaded)
	for _, want := range [][2]string{
		{"HttpApi", "UsageApiFunction.Alias"}, {"ProcessMessageFunction", "HttpApi"}, {"UsageApiFunction.Alias", "Release"},
	} {
		if !graph[want[0]][want[1]] {
			t.Errorf("in template.yaml %s doesn't wait for %s: the test misses that kind of dependency", want[0], want[1])
		}
	}
	if circle := findCircle(graph); circle != nil {
		t.Errorf("these resources wait for each other, so that CloudFormation refuses the template: %s", strings.Join(circle, " -> "))
	}
	graph["Release"]["ProcessMessageFunction"] = true // as if the release check were given a function's version
	if findCircle(graph) == nil {
		t.Error("a cycle in the graph was not found: the test proves nothing")
	}
}

type graph map[string]map[string]bool

func (g graph) add(from string, to ...string) {
	if g[from] == nil {
		g[from] = map[string]bool{}
	}
	for _, one := range to {
		g[from][one] = true
	}
}

func dependencies(t *Definition) graph {
	g := graph{}
	for logicalID, d := range t.resources {
		properties := maps.Clone(d.properties)
		if d.resourceType == functionType {
			g.add(logicalID+".Alias", append(names(properties["DeploymentPreference"]), logicalID)...)
			delete(properties, "DeploymentPreference")
			events, _ := properties["Events"].(map[string]any)
			for _, event := range events {
				for _, called := range names(event) {
					if t.resources[called].resourceType == "AWS::Serverless::HttpApi" {
						g.add(called, logicalID+".Alias") // SAM puts the route into the API, which then needs the alias
					}
				}
			}
			delete(properties, "Events")
		}
		g.add(logicalID, names(properties)...)
		if on, ok := d.attributes["DependsOn"].(string); ok {
			g.add(logicalID, on)
		}
	}
	return g
}

// names returns all names in a value: of resources, of functions' aliases, and of parameters, which wait for nothing.
func names(value any) []string {
	var found []string
	switch value := value.(type) {
	case call:
		switch argument := value.argument.(type) {
		case string:
			referred := []string{argument}
			if value.function == "Fn::Sub" {
				referred = placeholder.FindAllString(argument, -1)
			}
			for _, name := range referred {
				name = strings.Trim(name, "${}")
				if !strings.HasSuffix(name, ".Alias") {
					name, _, _ = strings.Cut(name, ".")
				}
				found = append(found, name)
			}
		default:
			return names(argument)
		}
	case map[string]any:
		for _, member := range value {
			found = append(found, names(member)...)
		}
	case []any:
		for _, item := range value {
			found = append(found, names(item)...)
		}
	}
	return found
}

// findCircle returns the names on a cycle, nil if there is none.
func findCircle(g graph) []string {
	done := map[string]bool{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if i := slices.Index(path, name); i >= 0 {
			return append(slices.Clone(path[i:]), name)
		}
		if done[name] {
			return nil
		}
		path = append(path, name)
		for _, next := range slices.Sorted(maps.Keys(g[name])) {
			if circle := visit(next); circle != nil {
				return circle
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(g)) {
		if circle := visit(name); circle != nil {
			return circle
		}
	}
	return nil
}
