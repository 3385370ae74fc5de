package stackstore_test

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sufrah/usage-bootstrap/internal/awsconfig"
	"github.com/sufrah/usage-bootstrap/internal/dynamo/schema"
	"github.com/sufrah/usage-bootstrap/internal/local/devstack"
	"github.com/sufrah/usage-bootstrap/internal/local/dynamolocal"
	"github.com/sufrah/usage-bootstrap/internal/local/sam"
	"github.com/sufrah/usage-bootstrap/internal/local/stackstore"
	"github.com/sufrah/usage-bootstrap/internal/test/storetest"
)

// stackTables reads the template once, because that takes longer than most tests.
var stackTables = sync.OnceValues(func() ([]dynamolocal.Table, error) {
	parsed, err := sam.Load("../../../template.yaml")
	if err != nil {
		return nil, err
	}
	return devstack.Tables(parsed)
})

// newEngine returns an empty engine with the tables of the template.
func newEngine(t testing.TB) *dynamolocal.Engine {
	t.Helper()
	tables, err := stackTables()
	if err != nil {
		t.Fatalf("reading the tables from the template: %v", err)
	}
	return dynamolocal.New(time.Now, tables...)
}

// newStore returns a store that sends its requests through transport.
func newStore(transport http.RoundTripper) *stackstore.Store {
	config := awsconfig.New("us-east-1", aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"})
	config.BaseEndpoint = aws.String("http://dynamodb.local")
	config.HTTPClient = &http.Client{Transport: transport}
	return stackstore.New(dynamodb.NewFromConfig(config), schema.StackTables(devstack.StackName), rand.Float64)
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Exercise(t, func(t *testing.T) storetest.Store { return newStore(newEngine(t).Transport()) })
}

// TestContractWithConflicts runs the contract on an engine with slow transactions, so that they meet one another.
func TestContractWithConflicts(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: TestContract has the same suite, without the conflicts")
	}
	t.Parallel()
	storetest.Exercise(t, func(t *testing.T) storetest.Store {
		return newStore(newEngine(t).WithTransactionTime(time.Millisecond).Transport())
	})
}
