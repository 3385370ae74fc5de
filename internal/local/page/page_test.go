package page_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/local/page"
)

func serve(t *testing.T, method, target string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	page.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, nil))
	return w.Result()
}

func TestHandler(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, target string
		status         int
		contentType    string
	}{
		"the page":         {http.MethodGet, "/", http.StatusOK, "text/html; charset=utf-8"},
		"with a view":      {http.MethodGet, "/?view=admin&lang=ar", http.StatusOK, "text/html; charset=utf-8"},
		"its head":         {http.MethodHead, "/", http.StatusOK, "text/html; charset=utf-8"},
		"its script":       {http.MethodGet, "/page/page.js", http.StatusOK, "text/javascript; charset=utf-8"},
		"its style":        {http.MethodGet, "/page/page.css", http.StatusOK, "text/css; charset=utf-8"},
		"no such file":     {http.MethodGet, "/page/other.js", http.StatusNotFound, "text/plain; charset=utf-8"},
		"no listing":       {http.MethodGet, "/page/", http.StatusNotFound, "text/plain; charset=utf-8"},
		"nothing to write": {http.MethodPost, "/", http.StatusMethodNotAllowed, "text/plain; charset=utf-8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := serve(t, test.method, test.target)
			if response.StatusCode != test.status || response.Header.Get("Content-Type") != test.contentType {
				t.Errorf("%d %s, want %d %s", response.StatusCode, response.Header.Get("Content-Type"), test.status, test.contentType)
			}
			if test.status == http.StatusOK && !strings.Contains(response.Header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Error("has no strict content security policy")
			}
		})
	}
}

// TestPolicy: the page's policy allows everything that the page has: files of the stack, and nothing inline.
func TestPolicy(t *testing.T) {
	t.Parallel()
	body := new(strings.Builder)
	if err := serve(t, http.MethodGet, "/").Write(body); err != nil {
		t.Fatalf("writing the page: %v", err)
	}
	_, html, _ := strings.Cut(body.String(), "\r\n\r\n")
	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(html, -1)
	if len(links) < 2 {
		t.Fatalf("the page loads %d files, want a script and a style at least: %s", len(links), html)
	}
	for _, link := range links {
		if !strings.HasPrefix(link[1], page.Prefix) {
			t.Errorf("the page refers to %q", link[1])
		} else if status := serve(t, http.MethodGet, link[1]).StatusCode; status != http.StatusOK {
			t.Errorf("%s answers %d", link[1], status)
		}
	}
	if inline := regexp.MustCompile(`<style|style=|<script[^>]*>[^<]| on\w+=`).FindString(html); inline != "" {
		t.Errorf("the page has %q inline", inline)
	}
}
