// Package book keeps the pages of the ledger of messages, in the conversations table.
package book

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sufrah/usage-bootstrap/internal/delivery"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/ledger"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Book implements ledger.Store, and reads months. It is safe for concurrent use.
//
// A page is the item conversations, messages/<day>/<page>. Each of its sets of numbers is an attribute of three letters: the
// status, the kind and the category.
type Book struct {
	db    *table.DB
	names schema.Tables
}

// New returns the Book of the tables.
func New(db *table.DB, names schema.Tables) *Book { return &Book{db: db, names: names} }

// pagesKept is how long a page is kept: long enough to compare a month with the same month of last year.
const pagesKept = 400 * 24 * time.Hour

// Letters of the attributes' names.
var (
	statuses   = map[delivery.Status]string{delivery.Sent: "s", delivery.Delivered: "d", delivery.Read: "r", delivery.Failed: "f"}
	kinds      = map[delivery.Kind]string{delivery.Welcome: "w", delivery.List: "l", delivery.Text: "t", delivery.QuotaAlert: "q"}
	categories = map[delivery.Category]string{
		delivery.Service: "s", delivery.Utility: "u", delivery.Marketing: "m", delivery.FreeEntryPoint: "f",
	}
)

func pageKey(restaurantID string, p delivery.Place) table.Item {
	return schema.EntryKey(restaurantID, schema.LedgerPrefix+p.Day.Format(time.DateOnly)+"/"+p.Page)
}

// attribute returns the name of the set of numbers with a status.
func attribute(c ledger.Class, s delivery.Status) string {
	return statuses[s] + kinds[c.Kind] + categories[c.Category]
}

func expires(p delivery.Place) table.Value { return table.Number(p.Day.Add(pagesKept).Unix()) }

// PutPage overwrites a whole page, and ignores the place's number.
func (b *Book) PutPage(ctx context.Context, restaurantID string, at delivery.Place, page ledger.Page) error {
	it := pageKey(restaurantID, at)
	it[schema.AttrExpires] = expires(at)
	for _, marks := range page {
		if len(marks.Numbers) > 0 { // DynamoDB refuses an empty set
			it[attribute(marks.Class, marks.Status)] = table.NumberSet(marks.Numbers...)
		}
	}
	if err := b.db.Put(ctx, b.names.Conversations, it, table.Expression{}); err != nil {
		return fmt.Errorf("writing a page of the ledger: %w", err)
	}
	return nil
}

// Enter implements ledger.Store in one round trip and one write unit.
func (b *Book) Enter(ctx context.Context, restaurantID string, entries ...ledger.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	page := entries[0].Place
	numbers := make(map[string][]int)
	for _, e := range entries {
		marks := attribute(e.Class, e.Status)
		numbers[marks] = append(numbers[marks], e.Place.Number)
	}
	update := table.Expression{
		Set:    "#expires = if_not_exists(#expires, :expires)",
		Names:  map[string]string{"#expires": schema.AttrExpires},
		Values: table.Item{":expires": expires(page)},
	}
	for marks, numbers := range numbers {
		update = update.And(table.Expression{
			Add:    "#" + marks + " :" + marks,
			Names:  map[string]string{"#" + marks: marks},
			Values: table.Item{":" + marks: table.NumberSet(numbers...)},
		})
	}
	if err := b.db.Update(ctx, b.names.Conversations, pageKey(restaurantID, page), update); err != nil {
		return fmt.Errorf("entering a message in the ledger: %w", err)
	}
	return nil
}

// Taken reports whether Twilio took the message at a place and the message didn't fail. It costs a read.
func (b *Book) Taken(ctx context.Context, restaurantID string, at delivery.Place) (bool, error) {
	page, err := b.page(ctx, restaurantID, at)
	return page.Taken(at.Number), err
}

// page returns the current page of a place.
func (b *Book) page(ctx context.Context, restaurantID string, at delivery.Place) (ledger.Page, error) {
	it, err := b.db.Get(ctx, b.names.Conversations, pageKey(restaurantID, at))
	if err != nil {
		return nil, fmt.Errorf("reading a page of the ledger: %w", err)
	}
	page, err := readPage(&table.Reader{Item: it})
	if err != nil {
		return nil, fmt.Errorf("reading a page of the ledger: %w", err)
	}
	return page, nil
}

// Note implements ledger.Store. For a status that the page has already, it costs a read and no write.
func (b *Book) Note(ctx context.Context, restaurantID string, e ledger.Entry) error {
	page, err := b.page(ctx, restaurantID, e.Place)
	if err != nil || page.Has(e) {
		return err
	}
	return b.Enter(ctx, restaurantID, e)
}

// Messages implements usage.Journal. It reads the month's pages, a megabyte in each round trip, at the cost of a unit for
// some dozens of messages. The pages may be some moments old.
func (b *Book) Messages(ctx context.Context, restaurantID string, month usage.Month) (ledger.Month, error) {
	counts := make(ledger.Month)
	err := b.db.Query(ctx, table.Query{
		Table: b.names.Conversations, Stale: true,
		Key: table.Expression{
			Condition: "#id = :id AND begins_with(#entry, :month)",
			Names:     map[string]string{"#id": schema.AttrRestaurantID, "#entry": schema.AttrEntry},
			Values:    table.Item{":id": table.Text(restaurantID), ":month": table.Text(schema.LedgerPrefix + month.String() + "-")},
		},
	}, func(r *table.Reader) error {
		date, _, _ := strings.Cut(strings.TrimPrefix(r.Text(schema.AttrEntry), schema.LedgerPrefix), "/")
		day, err := time.Parse(time.DateOnly, date)
		if err != nil {
			return fmt.Errorf("a page of the ledger has the key %q", r.Text(schema.AttrEntry))
		}
		page, err := readPage(r)
		if err != nil {
			return err
		}
		counts.Add(day.Day(), page)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the messages of restaurant %s: %w", restaurantID, err)
	}
	return counts, nil
}

func readPage(r *table.Reader) (ledger.Page, error) {
	var page ledger.Page
	for status := range statuses {
		for kind := range kinds {
			for category := range categories {
				class := ledger.Class{Kind: kind, Category: category}
				if numbers := r.NumberSet(attribute(class, status)); numbers != nil {
					page = append(page, ledger.Marks{Class: class, Status: status, Numbers: numbers})
				}
			}
		}
	}
	return page, r.Err
}
