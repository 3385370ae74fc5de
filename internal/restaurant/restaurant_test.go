package restaurant_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/restaurant"
)

func TestValidID(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"a": true, "Z": true, "0": true, "-": true, "_": true, "clxyz123abc": true,
		"00000000-0000-0000-0000-000000000000": true,
		strings.Repeat("a", 64):                true,
		strings.Repeat("a", 65):                false,
		"":                                     false, " ": false, "a b": false, "a\n": false, "a/b": false, ".": false, "..": false,
		"*": false, "a#b": false, "a%2Fb": false, "a\x00": false, "é": false, "مطعم": false, "a\xff": false, "１": false,
	}
	for id, want := range tests {
		if got := restaurant.ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %t", id, got)
		}
	}
}

func FuzzValidID(f *testing.F) {
	for _, seed := range []string{"", "clxyz123abc", "a b", "a\n", "é", "\xff", strings.Repeat("a", 64), strings.Repeat("_", 65)} {
		f.Add(seed)
	}
	valid := regexp.MustCompile(`\A[A-Za-z0-9_-]{1,64}\z`)
	f.Fuzz(func(t *testing.T, id string) {
		if got, want := restaurant.ValidID(id), valid.MatchString(id); got != want {
			t.Errorf("ValidID(%q) = %t, want %t", id, got, want)
		}
	})
}

// wantFaults checks that err names all faults, or is nil if there are none.
func wantFaults(t *testing.T, err error, faults ...string) {
	t.Helper()
	if (err != nil) != (len(faults) > 0) {
		t.Fatalf("error is %v, want faults %q", err, faults)
	}
	for _, fault := range faults {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("error %q doesn't name the fault %q", err, fault)
		}
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) != len(faults) {
		t.Errorf("error has %d faults, want %d: %v", len(joined.Unwrap()), len(faults), err)
	}
}

func TestRestaurantValidate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*restaurant.Restaurant)
		faults []string
	}{
		"valid":                            {func(*restaurant.Restaurant) {}, nil},
		"inactive":                         {func(r *restaurant.Restaurant) { r.Active = false }, nil},
		"without a merchant":               {func(r *restaurant.Restaurant) { r.MerchantID = "" }, nil},
		"Arabic name":                      {func(r *restaurant.Restaurant) { r.Name = "مطعم البيك" }, nil},
		"name of one character":            {func(r *restaurant.Restaurant) { r.Name = "م" }, nil},
		"name of 200 Arabic letters":       {func(r *restaurant.Restaurant) { r.Name = strings.Repeat("م", 200) }, nil},
		"name of 201 letters":              {func(r *restaurant.Restaurant) { r.Name = strings.Repeat("م", 201) }, []string{"name"}},
		"no name":                          {func(r *restaurant.Restaurant) { r.Name = "" }, []string{"name"}},
		"blank name":                       {func(r *restaurant.Restaurant) { r.Name = " \u00a0\t" }, []string{"name"}},
		"name with a line break":           {func(r *restaurant.Restaurant) { r.Name = "Najd\nKitchen" }, []string{"name"}},
		"name that ends with a line break": {func(r *restaurant.Restaurant) { r.Name = "Najd Kitchen\n" }, []string{"name"}},
		"name with a NUL":                  {func(r *restaurant.Restaurant) { r.Name = "Najd\x00" }, []string{"name"}},
		"name that is not UTF-8":           {func(r *restaurant.Restaurant) { r.Name = "Najd \xff" }, []string{"name"}},
		"no id":                            {func(r *restaurant.Restaurant) { r.ID = "" }, []string{"id"}},
		"id with a slash":                  {func(r *restaurant.Restaurant) { r.ID = "a/b" }, []string{`id "a/b"`}},
		"merchant id with a slash":         {func(r *restaurant.Restaurant) { r.MerchantID = "../admin" }, []string{"merchant id"}},
		"no creation time":                 {func(r *restaurant.Restaurant) { r.CreatedAt = time.Time{} }, []string{"creation time"}},
		"everything at once": {func(r *restaurant.Restaurant) { *r = restaurant.Restaurant{MerchantID: "?"} },
			[]string{`id ""`, "name", `merchant id "?"`, "creation time"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := restaurant.Restaurant{ID: "clxyz123abc", Name: "Najd Kitchen", MerchantID: "merchant-1", Active: true,
				CreatedAt: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
			test.change(&r)
			wantFaults(t, r.Validate(), test.faults...)
		})
	}
}

func TestBotValidate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*restaurant.Bot)
		faults []string
	}{
		"valid":                            {func(*restaurant.Bot) {}, nil},
		"without a number":                 {func(b *restaurant.Bot) { b.PhoneNumber = "" }, nil},
		"with its own account":             {func(b *restaurant.Bot) { b.TwilioAccountSID = "AC00000000000000000000000000000000" }, nil},
		"no id":                            {func(b *restaurant.Bot) { b.ID = "" }, []string{"bot id"}},
		"id with a space":                  {func(b *restaurant.Bot) { b.ID = "a b" }, []string{"bot id"}},
		"number in WhatsApp's form":        {func(b *restaurant.Bot) { b.PhoneNumber = "whatsapp:+966110000000" }, []string{"phone number"}},
		"number in its local form":         {func(b *restaurant.Bot) { b.PhoneNumber = "0110000000" }, []string{"phone number"}},
		"owner's number in its local form": {func(b *restaurant.Bot) { b.OwnerNumber = "0500000001" }, []string{"owner's number"}},
		"number with spaces":               {func(b *restaurant.Bot) { b.PhoneNumber = "+966 11 000 0000" }, []string{"phone number"}},
		"limits that are impossible":       {func(b *restaurant.Bot) { b.Limits.ConversationsPerDay = -2 }, []string{"conversations per day"}},
		"id and limits": {func(b *restaurant.Bot) { b.ID, b.Limits.AnswersPerMinute = "", -2 },
			[]string{"bot id", "answers per minute"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bot := restaurant.Bot{ID: "bot-1", PhoneNumber: "+966110000000",
				Limits: restaurant.Limits{ConversationsPerDay: 1000, AnswersPerMinute: 60}}
			test.change(&bot)
			wantFaults(t, bot.Validate(), test.faults...)
		})
	}
}

func TestLimitsValidate(t *testing.T) {
	t.Parallel()
	const most = 1_000_000_000
	tests := map[string]struct {
		limits restaurant.Limits
		faults []string
	}{
		"usual":            {restaurant.Limits{ConversationsPerDay: 1000, AnswersPerMinute: 60}, nil},
		"nothing":          {restaurant.Limits{}, nil},
		"unlimited":        {restaurant.Limits{ConversationsPerDay: -1, AnswersPerMinute: -1}, nil},
		"largest":          {restaurant.Limits{ConversationsPerDay: most, AnswersPerMinute: most}, nil},
		"day too small":    {restaurant.Limits{ConversationsPerDay: -2}, []string{"conversations per day -2"}},
		"day too large":    {restaurant.Limits{ConversationsPerDay: most + 1}, []string{"conversations per day 1000000001"}},
		"minute too small": {restaurant.Limits{AnswersPerMinute: -2}, []string{"answers per minute -2"}},
		"minute too large": {restaurant.Limits{AnswersPerMinute: most + 1}, []string{"answers per minute 1000000001"}},
		"both":             {restaurant.Limits{ConversationsPerDay: -2, AnswersPerMinute: -3}, []string{"day -2", "minute -3"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFaults(t, test.limits.Validate(), test.faults...)
		})
	}
}
