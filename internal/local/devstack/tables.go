// Package devstack builds the stack of template.yaml on a single machine: the real code on stand-ins for AWS's services, or on
// real engines. Development, tests and benchmarks run on it; no function links it.
package devstack

import (
	"fmt"

	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/sqslocal"
)

// StackName is the stack that local stacks pretend to be, unless they are given another name.
const StackName = "sufrah-local"

// Region is the AWS region that local stacks pretend to be in.
const Region = sqslocal.Region

// Tables returns the tables that template.yaml gives a stack of StackName.
func Tables(t *sam.Definition) ([]dynamolocal.Table, error) {
	defined, err := t.Tables(StackName)
	if err != nil {
		return nil, fmt.Errorf("reading template.yaml's tables: %w", err)
	}
	return sam.StandIns(defined), nil
}
