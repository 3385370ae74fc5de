package dynamolocal

import (
	"encoding/binary"
	"math"
	"slices"
)

// maxPage is the number of bytes after which a Query or Scan ends its page.
const maxPage = 1 << 20

// pageRequest is a Query or a Scan.
type pageRequest struct {
	TableName              string
	IndexName              *string
	KeyConditionExpression *string
	FilterExpression       *string
	ProjectionExpression   *string
	placeholderFields
	Select                 string
	ConsistentRead         bool
	ScanIndexForward       *bool
	Limit                  *int
	ExclusiveStartKey      document
	Segment, TotalSegments *int
	ReturnConsumedCapacity string
}

type pageResponse struct {
	Items            []document `json:",omitzero"`
	Count            int
	ScannedCount     int
	LastEvaluatedKey document          `json:",omitempty"`
	ConsumedCapacity *consumedCapacity `json:",omitempty"`
}

// source is the subject of a Query or Scan: a table or one of its indexes.
type source struct {
	table   *table
	index   *index // nil for the table itself
	schema  keySchema
	records *ordered
}

// page is a checked Query or Scan.
type page struct {
	source
	low, high  string // the range of stored keys
	ascending  bool
	filter     condition   // nil if there is none
	projection *projection // nil if there is none
	limit      int
}

func (e *Engine) query(r *pageRequest) (*pageResponse, error) {
	return e.page(r, true)
}

func (e *Engine) scan(r *pageRequest) (*pageResponse, error) {
	return e.page(r, false)
}

func (e *Engine) page(r *pageRequest, isQuery bool) (*pageResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, err := e.preparePage(r, isQuery)
	if err != nil {
		return nil, err
	}
	response, size := p.read()
	if r.Select == "COUNT" {
		response.Items = nil
	}
	used := units{table: readUnits(size, r.ConsistentRead)}
	if p.index != nil {
		used = units{}.withIndex(p.index.Name, used.table)
	}
	p.table.read += used.total()
	response.ConsumedCapacity = used.report(r.TableName, r.ReturnConsumedCapacity)
	return response, nil
}

// read returns the page, and the size of all items that were read for it, matching or not.
func (p *page) read() (response *pageResponse, size int) {
	response = &pageResponse{Items: []document{}}
	for r := range p.records.between(p.low, p.high, p.ascending) {
		response.ScannedCount++
		size += r.item.size()
		if p.filter == nil || p.filter.holds(r.item) {
			response.Count++
			response.Items = append(response.Items, p.selected(r.item))
		}
		if response.ScannedCount == p.limit || size > maxPage {
			response.LastEvaluatedKey = r.item.only(p.keyNames()...)
			break
		}
	}
	return response, size
}

func (p *page) selected(item document) document {
	if p.projection == nil {
		return item
	}
	return projectDocument(p.projection, item)
}

// keyNames returns the attributes that identify a record of the source.
func (s source) keyNames() []string {
	if s.index == nil {
		return s.schema.names()
	}
	names := append(s.schema.names(), s.table.schema.names()...)
	slices.Sort(names)
	return slices.Compact(names)
}

// storedKey encodes the record's key in the source.
func (s source) storedKey(key document) (string, bool) {
	if s.index == nil {
		return s.schema.storedKey(key)
	}
	return s.index.storedKey(key)
}

// preparePage checks a Query or Scan. Faults that need no table come before the fault of a missing table.
func (e *Engine) preparePage(r *pageRequest, isQuery bool) (*page, error) {
	if err := checkPageParameters(r); err != nil {
		return nil, err
	}
	p := &page{high: endOfKeys, ascending: true, limit: math.MaxInt}
	if r.ScanIndexForward != nil {
		p.ascending = *r.ScanIndexForward
	}
	if r.Limit != nil {
		p.limit = *r.Limit
	}
	expressions, err := parsePage(r, isQuery)
	if err != nil {
		return nil, err
	}
	t, err := e.table(r.TableName)
	if err != nil {
		return nil, err
	}
	if p.source, err = t.source(r); err != nil {
		return nil, err
	}
	if err := p.bind(r, expressions); err != nil {
		return nil, err
	}
	if r.ExclusiveStartKey != nil {
		return p, p.startAfter(r.ExclusiveStartKey)
	}
	return p, nil
}

func checkPageParameters(r *pageRequest) error {
	var failed constraints
	failed.capacityDetail(r.ReturnConsumedCapacity)
	failed.tableName("tableName", r.TableName)
	if r.IndexName != nil {
		failed.name("indexName", *r.IndexName, minName)
	}
	failed.oneOf("select", r.Select, "SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
	failed.between("Limit", r.Limit, 1, math.MaxInt)
	failed.between("Segment", r.Segment, 0, maxSegments-1)
	failed.between("TotalSegments", r.TotalSegments, 1, maxSegments)
	if err := failed.err(); err != nil {
		return err
	}
	switch {
	case r.Select == "SPECIFIC_ATTRIBUTES" && r.ProjectionExpression == nil:
		return validation("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case r.Select == "COUNT" && r.ProjectionExpression != nil:
		return validation("Cannot specify the ProjectionExpression when choosing to get only the Count")
	case r.Select != "SPECIFIC_ATTRIBUTES" && r.Select != "" && r.ProjectionExpression != nil:
		return validation("Cannot specify the ProjectionExpression when choosing to get %s", r.Select)
	case r.Select == "ALL_PROJECTED_ATTRIBUTES" && r.IndexName == nil:
		return validation("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	}
	return nil
}

// source returns the request's source.
func (t *table) source(r *pageRequest) (source, error) {
	if r.IndexName == nil {
		return source{t, nil, t.schema, t.items}, nil
	}
	i := t.index(*r.IndexName)
	switch {
	case i == nil:
		return source{}, validation("The table does not have the specified index: %s", *r.IndexName)
	case r.ConsistentRead:
		return source{}, validation("Consistent reads are not supported on global secondary indexes")
	case r.Select == "ALL_ATTRIBUTES" && !i.projectsAll():
		return source{}, invalidParameter("Select type ALL_ATTRIBUTES is not supported for global secondary index %s "+
			"because its projection type is not ALL", i.Name)
	}
	return source{t, i, i.schema, i.entries}, nil
}

// pageExpressions are the parsed expressions of a Query or Scan.
type pageExpressions struct {
	keys       map[string]keyCondition // nil for a Scan
	filter     condition               // nil if there is none
	filtered   []string                // the attributes that the filter looks at
	projection *projection             // nil if there is none
}

func parsePage(r *pageRequest, isQuery bool) (*pageExpressions, error) {
	known, err := newPlaceholders(r.ExpressionAttributeNames, r.ExpressionAttributeValues)
	if err != nil {
		return nil, err
	}
	parsed := new(pageExpressions)
	if isQuery {
		parsed.keys, err = known.keyConditions(r.KeyConditionExpression)
	} else {
		err = checkSegment(r)
	}
	if err != nil {
		return nil, err
	}
	if parsed.filter, parsed.filtered, err = known.condition("FilterExpression", r.FilterExpression); err != nil {
		return nil, err
	}
	if parsed.projection, err = known.projection(r.ProjectionExpression); err != nil {
		return nil, err
	}
	anyExpression := r.KeyConditionExpression != nil || r.FilterExpression != nil || r.ProjectionExpression != nil
	return parsed, known.unused(anyExpression)
}

// bind checks the expressions against the request's source.
func (p *page) bind(r *pageRequest, expressions *pageExpressions) error {
	p.filter, p.projection = expressions.filter, expressions.projection
	if expressions.keys == nil {
		p.setSegment(r)
		return p.checkProjected(expressions.filtered)
	}
	if err := p.setRange(expressions.keys); err != nil {
		return err
	}
	for _, name := range expressions.filtered {
		if slices.Contains(p.schema.names(), name) {
			return validation("Filter Expression can only contain non-primary key attributes: "+
				"Primary key attribute: %s", name)
		}
	}
	return p.checkProjected(expressions.filtered)
}

// checkProjected refuses expressions on attributes that the index doesn't have.
func (p *page) checkProjected(filtered []string) error {
	if p.index == nil || p.index.projectsAll() {
		return nil
	}
	projected := p.index.projected()
	for _, name := range filtered {
		if !slices.Contains(projected, name) {
			return invalidParameter("Secondary index %s does not project one or more filter attributes: [%s]",
				p.index.Name, name)
		}
	}
	if p.projection == nil {
		return nil
	}
	for name := range p.projection.names {
		if !slices.Contains(projected, name) {
			return invalidParameter("Global secondary index %s does not project [%s]", p.index.Name, name)
		}
	}
	return nil
}

// maxSegments is the most segments of a parallel scan.
const maxSegments = 1_000_000

func checkSegment(r *pageRequest) error {
	switch {
	case r.Segment == nil && r.TotalSegments == nil:
		return nil
	case r.TotalSegments == nil:
		return validation("The TotalSegments parameter is required but was not present in the request " +
			"when Segment parameter is present")
	case r.Segment == nil:
		return validation("The Segment parameter is required but was not present in the request " +
			"when parameter TotalSegments is present")
	case *r.Segment >= *r.TotalSegments:
		return validation("The Segment parameter is zero-based and must be less than parameter TotalSegments: "+
			"Segment: %d is not less than TotalSegments: %d", *r.Segment, *r.TotalSegments)
	}
	return nil
}

// setSegment limits a parallel scan to its share of the hashes at the start of stored keys.
func (p *page) setSegment(r *pageRequest) {
	if r.Segment == nil {
		return
	}
	p.low = segmentStart(*r.Segment, *r.TotalSegments)
	if *r.Segment+1 < *r.TotalSegments {
		p.high = segmentStart(*r.Segment+1, *r.TotalSegments)
	}
}

func segmentStart(segment, total int) string {
	hash := uint64(segment) << (8 * hashBytes) / uint64(total)
	return string(binary.BigEndian.AppendUint32(nil, uint32(hash)))
}

// startAfter skips all keys up to and including the key that ended an earlier page.
func (p *page) startAfter(key document) error {
	stored, ok := p.storedKey(key)
	if !ok || len(key) != len(p.keyNames()) {
		return validation("The provided starting key is invalid")
	}
	if stored < p.low || stored >= p.high {
		return validation("The provided starting key is outside query boundaries based on provided conditions")
	}
	if p.ascending {
		p.low = stored + "\x00"
	} else {
		p.high = stored
	}
	return nil
}
