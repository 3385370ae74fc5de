package listpicker

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// maxGrapheme bounds a visible character. With more marks than this, nobody can read it, and it would fit into no title. The
// longest emoji of families and flags have 14 UTF-16 units.
const maxGrapheme = 16

// maxText bounds the examined part of a text, in bytes: more than any limit can show.
const maxText = 4 * MaxBody

const ellipsis = "…"

// clean returns a text on one line, its white space collapsed, without control characters and overlong graphemes, and
// without the braces that Twilio would take for a variable
// (https://www.twilio.com/docs/content/using-variables-with-content-api). It is "" if nothing could be seen.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	s = strings.NewReplacer("{{", "((", "}}", "))").Replace(s)
	if look(s) == "" {
		return ""
	}
	marks := 0
	for _, r := range s {
		if !unicode.IsLetter(r) && r != ' ' {
			marks++
		}
	}
	if marks < maxGrapheme { // no grapheme can be too long: each has one letter at most
		return s
	}
	var kept strings.Builder
	for rest, state := s, -1; rest != ""; {
		var grapheme string
		grapheme, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if length(grapheme) <= maxGrapheme {
			kept.WriteString(grapheme)
		}
	}
	if kept.Len() == len(s) {
		return s
	}
	return clean(kept.String()) // the rest may begin with a space or be invisible
}

// cut returns a cleaned text, or the beginning of it and an ellipsis, in at most limit characters. It cuts between words if
// that leaves more than half, and never inside a grapheme.
func cut(s string, limit int) string {
	if length(s) <= limit {
		return s
	}
	room := limit - length(ellipsis)
	end, word, used := 0, 0, 0 // byte offsets of where the text can end, at all and after a word
	for rest, state := s, -1; rest != ""; {
		var grapheme string
		grapheme, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if used += length(grapheme); used > room {
			if grapheme == " " {
				word = end
			}
			break
		}
		if grapheme == " " {
			word = end
		}
		end += len(grapheme)
	}
	if word > end/2 {
		end = word
	}
	return strings.TrimRight(s[:end], " ،,;:.-–·") + ellipsis
}

// look returns the text without invisible differences: letter case, spaces and invisible characters.
func look(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Cc, unicode.Variation_Selector) || blank(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// blank reports whether a letter has no ink: the fillers of Hangul, the blank of Braille, the joiner of graphemes.
func blank(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u3164', '\uffa0', '\u2800', '\u034f':
		return true
	}
	return false
}
