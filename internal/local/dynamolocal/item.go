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

func (c *constraints) onConditionFailure(member string, r *writeRequest) {
	c.oneOf(member, r.ReturnValuesOnConditionCheckFailure, "ALL_OLD", "NONE")
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

// write is a request to write one item. It is parsed first, as far as possible without its table, and then bound to the
// table.
type write struct {
	itemID
	request   *writeRequest
	condition condition // nil if there is none
	update    *update   // the update of an UpdateItem
	// keyIn returns the stored key of the write's item in its table, after the checks that need the table.
	keyIn func(*table) (string, error)
	// change returns the item that replaces the old one; nil means no item.
	change func(old document) (document, error)
}

// parse parses the request's expressions. updates says whether an update is allowed.
func (r *writeRequest) parse(updates bool) (*write, error) {
	known, err := newPlaceholders(r.ExpressionAttributeNames, r.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	w := &write{request: r, keyIn: func(t *table) (string, error) { return t.keyOf(r.Key) }}
	if updates {
		if w.update, err = known.update(r.UpdateExpression); err != nil {
			return nil, err
		}
	}
	if w.condition, _, err = known.condition("ConditionExpression", r.ConditionExpression); err != nil {
		return nil, err
	}
	return w, known.unused(r.ConditionExpression != nil || updates && r.UpdateExpression != nil)
}

// bind finds the write's table and item. The engine must be locked.
func (e *Engine) bind(w *write) error {
	t, err := e.table(w.request.TableName)
	if err != nil {
		return err
	}
	w.table = t
	w.key, err = w.keyIn(t)
	return err
}

func parsePut(r *writeRequest) (*write, error) {
	w, err := r.parse(false)
	if err != nil {
		return nil, err
	}
	if r.Item.size() > maxItem {
		return nil, validation("Item size has exceeded the maximum allowed size")
	}
	w.keyIn = func(t *table) (string, error) {
		key, err := t.keyOfItem(r.Item)
		if err != nil {
			return "", err
		}
		return key, t.checkFilledKeys(r.Item.get)
	}
	w.change = func(document) (document, error) { return r.Item, nil }
	return w, nil
}

func parseDelete(r *writeRequest) (*write, error) {
	w, err := r.parse(false)
	if err != nil {
		return nil, err
	}
	w.change = func(document) (document, error) { return nil, nil }
	return w, nil
}

// parseCheck parses a write that doesn't change the item.
func parseCheck(r *writeRequest) (*write, error) {
	w, err := r.parse(false)
	if err != nil {
		return nil, err
	}
	w.change = func(old document) (document, error) { return old, nil }
	return w, nil
}

func parseUpdate(r *writeRequest) (*write, error) {
	w, err := r.parse(true)
	if err != nil {
		return nil, err
	}
	w.keyIn = func(t *table) (string, error) {
		key, err := t.keyOf(r.Key)
		if err != nil {
			return "", err
		}
		for _, p := range w.update.paths {
			if name := p[0].name; slices.Contains(t.schema.names(), name) {
				return "", misfit(invalidParameter("Cannot update attribute %s. This attribute is part of the key", name))
			}
		}
		return key, t.checkFilledKeys(w.update.literal)
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

// evaluate returns the item before and after the write, or the reason that the write must fail.
func (w *write) evaluate() (old, changed document, err error) {
	old = w.table.items.get(w.key)
	if w.condition != nil && !w.condition.holds(old) {
		failure := &serviceError{code: "ConditionalCheckFailedException", message: "The conditional request failed"}
		if w.request.ReturnValuesOnConditionCheckFailure == "ALL_OLD" {
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
	return e.write(r, parsePut, "NONE", "ALL_OLD")
}

func (e *Engine) deleteItem(r *writeRequest) (*writeResponse, error) {
	return e.write(r, parseDelete, "NONE", "ALL_OLD")
}

func (e *Engine) updateItem(r *writeRequest) (*writeResponse, error) {
	return e.write(r, parseUpdate, "NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW")
}

// write answers the requests that write a single item.
func (e *Engine) write(
	r *writeRequest, parse func(*writeRequest) (*write, error), returns ...string,
) (*writeResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var failed constraints
	failed.capacityDetail(r.ReturnConsumedCapacity)
	failed.collectionMetrics(r.ReturnItemCollectionMetrics)
	failed.tableName("tableName", r.TableName)
	failed.oneOf("returnValues", r.ReturnValues, "ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW")
	failed.onConditionFailure("returnValuesOnConditionCheckFailure", r)
	if err := failed.err(); err != nil {
		return nil, err
	}
	if r.ReturnValues != "" && !slices.Contains(returns, r.ReturnValues) {
		return nil, validation("Return values set to invalid value")
	}
	w, err := parse(r)
	if err != nil {
		return nil, err
	}
	if err := e.bind(w); err != nil {
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

// get is a request to read one item. It is parsed first, and then bound to its table.
type get struct {
	itemID
	projection *projection // nil if there is none
}

func parseGet(r *getRequest) (*get, error) {
	selected, err := parseProjection(r.ProjectionExpression, r.ExpressionAttributeNames)
	return &get{projection: selected}, err
}

// bindGet finds the table and the item of a read. The engine must be locked.
func (e *Engine) bindGet(g *get, r *getRequest) error {
	t, err := e.table(r.TableName)
	if err != nil {
		return err
	}
	g.table = t
	g.key, err = t.keyOf(r.Key)
	return err
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

// read returns the requested part of the item, nil if there is none, and the item's whole size.
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
	var failed constraints
	failed.capacityDetail(r.ReturnConsumedCapacity)
	failed.tableName("tableName", r.TableName)
	if err := failed.err(); err != nil {
		return nil, err
	}
	g, err := parseGet(r)
	if err != nil {
		return nil, err
	}
	if err := e.bindGet(g, r); err != nil {
		return nil, err
	}
	item, size := g.read()
	used := units{table: readUnits(size, r.ConsistentRead)}
	g.table.read += used.total()
	return &getResponse{Item: item, ConsumedCapacity: used.report(r.TableName, r.ReturnConsumedCapacity)}, nil
}
