// Package page holds a local stack's page: the dashboard on the demo data, and a simulated phone to write to a restaurant with.
// Its sources are in client. `make page` builds dist, which is committed, so that running a stack needs no Node. It is never
// part of a deployed function.
package page

import (
	"embed"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed dist
var dist embed.FS

// Prefix is where everything is that the page loads.
const Prefix = "/page/"

// policy lets the page load and call nothing but the stack that serves it, and run no code or style but its own files'.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// Serves reports whether Handler has something at a path.
func Serves(path string) bool { return path == "/" || strings.HasPrefix(path, Prefix) }

// Handler serves the page at / and its files below Prefix.
func Handler() http.Handler {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // only an invalid path fails, and this path is valid
	}
	files := http.FileServerFS(built)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Use GET.", http.StatusMethodNotAllowed)
			return
		}
		if r.URL.Path != "/" && strings.HasSuffix(r.URL.Path, "/") { // no listing of a folder
			http.NotFound(w, r)
			return
		}
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-cache") // the files' names don't change with their content
		files.ServeHTTP(w, r)
	})
}
