// Package search finds restaurants by the beginnings of the words in their names, and of their ids.
//
// Different spellings are made equal first, as in customers' messages. A search may have several terms ("kebab ri"). A
// restaurant matches if each term begins one of its words, so each further term narrows the search.
package search

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sufrah/usage-bootstrap/internal/spelling"
)

const (
	// MaxText is the most characters of a search.
	MaxText = 100
	// MinTerm is the fewest characters of a search's longest term. A single letter begins a word of nearly every name, so a
	// search for it would find nearly all restaurants.
	MinTerm = 2

	maxAsked     = 3
	maxNameWords = 8  // the first words of a name
	maxWord      = 64 // the first characters of a word; an id has no more
)

// Faults of a search.
var (
	ErrTooLong  = errors.New("search is too long")
	ErrTooShort = errors.New("search has no word that is long enough")
)

// Query is a search. The zero Query matches every restaurant.
type Query struct{ terms []string } // the longest first

// Parse parses a search. A text of blanks is the zero Query. It fails with ErrTooLong or ErrTooShort.
func Parse(text string) (Query, error) {
	if strings.TrimSpace(text) == "" {
		return Query{}, nil
	}
	if utf8.RuneCountInString(text) > MaxText {
		return Query{}, ErrTooLong
	}
	var q Query
	for _, chunk := range chunks(text) {
		if term := clipped(strings.TrimLeft(chunk, joints)); term != "" && !slices.Contains(q.terms, term) {
			q.terms = append(q.terms, term)
		}
	}
	q.terms = slices.DeleteFunc(q.terms, func(term string) bool { // a longer term implies it
		return slices.ContainsFunc(q.terms, func(other string) bool { return other != term && strings.HasPrefix(other, term) })
	})
	slices.SortStableFunc(q.terms, func(a, b string) int { return utf8.RuneCountInString(b) - utf8.RuneCountInString(a) })
	if len(q.terms) == 0 || utf8.RuneCountInString(q.terms[0]) < MinTerm {
		return Query{}, ErrTooShort
	}
	return q, nil
}

// IsZero reports whether q matches every restaurant.
func (q Query) IsZero() bool { return len(q.terms) == 0 }

// Terms returns the terms to look up in an index, the longest first. There are at most three, each of MinTerm characters or
// more, and none is the beginning of another.
func (q Query) Terms() []string {
	asked := q.terms[:min(len(q.terms), maxAsked)]
	for len(asked) > 0 && utf8.RuneCountInString(asked[len(asked)-1]) < MinTerm {
		asked = asked[:len(asked)-1]
	}
	return asked
}

// TermOf returns the one of Terms that begins a word, "" if none does.
func (q Query) TermOf(word string) string {
	for _, term := range q.Terms() {
		if strings.HasPrefix(word, term) {
			return term
		}
	}
	return ""
}

// Matches reports whether each term begins one of the words.
func (q Query) Matches(words []string) bool {
	for _, term := range q.terms {
		if !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, term) }) {
			return false
		}
	}
	return true
}

// Words returns the words by which a restaurant is found, in order and without repeats: the first words of its name, and its
// id. The parts of a joined word are words too: "al-baik" is found by "baik".
func Words(name, id string) []string {
	words := []string{clipped(spelling.Fold(id))}
	of := 0
	for _, chunk := range chunks(name) {
		for word := strings.Trim(chunk, joints); word != "" && of < maxNameWords; of++ {
			words = append(words, clipped(word))
			_, after, _ := strings.Cut(strings.ReplaceAll(word, "_", "-"), "-")
			word = strings.TrimLeft(word[len(word)-len(after):], joints)
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// First returns the first of the words that begin with the prefix. There must be one.
func First(words []string, prefix string) string {
	return words[slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, prefix) })]
}

// joints are the characters that join the parts of a word, in names and ids.
const joints = "-_"

// chunks splits a text at blanks and punctuation, but not at joints.
func chunks(text string) []string {
	return strings.FieldsFunc(spelling.Fold(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(joints, r)
	})
}

// clipped returns the examined part of a word.
func clipped(word string) string {
	n := 0
	for i := range word {
		if n == maxWord {
			return word[:i]
		}
		n++
	}
	return word
}
