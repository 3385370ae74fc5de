package sufrah

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// Limits of a list: far more than any restaurant needs, and far less than a function's memory.
const (
	maxEntries = 5000
	maxFields  = 100 // of one object
)

// errMalformed says that an answer isn't a list. It is often a proxy's page, so the next answer may be right. Errors that
// wrap it say where the answer stops being a list, and never quote it.
var errMalformed = errors.New("the answer is not a list of objects")

// object is a JSON object with unparsed fields. Most fields are irrelevant, and any may be null, missing, or of another type
// than documented.
type object map[string]json.RawMessage

// parseList returns the entries in a body. The body is a list of objects, a single object (a list of one), or null (an empty
// list). entry returns an object's entry and its id; false leaves the object out.
func parseList[T any](body []byte, entry func(object) (T, string, bool)) ([]T, error) {
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\ufeff"))))
	entries := []T{}
	seen := make(map[string]bool)
	err := readObjects(decoder, func(o object) {
		value, id, ok := entry(o)
		if !ok || seen[id] {
			return
		}
		seen[id] = id != "" // entries without an id never count as equal
		entries = append(entries, value)
	})
	if err == nil {
		err = readEnd(decoder)
	}
	if err != nil {
		if !errors.Is(err, errMalformed) {
			err = errMalformed // the decoder's own error would quote the body
		}
		return nil, fmt.Errorf("%w (byte %d)", err, decoder.InputOffset())
	}
	return entries, nil
}

// readEnd fails if anything follows the list.
func readEnd(decoder *json.Decoder) error {
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more data follows the list", errMalformed)
	}
	return nil
}

// readObjects calls use with every object in a body. use must not keep the object.
func readObjects(decoder *json.Decoder, use func(object)) error {
	start, err := decoder.Token()
	if err != nil {
		return err
	}
	switch start {
	case nil:
		return nil
	case json.Delim('{'):
		return readOnlyObject(decoder, use)
	case json.Delim('['):
		return readRestOfList(decoder, use)
	default:
		return errMalformed
	}
}

// readRestOfList reads a list from after its opening bracket.
func readRestOfList(decoder *json.Decoder, use func(object)) error {
	o := make(object)
	for n := 0; decoder.More(); n++ {
		if n == maxEntries {
			return fmt.Errorf("%w: more than %d entries", errMalformed, maxEntries)
		}
		start, err := decoder.Token()
		switch {
		case err != nil:
			return err
		case start == nil:
			continue // null in place of an entry
		case start != json.Delim('{'):
			return errMalformed
		}
		clear(o)
		if err := readFields(decoder, o); err != nil {
			return err
		}
		use(o)
	}
	_, err := decoder.Token()
	return err
}

// readOnlyObject reads a single object, a list of one, from after its opening brace. An object without an id is something
// else, such as an error with status 200, and must not look like an empty list.
func readOnlyObject(decoder *json.Decoder, use func(object)) error {
	o := make(object)
	if err := readFields(decoder, o); err != nil {
		return err
	}
	if o.scalar("id") == "" {
		return fmt.Errorf("%w: an object has no id", errMalformed)
	}
	use(o)
	return nil
}

// readFields reads the rest of an object into o, which is empty. A field that occurs twice is refused, because nobody knows
// which of the two is right.
func readFields(decoder *json.Decoder, o object) error {
	for decoder.More() {
		if len(o) == maxFields {
			return fmt.Errorf("%w: an object has more than %d fields", errMalformed, maxFields)
		}
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // a field's name is always a string
		if _, twice := o[name]; twice {
			return fmt.Errorf("%w: an object has a field twice", errMalformed)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		o[name] = value
	}
	_, err := decoder.Token()
	return err
}

// scalar returns the value of a string, or a number as it is written, without surrounding white space. It returns "" for
// anything else, and for a string without visible characters.
func (o object) scalar(name string) string {
	raw := o[name]
	if len(raw) == 0 {
		return ""
	}
	if c := raw[0]; c == '-' || '0' <= c && c <= '9' {
		return string(raw)
	}
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil || !strings.ContainsFunc(s, visible) {
		return ""
	}
	return strings.TrimSpace(s)
}

// shown returns scalar's value without HTML's escapes. Sufrah's editor escapes names ("Burgers &amp; Fries"), and a chat would
// show the entities.
func (o object) shown(name string) string {
	return strings.TrimSpace(html.UnescapeString(o.scalar(name)))
}

// id returns the entry's id. It returns "" for 0, which Sufrah gives to every entry without an id.
func (o object) id() string {
	if id := o.scalar("id"); id != "0" {
		return id
	}
	return ""
}

func visible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r)
}

// object returns a field that is an object. For anything else it returns nil, in which every field is missing.
func (o object) object(name string) object {
	decoder := json.NewDecoder(bytes.NewReader(o[name]))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil
	}
	child := make(object)
	if readFields(decoder, child) != nil {
		return nil
	}
	return child
}

// text returns the text in the fields prefixAr and prefixEn.
func (o object) text(prefix string) menu.Text {
	return menu.Text{Arabic: o.shown(prefix + "Ar"), English: o.shown(prefix + "En")}
}

// degrees returns a coordinate, written as a number or a string. It returns nil if the coordinate is missing or out of range.
func (o object) degrees(name string, limit float64) *float64 {
	value, err := strconv.ParseFloat(o.scalar(name), 64)
	if err != nil || math.IsNaN(value) || math.Abs(value) > limit {
		return nil
	}
	return &value
}

// integer returns a whole number, written as a number or a string; 0 if there is none.
func (o object) integer(name string) int {
	value, err := strconv.ParseFloat(o.scalar(name), 64)
	if err != nil || value != math.Trunc(value) || math.Abs(value) > math.MaxInt32 {
		return 0
	}
	return int(value)
}

func category(o object) (menu.Category, string, bool) {
	c := menu.Category{
		ID:           o.scalar("id"),
		DisplayOrder: o.integer("displayOrder"),
		Name:         o.text("name"),
		Description:  o.text("description"),
		ImageURL:     o.scalar("imageUrl"),
	}
	return c, o.id(), !c.Name.Blank()
}

func branch(o object) (menu.Branch, string, bool) {
	b := menu.Branch{
		ID:        o.scalar("id"),
		Name:      o.text("name"),
		Address:   withUnmarked(o.text("address"), o.shown("address")),
		Phone:     o.scalar("phoneNumber"),
		Latitude:  o.degrees("latitude", 90),
		Longitude: o.degrees("longitude", 180),
		District:  o.shown("district"),
		City:      o.object("city").text("name"),
	}
	return b, o.id(), !b.Name.Blank()
}

// withUnmarked puts a text without a language into the language of its script, if that language has no text.
func withUnmarked(t menu.Text, unmarked string) menu.Text {
	place := &t.English
	if strings.ContainsFunc(unmarked, func(r rune) bool { return unicode.Is(unicode.Arabic, r) }) {
		place = &t.Arabic
	}
	if *place == "" {
		*place = unmarked
	}
	return t
}

// maxAmount is far above any dish's price in any currency. A larger amount is a fault of the source.
const maxAmount = 1e9

// amount returns a positive amount of money, written as a number or a string; 0 if there is none.
func (o object) amount(name string) float64 {
	value, err := strconv.ParseFloat(o.scalar(name), 64)
	if err != nil || !(value > 0 && value <= maxAmount) { // not written as <= and >, because NaN must be refused too
		return 0
	}
	return value
}

// product parses a product. A reduced price that isn't lower is ignored.
func product(o object) (menu.Product, string, bool) {
	p := menu.Product{
		ID:           o.scalar("id"),
		Name:         o.text("name"),
		Description:  o.text("description"),
		Price:        o.amount("price"),
		ReducedPrice: o.amount("priceAfter"),
		Currency:     strings.ToUpper(o.scalar("currency")),
		Unavailable:  o.unavailable(),
	}
	if p.ReducedPrice >= p.Price {
		p.ReducedPrice = 0
	}
	return p, p.ID, !p.Name.Blank()
}

// unavailable reports whether a product can't be ordered: isAvailable is false, or it is missing and there are other fields
// with that prefix, all of them false.
func (o object) unavailable() bool {
	if value, known := o.boolean("isAvailable"); known {
		return !value
	}
	said := false
	for name := range o {
		if value, known := o.boolean(name); known && strings.HasPrefix(name, "isAvailable") {
			if value {
				return false
			}
			said = true
		}
	}
	return said
}

// boolean returns a truth value, written as a boolean, a string, or 0 or 1. known is false if there is none.
func (o object) boolean(name string) (value, known bool) {
	text := o.scalar(name)
	if raw := string(o[name]); raw == "true" || raw == "false" {
		text = raw
	}
	value, err := strconv.ParseBool(strings.ToLower(text))
	return value, err == nil
}
