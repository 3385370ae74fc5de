package apigateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// CORS says which web sites' pages may call an API, and how. It is the CorsConfiguration of a template.
type CORS struct {
	AllowOrigins  []string
	AllowMethods  []string
	AllowHeaders  []string
	ExposeHeaders []string
	MaxAge        int // seconds

	// AllowLocalhost allows pages on this machine, at any port. API Gateway has no such setting.
	AllowLocalhost bool
}

// answer writes CORS headers, and answers a preflight in the function's place, as API Gateway does
// (docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html). Only a request with an Origin gets headers. An
// OPTIONS without Access-Control-Request-Method is not a preflight. It reports whether it has answered.
func (c *CORS) answer(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if c == nil || origin == "" {
		return false
	}
	header := w.Header()
	isAllowed := c.allows(origin)
	if isAllowed {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Add("Vary", "Origin")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		if isAllowed && len(c.ExposeHeaders) > 0 {
			header.Set("Access-Control-Expose-Headers", strings.Join(c.ExposeHeaders, ","))
		}
		return false
	}
	if isAllowed {
		header.Set("Access-Control-Allow-Methods", strings.Join(c.AllowMethods, ","))
		header.Set("Access-Control-Allow-Headers", strings.ToLower(strings.Join(c.AllowHeaders, ",")))
		header.Set("Access-Control-Max-Age", strconv.Itoa(c.MaxAge))
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

func (c *CORS) allows(origin string) bool {
	if slices.Contains(c.AllowOrigins, origin) {
		return true
	}
	_, host, ok := strings.Cut(origin, "://")
	if !ok || !c.AllowLocalhost {
		return false
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "[::1]"
}

// ignoresHeader reports whether a header of a function's answer is dropped: if CORS is configured, the gateway itself sets
// its headers.
func (c *CORS) ignoresHeader(name string) bool {
	return c != nil && strings.HasPrefix(http.CanonicalHeaderKey(name), "Access-Control-")
}
