package dynamolocal

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// path leads to an attribute or to a part of one, such as menu.items[2].
type path []step

// step is one element of a path: a name, or an index into a list.
type step struct {
	name    string
	index   int
	isIndex bool
}

func (s step) String() string {
	if s.isIndex {
		return "[" + strconv.Itoa(s.index) + "]"
	}
	return s.name
}

// String spells the path as DynamoDB's messages do.
func (p path) String() string {
	steps := make([]string, len(p))
	for i, s := range p {
		steps[i] = s.String()
	}
	return "[" + strings.Join(steps, ", ") + "]"
}

// resolve returns the value at the path, or nil.
func (p path) resolve(item document) value {
	var at value = item
	for _, s := range p {
		switch container := at.(type) {
		case document:
			if s.isIndex {
				return nil
			}
			at = container.get(s.name)
		case listValue:
			if !s.isIndex || s.index >= len(container) {
				return nil
			}
			at = container[s.index]
		default:
			return nil
		}
	}
	return at
}

// pathTree holds a set of paths, each with a leaf. No path lies within another.
type pathTree[T any] struct {
	leaf    *T
	path    path // the path of the leaf
	names   map[string]*pathTree[T]
	indexes map[int]*pathTree[T]
}

// insert adds a path. A path that overlaps with an earlier path is a validation error in the named kind of expression.
func (t *pathTree[T]) insert(kind string, p path, leaf T) error {
	node := t
	for _, s := range p {
		if node.leaf != nil {
			return pathsClash(kind, "overlap", node.path, p)
		}
		if s.isIndex && node.names != nil || !s.isIndex && node.indexes != nil {
			return pathsClash(kind, "conflict", node.first(), p)
		}
		node = node.child(s)
	}
	if node.leaf != nil || node.names != nil || node.indexes != nil {
		return pathsClash(kind, "overlap", node.first(), p)
	}
	node.leaf, node.path = &leaf, p
	return nil
}

// child returns the node for the step, making it if there is none.
func (t *pathTree[T]) child(s step) *pathTree[T] {
	if s.isIndex {
		if t.indexes == nil {
			t.indexes = make(map[int]*pathTree[T])
		}
		if t.indexes[s.index] == nil {
			t.indexes[s.index] = new(pathTree[T])
		}
		return t.indexes[s.index]
	}
	if t.names == nil {
		t.names = make(map[string]*pathTree[T])
	}
	if t.names[s.name] == nil {
		t.names[s.name] = new(pathTree[T])
	}
	return t.names[s.name]
}

// first returns a path within the node. It is always the same path.
func (t *pathTree[T]) first() path {
	for t.leaf == nil {
		if len(t.names) > 0 {
			t = t.names[slices.Min(slices.Collect(maps.Keys(t.names)))]
		} else {
			t = t.indexes[slices.Min(slices.Collect(maps.Keys(t.indexes)))]
		}
	}
	return t.path
}

func pathsClash(kind, how string, one, two path) error {
	return validation("Invalid %s: Two document paths %s with each other; "+
		"must remove or rewrite one of these paths; path one: %s, path two: %s", kind, how, one, two)
}

// projection selects parts of an item. The chosen elements of a list move together.
type projection = pathTree[struct{}]

// project returns the selected parts, or nil if the value has none of them.
func project(selected *projection, v value) value {
	if selected.leaf != nil {
		return v
	}
	switch v := v.(type) {
	case document:
		if kept := projectDocument(selected, v); len(kept) > 0 {
			return kept
		}
	case listValue:
		var kept listValue
		for i, element := range v {
			if child := selected.indexes[i]; child != nil {
				if part := project(child, element); part != nil {
					kept = append(kept, part)
				}
			}
		}
		if len(kept) > 0 {
			return kept
		}
	}
	return nil
}

// projectDocument returns the selected parts of a map or an item; the result may be empty.
func projectDocument(selected *projection, d document) document {
	kept := document{}
	for _, a := range d {
		if child := selected.names[a.name]; child != nil {
			if part := project(child, a.value); part != nil {
				kept = append(kept, attribute{a.name, part})
			}
		}
	}
	return kept
}
