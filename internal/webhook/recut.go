package webhook

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/customer"
)

// marker recognises a parameter that we act on in the signed text: by its name and the beginning of its value. alike are
// Twilio's other parameters with the same ending.
type marker struct {
	name  string
	value func(string) bool // reports whether the text after the name begins like the value
	alike []string
}

var markers = []marker{
	{"From", addressed, nil},
	{"To", addressed, nil},
	{"MessageSid", beginsWithSID, []string{"SmsMessageSid", "OriginalRepliedMessageSid"}},
	{"AccountSid", beginsWithSID, nil},
	{"ExternalUserId", beginsWithUserID, []string{"ParentExternalUserId"}},
}

// has reports whether a parameter is the marker's own or one of alike's. A parameter that has swallowed other text is no valid
// number or id, and its reader refuses it. Parameters in alike have no reader, so their length is checked here.
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

// recut reports whether a form may be another signed form, cut into parameters at other places.
//
// Twilio signs the sorted names and values without anything between them, so the holder of a signed form can cut its text
// anew: a text message "x…From…MessageSidSM…To…" becomes another customer's message to another restaurant. The true sender,
// receiver and id are then still in the text, inside another parameter. So wherever the signed text has one of these names,
// followed directly by a value as only Twilio writes it, the form must have that parameter. A person's text that merely
// mentions the names doesn't look like that.
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

// signedText returns the text that Twilio signs, and the parameters by the offsets of their values in it.
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
