package dynamolocal

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

type keySchemaElement struct{ AttributeName, KeyType string }

type attributeDefinition struct{ AttributeName, AttributeType string }

type projectionType struct {
	ProjectionType   string
	NonKeyAttributes []string `json:",omitempty"`
}

type throughput struct{ ReadCapacityUnits, WriteCapacityUnits int64 }

type indexDescription struct {
	IndexName             string
	KeySchema             []keySchemaElement
	Projection            projectionType
	ProvisionedThroughput *throughput `json:",omitempty"`
	IndexStatus           string
	IndexSizeBytes        int
	ItemCount             int
	IndexArn              string
}

type tableDescription struct {
	TableName              string
	TableStatus            string
	TableArn               string
	CreationDateTime       float64
	ItemCount              int
	TableSizeBytes         int
	KeySchema              []keySchemaElement
	AttributeDefinitions   []attributeDefinition
	GlobalSecondaryIndexes []indexDescription `json:",omitempty"`
	BillingModeSummary     struct{ BillingMode string }
}

type createTableRequest struct {
	TableName              string
	KeySchema              []keySchemaElement
	AttributeDefinitions   []attributeDefinition
	GlobalSecondaryIndexes []struct {
		IndexName             string
		KeySchema             []keySchemaElement
		Projection            projectionType
		ProvisionedThroughput *throughput
	}
	BillingMode           string
	ProvisionedThroughput *throughput
}

type tableRequest struct{ TableName string }

type createTableResponse struct{ TableDescription tableDescription }

type describeTableResponse struct{ Table tableDescription }

func (e *Engine) createTable(r *createTableRequest) (*createTableResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	definition, err := r.definition()
	if err != nil {
		return nil, err
	}
	if e.tables[definition.Name] != nil {
		return nil, &serviceError{code: "ResourceInUseException", message: "Table already exists: " + definition.Name}
	}
	t := newTable(definition, e.now())
	e.tables[definition.Name] = t
	return &createTableResponse{t.describe()}, nil
}

// definition reads the table that a request describes.
func (r *createTableRequest) definition() (Table, error) {
	if err := r.check(); err != nil {
		return Table{}, err
	}
	types := make(map[string]string)
	for _, a := range r.AttributeDefinitions {
		types[a.AttributeName] = a.AttributeType
	}
	used := make(map[string]bool)
	definition := Table{Name: r.TableName}
	var err error
	if definition.PartitionKey, definition.SortKey, err = keysOf(r.KeySchema, types, used); err != nil {
		return Table{}, err
	}
	for _, i := range r.GlobalSecondaryIndexes {
		index := Index{Name: i.IndexName, Projection: i.Projection.ProjectionType, Include: i.Projection.NonKeyAttributes}
		if index.PartitionKey, index.SortKey, err = keysOf(i.KeySchema, types, used); err != nil {
			return Table{}, err
		}
		if !slices.Contains([]string{"ALL", "KEYS_ONLY", "INCLUDE"}, index.Projection) {
			return Table{}, invalidParameter("Unknown ProjectionType: %s", index.Projection)
		}
		if slices.ContainsFunc(definition.Indexes, func(known Index) bool { return known.Name == index.Name }) {
			return Table{}, invalidParameter("Duplicate index name: %s", index.Name)
		}
		definition.Indexes = append(definition.Indexes, index)
	}
	if len(used) != len(types) {
		return Table{}, invalidParameter("Some AttributeDefinitions are not used")
	}
	return definition, nil
}

// check checks the request's members one by one.
func (r *createTableRequest) check() error {
	var failed constraints
	for i, a := range r.AttributeDefinitions {
		failed.oneOf(fmt.Sprintf("attributeDefinitions.%d.member.attributeType", i+1), a.AttributeType, "B", "N", "S")
	}
	failed.oneOf("billingMode", r.BillingMode, "PROVISIONED", "PAY_PER_REQUEST")
	failed.name("tableName", r.TableName, minName)
	failed.keySchema("keySchema", r.KeySchema)
	for i, index := range r.GlobalSecondaryIndexes {
		member := fmt.Sprintf("globalSecondaryIndexes.%d.member.", i+1)
		failed.name(member+"indexName", index.IndexName, minName)
		failed.keySchema(member+"keySchema", index.KeySchema)
	}
	return failed.err()
}

func (c *constraints) keySchema(member string, schema []keySchemaElement) {
	elements := make([]string, len(schema))
	for i, element := range schema {
		elements[i] = fmt.Sprintf("KeySchemaElement(attributeName=%s, keyType=%s)", element.AttributeName, element.KeyType)
		c.oneOf(fmt.Sprintf("%s.%d.member.keyType", member, i+1), element.KeyType, "HASH", "RANGE")
	}
	given := "[" + strings.Join(elements, ", ") + "]"
	switch {
	case len(schema) < 1:
		c.failValue(given, member, "Member must have length greater than or equal to 1")
	case len(schema) > len(keyTypes):
		c.failValue(given, member, "Member must have length less than or equal to 2")
	}
}

// keyTypes are the types of a key's attributes, in their order.
var keyTypes = []string{"HASH", "RANGE"}

func keysOf(schema []keySchemaElement, types map[string]string, used map[string]bool) (partition, sort Key, err error) {
	keys := make([]Key, len(keyTypes))
	for i, element := range schema {
		if element.KeyType != keyTypes[i] {
			return Key{}, Key{}, invalidParameter("Invalid KeySchema: The first KeySchemaElement is not a HASH key type " +
				"or the second one not a RANGE key type")
		}
		if types[element.AttributeName] == "" {
			return Key{}, Key{}, invalidParameter("Some index key attributes are not defined in "+
				"AttributeDefinitions. Keys: [%s]", element.AttributeName)
		}
		if element.AttributeName == keys[0].Name {
			// The attribute does have a definition, but this is AWS's wording.
			return Key{}, Key{}, validation("Invalid KeySchema: Some index key attribute have no definition")
		}
		keys[i] = Key{element.AttributeName, types[element.AttributeName]}
		used[element.AttributeName] = true
	}
	return keys[0], keys[1], nil
}

func (e *Engine) deleteTable(r *tableRequest) (*createTableResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t, err := e.checkedTable(r.TableName)
	if err != nil {
		return nil, err
	}
	delete(e.tables, r.TableName)
	description := t.describe()
	description.TableStatus = "DELETING"
	return &createTableResponse{description}, nil
}

func (e *Engine) describeTable(r *tableRequest) (*describeTableResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t, err := e.checkedTable(r.TableName)
	if err != nil {
		return nil, err
	}
	return &describeTableResponse{t.describe()}, nil
}

func (t *table) describe() tableDescription {
	arn := "arn:aws:dynamodb:local:000000000000:table/" + t.Name
	description := tableDescription{
		TableName: t.Name, TableStatus: "ACTIVE", TableArn: arn,
		CreationDateTime: float64(t.created.UnixMilli()) / float64(time.Second/time.Millisecond),
		ItemCount:        t.items.length, TableSizeBytes: t.bytes,
		KeySchema: t.schema.describe(), AttributeDefinitions: t.attributeDefinitions(),
	}
	description.BillingModeSummary.BillingMode = "PAY_PER_REQUEST"
	for _, i := range t.indexes {
		projection := projectionType{i.Projection, i.Include}
		if i.projectsAll() {
			projection.ProjectionType = "ALL"
		}
		description.GlobalSecondaryIndexes = append(description.GlobalSecondaryIndexes, indexDescription{
			IndexName: i.Name, KeySchema: i.schema.describe(), Projection: projection, IndexStatus: "ACTIVE",
			IndexSizeBytes: i.bytes, ItemCount: i.entries.length, IndexArn: arn + "/index/" + i.Name,
		})
	}
	return description
}

func (s keySchema) describe() []keySchemaElement {
	described := []keySchemaElement{{s.partition.Name, "HASH"}}
	if s.sort.Name != "" {
		described = append(described, keySchemaElement{s.sort.Name, "RANGE"})
	}
	return described
}

func (t *table) attributeDefinitions() []attributeDefinition {
	keys := t.schema.keys()
	for _, i := range t.indexes {
		keys = append(keys, i.schema.keys()...)
	}
	var definitions []attributeDefinition
	for _, key := range keys {
		if definition := (attributeDefinition{key.Name, key.Type}); !slices.Contains(definitions, definition) {
			definitions = append(definitions, definition)
		}
	}
	return definitions
}

type listTablesRequest struct {
	ExclusiveStartTableName string
	Limit                   *int
}

type listTablesResponse struct {
	TableNames             []string
	LastEvaluatedTableName string `json:",omitempty"`
}

func (e *Engine) listTables(r *listTablesRequest) (*listTablesResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	limit := 100
	if r.Limit != nil {
		limit = *r.Limit
	}
	var failed constraints
	failed.between("Limit", &limit, 1, 100)
	if err := failed.err(); err != nil {
		return nil, err
	}
	names := e.tableNames()
	first, found := slices.BinarySearch(names, r.ExclusiveStartTableName)
	if found {
		first++
	}
	names = names[first:]
	if len(names) > limit {
		return &listTablesResponse{names[:limit], names[limit-1]}, nil
	}
	return &listTablesResponse{TableNames: names}, nil
}

type timeToLive struct {
	AttributeName string
	Enabled       bool
}

type updateTimeToLiveRequest struct {
	TableName               string
	TimeToLiveSpecification timeToLive
}

type updateTimeToLiveResponse struct{ TimeToLiveSpecification timeToLive }

type describeTimeToLiveResponse struct {
	TimeToLiveDescription struct {
		AttributeName    string `json:",omitempty"`
		TimeToLiveStatus string
	}
}

func (e *Engine) updateTimeToLive(r *updateTimeToLiveRequest) (*updateTimeToLiveResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t, err := e.checkedTable(r.TableName)
	if err != nil {
		return nil, err
	}
	asked := r.TimeToLiveSpecification
	switch {
	case asked.AttributeName == "":
		failed := constraints{"Value '' at 'timeToLiveSpecification.attributeName' failed to satisfy constraint: " +
			"Member must have length greater than or equal to 1"}
		return nil, failed.err()
	case asked.Enabled && t.TimeToLive != "":
		return nil, validation("TimeToLive is already enabled")
	case !asked.Enabled && t.TimeToLive == "":
		return nil, validation("TimeToLive is already disabled")
	case !asked.Enabled && t.TimeToLive != asked.AttributeName:
		return nil, validation("TimeToLive is active on a different AttributeName: current AttributeName is %s",
			t.TimeToLive)
	case asked.Enabled:
		t.TimeToLive = asked.AttributeName
	default:
		t.TimeToLive = ""
	}
	return &updateTimeToLiveResponse{asked}, nil
}

func (e *Engine) describeTimeToLive(r *tableRequest) (*describeTimeToLiveResponse, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t, err := e.checkedTable(r.TableName)
	if err != nil {
		return nil, err
	}
	response := new(describeTimeToLiveResponse)
	response.TimeToLiveDescription.TimeToLiveStatus = "DISABLED"
	if t.TimeToLive != "" {
		response.TimeToLiveDescription.TimeToLiveStatus = "ENABLED"
		response.TimeToLiveDescription.AttributeName = t.TimeToLive
	}
	return response, nil
}
