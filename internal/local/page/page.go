// Package page serves a local stack's page: the dashboard with the demo data, and a simulated phone that can write to a
// restaurant. The page's sources are in client. `make page` builds dist, which is committed, so that a stack needs no Node.
// No deployed function links this package.
package page

import (
	"embed"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed dist
var dist embed.FS

// Prefix is the prefix of the paths of all files that the page loads.
const Prefix = "/page/"

// policy allows the page to load and call only the stack that serves it, and to run only code and style from its own files.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// Serves reports whether Handler serves a path.
func Serves(path string) bool { return path == "/" || strings.HasPrefix(path, Prefix) }

// Handler serves the page at / and its files below Prefix.
func Handler() http.Handler {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // can't happen: only an invalid path fails
	}
	files := http.FileServerFS(built)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Use GET.", http.StatusMethodNotAllowed)
			return
		}
		if r.URL.Path != "/" && strings.HasSuffix(r.URL.Path, "/") { // folders aren't listed
			http.NotFound(w, r)
			return
		}
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-cache") // a file keeps its name when its content changes
		files.ServeHTTP(w, r)
	})
}
