package devstack

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// Clock is a local stack's time: the machine's time plus an offset, which can be set while the stack runs. So the end of a
// session or a month can be seen without waiting for it.
type Clock struct {
	machine func() time.Time
	offset  atomic.Int64               // nanoseconds
	moved   []func(step time.Duration) // called after each move
}

// NewClock returns a clock that follows the machine's, with no offset.
func NewClock(machine func() time.Time) *Clock { return &Clock{machine: machine} }

// Now returns the stack's time.
func (c *Clock) Now() time.Time { return c.machine().Add(time.Duration(c.offset.Load())) }

// OnMove registers a function that is called after each move of the clock, with the length of the move. Call it before the
// clock is in use.
func (c *Clock) OnMove(f func(step time.Duration)) { c.moved = append(c.moved, f) }

// maxClockOffset bounds the offset, so that the stack's time can be stored everywhere.
const maxClockOffset = 10 * 366 * 24 * time.Hour

// ServeHTTP shows the offset (GET) or sets it (PUT {"offset": "36h"}). An offset is relative to the machine's time, not to
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
	_ = encoder.Encode(body) // fails only if the client has gone
}
