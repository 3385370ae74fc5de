package dynamolocal

// The units in which DynamoDB counts capacity.
const (
	readUnit  = 4 << 10
	writeUnit = 1 << 10
)

// size returns the item's size for limits and capacity: the lengths of its attributes' names and values, by DynamoDB's
// published rules.
func (d document) size() int {
	size := 0
	for _, a := range d {
		size += len(a.name) + valueSize(a.value)
	}
	return size
}

// A list or map costs three bytes, and one more for each element, in addition to the elements themselves.
const (
	containerOverhead = 3
	elementOverhead   = 1
)

func valueSize(v value) int {
	switch v := v.(type) {
	case stringValue:
		return len(v)
	case binaryValue:
		return len(v)
	case numberValue:
		return v.decimal().size()
	case document:
		return containerOverhead + elementOverhead*len(v) + v.size()
	case listValue:
		size := containerOverhead + elementOverhead*len(v)
		for _, element := range v {
			size += valueSize(element)
		}
		return size
	case setValue:
		size := 0
		for _, member := range v.members {
			if v.element == "N" {
				size += numberValue(member).decimal().size()
			} else {
				size += len(member)
			}
		}
		return size
	}
	return 1 // BOOL and NULL
}

// readUnits returns the units of a read: one for each 4 KB or part of it, at least one, and half of that if the read need not
// be consistent.
func readUnits(bytes int, consistent bool) float64 {
	units := float64(max(1, (bytes+readUnit-1)/readUnit))
	if !consistent {
		return units / 2
	}
	return units
}

// writeUnits returns the units of a write from the item before and the item after. Either may be absent.
func writeUnits(old, changed document) float64 {
	return float64(max(1, (max(old.size(), changed.size())+writeUnit-1)/writeUnit))
}

// units is the capacity that a request uses in a table.
type units struct {
	table   float64
	indexes map[string]float64
}

func (u units) total() float64 {
	total := u.table
	for _, index := range u.indexes {
		total += index
	}
	return total
}

// plus returns the sum of both.
func (u units) plus(other units) units {
	sum := units{table: u.table + other.table}
	for _, indexes := range []map[string]float64{u.indexes, other.indexes} {
		for name, n := range indexes {
			sum = sum.withIndex(name, n)
		}
	}
	return sum
}

// times returns the units multiplied, as transactions multiply them.
func (u units) times(factor float64) units {
	product := units{table: u.table * factor}
	for name, n := range u.indexes {
		product = product.withIndex(name, n*factor)
	}
	return product
}

// withIndex adds units of an index.
func (u units) withIndex(name string, n float64) units {
	if u.indexes == nil {
		u.indexes = make(map[string]float64)
	}
	u.indexes[name] += n
	return u
}

// consumedCapacity is the wire form of consumed units.
type consumedCapacity struct {
	TableName              string
	CapacityUnits          float64
	ReadCapacityUnits      float64                  `json:",omitempty"`
	WriteCapacityUnits     float64                  `json:",omitempty"`
	Table                  *capacityUnits           `json:",omitempty"`
	GlobalSecondaryIndexes map[string]capacityUnits `json:",omitempty"`
}

type capacityUnits struct {
	CapacityUnits float64
}

// report returns the units in the detail that ReturnConsumedCapacity asks for, nil for none.
func (u units) report(table, detail string) *consumedCapacity {
	switch detail {
	case "TOTAL":
		return &consumedCapacity{TableName: table, CapacityUnits: u.total()}
	case "INDEXES":
		report := &consumedCapacity{TableName: table, CapacityUnits: u.total(), Table: &capacityUnits{u.table}}
		for name, n := range u.indexes {
			if report.GlobalSecondaryIndexes == nil {
				report.GlobalSecondaryIndexes = make(map[string]capacityUnits)
			}
			report.GlobalSecondaryIndexes[name] = capacityUnits{n}
		}
		return report
	}
	return nil
}
