package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows how far a command has come: on a terminal as a bar that is drawn again and again, elsewhere as a line now
// and then.
type progress struct {
	w        io.Writer
	terminal bool
	now      func() time.Time
	what     string
	size     int64 // bytes to read; 0 if unknown
	begun    time.Time
	shown    time.Time
	rows     int64 // rows at the beginning, for the rate
	drawn    bool
}

const (
	barWidth     = 30
	barInterval  = 100 * time.Millisecond
	lineInterval = 10 * time.Second
)

func newProgress(w io.Writer, now func() time.Time, what string, size int64) *progress {
	p := &progress{w: w, now: now, what: what, size: size, begun: now(), shown: now(), rows: -1}
	if file, ok := w.(*os.File); ok {
		info, err := file.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// show shows the number of rows done and bytes read.
func (p *progress) show(rows, bytes int64) {
	if p.rows < 0 { // an interrupted import begins with its earlier rows
		p.rows, p.begun = rows, p.now()
	}
	interval := lineInterval
	if p.terminal {
		interval = barInterval
	}
	now := p.now()
	if now.Sub(p.shown) < interval {
		return
	}
	p.shown = now
	rate := int64(0)
	if seconds := now.Sub(p.begun).Seconds(); seconds > 0 {
		rate = int64(float64(rows-p.rows) / seconds)
	}
	line := fmt.Sprintf("%s: %d rows, %d a second", p.what, rows, rate)
	if p.size > 0 {
		bytes = min(bytes, p.size)
		line += fmt.Sprintf(", %d%%", bytes*100/p.size)
		if p.terminal {
			full := int(bytes * barWidth / p.size)
			line = "[" + strings.Repeat("=", full) + strings.Repeat(" ", barWidth-full) + "] " + line
		}
	}
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	p.drawn = true
	fmt.Fprint(p.w, "\r\x1b[K", line)
}

// end restores the terminal.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
