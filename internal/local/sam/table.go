package sam

import (
	"errors"
	"fmt"

	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
)

// Table is a DynamoDB table of a stack.
type Table struct {
	LogicalID    string
	Name         string
	PartitionKey Key
	SortKey      Key // zero if the table has none
	Indexes      []Index
	TimeToLive   string // name of the attribute with an item's expiry; empty if items don't expire
}

// Key is a key attribute.
type Key struct {
	Name string
	Type string // S, N or B
}

// Index is a global secondary index.
type Index struct {
	Name             string
	PartitionKey     Key
	SortKey          Key      // zero if the index has none
	Projection       string   // ALL, KEYS_ONLY or INCLUDE
	NonKeyAttributes []string // for INCLUDE
}

// Tables returns the tables of a stack with the given name, by logical id.
func (t *Definition) Tables(stackName string) ([]Table, error) {
	resources, err := t.Resources(tableType, stackName)
	if err != nil {
		return nil, err
	}
	tables := make([]Table, len(resources))
	for i, resource := range resources {
		if tables[i], err = newTable(resource); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// tableProperties are the properties of a table that affect its content and its reads.
type tableProperties struct {
	TableName              string
	AttributeDefinitions   []attributeDefinition
	KeySchema              []keyElement
	GlobalSecondaryIndexes []struct {
		IndexName  string
		KeySchema  []keyElement
		Projection struct {
			ProjectionType   string
			NonKeyAttributes []string
		}
	}
	TimeToLiveSpecification struct {
		AttributeName string
		Enabled       bool
	}
}

type attributeDefinition struct{ AttributeName, AttributeType string }

type keyElement struct{ AttributeName, KeyType string }

func newTable(resource Resource) (Table, error) {
	var properties tableProperties
	if err := resource.Decode(&properties); err != nil {
		return Table{}, err
	}
	if properties.TableName == "" {
		return Table{}, fmt.Errorf("table %s has no TableName", resource.LogicalID)
	}
	table := Table{LogicalID: resource.LogicalID, Name: properties.TableName}
	if properties.TimeToLiveSpecification.Enabled {
		table.TimeToLive = properties.TimeToLiveSpecification.AttributeName
	}
	var err error
	table.PartitionKey, table.SortKey, err = properties.keys(properties.KeySchema)
	if err != nil {
		return Table{}, fmt.Errorf("table %s: %w", resource.LogicalID, err)
	}
	for _, stated := range properties.GlobalSecondaryIndexes {
		index := Index{
			Name:             stated.IndexName,
			Projection:       stated.Projection.ProjectionType,
			NonKeyAttributes: stated.Projection.NonKeyAttributes,
		}
		if index.PartitionKey, index.SortKey, err = properties.keys(stated.KeySchema); err != nil {
			return Table{}, fmt.Errorf("table %s: index %s: %w", resource.LogicalID, index.Name, err)
		}
		table.Indexes = append(table.Indexes, index)
	}
	return table, nil
}

// keys returns the keys of a schema with their types. A schema has one partition key, and at most one sort key.
func (p tableProperties) keys(schema []keyElement) (partition, sort Key, err error) {
	for _, element := range schema {
		key := Key{Name: element.AttributeName, Type: p.attributeType(element.AttributeName)}
		switch {
		case key.Name == "" || key.Type == "":
			return Key{}, Key{}, fmt.Errorf("key %q has no type in AttributeDefinitions", key.Name)
		case element.KeyType == "HASH" && partition == Key{}:
			partition = key
		case element.KeyType == "RANGE" && sort == Key{}:
			sort = key
		default:
			return Key{}, Key{}, fmt.Errorf("key %q must be the only HASH or the only RANGE key", key.Name)
		}
	}
	if (partition == Key{}) {
		return Key{}, Key{}, errors.New("the partition key (HASH) is missing")
	}
	return partition, sort, nil
}

func (p tableProperties) attributeType(name string) string {
	for _, definition := range p.AttributeDefinitions {
		if definition.AttributeName == name {
			return definition.AttributeType
		}
	}
	return ""
}

// StandIns returns the tables in the form that DynamoDB's stand-in takes.
func StandIns(tables []Table) []dynamolocal.Table {
	standIns := make([]dynamolocal.Table, len(tables))
	for i, t := range tables {
		standIns[i] = dynamolocal.Table{
			Name: t.Name, PartitionKey: dynamolocal.Key(t.PartitionKey), SortKey: dynamolocal.Key(t.SortKey), TimeToLive: t.TimeToLive,
		}
		for _, index := range t.Indexes {
			standIns[i].Indexes = append(standIns[i].Indexes, dynamolocal.Index{
				Name: index.Name, PartitionKey: dynamolocal.Key(index.PartitionKey), SortKey: dynamolocal.Key(index.SortKey),
				Projection: index.Projection, Include: index.NonKeyAttributes,
			})
		}
	}
	return standIns
}
