package conversation_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

func TestQuestionsForMenuAndBranchesAreRecognized(t *testing.T) {
	t.Parallel()
	const none, wantsMenu, wantsBranches = conversation.NoIntent, conversation.AsksForMenu, conversation.AsksForBranches
	text := func(body string) conversation.Incoming { return conversation.Incoming{Body: body} }
	button := func(payload, shown string) conversation.Incoming {
		return conversation.Incoming{ButtonPayload: payload, ButtonText: shown, Body: shown}
	}
	for _, test := range []struct {
		in   conversation.Incoming
		want conversation.Intent
	}{
		{button("browse_menu", ""), wantsMenu},
		{button("new_order", "طلب جديد"), wantsMenu},
		{button("view_menu", ""), wantsMenu},
		{button(" Browse_Menu\n", ""), wantsMenu},
		{button("branches", ""), wantsBranches},
		{button("branch_list", ""), wantsBranches},
		{button("view_branches", "القائمة"), wantsBranches}, // the payload counts before the text
		{button("rate_us", "المنيو"), wantsMenu},            // for an unknown payload, the text decides
		{button("rate_us", "قيّمنا"), none},
		{button("browse menu", ""), none},
		{conversation.Incoming{ListID: "view_branches", ListTitle: "فروعنا"}, wantsBranches},
		{conversation.Incoming{ListID: "row-7", ListTitle: "المنيو"}, wantsMenu}, // for an unknown row, the text decides
		{conversation.Incoming{ListID: "row-7", ListTitle: "برجر", Body: "برجر"}, none},

		{text("menu"), wantsMenu},
		{text("Menu"), wantsMenu},
		{text("MENU!"), wantsMenu},
		{text("hi, can I see the menu please?"), wantsMenu},
		{text("order"), wantsMenu},
		{text(" New  Order "), wantsMenu},
		{text("branches"), wantsBranches},
		{text("Where is your nearest branch?"), wantsBranches},
		{text("Location"), wantsBranches},
		{text("locations?"), wantsBranches},

		{text("قائمة"), wantsMenu},
		{text("القائمة"), wantsMenu},
		{text("القائمه"), wantsMenu},            // a common misspelling
		{text("قَائِمَةٌ"), wantsMenu},          // with vowel signs
		{text("القـــائمة"), wantsMenu},         // stretched
		{text("ممكن المنيو؟"), wantsMenu},       // an Arabic question mark
		{text("ابغى منيو، لو سمحت"), wantsMenu}, // an Arabic comma
		{text("طلب"), wantsMenu},
		{text("أطلب"), wantsMenu},
		{text("اطلب"), wantsMenu},
		{text("طلب جديد"), wantsMenu},
		{text("فرع"), wantsBranches},
		{text("فروع"), wantsBranches},
		{text("الفُروع"), wantsBranches},
		{text("وين فروعكم"), wantsBranches},
		{text("مواقعكم؟"), wantsBranches},

		{text(""), none},
		{text(" \n"), none},
		{text("hello"), none},
		{text("السلام عليكم"), none},
		{text("my order is late"), none}, // a phrase counts only as the whole text
		{text("أين طلبي"), none},
		{text("طلب توظيف"), none},
		{text("menus"), wantsMenu},
		{text("submenu"), none},
		{text("12345"), none},
		{text("👍🏽"), none},
		{text("m e n u"), none},
		{text("menu " + strings.Repeat("x", 500)), none}, // too long for a request
		{text("\xff\xfemenu"), wantsMenu},                // invalid bytes count as spaces
	} {
		if got := conversation.IntentOf(test.in); got != test.want {
			t.Errorf("%+v is taken for intent %d, want %d (0 none, 1 menu, 2 branches)", test.in, got, test.want)
		}
	}
}

func TestAnswersHaveTheLanguageOfTheQuestion(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]menu.Language{
		"menu": menu.LanguageEnglish, "Menú": menu.LanguageEnglish, "القائمة": menu.LanguageArabic, "menu القائمة": menu.LanguageArabic,
		"": menu.LanguageArabic, "1 2 3": menu.LanguageArabic, "👍": menu.LanguageArabic, "меню": menu.LanguageArabic,
	} {
		if got := conversation.LanguageOf(conversation.Incoming{Body: body}); got != want {
			t.Errorf("%q is answered in %s, want %s", body, got, want)
		}
		if got := conversation.LanguageOf(conversation.Incoming{ButtonText: body}); got != want {
			t.Errorf("a button that reads %q is answered in %s, want %s", body, got, want)
		}
	}
}

// FuzzIntentOf: vowel signs, and spaces or quotation marks around a text, don't change its intent.
func FuzzIntentOf(f *testing.F) {
	for _, seed := range []string{"menu", "الفُروع", "new order", "القـائمة", "\xff", "ß", "İ", "ﷺ", "ǅ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > 200 {
			return
		}
		want := conversation.IntentOf(conversation.Incoming{Body: body})
		bare := strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, body)
		for _, same := range []string{" " + body + "\n", "«" + body + "»", bare} {
			if got := conversation.IntentOf(conversation.Incoming{Body: same}); got != want {
				t.Errorf("%q is taken for intent %d, but %q, which reads the same, for %d", body, want, same, got)
			}
		}
	})
}
