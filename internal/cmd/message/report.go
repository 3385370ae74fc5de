package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// report describes the effect of a message.
type report struct {
	MessageID  string     `json:"messageId"`
	Status     int        `json:"status"`
	Answer     string     `json:"answer"`
	DurationMS float64    `json:"durationMs"`
	Received   []received `json:"received"` // messages to the customer, oldest first
}

func (r report) writeJSON(w io.Writer) error {
	if r.Received == nil {
		r.Received = []received{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

func (r report) writeText(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%d %s after %.1f ms, message %s\n%s\n", r.Status, http.StatusText(r.Status), r.DurationMS, r.MessageID,
		strings.TrimSpace(r.Answer))
	if len(r.Received) == 0 {
		text.WriteString("\nThe customer received nothing.\n")
	}
	for _, m := range r.Received {
		fmt.Fprintf(&text, "\nThe customer received from %s:\n", m.From)
		m.describe(&text)
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// describe writes a message indented: its text, its list, or its template's text and SID. If the stack doesn't know the
// template's text, describe writes the variables in its place.
func (m received) describe(text *strings.Builder) {
	if list := m.ListPicker; list != nil {
		fmt.Fprintf(text, "  %s\n  [%s]\n", list.Body, list.Button)
		for _, item := range list.Items {
			fmt.Fprintf(text, "    %s\n      %s\n      LIST=%s\n", item.Item, item.Description, item.ID)
		}
		return
	}
	if m.Text != "" {
		fmt.Fprintf(text, "  %s\n  (template %s)\n", strings.ReplaceAll(m.Text, "\n", "\n  "), m.ContentSID)
		return
	}
	if m.ContentSID != "" {
		fmt.Fprintf(text, "  template %s\n", m.ContentSID)
	}
	byNumber := func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }
	for _, name := range slices.SortedFunc(maps.Keys(m.ContentVariables), byNumber) {
		fmt.Fprintf(text, "    %s: %s\n", name, m.ContentVariables[name])
	}
	if m.Body != "" {
		text.WriteString("  " + strings.ReplaceAll(m.Body, "\n", "\n  ") + "\n")
	}
}
