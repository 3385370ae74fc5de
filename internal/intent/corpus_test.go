package intent

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sufrah/usage-bootstrap/internal/spelling"
)

// corpus returns the labelled messages of a file: a label, a tab, the message.
func corpus(t *testing.T, name string) (messages []string, labels []Intent) {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]Intent{"menu": Menu, "branches": Branches, "none": None}
	for line := range strings.Lines(string(content)) {
		label, message, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		intent, named := known[label]
		if !ok || !named {
			t.Fatalf("%s: %q", name, line)
		}
		messages, labels = append(messages, message), append(labels, intent)
	}
	return messages, labels
}

// TestCorpus checks the share of requests that are understood, and the share of other messages that are answered.
// messages.tsv was given. more.tsv was written without looking at the rules, which were then extended for the requests that
// they missed.
func TestCorpus(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		file           string
		wrong, unasked int // at most
	}{
		{"messages.tsv", 4, 1},
		{"more.tsv", 8, 4},
	} {
		messages, labels := corpus(t, test.file)
		wrong, unasked := 0, 0
		for i, message := range messages {
			if got := Of(message); got != labels[i] {
				wrong++
				if labels[i] == None {
					unasked++
				}
				t.Logf("%s: %q asks for %d, want %d", test.file, message, got, labels[i])
			}
		}
		t.Logf("%s: %d of %d wrong, %d of them answers that nobody asked for", test.file, wrong, len(messages), unasked)
		if wrong > test.wrong || unasked > test.unasked {
			t.Errorf("%s: %d wrong, %d unasked; at most %d and %d are", test.file, wrong, unasked, test.wrong, test.unasked)
		}
	}
}

// TestLength: lengths are counted in characters, not in bytes.
func TestLength(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want Intent
	}{
		{"ابي المنيو " + strings.Repeat("ا", maxLength-11), Menu},
		{"ابي المنيو " + strings.Repeat("ا", maxLength-10), None},
		{"send menu " + strings.Repeat("x", maxLength-10), Menu},
		{"send menu " + strings.Repeat("x", maxLength-9), None},
	} {
		if got := Of(test.text); got != test.want {
			t.Errorf("%d characters ask for %d, want %d", len([]rune(test.text)), got, test.want)
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ﺍﻟﻤﻨﻴﻮ":  "المنيو", // presentation forms
		"ﻷ":       "لا",     // a ligature
		"القائمۃ": "القايمه", "قائمہ": "قايمه", "المنیو": "المنيو", "کباب": "كباب",
		"القا\u200cئمة": "القايمه", "me\u00adnu": "menu", "m\u200be\u2060n\ufeffu": "menu", "me\u3164nu\uffa0": "menu",
		"قَائِمَةٌ": "قايمه", "منـيـو": "منيو", "أإآٱ": "اااا", "مؤ": "مو",
		"Ménù": "menu", "ＭＥＮＵ": "menu", "𝗠𝗲𝗻𝘂": "menu", "don't": "dont", "don’t": "dont", "a-b": "a-b",
	} {
		if got := spelling.Fold(text); got != want {
			t.Errorf("%+q folds to %q, want %q", text, got, want)
		}
	}
}

// FuzzFold: folding a text twice gives the same as once, invisible characters make no difference, and every text has an
// intent.
func FuzzFold(f *testing.F) {
	for _, seed := range []string{"menu", "الفُروع", "القا\u200cئمة", "ﺍﻟﻤﻨﻴﻮ", "\xff", "İ", "ﷺ", "ǅ", "يا", "http://", "ß", "كم سعر", "ﾠ"} {
		f.Add(seed, 3)
	}
	f.Fuzz(func(t *testing.T, text string, at int) {
		folded := spelling.Fold(text)
		if again := spelling.Fold(folded); again != folded {
			t.Errorf("%q folds to %q, and that to %q", text, folded, again)
		}
		want := Of(text)
		if !utf8.ValidString(text) || utf8.RuneCountInString(text) >= maxLength {
			return
		}
		runes := []rune(text)
		i := int(uint(at) % uint(len(runes)+1))
		for _, hidden := range []string{"\u200b", "\u200c", "\u200d", "\u00ad", "\u202e", "\ufeff", "\u3164"} {
			with := string(runes[:i]) + hidden + string(runes[i:])
			if got := Of(with); got != want {
				t.Errorf("%+q asks for %d, but %+q for %d", text, want, with, got)
			}
		}
	})
}
