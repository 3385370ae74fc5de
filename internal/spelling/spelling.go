// Package spelling makes the ways of writing one word the same, in Arabic and in other scripts.
package spelling

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Fold returns a text with the spellings of one word made the same: compatibility forms (Arabic presentation forms,
// full-width and mathematical letters) become plain letters, vowel signs and accents go, as do the tatweel and everything
// that is not displayed (zero-width characters, soft hyphens), and the letters that Persian and Urdu keyboards write become
// the Arabic ones. Spaces and punctuation stay.
func Fold(text string) string {
	return strings.Map(foldRune, norm.NFKD.String(strings.ToValidUTF8(text, " ")))
}

func foldRune(r rune) rune {
	switch r {
	case 'ٱ':
		return 'ا'
	case 'ى', 'ی', 'ې', 'ے', 'ۍ', 'ێ':
		return 'ي'
	case 'ة', 'ۃ', 'ہ', 'ھ', 'ە':
		return 'ه'
	case 'ۇ', 'ۆ', 'ۊ', 'ۋ':
		return 'و'
	case 'ک', 'ڪ', 'گ':
		return 'ك'
	case 'چ':
		return 'ج'
	case 'پ':
		return 'ب'
	case 'ڤ':
		return 'ف'
	case 'ـ', '\'', '’', 'ʼ', '`': // the tatweel stretches a word, an apostrophe stands inside one
		return -1
	}
	if invisible(r) || unicode.Is(unicode.Mn, r) {
		return -1
	}
	return unicode.ToLower(r)
}

// invisible reports whether r is displayed as nothing: a format character, or a Hangul filler, which Unicode counts as a letter
// (Default_Ignorable_Code_Point in DerivedCoreProperties.txt).
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) || r == '\u115F' || r == '\u1160' || r == '\u3164' || r == '\uFFA0'
}
