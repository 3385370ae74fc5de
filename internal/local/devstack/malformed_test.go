package devstack_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
)

// TestMalformedRequests sends ten thousand requests that no client would send. Each must be answered with a fault of the
// client's, and the connection must stay open.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	const connections = 8
	requests := 1250
	if testing.Short() {
		requests = 30
	}
	stack := serve(t, noon)
	var group errgroup.Group
	for i := range connections {
		group.Go(func() error {
			c := caller{random: rand.New(rand.NewPCG(uint64(i), 10_000)), address: strings.TrimPrefix(stack.BaseURL, "http://")}
			defer c.hangUp()
			for range requests {
				if err := c.call(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Errorf("sending malformed requests at once: %v", err)
	}
	got := read[detail](t, get(t, stack, "/api/usage/clxyz123abc", asAdmin), 200)
	if got.ConversationsThisMonth != 45 {
		t.Errorf("afterwards the example restaurant has %+v", got)
	}
}

// caller sends random requests over one connection, byte by byte: an HTTP client would correct them.
type caller struct {
	random     *rand.Rand
	address    string
	connection net.Conn
	answers    *bufio.Reader
}

func (c *caller) hangUp() {
	if c.connection != nil {
		c.connection.Close()
		c.connection = nil
	}
}

// call sends a request and returns an error if the answer is wrong.
func (c *caller) call() error {
	if c.connection == nil {
		connection, err := net.Dial("tcp", c.address)
		if err != nil {
			return err
		}
		c.connection, c.answers = connection, bufio.NewReader(connection)
	}
	method, target, rest := c.method(), c.target(), c.rest()
	_, err := url.ParseRequestURI(target)
	isHTTP := err == nil
	if !isHTTP {
		rest = "\r\n" // the server doesn't read the rest
	}
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, target, c.address, rest)
	if err := c.connection.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.connection, request); err != nil {
		return fmt.Errorf("sending %.400q: %w", request, err)
	}
	answer, err := http.ReadResponse(c.answers, &http.Request{Method: method})
	if err != nil {
		return fmt.Errorf("no answer to %.400q: %w", request, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("half an answer to %.400q: %w", request, err)
	}
	switch {
	case !isHTTP: // the server itself refused the request, and closes the connection
		c.hangUp()
		if answer.StatusCode != http.StatusBadRequest {
			return fmt.Errorf("%.400q: status %d, want 400", request, answer.StatusCode)
		}
	case answer.StatusCode < 200 || answer.StatusCode > 499:
		return fmt.Errorf("%.400q: status %d: %s", request, answer.StatusCode, body)
	case answer.Close:
		return fmt.Errorf("%.400q: the connection was closed after status %d", request, answer.StatusCode)
	case method != http.MethodHead && answer.Header.Get("Content-Type") == "application/json" && !json.Valid(body):
		return fmt.Errorf("%.400q: the body is no JSON: %.400q", request, body)
	case strings.HasPrefix(target, "/api/"):
		if err := checkDescribed(method, target, answer, body); err != nil {
			return fmt.Errorf("%.400q: %w", request, err)
		}
	}
	return nil
}

// one returns a random choice.
func one[T any](random *rand.Rand, choices ...T) T { return choices[random.IntN(len(choices))] }

func (c *caller) method() string {
	return one(c.random, "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "M-SEARCH",
		strings.Repeat("X", 1+c.random.IntN(300)))
}

// text returns random characters from a set.
func (c *caller) text(set string, most int) string {
	characters := []rune(set)
	var text strings.Builder
	for range c.random.IntN(most + 1) {
		text.WriteRune(characters[c.random.IntN(len(characters))])
	}
	return text.String()
}

// Characters with a special meaning anywhere between client and function, characters of several bytes, and invalid bytes.
const inPath = "/.%2eE0fFaA;:@&=+$,!*'()~-_{}[]|\\^`\"<>#?مطعم\u202e\u00a0😀\ufffd"

func (c *caller) target() string {
	var target strings.Builder
	switch c.random.IntN(8) {
	case 0:
		target.WriteString("/" + c.text(inPath, 40))
	case 1:
		target.WriteString(one(c.random, devstack.HealthPath, devstack.DynamoDBPath, "/sandbox/store", "/sandbox/clock", "/sandbox/../api/usage"))
	default:
		target.WriteString(one(c.random, "/api/usage", "/api/usage", "/api/usage/", "//api/usage", "/api//usage", "/API/USAGE"))
		for range c.random.IntN(4) {
			target.WriteString("/" + one(c.random, "clxyz123abc", "demo-001", "..", ".", "", "%2e%2e", "%2F", "%5c", "%00", "%0d%0a", "%ff%fe",
				"%zz", "%", "%25zz", "a%20b", "مطعم", "{restaurantId}", ";jsessionid=1", strings.Repeat("a", 3000), c.text(inPath, 20)))
		}
	}
	if c.random.IntN(2) == 0 {
		return target.String()
	}
	target.WriteString("?")
	for range c.random.IntN(5) {
		target.WriteString(one(c.random, "limit", "offset", "isActive", "LIMIT", "limit[]", "%6cimit", "", "%zz", c.text(inPath, 10)))
		target.WriteString(one(c.random, "=", "", "=="))
		target.WriteString(one(c.random, "5", "0", "-1", "1e3", "0x10", "+5", "%2B5", "NaN", "99999999999999999999999", "2147483648", "true", "TRUE",
			"null", "%00", "%", "%ff", "٥", "1;drop", c.text(inPath, 30), strings.Repeat("9", 2000)))
		target.WriteString(one(c.random, "&", ";", "&&", "?", ""))
	}
	return target.String()
}

// rest returns the headers and the body.
func (c *caller) rest() string {
	var rest strings.Builder
	for range c.random.IntN(6) {
		name := one(c.random, "Authorization", "authorization", "X-API-Key", "x-api-key", "X-Restaurant-Id", "X-RESTAURANT-ID", "Cookie", "Accept",
			"Content-Type", "X-Forwarded-For", "X-Forwarded-Host", "X-Amz-Target", "Range", "If-None-Match", "Origin", "Content-Encoding",
			"X-"+c.text("abcABC012-_.!#$%&'*+^`|~", 20))
		value := one(c.random, "Bearer local-pat-clxyz123abc", "Bearer local-dashboard-pat", "local-admin-key", "clxyz123abc", "Bearer", "Bearer ",
			"bearer  x", "Basic Og==", "", ",", ",,local-admin-key", "local-admin-key,local-admin-key", "a=b; c", "application/json",
			"application/x-www-form-urlencoded", "multipart/form-data", "../../etc/passwd", "DynamoDB_20120810.Scan", "gzip", "\xff\xfe\x80",
			c.text(inPath+" \t", 60), strings.Repeat("k", 4000))
		rest.WriteString(name + ": " + value + "\r\n")
	}
	switch c.random.IntN(4) {
	case 0:
		body := c.body()
		fmt.Fprintf(&rest, "Content-Length: %d\r\n\r\n%s", len(body), body)
	case 1:
		body := c.body()
		fmt.Fprintf(&rest, "Transfer-Encoding: chunked\r\n\r\n")
		if len(body) > 0 {
			fmt.Fprintf(&rest, "%x\r\n%s\r\n", len(body), body)
		}
		rest.WriteString("0\r\n\r\n")
	default:
		rest.WriteString("\r\n")
	}
	return rest.String()
}

func (c *caller) body() []byte {
	noise := make([]byte, c.random.IntN(900))
	for i := range noise {
		noise[i] = byte(c.random.Uint32())
	}
	return one(c.random, nil, noise, []byte("{"), []byte(`{"offset": "soon"}`), []byte(`{"failRate": 7}`), []byte(`{"TableName": []}`),
		bytes.Repeat([]byte("["), 900), []byte("limit=5&offset=%zz"), []byte("null"))
}
