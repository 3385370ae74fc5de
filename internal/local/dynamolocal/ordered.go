package dynamolocal

import (
	"iter"
	"slices"
	"sort"
	"strings"
)

// maxBlock is the most records in a block; after that it is split in two.
const maxBlock = 512

// ordered keeps documents sorted by an encoded key, as a sorted list of sorted blocks. A million records take some four
// thousand blocks: a lookup is two binary searches, and an insertion moves at most a block's records. A record takes no more
// memory than its key and document.
type ordered struct {
	blocks [][]record
	length int
}

type record struct {
	key  string
	item document
}

func (o *ordered) clone() *ordered {
	clone := &ordered{blocks: make([][]record, len(o.blocks)), length: o.length}
	for i, block := range o.blocks {
		clone.blocks[i] = slices.Clone(block)
	}
	return clone
}

// locate returns the position of the key, or the position at which it would be inserted.
func (o *ordered) locate(key string) (block, i int, found bool) {
	block = sort.Search(len(o.blocks), func(b int) bool { return o.blocks[b][len(o.blocks[b])-1].key >= key })
	if block == len(o.blocks) {
		return block, 0, false
	}
	i, found = slices.BinarySearchFunc(o.blocks[block], key, func(r record, key string) int {
		return strings.Compare(r.key, key)
	})
	return block, i, found
}

// get returns the key's document, or nil.
func (o *ordered) get(key string) document {
	if block, i, found := o.locate(key); found {
		return o.blocks[block][i].item
	}
	return nil
}

// put stores the document under the key, replacing any document there.
func (o *ordered) put(key string, item document) {
	block, i, found := o.locate(key)
	if found {
		o.blocks[block][i].item = item
		return
	}
	o.length++
	if block == len(o.blocks) {
		if block == 0 {
			o.blocks = [][]record{{{key, item}}}
			return
		}
		block, i = block-1, len(o.blocks[block-1])
	}
	o.blocks[block] = slices.Insert(o.blocks[block], i, record{key, item})
	if full := o.blocks[block]; len(full) > maxBlock {
		o.blocks[block] = slices.Clone(full[:maxBlock/2])
		o.blocks = slices.Insert(o.blocks, block+1, slices.Clone(full[maxBlock/2:]))
	}
}

// remove deletes the key's document, if there is one.
func (o *ordered) remove(key string) {
	block, i, found := o.locate(key)
	if !found {
		return
	}
	o.length--
	o.blocks[block] = slices.Delete(o.blocks[block], i, i+1)
	if len(o.blocks[block]) == 0 {
		o.blocks = slices.Delete(o.blocks, block, block+1)
	}
}

// between yields the records with low <= key < high, in ascending order or in descending order.
func (o *ordered) between(low, high string, ascending bool) iter.Seq[record] {
	if ascending {
		return o.ascend(low, high)
	}
	return o.descend(low, high)
}

func (o *ordered) ascend(low, high string) iter.Seq[record] {
	return func(yield func(record) bool) {
		block, i, _ := o.locate(low)
		for ; block < len(o.blocks); block, i = block+1, 0 {
			for _, r := range o.blocks[block][i:] {
				if r.key >= high || !yield(r) {
					return
				}
			}
		}
	}
}

func (o *ordered) descend(low, high string) iter.Seq[record] {
	return func(yield func(record) bool) {
		block, i, _ := o.locate(high)
		for {
			for i--; i >= 0; i-- {
				if r := o.blocks[block][i]; r.key < low || !yield(r) {
					return
				}
			}
			if block--; block < 0 {
				return
			}
			i = len(o.blocks[block])
		}
	}
}
