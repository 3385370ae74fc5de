package sufrah

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/menu"
)

func TestParseList(t *testing.T) {
	t.Parallel()
	type list = []menu.Category
	named := func(id, name string) menu.Category { return menu.Category{ID: id, Name: menu.Text{English: name}} }
	tests := map[string]struct {
		body string
		want list // nil for a malformed body
	}{
		"an empty list":                {`[]`, list{}},
		"null":                         {`null`, list{}},
		"only nulls":                   {`[null, null]`, list{}},
		"white space round it":         {" \n[]\r\n\t", list{}},
		"a byte order mark":            {"\ufeff[]", list{}},
		"one object":                   {`{"id": 1, "nameEn": "a"}`, list{named("1", "a")}},
		"one object without a name":    {`{"id": 1}`, list{}},
		"an id as a number":            {`[{"id": 12345678901234567890, "nameEn": "a"}]`, list{named("12345678901234567890", "a")}},
		"an id as an object":           {`[{"id": {}, "nameEn": "a"}]`, list{named("", "a")}},
		"two without an id":            {`[{"nameEn": "a"}, {"nameEn": "b"}]`, list{named("", "a"), named("", "b")}},
		"two with one id":              {`[{"id": 1, "nameEn": "a"}, {"id": "1", "nameEn": "b"}]`, list{named("1", "a")}},
		"a nameless one of a known id": {`[{"id": 1, "nameEn": ""}, {"id": 1, "nameEn": "b"}]`, list{named("1", "b")}},
		"a name as a number":           {`[{"id": 1, "nameEn": 7}]`, list{named("1", "7")}},
		"a name as a list":             {`[{"id": 1, "nameEn": ["a"]}]`, list{}},
		"a name of broken UTF-8":       {"[{\"id\": 1, \"nameEn\": \"a\xff\"}]", list{named("1", "a\ufffd")}},
		"names of other letter case":   {`[{"ID": 1, "NAMEEN": "a"}]`, list{}},
		"two of the id 0":              {`[{"id": 0, "nameEn": "a"}, {"id": 0, "nameEn": "b"}, {"id": "0", "nameEn": "c"}]`, list{named("0", "a"), named("0", "b"), named("0", "c")}},
		"HTML entities":                {`[{"id": 1, "nameEn": "Burgers &amp; Fries &#39;n&#x27; more"}]`, list{named("1", "Burgers & Fries 'n' more")}},
		"what only looks like one":     {`[{"id": 1, "nameEn": "A&B; fish &amp;amp; chips"}]`, list{named("1", "A&B; fish &amp; chips")}},
		"entities that show nothing":   {`[{"id": 1, "nameEn": "&nbsp;"}]`, list{}},
		"unknown fields":               {`[{"id": 1, "x": {"x": [1, {"id": 2}]}, "nameEn": "a"}]`, list{named("1", "a")}},
		"an order as a string": {`[{"id": 1, "displayOrder": "3", "nameEn": "a"}]`, list{
			{ID: "1", DisplayOrder: 3, Name: menu.Text{English: "a"}},
		}},
		"an order that is no number": {`[{"id": 1, "displayOrder": true, "nameEn": "a"}]`, list{named("1", "a")}},
		"an order too large":         {`[{"id": 1, "displayOrder": 1e300, "nameEn": "a"}]`, list{named("1", "a")}},
		"nothing":                    {``, nil},
		"white space":                {" \n", nil},
		"a page":                     {`<html><body>Bad gateway</body></html>`, nil},
		"a string":                   {`"[]"`, nil},
		"a number":                   {`0`, nil},
		"a list of strings":          {`["a"]`, nil},
		"a list of lists":            {`[[]]`, nil},
		"an error with status 200":   {`{"error": "Internal", "code": 7}`, nil},
		"a list in an envelope":      {`{"data": []}`, nil},
		"a cut list":                 {`[{"id": 1, "nameEn": "a"}`, nil},
		"a cut object":               {`[{"id": 1, "nameEn": "a"`, nil},
		"a comma too many":           {`[{"id": 1, "nameEn": "a"},]`, nil},
		"a comma too few":            {`[{"id": 1} {"id": 2}]`, nil},
		"trailing garbage":           {`[] x`, nil},
		"two lists":                  {`[][]`, nil},
		"an object after the object": {`{"id": 1}{"id": 2}`, nil},
		"a field that comes twice":   {`[{"id": 1, "nameEn": "a", "id": 2}]`, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseList([]byte(test.body), category)
			if test.want == nil {
				if !errors.Is(err, errMalformed) || got != nil {
					t.Errorf("an answer that is no list gives %v (error %v), want errMalformed", got, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("reading Sufrah's answer: %v", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the categories differ from Sufrah's answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBranchAddresses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		want menu.Text
	}{
		"none": {`{"id": 1, "nameEn": "a"}`, menu.Text{}},
		"both": {`{"id": 1, "nameEn": "a", "addressAr": "شارع", "addressEn": "Street", "address": "x"}`,
			menu.Text{Arabic: "شارع", English: "Street"}},
		"only an unmarked Arabic one": {`{"id": 1, "nameEn": "a", "address": "شارع 7"}`, menu.Text{Arabic: "شارع 7"}},
		"only an unmarked Latin one":  {`{"id": 1, "nameEn": "a", "address": "7th Street"}`, menu.Text{English: "7th Street"}},
		"an unmarked Arabic one too":  {`{"id": 1, "nameEn": "a", "addressAr": "شارع", "address": "طريق"}`, menu.Text{Arabic: "شارع"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseList([]byte(test.body), branch)
			if err != nil || len(got) != 1 {
				t.Fatalf("reading a branch gives %v (error %v), want one branch", got, err)
			}
			if diff := cmp.Diff(test.want, got[0].Address); diff != "" {
				t.Errorf("customers see another address of the branch (-want +got):\n%s", diff)
			}
		})
	}
}

// An answer within the size limit can still be made to fill the memory. The limit of the parsed size is far above a real
// list's size and far below a function's memory.
func TestBombs(t *testing.T) {
	tests := map[string]string{
		"deep lists":                    strings.Repeat("[", DefaultMaxBodyBytes),
		"deep lists in a field":         `[{"x": ` + strings.Repeat("[", DefaultMaxBodyBytes-8),
		"deep objects in a field":       `[{"x": ` + strings.Repeat(`{"x":`, DefaultMaxBodyBytes/5-2),
		"a huge list of objects":        "[" + strings.Repeat("{},", DefaultMaxBodyBytes/3-1) + "{}]",
		"a huge list of nulls":          "[" + strings.Repeat("null,", DefaultMaxBodyBytes/5-1) + "null]",
		"one field again and again":     "[{" + strings.Repeat(`"x":0,`, DefaultMaxBodyBytes/6-2) + `"x":0}]`,
		"many fields":                   "[{" + manyFields(DefaultMaxBodyBytes/16) + "}]",
		"many fields in a lone object":  "{" + manyFields(DefaultMaxBodyBytes/16) + "}",
		"a number of a million digits":  "[" + strings.Repeat("9", 1<<20) + "]",
		"a field twice, the second big": `{"id": 1, "x": 0, "x": "` + strings.Repeat("x", 1<<20) + `"}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := parseList([]byte(body), branch)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, errMalformed) || got != nil {
				t.Errorf("an answer made to fill the memory gives %d entries (error %v), want errMalformed", len(got), err)
			}
			if len(err.Error()) > 200 {
				t.Errorf("the error is %d bytes long and would fill the log", len(err.Error()))
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 10*DefaultMaxBodyBytes {
				t.Errorf("parsing an answer of %d bytes took %d bytes of memory, want ten times the limit at most", len(body), allocated)
			}
		})
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"f%d":0`, i)
	}
	return b.String()
}

// In whatever form the entries are written, every entry with a name is returned once, in the list's order.
func TestEveryNamedEntryComesOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.IntRange(0, 1000), 0, 30, rapid.ID[int]).Draw(t, "ids")
		entries, want := []string{}, []string{}
		for _, id := range ids {
			name := rapid.SampledFrom([]string{`null`, `""`, `" "`, `"اسم"`, `"name"`}).Draw(t, "name")
			form := rapid.SampledFrom([]string{`{"id":%d,"nameAr":%s}`, `{"nameEn":%[2]s,"id":"%[1]d"}`}).Draw(t, "form")
			entries = append(entries, fmt.Sprintf(form, id, name))
			if len(name) > 4 {
				want = append(want, fmt.Sprint(id))
			}
		}
		got, err := parseList([]byte("["+strings.Join(entries, ",")+"]"), branch)
		if err != nil {
			t.Fatalf("reading Sufrah's answer: %v", err)
		}
		gotIDs := []string{}
		for _, b := range got {
			gotIDs = append(gotIDs, b.ID)
		}
		if !slices.Equal(want, gotIDs) {
			t.Errorf("the branches with a name have the ids %v, want %v", gotIDs, want)
		}
	})
}

func FuzzParseList(f *testing.F) {
	for _, seed := range []string{
		`[]`, `null`, `{"id": 1, "nameAr": "أ"}`, `[{"id": "1", "nameEn": "a", "displayOrder": 1.5}, null]`,
		`[{"id":1,"nameEn":"b","latitude":"24.7","longitude":46,"address":"شارع","city":{"nameAr":"الرياض","areas":[{}]}}]`,
		`[{"city":{"nameEn":`, `[{"a":1,"a":2}]`, "\ufeff[{}]", `<html>`, `[{"nameEn":"\ud800"}]`, `[{"latitude":-0e99,"nameEn":"x"}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		original := bytes.Clone(body)
		categories, categoryErr := parseList(body, category)
		branches, branchErr := parseList(body, branch)
		if !bytes.Equal(original, body) {
			t.Error("parsing changed the body, which others still read")
		}
		if (categoryErr == nil) != (branchErr == nil) {
			t.Errorf("the same answer is a list for one kind and not for the other: %v, %v", categoryErr, branchErr)
		}
		if len(categories) != len(branches) {
			t.Errorf("the same answer gives %d categories but %d branches", len(categories), len(branches))
		}
		for _, b := range branches {
			if b.Name.Blank() {
				t.Error("a branch without a name would be shown to customers")
			}
			if b.Latitude != nil && !(*b.Latitude >= -90 && *b.Latitude <= 90) {
				t.Errorf("a branch has the latitude %v, which no place has", *b.Latitude)
			}
		}
	})
}

// TestProducts: prices are numbers or strings, any field may be null, and a reduced price must be a reduction.
func TestProducts(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]menu.Product{
		`{"id": 1, "nameEn": "a"}`: {},
		`{"id": 1, "nameEn": "a", "price": 12.5, "priceAfter": 10, "currency": "sar", "isAvailable": true}`:  {Price: 12.5, ReducedPrice: 10, Currency: "SAR"},
		`{"id": 1, "nameEn": "a", "price": "12.50", "priceAfter": "10", "currency": "KWD"}`:                  {Price: 12.5, ReducedPrice: 10, Currency: "KWD"},
		`{"id": 1, "nameEn": "a", "price": null, "priceAfter": null, "currency": null, "isAvailable": null}`: {},
		`{"id": 1, "nameEn": "a", "price": 12, "priceAfter": 12}`:                                            {Price: 12},
		`{"id": 1, "nameEn": "a", "price": 12, "priceAfter": 0}`:                                             {Price: 12},
		`{"id": 1, "nameEn": "a", "priceAfter": 10}`:                                                         {},
		`{"id": 1, "nameEn": "a", "price": -3, "currency": 7}`:                                               {Currency: "7"},
		`{"id": 1, "nameEn": "a", "price": "NaN"}`:                                                           {},
		`{"id": 1, "nameEn": "a", "price": 1e300}`:                                                           {},
		`{"id": 1, "nameEn": "a", "price": {}, "isAvailable": []}`:                                           {},
		`{"id": 1, "nameEn": "a", "isAvailable": false}`:                                                     {Unavailable: true},
		`{"id": 1, "nameEn": "a", "isAvailable": "False"}`:                                                   {Unavailable: true},
		`{"id": 1, "nameEn": "a", "isAvailable": 0}`:                                                         {Unavailable: true},
		`{"id": 1, "nameEn": "a", "isAvailable": true, "isAvailableForDelivery": false}`:                     {},
		`{"id": 1, "nameEn": "a", "isAvailable": null, "isAvailableForDelivery": "false"}`:                   {Unavailable: true},
		`{"id": 1, "nameEn": "a", "isAvailableForPickup": true, "isAvailableForDelivery": false}`:            {},
	} {
		want.ID, want.Name.English = "1", "a"
		got, err := parseList([]byte(body), product)
		if err != nil {
			t.Fatalf("reading Sufrah's answer: %v", err)
		}
		if diff := cmp.Diff([]menu.Product{want}, got); diff != "" {
			t.Errorf("customers see the product %s wrongly (-want +got): %s", body, diff)
		}
	}
}
