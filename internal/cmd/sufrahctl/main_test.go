package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/credential"
	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// stack is a stack's empty tables, served at an endpoint.
type stack struct {
	engine   *dynamolocal.Engine
	endpoint string
}

// stackTables reads the template once.
var stackTables = sync.OnceValues(func() ([]dynamolocal.Table, error) {
	parsed, err := sam.Load("../../../template.yaml")
	if err != nil {
		return nil, err
	}
	return devstack.Tables(parsed)
})

func newStack(t *testing.T) stack {
	t.Helper()
	tables, err := stackTables()
	if err != nil {
		t.Fatalf("reading the tables from the template: %v", err)
	}
	engine := dynamolocal.New(time.Now, tables...)
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	return stack{engine, server.URL}
}

// args returns the arguments of a command line on the stack.
func (s stack) args(args []string) []string {
	return append([]string{"--stack", devstack.StackName, "--endpoint", s.endpoint}, args...)
}

// run runs a command line on the stack and returns its output.
func (s stack) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), s.args(args), &out, io.Discard)
	// Lists are sorted by creation time in milliseconds, so no two commands may run in the same millisecond.
	time.Sleep(time.Millisecond)
	return out.String(), err
}

// client returns a client for the stack's tables.
func (s stack) client() *dynamodb.Client {
	config := awsconfig.New("us-east-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = aws.String("http://dynamodb.local")
	config.HTTPClient = &http.Client{Transport: s.engine.Transport()}
	return dynamodb.NewFromConfig(config)
}

// TestTranscripts runs the command lines in testdata, each file on a stack of its own, and compares their output with the
// file. In a file, a line with "$" is a command line without --stack and --endpoint, and a line with "#" is a comment. All
// other lines are output, on stdout and stderr, with the exit status unless it is 0.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s := newStack(t)
			if prepare := prepared[filepath.Base(path)]; prepare != nil {
				prepare(t, s)
			}
			got := transcribe(t, s, string(content))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(content), got); diff != "" {
				t.Errorf("transcript (-want +got):\n%s", diff)
			}
		})
	}
}

// prepared fills the stacks of some transcripts with data that no command can create.
var prepared = map[string]func(*testing.T, stack){"sharedids.txt": shareIDs, "messages.txt": sendMessages, "show.txt": openConversations}

// shareIDs gives ids twice, as older versions allowed: one to two bots, and a restaurant's id to a bot.
func shareIDs(t *testing.T, s stack) {
	t.Helper()
	for i, id := range []string{"alpha", "bravo", "charlie"} {
		r := restaurant.Restaurant{ID: id, Name: id, Active: true, CreatedAt: time.Now().Add(time.Duration(i) * time.Second)}
		if err := s.store().CreateRestaurant(t.Context(), r, &restaurant.Bot{ID: "bot-" + id}); err != nil {
			t.Fatalf("creating the restaurant: %v", err)
		}
	}
	text := func(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }
	for id, botID := range map[string]string{"alpha": "shared", "bravo": "shared", "charlie": "alpha"} {
		_, err := s.client().UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
			TableName: aws.String(schema.StackTables(devstack.StackName).Bots), Key: map[string]types.AttributeValue{"restaurantId": text(id)},
			UpdateExpression: aws.String("SET botId = :id"), ExpressionAttributeValues: map[string]types.AttributeValue{":id": text(botID)},
		})
		if err != nil {
			t.Fatalf("updating the item: %v", err)
		}
	}
}

// sendMessages lets a restaurant send messages.
func sendMessages(t *testing.T, s stack) {
	t.Helper()
	one := restaurant.Restaurant{ID: "one", Name: "One", Active: true, CreatedAt: time.Now()}
	if err := s.store().CreateRestaurant(t.Context(), one, nil); err != nil {
		t.Fatalf("creating the restaurant: %v", err)
	}
	for i, m := range []struct {
		kind     delivery.Kind
		category delivery.Category
		status   delivery.Status
	}{
		{delivery.Welcome, delivery.Utility, delivery.Read},
		{delivery.List, delivery.Service, delivery.Delivered},
		{delivery.List, delivery.Service, delivery.Sent},
		{delivery.Text, delivery.Service, delivery.Failed},
	} {
		err := s.store().Enter(t.Context(), one.ID, ledger.Entry{
			Place: delivery.Place{Day: time.Date(2026, 11, 27+i/2, 0, 0, 0, 0, time.UTC), Page: "k7f3q2ab9x", Number: i},
			Class: ledger.Class{Kind: m.kind, Category: m.category}, Status: m.status,
		})
		if err != nil {
			t.Fatalf("entering the sent message into the ledger: %v", err)
		}
	}
}

// openConversations gives restaurants conversations in a month long past and in a month to come, so that neither is the current one.
func openConversations(t *testing.T, s stack) {
	t.Helper()
	past, future := usage.Month{Year: 2020, Month: time.February}, usage.Month{Year: 2099, Month: time.February}
	months := map[usage.Month]usage.MonthCount{
		past:   {Conversations: 280, LastConversation: time.Date(2020, 2, 20, 12, 0, 0, 0, time.UTC)},
		future: {Conversations: 305, LastConversation: time.Date(2099, 2, 20, 12, 0, 0, 0, time.UTC)},
	}
	for id, bot := range map[string]*restaurant.Bot{
		"one":       {ID: "bot-one", PhoneNumber: "+966110000001", OwnerNumber: "+966500000099", Limits: restaurant.Limits{ConversationsPerDay: 10, AnswersPerMinute: 30}},
		"two":       nil,
		"unlimited": {ID: "bot-unlimited", PhoneNumber: "+966110000003", Limits: restaurant.Limits{ConversationsPerDay: -1, AnswersPerMinute: -1}},
	} {
		if err := s.store().CreateRestaurant(t.Context(), restaurant.Restaurant{ID: id, Name: "Restaurant " + id, Active: id != "two", CreatedAt: time.Now()}, bot); err != nil {
			t.Fatalf("creating the restaurant: %v", err)
		}
		activity := usage.Activity{Last: time.Date(2099, 2, 21, 12, 0, 0, 0, time.UTC)}
		if err := s.store().PutUsage(t.Context(), id, activity, months); err != nil {
			t.Fatalf("writing the usage: %v", err)
		}
	}
	for i, kind := range []string{usage.TopUpType, usage.CorrectionType} {
		topUp := usage.TopUp{ID: fmt.Sprint("adj_", i), Amount: int64(50 - 70*i), Type: kind, Reason: "Ramadan", CreatedBy: "noura", CreatedAt: time.Date(2099, 2, 1+i, 0, 0, 0, 0, time.UTC)}
		if _, err := s.store().AddTopUp(t.Context(), "one", future, topUp, "", 0); err != nil {
			t.Fatalf("topping up: %v", err)
		}
	}
	recorder, told := s.store().Recorder(usage.NewCalendar(nil)), conversation.QuotaAlerts{Noted: 90, Sent: 80}
	for _, id := range []string{"one", "two"} {
		m := conversation.Message{RestaurantID: id, Delivery: "d"}
		if _, held, err := recorder.ClaimQuotaAlerts(t.Context(), m, future, time.Now()); err != nil || !held {
			t.Fatalf("claiming the quota alerts: %v, %v", held, err)
		}
		if err := recorder.SettleQuotaAlerts(t.Context(), m, future, told, true); err != nil {
			t.Fatalf("settling the quota alerts: %v", err)
		}
	}
}

// transcribe runs the commands in a transcript on a stack, and returns the new transcript.
func transcribe(t *testing.T, stack stack, transcript string) string {
	t.Helper()
	var got, outputs strings.Builder
	var secrets placeholders
	begun := false // within a block: comments, a command, its output
	for line := range strings.Lines(transcript) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		if !isCommand && !strings.HasPrefix(line, "#") {
			continue
		}
		if !begun && got.Len() > 0 {
			got.WriteByte('\n')
		}
		begun = !isCommand
		got.WriteString(line)
		if !isCommand {
			continue
		}
		var terminal bytes.Buffer
		status := execute(t.Context(), stack.args(words(secrets.reveal(strings.TrimSpace(command)))), &terminal, &terminal)
		time.Sleep(time.Millisecond) // for the same reason as in run
		outputs.Write(terminal.Bytes())
		got.WriteString(secrets.hide(terminal.String()))
		if status != 0 {
			fmt.Fprintf(&got, "exit status %d\n", status)
		}
	}
	for _, value := range secrets.values {
		if n := strings.Count(outputs.String(), value); n != 1 {
			t.Errorf("a raw value was shown %d times, want once", n)
		}
	}
	return got.String()
}

// words splits a command line at spaces outside single quotes.
func words(line string) []string {
	var all []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	return all
}

// placeholders replace values that differ between runs: raw values and ids, in the order of their appearance, and times. They
// are as long as the values, so that columns stay aligned.
type placeholders struct{ values, ids []string }

var (
	valuePattern = regexp.MustCompile(`sufrah_(?:pat|key)_[\w-]{43}`)
	idPattern    = regexp.MustCompile(`\bcr_[\w-]{12}`)
	stampPattern = regexp.MustCompile(`"timestamp":"[^"]*"`)
	timePattern  = regexp.MustCompile(`\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d{3})?Z`)
)

func (p *placeholders) hide(text string) string {
	text = valuePattern.ReplaceAllStringFunc(text, func(value string) string {
		p.values = append(p.values, value)
		return fmt.Sprintf("%s%043d", value[:len("sufrah_pat_")], len(p.values))
	})
	text = idPattern.ReplaceAllStringFunc(text, func(id string) string {
		for i, known := range p.ids {
			if id == known {
				return placeholder(i)
			}
		}
		p.ids = append(p.ids, id)
		return placeholder(len(p.ids) - 1)
	})
	text = stampPattern.ReplaceAllString(text, `"timestamp":"…"`)
	return timePattern.ReplaceAllStringFunc(text, func(t string) string {
		return "YYYY-MM-DD" + t[10:11] + "hh:mm:ss.sssZ"[:len(t)-12] + "Z"
	})
}

// reveal replaces the placeholders in a text by the ids.
func (p *placeholders) reveal(text string) string {
	for i, id := range p.ids {
		text = strings.ReplaceAll(text, placeholder(i), id)
	}
	return text
}

func placeholder(i int) string { return fmt.Sprintf("cr_%012d", i+1) }

// issued is the output of issuing and rotating with --json.
type issued struct {
	ID, Value string
	ExpiresAt *time.Time
}

func (s stack) issue(t *testing.T, args ...string) issued {
	t.Helper()
	output, err := s.run(t, append(args, "--json")...)
	if err != nil {
		t.Fatalf("running the command: %v", err)
	}
	var result issued
	if err := json.Unmarshal([]byte(output), &result); err != nil || result.ID == "" || result.Value == "" {
		t.Fatalf("output %q: %v", output, err)
	}
	return result
}

// check returns a function's answer to a raw value after a time.
func (s stack) check(t *testing.T, kind credential.Kind, raw string, after time.Duration) error {
	t.Helper()
	store := stackstore.New(s.client(), schema.StackTables(devstack.StackName), func() float64 { return 0 })
	clock := func() time.Time { return time.Now().Add(after) }
	_, err := credential.NewAuthenticator(store, clock).Authenticate(t.Context(), kind, raw)
	return err
}

// TestLifeOfACredential: a credential and its successor are both valid during their overlap, after that only the successor,
// and neither once revoked.
func TestLifeOfACredential(t *testing.T) {
	t.Parallel()
	for kind, words := range map[credential.Kind][]string{
		credential.PAT:    {"token", "issue", "--all", "--expires", "720h"},
		credential.APIKey: {"key", "issue", "--expires", "720h"},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			old := s.issue(t, words...)
			successor := s.issue(t, words[0], "rotate", old.ID, "--overlap", "2h")
			if successor.ID == old.ID || successor.Value == old.Value {
				t.Errorf("the successor is %+v, the old one %+v", successor, old)
			}
			const day = 24 * time.Hour
			for _, test := range []struct {
				after               time.Duration
				wantOld, wantNewest error
			}{
				{0, nil, nil},
				{2*time.Hour - time.Minute, nil, nil},
				{2 * time.Hour, credential.ErrExpired, nil},
				{30*day - time.Minute, credential.ErrExpired, nil}, // the successor's lifetime is the old credential's, counted from now
				{30 * day, credential.ErrExpired, credential.ErrExpired},
			} {
				if err := s.check(t, kind, old.Value, test.after); !errors.Is(err, test.wantOld) {
					t.Errorf("after %s the old one is %v, want %v", test.after, err, test.wantOld)
				}
				if err := s.check(t, kind, successor.Value, test.after); !errors.Is(err, test.wantNewest) {
					t.Errorf("after %s the successor is %v, want %v", test.after, err, test.wantNewest)
				}
			}
			if _, err := s.run(t, words[0], "revoke", successor.ID); err != nil {
				t.Fatalf("running the command: %v", err)
			}
			if err := s.check(t, kind, successor.Value, 0); !errors.Is(err, credential.ErrRevoked) {
				t.Errorf("revoked, the successor is %v", err)
			}
			if err := s.check(t, kind, old.Value, 0); err != nil {
				t.Errorf("the old one is %v, though only its successor was revoked", err)
			}
		})
	}
}

// TestDefaultOverlap: without --overlap, a rotated credential stays valid for a day.
func TestDefaultOverlap(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	old := s.issue(t, "token", "issue", "--all")
	s.issue(t, "token", "rotate", old.ID)
	if err := s.check(t, credential.PAT, old.Value, 24*time.Hour-time.Minute); err != nil {
		t.Errorf("after almost a day it is %v", err)
	}
	if err := s.check(t, credential.PAT, old.Value, 24*time.Hour); !errors.Is(err, credential.ErrExpired) {
		t.Errorf("after a day it is %v", err)
	}
}

// TestOnlyHashesAreStored looks for raw values in the whole content of the tables.
func TestOnlyHashesAreStored(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	token := s.issue(t, "token", "issue", "--all", "--label", "dashboard")
	key := s.issue(t, "key", "issue")
	successor := s.issue(t, "token", "rotate", token.ID)
	names := schema.StackTables(devstack.StackName)
	var stored strings.Builder
	for _, table := range []string{
		names.Restaurants, names.Bots, names.Usage, names.Conversations, names.AccessTokens, names.Directory,
	} {
		items, err := s.client().Scan(t.Context(), &dynamodb.ScanInput{TableName: &table})
		if err != nil {
			t.Fatalf("running the scan: %v", err)
		}
		text, err := json.Marshal(items.Items)
		if err != nil {
			t.Fatalf("encoding the JSON: %v", err)
		}
		stored.Write(text)
	}
	for _, c := range []issued{token, key, successor} {
		secret := c.Value[len("sufrah_pat_"):]
		if strings.Contains(stored.String(), secret) {
			t.Errorf("the value of %s is stored: %s", c.ID, stored.String())
		}
		if hash := credential.HashOf(c.Value).String(); !strings.Contains(stored.String(), hash) {
			t.Errorf("the hash of %s is not stored: %s", c.ID, stored.String())
		}
	}
}

// TestPaging lists more restaurants than a page has.
func TestPaging(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const restaurants = 7
	for i := range restaurants {
		if _, err := s.run(t, "restaurant", "create", fmt.Sprintf("r%d", i), "--name", "One of seven"); err != nil {
			t.Fatalf("running the command: %v", err)
		}
	}
	var got []string
	for offset := 0; offset < restaurants; offset += 3 {
		output, err := s.run(t, "restaurant", "list", "--json", "--limit", "3", "--offset", fmt.Sprint(offset))
		if err != nil {
			t.Fatalf("running the command: %v", err)
		}
		var page struct {
			Restaurants []struct{ ID string }
			Total       int
		}
		if err := json.Unmarshal([]byte(output), &page); err != nil || page.Total != restaurants {
			t.Fatalf("output %s: %v", output, err)
		}
		for _, r := range page.Restaurants {
			got = append(got, r.ID)
		}
	}
	if diff := cmp.Diff([]string{"r6", "r5", "r4", "r3", "r2", "r1", "r0"}, got); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

// TestUnknownStack: every command reports a mistyped stack name as such.
func TestUnknownStack(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for _, line := range []string{
		"restaurant list", "restaurant show r1", "restaurant create r1 --name One", "restaurant activate r1", "token list", "key issue",
		"token issue --all", "token revoke cr_1", "directory rebuild",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			args := append([]string{"--stack", "mistyped", "--endpoint", s.endpoint}, strings.Fields(line)...)
			err := run(t.Context(), args, &out, io.Discard)
			if err == nil || out.Len() > 0 || !strings.Contains(err.Error(), "mistyped") {
				t.Errorf("output %q, error %v; want an error that names the stack", &out, err)
			}
		})
	}
}

// TestMissingTable: a command that needs a missing table names it, even if DynamoDB's answer doesn't.
func TestMissingTable(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	if out, err := s.run(t, "restaurant", "create", "r1", "--name", "One"); err != nil {
		t.Fatalf("creating the restaurant: %s, %v", out, err)
	}
	if _, err := s.client().DeleteTable(t.Context(), &dynamodb.DeleteTableInput{TableName: aws.String("sufrah-local-usage")}); err != nil {
		t.Fatalf("deleting the table: %v", err)
	}
	const want = "table sufrah-local-usage is missing: run sufrahctl doctor"
	if out, err := s.run(t, "usage", "top-up", "r1", "--amount", "5"); err == nil || err.Error() != want {
		t.Errorf("output %q, error %v; want %s", out, err, want)
	}
}

// TestHelpNeedsNothing: asking for help is no error, and needs neither a stack nor the command's arguments.
func TestHelpNeedsNothing(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"--help", "-h", "restaurant --help", "restaurant create --help", "token rotate -h", "key issue --help"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := run(t.Context(), strings.Fields(line), &out, io.Discard); err != nil || !strings.Contains(out.String(), "Usage: sufrahctl") {
				t.Errorf("output %q, error %v", &out, err)
			}
		})
	}
}

// TestUnreachable: if nobody listens at the endpoint, the command fails soon.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var out bytes.Buffer
	err := run(t.Context(), []string{"--stack", "any", "--endpoint", server.URL, "restaurant", "list"}, &out, io.Discard)
	if err == nil || out.Len() > 0 {
		t.Errorf("output %q, error %v", &out, err)
	}
}

// TestInterrupted: Ctrl-C cancels a command.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	args := []string{"--stack", devstack.StackName, "--endpoint", s.endpoint, "restaurant", "create", "r1", "--name", "One"}
	if err := run(ctx, args, &out, io.Discard); !errors.Is(err, context.Canceled) || out.Len() > 0 {
		t.Errorf("output %q, error %v", &out, err)
	}
}

// TestHelpWithoutDashes: "sufrahctl help restaurant show" is "sufrahctl restaurant show --help", and needs no stack either.
func TestHelpWithoutDashes(t *testing.T) {
	t.Parallel()
	for _, command := range [][]string{nil, {"restaurant", "show"}} {
		var word, flag strings.Builder
		for out, args := range map[*strings.Builder][]string{
			&word: append([]string{"help"}, command...), &flag: append(slices.Clone(command), "--help"),
		} {
			if err := run(t.Context(), args, out, io.Discard); err != nil {
				t.Errorf("%q: error %v", args, err)
			}
		}
		if word.Len() == 0 || word.String() != flag.String() {
			t.Errorf("help of %q: %q, want %q", command, word.String(), flag.String())
		}
	}
}

// TestUsageShowsCurrentMonth: without --month, the month is the current one, in the time zone.
func TestUsageShowsCurrentMonth(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	if out, err := s.run(t, "restaurant", "create", "one", "--name", "One"); err != nil {
		t.Fatalf("creating the restaurant: %s, %v", out, err)
	}
	zone := time.FixedZone("", 14*60*60) // it begins months half a day before UTC
	for {
		before := usage.NewCalendar(zone).Month(time.Now())
		out, err := s.run(t, "usage", "show", "one", "--json", "--time-zone", "Pacific/Kiritimati")
		if usage.NewCalendar(zone).Month(time.Now()) != before {
			continue // the month changed meanwhile
		}
		var got shownUsage
		if err != nil || json.Unmarshal([]byte(out), &got) != nil || got.Month != before.String() || got.TimeZone != "Pacific/Kiritimati" {
			t.Errorf("output %q, error %v; want the month %s", out, err, before)
		}
		return
	}
}
