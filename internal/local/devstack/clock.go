package devstack

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Clock is a local stack's time: the machine's, moved by an offset that can be set while the stack runs, so that a
// session's end or a month's can be watched without waiting for it.
type Clock struct {
	machine func() time.Time
	offset  atomic.Int64               // nanoseconds
	moved   []func(step time.Duration) // called after each move
}

// NewClock returns a clock that goes with the machine's.
func NewClock(machine func() time.Time) *Clock { return &Clock{machine: machine} }

// Now returns the stack's time.
func (c *Clock) Now() time.Time { return c.machine().Add(time.Duration(c.offset.Load())) }

// OnMove has f called whenever the clock was moved, with how far. It must not be called while the clock is in use.
func (c *Clock) OnMove(f func(step time.Duration)) { c.moved = append(c.moved, f) }

// maxClockOffset keeps the stack's time within the range of every store.
const maxClockOffset = 10 * 366 * 24 * time.Hour

// ServeHTTP shows the offset (GET), or sets it (PUT {"offset": "36h"}). It counts from the machine's time, not from
// the offset before it.
func (c *Clock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPut:
		var body struct {
			Offset string `json:"offset"`
		}
		content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<10))
		err = errors.Join(err, json.Unmarshal(content, &body))
		offset, durationErr := time.ParseDuration(body.Offset)
		if err != nil || durationErr != nil || offset.Abs() > maxClockOffset {
			writeJSON(w, http.StatusBadRequest, map[string]string{
				"error": `Send {"offset": "36h"}: a duration of at most ten years, in hours, minutes and seconds.`, "code": "invalid_offset",
			})
			return
		}
		before := time.Duration(c.offset.Swap(int64(offset)))
		for _, f := range c.moved {
			f(offset - before)
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		writeJSON(w, http.StatusMethodNotAllowed, map[string]string{"error": "Use GET or PUT.", "code": "method_not_allowed"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{
		"offset": time.Duration(c.offset.Load()).String(), "now": c.Now().UTC().Format(time.RFC3339Nano),
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // fails only when the client has gone
}
