// Package stackstore joins all stores of a stack's tables in one value, for operators' commands, local stacks and tests. It
// has the packages below internal/dynamo that functions link, and operations that no function has, such as importing counts
// and reading everything.
package stackstore

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/dynamo/book"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/directory"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/ranking"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/recording"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/registry"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/table"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/token"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/topup"
	"github.com/sufrah/usage-bootstrap/internal/usage"
)

// Store reads and writes all of a stack's tables. It is safe for concurrent use.
type Store struct {
	*registry.Registry
	*ranking.Ranking
	*topup.Store
	*token.Vault
	*book.Book

	db        *table.DB
	names     schema.Tables
	directory *directory.Directory
}

// errRaced says that the item was changed between being read and being written.
var errRaced = errors.New("others changed the item meanwhile")

// Difference is a point in which the directory disagrees with the restaurants.
type Difference = directory.Difference

// New returns the Store of the tables. random returns a number in [0, 1); it spreads the attempts of writers that have met.
func New(client *dynamodb.Client, names schema.Tables, random func() float64) *Store {
	db := table.New(client, random)
	return &Store{
		Registry: registry.New(db, names), Ranking: ranking.New(db, names), Store: topup.New(db, names), Vault: token.New(db, names), Book: book.New(db, names),
		db: db, names: names, directory: directory.New(db, names),
	}
}

// Recorder returns a Recorder over the same tables.
func (s *Store) Recorder(calendar usage.Calendar) *recording.Recorder {
	return recording.New(s.db, s.names, calendar)
}

// RebuildDirectory rebuilds the directory, as directory.Directory.Rebuild does.
func (s *Store) RebuildDirectory(ctx context.Context) (int, error) { return s.directory.Rebuild(ctx) }

// CheckDirectory compares the directory with the restaurants, as directory.Directory.Check does.
func (s *Store) CheckDirectory(ctx context.Context) (restaurants int, found []Difference, err error) {
	return s.directory.Check(ctx)
}

// TidyDirectory rebuilds the directory if a page is far too large, as directory.Directory.Tidy does.
func (s *Store) TidyDirectory(ctx context.Context) (bool, error) { return s.directory.Tidy(ctx) }
