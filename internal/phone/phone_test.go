package phone_test

import (
	"errors"
	"regexp"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/phone"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ in, want string }{
		"as stored":                  {"+966500000001", "+966500000001"},
		"with 00":                    {"00966500000001", "+966500000001"},
		"as Twilio writes it":        {"whatsapp:+966500000001", "+966500000001"},
		"WhatsApp in capitals":       {"WHATSAPP:+966500000001", "+966500000001"},
		"WhatsApp in mixed case":     {"WhatsApp:+966500000001", "+966500000001"},
		"WhatsApp with 00":           {"whatsapp:00966500000001", "+966500000001"},
		"a space after WhatsApp":     {"whatsapp: +966500000001", "+966500000001"},
		"spaces between digits":      {"+966 50 000 0001", "+966500000001"},
		"spaces around":              {" \t+966500000001\n", "+966500000001"},
		"no-break space around":      {"\u00a0+966500000001\u00a0", "+966500000001"},
		"hyphens, dots, parentheses": {"+966-50.000(00)01", "+966500000001"},
		"a line in Riyadh":           {"+966 11 000 0000", "+966110000000"},
		"United States":              {"+1 (415) 555-2671", "+14155552671"},
		"Egypt":                      {"+20 10 1234 5678", "+201012345678"},
		"Germany":                    {"+49 151 23456789", "+4915123456789"},
		"the shortest":               {"+2901234", "+2901234"},
		"the longest":                {"+123456789012345", "+123456789012345"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := phone.Parse(test.in)
			if err != nil || got != test.want {
				t.Errorf("Parse(%q) = %q, %v; want %q", test.in, got, err, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"nothing":                         "",
		"spaces":                          "   ",
		"a plus":                          "+",
		"WhatsApp alone":                  "whatsapp:",
		"WhatsApp twice":                  "whatsapp:whatsapp:+966500000001",
		"another service":                 "messenger:+966500000001",
		"WhatsApp without colon":          "whatsapp+966500000001",
		"WhatsApp with a long s":          "what\u017fapp:+966500000001",
		"no country code, national":       "0500000001",
		"no country code, bare":           "500000001",
		"a country code without plus":     "966500000001",
		"a country code with 0":           "+0966500000001",
		"00 twice":                        "0000966500000001",
		"+ and 00":                        "+00966500000001",
		"two pluses":                      "++966500000001",
		"a plus inside":                   "+966+500000001",
		"six digits":                      "+290123",
		"six digits and punctuation":      "+290-(12)-3",
		"sixteen digits":                  "+1234567890123456",
		"Arabic-Indic digits":             "+٩٦٦٥٠٠٠٠٠٠٠١",
		"one Arabic-Indic digit":          "+96650000000١",
		"Persian digits":                  "+۹۶۶۵۰۰۰۰۰۰۰۱",
		"full-width digits":               "+９６６500000001",
		"full-width plus":                 "＋966500000001",
		"letter O for zero":               "+9665O0000001",
		"letter l for one":                "+96650000000l",
		"superscript digit":               "+96650000000¹",
		"no-break space between digits":   "+966\u00a0500000001",
		"zero-width space between digits": "+966\u200b500000001",
		"right-to-left mark in front":     "\u200f+966500000001",
		"en dash":                         "+966–500000001",
		"a line break inside":             "+966500\n000001",
		"a NUL":                           "+966500000001\x00",
		"an extension":                    "+966500000001x12",
		"not UTF-8":                       "+966500000001\xff",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := phone.Parse(in); got != "" || !errors.Is(err, phone.ErrInvalid) {
				t.Errorf("Parse(%q) = %q, %v; want ErrInvalid", in, got, err)
			}
		})
	}
}

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// FuzzParse: every accepted number is in E.164 form, and stays the same when it is read again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"+966500000001", "whatsapp:+966 50 000 0001", "00966500000001", "WhatsApp: +1 (415) 555-2671", "+0", "+٩٦٦", "\xff", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		number, err := phone.Parse(in)
		if err != nil {
			if number != "" || !errors.Is(err, phone.ErrInvalid) {
				t.Fatalf("Parse(%q) = %q, %v", in, number, err)
			}
			return
		}
		if !e164.MatchString(number) {
			t.Fatalf("Parse(%q) = %q, which is not E.164", in, number)
		}
		for _, same := range []string{number, "whatsapp:" + number, "00" + number[1:]} {
			if again, err := phone.Parse(same); again != number || err != nil {
				t.Fatalf("Parse(%q) = %q, %v; want %q", same, again, err, number)
			}
		}
	})
}

func TestParseIn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ country, text, want string }{
		{"966", "966502045939", "+966502045939"},
		{"966", "whatsapp:966 50 204-5939", "+966502045939"},
		{"966", "+971501234567", "+971501234567"},
		{"966", "00966502045939", "+966502045939"},
		{"966", "971501234567", ""}, // another country's
		{"966", "0502045939", ""},
		{"966", "966123", ""},
		{"966", "966123456", ""},
		{"966", "96650204593999999", ""},
		{"966", "966٥٠٢٠٤٥٩٣٩", ""},
		{"966", "966", ""},
		{"966", "", ""},
		{"", "966502045939", ""},
		{"", "+966502045939", "+966502045939"},
	} {
		got, err := phone.ParseIn(test.country, test.text)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q in %q: %q, %v, want %q", test.text, test.country, got, err, test.want)
		}
	}
}
