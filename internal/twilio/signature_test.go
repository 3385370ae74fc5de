package twilio

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const exampleURL = "https://mycompany.com/myapp.php?foo=1&bar=2"

// exampleForm is the form signed in Twilio's documentation and libraries, with the token 12345.
func exampleForm() url.Values {
	return url.Values{
		"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"},
		"From": {"+14158675309"}, "To": {"+18005551212"},
	}
}

func TestSignatureIsTwilios(t *testing.T) {
	t.Parallel()
	longer := exampleForm()
	longer.Set("ReasonConferenceEnded", "test")
	longer.Set("Reason", "Participant")
	tests := map[string]struct {
		url  string
		form url.Values
		want string
	}{
		"the documentation's":                        {exampleURL, exampleForm(), "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
		"a name that begins another, from twilio-go": {exampleURL, longer, "vOEb5UThFn24KEfnOFLQY2AE5FY="},
		"two values of one name, from twilio-python": {
			exampleURL,
			url.Values{"Sid": {"CA123"}, "SidAccount": {"AC123"}, "Digits": {"5678", "1234"}},
			"IK+Dwps556ElfBT0I3Rgjkr1wJU=",
		},
		"the same value twice, from twilio-python": {
			exampleURL,
			url.Values{"Sid": {"CA123"}, "SidAccount": {"AC123"}, "Digits": {"5678", "1234", "5678"}},
			"IK+Dwps556ElfBT0I3Rgjkr1wJU=",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Signature("12345", test.url, test.form); got != test.want {
				t.Errorf("the form is signed with %s, Twilio signs it with %s", got, test.want)
			}
		})
	}
}

func TestOnlyTheTrueSignatureIsValid(t *testing.T) {
	t.Parallel()
	http := strings.Replace(exampleURL, "https", "http", 1)
	const signed = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
	tests := map[string]struct {
		token, url, signature string
		want                  bool
	}{
		"the documentation's":                        {"12345", exampleURL, signed, true},
		"https, a port that wasn't signed":           {"12345", strings.Replace(exampleURL, ".com", ".com:1234", 1), signed, true},
		"https, its port signed, from twilio-python": {"12345", exampleURL, "kvajT1Ptam85bY51eRf/AJRuM3w=", true},
		"http, its port signed, from twilio-python":  {"12345", http, "0ZXoZLH/DfblKGATFgpif+LLRf4=", true},
		"http, a port signed, from twilio-python": {
			"12345", strings.Replace(http, ".com", ".com:1234", 1), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=", true,
		},
		"another token":            {"12346", exampleURL, signed, false},
		"another path":             {"12345", strings.Replace(exampleURL, "myapp", "yourapp", 1), signed, false},
		"another host":             {"12345", strings.Replace(exampleURL, "mycompany", "yourcompany", 1), signed, false},
		"another scheme":           {"12345", http, signed, false},
		"no signature":             {"12345", exampleURL, "", false},
		"a longer signature":       {"12345", exampleURL, signed + "=", false},
		"a cut signature":          {"12345", exampleURL, signed[:10], false},
		"another letter case":      {"12345", exampleURL, strings.ToLower(signed), false},
		"no token, and signed so":  {"", exampleURL, Signature("", exampleURL, exampleForm()), false},
		"a URL that can't be read": {"12345", "https://[", signed, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := ValidSignature(test.token, test.url, exampleForm(), test.signature); got != test.want {
				t.Errorf("the signature counts as valid: %t, want %t", got, test.want)
			}
		})
	}
}

func TestSignatureIsValidWithAndWithoutThePort(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://example.com/a?b=c%20d":  "https://example.com:443/a?b=c%20d",
		"https://example.com:443/a":      "https://example.com/a",
		"http://localhost:8080/webhooks": "http://localhost/webhooks",
		"http://[::1]:8080/":             "http://[::1]/",
		"https://[::1]/":                 "https://[::1]:443/",
		"/path/only":                     "/path/only",
		"http://%zz":                     "http://%zz",
	} {
		if got := otherPort(raw); got != want {
			t.Errorf("otherPort(%q) = %q, want %q", raw, got, want)
		}
	}
}

// A signature is valid for any order of the values, and invalid after any change to a value.
func TestSignatureCoversTheWholeForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[A-Za-z0-9 +:\p{Arabic}]{1,8}`)
		form := url.Values(rapid.MapOfN(word, rapid.SliceOfN(word, 1, 4), 1, 6).Draw(t, "form"))
		signature := Signature("token", exampleURL, form)
		shuffled, changed := url.Values{}, url.Values{}
		for name, values := range form {
			shuffled[name] = rapid.Permutation(values).Draw(t, "values")
			changed[name] = append([]string(nil), values...)
		}
		if !ValidSignature("token", exampleURL, shuffled, signature) {
			t.Error("a form whose values come in another order is refused, though it is Twilio's")
		}
		for name := range changed {
			changed[name][0] += "!"
			break
		}
		if ValidSignature("token", exampleURL, changed, signature) {
			t.Error("the signature of one form is valid for another: a stranger could forge messages")
		}
	})
}
