package apigateway

import (
	"errors"
	"slices"
	"strings"
)

var (
	errRouteForm  = errors.New(`a route is "METHOD /path" or "$default"`)
	errRouteTwice = errors.New("the route exists")
)

const (
	anyMethod    = "ANY"
	defaultRoute = "$default"
)

// route is an entry of the table, in API Gateway's notation.
type route struct {
	key      string
	method   string   // or anyMethod
	segments []string // "text", "{variable}" or, at the end, "{rest+}"
	rank     string   // sorts a more specific route first
	invoke   Invoke
}

// routeTable has the routes, the most specific first.
type routeTable []*route

func (t *routeTable) add(key string, invoke Invoke) error {
	r, err := parseRoute(key)
	if err != nil {
		return err
	}
	r.invoke = invoke
	if slices.ContainsFunc(*t, func(other *route) bool { return other.key == key }) {
		return errRouteTwice
	}
	*t = append(*t, r)
	slices.SortStableFunc(*t, func(a, b *route) int { return strings.Compare(a.rank, b.rank) })
	return nil
}

// find returns the route for a request and the values of its variables. The route is nil if there is none.
func (t routeTable) find(method, path string) (*route, map[string]string) {
	segments := split(path)
	for _, r := range t {
		if r.method != anyMethod && r.method != method {
			continue
		}
		if parameters, ok := r.match(segments); ok {
			return r, parameters
		}
	}
	return nil, nil
}

// The ranks of segments and methods; the lower one is more specific.
const (
	rankText     = '0'
	rankVariable = '1'
	rankRest     = '2'
	rankDefault  = '3'

	rankMethod = '0'
	rankAny    = '1'
)

func parseRoute(key string) (*route, error) {
	if key == defaultRoute {
		return &route{key: key, method: anyMethod, rank: string(rankDefault)}, nil
	}
	method, path, ok := strings.Cut(key, " ")
	if !ok || method == "" || !strings.HasPrefix(path, "/") {
		return nil, errRouteForm
	}
	r := &route{key: key, method: method, segments: split(path)}
	for i, segment := range r.segments {
		rank := segmentRank(segment)
		if rank == rankRest && i < len(r.segments)-1 {
			return nil, errRouteForm
		}
		r.rank += string(rank)
	}
	if method == anyMethod {
		r.rank += string(rankAny)
	} else {
		r.rank += string(rankMethod)
	}
	return r, nil
}

func segmentRank(segment string) rune {
	switch _, isVariable, isRest := variable(segment); {
	case isRest:
		return rankRest
	case isVariable:
		return rankVariable
	default:
		return rankText
	}
}

// match returns the values of the route's variables, if the route fits the path's segments. A variable's value has at least
// one character.
func (r *route) match(path []string) (parameters map[string]string, ok bool) {
	if r.key == defaultRoute {
		return nil, true
	}
	for i, segment := range r.segments {
		if i >= len(path) {
			return nil, false
		}
		name, isVariable, isRest := variable(segment)
		value := path[i]
		if isRest {
			value = strings.Join(path[i:], "/")
		}
		switch {
		case !isVariable && value != segment, isVariable && value == "":
			return nil, false
		case isVariable:
			if parameters == nil {
				parameters = map[string]string{}
			}
			parameters[name] = value
		}
		if isRest {
			return parameters, true
		}
	}
	return parameters, len(path) == len(r.segments)
}

// variable parses "{name}" and "{name+}".
func variable(segment string) (name string, isVariable, isRest bool) {
	name, opened := strings.CutPrefix(segment, "{")
	name, closed := strings.CutSuffix(name, "}")
	if !opened || !closed {
		return "", false, false
	}
	name, isRest = strings.CutSuffix(name, "+")
	return name, true, isRest
}

func split(path string) []string {
	return strings.Split(strings.TrimPrefix(path, "/"), "/")
}
