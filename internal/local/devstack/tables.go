// Package devstack builds the stack of template.yaml on a single machine: the real code on stand-ins for AWS's services, or
// on real engines. Development, tests and benchmarks use it; no deployed function links it.
package devstack

import (
	"fmt"

	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

// StackName is the name of a local stack, unless it is given another.
const StackName = "sufrah-local"

// Region is the AWS region of local stacks.
const Region = sqslocal.Region

// Tables returns the tables of template.yaml for a stack named StackName.
func Tables(t *sam.Definition) ([]dynamolocal.Table, error) {
	defined, err := t.Tables(StackName)
	if err != nil {
		return nil, fmt.Errorf("reading template.yaml's tables: %w", err)
	}
	return sam.StandIns(defined), nil
}
