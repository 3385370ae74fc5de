package webhook

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/customer"
)

// marker is a parameter that we act on, as the signed text shows it: its name and the beginning of each of its values. alike are
// Twilio's other parameters with the same ending.
type marker struct {
	name  string
	value func(string) bool // begins the text behind the name
	alike []string
}

var markers = []marker{
	{"From", addressed, nil},
	{"To", addressed, nil},
	{"MessageSid", beginsWithSID, []string{"SmsMessageSid", "OriginalRepliedMessageSid"}},
	{"AccountSid", beginsWithSID, nil},
	{"ExternalUserId", beginsWithUserID, []string{"ParentExternalUserId"}},
}

// has reports whether a parameter is the marker's. If one of these has swallowed other text, its reader notices: it is no
// number or no id then. The others aren't read.
func (m marker) has(p parameter) bool {
	return p.name == m.name || slices.Contains(m.alike, p.name) && (len(p.value) == sidLength || m.name == "ExternalUserId")
}

func addressed(s string) bool { return strings.HasPrefix(s, whatsApp) }

func beginsWithUserID(s string) bool {
	return len(s) >= len("SA.1") && customer.IsUserID(s[:len("SA.1")])
}

func beginsWithSID(s string) bool { return len(s) >= sidLength && twilioSID(s[:sidLength]) }

// parameter is a name with a single value.
type parameter struct{ name, value string }

// recut reports whether a form may be another form cut anew.
//
// Twilio signs the parameters' names and values, sorted, with nothing in between. The holder of a signed form can cut the same
// text at other places: a text message "x…From…MessageSidSM…To…" becomes another customer's message to another restaurant. The
// sender, the receiver and the id that Twilio gave are still in the text then, inside another parameter's name or value or
// across two. So wherever the signed text has one of these names, directly followed by a value as only Twilio writes it, the
// form must have that parameter too. A person's text that mentions the names doesn't look like that.
func recut(form url.Values) bool {
	text, starts := signedText(form)
	for _, m := range markers {
		for from := 0; ; {
			i := strings.Index(text[from:], m.name)
			if i < 0 {
				break
			}
			value := from + i + len(m.name)
			from = value
			if p, isValue := starts[value]; m.value(text[value:]) && !(isValue && m.has(p)) {
				return true
			}
		}
	}
	return false
}

// signedText returns the parameters as they are signed, and the parameters by where their values start.
func signedText(form url.Values) (text string, starts map[int]parameter) {
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	starts = make(map[int]parameter, len(names))
	for _, name := range names {
		for _, value := range slices.Compact(slices.Sorted(slices.Values(form[name]))) {
			b.WriteString(name)
			starts[b.Len()] = parameter{name, value}
			b.WriteString(value)
		}
	}
	return b.String(), starts
}
