package conversation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sufrah/usage-bootstrap/internal/cache"
	"github.com/sufrah/usage-bootstrap/internal/conversation"
	"github.com/sufrah/usage-bootstrap/internal/listpicker"
	"github.com/sufrah/usage-bootstrap/internal/menu"
)

// lists gives each list a SID, by which the test finds the list again.
type lists struct {
	bySID     map[string]listpicker.List
	before    func(context.Context) error
	forgotten int
}

func (l *lists) SID(ctx context.Context, _ string, list listpicker.List) (string, error) {
	if l.before != nil {
		if err := l.before(ctx); err != nil {
			return "", err
		}
	}
	sid := list.Name()
	l.bySID[sid] = list
	return sid, nil
}

func (l *lists) Forget(context.Context, string, listpicker.List) error { l.forgotten++; return nil }

// offer is a merchant's data: categories, and the products of each category at each branch.
type offer struct {
	categories []menu.Category
	branches   []menu.Branch
	products   []menu.Product
	asked      []string
}

func (o *offer) Categories(context.Context, string) ([]menu.Category, cache.Source, error) {
	return o.categories, cache.Fresh, nil
}

func (o *offer) Branches(context.Context, string) ([]menu.Branch, cache.Source, error) {
	return o.branches, cache.Fresh, nil
}

func (o *offer) Products(_ context.Context, merchant, category, branch string) ([]menu.Product, cache.Source, error) {
	o.asked = append(o.asked, merchant+" "+category+" "+branch)
	return o.products, cache.Fresh, nil
}

// choices holds one customer's choices.
type choices map[string]string

func (c choices) Choose(_ context.Context, restaurant, customer, branch string) {
	c[restaurant+customer] = branch
}
func (c choices) Chosen(_ context.Context, restaurant, customer string) string {
	return c[restaurant+customer]
}

func english(name string) menu.Text { return menu.Text{English: name} }

func demoOffer() *offer {
	lat, lng := 24.6949, 46.6853
	o := &offer{
		branches: []menu.Branch{
			{ID: "b1", Name: english("Olaya"), Address: english("Olaya Street"), Phone: "+966110000001", Latitude: &lat, Longitude: &lng},
			{ID: "b2", Name: english("Malqa"), District: "Malqa"},
		},
		products: []menu.Product{{ID: "p1", Name: english("Kebab"), Price: 38, Currency: "SAR", Description: english("With rice")}},
	}
	for i := range 12 {
		o.categories = append(o.categories, menu.Category{ID: fmt.Sprint("c", i+1), Name: english(fmt.Sprint("Category ", i+1))})
	}
	return o
}

// tapping returns a fixture with a welcomed customer and with lists.
func tapping(t *testing.T, o *offer) (*fixture, *lists) {
	f := setup(t).welcomed(t)
	l := &lists{bySID: map[string]listpicker.List{}}
	f.Menu, f.Products, f.Lists, f.Choices = o, o, l, choices{}
	f.tenant.Bot.Limits.AnswersPerMinute = -1
	return f, l
}

// tap sends the customer's message with a row's id, and returns the single reply: its text, or its list's titles.
func (f *fixture) tap(t interface{ Fatalf(string, ...any) }, l *lists, in conversation.Incoming) string {
	before := len(f.phones.received)
	in.MessageID, in.Customer = fmt.Sprint("tap-", before), customer
	f.now = f.now.Add(time.Minute / conversation.AnswersPerCustomer) // slow enough for the customer's limit
	if err := f.Receive(context.Background(), f.tenant, in); err != nil {
		t.Fatalf("receiving %+v: %v", in, err)
	}
	got := f.phones.received[before:]
	if len(got) != 1 {
		t.Fatalf("%+v is answered with %d messages, want one: each is paid", in, len(got))
	}
	if got[0].SID == "" {
		return got[0].Text
	}
	var titles []string
	for _, item := range l.bySID[got[0].SID].Items {
		titles = append(titles, item.Title)
	}
	return "[" + strings.Join(titles, ", ") + "]"
}

func TestTappedRowIsAnsweredWithOneMessage(t *testing.T) {
	t.Parallel()
	const first = "[Category 1, Category 2, Category 3, Category 4, Category 5, Category 6, Category 7, Category 8, Category 9, More]"
	const branches = "[Olaya, Malqa]"
	title := func(id string) conversation.Incoming {
		return conversation.Incoming{ListID: id, ListTitle: "Kebab", Body: "Kebab"}
	}
	for name, test := range map[string]struct {
		in   conversation.Incoming
		want string
	}{
		"menu, in words":           {conversation.Incoming{Body: "menu"}, first},
		"next page":                {title("v1/en/menu/2"), "[Category 10, Category 11, Category 12]"},
		"page that isn't there":    {title("v1/en/menu/3"), first},
		"category":                 {title("v1/en/category/c11"), "[Kebab]"},
		"category that is gone":    {title("v1/en/category/c99"), first},
		"products":                 {title("v1/en/products/c1/b2/1"), "[Kebab]"},
		"product":                  {title("v1/en/product/c1/b2/p1"), "Kebab\n38.00 SAR\nWith rice"},
		"product that is gone":     {title("v1/en/product/c1/b2/p2"), "[Kebab]"},
		"product of a gone branch": {title("v1/en/product/c1/b9/p1"), "Kebab\n38.00 SAR\nWith rice"},
		"branches":                 {title("v1/en/branches/1"), branches},
		"branch":                   {title("v1/en/branch/b1"), "Olaya\nOlaya Street\n+966110000001\nhttps://maps.google.com/?q=24.6949,46.6853"},
		"branch of little":         {title("v1/en/branch/b2"), "Malqa\nMalqa"},
		"branch that is gone":      {title("v1/en/branch/b9"), branches},
		"older version":            {title("v0/en/category/c11"), first},
		"older version, branches":  {title("v0/en/branch/b1"), branches},
		"forged":                   {title("v1/en/category/../../c1"), first},
		"forged, long":             {title(strings.Repeat("v1/", 80)), first},
		"somebody else's":          {title("row-7"), first},
		"branches, in words":       {conversation.Incoming{Body: "branches"}, branches},
		"branches' payload":        {conversation.Incoming{ListID: "view_branches", ListTitle: "Branches"}, branches},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, l := tapping(t, demoOffer())
			if got := f.tap(t, l, test.in); got != test.want {
				t.Errorf("%+v is answered with %q, want %q", test.in, got, test.want)
			}
		})
	}
}

// TestCategoryShowsTheProductsOfTheChosenBranch: a category shows the products of the chosen branch, and of the first branch before any choice.
func TestCategoryShowsTheProductsOfTheChosenBranch(t *testing.T) {
	t.Parallel()
	o := demoOffer()
	f, l := tapping(t, o)
	f.tap(t, l, conversation.Incoming{ListID: "v1/en/category/c1"})
	f.tap(t, l, conversation.Incoming{ListID: "v1/en/branch/b2"})
	f.tap(t, l, conversation.Incoming{ListID: "v1/en/category/c1"})
	f.tap(t, l, conversation.Incoming{ListID: "v1/en/products/c1/b1/1"})
	want := []string{"merchant-1 c1 b1", "merchant-1 c1 b2", "merchant-1 c1 b1"}
	for i, asked := range o.asked {
		_, rest, _ := strings.Cut(asked, " ")
		o.asked[i] = "merchant-1 " + rest
	}
	if !slices.Equal(o.asked, want) {
		t.Errorf("the customer chose branch b2 after the first category, and products were fetched of %v, want %v", o.asked, want)
	}
}

// TestListThatCannotBeMadeGoesOutAsText: if a list can't be created or sent, text is sent after a second and a half at most.
func TestListThatCannotBeMadeGoesOutAsText(t *testing.T) {
	t.Parallel()
	const text = "Branches of Example:\n1. Olaya\nOlaya Street\n2. Malqa"
	for name, test := range map[string]struct {
		list, send func(context.Context) error
		took       time.Duration
		forgotten  int
	}{
		"down":     {list: func(context.Context) error { return errors.New("down") }},
		"slow":     {list: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, took: 1500 * time.Millisecond},
		"rejected": {send: func(context.Context) error { return conversation.ErrTemplateRejected }, forgotten: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, l := tapping(t, demoOffer())
				l.before = test.list
				if test.send != nil {
					f.phones.before = func(ctx context.Context, m sent) error {
						if m.SID == "" {
							return nil
						}
						return test.send(ctx)
					}
				}
				start := time.Now()
				if got := f.tap(t, l, conversation.Incoming{Body: "branches"}); got != text {
					t.Errorf("where the list can't be sent, the customer is answered with %q, want the text %q", got, text)
				}
				if took := time.Since(start); took != test.took || l.forgotten != test.forgotten {
					t.Errorf("the customer waited %v for the text, want %v; the unusable list was forgotten %d times, want %d", took, test.took, l.forgotten, test.forgotten)
				}
			})
		})
	}
}

// TestEveryCategoryOfALongMenuCanBeReached: from a random menu's first list, the rows that lead to further pages reach every
// category.
func TestEveryCategoryOfALongMenuCanBeReached(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		o := &offer{}
		for i := range rapid.IntRange(1, 120).Draw(rt, "categories") {
			name := rapid.OneOf(rapid.StringN(1, 60, -1), rapid.Just("Grills"), rapid.Just("👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦")).Draw(rt, "name")
			o.categories = append(o.categories, menu.Category{ID: fmt.Sprint(i), Name: menu.Text{Arabic: name}})
		}
		f, l := tapping(t, o)
		reached := map[string]bool{}
		for in := (conversation.Incoming{Body: "القائمة"}); in != (conversation.Incoming{}); {
			f.tap(rt, l, in)
			in = conversation.Incoming{}
			for _, item := range l.bySID[f.phones.received[len(f.phones.received)-1].SID].Items {
				row, _ := listpicker.ParseRow(item.ID)
				if row.Kind == listpicker.KindMenu {
					in = conversation.Incoming{ListID: item.ID, ListTitle: item.Title}
				}
				reached[row.Category] = true
			}
		}
		delete(reached, "")
		if len(reached) != len(o.categories) {
			rt.Fatalf("tapping through the menu's pages leads to %d of its %d categories: the customer can't order from the others", len(reached), len(o.categories))
		}
	})
}

func (o *offer) Renewed(context.Context) {}
