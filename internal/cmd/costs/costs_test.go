package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
)

// TestTrips counts calls, some successive and some simultaneous.
func TestTrips(t *testing.T) {
	t.Parallel()
	m := &meter{next: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	post := func(path string) {
		m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, path, http.NoBody))
	}
	call := func() { post(devstack.DynamoDBPath) }
	together := func(n int) {
		var group sync.WaitGroup
		for range n {
			group.Go(call)
		}
		group.Wait()
	}
	for name, test := range map[string]struct {
		do   func()
		want int
	}{
		"none":                {func() {}, 0},
		"one":                 {call, 1},
		"one with a slash":    {func() { post(devstack.DynamoDBPath + "/") }, 1},
		"one after the other": {func() { call(); call() }, 2},
		"at the same time":    {func() { together(5) }, 1},
		"both":                {func() { call(); together(3); call() }, 3},
		"after the answer":    {func() { call(); post("/2010-04-01/Accounts/AC/Messages.json"); call() }, 1},
		"of another service":  {func() { post(devstack.SQSPath); call() }, 1},
	} {
		m.start()
		test.do()
		if got := m.stop(); got != test.want {
			t.Errorf("%s: %d round trips, want %d", name, got, test.want)
		}
	}
	last := m.stop()
	call() // a call that isn't counted isn't held
	if got := m.stop(); got != last {
		t.Errorf("%d round trips after counting ended, want the last count's %d", got, last)
	}
}

// TestPricesAreOfWhatWasCounted compares the two documents with each other. To count anew would take half a minute.
func TestPricesAreOfWhatWasCounted(t *testing.T) {
	t.Parallel()
	lines, err := os.ReadFile("../../../" + countedFile)
	if err != nil {
		t.Fatal(err)
	}
	var counted []cost
	for line := range strings.Lines(string(lines)) {
		var c cost
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		counted = append(counted, c)
	}
	if want := len(sizes) * (len(operations) + len(inTableOperations())); len(counted) > want || len(counted) < want-len(sizes) {
		t.Errorf("%d costs are known, want %d", len(counted), want)
	}
	document, err := os.ReadFile("../../../" + pricesFile)
	if err != nil {
		t.Fatal(err)
	}
	if priced, err := withPrices(document, counted); err != nil || !bytes.Equal(priced, document) {
		t.Errorf("%s has other prices than follow from %s, %v", pricesFile, countedFile, err)
	}

	more := []cost{{inSession, 100, 0, 2, 1}, {unknown, 100, 3, 2, 2}}
	priced, err := withPrices([]byte("before\n"+begin+"old\n"+end+"after\n"), more)
	want := "before\n" + begin + "| a million of | units written, read | DynamoDB | API, Lambda | logs | SQS, NAT | X-Ray | together |\n|---|---|---|---|---|---|---|---|\n" +
		"| messages within a session | 2, 3 | 1.62 | 1.40 | 0.90 |  | 0.25 | **4.17** |\n" + end + "after\n"
	if err != nil || string(priced) != want {
		t.Errorf("priced, %v:\n%s\nwant:\n%s", err, priced, want)
	}
	if _, err := withPrices([]byte("no place"), more); err == nil {
		t.Error("a document without a place for prices was taken")
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := printTable(&out, []cost{{"a", 100, 1, 2, 3}, {"b", 100, 0.5, 0, 1}, {"a", 100_000, 4, 5, 6}, {"b", 100_000, 1.5, 0, 1}}, sizes); err != nil {
		t.Fatalf("writing the table: %v", err)
	}
	lines := strings.Split(out.String(), "\n")
	if got := strings.Fields(lines[1]); len(lines) != 4 || strings.Join(got, " ") != "a 1 2 3 4 5 6" {
		t.Errorf("printed:\n%s", &out)
	}
}

// TestPartialCountIsRefusedAsTheWhole: a count of some operations must not overwrite the documents, or pass for a check of all.
func TestPartialCountIsRefusedAsTheWhole(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--check", "--run", "search"}, {"--write", "--run", "search"}, {"--check", "--restaurants", "100"}, {"--restaurants", "99"},
		{"--restaurants", "1000001"}, {"--run", "("},
	} {
		var out strings.Builder
		if err := run(t.Context(), args, &out); err == nil || out.Len() > 0 {
			t.Errorf("%v was carried out: error %v, output %q", args, err, &out)
		}
	}
}
