package listpicker

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// maxGrapheme bounds a visible character, in UTF-16 units. A character with more marks is unreadable, and fits into no title.
// The longest emoji of families and flags have 14.
const maxGrapheme = 16

// maxText bounds the examined part of a text, in bytes. It is more than any limit allows to show.
const maxText = 4 * MaxBody

const ellipsis = "…"

// clean returns a text on one line with single spaces. It removes control characters, overlong graphemes, and the braces that
// Twilio would take for a variable (https://www.twilio.com/docs/content/using-variables-with-content-api). It returns "" if
// nothing visible is left.
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
	if marks < maxGrapheme { // no grapheme is too long, since each has at most one letter
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

// cut returns a cleaned text, shortened to at most limit characters with an ellipsis. It cuts between words if that leaves
// more than half, and never inside a grapheme.
func cut(s string, limit int) string {
	if length(s) <= limit {
		return s
	}
	room := limit - length(ellipsis)
	end, word, used := 0, 0, 0 // byte offsets at which the text can end: at all, and after a word
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

// look returns a text's look: without letter case, spaces and invisible characters.
func look(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Cc, unicode.Variation_Selector) || blank(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// blank reports whether a letter is invisible: a filler of Hangul, the blank of Braille, the joiner of graphemes.
func blank(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u3164', '\uffa0', '\u2800', '\u034f':
		return true
	}
	return false
}
