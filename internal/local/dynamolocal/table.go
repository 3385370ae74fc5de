package dynamolocal

import (
	"strconv"
	"time"
)

// The service's limits for items and keys, in bytes.
const (
	maxItem         = 400 << 10
	maxPartitionKey = 2048
	maxSortKey      = 1024
)

// table is a table's items and indexes.
type table struct {
	Table
	schema        keySchema
	created       time.Time
	items         *ordered
	indexes       []*index
	bytes         int     // the sum of the items' sizes
	read, written float64 // capacity units used so far
}

// index holds the projection of every item with the index's key.
type index struct {
	Index
	schema  keySchema
	table   keySchema
	entries *ordered
	bytes   int
}

func newTable(definition Table, created time.Time) *table {
	t := &table{
		Table:   definition,
		schema:  keySchema{definition.PartitionKey, definition.SortKey},
		created: created,
		items:   new(ordered),
	}
	for _, i := range definition.Indexes {
		t.indexes = append(t.indexes, &index{
			Index: i, schema: keySchema{i.PartitionKey, i.SortKey}, table: t.schema, entries: new(ordered),
		})
	}
	return t
}

// clone copies the table. Both tables share the items, which never change.
func (t *table) clone() *table {
	clone := newTable(t.Table, t.created)
	clone.items, clone.bytes = t.items.clone(), t.bytes
	for n, i := range t.indexes {
		clone.indexes[n].entries, clone.indexes[n].bytes = i.entries.clone(), i.bytes
	}
	return clone
}

// index returns the named index, or nil.
func (t *table) index(name string) *index {
	for _, i := range t.indexes {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// keyOf returns the stored key for the key attributes of a request. It refuses other attributes.
func (t *table) keyOf(key document) (string, error) {
	stored, ok := t.schema.storedKey(key)
	if !ok || len(key) != len(t.schema.names()) {
		return "", keyMismatch()
	}
	return stored, t.schema.check(key)
}

func keyMismatch() error {
	return misfit(validation("The provided key element does not match the schema"))
}

// keyOfItem returns the stored key for an item to be put.
func (t *table) keyOfItem(item document) (string, error) {
	for _, key := range t.schema.keys() {
		switch v := item.get(key.Name); {
		case v == nil:
			return "", misfit(invalidParameter("Missing the key %s in the item", key.Name))
		case v.kind() != key.Type:
			return "", misfit(invalidParameter("Type mismatch for key %s expected: %s actual: %s", key.Name, key.Type, v.kind()))
		}
	}
	stored, _ := t.schema.storedKey(item)
	return stored, t.schema.check(item)
}

// check refuses keys that are empty or too long.
func (s keySchema) check(item document) error {
	for _, key := range s.keys() {
		if empty := emptyKind(item.get(key.Name)); empty != "" {
			return validation("One or more parameter values are not valid. "+
				"The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", empty, key.Name)
		}
	}
	return s.checkSize(item)
}

func (s keySchema) checkSize(item document) error {
	if keySize(item.get(s.partition.Name)) > maxPartitionKey {
		return invalidParameter("Size of hashkey has exceeded the maximum size limit of2048 bytes")
	}
	if s.sort.Name != "" && keySize(item.get(s.sort.Name)) > maxSortKey {
		return invalidParameter("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
	}
	return nil
}

func keySize(v value) int {
	if text, ok := scalarText(v); ok {
		return len(text)
	}
	return 0
}

// emptyKind names the type of an empty string or binary, or returns "".
func emptyKind(v value) string {
	switch v {
	case stringValue(""):
		return "string"
	case binaryValue(""):
		return "binary"
	}
	return ""
}

// checkIndexKeys refuses an item with an unsuitable value for an index's key: of the wrong type, empty or too long.
func (t *table) checkIndexKeys(item document) error {
	for _, i := range t.indexes {
		if err := i.check(item); err != nil {
			return err
		}
	}
	return nil
}

func (i *index) check(item document) error {
	for _, key := range i.schema.keys() {
		v := item.get(key.Name)
		if v == nil {
			continue
		}
		if v.kind() != key.Type {
			return invalidParameter("Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s",
				key.Name, key.Type, v.kind(), i.Name)
		}
	}
	if err := i.checkFilled(item.get); err != nil {
		return err
	}
	return i.schema.checkSize(item)
}

// checkFilled refuses an empty value for an attribute of the index's key. get returns the item's attributes.
func (i *index) checkFilled(get func(name string) value) error {
	for _, key := range i.schema.keys() {
		if empty := emptyKind(get(key.Name)); empty != "" {
			return validation("One or more parameter values are not valid. A value specified for a secondary index key "+
				"is not supported. The AttributeValue for a key attribute cannot contain an empty %s value. "+
				"IndexName: %s, IndexKey: %s", empty, i.Name, key.Name)
		}
	}
	return nil
}

// checkFilledKeys refuses a request that gives an attribute of an index's key an empty value. It is called before any
// condition is evaluated, so that a transaction with such a value is refused, not cancelled.
func (t *table) checkFilledKeys(get func(name string) value) error {
	for _, i := range t.indexes {
		if err := i.checkFilled(get); err != nil {
			return err
		}
	}
	return nil
}

// store replaces the old item by the changed one and updates the indexes. Both have the stored key. It returns the units
// used. old is nil for a new item, changed is nil for a deleted one.
func (t *table) store(key string, old, changed document) units {
	used := units{table: writeUnits(old, changed)}
	if changed == nil {
		t.items.remove(key)
	} else {
		t.items.put(key, changed)
	}
	t.bytes += changed.size() - old.size()
	for _, i := range t.indexes {
		if n := i.store(old, changed); n > 0 {
			used = used.withIndex(i.Name, n)
		}
	}
	return used
}

// store updates the index's entry and returns the units. An unchanged entry takes none. An entry that is added, removed or
// changed takes the units of one write. An entry with a changed key takes the units of two, a deletion and a new entry.
func (i *index) store(old, changed document) float64 {
	oldKey, oldEntry := i.entry(old)
	newKey, newEntry := i.entry(changed)
	if oldKey == newKey && equal(oldEntry, newEntry) {
		return 0
	}
	i.bytes += newEntry.size() - oldEntry.size()
	if oldKey == newKey {
		i.entries.put(newKey, newEntry)
		return writeUnits(oldEntry, newEntry)
	}
	used := 0.0
	if oldEntry != nil {
		i.entries.remove(oldKey)
		used += writeUnits(oldEntry, nil)
	}
	if newEntry != nil {
		i.entries.put(newKey, newEntry)
		used += writeUnits(nil, newEntry)
	}
	return used
}

// entry returns the index's entry for the item, nothing if the item lacks the index's key.
func (i *index) entry(item document) (string, document) {
	key, ok := i.storedKey(item)
	if !ok {
		return "", nil
	}
	if i.projectsAll() {
		return key, item
	}
	return key, item.only(i.projected()...)
}

// storedKey encodes the key of the index's entry for the item.
func (i *index) storedKey(item document) (string, bool) {
	key, ok := i.schema.storedKey(item)
	if !ok {
		return "", false
	}
	own, ok := i.table.storedKey(item)
	return key + own, ok
}

// projected returns the attributes in the entries of an index with a projection other than ALL.
func (i *index) projected() []string {
	return append(append(i.schema.names(), i.table.names()...), i.Include...)
}

// projectsAll reports whether the index's entries are whole items.
func (i *index) projectsAll() bool {
	return i.Projection == "" || i.Projection == "ALL"
}

// expired returns the records past their time to live.
func (t *table) expired(now time.Time) []record {
	if t.TimeToLive == "" {
		return nil
	}
	var passed []record
	deadline := numberValue(strconv.FormatInt(now.Unix(), 10))
	for r := range t.items.between("", endOfKeys, true) {
		if expiry := r.item.get(t.TimeToLive); expiry != nil && inOrder("<=", expiry, deadline) {
			passed = append(passed, r)
		}
	}
	return passed
}
