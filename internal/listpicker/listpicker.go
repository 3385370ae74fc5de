// Package listpicker makes the lists that customers tap of menus, branches and products, within WhatsApp's limits. It parses
// the row ids that come back.
//
// A List is a single page. More than MaxItems entries take several pages: every page but the last ends with a row that leads
// to the next.
package listpicker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// Limits of a list-picker. The button's limit is WhatsApp's; the others are Twilio's too. Neither source defines a character.
// The lengths here are in UTF-16 units, which are never fewer than code points.
//
// Sources: https://www.twilio.com/docs/content/twiliolist-picker and
// https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/interactive-list-messages
const (
	MaxItems       = 10
	MaxTitle       = 24
	MaxDescription = 72
	MaxID          = 200
	MaxBody        = 1024
	MaxButton      = 20
)

// List is one message with rows to tap.
type List struct {
	Language menu.Language
	Body     string
	Button   string
	Items    []Item
}

// Item is a row. Its description is never empty, because Twilio's reference calls it required.
type Item struct {
	Title       string
	Description string
	ID          string
}

// contentVersion must change with the meaning of a List's fields, so that lists of another version aren't found by name.
const contentVersion = "1"

// NamePrefix is the prefix of every list's name.
const NamePrefix = "sufrah-list-"

// Name returns the name of the list's content. Equal lists have equal names, and different lists have different names.
func (l List) Name() string {
	body, err := json.Marshal(l)
	if err != nil {
		panic(fmt.Sprintf("listpicker: a list of strings can't be encoded: %v", err)) // unreachable
	}
	sum := sha256.Sum256(append([]byte(contentVersion+"\n"), body...))
	return NamePrefix + hex.EncodeToString(sum[:16])
}

// words are the texts of a language.
type words struct {
	more, page             string
	menuBody, menuButton   string
	branchBody, button     string
	dishBody, dishButton   string
	openCategory           string
	openBranch, openDish   string
	unavailable, insteadOf string
}

var arabic = words{
	more: "المزيد", page: "صفحة %d من %d",
	menuBody: "قائمتنا: اختر قسمًا لعرض أصنافه.", menuButton: "عرض القائمة",
	branchBody: "فروعنا: اختر فرعًا لمعرفة عنوانه ورقم هاتفه.", button: "عرض الفروع",
	dishBody: "%s: اختر صنفًا لمعرفة تفاصيله.", dishButton: "عرض الأصناف",
	openCategory: "اضغط لعرض الأصناف", openBranch: "اضغط لعرض العنوان ورقم الهاتف", openDish: "اضغط لعرض التفاصيل",
	unavailable: "غير متوفر حاليًا", insteadOf: "%s بدلًا من %s",
}

var english = words{
	more: "More", page: "Page %d of %d",
	menuBody: "Our menu: choose a category to see its dishes.", menuButton: "See the menu",
	branchBody: "Our branches: choose one for its address and phone number.", button: "See the branches",
	dishBody: "%s: choose a dish for its details.", dishButton: "See the dishes",
	openCategory: "Tap to see the dishes", openBranch: "Tap for the address and phone number", openDish: "Tap for the details",
	unavailable: "Not available right now", insteadOf: "%s instead of %s",
}

func wordsOf(language menu.Language) words {
	if language == menu.LanguageEnglish {
		return english
	}
	return arabic
}

// Menu returns the pages of a menu's categories, none if there are no categories.
func Menu(categories []menu.Category, language menu.Language) []List {
	w := wordsOf(language)
	keys := CategoryKeys(categories)
	entries := make([]entry, len(categories))
	for i, c := range categories {
		entries[i] = entry{
			name:    c.Name.In(language),
			details: []string{c.Description.In(language), otherName(c.Name, language)},
			hint:    w.openCategory,
			row:     Row{Language: language, Kind: KindCategory, Category: keys[i]},
		}
	}
	return pages(language, w.menuBody, w.menuButton, entries, Row{Language: language, Kind: KindMenu})
}

// Branches returns the pages of a restaurant's branches, none if there are no branches.
func Branches(branches []menu.Branch, language menu.Language) []List {
	w := wordsOf(language)
	keys := BranchKeys(branches)
	entries := make([]entry, len(branches))
	for i, b := range branches {
		entries[i] = entry{
			name:    b.Name.In(language),
			details: []string{b.Address.In(language), b.District, b.City.In(language)},
			hint:    w.openBranch,
			row:     Row{Language: language, Kind: KindBranch, Branch: keys[i]},
		}
	}
	return pages(language, w.branchBody, w.button, entries, Row{Language: language, Kind: KindBranches})
}

// Products returns the pages of a category's products at a branch, none if there are no products. categoryKey and branchKey
// come from CategoryKeys and BranchKeys.
func Products(
	category menu.Category, categoryKey, branchKey string, products []menu.Product, language menu.Language,
) []List {
	w := wordsOf(language)
	keys := ProductKeys(products)
	at := Row{Language: language, Kind: KindProducts, Category: categoryKey, Branch: branchKey}
	entries := make([]entry, len(products))
	for i, p := range products {
		row := at
		row.Kind, row.Product = KindProduct, keys[i]
		entries[i] = entry{
			name: p.Name.In(language), facts: Facts(p, language), details: []string{p.Description.In(language)},
			hint: w.openDish, row: row,
		}
	}
	return pages(language, fmt.Sprintf(w.dishBody, category.Name.In(language)), w.dishButton, entries, at)
}

// Facts returns a product's availability and price as a text.
func Facts(p menu.Product, language menu.Language) string {
	w := wordsOf(language)
	var facts []string
	if p.Unavailable {
		facts = append(facts, w.unavailable)
	}
	price := menu.Money(p.Price, p.Currency, language)
	switch reduced := menu.Money(p.ReducedPrice, p.Currency, language); {
	case reduced != "" && price != "":
		facts = append(facts, fmt.Sprintf(w.insteadOf, reduced, price))
	case price != "":
		facts = append(facts, price)
	}
	return strings.Join(facts, separator)
}

// otherName returns a name in the other language, "" if it is the same.
func otherName(name menu.Text, language menu.Language) string {
	other := menu.LanguageEnglish
	if language == menu.LanguageEnglish {
		other = menu.LanguageArabic
	}
	if n := name.In(other); n != name.In(language) {
		return n
	}
	return ""
}

// maxEntries bounds the cost of a faulty menu. No real menu is that long.
const maxEntries = 1000

// separator stands between the parts of a description.
const separator = " · "

// entry is the content of a row.
type entry struct {
	name    string
	facts   string   // shown before anything else
	details []string // shown if there is room
	hint    string   // shown if there is nothing else
	row     Row
}

// pages distributes entries over lists. paging is the row that leads to another page, without its number.
func pages(language menu.Language, body, button string, entries []entry, paging Row) []List {
	w := wordsOf(language)
	entries = entries[:min(len(entries), maxEntries)]
	items := itemsOf(entries, w.more)
	total := pageCount(len(items))
	var lists []List
	for n := 1; len(items) > 0; n++ {
		size := len(items)
		if size > MaxItems {
			size = MaxItems - 1
		}
		list := List{Language: language, Body: cut(clean(body), MaxBody), Button: cut(button, MaxButton), Items: items[:size:size]}
		if total > 1 {
			number := " (" + fmt.Sprintf(w.page, n, total) + ")"
			list.Body = cut(clean(body), MaxBody-length(number)) + number
		}
		items = items[size:]
		if len(items) > 0 {
			next := paging
			next.Page = n + 1
			list.Items = append(list.Items, Item{Title: w.more, Description: fmt.Sprintf(w.page, n+1, total), ID: next.ID()})
		}
		lists = append(lists, list)
	}
	return lists
}

// pageCount returns the number of pages for n entries. The last page has up to MaxItems entries, every other one fewer.
func pageCount(n int) int {
	if n <= MaxItems {
		return 1
	}
	return 1 + (n-2)/(MaxItems-1) // besides the last MaxItems entries, pages of one fewer, rounded up
}

// itemsOf returns a row for each entry. No two titles look the same, on any of the pages.
func itemsOf(entries []entry, more string) []Item {
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.name
	}
	items := make([]Item, len(entries))
	for i, title := range titles(names, more) {
		items[i] = Item{Title: title, Description: entries[i].description(visible(names[i], i), title), ID: entries[i].row.ID()}
	}
	return items
}

// Titles returns titles for the names, no two of which look the same.
func Titles(names []string) []string { return titles(names, "") }

func titles(names []string, reserved string) []string {
	taken := map[string]bool{look(reserved): true}
	next := map[string]int{} // by look, the lowest number that may be free
	titles := make([]string, len(names))
	for i, name := range names {
		name = visible(name, i)
		title := cut(name, MaxTitle)
		for base := look(title); taken[look(title)]; {
			next[base] = max(next[base], 1) + 1
			suffix := fmt.Sprintf(" (%d)", next[base])
			title = cut(name, MaxTitle-length(suffix)) + suffix
		}
		taken[look(title)] = true
		titles[i] = title
	}
	return titles
}

// visible returns the cleaned name, or a number if nothing of the name can be seen.
func visible(name string, index int) string {
	if name = clean(name); name == "" {
		return fmt.Sprintf("#%d", index+1)
	}
	return name
}

// description returns the text below a title: the facts, then the name if the title is cut, then the details.
func (e entry) description(name, title string) string {
	parts := []string{clean(e.facts)}
	if !strings.HasPrefix(title, name) {
		parts = append(parts, name)
	}
	for _, detail := range e.details {
		parts = append(parts, clean(detail))
	}
	var shown []string
	for _, part := range parts {
		if part != "" && !strings.Contains(strings.Join(shown, separator), part) {
			shown = append(shown, part)
		}
	}
	if len(shown) == 0 {
		return e.hint
	}
	return cut(strings.Join(shown, separator), MaxDescription)
}

// length returns the length of a text as the limits count it.
func length(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}
