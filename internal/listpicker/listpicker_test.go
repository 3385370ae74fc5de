package listpicker_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// name draws names that menus have, and names that they shouldn't have: equal names, long words, emoji of many code points,
// endless marks, invisible characters, line breaks, and text that looks like a variable to Twilio.
func name() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"Grills", "grills", "Grills ", "مشويات", "مَشويات", "More", "المزيد", "\u200f", "\u00ad", "\u3164", "{{1}}", "{{{{2}}}}", "a\nb\tc",
			"Family meal with chicken, rice and salad", "Family meal with chicken, rice and fries",
			"وجبة عائلية مع دجاج وأرز وسلطة كبيرة", "Donaudampfschifffahrtsgesellschaftskapitänsmütze",
			"👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦", "🇸🇦🇸🇦🇸🇦🇸🇦🇸🇦🇸🇦🇸🇦🇸🇦🇸🇦", "🏴󠁧󠁢󠁥󠁮󠁧󠁿🏴󠁧󠁢󠁥󠁮󠁧󠁿", "e" + strings.Repeat("\u0301", 60), "\xff\xfe", "….", "- - -",
		}),
		rapid.StringN(0, 40, 300),
		rapid.StringOfN(rapid.RuneFrom([]rune("abc أبت جحخ 👍🏽\u200d\u0301\u0650")), 0, 60, -1),
	)
}

func text() *rapid.Generator[menu.Text] {
	return rapid.Custom(func(t *rapid.T) menu.Text {
		return menu.Text{Arabic: name().Draw(t, "arabic"), English: name().Draw(t, "english")}
	})
}

func id() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom([]string{"", "1", "cat-grills", "-", "~", "a/b", strings.Repeat("x", 300)}), rapid.String())
}

func categories() *rapid.Generator[[]menu.Category] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) menu.Category {
		return menu.Category{ID: id().Draw(t, "id"), Name: text().Draw(t, "name"), Description: text().Draw(t, "description")}
	}), 0, 300)
}

func language() *rapid.Generator[menu.Language] {
	return rapid.SampledFrom([]menu.Language{menu.LanguageArabic, menu.LanguageEnglish})
}

// units counts characters as the limits do, with another method than the package.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

var more = map[menu.Language]string{menu.LanguageArabic: "المزيد", menu.LanguageEnglish: "More"}

// appearance is the visible part of a title.
func appearance(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// check fails unless the pages keep every limit, have rows of the kind for n entries, and lead to one another.
func check(t *rapid.T, pages []listpicker.List, n int, kind, paging listpicker.Kind) {
	if n == 0 {
		if len(pages) != 0 {
			t.Fatalf("%d pages of nothing", len(pages))
		}
		return
	}
	titles, ids := map[string]bool{}, map[string]bool{}
	reached := 0
	for i, page := range pages {
		if len(page.Items) == 0 || len(page.Items) > listpicker.MaxItems {
			t.Fatalf("page %d has %d rows", i+1, len(page.Items))
		}
		within(t, "body", page.Body, listpicker.MaxBody)
		within(t, "button", page.Button, listpicker.MaxButton)
		for j, item := range page.Items {
			within(t, "title", item.Title, listpicker.MaxTitle)
			within(t, "description", item.Description, listpicker.MaxDescription)
			within(t, "id", item.ID, listpicker.MaxID)
			row, ok := listpicker.ParseRow(item.ID)
			if !ok || row.Language != page.Language {
				t.Fatalf("row id %q is not understood", item.ID)
			}
			last := j == len(page.Items)-1 && i < len(pages)-1
			if last {
				if row.Kind != paging || row.Page != i+2 {
					t.Fatalf("page %d ends with %+v", i+1, row)
				}
				continue
			}
			look := appearance(item.Title)
			if row.Kind != kind || titles[look] || ids[item.ID] || look == "" || look == appearance(more[page.Language]) {
				t.Fatalf("row %q (%s) is of another kind, or looks like another one", item.Title, item.ID)
			}
			titles[look], ids[item.ID] = true, true
			reached++
		}
	}
	if reached != n {
		t.Fatalf("%d of %d entries can be reached", reached, n)
	}
}

func within(t *rapid.T, what, s string, limit int) {
	if strings.TrimSpace(s) == "" || units(s) > limit || !utf8.ValidString(s) || strings.Contains(s, "{{") || strings.ContainsAny(s, "\n\r\t") {
		t.Fatalf("%s %q: %d characters, at most %d are taken, on one line and without variables", what, s, units(s), limit)
	}
}

func TestMenuKeepsLimits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := categories().Draw(t, "categories")
		check(t, listpicker.Menu(all, language().Draw(t, "language")), len(all), listpicker.KindCategory, listpicker.KindMenu)
	})
}

func TestBranchesKeepLimits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) menu.Branch {
			return menu.Branch{
				ID: id().Draw(t, "id"), Name: text().Draw(t, "name"), Address: text().Draw(t, "address"),
				District: name().Draw(t, "district"), City: text().Draw(t, "city"),
			}
		}), 0, 60).Draw(t, "branches")
		check(t, listpicker.Branches(all, language().Draw(t, "language")), len(all), listpicker.KindBranch, listpicker.KindBranches)
	})
}

func TestProductsKeepLimits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		category := menu.Category{ID: id().Draw(t, "category"), Name: text().Draw(t, "name")}
		branch := menu.Branch{ID: id().Draw(t, "branch"), Name: text().Draw(t, "name")}
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) menu.Product {
			return menu.Product{
				ID: id().Draw(t, "id"), Name: text().Draw(t, "name"), Description: text().Draw(t, "description"),
				Price: rapid.Float64Range(0, 1e9).Draw(t, "price"), ReducedPrice: rapid.Float64Range(0, 1e9).Draw(t, "reduced"),
				Currency: rapid.SampledFrom([]string{"", "SAR", "KWD", "a currency of many letters"}).Draw(t, "currency"),
			}
		}), 0, 60).Draw(t, "products")
		pages := listpicker.Products(category, listpicker.CategoryKeys([]menu.Category{category})[0],
			listpicker.BranchKeys([]menu.Branch{branch})[0], all, language().Draw(t, "language"))
		check(t, pages, len(all), listpicker.KindProduct, listpicker.KindProducts)
	})
}

// TestCutsBetweenGraphemes: a cut text of emoji and marks is the beginning of the whole text.
func TestCutsBetweenGraphemes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		emoji := rapid.StringOfN(rapid.SampledFrom([]rune("👨👩👧\u200d🇸🇦👍🏽e\u0301نّ ")), 10, 60, -1).Draw(t, "name")
		title := listpicker.Menu([]menu.Category{{Name: menu.Text{English: emoji}}}, menu.LanguageEnglish)[0].Items[0].Title
		shown, cut := strings.CutSuffix(title, "…")
		if !cut || shown == "" {
			return
		}
		boundaries := map[string]bool{}
		whole := strings.Join(strings.Fields(emoji), " ")
		for rest, state, end := whole, -1, 0; rest != ""; {
			var grapheme string
			grapheme, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
			if units(grapheme) > 16 {
				return // a cleaned text may be shorter, so positions differ
			}
			end += len(grapheme)
			boundaries[whole[:end]] = true
		}
		if !boundaries[shown] {
			t.Fatalf("%q is cut inside a character: %q", whole, shown)
		}
	})
}

func TestRowsAsCustomersSeeThem(t *testing.T) {
	t.Parallel()
	lat, lng := 24.69, 46.68
	long := menu.Text{English: "Family meal with chicken, rice and salad", Arabic: "وجبة عائلية مع دجاج وأرز وسلطة"}
	for _, c := range []struct {
		name  string
		pages []listpicker.List
		want  []listpicker.Item
	}{
		{
			"a name that fits has the other language's below it",
			listpicker.Menu([]menu.Category{{ID: "c1", Name: menu.Text{Arabic: "مشويات", English: "Grills"}}}, menu.LanguageArabic),
			[]listpicker.Item{{Title: "مشويات", Description: "Grills", ID: "v1/ar/category/c1"}},
		},
		{
			"a name that doesn't fit is cut at a word and stands below in full; an equal one has a number",
			listpicker.Menu([]menu.Category{{ID: "c1", Name: long}, {ID: "c2", Name: long}}, menu.LanguageEnglish),
			[]listpicker.Item{
				{Title: "Family meal with…", Description: "Family meal with chicken, rice and salad · وجبة عائلية مع دجاج وأرز…", ID: "v1/en/category/c1"},
				{Title: "Family meal with… (2)", Description: "Family meal with chicken, rice and salad · وجبة عائلية مع دجاج وأرز…", ID: "v1/en/category/c2"},
			},
		},
		{
			"a category of which nothing else is known",
			listpicker.Menu([]menu.Category{{ID: "c 1", Name: menu.Text{English: "Drinks"}}}, menu.LanguageEnglish),
			[]listpicker.Item{{Title: "Drinks", Description: "Tap to see the dishes", ID: "v1/en/category/~UZzH8R-nuZuHdAWL"}},
		},
		{
			"a branch has its address",
			listpicker.Branches([]menu.Branch{{ID: "b1", Name: menu.Text{English: "Olaya"}, Address: menu.Text{English: "Olaya Street"},
				Latitude: &lat, Longitude: &lng, District: "Olaya"}}, menu.LanguageEnglish),
			[]listpicker.Item{{Title: "Olaya", Description: "Olaya Street", ID: "v1/en/branch/b1"}},
		},
		{
			"products have prices",
			listpicker.Products(menu.Category{Name: menu.Text{English: "Grills"}}, "c1", "b1", []menu.Product{
				{ID: "p1", Name: menu.Text{English: "Kebab"}, Price: 25, Currency: "SAR", Description: menu.Text{English: "With bread"}},
				{ID: "p2", Name: menu.Text{English: "Tawook"}, Price: 25, ReducedPrice: 20.5, Currency: "SAR"},
				{ID: "p3", Name: menu.Text{English: "Lamb"}, Unavailable: true},
			}, menu.LanguageEnglish),
			[]listpicker.Item{
				{Title: "Kebab", Description: "25.00 SAR · With bread", ID: "v1/en/product/c1/b1/p1"},
				{Title: "Tawook", Description: "20.50 SAR instead of 25.00 SAR", ID: "v1/en/product/c1/b1/p2"},
				{Title: "Lamb", Description: "Not available right now", ID: "v1/en/product/c1/b1/p3"},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if len(c.pages) != 1 {
				t.Fatalf("%d pages, want 1", len(c.pages))
			}
			if diff := cmp.Diff(c.want, c.pages[0].Items); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][]int{1: {1}, 10: {10}, 11: {10, 2}, 19: {10, 10}, 20: {10, 10, 2}, 28: {10, 10, 10}} {
		all := make([]menu.Category, n)
		for i := range all {
			all[i] = menu.Category{Name: menu.Text{English: fmt.Sprint("Category ", i)}}
		}
		var got []int
		pages := listpicker.Menu(all, menu.LanguageEnglish)
		for _, page := range pages {
			got = append(got, len(page.Items))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d entries: %s", n, diff)
		}
		if last := pages[len(pages)-1]; len(pages) > 1 && !strings.HasSuffix(last.Body, fmt.Sprintf("(Page %d of %d)", len(pages), len(pages))) {
			t.Errorf("%d entries: the last page says %q", n, last.Body)
		}
	}
}

// TestNames: a list's name depends on everything that the list shows, and on nothing else.
func TestNames(t *testing.T) {
	t.Parallel()
	list := func() listpicker.List {
		return listpicker.Menu([]menu.Category{{ID: "c1", Name: menu.Text{English: "Grills"}}}, menu.LanguageEnglish)[0]
	}
	if a, b := list().Name(), list().Name(); a != b || !strings.HasPrefix(a, listpicker.NamePrefix) {
		t.Fatalf("the same list is called %q and %q", a, b)
	}
	for what, change := range map[string]func(*listpicker.List){
		"language": func(l *listpicker.List) { l.Language = menu.LanguageArabic }, "body": func(l *listpicker.List) { l.Body += "." },
		"button": func(l *listpicker.List) { l.Button += "." }, "title": func(l *listpicker.List) { l.Items[0].Title += "." },
		"description": func(l *listpicker.List) { l.Items[0].Description += "." }, "id": func(l *listpicker.List) { l.Items[0].ID += "." },
	} {
		changed := list()
		if change(&changed); changed.Name() == list().Name() {
			t.Errorf("another %s makes no other name", what)
		}
	}
}

// TestEndlessMenus: a faulty, endless menu costs little, and only a part of it is shown.
func TestEndlessMenus(t *testing.T) {
	t.Parallel()
	endless := make([]menu.Category, 5000)
	for i := range endless {
		endless[i].Name.English = strings.Repeat("a", 700)
	}
	pages := listpicker.Menu(endless, menu.LanguageEnglish)
	last := pages[len(pages)-1].Items
	if title := last[len(last)-1].Title; title != "aaaaaaaaaaaaaaaa… (1000)" {
		t.Errorf("the last row is %q", title)
	}
}
