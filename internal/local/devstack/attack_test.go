package devstack_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-lambda-go/events"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/function/processmessage"
	"github.com/sufrah/usage-bootstrap/internal/function/welcomebootstrap"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/sandbox"
	"github.com/sufrah/usage-bootstrap/internal/twilio"
	"github.com/sufrah/usage-bootstrap/internal/webhook"
)

// attack is an attacker's attempt on a stack of demo data. try fails its test if the attempt succeeds.
//
// No attack may bring the marker, a secret or a customer's number into an answer or the log. victim checks this for all
// attacks.
type attack struct {
	name string
	try  func(*testing.T, *victim)
}

// marker is the text that attackers write into everything that they can.
const marker = "pwned"

// attacks has all attacks.
var attacks = slices.Concat(forgeries, parameters, paths, credentials, oversized, injections, replays, fromSufrah, onCache, onQueue, fromTwilio)

// TestAttacks makes every attack, most of them on the same stack. Each attack has a customer of its own, and a restaurant of
// its own if it opens a conversation.
func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: attacks take as much of a processor as a third of all other short tests")
	}
	t.Parallel()
	stack, log := serveTarget(t)
	t.Run("all", func(t *testing.T) {
		seen := make(map[string]bool)
		for i, a := range attacks {
			if seen[a.name] {
				t.Errorf("two attacks are called %q", a.name)
			}
			seen[a.name] = true
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				v := newVictim(t, stack, log, i)
				a.try(t, v)
				checkLog(t, v.own.String())
			})
		}
	})
	checkLog(t, log.String())
	for call := range stack.Sufrah.Calls() {
		if !regexp.MustCompile(`^/api/v1/external/(merchants/merchant-demo-\d{3}/(categories|branches)|categories/cat-[a-z]+/products)$`).MatchString(call) {
			t.Errorf("an attack made us call Sufrah at %s", call)
		}
	}
	if n := conversationsOf(t, stack, "clxyz123abc"); n != 45 {
		t.Errorf("after all attacks the example restaurant is billed %d conversations, want the demo's 45", n)
	}
}

func serveTarget(t *testing.T) (*devstack.Stack, *syncBuffer) {
	t.Helper()
	log := new(syncBuffer)
	return serveLogging(t, noon, log), log
}

// victim is a stack under attack, with the customer and the restaurant that this attack has to itself.
type victim struct {
	*devstack.Stack
	log *syncBuffer // the stack's log
	own *syncBuffer // log of functions that only this attack uses

	attack     int
	customer   string
	restaurant string // its id
	number     string // the restaurant's WhatsApp number
	before     int64  // the restaurant's conversations before the attack

	cache *miniredis.Miniredis // cache of the functions that only this attack uses
}

func newVictim(t *testing.T, stack *devstack.Stack, log *syncBuffer, attack int) *victim {
	t.Helper()
	v := &victim{Stack: stack, log: log, own: new(syncBuffer), attack: attack, customer: fmt.Sprintf("+9665%08d", attack+1)}
	// The attacks that open a conversation are the last ones, and there are more restaurants than such attacks.
	restaurant := 1 + attack%145
	v.restaurant, v.number = fmt.Sprintf("demo-%03d", restaurant), fmt.Sprintf("+96611%07d", restaurant)
	v.before = v.conversations(t)
	return v
}

// alone makes an attack on a stack of its own, because the attack changes the clock or the backends.
func alone(try func(*testing.T, *victim)) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) {
		stack, log := serveTarget(t)
		v = newVictim(t, stack, log, v.attack)
		try(t, v)
		checkLog(t, log.String())
	}
}

// secrets must not appear in an answer or in the log.
var secrets = []string{
	devstack.TwilioAuthToken, "local-sufrah-key", "local-admin-key", "local-dashboard-pat", "local-pat-clxyz123abc",
	base64.StdEncoding.EncodeToString([]byte(devstack.TwilioAuthToken)), credential.HashOf("local-admin-key").String(),
}

var wholeNumber = regexp.MustCompile(`(\+|%2B|00)?9665\d{8}`)

func checkTells(t *testing.T, what, text string) {
	t.Helper()
	for _, told := range append([]string{marker}, secrets...) {
		if strings.Contains(strings.ToLower(text), strings.ToLower(told)) {
			t.Errorf("%s tells an attacker %q: %.600s", what, told, text)
		}
	}
	if number := wholeNumber.FindString(text); number != "" {
		t.Errorf("%s tells a customer's whole number %s: %.600s", what, number, text)
	}
}

// checkLog fails unless each line of a log is a JSON object (a log entry or metrics) that reveals nothing.
func checkLog(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		checkTells(t, "the log", line)
		var entry struct{ Level, Function string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("the log has a line that isn't JSON: %q", line)
			continue
		}
		metric := strings.Contains(line, `{"_aws":`)
		if entry.Level == "" && !metric || !strings.HasSuffix(line, "}\n") || strings.ContainsAny(line, "\r\x1b\u2028") {
			t.Errorf("an attacker has forged a line of the log: %q", line)
		}
	}
}

func conversationsOf(t *testing.T, stack *devstack.Stack, restaurant string) int64 {
	t.Helper()
	return read[figures](t, get(t, stack, "/api/usage", asDashboard, "X-Restaurant-Id: "+restaurant), 200).ConversationsThisMonth
}

// conversations returns the number of the restaurant's conversations this month.
func (v *victim) conversations(t *testing.T) int64 {
	t.Helper()
	return conversationsOf(t, v.Stack, v.restaurant)
}

// checkUntouched fails if the attack had any effect.
func (v *victim) checkUntouched(t *testing.T) {
	t.Helper()
	if n := v.conversations(t); n != v.before {
		t.Errorf("the attack changed the restaurant's bill: %d conversations, want %d as before", n, v.before)
	}
	if sent := v.Twilio.Messages(v.customer); len(sent) != 0 {
		t.Errorf("the attack made us send %+v, want nothing", sent)
	}
}

// request is an HTTP request.
type request struct {
	method, target, body string
	headers              []string // "Name: value"
}

// refused is an attack by a request that must be answered with the status and code, and must have no effect.
func refused(status int, code string, build func(*testing.T, *victim) request) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) {
		r := build(t, v)
		a := do(t, v.Stack, r.method, r.target, r.body, r.headers...)
		checkTells(t, "the answer", string(a.body)+fmt.Sprint(a.header))
		var got struct{ Code, Message string }
		if err := json.Unmarshal(a.body, &got); err != nil && r.method != http.MethodHead && code != "" {
			t.Errorf("the attack is answered with %q, which isn't JSON", a.body)
		}
		if a.status != status || got.Code != code {
			t.Errorf("the attack is answered with %d and code %q, want %d and %q: %.300s", a.status, got.Code, status, code, a.body)
		}
		v.checkUntouched(t)
	}
}

// ask makes a GET of the API.
func ask(target string, headers ...string) func(*testing.T, *victim) request {
	return func(*testing.T, *victim) request { return request{http.MethodGet, target, "", headers} }
}

// post is a webhook as Twilio sends it, from the victim's customer to the victim's restaurant, with the attacker's changes.
type post struct {
	form      url.Values
	signedURL string
	token     string
	target    string
	headers   []string
	// afterSigning changes the form after it was signed.
	afterSigning func(url.Values)
	// signatures returns the values of the signature header, given the right one.
	signatures func(right string) []string
	// body changes the encoded form.
	body func(encoded string) string
	// contentType replaces the right content type; "-" leaves the header out.
	contentType string
	method      string
}

// deliver makes a webhook with an attacker's changes.
func deliver(change func(*post)) func(*testing.T, *victim) request {
	return func(_ *testing.T, v *victim) request { return v.post(change) }
}

func (v *victim) post(change func(*post)) request {
	p := post{
		form: url.Values{
			"AccountSid": {"AC25bf8e1a2393f1108d37029b3df55932"}, "MessageSid": {"SM" + strings.Repeat("0", 24) + v.customer[5:]},
			"From": {"whatsapp:" + v.customer}, "To": {"whatsapp:" + v.number}, "Body": {"hello " + marker},
			"ProfileName": {marker}, "NumMedia": {"0"},
		},
		signedURL: devstack.EventsWebhookURL, token: devstack.TwilioAuthToken, target: webhook.Path, method: http.MethodPost,
		afterSigning: func(url.Values) {}, signatures: func(right string) []string { return []string{right} },
		body: func(encoded string) string { return encoded }, contentType: "application/x-www-form-urlencoded",
	}
	change(&p)
	right := twilio.Signature(p.token, p.signedURL, p.form)
	p.afterSigning(p.form)
	r := request{p.method, p.target, p.body(p.form.Encode()), p.headers}
	for _, signature := range p.signatures(right) {
		r.headers = append(r.headers, "X-Twilio-Signature: "+signature)
	}
	if p.contentType != "-" {
		r.headers = append(r.headers, "Content-Type: "+p.contentType)
	}
	return r
}

// signed makes a webhook with a signature that is derived from the right one.
func signed(forge func(right string) string) func(*testing.T, *victim) request {
	return deliver(func(p *post) { p.signatures = func(right string) []string { return []string{forge(right)} } })
}

// altered makes a webhook that is changed after signing.
func altered(change func(url.Values)) func(*testing.T, *victim) request {
	return deliver(func(p *post) { p.afterSigning = change })
}

// withForm makes a webhook that is changed before Twilio signs it.
func withForm(change func(url.Values)) func(*testing.T, *victim) request {
	return deliver(func(p *post) { change(p.form) })
}

func set(name string, values ...string) func(url.Values) {
	return func(form url.Values) { form[name] = values }
}

// forgeries have a signature that Twilio didn't make, or made for another request.
var forgeries = []attack{
	{"signature missing", refused(403, "forbidden", deliver(func(p *post) { p.signatures = func(string) []string { return nil } }))},
	{"signature empty", refused(403, "forbidden", signed(func(string) string { return "" }))},
	{"signature made up", refused(403, "forbidden", signed(func(string) string { return "c2lnbmF0dXJlIG1hZGUgdXA9PT0=" }))},
	{"signature truncated by a character", refused(403, "forbidden", signed(func(s string) string { return s[:len(s)-1] }))},
	{"signature truncated to a character", refused(403, "forbidden", signed(func(s string) string { return s[:1] }))},
	{"signature longer than it is", refused(403, "forbidden", signed(func(s string) string { return s + "A" }))},
	{"signature without padding", refused(403, "forbidden", signed(func(s string) string { return strings.TrimRight(s, "=") }))},
	{"signature in the URL's alphabet", refused(403, "forbidden", deliver(func(p *post) {
		for n := 0; !strings.ContainsAny(twilio.Signature(p.token, p.signedURL, p.form), "+/"); n++ {
			p.form.Set("Body", fmt.Sprint("hello", n))
		}
		p.signatures = func(s string) []string { return []string{strings.NewReplacer("+", "-", "/", "_").Replace(s)} }
	}))},
	{"signature in hexadecimal", refused(403, "forbidden", signed(func(s string) string {
		raw, _ := base64.StdEncoding.DecodeString(s)
		return hex.EncodeToString(raw)
	}))},
	{"signature in another case", refused(403, "forbidden", signed(strings.ToLower))},
	{"signature of SHA-256", refused(403, "forbidden", signed(func(string) string {
		mac := hmac.New(sha256.New, []byte(devstack.TwilioAuthToken))
		mac.Write([]byte(devstack.EventsWebhookURL))
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}))},
	{"signature with an empty token", refused(403, "forbidden", deliver(func(p *post) { p.token = "" }))},
	{"signature with another account's token", refused(403, "forbidden", deliver(func(p *post) { p.token = "token of another" }))},
	{"signature with the account's SID for a token", refused(403, "forbidden", deliver(func(p *post) { p.token = p.form.Get("AccountSid") }))},
	{"signature of another host", refused(403, "forbidden", deliver(func(p *post) { p.signedURL = "http://evil.example" + webhook.Path }))},
	{"signature of the host that the request names", refused(403, "forbidden", deliver(func(p *post) {
		p.signedURL = "https://evil.example" + webhook.Path
		p.headers = []string{"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Forwarded: host=evil.example;proto=https"}
	}))},
	{"signature of another scheme", refused(403, "forbidden", deliver(func(p *post) { p.signedURL = strings.Replace(p.signedURL, "http", "https", 1) }))},
	{"signature of another path", refused(403, "forbidden", deliver(func(p *post) { p.signedURL += "/" }))},
	{"signature of another user's URL", refused(403, "forbidden", deliver(func(p *post) {
		p.signedURL = strings.Replace(p.signedURL, "//", "//user@", 1)
	}))},
	{"signature twice", refused(403, "forbidden", deliver(func(p *post) { p.signatures = func(s string) []string { return []string{s, s} } }))},
	{"signature among others, at the end", refused(403, "forbidden", signed(func(s string) string { return "bad," + s }))},
	{"signature among others, at the begin", refused(403, "forbidden", signed(func(s string) string { return s + ", bad" }))},
	{"signature in another header", refused(403, "forbidden", deliver(func(p *post) {
		right := twilio.Signature(p.token, p.signedURL, p.form)
		p.signatures = func(string) []string { return nil }
		p.headers = []string{"X_Twilio_Signature: " + right, "X-Twilio-Signature-Sha1: " + right, "Twilio-Signature: " + right}
	}))},
	{"signature in the query", refused(403, "forbidden", deliver(func(p *post) {
		p.target += "?X-Twilio-Signature=" + url.QueryEscape(twilio.Signature(p.token, p.signedURL, p.form))
		p.signatures = func(string) []string { return nil }
	}))},
	{"signature of another text", refused(403, "forbidden", altered(set("Body", "menu")))},
	{"signature of another customer", refused(403, "forbidden", altered(set("From", "whatsapp:+966599999999")))},
	{"signature of another restaurant", refused(403, "forbidden", altered(set("To", "whatsapp:+966110000001")))},
	{"signature of another message", refused(403, "forbidden", altered(set("MessageSid", "SM"+strings.Repeat("f", 32))))},
	{"parameter stripped", refused(403, "forbidden", altered(func(form url.Values) { form.Del("NumMedia") }))},
	{"parameter added", refused(403, "forbidden", altered(set("ButtonPayload", "browse_menu")))},
	{"parameter empty and added", refused(403, "forbidden", altered(set("Z", "")))},
	{"query added", refused(403, "forbidden", deliver(func(p *post) { p.target += "?Body=menu" }))},
	{"parameter swallowed by the message's id", refused(400, "invalid_parameter", altered(func(form url.Values) {
		form.Set("MessageSid", form.Get("MessageSid")+"NumMedia0")
		form.Del("NumMedia")
	}))},
	{"sender swallowed by the text", refused(403, "forbidden", altered(func(form url.Values) {
		form.Set("Body", form.Get("Body")+"From"+form.Get("From"))
		form.Del("From")
	}))},
	{"text that pretends to be the sender", refused(403, "forbidden", altered(func(form url.Values) {
		form.Set("Body", form.Get("Body")+"Fromwhatsapp:+966599999999")
	}))},
}

// parameters are given twice, under other names, in other places, or with digits that only look like digits.
var parameters = []attack{
	{"two senders", refused(400, "invalid_parameter", withForm(func(form url.Values) { form.Add("From", "whatsapp:+966599999999") }))},
	{"two restaurants", refused(404, "restaurant_not_found", withForm(func(form url.Values) { form.Add("To", "whatsapp:+966110000001") }))},
	{"the same restaurant twice", refused(404, "restaurant_not_found", withForm(func(form url.Values) { form.Add("To", form.Get("To")) }))},
	{"two messages in one", refused(400, "invalid_parameter", withForm(func(form url.Values) { form.Add("MessageSid", "SM"+strings.Repeat("f", 32)) }))},
	{"form in the query", refused(404, "restaurant_not_found", deliver(func(p *post) {
		p.target += "?" + p.form.Encode()
		p.signedURL += "?" + p.form.Encode()
		p.form = url.Values{}
	}))},
	{"form in JSON", refused(415, "unsupported_media_type", deliver(func(p *post) { p.contentType = "application/json" }))},
	{"form in parts", refused(415, "unsupported_media_type", deliver(func(p *post) { p.contentType = "multipart/form-data; boundary=x" }))},
	{"form of no type", refused(415, "unsupported_media_type", deliver(func(p *post) { p.contentType = "-" }))},
	{"form of two types", refused(415, "unsupported_media_type", deliver(func(p *post) { p.contentType += ", text/plain" }))},
	{"form with semicolons", refused(400, "malformed_form", deliver(func(p *post) {
		p.body = func(encoded string) string { return encoded + ";To=whatsapp:%2B966110000001" }
	}))},
	{"form with half an escape", refused(400, "malformed_form", deliver(func(p *post) { p.body = func(encoded string) string { return encoded + "&a=%" } }))},
	{"form compressed", refused(403, "forbidden", deliver(func(p *post) {
		p.headers = []string{"Content-Encoding: gzip"}
		p.body = func(encoded string) string { return hex.EncodeToString(gzipped(strings.NewReader(encoded))) }
	}))},
	{"another method in a header", refused(405, "method_not_allowed", deliver(func(p *post) {
		p.method, p.headers = http.MethodGet, []string{"X-HTTP-Method-Override: POST", "X-HTTP-Method: POST"}
	}))},

	{"restaurant's number in Arabic digits", refused(404, "restaurant_not_found", withForm(set("To", "whatsapp:+٩٦٦١١٠٠٠٠٠٠٠")))},
	{"restaurant's number in full width", refused(404, "restaurant_not_found", withForm(set("To", "whatsapp:＋９６６１１０００００００")))},
	{"restaurant's number with a mathematical digit", refused(404, "restaurant_not_found", withForm(set("To", "whatsapp:+96611000000𝟎")))},
	{"restaurant's number with the letter O", refused(404, "restaurant_not_found", withForm(set("To", "whatsapp:+96611OOOOOOO")))},
	{"customer's number in Arabic digits", refused(400, "invalid_parameter", withForm(set("From", "whatsapp:+٩٦٦٥٠٠٠٠٠٠٠١")))},
	{"customer's number in Persian digits", refused(400, "invalid_parameter", withForm(set("From", "whatsapp:+۹۶۶۵۰۰۰۰۰۰۰۱")))},
	{"customer's number with an invisible joiner", refused(400, "invalid_parameter", withForm(set("From", "whatsapp:+96650000\u200d0001")))},
	{"customer's number written backwards", refused(400, "invalid_parameter", withForm(set("From", "whatsapp:\u202e+966500000001")))},
	{"customer's number behind a look-alike colon", refused(400, "invalid_parameter", withForm(set("From", "whatsapp：+966500000001")))},
	{"customer's number with a NUL", refused(400, "invalid_parameter", withForm(set("From", "whatsapp:+966500000001\x00")))},
	{"customer's number on two lines", refused(400, "invalid_parameter", withForm(set("From", "whatsapp:+9665\n00000001")))},
	{"customer without a country", refused(400, "invalid_parameter", withForm(set("From", "whatsapp:0500000001")))},
	{"customer who is two", refused(400, "invalid_parameter", withForm(set("From", "whatsapp:+966500000001,+966500000002")))},
	{"message's id with a look-alike letter", refused(400, "invalid_parameter", withForm(set("MessageSid", "ЅМ"+strings.Repeat("0", 32))))},
	{"message's id with a NUL", refused(400, "invalid_parameter", withForm(set("MessageSid", "SM\x00"+marker)))},
	{"message's id with a key's separator", refused(400, "invalid_parameter", withForm(set("MessageSid", "SM#customer#"+marker)))},
	{"message's id missing", refused(400, "invalid_parameter", withForm(func(form url.Values) { form.Del("MessageSid") }))},

	{"limit twice", refused(400, "invalid_parameter", ask("/api/usage?limit=1&limit=100", asAdmin))},
	{"limit twice, once encoded", refused(400, "invalid_parameter", ask("/api/usage?limit=1&%6cimit=100", asAdmin))},
	{"limit in Arabic digits", refused(400, "invalid_parameter", ask("/api/usage?limit=%D9%A5", asAdmin))},
	{"limit in full width", refused(400, "invalid_parameter", ask("/api/usage?limit=%EF%BC%95", asAdmin))},
	{"limit with a sign", refused(400, "invalid_parameter", ask("/api/usage?limit=%2B5", asAdmin))},
	{"limit in hexadecimal", refused(400, "invalid_parameter", ask("/api/usage?limit=0x10", asAdmin))},
	{"limit with an exponent", refused(400, "invalid_parameter", ask("/api/usage?limit=1e2", asAdmin))},
	{"limit with a NUL", refused(400, "invalid_parameter", ask("/api/usage?limit=5%00"+marker, asAdmin))},
	{"limit that closes a quotation", refused(400, "invalid_parameter", ask("/api/usage?limit="+url.QueryEscape(`1'"><script>`+marker), asAdmin))},
	{"parameters apart by a semicolon", refused(400, "invalid_parameter", ask("/api/usage?limit=5;offset=1", asAdmin))},
	{"offset that wraps round", refused(400, "invalid_parameter", ask("/api/usage?offset=-9223372036854775808", asAdmin))},
	{"filter twice", refused(400, "invalid_parameter", ask("/api/usage?isActive=true&isActive=false", asAdmin))},
	{"restaurant's id with a look-alike letter", refused(404, "restaurant_not_found", ask("/api/usage", asDashboard, "X-Restaurant-Id: сlxyz123abc"))},
	{"restaurant's id with a wildcard", refused(404, "restaurant_not_found", ask("/api/usage", asDashboard, "X-Restaurant-Id: *"))},
	{"restaurant's id with a condition", refused(404, "restaurant_not_found", ask("/api/usage", asDashboard, "X-Restaurant-Id: ' OR '1'='1"))},
}

// paths try to get around the routes.
var paths = []attack{
	{"path with encoded dots", refused(404, "not_found", ask("/api/usage/%2e%2e/usage", asAdmin))},
	{"path with dots encoded twice", refused(404, "restaurant_not_found", ask("/api/usage/%252e%252e", asAdmin))},
	{"path with dots", refused(404, "not_found", ask("/api/usage/../usage", asAdmin))},
	{"path with a dot", refused(404, "not_found", ask("/api/./usage", asAdmin))},
	{"path with double slashes before", refused(404, "not_found", ask("//api/usage", asAdmin))},
	{"path with double slashes within", refused(404, "not_found", ask("/api//usage", asAdmin))},
	{"path with double slashes behind", refused(404, "not_found", ask("/api/usage//", asAdmin))},
	{"path with an encoded slash", refused(404, "not_found", ask("/api/usage%2Fclxyz123abc%2Fhistory", asAdmin))},
	{"path with a backslash", refused(404, "not_found", ask("/api%5Cusage", asAdmin))},
	{"path in capitals", refused(404, "not_found", ask("/API/USAGE", asAdmin))},
	{"path with a parameter", refused(404, "not_found", ask("/api/usage;admin=true", asAdmin))},
	{"path with an encoded query", refused(404, "not_found", ask("/api/usage%3Flimit=1", asAdmin))},
	{"path with an encoded fragment", refused(404, "not_found", ask("/api/usage%23", asAdmin))},
	{"path with a NUL", refused(404, "restaurant_not_found", ask("/api/usage/clxyz123abc%00", asAdmin))},
	{"path with a line's end", refused(404, "restaurant_not_found", ask("/api/usage/clxyz123abc%0d%0aX-Pwned:%20"+marker, asAdmin))},
	{"path with bytes that are no text", refused(404, "restaurant_not_found", ask("/api/usage/%ff%fe", asAdmin))},
	{"path with a look-alike letter", refused(404, "restaurant_not_found", ask("/api/usage/%D1%81lxyz123abc", asAdmin))},
	{"path of another restaurant, with a slash", refused(403, "forbidden", ask("/api/usage/demo-001/", asOwner))},
	{"path of another restaurant behind dots", refused(404, "not_found", ask("/api/usage/clxyz123abc/../demo-001", asOwner))},
	{"path to the files", refused(404, "not_found", ask("/api/usage/..%2f..%2f..%2fetc%2fpasswd", asAdmin))},
	{"path to the database behind dots", refused(404, "not_found", ask("/api/../sandbox/dynamodb", asAdmin))},
	{"path of the webhook with a slash", refused(404, "not_found", deliver(func(p *post) { p.target += "/" }))},
	{"path of the webhook in capitals", refused(404, "not_found", deliver(func(p *post) { p.target = strings.ToUpper(p.target) }))},
	{"path of the webhook with double slashes", refused(404, "not_found", deliver(func(p *post) { p.target = "/" + p.target }))},
	{"path of the webhook encoded, unsigned", refused(403, "forbidden", deliver(func(p *post) {
		p.target = "/%77ebhooks/whatsapp"
		p.signatures = func(string) []string { return nil }
	}))},
}

// credentials are guessed, somebody else's, expired, in the wrong place, or joined in one header.
var credentials = []attack{
	{"token guessed but for its end", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer local-pat-clxyz123abd", ofExample))},
	{"token guessed but for its begin", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer kocal-pat-clxyz123abc", ofExample))},
	{"token cut off", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer local-pat-clxyz123ab", ofExample))},
	{"token and more", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer local-pat-clxyz123abc0", ofExample))},
	{"token in capitals", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer LOCAL-PAT-CLXYZ123ABC", ofExample))},
	{"token's stored hash", refused(401, "unauthorized", ask("/api/usage",
		"Authorization: Bearer "+credential.HashOf("local-pat-clxyz123abc").String(), ofExample))},
	{"token's public id", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer cr_local_example", ofExample))},
	{"token that is a pattern", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer *", ofExample))},
	{"token of 100 KB", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer "+strings.Repeat("a", 100<<10), ofExample))},
	{"token as an empty scheme's", refused(401, "unauthorized", ask("/api/usage", "Authorization:  local-pat-clxyz123abc", ofExample))},
	{"token as Basic", refused(401, "unauthorized", ask("/api/usage",
		"Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(":local-pat-clxyz123abc")), ofExample))},
	{"token in the query", refused(401, "unauthorized", ask("/api/usage?access_token=local-pat-clxyz123abc&api_key=local-admin-key", ofExample))},
	{"token in a cookie", refused(401, "unauthorized", ask("/api/usage", "Cookie: Authorization=Bearer local-pat-clxyz123abc", ofExample))},
	{"token used as a key", refused(401, "unauthorized", ask("/api/usage", "X-API-Key: local-dashboard-pat"))},
	{"key used as a token", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer local-admin-key", ofExample))},
	{"key with underscores in its header", refused(401, "unauthorized", ask("/api/usage", "X_API_Key: local-admin-key"))},
	{"key guessed", refused(401, "unauthorized", ask("/api/usage/clxyz123abc", "X-API-Key: local-admin-keX"))},
	{"an administrator by his own word", refused(401, "unauthorized", ask("/api/usage/clxyz123abc",
		"X-Admin: true", "X-Role: admin", "X-Amzn-Oidc-Identity: admin", "X-Original-User: admin", "X-Forwarded-For: 127.0.0.1"))},
	{"token of another restaurant", refused(403, "forbidden", ask("/api/usage", asOwner, "X-Restaurant-Id: demo-001"))},
	{"token on an administrator's route", refused(403, "forbidden", ask("/api/usage/clxyz123abc", asOwner))},
	{"token for all on an administrator's route", refused(403, "forbidden", ask("/api/usage/clxyz123abc", asDashboard))},
	{"token of a restaurant in other letters", refused(403, "forbidden", ask("/api/usage", asOwner, "X-Restaurant-Id: CLXYZ123ABC"))},

	{"restaurants joined by a comma", refused(403, "forbidden", ask("/api/usage", asOwner, "X-Restaurant-Id: clxyz123abc,demo-001"))},
	{"restaurants in two headers", refused(403, "forbidden", ask("/api/usage", asOwner, ofExample, "X-Restaurant-Id: demo-001"))},
	{"restaurant behind an empty one", refused(403, "forbidden", ask("/api/usage", asOwner, "X-Restaurant-Id: ,clxyz123abc"))},
	{"tokens joined by a comma", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer bad,Bearer local-pat-clxyz123abc", ofExample))},
	{"tokens in two headers", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer bad", asOwner, ofExample))},
	{"token before a comma", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer local-pat-clxyz123abc,", ofExample))},
	{"keys joined by a comma", refused(401, "unauthorized", ask("/api/usage", "X-API-Key: bad,local-admin-key"))},
	{"keys in two headers", refused(401, "unauthorized", ask("/api/usage", asAdmin, "X-Api-Key: bad"))},
	{"key behind an empty one", refused(401, "unauthorized", ask("/api/usage", "X-API-Key: ", asAdmin))},
	{"key and token", refused(400, "ambiguous_credentials", ask("/api/usage", asOwner, asAdmin, ofExample))},
	{"key smuggled behind a token's comma", refused(401, "unauthorized", ask("/api/usage",
		"Authorization: Bearer local-pat-clxyz123abc,X-API-Key: local-admin-key", ofExample))},

	{"token expired", stored(credential.Grant{Kind: credential.PAT, All: true, ExpiresAt: noon}, false)},
	{"token revoked", stored(credential.Grant{Kind: credential.PAT, All: true}, true)},
	{"token revoked while it is in use", alone(func(t *testing.T, v *victim) {
		vault := v.Store()
		g := credential.Grant{Kind: credential.PAT, All: true}
		if err := vault.AddCredential(t.Context(), g.Credential("token-in-use", "cr_in_use", noon)); err != nil {
			t.Fatalf("storing the credential: %v", err)
		}
		if a := get(t, v.Stack, "/api/usage", "Authorization: Bearer token-in-use", ofExample); a.status != 200 {
			t.Fatalf("before it is revoked, the token is answered with %d %s, want 200", a.status, a.body)
		}
		if err := vault.RevokeCredential(t.Context(), "cr_in_use", noon); err != nil {
			t.Fatalf("revoking the credential: %v", err)
		}
		put(t, v.Stack, "/sandbox/clock", `{"offset": "60s"}`) // the longest time for which an instance uses a remembered credential
		refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer token-in-use", ofExample))(t, v)
	})},
	{"token for two asks for a third", func(t *testing.T, v *victim) {
		vault := v.Store()
		g := credential.Grant{Kind: credential.PAT, Restaurants: []string{"demo-001", "demo-002"}}
		if err := vault.AddCredential(t.Context(), g.Credential("token-for-two", "cr_two", noon)); err != nil {
			t.Fatalf("storing the credential: %v", err)
		}
		for _, id := range []string{"demo-003", "demo-001,demo-002", "demo-00", "demo-0011", "*", "nobody"} {
			refused(403, "forbidden", ask("/api/usage", "Authorization: Bearer token-for-two", "X-Restaurant-Id: "+id))(t, v)
		}
	}},
	{"token guessed while the store is down", alone(func(t *testing.T, v *victim) {
		put(t, v.Stack, "/sandbox/store", `{"failRate": 1, "status": 500}`)
		a := get(t, v.Stack, "/api/usage", "Authorization: Bearer nobody", ofExample)
		checkTells(t, "the answer", string(a.body))
		if got := read[failure](t, a, 503); got.Code != "unavailable" {
			t.Errorf("a caller who can't be verified gets %s, want code unavailable", a.body)
		}
	})},
}

// stored is an attempt with a token that the store has, and that is no longer valid.
func stored(g credential.Grant, revoked bool) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) {
		vault := v.Store()
		token, id := fmt.Sprint("token-of-the-past-", v.attack), fmt.Sprint("cr_past_", v.attack)
		if err := vault.AddCredential(t.Context(), g.Credential(token, id, noon.Add(-time.Hour))); err != nil {
			t.Fatalf("storing the credential: %v", err)
		}
		if revoked {
			if err := vault.RevokeCredential(t.Context(), id, noon); err != nil {
				t.Fatalf("revoking the credential: %v", err)
			}
		}
		refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer "+token, ofExample))(t, v)
	}
}

// oversized requests have far more of something than any client needs.
var oversized = []attack{
	{"body over what the function takes", refused(413, "body_too_large", deliver(func(p *post) { p.form.Set("Body", strings.Repeat("a", 64<<10)) }))},
	{"body over what the gateway takes", refused(413, "", deliver(func(p *post) {
		p.body = func(string) string { return strings.Repeat("a", 10<<20+1) }
	}))},
	{"body of a read", refused(413, "body_too_large", func(*testing.T, *victim) request {
		return request{http.MethodGet, "/api/usage", strings.Repeat("a", 64<<10+1), []string{asOwner, ofExample}}
	})},
	{"form of ten thousand parameters", refused(400, "malformed_form", deliver(func(p *post) {
		p.body = func(string) string { return strings.Repeat("a=b&", 10_000) }
	}))},
	{"headers over what the server takes", refused(431, "", ask("/webhooks/whatsapp", "X-Large: "+strings.Repeat("a", 2<<20)))},
	{"restaurant's id of 100 KB", refused(404, "restaurant_not_found", ask("/api/usage", asDashboard, "X-Restaurant-Id: "+strings.Repeat("a", 100<<10)))},
	{"path of 100 KB", refused(404, "restaurant_not_found", ask("/api/usage/"+strings.Repeat("a", 100<<10), asAdmin))},
	{"path of fifty thousand segments", refused(404, "not_found", ask("/api/usage"+strings.Repeat("/a", 50_000), asAdmin))},
	{"query of a hundred thousand parameters", refused(400, "invalid_parameter", ask("/api/usage?limit=0&"+strings.Repeat("a&", 100_000), asAdmin))},
	{"huge offset", hugeOffset("9007199254740991")},
	{"huge offset, past what is exact", hugeOffset("9007199254740993")},
	{"huge offset, past what a machine word holds", hugeOffset("9223372036854775808")},
	{"huge offset, of a thousand digits", hugeOffset(strings.Repeat("9", 1000))},
}

// hugeOffset is a page so far beyond the end that a sum with its offset could overflow.
func hugeOffset(offset string) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) {
		for _, filter := range []string{"", "&isActive=true", "&isActive=false"} {
			got := read[page](t, get(t, v.Stack, "/api/usage?limit=100&offset="+offset+filter, asAdmin), 200)
			if len(got.Data) != 0 || got.Pagination.HasMore || got.Pagination.Offset != 1<<53-1 || got.Pagination.Total == 0 {
				t.Errorf("the list at the huge offset %.30s%s shows %d restaurants with %+v, want none, and the largest offset", offset, filter, len(got.Data), got.Pagination)
			}
		}
	}
}

// forgedLine ends a log line and begins another, in every way that a log reader might accept.
const forgedLine = "\"}\r\n\u2028\u0085\x1b[2K{\"level\":\"INFO\",\"message\":\"" + marker + "\",\"_aws\":{}}\n"

// injections write into the log, or into messages to customers.
var injections = []attack{
	{"log line in a path", refused(404, "restaurant_not_found", ask("/api/usage/"+url.PathEscape(forgedLine), asAdmin))},
	{"log line in a query", refused(400, "invalid_parameter", ask("/api/usage?limit="+url.QueryEscape(forgedLine), asAdmin))},
	{"log line in headers", refused(401, "unauthorized", ask("/api/usage", "Authorization: Bearer "+marker+`"}{"level":"INFO"}`,
		"X-Restaurant-Id: "+marker+`"}{`, "User-Agent: "+marker, "X-Request-Id: "+marker, "X-Amzn-Trace-Id: "+marker, "Apigw-Requestid: "+marker))},
	{"log line in an unsigned form", refused(403, "forbidden", deliver(func(p *post) {
		for name := range p.form {
			if name != "To" {
				p.form.Set(name, forgedLine)
			}
		}
		p.signatures = func(string) []string { return []string{marker} }
	}))},
	{"log line in a message's id", refused(400, "invalid_parameter", withForm(set("MessageSid", forgedLine)))},
	{"log line in a number", refused(404, "restaurant_not_found", withForm(set("To", "whatsapp:+966110000000"+forgedLine)))},
	{"log line in a message", func(t *testing.T, v *victim) {
		v.take(t, func(p *post) {
			p.form.Set("Body", forgedLine)
			p.form.Set("ButtonText", forgedLine)
			p.form.Set("ButtonPayload", forgedLine)
		})
	}},
	{"header in a customer's name", func(t *testing.T, v *victim) {
		v.take(t, func(p *post) {
			p.form.Set("ProfileName", "Guest\r\nX-Evil: 1\x00\u202e\u2028{{1}}"+strings.Repeat("a", 1000))
		})
		for _, m := range v.Twilio.Messages(v.customer) {
			name := m.ContentVariables["2"]
			if strings.ContainsAny(name, "\r\n\x00\u2028") || utf8.RuneCountInString(name) > 100 {
				t.Errorf("the welcome's template got the name %q, which WhatsApp refuses", name)
			}
		}
	}},
	{"markup in a message", func(t *testing.T, v *victim) {
		a := v.take(t, func(p *post) { p.form.Set("Body", "<Response><Message>"+marker+"</Message></Response>") })
		if string(a.body) != "<Response/>" {
			t.Errorf("Twilio was answered %s, want <Response/>: a customer's markup would be sent", a.body)
		}
	}},
}

// send sends a request and returns the answer. It fails unless the answer has the status.
func (v *victim) send(t *testing.T, r request, status int) answer {
	t.Helper()
	a := do(t, v.Stack, r.method, r.target, r.body, r.headers...)
	checkTells(t, "the answer", string(a.body)+fmt.Sprint(a.header))
	if a.status != status {
		t.Fatalf("the request is answered with %d, want %d: %.300s", a.status, status, a.body)
	}
	return a
}

// take sends a validly signed message, which opens a conversation and gets a welcome.
func (v *victim) take(t *testing.T, change func(*post)) answer {
	t.Helper()
	a := v.send(t, v.post(change), 200)
	v.checkTaken(t)
	return a
}

// checkTaken fails unless the customer has one conversation and one welcome.
func (v *victim) checkTaken(t *testing.T) {
	t.Helper()
	if n, sent := v.conversations(t), v.Twilio.Messages(v.customer); n != v.before+1 || len(sent) != 1 {
		t.Errorf("the odd but valid message counted %d conversations, want 1, and brought its customer %d messages, want the welcome: %.500v", n-v.before, len(sent), sent)
	}
}

func unchanged(*post) {}

// replays send forms again that Twilio did sign.
var replays = []attack{
	{"replay", func(t *testing.T, v *victim) {
		v.take(t, unchanged)
		for range 3 {
			v.send(t, v.post(unchanged), 200)
		}
		v.checkTaken(t)
	}},
	{"replay with its parameters doubled", func(t *testing.T, v *victim) {
		v.take(t, unchanged)
		// Twilio signs equal pairs once, so this form has the same signature. With two From parameters the sender is unclear.
		v.send(t, v.post(func(p *post) { p.afterSigning = func(form url.Values) { form.Add("Body", form.Get("Body")) } }), 200)
		v.send(t, v.post(func(p *post) { p.afterSigning = func(form url.Values) { form.Add("From", form.Get("From")) } }), 400)
		v.checkTaken(t)
	}},
	{"replay in another order", func(t *testing.T, v *victim) {
		v.take(t, unchanged)
		v.send(t, v.post(func(p *post) {
			p.body = func(encoded string) string {
				pairs := strings.Split(encoded, "&")
				slices.Reverse(pairs)
				return strings.Join(pairs, "&")
			}
		}), 200)
		v.checkTaken(t)
	}},
	{"replay to another host", func(t *testing.T, v *victim) {
		v.take(t, unchanged)
		v.send(t, v.post(func(p *post) { p.headers = []string{"X-Forwarded-Host: evil.example"} }), 200)
		v.checkTaken(t)
	}},
	{"replay as a later message", func(t *testing.T, v *victim) {
		v.take(t, unchanged)
		v.send(t, v.post(func(p *post) { p.afterSigning = set("MessageSid", "SM"+strings.Repeat("e", 32)) }), 403)
		v.checkTaken(t)
	}},
	{"replay an hour later", alone(func(t *testing.T, v *victim) {
		v.take(t, unchanged)
		put(t, v.Stack, "/sandbox/clock", `{"offset": "1h"}`)
		v.send(t, v.post(unchanged), 200)
		v.checkTaken(t)
	})},
}

// behind returns a function of the victim, with some of its backends replaced by the attacker's. It has its own cache, waits
// for no other jobs, and enqueues none.
func (v *victim) behind(t *testing.T, name string, variables ...string) func(event any) []byte {
	t.Helper()
	v.cache = miniredis.RunT(t)
	handler := functionWith(t, v.Stack, name, v.own, append(variables,
		"CACHE_ENDPOINT="+v.cache.Addr(), "JOB_RATE_PER_MINUTE=1000", "BOOTSTRAP_QUEUE_URL="+v.BaseURL+devstack.SQSPath+"/000000000000/nowhere"))
	return func(event any) []byte {
		t.Helper()
		encoded, err := json.Marshal(event)
		if err != nil {
			t.Fatalf("encoding the JSON: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		answer, err := handler.Invoke(ctx, encoded)
		if err != nil {
			t.Fatalf("invoking the function: %v", err)
		}
		checkTells(t, "the answer", string(answer))
		return answer
	}
}

// jobs returns an SQS event with the given message bodies.
func jobs(bodies ...string) events.SQSEvent {
	var event events.SQSEvent
	for i, body := range bodies {
		event.Records = append(event.Records, events.SQSMessage{
			MessageId: fmt.Sprint("message-", i), Body: body, ReceiptHandle: "handle", EventSource: "aws:sqs",
			Attributes: map[string]string{"ApproximateReceiveCount": "1"},
		})
	}
	return event
}

func jobOf(v *victim, merchantID string) string {
	return fmt.Sprintf(`{"version":1,"jobId":"job-1","restaurantId":"clxyz123abc","merchantId":%q,"customerWa":%q,`+
		`"profileName":"Guest","enqueuedAt":%q}`, merchantID, v.customer, time.Now().UTC().Format(time.RFC3339))
}

// evilSufrah is an attack by a server in Sufrah's place. The job must fail as if Sufrah were down, and the instance must run
// the next job. If the answer is a valid list, want is the job's outcome.
func evilSufrah(want string, answer http.HandlerFunc) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) {
		var healed atomic.Bool
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !healed.Load() {
				answer(w, r)
				return
			}
			fmt.Fprint(w, `[{"id":"1","nameAr":"مشويات"}]`)
		}))
		t.Cleanup(server.Close)
		worker := v.behind(t, welcomebootstrap.Name, "SUFRAH_API_BASE="+server.URL)
		failed := worker(jobs(jobOf(v, fmt.Sprint("merchant-evil-", v.attack))))
		if outcome := string(failed); strings.Contains(outcome, "message-0") == (want == "completed") {
			t.Errorf("with Sufrah's evil answer the job's outcome is %s, want it %s", outcome, want)
		}
		if !strings.Contains(v.own.String(), `"message":"bootstrap job `+want) {
			t.Errorf("the log doesn't say that the job %s:\n%s", want, v.own)
		}
		healed.Store(true)
		v.cache.SetTime(time.Now().Add(time.Hour)) // longer than the longest Retry-After that is accepted
		if outcome := string(worker(jobs(jobOf(v, fmt.Sprint("merchant-good-", v.attack))))); strings.Contains(outcome, "message-0") {
			t.Errorf("after Sufrah's evil answer the next restaurant's job fails too: %s", outcome)
		}
	}
}

func gzipped(r io.Reader) []byte {
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, _ = io.Copy(w, r) // can't fail here
	_ = w.Close()
	return compressed.Bytes()
}

// answering answers with 200 and a body that repeats the text between begin and end.
func answering(begin, text string, times int, end string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, begin, strings.Repeat(text, times), end)
	}
}

// zeros is an endless file.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// fromSufrah are answers of an attacker in Sufrah's place, such as JSON bombs.
var fromSufrah = []attack{
	{"JSON bomb of brackets", evilSufrah("failed", answering("", "[", 1_000_000, ""))},
	{"JSON bomb of brackets in a field", evilSufrah("failed", answering(`[{"id":"1","nameAr":"a","city":`, `{"a":`, 500_000, ""))},
	{"JSON bomb of closed brackets in a field", evilSufrah("failed",
		answering(`[{"id":"1","nameAr":"a","x":`+strings.Repeat("[", 100_000), "]", 100_000, "}]"))},
	{"JSON bomb of entries", evilSufrah("failed", answering("[", `{"id":null,"nameAr":"a"},`, 6000, `{}]`))},
	{"JSON bomb of fields", evilSufrah("failed", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"id":"1"`)
		for i := range 10_000 {
			fmt.Fprintf(w, `,"f%d":1`, i)
		}
		fmt.Fprint(w, `}]`)
	})},
	{"JSON bomb of fields of one name", evilSufrah("failed", answering(`[{"id":"1"`, `,"nameAr":"a"`, 1000, `}]`))},
	{"JSON bomb of a number", evilSufrah("completed", answering(`[{"id":1e999999999,"nameAr":"a","displayOrder":1`, "0", 100_000, `}]`))},
	{"JSON bomb of a string", evilSufrah("failed", answering(`[{"id":"1","nameAr":"`, "a", 5<<20, `"}]`))},
	{"JSON bomb in gzip", evilSufrah("failed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(gzipped(io.LimitReader(zeros{}, 64<<20)))
	})},
	{"answer without end", evilSufrah("failed", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "[")
		_, _ = io.Copy(w, zeros{}) // until the client closes the connection
	})},
	{"answer shorter than it says", evilSufrah("failed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		fmt.Fprint(w, `[{"id":"1","nameAr":"a"}]`)
	})},
	{"answer with a megabyte of headers", evilSufrah("failed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("a", 1<<20))
		fmt.Fprint(w, "[]")
	})},
	{"answer of text that isn't UTF-8", evilSufrah("completed", answering(`[{"id":"1","nameAr":"`, "\xff\xfe", 100, `"}]`))},
	{"answer that repeats the key", evilSufrah("failed", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, `{"error":"%s with %s"}`, marker, r.Header.Get("Authorization"))
	})},
	{"list that repeats the key in place of an entry", evilSufrah("failed", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `[%q]`, marker+r.Header.Get("Authorization"))
	})},
	{"Retry-After for ever", evilSufrah("failed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "99999999999999999999")
		w.WriteHeader(http.StatusTooManyRequests)
	})},
	{"redirect round and round", evilSufrah("failed", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
	})},
	{"redirect that takes the key along", func(t *testing.T, v *victim) {
		thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			t.Errorf("a redirect led the secret to a thief: %s arrived with %q", r.URL, r.Header.Get("Authorization"))
		}))
		t.Cleanup(thief.Close)
		evilSufrah("failed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
		})(t, v)
	}},
	{"menu that floods the customer", func(t *testing.T, v *victim) {
		server := httptest.NewServer(answering(`[{"id":null,"nameAr":"a"}`, `,{"id":null,"nameAr":"`+strings.Repeat("a", 700)+`"}`, 4900, `]`))
		t.Cleanup(server.Close)
		receive := v.behind(t, processmessage.Name, "SUFRAH_API_BASE="+server.URL)
		receive(v.event(func(p *post) { p.form.Set("MessageSid", "SM"+strings.Repeat("1", 32)) }))
		receive(v.event(func(p *post) { p.form.Set("Body", "menu") }))
		v.checkNotFlooded(t)
	}},
}

// checkNotFlooded fails unless the customer was sent the welcome and at most ten more messages, all within WhatsApp's limits.
func (v *victim) checkNotFlooded(t *testing.T) {
	t.Helper()
	sent := v.Twilio.Messages(v.customer)
	if len(sent) < 2 || len(sent) > 11 {
		t.Errorf("Sufrah's evil answer made us send the customer %d messages, want 2 to 11", len(sent))
	}
	for _, m := range sent {
		if n := utf8.RuneCountInString(m.Body); n > 1600 {
			t.Errorf("the customer was sent a message of %d characters, WhatsApp takes 1,600", n)
		}
	}
}

// shown returns the visible part of a message: its text, or its list's rows.
func shown(m sandbox.SentMessage) string {
	text := m.Body
	if m.ListPicker != nil {
		text = m.ListPicker.Body + " [" + m.ListPicker.Button + "]"
		for _, item := range m.ListPicker.Items {
			text += "\n" + item.Item + " | " + item.Description + " | " + item.ID
		}
	}
	return text
}

// event is a webhook as API Gateway passes it to the function.
func (v *victim) event(change func(*post)) events.APIGatewayV2HTTPRequest {
	r := v.post(change)
	event := events.APIGatewayV2HTTPRequest{RawPath: r.target, Body: r.body, Headers: map[string]string{}}
	for _, header := range r.headers {
		name, value, _ := strings.Cut(header, ": ")
		event.Headers[strings.ToLower(name)] = value
	}
	event.RequestContext.HTTP.Method, event.RequestContext.Stage, event.RequestContext.RequestID = r.method, "$default", "request"
	return event
}

// poisoned is an attack by somebody who can write to the cache. A customer who asks for the menu must get the menu, fetched
// anew.
func poisoned(part, value string) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) {
		sent := v.menuAfter(t, v.menuKey(part), value)
		if len(sent) != 2 || !strings.Contains(shown(sent[0]), "مشويات") {
			t.Errorf("with a poisoned cache the customer got %d messages, want the welcome and the true menu: %.300v", len(sent), sent)
		}
	}
}

func (v *victim) menuKey(part string) string { return cache.Key("merchant-"+v.restaurant, part) }

// menuAfter sets a key of the cache, lets a new customer ask for the menu, and returns the messages sent to the customer.
func (v *victim) menuAfter(t *testing.T, key, value string) []sandbox.SentMessage {
	t.Helper()
	receive := v.behind(t, processmessage.Name)
	if err := v.cache.Set(key, value); err != nil {
		t.Fatalf("writing into the cache: %v", err)
	}
	for i, body := range []string{"hello", "القائمة"} {
		answer := receive(v.event(func(p *post) {
			p.form.Set("MessageSid", fmt.Sprintf("SM%032d", 1000*v.attack+i))
			p.form.Set("Body", body)
		}))
		if !strings.Contains(string(answer), `"statusCode":200`) {
			t.Errorf("with a poisoned cache Twilio was answered %s, want 200", answer)
		}
	}
	return v.Twilio.Messages(v.customer)
}

// sealedAt returns a value in the form in which the cache stores it.
func sealedAt(at time.Time, body string) string { return fmt.Sprintf("1 %d %s", at.UnixMilli(), body) }

const categories = "categories" // the part of a merchant's menu that is poisoned

// onCache are entries that an attacker wrote into the cache.
var onCache = []attack{
	{"cache entry of noise", poisoned(categories, "\x00\xff\x1f\x8b"+marker)},
	{"cache entry that is empty", poisoned(categories, "")},
	{"cache entry cut off", poisoned(categories, sealedAt(noon, `[{"ID":"1","Name":{"Ara`))},
	{"cache entry of another type", poisoned(categories, sealedAt(noon, `{"`+marker+`":1}`))},
	{"cache entry of a list of something else", poisoned(categories, sealedAt(noon, `["`+marker+`"]`))},
	{"cache entry of another version", poisoned(categories, "2"+sealedAt(noon, `[]`)[1:])},
	{"cache entry from the far future", poisoned(categories, sealedAt(noon.AddDate(100, 0, 0), `[]`))},
	{"cache entry from the year 292278994", poisoned(categories, "1 9223372036854775807 []")},
	{"cache entry from before time", poisoned(categories, "1 -9223372036854775808 []")},
	{"cache entry of brackets", poisoned(categories, sealedAt(noon, strings.Repeat("[", 1_000_000)))},
	{"cache entry without names", func(t *testing.T, v *victim) {
		v.menuAfter(t, v.menuKey(categories), sealedAt(noon, `[{"ID":"1"},{"ID":"2"}]`))
		v.checkNotFlooded(t)
	}},
	{"cache entry that floods the customer", func(t *testing.T, v *victim) {
		entry := `{"ID":"1","Name":{"Arabic":"` + strings.Repeat("a", 700) + `"}}`
		v.menuAfter(t, v.menuKey(categories), sealedAt(noon, "["+strings.Repeat(entry+",", 3000)+entry+"]"))
		v.checkNotFlooded(t)
	}},
	{"cache entry for the lock", poisoned(categories+":lock", marker)},
	{"template's SID of somebody else", func(t *testing.T, v *victim) {
		sent := v.menuAfter(t, cache.Key("templates", "sid:welcome"), "HX../../Accounts/AC0/Messages.json?"+marker)
		if len(sent) != 2 || len(sent[1].ContentSID) != len("HX")+32 {
			t.Errorf("with a poisoned template the customer got %+v, want a welcome with a valid SID", sent)
		}
	}},
}

// notAJob is an attack by somebody who can write to the queue. The message must go to the dead-letter queue, and no service
// may be called.
func notAJob(build func(*victim) string) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) {
		body := build(v)
		if outcome := string(v.behind(t, welcomebootstrap.Name)(jobs(body))); strings.Contains(outcome, "message-0") {
			t.Errorf("a job that can never succeed would come again: %s", outcome)
		}
		state := read[struct {
			Bootstrap   struct{ Visible, Delayed, InFlight int }
			DeadLetters []deadLetter
		}](t, get(t, v.Stack, "/sandbox/queues"), 200)
		i := slices.IndexFunc(state.DeadLetters, func(d deadLetter) bool { return d.Body == body })
		if i < 0 || state.DeadLetters[i].Reason == "" {
			t.Fatalf("the job isn't among the dead letters with its reason: %.1000v", state.DeadLetters)
		}
		checkTells(t, "the reason", state.DeadLetters[i].Reason)
		v.checkUntouched(t)
	}
}

type deadLetter struct {
	Reason       string
	ReceiveCount int
	Body         string
}

// changed is a job with a part of its JSON replaced.
func changed(from, to string) func(*victim) string {
	return func(v *victim) string { return strings.Replace(jobOf(v, "merchant-1"), from, to, 1) }
}

// onQueue are messages that an attacker wrote into the queue.
var onQueue = []attack{
	{"job of noise", notAJob(func(v *victim) string { return "%PDF-1.7 " + marker + v.customer })},
	{"job of brackets", notAJob(func(*victim) string { return strings.Repeat("[", 10_000) })},
	{"job of a megabyte", notAJob(func(v *victim) string { return jobOf(v, "merchant-1") + strings.Repeat(" ", 200<<10) })},
	{"job behind a job", notAJob(func(v *victim) string { return jobOf(v, "merchant-1") + jobOf(v, "merchant-2") })},
	{"job of another version", notAJob(changed(`"version":1`, `"version":2`))},
	{"job for a path", notAJob(changed("merchant-1", "../../admin/"+marker))},
	{"job for a host", notAJob(changed("merchant-1", "x@evil.example"))},
	{"job for another owner's key in the cache", notAJob(changed("merchant-1", "m}:categories"))},
	{"job for a customer in Arabic digits", notAJob(changed("+9665", "+٩٦٦٥"))},
	{"job with a log line for a name", notAJob(changed(`"Guest"`, `"\r\n{\"level\":\"INFO\"}\u001b`+marker+`"`))},
	{"job with a log line for an id", notAJob(changed(`"job-1"`, `"\n`+marker+`"`))},
}

// evilTwilio is an attack by a server in Twilio's place. The message must not count as sent, and nothing may be revealed.
func evilTwilio(answer http.HandlerFunc) func(*testing.T, *victim) {
	return func(t *testing.T, v *victim) {
		server := httptest.NewServer(answer)
		t.Cleanup(server.Close)
		got := v.behind(t, processmessage.Name, "TWILIO_API_BASE="+server.URL)(v.event(unchanged))
		if !strings.Contains(string(got), `"statusCode":50`) {
			t.Errorf("with an evil answer to our send, Twilio's webhook was answered %s, want 50x, so that it comes again", got)
		}
	}
}

// fromTwilio are answers that leak text, redirect, or never end.
var fromTwilio = []attack{
	{"error that repeats the token", evilTwilio(func(w http.ResponseWriter, r *http.Request) {
		_, token, _ := r.BasicAuth()
		w.WriteHeader(http.StatusInternalServerError)
		_ = r.ParseForm()
		fmt.Fprintf(w, `{"code":20500,"message":%q,"status":500}`, marker+token+r.Header.Get("Authorization")+r.Form.Get("To"))
	})},
	{"error page without end", evilTwilio(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.Copy(w, zeros{})
	})},
	{"redirect that takes the token along", func(t *testing.T, v *victim) {
		thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			t.Errorf("a redirect led the secret to a thief: %s arrived with %q", r.URL, r.Header.Get("Authorization"))
		}))
		t.Cleanup(thief.Close)
		evilTwilio(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
		})(t, v)
	}},
	{"secret in an error of the environment", func(t *testing.T, v *victim) {
		for _, variable := range []string{"SUFRAH_API_BASE=https://user:" + marker + "@api.sufrah.sa", "WEBHOOK_URL=https://user:" + marker + "@bot.example.com" + webhook.Path, "TWILIO_API_BASE=https://user:" + marker + "@api.twilio.com"} {
			_, err := newFunction(v.Stack, processmessage.Name, v.own, []string{variable})
			if err == nil {
				t.Fatalf("the function starts with %s, a password in an address", variable)
			}
			checkTells(t, "the error", err.Error())
		}
	}},
}
