package sufrah

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/menu"
	"github.com/sufrah/usage-bootstrap/internal/outbound"
)

const testKey = "k-1234567890-secret"

// setup returns a client of a server that answers with the handler.
func setup(t *testing.T, handler http.HandlerFunc, change ...func(*Config)) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	config := Config{BaseURL: server.URL + "/api/v1/external/", APIKey: testKey, HTTPClient: server.Client()}
	for _, c := range change {
		c(&config)
	}
	client, err := New(config)
	if err != nil {
		t.Fatalf("making the Sufrah client: %v", err)
	}
	return client
}

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestCallsOnTheWire(t *testing.T) {
	t.Parallel()
	var got []string
	client := setup(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.EscapedPath()+" "+r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, "[]")
	})
	if _, err := client.Categories(t.Context(), "merchant-clxyz123abc"); err != nil {
		t.Errorf("fetching a merchant's categories fails with %v, want none", err)
	}
	if _, err := client.Branches(t.Context(), "m:1~a.b_C"); err != nil {
		t.Errorf("fetching a merchant's branches fails with %v, want none", err)
	}
	want := []string{
		"GET /api/v1/external/merchants/merchant-clxyz123abc/categories ApiToken " + testKey,
		"GET /api/v1/external/merchants/m:1~a.b_C/branches ApiToken " + testKey,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Sufrah is called otherwise than its API demands (-want +got):\n%s", diff)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	const base = "https://api.sufrah.sa/api/v1/external"
	tests := map[string]struct {
		config Config
		want   string // expected Authorization header; "" for an error
	}{
		"a bare key":                       {Config{BaseURL: base, APIKey: "s3cret"}, "ApiToken s3cret"},
		"a key with its scheme":            {Config{BaseURL: base, APIKey: "ApiToken s3cret"}, "ApiToken s3cret"},
		"another letter case":              {Config{BaseURL: base, APIKey: "apitoken  s3cret\n"}, "ApiToken s3cret"},
		"a key that looks like its scheme": {Config{BaseURL: base, APIKey: "ApiTokens3cret"}, "ApiToken ApiTokens3cret"},
		"no key":                           {Config{BaseURL: base}, ""},
		"only the scheme":                  {Config{BaseURL: base, APIKey: "ApiToken "}, ""},
		"two words":                        {Config{BaseURL: base, APIKey: "s3cret s3cret"}, ""},
		"another scheme":                   {Config{BaseURL: base, APIKey: "Bearer s3cret"}, ""},
		"a control sign":                   {Config{BaseURL: base, APIKey: "s3cret\x00"}, ""},
		"no URL":                           {Config{APIKey: "s3cret"}, ""},
		"a negative limit":                 {Config{BaseURL: base, APIKey: "s3cret", MaxBodyBytes: -1}, ""},
		"a negative timeout":               {Config{BaseURL: base, APIKey: "s3cret", Timeout: -1}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := New(test.config)
			if (err == nil) != (test.want != "") {
				t.Fatalf("the client's configuration gives the error %v, want one: %t", err, test.want == "")
			}
			if err != nil {
				if strings.Contains(err.Error(), "s3cret") {
					t.Errorf("the configuration's error shows the API key: %v", err)
				}
				return
			}
			if client.authorization != test.want {
				t.Errorf("the client signs in with %q, want %q", client.authorization, test.want)
			}
		})
	}
}

func TestCategories(t *testing.T) {
	t.Parallel()
	client := setup(t, answer(200, "text/plain; charset=utf-8", `[
		{"id": "b", "displayOrder": 2, "nameAr": "حلويات", "nameEn": null, "imageUrl": "https://example.com/b.jpg"},
		{"id": 17, "displayOrder": 1, "nameAr": " ", "nameEn": " Drinks ", "descriptionAr": "باردة", "descriptionEn": "Cold"},
		{"id": "nameless", "displayOrder": 0, "nameAr": null, "nameEn": "\u200f\t"},
		null
	]`))
	got, err := client.Categories(t.Context(), "m1")
	if err != nil {
		t.Fatalf("fetching the categories: %v", err)
	}
	want := []menu.Category{
		{ID: "17", DisplayOrder: 1, Name: menu.Text{English: "Drinks"}, Description: menu.Text{Arabic: "باردة", English: "Cold"}},
		{ID: "b", DisplayOrder: 2, Name: menu.Text{Arabic: "حلويات"}, ImageURL: "https://example.com/b.jpg"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the categories differ from Sufrah's answer (-want +got):\n%s", diff)
	}
}

func TestBranches(t *testing.T) {
	t.Parallel()
	client := setup(t, answer(200, "application/json", `[
		{"id": "z", "nameAr": "العليا", "nameEn": "Olaya", "addressAr": null, "addressEn": "Olaya St", "address": "شارع العليا",
		 "phoneNumber": "+966110000001", "latitude": 24.5, "longitude": "46.25", "district": "العليا",
		 "city": {"id": 1, "nameAr": "الرياض", "nameEn": "Riyadh", "areas": [{"id": 1}]}},
		{"id": "a", "nameEn": "Jeddah", "latitude": 91, "longitude": "NaN", "city": null}
	]`))
	got, err := client.Branches(t.Context(), "m1")
	if err != nil {
		t.Fatalf("fetching the branches: %v", err)
	}
	latitude, longitude := 24.5, 46.25
	want := []menu.Branch{
		{
			ID: "z", Name: menu.Text{Arabic: "العليا", English: "Olaya"},
			Address: menu.Text{Arabic: "شارع العليا", English: "Olaya St"},
			Phone:   "+966110000001", Latitude: &latitude, Longitude: &longitude, District: "العليا",
			City: menu.Text{Arabic: "الرياض", English: "Riyadh"},
		},
		{ID: "a", Name: menu.Text{English: "Jeddah"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the branches differ from Sufrah's answer (-want +got):\n%s", diff)
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status    int
		retryable bool
	}{
		{300, true}, {304, true},
		{400, false}, {401, false}, {403, false}, {404, false}, {405, false}, {408, true}, {410, false},
		{418, false}, {422, false}, {429, true}, {500, true}, {501, true}, {502, true}, {503, true}, {504, true},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.status), func(t *testing.T) {
			t.Parallel()
			client := setup(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(test.status)
				if test.status != http.StatusNotModified {
					_, _ = io.WriteString(w, "private words of the body")
				}
			})
			_, err := client.Branches(t.Context(), "m1")
			e := asError(t, err)
			if e.StatusCode != test.status || e.Retryable() != test.retryable || e.Permanent == test.retryable {
				t.Errorf("Sufrah's refusal \"%v\" is retryable: %t, permanent: %t; want retryable: %t, and the opposite of permanent", e, e.Retryable(), e.Permanent, test.retryable)
			}
			if e.Op != "branches" || e.MerchantID != "m1" {
				t.Errorf("the error names the operation %q and the merchant %q, want branches and m1: operators couldn't find the fault", e.Op, e.MerchantID)
			}
			if got, want := errors.Is(err, ErrUnknownMerchant), test.status == http.StatusNotFound; got != want {
				t.Errorf("the error counts as an unknown merchant: %t, want %t", got, want)
			}
			wantWait := time.Duration(0)
			if test.status == 408 || test.status == 429 || test.status >= 500 {
				wantWait = 7 * time.Second
			}
			if e.RetryAfter != wantWait {
				t.Errorf("the client waits for %s before a repeat, want %s", e.RetryAfter, wantWait)
			}
			if text := err.Error(); strings.Contains(text, "private") || strings.Contains(text, testKey) {
				t.Errorf("the error shows the body of Sufrah's answer, or the API key: %s", text)
			}
		})
	}
}

func TestRetryAfterAsDate(t *testing.T) {
	t.Parallel()
	client := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Wed, 21 Oct 2026 07:28:00 GMT")
		w.Header().Set("Retry-After", "Wed, 21 Oct 2026 07:28:42 GMT")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, err := client.Categories(t.Context(), "m1")
	if got := asError(t, err).RetryAfter; got != 42*time.Second {
		t.Errorf("a Retry-After as a date makes the client wait for %s, want 42s", got)
	}
}

func TestNoContentIsAnEmptyList(t *testing.T) {
	t.Parallel()
	client := setup(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	got, err := client.Categories(t.Context(), "m1")
	if err != nil || got == nil || len(got) != 0 {
		t.Errorf("an answer without content gives %#v (error %v), want an empty list", got, err)
	}
}

func TestMerchantIDs(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	client := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = io.WriteString(w, "[]")
	})
	for _, id := range []string{
		"", ".", "..", "a/b", "..%2f..", "a b", "a?b", "a#b", "a\\b", "a\nb", "مطعم", strings.Repeat("a", 129), "a\xff",
	} {
		_, err := client.Categories(t.Context(), id)
		if e := asError(t, err); e.Retryable() || e.StatusCode != 0 {
			t.Errorf("the merchant id %q gives the error %v, want a permanent one, without a call", id, err)
		}
		if len(err.Error()) > 1000 {
			t.Errorf("the error for an odd merchant id is %d bytes long and would fill the log", len(err.Error()))
		}
	}
	if calls.Load() != 0 {
		t.Errorf("%d calls were made with merchant ids that could lead to another address", calls.Load())
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	slow := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Second):
		}
	}
	stalled := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "[")
		w.(http.Flusher).Flush()
		slow(w, r)
	}
	for name, handler := range map[string]http.HandlerFunc{"before the answer": slow, "within the body": stalled} {
		t.Run(name+", by the client's own time-out", func(t *testing.T) {
			t.Parallel()
			client := setup(t, handler, func(c *Config) { c.Timeout = 50 * time.Millisecond })
			checkDeadline(t, t.Context(), client)
		})
		t.Run(name+", by the context", func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			checkDeadline(t, ctx, setup(t, handler))
		})
	}
}

func checkDeadline(t *testing.T, ctx context.Context, client *Client) {
	t.Helper()
	start := time.Now()
	_, err := client.Categories(ctx, "m1")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the call to a slow Sufrah took %s, want the time-out of 50ms: the customer waits", took)
	}
	if e := asError(t, err); !e.Retryable() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a slow Sufrah gives the error %v, want a retryable deadline", err)
	}
}

func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	cut := func(beginning string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, buffer, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_, _ = buffer.WriteString(beginning)
			_ = buffer.Flush()
			_ = conn.Close()
		}
	}
	tests := map[string]http.HandlerFunc{
		"cut before the answer": cut(""),
		"cut within the header": cut("HTTP/1.1 200 OK\r\nContent-"),
		"cut within the body":   cut("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{\"id\": 1"),
		"not HTTP":              cut("SSH-2.0-OpenSSH_9.6\r\n"),
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := setup(t, handler).Categories(t.Context(), "m1")
			if e := asError(t, err); !e.Retryable() {
				t.Errorf("a broken connection gives the error %v, want a retryable one", err)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("listening on a port: %v", err)
		}
		address := "http://" + listener.Addr().String()
		_ = listener.Close()
		client := setup(t, nil, func(c *Config) { c.BaseURL, c.HTTPClient = address, nil })
		_, err = client.Categories(t.Context(), "m1")
		if e := asError(t, err); !e.Retryable() || e.StatusCode != 0 {
			t.Errorf("an unreachable Sufrah gives the error %v, want a retryable one without a status", err)
		}
	})
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	limit := func(c *Config) { c.MaxBodyBytes = 1000 }
	exact := `[{"id": 1, "nameEn": "` + strings.Repeat("n", 1000-len(`[{"id": 1, "nameEn": ""}]`)) + `"}]`
	got, err := setup(t, answer(200, "application/json", exact), limit).Categories(t.Context(), "m1")
	if err != nil || len(got) != 1 {
		t.Errorf("a body of exactly the limit gives %d categories and the error %v, want one category", len(got), err)
	}
	tests := map[string]http.HandlerFunc{
		"one byte too many": answer(200, "application/json", exact+" "),
		"without an end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<10)); err != nil {
					return
				}
			}
		},
		"compressed": func(w http.ResponseWriter, _ *http.Request) {
			var packed bytes.Buffer
			writer := gzip.NewWriter(&packed)
			_, _ = writer.Write(bytes.Repeat([]byte(" "), 1<<20))
			_ = writer.Close()
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
		},
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := setup(t, handler, limit).Categories(t.Context(), "m1")
			if e := asError(t, err); !e.Retryable() || !errors.Is(err, outbound.ErrBodyTooLarge) {
				t.Errorf("a body over the limit gives the error %v, want a retryable ErrBodyTooLarge", err)
			}
		})
	}
}

// The key is for one host: a redirect to another must not be followed, nor quoted in the error.
func TestRedirects(t *testing.T) {
	t.Parallel()
	var strayed atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		strayed.Add(1)
		_, _ = io.WriteString(w, "[]")
	}))
	t.Cleanup(other.Close)
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/moved") {
				_, _ = io.WriteString(w, `[{"id": 1, "nameEn": "`+r.Header.Get("Authorization")+`"}]`)
				return
			}
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
		}
	}
	t.Run("to another host", func(t *testing.T) {
		_, err := setup(t, redirect(other.URL)).Categories(t.Context(), "m1")
		if e := asError(t, err); !e.Retryable() || e.StatusCode != http.StatusTemporaryRedirect {
			t.Errorf("a redirect to another host gives the error %v, want a retryable one with the status", err)
		}
		if strayed.Load() != 0 {
			t.Error("the redirect was followed: another host got the API key")
		}
		if strings.Contains(err.Error(), other.URL) {
			t.Errorf("the error shows the address that the redirect leads to: %v", err)
		}
	})
	t.Run("on the same host", func(t *testing.T) {
		got, err := setup(t, redirect("/moved")).Categories(t.Context(), "m1")
		if err != nil || len(got) != 1 || got[0].Name.English != "ApiToken "+testKey {
			t.Errorf("after a redirect on the same host the categories are %v (error %v), want the new address's, asked with the key", got, err)
		}
	})
	t.Run("round and round", func(t *testing.T) {
		_, err := setup(t, redirect("/again")).Categories(t.Context(), "m1")
		if e := asError(t, err); !e.Retryable() {
			t.Errorf("an endless redirect gives the error %v, want a retryable one", err)
		}
	})
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	tests := map[string]*Error{
		`sufrah: branches of merchant "m1": status 503`:       {Op: "branches", MerchantID: "m1", StatusCode: 503},
		`sufrah: categories of merchant "m1": unexpected EOF`: {Op: "categories", MerchantID: "m1", Err: io.ErrUnexpectedEOF},
		`sufrah: categories of merchant "a\nb": status 404: unknown merchant`: {
			Op: "categories", MerchantID: "a\nb", StatusCode: 404, Err: ErrUnknownMerchant,
		},
	}
	for want, e := range tests {
		if got := e.Error(); got != want {
			t.Errorf("the error reads %s, want %s", got, want)
		}
	}
}

func asError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("the client failed with %v, want an *Error, which says whether to try again", err)
	}
	return e
}

// TestProductsOnTheWire checks the requested addresses. An id that could lead elsewhere must never be requested.
func TestProductsOnTheWire(t *testing.T) {
	t.Parallel()
	var asked string
	client := setup(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RequestURI()
		answer(http.StatusOK, "text/plain", `[{"id": 1, "nameEn": "Kebab", "price": 38}]`)(w, r)
	})
	for branch, want := range map[string]string{"b1": "/categories/c1/products?branchId=b1", "": "/categories/c1/products"} {
		products, err := client.Products(t.Context(), "m1", "c1", branch)
		if err != nil || len(products) != 1 || products[0].Price != 38 || !strings.HasSuffix(asked, want) {
			t.Errorf("the products were requested at %s and are %+v (error %v), want the address %s", asked, products, err, want)
		}
	}
	for _, ids := range [][2]string{{"", "b1"}, {"../c1", "b1"}, {"c1", "b1&x=1"}, {"..", ""}} {
		if _, err := client.Products(t.Context(), "m1", ids[0], ids[1]); asError(t, err).Retryable() {
			t.Errorf("the ids %q give the error %v, want a permanent one", ids, err)
		}
	}
	unknown := setup(t, answer(http.StatusNotFound, "", ""))
	if _, err := unknown.Products(t.Context(), "m1", "c1", "b1"); !errors.Is(err, ErrUnknownCategory) || errors.Is(err, ErrUnknownMerchant) {
		t.Errorf("an unknown category gives the error %v, want ErrUnknownCategory", err)
	}
}
