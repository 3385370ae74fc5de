// Package httpedge is the entrance of every HTTP request. It finds the route, gives the request an id, and writes its log
// line. Refusals and panics are answered in the form that our APIs share. A handler only returns a value or an error.
//
// A trailing slash makes no difference, on any route and with any method. A path with "//" or ".." is unknown: the standard
// library would redirect to the clean path, which turns a POST into a GET.
package httpedge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/task"
	"github.com/sufrah/usage-bootstrap/internal/timing"
)

// Options configure an Edge.
type Options struct {
	// Log gets a line for each request.
	Log *slog.Logger
	Now func() time.Time
	// RequestID names the request in the log and in the answer's X-Request-Id header; an empty name is left out.
	RequestID func(context.Context) string
	// Translate returns the refusal for a handler's error, nil if the error is a fault of ours. It isn't called for an error
	// that is or wraps a *Refusal.
	Translate func(error) *Refusal
	// Answered is called at the end of each request, for metrics, with nil or the error that was refused. It may be nil.
	Answered func(err error)
}

// Route is the handler at a path.
type Route struct {
	Pattern string // a path pattern of http.ServeMux, without a method
	Methods []string
	// Answer returns an error, or the value to be sent as JSON with status 200. A Document is sent unchanged.
	Answer func(*Call) (any, error)
}

// Document is an answer that isn't JSON.
type Document struct{ ContentType, Body string }

// Call is a request that a handler answers.
type Call struct {
	*http.Request
	noted []slog.Attr
}

// Note adds attributes to the request's log line.
func (c *Call) Note(attrs ...slog.Attr) { c.noted = append(c.noted, attrs...) }

// Edge is an http.Handler.
type Edge struct {
	options Options
	mux     *http.ServeMux
}

// New returns an Edge with the given routes.
func New(options Options, routes ...Route) *Edge {
	e := &Edge{options: options, mux: http.NewServeMux()}
	e.mux.HandleFunc("/", e.serve("", func(*Call) (any, error) { return nil, errUnknownPath }))
	for _, r := range routes {
		refused := methodRefused(r.Methods)
		e.mux.HandleFunc(r.Pattern, e.serve(r.Pattern, func(c *Call) (any, error) {
			if !slices.Contains(r.Methods, c.Method) {
				return nil, refused
			}
			return r.Answer(c)
		}))
	}
	return e
}

// ServeHTTP answers a request.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if trimmed := cmp.Or(strings.TrimSuffix(r.URL.Path, "/"), "/"); trimmed != path.Clean("/"+r.URL.Path) {
		r = at(r, "/", "")
	} else if trimmed != r.URL.Path {
		r = at(r, trimmed, strings.TrimSuffix(r.URL.RawPath, "/"))
	}
	e.mux.ServeHTTP(w, r)
}

// at returns the request with another path.
func at(r *http.Request, path, rawPath string) *http.Request {
	target := *r.URL
	target.Path, target.RawPath = path, rawPath
	moved := r.WithContext(r.Context())
	moved.URL = &target
	return moved
}

func (e *Edge) serve(route string, answer func(*Call) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := e.options.Now()
		c := &Call{Request: r}
		requestID := e.options.RequestID(r.Context())
		if requestID != "" {
			w.Header().Set("X-Request-Id", requestID)
		}
		status, level := http.StatusOK, slog.LevelInfo
		body, err := recovered(c, answer)
		if err != nil {
			refusal := e.refusal(err)
			status, body, level = refusal.Status, refusal, levelOf(refusal.Status, err)
			for name, value := range refusal.Header {
				w.Header().Set(name, value)
			}
			c.Note(slog.String("code", refusal.Code), slog.Any("error", err), slog.String("sourceIp", r.RemoteAddr))
			if p, ok := errors.AsType[*task.PanicError](err); ok {
				c.Note(slog.String("stack", p.Stack))
			}
		}
		write(w, r.Method, status, body)
		if e.options.Answered != nil {
			e.options.Answered(err)
		}
		e.options.Log.LogAttrs(r.Context(), level, "request", append([]slog.Attr{
			slog.String("requestId", requestID), slog.String("method", r.Method), slog.String("route", route),
			slog.Int("status", status), slog.Int64("durationMs", e.options.Now().Sub(start).Milliseconds()),
		}, slices.Concat(c.noted, timing.Attrs(r.Context()))...)...)
	}
}

// recovered returns a handler's answer; a panic becomes an error.
func recovered(c *Call, answer func(*Call) (any, error)) (body any, err error) {
	defer task.Recover(&err)
	return answer(c)
}

func (e *Edge) refusal(err error) *Refusal {
	if known, ok := errors.AsType[*Refusal](err); ok {
		return known
	}
	if translated := e.options.Translate(err); translated != nil && !task.IsPanic(err) {
		return translated
	}
	return errInternal
}

// levelOf returns the log level of a refused request. An error may have a level of its own; otherwise our faults are ERROR,
// and the caller's are WARN.
func levelOf(status int, err error) slog.Level {
	var leveled interface{ LogLevel() slog.Level }
	switch {
	case errors.As(err, &leveled):
		return leveled.LogLevel()
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	}
	return slog.LevelWarn
}

func write(w http.ResponseWriter, method string, status int, body any) {
	header := w.Header()
	header.Set("Cache-Control", "no-store") // figures change with every message, and depend on the caller
	header.Set("X-Content-Type-Options", "nosniff")
	document, isDocument := body.(Document)
	header.Set("Content-Type", cmp.Or(document.ContentType, "application/json"))
	w.WriteHeader(status)
	if method == http.MethodHead {
		return
	}
	// Writing fails only if the caller has gone.
	if isDocument {
		_, _ = io.WriteString(w, document.Body)
		return
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body)
}
