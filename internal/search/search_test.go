package search_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/search"
)

func TestWords(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"Example Restaurant":           {"clxyz", "example", "restaurant"},
		"مطعم الأصالة":                 {"clxyz", "الاصاله", "مطعم"},
		"Al-Baik (Jeddah), no_1":       {"1", "al-baik", "baik", "clxyz", "jeddah", "no_1"},
		"Pizza PIZZA pizza":            {"clxyz", "pizza"},
		"CLXYZ":                        {"clxyz"},
		"--- & ---":                    {"clxyz"},
		"Café Ｗｉｄｅ":                    {"cafe", "clxyz", "wide"},
		"a b c d e f g h i j":          {"a", "b", "c", "clxyz", "d", "e", "f", "g", "h"},
		strings.Repeat("ab", 50):       {strings.Repeat("ab", 32), "clxyz"},
		"a-b--c":                       {"a-b--c", "b--c", "c", "clxyz"},
		strings.Repeat("a-", 60) + "b": nil,
	} {
		words := search.Words(name, "CLXYZ")
		if want != nil {
			if diff := cmp.Diff(want, words); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if len(words) > 9 {
			t.Errorf("%s: %d words", name, len(words))
		}
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text, name, id string
		want           bool
	}{
		{"rest", "Example Restaurant", "x", true},
		{"REST exam", "Example Restaurant", "x", true},
		{"taurant", "Example Restaurant", "x", false},
		{"rest z", "Example Restaurant", "x", false},
		{"  rest  ", "Example Restaurant", "x", true},
		{"اصاله", "مطعم أصالة", "x", true},
		{"أصالة", "مطعم اصاله", "x", true},
		{"مَطْعَم", "مطعم أصالة", "x", true},
		{"demo-0", "مطعم", "demo-001", true},
		{"demo-001", "مطعم", "demo-001", true},
		{"001", "مطعم", "demo-001", false},
		{"demo-0011", "مطعم", "demo-001", false},
		{"Clxyz123ABC", "مطعم", "clxyz123abc", true},
		{"clxyz123abc مط", "مطعم", "clxyz123abc", true},
		{"al-b", "Al-Baik", "x", true},
		{"al-", "Al-Baik", "x", true},
		{"baik", "Al-Baik", "x", true},
		{"al baik", "Al-Baik", "x", true},
		{"(jed", "Al-Baik (Jeddah)", "x", true},
		{"café", "Cafe", "x", true},
		{strings.Repeat("a", 90), strings.Repeat("a", 80), "x", true}, // both exceed the examined part of a word
	} {
		q, err := search.Parse(test.text)
		if err != nil || q.IsZero() {
			t.Errorf("%q: %+v, error %v", test.text, q, err)
			continue
		}
		words := search.Words(test.name, test.id)
		if got := q.Matches(words); got != test.want {
			t.Errorf("%q matches %q, %q: %t", test.text, test.name, test.id, got)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, blank := range []string{"", " ", "\t\n\u00a0"} {
		if q, err := search.Parse(blank); err != nil || !q.IsZero() || !q.Matches(nil) {
			t.Errorf("%q: %+v, error %v", blank, q, err)
		}
	}
	for text, want := range map[string]error{
		"a": search.ErrTooShort, "a b ا": search.ErrTooShort, "!?": search.ErrTooShort, "-": search.ErrTooShort, "\u200f": search.ErrTooShort, "\xff": search.ErrTooShort,
		strings.Repeat("ب", 101): search.ErrTooLong, strings.Repeat(" ", 99) + "ab": search.ErrTooLong,
		strings.Repeat("ب", 100): nil, "ab": nil, "a bc": nil,
	} {
		if _, err := search.Parse(text); !errors.Is(err, want) {
			t.Errorf("%q: error %v, want %v", text, err, want)
		}
	}
	for text, want := range map[string][]string{
		"ab Kebab kebab كبا": {"kebab", "كبا", "ab"}, "ke keb k kebab pa": {"kebab", "pa"}, "a bc d": {"bc"}, "ab cd ef gh ijk": {"ijk", "ab", "cd"},
	} {
		q, err := search.Parse(text)
		if diff := cmp.Diff(want, q.Terms()); diff != "" || err != nil {
			t.Errorf("%q, error %v (-want +got):\n%s", text, err, diff)
		}
		if got := q.TermOf(want[0] + "x"); got != want[0] || q.TermOf("x") != "" {
			t.Errorf("%q: a word of the first term is one of %q", text, got)
		}
	}
}

// FuzzSearch: any beginning of a restaurant's name or id finds the restaurant, and words keep their limits.
func FuzzSearch(f *testing.F) {
	for _, name := range []string{"Example Restaurant", "مطعم الأصالة", "Al-Baik (Jeddah), no_1", "a-b--c", "\xff\xfe", "ﷺ ﷲ", "İstanbul ẞ"} {
		f.Add(name, 7)
	}
	f.Fuzz(func(t *testing.T, name string, length int) {
		words := search.Words(name, "Clxyz-123_abc")
		if !slices.IsSorted(words) || len(words) > 9 || len(words) == 0 {
			t.Errorf("%q has words %q", name, words)
		}
		for _, word := range words {
			if word == "" || utf8.RuneCountInString(word) > 64 || strings.ContainsAny(word, " /") {
				t.Errorf("%q has word %q", name, word)
			}
			typed := []rune(word)
			typed = typed[:1+((length%len(typed))+len(typed))%len(typed)]
			q, err := search.Parse(string(typed))
			if err != nil {
				if len(typed) >= search.MinTerm && string(typed) != "-" {
					t.Errorf("%q of %q: %v", string(typed), name, err)
				}
				continue
			}
			if !q.Matches(words) || !strings.HasPrefix(search.First(words, q.Terms()[0]), q.Terms()[0]) {
				t.Errorf("%q doesn't find %q", string(typed), name)
			}
		}
	})
}
