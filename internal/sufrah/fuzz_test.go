package sufrah

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// answers is a transport that gives every call the same answer.
type answers func(*http.Request) *http.Response

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

// FuzzAnswer: every answer gives either entries that can be shown, or an error that says whether to try again. Both keep
// their limits.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`[{"id":1,"nameAr":"شاي"}]`, `{"id":"1","nameEn":"Tea"}`, `null`, ``, `[[[[`, `[{"id":1,"id":2}]`, `{"error":"k-1234567890-secret"}`,
		"\xef\xbb\xbf[]", `[{"nameEn":"\u0000"}]`, `[]garbage`,
	} {
		f.Add(200, "text/plain", "", []byte(body))
	}
	f.Add(404, "application/json", "", []byte(`{"title":"Not Found"}`))
	f.Add(429, "", "99999999999999999999", []byte("slow down"))
	f.Add(503, "text/html", "Mon, 23 Nov 2026 12:00:00 GMT", []byte("<html>"))
	f.Add(302, "", "", []byte(nil))
	f.Add(204, "", "", []byte("x"))
	f.Fuzz(func(t *testing.T, status int, contentType, retryAfter string, body []byte) {
		if status < 100 || status > 999 {
			return // an HTTP client never returns this
		}
		client, err := New(Config{BaseURL: "https://sufrah.example", APIKey: testKey, MaxBodyBytes: 4 << 10, HTTPClient: &http.Client{
			Transport: answers(func(r *http.Request) *http.Response {
				return &http.Response{
					StatusCode: status, Header: http.Header{"Content-Type": {contentType}, "Retry-After": {retryAfter}},
					Body: io.NopCloser(bytes.NewReader(body)), ContentLength: -1, Request: r,
				}
			}),
		}})
		if err != nil {
			t.Fatalf("making the Sufrah client: %v", err)
		}
		categories, err := client.Categories(t.Context(), "merchant-1")
		if err == nil {
			if status != http.StatusOK && status != http.StatusNoContent || len(body) > 4<<10 && status == http.StatusOK {
				t.Errorf("Sufrah's answer %d with %d bytes counts as a list of %d categories, want an error", status, len(body), len(categories))
			}
			for _, c := range categories {
				if c.Name.Blank() {
					t.Errorf("a category without a name would be shown to customers: %+v", c)
				}
			}
			return
		}
		failure, ok := errors.AsType[*Error](err)
		if !ok || failure.Op != "categories" || failure.RetryAfter < 0 || failure.RetryAfter > 24*time.Hour {
			t.Errorf("the client failed with %#v, want an *Error of categories with a wait of a day at most", err)
		}
		if strings.Contains(err.Error(), testKey) {
			t.Errorf("the error shows the API key: %v", err)
		}
	})
}
