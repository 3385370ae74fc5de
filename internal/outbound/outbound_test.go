package outbound

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const date = "Wed, 21 Oct 2026 07:28:00 GMT"
	tests := map[string]struct {
		retryAfter, date string
		want             time.Duration
	}{
		"absent":                       {"", date, 0},
		"seconds":                      {"120", "", 2 * time.Minute},
		"seconds with white space":     {" 7 ", "", 7 * time.Second},
		"no seconds":                   {"0", "", 0},
		"a day and a second":           {"86401", "", 24 * time.Hour},
		"more seconds than int64":      {"99999999999999999999", "", 24 * time.Hour},
		"negative":                     {"-5", "", 0},
		"a fraction":                   {"1.5", "", 0},
		"words":                        {"soon", date, 0},
		"a date":                       {"Wed, 21 Oct 2026 07:28:30 GMT", date, 30 * time.Second},
		"a date in the past":           {"Wed, 21 Oct 2026 07:27:00 GMT", date, 0},
		"a date next year":             {"Thu, 21 Oct 2027 07:28:00 GMT", date, 24 * time.Hour},
		"a date of an unknown present": {"Wed, 21 Oct 2026 07:28:30 GMT", "", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			header.Set("Retry-After", test.retryAfter)
			header.Set("Date", test.date)
			if got := RetryAfter(header); got != test.want {
				t.Errorf("RetryAfter = %s, want %s", got, test.want)
			}
		})
	}
}

func TestTransient(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{
		200: false, 302: false, 400: false, 401: false, 403: false, 404: false,
		408: true, 409: false, 429: true, 500: true, 503: true, 599: true,
	} {
		if got := Transient(status); got != want {
			t.Errorf("Transient(%d) = %t, want %t", status, got, want)
		}
	}
}

func TestParseBaseURL(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"https://api.example.com/api/v1":    "https://api.example.com/api/v1",
		"https://api.example.com/api/v1//":  "https://api.example.com/api/v1",
		" http://127.0.0.1:8080/ ":          "http://127.0.0.1:8080",
		"":                                  "",
		"api.example.com":                   "",
		"/api/v1":                           "",
		"ftp://api.example.com":             "",
		"https://":                          "",
		"https://user:secret@example.com":   "",
		"https://api.example.com?key=value": "",
		"https://api.example.com#part":      "",
		"https://secret host/%zz":           "",
	}
	for raw, want := range tests {
		got, err := ParseBaseURL(raw)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ParseBaseURL(%q) = %q, %v; want %q", raw, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats the URL: %v", err)
		}
	}
}

func TestReadBody(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			w.(http.Flusher).Flush() // sent without a Content-Length
		}
		_, _ = io.WriteString(w, "0123456789")
	}))
	t.Cleanup(server.Close)
	tests := []struct {
		path    string
		limit   int64
		wantErr error
	}{
		{"/", 10, nil}, {"/", 9, ErrBodyTooLarge}, {"/chunked", 10, nil}, {"/chunked", 9, ErrBodyTooLarge},
	}
	for _, test := range tests {
		response, err := http.Get(server.URL + test.path)
		if err != nil {
			t.Fatalf("sending the request: %v", err)
		}
		body, err := ReadBody(response, test.limit)
		Close(response)
		if !errors.Is(err, test.wantErr) || (err == nil && string(body) != "0123456789") {
			t.Errorf("ReadBody of %s up to %d bytes = %q, %v; want error %v", test.path, test.limit, body, err, test.wantErr)
		}
	}
}

func TestCause(t *testing.T) {
	t.Parallel()
	wrapped := &url.Error{Op: "Get", URL: "https://example.com/Accounts/AC1", Err: io.ErrUnexpectedEOF}
	if got := Cause(wrapped); got != io.ErrUnexpectedEOF {
		t.Errorf("Cause = %v, want %v", got, io.ErrUnexpectedEOF)
	}
	if got := Cause(io.EOF); got != io.EOF {
		t.Errorf("Cause = %v, want %v", got, io.EOF)
	}
}

func TestNewClientLeavesTheGivenOneAlone(t *testing.T) {
	t.Parallel()
	given := &http.Client{Timeout: time.Minute}
	client := NewClient(given, NoRedirect)
	if given.CheckRedirect != nil || client.CheckRedirect == nil || client.Timeout != time.Minute {
		t.Errorf("NewClient changed the client it was given, or lost its settings: %+v, %+v", given, client)
	}
}

// A process that was frozen finds its connections closed. The transport must repeat a GET unnoticed, and must not repeat a
// POST that may have arrived.
func TestConnectionsClosedMeanwhile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do        func(client *http.Client, url string) (*http.Response, error)
		wantErr   bool
		wantCalls int32
	}{
		"GET": {
			func(c *http.Client, url string) (*http.Response, error) { return c.Get(url) },
			false, 3, // the first call, the lost one, and its repetition
		},
		"POST": {
			func(c *http.Client, url string) (*http.Response, error) {
				return c.Post(url, "text/plain", strings.NewReader("once"))
			},
			true, 2, // the first call, and the lost one
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, calls := startForgetfulServer(t)
			client := NewClient(nil, NoRedirect)
			t.Cleanup(client.CloseIdleConnections)
			for call := range 2 {
				response, err := test.do(client, "http://"+address)
				if wantErr := call == 1 && test.wantErr; (err != nil) != wantErr {
					t.Fatalf("call %d: error %v, want one: %t", call, err, wantErr)
				}
				if err == nil {
					Close(response)
				}
			}
			if got := calls.Load(); got != test.wantCalls {
				t.Errorf("the server got %d calls, want %d", got, test.wantCalls)
			}
		})
	}
}

// startForgetfulServer starts a server that answers a connection's first call, and closes it at the second.
func startForgetfulServer(t *testing.T) (address string, calls *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening on a port: %v", err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	calls = new(atomic.Int32)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				reader := bufio.NewReader(conn)
				for n := range 2 {
					request, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, request.Body)
					calls.Add(1)
					if n == 0 {
						_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
					}
				}
			}()
		}
	}()
	return listener.Addr().String(), calls
}

// The wall clock decides whether an idle connection is still used, so the transport must have a limit.
func TestTransportIsBounded(t *testing.T) {
	t.Parallel()
	transport := NewTransport()
	if transport.IdleConnTimeout <= 0 || transport.IdleConnTimeout >= time.Minute {
		t.Errorf("idle connections are kept for %s", transport.IdleConnTimeout)
	}
	if transport.MaxIdleConns <= 0 || transport.TLSHandshakeTimeout <= 0 || transport.MaxResponseHeaderBytes <= 0 {
		t.Errorf("a limit is missing: %+v", transport)
	}
}
