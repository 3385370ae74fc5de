package twilio

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestErrorIsRetryableOrPermanent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err                                      Error
		retryable, template, authenticationFault bool
	}{
		"no answer":                        {Error{Err: io.ErrUnexpectedEOF}, true, false, false},
		"a time-out":                       {Error{Err: context.DeadlineExceeded}, true, false, false},
		"a message that can't be":          {Error{Err: fmt.Errorf("%w: x", errMessage)}, false, false, false},
		"no credentials":                   {Error{Err: errCredentials}, true, false, true},
		"429":                              {Error{StatusCode: 429}, true, false, false},
		"429 with its code":                {Error{StatusCode: 429, Code: 20429}, true, false, false},
		"408":                              {Error{StatusCode: 408}, true, false, false},
		"500":                              {Error{StatusCode: 500, Code: 20500}, true, false, false},
		"503":                              {Error{StatusCode: 503}, true, false, false},
		"an unexpected 200":                {Error{StatusCode: 200}, true, false, false},
		"a redirect":                       {Error{StatusCode: 302}, true, false, false},
		"401 with its code":                {Error{StatusCode: 401, Code: 20003}, true, false, true},
		"401":                              {Error{StatusCode: 401}, true, false, true},
		"403 with the code of 401":         {Error{StatusCode: 403, Code: 20003}, true, false, true},
		"an inactive account":              {Error{StatusCode: 403, Code: 20005}, true, false, true},
		"403":                              {Error{StatusCode: 403}, false, false, false},
		"404":                              {Error{StatusCode: 404, Code: 20404}, false, false, false},
		"an unknown code":                  {Error{StatusCode: 400, Code: 99999}, false, false, false},
		"an invalid number":                {Error{StatusCode: 400, Code: 21211}, false, false, false},
		"an unsubscribed receiver":         {Error{StatusCode: 400, Code: 21610}, false, false, false},
		"no mobile number":                 {Error{StatusCode: 400, Code: 21614}, false, false, false},
		"a receiver who isn't found":       {Error{StatusCode: 400, Code: 63003}, false, false, false},
		"a receiver who isn't on WhatsApp": {Error{StatusCode: 400, Code: 63024}, false, false, false},
		"a text that is too long":          {Error{StatusCode: 400, Code: 21617}, false, false, false},
		"too many messages, although a bad request": {Error{StatusCode: 400, Code: 63018}, true, false, false},
		"an invalid template":                       {Error{StatusCode: 400, Code: 21655}, false, true, false},
		"invalid variables":                         {Error{StatusCode: 400, Code: 21656}, false, true, false},
		"outside the window":                        {Error{StatusCode: 400, Code: 63016}, false, true, false},
		"a missing template":                        {Error{StatusCode: 400, Code: 63027}, false, true, false},
		"too few variables":                         {Error{StatusCode: 400, Code: 63028}, false, true, false},
		"an empty variable":                         {Error{StatusCode: 400, Code: 63013}, false, true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &test.err
			if e.Retryable() != test.retryable || e.Permanent() == test.retryable {
				t.Errorf("the error %q is retryable: %t, and permanent: %t; want retryable: %t, and the opposite of permanent", e.Error(), e.Retryable(), e.Permanent(), test.retryable)
			}
			if e.TemplateRejected() != test.template {
				t.Errorf("template rejected: %t, want %t", e.TemplateRejected(), test.template)
			}
			if e.AuthenticationFailed() != test.authenticationFault {
				t.Errorf("authentication failed: %t, want %t", e.AuthenticationFailed(), test.authenticationFault)
			}
		})
	}
}

func TestErrorMessageMasksNumbers(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"Authenticate": "Authenticate",
		"The 'To' number whatsapp:+966500000001 is not valid.": "The 'To' number whatsapp:+********0001 is not valid.",
		"966 50 000-0002, (966) 50.000.0003":                   "*** ** ***-0002, (***) **.***.0003",
		"from +14155238886 to +966500000004":                   "from +*******8886 to +********0004",
		"code 21211, limit 1600, 3 of 10":                      "code 21211, limit 1600, 3 of 10",
		"٩٦٦٥٠٠٠٠٠٠٠١":                                         "********٠٠٠١",
		"two\nlines\x1b[31m":                                   "two lines [31m",
		"":                                                     "",
	}
	for text, want := range tests {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
	if got := utf8.RuneCountInString(printable(strings.Repeat("ء", 5000))); got != maxMessageRunes+1 {
		t.Errorf("a long message of Twilio keeps %d runes in the log, more than the limit", got)
	}
}

func TestErrorSaysStatusAndCode(t *testing.T) {
	t.Parallel()
	body := `{"code": 21211, "message": "The 'To' number +966500000001 is not valid", "status": 400}`
	e := parseError(400, http.Header{}, []byte(body))
	if got, want := e.Error(), "twilio: status 400: code 21211: The 'To' number +********0001 is not valid"; got != want {
		t.Errorf("the error reads %q, want %q", got, want)
	}
	if got, want := (&Error{Err: io.EOF}).Error(), "twilio: EOF"; got != want {
		t.Errorf("the error reads %q, want %q", got, want)
	}
}

// TestErrorTellsNoSecret: a server in Twilio's place can't get a token into the log.
func TestErrorTellsNoSecret(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"s3cr3t is wrong": "", "Basic QUM6czNjcjN0": "", "Authenticate": "Authenticate",
	} {
		body, err := json.Marshal(map[string]any{"code": 20003, "message": message})
		if err != nil {
			t.Fatalf("encoding the JSON: %v", err)
		}
		if e := parseError(401, http.Header{}, body, "s3cr3t", "QUM6czNjcjN0"); e.Message != want || e.Code != 20003 {
			t.Errorf("Twilio's message %q is shown as %q with code %d, want %q with 20003: a secret would be in the log", message, e.Message, e.Code, want)
		}
	}
}

func FuzzParseError(f *testing.F) {
	for _, seed := range []string{
		`{"code": 20003, "message": "Authenticate", "more_info": "https://www.twilio.com/docs/errors/20003", "status": 401}`,
		`{"code": 21211, "message": "The 'To' number +966 50 000 0001 is not valid"}`,
		`{"code": "21211"}`, `{"code": 1e400}`, `null`, `[]`, `<html>`, "", `{"message": "\u0000\ud800(1234567)"}`,
	} {
		f.Add(400, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := parseError(status, http.Header{}, body)
		if e.Retryable() == e.Permanent() {
			t.Errorf("the answer %d %.100q gives an error that is both retryable and permanent, or neither: %+v", status, body, e)
		}
		if (e.TemplateRejected() && !e.Permanent()) || (e.AuthenticationFailed() && !e.Retryable()) {
			t.Errorf("the answer %d %.100q gives an error that contradicts itself: %+v", status, body, e)
		}
		if utf8.RuneCountInString(e.Message) > maxMessageRunes+1 {
			t.Errorf("a message of %d runes would be logged, more than the limit", utf8.RuneCountInString(e.Message))
		}
		run := 0
		for _, r := range e.Message {
			if run++; !unicode.IsDigit(r) {
				run = 0
			}
			if run >= 7 || !unicode.IsPrint(r) {
				t.Fatalf("the message holds a phone number or is not printable: %q", e.Message)
			}
		}
	})
}
