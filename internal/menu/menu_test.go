package menu

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestTextIn(t *testing.T) {
	t.Parallel()
	both := Text{Arabic: "مشروبات", English: "Drinks"}
	tests := map[string]struct {
		text     Text
		language Language
		want     string
	}{
		"Arabic":                         {both, LanguageArabic, "مشروبات"},
		"English":                        {both, LanguageEnglish, "Drinks"},
		"an unknown language":            {both, "fr", "مشروبات"},
		"Arabic missing":                 {Text{English: "Drinks"}, LanguageArabic, "Drinks"},
		"English missing":                {Text{Arabic: "مشروبات"}, LanguageEnglish, "مشروبات"},
		"only white space in Arabic":     {Text{Arabic: " \t\u00a0", English: "Drinks"}, LanguageArabic, "Drinks"},
		"white space round it":           {Text{Arabic: " مشروبات\n"}, LanguageArabic, "مشروبات"},
		"neither":                        {Text{}, LanguageEnglish, ""},
		"only white space in either one": {Text{Arabic: " ", English: "\n"}, LanguageEnglish, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := test.text.In(test.language); got != test.want {
				t.Errorf("In(%q) = %q, want %q", test.language, got, test.want)
			}
			if got, want := test.text.Blank(), test.want == ""; got != want {
				t.Errorf("Blank() = %t, want %t", got, want)
			}
		})
	}
}

func TestSortCategories(t *testing.T) {
	t.Parallel()
	categories := []Category{
		{ID: "d", DisplayOrder: 2}, {ID: "c", DisplayOrder: 1}, {ID: "a", DisplayOrder: 2}, {ID: "z"}, {ID: "b", DisplayOrder: -1},
	}
	SortCategories(categories)
	var got []string
	for _, c := range categories {
		got = append(got, c.ID)
	}
	if diff := cmp.Diff([]string{"b", "z", "c", "a", "d"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// The order must not depend on the source's order: customers who ask again must see the same list.
func TestSortCategoriesDoesNotDependOnTheSource(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9]{1,4}`), 0, 20, rapid.ID[string]).Draw(t, "ids")
		var listed []Category
		for _, id := range ids {
			listed = append(listed, Category{ID: id, DisplayOrder: rapid.IntRange(-2, 2).Draw(t, "order")})
		}
		shuffled := rapid.Permutation(listed).Draw(t, "shuffled")
		sorted := slices.Clone(listed)
		SortCategories(sorted)
		SortCategories(shuffled)
		if diff := cmp.Diff(sorted, shuffled); diff != "" {
			t.Errorf("two orders of one list (-one +other):\n%s", diff)
		}
	})
}
