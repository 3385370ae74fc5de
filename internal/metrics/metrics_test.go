package metrics_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/bootstrap"
	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/metrics"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 123_456_789, time.UTC)

func clock() time.Time { return now }

// document is a line of the embedded metric format, as far as its specification describes it.
type document struct {
	AWS *struct {
		Timestamp         *int64
		CloudWatchMetrics []struct {
			Namespace  *string
			Dimensions [][]string
			Metrics    []struct {
				Name *string
				Unit string
			}
		}
	} `json:"_aws"`
}

// units are the units of the specification that this package uses.
var units = []string{"Count", "Milliseconds"}

// validate returns the faults of a line by CloudWatch's specification of the embedded metric format: by its JSON schema, and
// by its rules for the members that a directive refers to.
func validate(line []byte) error {
	var d document
	var root map[string]any
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	if err := json.Unmarshal(line, &d); err != nil {
		return err
	}
	if d.AWS == nil || d.AWS.Timestamp == nil || d.AWS.CloudWatchMetrics == nil {
		return errors.New("the root lacks _aws, or that its Timestamp or CloudWatchMetrics")
	}
	for _, directive := range d.AWS.CloudWatchMetrics {
		if directive.Namespace == nil || !sized(*directive.Namespace, 1024) {
			return errors.New("a directive has no namespace")
		}
		if len(directive.Dimensions) == 0 || len(directive.Metrics) == 0 || len(directive.Metrics) > 100 {
			return errors.New("a directive has no dimensions, or not 1 to 100 metrics")
		}
		for _, dimension := range slices.Concat(directive.Dimensions...) {
			if value, ok := root[dimension].(string); !ok || !sized(dimension, 250) || !sized(value, 1024) {
				return fmt.Errorf("dimension %q has no text of its own in the root", dimension)
			}
		}
		seen := map[string]bool{}
		for _, m := range directive.Metrics {
			if m.Name == nil || !sized(*m.Name, 1024) || seen[*m.Name] || !slices.Contains(units, m.Unit) {
				return errors.New("a metric has no name or unit, or its name twice")
			}
			seen[*m.Name] = true
			if _, ok := root[*m.Name].(json.Number); !ok {
				return fmt.Errorf("metric %q has no number in the root", *m.Name)
			}
		}
	}
	return nil
}

func sized(text string, most int) bool { return text != "" && len(text) <= most }

func TestLine(t *testing.T) {
	t.Parallel()
	var written bytes.Buffer
	metrics.New(&written, "welcome-bootstrap", clock).
		Write(metrics.Count(metrics.JobCompleted, 1), metrics.Duration(metrics.JobDuration, 103_250*time.Microsecond))
	const want = `{"_aws":{"Timestamp":1795435200123,"CloudWatchMetrics":[{"Namespace":"Sufrah","Dimensions":[["Function"]],` +
		`"Metrics":[{"Name":"JobCompleted","Unit":"Count"},{"Name":"JobDuration","Unit":"Milliseconds"}]}]},` +
		`"Function":"welcome-bootstrap","JobCompleted":1,"JobDuration":103.25}` + "\n"
	if diff := cmp.Diff(want, written.String()); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	if err := validate(written.Bytes()); err != nil {
		t.Errorf("checking the metrics' format: %v", err)
	}
}

// TestValidateRefuses: validate refuses lines that CloudWatch would ignore.
func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	const valid = `{"_aws":{"Timestamp":1,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["D"]],` +
		`"Metrics":[{"Name":"M","Unit":"Count"}]}]},"D":"d","M":1}`
	if err := validate([]byte(valid)); err != nil {
		t.Fatalf("a line of the valid format is refused, so this check proves nothing: %v", err)
	}
	for _, change := range [][2]string{
		{`"_aws"`, `"aws"`}, {`"Timestamp":1,`, ``}, {`"Namespace":"N",`, ``}, {`"Namespace":"N"`, `"Namespace":""`}, {`[["D"]]`, `[]`},
		{`"D":"d"`, `"D":1`}, {`,"M":1`, ``}, {`"M":1`, `"M":"1"`}, {`"Count"`, `"Counts"`}, {`{"Name":"M","Unit":"Count"}`, ``},
		{`,"D"`, `,"E"`}, {`"M":1}`, `"M":1} x`}, {`"Timestamp":1`, `"Timestamp":1.5`},
		{`{"Name":"M","Unit":"Count"}`, `{"Name":"M","Unit":"Count"},{"Name":"M","Unit":"Count"}`},
	} {
		line := strings.Replace(valid, change[0], change[1], 1)
		if line == valid || validate([]byte(line)) == nil {
			t.Errorf("%s is accepted", line)
		}
	}
}

func TestEveryValueIsValid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var written bytes.Buffer
		function := rapid.StringN(1, 100, -1).Draw(t, "function")
		d := time.Duration(rapid.Int64().Draw(t, "duration"))
		n := rapid.Int64Range(0, math.MaxInt32).Draw(t, "count")
		metrics.New(&written, function, clock).Write(metrics.Duration(metrics.JobDuration, d), metrics.Count(metrics.AnswerSent, n))
		if err := validate(written.Bytes()); err != nil {
			t.Fatalf("%s: %v", &written, err)
		}
		var got struct{ AnswerSent, JobDuration float64 }
		if err := json.Unmarshal(written.Bytes(), &got); err != nil {
			t.Fatalf("decoding %.500s: %v", written.Bytes(), err)
		}
		if got.AnswerSent != float64(n) || got.JobDuration != float64(d)/1e6 {
			t.Fatalf("got %v, want %d and %d ns", got, n, d)
		}
	})
}

func TestObservers(t *testing.T) {
	t.Parallel()
	var written bytes.Buffer
	w := metrics.New(&written, "f", clock)
	for kind := bootstrap.Completed; kind <= bootstrap.Late; kind++ {
		w.JobEnded(bootstrap.Outcome{Kind: kind, Duration: time.Second})
	}
	for source := cache.None; source <= cache.Stale; source++ {
		w.CacheLoaded("key", source)
	}
	for _, percent := range []int64{80, 90, 100, 95} { // 95 isn't a threshold
		w.QuotaAlert(percent)
	}
	var got [][]string
	for line := range strings.Lines(written.String()) {
		if err := validate([]byte(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		var d document
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("decoding %.500s: %v", line, err)
		}
		var names []string
		for _, m := range d.AWS.CloudWatchMetrics[0].Metrics {
			names = append(names, *m.Name)
		}
		got = append(got, names)
	}
	want := [][]string{
		{"JobCompleted", "JobDuration", "JobWaited"}, {"JobPartial", "JobDuration", "JobWaited"}, {"JobFailed", "JobDuration", "JobWaited"},
		{"JobDeadLettered", "JobDuration", "JobWaited"}, {"JobWaiting", "JobDuration", "JobWaited"},
		{"JobLate", "JobDuration", "JobWaited"},
		{"MenuUnavailable"}, {"CacheHit"}, {"CacheMiss"}, {"CacheStale"},
		{"QuotaAlert80"}, {"QuotaAlert90"}, {"QuotaAlert100"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// whole is a writer that fails the test unless it is given whole lines.
type whole struct {
	t     *testing.T
	lines int
}

func (w *whole) Write(p []byte) (int, error) {
	w.lines++
	if err := validate(p); err != nil {
		w.t.Errorf("%s: %v", p, err)
	}
	return len(p), nil
}

func TestLinesStayWhole(t *testing.T) {
	t.Parallel()
	out := &whole{t: t}
	w := metrics.New(out, "f", clock)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				w.Write(metrics.Count(metrics.CacheHit, 1))
			}
		})
	}
	wg.Wait()
	if out.lines != 400 {
		t.Errorf("%d lines, want 400", out.lines)
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	w := metrics.New(io.Discard, "f", clock)
	m := []metrics.Metric{metrics.Count(metrics.JobCompleted, 1), metrics.Duration(metrics.JobDuration, time.Second)}
	if n := testing.AllocsPerRun(100, func() { w.Write(m...) }); n != 0 {
		t.Errorf("%v allocations a line, want none", n)
	}
}
