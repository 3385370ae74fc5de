package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// printer writes results: as tables and sentences, or as JSON.
type printer struct {
	w    io.Writer
	json bool
}

// result writes value as JSON, or calls people to write it for people.
func (p printer) result(value any, people func(w io.Writer)) error {
	if p.json {
		encoder := json.NewEncoder(p.w)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(value)
	}
	people(p.w)
	return nil
}

// table writes rows under a header, aligned in columns.
func table(w io.Writer, header []string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	t.Flush()
}

// printable escapes the parts of a stored text that could control the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func limit(n int64) string {
	if n < 0 {
		return "unlimited"
	}
	return fmt.Sprint(n)
}

// date returns a time in UTC, or alternative if there is none.
func date(t time.Time, alternative string) string {
	if t.IsZero() {
		return alternative
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// jsonTime returns a time in JSON; null if there is none.
func jsonTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format("2006-01-02T15:04:05.000Z")
	return &s
}
