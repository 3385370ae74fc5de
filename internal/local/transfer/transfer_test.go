package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/local/transfer"
	"github.com/sufrah/usage-bootstrap/internal/outage"
	"github.com/sufrah/usage-bootstrap/internal/restaurant"
	"github.com/sufrah/usage-bootstrap/internal/test/localstore"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// now is the time of the tests' imports.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var november = usage.Month{Year: 2026, Month: time.November}

// importer imports into a store and keeps what it reports.
type importer struct {
	transfer.Import
	refused []transfer.Refusal
	marks   []transfer.Checkpoint
	waited  []time.Duration
}

func newImporter(s transfer.Store, kind transfer.Kind, format transfer.Format) *importer {
	i := &importer{}
	i.Import = transfer.Import{
		Kind: kind, Format: format, Defaults: restaurant.DefaultLimits, Concurrency: 4, Store: s, Now: func() time.Time { return now },
		Wait:       func(_ context.Context, d time.Duration) error { i.waited = append(i.waited, d); return nil },
		Refused:    func(r transfer.Refusal) error { i.refused = append(i.refused, r); return nil },
		Checkpoint: func(c transfer.Checkpoint) error { i.marks = append(i.marks, c); return nil },
	}
	return i
}

// load imports a text from its beginning.
func load(t *testing.T, s transfer.Store, kind transfer.Kind, format transfer.Format, text string) (transfer.Summary, []transfer.Refusal) {
	t.Helper()
	i := newImporter(s, kind, format)
	done, err := i.Run(t.Context(), strings.NewReader(text), transfer.Checkpoint{})
	if err != nil {
		t.Fatalf("importing: %v", err)
	}
	return done.Summary, i.refused
}

func wantSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// withRestaurants returns a store that has r1 and r2.
func withRestaurants(t *testing.T) *stackstore.Store {
	t.Helper()
	s := localstore.New(t)
	for _, id := range []string{"r1", "r2"} {
		if err := s.CreateRestaurant(t.Context(), restaurant.Restaurant{ID: id, Name: id, Active: true, CreatedAt: now}, nil); err != nil {
			t.Fatalf("creating the restaurant: %v", err)
		}
	}
	return s
}

// TestRefusals covers every check of a row, with rows that don't pass it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kind          transfer.Kind
		row           string
		field, reason string // of the only refusal; an empty reason means that the row is imported
	}{
		{transfer.Restaurants, `{"id":"r3","name":"مطعم","createdAt":"2025-10-20T15:30:00.000Z"}`, "", ""},
		{transfer.Restaurants, `{"name":"A","createdAt":"2025-10-20T15:30:00Z"}`, "id", "is missing"},
		{transfer.Restaurants, `{"id":"a/b","name":"A","createdAt":"2025-10-20T15:30:00Z"}`, "id", "is not an id"},
		{transfer.Restaurants, `{"id":"r3","name":null,"createdAt":"2025-10-20T15:30:00Z"}`, "name", "is missing"},
		{transfer.Restaurants, `{"id":"r3","name":" ","createdAt":"2025-10-20T15:30:00Z"}`, "name", "is not a name"},
		{transfer.Restaurants, `{"id":"r3","name":"a\nb","createdAt":"2025-10-20T15:30:00Z"}`, "name", "is not a name"},
		{transfer.Restaurants, `{"id":"r3","name":"A","merchantId":"a b","createdAt":"2025-10-20T15:30:00Z"}`, "merchantId", "is not an id"},
		{transfer.Restaurants, `{"id":"r3","name":"A","merchantId":"","createdAt":"2025-10-20T15:30:00Z"}`, "", ""},
		{transfer.Restaurants, `{"id":"r3","name":"A","isActive":"maybe","createdAt":"2025-10-20T15:30:00Z"}`, "isActive", "is neither true nor false"},
		{transfer.Restaurants, `{"id":"r3","name":"A"}`, "createdAt", "is missing"},
		{transfer.Restaurants, `{"id":"r3","name":"A","createdAt":"yesterday"}`, "createdAt", "is not a time"},
		{transfer.Restaurants, `{"id":"r3","name":"A","createdAt":"1970-01-01T00:00:00Z"}`, "createdAt", "lies before the year 2000"},
		{transfer.Restaurants, `{"id":"r3","name":"A","createdAt":"2026-11-23T12:06:00Z"}`, "createdAt", "lies in the future"},
		{transfer.Restaurants, `{"id":"r1","name":"r1","createdAt":"2025-10-20T15:30:00Z"}`, "createdAt", "differs from that of the restaurant"},
		{transfer.Restaurants, `{"id":"r3","nom":"A"}`, "nom", "is no column of restaurants"},
		{transfer.Restaurants, `{"id":"r3","is_active":true,"isActive":true}`, "isActive", "comes twice"},
		{transfer.Restaurants, `[1]`, "", "is not a JSON object"},
		{transfer.Restaurants, `{"id":`, "", "is not a JSON object"},
		{transfer.Restaurants, "{\"id\":\"\xff\"}", "", "is not UTF-8"},

		{transfer.Bots, `{"restaurantId":"r1"}`, "", ""},
		{transfer.Bots, `{"restaurantId":"r1","phoneNumber":"00966 11 000-0000"}`, "", ""},
		{transfer.Bots, `{"restaurantId":"nobody"}`, "restaurantId", "is not the id of a restaurant in this stack"},
		{transfer.Bots, `{"restaurantId":"r1","id":"a b"}`, "id", "is not an id"},
		{transfer.Bots, `{"restaurantId":"r1","phoneNumber":"0110000000"}`, "phoneNumber", "is not an international phone number"},
		{transfer.Bots, `{"restaurantId":"r1","ownerNumber":"0550000000"}`, "ownerNumber", "is not an international phone number"},
		{transfer.Bots, `{"restaurantId":"r1","twilioAccountSid":"a b"}`, "twilioAccountSid", "is not an id"},
		{transfer.Bots, `{"restaurantId":"r1","maxMessagesPerDay":-2}`, "maxMessagesPerDay", "is not a whole number from -1"},
		{transfer.Bots, `{"restaurantId":"r1","maxMessagesPerMin":1.5}`, "maxMessagesPerMin", "is not a whole number from -1"},

		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":45}`, "", ""},
		{transfer.Usage, `{"restaurantId":"r1","month":11,"year":2026,"conversationCount":45}`, "", ""},
		{transfer.Usage, `{"restaurantId":"r1","firstActivity":"2026-11-01T00:00:00Z"}`, "", ""},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-10","conversationCount":1,"lastConversationAt":"2026-11-01 00:30:00+03"}`, "", ""},
		{transfer.Usage, `{"restaurantId":"r1"}`, "", "has neither a month nor an activity"},
		{transfer.Usage, `{"restaurantId":"r1","conversationCount":1}`, "month", "is missing"},
		{transfer.Usage, `{"restaurantId":"r1","adjustedBy":5}`, "month", "is missing"},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":5,"adjustedBy":-1}`, "adjustedBy", "is not a whole number from 0"},
		{transfer.Usage, `{"restaurantId":"r1","year":2026}`, "month", "is missing"},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-13","conversationCount":1}`, "month", "is not a month"},
		{transfer.Usage, `{"restaurantId":"r1","month":13,"year":2026,"conversationCount":1}`, "month", "is not a month of a year"},
		{transfer.Usage, `{"restaurantId":"r1","month":1,"year":"MMXXVI","conversationCount":1}`, "year", "is not a year"},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-12","conversationCount":1}`, "month", "lies in the future"},
		{transfer.Usage, `{"restaurantId":"r1","month":"1999-12","conversationCount":1}`, "month", "lies before the year 2000"},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11"}`, "conversationCount", "is missing"},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":-1}`, "conversationCount", "is not a whole number from 0"},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":"many"}`, "conversationCount", "is not a whole number"},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":1,"lastConversationAt":"2026-10-20T00:00:00Z"}`,
			"lastConversationAt", "does not lie in the month"},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":9,"days":{"3":4,"20":5}}`, "", ""},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":9,"days":{"3":4,"20":6}}`, "days", "has 10 conversations in all"},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":9,"days":{"31":1}}`, "days", `has a day "31"`},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":9,"days":{"3":1,"03":1}}`, "days", `each once`},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":9,"days":{"3":-1}}`, "days", "has a day with -1"},
		{transfer.Usage, `{"restaurantId":"r1","month":"2026-11","conversationCount":9,"days":[1]}`, "days", "is not a JSON object of days"},
		{transfer.Usage, `{"restaurantId":"r1","firstActivity":"2026-11-02T00:00:00Z","lastActivity":"2026-11-01T00:00:00Z"}`,
			"lastActivity", "lies before firstActivity"},
		{transfer.Usage, `{"restaurantId":"r3","month":"2026-11","conversationCount":1}`, "restaurantId", "is not the id of a restaurant in this stack"},

		{transfer.Conversations, `{"restaurantId":"r1","customer":"whatsapp:+966500000001","openedAt":"2026-11-23T10:00:00Z","lastMessageAt":"2026-11-23T11:00:00Z"}`, "", ""},
		{transfer.Conversations, `{"restaurantId":"r1","customer":"0500000001","openedAt":"2026-11-23T10:00:00Z","lastMessageAt":"2026-11-23T11:00:00Z"}`,
			"customer", "is not an international phone number"},
		{transfer.Conversations, `{"restaurantId":"r1","openedAt":"2026-11-23T10:00:00Z","lastMessageAt":"2026-11-23T11:00:00Z"}`, "customer", "is missing"},
		{transfer.Conversations, `{"restaurantId":"r1","customer":"+966500000001","lastMessageAt":"2026-11-23T11:00:00Z"}`, "openedAt", "is missing"},
		{transfer.Conversations, `{"restaurantId":"r1","customer":"+966500000001","openedAt":"2026-11-23T11:00:00Z"}`, "lastMessageAt", "is missing"},
		{transfer.Conversations, `{"restaurantId":"r1","customer":"+966500000001","openedAt":"2026-11-23T11:00:00Z","lastMessageAt":"2026-11-23T10:00:00Z"}`,
			"lastMessageAt", "lies before openedAt"},
		{transfer.Conversations, `{"restaurantId":"r1","customer":"+966500000001","openedAt":"2026-11-23T11:00:00Z","lastMessageAt":"2026-11-24T10:00:00Z"}`,
			"lastMessageAt", "lies in the future"},
		{transfer.Conversations, `{"restaurantId":"r1","customer":"+966500000001","openedAt":"2026-11-23T10:00:00Z","lastMessageAt":"2026-11-23T11:00:00Z","messages":0}`,
			"messages", "is not a whole number from 1"},
	} {
		summary, refusals := load(t, withRestaurants(t), test.kind, transfer.JSONLines, test.row)
		switch {
		case test.reason == "" && (summary.Imported != 1 || len(refusals) > 0):
			t.Errorf("%s %s: %+v, refused %+v", test.kind, test.row, summary, refusals)
		case test.reason != "" && (summary.Refused != 1 || len(refusals) != 1 || refusals[0].Row != 1 ||
			refusals[0].Field != test.field || !strings.Contains(refusals[0].Reason, test.reason)):
			t.Errorf("%s %s: %+v, refused %+v; want %s %s", test.kind, test.row, summary, refusals, test.field, test.reason)
		}
	}
}

// TestEveryFaultIsReported: a row is refused with all its faults at once, and no number is quoted.
func TestEveryFaultIsReported(t *testing.T) {
	t.Parallel()
	text := "\n" + `{"restaurantId":"r1","customer":"966512345678","openedAt":"never","messages":"x"}` + "\n"
	_, refusals := load(t, withRestaurants(t), transfer.Conversations, transfer.JSONLines, text)
	var fields []string
	for _, r := range refusals {
		fields = append(fields, r.Field)
		if r.Row != 1 || r.Line != 2 || strings.Contains(r.Reason, "12345") {
			t.Errorf("refusal %+v", r)
		}
	}
	wantSame(t, "fields", fields, []string{"openedAt", "lastMessageAt", "messages", "customer"})
}

// TestFormats reads the same restaurants in every format, as PostgreSQL writes them.
func TestFormats(t *testing.T) {
	t.Parallel()
	created := time.Date(2025, 10, 20, 15, 30, 0, 123e6, time.UTC)
	want := map[string]restaurant.Restaurant{
		"a": {ID: "a", Name: `Tab\t, "quoted"`, MerchantID: "m", Active: true, CreatedAt: created},
		"b": {ID: "b", Name: "مطعم", Active: false, CreatedAt: created},
	}
	for name, text := range map[string]string{
		"jsonl": `{"id":"a","name":"Tab\\t, \"quoted\"","merchantId":"m","isActive":true,"createdAt":"2025-10-20T15:30:00.123Z"}` + "\r\n" +
			`{"id":"b","name":"\u0645\u0637\u0639\u0645","merchantId":null,"isActive":false,"createdAt":"2025-10-20T15:30:00.123456+00:00"}`,
		"csv": "id,name,merchant_id,is_active,created_at\n" +
			`a,"Tab\t, ""quoted""",m,t,2025-10-20 15:30:00.123+00` + "\n" +
			`b,مطعم,,f,2025-10-20 18:30:00.123456+03` + "\r\n",
		"text": "id\tname\tmerchant_id\tis_active\tcreated_at\n" +
			`a` + "\t" + `Tab\\t, "quoted"` + "\tm\tt\t2025-10-20 15:30:00.123\n" +
			"b\tمطعم\t\\N\tf\t2025-10-20 21:00:00.123+05:30\n\\.\nnothing more\n",
	} {
		s := localstore.New(t)
		summary, refusals := load(t, s, transfer.Restaurants, transfer.Format(name), "\uFEFF"+text)
		got, err := s.Restaurants(t.Context(), []string{"a", "b"})
		if err != nil {
			t.Fatalf("reading the restaurants: %v", err)
		}
		wantSame(t, name, got, want)
		wantSame(t, name+" summary", summary, transfer.Summary{Rows: 2, Imported: 2})
		wantSame(t, name+" refusals", len(refusals), 0)
	}
}

// TestNullAndEmpty: in CSV, a quoted empty cell is an empty text, and an unquoted one is NULL.
func TestNullAndEmpty(t *testing.T) {
	t.Parallel()
	header := "restaurantId,month,conversationCount,lastConversationAt\n"
	summary, refusals := load(t, withRestaurants(t), transfer.Usage, transfer.CSV, header+"r1,2026-11,5,\n"+`r2,2026-11,5,""`)
	wantSame(t, "summary", summary, transfer.Summary{Rows: 2, Imported: 1, Refused: 1})
	if len(refusals) != 1 || refusals[0].Row != 2 || refusals[0].Line != 3 || refusals[0].Field != "lastConversationAt" {
		t.Errorf("refused %+v", refusals)
	}
}

// TestMalformedRows: an unreadable row is refused, and the rows after it are imported.
func TestMalformedRows(t *testing.T) {
	t.Parallel()
	const good = "r1,2026-11,5\n"
	for bad, reason := range map[string]string{
		"r1,2026-11":            "has 2 cells for 3 columns",
		"r1,2026-11,5,6":        "has 4 cells for 3 columns",
		`r1,2026"-1"1,5`:        "has a quote inside a cell that isn't quoted",
		`"r1"x,2026-11,5`:       "has text between a closing quote and the next comma",
		"r1,2026-11,\xff":       "is not UTF-8",
		`r1,"2026` + "\n11\",5": "is not a month",
	} {
		summary, refusals := load(t, withRestaurants(t), transfer.Usage, transfer.CSV, "restaurantId,month,conversationCount\n"+bad+"\n"+good)
		if summary.Imported != 1 || len(refusals) != 1 || !strings.Contains(refusals[0].Reason, reason) {
			t.Errorf("%q: %+v, refused %+v, want %q", bad, summary, refusals, reason)
		}
	}
	for bad, reason := range map[string]string{
		"r1\t2026-11\t5\\":   "ends in a backslash",
		"r1\t2026-11\t\\101": "has a byte written as a number",
		"r1\t2026-11\t5\\n":  "is not a whole number",
	} {
		summary, refusals := load(t, withRestaurants(t), transfer.Usage, transfer.Text,
			"restaurantId\tmonth\tconversationCount\n"+bad+"\n"+strings.ReplaceAll(good, ",", "\t"))
		if summary.Imported != 1 || len(refusals) != 1 || !strings.Contains(refusals[0].Reason, reason) {
			t.Errorf("%q: %+v, refused %+v, want %q", bad, summary, refusals, reason)
		}
	}
}

// TestFilesThatAreRefused: of a file that is malformed as a whole, nothing is imported.
func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{
		"":                             "the file is empty",
		"id,nom\nr1,x\n":               `unknown column "nom": the columns of restaurants`,
		"id,nom,nam\n":                 `unknown column "nom", "nam"`,
		"id,is_active,isActive\n":      `column "isActive" comes twice`,
		"id,name\nr9,\"never closed\n": "line 2: a quote is never closed",
		"id,name\n\"" + strings.Repeat("x", transfer.MaxRowBytes) + "\n": "line 2: the row is longer than",
	} {
		i := newImporter(localstore.New(t), transfer.Restaurants, transfer.CSV)
		done, err := i.Run(t.Context(), strings.NewReader(text), transfer.Checkpoint{})
		if err == nil || !strings.Contains(err.Error(), reason) || done.Summary.Imported > 0 {
			t.Errorf("%.40q: %+v, error %v, want %q", text, done, err, reason)
		}
	}
}

func TestIgnoredColumns(t *testing.T) {
	t.Parallel()
	for format, text := range map[transfer.Format]string{
		transfer.CSV:       "restaurant_id,month,conversation_count,updated_at\nr1,2026-11,5,whatever\n",
		transfer.JSONLines: `{"restaurant_id":"r1","month":"2026-11","conversation_count":5,"updated_at":{"x":1}}`,
	} {
		i := newImporter(withRestaurants(t), transfer.Usage, format)
		i.Ignore = []string{"updatedAt"}
		done, err := i.Run(t.Context(), strings.NewReader(text), transfer.Checkpoint{})
		if err != nil || done.Summary.Imported != 1 {
			t.Errorf("%s: %+v, error %v, refused %+v", format, done, err, i.refused)
		}
	}
}

// TestExisting: existing items keep their values, unless they are to be overwritten. In both cases a second import changes
// nothing.
func TestExisting(t *testing.T) {
	t.Parallel()
	restaurants := "id,name,is_active,created_at\nr1,renamed,f," + now.Format(time.RFC3339) + "\nr2,r2,t," + now.Format(time.RFC3339) + "\n"
	bots := "restaurant_id,id,phone_number,max_messages_per_day\nr1,b1,+966110000001,5\nr2,b2,+966110000001,5\n"
	for _, overwrite := range []bool{false, true} {
		s := withRestaurants(t)
		if err := s.SetBot(t.Context(), "r1", restaurant.Bot{ID: "b1"}); err != nil {
			t.Fatalf("setting the bot: %v", err)
		}
		run := func(kind transfer.Kind, text string) transfer.Summary {
			i := newImporter(s, kind, transfer.CSV)
			i.Overwrite, i.Concurrency = overwrite, 1
			done, err := i.Run(t.Context(), strings.NewReader(text), transfer.Checkpoint{})
			if err != nil {
				t.Fatalf("importing: %v", err)
			}
			return done.Summary
		}
		want := [4]transfer.Summary{
			{Rows: 2, Kept: 1, Unchanged: 1}, {Rows: 2, Kept: 1, Unchanged: 1},
			{Rows: 2, Kept: 1, Imported: 1}, {Rows: 2, Kept: 1, Unchanged: 1},
		}
		if overwrite {
			want = [4]transfer.Summary{
				{Rows: 2, Imported: 1, Unchanged: 1}, {Rows: 2, Unchanged: 2},
				{Rows: 2, Imported: 1, Refused: 1}, {Rows: 2, Unchanged: 1, Refused: 1},
			}
		}
		got := [4]transfer.Summary{
			run(transfer.Restaurants, restaurants), run(transfer.Restaurants, restaurants), run(transfer.Bots, bots), run(transfer.Bots, bots),
		}
		if overwrite { // either of two bots may get a number first
			want[2], want[3] = got[2], got[3]
			if got[2].Imported+got[2].Refused != 2 || got[3].Imported > 0 {
				t.Errorf("bots: %+v, then %+v", got[2], got[3])
			}
		}
		wantSame(t, fmt.Sprint("overwrite ", overwrite), got, want)
		record, err := s.Usage(t.Context(), "r1", nil)
		if err != nil || record.Restaurant.Active == overwrite || (record.Restaurant.Name == "renamed") != overwrite {
			t.Errorf("overwrite %t: %+v, error %v", overwrite, record, err)
		}
	}
}

// TestUsageAndActivity: months and conversations also move the activity.
func TestUsageAndActivity(t *testing.T) {
	t.Parallel()
	s := withRestaurants(t)
	load(t, s, transfer.Usage, transfer.CSV, "restaurantId,month,conversationCount,lastConversationAt\n"+
		"r1,2026-10,9,2026-10-20T15:30:00Z\nr1,2026-11,5,2026-11-20T15:30:00Z\n")
	load(t, s, transfer.Conversations, transfer.CSV, "restaurantId,customer,openedAt,lastMessageAt\n"+
		"r1,+966500000001,2026-09-01 10:00:00,2026-09-01 11:00:00\nr1,+966500000002,2026-11-21 10:00:00,2026-11-22 09:00:00\n")
	record, err := s.Usage(t.Context(), "r1", november.Last(3))
	if err != nil {
		t.Fatalf("reading the stored usage: %v", err)
	}
	at := func(month, day, hour, minute int) time.Time {
		return time.Date(2026, time.Month(month), day, hour, minute, 0, 0, time.UTC)
	}
	wantSame(t, "activity", record.Activity, usage.Activity{First: at(9, 1, 10, 0), Last: at(11, 22, 9, 0), LastConversation: at(11, 21, 10, 0),
		Sessions: map[int64]int64{usage.SlotOf(at(11, 22, 9, 0)): 1}})
	wantSame(t, "months", record.Months, map[usage.Month]usage.MonthCount{
		november:            {Conversations: 5, LastConversation: at(11, 20, 15, 30)},
		november.Last(2)[1]: {Conversations: 9, LastConversation: at(10, 20, 15, 30)},
	})
}

// counting is a store that counts the operations that several rows share.
type counting struct {
	*stackstore.Store
	mu                   sync.Mutex
	activities, existing int
}

func (c *counting) MergeActivity(ctx context.Context, id string, a usage.Activity) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.activities++
	return c.Store.MergeActivity(ctx, id, a)
}

func (c *counting) Restaurants(ctx context.Context, ids []string) (map[string]restaurant.Restaurant, error) {
	c.existing += len(ids)
	return c.Store.Restaurants(ctx, ids)
}

// MergeSession does nothing: a row's own write isn't counted.
func (c *counting) MergeSession(context.Context, conversation.Session) (bool, error) {
	return true, nil
}

// TestRowsCostTheirOwnWrite: data that a restaurant's rows share are read and written once, and again only after a change.
func TestRowsCostTheirOwnWrite(t *testing.T) {
	t.Parallel()
	c := &counting{Store: withRestaurants(t)}
	var text strings.Builder
	text.WriteString("restaurantId,customer,openedAt,lastMessageAt\n")
	for i := range 5000 {
		last := map[bool]string{true: "2026-11-02 11:00:00", false: "2026-11-03 11:00:00"}[i < 3500]
		fmt.Fprintf(&text, "r%d,+9665%08d,2026-11-02 10:00:00,%s\n", 1+i%2, i, last)
	}
	summary, _ := load(t, c, transfer.Conversations, transfer.CSV, text.String())
	wantSame(t, "summary", summary, transfer.Summary{Rows: 5000, Imported: 5000})
	if c.activities != 4 || c.existing != 2 { // for r1 and r2, at the beginning and after row 3500
		t.Errorf("activities were merged %d times, want 4; %d restaurants were read, want 2", c.activities, c.existing)
	}
}

// counted is a store with the months in a map. Tests write many thousand rows to it; on the stand-in, that would take
// minutes.
type counted struct {
	*stackstore.Store
	mu     sync.Mutex
	months map[string]usage.MonthCount // by restaurant and month
}

func newCounted(t *testing.T) *counted {
	t.Helper()
	return &counted{Store: withRestaurants(t), months: make(map[string]usage.MonthCount)}
}

func (c *counted) MergeMonth(_ context.Context, id string, month usage.Month, count usage.MonthCount) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := id + " " + month.String()
	old, known := c.months[key]
	c.months[key] = old.Merge(count)
	return !known || c.months[key].Conversations != old.Conversations, nil
}

// failing is a store that can be made to fail.
type failing struct {
	transfer.Store
	fail func() error
}

func (f failing) MergeMonth(ctx context.Context, id string, month usage.Month, count usage.MonthCount) (bool, error) {
	if err := f.fail(); err != nil {
		return false, err
	}
	return f.Store.MergeMonth(ctx, id, month, count)
}

// manyMonths returns a file with the given number of rows, every tenth of them refused.
func manyMonths(rows int) string {
	var text strings.Builder
	text.WriteString("restaurantId,month,year,conversationCount\n")
	for i := range rows {
		month := 1 + i%12
		if i%10 == 9 {
			month = 13
		}
		fmt.Fprintf(&text, "r%d,%d,%d,%d\n", 1+i%2, month, 2001+i/12%20, i)
	}
	return text.String()
}

// TestResume: an import that breaks off anywhere and is continued gives the same result as an uninterrupted one.
func TestResume(t *testing.T) {
	t.Parallel()
	const rows = 2345
	text := manyMonths(rows)
	whole := newCounted(t)
	want, wantRefused := load(t, whole, transfer.Usage, transfer.CSV, text)
	rapid.Check(t, func(rt *rapid.T) {
		s := newCounted(t)
		writes, broken := 0, errors.New("broken off")
		ends := rapid.IntRange(1, rows).Draw(rt, "ends after writes")
		f := failing{s, func() error {
			if writes++; writes > ends {
				return broken
			}
			return nil
		}}
		i := newImporter(f, transfer.Usage, transfer.CSV)
		i.Concurrency = 1
		done, err := i.Run(context.Background(), strings.NewReader(text), transfer.Checkpoint{})
		if err != nil && !errors.Is(err, broken) {
			rt.Fatalf("importing: %v", err)
		}
		// Only the checkpoint, in JSON, and the refusals up to it are kept between the two runs.
		encoded, err := json.Marshal(done)
		if err != nil {
			rt.Fatalf("encoding the JSON: %v", err)
		}
		var from transfer.Checkpoint
		if err := json.Unmarshal(encoded, &from); err != nil {
			rt.Fatalf("decoding %.500s: %v", encoded, err)
		}
		rest := newImporter(s, transfer.Usage, transfer.CSV)
		got, err := rest.Run(context.Background(), strings.NewReader(text), from)
		if err != nil {
			rt.Fatalf("importing: %v", err)
		}
		if refused := append(i.refused, rest.refused...); !cmp.Equal(refused, wantRefused) {
			rt.Fatalf("%d refusals, want %d", len(refused), len(wantRefused))
		}
		if got.Summary.Rows != want.Rows || got.Summary.Refused != want.Refused ||
			got.Summary.Imported+got.Summary.Unchanged != want.Imported+want.Unchanged {
			rt.Fatalf("%+v, want %+v", got.Summary, want)
		}
		if diff := cmp.Diff(whole.months, s.months, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("months (-want +got):\n%s", diff)
		}
	})
}

// TestOtherFile: a checkpoint that belongs to another file, or to other rows, is refused.
func TestOtherFile(t *testing.T) {
	t.Parallel()
	text := manyMonths(2500)
	i := newImporter(newCounted(t), transfer.Usage, transfer.CSV)
	if _, err := i.Run(t.Context(), strings.NewReader(text), transfer.Checkpoint{}); err != nil {
		t.Fatalf("importing: %v", err)
	}
	from := i.marks[0]
	if from.Summary.Rows != 1000 {
		t.Fatalf("the first checkpoint is %+v", from)
	}
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"the same":         {text, nil},
		"more at its end":  {text + "r1,11,2026,1\n", nil},
		"changed before":   {strings.Replace(text, "r1,1,2001,0", "r1,1,2001,7", 1), transfer.ErrOtherFile},
		"shorter":          {manyMonths(900), transfer.ErrOtherFile},
		"changed after it": {strings.Replace(text, ",2499\n", ",1\n", 1), nil},
	} {
		_, err := newImporter(newCounted(t), transfer.Usage, transfer.CSV).Run(t.Context(), strings.NewReader(test.text), from)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
	}
	if _, err := newImporter(localstore.New(t), transfer.Bots, transfer.CSV).Run(t.Context(), strings.NewReader("restaurantId\n"), from); !errors.Is(err, transfer.ErrOtherFile) {
		t.Errorf("of another kind: %v", err)
	}
}

// TestOutage: the import waits for a throttled store. If the outage lasts, the import ends with a checkpoint from which it
// can continue.
func TestOutage(t *testing.T) {
	t.Parallel()
	for _, failures := range []int{3, 100} {
		left := failures
		f := failing{withRestaurants(t), func() error {
			if left--; left >= 0 {
				return outage.ErrUnavailable
			}
			return nil
		}}
		i := newImporter(f, transfer.Usage, transfer.CSV)
		i.Concurrency = 1
		done, err := i.Run(t.Context(), strings.NewReader("restaurantId,month,conversationCount\nr1,2026-11,5\n"), transfer.Checkpoint{})
		if failures == 3 {
			wantSame(t, "waited", i.waited, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second})
			wantSame(t, "summary", done.Summary, transfer.Summary{Rows: 1, Imported: 1})
		} else if !errors.Is(err, outage.ErrUnavailable) || done.Summary.Rows != 0 || len(i.waited) != 6 {
			t.Errorf("%+v after %v, error %v", done, i.waited, err)
		}
	}
}

func TestCalledOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	i := newImporter(newCounted(t), transfer.Usage, transfer.CSV)
	keep := i.Checkpoint
	i.Import.Checkpoint = func(c transfer.Checkpoint) error {
		cancel()
		return keep(c)
	}
	done, err := i.Run(ctx, strings.NewReader(manyMonths(5000)), transfer.Checkpoint{})
	if !errors.Is(err, context.Canceled) || done.Summary.Rows != 1000 {
		t.Errorf("%+v, error %v", done, err)
	}
}

// TestCalledOffBeforeWriting: an import that is cancelled fails, even if nothing is left that could fail.
func TestCalledOffBeforeWriting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	i := newImporter(calledOff{withRestaurants(t), cancel}, transfer.Usage, transfer.CSV)
	done, err := i.Run(ctx, strings.NewReader("restaurantId,month,conversationCount\nr1,2026-11,5\nr2,2026-11,5\n"), transfer.Checkpoint{})
	if !errors.Is(err, context.Canceled) || done.Summary.Rows != 0 {
		t.Errorf("%+v, error %v", done, err)
	}
}

// calledOff is a store that cancels its caller's context after each successful read.
type calledOff struct {
	transfer.Store
	callOff func()
}

func (c calledOff) Restaurants(ctx context.Context, ids []string) (map[string]restaurant.Restaurant, error) {
	defer c.callOff()
	return c.Store.Restaurants(ctx, ids)
}

// TestCalledOffWhileReading: rows that were read but not written yet are imported when the import continues.
func TestCalledOffWhileReading(t *testing.T) {
	t.Parallel()
	const rows = 1100 // a portion, and the beginning of the portion that is cancelled
	s := localstore.New(t)
	var created []restaurant.Restaurant
	for i := range rows {
		created = append(created, restaurant.Restaurant{ID: fmt.Sprint("r", i), Name: "A", Active: true, CreatedAt: now})
	}
	if err := s.AddRestaurants(t.Context(), created); err != nil {
		t.Fatalf("storing the restaurants: %v", err)
	}
	for _, kind := range []transfer.Kind{transfer.Bots, transfer.Usage, transfer.Conversations} {
		ctx, cancel := context.WithCancel(t.Context())
		row := func(i int) string {
			return fmt.Sprintf(map[transfer.Kind]string{
				transfer.Bots:          `{"restaurantId":"r%d"}`,
				transfer.Usage:         `{"restaurantId":"r%d","month":"2026-11","conversationCount":5}`,
				transfer.Conversations: `{"restaurantId":"r%d","customer":"+966500000001","openedAt":"2026-11-23T10:00:00Z","lastMessageAt":"2026-11-23T11:00:00Z"}`,
			}[kind]+"\n", i)
		}
		in := func(row func(int) string) io.Reader { return &source{rows: rows, row: row} }
		i := newImporter(s, kind, transfer.JSONLines)
		_, err := i.Run(ctx, in(func(n int) string {
			if n == rows-1 {
				cancel()
			}
			return row(n)
		}), transfer.Checkpoint{})
		if !errors.Is(err, context.Canceled) || len(i.marks) != 1 || len(i.refused) > 0 {
			t.Fatalf("%s: marks %+v, refused %+v, error %v", kind, i.marks, i.refused, err)
		}
		done, err := i.Run(t.Context(), in(row), i.marks[0])
		if want := (transfer.Summary{Rows: rows, Imported: rows}); err != nil || done.Summary != want {
			t.Errorf("%s: %+v, error %v, want %+v", kind, done.Summary, err, want)
		}
	}
}

// source is an endless file that must be read in small parts.
type source struct {
	row  func(i int) string
	rows int
	i    int
	left string
}

func (s *source) Read(p []byte) (int, error) {
	if s.left == "" {
		if s.i == s.rows {
			return 0, io.EOF
		}
		s.left = s.row(s.i)
		s.i++
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

// TestReadsAhead: at most one portion is read before it is written.
func TestReadsAhead(t *testing.T) {
	t.Parallel()
	in := &source{rows: 20_000, row: func(i int) string {
		return fmt.Sprintf(`{"restaurantId":"r1","month":"2026-11","conversationCount":%d}`+"\n", i)
	}}
	i := newImporter(newCounted(t), transfer.Usage, transfer.JSONLines)
	const buffered = 64 << 10 / 60 // rows that the reader's buffer holds
	i.Import.Checkpoint = func(c transfer.Checkpoint) error {
		if ahead := in.i - int(c.Summary.Rows); ahead > 2*buffered {
			t.Errorf("%d rows were read before they are needed", ahead)
		}
		return nil
	}
	if done, err := i.Run(t.Context(), in, transfer.Checkpoint{}); err != nil || done.Summary.Rows != 20_000 {
		t.Errorf("%+v, error %v", done, err)
	}
}

// tenants draws some restaurants with all kinds of data that can be exported.
func tenants(t *rapid.T) *stackstore.Store {
	s := localstore.New(t)
	ctx := context.Background()
	must := func(err error) {
		if err != nil {
			t.Fatalf("a step that must succeed failed: %v", err)
		}
	}
	moment := func(name string) time.Time {
		return now.Add(-time.Duration(rapid.Int64Range(0, 200*24*3600*1000).Draw(t, name)) * time.Millisecond)
	}
	names := rapid.StringOfN(rapid.RuneFrom([]rune(`aب "',\{}.;	N`)), 1, 8, -1).Filter(func(s string) bool {
		return strings.TrimSpace(s) != "" && restaurant.Printable(s, 200)
	})
	for i := range rapid.IntRange(0, 4).Draw(t, "restaurants") {
		id := fmt.Sprintf("r%d", i)
		r := restaurant.Restaurant{ID: id, Name: names.Draw(t, "name"), Active: rapid.Bool().Draw(t, "active"), CreatedAt: moment("created")}
		r.MerchantID = rapid.SampledFrom([]string{"", "merchant-1"}).Draw(t, "merchant")
		var bot *restaurant.Bot
		if rapid.Bool().Draw(t, "bot") {
			bot = &restaurant.Bot{ID: "b" + id, PhoneNumber: rapid.SampledFrom([]string{"", fmt.Sprintf("+96611000000%d", i)}).Draw(t, "number"),
				OwnerNumber: rapid.SampledFrom([]string{"", "+966500000099"}).Draw(t, "owner"),
				Limits:      restaurant.Limits{ConversationsPerDay: rapid.Int64Range(-1, 9).Draw(t, "limit"), AnswersPerMinute: 60}}
		}
		must(s.CreateRestaurant(ctx, r, bot))
		if rapid.Bool().Draw(t, "topped up") {
			_, err := s.AddTopUp(ctx, id, november, usage.TopUp{ID: "a", Amount: rapid.Int64Range(1, 500).Draw(t, "amount"), CreatedAt: now}, "key", 9)
			if !errors.Is(err, usage.ErrUnlimited) {
				must(err)
			}
		}
		// Only messages change counts.
		recorder := s.Recorder(usage.NewCalendar(nil))
		for n := range rapid.IntRange(0, 6).Draw(t, "messages") {
			at := moment("message")
			m := conversation.Message{ID: fmt.Sprint(n), RestaurantID: id, ReceivedAt: at, Delivery: "d",
				Customer: fmt.Sprintf("+96650000000%d", rapid.IntRange(1, 2).Draw(t, "customer"))}
			_, err := storetest.Record(ctx, recorder, m)
			must(err)
			if state, err := recorder.Claim(ctx, m, conversation.Welcome, at); err == nil && state == conversation.ReplyHeld && rapid.Bool().Draw(t, "welcomed") {
				must(recorder.Settle(ctx, m, conversation.Welcome))
			}
		}
	}
	return s
}

// exported returns everything in a store in a format, by kind.
func exported(t *rapid.T, s *stackstore.Store, format transfer.Format) map[transfer.Kind]string {
	all := make(map[transfer.Kind]string)
	for _, kind := range transfer.Kinds {
		var out bytes.Buffer
		if _, err := transfer.Export(context.Background(), s, kind, format, &out, func(int64) {}); err != nil {
			t.Fatalf("exporting: %v", err)
		}
		all[kind] = out.String()
	}
	return all
}

// TestRoundTrip: in every format, the export of a store, imported into an empty store, gives the same answers. Importing it
// again, or into the first store, changes nothing.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from, to := tenants(t), localstore.New(t)
		format := rapid.SampledFrom(transfer.Formats).Draw(t, "format")
		files := exported(t, from, format)
		for n, s := range []*stackstore.Store{to, to, from} {
			for _, kind := range transfer.Kinds {
				i := newImporter(s, kind, format)
				done, err := i.Run(context.Background(), strings.NewReader(files[kind]), transfer.Checkpoint{})
				if err != nil || len(i.refused) > 0 || done.Summary.Kept > 0 || n > 0 && done.Summary.Imported > 0 {
					t.Fatalf("import %d of %s: %+v, refused %+v, error %v\n%s", n, kind, done.Summary, i.refused, err, files[kind])
				}
			}
		}
		// Exports list a restaurant's months in no order, so the shown figures are compared instead.
		if a, b := answers(t, from), answers(t, to); !cmp.Equal(a, b) {
			t.Fatalf("answers (-from +to):\n%s", cmp.Diff(a, b))
		}
		if a, b := exported(t, from, format)[transfer.Conversations], exported(t, to, format)[transfer.Conversations]; a != b {
			t.Fatalf("conversations (-from +to):\n%s", cmp.Diff(a, b))
		}
	})
}

// answer is everything that the usage API shows of a restaurant, except for data that isn't moved: earlier sessions, the ids
// of the messages that opened the latest sessions, the tally of messages, and single top-ups.
type answer struct {
	Details usage.Details
	History []usage.MonthReport
	Alerts  []usage.Report // for all restaurants together
}

func answers(t *rapid.T, s *stackstore.Store) []answer {
	service := usage.NewService(s, usage.NewCalendar(nil), restaurant.Limits{ConversationsPerDay: 77}, func() time.Time { return now })
	directory, err := service.Directory(context.Background())
	if err != nil {
		t.Fatalf("reading the directory: %v", err)
	}
	listing, err := service.List(context.Background(), directory, usage.All, usage.Start{}, 100)
	if err != nil {
		t.Fatalf("reading a page of the list: %v", err)
	}
	ranks, err := service.Ranks(context.Background())
	if err != nil {
		t.Fatalf("reading the ranking: %v", err)
	}
	alerts, err := service.Alerts(context.Background(), ranks, 1, 0, 100)
	if err != nil {
		t.Fatalf("reading the alerts: %v", err)
	}
	all := []answer{{Alerts: alerts.Reports}}
	for _, listed := range listing.Reports {
		report, history, err := service.History(context.Background(), listed.RestaurantID)
		if err != nil || report != listed {
			t.Fatalf("%+v, error %v; the list has %+v", report, err, listed)
		}
		details, err := service.Details(context.Background(), listed.RestaurantID)
		if err != nil || details.Report != listed {
			t.Fatalf("%+v, error %v; the list has %+v", details.Report, err, listed)
		}
		latest := make(map[string]bool) // by customer
		details.TopUps = nil
		details.Sessions = slices.DeleteFunc(details.Sessions, func(s usage.Session) bool {
			known := latest[s.Customer]
			latest[s.Customer] = true
			return known
		})
		for i := range details.Sessions {
			details.Sessions[i].ID = ""
		}
		for i := range details.Days {
			details.Days[i].Messages = 0
		}
		all = append(all, answer{Details: details, History: history})
	}
	return all
}

// FuzzImport: for any file of any kind and format, the import at worst refuses the file or rows of it. A row that was
// imported is never refused after an export.
func FuzzImport(f *testing.F) {
	for _, seed := range []string{
		"id,name,created_at\nr1,\"a \"\"b\"\"\",2025-10-20 15:30:00+03\n", "restaurantId,month,year,conversationCount,days\nr1,11,2026,5,\"{\"\"3\"\":4}\"\n",
		"restaurantId\tcustomer\topenedAt\tlastMessageAt\nr1\t+966500000001\t2026-11-01 10:00:00\t2026-11-01 11:00:00\n\\.\n",
		`{"restaurantId":"r1","phoneNumber":"+966110000000","maxMessagesPerDay":-1}`, "id\n\"", "\uFEFF{}", "restaurantId,month\nr1,\n", "a\t\\N\\",
		`{"restaurantId":"r1","month":"2026-11","conversationCount":9,"days":{"3":4}}`,
	} {
		for kind := range transfer.Kinds {
			for format := range transfer.Formats {
				f.Add(uint8(kind), uint8(format), seed)
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind, format uint8, text string) {
		k, as := transfer.Kinds[int(kind)%len(transfer.Kinds)], transfer.Formats[int(format)%len(transfer.Formats)]
		s := withRestaurants(t)
		i := newImporter(s, k, as)
		done, err := i.Run(t.Context(), strings.NewReader(text), transfer.Checkpoint{})
		if err != nil {
			return
		}
		if sum := done.Summary; sum.Rows != sum.Imported+sum.Unchanged+sum.Kept+sum.Refused || int(sum.Refused) > len(i.refused) {
			t.Fatalf("%+v, %d refusals", sum, len(i.refused))
		}
		var out bytes.Buffer
		if _, err := transfer.Export(t.Context(), s, k, as, &out, func(int64) {}); err != nil {
			t.Fatalf("exporting: %v", err)
		}
		again, refusals := load(t, s, k, as, out.String())
		if again.Imported+again.Kept+again.Refused > 0 {
			t.Fatalf("again: %+v, refused %+v\n%s", again, refusals, &out)
		}
	})
}
