package webhook

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/customer"
)

// marker describes a parameter that we act on, by its name and the beginning of its value, so that recut can find it in the
// signed text. The field alike names Twilio's other parameters with the same ending.
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

// has reports whether a parameter is the one that the marker describes, or one of alike. A parameter of ours with text moved
// into it is no valid number or id, and its reader refuses it. Parameters in alike have no reader, so their length is checked
// here.
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

// recut reports whether a form may be another form's signed text, split into different parameters.
//
// Twilio signs the sorted names and values without anything between them, so the holder of a signed form can split its text
// into other parameters with the same signature: a Body "x…From…MessageSidSM…To…" becomes another customer's message to
// another restaurant. The true sender, receiver and id are then still in the signed text, inside another parameter's value.
// So wherever the signed text has one of these names, followed directly by a value as only Twilio writes it, the form must
// have that parameter. A person's message that merely mentions the names isn't refused, because no such value follows them.
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
