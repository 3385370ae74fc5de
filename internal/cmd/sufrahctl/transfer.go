package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sufrah/usage-bootstrap/internal/clock"
	"github.com/sufrah/usage-bootstrap/internal/local/transfer"
)

type importCommand struct {
	Kind        string       `arg:"" enum:"restaurants,bots,usage,conversations" help:"Kind of rows in the file: ${enum}."`
	File        string       `arg:"" help:"File to read, or - for the standard input."`
	Format      string       `enum:"jsonl,csv,text," default:"" help:"jsonl, csv or text (PostgreSQL's). Default: by the file's name (.jsonl, .csv, .tsv)."`
	Ignore      []string     `placeholder:"COLUMN" help:"Column to ignore; may be repeated."`
	Country     string       `placeholder:"CODE" help:"Calling code for phone numbers without a plus sign, such as 966."`
	Overwrite   bool         `help:"Replace existing restaurants and bots by the file's rows. Counts are never lowered."`
	Refused     string       `placeholder:"FILE" help:"CSV file to write, with the number, line, field and reason of every refused row."`
	Restart     bool         `help:"Begin with the first row and ignore the checkpoint of an interrupted import."`
	Defaults    defaultFlags `embed:"" group:"Limits of a bot without limits in its row"`
	Concurrency int          `default:"16" help:"Number of writes at the same time, 1 to 256."`
}

// checkpoint is the content of the checkpoint file next to the imported file.
type checkpoint struct {
	Target string `json:"target"` // the stack and its endpoint
	transfer.Checkpoint
}

func (c *importCommand) Run(s *session) (err error) {
	if c.Concurrency < 1 || c.Concurrency > maxConcurrency {
		return fmt.Errorf("--concurrency must be 1 to %d", maxConcurrency)
	}
	if strings.Trim(c.Country, "0123456789") != "" || len(c.Country) > 3 || strings.HasPrefix(c.Country, "0") {
		return fmt.Errorf("--country must be a calling code, such as 966, not %q", c.Country)
	}
	format, err := formatOf(c.Format, c.File)
	if err != nil {
		return err
	}
	in, size, err := open(c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	mark := marks{path: c.File + ".checkpoint", target: s.stack + " " + s.endpoint}
	if c.File == "-" {
		mark.path = ""
	}
	done, err := mark.read(c.Restart)
	if err != nil {
		return err
	}
	report, err := newRefusals(c.Refused, done.RefusedBytes, done.Summary.Rows > 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, report.close()) }()
	counted := &countingReader{Reader: in}
	progress := newProgress(s.progress, s.now, "import of "+c.File, size)
	work := transfer.Import{
		Kind: transfer.Kind(c.Kind), Format: format, Ignore: c.Ignore, Country: c.Country, Overwrite: c.Overwrite, Defaults: c.Defaults.limits(), Concurrency: c.Concurrency,
		Store: s.store, Now: s.now, Wait: clock.Sleep, Refused: report.add,
		Checkpoint: func(done transfer.Checkpoint) error {
			progress.show(done.Summary.Rows, counted.n)
			var err error
			if done.RefusedBytes, err = report.flush(); err != nil {
				return err
			}
			return mark.write(done)
		},
	}
	before := done.Summary.Rows
	done, err = work.Run(s.ctx, counted, done)
	progress.end()
	if errors.Is(err, transfer.ErrOtherFile) {
		return fmt.Errorf("%w (checkpoint %s): --restart begins with the first row", err, mark.path)
	}
	if err != nil && done.Summary.Rows > before && mark.path != "" {
		return fmt.Errorf("after %s: %w; run the same command again to continue", plural(int(done.Summary.Rows), "row"), err)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(mark.remove(), s.out.result(done.Summary, func(w io.Writer) { c.show(w, done.Summary, report) })); err != nil {
		return err
	}
	if done.Summary.Refused > 0 {
		return fmt.Errorf("%s refused", plural(int(done.Summary.Refused), "row"))
	}
	return nil
}

// maxConcurrency bounds a client's connections.
const maxConcurrency = 256

func (c *importCommand) show(w io.Writer, s transfer.Summary, report *refusals) {
	fmt.Fprintf(w, "%s: %d imported, %d unchanged, %d kept, %d refused.\n",
		plural(int(s.Rows), "row"), s.Imported, s.Unchanged, s.Kept, s.Refused)
	if s.Kept > 0 {
		fmt.Fprintln(w, "Kept: restaurants and bots that differ in the stack, and were not changed. --overwrite replaces them.")
	}
	if s.Refused == 0 {
		return
	}
	if c.Refused != "" {
		fmt.Fprintf(w, "The refused rows and their reasons are in %s.\n", c.Refused)
		return
	}
	table(w, []string{"ROW", "LINE", "FIELD", "REASON"}, report.first)
	if report.more {
		fmt.Fprintln(w, "There are more: --refused FILE writes all refused rows to a file.")
	}
}

type exportCommand struct {
	Kind   string `arg:"" enum:"restaurants,bots,usage,conversations" help:"Kind of rows to write: ${enum}."`
	File   string `arg:"" optional:"" default:"-" help:"File to write, or - for the standard output."`
	Format string `enum:"jsonl,csv,text," default:"" help:"jsonl, csv or text (PostgreSQL's). Default: by the file's name (.jsonl, .csv, .tsv)."`
}

func (c *exportCommand) Run(s *session) error {
	if c.File == "-" && c.Format == "" {
		c.Format = string(transfer.JSONLines)
	}
	format, err := formatOf(c.Format, c.File)
	if err != nil {
		return err
	}
	progress := newProgress(s.progress, s.now, "export of "+c.Kind, 0)
	write := func(out io.Writer) (int64, error) {
		defer progress.end()
		return transfer.Export(s.ctx, s.store, transfer.Kind(c.Kind), format, out, func(rows int64) { progress.show(rows, 0) })
	}
	if c.File == "-" {
		_, err := write(s.out.w)
		return err
	}
	var rows int64
	err = replaceFile(c.File, func(out io.Writer) (err error) {
		rows, err = write(out)
		return err
	})
	if err != nil {
		return err
	}
	return s.out.result(map[string]int64{"rows": rows}, func(w io.Writer) {
		fmt.Fprintf(w, "%s written to %s.\n", plural(int(rows), "row"), c.File)
	})
}

func formatOf(given, path string) (transfer.Format, error) {
	if given != "" {
		return transfer.Format(given), nil
	}
	if format := transfer.FormatOf(path); format != "" {
		return format, nil
	}
	return "", fmt.Errorf("the name %q doesn't show the format of the file: give --format", path)
}

// open opens a file and returns its size, 0 if it has no size.
func open(path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(os.Stdin), 0, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

// replaceFile writes a file as a whole: if writing fails, the old file stays. The file may have customers' numbers, so only
// the operator can read it.
func replaceFile(path string, write func(io.Writer) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// marks stores the checkpoint of an import; an empty path stores nothing.
type marks struct{ path, target string }

// read returns the checkpoint to continue from: the beginning if there is none, or if restart is set.
func (m marks) read(restart bool) (transfer.Checkpoint, error) {
	if m.path == "" || restart {
		return transfer.Checkpoint{}, nil
	}
	content, err := os.ReadFile(m.path)
	if errors.Is(err, os.ErrNotExist) {
		return transfer.Checkpoint{}, nil
	}
	if err != nil {
		return transfer.Checkpoint{}, err
	}
	var c checkpoint
	if err := json.Unmarshal(content, &c); err != nil {
		return transfer.Checkpoint{}, fmt.Errorf("%s is not a valid checkpoint (%w): --restart begins with the first row", m.path, err)
	}
	if c.Target != m.target {
		return transfer.Checkpoint{}, fmt.Errorf("%s is the checkpoint of an import into another stack: --restart begins with the first row", m.path)
	}
	return c.Checkpoint, nil
}

func (m marks) write(c transfer.Checkpoint) error {
	if m.path == "" {
		return nil
	}
	return replaceFile(m.path, func(out io.Writer) error { return json.NewEncoder(out).Encode(checkpoint{m.target, c}) })
}

func (m marks) remove() error {
	err := os.Remove(m.path)
	if m.path == "" || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// refusals reports refused rows: all of them in a file, or only the first on the terminal.
type refusals struct {
	file  *os.File // nil if there is no file
	csv   *csv.Writer
	first [][]string
	more  bool
}

// shownRefusals is the number of refused rows on the terminal.
const shownRefusals = 10

// newRefusals begins a report, or continues an existing one at the given length.
func newRefusals(path string, length int64, resumed bool) (*refusals, error) {
	if path == "" {
		return &refusals{}, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	r := &refusals{file: file, csv: csv.NewWriter(file)}
	// Rows after the checkpoint are imported, and so reported, again.
	err = file.Truncate(length)
	if err == nil {
		_, err = file.Seek(length, io.SeekStart)
	}
	if err == nil && (!resumed || length == 0) {
		err = r.csv.Write([]string{"row", "line", "field", "reason"})
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return r, nil
}

func (r *refusals) add(refusal transfer.Refusal) error {
	cells := []string{strconv.FormatInt(refusal.Row, 10), strconv.FormatInt(refusal.Line, 10), refusal.Field, refusal.Reason}
	if r.file != nil {
		return r.csv.Write(cells)
	}
	if len(r.first) == shownRefusals {
		r.more = true
		return nil
	}
	r.first = append(r.first, cells)
	return nil
}

// flush writes the report to its file and returns its length.
func (r *refusals) flush() (int64, error) {
	if r.file == nil {
		return 0, nil
	}
	r.csv.Flush()
	if err := r.csv.Error(); err != nil {
		return 0, err
	}
	return r.file.Seek(0, io.SeekCurrent)
}

func (r *refusals) close() error {
	if r.file == nil {
		return nil
	}
	_, err := r.flush()
	return errors.Join(err, r.file.Close())
}

type countingReader struct {
	io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}
