package apigateway_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/lambdahttp"
	"github.com/sufrah/usage-bootstrap/internal/local/apigateway"
)

// exchange is a request as the handler got it, and its answer as the client got it.
type exchange struct {
	Method, Path, Query, Body string
	Tags                      string
	Cookies                   []string

	Status    int
	Header    http.Header
	SetCookie []string
	Answer    string
}

// reply is the answer that the test's handler must give.
type reply struct {
	status  int
	header  http.Header
	cookies []string
	body    []byte
}

// recorder is the test's handler: it keeps requests and gives the wanted reply.
type recorder struct {
	reply reply
	seen  exchange
}

func (h *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.seen = exchange{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Body: string(body),
		Tags: strings.Join(r.Header.Values("X-Tag"), ","),
	}
	for _, cookie := range r.Cookies() {
		h.seen.Cookies = append(h.seen.Cookies, cookie.String())
	}
	for name, values := range h.reply.header {
		w.Header()[name] = values
	}
	for _, cookie := range h.reply.cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(h.reply.status)
	_, _ = w.Write(h.reply.body)
}

// send sends a request and returns both sides of the exchange.
func (h *recorder) send(t *rapid.T, server *httptest.Server, method, target string, header http.Header, body []byte,
) exchange {
	r, err := http.NewRequest(method, server.URL+target, bytes.NewReader(body))
	if err != nil {
		t.Fatalf("making the request: %v", err)
	}
	r.Header = header.Clone()
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatalf("sending the request: %v", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	both := h.seen
	both.Status, both.Answer, both.SetCookie = response.StatusCode, string(answer), response.Header["Set-Cookie"]
	both.Header = http.Header{}
	for _, name := range []string{"Content-Type", "X-Answer"} {
		both.Header.Set(name, strings.Join(response.Header.Values(name), ","))
	}
	return both
}

// TestRoundTrip compares a handler behind the gateway and lambdahttp with the same handler behind net/http. Neither the
// handler nor its client can tell the difference.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	h := &recorder{}
	direct := httptest.NewServer(h)
	t.Cleanup(direct.Close)

	logger := slog.New(slog.DiscardHandler)
	invoke := lambdahttp.New(h, lambdahttp.Options{Logger: logger})
	through := map[string]*httptest.Server{}
	for _, stage := range []string{"", "prod"} {
		gw := apigateway.New(apigateway.Options{Stage: stage, Now: time.Now, Logger: logger})
		handle(t, gw, "$default", invoke)
		through[stage] = httptest.NewServer(gw)
		t.Cleanup(through[stage].Close)
	}

	rapid.Check(t, func(t *rapid.T) {
		method := rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}).Draw(t, "method")
		target := (&url.URL{Path: "/" + rapid.String().Draw(t, "path")}).EscapedPath()
		target += "?" + query().Draw(t, "query")
		header := http.Header{
			"Content-Type": {contentType().Draw(t, "content type")},
			"X-Tag":        rapid.SliceOfN(token(), 1, 3).Draw(t, "tags"),
			"Cookie":       {strings.Join(rapid.SliceOfN(token(), 0, 3).Draw(t, "cookies"), "=1; ") + "=1"},
		}
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		h.reply = reply{
			status: rapid.SampledFrom([]int{200, 201, 204, 304, 400, 404, 429, 500, 503}).Draw(t, "status"),
			header: http.Header{
				"Content-Type": {contentType().Draw(t, "answer's content type")},
				"X-Answer":     rapid.SliceOfN(token(), 1, 3).Draw(t, "answer's header"),
			},
			cookies: rapid.SliceOfN(token(), 0, 2).Draw(t, "answer's cookies"),
			body:    rapid.SliceOf(rapid.Byte()).Draw(t, "answer's body"),
		}
		stage := rapid.SampledFrom([]string{"", "prod"}).Draw(t, "stage")

		want := h.send(t, direct, method, target, header, body)
		got := h.send(t, through[stage], method, target, header, body)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s %s (-net/http +gateway):\n%s", method, target, diff)
		}
	})
}

func token() *rapid.Generator[string] { return rapid.StringMatching(`[A-Za-z0-9_-]{1,8}`) }

func query() *rapid.Generator[string] {
	encoded := rapid.Map(rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.String())), func(m map[string][]string) string {
		return url.Values(m).Encode()
	})
	return rapid.OneOf(encoded, rapid.StringMatching(`[a-z0-9=&%+;,~!*'()/?:@-]{0,20}`))
}

func contentType() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{
		"application/json", "text/plain; charset=utf-8", "application/x-www-form-urlencoded", "image/png",
	})
}
