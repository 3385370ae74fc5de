package intent

import (
	"strings"
	"unicode"
)

// clauses returns the words of a folded text, split at the ends of clauses. A link or an e-mail address is a single word.
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

// unstretched returns the word with at most n copies of a letter that is repeated for emphasis ("menuuu").
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
