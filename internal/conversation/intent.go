package conversation

import (
	"strings"
	"unicode"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// Intent is what a message asks the bot for.
type Intent int

// The intents that are answered automatically.
const (
	NoIntent Intent = iota
	AsksForMenu
	AsksForBranches
)

// payloads are what the buttons of our templates send.
var payloads = map[string]Intent{
	"browse_menu": AsksForMenu, "new_order": AsksForMenu, "view_menu": AsksForMenu, "menu": AsksForMenu,
	"branches": AsksForBranches, "view_branches": AsksForBranches, "branch_list": AsksForBranches,
}

// words ask for a list wherever they stand in a message, phrases only when they are all of it: "order" may be part of
// much else. Both are as plain returns them.
var (
	words = map[string]Intent{
		"menu": AsksForMenu, "منيو": AsksForMenu, "المنيو": AsksForMenu, "قايمه": AsksForMenu, "القايمه": AsksForMenu, "قايمتكم": AsksForMenu,
		"branch": AsksForBranches, "branches": AsksForBranches,
		"فرع": AsksForBranches, "الفرع": AsksForBranches, "فروع": AsksForBranches, "الفروع": AsksForBranches, "فروعكم": AsksForBranches,
	}
	phrases = map[string]Intent{
		"order": AsksForMenu, "new order": AsksForMenu, "طلب": AsksForMenu, "طلب جديد": AsksForMenu, "اطلب": AsksForMenu,
		"locations": AsksForBranches, "location": AsksForBranches, "مواقعكم": AsksForBranches,
	}
)

// IntentOf returns what a message asks for. A button counts before the text that it shows.
func IntentOf(in Incoming) Intent {
	if intent, ok := payloads[strings.ToLower(strings.TrimSpace(in.ButtonPayload))]; ok {
		return intent
	}
	for _, text := range []string{in.ButtonText, in.Body} {
		text = plain(text)
		if intent, ok := phrases[text]; ok {
			return intent
		}
		for word := range strings.FieldsSeq(text) {
			if intent, ok := words[word]; ok {
				return intent
			}
		}
	}
	return NoIntent
}

// maxIntentLength bounds the text that is searched for words: whoever writes more asks for something else.
const maxIntentLength = 500

// plain returns a text as words separated by single spaces, in lower case, with the letters of Arabic that are written
// alike or left out by habit made the same.
func plain(text string) string {
	if len(text) > maxIntentLength {
		return ""
	}
	text = strings.Map(func(r rune) rune {
		switch r {
		case 'أ', 'إ', 'آ', 'ٱ':
			return 'ا'
		case 'ة':
			return 'ه'
		case 'ى', 'ئ':
			return 'ي'
		case 'ؤ':
			return 'و'
		case 'ـ': // the tatweel stretches a word
			return -1
		}
		switch {
		case unicode.Is(unicode.Mn, r): // vowel signs
			return -1
		case unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return ' '
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// LanguageOf returns the language that a message is written in: Arabic where it has an Arabic letter or none at all.
func LanguageOf(in Incoming) menu.Language {
	latin := false
	for _, r := range in.ButtonText + in.Body {
		if unicode.Is(unicode.Arabic, r) {
			return menu.LanguageArabic
		}
		latin = latin || unicode.Is(unicode.Latin, r)
	}
	if latin {
		return menu.LanguageEnglish
	}
	return menu.LanguageArabic
}
