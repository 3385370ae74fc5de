package sandbox

import (
	"bytes"
	_ "embed" // the sample lists
	"maps"
	"net/http"
	"strings"
	"sync"
)

// SufrahBasePath is the prefix of the Sufrah API's paths, as in production.
const SufrahBasePath = "/api/v1/external"

// maxCountedPaths bounds the memory for counts. Calls of further paths are counted together, as "other".
const maxCountedPaths = 10_000

//go:embed sample/categories.json
var sampleCategories []byte

//go:embed sample/branches.json
var sampleBranches []byte

//go:embed sample/products.json
var sampleProducts []byte

// Sufrah stands in for the Sufrah API under SufrahBasePath. Every merchant with an id that begins with "merchant-" has the
// same categories and branches, and every category has the same products; other merchants are unknown. It accepts any key. It
// is safe for concurrent use.
type Sufrah struct {
	fault   *Fault
	handler http.Handler

	mu    sync.Mutex
	calls map[string]int
}

// NewSufrah returns a stand-in. random decides which calls fail, as for NewFault.
func NewSufrah(random func() float64) *Sufrah {
	s := &Sufrah{fault: NewFault(random, writeProblem), calls: make(map[string]int)}
	mux := http.NewServeMux()
	mux.Handle("GET "+SufrahBasePath+"/merchants/{id}/categories", merchantList(sampleCategories))
	mux.Handle("GET "+SufrahBasePath+"/merchants/{id}/branches", merchantList(sampleBranches))
	mux.HandleFunc("GET "+SufrahBasePath+"/categories/{id}/products", products)
	s.handler = s.fault.Wrap(mux)
	return s
}

// ServeHTTP counts the call and answers it as Sufrah does, or as the fault says.
func (s *Sufrah) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.count(r.URL.Path)
	s.handler.ServeHTTP(w, r)
}

// Fault returns the switch for faults of the stand-in.
func (s *Sufrah) Fault() *Fault {
	return s.fault
}

// Calls returns the number of calls of each path, including failed ones.
func (s *Sufrah) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

func (s *Sufrah) count(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.calls[path]; !known && len(s.calls) >= maxCountedPaths {
		path = "other"
	}
	s.calls[path]++
}

// merchantList answers with the list as text/plain, the content type that Sufrah sends.
func merchantList(list []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !authorized(r.Header.Get("Authorization")) {
			writeProblem(w, http.StatusUnauthorized)
			return
		}
		if name, ok := strings.CutPrefix(r.PathValue("id"), "merchant-"); !ok || name == "" {
			writeProblem(w, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(list) // fails only if the client has gone
	})
}

// products answers with a category's products.
func products(w http.ResponseWriter, r *http.Request) {
	switch id := r.PathValue("id"); {
	case !authorized(r.Header.Get("Authorization")):
		writeProblem(w, http.StatusUnauthorized)
	case !bytes.Contains(sampleCategories, []byte(`"id": "`+id+`"`)) && !bytes.Contains(sampleCategories, []byte(`"id": `+id+`,`)):
		writeProblem(w, http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(sampleProducts)
	}
}

// authorized reports whether the Authorization header has a key.
func authorized(header string) bool {
	scheme, key, _ := strings.Cut(header, " ")
	return scheme == "ApiToken" && strings.TrimSpace(key) != ""
}

// writeProblem writes an error in the form of Sufrah's web framework.
func writeProblem(w http.ResponseWriter, status int) {
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, map[string]any{"title": http.StatusText(status), "status": status})
}
