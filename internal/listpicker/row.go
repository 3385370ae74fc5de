package listpicker

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// Kind is the kind of page that a row leads to.
type Kind string

// The kinds of rows, as their ids name them.
const (
	KindMenu     Kind = "menu"     // a page of the menu
	KindBranches Kind = "branches" // a page of the branches
	KindCategory Kind = "category" // a category's products, at the branch that the customer chose
	KindProducts Kind = "products" // a page of a category's products at a branch
	KindProduct  Kind = "product"  // a product's details
	KindBranch   Kind = "branch"   // a branch's details
)

// Row is the request that a tap on a row makes. The form of its id shows the fields of each kind:
//
//	v1/<ar|en>/menu/<page>
//	v1/<ar|en>/branches/<page>
//	v1/<ar|en>/category/<category>
//	v1/<ar|en>/products/<category>/<branch>/<page>
//	v1/<ar|en>/product/<category>/<branch>/<product>
//	v1/<ar|en>/branch/<branch>
//
// Categories, branches and products are given by their keys. The language is the list's: a tap sends only the row's title,
// which may be in the other language.
type Row struct {
	Language                  menu.Language
	Kind                      Kind
	Category, Branch, Product string // keys
	Page                      int    // 1 is the first
}

// NoBranch is the key that stands for a branch if a restaurant has none.
const NoBranch = "-"

// version is the version of the form of row ids.
const version = "v1"

// maxPage bounds the page number in an id. No menu has so many pages.
const maxPage = 999

// ID returns the row's id, of at most MaxID characters.
func (r Row) ID() string {
	parts := []string{version, string(r.Language), string(r.Kind)}
	switch r.Kind {
	case KindMenu, KindBranches:
		parts = append(parts, strconv.Itoa(r.Page))
	case KindCategory:
		parts = append(parts, r.Category)
	case KindBranch:
		parts = append(parts, r.Branch)
	case KindProducts:
		parts = append(parts, r.Category, r.Branch, strconv.Itoa(r.Page))
	case KindProduct:
		parts = append(parts, r.Category, r.Branch, r.Product)
	}
	return strings.Join(parts, "/")
}

// ParseRow parses a row's id. It returns false for a text that ID never returns, from another version or a forger. The
// category, branch or product in the id may not exist.
func ParseRow(id string) (Row, bool) {
	if len(id) > MaxID {
		return Row{}, false
	}
	parts := strings.Split(id, "/")
	if len(parts) < 4 || parts[0] != version {
		return Row{}, false
	}
	r := Row{Language: menu.Language(parts[1]), Kind: Kind(parts[2])}
	args := parts[3:]
	switch {
	case r.Kind == KindMenu && len(args) == 1, r.Kind == KindBranches && len(args) == 1:
		r.Page = page(args[0])
	case r.Kind == KindCategory && len(args) == 1:
		r.Category = args[0]
	case r.Kind == KindBranch && len(args) == 1:
		r.Branch = args[0]
	case r.Kind == KindProducts && len(args) == 3:
		r.Category, r.Branch, r.Page = args[0], args[1], page(args[2])
	case r.Kind == KindProduct && len(args) == 3:
		r.Category, r.Branch, r.Product = args[0], args[1], args[2]
	default:
		return Row{}, false
	}
	return r, r.valid() && r.ID() == id
}

// valid reports whether a row's fields fit its kind and an id.
func (r Row) valid() bool {
	if r.Language != menu.LanguageArabic && r.Language != menu.LanguageEnglish {
		return false
	}
	switch r.Kind {
	case KindMenu, KindBranches:
		return r.Page > 0
	case KindCategory:
		return validKey(r.Category)
	case KindBranch:
		return validKey(r.Branch)
	case KindProducts:
		return validKey(r.Category) && validKey(r.Branch) && r.Page > 0
	case KindProduct:
		return validKey(r.Category) && validKey(r.Branch) && validKey(r.Product)
	}
	return false
}

// page returns a page's number, 0 if it isn't one.
func page(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxPage {
		return 0
	}
	return n
}

// maxKey is the greatest length of a key: an id has room for three.
const maxKey = 56

// CategoryKeys returns a key for each category, which stands for it in row ids.
func CategoryKeys(categories []menu.Category) []string {
	return keysOf(categories, func(c menu.Category) (string, menu.Text) { return c.ID, c.Name })
}

// BranchKeys returns a key for each branch.
func BranchKeys(branches []menu.Branch) []string {
	return keysOf(branches, func(b menu.Branch) (string, menu.Text) { return b.ID, b.Name })
}

// ProductKeys returns a key for each product.
func ProductKeys(products []menu.Product) []string {
	return keysOf(products, func(p menu.Product) (string, menu.Text) { return p.ID, p.Name })
}

// keysOf returns a key for each entry: its id if that can be a key, otherwise a hash of the id, or of the name if it has no
// id. No two keys are the same.
func keysOf[T any](entries []T, of func(T) (id string, name menu.Text)) []string {
	keys := make([]string, len(entries))
	taken := make(map[string]bool, len(entries))
	seen := make(map[string]int)
	for i, entry := range entries {
		id, name := of(entry)
		if plainKey(id) && !taken[id] {
			keys[i] = id
		} else {
			text := "id\n" + id
			if id == "" {
				text = "name\n" + name.Arabic + "\n" + name.English
			}
			if seen[text]++; seen[text] > 1 {
				text += "\n" + strconv.Itoa(seen[text])
			}
			keys[i] = hashKey(text)
		}
		taken[keys[i]] = true
	}
	return keys
}

// hashMark is the prefix of keys that are hashes. No other key contains it.
const hashMark = "~"

func hashKey(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hashMark + base64.RawURLEncoding.EncodeToString(sum[:12])
}

// plainKey reports whether an id can be its entry's key.
func plainKey(id string) bool {
	if id == "" || id == NoBranch || len(id) > maxKey {
		return false
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

func validKey(key string) bool {
	return key == NoBranch || plainKey(strings.TrimPrefix(key, hashMark))
}
