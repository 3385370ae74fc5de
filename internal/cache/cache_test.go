package cache

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestKey(t *testing.T) {
	t.Parallel()
	for owner, want := range map[string]string{
		"merchant-clxyz123abc": "sufrah:v1:{merchant-clxyz123abc}:branches",
		"m:1~a.b_C":            "sufrah:v1:{m%3A1~a.b_C}:branches",
		"a}:b{c":               "sufrah:v1:{a%7D%3Ab%7Bc}:branches",
		"":                     "sufrah:v1:{}:branches",
	} {
		if got := Key(owner, "branches"); got != want {
			t.Errorf("Key(%q) = %q, want %q", owner, got, want)
		}
	}
}

// TestKeyIsNobodyElses: the keys of an owner have a common hash tag that no other owner has.
func TestKeyIsNobodyElses(t *testing.T) {
	t.Parallel()
	tag := func(key string) string { // as a cluster finds it
		_, rest, _ := strings.Cut(key, "{")
		tag, _, _ := strings.Cut(rest, "}")
		return tag
	}
	owner := rapid.StringOf(rapid.RuneFrom([]rune("ab{}:%74lو ")))
	rapid.Check(t, func(t *rapid.T) {
		a, b := owner.Draw(t, "a"), owner.Draw(t, "b")
		if tag(Key(a, "categories")) != tag(Key(a, "branches")) {
			t.Fatalf("%q has keys in two slots", a)
		}
		if (tag(Key(a, "x")) == tag(Key(b, "x"))) != (a == b) {
			t.Fatalf("%q and %q share the tag %q", a, b, tag(Key(a, "x")))
		}
	})
}
