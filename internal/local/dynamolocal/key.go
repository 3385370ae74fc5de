package dynamolocal

import (
	"crypto/sha256"
	"strings"
)

// A key is stored as bytes, in the order of a scan. It has a hash, the partition key, the sort key, and in an index also the
// key of the table's item. The hash spreads the partitions, as DynamoDB's does, so that nobody relies on an order between
// them. In each part, zero bytes are escaped as 00 ff, and 00 00 ends the part:
//
//	hash (4 bytes) | partition 00 00 | sort 00 00 | the item's own key (index only)
//
// So an end of 00 01 sorts behind every key that continues after a part's 00 00.
const (
	partEnd   = "\x00\x00"
	afterPart = "\x00\x01"
	hashBytes = 4
)

var zeroEscaper = strings.NewReplacer("\x00", "\x00\xff")

// escapePart prepares one part of a stored key, without its end.
func escapePart(part string) string {
	if strings.IndexByte(part, 0) < 0 {
		return part
	}
	return zeroEscaper.Replace(part)
}

// partitionPrefix is the prefix of every stored key in the partition.
func partitionPrefix(partition value) string {
	encoded, _ := sortable(partition)
	hash := sha256.Sum256([]byte(encoded))
	return string(hash[:hashBytes]) + escapePart(encoded) + partEnd
}

// after returns the lowest key greater than all keys that begin with a complete part.
func after(prefix string) string {
	return strings.TrimSuffix(prefix, partEnd) + afterPart
}

// afterPrefix returns the lowest string greater than every string that starts with the prefix.
func afterPrefix(prefix string) string {
	for last := len(prefix) - 1; last >= 0; last-- {
		if prefix[last] < 0xff {
			return prefix[:last] + string([]byte{prefix[last] + 1})
		}
	}
	return endOfKeys
}

// endOfKeys is greater than every stored key, because a partition key has at most 2,048 bytes and is followed by a zero byte.
var endOfKeys = strings.Repeat("\xff", 4096)

// storedKey returns an item's stored key under the schema. ok is false if a part of the key is missing or of the wrong type;
// an index leaves such items out.
func (s keySchema) storedKey(item document) (string, bool) {
	partition := item.get(s.partition.Name)
	if partition == nil || partition.kind() != s.partition.Type {
		return "", false
	}
	key := partitionPrefix(partition)
	if s.sort.Name == "" {
		return key, true
	}
	sort := item.get(s.sort.Name)
	if sort == nil || sort.kind() != s.sort.Type {
		return "", false
	}
	encoded, _ := sortable(sort)
	return key + escapePart(encoded) + partEnd, true
}

// keySchema is the key of a table or an index. An empty name of the sort key means that there is none.
type keySchema struct {
	partition, sort Key
}

// names returns the key's attribute names.
func (s keySchema) names() []string {
	if s.sort.Name == "" {
		return []string{s.partition.Name}
	}
	return []string{s.partition.Name, s.sort.Name}
}

// keys returns the key's attributes, the partition key first.
func (s keySchema) keys() []Key {
	if s.sort.Name == "" {
		return []Key{s.partition}
	}
	return []Key{s.partition, s.sort}
}
