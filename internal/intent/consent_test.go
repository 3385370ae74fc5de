package intent

import "testing"

func TestConsentOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Consent{
		"stop": OptOut, " STOP ": OptOut, "Stop!": OptOut, "«sToP».": OptOut, "stop-all": OptOut, "unsubscribe": OptOut, "Opt-out": OptOut,
		"ＳＴＯＰ": OptOut, "st\u00ADop": OptOut, "stop 🛑": OptOut,
		"إلغاء الاشتراك": OptOut, "الغاء الاشتراك": OptOut, "إلغاء  الإشتراك!": OptOut, "ايقاف": OptOut, "إيقاف": OptOut, "أيقاف": OptOut,
		"إيقــاف": OptOut, "اِيقاف": OptOut, "ایقاف": OptOut, "وقفوا الرسايل": OptOut,
		"start": OptIn, "START.": OptIn, "unstop": OptIn, "ابدأ": OptIn, "ابدا": OptIn, "إعادة الاشتراك": OptIn, "اشتراك": OptIn,

		"": Unchanged, "…": Unchanged, "stop please": Unchanged, "don't stop": Unchanged, "nonstop": Unchanged, "bus stop": Unchanged,
		"stop the order": Unchanged, "cancel": Unchanged, "إلغاء": Unchanged, "إلغاء الطلب": Unchanged, "أبغى إلغاء الاشتراك حق الجوال": Unchanged,
		"موقف": Unchanged, "ايقاف الطلب": Unchanged, "start my order": Unchanged, "menu": Unchanged, "yes": Unchanged, "نعم": Unchanged,
		"when do you start?": Unchanged, "متى تبدأ العروض": Unchanged,
	} {
		if got := ConsentOf(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// TestConsentAsksForNothing: a text that opts out or in asks for nothing, and no request in the corpus opts out or in.
func TestConsentAsksForNothing(t *testing.T) {
	t.Parallel()
	for phrase := range consents {
		if Of(phrase) != None {
			t.Errorf("%q asks for %d", phrase, Of(phrase))
		}
	}
	for _, file := range []string{"messages.tsv", "more.tsv"} {
		messages, labels := corpus(t, file)
		for i, message := range messages {
			if labels[i] != None && ConsentOf(message) != Unchanged {
				t.Errorf("%q is a wish", message)
			}
		}
	}
}
