package intent

import (
	"strings"
	"unicode"

	"github.com/sufrah/usage-bootstrap/internal/spelling"
)

// Consent is a text's decision about getting messages.
type Consent int

// The consents.
const (
	Unchanged Consent = iota
	OptOut            // the customer wants no more messages
	OptIn             // the customer wants messages again
)

// The whole text must be such a phrase, as with Twilio's keywords (help.twilio.com, "How to track opt-out messages using the
// OptOutType parameter": "Stop" opts out, "Stop please" doesn't). "cancel", "end", "quit" and "yes" are keywords of Twilio's
// in text messages; here they are about an order.
var consents = func() map[string]Consent {
	all := make(map[string]Consent)
	for consent, phrases := range map[Consent][]string{
		OptOut: {
			"stop", "stop all", "stopall", "unsubscribe", "unsubscribe me", "opt out", "optout", "stop messages", "stop messaging me",
			"stop promotions", "remove me",
			"ايقاف", "الايقاف", "أوقف", "وقف", "توقف", "ستوب", "الغاء الاشتراك", "الغاء اشتراك", "الغاء اشتراكي", "الغ الاشتراك",
			"الغي الاشتراك", "الغوا الاشتراك", "الغي اشتراكي", "ايقاف الاشتراك", "ايقاف الرسائل", "ايقاف الرسايل", "ايقاف العروض",
			"أوقف الرسائل", "أوقفوا الرسائل", "وقف الرسائل", "وقف الرسايل", "وقفوا الرسائل", "وقفوا الرسايل", "لا ترسلوا", "لا ترسل", "لا ترسلون",
		},
		OptIn: {
			"start", "unstop", "subscribe", "resubscribe", "opt in", "optin", "start messages",
			"ابدأ", "بدء", "اشتراك", "الاشتراك", "اشترك", "اشتركوا", "تفعيل", "تفعيل الاشتراك", "تفعيل الرسائل", "تفعيل الرسايل",
			"اعادة الاشتراك", "إعادة اشتراك", "استئناف", "استئناف الرسائل", "استئناف الاشتراك", "ستارت",
		},
	} {
		for _, phrase := range phrases {
			all[words(phrase)] = consent
		}
	}
	return all
}()

// maxPhrase bounds the text that is examined, in bytes.
const maxPhrase = 200

// ConsentOf returns a text's decision about getting messages. Only the whole text counts, in any case, spelling and
// punctuation: a sentence that contains such a word is about something else.
func ConsentOf(text string) Consent {
	if len(text) > maxPhrase {
		return Unchanged
	}
	return consents[words(text)]
}

// words returns a text's words, folded, with a space between them.
func words(text string) string {
	return strings.Join(strings.FieldsFunc(spelling.Fold(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " ")
}
