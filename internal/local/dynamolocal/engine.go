// Package dynamolocal is a stand-in for Amazon DynamoDB. It keeps its tables in memory and speaks the service's own protocol,
// so that the AWS SDK's client works with it unchanged: over HTTP, or in process without a socket.
//
// Clients get DynamoDB's answers: conditions, updates and projections are parsed and refused by the same rules, numbers are
// exact decimals of 38 digits, transactions are atomic and conflict, pages end at a megabyte, and capacity units are counted.
// Unlike in DynamoDB, every read is consistent and nothing is throttled. Request signatures are not checked. The parameters
// that expressions replaced years ago (Expected, AttributeUpdates and the like) are refused. Local secondary indexes, streams
// and PartiQL are missing.
package dynamolocal

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Table describes a table.
type Table struct {
	Name         string
	PartitionKey Key
	SortKey      Key // its Name is empty if the table has none
	Indexes      []Index
	TimeToLive   string // the attribute that holds an item's expiry in Unix seconds, or empty
}

// Key is a key attribute. Type is "S", "N" or "B".
type Key struct {
	Name, Type string
}

// Index describes a global secondary index.
type Index struct {
	Name         string
	PartitionKey Key
	SortKey      Key      // its Name is empty if the index has none
	Projection   string   // "ALL", "KEYS_ONLY" or "INCLUDE"; empty means ALL
	Include      []string // the additional attributes of an INCLUDE
}

// Engine holds tables and answers DynamoDB's requests about them. It is an http.Handler, and safe for concurrent use.
type Engine struct {
	now             func() time.Time
	transactionTime time.Duration

	mu     sync.Mutex
	tables map[string]*table
	held   map[itemID]bool // the items of running transactions
	tokens map[string]*clientToken
	// tokenOrder has the tokens by age, including tokens of failed transactions, which are no longer in tokens.
	tokenOrder []string
	requests   atomic.Uint64
}

var _ http.Handler = (*Engine)(nil)

// New returns an engine with the given tables, all empty. Three things follow the clock: the creation dates of tables, the
// validity of transactions' client tokens, and the items that Sweep finds expired.
func New(now func() time.Time, tables ...Table) *Engine {
	e := &Engine{
		now:    now,
		tables: make(map[string]*table),
		held:   make(map[itemID]bool),
		tokens: make(map[string]*clientToken),
	}
	for _, definition := range tables {
		e.tables[definition.Name] = newTable(definition, now())
	}
	return e
}

// Clone returns an independent engine with the same tables and items and its own clock. Consumed capacity and known
// transactions are not copied.
func (e *Engine) Clone(now func() time.Time) *Engine {
	e.mu.Lock()
	defer e.mu.Unlock()
	clone := New(now)
	clone.transactionTime = e.transactionTime
	for name, t := range e.tables {
		clone.tables[name] = t.clone()
	}
	return clone
}

// WithTransactionTime makes every TransactWriteItems hold its items for the duration before it is carried out. Other writes
// and transactions of a held item fail with a conflict; everything else goes on. With the default, zero, transactions never
// conflict. Call it before the engine is in use; it returns the engine.
func (e *Engine) WithTransactionTime(d time.Duration) *Engine {
	e.transactionTime = d
	return e
}

// ItemCount returns the number of items in the table, 0 if there is no such table.
func (e *Engine) ItemCount(table string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.tables[table]; t != nil {
		return t.items.length
	}
	return 0
}

// Consumed returns the capacity units that the table and its indexes have used so far, including those of failed conditions.
// It is 0 if there is no such table.
func (e *Engine) Consumed(table string) (read, write float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.tables[table]; t != nil {
		return t.read, t.written
	}
	return 0, 0
}

// Sweep deletes items past their time to live and returns their number. DynamoDB does the same by itself within two days.
// Until then an expired item is read like any other.
func (e *Engine) Sweep() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	swept := 0
	for _, t := range e.tables {
		for _, r := range t.expired(e.now()) {
			if !e.held[itemID{t, r.key}] {
				t.store(r.key, r.item, nil)
				swept++
			}
		}
	}
	return swept
}

// checkedTable returns the named table for a request with no other member. The engine must be locked.
func (e *Engine) checkedTable(name string) (*table, error) {
	var failed constraints
	failed.tableName("tableName", name)
	if err := failed.err(); err != nil {
		return nil, err
	}
	return e.table(name)
}

// table returns the named table or the service's error. Callers first check as much of a request as they can without its
// table. The engine must be locked.
func (e *Engine) table(name string) (*table, error) {
	if t := e.tables[name]; t != nil {
		return t, nil
	}
	return nil, &serviceError{code: "ResourceNotFoundException", message: "Requested resource not found"}
}

// tableNames returns the tables' names in order. The engine must be locked.
func (e *Engine) tableNames() []string {
	names := make([]string, 0, len(e.tables))
	for name := range e.tables {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
