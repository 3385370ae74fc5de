package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Format is the format of a file's rows.
type Format string

// The formats. The last two are PostgreSQL's COPY formats, with HEADER.
const (
	JSONLines Format = "jsonl" // a JSON object on each line
	CSV       Format = "csv"   // an empty cell is NULL, unless it is quoted
	Text      Format = "text"  // cells between tabs, \N is NULL
)

// Formats lists the formats.
var Formats = []Format{JSONLines, CSV, Text}

// FormatOf returns the format for a file's name, or "".
func FormatOf(path string) Format {
	_, extension, _ := cutLast(strings.ToLower(path), ".")
	switch extension {
	case "jsonl", "ndjson":
		return JSONLines
	case "csv":
		return CSV
	case "tsv", "copy":
		return Text
	}
	return ""
}

func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}

// MaxRowBytes bounds the size of a row, and so the memory for reading.
const MaxRowBytes = 1 << 20

// row is one row of a file.
type row struct {
	number int64             // of the row, from 1, without the header
	line   int64             // the row's first line
	cells  map[string]string // by column; NULL is missing
	fault  *Fault            // the reason that the row can't be read; it has no cells then
}

// rowReader reads a file's rows one after the other.
type rowReader struct {
	in     *bufio.Reader
	format Format
	kind   Kind
	ignore map[string]bool // columns to leave out, by plainName
	header []string        // the column of each cell, "" for an ignored column; nil for JSON lines
	line   int64           // lines read
	number int64           // rows read
	buffer []byte
}

// newRowReader returns a reader of a kind's rows. If the format has a header, it reads it, and fails if the header doesn't
// fit the kind.
func newRowReader(in io.Reader, format Format, kind Kind, ignore []string) (*rowReader, error) {
	r := &rowReader{in: bufio.NewReaderSize(in, 64<<10), format: format, kind: kind, ignore: make(map[string]bool)}
	for _, name := range ignore {
		r.ignore[plainName(name)] = true
	}
	if start, _ := r.in.Peek(3); string(start) == "\uFEFF" {
		_, _ = r.in.Discard(3)
	}
	if format == JSONLines {
		return r, nil
	}
	record, err := r.record()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: the first line must name the columns")
	}
	if err != nil {
		return nil, err
	}
	cells, err := r.split(record)
	if err != nil {
		return nil, fmt.Errorf("line 1: %w", err)
	}
	var unknown []string
	for _, c := range cells {
		column, ok := r.column(c.text)
		if !ok {
			unknown = append(unknown, fmt.Sprintf("%q", c.text))
		}
		if column != "" && slices.Contains(r.header, column) {
			return nil, fmt.Errorf("line 1: column %q comes twice", c.text)
		}
		r.header = append(r.header, column)
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("line 1: unknown column %s: the columns of %s are %s. Name each other column with --ignore to leave it out",
			strings.Join(unknown, ", "), kind, strings.Join(kind.columnNames(), ", "))
	}
	return r, nil
}

// plainName removes the differences between naming styles: restaurant_id and restaurantId become the same.
func plainName(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// column returns the column with a name, "" for an ignored column.
func (r *rowReader) column(name string) (column string, known bool) {
	plain := plainName(name)
	if r.ignore[plain] {
		return "", true
	}
	column, known = r.kind.columns()[plain]
	return column, known
}

// next returns the next row, or io.EOF. A malformed row is returned with its fault; any other error ends the file.
func (r *rowReader) next() (row, error) {
	for {
		line := r.line + 1
		record, err := r.record()
		if err != nil {
			return row{}, err
		}
		if len(record) == 0 { // an empty line is no row
			continue
		}
		if r.format == Text && string(record) == `\.` {
			return row{}, io.EOF
		}
		r.number++
		read := row{number: r.number, line: line}
		if read.cells, err = r.cells(record); err != nil {
			var fault Fault
			if !errors.As(err, &fault) {
				fault.Reason = err.Error()
			}
			read.cells, read.fault = nil, &fault
		}
		return read, nil
	}
}

func (r *rowReader) cells(record []byte) (map[string]string, error) {
	if !utf8.Valid(record) {
		return nil, errors.New("is not UTF-8")
	}
	if r.format == JSONLines {
		return r.object(record)
	}
	split, err := r.split(record)
	if err != nil {
		return nil, err
	}
	if len(split) != len(r.header) {
		return nil, fmt.Errorf("has %d cells for %d columns", len(split), len(r.header))
	}
	cells := make(map[string]string, len(split))
	for i, c := range split {
		if column := r.header[i]; column != "" && !c.null {
			cells[column] = c.text
		}
	}
	return cells, nil
}

// object reads a row that is a JSON object.
func (r *rowReader) object(record []byte) (map[string]string, error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(record, &values); err != nil || values == nil {
		return nil, errors.New("is not a JSON object")
	}
	cells := make(map[string]string, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		column, known := r.column(name)
		if !known {
			return nil, Fault{Field: shortened(name), Reason: "is no column of " + string(r.kind)}
		}
		if _, twice := cells[column]; twice {
			return nil, Fault{Field: column, Reason: "comes twice"}
		}
		value := string(values[name])
		switch {
		case column == "" || value == "null":
			continue
		case value[0] == '"':
			if err := json.Unmarshal(values[name], &value); err != nil {
				return nil, Fault{Field: column, Reason: "is not a text"}
			}
		}
		cells[column] = value
	}
	return cells, nil
}

func shortened(name string) string {
	const most = 40
	if runes := []rune(name); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return name
}

// record returns the bytes of the next row, without its end of line. They are valid until the next call.
func (r *rowReader) record() ([]byte, error) {
	r.buffer = r.buffer[:0]
	first := r.line + 1
	for quotes := 0; ; {
		part, err := r.in.ReadSlice('\n')
		if len(r.buffer)+len(part) > MaxRowBytes {
			return nil, fmt.Errorf("line %d: the row is longer than %d bytes: a quote is missing, or the format is another", first, MaxRowBytes)
		}
		r.buffer = append(r.buffer, part...)
		if r.format == CSV {
			quotes += bytes.Count(part, []byte{'"'})
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(r.buffer) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF) && quotes%2 == 1:
			return nil, fmt.Errorf("line %d: a quote is never closed", first)
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		r.line++
		if quotes%2 == 0 { // otherwise a quoted cell continues on the next line
			return bytes.TrimSuffix(bytes.TrimSuffix(r.buffer, []byte{'\n'}), []byte{'\r'}), nil
		}
	}
}

// cell is one value of a row.
type cell struct {
	text string
	null bool
}

// split divides a record of CSV or Text into cells.
func (r *rowReader) split(record []byte) ([]cell, error) {
	if r.format == CSV {
		return splitCSV(string(record))
	}
	var cells []cell
	for part := range strings.SplitSeq(string(record), "\t") {
		if part == `\N` {
			cells = append(cells, cell{null: true})
			continue
		}
		text, err := unescaped(part)
		if err != nil {
			return nil, err
		}
		cells = append(cells, cell{text: text})
	}
	return cells, nil
}

func splitCSV(record string) ([]cell, error) {
	var cells []cell
	for {
		if !strings.HasPrefix(record, `"`) {
			text, rest, more := strings.Cut(record, ",")
			if strings.Contains(text, `"`) {
				return nil, errors.New("has a quote inside a cell that isn't quoted")
			}
			cells = append(cells, cell{text: text, null: text == ""})
			if !more {
				return cells, nil
			}
			record = rest
			continue
		}
		var text strings.Builder
		record = record[1:]
		for {
			part, rest, closed := strings.Cut(record, `"`)
			if !closed {
				return nil, errors.New("has a quote that isn't closed")
			}
			text.WriteString(part)
			record = rest
			if !strings.HasPrefix(record, `"`) {
				break
			}
			text.WriteByte('"') // a doubled quote is one quote
			record = record[1:]
		}
		cells = append(cells, cell{text: text.String()})
		if record == "" {
			return cells, nil
		}
		if record[0] != ',' {
			return nil, errors.New("has text between a closing quote and the next comma")
		}
		record = record[1:]
	}
}

var escapes = map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// unescaped resolves the backslashes of PostgreSQL's text format.
func unescaped(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			text.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", errors.New("ends in a backslash")
		}
		c := s[i]
		if plain, ok := escapes[c]; ok {
			c = plain
		} else if c >= '0' && c <= '9' || c == 'x' {
			return "", errors.New("has a byte written as a number, which PostgreSQL's COPY never writes")
		}
		text.WriteByte(c)
	}
	if !utf8.ValidString(text.String()) {
		return "", errors.New("is not UTF-8")
	}
	return text.String(), nil
}

// rowWriter writes rows.
type rowWriter struct {
	out     *bufio.Writer
	format  Format
	columns []string
}

func newRowWriter(out io.Writer, format Format, columns []string) (*rowWriter, error) {
	w := &rowWriter{out: bufio.NewWriterSize(out, 64<<10), format: format, columns: columns}
	switch format {
	case CSV:
		_, err := w.out.WriteString(strings.Join(columns, ",") + "\n")
		return w, err
	case Text:
		_, err := w.out.WriteString(strings.Join(columns, "\t") + "\n")
		return w, err
	}
	return w, nil
}

// write writes a row. A value is nil (NULL), a string, an int64, a bool, or JSON as json.RawMessage.
func (w *rowWriter) write(values []any) error {
	for i, value := range values {
		var separator, text string
		switch w.format {
		case JSONLines:
			separator = map[bool]string{true: "{", false: ","}[i == 0] + strconv.Quote(w.columns[i]) + ":"
			encoded, err := encodeJSON(value)
			if err != nil {
				return err
			}
			text = encoded
		case CSV:
			separator, text = ",", inCSV(value)
		case Text:
			separator, text = "\t", inText(value)
		}
		if i == 0 && w.format != JSONLines {
			separator = ""
		}
		_, _ = w.out.WriteString(separator) // bufio.Writer returns its first error at the end
		_, _ = w.out.WriteString(text)
	}
	if w.format == JSONLines {
		_ = w.out.WriteByte('}')
	}
	return w.out.WriteByte('\n')
}

func (w *rowWriter) flush() error { return w.out.Flush() }

func encodeJSON(value any) (string, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return strings.TrimSuffix(buffer.String(), "\n"), err
}

func inCSV(value any) string {
	if value == nil {
		return ""
	}
	text := plain(value)
	if text == "" || strings.ContainsAny(text, ",\"\r\n") || text == `\.` {
		return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
	}
	return text
}

var textEscapes = strings.NewReplacer(`\`, `\\`, "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`)

func inText(value any) string {
	if value == nil {
		return `\N`
	}
	return textEscapes.Replace(plain(value))
}

func plain(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.RawMessage:
		return string(v)
	}
	return fmt.Sprint(value)
}
