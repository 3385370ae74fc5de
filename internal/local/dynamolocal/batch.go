package dynamolocal

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

const (
	maxBatchGet      = 100
	maxBatchGetBytes = 16 << 20
	maxBatchWrite    = 25
)

type batchGetRequest struct {
	RequestItems           map[string]keysAndAttributes
	ReturnConsumedCapacity string
}

type keysAndAttributes struct {
	Keys                     []document
	ConsistentRead           bool              `json:",omitempty"`
	ProjectionExpression     *string           `json:",omitempty"`
	ExpressionAttributeNames map[string]string `json:",omitempty"`
}

type batchGetResponse struct {
	Responses        map[string][]document
	UnprocessedKeys  map[string]keysAndAttributes
	ConsumedCapacity []*consumedCapacity `json:",omitempty"`
}

// batchGetItem reads up to 100 items. Items beyond an answer of 16 MB are returned as unprocessed. As in DynamoDB, the order of
// the items is independent of the order of the keys.
func (e *Engine) batchGetItem(r *batchGetRequest) (*batchGetResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gets, err := e.prepareBatch(r)
	if err != nil {
		return nil, err
	}
	response := &batchGetResponse{
		Responses:       make(map[string][]document),
		UnprocessedKeys: make(map[string]keysAndAttributes),
	}
	used := make(tableUnits)
	bytes := 0
	for _, name := range slices.Sorted(maps.Keys(gets)) {
		asked := r.RequestItems[name]
		response.Responses[name] = []document{}
		for _, g := range gets[name] {
			item, size := g.read()
			if bytes += size; bytes > maxBatchGetBytes {
				left := response.UnprocessedKeys[name]
				left.ConsistentRead, left.ProjectionExpression = asked.ConsistentRead, asked.ProjectionExpression
				left.ExpressionAttributeNames = asked.ExpressionAttributeNames
				left.Keys = append(left.Keys, g.asked)
				response.UnprocessedKeys[name] = left
				continue
			}
			n := units{table: readUnits(size, asked.ConsistentRead)}
			g.table.read += n.total()
			used.add(g.table, n)
			if item != nil {
				response.Responses[name] = append(response.Responses[name], item)
			}
		}
	}
	response.ConsumedCapacity = used.report(r.ReturnConsumedCapacity)
	return response, nil
}

// batchGet is one key of a BatchGetItem.
type batchGet struct {
	*get
	asked document
}

// prepareBatch checks a BatchGetItem, and returns the reads of each table in the order of their answers.
func (e *Engine) prepareBatch(r *batchGetRequest) (map[string][]batchGet, error) {
	names := slices.Sorted(maps.Keys(r.RequestItems))
	if err := r.check(names); err != nil {
		return nil, err
	}
	gets := make(map[string][]batchGet)
	for _, name := range names {
		asked := r.RequestItems[name]
		for _, key := range asked.Keys {
			g, err := parseGet(&getRequest{
				ProjectionExpression: asked.ProjectionExpression, ExpressionAttributeNames: asked.ExpressionAttributeNames,
			})
			if err != nil {
				return nil, err
			}
			gets[name] = append(gets[name], batchGet{g, key})
		}
	}
	for _, name := range names {
		for _, g := range gets[name] {
			if err := e.bindGet(g.get, &getRequest{TableName: name, Key: g.asked}); err != nil {
				return nil, err
			}
		}
		slices.SortFunc(gets[name], func(a, b batchGet) int { return cmp.Compare(a.key, b.key) })
		for i, g := range gets[name] {
			if i > 0 && g.key == gets[name][i-1].key {
				return nil, validation("Provided list of item keys contains duplicates")
			}
		}
	}
	return gets, nil
}

// check checks the request as far as possible without the tables. names are the tables' names, in order.
func (r *batchGetRequest) check(names []string) error {
	var failed constraints
	if len(names) == 0 {
		failed.fail("RequestItems", "Member must have length greater than or equal to 1")
	}
	failed.mapKeys(names, func() string {
		// The message repeats the request's items as JSON.
		encoded, _ := json.Marshal(r.RequestItems)
		return string(encoded)
	})
	keys := 0
	for _, name := range names {
		n := len(r.RequestItems[name].Keys)
		keys += n
		switch member := "RequestItems." + name + ".member.Keys"; {
		case n == 0:
			failed.fail(member, "Member must have length greater than or equal to 1")
		case n > maxBatchGet:
			failed.fail(member, "Member must have length less than or equal to 100")
		}
	}
	failed.capacityDetail(r.ReturnConsumedCapacity)
	if err := failed.err(); err != nil {
		return err
	}
	if keys > maxBatchGet {
		return validation("Too many items requested for the BatchGetItem call")
	}
	return nil
}

type batchWriteRequest struct {
	RequestItems                map[string][]batchWrite
	ReturnConsumedCapacity      string
	ReturnItemCollectionMetrics string
}

type batchWrite struct {
	PutRequest    *struct{ Item document } `json:",omitempty"`
	DeleteRequest *struct{ Key document }  `json:",omitempty"`
}

type batchWriteResponse struct {
	UnprocessedItems map[string][]batchWrite
	ConsumedCapacity []*consumedCapacity `json:",omitempty"`
}

// batchWriteItem puts and deletes up to 25 items, each by itself. Items that a transaction holds are returned as unprocessed.
func (e *Engine) batchWriteItem(r *batchWriteRequest) (*batchWriteResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	writes, err := e.prepareBatchWrite(r)
	if err != nil {
		return nil, err
	}
	response := &batchWriteResponse{UnprocessedItems: make(map[string][]batchWrite)}
	used := make(tableUnits)
	for _, name := range slices.Sorted(maps.Keys(writes)) {
		for i, w := range writes[name] {
			if e.held[w.itemID] {
				response.UnprocessedItems[name] = append(response.UnprocessedItems[name], r.RequestItems[name][i])
				continue
			}
			_, _, n, err := e.carryOut(w)
			if err != nil {
				return nil, err
			}
			used.add(w.table, n)
		}
	}
	response.ConsumedCapacity = used.report(r.ReturnConsumedCapacity)
	return response, nil
}

// prepareBatchWrite checks a BatchWriteItem and returns each table's writes in the order of the request.
func (e *Engine) prepareBatchWrite(r *batchWriteRequest) (map[string][]*write, error) {
	names := slices.Sorted(maps.Keys(r.RequestItems))
	if err := r.check(names); err != nil {
		return nil, err
	}
	writes := make(map[string][]*write)
	for _, name := range names {
		for _, item := range r.RequestItems[name] {
			w, err := item.parse(name)
			if err != nil {
				return nil, err
			}
			writes[name] = append(writes[name], w)
		}
	}
	seen := make(map[itemID]bool)
	for _, name := range names {
		for _, w := range writes[name] {
			if err := e.bind(w); isMisfit(err) {
				return nil, keyMismatch()
			} else if err != nil {
				return nil, err
			}
			if err := w.table.checkIndexKeys(w.request.Item); err != nil {
				return nil, err
			}
			if seen[w.itemID] {
				return nil, validation("Provided list of item keys contains duplicates")
			}
			seen[w.itemID] = true
		}
	}
	return writes, nil
}

// check checks the request as far as possible without the tables. names are the tables' names, in order.
func (r *batchWriteRequest) check(names []string) error {
	var failed constraints
	if len(names) == 0 {
		failed.fail("RequestItems", "Member must have length greater than or equal to 1")
	}
	failed.capacityDetail(r.ReturnConsumedCapacity)
	failed.collectionMetrics(r.ReturnItemCollectionMetrics)
	requested := 0
	for _, name := range names {
		n := len(r.RequestItems[name])
		requested += n
		if n < 1 || n > maxBatchWrite {
			failed.failValue(r.echo(names), "requestItems", "Map value must satisfy constraint: "+
				"[Member must have length less than or equal to 25, Member must have length greater than or equal to 1]")
			break
		}
	}
	if len(failed) == 0 {
		// BatchGetItem reports malformed names together with other faults. BatchWriteItem reports them only if there is no
		// other fault.
		failed.mapKeys(names, func() string { return r.echo(names) })
	}
	if err := failed.err(); err != nil {
		return err
	}
	if requested > maxBatchWrite {
		return validation("Too many items requested for the BatchWriteItem call")
	}
	return nil
}

// echo spells the request as DynamoDB's error messages do: as Java prints it. It leaves out the items' attributes, because
// AWS has changed their form before.
func (r *batchWriteRequest) echo(names []string) string {
	tables := make([]string, len(names))
	for i, name := range names {
		requests := make([]string, len(r.RequestItems[name]))
		for j, item := range r.RequestItems[name] {
			requests[j] = "WriteRequest(deleteRequest=DeleteRequest())"
			if item.PutRequest != nil {
				requests[j] = "WriteRequest(putRequest=PutRequest())"
			}
		}
		tables[i] = name + "=[" + strings.Join(requests, ", ") + "]"
	}
	return "{" + strings.Join(tables, ", ") + "}"
}

func (b batchWrite) parse(table string) (*write, error) {
	switch {
	case b.PutRequest != nil && b.DeleteRequest == nil:
		return parsePut(&writeRequest{TableName: table, Item: b.PutRequest.Item})
	case b.DeleteRequest != nil && b.PutRequest == nil:
		return parseDelete(&writeRequest{TableName: table, Key: b.DeleteRequest.Key})
	}
	return nil, validation("Supplied WriteRequest must contain exactly one of PutRequest and DeleteRequest")
}
