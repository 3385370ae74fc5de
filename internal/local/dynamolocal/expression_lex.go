package dynamolocal

import (
	"slices"
	"strings"
)

// maxExpression is the greatest length of an expression, in bytes.
const maxExpression = 4096

type tokenKind int

const (
	endToken    tokenKind = iota
	wordToken             // an attribute name, keyword or function name
	nameToken             // #placeholder
	valueToken            // :placeholder
	numberToken           // an index into a list
	symbolToken
)

type token struct {
	kind       tokenKind
	text       string
	start, end int // where in the expression
}

// is reports whether the token is the symbol, or the keyword in any case.
func (t token) is(text string) bool {
	switch t.kind {
	case symbolToken:
		return t.text == text
	case wordToken:
		return strings.EqualFold(t.text, text)
	}
	return false
}

// isKeyword reports whether the token is a word of the expression language itself.
func (t token) isKeyword() bool {
	return slices.ContainsFunc([]string{"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"}, t.is)
}

// lex splits an expression into its tokens, with an endToken at the end. A character that can't begin a token becomes a
// symbol, and the parser refuses it.
func lex(text string) []token {
	var tokens []token
	for at := 0; ; {
		for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
		}
		if at == len(text) {
			return append(tokens, token{kind: endToken, text: "<EOF>", start: at, end: at})
		}
		kind, length := scan(text[at:])
		tokens = append(tokens, token{kind: kind, text: text[at : at+length], start: at, end: at + length})
		at += length
	}
}

// scan returns the kind and length of the token at the start of the text, which is not empty.
func scan(text string) (tokenKind, int) {
	switch c := text[0]; {
	case isLetter(c):
		return wordToken, run(text, isNameByte)
	case c == '0':
		return numberToken, 1
	case isDigit(c):
		return numberToken, run(text, isDigit)
	case c == '#' && run(text[1:], isNameByte) > 0:
		return nameToken, 1 + run(text[1:], isNameByte)
	case c == ':' && run(text[1:], isNameByte) > 0:
		return valueToken, 1 + run(text[1:], isNameByte)
	case strings.HasPrefix(text, "<>"), strings.HasPrefix(text, "<="), strings.HasPrefix(text, ">="):
		return symbolToken, 2
	}
	for next := range text {
		if next > 0 {
			return symbolToken, next
		}
	}
	return symbolToken, len(text)
}

func run(text string, accepts func(byte) bool) int {
	length := 0
	for length < len(text) && accepts(text[length]) {
		length++
	}
	return length
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isNameByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' }
