package intent

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// fold returns a text with the spellings of one word made the same: compatibility forms (Arabic presentation forms,
// full-width and mathematical letters) become plain letters, vowel signs and accents go, as do the tatweel and everything
// that is not displayed (zero-width characters, soft hyphens), and the letters that Persian and Urdu keyboards write become
// the Arabic ones. Spaces and punctuation stay.
func fold(text string) string {
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

// invisible reports whether r is displayed as nothing: a format character, or one of the Hangul fillers, which Unicode
// counts as letters (Default_Ignorable_Code_Point in DerivedCoreProperties.txt).
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) || r == '\u115F' || r == '\u1160' || r == '\u3164' || r == '\uFFA0'
}

// clauses returns the words of a folded text, cut where a clause ends. An address (a link, an e-mail) is a single word.
func clauses(text string) [][]string {
	var all [][]string
	var clause []string
	end := func() {
		if len(clause) > 0 {
			all = append(all, clause)
		}
		clause = nil
	}
	for line := range strings.Lines(text) {
		for chunk := range strings.FieldsSeq(line) {
			if isAddress(chunk) {
				clause = append(clause, chunk)
				continue
			}
			start := 0
			flush := func(to int) {
				if to > start {
					clause = append(clause, chunk[start:to])
				}
			}
			for i, r := range chunk {
				if unicode.IsLetter(r) || unicode.IsDigit(r) {
					continue
				}
				flush(i)
				start = i + len(string(r))
				switch {
				case strings.ContainsRune(".!?؟،,;؛", r):
					end()
				case r == ':' || r == '=':
					clause = append(clause, ":")
				}
			}
			flush(len(chunk))
		}
		end()
	}
	return all
}

func isAddress(chunk string) bool {
	return strings.Contains(chunk, "://") || strings.HasPrefix(chunk, "www.") || strings.Contains(strings.Trim(chunk, "@"), "@")
}

// unstretched returns the word with each letter that is repeated for emphasis ("menuuu") written at most n times.
func unstretched(word string, n int) string {
	var b strings.Builder
	var last rune
	run := 0
	for _, r := range word {
		if r != last {
			last, run = r, 0
		}
		if run++; run <= n {
			b.WriteRune(r)
		}
	}
	return b.String()
}
