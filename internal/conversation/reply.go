package conversation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// Content is a reply in up to three forms: a template, a list to tap, and plain text. The first existing form that can be
// sent is sent.
type Content struct {
	TemplateSID string            // empty: there is no template
	Variables   map[string]string // the template's, by number
	List        *listpicker.List  // nil: there is no list
	Texts       []string          // each at most MaxTextLength characters
}

const (
	// MaxTextLength is how many characters WhatsApp takes in one message.
	MaxTextLength = 1600
	// maxTexts is the largest number of messages in an answer. No menu is that long: the bound keeps a faulty list from
	// flooding a customer and running up the bill.
	maxTexts = 10
	// maxListTemplate is how many entries a list template shows: WhatsApp allows ten.
	maxListTemplate = 10
	maxVariable     = 100
)

// Keys of the templates: <KEY> in the CONTENT_SID_<KEY> variables.
const (
	TemplateWelcome    = "welcome"
	TemplateCategories = "categories"
	TemplateBranches   = "branch_list"
)

// welcomeContent greets a customer in both languages, since the customer's language isn't known yet.
func welcomeContent(restaurantName, guest, sid string) Content {
	guest = variable(guest)
	arabicGuest, englishGuest := guest, guest
	if guest == "" { // WhatsApp refuses empty variables
		guest, arabicGuest, englishGuest = "ضيفنا العزيز", "ضيفنا العزيز", "dear guest"
	}
	name := variable(restaurantName)
	return Content{
		TemplateSID: sid,
		Variables:   map[string]string{"1": name, "2": guest},
		Texts: []string{fmt.Sprintf(
			"أهلًا وسهلًا بك يا %s في %s! أرسل «قائمة» لعرض قائمة الطعام، أو «فروع» لمعرفة فروعنا.\n\n"+
				"Hello %s, welcome to %s! Send \"menu\" to see our menu, or \"branches\" to find us.",
			isolated(arabicGuest), isolated(name), isolated(englishGuest), isolated(name))},
	}
}

// isolated keeps a name in one piece within a sentence that is written in the other direction. Without it, punctuation at an
// end of the name would be shown at the wrong side of it
// (https://www.unicode.org/reports/tr9/#Explicit_Directional_Isolates).
func isolated(name string) string { return "\u2068" + name + "\u2069" }

// listContent shows entries under a title, numbered.
func listContent(restaurantName, title, empty, sid string, entries []string) Content {
	if len(entries) == 0 {
		return Content{Texts: []string{empty}}
	}
	var c Content
	if sid != "" && len(entries) <= maxListTemplate {
		c.TemplateSID = sid
		c.Variables = map[string]string{"1": variable(restaurantName)}
		for i, title := range titles(entries) {
			c.Variables[strconv.Itoa(i+2)] = title
		}
	}
	lines := make([]string, len(entries))
	for i, entry := range entries {
		lines[i] = fmt.Sprintf("%d. %s", i+1, entry)
	}
	texts := split(title, lines)
	c.Texts = texts[:min(len(texts), maxTexts)]
	return c
}

// categoriesContent shows a menu's categories.
func categoriesContent(restaurantName, sid string, language menu.Language, categories []menu.Category) Content {
	names := make([]string, len(categories))
	for i, category := range categories {
		names[i] = category.Name.In(language)
	}
	name := variable(restaurantName)
	if language == menu.LanguageEnglish {
		return listContent(name, "The menu at "+name+":", "Our menu is not available right now. Please try again later.", sid, names)
	}
	return listContent(name, "قائمة "+name+":", "قائمة الطعام غير متاحة حاليًا. يُرجى المحاولة لاحقًا.", sid, names)
}

// branchesContent shows branches with their addresses.
func branchesContent(restaurantName, sid string, language menu.Language, branches []menu.Branch) Content {
	entries := make([]string, len(branches))
	for i, branch := range branches {
		entries[i] = branch.Name.In(language)
		if address := branch.Address.In(language); address != "" {
			entries[i] += "\n" + address
		}
	}
	name := variable(restaurantName)
	if language == menu.LanguageEnglish {
		return listContent(name, "Branches of "+name+":", "There are no branches to show right now. Please try again later.", sid, entries)
	}
	return listContent(name, "فروع "+name+":", "لا توجد فروع لعرضها حاليًا. يُرجى المحاولة لاحقًا.", sid, entries)
}

// split joins lines below a title into texts of at most MaxTextLength characters, and divides only between lines if possible.
func split(title string, lines []string) []string {
	var texts []string
	current := title
	for _, line := range lines {
		for _, piece := range pieces(line) {
			if utf8.RuneCountInString(current)+1+utf8.RuneCountInString(piece) > MaxTextLength {
				texts = append(texts, current)
				current = piece
				continue
			}
			current += "\n" + piece
		}
	}
	return append(texts, current)
}

// pieces cuts a line that is too long for one message.
func pieces(line string) []string {
	var cut []string
	for utf8.RuneCountInString(line) > MaxTextLength {
		runes := []rune(line)
		cut = append(cut, string(runes[:MaxTextLength]))
		line = string(runes[MaxTextLength:])
	}
	return append(cut, line)
}

// variable makes a text fit for a template, which accepts neither line breaks nor control characters.
func variable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Bidi_Control, r) && r != '\u200E' && r != '\u200F' && r != '\u061C' {
			return -1 // a direction override would reverse the text after the name
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if !strings.ContainsFunc(s, visible) {
		return "" // nothing visible
	}
	if runes := []rune(s); len(runes) > maxVariable {
		s = strings.TrimSpace(string(runes[:maxVariable]))
	}
	return s
}

// visible reports whether a character shows anything. A format character, a blank, and a filler that Unicode counts as a
// letter (Default_Ignorable_Code_Point in DerivedCoreProperties.txt) show nothing.
func visible(r rune) bool {
	switch r {
	case '\u115F', '\u1160', '\u3164', '\uFFA0', '\u2800', '\u034F', '\u17B4', '\u17B5':
		return false
	}
	return !unicode.Is(unicode.Cf, r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Variation_Selector, r)
}

// titles returns the entries' first lines, in the form of a list's rows.
func titles(entries []string) []string {
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i], _, _ = strings.Cut(entry, "\n")
	}
	return listpicker.Titles(names)
}

// productsContent shows a category's products with their prices.
func productsContent(category menu.Category, language menu.Language, products []menu.Product) Content {
	entries := make([]string, len(products))
	for i, product := range products {
		entries[i] = product.Name.In(language)
		if facts := listpicker.Facts(product, language); facts != "" {
			entries[i] += " · " + facts
		}
	}
	title, empty := category.Name.In(language)+":", "لا توجد أصناف في هذا القسم حاليًا."
	if language == menu.LanguageEnglish {
		empty = "There are no dishes in this category right now."
	}
	return listContent("", variable(title), empty, "", entries)
}

// productContent shows all known data of a product.
func productContent(p menu.Product, language menu.Language) Content {
	return paragraph(p.Name.In(language), listpicker.Facts(p, language), p.Description.In(language))
}

// branchContent shows a branch with its address, its telephone and its place on the map.
func branchContent(b menu.Branch, language menu.Language) Content {
	lines := []string{b.Name.In(language), b.Address.In(language), b.Phone}
	if lines[1] == "" {
		lines[1] = strings.TrimSpace(b.District + "\n" + b.City.In(language))
	}
	if b.Latitude != nil && b.Longitude != nil {
		lines = append(lines, fmt.Sprintf("https://maps.google.com/?q=%s,%s", degrees(*b.Latitude), degrees(*b.Longitude)))
	}
	return paragraph(lines...)
}

func degrees(d float64) string { return strconv.FormatFloat(d, 'f', -1, 64) }

// paragraph returns a text of the lines that aren't empty, cut to one message.
func paragraph(lines ...string) Content {
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == "" })
	return Content{Texts: split(pieces(lines[0])[0], lines[1:])[:1]}
}
