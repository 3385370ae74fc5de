package lambdahttp

import (
	"fmt"
	"maps"
	"net/http"
)

// strict gives h a ResponseWriter that answers as net/http's server does where the adapter's own does not: the first
// status counts, later ones are ignored, an answer without any is 200, and headers are final once the status is.
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

// Header returns the headers that the first call of WriteHeader or Write sends.
func (r *response) Header() http.Header { return r.header }

// WriteHeader sets the status of the answer, once. Informational statuses have no meaning in a Lambda answer and are
// ignored. Like net/http's it panics on a code that is no HTTP status, which is a mistake in the handler.
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

// Write adds to the body, with status 200 if none was set before.
func (r *response) Write(body []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if len(body) == 0 {
		return 0, nil // the adapter would guess a content type from nothing
	}
	return r.out.Write(body)
}
