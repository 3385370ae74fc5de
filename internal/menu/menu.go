// Package menu describes a restaurant's offer: the categories and products of its menu, and its branches, with texts in
// Arabic and English.
package menu

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Language is a language of answers to customers, as an ISO 639-1 code.
type Language string

// The two languages.
const (
	LanguageArabic  Language = "ar"
	LanguageEnglish Language = "en"
)

// Text is one text in both languages; either may be missing.
type Text struct {
	Arabic  string
	English string
}

// In returns the text in a language, or in the other one if it is blank; "" if both are. An unknown language counts as
// Arabic.
func (t Text) In(language Language) string {
	first, second := t.Arabic, t.English
	if language == LanguageEnglish {
		first, second = second, first
	}
	if strings.TrimSpace(first) == "" {
		return strings.TrimSpace(second)
	}
	return strings.TrimSpace(first)
}

// Blank reports whether the text is blank in both languages.
func (t Text) Blank() bool {
	return t.In(LanguageArabic) == ""
}

// Category is a part of a menu, such as the drinks.
type Category struct {
	ID           string // "" if the source gave none
	DisplayOrder int    // smaller ones come first; 0 if the source gave none
	Name         Text
	Description  Text
	ImageURL     string // "" if there is no picture
}

// Branch is one place of a restaurant.
type Branch struct {
	ID        string // "" if the source gave none
	Name      Text
	Address   Text
	Phone     string   // as the source wrote it; "" if it gave none
	Latitude  *float64 // degrees north, -90 to 90; nil if unknown
	Longitude *float64 // degrees east, -180 to 180; nil if unknown
	District  string
	City      Text
}

// SortCategories sorts the categories as customers see them: by display order, then by id.
func SortCategories(categories []Category) {
	slices.SortStableFunc(categories, func(a, b Category) int {
		return cmp.Or(cmp.Compare(a.DisplayOrder, b.DisplayOrder), cmp.Compare(a.ID, b.ID))
	})
}

// Product is one dish of a category.
type Product struct {
	ID           string // "" if the source gave none
	Name         Text
	Description  Text
	Price        float64 // in Currency; 0 if unknown
	ReducedPrice float64 // lower than Price, and paid in its place; 0 if there is no discount
	Currency     string  // ISO 4217; "" if the source gave none
	Unavailable  bool    // the source says that it can't be ordered now
}

// Money returns an amount with its currency, written in a language; "" if the amount is 0.
func Money(amount float64, currency string, language Language) string {
	if amount == 0 {
		return ""
	}
	digits := 2
	switch currency {
	case "KWD", "BHD", "OMR", "JOD": // https://www.six-group.com/dam/download/financial-information/data-center/iso-currrency/lists/list-one.xml
		digits = 3
	}
	text := strconv.FormatFloat(amount, 'f', digits, 64)
	if sign, ok := arabicCurrencies[currency]; ok && language != LanguageEnglish {
		currency = sign
	}
	return strings.TrimSpace(text + " " + currency)
}

var arabicCurrencies = map[string]string{
	"SAR": "ر.س", "AED": "د.إ", "KWD": "د.ك", "BHD": "د.ب", "QAR": "ر.ق", "OMR": "ر.ع", "JOD": "د.أ", "EGP": "ج.م",
}
