package dynamolocal

import (
	"cmp"
	"maps"
	"slices"
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

// batchGetItem reads up to 100 items. What would make the answer larger than 16 MB is returned as unprocessed. As with
// DynamoDB the order of the items has nothing to do with that of the keys.
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

// prepareBatch checks a BatchGetItem and returns each table's reads in the order in which they are answered.
func (e *Engine) prepareBatch(r *batchGetRequest) (map[string][]batchGet, error) {
	if err := checkCapacityDetail(r.ReturnConsumedCapacity); err != nil {
		return nil, err
	}
	keys := 0
	for _, asked := range r.RequestItems {
		keys += len(asked.Keys)
	}
	switch {
	case keys == 0:
		return nil, constraint("requestItems", "Member must have length greater than or equal to 1")
	case keys > maxBatchGet:
		return nil, validation("Too many items requested for the BatchGetItem call")
	}
	gets := make(map[string][]batchGet)
	for name, asked := range r.RequestItems {
		for _, key := range asked.Keys {
			g, err := e.prepareGet(&getRequest{
				TableName: name, Key: key,
				ProjectionExpression: asked.ProjectionExpression, ExpressionAttributeNames: asked.ExpressionAttributeNames,
			})
			if err != nil {
				return nil, err
			}
			gets[name] = append(gets[name], batchGet{g, key})
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

// batchWriteItem puts and deletes up to 25 items, each for itself. Those that a transaction holds are returned as
// unprocessed.
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
	if err := checkCapacityDetail(r.ReturnConsumedCapacity); err != nil {
		return nil, err
	}
	requested := 0
	for _, items := range r.RequestItems {
		requested += len(items)
	}
	if requested < 1 || requested > maxBatchWrite {
		return nil, constraint("requestItems", "Map value must satisfy constraint: "+
			"[Member must have length less than or equal to 25, Member must have length greater than or equal to 1]")
	}
	writes := make(map[string][]*write)
	seen := make(map[itemID]bool)
	for name, items := range r.RequestItems {
		for _, item := range items {
			w, err := e.prepareBatchItem(name, item)
			if err != nil {
				return nil, err
			}
			if seen[w.itemID] {
				return nil, validation("Provided list of item keys contains duplicates")
			}
			seen[w.itemID] = true
			writes[name] = append(writes[name], w)
		}
	}
	return writes, nil
}

func (e *Engine) prepareBatchItem(table string, item batchWrite) (*write, error) {
	switch {
	case item.PutRequest != nil && item.DeleteRequest == nil:
		w, err := e.preparePut(&writeRequest{TableName: table, Item: item.PutRequest.Item})
		if err != nil {
			return nil, err
		}
		return w, w.table.checkIndexKeys(item.PutRequest.Item)
	case item.DeleteRequest != nil && item.PutRequest == nil:
		return e.prepareDelete(&writeRequest{TableName: table, Key: item.DeleteRequest.Key})
	}
	return nil, validation("Supplied WriteRequest must contain exactly one of PutRequest and DeleteRequest")
}
