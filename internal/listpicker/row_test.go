package listpicker_test

import (
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

func TestParseRow(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]listpicker.Row{
		"v1/ar/menu/2":               {Language: menu.LanguageArabic, Kind: listpicker.KindMenu, Page: 2},
		"v1/en/branches/1":           {Language: menu.LanguageEnglish, Kind: listpicker.KindBranches, Page: 1},
		"v1/en/category/cat-grills":  {Language: menu.LanguageEnglish, Kind: listpicker.KindCategory, Category: "cat-grills"},
		"v1/en/branch/~abc_-1":       {Language: menu.LanguageEnglish, Kind: listpicker.KindBranch, Branch: "~abc_-1"},
		"v1/ar/products/c/-/3":       {Language: menu.LanguageArabic, Kind: listpicker.KindProducts, Category: "c", Branch: "-", Page: 3},
		"v1/ar/product/c/b/p":        {Language: menu.LanguageArabic, Kind: listpicker.KindProduct, Category: "c", Branch: "b", Product: "p"},
		"v1/en/branch/branch.olaya_": {Language: menu.LanguageEnglish, Kind: listpicker.KindBranch, Branch: "branch.olaya_"},
	} {
		if got, ok := listpicker.ParseRow(id); !ok || got != want {
			t.Errorf("ParseRow(%q) = %+v, %v, want %+v", id, got, ok, want)
		}
	}
	for _, id := range []string{
		"", "v1", "v1/ar/menu", "v1/ar/menu/", "v1/ar/menu/0", "v1/ar/menu/-1", "v1/ar/menu/+1", "v1/ar/menu/01", "v1/ar/menu/1000", "v1/ar/menu/1/",
		"v0/ar/menu/1", "v2/ar/menu/1", "V1/ar/menu/1", "v1/fr/menu/1", "v1//menu/1", "v1/ar/dish/1", "v1/ar/category/", "v1/ar/category/a b",
		"v1/ar/category/a/b", "v1/ar/category/ق", "v1/ar/category/~", "v1/ar/category/~~a", "v1/ar/branch/../menu", "v1/ar/products/c/b", "v1/ar/products/c/b/x",
		"v1/ar/product/c//p", " v1/ar/menu/1", "v1/ar/menu/1\n", "v1/ar/category/" + strings.Repeat("x", 57), strings.Repeat("v1/", 100),
	} {
		if got, ok := listpicker.ParseRow(id); ok {
			t.Errorf("ParseRow(%q) = %+v, want nothing", id, got)
		}
	}
}

// FuzzParseRow: each row has exactly one id, and no other text is accepted as an id.
func FuzzParseRow(f *testing.F) {
	for _, id := range []string{"v1/ar/menu/2", "v1/en/products/c/-/3", "v1/en/product/~a/b/c", "v1/en/branch/x", "", "v1/ar/menu/01"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		row, ok := listpicker.ParseRow(id)
		if !ok {
			return
		}
		if row.ID() != id || len(id) > listpicker.MaxID {
			t.Errorf("%q is read as %+v, whose id is %q", id, row, row.ID())
		}
		if row.Page == 0 && row.Category+row.Branch == "" {
			t.Errorf("%q leads nowhere: %+v", id, row)
		}
	})
}
