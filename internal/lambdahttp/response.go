package lambdahttp

import (
	"fmt"
	"maps"
	"net/http"
)

// strict gives h a ResponseWriter that behaves like net/http's, unlike the adapter's own: only the first status counts, an
// answer without a status is 200, and headers are final once the status is set.
func strict(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strict := &response{out: w, header: http.Header{}}
		h.ServeHTTP(strict, r)
		strict.WriteHeader(http.StatusOK)
	})
}

type response struct {
	out         http.ResponseWriter
	header      http.Header
	wroteHeader bool
}

// Header returns the headers. The first call of WriteHeader or Write makes them final.
func (r *response) Header() http.Header { return r.header }

// WriteHeader sets the status of the answer, once. It ignores informational statuses, which a Lambda answer can't have. Like
// net/http's, it panics for a code that isn't an HTTP status, because that is a mistake in the handler.
func (r *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid status code %d", status))
	}
	if r.wroteHeader || status < 200 {
		return
	}
	r.wroteHeader = true
	maps.Copy(r.out.Header(), r.header.Clone())
	r.out.WriteHeader(status)
}

// Write appends to the body. If no status was set, it sets 200.
func (r *response) Write(body []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if len(body) == 0 {
		return 0, nil // the adapter would guess a content type for the empty body
	}
	return r.out.Write(body)
}
