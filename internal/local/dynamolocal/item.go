package dynamolocal

import "slices"

// writeRequest is a PutItem, UpdateItem or DeleteItem, or a part of a TransactWriteItems.
type writeRequest struct {
	TableName           string
	Item                document
	Key                 document
	UpdateExpression    *string
	ConditionExpression *string
	placeholderFields
	ReturnValues                        string
	ReturnValuesOnConditionCheckFailure string
	ReturnConsumedCapacity              string
	ReturnItemCollectionMetrics         string
}

type placeholderFields struct {
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues document
}

type writeResponse struct {
	Attributes       document          `json:",omitempty"`
	ConsumedCapacity *consumedCapacity `json:",omitempty"`
}

// itemID identifies an item: its table and its stored key.
type itemID struct {
	table *table
	key   string
}

// write is a checked request to write one item.
type write struct {
	itemID
	condition condition // nil where there is none
	showOld   bool      // the item that fails the condition is to be returned
	update    *update   // what an UpdateItem does
	// change returns the item that is to take the old one's place; nil is none.
	change func(old document) (document, error)
}

// prepare parses and checks what the kinds of writes have in common. The engine must be locked.
func (e *Engine) prepare(r *writeRequest) (*write, *placeholders, error) {
	t, err := e.table(r.TableName)
	if err != nil {
		return nil, nil, err
	}
	if err := checkCapacityDetail(r.ReturnConsumedCapacity); err != nil {
		return nil, nil, err
	}
	onFailure := r.ReturnValuesOnConditionCheckFailure
	if err := oneOf("returnValuesOnConditionCheckFailure", onFailure, "ALL_OLD", "NONE"); err != nil {
		return nil, nil, err
	}
	known, err := newPlaceholders(r.ExpressionAttributeNames, r.ExpressionAttributeValues)
	if err != nil {
		return nil, nil, err
	}
	w := &write{itemID: itemID{table: t}, showOld: onFailure == "ALL_OLD"}
	w.condition, _, err = known.condition("ConditionExpression", r.ConditionExpression)
	return w, known, err
}

func (e *Engine) preparePut(r *writeRequest) (*write, error) {
	w, known, err := e.prepare(r)
	if err != nil {
		return nil, err
	}
	if err := known.unused(r.ConditionExpression != nil); err != nil {
		return nil, err
	}
	if w.key, err = w.table.keyOfItem(r.Item); err != nil {
		return nil, err
	}
	if r.Item.size() > maxItem {
		return nil, validation("Item size has exceeded the maximum allowed size")
	}
	w.change = func(document) (document, error) { return r.Item, nil }
	return w, nil
}

func (e *Engine) prepareDelete(r *writeRequest) (*write, error) {
	w, err := e.prepareCheck(r)
	if err != nil {
		return nil, err
	}
	w.change = func(document) (document, error) { return nil, nil }
	return w, nil
}

// prepareCheck prepares a write that leaves the item as it is.
func (e *Engine) prepareCheck(r *writeRequest) (*write, error) {
	w, known, err := e.prepare(r)
	if err != nil {
		return nil, err
	}
	if err := known.unused(r.ConditionExpression != nil); err != nil {
		return nil, err
	}
	w.key, err = w.table.keyOf(r.Key)
	w.change = func(old document) (document, error) { return old, nil }
	return w, err
}

func (e *Engine) prepareUpdate(r *writeRequest) (*write, error) {
	w, known, err := e.prepare(r)
	if err != nil {
		return nil, err
	}
	if w.update, err = known.update(r.UpdateExpression); err != nil {
		return nil, err
	}
	if err := known.unused(r.UpdateExpression != nil || r.ConditionExpression != nil); err != nil {
		return nil, err
	}
	if w.key, err = w.table.keyOf(r.Key); err != nil {
		return nil, err
	}
	for _, p := range w.update.paths {
		if name := p[0].name; slices.Contains(w.table.schema.names(), name) {
			return nil, invalidParameter("Cannot update attribute %s. This attribute is part of the key", name)
		}
	}
	w.change = func(old document) (document, error) {
		if old == nil {
			old = r.Key
		}
		changed, err := w.update.apply(old)
		if err == nil && changed.size() > maxItem {
			return nil, validation("Item size to update has exceeded the maximum allowed size")
		}
		return changed, err
	}
	return w, nil
}

// evaluate returns the item as it is and as the write would leave it, or why the write must fail.
func (w *write) evaluate() (old, changed document, err error) {
	old = w.table.items.get(w.key)
	if w.condition != nil && !w.condition.holds(old) {
		failure := &serviceError{code: "ConditionalCheckFailedException", message: "The conditional request failed"}
		if w.showOld {
			failure.item = old
		}
		return old, nil, failure
	}
	if changed, err = w.change(old); err != nil {
		return old, nil, err
	}
	return old, changed, w.table.checkIndexKeys(changed)
}

// carryOut carries out a single write. The engine must be locked.
func (e *Engine) carryOut(w *write) (old, changed document, used units, err error) {
	if e.held[w.itemID] {
		return nil, nil, units{}, &serviceError{code: "TransactionConflictException",
			message: "Transaction is ongoing for the item"}
	}
	if old, changed, err = w.evaluate(); err != nil {
		w.table.written += writeUnits(old, nil)
		return nil, nil, units{}, err
	}
	used = w.table.store(w.key, old, changed)
	w.table.written += used.total()
	return old, changed, used, nil
}

func (e *Engine) putItem(r *writeRequest) (*writeResponse, error) {
	return e.write(r, e.preparePut, "NONE", "ALL_OLD")
}

func (e *Engine) deleteItem(r *writeRequest) (*writeResponse, error) {
	return e.write(r, e.prepareDelete, "NONE", "ALL_OLD")
}

func (e *Engine) updateItem(r *writeRequest) (*writeResponse, error) {
	return e.write(r, e.prepareUpdate, "NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
}

// write answers one of the requests that write a single item.
func (e *Engine) write(
	r *writeRequest, prepare func(*writeRequest) (*write, error), returns ...string,
) (*writeResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.ReturnValues != "" && !slices.Contains(returns, r.ReturnValues) {
		return nil, validation("Return values set to invalid value")
	}
	w, err := prepare(r)
	if err != nil {
		return nil, err
	}
	old, changed, used, err := e.carryOut(w)
	if err != nil {
		return nil, err
	}
	response := &writeResponse{ConsumedCapacity: used.report(r.TableName, r.ReturnConsumedCapacity)}
	switch r.ReturnValues {
	case "ALL_OLD":
		response.Attributes = old
	case "UPDATED_OLD":
		response.Attributes = w.update.touched(old)
	case "ALL_NEW":
		response.Attributes = changed
	case "UPDATED_NEW":
		response.Attributes = w.update.touched(changed)
	}
	return response, nil
}

// getRequest is a GetItem, or a part of a TransactGetItems.
type getRequest struct {
	TableName                string
	Key                      document
	ConsistentRead           bool
	ProjectionExpression     *string
	ExpressionAttributeNames map[string]string
	ReturnConsumedCapacity   string
}

type getResponse struct {
	Item             document          `json:",omitzero"`
	ConsumedCapacity *consumedCapacity `json:",omitempty"`
}

// get is a checked request to read one item.
type get struct {
	itemID
	projection *projection // nil where there is none
}

// prepareGet checks a read. The engine must be locked.
func (e *Engine) prepareGet(r *getRequest) (*get, error) {
	t, err := e.table(r.TableName)
	if err != nil {
		return nil, err
	}
	if err := checkCapacityDetail(r.ReturnConsumedCapacity); err != nil {
		return nil, err
	}
	selected, err := parseProjection(r.ProjectionExpression, r.ExpressionAttributeNames)
	if err != nil {
		return nil, err
	}
	key, err := t.keyOf(r.Key)
	return &get{itemID{t, key}, selected}, err
}

// parseProjection parses the projection of a request that has no other expression.
func parseProjection(text *string, names map[string]string) (*projection, error) {
	known, err := newPlaceholders(names, nil)
	if err != nil {
		return nil, err
	}
	selected, err := known.projection(text)
	if err != nil {
		return nil, err
	}
	return selected, known.unused(text != nil)
}

// read returns what is asked for of the item, nil if there is none, and the item's whole size.
func (g *get) read() (document, int) {
	item := g.table.items.get(g.key)
	if item == nil || g.projection == nil {
		return item, item.size()
	}
	return projectDocument(g.projection, item), item.size()
}

func (e *Engine) getItem(r *getRequest) (*getResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g, err := e.prepareGet(r)
	if err != nil {
		return nil, err
	}
	item, size := g.read()
	used := units{table: readUnits(size, r.ConsistentRead)}
	g.table.read += used.total()
	return &getResponse{Item: item, ConsumedCapacity: used.report(r.TableName, r.ReturnConsumedCapacity)}, nil
}
