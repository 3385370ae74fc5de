package dynamolocal

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	maxTransactItems = 100
	maxTransactBytes = 4 << 20
	// transactionFactor is how much more a transaction costs than the same reads or writes alone.
	transactionFactor = 2
	// tokenLifetime is how long a client token makes a repeated transaction a repeat.
	tokenLifetime = 10 * time.Minute
	maxToken      = 36
)

type transactWriteRequest struct {
	TransactItems               []transactWriteItem
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

// cancellationReason tells what one item had to do with a transaction's failure. Code is "None" for those that had
// nothing to do with it.
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
	writes, err := e.prepareAll(r)
	if err != nil {
		return nil, err
	}
	if r.ClientRequestToken == "" {
		return e.transact(r, writes)
	}
	repeat, err := e.claimToken(r, writes)
	if err != nil || repeat != nil {
		return repeat, err
	}
	response, err := e.transact(r, writes)
	if err != nil {
		delete(e.tokens, r.ClientRequestToken)
		return nil, err
	}
	e.tokens[r.ClientRequestToken].underWay = false
	return response, nil
}

// prepareAll checks the writes of a transaction.
func (e *Engine) prepareAll(r *transactWriteRequest) ([]*write, error) {
	if err := checkCapacityDetail(r.ReturnConsumedCapacity); err != nil {
		return nil, err
	}
	if len(r.ClientRequestToken) > maxToken {
		return nil, constraint("clientRequestToken", "Member must have length less than or equal to 36")
	}
	if err := checkTransactLength(len(r.TransactItems)); err != nil {
		return nil, err
	}
	writes := make([]*write, len(r.TransactItems))
	seen := make(map[itemID]bool)
	for i, item := range r.TransactItems {
		var err error
		if writes[i], err = e.prepareOne(item); err != nil {
			return nil, err
		}
		if seen[writes[i].itemID] {
			return nil, validation("Transaction request cannot include multiple operations on one item")
		}
		seen[writes[i].itemID] = true
	}
	return writes, nil
}

func checkTransactLength(items int) error {
	if items < 1 || items > maxTransactItems {
		return constraint("transactItems", "Member must have length less than or equal to 100, "+
			"Member must have length greater than or equal to 1")
	}
	return nil
}

func (e *Engine) prepareOne(item transactWriteItem) (*write, error) {
	given := 0
	for _, r := range []*writeRequest{item.ConditionCheck, item.Put, item.Delete, item.Update} {
		if r != nil {
			given++
		}
	}
	if given != 1 {
		return nil, validation("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	switch {
	case item.Put != nil:
		return e.preparePut(item.Put)
	case item.Delete != nil:
		return e.prepareDelete(item.Delete)
	case item.Update != nil:
		return e.prepareUpdate(item.Update)
	case item.ConditionCheck.ConditionExpression == nil:
		return nil, constraint("transactItems.conditionCheck.conditionExpression", "Member must not be null")
	}
	return e.prepareCheck(item.ConditionCheck)
}

// claimToken enters a transaction's client token, or returns the answer for a repeat of one that was carried out.
func (e *Engine) claimToken(r *transactWriteRequest, writes []*write) (*transactResponse, error) {
	e.forgetTokens()
	// The fields of a request are encoded in one order, so that equal requests have equal fingerprints.
	encoded, err := json.Marshal(r.TransactItems)
	if err != nil {
		return nil, err
	}
	fingerprint := sha256.Sum256(encoded)
	known := e.tokens[r.ClientRequestToken]
	switch {
	case known == nil:
		e.tokens[r.ClientRequestToken] = &clientToken{fingerprint, e.now().Add(tokenLifetime), true, itemsOf(writes)}
		e.tokenOrder = append(e.tokenOrder, r.ClientRequestToken)
		return nil, nil
	case known.fingerprint != fingerprint:
		return nil, &serviceError{code: "IdempotentParameterMismatchException",
			message: "Transaction request with the same client token but different parameters was made"}
	case known.underWay:
		return nil, &serviceError{code: "TransactionInProgressException",
			message: "Transaction with the given client token is already in progress"}
	}
	return &transactResponse{ConsumedCapacity: repeatCost(r, known.items)}, nil
}

// forgetTokens drops the tokens whose time is over. They expire in the order in which they came.
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

// repeatCost is what a repeat of a transaction consumes: the reads of its items.
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

// transact carries out the writes together. While it holds their items, the engine is unlocked for other requests.
func (e *Engine) transact(r *transactWriteRequest, writes []*write) (*transactResponse, error) {
	ids := itemsOf(writes)
	if err := e.conflicts(ids); err != nil {
		return nil, err
	}
	e.hold(ids)
	type outcome struct{ old, changed document }
	outcomes := make([]outcome, len(writes))
	reasons := make([]cancellationReason, len(writes))
	bytes := 0
	for i, w := range writes {
		old, changed, err := w.evaluate()
		outcomes[i], reasons[i] = outcome{old, changed}, reasonFor(err)
		bytes += max(old.size(), changed.size())
	}
	if err := canceled(reasons); err != nil {
		for i, w := range writes {
			w.table.written += writeUnits(outcomes[i].old, nil) * transactionFactor
		}
		return nil, err
	}
	if bytes > maxTransactBytes {
		return nil, validation("Collective item size of the transaction exceeds the maximum of 4 MB")
	}
	used := make(tableUnits)
	for i, w := range writes {
		n := w.table.store(w.key, outcomes[i].old, outcomes[i].changed).times(transactionFactor)
		w.table.written += n.total()
		used.add(w.table, n)
	}
	return &transactResponse{ConsumedCapacity: used.reportWritten(r.ReturnConsumedCapacity)}, nil
}

// conflicts is the error for a transaction some of whose items another one holds, or nil.
func (e *Engine) conflicts(ids []itemID) error {
	reasons := make([]cancellationReason, len(ids))
	for i, id := range ids {
		reasons[i] = cancellationReason{Code: "None"}
		if e.held[id] {
			reasons[i] = cancellationReason{Code: "TransactionConflict", Message: "Transaction is ongoing for the item"}
		}
	}
	return canceled(reasons)
}

// hold keeps the items for the engine's transaction time. It unlocks the engine meanwhile.
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

// canceled is the error for a transaction with the given reasons, or nil where none of them is one.
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

func (e *Engine) transactGetItems(r *transactGetRequest) (*transactResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := checkCapacityDetail(r.ReturnConsumedCapacity); err != nil {
		return nil, err
	}
	if err := checkTransactLength(len(r.TransactItems)); err != nil {
		return nil, err
	}
	gets := make([]*get, len(r.TransactItems))
	ids := make([]itemID, len(r.TransactItems))
	for i, item := range r.TransactItems {
		if item.Get == nil {
			return nil, constraint("transactItems.get", "Member must not be null")
		}
		var err error
		if gets[i], err = e.prepareGet(item.Get); err != nil {
			return nil, err
		}
		if ids[i] = gets[i].itemID; slices.Contains(ids[:i], ids[i]) {
			return nil, validation("Transaction request cannot include multiple operations on one item")
		}
	}
	if err := e.conflicts(ids); err != nil {
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

// tableUnits is what a request on several tables consumed of each of them.
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

// reportRead reports a transaction's units, which are told apart as those of reads.
func (u tableUnits) reportRead(detail string) []*consumedCapacity {
	reports := u.report(detail)
	for _, report := range reports {
		report.ReadCapacityUnits = report.CapacityUnits
	}
	return reports
}

// reportWritten reports a transaction's units, which are told apart as those of writes.
func (u tableUnits) reportWritten(detail string) []*consumedCapacity {
	reports := u.report(detail)
	for _, report := range reports {
		report.WriteCapacityUnits = report.CapacityUnits
	}
	return reports
}
