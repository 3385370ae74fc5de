package conversation

import (
	"strings"
	"unicode"

	"github.com/sufrah/usage-bootstrap/internal/intent"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// Intent is a message's request to the bot.
type Intent = intent.Intent

// The intents that are answered automatically.
const (
	NoIntent        = intent.None
	AsksForMenu     = intent.Menu
	AsksForBranches = intent.Branches
)

// payloads maps the payloads of our templates' buttons and lists to intents.
var payloads = map[string]Intent{
	"browse_menu": AsksForMenu, "new_order": AsksForMenu, "view_menu": AsksForMenu, "menu": AsksForMenu,
	"branches": AsksForBranches, "view_branches": AsksForBranches, "branch_list": AsksForBranches,
}

// IntentOf returns a message's intent. The payload of a tapped button or row counts before its text.
func IntentOf(in Incoming) Intent {
	for _, payload := range []string{in.ButtonPayload, in.ListID} {
		if asked, ok := payloads[strings.ToLower(strings.TrimSpace(payload))]; ok {
			return asked
		}
	}
	for _, text := range []string{in.ButtonText, in.ListTitle, in.Body} {
		if asked := intent.Of(text); asked != NoIntent {
			return asked
		}
	}
	return NoIntent
}

// LanguageOf returns the language of a message: Arabic if it has an Arabic letter, or no Latin one.
func LanguageOf(in Incoming) menu.Language {
	latin := false
	for _, r := range in.ButtonText + in.ListTitle + in.Body {
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
