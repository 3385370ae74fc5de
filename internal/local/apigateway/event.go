package apigateway

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// newEvent returns the event for a request, without its route.
func (g *Gateway) newEvent(r *http.Request, body []byte, requestID string) events.APIGatewayV2HTTPRequest {
	now := g.now()
	rawPath := r.URL.Path
	if g.stage != DefaultStage {
		rawPath = "/" + g.stage + rawPath
	}
	prefix, _, _ := strings.Cut(r.Host, ".")
	event := events.APIGatewayV2HTTPRequest{
		Version:               "2.0",
		RawPath:               rawPath,
		RawQueryString:        r.URL.RawQuery,
		Cookies:               cookies(r.Header),
		Headers:               headers(r, len(body), now),
		QueryStringParameters: queryParameters(r.URL.RawQuery),
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			AccountID:    "123456789012",
			APIID:        "local",
			DomainName:   r.Host,
			DomainPrefix: prefix,
			RequestID:    requestID,
			Stage:        g.stage,
			Time:         now.UTC().Format("02/Jan/2006:15:04:05 -0700"),
			TimeEpoch:    now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method:    r.Method,
				Path:      rawPath,
				Protocol:  r.Proto,
				SourceIP:  sourceIP(r),
				UserAgent: r.UserAgent(),
			},
		},
	}
	event.Body = string(body)
	if len(body) > 0 && !isText(r.Header.Get("Content-Type"), body) {
		event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return event
}

// headers returns the event's headers: the client's, and the gateway's own.
func headers(r *http.Request, bodyBytes int, now time.Time) map[string]string {
	joined := make(map[string]string, len(r.Header)+5)
	for name, values := range r.Header {
		joined[strings.ToLower(name)] = strings.Join(values, ",")
	}
	delete(joined, "connection")
	delete(joined, "cookie")

	joined["host"] = r.Host
	joined["content-length"] = strconv.Itoa(bodyBytes)
	if forwarded := joined["x-forwarded-for"]; forwarded != "" {
		joined["x-forwarded-for"] = forwarded + "," + sourceIP(r)
	} else {
		joined["x-forwarded-for"] = sourceIP(r)
	}
	joined["x-forwarded-proto"] = "http"
	if r.TLS != nil {
		joined["x-forwarded-proto"] = "https"
	}
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		joined["x-forwarded-port"] = port
	}
	if joined["x-amzn-trace-id"] == "" {
		joined["x-amzn-trace-id"] = fmt.Sprintf("Root=1-%08x-%s", now.Unix(), hex.EncodeToString(random(12)))
	}
	return joined
}

// cookies returns the request's cookies, each as name=value.
func cookies(header http.Header) []string {
	var all []string
	for _, line := range header.Values("Cookie") {
		for cookie := range strings.SplitSeq(line, ";") {
			if cookie = strings.TrimSpace(cookie); cookie != "" {
				all = append(all, cookie)
			}
		}
	}
	return all
}

// queryParameters returns the decoded parameters. The values of a repeated parameter are joined with commas.
func queryParameters(rawQuery string) map[string]string {
	values, _ := url.ParseQuery(rawQuery) // undecodable parts are left out
	if len(values) == 0 {
		return nil
	}
	joined := make(map[string]string, len(values))
	for name, list := range values {
		joined[name] = strings.Join(list, ",")
	}
	return joined
}

// isText reports whether API Gateway passes a body on unchanged. AWS doesn't document the rule. Observed: only these content
// types count as text; a form, or a body without a content type, is passed on in base64.
func isText(contentType string, body []byte) bool {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	switch mediaType {
	case "application/json", "application/javascript", "application/xml":
	default:
		if !strings.HasPrefix(mediaType, "text/") {
			return false
		}
	}
	return utf8.Valid(body) // other bytes can't be in JSON
}

func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// newRequestID returns a random id in the form of API Gateway's.
func newRequestID() string {
	return base64.StdEncoding.EncodeToString(random(11))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return b
}
