package dynamolocal

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	maxTransactItems = 100
	maxTransactBytes = 4 << 20
	// transactionFactor is the cost of a transaction, as a multiple of the same reads or writes without it.
	transactionFactor = 2
	// tokenLifetime is the time in which a transaction with the same client token counts as a repeat.
	tokenLifetime = 10 * time.Minute
	maxToken      = 36
)

type transactWriteRequest struct {
	TransactItems               []json.RawMessage // each a transactWriteItem; faults are reported in the order of the request
	ClientRequestToken          string
	ReturnConsumedCapacity      string
	ReturnItemCollectionMetrics string
}

type transactWriteItem struct {
	ConditionCheck, Put, Delete, Update *writeRequest `json:",omitempty"`
}

type transactResponse struct {
	Responses        []getResponse       `json:",omitempty"`
	ConsumedCapacity []*consumedCapacity `json:",omitempty"`
}

// cancellationReason is an item's part in a transaction's failure. Code is "None" for items without a fault.
type cancellationReason struct {
	Code    string
	Message string   `json:",omitempty"`
	Item    document `json:",omitzero"`
}

// clientToken remembers a transaction by its client token.
type clientToken struct {
	fingerprint [sha256.Size]byte
	expires     time.Time
	underWay    bool
	items       []itemID
}

func (e *Engine) transactWriteItems(r *transactWriteRequest) (*transactResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	transaction, err := r.parse()
	if err != nil {
		return nil, err
	}
	if err := e.bindAll(transaction); err != nil {
		return nil, err
	}
	if r.ClientRequestToken == "" {
		return e.transact(transaction)
	}
	repeat, err := e.claimToken(transaction)
	if err != nil || repeat != nil {
		return repeat, err
	}
	response, err := e.transact(transaction)
	if err != nil {
		delete(e.tokens, r.ClientRequestToken)
		return nil, err
	}
	e.tokens[r.ClientRequestToken].underWay = false
	return response, nil
}

// transaction is a TransactWriteItems, parsed and then bound to its tables.
type transaction struct {
	*transactWriteRequest
	items  []transactWriteItem
	writes []*write
	// misfits has an error for each write with a key that doesn't fit its table. Such an error cancels the transaction.
	misfits []error
}

// parse checks the transaction as far as possible without its tables. Of several faulty actions it reports the first.
func (r *transactWriteRequest) parse() (*transaction, error) {
	t := &transaction{transactWriteRequest: r, items: make([]transactWriteItem, len(r.TransactItems))}
	faults := make([]error, len(t.items))
	for i, encoded := range r.TransactItems {
		faults[i] = decodeRequest(encoded, &t.items[i])
		if failure, ok := errors.AsType[*serviceError](faults[i]); ok && failure.code == "SerializationException" {
			return nil, faults[i]
		}
	}
	if err := r.check(t.items); err != nil {
		return nil, err
	}
	for i, item := range t.items {
		if faults[i] != nil {
			return nil, faults[i]
		}
		w, err := item.parse()
		if err != nil {
			return nil, err
		}
		t.writes = append(t.writes, w)
	}
	return t, nil
}

func (r *transactWriteRequest) check(items []transactWriteItem) error {
	var failed constraints
	if len(r.ClientRequestToken) > maxToken {
		failed.failValue(r.ClientRequestToken, "clientRequestToken", "Member must have length less than or equal to 36")
	}
	failed.capacityDetail(r.ReturnConsumedCapacity)
	failed.collectionMetrics(r.ReturnItemCollectionMetrics)
	echo := make([]string, len(items))
	for i, item := range items {
		kind, request := item.only()
		if request == nil {
			echo[i] = "TransactWriteItem()"
			continue
		}
		echo[i] = fmt.Sprintf("TransactWriteItem(%s=(tableName=%s))", kind, request.TableName)
		member := fmt.Sprintf("transactItems.%d.member.%s.", i+1, kind)
		failed.tableName(member+"tableName", request.TableName)
		failed.onConditionFailure(member+"returnValuesOnConditionCheckFailure", request)
		if kind == "conditionCheck" && request.ConditionExpression == nil {
			failed.add("Value null at '%sconditionExpression' failed to satisfy constraint: Member must not be null", member)
		}
	}
	failed.transactItems(echo)
	return failed.err()
}

// transactItems checks the number of a transaction's actions. The message repeats the actions as Java prints them, in a form
// that AWS has changed before.
func (c *constraints) transactItems(echo []string) {
	given := "[" + strings.Join(echo, ", ") + "]"
	switch {
	case len(echo) < 1:
		c.failValue(given, "transactItems", "Member must have length greater than or equal to 1")
	case len(echo) > maxTransactItems:
		c.failValue(given, "transactItems", "Member must have length less than or equal to 100")
	}
}

// only returns the item's single action and its name. The action is nil if there is none or more than one.
func (item transactWriteItem) only() (kind string, action *writeRequest) {
	for name, r := range map[string]*writeRequest{
		"conditionCheck": item.ConditionCheck, "put": item.Put, "delete": item.Delete, "update": item.Update,
	} {
		if r == nil {
			continue
		}
		if action != nil {
			return "", nil
		}
		kind, action = name, r
	}
	return kind, action
}

func (item transactWriteItem) parse() (*write, error) {
	switch kind, action := item.only(); kind {
	case "put":
		return parsePut(action)
	case "delete":
		return parseDelete(action)
	case "update":
		return parseUpdate(action)
	case "conditionCheck":
		return parseCheck(action)
	}
	return nil, validation("TransactItems can only contain one of Check, Put, Update or Delete")
}

// bindAll finds the tables and items of a transaction's writes. The engine must be locked.
func (e *Engine) bindAll(t *transaction) error {
	t.misfits = make([]error, len(t.writes))
	seen := make(map[itemID]bool)
	for i, w := range t.writes {
		err := e.bind(w)
		switch {
		case isMisfit(err):
			t.misfits[i] = err
			continue
		case err != nil:
			return err
		case seen[w.itemID]:
			return validation("Transaction request cannot include multiple operations on one item")
		}
		seen[w.itemID] = true
	}
	return nil
}

// claimToken stores a transaction's client token. For a repeat of a completed transaction it returns the answer instead.
func (e *Engine) claimToken(t *transaction) (*transactResponse, error) {
	e.forgetTokens()
	// Fields are always encoded in the same order, so that equal requests have equal fingerprints.
	encoded, err := json.Marshal(t.items)
	if err != nil {
		return nil, err
	}
	fingerprint := sha256.Sum256(encoded)
	known := e.tokens[t.ClientRequestToken]
	switch {
	case known == nil:
		e.tokens[t.ClientRequestToken] = &clientToken{fingerprint, e.now().Add(tokenLifetime), true, itemsOf(t.writes)}
		e.tokenOrder = append(e.tokenOrder, t.ClientRequestToken)
		return nil, nil
	case known.fingerprint != fingerprint:
		return nil, &serviceError{code: "IdempotentParameterMismatchException",
			message: "Transaction request with the same client token but different parameters was made"}
	case known.underWay:
		return nil, &serviceError{code: "TransactionInProgressException",
			message: "Transaction with the given client token is already in progress"}
	}
	return &transactResponse{ConsumedCapacity: repeatCost(t.transactWriteRequest, known.items)}, nil
}

// forgetTokens drops expired tokens, the oldest first.
func (e *Engine) forgetTokens() {
	now := e.now()
	for len(e.tokenOrder) > 0 {
		oldest := e.tokens[e.tokenOrder[0]]
		if oldest != nil && (oldest.underWay || now.Before(oldest.expires)) {
			return
		}
		delete(e.tokens, e.tokenOrder[0])
		e.tokenOrder = e.tokenOrder[1:]
	}
}

// repeatCost returns the capacity of a transaction's repeat: the reads of its items.
func repeatCost(r *transactWriteRequest, items []itemID) []*consumedCapacity {
	used := make(tableUnits)
	for _, id := range items {
		n := units{table: readUnits(id.table.items.get(id.key).size(), true) * transactionFactor}
		id.table.read += n.total()
		used.add(id.table, n)
	}
	return used.reportRead(r.ReturnConsumedCapacity)
}

func itemsOf(writes []*write) []itemID {
	items := make([]itemID, len(writes))
	for i, w := range writes {
		items[i] = w.itemID
	}
	return items
}

// transact carries out the writes together. While it holds their items, the engine is unlocked, so that other requests go on.
func (e *Engine) transact(t *transaction) (*transactResponse, error) {
	ids := itemsOf(t.writes)
	if err := e.conflicts(ids, nil); err != nil {
		return nil, err
	}
	e.hold(ids)
	type outcome struct{ old, changed document }
	outcomes := make([]outcome, len(t.writes))
	reasons := make([]cancellationReason, len(t.writes))
	bytes := 0
	for i, w := range t.writes {
		if t.misfits[i] != nil {
			reasons[i] = reasonFor(t.misfits[i])
			continue
		}
		old, changed, err := w.evaluate()
		outcomes[i], reasons[i] = outcome{old, changed}, reasonFor(err)
		bytes += max(old.size(), changed.size())
	}
	if err := canceled(reasons); err != nil {
		for i, w := range t.writes {
			w.table.written += writeUnits(outcomes[i].old, nil) * transactionFactor
		}
		return nil, err
	}
	if bytes > maxTransactBytes {
		return nil, validation("Collective item size of the transaction exceeds the maximum of 4 MB")
	}
	used := make(tableUnits)
	for i, w := range t.writes {
		n := w.table.store(w.key, outcomes[i].old, outcomes[i].changed).times(transactionFactor)
		w.table.written += n.total()
		used.add(w.table, n)
	}
	return &transactResponse{ConsumedCapacity: used.reportWritten(t.ReturnConsumedCapacity)}, nil
}

// conflicts returns the error of a transaction if another transaction holds some of its items, or if some of its keys don't
// fit their tables; otherwise nil. misfits has an error for each such key; if it is nil, these keys are reported later.
func (e *Engine) conflicts(ids []itemID, misfits []error) error {
	reasons := make([]cancellationReason, len(ids))
	for i, id := range ids {
		reasons[i] = cancellationReason{Code: "None"}
		if misfits != nil {
			reasons[i] = reasonFor(misfits[i])
		}
		if e.held[id] {
			reasons[i] = cancellationReason{Code: "TransactionConflict", Message: "Transaction is ongoing for the item"}
		}
	}
	return canceled(reasons)
}

// hold holds the items for the engine's transaction time. It unlocks the engine meanwhile.
func (e *Engine) hold(ids []itemID) {
	if e.transactionTime <= 0 {
		return
	}
	for _, id := range ids {
		e.held[id] = true
	}
	e.mu.Unlock()
	time.Sleep(e.transactionTime)
	e.mu.Lock()
	for _, id := range ids {
		delete(e.held, id)
	}
}

func reasonFor(err error) cancellationReason {
	failure, failed := errors.AsType[*serviceError](err)
	switch {
	case !failed:
		return cancellationReason{Code: "None"}
	case failure.code == "ConditionalCheckFailedException":
		return cancellationReason{"ConditionalCheckFailed", failure.message, failure.item}
	}
	return cancellationReason{Code: "ValidationError", Message: failure.message}
}

// canceled returns the error of a transaction with the given reasons, nil if none of them is a fault.
func canceled(reasons []cancellationReason) error {
	codes := make([]string, len(reasons))
	for i, r := range reasons {
		codes[i] = r.Code
	}
	if !slices.ContainsFunc(codes, func(code string) bool { return code != "None" }) {
		return nil
	}
	return &serviceError{
		code: "TransactionCanceledException",
		message: "Transaction cancelled, please refer cancellation reasons for specific reasons [" +
			strings.Join(codes, ", ") + "]",
		reasons: reasons,
	}
}

type transactGetRequest struct {
	TransactItems          []struct{ Get *getRequest }
	ReturnConsumedCapacity string
}

// parse checks the transaction as far as possible without its tables.
func (r *transactGetRequest) parse() ([]*get, error) {
	var failed constraints
	failed.capacityDetail(r.ReturnConsumedCapacity)
	echo := make([]string, len(r.TransactItems))
	for i, item := range r.TransactItems {
		if item.Get == nil {
			failed.add("Value null at 'transactItems.%d.member.get' failed to satisfy constraint: Member must not be null", i+1)
			continue
		}
		echo[i] = fmt.Sprintf("TransactGetItem(get=(tableName=%s))", item.Get.TableName)
		failed.tableName(fmt.Sprintf("transactItems.%d.member.get.tableName", i+1), item.Get.TableName)
	}
	failed.transactItems(echo)
	if err := failed.err(); err != nil {
		return nil, err
	}
	gets := make([]*get, len(r.TransactItems))
	for i, item := range r.TransactItems {
		var err error
		if gets[i], err = parseGet(item.Get); err != nil {
			return nil, err
		}
	}
	return gets, nil
}

func (e *Engine) transactGetItems(r *transactGetRequest) (*transactResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	gets, err := r.parse()
	if err != nil {
		return nil, err
	}
	ids := make([]itemID, len(gets))
	misfits := make([]error, len(gets))
	for i, g := range gets {
		if err := e.bindGet(g, r.TransactItems[i].Get); isMisfit(err) {
			misfits[i] = err
			continue
		} else if err != nil {
			return nil, err
		}
		if ids[i] = g.itemID; slices.Contains(ids[:i], ids[i]) {
			return nil, validation("Transaction request cannot include multiple operations on one item")
		}
	}
	if err := e.conflicts(ids, misfits); err != nil {
		return nil, err
	}
	response := &transactResponse{Responses: make([]getResponse, len(gets))}
	used := make(tableUnits)
	for i, g := range gets {
		item, size := g.read()
		n := units{table: readUnits(size, true) * transactionFactor}
		g.table.read += n.total()
		used.add(g.table, n)
		response.Responses[i].Item = item
	}
	response.ConsumedCapacity = used.reportRead(r.ReturnConsumedCapacity)
	return response, nil
}

// tableUnits is a request's capacity in each of several tables.
type tableUnits map[string]units

func (u tableUnits) add(t *table, n units) { u[t.Name] = u[t.Name].plus(n) }

// report returns the units of each table in the detail asked for, in the order of the tables' names.
func (u tableUnits) report(detail string) []*consumedCapacity {
	var reports []*consumedCapacity
	for _, name := range slices.Sorted(maps.Keys(u)) {
		if report := u[name].report(name, detail); report != nil {
			reports = append(reports, report)
		}
	}
	return reports
}

// reportRead reports a transaction's units, as read units.
func (u tableUnits) reportRead(detail string) []*consumedCapacity {
	reports := u.report(detail)
	for _, report := range reports {
		report.ReadCapacityUnits = report.CapacityUnits
	}
	return reports
}

// reportWritten reports a transaction's units, as write units.
func (u tableUnits) reportWritten(detail string) []*consumedCapacity {
	reports := u.report(detail)
	for _, report := range reports {
		report.WriteCapacityUnits = report.CapacityUnits
	}
	return reports
}
