package conversation

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

func TestWelcomeNamesTheRestaurantAndTheGuest(t *testing.T) {
	t.Parallel()
	c := welcomeContent("مطعم\nالمثال", " Sara\tA ", "HX1")
	if diff := cmp.Diff(map[string]string{"1": "مطعم المثال", "2": "Sara A"}, c.Variables); c.TemplateSID != "HX1" || diff != "" {
		t.Errorf("the welcome is the template %q, want HX1, with the variables (-want +got):\n%s", c.TemplateSID, diff)
	}
	if len(c.Texts) != 1 || !strings.Contains(c.Texts[0], "مطعم المثال") || !strings.Contains(c.Texts[0], "Sara A") {
		t.Errorf("the welcome as text is %q, want one that names مطعم المثال and Sara A", c.Texts)
	}
	nameless := welcomeContent("Example", "\n\u200f\x00 ", "")
	if nameless.Variables["2"] == "" || strings.Contains(nameless.Texts[0], "  ") {
		t.Errorf("a guest without a visible name is welcomed with %+v, want a friendly word in its place", nameless)
	}
}

// TestNamesKeepTheirSigns: signs at a name's ends stay beside the name, in a sentence of the other direction too.
func TestNamesKeepTheirSigns(t *testing.T) {
	t.Parallel()
	welcome := welcomeContent("مطعم المثال (جدة)", "Sara :)", "").Texts[0]
	for _, name := range []string{"\u2068مطعم المثال (جدة)\u2069", "\u2068Sara :)\u2069"} {
		if strings.Count(welcome, name) != 2 {
			t.Errorf("the welcome has the name %+q not once in each language, so its signs are shown on the wrong side:\n%+q", name, welcome)
		}
	}
}

func text(arabic, english string) menu.Text { return menu.Text{Arabic: arabic, English: english} }

func TestMenuIsNumberedInTheLanguageOfTheQuestion(t *testing.T) {
	t.Parallel()
	categories := []menu.Category{{Name: text("مشروبات", "Drinks")}, {Name: text("", "Grill")}, {Name: text("حلويات", "")}}
	got := categoriesContent("Example", "HX1", menu.LanguageArabic, categories)
	want := Content{
		TemplateSID: "HX1",
		Variables:   map[string]string{"1": "Example", "2": "مشروبات", "3": "Grill", "4": "حلويات"},
		Texts:       []string{"قائمة Example:\n1. مشروبات\n2. Grill\n3. حلويات"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the menu in Arabic (-want +got):\n%s", diff)
	}
	got = categoriesContent("Example", "", menu.LanguageEnglish, categories)
	want = Content{Texts: []string{"The menu at Example:\n1. Drinks\n2. Grill\n3. حلويات"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the menu in English without a template (-want +got):\n%s", diff)
	}
}

func TestBranchesAreShownWithTheirAddresses(t *testing.T) {
	t.Parallel()
	branches := []menu.Branch{{Name: text("العليا", "Olaya"), Address: text("", "King Fahd Rd")}, {Name: text("جدة", "Jeddah")}}
	got := branchesContent("Example", "HX1", menu.LanguageEnglish, branches)
	want := Content{
		TemplateSID: "HX1",
		Variables:   map[string]string{"1": "Example", "2": "Olaya", "3": "Jeddah"},
		Texts:       []string{"Branches of Example:\n1. Olaya\nKing Fahd Rd\n2. Jeddah"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the branches in English (-want +got):\n%s", diff)
	}
}

func TestEmptyListIsAnsweredInWords(t *testing.T) {
	t.Parallel()
	for _, language := range []menu.Language{menu.LanguageArabic, menu.LanguageEnglish} {
		for _, c := range []Content{
			categoriesContent("Example", "HX1", language, nil), branchesContent("Example", "HX1", language, nil),
		} {
			if c.TemplateSID != "" || len(c.Texts) != 1 || strings.Contains(c.Texts[0], "1.") {
				t.Errorf("an empty list in %s is answered with %+v, want one sentence, neither a template nor entries", language, c)
			}
		}
	}
}

// TestLongListsAreText: WhatsApp's lists have at most ten entries.
func TestLongListsAreText(t *testing.T) {
	t.Parallel()
	for entries, want := range map[int]string{1: "HX1", 10: "HX1", 11: ""} {
		c := categoriesContent("Example", "HX1", menu.LanguageEnglish, make([]menu.Category, entries))
		if c.TemplateSID != want || (c.Variables != nil) != (want != "") || len(c.Texts) != 1 {
			t.Errorf("a menu of %d entries goes out as %+v, want the template %q (WhatsApp's lists have ten entries at most)", entries, c, want)
		}
	}
}

func TestEndlessListsAreCut(t *testing.T) {
	t.Parallel()
	endless := make([]menu.Category, 5000)
	for i := range endless {
		endless[i].Name.English = strings.Repeat("a", 700)
	}
	c := categoriesContent("Example", "HX1", menu.LanguageEnglish, endless)
	if len(c.Texts) != maxTexts || !strings.HasPrefix(c.Texts[0], "The menu at Example:\n1. aaa") {
		t.Errorf("a menu of 5,000 entries goes out in %d texts, want %d, of which the first is %.100q", len(c.Texts), maxTexts, c.Texts[0])
	}
}

func TestTextsAreSplitAtTheLimit(t *testing.T) {
	t.Parallel()
	line := func(n int) string { return strings.Repeat("ق", n) }
	for name, test := range map[string]struct {
		lines []string
		want  []int // characters in each text
	}{
		"nothing":               {nil, []int{5}},
		"just fits":             {[]string{line(MaxTextLength - 6)}, []int{MaxTextLength}},
		"one too many":          {[]string{line(MaxTextLength - 5)}, []int{5, MaxTextLength - 5}},
		"a full line":           {[]string{line(MaxTextLength)}, []int{5, MaxTextLength}},
		"more than a full line": {[]string{line(MaxTextLength + 1)}, []int{5, MaxTextLength, 1}},
		"two that just fit":     {[]string{line(797), line(796)}, []int{MaxTextLength}},
		"two that don't":        {[]string{line(797), line(797)}, []int{803, 797}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []int
			for _, text := range split("title", test.lines) {
				got = append(got, utf8.RuneCountInString(text))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("lengths of the texts, of which WhatsApp takes at most %d characters each (-want +got):\n%s", MaxTextLength, diff)
			}
		})
	}
}

// TestSplitTextLosesNothing: no text is empty or over the limit, nothing is lost, and lines that fit stay whole.
func TestSplitTextLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		signs := rapid.SampledFrom([]rune("aق \n🍽é"))
		lines := rapid.SliceOfN(rapid.StringOfN(signs, 1, 2*MaxTextLength+10, -1), 0, 12).Draw(t, "lines")
		title := rapid.StringOfN(signs, 1, 120, -1).Draw(t, "title")
		texts := split(title, lines)
		for _, text := range texts {
			if n := utf8.RuneCountInString(text); n == 0 || n > MaxTextLength || !utf8.ValidString(text) {
				t.Fatalf("a text of %d characters, which WhatsApp refuses: want 1 to %d", n, MaxTextLength)
			}
		}
		squeezed := func(parts ...string) string { return strings.ReplaceAll(strings.Join(parts, ""), "\n", "") }
		if got, want := squeezed(texts...), squeezed(append([]string{title}, lines...)...); got != want {
			t.Fatalf("splitting a text lost a part of it: %q became %q", want, got)
		}
		for _, line := range lines {
			whole := false
			for _, text := range texts {
				whole = whole || strings.Contains(text, line)
			}
			if !whole && utf8.RuneCountInString(line) <= MaxTextLength {
				t.Fatalf("a line that fits into one message was cut in two: %q", line)
			}
		}
	})
}

func TestNamesFitIntoATemplate(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"سارة": "سارة", " Sara\tA. ": "Sara A.", "": "", "\u2800": "", "\u3164\u3164": "", "\uFFA0 \u2800": "", "\u200B\u00AD": "", "\u115F\uFE0F": "",
		"\u202Egnihtyna\u202C":  "gnihtyna",
		"\u2067محمد\u2069 Ali":  "محمد Ali",
		"\u202E\u2066":          "",
		"محمد\u200F (فرع)":      "محمد\u200F (فرع)",
		"👩\u200D🍳":              "👩\u200D🍳",
		"\u2800Sara\u2800":      "\u2800Sara\u2800",
		"A\u202DB\u061CC\u2068": "AB\u061CC",
	} {
		if got := variable(given); got != want {
			t.Errorf("the name %q goes out as %q, want %q", given, got, want)
		}
	}
}

// TestAnyNameFitsIntoATemplate: any name becomes a variable that WhatsApp accepts.
func TestAnyNameFitsIntoATemplate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		given := string(rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "bytes")) + rapid.String().Draw(t, "text")
		got := variable(given)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > maxVariable || strings.Contains(got, "  ") ||
			strings.TrimSpace(got) != got || strings.ContainsFunc(got, unicode.IsControl) {
			t.Fatalf("the name %q goes out as %q, which WhatsApp refuses in a template: too long, or with spaces or control characters", given, got)
		}
		if again := variable(got); again != got {
			t.Fatalf("the name %q goes out as %q, and made fit again as %q, want no change", given, got, again)
		}
	})
}

// TestAnyListFitsIntoMessages: no list, however odd, makes a text over the limit or a template with an empty variable.
func TestAnyListFitsIntoMessages(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-zق]{1,200}`).Draw(t, "name")
		branches := make([]menu.Branch, rapid.IntRange(0, 60).Draw(t, "branches"))
		for i := range branches {
			branches[i].Name = text(rapid.StringMatching(`[ق ]{0,300}`).Draw(t, "arabic"), fmt.Sprint("branch ", i))
			branches[i].Address = text("", rapid.StringOfN(rapid.SampledFrom([]rune("ab \n")), 0, 2000, -1).Draw(t, "address"))
		}
		language := rapid.SampledFrom([]menu.Language{menu.LanguageArabic, menu.LanguageEnglish}).Draw(t, "language")
		c := branchesContent(name, "HX1", language, branches)
		if len(c.Texts) == 0 {
			t.Fatalf("%d branches of %q have no text to fall back on", len(branches), name)
		}
		for _, text := range c.Texts {
			if n := utf8.RuneCountInString(text); n == 0 || n > MaxTextLength {
				t.Fatalf("a text of %d characters, which WhatsApp refuses: want 1 to %d", n, MaxTextLength)
			}
		}
		for number, value := range c.Variables {
			if value == "" {
				t.Fatalf("the template's variable %s is empty, which WhatsApp refuses", number)
			}
		}
	})
}
