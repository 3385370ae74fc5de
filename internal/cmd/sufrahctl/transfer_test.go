package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/demo"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

func (s stack) store() *stackstore.Store {
	return stackstore.New(s.client(), schema.StackTables(devstack.StackName), func() float64 { return 0 })
}

// TestImportDocumentation writes the files in docs/IMPORT.md and runs its commands.
func TestImportDocumentation(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../../docs/IMPORT.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, s := t.TempDir(), newStack(t)
	files := regexp.MustCompile("(?s)`([\\w.]+)`:\n\n```\\w+\n(.*?)```").FindAllStringSubmatch(string(content), -1)
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(dir, file[1]), []byte(file[2]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	console := regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(content), -1)
	if len(files) != 4 || len(console) != 1 {
		t.Fatalf("the page has %d files and %d transcripts", len(files), len(console))
	}
	var got strings.Builder
	for line := range strings.Lines(console[0][1]) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		got.WriteString(line)
		args := strings.Fields(command)
		for i, arg := range args {
			if strings.Contains(arg, ".") {
				args[i] = filepath.Join(dir, arg)
			}
		}
		if args[0] == "cat" {
			shown, err := os.ReadFile(args[1])
			if err != nil {
				t.Fatal(err)
			}
			got.Write(shown)
			continue
		}
		output, err := s.run(t, args[1:]...)
		got.WriteString(strings.ReplaceAll(output, dir+"/", ""))
		if err != nil {
			fmt.Fprintf(&got, "error: %s\n", strings.ReplaceAll(err.Error(), dir+"/", ""))
		}
	}
	// An export has no fixed order.
	if diff := cmp.Diff(sortedExports(console[0][1]), sortedExports(got.String())); diff != "" {
		t.Errorf("transcript (-want +got):\n%s", diff)
	}
}

// sortedExports sorts consecutive lines of JSON in a transcript.
func sortedExports(transcript string) []string {
	lines := strings.Split(transcript, "\n")
	for i := range lines {
		for j := i; j > 0 && strings.HasPrefix(lines[j], "{") && strings.HasPrefix(lines[j-1], "{") && lines[j] < lines[j-1]; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
	return lines
}

// exportAll exports a whole stack to files in a format, and returns their paths by kind.
func (s stack) exportAll(t *testing.T, format string) map[string]string {
	t.Helper()
	paths := make(map[string]string)
	for _, kind := range []string{"restaurants", "bots", "usage", "conversations"} {
		paths[kind] = filepath.Join(t.TempDir(), kind)
		if output, err := s.run(t, "export", kind, paths[kind], "--format", format); err != nil {
			t.Fatalf("%s: %s, error %v", kind, output, err)
		}
	}
	return paths
}

func (s stack) importAll(t *testing.T, format string, paths map[string]string) {
	t.Helper()
	for _, kind := range []string{"restaurants", "bots", "usage", "conversations"} {
		output, err := s.run(t, "import", kind, paths[kind], "--format", format)
		if err != nil || !strings.Contains(output, " 0 kept, 0 refused") {
			t.Errorf("%s: %s, error %v", kind, output, err)
		}
	}
}

// answers returns everything that the usage API shows.
func (s stack) answers(t *testing.T, now time.Time) map[string]any {
	t.Helper()
	service := usage.NewService(s.store(), usage.NewCalendar(nil), restaurant.Limits{ConversationsPerDay: 77}, func() time.Time { return now })
	directory, err := service.Directory(t.Context())
	if err != nil {
		t.Fatalf("reading the directory: %v", err)
	}
	listing, err := service.List(t.Context(), directory, usage.All, usage.Start{}, 2*demo.Restaurants)
	if err != nil {
		t.Fatalf("reading a page of the list: %v", err)
	}
	all := map[string]any{
		"list": listing, "active": directory.Total(usage.ActiveOnly), "inactive": directory.Total(usage.InactiveOnly),
	}
	for _, percent := range []usage.Share{0, 70, 90, 100} {
		ranks, err := service.Ranks(t.Context())
		if err != nil {
			t.Fatalf("reading the ranking: %v", err)
		}
		alerts, err := service.Alerts(t.Context(), ranks, percent*usage.Percent, 0, 2*demo.Restaurants)
		if err != nil {
			t.Fatalf("reading the alerts: %v", err)
		}
		all[fmt.Sprintf("%d %%", percent)] = alerts
	}
	for _, r := range listing.Reports {
		details, err := service.Details(t.Context(), r.RestaurantID)
		if err != nil {
			t.Fatalf("reading the details: %v", err)
		}
		// Not exported: single top-ups, the tally of messages, the ledger of sent messages, and the ids of the messages that
		// opened sessions.
		details.TopUps, details.Messages = nil, nil
		for i := range details.Days {
			details.Days[i].Messages = 0
		}
		for i := range details.Sessions {
			details.Sessions[i].ID = ""
		}
		all[r.RestaurantID] = details
	}
	err = s.store().EachBot(t.Context(), func(id string, bot restaurant.Bot) error {
		all["bot of "+id] = bot
		return nil
	})
	if err != nil {
		t.Fatalf("reading all bots: %v", err)
	}
	if all["bot's restaurant"], err = service.RestaurantOfBot(t.Context(), "bot-"+demo.ExampleID); err != nil {
		t.Errorf("finding the restaurant of the bot: %v", err)
	}
	return all
}

// TestMove moves the data of a stack in use into an empty stack, in each format. The new stack gives the same answers, and
// customers' sessions continue in it.
func TestMove(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it imports all demo data six times")
	}
	t.Parallel()
	now := time.Now()
	calendar := usage.NewCalendar(nil)
	old := newStack(t)
	if err := demo.Load(t.Context(), old.store(), calendar, now); err != nil {
		t.Fatalf("loading the demo data: %v", err)
	}
	message := func(s stack, id, customer string, at time.Time) conversation.Recorded {
		t.Helper()
		m := conversation.Message{ID: id, RestaurantID: demo.ExampleID, Customer: customer, ReceivedAt: at, Delivery: id}
		recorder := s.store().Recorder(calendar)
		recorded, err := storetest.Record(t.Context(), recorder, m)
		if err != nil {
			t.Fatalf("recording the message: %v", err)
		}
		if recorded.First {
			if _, err := recorder.Claim(t.Context(), m, conversation.Welcome, at); err != nil {
				t.Fatalf("claiming the reply: %v", err)
			}
			if err := recorder.Settle(t.Context(), m, conversation.Welcome); err != nil {
				t.Fatalf("settling the reply: %v", err)
			}
		}
		return recorded
	}
	const regular, gone = "+966500000001", "+966500000002"
	message(old, "m1", regular, now.Add(-time.Hour))
	message(old, "m2", gone, now.Add(-30*24*time.Hour))
	for id, amount := range map[string]string{demo.UsedUpID: "20", demo.NearingID: "50"} { // 300 of 320, and 285 of 350
		if output, err := old.run(t, "usage", "renew", id, "--amount", amount, "--key", "once"); err != nil {
			t.Fatalf("%s, error %v", output, err)
		}
	}
	want := old.answers(t, now)
	for _, format := range []string{"jsonl", "csv", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			paths := old.exportAll(t, format)
			for range 2 { // importing again changes nothing
				s.importAll(t, format, paths)
				if diff := cmp.Diff(want, s.answers(t, now)); diff != "" {
					t.Fatalf("answers (-old +new):\n%s", diff)
				}
			}
			if output, err := s.run(t, "directory", "rebuild", "--check"); err != nil {
				t.Errorf("directory: %s, error %v", output, err)
			}
			for _, step := range []struct {
				customer string
				counted  int64
			}{{regular, 0}, {gone, 1}, {"+966500000003", 1}} {
				before := s.conversations(t, calendar.Month(now))
				recorded := message(s, "after"+step.customer, step.customer, now)
				isNew := step.customer != regular && step.customer != gone
				if recorded.First != isNew || recorded.Welcome == conversation.ReplySettled == isNew {
					t.Errorf("%s: %+v", step.customer, recorded)
				}
				if counted := s.conversations(t, calendar.Month(now)) - before; counted != step.counted {
					t.Errorf("%s: %d conversations counted, want %d", step.customer, counted, step.counted)
				}
			}
		})
	}
}

func (s stack) conversations(t *testing.T, month usage.Month) int64 {
	t.Helper()
	record, err := s.store().Usage(t.Context(), demo.ExampleID, []usage.Month{month})
	if err != nil {
		t.Fatalf("reading the stored usage: %v", err)
	}
	return record.Months[month].Conversations
}

// TestImportGoesOn: an interrupted import leaves a checkpoint. The same command continues from there, and its report has each
// refused row once.
func TestImportGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it imports thousands of restaurants")
	}
	t.Parallel()
	const rows = 4000
	var file strings.Builder
	file.WriteString("id,name,created_at\n")
	for i := range rows {
		name := "One of many"
		if i%100 == 99 {
			name = ""
		}
		fmt.Fprintf(&file, "r%d,%s,2025-01-01 00:00:00.%03d\n", i, name, i%1000)
	}
	dir, s := t.TempDir(), newStack(t)
	path, refused := filepath.Join(dir, "r.csv"), filepath.Join(dir, "refused.csv")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	// The stack fails in the second of two batches of 2,000 rows. A batch takes 250 transactions.
	writes := 0
	ctx, cancel := context.WithCancel(t.Context())
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "TransactWriteItems") {
			if writes++; writes > 300 {
				cancel()
			}
		}
		s.engine.ServeHTTP(w, r)
	}))
	t.Cleanup(broken.Close)
	args := []string{"--stack", devstack.StackName, "--endpoint", broken.URL, "import", "restaurants", path, "--refused", refused}
	var out bytes.Buffer
	err := run(ctx, args, &out, io.Discard)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "after 2000 rows") || out.Len() > 0 {
		t.Fatalf("output %q, error %v", &out, err)
	}
	// The checkpoint is refused for another stack and for another file.
	other := append([]string{"--stack", devstack.StackName, "--endpoint", s.endpoint}, args[4:]...)
	if err := run(t.Context(), other, &out, io.Discard); err == nil || !strings.Contains(err.Error(), "another stack") {
		t.Errorf("into another stack: error %v", err)
	}
	changed := strings.Replace(file.String(), "r0,One", "r0,The first", 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), args, &out, io.Discard); err == nil || !strings.Contains(err.Error(), "not the file of") {
		t.Errorf("of another file: error %v", err)
	}
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}

	writes = -rows
	err = run(t.Context(), args, &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "40 rows refused") || !strings.Contains(out.String(), "4000 rows: ") {
		t.Errorf("output %q, error %v", &out, err)
	}
	if done := writes + rows; done > 250 {
		t.Errorf("the second run took %d transactions, want no more than the second batch's", done)
	}
	report, err := os.ReadFile(refused)
	if err != nil {
		t.Fatal(err)
	}
	want := "row,line,field,reason\n"
	for i := 99; i < rows; i += 100 {
		want += fmt.Sprintf("%d,%d,name,is missing\n", i+1, i+2)
	}
	if diff := cmp.Diff(want, string(report)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(path + ".checkpoint"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the checkpoint is left: %v", err)
	}
	if output, err := s.run(t, "directory", "rebuild", "--check"); err != nil || !strings.Contains(output, "all 3960 restaurants") {
		t.Errorf("directory: %s, error %v", output, err)
	}
}

// TestImportRefusesCommandLine: contradictory arguments are refused before anything is written.
func TestImportRefusesCommandLine(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	path := filepath.Join(t.TempDir(), "restaurants")
	if err := os.WriteFile(path, []byte("id\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, reason := range map[string]string{
		"import restaurants " + path:                                   "give --format",
		"import restaurants missing.csv":                               "no such file",
		"import restaurants " + path + " --format csv --concurrency 0": "--concurrency must be 1",
		"import menus " + path:                                         "must be one of",
		"export restaurants " + path:                                   "give --format",
		"export restaurants /missing/folder/x.csv":                     "no such file",
	} {
		if output, err := s.run(t, strings.Fields(line)...); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %s, error %v, want %q", line, output, err, reason)
		}
	}
}

// TestDirectoryCheck: the check names the differences, and the rebuild then mends them.
func TestDirectoryCheck(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	lost := restaurant.Restaurant{ID: "lost", Name: "Lost", Active: true, CreatedAt: time.Now()}
	if _, err := s.run(t, "restaurant", "create", "r1", "--name", "One"); err != nil {
		t.Fatalf("running the command: %v", err)
	}
	if err := s.store().PutRestaurants(t.Context(), []restaurant.Restaurant{lost}); err != nil {
		t.Fatalf("storing the restaurants: %v", err)
	}
	const difference = "RESTAURANT  DIFFERENCE\nlost        is not found by searching for \"lost\"\nlost        is not listed\n"
	for range 2 { // the first check mends nothing
		output, err := s.run(t, "directory", "rebuild", "--check")
		if err == nil || output != difference {
			t.Errorf("check: %s, error %v", output, err)
		}
	}
	if output, err := s.run(t, "directory", "rebuild"); err != nil || output != difference+"The directory lists 2 restaurants.\n" {
		t.Errorf("rebuild: %s, error %v", output, err)
	}
	output, err := s.run(t, "directory", "rebuild", "--check", "--json")
	if err != nil || output != `{"restaurants":2,"differences":[]}`+"\n" {
		t.Errorf("check: %s, error %v", output, err)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{false, true} {
		var out strings.Builder
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		p := newProgress(&out, func() time.Time { return now }, "import of x.csv", 1000)
		p.terminal = terminal
		for i := range 25 { // one portion a second; the first was done before
			p.show(int64(1000*(i+1)), int64(40*(i+1)))
			now = now.Add(time.Second)
		}
		p.end()
		last := "import of x.csv: 21000 rows, 1000 a second, 84%"
		if !terminal {
			want := "import of x.csv: 11000 rows, 1000 a second, 44%\n" + last + "\n"
			if out.String() != want {
				t.Errorf("lines %q, want %q", &out, want)
			}
			continue
		}
		if !strings.Contains(out.String(), "\r\x1b[K["+strings.Repeat("=", 25)+"     ] "+last) || !strings.HasSuffix(out.String(), "\r\x1b[K") ||
			strings.Contains(out.String(), "\n") {
			t.Errorf("bar %q", &out)
		}
	}
}
